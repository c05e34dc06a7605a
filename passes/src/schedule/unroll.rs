//! `unroll(i)`: the body is copied for each iteration.

use super::nest::{find, loop_mut, loop_of};
use super::{Names, Refusal};
use tcc_ir::kernel::{Kernel, LoopKind};

/// The most copies of a body.
const LIMIT: i64 = 1024;

pub(super) fn unroll(k: &mut Kernel, target: &str) -> Result<(), Refusal> {
    let extent = constant_extent(k, target)?;
    if extent > LIMIT {
        return Err(Refusal::TooLong { name: target.to_owned(), extent, limit: LIMIT });
    }
    mark(k, target, LoopKind::Unroll)
}

/// The extent of a loop, which must be a number.
pub(super) fn constant_extent(k: &Kernel, target: &str) -> Result<i64, Refusal> {
    let v = find(k, target)?;
    let Some(f) = loop_of(&k.body, v) else { return Ok(0) };
    let extent = &f.hi - &f.lo;
    extent.as_constant().ok_or_else(|| Refusal::Symbolic {
        name: target.to_owned(),
        extent: Names(k).show(&extent).to_string(),
    })
}

/// Marks a serial loop.
pub(super) fn mark(k: &mut Kernel, target: &str, kind: LoopKind) -> Result<(), Refusal> {
    let v = find(k, target)?;
    let Some(f) = loop_mut(&mut k.body, v) else { return Ok(()) };
    if f.kind != LoopKind::Serial {
        return Err(Refusal::Marked { name: target.to_owned(), kind: f.kind.name() });
    }
    f.kind = kind;
    Ok(())
}
