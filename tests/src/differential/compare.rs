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

/// The first element of `got` that no legal evaluation gives.
pub fn within_bounds(
    got: &Tensors<f64>,
    want: &Tensors<Reference>,
    tally: &mut Tally,
) -> Result<(), String> {
    for (name, w) in want {
        let g = got.get(name).ok_or_else(|| format!("there is no result `{name}`"))?;
        if g.shape != w.shape || g.dtype != w.dtype {
            return Err(format!("`{name}` has shape {:?}, expected {:?}", g.shape, w.shape));
        }
        for (k, (a, b)) in g.elements.iter().zip(&w.elements).enumerate() {
            let ok = match (a, b) {
                (Value::Float(x), Value::Float(y)) => near(w.dtype, *x, y, tally),
                (Value::Complex(a, b), Value::Complex(c, d)) => {
                    let part = w.dtype.real_part();
                    near(part, *a, c, tally) && near(part, *b, d, tally)
                }
                (Value::Int(x), Value::Int(y)) => same(x == y, tally),
                (Value::Bool(x), Value::Bool(y)) => same(x == y, tally),
                _ => false,
            };
            if !ok {
                return Err(format!("`{name}` element {k} is {a:?}, expected {b:?}"));
            }
        }
    }
    Ok(())
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
    let unit = match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => f64::powi(2.0, -10),
        DType::BF16 => f64::powi(2.0, -7),
        _ => f64::from(f32::EPSILON),
    };
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
