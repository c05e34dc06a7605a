//! Values and their element types (R13): constants stay untyped until something typed meets them.

use super::constant::{Constant, Folded};
use crate::diag::{Code, Diagnostic};
use crate::int::IntExpr;
use crate::scalar::{Comparison, Expr, Func};
use crate::span::Span;
use num_traits::ToPrimitive;
use tcc_abi::{DType, Scalar};

/// A lowered value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Typed(Expr),
    Constant(Constant),
}

/// A mistake; boxed, for it is the rare outcome.
pub(super) type Mistake = Box<Diagnostic>;

/// The value in an element type.
pub(super) fn typed(value: Value, dtype: DType, span: Span) -> Result<Expr, Mistake> {
    let problem = match value {
        Value::Typed(e) if e.dtype() == dtype => return Ok(e),
        Value::Typed(e) => {
            let message = format!("found type {}, expected {dtype}", e.dtype());
            let d = Diagnostic::new(Code::Type, span, message)
                .help(format!("convert it: `cast({dtype}, ...)`"));
            return Err(Box::new(d));
        }
        Value::Constant(c) => match (c.to_scalar(dtype), c) {
            (Some(s), _) => return Ok(Expr::Literal(s)),
            (None, Constant::Ratio { num, den }) => {
                let integral = den.as_constant() == Some(1);
                if dtype.is_float() || dtype.is_complex() || (dtype.is_int() && integral) {
                    return Ok(Expr::Index { num, den, dtype });
                }
                if dtype == DType::Bool {
                    "a size or index is not a bool; compare it".to_owned()
                } else {
                    format!("a quotient of sizes or indices does not fit type {dtype}")
                }
            }
            (None, c) => return Err(Box::new(misfit(&c, dtype, span))),
        },
    };
    let d = Diagnostic::new(Code::Type, span, problem);
    Err(Box::new(d.help(if dtype == DType::Bool { COMPARE } else { QUOTIENT })))
}

const COMPARE: &str = "write a comparison such as `... != 0`";
const QUOTIENT: &str =
    "`/` divides exactly outside of subscripts; write `floor(a / b)` for the integer quotient";

/// The diagnostic for a constant that an element type does not hold.
fn misfit(c: &Constant, dtype: DType, span: Span) -> Diagnostic {
    let d =
        Diagnostic::new(Code::Type, span, format!("the constant {c} does not fit type {dtype}"));
    if dtype == DType::Bool {
        return d.help(COMPARE);
    }
    let Some((lo, hi)) = dtype.int_range() else { return d };
    let d = d.note(format!("{dtype} holds integers from {lo} to {hi}"));
    match c.as_number() {
        Some(r) if !r.is_integer() => d.help(QUOTIENT),
        _ => d,
    }
}

/// Constants compare exactly; quotients by cross-multiplication if the divisor is a positive
/// number.
pub(super) fn compare_constants(
    op: Comparison,
    x: &Constant,
    y: &Constant,
    span: Span,
) -> Result<Expr, Mistake> {
    if let (Some(a), Some(b)) = (x.as_number(), y.as_number()) {
        return Ok(Expr::Literal(Scalar::from_bool(op.holds(a.cmp(b)))));
    }
    let quotient = |c: &Constant| -> Option<(IntExpr, i64)> {
        match c.mul(&Constant::int(1)) {
            Folded::Exact(Constant::Ratio { num, den }) => {
                Some((num, den.as_constant().filter(|d| *d > 0)?))
            }
            Folded::Exact(Constant::Number(r)) => {
                Some((IntExpr::constant(r.numer().to_i64()?), r.denom().to_i64()?))
            }
            _ => None,
        }
    };
    match (quotient(x), quotient(y)) {
        (Some((xn, xd)), Some((yn, yd))) => {
            let (left, right) = (xn * IntExpr::constant(yd), yn * IntExpr::constant(xd));
            Ok(Expr::Compare(op, left, right))
        }
        _ => {
            let message = "these constants cannot be compared exactly";
            let d = Diagnostic::new(Code::Type, span, message).help(
                "multiply the divisor out, use `floor(...)`, or give a side a type with `cast`",
            );
            Err(Box::new(d))
        }
    }
}

/// Applies a function, checking its argument types.
pub(super) fn apply(func: Func, args: Vec<Expr>, span: Span) -> Result<Expr, Mistake> {
    let types: Vec<DType> = args.iter().map(Expr::dtype).collect();
    if func.result(&types).is_some() {
        return Ok(complex_literal(func, &args).unwrap_or(Expr::Apply(func, args)));
    }
    let list: Vec<String> = types.iter().map(DType::to_string).collect();
    let text = func.operator().map_or(func.name(), |(op, _)| op);
    let message = format!("`{text}` is not defined on {}", list.join(" and "));
    let d = Diagnostic::new(Code::Type, span, message);
    let differ = types.iter().any(|t| Some(t) != types.first());
    let floats = [DType::F32; 3];
    let on_floats = floats.get(..types.len()).is_some_and(|f| func.result(f).is_some());
    Err(Box::new(match (differ, types.first()) {
        (true, _) => d.help("convert one side with `cast`"),
        (false, Some(t)) if t.is_int() && on_floats => d.help("convert it: `cast(f32, ...)`"),
        _ => d,
    }))
}

/// `complex(re, im)` of two literals is a literal.
fn complex_literal(func: Func, args: &[Expr]) -> Option<Expr> {
    match (func, args) {
        (Func::Complex, [Expr::Literal(re), Expr::Literal(im)]) => {
            let dtype = re.dtype().complex_of()?;
            Some(Expr::Literal(Scalar::from_parts(dtype, re.to_f64(), im.to_f64())))
        }
        _ => None,
    }
}

/// `+ - * /` on constants.
pub(super) fn fold_operator(func: Func, x: &Constant, y: &Constant) -> Folded {
    match func {
        Func::Add => x.add(y),
        Func::Sub => x.add(&y.clone().neg()),
        Func::Mul => x.mul(y),
        Func::Div => x.div(y),
        _ => Folded::Inexact,
    }
}

/// What became of an operation on constants; `None` if it is to be done in the element type.
pub(super) fn folded(folded: Folded, span: Span) -> Result<Option<Constant>, Mistake> {
    let (code, message) = match folded {
        Folded::Exact(c) => return Ok(Some(c)),
        Folded::Inexact => return Ok(None),
        Folded::TooLarge => (Code::Limit, "the constant has too many digits"),
        Folded::DivisionByZero => (Code::Type, "division by zero"),
    };
    Err(Box::new(Diagnostic::new(code, span, message)))
}

/// Functions that stay exact on constants: floor, min and max, remainder.
pub(super) fn fold_function(func: Func, values: &[Value]) -> Option<Constant> {
    let constants: Option<Vec<&Constant>> = values
        .iter()
        .map(|v| match v {
            Value::Constant(c) => Some(c),
            Value::Typed(_) => None,
        })
        .collect();
    match (func, constants?.as_slice()) {
        (Func::Floor, [c]) => c.floor(),
        (Func::Rem, [a, b]) => match a.rem(b) {
            Folded::Exact(c) => Some(c),
            _ => None,
        },
        (Func::Min | Func::Max, [a, b]) => match (a.as_int(), b.as_int()) {
            (Some(a), Some(b)) if func == Func::Min => Some(Constant::index(a.minimum(&b))),
            (Some(a), Some(b)) => Some(Constant::index(a.maximum(&b))),
            _ => None,
        },
        _ => None,
    }
}
