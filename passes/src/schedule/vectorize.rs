//! `vectorize(i)`: iterations run beside each other in vector lanes. The verifier proves that they
//! do not depend on each other.

use super::Refusal;
use super::unroll::{constant_extent, mark};
use tcc_ir::kernel::{Kernel, LoopKind};

pub(super) fn vectorize(k: &mut Kernel, target: &str) -> Result<(), Refusal> {
    constant_extent(k, target)?;
    mark(k, target, LoopKind::Vectorize)
}
