//! `parallel(i)`: iterations run on any thread in any order. The verifier proves that they do not
//! depend on each other.

use super::Refusal;
use super::unroll::mark;
use tcc_ir::kernel::{Kernel, LoopKind};

pub(super) fn parallel(k: &mut Kernel, target: &str) -> Result<(), Refusal> {
    mark(k, target, LoopKind::Parallel)
}
