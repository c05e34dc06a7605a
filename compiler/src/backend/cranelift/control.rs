//! Statements: loops, branches, blocks.

use super::emit::Val;
use super::kernel::{KernelCx, Lane, plain};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use tcc_abi::Status;
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, For, LoopKind, Repeat, Stmt, Update};
use tcc_ir::scalar::{Expr, Func};

impl<'k> KernelCx<'k, '_> {
    pub(super) fn body(&mut self, body: &'k [Stmt]) {
        for s in body {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &'k Stmt) {
        match s {
            Stmt::For(f) if self.nest.first().is_some_and(|n| n.var == f.var) => self.share(),
            Stmt::For(f) => match f.kind {
                LoopKind::Serial | LoopKind::Parallel | LoopKind::Bind(_) => self.serial(f),
                LoopKind::Vectorize => self.vector_loop(f),
                LoopKind::Unroll => self.unroll(f),
            },
            Stmt::Block(b) => self.block(b),
            Stmt::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Stmt::Let { var, value } => {
                let v = self.int(value);
                self.ints.define(*var, v);
            }
            Stmt::Alloc(_) => {}
            Stmt::Repeat(r) => self.repeat(r),
            Stmt::Intrin(c) => self.intrinsic(c),
        }
    }

    fn serial(&mut self, f: &'k For) {
        let (lo, hi) = (self.ints.resolve(&f.lo), self.ints.resolve(&f.hi));
        let known = lo.as_constant().zip(hi.as_constant());
        match known {
            Some((a, b)) if a >= b => return,
            Some((a, b)) if a + 1 == b => return self.at_constant(f.var, a, &f.body),
            _ => {}
        }
        let (first, last) = (self.int(&lo), self.int(&hi));
        let (body, exit) = (self.e.b.create_block(), self.e.b.create_block());
        let i = self.e.b.append_block_param(body, I64);
        if known.is_some() {
            self.e.b.ins().jump(body, &[first.into()]);
        } else {
            let some = self.e.b.ins().icmp(IntCC::SignedLessThan, first, last);
            self.e.b.ins().brif(some, body, &[first.into()], exit, &[]);
        }
        self.e.b.switch_to_block(body);
        self.ints.push_scope();
        self.ints.define(f.var, i);
        let needed = self.needed(&f.body);
        self.anticipate(&needed);
        if has_loops(&f.body) {
            self.poll();
        }
        self.body(&f.body);
        let next = self.e.b.ins().iadd_imm_s(i, 1);
        let more = self.e.b.ins().icmp(IntCC::SignedLessThan, next, last);
        self.e.b.ins().brif(more, body, &[next.into()], exit, &[]);
        self.ints.pop_scope();
        self.e.b.seal_block(body);
        self.e.b.seal_block(exit);
        self.e.b.switch_to_block(exit);
    }

    /// Returns if the call was cancelled.
    pub(super) fn poll(&mut self) {
        let flag = self.e.b.ins().load(I32, plain(), self.cancel, 0);
        let (stop, go_on) = (self.e.b.create_block(), self.e.b.create_block());
        self.e.b.set_cold_block(stop);
        self.e.b.ins().brif(flag, stop, &[], go_on, &[]);
        self.e.b.seal_block(stop);
        self.e.b.seal_block(go_on);
        self.e.b.switch_to_block(stop);
        let status = self.e.b.ins().iconst(I32, Status::Cancelled as i64);
        self.e.b.ins().return_(&[status]);
        self.e.b.switch_to_block(go_on);
    }

    fn at_constant(&mut self, var: VarId, value: i64, body: &'k [Stmt]) {
        self.at(var, IntExpr::constant(value), body);
    }

    fn at(&mut self, var: VarId, value: IntExpr, body: &'k [Stmt]) {
        let before = self.ints.bind(var, Some(value));
        self.ints.push_scope();
        self.body(body);
        self.ints.pop_scope();
        self.ints.bind(var, before);
    }

    /// Copies of the body; only the extent has to be a constant.
    fn unroll(&mut self, f: &'k For) {
        let lo = self.ints.resolve(&f.lo);
        let extent = self.ints.resolve(&(&f.hi - &f.lo)).as_constant();
        let Some(extent) = extent else {
            let kind = f.kind.name();
            return self.refuse(format!("a loop marked `{kind}` needs a constant extent"));
        };
        for i in 0..extent {
            self.at(f.var, lo.clone() + IntExpr::constant(i), &f.body);
        }
    }

    /// A vector loop: chunks of lanes where every statement is a block that fits, then single
    /// iterations.
    fn vector_loop(&mut self, f: &'k For) {
        let constant = |e: &IntExpr| self.ints.resolve(e).as_constant();
        let (lo, hi) = (constant(&f.lo), constant(&f.hi));
        let Some((lo, hi)) = lo.zip(hi) else { return self.unroll(f) };
        let lanes = self.lanes_of(&f.body).map_or(1, i64::from);
        let mut at = lo;
        while lanes > 1 && at + lanes <= hi {
            let chunk = Lane { var: f.var, base: at, lanes: lanes as u32 };
            let before = self.lane.replace(chunk);
            self.body(&f.body);
            self.lane = before;
            at += lanes;
        }
        (at..hi).for_each(|i| self.at_constant(f.var, i, &f.body));
    }

    /// The number of lanes in which all blocks can run, if they can run in lanes.
    fn lanes_of(&self, body: &[Stmt]) -> Option<u32> {
        if self.lane.is_some() {
            return None;
        }
        let mut lanes = None;
        for s in body {
            let Stmt::Block(b) = s else { return None };
            let width = 16 / self.dtype_of(b.store.buffer).size() as u32;
            let same = lanes.is_none_or(|l| l == width);
            if !same || width < 2 || !self.block_fits(b, width) {
                return None;
            }
            lanes = Some(width);
        }
        lanes
    }

    fn block_fits(&self, b: &Block, lanes: u32) -> bool {
        let guard_free = b.guard.is_none() && b.init.is_none();
        let mut fits = guard_free && Self::fits_lanes(self.dtype_of(b.store.buffer), lanes);
        for e in b.exprs() {
            e.visit(&mut |x| fits &= Self::fits_lanes(x.dtype(), lanes));
        }
        fits
    }

    fn branch(&mut self, condition: &'k Expr, then: &'k [Stmt], otherwise: &'k [Stmt]) {
        let c = self.scalar(condition);
        let (yes, no, done) =
            (self.e.b.create_block(), self.e.b.create_block(), self.e.b.create_block());
        self.e.b.ins().brif(c, yes, &[], no, &[]);
        self.e.b.seal_block(yes);
        self.e.b.seal_block(no);
        self.e.b.switch_to_block(yes);
        self.set_dense(condition, true);
        self.scoped(then);
        self.set_dense(condition, false);
        self.e.b.ins().jump(done, &[]);
        self.e.b.switch_to_block(no);
        self.scoped(otherwise);
        self.e.b.ins().jump(done, &[]);
        self.e.b.seal_block(done);
        self.e.b.switch_to_block(done);
    }

    /// Statements in a scope of their own.
    fn scoped(&mut self, body: &'k [Stmt]) {
        self.ints.push_scope();
        let needed = self.needed(body);
        self.anticipate(&needed);
        self.body(body);
        self.ints.pop_scope();
    }

    fn repeat(&mut self, r: &'k Repeat) {
        let limit = self.int(&r.limit);
        let (body, next, done, over) = (
            self.e.b.create_block(),
            self.e.b.create_block(),
            self.e.b.create_block(),
            self.e.b.create_block(),
        );
        let i = self.e.b.append_block_param(body, I64);
        let zero = self.e.b.ins().iconst(I64, 0);
        let some = self.e.b.ins().icmp(IntCC::SignedLessThan, zero, limit);
        self.e.b.ins().brif(some, body, &[zero.into()], over, &[]);
        self.e.b.switch_to_block(body);
        self.ints.push_scope();
        self.ints.define(r.var, i);
        let needed = self.needed(&r.body);
        self.anticipate(&needed);
        self.poll();
        self.body(&r.body);
        let until = self.scalar(&r.until);
        self.e.b.ins().brif(until, done, &[], next, &[]);
        self.e.b.seal_block(next);
        self.e.b.switch_to_block(next);
        let round = self.e.b.ins().iadd_imm_s(i, 1);
        let more = self.e.b.ins().icmp(IntCC::SignedLessThan, round, limit);
        self.e.b.ins().brif(more, body, &[round.into()], over, &[]);
        self.ints.pop_scope();
        self.e.b.seal_block(body);
        self.e.b.seal_block(over);
        self.e.b.switch_to_block(over);
        if r.must_converge {
            self.ints.push_scope();
            let what = format!("`{}`", self.kernel.results.first().map_or("", |t| self.name(*t)));
            self.report(Status::Diverge, what, limit, limit);
            self.ints.pop_scope();
        } else {
            self.e.b.ins().jump(done, &[]);
        }
        self.e.b.seal_block(done);
        self.e.b.switch_to_block(done);
    }

    /// Binds the block's variables; gives what was bound before.
    pub(super) fn enter(&mut self, b: &Block) -> Vec<(VarId, Option<IntExpr>)> {
        let values: Vec<IntExpr> = b.iters.iter().map(|(_, e)| self.ints.resolve(e)).collect();
        let vars = b.iters.iter().map(|(v, _)| *v);
        vars.zip(values).map(|(v, e)| (v, self.ints.bind(v, Some(e)))).collect()
    }

    pub(super) fn leave(&mut self, before: Vec<(VarId, Option<IntExpr>)>) {
        for (v, e) in before {
            self.ints.bind(v, e);
        }
    }

    /// Binds the variables of the current block anew, after a loop variable was bound.
    pub(super) fn rebind(&mut self) {
        if let Some(b) = self.block {
            self.enter(b);
        }
    }

    fn block(&mut self, b: &'k Block) {
        let before = self.enter(b);
        let outer = self.block.replace(b);
        match &b.guard {
            None => self.unguarded(b),
            Some(g) => {
                let c = self.scalar(g);
                let (yes, done) = (self.e.b.create_block(), self.e.b.create_block());
                self.e.b.ins().brif(c, yes, &[], done, &[]);
                self.e.b.seal_block(yes);
                self.e.b.switch_to_block(yes);
                self.ints.push_scope();
                self.unguarded(b);
                self.ints.pop_scope();
                self.e.b.ins().jump(done, &[]);
                self.e.b.seal_block(done);
                self.e.b.switch_to_block(done);
            }
        }
        for (t, _) in &b.lets {
            self.lets[*t] = None;
        }
        self.block = outer;
        self.leave(before);
    }

    fn unguarded(&mut self, b: &'k Block) {
        for (t, e) in &b.lets {
            let v = self.expr(e);
            self.lets[*t] = Some(v);
        }
        if let Some(init) = &b.init {
            self.initialize(b, init);
        }
        let dtype = b.store.value.dtype();
        match (b.store.update, &b.store.value) {
            (Update::Set, value) => {
                self.store(b, false, &mut |cx, _| cx.expr(value));
            }
            (Update::Reduce(r), value) => {
                let Some(func) = r.func() else {
                    return self.refuse(format!("`{}=` in a block", r.name()));
                };
                self.store(b, true, &mut |cx, old| {
                    let x = cx.expr(value);
                    let old = old.unwrap_or_else(|| unreachable!("the old value was read"));
                    cx.apply(func, &[dtype, dtype], &[old, x])
                });
            }
            (Update::FusedSum, Expr::Apply(Func::Mul, factors)) => {
                self.store(b, true, &mut |cx, old| {
                    let mut values: Vec<Val> = factors.iter().map(|f| cx.expr(f)).collect();
                    values.extend(old);
                    cx.apply(Func::Fma, &[dtype, dtype, dtype], &values)
                });
            }
            (Update::FusedSum, _) => unreachable!("the verifier wants a product under `@fma`"),
        }
    }

    /// Sets the element where every reduction variable is 0.
    fn initialize(&mut self, b: &'k Block, init: &'k Expr) {
        let mut first: Option<Value> = None;
        for v in b.reduction_vars() {
            let position = self.int(&v.into());
            let zero = self.e.b.ins().icmp_imm_s(IntCC::Equal, position, 0);
            first = Some(match first {
                None => zero,
                Some(c) => self.e.b.ins().band(c, zero),
            });
        }
        let Some(first) = first else {
            return self.store(b, false, &mut |cx, _| cx.expr(init));
        };
        let (yes, done) = (self.e.b.create_block(), self.e.b.create_block());
        self.e.b.ins().brif(first, yes, &[], done, &[]);
        self.e.b.seal_block(yes);
        self.e.b.switch_to_block(yes);
        self.ints.push_scope();
        self.store(b, false, &mut |cx, _| cx.expr(init));
        self.ints.pop_scope();
        self.e.b.ins().jump(done, &[]);
        self.e.b.seal_block(done);
        self.e.b.switch_to_block(done);
    }
}

/// True if a loop of unknown length is inside.
pub(super) fn has_loops(body: &[Stmt]) -> bool {
    let mut found = false;
    tcc_ir::kernel::visit_stmts(body, &mut |s| {
        found |= match s {
            Stmt::For(f) => f.lo.as_constant().is_none() || f.hi.as_constant().is_none(),
            Stmt::Repeat(_) => true,
            Stmt::Block(_)
            | Stmt::If { .. }
            | Stmt::Let { .. }
            | Stmt::Alloc(_)
            | Stmt::Intrin(_) => false,
        };
    });
    found
}
