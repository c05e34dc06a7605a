//! The verifier of the graph level, and the only way to a [`Checked`] module.
//!
//! Rules (SPEC.md, G): every id is in range and every rank fits; every expression is well typed;
//! every symbol is in scope; every tensor that is not a parameter is defined once, before it is
//! used; extents are expressions over sizes; every affine access is in bounds, or the condition on
//! the sizes under which it is becomes a derived fact; writes without a reducer write each element
//! once; equations of one tensor share a reducer or write disjoint regions; scans step in one
//! direction; fixpoints are monotone. Data-dependent subscripts are checked when the program runs.

mod access;
mod fixpoint;
mod overlap;

use super::cycles::{equation_facts, var_range};
use super::sizes::free_sizes;
use super::{Definition, Equation, Function, FunctionNames, Module, Node, Role, Scan};
use crate::TensorId;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::int::{Facts, IntExpr, Symbol, SymbolNames, bounds, display};
use crate::scalar::{Expr, Subscript};
use crate::span::Span;
use indexmap::{IndexMap, IndexSet};
use tcc_abi::DType;

/// A module that passed the verifier. Nothing later accepts another.
#[derive(Clone, Debug)]
pub struct Checked<'m> {
    module: &'m Module,
    derived: IndexMap<String, Vec<DerivedFact>>,
    /// Warnings found on the way.
    pub warnings: Diagnostics,
}

/// A condition on sizes that follows from the function's subscripts; guarded at the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedFact {
    /// The condition is that this is not negative.
    pub nonneg: IntExpr,
    /// If one of these is 0, the condition is not needed.
    pub unless_empty: Vec<IntExpr>,
    /// What needs it, for example "`V[T - 1,s]` reads axis 0".
    pub origin: String,
    /// Where that stands.
    pub span: Span,
}

impl<'m> Checked<'m> {
    /// The module.
    pub fn module(&self) -> &'m Module {
        self.module
    }

    /// A function by name.
    pub fn function(&self, name: &str) -> Option<&'m Function> {
        self.module.functions.get(name)
    }

    /// The derived facts of a function.
    pub fn derived_facts(&self, name: &str) -> &[DerivedFact] {
        self.derived.get(name).map_or(&[], Vec::as_slice)
    }
}

impl DerivedFact {
    /// The condition as text, for example `(H + 1)/2 <= HO` or `T >= 1`.
    pub fn text(&self, function: &Function) -> String {
        nonneg_text(&self.nonneg, &FunctionNames(function))
    }
}

/// `e >= 0` with positive terms on both sides, for example `(H + 1)/2 <= HO`.
pub fn nonneg_text(e: &IntExpr, names: &dyn SymbolNames) -> String {
    let (mut plus, mut minus) = (IntExpr::default(), IntExpr::default());
    let constant = e.constant_term();
    for (m, c) in e.terms().iter().filter(|(m, _)| !m.0.is_empty()) {
        if *c > 0 {
            plus = plus + IntExpr::term(m.clone(), *c);
        } else {
            minus = minus + IntExpr::term(m.clone(), -c);
        }
    }
    if minus.as_constant() == Some(0) {
        return format!("{} >= {}", display(&plus, names), -constant);
    }
    let (left, right) = if constant < 0 {
        (minus + IntExpr::constant(-constant), plus)
    } else {
        (minus, plus + IntExpr::constant(constant))
    };
    format!("{} <= {}", display(&left, names), display(&right, names))
}

/// Verifies every function of a module.
pub fn check(module: &Module) -> Result<Checked<'_>, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut derived: IndexMap<String, Vec<DerivedFact>> = IndexMap::new();
    for (name, function) in &module.functions {
        let mut v = Verifier {
            module,
            function,
            facts: function.known_facts(),
            derived_so_far: &derived,
            found: Vec::new(),
            diagnostics: Diagnostics::default(),
        };
        v.function();
        if module.entries.contains(name) {
            v.warn_free_sizes();
        }
        let (found, mistakes) = (v.found, v.diagnostics);
        diagnostics.extend(mistakes);
        derived.insert(name.clone(), found);
    }
    diagnostics.sort();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    Ok(Checked { module, derived, warnings: diagnostics })
}

struct Verifier<'a> {
    module: &'a Module,
    function: &'a Function,
    facts: Facts,
    derived_so_far: &'a IndexMap<String, Vec<DerivedFact>>,
    found: Vec<DerivedFact>,
    diagnostics: Diagnostics,
}

impl Verifier<'_> {
    fn error(&mut self, d: Diagnostic) {
        self.diagnostics.push(d);
    }

    fn internal(&mut self, span: Span, message: impl Into<String>) {
        self.error(Diagnostic::new(Code::Internal, span, message));
    }

    fn name(&self, t: TensorId) -> String {
        self.function.tensors.get(t).map_or_else(|| t.to_string(), |t| t.name.clone())
    }

    fn show(&self, e: &IntExpr) -> String {
        display(e, &FunctionNames(self.function)).to_string()
    }

    fn function(&mut self) {
        self.shapes();
        let f = self.function;
        let mut known: IndexSet<TensorId> = f.params.iter().copied().collect();
        for node in &f.nodes {
            self.node(node, &mut known);
        }
        for (t, tensor) in f.tensors.iter() {
            if !known.contains(&t) {
                let message = format!("`{}` is never defined", tensor.name);
                self.error(Diagnostic::new(Code::Name, tensor.span, message));
            }
        }
    }

    /// Extents mention sizes only, fit, and are not negative (or a fact is derived).
    fn shapes(&mut self) {
        let f = self.function;
        for (_, tensor) in f.tensors.iter() {
            for (axis, extent) in tensor.shape.iter().enumerate() {
                if extent.is_poisoned() {
                    let message =
                        format!("the extent of axis {axis} of `{}` overflows", tensor.name);
                    self.error(Diagnostic::new(Code::Limit, tensor.span, message));
                } else if extent.mentions_vars() {
                    self.internal(tensor.span, "an extent mentions an iteration variable");
                } else if !self.facts.is_nonneg(extent) && tensor.role != Role::Input {
                    let origin = format!("axis {axis} of `{}` has this extent", tensor.name);
                    self.derive(extent.clone(), Vec::new(), origin, tensor.span);
                }
            }
            self.element_count(tensor);
        }
    }

    /// A shape of numbers must have at most 2^40 elements.
    fn element_count(&mut self, tensor: &super::Tensor) {
        const MAX: i64 = 1 << 40;
        let extents: Option<Vec<i64>> = tensor.shape.iter().map(IntExpr::as_constant).collect();
        let Some(extents) = extents else { return };
        if extents.contains(&0) {
            return;
        }
        let count = extents.iter().try_fold(1i64, |p, e| p.checked_mul(*e));
        if count.is_none_or(|n| n > MAX) {
            let message = format!("`{}` has more than 2^40 elements", tensor.name);
            self.error(Diagnostic::new(Code::Limit, tensor.span, message));
        }
    }

    fn node(&mut self, node: &Node, known: &mut IndexSet<TensorId>) {
        match node {
            Node::Define(d) => {
                self.uses_known(node, known, &[]);
                self.definition(d);
                self.defines(d.tensor, known);
            }
            Node::Scan(s) => {
                let own = node.defined();
                self.uses_known(node, known, &own);
                s.definitions.iter().for_each(|d| self.definition(d));
                self.scan(s);
                own.into_iter().for_each(|t| self.defines(t, known));
            }
            Node::Fix(f) => {
                let own = node.defined();
                self.uses_known(node, known, &own);
                f.definitions.iter().for_each(|d| self.definition(d));
                self.fixpoint(f);
                own.into_iter().for_each(|t| self.defines(t, known));
            }
            Node::Call(c) => {
                self.uses_known(node, known, &[]);
                self.call(c);
                c.results.iter().for_each(|t| self.defines(*t, known));
            }
        }
    }

    fn uses_known(&mut self, node: &Node, known: &IndexSet<TensorId>, own: &[TensorId]) {
        for t in node.used() {
            if !known.contains(&t) && !own.contains(&t) {
                let name = self.name(t);
                self.internal(self.function.span, format!("`{name}` is used before it is defined"));
            }
        }
    }

    fn defines(&mut self, t: TensorId, known: &mut IndexSet<TensorId>) {
        if !known.insert(t) {
            let (name, span) = (self.name(t), self.function.span);
            self.error(Diagnostic::new(Code::Redef, span, format!("`{name}` is defined twice")));
        }
    }

    fn definition(&mut self, d: &Definition) {
        let Some(tensor) = self.function.tensors.get(d.tensor) else {
            return self.internal(self.function.span, "a definition names no tensor");
        };
        let before = self.diagnostics.0.len();
        for e in &d.equations {
            self.equation_types(d.tensor, e, tensor.dtype);
        }
        // Later rules assume well-typed equations.
        if self.diagnostics.0.len() == before {
            for e in &d.equations {
                self.accesses(d.tensor, e);
                self.writes_once(d.tensor, e);
                self.exactness(e);
            }
            self.regions(d);
        }
    }

    fn equation_types(&mut self, target: TensorId, e: &Equation, dtype: DType) {
        self.subscript_types(e, target, &e.subscripts);
        self.expression(e, &e.body);
        if e.body.dtype() != dtype {
            let have = e.body.dtype();
            self.internal(e.span, format!("a value of type {have} is stored as {dtype}"));
        }
        if let Some(r) = e.reducer
            && !r.accepts(dtype)
        {
            let message = format!("`{r}` does not reduce values of type {dtype}");
            self.error(Diagnostic::new(Code::Type, e.span, message));
        }
        if let Some(g) = &e.guard {
            self.expression(e, g);
            if g.dtype() != DType::Bool {
                self.internal(e.span, "a guard is not a bool");
            }
        }
        for (_, index) in e.vars.iter() {
            if index.extent.is_poisoned() {
                let message = format!("the extent of index `{}` overflows", index.name);
                self.error(Diagnostic::new(Code::Limit, e.span, message));
            }
        }
    }

    fn expression(&mut self, e: &Equation, x: &Expr) {
        let mut problems: Vec<String> = Vec::new();
        let mut poisoned = false;
        x.visit(&mut |x| match x {
            Expr::Apply(func, args) => {
                let types: Vec<DType> = args.iter().map(Expr::dtype).collect();
                if func.result(&types).is_none() {
                    problems.push(format!("`{func}` is not defined on {types:?}"));
                }
            }
            Expr::Read(r) => {
                let tensor = self.function.tensors.get(r.tensor);
                if tensor.is_none_or(|t| t.dtype != r.dtype || t.shape.len() != r.subscripts.len())
                {
                    problems.push(format!("a read does not fit tensor {}", r.tensor));
                }
                if r.default.as_ref().is_some_and(|d| d.dtype() != r.dtype) {
                    problems.push("a default has another type than its tensor".to_owned());
                }
            }
            Expr::Index { dtype, den, .. } => {
                if !dtype.is_float() && !dtype.is_complex() && den.as_constant() != Some(1) {
                    problems.push("a quotient is typed as an integer".to_owned());
                }
            }
            Expr::Bitcast(d, inner) if d.size() != inner.dtype().size() => {
                problems.push("a bitcast changes the size".to_owned());
            }
            Expr::Contiguous(_) => problems.push("`contiguous` in a graph".to_owned()),
            Expr::Literal(_) | Expr::Compare(..) | Expr::Cast(..) | Expr::Bitcast(..) => {}
        });
        x.visit_ints(&mut |i| poisoned |= i.is_poisoned());
        x.visit_symbols(&mut |s| {
            let in_scope = match s {
                Symbol::Var(v) => e.vars.get(v).is_some(),
                Symbol::Size(s) => self.function.sizes.get(s).is_some(),
            };
            if !in_scope {
                problems.push(format!("symbol {s:?} is not in scope"));
            }
        });
        for p in problems {
            self.internal(e.span, p);
        }
        if poisoned {
            let message = "an index expression does not fit in 64 bits";
            self.error(Diagnostic::new(Code::Limit, e.span, message));
        }
    }

    fn subscript_types(&mut self, e: &Equation, t: TensorId, subscripts: &[Subscript]) {
        let rank = self.function.tensors.get(t).map_or(0, |t| t.shape.len());
        if rank != subscripts.len() {
            self.internal(e.span, format!("{} subscripts for rank {rank}", subscripts.len()));
        }
        for s in subscripts {
            if let Subscript::Data(x) = s {
                self.expression(e, x);
                if !x.dtype().is_int() {
                    self.internal(e.span, "a subscript is not an integer");
                }
            }
        }
    }

    fn derive(&mut self, nonneg: IntExpr, unless_empty: Vec<IntExpr>, origin: String, span: Span) {
        let known = self
            .found
            .iter()
            .any(|d| d.nonneg == nonneg && d.unless_empty.iter().all(|e| unless_empty.contains(e)));
        if !known {
            self.found.push(DerivedFact { nonneg, unless_empty, origin, span });
        }
    }

    /// A call's arguments fit, and the callee's facts hold or become facts of the caller.
    fn call(&mut self, c: &super::Call) {
        let Some(callee) = self.module.functions.get(&c.callee) else {
            return self.internal(c.span, format!("`{}` is not in the module", c.callee));
        };
        let value = |e: &IntExpr| {
            e.substitute(&|s| match s {
                Symbol::Size(s) => c.sizes.get(s).cloned(),
                Symbol::Var(_) => None,
            })
        };
        let pairs = callee.params.iter().zip(&c.arguments);
        for (formal, actual) in pairs.chain(callee.results.iter().zip(&c.results)) {
            let (Some(p), Some(a)) =
                (callee.tensors.get(*formal), self.function.tensors.get(*actual))
            else {
                return self.internal(c.span, "a call names no tensor");
            };
            let same = p.shape.len() == a.shape.len()
                && p.dtype == a.dtype
                && p.shape.iter().zip(&a.shape).all(|(x, y)| self.facts.equal(&value(x), y));
            if !same {
                let name = p.name.clone();
                self.internal(c.span, format!("the call does not fit `{name}`"));
            }
        }
        for fact in &callee.facts {
            let (lhs, rhs) = (value(&fact.lhs), value(&fact.rhs));
            for e in fact.comparison.as_nonneg(&lhs, &rhs) {
                if !self.facts.is_nonneg(&e) {
                    self.obligation(e, Vec::new(), c, fact.span);
                }
            }
        }
        let derived = self.derived_so_far.get(&c.callee).cloned().unwrap_or_default();
        for d in derived {
            let empty = d.unless_empty.iter().map(value).collect();
            let e = value(&d.nonneg);
            if !self.facts.is_nonneg(&e) {
                self.obligation(e, empty, c, d.span);
            }
        }
    }

    fn obligation(&mut self, e: IntExpr, empty: Vec<IntExpr>, c: &super::Call, declared: Span) {
        let (callee, span) = (&c.callee, c.span);
        if e.as_constant().is_some_and(|c| c < 0) && empty.is_empty() {
            let message = format!("a fact of `{callee}` does not hold for this call");
            let d = Diagnostic::new(Code::Fact, span, message).label(declared, "declared here");
            self.error(d);
        } else {
            self.derive(e, empty, format!("the call of `{callee}`"), span);
        }
    }

    /// Axes exist and every dependence steps in the scan's direction.
    fn scan(&mut self, s: &Scan) {
        for (k, (d, axis)) in s.definitions.iter().zip(&s.axes).enumerate() {
            for e in &d.equations {
                let write = e.subscripts.get(*axis).and_then(Subscript::as_affine);
                let Some(write) = write else {
                    self.internal(e.span, "a scan writes a slot that depends on data");
                    continue;
                };
                for r in e.reads() {
                    let position = s.definitions.iter().position(|d| d.tensor == r.tensor);
                    let Some(j) = position else { continue };
                    let slot = s.axes.get(j).and_then(|a| r.subscripts.get(*a));
                    let Some(slot) = slot.and_then(Subscript::as_affine) else {
                        self.internal(e.span, "a scan reads a slot that depends on data");
                        continue;
                    };
                    let least = if j < k { 0 } else { 1 };
                    if !self.steps(e, write, slot, s.backward, least) {
                        self.internal(e.span, "a scan does not step in one direction");
                    }
                }
            }
        }
    }

    fn steps(
        &self,
        e: &Equation,
        write: &IntExpr,
        slot: &IntExpr,
        backward: bool,
        least: i64,
    ) -> bool {
        let distance = if backward { slot - write } else { write - slot };
        let facts = equation_facts(&self.facts, e);
        let goal = distance - IntExpr::constant(least);
        let range = |v| var_range(e, v);
        facts.is_nonneg(&goal)
            || bounds::lower(&goal, &range, &facts).is_some_and(|lo| facts.is_nonneg(&lo))
    }

    fn warn_free_sizes(&mut self) {
        for s in free_sizes(self.function) {
            let Some(size) = self.function.sizes.get(s) else { continue };
            let message = format!("no input shows size `{}`", size.name);
            let help = format!("name it in each call: `--set {}=4`", size.name);
            self.error(Diagnostic::new(Code::FreeSize, size.span, message).help(help));
        }
    }
}
