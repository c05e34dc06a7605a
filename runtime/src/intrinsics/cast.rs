//! Strips of conversions: to nearest, ties to even; to integers toward zero, saturating, NaN to 0.

use super::strip::{Elementwise, Map, Pointwise, maps};
use super::tier::{Row, row};
use half::{bf16, f16};

/// As `x as i32`, in a form that lanes can do.
#[inline(always)]
pub(super) fn to_i32(x: f32) -> i32 {
    const END: f32 = 2147483648.0;
    let inside = (-END..END).contains(&x);
    // SAFETY: the number and 0 are within the range of i32.
    let truncated = unsafe { (if inside { x } else { 0.0 }).to_int_unchecked::<i32>() };
    let saturated = if x >= END { i32::MAX } else { truncated };
    if x < -END { i32::MIN } else { saturated }
}

/// As `x as i64`, in a form that lanes can do.
#[inline(always)]
fn to_i64(x: f64) -> i64 {
    const END: f64 = 9223372036854775808.0;
    let inside = (-END..END).contains(&x);
    // SAFETY: the number and 0 are within the range of i64.
    let truncated = unsafe { (if inside { x } else { 0.0 }).to_int_unchecked::<i64>() };
    let saturated = if x >= END { i64::MAX } else { truncated };
    if x < -END { i64::MIN } else { saturated }
}

/// Rounds to nearest, ties to even; a NaN stays one.
#[inline(always)]
fn to_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let nan = bits | 0x0040_0000;
    bf16::from_bits(((if x.is_nan() { nan } else { rounded }) >> 16) as u16)
}

/// The smallest normal number of f16, 2^-14.
const SMALLEST_F16: f32 = f32::from_bits((127 - 14) << 23);

/// Rounds to nearest, ties to even; a NaN stays one.
#[inline(always)]
fn to_f16(x: f32) -> f16 {
    let sign = (x.to_bits() >> 16) & 0x8000;
    let a = x.abs();
    let bits = a.to_bits();
    // Normal numbers: the last bit that stays is bit 13, and the bias shrinks by 112. What rounds
    // beyond the largest number carries into the exponent, which makes it infinite.
    let normal = bits.wrapping_add(0xfff + ((bits >> 13) & 1)).wrapping_sub(112 << 23) >> 13;
    // Subnormal ones: an addition rounds at the last bit, 2^-24.
    let subnormal = (a + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let finite = if a < SMALLEST_F16 { subnormal } else { normal };
    let large = if a.is_nan() { 0x7e00 } else { 0x7c00 };
    f16::from_bits((sign | if a < 65520.0 { finite } else { large }) as u16)
}

#[inline(always)]
fn from_f16(x: f16) -> f32 {
    let bits = u32::from(x.to_bits());
    let sign = (bits & 0x8000) << 16;
    let shifted = (bits & 0x7fff) << 13;
    // A product by 2^112 adjusts the bias, of subnormal numbers too.
    let finite = (f32::from_bits(shifted) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = shifted | 0x7f80_0000;
    f32::from_bits(sign | if bits & 0x7c00 == 0x7c00 { special } else { finite })
}

maps! {
    F32ToF64 "tcc_cast_f32_f64" (x: f32) -> f64 { f64::from(x) }
    F64ToF32 "tcc_cast_f64_f32" (x: f64) -> f32 { x as f32 }
    F32ToBf16 "tcc_cast_f32_bf16" (x: f32) -> bf16 { to_bf16(x) }
    Bf16ToF32 "tcc_cast_bf16_f32" (x: bf16) -> f32 { f32::from_bits(u32::from(x.to_bits()) << 16) }
    F32ToF16 "tcc_cast_f32_f16" (x: f32) -> f16 { to_f16(x) }
    F16ToF32 "tcc_cast_f16_f32" (x: f16) -> f32 { from_f16(x) }
    I32ToF32 "tcc_cast_i32_f32" (x: i32) -> f32 { x as f32 }
    F32ToI32 "tcc_cast_f32_i32" (x: f32) -> i32 { to_i32(x) }
    I64ToF64 "tcc_cast_i64_f64" (x: i64) -> f64 { x as f64 }
    F64ToI64 "tcc_cast_f64_i64" (x: f64) -> i64 { to_i64(x) }
    I8ToI32 "tcc_cast_i8_i32" (x: i8) -> i32 { i32::from(x) }
    U8ToI32 "tcc_cast_u8_i32" (x: u8) -> i32 { i32::from(x) }
    I32ToI8 "tcc_cast_i32_i8" (x: i32) -> i8 { x as i8 }
    I32ToU8 "tcc_cast_i32_u8" (x: i32) -> u8 { x as u8 }
    I8ToF32 "tcc_cast_i8_f32" (x: i8) -> f32 { f32::from(x) }
    U8ToF32 "tcc_cast_u8_f32" (x: u8) -> f32 { f32::from(x) }
    F32ToI8 "tcc_cast_f32_i8" (x: f32) -> i8 { to_i32(x).clamp(-128, 127) as i8 }
    F32ToU8 "tcc_cast_f32_u8" (x: f32) -> u8 { to_i32(x).clamp(0, 255) as u8 }
}
