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
    let Some((c, rest)) = difference.linear_in(var) else { return false };
    let one = IntExpr::constant(1);
    // var + rest op 0, or -var + rest op 0.
    let (upper, limit) = match (c.as_constant(), op) {
        (Some(1), Comparison::Le) => (true, -rest + one),
        (Some(1), Comparison::Lt) => (true, -rest),
        (Some(1), Comparison::Ge) => (false, -rest),
        (Some(1), Comparison::Gt) => (false, -rest + one),
        (Some(-1), Comparison::Ge) => (true, rest + one),
        (Some(-1), Comparison::Gt) => (true, rest),
        (Some(-1), Comparison::Le) => (false, rest),
        (Some(-1), Comparison::Lt) => (false, rest + one),
        _ => return false,
    };
    if upper {
        bounds.hi = bounds.hi.minimum(&limit);
    } else {
        bounds.lo = bounds.lo.maximum(&limit);
    }
    true
}
