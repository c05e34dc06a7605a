//! Copies of statements with other variables and buffers.

use super::{Block, For, IntrinsicCall, Repeat, Stmt, Store, View};
use crate::int::{IntExpr, Symbol};
use crate::scalar::{Expr, Read, Subscript};
use crate::{TensorId, VarId};

/// What a copy calls the variables and buffers of the original. Declarations are asked for in the
/// order of the text.
pub trait Rename {
    /// What a variable of a loop, a `let` or a `repeat` becomes.
    fn declare_var(&mut self, v: VarId) -> VarId;

    /// What an allocated buffer becomes.
    fn declare_buffer(&mut self, t: TensorId) -> TensorId;

    /// What the name of a block becomes.
    fn block_name(&mut self, name: &str) -> String {
        name.to_owned()
    }

    /// What the variables of a block become.
    fn enter_block(&mut self, b: &Block) -> Vec<VarId>;

    /// What a value that a block computes before its store becomes.
    fn declare_let(&mut self, t: TensorId) -> TensorId;

    /// After the last part of a block or view.
    fn leave(&mut self) {}

    /// What the variables of a view's axes become.
    fn enter_view(&mut self, v: &View) -> Vec<VarId>;

    /// What a use of a variable becomes.
    fn var(&self, v: VarId) -> VarId;

    /// What a use of a buffer becomes.
    fn tensor(&self, t: TensorId) -> TensorId;

    /// An integer expression.
    fn int(&self, e: &IntExpr) -> IntExpr {
        e.substitute(&|s| match s {
            Symbol::Var(v) => Some(self.var(v).into()),
            Symbol::Size(_) => None,
        })
    }

    /// An expression.
    fn expr(&self, e: &Expr) -> Expr {
        e.rewrite(&|i| self.int(i), &mut |e| match e {
            Expr::Read(r) => Expr::Read(Box::new(Read { tensor: self.tensor(r.tensor), ..*r })),
            Expr::Contiguous(t) => Expr::Contiguous(self.tensor(t)),
            other => other,
        })
    }

    /// Statements in order.
    fn body(&mut self, body: &[Stmt]) -> Vec<Stmt> {
        body.iter().map(|s| self.stmt(s)).collect()
    }

    /// A statement.
    fn stmt(&mut self, s: &Stmt) -> Stmt {
        match s {
            Stmt::For(f) => {
                let (lo, hi) = (self.int(&f.lo), self.int(&f.hi));
                let var = self.declare_var(f.var);
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
                Stmt::Let { var: self.declare_var(*var), value }
            }
            Stmt::Alloc(t) => Stmt::Alloc(self.declare_buffer(*t)),
            Stmt::Repeat(r) => {
                let limit = self.int(&r.limit);
                let var = self.declare_var(r.var);
                let body = self.body(&r.body);
                let until = self.expr(&r.until);
                Stmt::Repeat(Repeat { var, limit, until, must_converge: r.must_converge, body })
            }
            Stmt::Intrin(c) => {
                let views = c.views.iter().map(|v| self.view(v)).collect();
                Stmt::Intrin(IntrinsicCall { intrinsic: c.intrinsic.clone(), views })
            }
        }
    }

    /// An argument of an intrinsic.
    fn view(&mut self, v: &View) -> View {
        let extents: Vec<IntExpr> = v.axes.iter().map(|(_, n)| self.int(n)).collect();
        let axes = self.enter_view(v).into_iter().zip(extents).collect();
        let subscripts = v.subscripts.iter().map(|e| self.int(e)).collect();
        self.leave();
        View { buffer: self.tensor(v.buffer), axes, subscripts }
    }

    /// A block.
    fn block(&mut self, b: &Block) -> Block {
        let values: Vec<IntExpr> = b.iters.iter().map(|(_, e)| self.int(e)).collect();
        let iters = self.enter_block(b).into_iter().zip(values).collect();
        let guard = b.guard.as_ref().map(|g| self.expr(g));
        let mut lets = Vec::new();
        for (t, e) in &b.lets {
            let e = self.expr(e);
            lets.push((self.declare_let(*t), e));
        }
        let subscripts = b.store.subscripts.iter().map(|s| match s {
            Subscript::Affine(i) => Subscript::Affine(self.int(i)),
            Subscript::Data(e) => Subscript::Data(self.expr(e)),
        });
        let store = Store {
            buffer: self.tensor(b.store.buffer),
            subscripts: subscripts.collect(),
            update: b.store.update,
            value: self.expr(&b.store.value),
            drop: b.store.drop,
        };
        let init = b.init.as_ref().map(|e| self.expr(e));
        self.leave();
        Block { name: self.block_name(&b.name), iters, guard, init, lets, store }
    }
}
