//! `Bc = cache_read(mm, B, at=jo, scope=local)`: what a block reads of a buffer is copied to
//! another one first.
//!
//! ```text
//! for jo in J { for k in K { for ji in 8 { block mm(n = 8*jo + ji, r = k) { .. B[r,n] .. } } } }
//! // Bc = cache_read(mm, B, at=jo)
//! for jo in J {
//!     alloc Bc: f32[K,8] @local
//!     for Bc_0 in K { for Bc_1 in 8 {
//!         block Bc(i0 = Bc_0, i1 = Bc_1, x1 = 8*jo + Bc_1) { Bc[i0,i1] = B[i0,x1] }
//!     } }
//!     for k in K { for ji in 8 {
//!         block mm(n_o = 8*jo, n_i = ji, r = k) { .. Bc[r,n_i] .. }
//!     } }
//! }
//! ```
//!
//! Legal if nothing inside of the loop writes the buffer, and the part that an iteration reads has
//! an extent that does not depend on the loops around. Positions out of bounds of the buffer, which
//! a guarded tail never reads, are not copied; where the block reads them with a default, the copy
//! holds the default.

use super::address::Address;
use super::anchor::Anchor;
use super::cache::{Direction, Lets, accesses_of, allocate, loops_in, transfer};
use super::dependence::declared;
use super::edit::fresh_block;
use super::nest::buffer_named;
use super::rebase::Rebase;
use super::region::Region;
use super::{Names, Refusal};
use tcc_ir::TensorId;
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Block, Kernel, Scope, Stmt};
use tcc_ir::scalar::Expr;

/// What is read where.
pub(super) struct CacheRead<'a> {
    pub(super) block: &'a str,
    pub(super) buffer: &'a str,
    pub(super) at: Option<&'a String>,
    pub(super) scope: Scope,
    pub(super) cache: &'a str,
}

pub(super) fn cache_read(k: &mut Kernel, what: &CacheRead<'_>) -> Result<(), Refusal> {
    let address = Address::of_block(k, what.block)?;
    let anchor = Anchor::around(k, &address, what.at)?;
    let whole = buffer_named(k, what.buffer)?;
    let stmts = anchor.stmts(k).to_vec();
    let path = anchor.path(k);
    let sizes = declared(k);
    let accesses = Accesses::of(k, &stmts, &sizes);
    let names = Names(k);
    let (buffer, place) = (what.buffer.to_owned(), anchor.name(k));
    let block = what.block.to_owned();
    if let Some(w) = accesses.list.iter().find(|a| a.buffer == whole && a.writes) {
        let writer = w.block.map_or(String::new(), |b| b.name.clone());
        return Err(Refusal::WrittenInside { buffer, writer, place });
    }
    let all = accesses_of(&path, &accesses, whole);
    let own = |b: Option<&Block>| b.is_some_and(|b| b.name == block);
    let read: Vec<_> = all.into_iter().filter(|(a, _)| own(a.block)).map(|(_, p)| p).collect();
    let Some(b) = address.block(&k.body).filter(|_| !read.is_empty()) else {
        return Err(Refusal::NotRead { block, buffer, place });
    };
    if read.iter().flatten().any(Option::is_none) {
        return Err(Refusal::DataPosition { block, buffer });
    }
    let default =
        default_of(b, whole).map_err(|()| Refusal::Defaults { block, buffer: buffer.clone() })?;
    let shape = k.buffers.get(whole).map_or(vec![], |b| b.shape.clone());
    let inner = loops_in(&path, &stmts);
    let facts = path.facts(k);
    let positions = read.iter().map(Vec::as_slice);
    let Some(region) = Region::around(positions, &shape, &inner, &facts) else {
        return Err(Refusal::Unbounded { buffer: names.buffer(whole), place });
    };
    let lets = Lets::seen(&path, &stmts);
    let inner: Vec<_> = inner.iter().map(|r| r.var).collect();
    let part = allocate(k, (whole, &anchor), &region, &facts, (what.cache, what.scope))?;
    let rebase = Rebase {
        from: whole,
        to: part.part,
        origin: &part.origin,
        inner: &inner,
        lets: &lets,
        only: Some(what.block),
        drops_defaults: !region.is_cut,
    };
    let rest = rebase.body(k, &stmts)?;
    let name = fresh_block(k, what.cache);
    let mut made = vec![Stmt::Alloc(part.part)];
    made.extend(transfer(k, &part, Direction::Load, (&name, default.as_ref()), &facts));
    made.extend(rest);
    anchor.replace(k, made);
    Ok(())
}

/// The default of the reads of a buffer, if they have one; an error if they have several.
fn default_of(b: &Block, t: TensorId) -> Result<Option<Expr>, ()> {
    let reads = b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == t);
    let mut defaults = reads.filter_map(|r| r.default.as_ref());
    let Some(first) = defaults.next() else { return Ok(None) };
    let constant = matches!(first, Expr::Literal(_));
    if constant && defaults.all(|d| d == first) { Ok(Some(first.clone())) } else { Err(()) }
}
