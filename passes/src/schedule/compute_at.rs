//! `compute_at(scale, jo)`: a block computes what an iteration of a later loop reads, inside of it.
//!
//! ```text
//! alloc T: f32[N] @local
//! for i in N { block scale(a = i) { T[a] = 2*X[a] } }
//! for jo in N/8 { for ji in 8 { block use(b = 8*jo + ji) { Y[b] = T[b] + 1 } } }
//! // compute_at(scale, jo)
//! for jo in N/8 {
//!     alloc T: f32[8] @local
//!     for i in 8 { block scale(a_o = 8*jo, a_i = i) { T[a_i] = 2*X[a_o + a_i] } }
//!     for ji in 8 { block use(b_o = 8*jo, b_i = ji) { Y[b_o + b_i] = T[b_i] + 1 } }
//! }
//! ```
//!
//! Legal if the kernel allocates what the block writes, nothing but the block writes it and nothing
//! outside of the loop reads it; the block stands alone in its loops, one for each axis that it
//! writes, before the loop; and what it reads is not written from there to the end of the loop.
//! The buffer shrinks to what an iteration needs where that is known not to depend on the loops
//! around.

use super::address::{Address, Path, add_range, follows, replaced};
use super::anchor::Anchor;
use super::cache::{accesses_of, loops_in};
use super::dependence::declared;
use super::edit::nested;
use super::nest::{allocated_named, find};
use super::nested_block::NestedBlock;
use super::region::Region;
use super::shrink::{shrink, users};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::dependence::{Accesses, Range};
use tcc_ir::kernel::{Block, For, Kernel, Stmt, Update};
use tcc_ir::scalar::{Comparison, Expr};

pub(super) fn compute_at(k: &mut Kernel, block: &str, target: &str) -> Result<(), Refusal> {
    let at = Address::of_block(k, block)?;
    let v = find(k, target)?;
    let Some(target_at) = Address::of_loop(k, v) else { return Ok(()) };
    let (root, later) = at.apart(&target_at);
    if at.is_in(&target_at) || root.position() >= later.position() {
        return Err(Refusal::NotBefore { block: block.to_owned(), target: target.to_owned() });
    }
    let nest = NestedBlock::of(k, &root, &at)?;
    let written = Names(k).buffer(nest.block.store.buffer);
    let t = allocated_named(k, &written)?;
    is_complete(k, &nest.block)?;
    let axes = nest.written_loops(k)?;
    for user in users(&k.body, t).into_iter().filter(|u| *u != at) {
        let name = user.block(&k.body).map_or("if", |b| b.name.as_str()).to_owned();
        if user.block(&k.body).is_some_and(|b| b.store.buffer == t) {
            return Err(Refusal::OtherWriter { buffer: written, other: name });
        }
        if !user.is_in(&target_at) || user == target_at {
            return Err(Refusal::UsedOutside {
                buffer: written,
                user: name,
                target: target.to_owned(),
            });
        }
    }
    unchanged(k, &nest.block, &root, &later)?;
    let region = needed(k, v, t)?;
    let facts = Path::into_loop(&k.body, v).facts(k);
    let made = restricted(&nest, &region_of_loops(&axes, &region), &facts);
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.remove(position);
    }
    let anchor = Anchor::Loop(v);
    let mut all = made;
    all.extend_from_slice(anchor.stmts(k));
    anchor.replace(k, all);
    shrink(k, t, v);
    Ok(())
}

/// Refuses a block that does not give its elements their values by itself.
pub(super) fn is_complete(k: &Kernel, b: &Block) -> Result<(), Refusal> {
    if b.store.update != Update::Set && b.init.is_none() {
        let buffer = Names(k).buffer(b.store.buffer);
        return Err(Refusal::Incomplete { block: b.name.clone(), buffer });
    }
    reads_others(k, b)
}

/// Refuses a block that reads what it writes, but for the element that it updates.
pub(super) fn reads_others(k: &Kernel, b: &Block) -> Result<(), Refusal> {
    let mut reads = b.exprs().into_iter().flat_map(Expr::reads);
    if reads.any(|r| r.tensor == b.store.buffer) {
        let buffer = Names(k).buffer(b.store.buffer);
        return Err(Refusal::ReadsOwn { block: b.name.clone(), buffer });
    }
    Ok(())
}

/// Refuses if something that the block reads is written between its statement and the end of a
/// later one.
fn unchanged(k: &Kernel, b: &Block, from: &Address, to: &Address) -> Result<(), Refusal> {
    let Some((body, first)) = from.siblings(&k.body) else { return Ok(()) };
    let between = body.get(first..=to.position()).unwrap_or(&[]);
    let sizes = declared(k);
    let accesses = Accesses::of(k, between, &sizes);
    for r in b.exprs().into_iter().flat_map(Expr::reads) {
        if let Some(w) = accesses.list.iter().find(|a| a.writes && a.buffer == r.tensor) {
            return Err(Refusal::Changed {
                block: b.name.clone(),
                buffer: Names(k).buffer(r.tensor),
                writer: w.block.map_or(String::new(), |b| b.name.clone()),
            });
        }
    }
    Ok(())
}

/// What an iteration of a loop accesses of a buffer.
fn needed(k: &Kernel, v: VarId, t: tcc_ir::TensorId) -> Result<Region, Refusal> {
    let anchor = Anchor::Loop(v);
    let (path, stmts) = (anchor.path(k), anchor.stmts(k));
    let sizes = declared(k);
    let accesses = Accesses::of(k, stmts, &sizes);
    let all = accesses_of(&path, &accesses, t);
    let shape = k.buffers.get(t).map_or(vec![], |b| b.shape.clone());
    let inner = loops_in(&path, stmts);
    let positions = all.iter().map(|(_, p)| p.as_slice());
    let unbounded = || Refusal::Unbounded { buffer: Names(k).buffer(t), place: anchor.name(k) };
    let none = || Refusal::UnusedIn { buffer: Names(k).buffer(t), place: anchor.name(k) };
    if all.is_empty() {
        return Err(none());
    }
    Region::around(positions, &shape, &inner, &path.facts(k)).ok_or_else(unbounded)
}

/// The part that each loop is to run over: its variable, the first value, and how many.
pub(super) fn region_of_loops(
    axes: &[Option<VarId>],
    region: &Region,
) -> Vec<(VarId, IntExpr, IntExpr)> {
    let bounds = region.lo.iter().cloned().zip(region.extents());
    axes.iter().zip(bounds).filter_map(|(v, (lo, n))| Some(((*v)?, lo, n))).collect()
}

/// The loops of a nest over parts of what they run over.
pub(super) fn restricted(
    nest: &NestedBlock,
    parts: &[(VarId, IntExpr, IntExpr)],
    facts: &Facts,
) -> Vec<Stmt> {
    let mut facts = facts.clone();
    let (zero, one) = (IntExpr::constant(0), IntExpr::constant(1));
    // A loop over one position is none.
    let single = |extent: &IntExpr| *extent == one;
    let position = |v: VarId, lo: &IntExpr, extent: &IntExpr| {
        if single(extent) { lo.clone() } else { IntExpr::from(v) + lo.clone() }
    };
    let moved: Vec<(VarId, IntExpr)> =
        parts.iter().map(|(v, lo, extent)| (*v, position(*v, lo, extent))).collect();
    let int = |e: &IntExpr| replaced(e, &moved);
    let mut conditions: Vec<Expr> = Vec::new();
    let mut loops: Vec<For> = Vec::new();
    for f in &nest.loops {
        let (lo, hi) = (int(&f.lo), int(&f.hi));
        let Some((_, _, extent)) = parts.iter().find(|(v, ..)| *v == f.var) else {
            let last = &hi - &one;
            add_range(&mut facts, &Range { var: f.var, lo: lo.clone(), last });
            loops.push(For { lo, hi, ..f.clone() });
            continue;
        };
        if !single(extent) {
            let last = extent - &one;
            add_range(&mut facts, &Range { var: f.var, lo: zero.clone(), last });
            loops.push(For { lo: zero.clone(), hi: extent.clone(), ..f.clone() });
        }
        let position = int(&f.var.into());
        conditions.extend([
            Expr::Compare(Comparison::Ge, position.clone(), lo),
            Expr::Compare(Comparison::Lt, position, hi),
        ]);
    }
    conditions.retain(|c| !follows(&facts, c));
    conditions.extend(nest.conditions.iter().map(|c| c.rewrite(&int, &mut |e| e)));
    let iters = nest.block.iters.iter().map(|(v, e)| (*v, int(e))).collect();
    let block = Block { iters, ..nest.block.clone() };
    nested(loops, conditions, vec![Stmt::Block(block)])
}
