//! Integer expressions of the syntax tree: one reading for functions and kernels.

use super::Reported;
use super::constant::Constant;
use crate::diag::{Code, Diagnostic};
use crate::int::IntExpr;
use crate::span::Span;
use crate::text::ast::{Expr, ExprKind, ProductOp};

/// What surrounds an integer expression.
pub(super) trait IntScope {
    /// What a name stands for: an index, variable or size; `None` for data.
    fn int_name(&mut self, name: &str, span: Span) -> Result<Option<IntExpr>, Reported>;

    /// The value of a literal.
    fn int_literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported>;

    /// Notes a mistake.
    fn report(&mut self, diagnostic: Diagnostic) -> Reported;
}

/// An integer expression; `None` if it depends on data. `/` and `%` floor.
pub(super) fn read(cx: &mut impl IntScope, e: &Expr) -> Result<Option<IntExpr>, Reported> {
    Ok(Some(match &e.kind {
        ExprKind::Int(text) => match cx.int_literal(text, e.span)?.as_int() {
            Some(i) => i,
            None => {
                let d = Diagnostic::new(Code::Limit, e.span, "the number exceeds 64 bits");
                return Err(cx.report(d));
            }
        },
        ExprKind::Name(name) => return cx.int_name(name, e.span),
        ExprKind::Paren(inner) => return read(cx, inner),
        ExprKind::Neg(inner) => match read(cx, inner)? {
            Some(i) => -i,
            None => return Ok(None),
        },
        ExprKind::Sum(terms) => {
            let mut sum = IntExpr::default();
            for (negative, term) in terms {
                let Some(t) = read(cx, term)? else { return Ok(None) };
                sum = if *negative { sum - t } else { sum + t };
            }
            sum
        }
        ExprKind::Product(factors) => {
            let mut product = IntExpr::constant(1);
            for (op, factor) in factors {
                let Some(f) = read(cx, factor)? else { return Ok(None) };
                if *op != ProductOp::Mul && f.as_constant() == Some(0) {
                    let d = Diagnostic::new(Code::Oob, factor.span, "division by zero");
                    return Err(cx.report(d));
                }
                product = match op {
                    ProductOp::Mul => product * f,
                    ProductOp::Div => product.div(&f),
                    ProductOp::Rem => product.modulo(&f),
                };
            }
            product
        }
        ExprKind::Call { name, args, .. } => match (name.text.as_str(), args.as_slice()) {
            ("min" | "max", [a, b]) => match (read(cx, a)?, read(cx, b)?) {
                (Some(a), Some(b)) if name.text == "min" => a.minimum(&b),
                (Some(a), Some(b)) => a.maximum(&b),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}
