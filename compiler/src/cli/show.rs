//! Tensors as text for people.

use std::fmt::Write;
use tcc::{DType, Tensor};
use tcc_abi::Scalar;

/// Tensors with more elements show only the first and last of each axis.
const WHOLE: usize = 1000;
/// How many first and last ones.
const EDGE: usize = 3;

/// `name: f32[2,3] = ` and the elements, nested as in numpy.
pub(crate) fn tensor(name: &str, t: &Tensor) -> String {
    let mut out = format!("{name}: {}{} =", t.dtype(), shape(t.shape()));
    let values: Vec<String> = if t.as_bytes().len() / t.dtype().size() <= WHOLE {
        t.as_bytes().chunks(t.dtype().size()).map(|b| element(t.dtype(), b)).collect()
    } else {
        Vec::new()
    };
    out.push_str(if t.shape().len() > 1 { "\n" } else { " " });
    let width = values.iter().map(String::len).max().unwrap_or(0);
    let mut nest = Nest { t, width, out: &mut out };
    nest.axis(0, 0, t.as_bytes().len() / t.dtype().size());
    out.push('\n');
    out
}

/// `[2,3]`, nothing for a scalar.
pub(crate) fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return String::new();
    }
    let list: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", list.join(","))
}

struct Nest<'a> {
    t: &'a Tensor,
    width: usize,
    out: &'a mut String,
}

impl Nest<'_> {
    /// The elements from `start` on, `count` of them, along an axis and the ones below.
    fn axis(&mut self, axis: usize, start: usize, count: usize) {
        let Some(extent) = self.t.shape().get(axis).copied() else {
            let size = self.t.dtype().size();
            let bytes = &self.t.as_bytes()[start * size..(start + 1) * size];
            let text = element(self.t.dtype(), bytes);
            let _ = write!(self.out, "{text:>width$}", width = self.width);
            return;
        };
        let last = axis + 1 == self.t.shape().len();
        let inner = count.checked_div(extent).unwrap_or(0);
        let short = self.t.as_bytes().len() / self.t.dtype().size() > WHOLE && extent > 2 * EDGE;
        self.out.push('[');
        let mut k = 0;
        while k < extent {
            if k > 0 {
                if last {
                    self.out.push_str(", ");
                } else {
                    self.out.push('\n');
                    (0..=axis).for_each(|_| self.out.push(' '));
                }
            }
            if short && k == EDGE {
                self.out.push_str("...");
                k = extent - EDGE;
                continue;
            }
            self.axis(axis + 1, start + k * inner, inner);
            k += 1;
        }
        self.out.push(']');
    }
}

/// One element; floats in the fewest digits that read back.
pub(crate) fn element(dtype: DType, bytes: &[u8]) -> String {
    let s = Scalar::read(dtype, bytes);
    let real = |x: f64| match dtype.real_part() {
        DType::F64 => float(x, &format!("{x}"), &format!("{x:e}")),
        DType::F16 => float(x, &format!("{}", half::f16::from_f64(x)), &format!("{:e}", x as f32)),
        _ => float(x, &format!("{}", x as f32), &format!("{:e}", x as f32)),
    };
    if dtype == DType::Bool {
        return s.to_bool().to_string();
    }
    if dtype.is_complex() {
        let (re, im) = s.to_parts();
        let im = real(im);
        let sign = if im.starts_with('-') { "" } else { "+" };
        return format!("{}{sign}{im}i", real(re));
    }
    if dtype.is_int() { s.to_i128().to_string() } else { real(s.to_f64()) }
}

fn float(x: f64, plain: &str, scientific: &str) -> String {
    if x.is_nan() {
        "nan".to_owned()
    } else if x != 0.0 && x.is_finite() && !(1e-4..1e9).contains(&x.abs()) {
        scientific.to_owned()
    } else {
        plain.to_owned()
    }
}
