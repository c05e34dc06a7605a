//! Operations on strips: the elements of one axis, with any stride.

use super::Call;
use super::tier::Body;
use std::marker::PhantomData;
use std::slice;

/// An operation on `N` strips of one element type.
pub(super) trait Operation<const N: usize> {
    /// The type of the arguments.
    type In: Copy;
    /// The type of the result.
    type Out: Copy;

    /// The result for each element; all strips have one length.
    fn apply(x: [&[Self::In]; N], y: &mut [Self::Out]);
}

/// An operation that treats each element on its own.
pub(super) trait Map<const N: usize> {
    /// The type of the arguments.
    type In: Copy;
    /// The type of the result.
    type Out: Copy;

    /// The result.
    fn at(x: [Self::In; N]) -> Self::Out;
}

/// The operation of a [`Map`].
pub(super) struct Pointwise<M>(PhantomData<M>);

impl<M: Map<N>, const N: usize> Operation<N> for Pointwise<M> {
    type In = M::In;
    type Out = M::Out;

    #[inline(always)]
    fn apply(x: [&[M::In]; N], y: &mut [M::Out]) {
        let n = y.len();
        let x: [&[M::In]; N] = std::array::from_fn(|k| &x[k][..n]);
        for i in 0..n {
            y[i] = M::at(std::array::from_fn(|k| x[k][i]));
        }
    }
}

/// A function of one argument with a definition of its own for rare arguments.
pub(super) trait Partial {
    /// The type of argument and result.
    type Float: Copy;

    /// The result where [`Partial::is_common`] holds; otherwise any number.
    fn common(x: Self::Float) -> Self::Float;

    /// True for arguments that are not rare.
    fn is_common(x: Self::Float) -> bool;

    /// The result for rare arguments.
    fn rare(x: Self::Float) -> Self::Float;
}

/// The operation of a [`Partial`]: rare arguments are looked for in groups.
pub(super) struct Checked<F>(PhantomData<F>);

impl<F: Partial> Operation<1> for Checked<F> {
    type In = F::Float;
    type Out = F::Float;

    #[inline(always)]
    fn apply([x]: [&[F::Float]; 1], y: &mut [F::Float]) {
        for (x, y) in x.chunks(GROUP).zip(y.chunks_mut(GROUP)) {
            let mut common = true;
            for (x, y) in x.iter().zip(y.iter_mut()) {
                *y = F::common(*x);
                common &= F::is_common(*x);
            }
            if common {
                continue;
            }
            for (x, y) in x.iter().zip(y.iter_mut()).filter(|(x, _)| !F::is_common(**x)) {
                *y = F::rare(*x);
            }
        }
    }
}

/// Elements that are treated together where strides or rare arguments ask for it.
pub(super) const GROUP: usize = 64;

/// `Y[i] = f(X[i], ..)`; sizes: the length.
pub(super) struct Elementwise<F, const N: usize>(PhantomData<F>);

impl<F: Operation<N>, const N: usize> Body for Elementwise<F, N> {
    #[inline(always)]
    fn run(call: &Call) {
        let n = call.size(0);
        if n == 0 {
            return;
        }
        if (0..=N).all(|k| call.stride(k) == 1) {
            // SAFETY: each argument has `n` elements one after the other, and the result overlaps
            // no other.
            unsafe {
                let x = |k| slice::from_raw_parts(call.buffer::<F::In>(k).cast_const(), n);
                let y = slice::from_raw_parts_mut(call.buffer(N), n);
                return F::apply(std::array::from_fn(x), y);
            }
        }
        strided::<F, N>(call, n);
    }
}

/// Groups of elements go through the stack.
#[inline(always)]
fn strided<F: Operation<N>, const N: usize>(call: &Call, n: usize) {
    // SAFETY: the first element is there.
    let first: [F::In; N] = std::array::from_fn(|k| unsafe { call.buffer::<F::In>(k).read() });
    let mut x: [[F::In; GROUP]; N] = first.map(|first| [first; GROUP]);
    // SAFETY: the first element is there.
    let mut y = [unsafe { call.buffer::<F::Out>(N).read() }; GROUP];
    for start in (0..n).step_by(GROUP) {
        let len = (n - start).min(GROUP);
        for (k, x) in x.iter_mut().enumerate() {
            let stride = call.stride(k);
            if stride == 0 {
                // All elements are the first one.
                continue;
            }
            for (i, x) in x.iter_mut().enumerate().take(len) {
                // SAFETY: the argument has `n` elements at multiples of its stride.
                *x =
                    unsafe { call.buffer::<F::In>(k).offset((start + i) as isize * stride).read() };
            }
        }
        F::apply(std::array::from_fn(|k| &x[k][..len]), &mut y[..len]);
        for (i, y) in y.iter().enumerate().take(len) {
            let at = (start + i) as isize * call.stride(N);
            // SAFETY: the result has `n` elements at multiples of its stride.
            unsafe { call.buffer::<F::Out>(N).offset(at).write(*y) };
        }
    }
}

/// Operations on each element: a name, a symbol, the names and the type of the arguments, the type
/// of the result and its value. Makes the table of their implementations.
macro_rules! maps {
    ($($name:ident $symbol:literal ($($x:ident),*: $in:ty) -> $out:ty { $value:expr })*) => {
        $(
            struct $name;

            impl Map<{ [$(stringify!($x)),*].len() }> for $name {
                type In = $in;
                type Out = $out;

                #[inline(always)]
                fn at([$($x),*]: [$in; [$(stringify!($x)),*].len()]) -> $out {
                    $value
                }
            }
        )*

        pub(super) const ROWS: &[Row] = &[
            $(row::<Elementwise<Pointwise<$name>, { [$(stringify!($x)),*].len() }>>($symbol)),*
        ];
    };
}

pub(super) use maps;
