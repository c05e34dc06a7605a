//! The reference value of every element, with a bound on what compiled code may answer instead.
//!
//! [`Oracle`] is the interpreter's domain of reals with error bounds, but it does not give up:
//! where a bound cannot tell which way a comparison or a step goes, it goes on with the value and
//! remembers that the run is undecided. Values that depend on the order of operations because
//! something overflowed on the way are marked, and compared with nothing.

use std::cell::Cell;
use std::cmp::Ordering;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Bounded, BoundedFloat, Domain, Stop, Value};
use tcc_ir::scalar::{Func, Reducer};

/// Reals with error bounds, and a note of what they could not decide.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    undecided: std::rc::Rc<Cell<bool>>,
}

/// A number with its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    number: BoundedFloat,
    /// The value depends on the order of operations beyond its bound.
    pub wild: bool,
}

impl Reference {
    /// The value.
    pub fn value(&self) -> f64 {
        self.number.value
    }

    /// Bound on the difference of a computed value.
    pub fn error(&self) -> f64 {
        self.number.error
    }
}

/// True if the function is not continuous over the ranges of its arguments.
fn jumps(func: Func, args: &[Reference]) -> bool {
    let may_be = |a: &Reference, x: f64| a.error() > 0.0 && (a.value() - x).abs() <= a.error();
    match (func, args) {
        // The sign of a NaN is open, and so is that of a number that may be 0.
        (Func::Copysign, [_, sign]) => sign.value().is_nan() || may_be(sign, 0.0),
        (Func::Mul | Func::Fma | Func::Div, _) => {
            let infinite = args.iter().any(|a| !a.value().is_finite());
            infinite && args.iter().any(|a| may_be(a, 0.0))
        }
        (Func::Tan, [a]) => {
            let branch = |x: f64| (x / std::f64::consts::PI + 0.5).floor();
            branch(a.value() - a.error()) != branch(a.value() + a.error())
        }
        // A power of 1 is 1 for every exponent, NaN included.
        (Func::Pow, [a, n]) => !n.value().is_finite() && (may_be(a, 1.0) || may_be(a, -1.0)),
        _ => false,
    }
}

/// The largest finite value of a type.
pub(super) fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::MAX,
        DType::F16 => 65504.0,
        DType::BF16 => 3.389_531_389_251_535_5e38,
        _ => f64::from(f32::MAX),
    }
}

/// The distance of neighbours of the type's least values.
pub(super) fn least(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::from_bits(1),
        DType::F16 => f64::powi(2.0, -24),
        DType::BF16 => f64::powi(2.0, -133),
        _ => f64::powi(2.0, -149),
    }
}

impl Oracle {
    /// True if the run so far had to guess.
    pub fn is_undecided(&self) -> bool {
        self.undecided.get()
    }

    fn guess(&self) {
        self.undecided.set(true);
    }

    /// Marks a result that another order of operations, or a rounding within the bounds, moves far:
    /// `reorders` says whether the operation takes part in reorderings.
    fn wrap(
        &self,
        dtype: DType,
        number: BoundedFloat,
        args: &[&Reference],
        reorders: bool,
    ) -> Reference {
        let inexact = args.iter().any(|a| a.error() > 0.0);
        let finite = args.iter().all(|a| a.number.value.is_finite());
        let open = finite && (reorders || inexact);
        let near = number.value.abs() + number.error >= largest(dtype) * 0.999;
        let edge = number.value.is_finite() && near;
        let wild = edge || (open && (near || number.value.is_nan()));
        // Where an infinity meets its opposite or a zero, reordered sums and products may avoid it.
        let meets = number.value.is_nan() && !args.iter().any(|a| a.number.value.is_nan());
        let wild = wild || (reorders && meets);
        let wide = !number.error.is_finite() && number.value.is_finite();
        Reference { number, wild: wild || wide || args.iter().any(|a| a.wild) }
    }

    fn decided<T>(&self, answer: Result<T, Stop>, guess: impl FnOnce() -> T) -> Result<T, Stop> {
        match answer {
            Err(Stop::Undecided) => {
                self.guess();
                Ok(guess())
            }
            other => other,
        }
    }
}

fn exactly(x: &BoundedFloat) -> BoundedFloat {
    let mut exact = *x;
    exact.error = 0.0;
    exact
}

impl Domain for Oracle {
    type Float = Reference;

    fn constant(&self, dtype: DType, value: f64) -> Reference {
        Reference { number: Bounded.constant(dtype, value), wild: false }
    }

    fn approximate(&self, x: &Reference) -> f64 {
        if x.wild {
            self.guess();
        }
        x.number.value
    }

    fn function(&self, func: Func, dtype: DType, args: &[Reference]) -> Result<Reference, Stop> {
        let numbers: Vec<BoundedFloat> = args.iter().map(|a| a.number).collect();
        let exact: Vec<BoundedFloat> = numbers.iter().map(exactly).collect();
        let all: Vec<&Reference> = args.iter().collect();
        let number = self.decided(Bounded.function(func, dtype, &numbers), || {
            Bounded.function(func, dtype, &exact).unwrap_or(exact[0])
        })?;
        let reorders = matches!(func, Func::Add | Func::Sub | Func::Mul | Func::Fma);
        let mut r = self.wrap(dtype, number, &all, reorders);
        r.wild |= jumps(func, args);
        Ok(r)
    }

    fn compare(&self, a: &Reference, b: &Reference) -> Result<Option<Ordering>, Stop> {
        if a.wild || b.wild {
            self.guess();
        }
        self.decided(Bounded.compare(&a.number, &b.number), || {
            a.number.value.partial_cmp(&b.number.value)
        })
    }

    fn round(&self, dtype: DType, x: &Reference) -> Reference {
        let number = Bounded.round(dtype, &x.number);
        let mut r = self.wrap(dtype, number, &[x], false);
        if number.value.is_finite() && number.value.abs() > largest(dtype) * 1.01 && !r.wild {
            r.number.value = f64::INFINITY.copysign(number.value);
            r.number.error = 0.0;
        }
        r
    }

    fn truncate(&self, x: &Reference) -> Result<f64, Stop> {
        if x.wild {
            self.guess();
        }
        self.decided(Bounded.truncate(&x.number), || x.number.value.trunc())
    }

    fn accumulate(
        &self,
        reducer: Reducer,
        dtype: DType,
        acc: &Reference,
        x: &Reference,
    ) -> Result<Reference, Stop> {
        let sum = |a: &BoundedFloat, x: &BoundedFloat| Bounded.accumulate(reducer, dtype, a, x);
        let number = self.decided(sum(&acc.number, &x.number), || {
            sum(&exactly(&acc.number), &exactly(&x.number)).unwrap_or(acc.number)
        })?;
        let reorders = matches!(reducer, Reducer::Sum | Reducer::Prod);
        Ok(self.wrap(dtype, number, &[acc, x], reorders))
    }

    fn scalar(&self, dtype: DType, v: &Value<Reference>) -> Scalar {
        let part = |x: &Reference| {
            if x.wild || x.number.error > 0.0 || x.number.value.is_nan() {
                self.guess();
            }
            x.number.value
        };
        match v {
            Value::Bool(b) => Scalar::from_bool(*b),
            Value::Int(i) => Scalar::from_i128(dtype, *i),
            Value::Float(x) => Scalar::from_f64(dtype, part(x)),
            Value::Complex(re, im) => Scalar::from_parts(dtype, part(re), part(im)),
        }
    }
}
