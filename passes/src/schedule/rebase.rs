//! Moving accesses from a buffer to another one that holds a part of it.
//!
//! A block sees its own variables only, so the origin of the part is taken off by splitting them:
//!
//! ```text
//! block mm(n = 32*jo + ji, r = k) { .. B[r,n] .. }
//! // B[.., 32*jo] is the origin of T
//! block mm(n_o = 32*jo, n_i = ji, r = k) { .. T[r,n_i] .. }
//! ```
//!
//! with `n_o + n_i` for other uses of `n`.

use super::Names;
use super::Refusal;
use super::address::replaced;
use super::cache::Lets;
use super::dependence::declared;
use super::edit::mapped;
use super::expand::{fold, folded_condition};
use tcc_ir::int::{IntExpr, Monomial, Symbol};
use tcc_ir::kernel::{Block, Kernel, Stmt};
use tcc_ir::scalar::{Expr, Read, Subscript};
use tcc_ir::{TensorId, VarId};

/// What moves where.
pub(super) struct Rebase<'a> {
    pub(super) from: TensorId,
    pub(super) to: TensorId,
    /// The position in `from` of the first element of `to`, over what surrounds the loops.
    pub(super) origin: &'a [IntExpr],
    /// Variables of the loops that move within the part.
    pub(super) inner: &'a [VarId],
    /// Values of `let`s inside of those loops and around them.
    pub(super) lets: &'a Lets,
    /// The block whose accesses move; without it those of all blocks and conditions do.
    pub(super) only: Option<&'a str>,
    /// True if every position is in bounds of `to`, whatever it was before.
    pub(super) drops_defaults: bool,
}

impl Rebase<'_> {
    /// Moves accesses of statements.
    pub(super) fn body(&self, k: &mut Kernel, body: &[Stmt]) -> Result<Vec<Stmt>, Refusal> {
        let mut block = |b: &Block| {
            let moves = self.only.is_none_or(|name| name == b.name);
            if moves { self.block(k, b) } else { Ok(b.clone()) }
        };
        mapped(body, &mut block, &|e| self.condition(e))
    }

    /// A condition stands in the loops themselves.
    fn condition(&self, e: &Expr) -> Expr {
        if self.only.is_some() {
            return e.clone();
        }
        e.rewrite(&IntExpr::clone, &mut |e| match e {
            Expr::Read(r) if r.tensor == self.from => {
                let parts = r.subscripts.iter().zip(self.origin);
                let subscripts = parts.map(|(s, lo)| match s {
                    Subscript::Affine(i) => Subscript::Affine(self.lets.resolve(i) - lo.clone()),
                    data => data.clone(),
                });
                let subscripts = subscripts.collect();
                Expr::Read(Box::new(Read { tensor: self.to, subscripts, ..*r }))
            }
            other => other,
        })
    }

    /// Moves the accesses of one block.
    pub(super) fn block(&self, k: &mut Kernel, b: &Block) -> Result<Block, Refusal> {
        let reads = |e: &&Expr| e.reads().iter().any(|r| r.tensor == self.from);
        if b.store.buffer != self.from && !b.exprs().iter().any(reads) {
            return Ok(b.clone());
        }
        let accessed = accessed(b, self.from);
        let mut iters: Vec<(VarId, IntExpr)> = Vec::new();
        let mut parts: Vec<(VarId, IntExpr)> = Vec::new();
        // Values of the variables that do not move, over the loops.
        let mut still: Vec<(VarId, IntExpr)> = Vec::new();
        for (v, e) in &b.iters {
            let (outer, inner) = self.divide(&self.lets.resolve(e));
            let used = accessed.iter().any(|s| s.mentions(*v));
            if !used || outer.is_none() {
                iters.push((*v, e.clone()));
                continue;
            }
            let outer = outer.unwrap_or_default();
            let Some(inner) = inner else {
                iters.push((*v, e.clone()));
                still.push((*v, outer));
                continue;
            };
            let (x, y) = (self.fresh(k, b, *v, "_o"), self.fresh(k, b, *v, "_i"));
            iters.extend([(x, outer.clone()), (y, inner)]);
            still.push((x, outer));
            parts.push((*v, IntExpr::from(x) + IntExpr::from(y)));
        }
        let mut made = self.rewritten(k, b, &parts, &still)?;
        // A variable that was idle before counts as a reduction: it stays.
        let idle = |v: VarId| b.iters.iter().any(|(w, _)| *w == v) && !uses(b, v);
        iters.retain(|(v, _)| uses(&made, *v) || idle(*v));
        made.iters = iters;
        self.keeps_init(k, b, &made, &parts)?;
        Ok(made)
    }

    /// The terms that only what surrounds the loops moves, and those that the loops move.
    fn divide(&self, e: &IntExpr) -> (Option<IntExpr>, Option<IntExpr>) {
        let mut outer: Option<IntExpr> = None;
        let mut inner: Option<IntExpr> = None;
        let mut constant = IntExpr::default();
        let term = |m: &Monomial, c: i64| IntExpr::term(m.clone(), c);
        for (m, c) in e.terms() {
            let t = term(m, *c);
            if self.inner.iter().any(|v| t.mentions(*v)) {
                inner = Some(inner.unwrap_or_default() + t);
            } else if t.mentions_vars() {
                outer = Some(outer.unwrap_or_default() + t);
            } else {
                constant = constant + t;
            }
        }
        match outer {
            Some(o) => (Some(o + constant), inner),
            None => (None, Some(inner.unwrap_or_default() + constant)),
        }
    }

    fn fresh(&self, k: &mut Kernel, b: &Block, v: VarId, suffix: &str) -> VarId {
        let stem = format!("{}{suffix}", k.vars.get(v).map_or("", String::as_str));
        fresh_iter(k, b, &stem)
    }

    /// The block with variables replaced by their parts and accesses moved.
    fn rewritten(
        &self,
        k: &Kernel,
        b: &Block,
        parts: &[(VarId, IntExpr)],
        still: &[(VarId, IntExpr)],
    ) -> Result<Block, Refusal> {
        let mut stuck: Option<IntExpr> = None;
        let int = |e: &IntExpr| replaced(e, parts);
        let mut moved = |subscripts: &[Subscript]| -> Vec<Subscript> {
            let each = subscripts.iter().zip(self.origin).map(|(s, lo)| match s {
                Subscript::Affine(i) => {
                    let relative = replaced(i, still) - lo.clone();
                    let mut foreign = false;
                    relative.visit_symbols(&mut |s| {
                        foreign |= matches!(s, Symbol::Var(v) if !is_moving(b, parts, still, v));
                    });
                    if foreign {
                        stuck = Some(i.clone());
                    }
                    Subscript::Affine(relative)
                }
                data => data.clone(),
            });
            each.collect()
        };
        let mut node = |e: Expr| match e {
            Expr::Read(r) if r.tensor == self.from => {
                let subscripts = moved(&r.subscripts);
                let default = r.default.filter(|_| !self.drops_defaults);
                let (tensor, dtype) = (self.to, r.dtype);
                Expr::Read(Box::new(Read { tensor, dtype, subscripts, default }))
            }
            other => other,
        };
        let mut made = rewrite_block(b, &int, &mut node);
        if made.store.buffer == self.from {
            made.store.subscripts = moved(&made.store.subscripts);
            made.store.buffer = self.to;
        }
        match stuck {
            None => Ok(made),
            Some(_) => Err(Refusal::Inseparable {
                block: b.name.clone(),
                buffer: Names(k).buffer(self.from),
            }),
        }
    }

    /// Refuses if `init` would not run in the same iterations.
    fn keeps_init(
        &self,
        k: &Kernel,
        old: &Block,
        new: &Block,
        parts: &[(VarId, IntExpr)],
    ) -> Result<(), Refusal> {
        if old.init.is_none() {
            return Ok(());
        }
        let (before, after) = (old.reduction_vars(), new.reduction_vars());
        let of = |v: &VarId| parts.iter().find(|(_, e)| e.mentions(*v)).map_or(*v, |(w, _)| *w);
        let facts = declared(k);
        let nonneg = |v: &VarId| {
            let binding = new.iters.iter().find(|(w, _)| w == v);
            binding.is_none_or(|(_, e)| facts.is_nonneg(&self.lets.resolve(e)))
        };
        let same = after.iter().all(|v| before.contains(&of(v)) && (*v == of(v) || nonneg(v)));
        let kept = before.iter().all(|v| {
            let made: Vec<&VarId> = after.iter().filter(|w| of(w) == *v).collect();
            let whole = parts.iter().any(|(w, _)| w == v);
            made.len() == if whole { 2 } else { 1 }
        });
        if same && kept {
            return Ok(());
        }
        Err(Refusal::InitMoves { block: old.name.clone(), buffer: Names(k).buffer(self.from) })
    }
}

fn is_moving(b: &Block, parts: &[(VarId, IntExpr)], still: &[(VarId, IntExpr)], v: VarId) -> bool {
    let own = b.iters.iter().any(|(w, _)| *w == v) || parts.iter().any(|(_, e)| e.mentions(v));
    own && !still.iter().any(|(w, _)| *w == v)
}

/// Affine subscripts of a buffer's accesses in a block.
fn accessed(b: &Block, t: TensorId) -> Vec<IntExpr> {
    let reads = b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == t);
    let mut all: Vec<&Subscript> = reads.flat_map(|r| &r.subscripts).collect();
    if b.store.buffer == t {
        all.extend(&b.store.subscripts);
    }
    all.into_iter().filter_map(|s| s.as_affine().cloned()).collect()
}

/// True if something in the block mentions the variable.
pub(super) fn uses(b: &Block, v: VarId) -> bool {
    let mut found = false;
    let mut see = |s: Symbol| found |= s == Symbol::Var(v);
    b.exprs().into_iter().for_each(|e| e.visit_symbols(&mut see));
    b.store.subscripts.iter().for_each(|s| s.visit_symbols(&mut see));
    found
}

/// A new variable for a block, with a name that nothing it sees has.
pub(super) fn fresh_iter(k: &mut Kernel, b: &Block, stem: &str) -> VarId {
    let named = |name: &str| {
        let var = |v: &VarId| k.vars.get(*v).is_some_and(|n| n == name);
        b.iters.iter().any(|(v, _)| var(v))
            || k.sizes.values().any(|s| s.name == name)
            || k.buffers.values().any(|b| b.name == name)
    };
    let numbered = (1..).map(|n| format!("{stem}_{n}"));
    let mut names = std::iter::once(stem.to_owned()).chain(numbered);
    let name = names.find(|n| !named(n)).unwrap_or_default();
    k.vars.push(name)
}

/// A block with its integer expressions and nodes replaced, bindings aside.
pub(super) fn rewrite_block(
    b: &Block,
    int: &dyn Fn(&IntExpr) -> IntExpr,
    node: &mut dyn FnMut(Expr) -> Expr,
) -> Block {
    let node = &mut |e: Expr| fold(node(e));
    let guard = b.guard.as_ref().and_then(|e| folded_condition(&e.rewrite(int, node)));
    let init = b.init.as_ref().map(|e| e.rewrite(int, node));
    let lets = b.lets.iter().map(|(t, e)| (*t, e.rewrite(int, node))).collect();
    let subscripts = b.store.subscripts.iter().map(|s| s.rewrite(int, node)).collect();
    let value = b.store.value.rewrite(int, node);
    let store = tcc_ir::kernel::Store { subscripts, value, ..b.store.clone() };
    Block { guard, init, lets, store, ..b.clone() }
}
