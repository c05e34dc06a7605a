//! Values of inputs: mostly tame, with a share of the extremes of each type.

use super::{Case, Dim, Sizes};
use fastrand::Rng;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Machine, Tensor, Tensors};

/// Which values an input gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Any.
    Any,
    /// Finite, and at least 0.
    NonNegative,
    /// Positions on an axis of this extent; some outside if the flag is set.
    Position(Dim, bool),
}

/// The inputs of a program at these sizes. A tensor's values depend on the seed and its name alone.
pub fn inputs(case: &Case, sizes: &Sizes, seed: u64) -> Tensors<f64> {
    let mut out = Tensors::new();
    for p in &case.params {
        let name = p.decl.name.bytes().fold(seed, |h, b| h.wrapping_mul(31) + u64::from(b));
        let mut rng = Rng::with_seed(name);
        let shape: Vec<usize> =
            p.decl.shape.iter().map(|d| d.value(sizes).max(0) as usize).collect();
        let count: usize = shape.iter().product();
        let (style, dtype) = (rng.u8(..), p.decl.dtype);
        let scalars: Vec<Scalar> =
            (0..count).map(|_| value(&mut rng, dtype, &p.kind, sizes, style)).collect();
        let tensor = Tensor::from_scalars(&Machine, dtype, &shape, &scalars);
        out.insert(p.decl.name.clone(), tensor);
    }
    out
}

fn value(rng: &mut Rng, dtype: DType, kind: &Kind, sizes: &Sizes, style: u8) -> Scalar {
    match kind {
        Kind::Position(dim, stray) => {
            let n = dim.value(sizes).max(0);
            let inside = |rng: &mut Rng| if n > 0 { rng.i64(0..n) } else { 0 };
            let at = match rng.u8(0..40) {
                0 if *stray && style < 128 => n,
                1 if *stray && style < 128 => -1,
                2 if *stray && style < 64 => i64::MIN,
                _ => inside(rng),
            };
            let (lo, hi) = dtype.int_range().unwrap_or((0, 0));
            Scalar::from_i128(dtype, i128::from(at).clamp(lo, hi))
        }
        Kind::NonNegative if dtype.is_float() => {
            Scalar::from_f64(dtype, f64::from(rng.u8(0..32)) / 4.0)
        }
        Kind::NonNegative if dtype.is_int() => Scalar::from_i128(dtype, rng.i128(0..9)),
        _ if dtype == DType::Bool => Scalar::from_bool(rng.u8(..) < style.max(30)),
        _ if style.is_multiple_of(4) && rng.u8(0..6) == 0 => special(rng, dtype),
        _ if dtype.is_int() => match style % 3 {
            0 => Scalar::from_i128(dtype, rng.i128(..)),
            _ => Scalar::from_i128(dtype, rng.i128(-9..10)),
        },
        _ if dtype.is_complex() => Scalar::from_parts(dtype, tame(rng, style), tame(rng, style)),
        _ => Scalar::from_f64(dtype, tame(rng, style)),
    }
}

fn tame(rng: &mut Rng, style: u8) -> f64 {
    let sign = if rng.bool() { 1.0 } else { -1.0 };
    match style % 5 {
        0 => f64::from(rng.i8(-8..9)),
        1 => sign * rng.f64() * f64::powi(2.0, rng.i32(-12..12)),
        2 => sign * rng.f64() * f64::powi(2.0, rng.i32(-3..7)),
        _ => sign * rng.f64(),
    }
}

/// A value at an edge of the type.
pub fn special(rng: &mut Rng, dtype: DType) -> Scalar {
    if dtype == DType::Bool {
        return Scalar::from_bool(rng.bool());
    }
    if let Some((lo, hi)) = dtype.int_range() {
        let edges = [lo, lo + 1, hi, hi - 1, 0, 1, hi / 2 + 1];
        return Scalar::from_i128(dtype, edges[rng.usize(..edges.len())]);
    }
    let edge = |rng: &mut Rng| {
        let part = dtype.real_part();
        let (least, most) = match part {
            DType::F64 => (f64::from_bits(3), f64::MAX),
            DType::F32 => (f64::from(f32::from_bits(3)), f64::from(f32::MAX)),
            DType::F16 => (f64::powi(2.0, -23), 65504.0),
            _ => (f64::powi(2.0, -130), f64::powi(2.0, 127)),
        };
        let edges =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, least, -least, most, 1.0, 0.5];
        edges[rng.usize(..edges.len())]
    };
    if dtype.is_complex() {
        let (re, im) = (edge(rng), edge(rng));
        return Scalar::from_parts(dtype, re, im);
    }
    Scalar::from_f64(dtype, edge(rng))
}
