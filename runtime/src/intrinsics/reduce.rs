//! Reductions of strips.
//!
//! The elements go to 256 bytes of accumulators in turn, which are combined half by half: an order
//! that depends on the length alone, and that vectors of any width can follow.

use super::Call;
use super::arithmetic::{max_f32, max_f64, min_f32, min_f64};
use super::tier::{Body, Row, row};

/// A reducer of `LANES` accumulators.
trait Reduce<const LANES: usize> {
    /// The type of elements and result.
    type Element: Copy;
    /// The result for no elements.
    const UNIT: Self::Element;

    /// One of two.
    fn combine(a: Self::Element, b: Self::Element) -> Self::Element;
}

/// `S = X[0] + X[1] + ..`; sizes: the length.
struct Reduction<R, const LANES: usize>(std::marker::PhantomData<R>);

impl<R: Reduce<LANES>, const LANES: usize> Body for Reduction<R, LANES> {
    #[inline(always)]
    fn run(call: &Call) {
        let (n, stride) = (call.size(0), call.stride(0));
        let x = call.buffer::<R::Element>(0).cast_const();
        let mut lanes = [R::UNIT; LANES];
        if stride == 1 && n > 0 {
            // SAFETY: `n` elements follow each other.
            let x = unsafe { std::slice::from_raw_parts(x, n) };
            let (whole, rest) = x.as_chunks::<LANES>();
            for x in whole {
                for (lane, x) in lanes.iter_mut().zip(x) {
                    *lane = R::combine(*lane, *x);
                }
            }
            for (lane, x) in lanes.iter_mut().zip(rest) {
                *lane = R::combine(*lane, *x);
            }
        } else {
            for i in 0..n {
                let lane = &mut lanes[i % LANES];
                // SAFETY: `n` elements are at multiples of the stride.
                *lane = R::combine(*lane, unsafe { x.offset(i as isize * stride).read() });
            }
        }
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] = R::combine(lanes[lane], lanes[lane + half]);
            }
            half /= 2;
        }
        // SAFETY: the result is one element.
        unsafe { call.buffer::<R::Element>(1).write(lanes[0]) };
    }
}

/// Reducers: a name, a symbol, the type, the number of accumulators, the unit and the combination.
macro_rules! reducers {
    ($($name:ident $symbol:literal $ty:ty, $lanes:literal: $unit:expr, $combine:expr;)*) => {
        $(
            struct $name;

            impl Reduce<$lanes> for $name {
                type Element = $ty;
                const UNIT: $ty = $unit;

                #[inline(always)]
                fn combine(a: $ty, b: $ty) -> $ty {
                    $combine(a, b)
                }
            }
        )*

        pub(super) const ROWS: &[Row] = &[$(row::<Reduction<$name, $lanes>>($symbol)),*];
    };
}

reducers! {
    SumF32 "tcc_sum_f32" f32, 64: 0.0, |a, b| a + b;
    SumF64 "tcc_sum_f64" f64, 32: 0.0, |a, b| a + b;
    ProdF32 "tcc_prod_f32" f32, 64: 1.0, |a, b| a * b;
    ProdF64 "tcc_prod_f64" f64, 32: 1.0, |a, b| a * b;
    MaxF32 "tcc_amax_f32" f32, 64: f32::NEG_INFINITY, max_f32;
    MaxF64 "tcc_amax_f64" f64, 32: f64::NEG_INFINITY, max_f64;
    MinF32 "tcc_amin_f32" f32, 64: f32::INFINITY, min_f32;
    MinF64 "tcc_amin_f64" f64, 32: f64::INFINITY, min_f64;
}
