//! Substitution in statements, and copies of statements with names of their own.

use super::Refusal;
use super::expand::{fold, folded};
use super::nest::{is_free, is_free_for_block, is_free_for_buffer};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use tcc_abi::Scalar;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, Buffer, For, Kernel, Rename, Repeat, Stmt, View};
use tcc_ir::scalar::{Expr, Func};
use tcc_ir::{TensorId, VarId};

/// Replaces a variable of the loops around statements. Of a block only the bindings change: it sees
/// nothing else of its surroundings.
pub(super) fn substitute(body: &mut [Stmt], v: VarId, value: &IntExpr) {
    let int = |e: &mut IntExpr| {
        if e.mentions(v) {
            *e = e.with_var(v, value);
        }
    };
    let expr = |e: &mut Expr| {
        if e.mentions(v) {
            *e = e.rewrite(&|i| i.with_var(v, value), &mut fold);
        }
    };
    for s in body {
        match s {
            Stmt::For(f) => {
                int(&mut f.lo);
                int(&mut f.hi);
                substitute(&mut f.body, v, value);
            }
            Stmt::Block(b) => b.iters.iter_mut().for_each(|(_, e)| int(e)),
            Stmt::If { condition, then, otherwise } => {
                expr(condition);
                substitute(then, v, value);
                substitute(otherwise, v, value);
            }
            Stmt::Let { value: e, .. } => int(e),
            Stmt::Alloc(_) => {}
            Stmt::Intrin(c) => *c = c.map(&|e| e.with_var(v, value)),
            Stmt::Repeat(r) => {
                int(&mut r.limit);
                expr(&mut r.until);
                substitute(&mut r.body, v, value);
            }
        }
    }
}

/// The statements with their blocks and conditions replaced.
pub(super) fn mapped(
    body: &[Stmt],
    block: &mut dyn FnMut(&Block) -> Result<Block, Refusal>,
    condition: &dyn Fn(&Expr) -> Expr,
) -> Result<Vec<Stmt>, Refusal> {
    let mut out = Vec::with_capacity(body.len());
    for s in body {
        out.push(match s {
            Stmt::Block(b) => Stmt::Block(block(b)?),
            Stmt::For(f) => Stmt::For(f.around(mapped(&f.body, block, condition)?)),
            Stmt::If { condition: c, then, otherwise } => Stmt::If {
                condition: condition(c),
                then: mapped(then, block, condition)?,
                otherwise: mapped(otherwise, block, condition)?,
            },
            Stmt::Repeat(r) => Stmt::Repeat(Repeat {
                until: condition(&r.until),
                body: mapped(&r.body, block, condition)?,
                ..r.clone()
            }),
            other => other.clone(),
        });
    }
    Ok(out)
}

/// Statements that run where all of the conditions hold.
pub(super) fn guarded(conditions: Vec<Expr>, body: Vec<Stmt>) -> Vec<Stmt> {
    let holds = Expr::Literal(Scalar::from_bool(true));
    let conditions = conditions.iter().map(folded).filter(|c| *c != holds);
    match conjunction(conditions) {
        Some(condition) => vec![Stmt::If { condition, then: body, otherwise: vec![] }],
        None => body,
    }
}

/// All of the conditions, if there are any.
pub(super) fn conjunction(conditions: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    conditions.into_iter().reduce(|a, b| Expr::binary(Func::And, a, b))
}

/// Loops, outermost first, around statements, each condition as far out as its variables allow.
pub(super) fn nested(loops: Vec<For>, conditions: Vec<Expr>, body: Vec<Stmt>) -> Vec<Stmt> {
    let (mut left, mut body) = (conditions, body);
    for f in loops.into_iter().rev() {
        let (here, rest) = left.into_iter().partition(|c| c.mentions(f.var));
        left = rest;
        body = vec![Stmt::For(For { body: guarded(here, body), ..f })];
    }
    guarded(left, body)
}

/// A name for a loop that nothing else has.
pub(super) fn fresh_name(k: &Kernel, stem: &str) -> String {
    fresh(stem, &|name| is_free(k, name))
}

/// A name for a buffer that nothing else has.
pub(super) fn fresh_buffer(k: &Kernel, stem: &str) -> String {
    fresh(stem, &|name| is_free_for_buffer(k, name))
}

/// A name that no other block has.
pub(super) fn fresh_block(k: &Kernel, stem: &str) -> String {
    fresh(stem, &|name| is_free_for_block(k, name))
}

/// The stem, or the first of the stem with a number that is free.
fn fresh(stem: &str, is_free: &dyn Fn(&str) -> bool) -> String {
    let numbered = (1..).map(|n| format!("{stem}_{n}"));
    let mut names = std::iter::once(stem.to_owned()).chain(numbered);
    names.find(|n| is_free(n)).unwrap_or_default()
}

/// A copy of statements that declares variables and buffers of its own, named after the old ones
/// with `suffix` appended.
pub(super) fn copy(k: &mut Kernel, body: &[Stmt], suffix: &str) -> Vec<Stmt> {
    let (vars, tensors) = (SecondaryMap::new(), SecondaryMap::new());
    Copier { k, suffix, block: None, vars, tensors }.body(body)
}

/// As [`copy`], for statements with one block, which gets the name `block`.
pub(super) fn copy_as(k: &mut Kernel, body: &[Stmt], suffix: &str, block: &str) -> Vec<Stmt> {
    let (vars, tensors) = (SecondaryMap::new(), SecondaryMap::new());
    Copier { k, suffix, block: Some(block), vars, tensors }.body(body)
}

struct Copier<'a> {
    k: &'a mut Kernel,
    suffix: &'a str,
    block: Option<&'a str>,
    vars: SecondaryMap<VarId, PackedOption<VarId>>,
    tensors: SecondaryMap<TensorId, PackedOption<TensorId>>,
}

impl Copier<'_> {
    fn new_var(&mut self, v: VarId, name: String) -> VarId {
        let new = self.k.vars.push(name);
        self.vars[v] = new.into();
        new
    }

    fn new_buffer(&mut self, t: TensorId, b: Buffer) -> TensorId {
        let new = self.k.buffers.push(b);
        self.tensors[t] = new.into();
        new
    }

    fn name_of(&self, v: VarId) -> String {
        self.k.vars.get(v).cloned().unwrap_or_default()
    }
}

impl Rename for Copier<'_> {
    fn declare_var(&mut self, v: VarId) -> VarId {
        let name = fresh_name(self.k, &format!("{}{}", self.name_of(v), self.suffix));
        self.new_var(v, name)
    }

    fn declare_buffer(&mut self, t: TensorId) -> TensorId {
        let Some(mut b) = self.k.buffers.get(t).cloned() else { return t };
        b.name = fresh_buffer(self.k, &format!("{}{}", b.name, self.suffix));
        self.new_buffer(t, b)
    }

    fn block_name(&mut self, name: &str) -> String {
        match self.block {
            Some(block) => block.to_owned(),
            None if name.is_empty() => String::new(),
            None => fresh_block(self.k, &format!("{name}{}", self.suffix)),
        }
    }

    /// Names inside of a block may stand in others too.
    fn enter_block(&mut self, b: &Block) -> Vec<VarId> {
        b.iters.iter().map(|(v, _)| self.new_var(*v, self.name_of(*v))).collect()
    }

    /// As do those of a view.
    fn enter_view(&mut self, v: &View) -> Vec<VarId> {
        v.axes.iter().map(|(v, _)| self.new_var(*v, self.name_of(*v))).collect()
    }

    fn declare_let(&mut self, t: TensorId) -> TensorId {
        let Some(b) = self.k.buffers.get(t).cloned() else { return t };
        self.new_buffer(t, b)
    }

    fn var(&self, v: VarId) -> VarId {
        self.vars[v].expand().unwrap_or(v)
    }

    fn tensor(&self, t: TensorId) -> TensorId {
        self.tensors[t].expand().unwrap_or(t)
    }
}
