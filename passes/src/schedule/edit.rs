//! Substitution in statements, and copies of statements with names of their own.

use super::nest::is_free;
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, Buffer, For, Kernel, Rename, Repeat, Stmt, View};
use tcc_ir::scalar::Expr;
use tcc_ir::{TensorId, VarId};

/// The statements with a variable of the loops around them replaced.
pub(super) fn substitute(body: &[Stmt], v: VarId, value: &IntExpr) -> Vec<Stmt> {
    let int = |e: &IntExpr| e.with_var(v, value);
    let expr = |e: &Expr| e.rewrite(&int, &mut |e| e);
    body.iter().map(|s| rebuild(s, &int, &expr, &|b| substitute(b, v, value))).collect()
}

/// A statement with its integer expressions, conditions and bodies replaced. Of a block only the
/// bindings change: it sees nothing else of its surroundings.
fn rebuild(
    s: &Stmt,
    int: &dyn Fn(&IntExpr) -> IntExpr,
    expr: &dyn Fn(&Expr) -> Expr,
    body: &dyn Fn(&[Stmt]) -> Vec<Stmt>,
) -> Stmt {
    match s {
        Stmt::For(f) => {
            Stmt::For(For { lo: int(&f.lo), hi: int(&f.hi), body: body(&f.body), ..f.clone() })
        }
        Stmt::Block(b) => {
            let iters = b.iters.iter().map(|(v, e)| (*v, int(e))).collect();
            Stmt::Block(Block { iters, ..b.clone() })
        }
        Stmt::If { condition, then, otherwise } => {
            Stmt::If { condition: expr(condition), then: body(then), otherwise: body(otherwise) }
        }
        Stmt::Let { var, value } => Stmt::Let { var: *var, value: int(value) },
        Stmt::Alloc(t) => Stmt::Alloc(*t),
        Stmt::Repeat(r) => Stmt::Repeat(Repeat {
            limit: int(&r.limit),
            until: expr(&r.until),
            body: body(&r.body),
            ..r.clone()
        }),
        Stmt::Intrin(c) => Stmt::Intrin(c.map(int)),
    }
}

/// A name that nothing in the kernel has.
pub(super) fn fresh_name(k: &Kernel, stem: &str) -> String {
    let numbered = (1..).map(|n| format!("{stem}_{n}"));
    let mut names = std::iter::once(stem.to_owned()).chain(numbered);
    names.find(|n| is_free(k, n)).unwrap_or_default()
}

/// A copy of statements that declares variables and buffers of its own, named after the old ones
/// with `suffix` appended.
pub(super) fn copy(k: &mut Kernel, body: &[Stmt], suffix: &str) -> Vec<Stmt> {
    let mut c = Copier { k, suffix, vars: SecondaryMap::new(), tensors: SecondaryMap::new() };
    c.body(body)
}

struct Copier<'a> {
    k: &'a mut Kernel,
    suffix: &'a str,
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
        b.name = fresh_name(self.k, &format!("{}{}", b.name, self.suffix));
        self.new_buffer(t, b)
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
