//! A buffer that only one iteration of a loop uses at a time needs to hold no more than that.

use super::Refusal;
use super::address::Address;
use super::anchor::Anchor;
use super::cache::{Lets, accesses_of, fixed_extents, loops_in};
use super::cache_write::separate_inits;
use super::dependence::declared;
use super::rebase::Rebase;
use super::region::Region;
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Buffer, For, Kernel, Repeat, Stmt};
use tcc_ir::scalar::Expr;
use tcc_ir::{TensorId, VarId};

/// Statements that access a buffer themselves.
pub(super) fn users(body: &[Stmt], t: TensorId) -> Vec<Address> {
    let reads = |e: &Expr| e.reads().iter().any(|r| r.tensor == t);
    Address::all(body, &|s| match s {
        Stmt::Block(b) => b.store.buffer == t || b.exprs().into_iter().any(reads),
        Stmt::If { condition, .. } => reads(condition),
        Stmt::Repeat(Repeat { until, .. }) => reads(until),
        _ => false,
    })
}

/// Moves the allocation of a buffer into a loop, and makes it as large as an iteration needs, if
/// that can be told. The caller knows that no iteration uses what another one left there.
pub(super) fn shrink(k: &mut Kernel, t: TensorId, v: VarId) {
    let mut trial = k.clone();
    if narrowed(&mut trial, t, v).is_ok() {
        *k = trial;
    }
}

fn narrowed(k: &mut Kernel, t: TensorId, v: VarId) -> Result<(), Refusal> {
    let anchor = Anchor::Loop(v);
    separate_inits(k, &anchor, t)?;
    let stmts = anchor.stmts(k).to_vec();
    let path = anchor.path(k);
    let sizes = declared(k);
    let accesses = Accesses::of(k, &stmts, &sizes);
    let all = accesses_of(&path, &accesses, t);
    let Some(old) = k.buffers.get(t).cloned() else { return Ok(()) };
    let unknown = || Refusal::Unbounded { buffer: old.name.clone(), place: anchor.name(k) };
    if all.iter().any(|(a, p)| a.covered || p.iter().any(Option::is_none)) {
        return Err(unknown());
    }
    let inner = loops_in(&path, &stmts);
    let facts = path.facts(k);
    let positions = all.iter().map(|(_, p)| p.as_slice());
    let region = Region::around(positions, &old.shape, &inner, &facts).ok_or_else(unknown)?;
    let shape = fixed_extents(k, (t, &anchor), &region, &facts, old.scope)?;
    let lets = Lets::seen(&path, &stmts);
    let inner: Vec<_> = inner.iter().map(|r| r.var).collect();
    let to = k.buffers.push(Buffer { shape, ..old });
    let rebase = Rebase {
        from: t,
        to,
        origin: &region.lo,
        inner: &inner,
        lets: &lets,
        only: None,
        drops_defaults: false,
    };
    let mut made = vec![Stmt::Alloc(to)];
    made.extend(rebase.body(k, &stmts)?);
    anchor.replace(k, made);
    remove_alloc(&mut k.body, t);
    Ok(())
}

/// Takes the allocation of a buffer away.
pub(super) fn remove_alloc(body: &mut Vec<Stmt>, t: TensorId) {
    body.retain(|s| !matches!(s, Stmt::Alloc(u) if *u == t));
    for s in body {
        match s {
            Stmt::For(For { body, .. }) | Stmt::Repeat(Repeat { body, .. }) => {
                remove_alloc(body, t);
            }
            Stmt::If { then, otherwise, .. } => {
                remove_alloc(then, t);
                remove_alloc(otherwise, t);
            }
            _ => {}
        }
    }
}
