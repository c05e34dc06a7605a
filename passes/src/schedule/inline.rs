//! `inline(scale)`: what a block computes is computed where it is read.
//!
//! ```text
//! alloc T: f32[N] @local
//! for i in N { block scale(a = i) { T[a] = 2*X[a] } }
//! for j in N { block use(b = j) { Y[b] = T[b] + 1 } }
//! // inline(scale)
//! for j in N { block use(b = j) { Y[b] = 2*X[b] + 1 } }
//! ```
//!
//! Legal if the kernel allocates what the block writes, and the block assigns all of it, alone in
//! its loops, one for each axis; all reads stand behind, at positions that do not depend on data;
//! and what the block reads is not written from there on. A read with a default keeps it. Elements
//! of f16 and bf16 keep their rounding.

use super::address::Address;
use super::compute_at::is_complete;
use super::dependence::declared;
use super::edit::mapped;
use super::expand::{expanded, folded, inside_or, may_fail, size};
use super::nest::allocated_named;
use super::nested_block::NestedBlock;
use super::rebase::rewrite_block;
use super::shrink::{remove_alloc, users};
use super::{Names, Refusal};
use tcc_abi::Scalar;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Block, Kernel, Repeat, Stmt, Update};
use tcc_ir::scalar::{Expr, Read};
use tcc_ir::{TensorId, VarId};

/// The most nodes of a block's value with others written out in it.
const LIMIT: usize = 4096;

pub(super) fn inline(k: &mut Kernel, block: &str) -> Result<(), Refusal> {
    let at = Address::of_block(k, block)?;
    let Some(t) = at.block(&k.body).map(|b| b.store.buffer) else { return Ok(()) };
    allocated_named(k, &Names(k).buffer(t))?;
    let root = nest_root(k, &at);
    let nest = NestedBlock::of(k, &root, &at)?;
    let value = Value::of(k, &nest, t)?;
    for user in users(&k.body, t).into_iter().filter(|u| *u != at) {
        value.may_replace(k, &user, (&root, block))?;
    }
    stays(k, &value, (&root, block))?;
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.remove(position);
    }
    remove_alloc(&mut k.body, t);
    k.body = value.replaced(&k.body)?;
    Ok(())
}

/// The outermost statement that holds nothing but the block and its loops.
pub(super) fn nest_root(k: &Kernel, at: &Address) -> Address {
    let alone = |depth: usize| {
        let siblings = at.ancestor(depth).siblings(&k.body);
        siblings.is_some_and(|(body, _)| body.len() == 1)
    };
    let mut depth = at.depth();
    while depth > 0 && alone(depth) && is_level(k, &at.ancestor(depth - 1)) {
        depth -= 1;
    }
    at.ancestor(depth)
}

/// True for a loop, and for an `if` of comparisons of integers.
fn is_level(k: &Kernel, at: &Address) -> bool {
    match at.stmt(&k.body) {
        Some(Stmt::For(_)) => true,
        Some(Stmt::If { condition, otherwise, .. }) => {
            otherwise.is_empty() && super::address::is_integer(condition)
        }
        _ => false,
    }
}

/// What the elements of a buffer are, over variables that stand for its axes.
struct Value {
    t: TensorId,
    shape: Vec<IntExpr>,
    axes: Vec<Option<VarId>>,
    value: Expr,
    size: usize,
}

impl Value {
    fn of(k: &Kernel, nest: &NestedBlock, t: TensorId) -> Result<Value, Refusal> {
        let b = &nest.block;
        let (name, buffer) = (b.name.clone(), Names(k).buffer(t));
        is_complete(k, b)?;
        if b.store.update != Update::Set {
            return Err(Refusal::Reduces { block: name, buffer });
        }
        let loops = nest.written_loops(k)?;
        let shape = k.buffers.get(t).map_or(vec![], |b| b.shape.clone());
        let zero = IntExpr::constant(0);
        let whole = loops.iter().zip(&shape).all(|(v, n)| match v {
            None => n.as_constant() == Some(1),
            Some(v) => nest.loops.iter().any(|f| f.var == *v && f.lo == zero && f.hi == *n),
        });
        let alone = nest.loops.len() == loops.iter().flatten().count();
        if !whole || !alone || !nest.conditions.is_empty() || b.guard.is_some() {
            return Err(Refusal::NotWhole { block: name, buffer });
        }
        let axes = b.store.subscripts.iter().map(|s| s.as_affine().and_then(IntExpr::as_var));
        let mut value = expanded(b, &b.store.value)?;
        if value.dtype().is_storage_float() {
            // The store rounds.
            value = Expr::Cast(value.dtype(), Box::new(value));
        }
        let size = size(&value);
        Ok(Value { t, shape, axes: axes.collect(), value, size })
    }

    /// Refuses a statement that the value cannot stand in.
    fn may_replace(
        &self,
        k: &Kernel,
        user: &Address,
        (root, block): (&Address, &str),
    ) -> Result<(), Refusal> {
        let name = user.block(&k.body).map_or("if", |b| b.name.as_str()).to_owned();
        let buffer = Names(k).buffer(self.t);
        if user.block(&k.body).is_some_and(|b| b.store.buffer == self.t) {
            return Err(Refusal::OtherWriter { buffer, other: name });
        }
        let (mine, other) = root.apart(user);
        if mine != *root || other.position() <= root.position() {
            let block = block.to_owned();
            return Err(Refusal::UsedEarlier { block, buffer, user: name });
        }
        let exprs: Vec<&Expr> = match user.stmt(&k.body) {
            Some(Stmt::Block(b)) => b.exprs(),
            Some(Stmt::If { condition, .. }) => vec![condition],
            Some(Stmt::Repeat(Repeat { until, .. })) => vec![until],
            _ => vec![],
        };
        let reads: Vec<&Read> =
            exprs.iter().flat_map(|e| e.reads()).filter(|r| r.tensor == self.t).collect();
        if reads.iter().any(|r| r.subscripts.iter().any(|s| s.as_affine().is_none())) {
            return Err(Refusal::DataPosition { block: name, buffer });
        }
        let covered = reads.iter().any(|r| r.default.is_some());
        if covered && may_fail(&self.value) {
            return Err(Refusal::MayFail { block: block.to_owned() });
        }
        let total: usize = exprs.iter().map(|e| size(e)).sum();
        if total.saturating_add(reads.len().saturating_mul(self.size)) > LIMIT {
            return Err(Refusal::TooLarge { block: name, limit: LIMIT });
        }
        Ok(())
    }

    /// The value at a position.
    fn at(&self, r: &Read) -> Expr {
        let position: Vec<IntExpr> =
            r.subscripts.iter().filter_map(|s| s.as_affine().cloned()).collect();
        let int = |e: &IntExpr| {
            e.substitute(&|s| match s {
                Symbol::Var(v) => {
                    let axis = self.axes.iter().position(|a| *a == Some(v))?;
                    position.get(axis).cloned()
                }
                Symbol::Size(_) => None,
            })
        };
        let Some(default) = &r.default else {
            return folded(&self.value.rewrite(&int, &mut |e| e));
        };
        // Outside nothing may be read, so what the value reads gets defaults as well.
        let value = self.value.rewrite(&int, &mut |e| match e {
            Expr::Read(mut r) => {
                r.default.get_or_insert(Expr::Literal(Scalar::from_i128(r.dtype, 0)));
                Expr::Read(r)
            }
            other => other,
        });
        inside_or(folded(&value), position.iter().zip(&self.shape), default)
    }

    fn node(&self, e: Expr) -> Expr {
        match e {
            Expr::Read(r) if r.tensor == self.t => self.at(&r),
            other => other,
        }
    }

    /// The statements with the value in place of reads.
    fn replaced(&self, body: &[Stmt]) -> Result<Vec<Stmt>, Refusal> {
        let mut block = |b: &Block| Ok(rewrite_block(b, &IntExpr::clone, &mut |e| self.node(e)));
        mapped(body, &mut block, &|e| e.rewrite(&IntExpr::clone, &mut |e| self.node(e)))
    }
}

/// Refuses if something that the value reads is written behind its block, in the same body.
fn stays(k: &Kernel, value: &Value, (root, block): (&Address, &str)) -> Result<(), Refusal> {
    let Some((body, position)) = root.siblings(&k.body) else { return Ok(()) };
    let later = body.get(position..).unwrap_or(&[]);
    let sizes = declared(k);
    let accesses = Accesses::of(k, later, &sizes);
    for r in value.value.reads() {
        if let Some(w) = accesses.list.iter().find(|a| a.writes && a.buffer == r.tensor) {
            return Err(Refusal::Changed {
                block: block.to_owned(),
                buffer: Names(k).buffer(r.tensor),
                writer: w.block.map_or(String::new(), |b| b.name.clone()),
            });
        }
    }
    Ok(())
}
