//! One body, compiled for several sets of CPU features.
//!
//! The compiler turns loops over slices into vector instructions of whatever width the features
//! allow. Floating-point operations are never reordered or fused by it, so that all tiers give the
//! same bits.

use super::{Call, Implementation};

/// What an intrinsic does. Implementations are `#[inline(always)]`, as is what they call, so that
/// the code is made with the features of the tier.
pub(super) trait Body {
    /// Does it.
    fn run(call: &Call);
}

/// The implementations of one symbol.
pub(super) type Row = [Implementation; TIERS];

#[cfg(target_arch = "x86_64")]
const TIERS: usize = 3;
#[cfg(not(target_arch = "x86_64"))]
const TIERS: usize = 1;

/// The features of the tier for AVX-512.
#[cfg(target_arch = "x86_64")]
pub(super) const AVX512: &[&str] = &["avx512f", "avx512bw", "avx512dq", "avx512vl"];
/// The features of the tier for AVX2.
#[cfg(target_arch = "x86_64")]
pub(super) const AVX2: &[&str] = &["avx2", "fma"];

/// The implementations of a body, the fastest first.
#[cfg(target_arch = "x86_64")]
pub(super) const fn row<B: Body>(symbol: &'static str) -> Row {
    [
        Implementation { symbol, features: AVX512, function: avx512::<B> },
        Implementation { symbol, features: AVX2, function: avx2::<B> },
        Implementation { symbol, features: &[], function: baseline::<B> },
    ]
}

/// The implementation of a body.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const fn row<B: Body>(symbol: &'static str) -> Row {
    [Implementation { symbol, features: &[], function: baseline::<B> }]
}

/// What every machine of the architecture runs.
///
/// # Safety
/// The arguments fit the declaration.
unsafe extern "C" fn baseline<B: Body>(
    buffers: *const *mut u8,
    strides: *const i64,
    sizes: *const i64,
) {
    // SAFETY: the caller's promise.
    B::run(&unsafe { Call::new(buffers, strides, sizes) });
}

/// # Safety
/// The arguments fit the declaration, and the machine has [`AVX2`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe extern "C" fn avx2<B: Body>(
    buffers: *const *mut u8,
    strides: *const i64,
    sizes: *const i64,
) {
    // SAFETY: the caller's promise.
    B::run(&unsafe { Call::new(buffers, strides, sizes) });
}

/// # Safety
/// The arguments fit the declaration, and the machine has [`AVX512`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe extern "C" fn avx512<B: Body>(
    buffers: *const *mut u8,
    strides: *const i64,
    sizes: *const i64,
) {
    // SAFETY: the caller's promise.
    B::run(&unsafe { Call::new(buffers, strides, sizes) });
}
