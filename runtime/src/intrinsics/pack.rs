//! Copies of matrices into the layouts that micro-kernels read: panels, rows of groups, transposes.

use super::Call;
use super::tier::{Body, Row, row};
use half::bf16;
use std::marker::PhantomData;
use std::ops::{Mul, Range};

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

    fn transposed(self) -> Matrix<T> {
        Matrix { base: self.base, strides: (self.strides.1, self.strides.0) }
    }

    /// Writes `f` of each element of an `m` by `n` matrix.
    ///
    /// # Safety
    /// Both matrices have that many rows and columns and do not overlap.
    #[inline(always)]
    unsafe fn copy<const SIDE: usize>(
        self,
        from: Matrix<T>,
        (m, n): (usize, usize),
        f: impl Fn(T) -> T + Copy,
    ) {
        // SAFETY: the caller's promise, in each branch.
        unsafe {
            match (self.strides, from.strides) {
                ((_, 1), (_, 1)) => self.copy_rows(from, (m, n), f),
                ((_, 1), (1, _)) => self.copy_turned::<SIDE>(from, (m, n), f),
                ((1, _), (_, 1)) => {
                    self.transposed().copy_turned::<SIDE>(from.transposed(), (n, m), f);
                }
                _ => self.copy_cells(from, (0..m, 0..n), f),
            }
        }
    }

    /// [`Matrix::copy`] where the elements of rows are neighbours in both.
    ///
    /// # Safety
    /// As that of [`Matrix::copy`].
    #[inline(always)]
    unsafe fn copy_rows(self, from: Matrix<T>, (m, n): (usize, usize), f: impl Fn(T) -> T) {
        for i in 0..m {
            for j in 0..n {
                // SAFETY: the element is there, behind the ones before it.
                unsafe { self.at(i, 0).add(j).write(f(from.at(i, 0).add(j).read())) };
            }
        }
    }

    /// [`Matrix::copy`] where the elements of rows are neighbours in `self`, and those of columns
    /// in `from`: in squares of `SIDE` elements, which are a register wide.
    ///
    /// # Safety
    /// As that of [`Matrix::copy`].
    #[inline(always)]
    unsafe fn copy_turned<const SIDE: usize>(
        self,
        from: Matrix<T>,
        (m, n): (usize, usize),
        f: impl Fn(T) -> T + Copy,
    ) {
        let (m0, n0) = (m - m % SIDE, n - n % SIDE);
        // SAFETY: the squares and the cells beside them are inside of both matrices.
        unsafe {
            for i0 in (0..m0).step_by(SIDE) {
                for j0 in (0..n0).step_by(SIDE) {
                    let column = |j| from.at(i0, j0 + j).cast::<[T; SIDE]>().read_unaligned();
                    let columns: [[T; SIDE]; SIDE] = std::array::from_fn(column);
                    let row = |i: usize| std::array::from_fn(|j| f(columns[j][i]));
                    let rows: [[T; SIDE]; SIDE] = std::array::from_fn(row);
                    for (i, row) in rows.into_iter().enumerate() {
                        self.at(i0 + i, j0).cast::<[T; SIDE]>().write_unaligned(row);
                    }
                }
            }
            self.copy_cells(from, (0..m0, n0..n), f);
            self.copy_cells(from, (m0..m, 0..n), f);
        }
    }

    /// [`Matrix::copy`] of some rows and columns.
    ///
    /// # Safety
    /// As that of [`Matrix::copy`].
    #[inline(always)]
    unsafe fn copy_cells(
        self,
        from: Matrix<T>,
        (rows, columns): (Range<usize>, Range<usize>),
        f: impl Fn(T) -> T,
    ) {
        for i in rows {
            for j in columns.clone() {
                // SAFETY: the element is there.
                unsafe { self.at(i, j).write(f(from.at(i, j).read())) };
            }
        }
    }
}

/// `P[k,r] = S[k,r]?0`; sizes: rows, columns of `S`, columns of `P`. `SIDE` elements are a register
/// wide.
struct Pack<T, const SIDE: usize>(PhantomData<T>);

impl<T: Copy + Default, const SIDE: usize> Body for Pack<T, SIDE> {
    #[inline(always)]
    fn run(call: &Call) {
        // SAFETY: the arguments of the declaration.
        unsafe { pack::<T, SIDE>(call, (0, 1), |x: T| x) };
    }
}

/// `P[k,r] = F * S[k,r]`, 0 beyond the columns of `S`; sizes as those of [`Pack`].
struct PackScaled<T, const SIDE: usize>(PhantomData<T>);

impl<T, const SIDE: usize> Body for PackScaled<T, SIDE>
where
    T: Copy + Default + Mul<Output = T>,
{
    #[inline(always)]
    fn run(call: &Call) {
        // SAFETY: the factor is one element.
        let factor = unsafe { call.buffer::<T>(0).read() };
        // SAFETY: the arguments of the declaration.
        unsafe { pack::<T, SIDE>(call, (1, 2), |x: T| factor * x) };
    }
}

/// # Safety
/// The arguments of these numbers are the matrix and the panel.
#[inline(always)]
unsafe fn pack<T: Copy + Default, const SIDE: usize>(
    call: &Call,
    (matrix, panel): (usize, usize),
    f: impl Fn(T) -> T + Copy,
) {
    let (rows, columns, width) = (call.size(0), call.size(1), call.size(2));
    let from = Matrix::argument(call, matrix, 0);
    let to: Matrix<T> = Matrix { base: call.buffer(panel), strides: (width as isize, 1) };
    // SAFETY: the panel has `rows` rows of `width`, at least `columns`, elements.
    unsafe {
        to.copy::<SIDE>(from, (rows, columns), f);
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
struct Transpose<T, const SIDE: usize>(PhantomData<T>);

impl<T: Copy, const SIDE: usize> Body for Transpose<T, SIDE> {
    #[inline(always)]
    fn run(call: &Call) {
        let from: Matrix<T> = Matrix::argument(call, 0, 0);
        let to = Matrix::argument(call, 1, 2).transposed();
        // SAFETY: the result is as large as the transposed argument and does not overlap it.
        unsafe { to.copy::<SIDE>(from, (call.size(0), call.size(1)), |x| x) };
    }
}

pub(super) const ROWS: &[Row] = &[
    row::<Pack<f32, 4>>("tcc_pack_f32"),
    row::<Pack<f64, 4>>("tcc_pack_f64"),
    row::<Pack<bf16, 8>>("tcc_pack_bf16"),
    row::<Pack<bool, 8>>("tcc_pack_bool"),
    row::<PackScaled<f32, 4>>("tcc_pack_scaled_f32"),
    row::<PackScaled<f64, 4>>("tcc_pack_scaled_f64"),
    row::<PackGroups<bf16, 2>>("tcc_pack2_bf16"),
    row::<PackGroups<i8, 4>>("tcc_pack4_i8"),
    row::<PackGroups<u8, 4>>("tcc_pack4_u8"),
    row::<Transpose<f32, 4>>("tcc_transpose_f32"),
    row::<Transpose<f64, 4>>("tcc_transpose_f64"),
    row::<Transpose<bf16, 8>>("tcc_transpose_bf16"),
    row::<Transpose<i8, 8>>("tcc_transpose_i8"),
];
