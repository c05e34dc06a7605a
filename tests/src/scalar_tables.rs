//! Truth tables of the scalar functions (`data/scalar`) and the distance of a result from the
//! truth.

use std::path::Path;
use tcc_abi::{DType, Scalar};
use tcc_ir::scalar::Func;

/// Largest distance from the correctly rounded result that an implementation may have.
pub const MAX_ULPS: u64 = 4;

/// Arguments and the correctly rounded result.
#[derive(Clone, Debug)]
pub struct Point {
    /// One or two arguments.
    pub args: Vec<Scalar>,
    /// The result.
    pub want: Scalar,
}

/// The largest distance found, and where.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    /// Distance in ulps.
    pub ulps: u64,
    /// The point that has it and what was computed there.
    pub at: Option<(Point, Scalar)>,
}

impl Worst {
    /// Takes a result into account.
    pub fn add(&mut self, point: &Point, got: Scalar) {
        let ulps = error(point, got);
        if ulps > self.ulps {
            *self = Worst { ulps, at: Some((point.clone(), got)) };
        }
    }
}

/// The functions that have an expansion.
pub fn functions() -> impl Iterator<Item = Func> {
    Func::all().filter(|f| f.is_expanded())
}

/// The table of a function on `f32` or `f64`.
pub fn table(func: Func, dtype: DType) -> Vec<Point> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/scalar");
    let path = folder.join(format!("{func}_{dtype}.csv"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => panic!("{}: {e}", path.display()),
    };
    let number = |word: &str| match u128::from_str_radix(word, 16) {
        Ok(bits) => Scalar::from_bits(dtype, bits),
        Err(e) => panic!("{}: `{word}`: {e}", path.display()),
    };
    let points: Vec<Point> = text
        .lines()
        .filter_map(|line| {
            let mut args: Vec<Scalar> = line.split(',').map(number).collect();
            let want = args.pop()?;
            assert_eq!(args.len(), func.arity(), "{}: `{line}`", path.display());
            Some(Point { args, want })
        })
        .collect();
    assert!(points.len() > 100, "{} is incomplete", path.display());
    points
}

/// The function in double precision by another library, within an ulp of `f64`.
pub fn reference(func: Func, args: &[f64]) -> f64 {
    match (func, args) {
        (Func::Pow, [x, y]) => libm::pow(*x, *y),
        (Func::Atan2, [y, x]) => libm::atan2(*y, *x),
        (_, [x]) => unary(func, *x),
        _ => panic!("{func} of {} arguments", args.len()),
    }
}

fn unary(func: Func, x: f64) -> f64 {
    let f: fn(f64) -> f64 = match func {
        Func::Rsqrt => |x| 1.0 / x.sqrt(),
        Func::Cbrt => libm::cbrt,
        Func::Exp => libm::exp,
        Func::Exp2 => libm::exp2,
        Func::Expm1 => libm::expm1,
        Func::Log => libm::log,
        Func::Log2 => libm::log2,
        Func::Log10 => libm::log10,
        Func::Log1p => libm::log1p,
        Func::Sin => libm::sin,
        Func::Cos => libm::cos,
        Func::Tan => libm::tan,
        Func::Asin => libm::asin,
        Func::Acos => libm::acos,
        Func::Atan => libm::atan,
        Func::Sinh => libm::sinh,
        Func::Cosh => libm::cosh,
        Func::Tanh => libm::tanh,
        Func::Asinh => libm::asinh,
        // Outside of its domain the library gives a number.
        Func::Acosh => |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) },
        Func::Atanh => libm::atanh,
        Func::Erf => libm::erf,
        Func::Erfc => libm::erfc,
        other => panic!("no reference for {other}"),
    };
    f(x)
}

/// A point on `f32` by [`reference()`].
pub fn single(func: Func, args: &[f32]) -> Point {
    let scalar = |x: &f32| Scalar::from_bits(DType::F32, u128::from(x.to_bits()));
    let wide: Vec<f64> = args.iter().map(|x| f64::from(*x)).collect();
    let want = Scalar::from_f64(DType::F32, reference(func, &wide));
    Point { args: args.iter().map(scalar).collect(), want }
}

/// Ulps between a result and the truth. `u64::MAX` where only one of them is NaN, where zeros
/// differ in sign, and where a zero, infinite or NaN argument gives another zero or infinity.
pub fn error(point: &Point, got: Scalar) -> u64 {
    let (g, w) = (got.to_f64(), point.want.to_f64());
    if g.is_nan() || w.is_nan() {
        return if g.is_nan() && w.is_nan() { 0 } else { u64::MAX };
    }
    let fixed = |x: f64| x == 0.0 || x.is_infinite();
    let special = point.args.iter().map(|a| a.to_f64()).any(|x| fixed(x) || x.is_nan());
    if (g == 0.0 && w == 0.0) || (special && (fixed(g) || fixed(w))) {
        return if got == point.want { 0 } else { u64::MAX };
    }
    ordered(got).abs_diff(ordered(point.want))
}

/// Consecutive integers for consecutive numbers; both zeros are 0.
fn ordered(s: Scalar) -> i64 {
    let sign = 1u128 << (s.dtype().bits() - 1);
    let magnitude = (s.bits() & (sign - 1)) as i64;
    if s.bits() & sign == 0 { magnitude } else { -magnitude }
}
