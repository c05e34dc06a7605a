//! Fixpoints: rounds, semi-naive where the reducer is idempotent.
//!
//! A round computes the tensors in order, each from the newest values; only those over a lattice,
//! which come last, read each other's values of the round before.
//!
//! Every tensor of the block has its value and its next value. A lattice tensor's next value
//! persists: a round only adds contributions of elements that changed in the last one, found
//! through a bool tensor of changes. Other tensors are computed anew. After a round values and
//! changes are updated; the loop ends when nothing changed.

use super::LowerCx;
use super::block::KernelBuilder;
use super::nest::{self, Initial};
use indexmap::IndexMap;
use tcc_abi::{DType, Scalar};
use tcc_ir::TensorId;
use tcc_ir::graph::{Definition, Equation, Fix};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Repeat, Stmt, Update};
use tcc_ir::program::ProgramBuffer;
use tcc_ir::scalar::{Expr, Func, Read, Reducer, Subscript};

/// The buffers of one tensor of a fixpoint, as program buffers.
struct Member<'d> {
    definition: &'d Definition,
    current: TensorId,
    next: TensorId,
    /// Which elements changed in the last round, for a lattice tensor.
    changed: Option<TensorId>,
}

impl LowerCx<'_> {
    /// Lowers a fixpoint to one kernel.
    pub(super) fn fix(&mut self, x: &Fix) {
        let members: Vec<Member<'_>> =
            x.definitions.iter().filter_map(|d| self.member(x, d)).collect();
        let any = self.flag("any");
        let nan = self.flag("nan");
        let name = members.first().and_then(|m| self.program.buffers.get(m.current));
        let name = name.map_or("fix".to_owned(), |b| format!("{}_fix", b.name));
        let mut b = KernelBuilder::new(self, &name);
        b.prepare(&members);
        let before = std::mem::take(&mut b.body);
        b.set_flag(any, false);
        b.set_flag(nan, false);
        let (lattice, others): (Vec<_>, Vec<_>) = members.iter().partition(|m| m.changed.is_some());
        for m in others {
            b.advance(m, &members);
            b.compare(m, any, nan, x.tol.as_deref());
        }
        for m in &lattice {
            b.advance(m, &members);
        }
        for m in &lattice {
            b.compare(m, any, nan, x.tol.as_deref());
        }
        let body = std::mem::replace(&mut b.body, before);
        let limit = match x.limit {
            Some(n) => IntExpr::constant(i64::try_from(n).unwrap_or(i64::MAX)),
            None => b.elements(&members) + IntExpr::constant(1),
        };
        let must_converge = x.limit.is_none() || x.tol.is_some();
        b.repeat(limit, any, must_converge, body);
        // NaN never counts as converged.
        b.repeat(IntExpr::constant(1), nan, true, Vec::new());
        b.finish();
    }

    fn member<'d>(&mut self, x: &Fix, d: &'d Definition) -> Option<Member<'d>> {
        let current = self.homes[d.tensor]?;
        let like = self.program.buffers.get(current)?.clone();
        let lattice = x.limit.is_none()
            && d.equations.iter().all(|e| e.reducer.is_some_and(Reducer::is_idempotent));
        let named = |suffix: &str, dtype: DType| ProgramBuffer {
            name: format!("{}_{suffix}", like.name),
            dtype,
            ..like.clone()
        };
        let next = self.temporary(named("next", like.dtype));
        let changed = lattice.then(|| self.temporary(named("changed", DType::Bool)));
        Some(Member { definition: d, current, next, changed })
    }

    fn flag(&mut self, name: &str) -> TensorId {
        self.temporary(ProgramBuffer {
            name: name.to_owned(),
            dtype: DType::Bool,
            shape: Vec::new(),
            role: tcc_ir::graph::Role::Intermediate,
        })
    }
}

impl KernelBuilder<'_, '_> {
    /// Values and next values are the units, everything has changed, and the equations that read no
    /// member of the block are in the next values of lattice tensors.
    fn prepare(&mut self, members: &[Member<'_>]) {
        for m in members {
            let Some(tensor) = self.cx.f.tensors.get(m.definition.tensor).cloned() else {
                continue;
            };
            let fill = Expr::Literal(m.definition.fill(tensor.dtype));
            let current = self.buffer(m.current, true);
            self.fill(current, &tensor.shape, fill.clone(), "fill");
            let Some(changed) = m.changed else { continue };
            let next = self.buffer(m.next, true);
            self.fill(next, &tensor.shape, fill, "fill");
            let changed = self.buffer(changed, true);
            let yes = Expr::Literal(Scalar::from_bool(true));
            self.fill(changed, &tensor.shape, yes, "fill");
            for e in m.definition.equations.iter().filter(|e| !reads_any(e, members)) {
                self.equation(e, next, Initial::Existing, &IndexMap::new());
            }
        }
    }

    /// Computes a tensor's next value.
    fn advance(&mut self, m: &Member<'_>, members: &[Member<'_>]) {
        let next = self.buffer(m.next, true);
        if m.changed.is_some() {
            for e in m.definition.equations.iter().filter(|e| reads_any(e, members)) {
                self.changed_contributions(e, next, members);
            }
            return;
        }
        let Some(tensor) = self.cx.f.tensors.get(m.definition.tensor).cloned() else { return };
        let fill = Expr::Literal(m.definition.fill(tensor.dtype));
        self.fill(next, &tensor.shape, fill, "fill");
        for e in &m.definition.equations {
            self.equation(e, next, Initial::Existing, &IndexMap::new());
        }
    }

    /// Contributions of elements that changed: once for each read of a lattice tensor. A read of
    /// another member, or through data, means the whole equation.
    fn changed_contributions(&mut self, e: &Equation, next: TensorId, members: &[Member<'_>]) {
        let body = self.body_of(e, next, &IndexMap::new());
        let own: Vec<(TensorId, Option<TensorId>)> =
            members.iter().map(|m| (self.buffer(m.current, true), m.changed)).collect();
        let exprs = body.lets.iter().map(|(_, x)| x).chain([&body.value]).chain(&body.guard);
        let reads: Vec<Read> = exprs.flat_map(Expr::reads).cloned().collect();
        let mut filters = Vec::new();
        let mut whole = false;
        for r in &reads {
            let Some((_, changed)) = own.iter().find(|(t, _)| *t == r.tensor) else { continue };
            let affine = r.subscripts.iter().all(|s| s.as_affine().is_some());
            match changed {
                Some(c) if affine && r.default.is_none() => filters.push((*c, r.clone())),
                _ => whole = true,
            }
        }
        let reducer = e.reducer.unwrap_or(Reducer::Or);
        if whole || body.guard.is_some() {
            return nest::pointwise(self, body, Update::Reduce(reducer));
        }
        for (changed, r) in filters {
            let flags = self.buffer(changed, true);
            let condition = Expr::Read(Box::new(Read {
                tensor: flags,
                dtype: DType::Bool,
                subscripts: r.subscripts.clone(),
                default: None,
            }));
            nest::filtered(self, body.clone(), Update::Reduce(reducer), &condition);
        }
    }

    /// Notes what changed and moves the next value over.
    fn compare(&mut self, m: &Member<'_>, any: TensorId, nan: TensorId, tol: Option<&str>) {
        let Some(tensor) = self.cx.f.tensors.get(m.definition.tensor).cloned() else { return };
        let (dtype, shape) = (tensor.dtype, tensor.shape);
        let (current, next) = (self.buffer(m.current, true), self.buffer(m.next, true));
        let differs = |at: &[IntExpr]| {
            let read = |t| Expr::read(t, dtype, at.to_vec());
            let unequal = Expr::binary(Func::Ne, read(next), read(current));
            match tol.and_then(|t| t.parse::<f64>().ok()).filter(|_| dtype.is_float()) {
                None => unequal,
                Some(tol) => {
                    let gap = Expr::binary(Func::Sub, read(next), read(current));
                    let gap = Expr::Apply(Func::Abs, vec![gap]);
                    let near = Expr::binary(Func::Le, gap, Expr::number(dtype, tol));
                    Expr::binary(Func::And, unequal, Expr::Apply(Func::Not, vec![near]))
                }
            }
        };
        if let Some(changed) = m.changed {
            let flags = self.buffer(changed, true);
            let body = self.whole_body(flags, &shape, "changed", differs);
            nest::pointwise(self, body, Update::Set);
        }
        self.accumulate_flag(any, &shape, &differs);
        if dtype.is_float() {
            let is_nan = |at: &[IntExpr]| {
                Expr::Apply(Func::IsNan, vec![Expr::read(next, dtype, at.to_vec())])
            };
            self.accumulate_flag(nan, &shape, &is_nan);
        }
        let body =
            self.whole_body(current, &shape, "move", |at| Expr::read(next, dtype, at.to_vec()));
        nest::pointwise(self, body, Update::Set);
    }

    /// `flag or= condition` over a shape.
    fn accumulate_flag(
        &mut self,
        flag: TensorId,
        shape: &[IntExpr],
        condition: &dyn Fn(&[IntExpr]) -> Expr,
    ) {
        let flag = self.buffer(flag, true);
        let mut body = self.whole_body(flag, shape, "flag", condition);
        body.subscripts = Vec::<Subscript>::new();
        nest::pointwise(self, body, Update::Reduce(Reducer::Or));
    }

    fn set_flag(&mut self, flag: TensorId, value: bool) {
        let flag = self.buffer(flag, true);
        self.fill(flag, &[], Expr::Literal(Scalar::from_bool(value)), "flag");
    }

    /// Repeats a body until the flag is false after it.
    fn repeat(&mut self, limit: IntExpr, flag: TensorId, must_converge: bool, body: Vec<Stmt>) {
        let flag = self.buffer(flag, true);
        let until = Expr::Apply(Func::Not, vec![Expr::read(flag, DType::Bool, vec![])]);
        let var = self.kernel.fresh_var("round");
        self.body.push(Stmt::Repeat(Repeat { var, limit, until, must_converge, body }));
    }

    /// Number of elements of all members.
    fn elements(&self, members: &[Member<'_>]) -> IntExpr {
        let count = |m: &Member<'_>| {
            let shape = self.cx.f.tensors.get(m.definition.tensor).map(|t| t.shape.clone());
            shape.unwrap_or_default().into_iter().fold(IntExpr::constant(1), |p, e| p * e)
        };
        members.iter().fold(IntExpr::default(), |sum, m| sum + count(m))
    }
}

fn reads_any(e: &Equation, members: &[Member<'_>]) -> bool {
    e.reads().iter().any(|r| members.iter().any(|m| m.definition.tensor == r.tensor))
}
