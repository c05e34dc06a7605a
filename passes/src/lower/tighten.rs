//! Turns conditions on a loop's variable into loop bounds: `max[k | k <= q]` runs to q.

use super::block::Body;
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Comparison, Expr, Func};

/// First value and one past the last of a variable, over the other variables of the body.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) lo: IntExpr,
    pub(super) hi: IntExpr,
}

/// Takes the comparisons that bound `var` out of the guard; what remains stays there.
pub(super) fn tighten(body: &mut Body, var: VarId, extent: &IntExpr) -> Bounds {
    let mut bounds = Bounds { lo: IntExpr::constant(0), hi: extent.clone() };
    let Some(guard) = body.guard.take() else { return bounds };
    let mut rest: Option<Expr> = None;
    for conjunct in guard.operands(Func::And) {
        if let Expr::Compare(op, a, b) = conjunct
            && narrow(&mut bounds, var, *op, &(a - b))
        {
            continue;
        }
        rest = Some(match rest {
            None => conjunct.clone(),
            Some(r) => Expr::binary(Func::And, r, conjunct.clone()),
        });
    }
    body.guard = rest;
    bounds
}

/// Narrows the bounds by `difference op 0` if that is `±var + rest` without other occurrences.
fn narrow(bounds: &mut Bounds, var: VarId, op: Comparison, difference: &IntExpr) -> bool {
    match limit(var, op, difference) {
        None => return false,
        Some(Limit::Below(end)) => bounds.hi = bounds.hi.minimum(&end),
        Some(Limit::From(start)) => bounds.lo = bounds.lo.maximum(&start),
    }
    true
}

/// A bound of a variable.
pub(super) enum Limit {
    /// It is less.
    Below(IntExpr),
    /// It is not less.
    From(IntExpr),
}

/// What `difference op 0` says of a variable, if that is `±var + rest`.
pub(super) fn limit(var: VarId, op: Comparison, difference: &IntExpr) -> Option<Limit> {
    let (c, rest) = difference.linear_in(var)?;
    let one = IntExpr::constant(1);
    // var + rest op 0, or -var + rest op 0.
    Some(match (c.as_constant()?, op) {
        (1, Comparison::Le) => Limit::Below(-rest + one),
        (1, Comparison::Lt) => Limit::Below(-rest),
        (1, Comparison::Ge) => Limit::From(-rest),
        (1, Comparison::Gt) => Limit::From(-rest + one),
        (-1, Comparison::Ge) => Limit::Below(rest + one),
        (-1, Comparison::Gt) => Limit::Below(rest),
        (-1, Comparison::Le) => Limit::From(rest),
        (-1, Comparison::Lt) => Limit::From(rest + one),
        _ => return None,
    })
}
