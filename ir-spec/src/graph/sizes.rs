//! How the sizes of a function follow from the shapes of its inputs.

use super::Function;
use crate::SizeId;
use crate::int::{IntExpr, Symbol};

/// One step of finding the sizes at a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeSource {
    /// `size = (extent - offset) / factor`, exactly.
    Extent {
        /// What is found.
        size: SizeId,
        /// Position of the parameter.
        param: usize,
        /// Its axis.
        axis: usize,
        /// What the axis adds.
        offset: IntExpr,
        /// What the axis multiplies by.
        factor: IntExpr,
    },
    /// The caller names the size.
    Argument(SizeId),
}

/// The steps that find every size, in an order in which each needs only earlier ones. Arguments
/// come first: a size is one if no input shows it even at given values of the arguments before it,
/// so of `H` and `D` in `X: f32[T,H*D]` only `H` is.
pub fn size_sources(function: &Function) -> Vec<SizeSource> {
    let mut found: Vec<SizeId> = Vec::new();
    let mut arguments = Vec::new();
    let mut steps = Vec::new();
    loop {
        while find_extents(function, &mut found, &mut steps) {}
        let Some(free) = function.sizes.keys().find(|s| !found.contains(s)) else { break };
        found.push(free);
        arguments.push(SizeSource::Argument(free));
    }
    arguments.extend(steps);
    arguments
}

/// Adds the sizes that extents show, those found so far being known; true if there are any.
fn find_extents(function: &Function, found: &mut Vec<SizeId>, steps: &mut Vec<SizeSource>) -> bool {
    let before = found.len();
    for (param, t) in function.params.iter().enumerate() {
        let Some(tensor) = function.tensors.get(*t) else { continue };
        for (axis, extent) in tensor.shape.iter().enumerate() {
            if let Some((size, offset, factor)) = only_unknown(extent, found) {
                found.push(size);
                steps.push(SizeSource::Extent { size, param, axis, offset, factor });
            }
        }
    }
    found.len() > before
}

/// Sizes that no input shows.
pub fn free_sizes(function: &Function) -> Vec<SizeId> {
    size_sources(function)
        .into_iter()
        .filter_map(|s| match s {
            SizeSource::Argument(size) => Some(size),
            SizeSource::Extent { .. } => None,
        })
        .collect()
}

/// The one size of an extent that is not known yet, if the extent is linear in it.
fn only_unknown(extent: &IntExpr, found: &[SizeId]) -> Option<(SizeId, IntExpr, IntExpr)> {
    let mut unknown: Vec<SizeId> = Vec::new();
    extent.visit_symbols(&mut |s| {
        if let Symbol::Size(s) = s
            && !found.contains(&s)
            && !unknown.contains(&s)
        {
            unknown.push(s);
        }
    });
    let [size] = unknown.as_slice() else { return None };
    let (factor, offset) = extent.linear_in(*size)?;
    Some((*size, offset, factor))
}
