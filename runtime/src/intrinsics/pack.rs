//! Copies of matrices into the layouts that micro-kernels read: panels, rows of groups, transposes.

use super::Call;
use super::tier::{Body, Row, row};
use half::bf16;
use std::marker::PhantomData;

/// A matrix in memory with any strides.
#[derive(Clone, Copy)]
struct Matrix<T> {
    base: *mut T,
    strides: (isize, isize),
}

impl<T: Copy> Matrix<T> {
    /// An argument whose strides begin at the given one.
    #[inline(always)]
    fn argument(call: &Call, k: usize, strides: usize) -> Matrix<T> {
        Matrix { base: call.buffer(k), strides: (call.stride(strides), call.stride(strides + 1)) }
    }

    /// # Safety
    /// The element is there.
    #[inline(always)]
    unsafe fn at(self, i: usize, j: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.base.offset(i as isize * self.strides.0 + j as isize * self.strides.1) }
    }

    /// Writes `f` of each element of an `m` by `n` matrix, in squares whose rows and columns stay
    /// in the cache.
    ///
    /// # Safety
    /// Both matrices have that many rows and columns and do not overlap.
    #[inline(always)]
    unsafe fn copy(self, from: Matrix<T>, (m, n): (usize, usize), f: impl Fn(T) -> T) {
        const SIDE: usize = 16;
        for i0 in (0..m).step_by(SIDE) {
            for j0 in (0..n).step_by(SIDE) {
                let (i1, j1) = ((i0 + SIDE).min(m), (j0 + SIDE).min(n));
                for i in i0..i1 {
                    for j in j0..j1 {
                        // SAFETY: the element is there.
                        unsafe { self.at(i, j).write(f(from.at(i, j).read())) };
                    }
                }
            }
        }
    }
}

/// `P[k,r] = S[k,r]?0`; sizes: rows, columns of `S`, columns of `P`.
struct Pack<T>(PhantomData<T>);

impl<T: Copy + Default> Body for Pack<T> {
    #[inline(always)]
    fn run(call: &Call) {
        // SAFETY: the arguments of the declaration.
        unsafe { pack(call, (0, 1), |x: T| x) };
    }
}

/// `P[k,r] = F * S[k,r]`, 0 beyond the columns of `S`; sizes as those of [`Pack`].
struct PackScaled<T>(PhantomData<T>);

impl<T: Copy + Default + std::ops::Mul<Output = T>> Body for PackScaled<T> {
    #[inline(always)]
    fn run(call: &Call) {
        // SAFETY: the factor is one element.
        let factor = unsafe { call.buffer::<T>(0).read() };
        // SAFETY: the arguments of the declaration.
        unsafe { pack(call, (1, 2), |x: T| factor * x) };
    }
}

/// # Safety
/// The arguments of these numbers are the matrix and the panel.
#[inline(always)]
unsafe fn pack<T: Copy + Default>(
    call: &Call,
    (matrix, panel): (usize, usize),
    f: impl Fn(T) -> T,
) {
    let (rows, columns, width) = (call.size(0), call.size(1), call.size(2));
    let from = Matrix::argument(call, matrix, 0);
    let to: Matrix<T> = Matrix { base: call.buffer(panel), strides: (width as isize, 1) };
    // SAFETY: the panel has `rows` rows of `width`, at least `columns`, elements.
    unsafe {
        to.copy(from, (rows, columns), f);
        for k in 0..rows {
            for r in columns..width {
                to.at(k, r).write(T::default());
            }
        }
    }
}

/// `P[g,r,q] = S[Q*g+q,r]?0`; sizes: rows and columns of `S`, groups, columns of `P`.
struct PackGroups<T, const Q: usize>(PhantomData<T>);

impl<T: Copy + Default, const Q: usize> Body for PackGroups<T, Q> {
    #[inline(always)]
    fn run(call: &Call) {
        let (rows, columns) = (call.size(0), call.size(1));
        let (groups, width) = (call.size(2), call.size(3));
        let from: Matrix<T> = Matrix::argument(call, 0, 0);
        let to = call.buffer::<[T; Q]>(1);
        for g in 0..groups {
            for r in 0..width {
                let element = |q| {
                    let inside = Q * g + q < rows && r < columns;
                    // SAFETY: the element is there.
                    if inside { unsafe { from.at(Q * g + q, r).read() } } else { T::default() }
                };
                // SAFETY: the panel has `groups` rows of `width` groups.
                unsafe { to.add(g * width + r).write(std::array::from_fn(element)) };
            }
        }
    }
}

/// `D[j,i] = S[i,j]`; sizes: rows and columns of `S`.
struct Transpose<T>(PhantomData<T>);

impl<T: Copy> Body for Transpose<T> {
    #[inline(always)]
    fn run(call: &Call) {
        let from: Matrix<T> = Matrix::argument(call, 0, 0);
        let Matrix { base, strides: (row, column) } = Matrix::argument(call, 1, 2);
        let to = Matrix { base, strides: (column, row) };
        // SAFETY: the result is as large as the transposed argument and does not overlap it.
        unsafe { to.copy(from, (call.size(0), call.size(1)), |x| x) };
    }
}

pub(super) const ROWS: &[Row] = &[
    row::<Pack<f32>>("tcc_pack_f32"),
    row::<Pack<f64>>("tcc_pack_f64"),
    row::<Pack<bf16>>("tcc_pack_bf16"),
    row::<Pack<bool>>("tcc_pack_bool"),
    row::<PackScaled<f32>>("tcc_pack_scaled_f32"),
    row::<PackScaled<f64>>("tcc_pack_scaled_f64"),
    row::<PackGroups<bf16, 2>>("tcc_pack2_bf16"),
    row::<PackGroups<i8, 4>>("tcc_pack4_i8"),
    row::<PackGroups<u8, 4>>("tcc_pack4_u8"),
    row::<Transpose<f32>>("tcc_transpose_f32"),
    row::<Transpose<f64>>("tcc_transpose_f64"),
    row::<Transpose<bf16>>("tcc_transpose_bf16"),
    row::<Transpose<i8>>("tcc_transpose_i8"),
];
