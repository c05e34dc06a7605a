//! Values written out in other places.

use super::Refusal;
use super::edit::conjunction;
use super::region::on_axis;
use tcc_abi::Scalar;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::Block;
use tcc_ir::scalar::{Expr, Func, Subscript};

/// The most nodes of an expanded expression.
const LIMIT: usize = 4096;

/// The expression with the block's `let`s written out.
pub(super) fn expanded(b: &Block, e: &Expr) -> Result<Expr, Refusal> {
    let mut out = e.clone();
    // A `let` may use the ones before it.
    for (t, value) in b.lets.iter().rev() {
        let uses = out.reads().iter().filter(|r| r.tensor == *t).count();
        if size(&out).saturating_add(uses.saturating_mul(size(value))) > LIMIT {
            return Err(Refusal::TooLarge { block: b.name.clone(), limit: LIMIT });
        }
        out = out.rewrite(&|i| i.clone(), &mut |e| match e {
            Expr::Read(r) if r.tensor == *t => value.clone(),
            other => other,
        });
    }
    Ok(out)
}

/// The expression with what became a constant as one, so that its text reads back as it is.
pub(super) fn folded(e: &Expr) -> Expr {
    e.rewrite(&IntExpr::clone, &mut fold)
}

/// A node that is a constant as a literal.
pub(super) fn fold(e: Expr) -> Expr {
    /// Quotients of smaller numbers round once, whatever the type.
    const EXACT: u64 = 1 << 24;
    match e {
        Expr::Compare(op, a, b) => match (a.as_constant(), b.as_constant()) {
            (Some(x), Some(y)) => Expr::Literal(Scalar::from_bool(op.holds(x.cmp(&y)))),
            _ => Expr::Compare(op, a, b),
        },
        Expr::Index { num, den, dtype } => match (num.as_constant(), den.as_constant()) {
            (Some(n), Some(1)) => Expr::Literal(Scalar::from_i128(dtype, i128::from(n))),
            (Some(n), Some(d)) if d != 0 && n.unsigned_abs().max(d.unsigned_abs()) < EXACT => {
                Expr::number(dtype, n as f64 / d as f64)
            }
            _ => Expr::Index { num, den, dtype },
        },
        other => other,
    }
}

/// A condition without the conjuncts that always hold.
pub(super) fn folded_condition(e: &Expr) -> Option<Expr> {
    let holds = Expr::Literal(Scalar::from_bool(true));
    let conjuncts = e.operands(Func::And).into_iter().map(folded);
    conjunction(conjuncts.filter(|c| *c != holds))
}

/// The number of nodes of an expression.
pub(super) fn size(e: &Expr) -> usize {
    let mut nodes = 0;
    e.visit(&mut |_| nodes += 1);
    nodes
}

/// The value where a position is in bounds, and the default elsewhere.
pub(super) fn inside_or<'a>(
    value: Expr,
    position: impl Iterator<Item = (&'a IntExpr, &'a IntExpr)>,
    default: &Expr,
) -> Expr {
    let inside = position.flat_map(|(p, n)| on_axis(p, n));
    match conjunction(inside).and_then(|c| folded_condition(&c)) {
        None => value,
        Some(c) => {
            let never = Expr::Literal(Scalar::from_bool(false));
            let out = c.operands(Func::And).into_iter().any(|c| *c == never);
            if out { default.clone() } else { Expr::select(c, value, default.clone()) }
        }
    }
}

/// True if evaluating the expression may stop the kernel.
pub(super) fn may_fail(e: &Expr) -> bool {
    let mut fails = false;
    e.visit(&mut |e| {
        fails |= match e {
            Expr::Read(r) => {
                let data = r.subscripts.iter().any(|s| matches!(s, Subscript::Data(_)));
                data && r.default.is_none()
            }
            Expr::Apply(Func::Div | Func::Rem, args) => args.iter().any(|a| a.dtype().is_int()),
            _ => false,
        };
    });
    fails
}
