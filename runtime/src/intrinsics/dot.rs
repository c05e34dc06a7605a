//! Micro-kernels on short elements, several of which make one step: bytes into 32-bit integers,
//! bfloat16 into f32.

use super::Implementation;
use super::contract::{Step, Tile};
use super::tier::baseline;
use super::vector::Float;
use half::bf16;
use std::marker::PhantomData;

/// Registers of f32 that bfloat16 numbers are read into.
pub(super) trait Widen: Float<Element = f32> {
    /// # Safety
    /// See [`super::vector::Vector`].
    unsafe fn widen(from: *const bf16) -> Self;
}

impl Widen for f32 {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> f32 {
        // SAFETY: the caller's promise.
        single(unsafe { from.read() })
    }
}

#[inline(always)]
fn single(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// `c + a b` of bfloat16 factors in f32, with one rounding.
struct Widened<V>(PhantomData<V>);

impl<V: Widen> Step for Widened<V> {
    type Accumulator = V;
    type A = bf16;
    type B = bf16;
    type Splat = V;
    type Row = V;

    #[inline(always)]
    unsafe fn splat(a: bf16) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::splat(single(a)) }
    }

    #[inline(always)]
    unsafe fn row(b: *const bf16) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::widen(b) }
    }

    #[inline(always)]
    unsafe fn step(c: V, a: V, b: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::fma(a, b, c) }
    }
}

/// `c + a[1] b[1] + a[0] b[0]` as the instruction for pairs of bfloat16 does it: each product is
/// added with one rounding, numbers below 2^-126 count as zero before and after.
struct Pairs;

impl Pairs {
    #[inline(always)]
    fn flushed(x: f32) -> f32 {
        if x.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(x) } else { x }
    }

    #[inline(always)]
    fn add(c: f32, a: bf16, b: bf16) -> f32 {
        const SCALE: f32 = 18446744073709551616.0;
        let (a, b) = (Self::flushed(single(a)), Self::flushed(single(b)));
        let c = Self::flushed(c);
        let sum = a.mul_add(b, c);
        // Whether the sum is below 2^-126 is decided with an unbounded exponent.
        let scaled = (a * SCALE).mul_add(b, c * SCALE);
        if scaled.abs() < f32::MIN_POSITIVE * SCALE { 0.0f32.copysign(sum) } else { sum }
    }
}

impl Step for Pairs {
    type Accumulator = f32;
    type A = [bf16; 2];
    type B = [bf16; 2];
    type Splat = [bf16; 2];
    type Row = [bf16; 2];

    #[inline(always)]
    unsafe fn splat(a: [bf16; 2]) -> [bf16; 2] {
        a
    }

    #[inline(always)]
    unsafe fn row(b: *const [bf16; 2]) -> [bf16; 2] {
        // SAFETY: the caller's promise.
        unsafe { b.read() }
    }

    #[inline(always)]
    unsafe fn step(c: f32, a: [bf16; 2], b: [bf16; 2]) -> f32 {
        Self::add(Self::add(c, a[1], b[1]), a[0], b[0])
    }
}

/// `c + a[0] b[0] + .. + a[3] b[3]` of bytes; `a` is signed or not.
struct Bytes<const SIGNED: bool>;

/// A byte as the sign says.
#[inline(always)]
fn value<const SIGNED: bool>(x: u8) -> i16 {
    if SIGNED { i16::from(x as i8) } else { i16::from(x) }
}

impl<const SIGNED: bool> Step for Bytes<SIGNED> {
    type Accumulator = i32;
    type A = [u8; 4];
    type B = [i8; 4];
    type Splat = [u8; 4];
    type Row = [i8; 4];

    #[inline(always)]
    unsafe fn splat(a: [u8; 4]) -> [u8; 4] {
        a
    }

    #[inline(always)]
    unsafe fn row(b: *const [i8; 4]) -> [i8; 4] {
        // SAFETY: the caller's promise.
        unsafe { b.read() }
    }

    #[inline(always)]
    unsafe fn step(c: i32, a: [u8; 4], b: [i8; 4]) -> i32 {
        let product = |(a, b): (u8, i8)| i32::from(value::<SIGNED>(a)) * i32::from(b);
        a.into_iter().zip(b).map(product).fold(c, i32::wrapping_add)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::NATIVE;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::NATIVE;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const NATIVE: &[Implementation] = &[];

pub(super) const PORTABLE: &[Implementation] = &[
    baseline::<Tile<Widened<f32>, 4, 4>>("tcc_gemm_bf16_4x4"),
    baseline::<Tile<Pairs, 4, 4>>("tcc_gemm_bf16pairs_4x4"),
    baseline::<Tile<Bytes<true>, 4, 4>>("tcc_gemm_i8_4x4"),
    baseline::<Tile<Bytes<false>, 4, 4>>("tcc_gemm_u8i8_4x4"),
];
