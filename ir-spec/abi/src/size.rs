//! Size expressions that the runtime evaluates at each call.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest magnitude that a size, a product of sizes or a byte count may reach.
pub const SIZE_LIMIT: i64 = 1 << 60;

/// One operation of a [`SizeExpr`] in postfix order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SizeOp {
    /// Pushes a constant.
    Const(i64),
    /// Pushes the value of a size, by its position in the executable's size list.
    Size(u32),
    /// Pops two values and pushes their sum.
    Add,
    /// Pops two values and pushes their difference.
    Sub,
    /// Pops two values and pushes their product.
    Mul,
    /// Pops two values and pushes the floor of their quotient.
    Div,
    /// Pops two values and pushes the remainder that has the divisor's sign.
    Mod,
    /// Pops two values and pushes the smaller.
    Min,
    /// Pops two values and pushes the larger.
    Max,
}

/// An integer expression over the sizes of an executable, in postfix order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SizeExpr(pub Vec<SizeOp>);

/// Why a size expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SizeError {
    /// The value or an intermediate one is beyond 2^60.
    #[error("a size exceeds 2^60")]
    TooLarge,
    /// A divisor is zero.
    #[error("a size is divided by zero")]
    DivisionByZero,
    /// The expression is not well formed or names an unknown size (a damaged image).
    #[error("a size expression is malformed")]
    Malformed,
}

impl SizeExpr {
    /// The expression that is always `value`.
    pub fn constant(value: i64) -> SizeExpr {
        SizeExpr(vec![SizeOp::Const(value)])
    }

    /// The constant that this expression is, if it is one operation long.
    pub fn as_constant(&self) -> Option<i64> {
        match self.0.as_slice() {
            [SizeOp::Const(c)] => Some(*c),
            _ => None,
        }
    }

    /// Evaluates with `sizes[k]` as the value of size number k.
    pub fn eval(&self, sizes: &[i64]) -> Result<i64, SizeError> {
        let mut stack: Vec<i64> = Vec::with_capacity(4);
        for op in &self.0 {
            let value = match op {
                SizeOp::Const(c) => *c,
                SizeOp::Size(k) => *sizes.get(*k as usize).ok_or(SizeError::Malformed)?,
                binary => {
                    let b = stack.pop().ok_or(SizeError::Malformed)?;
                    let a = stack.pop().ok_or(SizeError::Malformed)?;
                    apply(*binary, a, b)?
                }
            };
            if !(-SIZE_LIMIT..=SIZE_LIMIT).contains(&value) {
                return Err(SizeError::TooLarge);
            }
            stack.push(value);
        }
        match stack.as_slice() {
            [value] => Ok(*value),
            _ => Err(SizeError::Malformed),
        }
    }
}

fn apply(op: SizeOp, a: i64, b: i64) -> Result<i64, SizeError> {
    let checked = match op {
        SizeOp::Add => a.checked_add(b),
        SizeOp::Sub => a.checked_sub(b),
        SizeOp::Mul => a.checked_mul(b),
        SizeOp::Min => Some(a.min(b)),
        SizeOp::Max => Some(a.max(b)),
        SizeOp::Div | SizeOp::Mod => {
            let quotient = floor_div(a, b).ok_or(SizeError::DivisionByZero)?;
            Some(if op == SizeOp::Div { quotient } else { a - quotient * b })
        }
        SizeOp::Const(_) | SizeOp::Size(_) => return Err(SizeError::Malformed),
    };
    checked.ok_or(SizeError::TooLarge)
}

/// Floor of `a / b`, or `None` for a zero divisor. Both are within [`SIZE_LIMIT`], so nothing
/// overflows.
fn floor_div(a: i64, b: i64) -> Option<i64> {
    let q = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
}

#[cfg(test)]
mod tests {
    use super::*;
    use SizeOp::{Const, Div, Mod, Mul, Size, Sub};

    #[test]
    fn floors_toward_minus_infinity() {
        let e = |op| SizeExpr(vec![Size(0), Const(2), op]);
        assert_eq!(e(Div).eval(&[-1]), Ok(-1));
        assert_eq!(e(Mod).eval(&[-1]), Ok(1));
        assert_eq!(SizeExpr(vec![Const(7), Const(-2), Div]).eval(&[]), Ok(-4));
        assert_eq!(SizeExpr(vec![Const(7), Const(-2), Mod]).eval(&[]), Ok(-1));
    }

    #[test]
    fn refuses_overflow_zero_and_damage() {
        let square = SizeExpr(vec![Size(0), Size(0), Mul]);
        assert_eq!(square.eval(&[1 << 31]), Err(SizeError::TooLarge));
        assert_eq!(square.eval(&[1 << 29]), Ok(1 << 58));
        assert_eq!(
            SizeExpr(vec![Const(1), Const(0), Div]).eval(&[]),
            Err(SizeError::DivisionByZero)
        );
        assert_eq!(SizeExpr(vec![Sub]).eval(&[]), Err(SizeError::Malformed));
        assert_eq!(SizeExpr(vec![Size(3)]).eval(&[]), Err(SizeError::Malformed));
    }
}
