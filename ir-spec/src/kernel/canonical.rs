//! The canonical form of kernels and programs: what reading their text gives.
//!
//! Ids are numbered in the order of the text, what nothing declares is dropped, and names differ:
//! those of buffers, loops and lets throughout the kernel, those of a block's variables within the
//! block.

use super::{Block, For, Kernel, Repeat, Stmt, Store};
use crate::int::{IntExpr, Symbol};
use crate::program::Program;
use crate::scalar::{Expr, Read, Subscript};
use crate::{TensorId, VarId};
use cranelift_entity::packed_option::ReservedValue;
use cranelift_entity::{PrimaryMap, SecondaryMap};
use indexmap::IndexSet;

/// The same kernel with ids in the order of its text and names that differ.
pub fn canonical(kernel: &Kernel) -> Kernel {
    rebuild(kernel, true)
}

/// The same kernel with ids in the order of its text; names stay.
pub fn renumbered(kernel: &Kernel) -> Kernel {
    rebuild(kernel, false)
}

fn rebuild(kernel: &Kernel, rename: bool) -> Kernel {
    let mut names: IndexSet<String> = kernel.sizes.values().map(|s| s.name.clone()).collect();
    names.extend(super::visible_buffers(kernel).map(|t| name_of(kernel, t)));
    let mut c = Canonical {
        old: kernel,
        rename,
        buffers: PrimaryMap::new(),
        vars: PrimaryMap::new(),
        tensors: SecondaryMap::with_default(TensorId::reserved_value()),
        symbols: SecondaryMap::with_default(VarId::reserved_value()),
        names,
        used: IndexSet::new(),
    };
    let params = kernel.params.iter().map(|t| c.buffer(*t)).collect();
    let results = kernel.results.iter().map(|t| c.buffer(*t)).collect();
    let body = c.body(&kernel.body);
    Kernel {
        name: kernel.name.clone(),
        sizes: kernel.sizes.clone(),
        facts: kernel.facts.clone(),
        buffers: c.buffers,
        params,
        results,
        vars: c.vars,
        body,
    }
}

/// The same program with buffers in the order of its text.
pub fn canonical_program(program: &Program) -> Program {
    use crate::graph::Role;
    let mut buffers = PrimaryMap::new();
    let mut renamed = SecondaryMap::with_default(TensorId::reserved_value());
    let temporaries =
        program.buffers.iter().filter(|(_, b)| b.role == Role::Intermediate).map(|(t, _)| t);
    for t in program.params.iter().chain(&program.results).copied().chain(temporaries) {
        if let Some(b) = program.buffers.get(t) {
            renamed[t] = buffers.push(b.clone());
        }
    }
    let list = |ts: &[TensorId]| ts.iter().map(|t| renamed[*t]).collect::<Vec<_>>();
    let mut out = Program { buffers, ..program.clone() };
    out.params = list(&program.params);
    out.results = list(&program.results);
    for c in &mut out.calls {
        c.arguments = list(&c.arguments);
        c.results = list(&c.results);
    }
    out
}

fn name_of(kernel: &Kernel, t: TensorId) -> String {
    kernel.buffers.get(t).map_or_else(String::new, |b| b.name.clone())
}

struct Canonical<'a> {
    old: &'a Kernel,
    /// True if names are made to differ.
    rename: bool,
    buffers: PrimaryMap<TensorId, super::Buffer>,
    vars: PrimaryMap<VarId, String>,
    tensors: SecondaryMap<TensorId, TensorId>,
    symbols: SecondaryMap<VarId, VarId>,
    /// Names of sizes and buffers.
    names: IndexSet<String>,
    /// Names given so far, but for those of block variables.
    used: IndexSet<String>,
}

impl Canonical<'_> {
    /// The name, or one derived from it, that no one in `taken` or this kernel has.
    fn named(&self, name: &str, taken: &dyn Fn(&str) -> bool) -> String {
        let name = if name.is_empty() { "x" } else { name };
        let free = |n: &str| !taken(n);
        if !self.rename || free(name) {
            return name.to_owned();
        }
        let numbered = (1..).map(|k| format!("{name}_{k}"));
        numbered.into_iter().find(|n| free(n)).unwrap_or_default()
    }

    fn buffer(&mut self, t: TensorId) -> TensorId {
        let Some(b) = self.old.buffers.get(t) else { return t };
        let mut b = b.clone();
        let size = |n: &str| self.old.sizes.values().any(|s| s.name == n);
        b.name = self.named(&b.name, &|n| size(n) || self.used.contains(n));
        self.used.insert(b.name.clone());
        self.names.insert(b.name.clone());
        let new = self.buffers.push(b);
        self.tensors[t] = new;
        new
    }

    fn var(&mut self, v: VarId) -> VarId {
        let old = self.old.vars.get(v).map_or("", String::as_str);
        let name = self.named(old, &|n| self.names.contains(n) || self.used.contains(n));
        self.used.insert(name.clone());
        let new = self.vars.push(name);
        self.symbols[v] = new;
        new
    }

    fn int(&self, e: &IntExpr) -> IntExpr {
        e.substitute(&|s| match s {
            Symbol::Var(v) => Some(self.symbols[v].into()),
            Symbol::Size(_) => None,
        })
    }

    fn expr(&self, e: &Expr) -> Expr {
        e.rewrite(&|i| self.int(i), &mut |e| match e {
            Expr::Read(r) => {
                let tensor = self.tensors[r.tensor];
                Expr::Read(Box::new(Read { tensor, ..*r }))
            }
            Expr::Contiguous(t) => Expr::Contiguous(self.tensors[t]),
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
                let var = self.var(f.var);
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
                Stmt::Let { var: self.var(*var), value }
            }
            Stmt::Alloc(t) => Stmt::Alloc(self.buffer(*t)),
            Stmt::Repeat(r) => {
                let limit = self.int(&r.limit);
                let var = self.var(r.var);
                let until = self.expr(&r.until);
                let body = self.body(&r.body);
                Stmt::Repeat(Repeat { var, limit, until, must_converge: r.must_converge, body })
            }
        }
    }

    fn block(&mut self, b: &Block) -> Block {
        let values: Vec<IntExpr> = b.iters.iter().map(|(_, e)| self.int(e)).collect();
        let mut own: IndexSet<String> = b.lets.iter().map(|(t, _)| name_of(self.old, *t)).collect();
        let (mut iters, mut held) = (Vec::new(), Vec::new());
        for ((v, _), value) in b.iters.iter().zip(values) {
            let old = self.old.vars.get(*v).map_or("", String::as_str);
            let name = self.named(old, &|n| self.names.contains(n) || own.contains(n));
            own.insert(name.clone());
            if self.used.insert(name.clone()) {
                held.push(name.clone());
            }
            let new = self.vars.push(name);
            self.symbols[*v] = new;
            iters.push((new, value));
        }
        let guard = b.guard.as_ref().map(|g| self.expr(g));
        let mut lets = Vec::new();
        for (t, e) in &b.lets {
            let e = self.expr(e);
            lets.push((self.buffer(*t), e));
        }
        let int = |i: &IntExpr| self.int(i);
        let subscripts = b.store.subscripts.iter().map(|s| match s {
            Subscript::Affine(i) => Subscript::Affine(int(i)),
            Subscript::Data(e) => Subscript::Data(self.expr(e)),
        });
        let store = Store {
            buffer: self.tensors[b.store.buffer],
            subscripts: subscripts.collect(),
            update: b.store.update,
            value: self.expr(&b.store.value),
            drop: b.store.drop,
        };
        let init = b.init.as_ref().map(|e| self.expr(e));
        held.iter().for_each(|name| {
            self.used.swap_remove(name);
        });
        Block { name: b.name.clone(), iters, guard, init, lets, store }
    }
}
