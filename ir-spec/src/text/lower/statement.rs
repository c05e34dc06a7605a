//! One equation: target, right side, guard, and the core equations they become.

use super::function::{Binding, FunctionCx};
use super::hir::{Hir, HirKind, HirSub, ReduceOp, Shared};
use super::index::{DomainCx, Indices};
use super::resolve::Cover;
use super::typing::Value;
use super::value::Bound;
use super::{Reported, attributes};
use crate::diag::{Code, Diagnostic};
use crate::graph::Attributes;
use crate::int::IntExpr;
use crate::scalar::{Expr, Reducer, Semiring, Subscript};
use crate::span::Span;
use crate::text::ast::{self, AssignOp, Target};
use crate::{TensorId, VarId};
use indexmap::{IndexMap, IndexSet};
use std::rc::Rc;
use tcc_abi::DType;

/// An equation being lowered.
pub(super) struct StatementCx<'f, 'a> {
    pub(super) function: &'f mut FunctionCx<'a>,
    pub(super) indices: Indices,
    /// Names that stand in subscripts or as reduction variables: the only ones that may be indices.
    pub(super) subscript_names: IndexSet<String>,
    /// Arguments and locals of the scalar function being inlined.
    pub(super) locals: IndexMap<String, Rc<Shared>>,
    pub(super) inlining: Vec<String>,
    pub(super) next_shared: usize,
    /// How often each shared value is used.
    pub(super) shared_uses: IndexMap<usize, usize>,
    /// Values of shared expressions that were given a name.
    pub(super) shared_values: IndexMap<usize, Value>,
    pub(super) attributes: Attributes,
    pub(super) fix: Option<usize>,
    pub(super) span: Span,
    /// Sums over indices that occur once are meant (einsum).
    pub(super) explicit_sums: bool,
    /// Stem of the names of intermediates.
    pub(super) stem: String,
    targets: Vec<String>,
}

/// What an assignment does with contributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assign {
    /// `=`
    Plain,
    /// `+=`
    Plus,
    /// `max=` and the like: the reducer covers the whole right side.
    Whole(Reducer),
    /// `mean=`
    Mean,
    /// `=<semiring>`
    Tagged(Semiring),
}

/// The written access of an equation, resolved.
pub(super) struct Written {
    pub(super) name: ast::Name,
    /// `None` if the tensor's type is to be inferred.
    pub(super) tensor: Option<TensorId>,
    pub(super) subs: Vec<HirSub>,
    pub(super) span: Span,
}

impl<'f, 'a> StatementCx<'f, 'a> {
    pub(super) fn new(
        function: &'f mut FunctionCx<'a>,
        e: &ast::Equation,
        fix: Option<usize>,
    ) -> StatementCx<'f, 'a> {
        let mut names = Vec::new();
        super::function::subscript_names(e, &mut names);
        let mut subscript_names: IndexSet<String> = names.into_iter().collect();
        for k in 0..function.leading {
            subscript_names.insert(function.leading_index(k));
        }
        let targets: Vec<String> = e.targets.iter().map(|t| t.name.text.clone()).collect();
        StatementCx {
            stem: targets.first().cloned().unwrap_or_default(),
            function,
            indices: Indices::default(),
            subscript_names,
            locals: IndexMap::new(),
            inlining: Vec::new(),
            next_shared: 0,
            shared_uses: IndexMap::new(),
            shared_values: IndexMap::new(),
            attributes: Attributes::default(),
            fix,
            span: e.span,
            explicit_sums: false,
            targets,
        }
    }

    pub(super) fn error(&mut self, d: Diagnostic) -> Reported {
        self.function.error(d)
    }

    pub(super) fn warn(&mut self, d: Diagnostic) {
        self.function.module.diagnostics.push(d);
    }

    /// True if the statement writes a tensor of this name.
    pub(super) fn writes(&self, name: &str) -> bool {
        self.targets.iter().any(|t| t == name)
    }

    /// The indices beside what finding their domains needs.
    pub(super) fn domain_cx(&mut self) -> (&mut Indices, DomainCx<'_>) {
        let f = &mut *self.function;
        let diagnostics = &mut f.module.diagnostics;
        (&mut self.indices, DomainCx { facts: &f.facts, function: &f.function, diagnostics })
    }

    /// Lowers the equation.
    pub(super) fn lower(mut self, e: &ast::Equation) -> Result<(), Reported> {
        self.attributes = attributes::read(self.function.module, &e.attrs)?;
        if let Some(outcome) = self.whole_tensors(e) {
            return outcome;
        }
        let [target] = e.targets.as_slice() else {
            let d = Diagnostic::new(
                Code::Parse,
                e.span,
                "several targets need a call of a function with several results",
            );
            return Err(self.error(d));
        };
        let assign = self.assign(&e.op)?;
        let cover = Cover { guarded: e.guard.is_some() };
        let written = self.written(target, cover)?;
        let value = self.resolve(&e.value, cover)?;
        let guard = e.guard.as_ref().map(|g| self.resolve(g, Cover::default())).transpose()?;
        self.solve_domains()?;
        self.equation(&written, assign, &value, guard.as_ref())
    }

    pub(super) fn solve_domains(&mut self) -> Result<(), Reported> {
        let (indices, mut cx) = self.domain_cx();
        indices.solve(&mut cx)
    }

    fn assign(&mut self, op: &AssignOp) -> Result<Assign, Reported> {
        match op {
            AssignOp::Plain => Ok(Assign::Plain),
            AssignOp::Plus => Ok(Assign::Plus),
            AssignOp::Named(n) if n.text == "mean" => Ok(Assign::Mean),
            AssignOp::Named(n) => match Reducer::parse(&n.text) {
                Some(r) if r != Reducer::Sum => Ok(Assign::Whole(r)),
                _ => {
                    let ops = ["max", "min", "or", "and", "prod", "mean", "lse"];
                    let d = super::unknown_name("assignment", &n.text, n.span, ops.into_iter())
                        .note("assignments are `=`, `+=`, `max=`, `min=`, `or=`, `and=`, `prod=`, `mean=`, `lse=`, `=<semiring>`");
                    Err(self.error(d))
                }
            },
            AssignOp::Tagged(n) => match Semiring::parse(&n.text) {
                Some(s) => Ok(Assign::Tagged(s)),
                None if self.function.module.semirings.contains_key(&n.text) => {
                    let d = Diagnostic::new(
                        Code::Unsupported,
                        n.span,
                        format!("the user-defined semiring `{}` is not compiled yet", n.text),
                    )
                    .help("built-in semirings: real, bool, maxplus, minplus, maxmul, log, count");
                    Err(self.error(d))
                }
                None => {
                    let names = Semiring::ALL.map(Semiring::name);
                    let d = super::unknown_name("semiring", &n.text, n.span, names.into_iter());
                    Err(self.error(d))
                }
            },
        }
    }

    fn written(&mut self, target: &Target, cover: Cover) -> Result<Written, Reported> {
        let name = target.name.clone();
        let subs = target.subs.clone().unwrap_or_default();
        let binding = self.function.target(&name.text);
        let (tensor, subs) = match binding {
            Some(Binding::Failed) => return Err(Reported),
            Some(Binding::Tensor(t)) => {
                self.check_writable(t, &target.name)?;
                (Some(t), self.subscripts(&name, t, &subs, target.span, (cover, false))?)
            }
            None => {
                if self.function.function.size_by_name(&name.text).is_some() {
                    let d = Diagnostic::new(
                        Code::Name,
                        name.span,
                        format!("`{}` is a size and cannot be defined", name.text),
                    );
                    return Err(self.error(d));
                }
                let subs = self.expand_ellipsis(&subs, target.span)?;
                let subs: Result<Vec<_>, _> =
                    subs.iter().map(|s| self.subscript(s, cover)).collect();
                (None, subs?)
            }
        };
        Ok(Written { name, tensor, subs, span: target.span })
    }

    fn check_writable(&mut self, t: TensorId, name: &ast::Name) -> Result<(), Reported> {
        let Some(tensor) = self.function.function.tensors.get(t) else { return Err(Reported) };
        if tensor.role.is_parameter() {
            let d = Diagnostic::new(
                Code::Redef,
                name.span,
                format!("`{}` is a parameter and cannot be written", name.text),
            )
            .label(tensor.span, "declared here")
            .help(format!("declare it `inout {}` to update it in place", name.text));
            return Err(self.error(d));
        }
        Ok(())
    }

    /// Indices of the written subscripts, in order of first appearance.
    pub(super) fn written_vars(&self, written: &Written) -> Bound {
        let mut out = Bound::default();
        let mut add = |v: VarId| out.insert(v);
        for sub in &written.subs {
            match sub {
                HirSub::Int(i) => i.visit_symbols(&mut |s| {
                    if let crate::int::Symbol::Var(v) = s {
                        add(v);
                    }
                }),
                HirSub::Data(h) => h.free_indices(&mut |v, _| add(v)),
            }
        }
        out
    }

    fn equation(
        &mut self,
        written: &Written,
        assign: Assign,
        value: &Hir,
        guard: Option<&Hir>,
    ) -> Result<(), Reported> {
        let bound = self.written_vars(written);
        self.warn_broadcast(&bound, value, guard);
        match assign {
            Assign::Plain | Assign::Plus => {
                self.summing_equation(written, assign, value, guard, &bound)
            }
            Assign::Whole(r) => self.whole_equation(written, r, value, guard, &bound),
            Assign::Mean => self.mean_equation(written, value, guard, &bound),
            Assign::Tagged(s) => self.tagged_equation(written, s, value, guard, &bound),
        }
    }

    /// `=` and `+=`: implicit sums are term by term (R1); a right side that is one sum goes
    /// straight into the target.
    fn summing_equation(
        &mut self,
        written: &Written,
        assign: Assign,
        value: &Hir,
        guard: Option<&Hir>,
        bound: &Bound,
    ) -> Result<(), Reported> {
        let want = self.target_dtype(written).or_else(|| self.infer(value));
        if let Some((reducer, vars, pred, body)) = self.explicit_reduction(value, assign, guard) {
            let inner = bound.with(&vars);
            let body = self.typed_value(body, &inner, want, value.span)?;
            let guard = pred.map(|p| self.predicate(p, &inner)).transpose()?;
            let reducer = self.reducer_for(reducer, body.dtype(), value.span)?;
            return self.write(written, Some(reducer), body, guard, &vars);
        }
        if self.is_injective(written) || assign == Assign::Plain {
            let reduced = self.guard_only_vars(guard, bound);
            if let Some((body, vars)) = self.direct_sum(value, bound, &reduced, want)? {
                let inner = bound.with(&vars);
                let guard = guard.map(|g| self.predicate(g, &inner)).transpose()?;
                let reducer = self.reducer_for(Reducer::Sum, body.dtype(), value.span)?;
                return self.write(written, Some(reducer), body, guard, &vars);
            }
        }
        self.check_guard_bound(guard, bound)?;
        let body = self.typed_value(value, bound, want, value.span)?;
        let guard = guard.map(|g| self.predicate(g, bound)).transpose()?;
        let reducer = match assign {
            Assign::Plus => Some(self.reducer_for(Reducer::Sum, body.dtype(), value.span)?),
            _ => None,
        };
        self.write(written, reducer, body, guard, &[])
    }

    /// A right side that is one bracketed reduction which the assignment can take over: any for a
    /// plain `=`, a sum for `+=`. A guard excludes elements, not contributions, so it prevents
    /// that.
    fn explicit_reduction<'h>(
        &self,
        value: &'h Hir,
        assign: Assign,
        guard: Option<&Hir>,
    ) -> Option<(Reducer, Vec<VarId>, Option<&'h Hir>, &'h Hir)> {
        match &value.kind {
            HirKind::Reduce { op: ReduceOp::Monoid(r), vars, pred, body }
                if guard.is_none() && (assign == Assign::Plain || *r == Reducer::Sum) =>
            {
                Some((*r, vars.clone(), pred.as_deref(), body.as_ref()))
            }
            _ => None,
        }
    }

    /// `max=` and the like (R4).
    fn whole_equation(
        &mut self,
        written: &Written,
        reducer: Reducer,
        value: &Hir,
        guard: Option<&Hir>,
        bound: &Bound,
    ) -> Result<(), Reported> {
        // `Y max= max[k | p](e)` says the same as `Y max= e where p`, with k's domain made
        // explicit.
        let (value, pred, explicit) = match &value.kind {
            HirKind::Reduce { op: ReduceOp::Monoid(r), vars, pred, body }
                if *r == reducer && guard.is_none() =>
            {
                (body.as_ref(), pred.as_deref(), vars.clone())
            }
            _ => (value, guard, Vec::new()),
        };
        let mut reduced = explicit;
        let open = self.all_unbound(value, pred, &bound.with(&reduced));
        reduced.extend(open);
        let inner = bound.with(&reduced);
        let want = self.target_dtype(written).or_else(|| self.infer(value));
        let body = self.typed_value(value, &inner, want, value.span)?;
        let guard = pred.map(|g| self.predicate(g, &inner)).transpose()?;
        let reducer = self.reducer_for(reducer, body.dtype(), value.span)?;
        self.write(written, Some(reducer), body, guard, &reduced)
    }

    fn tagged_equation(
        &mut self,
        written: &Written,
        semiring: Semiring,
        value: &Hir,
        guard: Option<&Hir>,
        bound: &Bound,
    ) -> Result<(), Reported> {
        let reduced = self.all_unbound(value, guard, bound);
        let inner = bound.with(&reduced);
        let want = self.target_dtype(written);
        let body = self.semiring_value(value, &inner, semiring, want)?;
        let guard = guard.map(|g| self.predicate(g, &inner)).transpose()?;
        let reducer = self.reducer_for(semiring.reducer(), body.dtype(), value.span)?;
        self.write(written, Some(reducer), body, guard, &reduced)
    }

    /// Indices of right side and guard that the target does not bear, in order of appearance.
    pub(super) fn all_unbound(
        &self,
        value: &Hir,
        guard: Option<&Hir>,
        bound: &Bound,
    ) -> Vec<VarId> {
        let mut out = Vec::new();
        let mut add = |v: VarId, _: Span| {
            if !bound.contains(v) && !out.contains(&v) {
                out.push(v);
            }
        };
        value.free_indices(&mut add);
        if let Some(g) = guard {
            g.free_indices(&mut add);
        }
        out
    }

    fn guard_only_vars(&self, guard: Option<&Hir>, bound: &Bound) -> Vec<VarId> {
        let mut out = Vec::new();
        if let Some(g) = guard {
            g.free_indices(&mut |v, _| {
                if !bound.contains(v) && !out.contains(&v) {
                    out.push(v);
                }
            });
        }
        out
    }

    fn check_guard_bound(&mut self, guard: Option<&Hir>, bound: &Bound) -> Result<(), Reported> {
        let Some(g) = guard else { return Ok(()) };
        let Some(v) = self.guard_only_vars(guard, bound).first().copied() else { return Ok(()) };
        let name = self.index_name(v);
        let d = Diagnostic::new(
            Code::AmbigSum,
            g.span,
            format!("`where` mentions `{name}`, which the target does not bear"),
        )
        .help(format!("write `sum[{name} | condition](...)` around the sum that it restricts"));
        Err(self.error(d))
    }

    pub(super) fn index_name(&self, v: VarId) -> String {
        self.indices.table.get(v).map_or_else(|| v.to_string(), |i| i.name.clone())
    }

    /// True if distinct points of the domain write distinct elements, as far as the subscripts
    /// show: each is one index plus a constant, all indices different.
    fn is_injective(&self, written: &Written) -> bool {
        let mut seen = Vec::new();
        written.subs.iter().all(|sub| match sub {
            HirSub::Int(i) => {
                let mut vars = Vec::new();
                i.visit_symbols(&mut |s| {
                    if let crate::int::Symbol::Var(v) = s {
                        vars.push(v);
                    }
                });
                match vars.as_slice() {
                    [] => true,
                    [v] => {
                        let unit = i
                            .linear_in(*v)
                            .is_some_and(|(c, _)| c.as_constant().is_some_and(|c| c.abs() == 1));
                        let fresh = !seen.contains(v);
                        seen.push(*v);
                        unit && fresh
                    }
                    _ => false,
                }
            }
            HirSub::Data(_) => false,
        })
    }

    fn target_dtype(&self, written: &Written) -> Option<DType> {
        written.tensor.and_then(|t| self.function.function.tensors.get(t)).map(|t| t.dtype)
    }

    /// The reducer as the element type has it (sum and product of bools are or and and).
    pub(super) fn reducer_for(
        &mut self,
        reducer: Reducer,
        dtype: DType,
        span: Span,
    ) -> Result<Reducer, Reported> {
        let reducer = match (reducer, dtype) {
            (Reducer::Sum, DType::Bool) => Reducer::Or,
            (Reducer::Prod, DType::Bool) => Reducer::And,
            (r, _) => r,
        };
        if reducer.accepts(dtype) {
            return Ok(reducer);
        }
        let d = Diagnostic::new(
            Code::Type,
            span,
            format!("`{reducer}` does not reduce values of type {dtype}"),
        );
        Err(self.error(d))
    }

    /// Adds the final equation of the statement, declaring its tensor if it has no type yet.
    pub(super) fn write(
        &mut self,
        written: &Written,
        reducer: Option<Reducer>,
        body: Expr,
        guard: Option<Expr>,
        reduced: &[VarId],
    ) -> Result<(), Reported> {
        let subs = self.written_subscripts(written)?;
        let tensor = match written.tensor {
            Some(t) => t,
            None => self.infer_target(written, body.dtype())?,
        };
        let declared = self.function.function.tensors.get(tensor).map(|t| t.dtype);
        if declared.is_some_and(|d| d != body.dtype()) {
            let (have, want) = (body.dtype(), declared.unwrap_or(DType::F32));
            let d = Diagnostic::new(
                Code::Type,
                self.span,
                format!("the right side has type {have}, but `{}` holds {want}", written.name.text),
            )
            .help(format!("convert it: `cast({want}, ...)`"));
            return Err(self.error(d));
        }
        self.check_reducer_agrees(tensor, reducer, written)?;
        self.check_accumulator(body.dtype())?;
        let attributes = self.attributes.clone();
        let equation = self.build(subs, reducer, body, guard, reduced, attributes);
        self.function.define(tensor, equation, self.fix);
        Ok(())
    }

    /// Values with a fraction are not accumulated in a type without.
    fn check_accumulator(&mut self, dtype: DType) -> Result<(), Reported> {
        let Some(acc) = self.attributes.acc else { return Ok(()) };
        let fits = |d: DType| d.is_float() || d.is_complex();
        if fits(acc) || !fits(dtype) {
            return Ok(());
        }
        let message = format!("values of type {dtype} are not accumulated in {acc}");
        let d = Diagnostic::new(Code::Type, self.span, message);
        Err(self.error(d.help("name a floating type, such as `@acc(f64)`")))
    }

    fn written_subscripts(&mut self, written: &Written) -> Result<Vec<Subscript>, Reported> {
        let all = self.written_vars(written);
        written
            .subs
            .iter()
            .map(|sub| match sub {
                HirSub::Int(i) => Ok(Subscript::Affine(i.clone())),
                HirSub::Data(h) => Ok(Subscript::Data(self.data_subscript(h, &all)?)),
            })
            .collect()
    }

    /// All equations of a tensor use the same accumulating assignment, or all plain ones.
    fn check_reducer_agrees(
        &mut self,
        tensor: TensorId,
        reducer: Option<Reducer>,
        written: &Written,
    ) -> Result<(), Reported> {
        let Some(first) = self.function.pending.definitions.get(&tensor).and_then(|d| d.first())
        else {
            return Ok(());
        };
        let same_fix = self.function.pending.in_fix.get(&tensor).copied() == self.fix;
        // Regions may each have their own reducer; overlap is checked on the graph.
        let _ = reducer;
        if same_fix {
            return Ok(());
        }
        let d = Diagnostic::new(
            Code::Redef,
            written.span,
            format!("`{}` is defined both inside and outside of a `fix` block", written.name.text),
        )
        .label(first.span, "also defined here");
        Err(self.error(d))
    }

    /// Declares the target from the domains of its bare subscripts.
    pub(super) fn infer_target(
        &mut self,
        written: &Written,
        dtype: DType,
    ) -> Result<TensorId, Reported> {
        let mut shape = Vec::new();
        for (axis, sub) in written.subs.iter().enumerate() {
            let var = match sub {
                HirSub::Int(i) => i.as_var(),
                HirSub::Data(_) => None,
            };
            let Some((lo, extent)) = var.and_then(|v| self.domain(v)) else {
                let d = Diagnostic::new(
                    Code::Size,
                    written.span,
                    format!("the extent of axis {axis} of `{}` is not known", written.name.text),
                )
                .note("an extent is only inferred for subscripts that are just an index")
                .help(format!("declare it: `let {}: {dtype}[...]`", written.name.text));
                return Err(self.error(d));
            };
            shape.push(lo + extent);
        }
        Ok(self.function.add_tensor(&written.name.text, dtype, shape, written.name.span))
    }

    /// First value and extent of an index whose domain was found.
    pub(super) fn domain(&self, v: VarId) -> Option<(IntExpr, IntExpr)> {
        let index = self.indices.table.get(v)?;
        Some((index.lo.clone(), index.extent.clone()?))
    }

    /// W-BCAST: a target index that a non-constant right side does not use.
    fn warn_broadcast(&mut self, bound: &Bound, value: &Hir, guard: Option<&Hir>) {
        let mut used = Vec::new();
        let mut note = |v: VarId, _: Span| used.push(v);
        value.free_indices(&mut note);
        if let Some(g) = guard {
            g.free_indices(&mut note);
        }
        if self.attributes.bcast || self.explicit_sums || used.is_empty() {
            return;
        }
        let missing: Vec<VarId> = bound.iter().filter(|v| !used.contains(v)).collect();
        for v in missing {
            let Some(index) = self.indices.table.get(v) else { continue };
            let d = Diagnostic::new(
                Code::Bcast,
                index.span,
                format!("index `{}` does not occur on the right side", index.name),
            )
            .note("every value is repeated along it")
            .help("add `@bcast` if this is meant");
            self.warn(d);
        }
    }
}
