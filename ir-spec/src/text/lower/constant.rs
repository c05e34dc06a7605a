//! Untyped constants (R13): expressions of literals, sizes and indices, evaluated exactly.
//!
//! Pure literals are rationals of any size. With sizes or indices a constant is a quotient of two
//! integer expressions; a literal whose numerator or denominator does not fit in 31 bits cannot
//! join such a quotient, and the operation then happens in the element type instead.

use crate::int::IntExpr;
use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use tcc_abi::{DType, Scalar};

/// An untyped constant.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    /// A literal or exact expression of literals.
    Number(BigRational),
    /// Sizes and indices, `num / den`.
    Ratio { num: IntExpr, den: IntExpr },
    /// `inf` or `-inf`.
    Infinity { negative: bool },
    /// `nan`
    Nan,
}

/// Numerators and denominators of literals beyond this many bits are refused.
const MAX_BITS: u64 = 8192;

/// What a binary operation on constants answers.
pub(super) enum Folded {
    /// The exact result.
    Exact(Constant),
    /// Not exact as a constant: compute it in the element type.
    Inexact,
    /// A literal grew beyond [`MAX_BITS`].
    TooLarge,
    /// An exact division by zero.
    DivisionByZero,
}

impl std::fmt::Display for Constant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Constant::Number(r) if r.is_integer() && r.numer().bits() <= 64 => {
                write!(f, "{}", r.numer())
            }
            Constant::Number(r) => match round_to(r, DType::F64) {
                x if x.is_finite() && x != 0.0 && (1e-5..1e15).contains(&x.abs()) => {
                    write!(f, "{x}")
                }
                x if x.is_finite() => write!(f, "{x:e}"),
                _ => write!(f, "of {} bits", r.numer().bits()),
            },
            Constant::Ratio { .. } => f.write_str("expression"),
            Constant::Infinity { negative } => f.write_str(if *negative { "-inf" } else { "inf" }),
            Constant::Nan => f.write_str("nan"),
        }
    }
}

impl Constant {
    pub(super) fn int(value: i64) -> Constant {
        Constant::Number(BigRational::from_integer(BigInt::from(value)))
    }

    pub(super) fn index(expr: IntExpr) -> Constant {
        match expr.as_constant() {
            Some(c) => Constant::int(c),
            None => Constant::Ratio { num: expr, den: IntExpr::constant(1) },
        }
    }

    /// Reads a literal as written; `None` if it is too large.
    pub(super) fn parse(text: &str) -> Option<Constant> {
        let text = text.replace('_', "");
        let value = match text.strip_prefix("0x") {
            Some(hex) => parse_radix(hex, 16, 'p', 2)?,
            None => parse_radix(&text, 10, 'e', 10)?,
        };
        Some(Constant::Number(value))
    }

    /// The value as an integer expression, if it is one.
    pub(super) fn as_int(&self) -> Option<IntExpr> {
        match self {
            Constant::Number(r) if r.is_integer() => {
                Some(IntExpr::constant(r.to_integer().to_i64()?))
            }
            Constant::Ratio { num, den } if den.as_constant() == Some(1) => Some(num.clone()),
            _ => None,
        }
    }

    /// The literal, if no size or index is involved.
    pub(super) fn as_number(&self) -> Option<&BigRational> {
        match self {
            Constant::Number(r) => Some(r),
            _ => None,
        }
    }

    pub(super) fn neg(self) -> Constant {
        match self {
            Constant::Number(r) => Constant::Number(-r),
            Constant::Ratio { num, den } => Constant::Ratio { num: -num, den },
            Constant::Infinity { negative } => Constant::Infinity { negative: !negative },
            Constant::Nan => Constant::Nan,
        }
    }

    pub(super) fn add(&self, other: &Constant) -> Folded {
        self.combine(
            other,
            |a, b| a + b,
            |(an, ad), (bn, bd)| {
                if ad == bd { (an + bn, ad.clone()) } else { (an * bd + bn * ad, ad * bd) }
            },
        )
    }

    pub(super) fn mul(&self, other: &Constant) -> Folded {
        self.combine(other, |a, b| a * b, |(an, ad), (bn, bd)| (an * bn, ad * bd))
    }

    pub(super) fn div(&self, other: &Constant) -> Folded {
        if other.as_number().is_some_and(Zero::is_zero) {
            return Folded::DivisionByZero;
        }
        self.combine(other, |a, b| a / b, |(an, ad), (bn, bd)| (an * bd, ad * bn))
    }

    /// Floor remainder of integers.
    pub(super) fn rem(&self, other: &Constant) -> Folded {
        match (self.as_int(), other.as_int()) {
            (_, Some(b)) if b.as_constant() == Some(0) => Folded::DivisionByZero,
            (Some(a), Some(b)) => exact(Constant::index(a.modulo(&b))),
            _ => Folded::Inexact,
        }
    }

    /// A power with a small integer exponent.
    pub(super) fn pow(&self, exponent: &Constant) -> Folded {
        let Some(n) = exponent.as_number().filter(|r| r.is_integer()).and_then(|r| r.to_i32())
        else {
            return Folded::Inexact;
        };
        match self {
            Constant::Number(base) => {
                let bits = base.numer().bits().max(base.denom().bits());
                if bits.saturating_mul(u64::from(n.unsigned_abs())) > MAX_BITS {
                    return Folded::TooLarge;
                }
                if base.is_zero() && n < 0 {
                    return Folded::DivisionByZero;
                }
                exact(Constant::Number(base.pow(n)))
            }
            Constant::Ratio { num, den } if (0..=16).contains(&n) => {
                let power = |e: &IntExpr| (0..n).fold(IntExpr::constant(1), |p, _| &p * e);
                exact(Constant::Ratio { num: power(num), den: power(den) })
            }
            _ => Folded::Inexact,
        }
    }

    /// Floor of an exact quotient of integer expressions or of a literal.
    pub(super) fn floor(&self) -> Option<Constant> {
        match self {
            Constant::Number(r) => Some(Constant::Number(r.floor())),
            Constant::Ratio { num, den } => Some(Constant::index(num.div(den))),
            Constant::Infinity { .. } | Constant::Nan => None,
        }
    }

    fn combine(
        &self,
        other: &Constant,
        numbers: impl Fn(&BigRational, &BigRational) -> BigRational,
        ratios: impl Fn((&IntExpr, &IntExpr), (&IntExpr, &IntExpr)) -> (IntExpr, IntExpr),
    ) -> Folded {
        if let (Constant::Number(a), Constant::Number(b)) = (self, other) {
            return exact(Constant::Number(numbers(a, b)));
        }
        match (self.as_ratio(), other.as_ratio()) {
            (Some((an, ad)), Some((bn, bd))) => {
                let (num, den) = ratios((&an, &ad), (&bn, &bd));
                match (num.is_poisoned() || den.is_poisoned(), den.as_constant()) {
                    (true, _) => Folded::Inexact,
                    (_, Some(1)) => exact(Constant::index(num)),
                    _ => exact(Constant::Ratio { num, den }),
                }
            }
            _ => Folded::Inexact,
        }
    }

    fn as_ratio(&self) -> Option<(IntExpr, IntExpr)> {
        match self {
            Constant::Ratio { num, den } => Some((num.clone(), den.clone())),
            Constant::Number(r) => {
                let small = |i: &BigInt| i.to_i32().map(|v| IntExpr::constant(i64::from(v)));
                Some((small(r.numer())?, small(r.denom())?))
            }
            Constant::Infinity { .. } | Constant::Nan => None,
        }
    }

    /// The value in an element type; `None` if the type cannot hold it (a fraction in an integer
    /// type, a value out of range) or if it depends on sizes or indices.
    pub(super) fn to_scalar(&self, dtype: DType) -> Option<Scalar> {
        let special =
            |v: f64| (dtype.is_float() || dtype.is_complex()).then(|| Scalar::from_f64(dtype, v));
        match self {
            Constant::Infinity { negative: false } => special(f64::INFINITY),
            Constant::Infinity { negative: true } => special(f64::NEG_INFINITY),
            Constant::Nan => special(f64::NAN),
            Constant::Ratio { .. } => None,
            Constant::Number(r) => number_to_scalar(r, dtype),
        }
    }
}

fn exact(c: Constant) -> Folded {
    match &c {
        Constant::Number(r) if r.numer().bits().max(r.denom().bits()) > MAX_BITS => {
            Folded::TooLarge
        }
        _ => Folded::Exact(c),
    }
}

fn number_to_scalar(r: &BigRational, dtype: DType) -> Option<Scalar> {
    if let Some((lo, hi)) = dtype.int_range() {
        let value = r.is_integer().then(|| r.to_integer().to_i128())??;
        return (lo <= value && value <= hi).then(|| Scalar::from_i128(dtype, value));
    }
    let rounded = Scalar::from_f64(dtype, round_to(r, dtype.real_part()));
    rounded.to_f64().is_finite().then_some(rounded)
}

/// The value of the type nearest to the rational, ties to even, as `f64`.
fn round_to(r: &BigRational, dtype: DType) -> f64 {
    let (precision, min_exponent) = match dtype {
        DType::F64 => (53, -1074),
        DType::F32 => (24, -149),
        DType::F16 => (11, -24),
        DType::BF16 => (8, -133),
        _ => (4, -9),
    };
    if r.is_zero() {
        return 0.0;
    }
    let (num, den) = (r.numer().magnitude().clone(), r.denom().magnitude().clone());
    // 2^e <= |r| < 2^(e+2); the unit in the last place of the result is 2^ulp.
    let e = num.bits() as i64 - den.bits() as i64 - 1;
    let mut ulp = (e + 1 - precision).max(min_exponent);
    let scaled = |ulp: i64| {
        if ulp >= 0 {
            (num.clone(), den.clone() << ulp as u64)
        } else {
            (num.clone() << (-ulp) as u64, den.clone())
        }
    };
    let (mut n, mut d) = scaled(ulp);
    let mut q = &n / &d;
    if q.bits() as i64 > precision {
        ulp += 1;
        (n, d) = scaled(ulp);
        q = &n / &d;
    }
    let twice_rest = (&n - &q * &d) << 1u32;
    let odd = q.bit(0);
    if twice_rest > d || (twice_rest == d && odd) {
        q += 1u32;
    }
    let magnitude = ldexp(q.to_u64().unwrap_or(u64::MAX) as f64, ulp);
    if r.is_negative() { -magnitude } else { magnitude }
}

/// `x * 2^e`, exact wherever the result is representable.
fn ldexp(mut x: f64, mut e: i64) -> f64 {
    while e > 0 && x.is_finite() {
        let step = e.min(1000);
        x *= 2f64.powi(step as i32);
        e -= step;
    }
    while e < 0 && x != 0.0 {
        // Divide in steps that keep the value normal until the last one.
        let step = (-e).min(1000);
        x *= 2f64.powi(-(step as i32));
        e += step;
    }
    x
}

/// `digits[.digits][(exponent mark)[sign]digits]` with the exponent counting powers of `base`.
fn parse_radix(text: &str, radix: u32, mark: char, base: u32) -> Option<BigRational> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = match lower.split_once(mark) {
        Some((m, e)) => (m, e.parse::<i64>().ok()?),
        None => (lower.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.len() as u64 > MAX_BITS / 4 || exponent.unsigned_abs() > MAX_BITS {
        return None;
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), radix)?;
    let scale = BigInt::from(radix).pow(fraction.len() as u32);
    let power = BigInt::from(base).pow(exponent.unsigned_abs() as u32);
    let mut r = BigRational::new(value, scale);
    if exponent < 0 {
        r /= BigRational::from_integer(power);
    } else {
        r *= BigRational::from_integer(power);
    }
    (r.numer().bits().max(r.denom().bits()) <= MAX_BITS).then_some(r)
}

/// pi to 60 decimal places.
pub(super) fn pi() -> Constant {
    const DIGITS: &[u8] = b"3141592653589793238462643383279502884197169399375105820974944592";
    let value = BigInt::parse_bytes(DIGITS, 10).unwrap_or_else(BigInt::zero);
    let scale = BigInt::from(10u32).pow(DIGITS.len() as u32 - 1);
    debug_assert!(value.sign() == Sign::Plus && !scale.is_one());
    Constant::Number(BigRational::new(value, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, dtype: DType) -> f64 {
        Constant::parse(text).and_then(|c| c.to_scalar(dtype)).map_or(f64::NAN, Scalar::to_f64)
    }

    #[test]
    fn literals_round_once() {
        for text in ["0.1", "1e-6", "3.4028235e38", "1e-320", "2.2250738585072011e-308"] {
            assert_eq!(value(text, DType::F64), text.parse::<f64>().unwrap_or(0.0), "{text}");
            let single = text.parse::<f32>().unwrap_or(0.0);
            assert_eq!(value(text, DType::F32), f64::from(single), "{text}");
        }
        // 1 + 2^-24 + 2^-60 rounds up in f32 although it rounds to even through f64.
        assert_eq!(value("0x1.000001000000001p0", DType::F32), 1.0 + f64::powi(2.0, -23));
        assert_eq!(value("0x1.8p1", DType::F64), 3.0);
        assert_eq!(value("0xff", DType::I32), 255.0);
        assert_eq!(value("65519", DType::F16), 65504.0);
        for (text, dtype) in [("65520", DType::F16), ("3.4028236e38", DType::F32)] {
            assert!(Constant::parse(text).and_then(|c| c.to_scalar(dtype)).is_none(), "{text}");
        }
        assert!(Constant::parse("1e999999999").is_none());
        assert!(Constant::parse("300").and_then(|c| c.to_scalar(DType::U8)).is_none());
        assert!(Constant::parse("0.5").and_then(|c| c.to_scalar(DType::I8)).is_none());
    }

    #[test]
    fn pi_is_pi() {
        assert_eq!(pi().to_scalar(DType::F64).map(Scalar::to_f64), Some(std::f64::consts::PI));
        let single = f64::from(std::f32::consts::PI);
        assert_eq!(pi().to_scalar(DType::F32).map(Scalar::to_f64), Some(single));
    }
}
