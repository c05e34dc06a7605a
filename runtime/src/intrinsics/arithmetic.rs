//! Strips of arithmetic, comparisons and choices.

use super::Call;
use super::strip::{Elementwise, Map, Pointwise, maps};
use super::tier::{Body, Row, row};
use std::marker::PhantomData;
use std::slice;

/// The larger or smaller one; NaN if one is, and -0 is less than +0. The two choices differ in
/// zeros of both signs, whose bits are combined; all bits make a NaN.
macro_rules! extreme {
    ($name:ident, $float:ident, $bits:ident, $op:tt, $zeros:tt) => {
        #[inline(always)]
        pub(super) fn $name(a: $float, b: $float) -> $float {
            let first = if a $op b { a } else { b };
            let second = if b $op a { b } else { a };
            let nan = if a.is_nan() | b.is_nan() { $bits::MAX } else { 0 };
            $float::from_bits((first.to_bits() $zeros second.to_bits()) | nan)
        }
    };
}

extreme!(max_f32, f32, u32, >, &);
extreme!(max_f64, f64, u64, >, &);
extreme!(min_f32, f32, u32, <, |);
extreme!(min_f64, f64, u64, <, |);

maps! {
    AddF32 "tcc_add_f32" (x, y: f32) -> f32 { x + y }
    AddF64 "tcc_add_f64" (x, y: f64) -> f64 { x + y }
    SubF32 "tcc_sub_f32" (x, y: f32) -> f32 { x - y }
    SubF64 "tcc_sub_f64" (x, y: f64) -> f64 { x - y }
    MulF32 "tcc_mul_f32" (x, y: f32) -> f32 { x * y }
    MulF64 "tcc_mul_f64" (x, y: f64) -> f64 { x * y }
    DivF32 "tcc_div_f32" (x, y: f32) -> f32 { x / y }
    DivF64 "tcc_div_f64" (x, y: f64) -> f64 { x / y }
    FmaF32 "tcc_fma_f32" (x, y, z: f32) -> f32 { x.mul_add(y, z) }
    FmaF64 "tcc_fma_f64" (x, y, z: f64) -> f64 { x.mul_add(y, z) }
    MinF32 "tcc_min_f32" (x, y: f32) -> f32 { min_f32(x, y) }
    MinF64 "tcc_min_f64" (x, y: f64) -> f64 { min_f64(x, y) }
    MaxF32 "tcc_max_f32" (x, y: f32) -> f32 { max_f32(x, y) }
    MaxF64 "tcc_max_f64" (x, y: f64) -> f64 { max_f64(x, y) }
    SqrtF32 "tcc_sqrt_f32" (x: f32) -> f32 { x.sqrt() }
    SqrtF64 "tcc_sqrt_f64" (x: f64) -> f64 { x.sqrt() }
    NegF32 "tcc_neg_f32" (x: f32) -> f32 { -x }
    NegF64 "tcc_neg_f64" (x: f64) -> f64 { -x }
    AbsF32 "tcc_abs_f32" (x: f32) -> f32 { x.abs() }
    AbsF64 "tcc_abs_f64" (x: f64) -> f64 { x.abs() }
    LtF32 "tcc_lt_f32" (x, y: f32) -> bool { x < y }
    LtF64 "tcc_lt_f64" (x, y: f64) -> bool { x < y }
    LeF32 "tcc_le_f32" (x, y: f32) -> bool { x <= y }
    LeF64 "tcc_le_f64" (x, y: f64) -> bool { x <= y }
    EqF32 "tcc_eq_f32" (x, y: f32) -> bool { x == y }
    EqF64 "tcc_eq_f64" (x, y: f64) -> bool { x == y }
}

/// `Y[i] = select(C[i], A[i], B[i])`; sizes: the length.
struct Select<T>(PhantomData<T>);

impl<T: Copy> Body for Select<T> {
    #[inline(always)]
    fn run(call: &Call) {
        let n = call.size(0);
        if (0..4).all(|k| call.stride(k) == 1) && n > 0 {
            // SAFETY: each argument has `n` elements one after the other, and the result overlaps
            // no other; conditions are 0 or 1.
            let (c, a, b, y) = unsafe {
                (
                    slice::from_raw_parts(call.buffer::<u8>(0).cast_const(), n),
                    slice::from_raw_parts(call.buffer::<T>(1).cast_const(), n),
                    slice::from_raw_parts(call.buffer::<T>(2).cast_const(), n),
                    slice::from_raw_parts_mut(call.buffer::<T>(3), n),
                )
            };
            for i in 0..n {
                y[i] = if c[i] != 0 { a[i] } else { b[i] };
            }
            return;
        }
        for i in 0..n as isize {
            // SAFETY: each argument has that many elements at multiples of its stride; conditions
            // are 0 or 1.
            unsafe {
                let condition = call.buffer::<u8>(0).offset(i * call.stride(0)).read() != 0;
                let a = call.buffer::<T>(1).offset(i * call.stride(1)).read();
                let b = call.buffer::<T>(2).offset(i * call.stride(2)).read();
                let y = call.buffer::<T>(3).offset(i * call.stride(3));
                y.write(if condition { a } else { b });
            }
        }
    }
}

/// The choices.
pub(super) const CHOICES: &[Row] =
    &[row::<Select<f32>>("tcc_select_f32"), row::<Select<f64>>("tcc_select_f64")];
