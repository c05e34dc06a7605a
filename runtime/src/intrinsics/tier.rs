//! One body, compiled for several sets of CPU features.
//!
//! The compiler turns loops over slices into vector instructions of whatever width the features
//! allow. It never reorders or fuses operations on floats, so that all tiers give the same bits.

use super::{Call, Implementation};

/// What an intrinsic does. Implementations are `#[inline(always)]`, as is what they call, so that
/// the code is made with the features of the tier.
pub(super) trait Body {
    /// Does it. The call fits the declaration.
    fn run(call: &Call);
}

/// The implementations of one symbol, the fastest first.
pub(super) type Row = [Implementation; TIERS];

#[cfg(target_arch = "x86_64")]
const TIERS: usize = 3;
#[cfg(not(target_arch = "x86_64"))]
const TIERS: usize = 1;

/// A body for every tier.
#[cfg(target_arch = "x86_64")]
pub(super) const fn row<B: Body>(symbol: &'static str) -> Row {
    [avx512::<B>(symbol), avx2::<B>(symbol), baseline::<B>(symbol)]
}

/// A body for every tier.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const fn row<B: Body>(symbol: &'static str) -> Row {
    [baseline::<B>(symbol)]
}

/// A tier: the function that gives the implementation of a body, the features by name, and as the
/// compiler reads them.
macro_rules! tier {
    ($(#[$doc:meta])* $name:ident [$($feature:literal),*] $($enable:literal)?) => {
        $(#[$doc])*
        pub(super) const fn $name<B: Body>(symbol: &'static str) -> Implementation {
            /// # Safety
            /// The arguments fit the declaration, and the machine has the features.
            $(#[target_feature(enable = $enable)])?
            unsafe extern "C" fn run<B: Body>(
                buffers: *const *mut u8,
                strides: *const i64,
                sizes: *const i64,
            ) {
                // SAFETY: the caller's promise.
                B::run(&unsafe { Call::new(buffers, strides, sizes) });
            }
            let (tier, features) = (stringify!($name), &[$($feature),*]);
            Implementation { symbol, tier, features, function: run::<B> }
        }
    };
}

tier! {
    /// What every machine of the architecture runs.
    baseline []
}

#[cfg(target_arch = "aarch64")]
tier! {
    /// As [`baseline`], for bodies that use the instructions by name.
    neon ["neon"] "neon"
}

#[cfg(target_arch = "x86_64")]
tier! {
    /// AVX2 with fused multiply-add.
    avx2 ["avx2", "fma"] "avx2,fma"
}

#[cfg(target_arch = "x86_64")]
tier! {
    /// The AVX-512 of servers since 2017.
    avx512 ["avx512f", "avx512bw", "avx512dq", "avx512vl"] "avx512f,avx512bw,avx512dq,avx512vl"
}

#[cfg(target_arch = "x86_64")]
tier! {
    /// With products of bytes.
    avx512_vnni ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"]
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
}

#[cfg(target_arch = "x86_64")]
tier! {
    /// With products of bfloat16.
    avx512_bf16 ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16"]
        "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
}
