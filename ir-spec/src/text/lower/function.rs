//! One function: its tensors, the order in which equations can be typed, and the graph at the end.

use super::signature::{Instance, SignatureCx};
use super::statement::StatementCx;
use super::{MAX_EQUATIONS, ModuleCx, Reported};
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::graph::cycles::{self, FixGroup, Pending};
use crate::graph::{Equation, Fact, Function, Role, Tensor};
use crate::int::{Facts, IntExpr};
use crate::scalar::Comparison;
use crate::span::Span;
use crate::text::ast::{self, Expr, ExprKind, Stmt, Sub};
use indexmap::{IndexMap, IndexSet};
use tcc_abi::DType;

/// What a tensor name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    Tensor(TensorId),
    /// Its definition had a mistake: whatever reads it stays silent.
    Failed,
}

/// A function being lowered.
pub(super) struct FunctionCx<'a> {
    pub(super) module: &'a mut ModuleCx,
    pub(super) function: Function,
    instance: &'a Instance,
    pub(super) has_leading: bool,
    pub(super) leading: usize,
    /// Sizes of the leading axes.
    leading_sizes: Vec<crate::SizeId>,
    pub(super) facts: Facts,
    /// Axes that some equation writes with a literal slot or a shift (R6).
    pub(super) history: IndexSet<(TensorId, usize)>,
    names: IndexMap<String, Binding>,
    /// New values of `inout` parameters that the function writes.
    updated: IndexMap<String, TensorId>,
    pub(super) pending: Pending,
    /// How often each name stands in a subscript of the whole function.
    pub(super) index_counts: IndexMap<String, usize>,
}

/// An equation waiting for the tensors it reads.
struct Waiting<'e> {
    equation: &'e ast::Equation,
    fix: Option<usize>,
    reads: IndexSet<String>,
}

/// Lowers a function under an instance name and adds it to the module.
pub(super) fn lower_function(
    module: &mut ModuleCx,
    f: &ast::Function,
    name: &str,
    instance: &Instance,
) -> Result<(), Reported> {
    let mut signature = SignatureCx::new(module, name, instance);
    let outcome = signature.read(f);
    let has_leading = f.params.iter().chain(&f.results).any(|g| g.ty.ellipsis);
    let (function, leading_sizes) = (signature.function, signature.leading);
    outcome?;
    let mut cx = FunctionCx {
        facts: function.known_facts(),
        module,
        function,
        instance,
        has_leading,
        leading: instance.leading,
        leading_sizes,
        history: IndexSet::new(),
        names: IndexMap::new(),
        updated: IndexMap::new(),
        pending: Pending::default(),
        index_counts: IndexMap::new(),
    };
    cx.bind_signature();
    let outcome = cx.body(&f.body);
    let outcome = outcome.and(cx.check_defined());
    let (function, pending) = (cx.function, cx.pending);
    outcome?;
    let function = cycles::order(function, pending).map_err(|mistakes| {
        module.diagnostics.extend(mistakes);
        Reported
    })?;
    module.module.functions.insert(name.to_owned(), function);
    Ok(())
}

impl<'a> FunctionCx<'a> {
    pub(super) fn error(&mut self, d: Diagnostic) -> Reported {
        self.module.error(d)
    }

    fn bind_signature(&mut self) {
        let tensors = &self.function.tensors;
        self.names = tensors.iter().map(|(id, t)| (t.name.clone(), Binding::Tensor(id))).collect();
    }

    /// What the name stands for; `writing` if the statement writes a tensor of this name.
    pub(super) fn binding(&self, name: &str, writing: bool) -> Option<Binding> {
        if !writing && let Some(new) = self.updated.get(name) {
            return Some(Binding::Tensor(*new));
        }
        self.names.get(name).copied()
    }

    /// The tensor that an equation with this target writes.
    pub(super) fn target(&self, name: &str) -> Option<Binding> {
        match self.updated.get(name) {
            Some(new) => Some(Binding::Tensor(*new)),
            None => self.names.get(name).copied(),
        }
    }

    pub(super) fn bind(&mut self, name: &str, binding: Binding) {
        self.names.insert(name.to_owned(), binding);
    }

    pub(super) fn dtype(&mut self, name: &ast::Name) -> Result<DType, Reported> {
        let known = self.instance.dtypes.get(&name.text).copied();
        match known {
            Some(d) => Ok(d),
            None => SignatureCx::new(self.module, "", self.instance).dtype(name),
        }
    }

    /// The name of the k-th leading index.
    pub(super) fn leading_index(&self, k: usize) -> String {
        let mut name = format!("l{k}");
        while self.names.contains_key(&name) || self.function.size_by_name(&name).is_some() {
            name.insert(0, '_');
        }
        name
    }

    /// Adds an intermediate tensor under a name derived from `stem` that is not taken.
    pub(super) fn fresh_tensor(
        &mut self,
        stem: &str,
        dtype: DType,
        shape: Vec<IntExpr>,
        span: Span,
    ) -> TensorId {
        let mut k = 0;
        let taken = |cx: &Self, name: &str| {
            cx.names.contains_key(name)
                || cx.function.size_by_name(name).is_some()
                || cx.index_counts.contains_key(name)
        };
        let mut name = format!("{stem}_{k}");
        while taken(self, &name) {
            k += 1;
            name = format!("{stem}_{k}");
        }
        self.add_tensor(&name, dtype, shape, span)
    }

    pub(super) fn add_tensor(
        &mut self,
        name: &str,
        dtype: DType,
        shape: Vec<IntExpr>,
        span: Span,
    ) -> TensorId {
        let role = Role::Intermediate;
        let id =
            self.function.tensors.push(Tensor { name: name.to_owned(), dtype, shape, role, span });
        self.bind(name, Binding::Tensor(id));
        id
    }

    pub(super) fn define(&mut self, tensor: TensorId, equation: Equation, fix: Option<usize>) {
        self.pending.definitions.entry(tensor).or_default().push(equation);
        if let Some(group) = fix {
            self.pending.in_fix.insert(tensor, group);
        }
    }

    /// States that an extent is not 0 (R14), unless that is known.
    pub(super) fn require_at_least_one(&mut self, extent: IntExpr, span: Span) {
        if !self.facts.is_positive(&extent) {
            let (comparison, rhs) = (Comparison::Ge, IntExpr::constant(1));
            self.facts.add_nonneg(&extent - &rhs);
            self.function.facts.push(Fact { lhs: extent, comparison, rhs, span });
        }
    }

    fn body(&mut self, body: &[Stmt]) -> Result<(), Reported> {
        let mut waiting = Vec::new();
        let mut outcome = self.collect(body, None, &mut waiting);
        self.declare_updates(&waiting);
        self.find_history(&waiting);
        outcome = outcome.and(self.lower_waiting(waiting));
        outcome
    }

    /// Declares `let`s and lists equations.
    fn collect<'e>(
        &mut self,
        body: &'e [Stmt],
        fix: Option<usize>,
        waiting: &mut Vec<Waiting<'e>>,
    ) -> Result<(), Reported> {
        let mut outcome = Ok(());
        for stmt in body {
            match stmt {
                Stmt::Let(names, ty, _) => outcome = outcome.and(self.declare(names, ty)),
                Stmt::Equation(e) => {
                    let mut reads = IndexSet::new();
                    names_in_equation(e, &mut reads);
                    self.count_indices(e);
                    waiting.push(Waiting { equation: e, fix, reads });
                }
                Stmt::Fix(f) if fix.is_some() => {
                    let d = Diagnostic::new(Code::Parse, f.span, "`fix` blocks do not nest");
                    outcome = Err(self.error(d));
                }
                Stmt::Fix(f) => {
                    let group = self.fix_group(f);
                    outcome = outcome.and(group.map(|_| ()));
                    let group = group.unwrap_or(0);
                    outcome = outcome.and(self.collect(&f.body, Some(group), waiting));
                }
                Stmt::Error => outcome = Err(Reported),
            }
        }
        outcome
    }

    fn declare(&mut self, names: &[ast::Name], ty: &ast::TypeExpr) -> Result<(), Reported> {
        let mut signature = SignatureCx::new(self.module, "", self.instance);
        signature.function = std::mem::take(&mut self.function);
        signature.open = false;
        signature.leading = self.leading_sizes.clone();
        let ty_read = signature.type_expr(ty);
        self.function = std::mem::take(&mut signature.function);
        let mut outcome = Ok(());
        for name in names {
            if self.names.contains_key(&name.text) {
                let d = Diagnostic::new(
                    Code::Name,
                    name.span,
                    format!("`{}` is declared twice", name.text),
                );
                let first = self.function.tensor_by_name(&name.text);
                let first = first.and_then(|t| self.function.tensors.get(t)).map(|t| t.span);
                let d = match first {
                    Some(span) => d.label(span, "first declared here"),
                    None => d,
                };
                outcome = Err(self.error(d));
                continue;
            }
            match &ty_read {
                Ok((dtype, shape)) => {
                    self.add_tensor(&name.text, *dtype, shape.clone(), name.span);
                }
                Err(Reported) => self.bind(&name.text, Binding::Failed),
            }
        }
        outcome.and(ty_read.map(|_| ()))
    }

    fn fix_group(&mut self, f: &ast::Fix) -> Result<usize, Reported> {
        let mut group = FixGroup { limit: None, tol: None, span: f.span };
        for (name, value) in &f.args {
            match (name.text.as_str(), &value.unparen().kind) {
                ("limit", ExprKind::Int(n)) => group.limit = n.parse().ok(),
                ("tol", ExprKind::Int(t) | ExprKind::Float(t)) => group.tol = Some(t.clone()),
                _ => {
                    let d = Diagnostic::new(
                        Code::Parse,
                        name.span,
                        "`fix` takes `limit=<rounds>` and `tol=<number>`",
                    );
                    return Err(self.error(d));
                }
            }
        }
        if group.tol.is_some() && group.limit.is_none() {
            let d = Diagnostic::new(Code::Parse, f.span, "`tol` needs a `limit` on the rounds");
            return Err(self.error(d));
        }
        self.pending.fixes.push(group);
        Ok(self.pending.fixes.len() - 1)
    }

    fn count_indices(&mut self, e: &ast::Equation) {
        let mut names = Vec::new();
        subscript_names(e, &mut names);
        for n in names {
            *self.index_counts.entry(n).or_insert(0) += 1;
        }
    }

    /// An `inout` parameter that is written gets a second tensor for its new value.
    fn declare_updates(&mut self, waiting: &[Waiting<'_>]) {
        let targets = waiting.iter().flat_map(|w| &w.equation.targets);
        for target in targets {
            let name = &target.name.text;
            let Some(Binding::Tensor(old)) = self.names.get(name).copied() else { continue };
            let Some(t) = self.function.tensors.get(old) else { continue };
            if t.role == Role::Inout && !self.updated.contains_key(name) {
                let new = Tensor { role: Role::Result(Some(old)), ..t.clone() };
                let id = self.function.tensors.push(new);
                self.function.results.push(id);
                self.updated.insert(name.clone(), id);
            }
        }
    }

    fn find_history(&mut self, waiting: &[Waiting<'_>]) {
        for w in waiting {
            for target in &w.equation.targets {
                let Some(Binding::Tensor(t)) = self.target(&target.name.text) else { continue };
                let old = self.binding(&target.name.text, true);
                let mut axis = 0;
                for sub in target.subs.iter().flatten() {
                    if let Sub::Expr(e) = sub
                        && self.is_slot_or_shift(e)
                    {
                        self.history.insert((t, axis));
                        if let Some(Binding::Tensor(old)) = old {
                            self.history.insert((old, axis));
                        }
                    }
                    axis += if matches!(sub, Sub::Ellipsis(_)) { self.leading } else { 1 };
                }
            }
        }
    }

    /// True for subscripts such as `0`, `T-1`, `t+1`: a literal slot, or one index plus a constant.
    fn is_slot_or_shift(&self, e: &Expr) -> bool {
        let mut indices = 0;
        let simple = self.slot_terms(e, &mut indices);
        simple && (indices == 0 || (indices == 1 && !matches!(e.unparen().kind, ExprKind::Name(_))))
    }

    fn slot_terms(&self, e: &Expr, indices: &mut usize) -> bool {
        match &e.unparen().kind {
            ExprKind::Int(_) => true,
            ExprKind::Name(n) => {
                if self.function.size_by_name(n).is_none() {
                    if self.names.contains_key(n) {
                        return false;
                    }
                    *indices += 1;
                }
                true
            }
            ExprKind::Sum(terms) => terms.iter().all(|(_, t)| self.slot_terms(t, indices)),
            ExprKind::Neg(t) => self.slot_terms(t, indices),
            ExprKind::Product(factors) => {
                let mut inside = 0;
                let simple = factors.iter().all(|(_, f)| self.slot_terms(f, &mut inside));
                simple && inside == 0
            }
            _ => false,
        }
    }

    /// Lowers equations as soon as the tensors they read have types.
    fn lower_waiting(&mut self, waiting: Vec<Waiting<'_>>) -> Result<(), Reported> {
        let mut undeclared: IndexSet<String> = waiting
            .iter()
            .flat_map(|w| &w.equation.targets)
            .map(|t| t.name.text.clone())
            .filter(|n| !self.names.contains_key(n))
            .collect();
        let mut outcome = Ok(());
        let mut rest = waiting;
        loop {
            let (ready, blocked): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|w| w.reads.iter().all(|n| !undeclared.contains(n)));
            if ready.is_empty() {
                return outcome.and(self.report_blocked(&blocked, &undeclared));
            }
            for w in ready {
                outcome = outcome.and(self.lower_one(&w));
                for t in &w.equation.targets {
                    undeclared.shift_remove(&t.name.text);
                    if outcome.is_err() && !self.names.contains_key(&t.name.text) {
                        self.bind(&t.name.text, Binding::Failed);
                    }
                }
            }
            if blocked.is_empty() {
                return outcome;
            }
            rest = blocked;
        }
    }

    fn lower_one(&mut self, w: &Waiting<'_>) -> Result<(), Reported> {
        let outcome = StatementCx::new(self, w.equation, w.fix).lower(w.equation);
        if self.pending.count() > MAX_EQUATIONS {
            let d = Diagnostic::new(
                Code::Limit,
                w.equation.span,
                format!("the function has more than {MAX_EQUATIONS} equations"),
            );
            return Err(self.error(d));
        }
        outcome
    }

    fn report_blocked(
        &mut self,
        blocked: &[Waiting<'_>],
        undeclared: &IndexSet<String>,
    ) -> Result<(), Reported> {
        let Some(first) = blocked.first() else { return Ok(()) };
        let name = first.reads.iter().find(|n| undeclared.contains(*n)).cloned();
        let name = name.unwrap_or_default();
        let message =
            format!("the type of `{name}` depends on itself through the equations that define it");
        let d = Diagnostic::new(Code::Type, first.equation.span, message)
            .help(format!("declare it: `let {name}: f32[...]`"));
        Err(self.error(d))
    }

    /// Every result and every `let` needs a definition.
    fn check_defined(&mut self) -> Result<(), Reported> {
        let called: Vec<TensorId> =
            self.pending.calls.iter().flat_map(|c| c.results.clone()).collect();
        let missing: Vec<Diagnostic> = self
            .function
            .tensors
            .iter()
            .filter(|(id, t)| {
                !t.role.is_parameter()
                    && !self.pending.definitions.contains_key(id)
                    && !called.contains(id)
            })
            .map(|(_, t)| {
                let what = if t.role == Role::Intermediate { "tensor" } else { "result" };
                Diagnostic::new(Code::Name, t.span, format!("{what} `{}` is never defined", t.name))
                    .help(format!("add an equation `{}[...] = ...`, or drop it", t.name))
            })
            .collect();
        // Undefined tensors are only news if the equations themselves were fine.
        if missing.is_empty() || self.module.diagnostics.has_errors() {
            return Ok(());
        }
        missing.into_iter().for_each(|d| self.module.diagnostics.push(d));
        Err(Reported)
    }
}

/// Names that an equation reads as tensors.
fn names_in_equation(e: &ast::Equation, out: &mut IndexSet<String>) {
    for t in &e.targets {
        for sub in t.subs.iter().flatten() {
            if let Sub::Expr(s) = sub {
                names_in(s, out);
            }
        }
    }
    names_in(&e.value, out);
    if let Some(g) = &e.guard {
        names_in(g, out);
    }
}

fn names_in(e: &Expr, out: &mut IndexSet<String>) {
    match &e.kind {
        ExprKind::Name(n) => {
            out.insert(n.clone());
        }
        ExprKind::Access { name, .. } => {
            out.insert(name.text.clone());
        }
        _ => {}
    }
    e.kind.children().for_each(|c| names_in(c, out));
}

/// Names that stand in subscripts or as reduction variables, with repeats.
pub(super) fn subscript_names(e: &ast::Equation, out: &mut Vec<String>) {
    for sub in e.targets.iter().flat_map(|t| t.subs.iter().flatten()) {
        names_in_sub(sub, out);
    }
    names_in_subscripts(&e.value, out);
    if let Some(g) = &e.guard {
        names_in_subscripts(g, out);
    }
}

fn names_in_sub(sub: &Sub, out: &mut Vec<String>) {
    match sub {
        Sub::Expr(e) => {
            let mut names = IndexSet::new();
            names_in(e, &mut names);
            out.extend(names);
            names_in_subscripts(e, out);
        }
        Sub::Domain(n, extent) => {
            out.push(n.text.clone());
            names_in_subscripts(extent, out);
        }
        Sub::Ellipsis(_) => {}
    }
}

/// Each subscript is visited once: subscripts nest.
fn names_in_subscripts(e: &Expr, out: &mut Vec<String>) {
    match &e.kind {
        ExprKind::Access { subs, default, .. } => {
            subs.iter().for_each(|s| names_in_sub(s, out));
            default.iter().for_each(|d| names_in_subscripts(d, out));
        }
        ExprKind::Reduce { vars, pred, body, .. } => {
            vars.iter().for_each(|s| names_in_sub(s, out));
            pred.iter().chain([body]).for_each(|x| names_in_subscripts(x, out));
        }
        _ => e.kind.children().for_each(|c| names_in_subscripts(c, out)),
    }
}
