//! One element, as any machine has it.

use super::{Bits, Float, Vector, operations};
use crate::intrinsics::arithmetic::{max_f32, max_f64, min_f32, min_f64};

macro_rules! elements {
    ($($ty:ty)*) => {
        $(
            impl Vector for $ty {
                type Element = $ty;
                const LANES: usize = 1;

                #[inline(always)]
                unsafe fn splat(x: $ty) -> $ty {
                    x
                }

                operations! {
                    fn load(from: *const $ty) -> $ty { from.read() }
                    fn store(self: $ty, to: *mut $ty) { to.write(self) }
                }
            }
        )*
    };
}

elements!(f32 f64 i32 u8);

macro_rules! floats {
    ($($ty:ty: $max:ident $min:ident)*) => {
        $(
            impl Float for $ty {
                #[inline(always)]
                unsafe fn fma(a: $ty, b: $ty, c: $ty) -> $ty {
                    a.mul_add(b, c)
                }

                #[inline(always)]
                unsafe fn add(a: $ty, b: $ty) -> $ty {
                    a + b
                }

                #[inline(always)]
                unsafe fn max(a: $ty, b: $ty) -> $ty {
                    $max(a, b)
                }

                #[inline(always)]
                unsafe fn min(a: $ty, b: $ty) -> $ty {
                    $min(a, b)
                }
            }
        )*
    };
}

floats!(f32: max_f32 min_f32 f64: max_f64 min_f64);

impl Bits for u8 {
    #[inline(always)]
    unsafe fn and(a: u8, b: u8) -> u8 {
        a & b
    }

    #[inline(always)]
    unsafe fn or(a: u8, b: u8) -> u8 {
        a | b
    }
}
