//! Arithmetic on reals.

use super::{Stop, Value};
use crate::scalar::{Func, Reducer};
use std::cmp::Ordering;
use std::fmt::Debug;
use tcc_abi::{DType, Scalar};

/// The reals that an evaluation computes with.
pub trait Domain {
    /// A real number.
    type Float: Clone + Debug + PartialEq;

    /// The number nearest to `value` in the type.
    fn constant(&self, dtype: DType, value: f64) -> Self::Float;

    /// An approximation of the number, for output and messages.
    fn approximate(&self, x: &Self::Float) -> f64;

    /// A real function of real arguments; `dtype` is their type.
    fn function(&self, func: Func, dtype: DType, args: &[Self::Float])
    -> Result<Self::Float, Stop>;

    /// How two numbers compare; `None` if one is NaN.
    fn compare(&self, a: &Self::Float, b: &Self::Float) -> Result<Option<Ordering>, Stop>;

    /// Rounds to another floating type (storing rounds to the tensor's type).
    fn round(&self, dtype: DType, x: &Self::Float) -> Self::Float;

    /// An integer rounded to a floating type.
    fn integer(&self, dtype: DType, value: i128) -> Self::Float {
        self.constant(dtype, Scalar::from_i128(dtype, value).to_f64())
    }

    /// What an integer operation gives where its exact result is `exact`: the representative
    /// modulo 2^width (R15), or an error in domains that look for overflow.
    fn wrapped(&self, func: Func, dtype: DType, exact: i128) -> Result<i128, Stop> {
        let _ = func;
        Ok(Scalar::from_i128(dtype, exact).to_i128())
    }

    /// The number truncated toward zero; NaN gives 0, infinities saturate at the caller.
    fn truncate(&self, x: &Self::Float) -> Result<f64, Stop>;

    /// Combines a contribution into an accumulator of type `dtype`.
    fn accumulate(
        &self,
        reducer: Reducer,
        dtype: DType,
        acc: &Self::Float,
        x: &Self::Float,
    ) -> Result<Self::Float, Stop> {
        let func = reducer.func().unwrap_or(Func::Add);
        self.function(func, dtype, &[acc.clone(), x.clone()])
    }

    /// A typed scalar as a value of the domain.
    fn value(&self, s: Scalar) -> Value<Self::Float> {
        let dtype = s.dtype();
        if dtype == DType::Bool {
            Value::Bool(s.to_bool())
        } else if dtype.is_int() {
            Value::Int(s.to_i128())
        } else if dtype.is_complex() {
            let (re, im) = s.to_parts();
            let part = dtype.real_part();
            Value::Complex(self.constant(part, re), self.constant(part, im))
        } else {
            Value::Float(self.constant(dtype, s.to_f64()))
        }
    }

    /// A value as a typed scalar.
    fn scalar(&self, dtype: DType, v: &Value<Self::Float>) -> Scalar {
        match v {
            Value::Bool(b) => Scalar::from_bool(*b),
            Value::Int(i) => Scalar::from_i128(dtype, *i),
            Value::Float(x) => Scalar::from_f64(dtype, self.approximate(x)),
            Value::Complex(re, im) => {
                Scalar::from_parts(dtype, self.approximate(re), self.approximate(im))
            }
        }
    }
}

/// Every operation rounds to its type, as a machine does; transcendental functions are correctly
/// rounded from double precision for `f32`, within an ulp for `f64`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Domain for Machine {
    type Float = f64;

    fn constant(&self, dtype: DType, value: f64) -> f64 {
        Scalar::from_f64(dtype, value).to_f64()
    }

    fn approximate(&self, x: &f64) -> f64 {
        *x
    }

    fn function(&self, func: Func, dtype: DType, args: &[f64]) -> Result<f64, Stop> {
        let single = dtype.compute() == DType::F32;
        let value = match (func, args) {
            (Func::Fma, [a, b, c]) if single => {
                return Ok(f64::from((*a as f32).mul_add(*b as f32, *c as f32)));
            }
            // The quotient rounds to the type before its floor.
            (Func::Rem, [a, b]) if single => {
                let (a, b) = (*a as f32, *b as f32);
                return Ok(f64::from((-(a / b).floor()).mul_add(b, a)));
            }
            _ => real_function(func, args),
        };
        Ok(if single { f64::from(value as f32) } else { value })
    }

    fn compare(&self, a: &f64, b: &f64) -> Result<Option<Ordering>, Stop> {
        Ok(a.partial_cmp(b))
    }

    fn round(&self, dtype: DType, x: &f64) -> f64 {
        self.constant(dtype, *x)
    }

    fn truncate(&self, x: &f64) -> Result<f64, Stop> {
        Ok(if x.is_nan() { 0.0 } else { x.trunc() })
    }
}

/// As [`Machine`], but an integer sum, difference or product that leaves its type is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOverflow;

impl Domain for NoOverflow {
    type Float = f64;

    fn constant(&self, dtype: DType, value: f64) -> f64 {
        Machine.constant(dtype, value)
    }

    fn approximate(&self, x: &f64) -> f64 {
        *x
    }

    fn function(&self, func: Func, dtype: DType, args: &[f64]) -> Result<f64, Stop> {
        Machine.function(func, dtype, args)
    }

    fn compare(&self, a: &f64, b: &f64) -> Result<Option<Ordering>, Stop> {
        Machine.compare(a, b)
    }

    fn round(&self, dtype: DType, x: &f64) -> f64 {
        Machine.round(dtype, x)
    }

    fn truncate(&self, x: &f64) -> Result<f64, Stop> {
        Machine.truncate(x)
    }

    fn wrapped(&self, func: Func, dtype: DType, exact: i128) -> Result<i128, Stop> {
        let wrapped = Machine.wrapped(func, dtype, exact)?;
        let arithmetic = matches!(func, Func::Add | Func::Sub | Func::Mul | Func::Neg | Func::Abs);
        if arithmetic && wrapped != exact {
            return Err(Stop::Overflow { func, dtype, exact });
        }
        Ok(wrapped)
    }
}

/// A real function in double precision. Minimum and maximum propagate NaN and order -0 below +0.
pub(super) fn real_function(func: Func, args: &[f64]) -> f64 {
    match args {
        [x] => unary(func, *x),
        [x, y] => binary(func, *x, *y),
        [x, y, z] if func == Func::Fma => x.mul_add(*y, *z),
        _ => unreachable!("{func} on {} reals", args.len()),
    }
}

fn unary(func: Func, x: f64) -> f64 {
    match func {
        Func::Neg => -x,
        Func::Abs => x.abs(),
        Func::Sign if x > 0.0 => 1.0,
        Func::Sign if x < 0.0 => -1.0,
        Func::Sign => x,
        Func::Sqrt => x.sqrt(),
        Func::Rsqrt => 1.0 / x.sqrt(),
        Func::Cbrt => libm::cbrt(x),
        Func::Exp => libm::exp(x),
        Func::Exp2 => libm::exp2(x),
        Func::Expm1 => libm::expm1(x),
        Func::Log => libm::log(x),
        Func::Log2 => libm::log2(x),
        Func::Log10 => libm::log10(x),
        Func::Log1p => libm::log1p(x),
        Func::Sin => libm::sin(x),
        Func::Cos => libm::cos(x),
        Func::Tan => libm::tan(x),
        Func::Asin => libm::asin(x),
        Func::Acos => libm::acos(x),
        Func::Atan => libm::atan(x),
        Func::Sinh => libm::sinh(x),
        Func::Cosh => libm::cosh(x),
        Func::Tanh => libm::tanh(x),
        Func::Asinh => libm::asinh(x),
        // Outside of the domain the library gives a number.
        Func::Acosh if x < 1.0 => f64::NAN,
        Func::Acosh => libm::acosh(x),
        Func::Atanh => libm::atanh(x),
        Func::Erf => libm::erf(x),
        Func::Erfc => libm::erfc(x),
        Func::Floor => x.floor(),
        Func::Ceil => x.ceil(),
        Func::Round => x.round_ties_even(),
        Func::Trunc => x.trunc(),
        other => unreachable!("{other} is not a real function of one argument"),
    }
}

fn binary(func: Func, x: f64, y: f64) -> f64 {
    match func {
        Func::Add => x + y,
        Func::Sub => x - y,
        Func::Mul => x * y,
        Func::Div => x / y,
        Func::Rem => (-(x / y).floor()).mul_add(y, x),
        Func::Min | Func::Max if x.is_nan() || y.is_nan() => f64::NAN,
        Func::Min if x == y => {
            if x.is_sign_negative() {
                x
            } else {
                y
            }
        }
        Func::Max if x == y => {
            if x.is_sign_positive() {
                x
            } else {
                y
            }
        }
        Func::Min => x.min(y),
        Func::Max => x.max(y),
        Func::Pow => libm::pow(x, y),
        Func::Atan2 => libm::atan2(x, y),
        Func::Copysign => x.copysign(y),
        other => unreachable!("{other} is not a real function of two arguments"),
    }
}
