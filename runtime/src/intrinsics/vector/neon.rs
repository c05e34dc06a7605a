//! Registers of NEON.

use super::{Bits, Float, Vector, operations};
use std::arch::aarch64 as arm;

impl Vector for arm::float32x4_t {
    type Element = f32;
    const LANES: usize = 4;

    operations! {
        fn splat(x: f32) -> Self { arm::vdupq_n_f32(x) }
        fn load(from: *const f32) -> Self { arm::vld1q_f32(from) }
        fn store(self: Self, to: *mut f32) { arm::vst1q_f32(to, self) }
    }
}

impl Float for arm::float32x4_t {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { arm::vfmaq_f32(c, a, b) }
        fn add(a: Self, b: Self) -> Self { arm::vaddq_f32(a, b) }
        fn max(a: Self, b: Self) -> Self { arm::vmaxq_f32(a, b) }
        fn min(a: Self, b: Self) -> Self { arm::vminq_f32(a, b) }
    }
}

impl Vector for arm::float64x2_t {
    type Element = f64;
    const LANES: usize = 2;

    operations! {
        fn splat(x: f64) -> Self { arm::vdupq_n_f64(x) }
        fn load(from: *const f64) -> Self { arm::vld1q_f64(from) }
        fn store(self: Self, to: *mut f64) { arm::vst1q_f64(to, self) }
    }
}

impl Float for arm::float64x2_t {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { arm::vfmaq_f64(c, a, b) }
        fn add(a: Self, b: Self) -> Self { arm::vaddq_f64(a, b) }
        fn max(a: Self, b: Self) -> Self { arm::vmaxq_f64(a, b) }
        fn min(a: Self, b: Self) -> Self { arm::vminq_f64(a, b) }
    }
}

/// 8 integers of 32 bits.
#[derive(Clone, Copy)]
pub(in crate::intrinsics) struct I32x8(
    pub(in crate::intrinsics) arm::int32x4_t,
    pub(in crate::intrinsics) arm::int32x4_t,
);

impl Vector for I32x8 {
    type Element = i32;
    const LANES: usize = 8;

    operations! {
        fn splat(x: i32) -> Self { I32x8(arm::vdupq_n_s32(x), arm::vdupq_n_s32(x)) }
        fn load(from: *const i32) -> Self {
            I32x8(arm::vld1q_s32(from), arm::vld1q_s32(from.add(4)))
        }
        fn store(self: Self, to: *mut i32) {
            {
                arm::vst1q_s32(to, self.0);
                arm::vst1q_s32(to.add(4), self.1)
            }
        }
    }
}

impl Vector for arm::uint8x16_t {
    type Element = u8;
    const LANES: usize = 16;

    operations! {
        fn splat(x: u8) -> Self { arm::vdupq_n_u8(x) }
        fn load(from: *const u8) -> Self { arm::vld1q_u8(from) }
        fn store(self: Self, to: *mut u8) { arm::vst1q_u8(to, self) }
    }
}

impl Bits for arm::uint8x16_t {
    operations! {
        fn and(a: Self, b: Self) -> Self { arm::vandq_u8(a, b) }
        fn or(a: Self, b: Self) -> Self { arm::vorrq_u8(a, b) }
    }
}
