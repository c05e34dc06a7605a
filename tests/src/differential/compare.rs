//! Whether two runs agree.

use super::oracle::{Reference, largest, least};
use tcc_abi::DType;
use tcc_ir::eval::{Tensor, Tensors, Value};

/// What elements of the results were compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Compared elements.
    pub compared: usize,
    /// Elements without a reference value.
    pub skipped: usize,
}

/// How two runs differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// In words.
    pub text: String,
    /// True if reordering sums and products of reals may explain it: a NaN or an infinity on one
    /// side, or a distance within the rounding of the largest values around.
    pub reorders: bool,
}

impl Difference {
    /// A difference that no order of operations explains.
    pub fn plain(text: String) -> Difference {
        Difference { text, reorders: false }
    }
}

/// The first element of `got` that no legal evaluation gives; `scale` is the largest value around.
pub fn within_bounds(
    got: &Tensors<f64>,
    want: &Tensors<Reference>,
    scale: f64,
    tally: &mut Tally,
) -> Result<(), Difference> {
    for (name, w) in want {
        let missing = || Difference::plain(format!("there is no result `{name}`"));
        let g = got.get(name).ok_or_else(missing)?;
        if g.shape != w.shape || g.dtype != w.dtype {
            let text = format!("`{name}` has shape {:?}, expected {:?}", g.shape, w.shape);
            return Err(Difference::plain(text));
        }
        for (k, (a, b)) in g.elements.iter().zip(&w.elements).enumerate() {
            let ok = match (a, b) {
                (Value::Float(x), Value::Float(y)) => near(w.dtype, *x, y, tally),
                (Value::Complex(a, b), Value::Complex(c, d)) => {
                    let part = w.dtype.real_part();
                    let finite = c.value().is_finite() && d.value().is_finite();
                    // Complex numbers that are not finite are one value.
                    !(finite || a.is_finite() && b.is_finite())
                        || (near(part, *a, c, tally) && near(part, *b, d, tally))
                }
                (Value::Int(x), Value::Int(y)) => same(x == y, tally),
                (Value::Bool(x), Value::Bool(y)) => same(x == y, tally),
                _ => false,
            };
            if !ok {
                let text = format!("`{name}` element {k} is {a:?}, expected {b:?}");
                return Err(Difference { text, reorders: may_reorder(w.dtype, a, b, scale) });
            }
        }
    }
    Ok(())
}

fn may_reorder(dtype: DType, a: &Value<f64>, b: &Value<Reference>, scale: f64) -> bool {
    let room = scale * 64.0 * unit(dtype);
    let close = |a: f64, b: f64| !a.is_finite() || !b.is_finite() || (a - b).abs() <= room;
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => close(*a, b.value()),
        (Value::Complex(a, b), Value::Complex(c, d)) => {
            let whole = [*a, *b, c.value(), d.value()].iter().all(|x| x.is_finite());
            !whole || (close(*a, c.value()) && close(*b, d.value()))
        }
        _ => false,
    }
}

/// The distance of neighbours, relative.
fn unit(dtype: DType) -> f64 {
    match dtype.real_part() {
        DType::F64 => f64::EPSILON,
        DType::F16 => f64::powi(2.0, -10),
        DType::BF16 => f64::powi(2.0, -7),
        _ => f64::from(f32::EPSILON),
    }
}

fn same(equal: bool, tally: &mut Tally) -> bool {
    tally.compared += 1;
    equal
}

fn near(dtype: DType, got: f64, want: &Reference, tally: &mut Tally) -> bool {
    if want.wild {
        tally.skipped += 1;
        return true;
    }
    tally.compared += 1;
    let (value, error) = (want.value(), want.error());
    let unit = unit(dtype);
    if value.is_nan() {
        return got.is_nan();
    }
    if value.is_infinite() || got.is_infinite() {
        let edge = value.abs() + error >= largest(dtype) * (1.0 - unit);
        return got == value || (edge && got.abs() >= largest(dtype) * (1.0 - 4.0 * unit));
    }
    // A stored reference is not rounded to the type: half a unit for that.
    let stored = if error > 0.0 { unit * value.abs() + least(dtype) } else { 0.0 };
    (got - value).abs() <= 1.01 * error + stored || got == value
}

/// The first element that differs in its bits, NaN being one value and the zeros two.
pub fn identical(a: &Tensors<f64>, b: &Tensors<f64>) -> Result<(), String> {
    for (name, x) in a {
        let y = b.get(name).ok_or_else(|| format!("there is no result `{name}`"))?;
        if let Some(k) = first_difference(x, y) {
            let (p, q) = (x.elements.get(k), y.elements.get(k));
            return Err(format!("`{name}` element {k} is {p:?}, by its kernel {q:?}"));
        }
    }
    Ok(())
}

fn first_difference(x: &Tensor<f64>, y: &Tensor<f64>) -> Option<usize> {
    if x.shape != y.shape {
        return Some(usize::MAX);
    }
    let bits = |p: &f64, q: &f64| p.to_bits() == q.to_bits() || (p.is_nan() && q.is_nan());
    x.elements.iter().zip(&y.elements).position(|(p, q)| match (p, q) {
        (Value::Float(p), Value::Float(q)) => !bits(p, q),
        (Value::Complex(a, b), Value::Complex(c, d)) => !bits(a, c) || !bits(b, d),
        (p, q) => p != q,
    })
}
