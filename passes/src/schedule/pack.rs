//! `P = pack(mm, B[k,n], P[n/8,k,n % 8], at=jo, scope=local)`: what a block reads of a buffer is
//! copied to panels first.
//!
//! It is a `cache_read` followed by a `transform_layout` of the copy: the layout tells where the
//! element at a position relative to the part goes.
//!
//! ```text
//! for jo in J { for k in K { for ji in 32 { block mm(n = 32*jo + ji, r = k) { .. B[r,n] .. } } } }
//! // P = pack(mm, B[k,n], P[n/8,k,n % 8], at=jo)
//! for jo in J {
//!     alloc P: f32[4,K,8] @local
//!     for P_0 in K { for P_1 in 32 {
//!         block P(i0 = P_0, i1 = P_1, x1 = 32*jo + P_1) { P[i1/8,i0,i1 % 8] = B[i0,x1] }
//!     } }
//!     for k in K { for ji in 32 {
//!         block mm(n_o = 32*jo, n_i = ji, r = k) { .. P[n_i/8,r,n_i % 8] .. }
//!     } }
//! }
//! ```

use super::Refusal;
use super::cache_read::{CacheRead, cache_read};
use super::transform_layout::transform_layout;
use tcc_ir::kernel::Kernel;
use tcc_ir::schedule::Layout;

pub(super) fn pack(k: &mut Kernel, what: &CacheRead<'_>, layout: &Layout) -> Result<(), Refusal> {
    cache_read(k, what)?;
    transform_layout(k, what.cache, layout)
}
