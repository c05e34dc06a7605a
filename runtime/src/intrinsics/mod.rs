//! Functions that compiled kernels call on parts of buffers.
//!
//! What each one computes is declared in `ir-spec/intrinsics/*.tir` under the same symbol; every
//! implementation of a symbol gives the same bits. Strips, reductions and packing are one Rust body
//! each, compiled for several sets of CPU features ([`tier`]); micro-kernels of contractions are
//! written with the vector instructions of each ([`vector`]).

mod arithmetic;
mod call;
mod cast;
mod contract;
mod dot;
mod expansion;
mod math;
mod pack;
mod reduce;
mod strip;
mod tier;
mod vector;

use call::Call;
use tcc_abi::IntrinsicFn;

/// One implementation of an intrinsic.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    /// The symbol that the declaration names.
    pub symbol: &'static str,
    /// The name of what the features make together, for example `avx512`.
    pub tier: &'static str,
    /// The CPU features that it uses.
    pub features: &'static [&'static str],
    /// The function. It may be called on a machine that has the features, with arguments that fit
    /// the declaration; results overlap no other argument.
    pub function: IntrinsicFn,
}

impl Implementation {
    /// True if this machine has the features.
    pub fn is_available(&self) -> bool {
        let have = crate::host_features();
        self.features.iter().all(|f| have.contains(f))
    }
}

/// All implementations for this architecture; of one symbol the fastest first.
pub fn intrinsics() -> impl Iterator<Item = Implementation> {
    let rows = [arithmetic::ROWS, arithmetic::CHOICES, cast::ROWS, math::ROWS, math::PARTIAL];
    let rows = rows.into_iter().chain([reduce::ROWS, pack::ROWS]);
    let tiles = [contract::NATIVE, contract::PORTABLE, dot::NATIVE, dot::PORTABLE];
    rows.flatten().flatten().chain(tiles.into_iter().flatten()).copied()
}

/// The fastest implementation of a symbol on this machine.
pub fn intrinsic(symbol: &str) -> Option<Implementation> {
    intrinsics().find(|i| i.symbol == symbol && i.is_available())
}
