//! Registers of AVX2 and AVX-512.

use super::{Bits, Float, Vector, operations};
use std::arch::x86_64 as x86;

/// The lowest `n` of at most 64 bits.
#[inline(always)]
fn lowest(n: usize) -> u64 {
    if n == 0 { 0 } else { u64::MAX >> (64 - n) }
}

impl Vector for x86::__m512 {
    type Element = f32;
    const LANES: usize = 16;

    operations! {
        fn splat(x: f32) -> Self { x86::_mm512_set1_ps(x) }
        fn load(from: *const f32) -> Self { x86::_mm512_loadu_ps(from) }
        fn store(self: Self, to: *mut f32) { x86::_mm512_storeu_ps(to, self) }
        fn load_first(from: *const f32, n: usize) -> Self {
            x86::_mm512_maskz_loadu_ps(lowest(n) as u16, from)
        }
        fn store_first(self: Self, to: *mut f32, n: usize) {
            x86::_mm512_mask_storeu_ps(to, lowest(n) as u16, self)
        }
    }
}

impl Float for x86::__m512 {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { x86::_mm512_fmadd_ps(a, b, c) }
        fn add(a: Self, b: Self) -> Self { x86::_mm512_add_ps(a, b) }
        // The smaller or larger by value and sign; a NaN only if both are.
        fn max(a: Self, b: Self) -> Self {
            unordered_f32x16(a, b, x86::_mm512_range_ps::<0b0101>(a, b))
        }
        fn min(a: Self, b: Self) -> Self {
            unordered_f32x16(a, b, x86::_mm512_range_ps::<0b0100>(a, b))
        }
    }
}

/// `ordered` where neither is NaN, else NaN.
///
/// # Safety
/// The machine has AVX-512.
#[inline(always)]
unsafe fn unordered_f32x16(a: x86::__m512, b: x86::__m512, ordered: x86::__m512) -> x86::__m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let nan = x86::_mm512_cmp_ps_mask::<{ x86::_CMP_UNORD_Q }>(a, b);
        x86::_mm512_mask_add_ps(ordered, nan, a, b)
    }
}

impl Vector for x86::__m512d {
    type Element = f64;
    const LANES: usize = 8;

    operations! {
        fn splat(x: f64) -> Self { x86::_mm512_set1_pd(x) }
        fn load(from: *const f64) -> Self { x86::_mm512_loadu_pd(from) }
        fn store(self: Self, to: *mut f64) { x86::_mm512_storeu_pd(to, self) }
        fn load_first(from: *const f64, n: usize) -> Self {
            x86::_mm512_maskz_loadu_pd(lowest(n) as u8, from)
        }
        fn store_first(self: Self, to: *mut f64, n: usize) {
            x86::_mm512_mask_storeu_pd(to, lowest(n) as u8, self)
        }
    }
}

impl Float for x86::__m512d {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { x86::_mm512_fmadd_pd(a, b, c) }
        fn add(a: Self, b: Self) -> Self { x86::_mm512_add_pd(a, b) }
        fn max(a: Self, b: Self) -> Self {
            unordered_f64x8(a, b, x86::_mm512_range_pd::<0b0101>(a, b))
        }
        fn min(a: Self, b: Self) -> Self {
            unordered_f64x8(a, b, x86::_mm512_range_pd::<0b0100>(a, b))
        }
    }
}

/// As [`unordered_f32x16`].
///
/// # Safety
/// The machine has AVX-512.
#[inline(always)]
unsafe fn unordered_f64x8(a: x86::__m512d, b: x86::__m512d, ordered: x86::__m512d) -> x86::__m512d {
    // SAFETY: the caller's promise.
    unsafe {
        let nan = x86::_mm512_cmp_pd_mask::<{ x86::_CMP_UNORD_Q }>(a, b);
        x86::_mm512_mask_add_pd(ordered, nan, a, b)
    }
}

/// Which of 8 lanes are among the first `n`.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn first8(n: usize) -> x86::__m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = x86::_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        x86::_mm256_cmpgt_epi32(x86::_mm256_set1_epi32(n as i32), lanes)
    }
}

/// Which of 4 lanes are among the first `n`.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn first4(n: usize) -> x86::__m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = x86::_mm256_setr_epi64x(0, 1, 2, 3);
        x86::_mm256_cmpgt_epi64(x86::_mm256_set1_epi64x(n as i64), lanes)
    }
}

impl Vector for x86::__m256 {
    type Element = f32;
    const LANES: usize = 8;

    operations! {
        fn splat(x: f32) -> Self { x86::_mm256_set1_ps(x) }
        fn load(from: *const f32) -> Self { x86::_mm256_loadu_ps(from) }
        fn store(self: Self, to: *mut f32) { x86::_mm256_storeu_ps(to, self) }
        fn load_first(from: *const f32, n: usize) -> Self {
            x86::_mm256_maskload_ps(from, first8(n))
        }
        fn store_first(self: Self, to: *mut f32, n: usize) {
            x86::_mm256_maskstore_ps(to, first8(n), self)
        }
    }
}

/// The larger or smaller one. The instruction gives its second operand for zeros of both signs, so
/// that the bits of both orders are combined; all bits make a NaN.
macro_rules! extreme {
    ($a:ident $b:ident $op:ident $zeros:ident $compare:ident $or:ident) => {{
        let nan = x86::$compare::<{ x86::_CMP_UNORD_Q }>($a, $b);
        x86::$or(x86::$zeros(x86::$op($a, $b), x86::$op($b, $a)), nan)
    }};
}

impl Float for x86::__m256 {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { x86::_mm256_fmadd_ps(a, b, c) }
        fn add(a: Self, b: Self) -> Self { x86::_mm256_add_ps(a, b) }
        fn max(a: Self, b: Self) -> Self {
            extreme!(a b _mm256_max_ps _mm256_and_ps _mm256_cmp_ps _mm256_or_ps)
        }
        fn min(a: Self, b: Self) -> Self {
            extreme!(a b _mm256_min_ps _mm256_or_ps _mm256_cmp_ps _mm256_or_ps)
        }
    }
}

impl Vector for x86::__m256d {
    type Element = f64;
    const LANES: usize = 4;

    operations! {
        fn splat(x: f64) -> Self { x86::_mm256_set1_pd(x) }
        fn load(from: *const f64) -> Self { x86::_mm256_loadu_pd(from) }
        fn store(self: Self, to: *mut f64) { x86::_mm256_storeu_pd(to, self) }
        fn load_first(from: *const f64, n: usize) -> Self {
            x86::_mm256_maskload_pd(from, first4(n))
        }
        fn store_first(self: Self, to: *mut f64, n: usize) {
            x86::_mm256_maskstore_pd(to, first4(n), self)
        }
    }
}

impl Float for x86::__m256d {
    operations! {
        fn fma(a: Self, b: Self, c: Self) -> Self { x86::_mm256_fmadd_pd(a, b, c) }
        fn add(a: Self, b: Self) -> Self { x86::_mm256_add_pd(a, b) }
        fn max(a: Self, b: Self) -> Self {
            extreme!(a b _mm256_max_pd _mm256_and_pd _mm256_cmp_pd _mm256_or_pd)
        }
        fn min(a: Self, b: Self) -> Self {
            extreme!(a b _mm256_min_pd _mm256_or_pd _mm256_cmp_pd _mm256_or_pd)
        }
    }
}

/// 16 integers of 32 bits.
#[derive(Clone, Copy)]
pub(in crate::intrinsics) struct I32x16(pub(in crate::intrinsics) x86::__m512i);

impl Vector for I32x16 {
    type Element = i32;
    const LANES: usize = 16;

    operations! {
        fn splat(x: i32) -> Self { I32x16(x86::_mm512_set1_epi32(x)) }
        fn load(from: *const i32) -> Self { I32x16(x86::_mm512_loadu_si512(from.cast())) }
        fn store(self: Self, to: *mut i32) { x86::_mm512_storeu_si512(to.cast(), self.0) }
        fn load_first(from: *const i32, n: usize) -> Self {
            I32x16(x86::_mm512_maskz_loadu_epi32(lowest(n) as u16, from))
        }
        fn store_first(self: Self, to: *mut i32, n: usize) {
            x86::_mm512_mask_storeu_epi32(to, lowest(n) as u16, self.0)
        }
    }
}

/// 8 integers of 32 bits.
#[derive(Clone, Copy)]
pub(in crate::intrinsics) struct I32x8(pub(in crate::intrinsics) x86::__m256i);

impl Vector for I32x8 {
    type Element = i32;
    const LANES: usize = 8;

    operations! {
        fn splat(x: i32) -> Self { I32x8(x86::_mm256_set1_epi32(x)) }
        fn load(from: *const i32) -> Self { I32x8(x86::_mm256_loadu_si256(from.cast())) }
        fn store(self: Self, to: *mut i32) { x86::_mm256_storeu_si256(to.cast(), self.0) }
        fn load_first(from: *const i32, n: usize) -> Self {
            I32x8(x86::_mm256_maskload_epi32(from, first8(n)))
        }
        fn store_first(self: Self, to: *mut i32, n: usize) {
            x86::_mm256_maskstore_epi32(to, first8(n), self.0)
        }
    }
}

/// 64 bytes.
#[derive(Clone, Copy)]
pub(in crate::intrinsics) struct U8x64(x86::__m512i);

impl Vector for U8x64 {
    type Element = u8;
    const LANES: usize = 64;

    operations! {
        fn splat(x: u8) -> Self { U8x64(x86::_mm512_set1_epi8(x as i8)) }
        fn load(from: *const u8) -> Self { U8x64(x86::_mm512_loadu_si512(from.cast())) }
        fn store(self: Self, to: *mut u8) { x86::_mm512_storeu_si512(to.cast(), self.0) }
        fn load_first(from: *const u8, n: usize) -> Self {
            U8x64(x86::_mm512_maskz_loadu_epi8(lowest(n), from.cast()))
        }
        fn store_first(self: Self, to: *mut u8, n: usize) {
            x86::_mm512_mask_storeu_epi8(to.cast(), lowest(n), self.0)
        }
    }
}

impl Bits for U8x64 {
    operations! {
        fn and(a: Self, b: Self) -> Self { U8x64(x86::_mm512_and_si512(a.0, b.0)) }
        fn or(a: Self, b: Self) -> Self { U8x64(x86::_mm512_or_si512(a.0, b.0)) }
    }
}

/// 32 bytes.
#[derive(Clone, Copy)]
pub(in crate::intrinsics) struct U8x32(x86::__m256i);

impl Vector for U8x32 {
    type Element = u8;
    const LANES: usize = 32;

    operations! {
        fn splat(x: u8) -> Self { U8x32(x86::_mm256_set1_epi8(x as i8)) }
        fn load(from: *const u8) -> Self { U8x32(x86::_mm256_loadu_si256(from.cast())) }
        fn store(self: Self, to: *mut u8) { x86::_mm256_storeu_si256(to.cast(), self.0) }
    }
}

impl Bits for U8x32 {
    operations! {
        fn and(a: Self, b: Self) -> Self { U8x32(x86::_mm256_and_si256(a.0, b.0)) }
        fn or(a: Self, b: Self) -> Self { U8x32(x86::_mm256_or_si256(a.0, b.0)) }
    }
}
