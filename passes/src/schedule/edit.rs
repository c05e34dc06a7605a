//! Substitution in statements, and copies of statements with names of their own.

use super::nest::is_free;
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, For, Kernel, Repeat, Stmt, Store};
use tcc_ir::scalar::{Expr, Read};
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
    /// A new variable in place of one that the copy declares.
    fn var(&mut self, v: VarId, renamed: bool) -> VarId {
        let old = self.k.vars.get(v).cloned().unwrap_or_default();
        let name = if renamed { fresh_name(self.k, &format!("{old}{}", self.suffix)) } else { old };
        let new = self.k.vars.push(name);
        self.vars[v] = new.into();
        new
    }

    fn buffer(&mut self, t: TensorId, renamed: bool) -> TensorId {
        let Some(mut b) = self.k.buffers.get(t).cloned() else { return t };
        if renamed {
            b.name = fresh_name(self.k, &format!("{}{}", b.name, self.suffix));
        }
        let new = self.k.buffers.push(b);
        self.tensors[t] = new.into();
        new
    }

    fn tensor(&self, t: TensorId) -> TensorId {
        self.tensors[t].expand().unwrap_or(t)
    }

    fn int(&self, e: &IntExpr) -> IntExpr {
        e.substitute(&|s| match s {
            Symbol::Var(v) => self.vars[v].expand().map(IntExpr::from),
            Symbol::Size(_) => None,
        })
    }

    fn expr(&self, e: &Expr) -> Expr {
        e.rewrite(&|i| self.int(i), &mut |e| match e {
            Expr::Read(r) => Expr::Read(Box::new(Read { tensor: self.tensor(r.tensor), ..*r })),
            Expr::Contiguous(t) => Expr::Contiguous(self.tensor(t)),
            other => other,
        })
    }

    fn body(&mut self, body: &[Stmt]) -> Vec<Stmt> {
        body.iter().map(|s| self.stmt(s)).collect()
    }

    fn stmt(&mut self, s: &Stmt) -> Stmt {
        match s {
            Stmt::For(f) => {
                let (lo, hi) = (self.int(&f.lo), self.int(&f.hi));
                let var = self.var(f.var, true);
                Stmt::For(For { var, lo, hi, kind: f.kind, body: self.body(&f.body) })
            }
            Stmt::Block(b) => Stmt::Block(self.block(b)),
            Stmt::If { condition, then, otherwise } => Stmt::If {
                condition: self.expr(condition),
                then: self.body(then),
                otherwise: self.body(otherwise),
            },
            Stmt::Let { var, value } => {
                let value = self.int(value);
                Stmt::Let { var: self.var(*var, true), value }
            }
            Stmt::Alloc(t) => Stmt::Alloc(self.buffer(*t, true)),
            Stmt::Repeat(r) => {
                let limit = self.int(&r.limit);
                let var = self.var(r.var, true);
                let body = self.body(&r.body);
                let until = self.expr(&r.until);
                Stmt::Repeat(Repeat { var, limit, until, must_converge: r.must_converge, body })
            }
        }
    }

    fn block(&mut self, b: &Block) -> Block {
        let values: Vec<IntExpr> = b.iters.iter().map(|(_, e)| self.int(e)).collect();
        let vars: Vec<VarId> = b.iters.iter().map(|(v, _)| self.var(*v, false)).collect();
        let guard = b.guard.as_ref().map(|g| self.expr(g));
        let mut lets = Vec::new();
        for (t, e) in &b.lets {
            let e = self.expr(e);
            lets.push((self.buffer(*t, false), e));
        }
        let subscripts = b.store.subscripts.iter();
        let store = Store {
            buffer: self.tensor(b.store.buffer),
            subscripts: subscripts
                .map(|s| match s {
                    tcc_ir::scalar::Subscript::Affine(i) => {
                        tcc_ir::scalar::Subscript::Affine(self.int(i))
                    }
                    tcc_ir::scalar::Subscript::Data(e) => {
                        tcc_ir::scalar::Subscript::Data(self.expr(e))
                    }
                })
                .collect(),
            update: b.store.update,
            value: self.expr(&b.store.value),
            drop: b.store.drop,
        };
        Block {
            name: b.name.clone(),
            iters: vars.into_iter().zip(values).collect(),
            guard,
            init: b.init.as_ref().map(|e| self.expr(e)),
            lets,
            store,
        }
    }
}
