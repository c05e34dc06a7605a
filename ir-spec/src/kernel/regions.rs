//! What a block reads and writes, and the kinds of its variables, inferred from its accesses.

use super::Block;
use crate::scalar::Subscript;
use crate::{TensorId, VarId};

/// The kind of a block variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterKind {
    /// Distinct values write distinct elements.
    Spatial,
    /// The written element does not depend on it.
    Reduce,
    /// The written element depends on it, but distinct values may write the same element.
    Opaque,
}

/// One access of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// The buffer.
    pub buffer: TensorId,
    /// The subscripts over the block's variables.
    pub subscripts: &'a [Subscript],
    /// True if a default covers positions out of bounds.
    pub covered: bool,
}

/// Every element that the block reads, that of an updating store included.
pub fn reads(b: &Block) -> Vec<Access<'_>> {
    let mut out: Vec<Access<'_>> = Vec::new();
    for e in b.exprs() {
        for r in e.reads() {
            let covered = r.default.is_some();
            out.push(Access { buffer: r.tensor, subscripts: &r.subscripts, covered });
        }
    }
    if b.store.update != super::Update::Set {
        out.push(write(b));
    }
    out
}

/// The element that the block writes.
pub fn write(b: &Block) -> Access<'_> {
    Access { buffer: b.store.buffer, subscripts: &b.store.subscripts, covered: false }
}

/// The kind of each variable of the block.
pub fn kinds(b: &Block) -> Vec<(VarId, IterKind)> {
    let reduce = b.reduction_vars();
    b.iters
        .iter()
        .map(|(v, _)| {
            if reduce.contains(v) {
                return (*v, IterKind::Reduce);
            }
            // Alone in a subscript with a constant factor: it can be read off the position.
            let alone = b.store.subscripts.iter().filter_map(Subscript::as_affine).any(|i| {
                i.linear_in(*v).is_some_and(|(c, rest)| {
                    c.as_constant().is_some_and(|c| c != 0) && !rest.mentions_vars()
                })
            });
            (*v, if alone { IterKind::Spatial } else { IterKind::Opaque })
        })
        .collect()
}
