//! `pipeline(k, Bc, depth=2)`: a loop copies what later iterations need while it works on what was
//! copied before.
//!
//! ```text
//! for k in K {
//!     alloc Bc: f32[8] @local
//!     for i in 8 { block Bc(a = k, b = i) { Bc[b] = B[a,b] } }
//!     for j in 8 { block mm(n = j) { C[n] += Bc[n] } }
//! }
//! // pipeline(k, Bc, depth=2)
//! alloc Bc: f32[2,8] @local
//! for k_first in min(1, K) {
//!     for i_first in 8 {
//!         block Bc_first(a = k_first, b = i_first, p = k_first % 2) { Bc[p,b] = .. } }
//! }
//! for k in K {
//!     if k + 1 < K { for i in 8 { block Bc(a = k + 1, b = i, p = (k + 1) % 2) { Bc[p,b] = .. } } }
//!     for j in 8 { block mm(n = j, p = k % 2) { C[n] += Bc[p,n] } }
//! }
//! ```
//!
//! Legal if the loop runs in order and allocates the buffer itself; the first of its statements
//! that use the buffer writes it, alone, and nothing else; and nothing in the loop writes what that
//! statement reads.

use super::address::Address;
use super::dependence::declared;
use super::edit::{copy, fresh_name, guarded, mapped, substitute};
use super::nest::{find, loop_of, replace};
use super::rebase::{fresh_iter, rewrite_block};
use super::shrink::users;
use super::{Names, Refusal};
use tcc_ir::TensorId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Block, Buffer, For, Kernel, LoopKind, Stmt, visit_blocks};
use tcc_ir::scalar::{Comparison, Expr, Read, Subscript};

/// The most copies of a buffer.
const MAX_DEPTH: i64 = 64;

pub(super) fn pipeline(
    k: &mut Kernel,
    target: &str,
    block: &str,
    depth: i64,
) -> Result<(), Refusal> {
    let v = find(k, target)?;
    let at = Address::of_block(k, block)?;
    if !Address::of_loop(k, v).is_some_and(|l| at.is_in(&l)) {
        return Err(Refusal::NotInside { block: block.to_owned(), target: target.to_owned() });
    }
    if !(2..=MAX_DEPTH).contains(&depth) {
        return Err(Refusal::Depth { depth, most: MAX_DEPTH });
    }
    let Some(f) = loop_of(&k.body, v).cloned() else { return Ok(()) };
    if f.kind != LoopKind::Serial {
        return Err(Refusal::Marked { name: target.to_owned(), kind: f.kind.name() });
    }
    let Some(t) = at.block(&k.body).map(|b| b.store.buffer) else { return Ok(()) };
    let position = stage(k, &f, t, block)?;
    let Some(old) = k.buffers.get(t).cloned() else { return Ok(()) };
    let mut shape = vec![IntExpr::constant(depth)];
    shape.extend(old.shape.iter().cloned());
    let slots = k.buffers.push(Buffer { shape, ..old });
    let slot = (IntExpr::from(v) - f.lo.clone()).modulo(&IntExpr::constant(depth));
    let moved = Slots { from: t, to: slots, slot };
    let mut body = mapped(&f.body, &mut |b| moved.block(k, b), &|e| moved.condition(e))?;
    body.retain(|s| *s != Stmt::Alloc(t));
    let copying = independent(vec![body.remove(position)], &f);
    let ahead = IntExpr::constant(depth - 1);
    let next = IntExpr::from(v) + ahead.clone();
    let more = Expr::Compare(Comparison::Lt, next.clone(), f.hi.clone());
    let mut early = copying.clone();
    substitute(&mut early, v, &next);
    body.splice(position..position, guarded(vec![more], early));
    let name = fresh_name(k, &format!("{target}_first"));
    let first = k.vars.push(name);
    let mut start = copy(k, &copying, "_first");
    substitute(&mut start, v, &first.into());
    let hi = (f.lo.clone() + ahead).minimum(&f.hi);
    let start = For { var: first, lo: f.lo.clone(), hi, kind: LoopKind::Serial, body: start };
    let mut made = Some(vec![Stmt::Alloc(slots), Stmt::For(start), Stmt::For(For { body, ..f })]);
    replace(&mut k.body, v, &mut |_| made.take().unwrap_or_default());
    Ok(())
}

/// The statements without the `let`s of the loop, which belong to one iteration.
fn independent(mut stmts: Vec<Stmt>, f: &For) -> Vec<Stmt> {
    for s in f.body.iter().rev() {
        if let Stmt::Let { var, value } = s {
            substitute(&mut stmts, *var, value);
        }
    }
    stmts
}

/// The position of the statement that copies, the allocation aside.
fn stage(k: &Kernel, f: &For, t: TensorId, block: &str) -> Result<usize, Refusal> {
    let names = Names(k);
    let (buffer, target) = (names.buffer(t), names.var(f.var));
    let block = block.to_owned();
    if !f.body.contains(&Stmt::Alloc(t)) {
        return Err(Refusal::NotItsOwn { buffer, target });
    }
    let stmts: Vec<&Stmt> = f.body.iter().filter(|s| **s != Stmt::Alloc(t)).collect();
    let uses = |s: &&Stmt| !users(std::slice::from_ref(*s), t).is_empty();
    let stage = stmts.iter().position(uses).unwrap_or(0);
    let mut own: Vec<TensorId> = Vec::new();
    let mut others: Vec<TensorId> = Vec::new();
    for (n, s) in stmts.iter().enumerate() {
        let out = if n == stage { &mut own } else { &mut others };
        visit_blocks(std::slice::from_ref(*s), &mut |b| out.push(b.store.buffer));
    }
    let sizes = declared(k);
    let copying = stmts.get(stage).map_or(&[][..], |s| std::slice::from_ref(*s));
    let accesses = Accesses::of(k, copying, &sizes);
    let reads = accesses.list.iter().filter(|a| !a.writes || a.update.is_some());
    let reads: Vec<TensorId> = reads.map(|a| a.buffer).collect();
    if own.iter().any(|w| *w != t) || reads.contains(&t) || others.contains(&t) {
        return Err(Refusal::NotACopy { block, buffer, target });
    }
    match reads.iter().find(|r| others.contains(*r)) {
        Some(changed) => {
            let buffer = names.buffer(*changed);
            Err(Refusal::ChangedInLoop { block, buffer, target })
        }
        None => Ok(stage),
    }
}

/// A buffer that becomes several.
struct Slots {
    from: TensorId,
    to: TensorId,
    /// Which one an iteration uses, over its loop.
    slot: IntExpr,
}

impl Slots {
    fn condition(&self, e: &Expr) -> Expr {
        e.rewrite(&IntExpr::clone, &mut |e| self.read(e, &self.slot))
    }

    fn read(&self, e: Expr, slot: &IntExpr) -> Expr {
        match e {
            Expr::Read(r) if r.tensor == self.from => {
                let mut subscripts = vec![Subscript::Affine(slot.clone())];
                subscripts.extend(r.subscripts);
                let (tensor, dtype, default) = (self.to, r.dtype, r.default);
                Expr::Read(Box::new(Read { tensor, dtype, subscripts, default }))
            }
            other => other,
        }
    }

    fn block(&self, k: &mut Kernel, b: &Block) -> Result<Block, Refusal> {
        let reads = b.exprs().into_iter().flat_map(Expr::reads).any(|r| r.tensor == self.from);
        if !reads && b.store.buffer != self.from {
            return Ok(b.clone());
        }
        let p = fresh_iter(k, b, "p");
        let slot = IntExpr::from(p);
        let mut made = rewrite_block(b, &IntExpr::clone, &mut |e| self.read(e, &slot));
        if made.store.buffer == self.from {
            made.store.buffer = self.to;
            made.store.subscripts.insert(0, Subscript::Affine(slot));
        }
        made.iters.push((p, self.slot.clone()));
        if made.init.is_some() && made.reduction_vars().contains(&p) {
            let buffer = Names(k).buffer(self.from);
            return Err(Refusal::InitMoves { block: b.name.clone(), buffer });
        }
        Ok(made)
    }
}
