//! Which orders of nested loops keep what their iterations make of each other.
//!
//! Loops that two dependent iterations may differ in decide the order of the two, so their relative
//! order must stay, unless both accesses are updates of one reduction.

use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::int::{Facts, IntExpr, bounds};
use tcc_ir::kernel::dependence::{Access, Accesses, Range};
use tcc_ir::kernel::{Block, For, Kernel, Stmt};
use tcc_ir::scalar::Reducer;

/// Perfectly nested loops around a body.
pub(super) struct Chain<'a> {
    pub(super) loops: &'a [For],
    pub(super) body: &'a [Stmt],
}

/// Refuses an order of the loops that swaps dependent iterations; `reassociates` allows it to
/// change the order in which sums of floats combine.
pub(super) fn check(
    k: &Kernel,
    chain: &Chain<'_>,
    order: &[VarId],
    reassociates: bool,
) -> Result<(), Refusal> {
    let facts = declared(k);
    let accesses = Accesses::of(k, chain.body, &facts);
    let around: Vec<Range> = chain.loops.iter().map(range).collect();
    for (n, a) in accesses.list.iter().enumerate() {
        let later = accesses.list.iter().skip(n);
        for b in later.filter(|b| b.buffer == a.buffer && (a.writes || b.writes)) {
            let open = accesses.open_loops(&around, a, b);
            let kept: Vec<VarId> = order.iter().copied().filter(|v| open.contains(v)).collect();
            if kept == open {
                continue;
            }
            let names = Names(k);
            let commutes = commute(&accesses, &around, (a, b), &open);
            if commutes && (reassociates || is_exact(k, a)) {
                continue;
            }
            let loops = open.iter().map(|v| names.var(*v)).collect();
            let buffer = names.buffer(a.buffer);
            return Err(if commutes {
                Refusal::Reassociates { block: a.name().to_owned(), buffer, loops }
            } else {
                let (from, to) = (a.name().to_owned(), b.name().to_owned());
                Refusal::Dependence { from, to, buffer, loops }
            });
        }
    }
    Ok(())
}

/// What the kernel says of its sizes.
pub(super) fn declared(k: &Kernel) -> Facts {
    let mut facts = Facts::default();
    for f in &k.facts {
        f.comparison.as_nonneg(&f.lhs, &f.rhs).into_iter().for_each(|e| facts.add_nonneg(e));
    }
    facts
}

pub(super) fn range(f: &For) -> Range {
    Range { var: f.var, lo: f.lo.clone(), last: &f.hi - &IntExpr::constant(1) }
}

/// True if a reduction gives the same bits in any order.
pub(super) fn is_exact(k: &Kernel, a: &Access<'_>) -> bool {
    let rounds = k.buffers.get(a.buffer).is_none_or(|b| b.dtype.is_float() || b.dtype.is_complex());
    !rounds || !matches!(a.update, Some(Reducer::Sum | Reducer::Prod))
}

/// True for updates of one reduction that combine the same values in any order of the open loops.
fn commute(
    accesses: &Accesses<'_>,
    around: &[Range],
    (a, b): (&Access<'_>, &Access<'_>),
    open: &[VarId],
) -> bool {
    let same = a.writes && b.writes && a.update.is_some() && a.update == b.update;
    let (Some(x), Some(y)) = (a.block, b.block) else { return false };
    let initialized = x.init.is_some() || y.init.is_some();
    same && (!initialized || (std::ptr::eq(x, y) && starts_first(accesses, around, x, open)))
}

/// True if the iteration that runs the block's `init` is the first one of its element in every
/// order: each open loop moves some reduction variable up, none moves one down, and none of them
/// begins below 0.
pub(super) fn starts_first(
    accesses: &Accesses<'_>,
    around: &[Range],
    b: &Block,
    open: &[VarId],
) -> bool {
    let reduced = b.reduction_vars();
    let bindings = b.iters.iter().filter(|(v, _)| reduced.contains(v));
    let bindings: Vec<IntExpr> = bindings.map(|(_, e)| accesses.resolve(e)).collect();
    let moves = |v: &VarId| {
        let factor = |e: &IntExpr| e.linear_in(*v).and_then(|(c, _)| c.as_constant());
        let factors: Option<Vec<i64>> = bindings.iter().map(factor).collect();
        factors.is_some_and(|f| f.iter().all(|c| *c >= 0) && f.iter().any(|c| *c > 0))
    };
    let range = |v: VarId| {
        let found = around.iter().find(|r| r.var == v);
        found.map(|r| (r.lo.clone(), r.last.clone()))
    };
    let facts = Facts::default();
    let starts = |e: &IntExpr| {
        let least = bounds::extremes(e, &range, &facts).map(|(lo, _)| lo);
        least.is_some_and(|lo| facts.is_nonneg(&lo))
    };
    open.iter().all(moves) && (open.is_empty() || bindings.iter().all(starts))
}
