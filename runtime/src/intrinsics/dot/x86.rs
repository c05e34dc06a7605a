//! Steps on short elements with AVX2 and AVX-512.

use super::{Step, Tile, Widen, Widened};
use crate::intrinsics::Implementation;
use crate::intrinsics::tier::{avx2, avx512, avx512_bf16, avx512_vnni};
use crate::intrinsics::vector::x86::{I32x8, I32x16};
use half::bf16;
use std::arch::x86_64 as x86;

impl Widen for x86::__m512 {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let short = x86::_mm256_loadu_si256(from.cast());
            let wide = x86::_mm512_slli_epi32::<16>(x86::_mm512_cvtepu16_epi32(short));
            x86::_mm512_castsi512_ps(wide)
        }
    }
}

impl Widen for x86::__m256 {
    #[inline(always)]
    unsafe fn widen(from: *const bf16) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let short = x86::_mm_loadu_si128(from.cast());
            let wide = x86::_mm256_slli_epi32::<16>(x86::_mm256_cvtepu16_epi32(short));
            x86::_mm256_castsi256_ps(wide)
        }
    }
}

/// [`super::Pairs`] by AVX512-BF16.
struct PairsOf16;

impl Step for PairsOf16 {
    type Accumulator = x86::__m512;
    type A = [bf16; 2];
    type B = [bf16; 2];
    type Splat = x86::__m512bh;
    type Row = x86::__m512bh;

    #[inline(always)]
    unsafe fn splat(a: [bf16; 2]) -> x86::__m512bh {
        let pair = u32::from(a[0].to_bits()) | u32::from(a[1].to_bits()) << 16;
        // SAFETY: the caller's promise; both types are 64 bytes of any value.
        unsafe { std::mem::transmute(x86::_mm512_set1_epi32(pair as i32)) }
    }

    #[inline(always)]
    unsafe fn row(b: *const [bf16; 2]) -> x86::__m512bh {
        // SAFETY: the caller's promise; both types are 64 bytes of any value.
        unsafe { std::mem::transmute(x86::_mm512_loadu_si512(b.cast())) }
    }

    #[inline(always)]
    unsafe fn step(c: x86::__m512, a: x86::__m512bh, b: x86::__m512bh) -> x86::__m512 {
        // SAFETY: the caller's promise.
        unsafe { x86::_mm512_dpbf16_ps(c, a, b) }
    }
}

/// [`super::Bytes`] by AVX512-VNNI, which takes `a` unsigned: of signed ones 128 more, whose
/// products are the surplus.
struct BytesOf64<const SIGNED: bool>;

impl<const SIGNED: bool> Step for BytesOf64<SIGNED> {
    type Accumulator = I32x16;
    type A = [u8; 4];
    type B = [i8; 4];
    type Splat = x86::__m512i;
    type Row = x86::__m512i;

    #[inline(always)]
    unsafe fn splat(a: [u8; 4]) -> x86::__m512i {
        let group = u32::from_le_bytes(a) ^ if SIGNED { 0x8080_8080 } else { 0 };
        // SAFETY: the caller's promise.
        unsafe { x86::_mm512_set1_epi32(group as i32) }
    }

    #[inline(always)]
    unsafe fn row(b: *const [i8; 4]) -> x86::__m512i {
        // SAFETY: the caller's promise.
        unsafe { x86::_mm512_loadu_si512(b.cast()) }
    }

    #[inline(always)]
    unsafe fn step(c: I32x16, a: x86::__m512i, b: x86::__m512i) -> I32x16 {
        // SAFETY: the caller's promise.
        unsafe { I32x16(x86::_mm512_dpbusd_epi32(c.0, a, b)) }
    }

    #[inline(always)]
    unsafe fn surplus(sum: I32x16, b: x86::__m512i) -> I32x16 {
        if !SIGNED {
            return sum;
        }
        // SAFETY: the caller's promise.
        unsafe { I32x16(x86::_mm512_dpbusd_epi32(sum.0, x86::_mm512_set1_epi8(-128), b)) }
    }

    #[inline(always)]
    unsafe fn finish(c: I32x16, surplus: I32x16) -> I32x16 {
        // SAFETY: the caller's promise.
        if SIGNED { unsafe { I32x16(x86::_mm512_sub_epi32(c.0, surplus.0)) } } else { c }
    }
}

/// [`super::Bytes`] by AVX2: even and odd bytes as 16-bit integers, whose products are added in
/// pairs.
struct BytesOf32<const SIGNED: bool>;

/// Even and odd bytes.
type Halves = (x86::__m256i, x86::__m256i);

/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn halves<const SIGNED: bool>(x: x86::__m256i) -> Halves {
    // SAFETY: the caller's promise.
    unsafe {
        let even = x86::_mm256_slli_epi16::<8>(x);
        if SIGNED {
            (x86::_mm256_srai_epi16::<8>(even), x86::_mm256_srai_epi16::<8>(x))
        } else {
            (x86::_mm256_srli_epi16::<8>(even), x86::_mm256_srli_epi16::<8>(x))
        }
    }
}

impl<const SIGNED: bool> Step for BytesOf32<SIGNED> {
    type Accumulator = I32x8;
    type A = [u8; 4];
    type B = [i8; 4];
    type Splat = Halves;
    type Row = Halves;

    #[inline(always)]
    unsafe fn splat(a: [u8; 4]) -> Halves {
        // SAFETY: the caller's promise.
        unsafe { halves::<SIGNED>(x86::_mm256_set1_epi32(i32::from_le_bytes(a))) }
    }

    #[inline(always)]
    unsafe fn row(b: *const [i8; 4]) -> Halves {
        // SAFETY: the caller's promise.
        unsafe { halves::<true>(x86::_mm256_loadu_si256(b.cast())) }
    }

    #[inline(always)]
    unsafe fn step(c: I32x8, a: Halves, b: Halves) -> I32x8 {
        // SAFETY: the caller's promise.
        unsafe {
            let even = x86::_mm256_madd_epi16(a.0, b.0);
            let odd = x86::_mm256_madd_epi16(a.1, b.1);
            I32x8(x86::_mm256_add_epi32(c.0, x86::_mm256_add_epi32(even, odd)))
        }
    }
}

pub(in crate::intrinsics) const NATIVE: &[Implementation] = &[
    avx512::<Tile<Widened<x86::__m512>, 14, 2>>("tcc_gemm_bf16_14x32"),
    avx2::<Tile<Widened<x86::__m256>, 6, 2>>("tcc_gemm_bf16_6x16"),
    avx512_bf16::<Tile<PairsOf16, 14, 2>>("tcc_gemm_bf16pairs_14x32"),
    avx512_vnni::<Tile<BytesOf64<true>, 12, 2>>("tcc_gemm_i8_12x32"),
    avx512_vnni::<Tile<BytesOf64<false>, 14, 2>>("tcc_gemm_u8i8_14x32"),
    avx2::<Tile<BytesOf32<true>, 4, 2>>("tcc_gemm_i8_4x16"),
    avx2::<Tile<BytesOf32<false>, 4, 2>>("tcc_gemm_u8i8_4x16"),
];
