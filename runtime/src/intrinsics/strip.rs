//! Operations on strips: the elements of one axis, which stay in the nearest cache.

use super::Call;
use super::tier::{Body, Row, row};
use std::marker::PhantomData;
use std::slice;

/// An operation that makes one value of `N`.
pub(super) trait Map<const N: usize> {
    /// The type of the values.
    type In: Copy;
    /// The type of the result.
    type Out: Copy;

    /// The result.
    fn at(x: [Self::In; N]) -> Self::Out;
}

/// `Y[i] = at(X[i], ..)`; sizes: the number of elements.
pub(super) struct Elementwise<M, const N: usize>(PhantomData<M>);

impl<M: Map<N>, const N: usize> Body for Elementwise<M, N> {
    #[inline(always)]
    fn run(call: &Call) {
        let n = call.size(0);
        let result = call.buffer::<M::Out>(N);
        if (0..=N).all(|k| call.stride(k) == 1) {
            // SAFETY: each argument has `n` elements one after the other, and the result overlaps
            // no other.
            let (x, y) = unsafe {
                let x = |k| slice::from_raw_parts(call.buffer::<M::In>(k).cast_const(), n);
                (std::array::from_fn::<_, N, _>(x), slice::from_raw_parts_mut(result, n))
            };
            for i in 0..n {
                y[i] = M::at(std::array::from_fn(|k| x[k][i]));
            }
            return;
        }
        for i in 0..n as isize {
            // SAFETY: each argument has `n` elements at multiples of its stride.
            unsafe {
                let x = |k| call.buffer::<M::In>(k).offset(i * call.stride(k)).read();
                let y = M::at(std::array::from_fn(x));
                result.offset(i * call.stride(N)).write(y);
            }
        }
    }
}

struct Add<T>(PhantomData<T>);

impl Map<2> for Add<f32> {
    type In = f32;
    type Out = f32;

    #[inline(always)]
    fn at([x, y]: [f32; 2]) -> f32 {
        x + y
    }
}

pub(super) const ROWS: &[Row] = &[row::<Elementwise<Add<f32>, 2>>("tcc_add_f32")];
