//! The part of a buffer that some accesses touch.

use super::address::{Path, add_range, assume, follows};
use tcc_ir::int::{Facts, IntExpr, bounds};
use tcc_ir::kernel::Kernel;
use tcc_ir::kernel::dependence::Range;
use tcc_ir::scalar::{Comparison, Expr};

/// A box of positions: the first and the last one on each axis, over what surrounds some loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) lo: Vec<IntExpr>,
    pub(super) last: Vec<IntExpr>,
    /// True if positions out of bounds of the buffer may have been cut off.
    pub(super) is_cut: bool,
}

impl Region {
    /// The smallest box around positions while the `inner` loops run; `None` if it cannot be told.
    /// A position that depends on data takes the whole axis. What is known to cover an axis is cut
    /// to it.
    pub(super) fn around<'p>(
        positions: impl Iterator<Item = &'p [Option<IntExpr>]>,
        shape: &[IntExpr],
        inner: &[Range],
        facts: &Facts,
    ) -> Option<Region> {
        let one = IntExpr::constant(1);
        let range = |v| {
            let found = inner.iter().find(|r| r.var == v);
            found.map(|r| (r.lo.clone(), r.last.clone()))
        };
        let mut out: Option<Region> = None;
        for position in positions {
            let mut each = Region { lo: vec![], last: vec![], is_cut: false };
            for (p, n) in position.iter().zip(shape) {
                let (lo, last) = match p {
                    Some(p) => bounds::extremes(p, &range, facts)?,
                    None => (IntExpr::constant(0), n - &one),
                };
                each.lo.push(lo);
                each.last.push(last);
            }
            out = Some(match out {
                None => each,
                Some(all) => all.joined(&each),
            });
        }
        let mut out = out?;
        for ((lo, last), n) in out.lo.iter_mut().zip(&mut out.last).zip(shape) {
            let end = n - &one;
            let whole = facts.is_nonneg(&-lo.clone()) && facts.at_most(&end, last);
            if whole {
                out.is_cut |= *lo != IntExpr::constant(0) || *last != end;
                (*lo, *last) = (IntExpr::constant(0), end);
            }
        }
        Some(out)
    }

    fn joined(&self, other: &Region) -> Region {
        let each = |a: &[IntExpr], b: &[IntExpr], join: fn(&IntExpr, &IntExpr) -> IntExpr| {
            a.iter().zip(b).map(|(a, b)| join(a, b)).collect()
        };
        Region {
            lo: each(&self.lo, &other.lo, IntExpr::minimum),
            last: each(&self.last, &other.last, IntExpr::maximum),
            is_cut: false,
        }
    }

    /// How many positions there are on each axis.
    pub(super) fn extents(&self) -> Vec<IntExpr> {
        let one = IntExpr::constant(1);
        self.lo.iter().zip(&self.last).map(|(lo, last)| last - lo + one.clone()).collect()
    }
}

/// That a position is on an axis of `n` elements.
pub(super) fn on_axis(position: &IntExpr, n: &IntExpr) -> [Expr; 2] {
    let zero = IntExpr::constant(0);
    [
        Expr::Compare(Comparison::Ge, position.clone(), zero),
        Expr::Compare(Comparison::Lt, position.clone(), n.clone()),
    ]
}

/// True if an access in some loops touches every position of the box that meets `conditions`, which
/// are about the position, while the loops run.
///
/// The positions of an axis are dense if its loops count in a mixed radix: each step is the extent
/// of the loops below. No loop steps on two axes. Loops that step on none must run, and the
/// conditions on the way must follow for the positions in question. So where no loop runs, the box
/// is empty.
pub(super) fn covers(
    k: &Kernel,
    outer: &Path<'_>,
    inner: &Path<'_>,
    position: &[IntExpr],
    conditions: &dyn Fn(&[IntExpr]) -> Vec<Expr>,
) -> bool {
    let mut facts = outer.facts(k);
    let ranges = inner.ranges();
    let mut stepping: Vec<&Range> = Vec::new();
    for p in position {
        let Some(used) = counts(p, &ranges, &facts) else { return false };
        if used.iter().any(|r| stepping.contains(r)) {
            return false;
        }
        stepping.extend(used);
    }
    conditions(position).iter().for_each(|c| assume(&mut facts, c));
    let mut idle = ranges.iter().filter(|r| !stepping.contains(r));
    if !idle.all(|r| facts.is_nonneg(&(&r.last - &r.lo))) {
        return false;
    }
    ranges.iter().for_each(|r| add_range(&mut facts, r));
    inner.is_plain() && inner.comparisons().iter().all(|c| follows(&facts, c))
}

/// The loops that a position counts with, if they make it run through every value between the
/// first and the last.
fn counts<'r>(position: &IntExpr, loops: &'r [Range], facts: &Facts) -> Option<Vec<&'r Range>> {
    let one = IntExpr::constant(1);
    let inside = |e: &IntExpr| loops.iter().any(|r| e.mentions(r.var));
    let mut left: Vec<(&Range, IntExpr)> = Vec::new();
    let mut rest = position.clone();
    for r in loops.iter().filter(|r| position.mentions(r.var)) {
        let (step, others) = rest.linear_in(r.var)?;
        rest = others;
        left.push((r, step));
    }
    let rectangular = left.iter().all(|(r, _)| !inside(&r.lo) && !inside(&r.last));
    if inside(&rest) || !rectangular {
        return None;
    }
    let mut below = one.clone();
    let mut used = Vec::new();
    while !left.is_empty() {
        let at = left.iter().position(|(_, step)| *step == below)?;
        let (r, step) = left.swap_remove(at);
        let extent = &r.last - &r.lo + one.clone();
        if !facts.is_nonneg(&extent) {
            return None;
        }
        below = step * extent;
        used.push(r);
    }
    Some(used)
}
