//! Micro-kernels of contractions: a tile of the result stays in registers while panels of the
//! operands go by. Each element is updated in the order of the summed index.

use super::tier::{Body, baseline};
use super::vector::{Bits, Float, Vector};
use super::{Call, Implementation};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// How one step of the summed index updates the accumulators.
///
/// # Safety
/// Its operations may be called only where the machine has the instructions, with addresses of as
/// many elements as a register of accumulators has.
pub(super) trait Step {
    /// Accumulators of neighbours in a row.
    type Accumulator: Vector;
    /// What one step takes of a row of the first operand.
    type A: Copy;
    /// What one step takes of a column of the second operand.
    type B: Copy;
    /// `A` for all columns of a register.
    type Splat: Copy;
    /// `B` of all columns of a register.
    type Row: Copy;

    /// # Safety
    /// See [`Step`].
    unsafe fn splat(a: Self::A) -> Self::Splat;

    /// # Safety
    /// See [`Step`].
    unsafe fn row(b: *const Self::B) -> Self::Row;

    /// # Safety
    /// See [`Step`].
    unsafe fn step(c: Self::Accumulator, a: Self::Splat, b: Self::Row) -> Self::Accumulator;

    /// What a step adds to the surplus of its columns.
    ///
    /// # Safety
    /// See [`Step`].
    #[inline(always)]
    unsafe fn surplus(sum: Self::Accumulator, _b: Self::Row) -> Self::Accumulator {
        sum
    }

    /// The new value without the surplus.
    ///
    /// # Safety
    /// See [`Step`].
    #[inline(always)]
    unsafe fn finish(c: Self::Accumulator, _surplus: Self::Accumulator) -> Self::Accumulator {
        c
    }
}

/// `C[i,j] = step(C[i,j], A[r,i], B[r,j])` for `r` in order, on panels of `MR` rows and of `NV`
/// registers of columns; sizes: steps, rows and columns of `C`.
pub(super) struct Tile<S, const MR: usize, const NV: usize>(PhantomData<S>);

type Element<S> = <<S as Step>::Accumulator as Vector>::Element;

/// Elements of the largest tile.
const MAX_TILE: usize = 1024;

impl<S: Step, const MR: usize, const NV: usize> Body for Tile<S, MR, NV> {
    #[inline(always)]
    fn run(call: &Call) {
        let (m, n) = (call.size(1), call.size(2));
        let (row, column) = (call.stride(0), call.stride(1));
        let c = call.buffer::<Element<S>>(2);
        if column == 1 {
            // SAFETY: the arguments of the declaration.
            return unsafe { update::<S, MR, NV>(call, c, row) };
        }
        let width = NV * S::Accumulator::LANES;
        let mut copy = [const { MaybeUninit::<Element<S>>::uninit() }; MAX_TILE];
        let dense = copy.as_mut_ptr().cast::<Element<S>>();
        // SAFETY: `C` has `m` rows and `n` columns, no more than the tile, which fits the copy.
        unsafe {
            let at = |i: usize, j: usize| c.offset(i as isize * row + j as isize * column);
            let cells = || (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
            for (i, j) in cells() {
                dense.add(i * width + j).write(at(i, j).read());
            }
            update::<S, MR, NV>(call, dense, width as isize);
            for (i, j) in cells() {
                at(i, j).write(dense.add(i * width + j).read());
            }
        }
    }
}

/// Updates a tile whose rows are `pitch` elements apart.
///
/// # Safety
/// The call's panels hold `size(0)` steps; `c` has `size(1)` rows of `size(2)` elements, no more
/// than `MR` and `NV` registers.
#[inline(always)]
unsafe fn update<S: Step, const MR: usize, const NV: usize>(
    call: &Call,
    c: *mut Element<S>,
    pitch: isize,
) {
    let (steps, m, n) = (call.size(0), call.size(1), call.size(2));
    let (a, b) = (call.buffer::<S::A>(0), call.buffer::<S::B>(1));
    let lanes = S::Accumulator::LANES;
    let width = NV * lanes;
    let whole = m == MR && n == width;
    let left = |j: usize| n.saturating_sub(j * lanes).min(lanes);
    // SAFETY: the caller's promise; `left` elements of a row are read and written.
    unsafe {
        let at = |i: usize, j: usize| c.offset(i as isize * pitch).add(j * lanes);
        let old = |i: usize, j: usize| match (whole, i < m && left(j) > 0) {
            (true, _) => S::Accumulator::load(at(i, j)),
            (false, true) => S::Accumulator::load_first(at(i, j), left(j)),
            (false, false) => S::Accumulator::load_first(c, 0),
        };
        let mut tile: [[S::Accumulator; NV]; MR] =
            std::array::from_fn(|i| std::array::from_fn(|j| old(i, j)));
        let mut surplus = [S::Accumulator::splat(Element::<S>::default()); NV];
        for r in 0..steps {
            let row: [S::Row; NV] = std::array::from_fn(|j| S::row(b.add(r * width + j * lanes)));
            for (sum, row) in surplus.iter_mut().zip(row) {
                *sum = S::surplus(*sum, row);
            }
            for (i, cells) in tile.iter_mut().enumerate() {
                let x = S::splat(a.add(r * MR + i).read());
                for (cell, row) in cells.iter_mut().zip(row) {
                    *cell = S::step(*cell, x, row);
                }
            }
        }
        for (i, cells) in tile.into_iter().enumerate() {
            for (j, cell) in cells.into_iter().enumerate() {
                let cell = S::finish(cell, surplus[j]);
                if whole {
                    cell.store(at(i, j));
                } else if i < m && left(j) > 0 {
                    cell.store_first(at(i, j), left(j));
                }
            }
        }
    }
}

/// Steps on elements of one type: a name, the registers, and the new value.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident<$bound:ident>($c:ident, $a:ident, $b:ident) $value:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) struct $name<V>(PhantomData<V>);

            impl<V: $bound> Step for $name<V> {
                type Accumulator = V;
                type A = V::Element;
                type B = V::Element;
                type Splat = V;
                type Row = V;

                #[inline(always)]
                unsafe fn splat(a: V::Element) -> V {
                    // SAFETY: the caller's promise.
                    unsafe { V::splat(a) }
                }

                #[inline(always)]
                unsafe fn row(b: *const V::Element) -> V {
                    // SAFETY: the caller's promise.
                    unsafe { V::load(b) }
                }

                #[inline(always)]
                unsafe fn step($c: V, $a: V, $b: V) -> V {
                    // SAFETY: the caller's promise.
                    unsafe { $value }
                }
            }
        )*
    };
}

steps! {
    /// `c + a b` with one rounding.
    Product<Float>(c, a, b) V::fma(a, b, c);
    /// `max(c, a + b)`
    MaxPlus<Float>(c, a, b) V::max(c, V::add(a, b));
    /// `min(c, a + b)`
    MinPlus<Float>(c, a, b) V::min(c, V::add(a, b));
    /// `c or (a and b)`
    OrAnd<Bits>(c, a, b) V::or(c, V::and(a, b));
}

#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: &[Implementation] = {
    use super::tier::{avx2, avx512};
    use super::vector::x86::{U8x32, U8x64};
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};
    &[
        avx512::<Tile<Product<__m512>, 14, 2>>("tcc_gemm_f32_14x32"),
        avx512::<Tile<Product<__m512d>, 14, 2>>("tcc_gemm_f64_14x16"),
        avx2::<Tile<Product<__m256>, 6, 2>>("tcc_gemm_f32_6x16"),
        avx2::<Tile<Product<__m256d>, 6, 2>>("tcc_gemm_f64_6x8"),
        avx512::<Tile<MaxPlus<__m512>, 12, 2>>("tcc_maxplus_f32_12x32"),
        avx512::<Tile<MaxPlus<__m512d>, 12, 2>>("tcc_maxplus_f64_12x16"),
        avx2::<Tile<MaxPlus<__m256>, 4, 2>>("tcc_maxplus_f32_4x16"),
        avx2::<Tile<MaxPlus<__m256d>, 4, 2>>("tcc_maxplus_f64_4x8"),
        avx512::<Tile<MinPlus<__m512>, 12, 2>>("tcc_minplus_f32_12x32"),
        avx512::<Tile<MinPlus<__m512d>, 12, 2>>("tcc_minplus_f64_12x16"),
        avx2::<Tile<MinPlus<__m256>, 4, 2>>("tcc_minplus_f32_4x16"),
        avx2::<Tile<MinPlus<__m256d>, 4, 2>>("tcc_minplus_f64_4x8"),
        avx512::<Tile<OrAnd<U8x64>, 14, 1>>("tcc_orand_14x64"),
        avx2::<Tile<OrAnd<U8x32>, 12, 1>>("tcc_orand_12x32"),
    ]
};

#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: &[Implementation] = {
    use super::tier::neon;
    use std::arch::aarch64::{float32x4_t, float64x2_t, uint8x16_t};
    &[
        neon::<Tile<Product<float32x4_t>, 8, 3>>("tcc_gemm_f32_8x12"),
        neon::<Tile<Product<float64x2_t>, 8, 3>>("tcc_gemm_f64_8x6"),
        neon::<Tile<MaxPlus<float32x4_t>, 8, 3>>("tcc_maxplus_f32_8x12"),
        neon::<Tile<MaxPlus<float64x2_t>, 8, 3>>("tcc_maxplus_f64_8x6"),
        neon::<Tile<MinPlus<float32x4_t>, 8, 3>>("tcc_minplus_f32_8x12"),
        neon::<Tile<MinPlus<float64x2_t>, 8, 3>>("tcc_minplus_f64_8x6"),
        neon::<Tile<OrAnd<uint8x16_t>, 8, 3>>("tcc_orand_8x48"),
    ]
};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const NATIVE: &[Implementation] = &[];

pub(super) const PORTABLE: &[Implementation] = &[
    baseline::<Tile<Product<f32>, 4, 4>>("tcc_gemm_f32_4x4"),
    baseline::<Tile<Product<f64>, 4, 4>>("tcc_gemm_f64_4x4"),
    baseline::<Tile<MaxPlus<f32>, 4, 4>>("tcc_maxplus_f32_4x4"),
    baseline::<Tile<MaxPlus<f64>, 4, 4>>("tcc_maxplus_f64_4x4"),
    baseline::<Tile<MinPlus<f32>, 4, 4>>("tcc_minplus_f32_4x4"),
    baseline::<Tile<MinPlus<f64>, 4, 4>>("tcc_minplus_f64_4x4"),
    baseline::<Tile<OrAnd<u8>, 4, 4>>("tcc_orand_4x4"),
];
