//! `Cc = cache_write(mm, at=jo, scope=register)`: what a loop makes of a buffer it makes in another
//! one, which is copied back at the end.
//!
//! ```text
//! for jo in J {
//!     for ji in 8 { block start(n = 8*jo + ji) { C[n] = 0 } }
//!     for k in K { for ji_1 in 8 { block mm(n = 8*jo + ji_1, r = k) { C[n] += A[r] * B[r,n] } } }
//! }
//! // Cc = cache_write(mm, at=jo, scope=register)
//! for jo in J {
//!     alloc Cc: f32[8] @register
//!     for ji in 8 { block start(n_i = ji) { Cc[n_i] = 0 } }
//!     for k in K { for ji_1 in 8 {
//!         block mm(n_o = 8*jo, n_i = ji_1, r = k) { Cc[n_i] += A[r] * B[r,n_o + n_i] }
//!     } }
//!     for Cc_out_0 in 8 { block Cc_out(i0 = Cc_out_0, x0 = 8*jo + Cc_out_0) { C[x0] = Cc[i0] } }
//! }
//! ```
//!
//! All accesses inside of the loop move, those of other blocks too. The part is loaded first, by a
//! block `Cc_in`, unless the first block that accesses it is shown to write all of it. An `init`
//! inside of the loop becomes a block of its own, as by `decompose_reduction`.

use super::address::{Address, Path};
use super::anchor::Anchor;
use super::cache::{Direction, Lets, accesses_of, allocate, loops_in, transfer};
use super::decompose_reduction::separate_init;
use super::dependence::declared;
use super::edit::fresh_block;
use super::rebase::Rebase;
use super::region::{Region, covers, on_axis};
use super::{Names, Refusal};
use tcc_ir::TensorId;
use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::dependence::{Accesses, Range};
use tcc_ir::kernel::{Kernel, Scope, Stmt, Update, visit_blocks};

/// What is written where.
pub(super) struct CacheWrite<'a> {
    pub(super) block: &'a str,
    pub(super) at: Option<&'a String>,
    pub(super) scope: Scope,
    pub(super) cache: &'a str,
}

pub(super) fn cache_write(k: &mut Kernel, what: &CacheWrite<'_>) -> Result<(), Refusal> {
    let address = Address::of_block(k, what.block)?;
    let anchor = Anchor::around(k, &address, what.at)?;
    let Some(whole) = address.block(&k.body).map(|b| b.store.buffer) else { return Ok(()) };
    separate_inits(k, &anchor, whole)?;
    let address = Address::of_block(k, what.block)?;
    let anchor = Anchor::around(k, &address, what.at)?;
    let stmts = anchor.stmts(k).to_vec();
    let path = anchor.path(k);
    let sizes = declared(k);
    let accesses = Accesses::of(k, &stmts, &sizes);
    let names = Names(k);
    let (buffer, place) = (names.buffer(whole), anchor.name(k));
    let all = accesses_of(&path, &accesses, whole);
    if all.is_empty() {
        return Err(Refusal::AllocatedInside { buffer, place });
    }
    if let Some((a, _)) = all.iter().find(|(_, p)| p.iter().any(Option::is_none)) {
        let block = a.block.map_or("if", |b| b.name.as_str()).to_owned();
        return Err(Refusal::DataPosition { block, buffer });
    }
    if let Some((a, _)) = all.iter().find(|(a, _)| a.covered) {
        let block = a.block.map_or("if", |b| b.name.as_str()).to_owned();
        return Err(Refusal::Default { block, buffer });
    }
    let shape = k.buffers.get(whole).map_or(vec![], |b| b.shape.clone());
    let inner = loops_in(&path, &stmts);
    let facts = path.facts(k);
    let positions = all.iter().map(|(_, p)| p.as_slice());
    let Some(region) = Region::around(positions, &shape, &inner, &facts) else {
        return Err(Refusal::Unbounded { buffer, place });
    };
    let fresh = writes_all_first(k, &path, &stmts, (whole, &region), (&inner, &facts));
    let lets = Lets::seen(&path, &stmts);
    let inner: Vec<_> = inner.iter().map(|r| r.var).collect();
    let part = allocate(k, (whole, &anchor), &region, &facts, (what.cache, what.scope))?;
    let rebase = Rebase {
        from: whole,
        to: part.part,
        origin: &part.origin,
        inner: &inner,
        lets: &lets,
        only: None,
        drops_defaults: false,
    };
    let rest = rebase.body(k, &stmts)?;
    let mut made = vec![Stmt::Alloc(part.part)];
    if !fresh {
        let name = fresh_block(k, &format!("{}_in", what.cache));
        made.extend(transfer(k, &part, Direction::Load, (&name, None), &facts));
    }
    let name = fresh_block(k, &format!("{}_out", what.cache));
    let out = transfer(k, &part, Direction::Store, (&name, None), &facts);
    made.extend(rest);
    made.extend(out);
    anchor.replace(k, made);
    Ok(())
}

/// Makes blocks of the `init`s of a buffer inside of an anchor.
pub(super) fn separate_inits(
    k: &mut Kernel,
    anchor: &Anchor,
    whole: TensorId,
) -> Result<(), Refusal> {
    let mut blocks: Vec<String> = Vec::new();
    visit_blocks(anchor.stmts(k), &mut |b| {
        if b.store.buffer == whole && b.init.is_some() {
            blocks.push(b.name.clone());
        }
    });
    for name in blocks {
        let at = Address::of_block(k, &name)?;
        let path = Path::to(&k.body, &at);
        let inside = match anchor {
            Anchor::Loop(v) => path.inside(*v),
            Anchor::Root(_) => path,
        };
        let outermost = inside.loops().next().map(|f| f.var);
        separate_init(k, &at, outermost, &format!("{name}_init"))?;
    }
    Ok(())
}

/// True if the first statement that accesses a buffer is shown to write all of a region.
pub(super) fn writes_all_first(
    k: &Kernel,
    path: &Path<'_>,
    stmts: &[Stmt],
    (whole, region): (TensorId, &Region),
    (inner, facts): (&[Range], &Facts),
) -> bool {
    let sizes = declared(k);
    let used = |s: &&Stmt| {
        let accesses = Accesses::of(k, std::slice::from_ref(s), &sizes);
        accesses.list.iter().any(|a| a.buffer == whole)
    };
    let Some(first) = stmts.iter().find(used) else { return false };
    let accesses = Accesses::of(k, std::slice::from_ref(first), &sizes);
    let all = accesses_of(path, &accesses, whole);
    let [(write, position)] = all.as_slice() else { return false };
    let Some(b) = write.block.filter(|b| {
        write.writes && b.store.update == Update::Set && b.guard.is_none() && !b.store.drop
    }) else {
        return false;
    };
    let shape = k.buffers.get(whole).map_or(vec![], |b| b.shape.clone());
    let own = Region::around([position.as_slice()].into_iter(), &shape, inner, facts);
    let position: Option<Vec<IntExpr>> = position.iter().cloned().collect();
    let (Some(own), Some(position)) = (own, position) else { return false };
    let body = std::slice::from_ref(first);
    let same = |s: &Stmt| matches!(s, Stmt::Block(x) if std::ptr::eq(x, b));
    let Some(at) = Address::all(body, &same).pop() else { return false };
    let within = |p: &[IntExpr]| p.iter().zip(&shape).flat_map(|(p, n)| on_axis(p, n)).collect();
    own == *region && covers(k, path, &Path::to(body, &at), &position, &within)
}
