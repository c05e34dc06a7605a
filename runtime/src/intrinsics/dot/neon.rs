//! Steps on short elements with NEON.

use super::{Step, Tile, Widen, Widened, value};
use crate::intrinsics::Implementation;
use crate::intrinsics::tier::neon;
use crate::intrinsics::vector::neon::I32x8;
use half::bf16;
use std::arch::aarch64 as arm;

impl Widen for arm::float32x4_t {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: the caller's promise.
        unsafe { arm::vreinterpretq_f32_u32(arm::vshll_n_u16::<16>(arm::vld1_u16(from.cast()))) }
    }
}

/// [`super::Bytes`]: the four bytes of eight columns, each as 16-bit integers.
struct BytesOf32<const SIGNED: bool>;

impl<const SIGNED: bool> Step for BytesOf32<SIGNED> {
    type Accumulator = I32x8;
    type A = [u8; 4];
    type B = [i8; 4];
    type Splat = [i16; 4];
    type Row = [arm::int16x8_t; 4];

    #[inline(always)]
    unsafe fn splat(a: [u8; 4]) -> [i16; 4] {
        a.map(value::<SIGNED>)
    }

    #[inline(always)]
    unsafe fn row(b: *const [i8; 4]) -> [arm::int16x8_t; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = arm::vld4_s8(b.cast());
            [bytes.0, bytes.1, bytes.2, bytes.3].map(|x| arm::vmovl_s8(x))
        }
    }

    #[inline(always)]
    unsafe fn step(mut c: I32x8, a: [i16; 4], b: [arm::int16x8_t; 4]) -> I32x8 {
        for (a, b) in a.into_iter().zip(b) {
            // SAFETY: the caller's promise.
            unsafe {
                c.0 = arm::vmlal_n_s16(c.0, arm::vget_low_s16(b), a);
                c.1 = arm::vmlal_high_n_s16(c.1, b, a);
            }
        }
        c
    }
}

pub(in crate::intrinsics) const NATIVE: &[Implementation] = &[
    neon::<Tile<Widened<arm::float32x4_t>, 8, 3>>("tcc_gemm_bf16_8x12"),
    neon::<Tile<BytesOf32<true>, 8, 1>>("tcc_gemm_i8_8x8"),
    neon::<Tile<BytesOf32<false>, 8, 1>>("tcc_gemm_u8i8_8x8"),
];
