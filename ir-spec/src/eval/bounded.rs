//! Reals with an error bound: what any legal order of evaluation in the declared types can produce.

use super::domain::real_function;
use super::{Domain, Machine, Stop};
use crate::scalar::{Func, Reducer};
use std::cmp::Ordering;
use tcc_abi::{DType, Scalar};

/// Double precision beside a running bound on the error of the declared precision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounded;

/// A number, a bound on how far a computed value may be from it, and the sum of the magnitudes of
/// the terms it is a sum of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundedFloat {
    /// The value in double precision.
    pub value: f64,
    /// Bound on the error of a computed value.
    pub error: f64,
    terms: f64,
    count: f64,
}

impl BoundedFloat {
    fn new(dtype: DType, value: f64, error: f64) -> BoundedFloat {
        // Beyond the type's range the computed value is infinite.
        let limit = Scalar::from_f64(dtype.compute(), f64::MAX).to_f64();
        let limit = if limit.is_infinite() { f64::from(f32::MAX) } else { limit };
        let value = if value.abs() > limit { f64::INFINITY.copysign(value) } else { value };
        let error = if value.is_finite() { error } else { 0.0 };
        BoundedFloat { value, error, terms: value.abs(), count: 1.0 }
    }
}

/// Half an ulp, relative, of the type in which arithmetic on `dtype` happens.
fn unit(dtype: DType) -> f64 {
    if dtype.compute() == DType::F32 { f64::powi(2.0, -24) } else { f64::powi(2.0, -52) }
}

/// Half an ulp, relative, of the type itself.
fn storage_unit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::powi(2.0, -11),
        DType::BF16 => f64::powi(2.0, -8),
        _ => unit(dtype),
    }
}

fn tiny(dtype: DType) -> f64 {
    if dtype.compute() == DType::F32 { f64::powi(2.0, -149) } else { f64::from_bits(1) }
}

/// The least positive value of the type itself.
fn storage_tiny(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::powi(2.0, -24),
        DType::BF16 => f64::powi(2.0, -133),
        _ => tiny(dtype),
    }
}

impl Domain for Bounded {
    type Float = BoundedFloat;

    fn constant(&self, dtype: DType, value: f64) -> BoundedFloat {
        BoundedFloat::new(dtype, Scalar::from_f64(dtype, value).to_f64(), 0.0)
    }

    fn approximate(&self, x: &BoundedFloat) -> f64 {
        x.value
    }

    fn function(
        &self,
        func: Func,
        dtype: DType,
        args: &[BoundedFloat],
    ) -> Result<BoundedFloat, Stop> {
        let values: Vec<f64> = args.iter().map(|a| a.value).collect();
        // The quotient of a remainder rounds before its floor, as in `Machine`.
        let value = match func {
            Func::Rem => Machine.function(func, dtype, &values)?,
            _ => real_function(func, &values),
        };
        let error = propagated(func, args, value)?;
        let rounding = if func.is_expanded() { 16.0 } else { 1.0 };
        let exact = matches!(
            func,
            Func::Neg
                | Func::Abs
                | Func::Sign
                | Func::Min
                | Func::Max
                | Func::Floor
                | Func::Ceil
                | Func::Round
                | Func::Trunc
                | Func::Copysign
        );
        // Small integers combine exactly in every order.
        let integral = args.iter().all(|a| a.error == 0.0 && is_small_integer(a.value))
            && is_small_integer(value)
            && matches!(func, Func::Add | Func::Sub | Func::Mul | Func::Fma);
        let own = if exact || integral || !value.is_finite() {
            0.0
        } else {
            rounding * unit(dtype) * value.abs() + tiny(dtype)
        };
        Ok(BoundedFloat::new(dtype, value, error + own))
    }

    fn compare(&self, a: &BoundedFloat, b: &BoundedFloat) -> Result<Option<Ordering>, Stop> {
        let slack = a.error + b.error;
        if slack > 0.0 && (a.value - b.value).abs() <= slack {
            return Err(Stop::Undecided);
        }
        Ok(a.value.partial_cmp(&b.value))
    }

    fn round(&self, dtype: DType, x: &BoundedFloat) -> BoundedFloat {
        if dtype.compute() == dtype && dtype != DType::F32 {
            return *x;
        }
        let rounded = Scalar::from_f64(dtype, x.value).to_f64();
        let own = storage_unit(dtype) * x.value.abs() + storage_tiny(dtype);
        let own = if rounded == x.value && x.error == 0.0 { 0.0 } else { own };
        BoundedFloat { error: x.error + own, ..BoundedFloat::new(dtype, x.value, 0.0) }
    }

    fn truncate(&self, x: &BoundedFloat) -> Result<f64, Stop> {
        let (a, b) = ((x.value - x.error).trunc(), (x.value + x.error).trunc());
        if x.value.is_nan() {
            Ok(0.0)
        } else if a == b || x.error == 0.0 {
            Ok(x.value.trunc())
        } else {
            Err(Stop::Undecided)
        }
    }

    /// A sum of n terms, in any order and grouping, is within n units of the sum of their
    /// magnitudes.
    fn accumulate(
        &self,
        reducer: Reducer,
        dtype: DType,
        acc: &BoundedFloat,
        x: &BoundedFloat,
    ) -> Result<BoundedFloat, Stop> {
        if reducer != Reducer::Sum {
            let func = reducer.func().unwrap_or(Func::Add);
            return self.function(func, dtype, &[*acc, *x]);
        }
        let plain = self.function(Func::Add, dtype, &[*acc, *x])?;
        let terms = acc.terms + x.value.abs();
        let count = acc.count + 1.0;
        let exact = acc.error == 0.0 && x.error == 0.0 && plain.error == 0.0;
        let earlier = acc.error - unit(dtype) * acc.terms * acc.count;
        let error =
            if exact { 0.0 } else { earlier.max(0.0) + x.error + unit(dtype) * terms * count };
        let error = if plain.value.is_finite() { error.max(plain.error) } else { 0.0 };
        Ok(BoundedFloat { value: plain.value, error, terms, count })
    }
}

fn is_small_integer(x: f64) -> bool {
    x.fract() == 0.0 && x.abs() <= f64::from(1 << 24)
}

/// The error that the arguments' errors cause.
fn propagated(func: Func, args: &[BoundedFloat], value: f64) -> Result<f64, Stop> {
    if args.iter().all(|a| a.error == 0.0) {
        return Ok(0.0);
    }
    Ok(match (func, args) {
        (Func::Floor | Func::Ceil | Func::Round | Func::Trunc | Func::Sign, [a]) => {
            let f = |x: f64| real_function(func, &[x]);
            if f(a.value - a.error) != f(a.value + a.error) {
                return Err(Stop::Undecided);
            }
            0.0
        }
        (Func::Neg | Func::Abs | Func::Sin | Func::Cos | Func::Copysign, [a, ..]) => a.error,
        (Func::Add | Func::Sub, [a, b]) => a.error + b.error,
        (Func::Min | Func::Max, [a, b]) => a.error.max(b.error),
        (Func::Mul, [a, b]) => product_error(a, b),
        (Func::Fma, [a, b, c]) => product_error(a, b) + c.error,
        (Func::Div, [a, b]) => {
            let least = b.value.abs() - b.error;
            if least <= 0.0 { f64::INFINITY } else { (a.error + value.abs() * b.error) / least }
        }
        (Func::Rem, _) => return Err(Stop::Undecided),
        _ => sampled_error(func, args, value),
    })
}

fn product_error(a: &BoundedFloat, b: &BoundedFloat) -> f64 {
    a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error
}

/// Twice the largest change of the function at the corners of the arguments' ranges.
fn sampled_error(func: Func, args: &[BoundedFloat], value: f64) -> f64 {
    let mut worst: f64 = 0.0;
    for corner in 0..(1u32 << args.len()) {
        let at: Vec<f64> = args
            .iter()
            .enumerate()
            .map(|(k, a)| if corner >> k & 1 == 0 { a.value - a.error } else { a.value + a.error })
            .collect();
        let change = (real_function(func, &at) - value).abs();
        worst = if change.is_nan() { f64::INFINITY } else { worst.max(change) };
    }
    2.0 * worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_bounded_for_any_order() {
        let d = Bounded;
        let zero = d.constant(DType::F32, 0.0);
        let terms = [1e8f64, 1.0, -1e8, 0.3];
        let sum = terms.iter().try_fold(zero, |acc, t| {
            d.accumulate(Reducer::Sum, DType::F32, &acc, &d.constant(DType::F32, *t))
        });
        let sum = sum.unwrap_or(zero);
        // Left to right in f32 gives 0.3, another order 1.3.
        assert!(sum.error > 1.0 && sum.error < 100.0, "{sum:?}");
    }

    #[test]
    fn small_integers_are_exact() {
        let d = Bounded;
        let x = d.constant(DType::F32, 7.0);
        let y = d.function(Func::Mul, DType::F32, &[x, x]).unwrap_or(x);
        assert_eq!((y.value, y.error), (49.0, 0.0));
        assert_eq!(d.compare(&y, &y), Ok(Some(Ordering::Equal)));
    }
}
