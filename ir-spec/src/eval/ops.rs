//! Scalar functions on values: integers, bools and complex numbers in terms of the domain's reals.

use super::{Domain, Machine, Stop, Value};
use crate::scalar::{Func, Signature};
use std::cmp::Ordering;
use tcc_abi::{DType, Scalar};

/// Applies a scalar function; `dtype` is the type of its (last) argument.
pub fn apply<D: Domain>(
    domain: &D,
    func: Func,
    dtype: DType,
    args: &[Value<D::Float>],
) -> Result<Value<D::Float>, Stop> {
    match (func, args) {
        (Func::Select, [Value::Bool(c), a, b]) => Ok(if *c { a.clone() } else { b.clone() }),
        (_, [Value::Bool(_), ..]) => logic(func, args),
        (_, [Value::Int(a)]) => Ok(Value::Int(int_unary(domain, func, dtype, *a)?)),
        (_, [Value::Int(a), Value::Int(b)]) => int_binary(domain, func, dtype, *a, *b),
        (_, [Value::Complex(..), ..]) => complex(domain, func, dtype, args),
        _ => real(domain, func, dtype, args),
    }
}

fn logic<F>(func: Func, args: &[Value<F>]) -> Result<Value<F>, Stop> {
    let bools: Vec<bool> = args.iter().map(|v| matches!(v, Value::Bool(true))).collect();
    Ok(Value::Bool(match (func, bools.as_slice()) {
        (Func::Not, [a]) => !a,
        (Func::And, [a, b]) => a & b,
        (Func::Or, [a, b]) => a | b,
        (Func::Xor | Func::Ne, [a, b]) => a ^ b,
        (Func::Eq, [a, b]) => a == b,
        (Func::Lt, [a, b]) => !a & b,
        (Func::Le, [a, b]) => !a | b,
        (Func::Gt, [a, b]) => a & !b,
        (Func::Ge, [a, b]) => a | !b,
        _ => unreachable!("{func} on bools"),
    }))
}

/// The representative of an integer modulo 2^width.
fn wrap(dtype: DType, value: i128) -> i128 {
    Scalar::from_i128(dtype, value).to_i128()
}

fn int_unary<D: Domain>(domain: &D, func: Func, dtype: DType, a: i128) -> Result<i128, Stop> {
    let exact = match func {
        Func::Neg => -a,
        Func::Abs => a.abs(),
        Func::Sign => a.signum(),
        _ => unreachable!("{func} on an integer"),
    };
    domain.wrapped(func, dtype, exact)
}

fn int_binary<D: Domain>(
    domain: &D,
    func: Func,
    dtype: DType,
    a: i128,
    b: i128,
) -> Result<Value<D::Float>, Stop> {
    let order = a.cmp(&b);
    let holds = |wanted: &[Ordering]| Ok(Value::Bool(wanted.contains(&order)));
    let shift = || b.rem_euclid(i128::from(dtype.bits())) as u32;
    let value = match func {
        Func::Eq => return holds(&[Ordering::Equal]),
        Func::Ne => return holds(&[Ordering::Less, Ordering::Greater]),
        Func::Lt => return holds(&[Ordering::Less]),
        Func::Le => return holds(&[Ordering::Less, Ordering::Equal]),
        Func::Gt => return holds(&[Ordering::Greater]),
        Func::Ge => return holds(&[Ordering::Greater, Ordering::Equal]),
        Func::Add => a + b,
        Func::Sub => a - b,
        Func::Mul => a.wrapping_mul(b),
        Func::Div | Func::Rem if b == 0 => return Err(Stop::Division),
        Func::Div => floor_div(a, b),
        Func::Rem => a - b * floor_div(a, b),
        Func::Min => a.min(b),
        Func::Max => a.max(b),
        Func::BitAnd => a & b,
        Func::BitOr => a | b,
        Func::BitXor => a ^ b,
        Func::Shl => a << shift(),
        Func::Shr => a >> shift(),
        Func::MulHi if dtype.is_signed_int() => (a * b) >> dtype.bits(),
        // The product of two `u64` needs all bits of a `u128`.
        Func::MulHi => ((a as u128 * b as u128) >> dtype.bits()) as i128,
        _ => unreachable!("{func} on integers"),
    };
    Ok(Value::Int(domain.wrapped(func, dtype, value)?))
}

fn floor_div(a: i128, b: i128) -> i128 {
    let q = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
}

fn real<D: Domain>(
    domain: &D,
    func: Func,
    dtype: DType,
    args: &[Value<D::Float>],
) -> Result<Value<D::Float>, Stop> {
    let reals: Vec<D::Float> = args
        .iter()
        .map(|v| match v {
            Value::Float(x) => x.clone(),
            other => unreachable!("{func} on {other:?}"),
        })
        .collect();
    match (func.signature(), func, reals.as_slice()) {
        (Signature::Equality | Signature::Order, _, [a, b]) => {
            let order = domain.compare(a, b)?;
            Ok(Value::Bool(compares(func, order)))
        }
        (Signature::FloatTest, _, [a]) => {
            let x = domain.approximate(a);
            Ok(Value::Bool(match func {
                Func::IsNan => x.is_nan(),
                Func::IsInf => x.is_infinite(),
                _ => x.is_finite(),
            }))
        }
        (_, Func::Complex, [a, b]) => Ok(Value::Complex(a.clone(), b.clone())),
        _ => Ok(Value::Float(domain.function(func, dtype, &reals)?)),
    }
}

/// The outcome of a comparison; with a NaN only `!=` holds.
fn compares(func: Func, order: Option<Ordering>) -> bool {
    match (func, order) {
        (Func::Ne, o) => o != Some(Ordering::Equal),
        (_, None) => false,
        (Func::Eq, Some(o)) => o.is_eq(),
        (Func::Lt, Some(o)) => o.is_lt(),
        (Func::Le, Some(o)) => o.is_le(),
        (Func::Gt, Some(o)) => o.is_gt(),
        (_, Some(o)) => o.is_ge(),
    }
}

fn complex<D: Domain>(
    domain: &D,
    func: Func,
    dtype: DType,
    args: &[Value<D::Float>],
) -> Result<Value<D::Float>, Stop> {
    let part = dtype.real_part();
    let f = |func: Func, args: &[&D::Float]| {
        let args: Vec<D::Float> = args.iter().map(|x| (*x).clone()).collect();
        domain.function(func, part, &args)
    };
    let pairs: Vec<(&D::Float, &D::Float)> = args
        .iter()
        .map(|v| match v {
            Value::Complex(re, im) => (re, im),
            other => unreachable!("{func} on {other:?}"),
        })
        .collect();
    match (func, pairs.as_slice()) {
        (Func::Re, [(a, _)]) => Ok(Value::Float((*a).clone())),
        (Func::Im, [(_, b)]) => Ok(Value::Float((*b).clone())),
        (Func::Conj, [(a, b)]) => Ok(Value::Complex((*a).clone(), f(Func::Neg, &[b])?)),
        (Func::Neg, [(a, b)]) => Ok(Value::Complex(f(Func::Neg, &[a])?, f(Func::Neg, &[b])?)),
        (Func::Abs, [(a, b)]) => {
            let (x, y) = (f(Func::Abs, &[a])?, f(Func::Abs, &[b])?);
            let (large, small) = (f(Func::Max, &[&x, &y])?, f(Func::Min, &[&x, &y])?);
            hypot(domain, part, &large, &small)
        }
        (Func::Add | Func::Sub, [(a, b), (c, d)]) => {
            Ok(Value::Complex(f(func, &[a, c])?, f(func, &[b, d])?))
        }
        (Func::Mul, [(a, b), (c, d)]) => {
            let re = f(Func::Sub, &[&f(Func::Mul, &[a, c])?, &f(Func::Mul, &[b, d])?])?;
            let im = f(Func::Add, &[&f(Func::Mul, &[a, d])?, &f(Func::Mul, &[b, c])?])?;
            Ok(Value::Complex(re, im))
        }
        (Func::Div, [x, y]) => quotient(domain, part, *x, *y),
        (Func::Eq | Func::Ne, [(a, b), (c, d)]) => {
            let equal = domain.compare(a, c)? == Some(Ordering::Equal)
                && domain.compare(b, d)? == Some(Ordering::Equal);
            Ok(Value::Bool(equal == (func == Func::Eq)))
        }
        _ => unreachable!("{func} on complex numbers"),
    }
}

/// `large * sqrt(1 + (small/large)^2)`; 0 for 0, infinite if a part is.
fn hypot<D: Domain>(
    domain: &D,
    part: DType,
    large: &D::Float,
    small: &D::Float,
) -> Result<Value<D::Float>, Stop> {
    let (l, s) = (domain.approximate(large), domain.approximate(small));
    if l == 0.0 || l.is_infinite() || s.is_infinite() {
        let value = if s.is_infinite() { f64::INFINITY } else { l };
        return Ok(Value::Float(domain.constant(part, value)));
    }
    let f = |func: Func, args: &[&D::Float]| {
        let args: Vec<D::Float> = args.iter().map(|x| (*x).clone()).collect();
        domain.function(func, part, &args)
    };
    let q = f(Func::Div, &[small, large])?;
    let one = domain.constant(part, 1.0);
    let sum = f(Func::Add, &[&f(Func::Mul, &[&q, &q])?, &one])?;
    Ok(Value::Float(f(Func::Mul, &[large, &f(Func::Sqrt, &[&sum])?])?))
}

/// Smith's quotient: scaled by the larger part of the divisor.
fn quotient<D: Domain>(
    domain: &D,
    part: DType,
    (a, b): (&D::Float, &D::Float),
    (c, d): (&D::Float, &D::Float),
) -> Result<Value<D::Float>, Stop> {
    let f = |func: Func, args: &[&D::Float]| {
        let args: Vec<D::Float> = args.iter().map(|x| (*x).clone()).collect();
        domain.function(func, part, &args)
    };
    let wide = domain.approximate(c).abs() >= domain.approximate(d).abs();
    let (p, q) = if wide { (c, d) } else { (d, c) };
    let r = f(Func::Div, &[q, p])?;
    let den = f(Func::Add, &[p, &f(Func::Mul, &[q, &r])?])?;
    let (re, im) = if wide {
        (
            f(Func::Add, &[a, &f(Func::Mul, &[b, &r])?])?,
            f(Func::Sub, &[b, &f(Func::Mul, &[a, &r])?])?,
        )
    } else {
        (
            f(Func::Add, &[&f(Func::Mul, &[a, &r])?, b])?,
            f(Func::Sub, &[&f(Func::Mul, &[b, &r])?, a])?,
        )
    };
    Ok(Value::Complex(f(Func::Div, &[&re, &den])?, f(Func::Div, &[&im, &den])?))
}

/// Converts to another element type (see [`crate::scalar::Expr::Cast`]).
pub fn cast<D: Domain>(
    domain: &D,
    to: DType,
    v: &Value<D::Float>,
) -> Result<Value<D::Float>, Stop> {
    let part = to.real_part();
    let real = |x: &D::Float| domain.round(part, x);
    let zero = || domain.constant(part, 0.0);
    if to.is_complex() {
        return Ok(match v {
            Value::Complex(re, im) => Value::Complex(real(re), real(im)),
            Value::Float(x) => Value::Complex(real(x), zero()),
            Value::Int(i) => Value::Complex(domain.integer(part, *i), zero()),
            Value::Bool(b) => Value::Complex(domain.integer(part, i128::from(*b)), zero()),
        });
    }
    if to == DType::Bool {
        let nonzero = |x: &D::Float| {
            Ok(domain.compare(x, &domain.constant(DType::F64, 0.0))? != Some(Ordering::Equal))
        };
        return Ok(Value::Bool(match v {
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(x) => nonzero(x)?,
            Value::Complex(re, im) => nonzero(re)? || nonzero(im)?,
        }));
    }
    if to.is_float() {
        return Ok(Value::Float(match v {
            Value::Float(x) | Value::Complex(x, _) => real(x),
            Value::Int(i) => domain.integer(to, *i),
            Value::Bool(b) => domain.integer(to, i128::from(*b)),
        }));
    }
    Ok(Value::Int(match v {
        Value::Int(i) => wrap(to, *i),
        Value::Bool(b) => i128::from(*b),
        Value::Float(x) | Value::Complex(x, _) => {
            Scalar::from_f64(to, domain.truncate(x)?).to_i128()
        }
    }))
}

/// Reads the same bits as another type of equal size.
pub fn bitcast<D: Domain>(
    domain: &D,
    from: DType,
    to: DType,
    v: &Value<D::Float>,
) -> Value<D::Float> {
    let bits = domain.scalar(from, v).bits();
    domain.value(Scalar::from_bits(to, bits))
}

/// A constant of sizes and indices: the quotient rounds to double precision, then to the type.
pub fn index_value<D: Domain>(domain: &D, dtype: DType, num: i64, den: i64) -> Value<D::Float> {
    if dtype.is_int() {
        return Value::Int(wrap(dtype, i128::from(num)));
    }
    let value = if den == 1 { num as f64 } else { num as f64 / den as f64 };
    let part = dtype.real_part();
    let x = domain.constant(part, value);
    if dtype.is_complex() { Value::Complex(x, domain.constant(part, 0.0)) } else { Value::Float(x) }
}

/// A constant of known integers (see [`index_value`]).
pub fn constant(dtype: DType, num: i64, den: i64) -> Scalar {
    Machine.scalar(dtype, &index_value(&Machine, dtype, num, den))
}
