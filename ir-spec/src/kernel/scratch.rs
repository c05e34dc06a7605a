//! Where the `@local` buffers of a kernel lie in the memory that a call gives it.

use super::parallel::at_least_zero;
use super::{Kernel, Scope, Stmt, visit_stmts};
use crate::TensorId;
use crate::int::IntExpr;
use tcc_abi::SCRATCH_ALIGNMENT;

/// The layout of [`tcc_abi::KernelCall::scratch`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// Byte offset of each local buffer, in the order in which they are allocated.
    pub offsets: Vec<(TensorId, IntExpr)>,
    /// Bytes of all of them.
    pub bytes: IntExpr,
}

impl Scratch {
    /// Lays the local buffers of a kernel out one after the other, each at a multiple of
    /// [`SCRATCH_ALIGNMENT`].
    pub fn of(kernel: &Kernel) -> Scratch {
        let mut scratch = Scratch::default();
        visit_stmts(&kernel.body, &mut |s| {
            if let Stmt::Alloc(t) = s
                && let Some(b) = kernel.buffers.get(*t)
                && b.scope == Scope::Local
            {
                scratch.offsets.push((*t, scratch.bytes.clone()));
                let size = IntExpr::constant(b.dtype.size() as i64);
                let bytes = b.shape.iter().fold(size, |p, n| p * at_least_zero(n));
                scratch.bytes = scratch.bytes.clone() + aligned(&bytes);
            }
        });
        scratch
    }
}

/// Rounded up to a multiple of [`SCRATCH_ALIGNMENT`].
fn aligned(bytes: &IntExpr) -> IntExpr {
    let to = IntExpr::constant(SCRATCH_ALIGNMENT);
    (bytes + &IntExpr::constant(SCRATCH_ALIGNMENT - 1)).div(&to) * to
}
