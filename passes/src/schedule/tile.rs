//! `io, jo, ii, ji = tile(i, j, 14, 32)`: loops over tiles, and inside of them loops over the
//! elements of a tile.
//!
//! ```text
//! for i in M { for j in N { S(i, j) } }
//! // io, jo, ii, ji = tile(i, j, 14, 32)
//! for io in (M + 13)/14 { for jo in (N + 31)/32 {
//!     for ii in 14 { if 14*io + ii < M { for ji in 32 { if 32*jo + ji < N {
//!         S(14*io + ii, 32*jo + ji)
//!     } } } }
//! } }
//! ```
//!
//! It is made of splits and reorders, and legal where those are. A peeled loop leaves the nest, so
//! each loop is split only when the inner loops of those before it stand inside of it.

use super::Refusal;
use super::reorder::reorder;
use super::split::split;
use tcc_ir::kernel::Kernel;
use tcc_ir::schedule::{Permission, Tail};

/// The loops to tile, and the names of what they become.
pub(super) struct Tiles<'a> {
    pub(super) targets: &'a [String],
    pub(super) factors: &'a [i64],
    pub(super) outer: &'a [String],
    pub(super) inner: &'a [String],
}

pub(super) fn tile(
    k: &mut Kernel,
    tiles: &Tiles<'_>,
    tail: Tail,
    permission: Option<Permission>,
) -> Result<(), Refusal> {
    let names = tiles.outer.iter().zip(tiles.inner);
    for (n, ((target, factor), (outer, inner))) in
        tiles.targets.iter().zip(tiles.factors).zip(names).enumerate()
    {
        split(k, target, *factor, tail, (outer, inner))?;
        let left = tiles.targets.iter().skip(n + 1);
        let done = tiles.inner.iter().take(n);
        let order: Vec<String> =
            [outer].into_iter().chain(left).chain(done).chain([inner]).cloned().collect();
        reorder(k, &order, permission)?;
    }
    Ok(())
}
