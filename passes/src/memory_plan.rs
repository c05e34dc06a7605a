//! Offsets of temporaries in the arena.
//!
//! A buffer takes the place of an earlier one of the same size in bytes that is no longer used;
//! sizes are symbolic, so only sizes that are equal for every call share.

use tcc_ir::TensorId;
use tcc_ir::graph::Role;
use tcc_ir::int::IntExpr;
use tcc_ir::program::Program;

/// Alignment of every buffer in bytes: a cache line and the widest vector.
pub const ALIGNMENT: i64 = 64;

/// Bytes of a buffer, rounded up to [`ALIGNMENT`].
pub fn bytes(program: &Program, t: TensorId) -> IntExpr {
    let Some(b) = program.buffers.get(t) else { return IntExpr::default() };
    let size = IntExpr::constant(b.dtype.size() as i64);
    let bytes = b.shape.iter().fold(size, |p, e| p * e.clone());
    let align = IntExpr::constant(ALIGNMENT);
    (bytes + IntExpr::constant(ALIGNMENT - 1)).div(&align) * align
}

/// Gives every temporary an offset.
pub fn plan(program: &mut Program) {
    let mut free: Vec<(IntExpr, IntExpr)> = Vec::new();
    let mut top = IntExpr::default();
    let calls = program.calls.clone();
    for (k, call) in calls.iter().enumerate() {
        for t in call.arguments.iter().chain(&call.results) {
            let open = program
                .buffers
                .get(*t)
                .is_some_and(|b| b.role == Role::Intermediate && b.offset.is_none());
            if !open {
                continue;
            }
            let size = bytes(program, *t);
            let offset = match free.iter().position(|(s, _)| *s == size) {
                Some(at) => free.remove(at).1,
                None => {
                    let offset = top.clone();
                    top = top + size;
                    offset
                }
            };
            if let Some(b) = program.buffers.get_mut(*t) {
                b.offset = Some(offset);
            }
        }
        for t in call.arguments.iter().chain(&call.results) {
            let last =
                !calls.iter().skip(k + 1).any(|c| c.arguments.contains(t) || c.results.contains(t));
            if let (true, Some(offset)) =
                (last, program.buffers.get(*t).and_then(|b| b.offset.clone()))
            {
                let size = bytes(program, *t);
                if !free.iter().any(|(_, o)| *o == offset) {
                    free.push((size, offset));
                }
            }
        }
    }
}
