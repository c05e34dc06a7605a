//! The verifier of the loop-nest level.
//!
//! Rules (SPEC.md, K): ids are in range, ranks and types fit; a block mentions its own variables
//! only, its bindings those of the loops around it; loop bounds are not negative; every affine
//! access is in bounds for every iteration that the loops run, or has a default; the iterations of
//! `vectorize`, `parallel` and `bind` loops are independent; vectorized and unrolled extents, and
//! the shapes of register buffers, are constants; calls of intrinsics fit their declarations.
//! [`verify_lowered`] adds what a back end needs: no `init` is left.

mod intrinsic;

use super::dependence::{Access, Accesses, Range};
use super::independence::{Around, dependences, without_lets};
use super::regions::{reads, write};
use super::{Block, For, Kernel, KernelNames, LoopKind, Scope, Stmt, Update, visit_blocks};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::int::{Facts, IntExpr, Symbol, bounds, display};
use crate::scalar::{Expr, Func, Reducer, Subscript};
use crate::{TensorId, VarId};
use indexmap::{IndexMap, IndexSet};
use std::collections::HashMap;
use tcc_abi::DType;

/// Checks a kernel.
pub fn verify(kernel: &Kernel) -> Result<(), Diagnostics> {
    verify_after(kernel, &mut Answers::default())
}

/// Checks a kernel that a back end is to compile.
pub fn verify_lowered(kernel: &Kernel) -> Result<(), Diagnostics> {
    verify_all_lowered([kernel])
}

/// Checks kernels that a back end is to compile. What is proved about the sizes alone is proved
/// once for kernels that declare the same facts.
pub fn verify_all_lowered<'k>(
    kernels: impl IntoIterator<Item = &'k Kernel>,
) -> Result<(), Diagnostics> {
    let mut answers = Answers::default();
    for kernel in kernels {
        verify_after(kernel, &mut answers)?;
        no_init(kernel)?;
    }
    Ok(())
}

fn no_init(kernel: &Kernel) -> Result<(), Diagnostics> {
    let mut v = Verifier::new(kernel, Answers::default());
    visit_blocks(&kernel.body, &mut |b| {
        if b.init.is_some() {
            v.error(format!("block `{}` still has an `init`", b.name));
        }
    });
    if v.diagnostics.has_errors() { Err(v.diagnostics) } else { Ok(()) }
}

/// Checks a kernel with the answers of others, and adds to them.
fn verify_after(kernel: &Kernel, answers: &mut Answers) -> Result<(), Diagnostics> {
    let mut v = Verifier::new(kernel, std::mem::take(answers));
    v.buffers();
    v.body(&kernel.body);
    *answers = v.answers;
    if v.diagnostics.has_errors() { Err(v.diagnostics) } else { Ok(()) }
}

/// What is known of expressions of sizes alone.
#[derive(Default)]
struct Answers {
    /// What is declared of the sizes.
    declared: Facts,
    /// Whether that shows that an expression is not negative.
    nonneg: HashMap<IntExpr, bool>,
}

impl Answers {
    fn is_nonneg(&mut self, e: &IntExpr) -> bool {
        if let Some(known) = self.nonneg.get(e) {
            return *known;
        }
        let shown = self.declared.is_nonneg(e);
        self.nonneg.insert(e.clone(), shown);
        shown
    }
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    facts: Facts,
    answers: Answers,
    /// Loop variables in scope with their first and last value, bounds over outer variables.
    loops: IndexMap<VarId, (IntExpr, IntExpr)>,
    /// Ranges that conditions around narrow, the innermost last.
    narrowed: Vec<(VarId, (IntExpr, IntExpr))>,
    /// Values of `let` variables, over loop variables and sizes.
    lets: IndexMap<VarId, IntExpr>,
    live: Vec<TensorId>,
    /// Buffers with strides that a condition around says are without gaps.
    contiguous: Vec<TensorId>,
    diagnostics: Diagnostics,
}

impl<'a> Verifier<'a> {
    fn new(kernel: &'a Kernel, answers: Answers) -> Verifier<'a> {
        let mut facts = Facts::default();
        for f in &kernel.facts {
            for e in f.comparison.as_nonneg(&f.lhs, &f.rhs) {
                facts.add_nonneg(e);
            }
        }
        let same = answers.declared.nonneg() == facts.nonneg();
        let fresh = || Answers { declared: facts.clone(), nonneg: HashMap::new() };
        Verifier {
            kernel,
            answers: if same { answers } else { fresh() },
            facts,
            loops: IndexMap::new(),
            narrowed: Vec::new(),
            lets: IndexMap::new(),
            live: kernel.arguments().collect(),
            contiguous: Vec::new(),
            diagnostics: Diagnostics::default(),
        }
    }

    fn error(&mut self, message: String) {
        let message = format!("kernel `{}`: {message}", self.kernel.name);
        self.diagnostics.push(Diagnostic::plain(Code::Kernel, message));
    }

    fn name(&self, t: TensorId) -> String {
        self.kernel.buffers.get(t).map_or_else(|| t.to_string(), |b| b.name.clone())
    }

    fn show(&self, e: &IntExpr) -> String {
        display(e, &KernelNames(self.kernel)).to_string()
    }

    fn buffers(&mut self) {
        let kernel = self.kernel;
        for (_, b) in kernel.buffers.iter() {
            if b.shape.iter().any(|e| e.mentions_vars() || e.is_poisoned()) {
                self.error(format!("the shape of `{}` is not an expression of sizes", b.name));
            }
            let constant = b.shape.iter().all(|e| e.as_constant().is_some());
            if matches!(b.scope, Scope::Register | Scope::Let) && !constant {
                self.error(format!("register buffer `{}` has a symbolic extent", b.name));
            }
        }
    }

    /// The expression over loop variables and sizes alone.
    fn resolve(&self, e: &IntExpr) -> IntExpr {
        without_lets(e, &self.lets)
    }

    fn in_scope(&mut self, e: &IntExpr, what: &str) -> bool {
        let mut unknown = None;
        e.visit_symbols(&mut |s| {
            let known = match s {
                Symbol::Var(v) => self.loops.contains_key(&v) || self.lets.contains_key(&v),
                Symbol::Size(s) => self.kernel.sizes.get(s).is_some(),
            };
            if !known {
                unknown = Some(s);
            }
        });
        if let Some(s) = unknown {
            self.error(format!("{what} mentions {s:?}, which is not in scope"));
        }
        unknown.is_none()
    }

    fn body(&mut self, body: &[Stmt]) {
        let (lets, live) = (self.lets.len(), self.live.len());
        for s in body {
            self.stmt(s);
        }
        self.lets.truncate(lets);
        self.live.truncate(live);
    }

    fn stmt(&mut self, s: &Stmt) {
        match s {
            Stmt::For(f) => self.for_loop(f),
            Stmt::Block(b) => self.block(b),
            Stmt::If { condition, then, otherwise } => {
                self.condition(condition);
                let (outer, gapless) = (self.facts.count(), self.contiguous.len());
                let wide = self.narrowed.len();
                self.assume(condition);
                self.body(then);
                self.narrowed.truncate(wide);
                self.facts.forget(outer);
                self.contiguous.truncate(gapless);
                self.body(otherwise);
            }
            Stmt::Let { var, value } => {
                if self.in_scope(value, "a `let`") {
                    let value = self.resolve(value);
                    self.lets.insert(*var, value);
                }
            }
            Stmt::Alloc(t) => self.live.push(*t),
            Stmt::Repeat(r) => {
                if self.in_scope(&r.limit, "a repeat limit") {
                    let limit = self.resolve(&r.limit);
                    self.loops.insert(r.var, (IntExpr::constant(0), limit - IntExpr::constant(1)));
                }
                self.body(&r.body);
                self.condition(&r.until);
                self.loops.shift_remove(&r.var);
            }
            Stmt::Intrin(c) => self.intrinsic(c),
        }
    }

    /// Adds what a condition joins by `&&` of comparisons of integers and of `contiguous`.
    fn assume(&mut self, condition: &Expr) {
        for conjunct in condition.operands(Func::And) {
            match conjunct {
                Expr::Compare(op, a, b) => {
                    let (a, b) = (self.resolve(a), self.resolve(b));
                    op.as_nonneg(&a, &b).into_iter().for_each(|f| self.know(f));
                }
                Expr::Contiguous(t) => self.contiguous.push(*t),
                _ => {}
            }
        }
    }

    /// Adds `fact >= 0`. The innermost loop variable that it mentions then has a narrower range,
    /// which shows most accesses under a condition without a search for a proof.
    fn know(&mut self, fact: IntExpr) {
        let mentioned = |v: &VarId| fact.mentions(*v);
        if let Some(v) = self.loops.keys().rev().copied().find(mentioned)
            && let Some((c, rest)) = fact.linear_in(v)
            && let Some((lo, last)) = self.range(v)
        {
            match c.as_constant() {
                Some(-1) => self.narrowed.push((v, (lo, rest))),
                Some(1) => self.narrowed.push((v, (-rest, last))),
                _ => {}
            }
        }
        self.facts.add_nonneg(fact);
    }

    /// The range of a loop variable under the conditions around.
    fn range(&self, v: VarId) -> Option<(IntExpr, IntExpr)> {
        let narrowed = self.narrowed.iter().rev().find(|(w, _)| *w == v).map(|(_, range)| range);
        narrowed.or_else(|| self.loops.get(&v)).cloned()
    }

    fn for_loop(&mut self, f: &For) {
        let scoped = self.in_scope(&f.lo, "a loop bound") && self.in_scope(&f.hi, "a loop bound");
        if !scoped {
            return;
        }
        let (lo, hi) = (self.resolve(&f.lo), self.resolve(&f.hi));
        if !self.is_nonneg(&lo) && !self.least_is_nonneg(&lo) {
            let text = self.show(&lo);
            self.error(format!("the loop bound {text} may be negative"));
        }
        let extent = (&hi - &lo).as_constant();
        if matches!(f.kind, LoopKind::Vectorize | LoopKind::Unroll) && extent.is_none() {
            self.error("a vectorized or unrolled loop has a symbolic extent".to_owned());
        }
        let outer = self.facts.count();
        let last = &hi - &IntExpr::constant(1);
        self.facts.add_nonneg(IntExpr::from(f.var) - lo.clone());
        self.facts.add_nonneg(last.clone() - IntExpr::from(f.var));
        self.facts.add_nonneg(last.clone() - lo.clone());
        self.loops.insert(f.var, (lo, last));
        self.body(&f.body);
        if f.kind == LoopKind::Vectorize {
            self.no_calls(f);
        }
        if matches!(f.kind, LoopKind::Vectorize | LoopKind::Parallel | LoopKind::Bind(_)) {
            let problems = self.independence(f);
            let around = Around { loops: &self.loops, lets: &self.lets, facts: &self.facts };
            // A loop is independent if either analysis shows it.
            if !problems.is_empty() && !dependences(self.kernel, f, &around).is_empty() {
                problems.into_iter().for_each(|p| self.error(p));
            }
        }
        self.loops.shift_remove(&f.var);
        self.facts.forget(outer);
    }

    fn least_is_nonneg(&mut self, e: &IntExpr) -> bool {
        let narrow = self.narrowed.iter().any(|(v, _)| e.mentions(*v));
        let least = |range: &dyn Fn(VarId) -> Option<(IntExpr, IntExpr)>| {
            bounds::lower(e, &range, &self.facts)
        };
        let narrow = if narrow { least(&|v| self.range(v)) } else { None };
        if narrow.is_some_and(|lo| self.is_nonneg(&lo)) {
            return true;
        }
        let wide = bounds::lower(e, &|v| self.loops.get(&v).cloned(), &self.facts);
        wide.is_some_and(|lo| self.is_nonneg(&lo))
    }

    /// As the facts say; what follows from the declared ones alone is shown once.
    fn is_nonneg(&mut self, e: &IntExpr) -> bool {
        (!e.mentions_vars() && self.answers.is_nonneg(e)) || self.facts.is_nonneg(e)
    }

    fn condition(&mut self, e: &Expr) {
        self.types(e);
        if e.dtype() != DType::Bool {
            self.error("a condition is not a bool".to_owned());
        }
        let lets = self.lets.clone();
        let resolve = |i: &IntExpr| without_lets(i, &lets);
        for r in e.reads() {
            self.access(r.tensor, &r.subscripts, r.default.is_some(), &resolve);
        }
    }

    fn types(&mut self, e: &Expr) {
        let mut problems = Vec::new();
        e.visit(&mut |x| match x {
            Expr::Apply(func, args) => {
                let types: Vec<DType> = args.iter().map(Expr::dtype).collect();
                if func.result(&types).is_none() {
                    problems.push(format!("`{func}` is not defined on {types:?}"));
                }
            }
            Expr::Read(r) => {
                let fits = self
                    .kernel
                    .buffers
                    .get(r.tensor)
                    .is_some_and(|b| b.dtype == r.dtype && b.shape.len() == r.subscripts.len());
                if !fits {
                    problems.push(format!("a read does not fit `{}`", self.name(r.tensor)));
                }
            }
            Expr::Contiguous(t) if !self.kernel.arguments().any(|a| a == *t) => {
                problems.push(format!("`contiguous({})` is not about an argument", self.name(*t)));
            }
            _ => {}
        });
        problems.into_iter().for_each(|p| self.error(p));
    }

    fn block(&mut self, b: &Block) {
        for (v, e) in &b.iters {
            let what =
                format!("the binding of `{}` in block `{}`", self.show(&(*v).into()), b.name);
            if !self.in_scope(e, &what) {
                return;
            }
        }
        let bound: IndexMap<VarId, IntExpr> =
            b.iters.iter().map(|(v, e)| (*v, self.resolve(e))).collect();
        let mut foreign = false;
        for e in b.exprs() {
            e.visit_symbols(&mut |s| {
                foreign |= matches!(s, Symbol::Var(v) if !bound.contains_key(&v));
            });
            self.types(e);
        }
        for s in &b.store.subscripts {
            s.visit_symbols(&mut |s| {
                foreign |= matches!(s, Symbol::Var(v) if !bound.contains_key(&v));
            });
        }
        if foreign {
            return self
                .error(format!("block `{}` mentions a variable that is not its own", b.name));
        }
        self.store_types(b);
        let at = |i: &IntExpr| {
            i.substitute(&|s| match s {
                Symbol::Var(v) => bound.get(&v).cloned(),
                Symbol::Size(_) => None,
            })
        };
        let (outer, wide) = (self.facts.count(), self.narrowed.len());
        if let Some(g) = &b.guard {
            for conjunct in g.operands(Func::And) {
                if let Expr::Compare(op, x, y) = conjunct {
                    op.as_nonneg(&at(x), &at(y)).into_iter().for_each(|f| self.know(f));
                }
            }
        }
        let live = self.live.len();
        self.live.extend(b.lets.iter().map(|(t, _)| *t));
        for a in reads(b) {
            self.access(a.buffer, a.subscripts, a.covered, &at);
        }
        self.access(write(b).buffer, write(b).subscripts, false, &at);
        self.live.truncate(live);
        self.narrowed.truncate(wide);
        self.facts.forget(outer);
    }

    fn store_types(&mut self, b: &Block) {
        let Some(target) = self.kernel.buffers.get(b.store.buffer) else {
            return self.error(format!("block `{}` writes no buffer", b.name));
        };
        let dtype = target.dtype;
        let value = b.store.value.dtype();
        if value != dtype {
            self.error(format!("block `{}` stores {value} into {dtype}", b.name));
        }
        if self.kernel.params.contains(&b.store.buffer) {
            self.error(format!(
                "block `{}` writes parameter `{}`",
                b.name,
                self.name(b.store.buffer)
            ));
        }
        match b.store.update {
            Update::Set => {}
            Update::Reduce(r) if r.accepts(dtype) && r.func().is_some() => {}
            Update::Reduce(Reducer::LogSumExp) => {
                self.error(format!(
                    "block `{}` reduces with `lse`, which has no scalar function; reduce with \
                     `max`, then sum exponentials, as the pass `expand_lse` does",
                    b.name
                ));
            }
            Update::Reduce(r) => {
                self.error(format!("block `{}` cannot reduce {dtype} with `{r}`", b.name));
            }
            Update::FusedSum => {
                let product = matches!(&b.store.value, Expr::Apply(Func::Mul, _));
                if !product || !dtype.is_float() {
                    self.error(format!("`@fma` in block `{}` needs a product of floats", b.name));
                }
            }
        }
        for (t, e) in &b.lets {
            let fits = self
                .kernel
                .buffers
                .get(*t)
                .is_some_and(|x| x.scope == Scope::Let && x.dtype == e.dtype());
            if !fits {
                self.error(format!("a let of block `{}` does not fit its buffer", b.name));
            }
        }
    }

    /// An access is to a live buffer and in bounds; `at` gives subscripts over loop variables.
    fn access(
        &mut self,
        t: TensorId,
        subscripts: &[Subscript],
        covered: bool,
        at: &dyn Fn(&IntExpr) -> IntExpr,
    ) {
        let kernel = self.kernel;
        let Some(b) = kernel.buffers.get(t) else {
            return self.error("an access names no buffer".to_owned());
        };
        if !self.live.contains(&t) {
            return self.error(format!("`{}` is used outside of its scope", b.name));
        }
        if b.shape.len() != subscripts.len() {
            return self.error(format!("`{}` is used with a wrong rank", b.name));
        }
        if covered {
            return;
        }
        for (axis, (s, extent)) in subscripts.iter().zip(&b.shape).enumerate() {
            let Subscript::Affine(i) = s else { continue };
            let i = at(i);
            let last = extent - &IntExpr::constant(1) - i.clone();
            for goal in [&i, &last] {
                let proved = self.facts.is_evident(goal)
                    || self.least_is_nonneg(goal)
                    || self.is_nonneg(goal);
                if !proved {
                    let (name, text) = (b.name.clone(), self.show(&i));
                    self.error(format!(
                        "subscript {text} of axis {axis} of `{name}` is not proved in bounds"
                    ));
                    break;
                }
            }
        }
    }

    /// Why iterations may write the same elements, or read of what is written others than their
    /// own; nothing if it is proved that they do not.
    fn independence(&self, f: &For) -> IndexSet<String> {
        let Some((lo, last)) = self.loops.get(&f.var).cloned() else { return IndexSet::new() };
        let around = [Range { var: f.var, lo, last }];
        let accesses = Accesses::to_written(self.kernel, &f.body, &self.answers.declared);
        let kind = f.kind.name();
        let mut problems = IndexSet::new();
        let is_scatter = |a: &Access<'_>| a.writes && a.position.iter().any(Option::is_none);
        for a in accesses.list.iter().filter(|a| is_scatter(a)) {
            let block = a.block.map_or("", |b| b.name.as_str());
            problems.insert(format!("`{block}` scatters in a `{kind}` loop"));
        }
        let compared: Vec<&Access<'_>> = accesses.list.iter().filter(|a| !is_scatter(a)).collect();
        for (n, a) in compared.iter().enumerate() {
            let same = compared.iter().skip(n).filter(|b| b.buffer == a.buffer);
            for b in same.filter(|b| a.writes || b.writes) {
                if accesses.are_apart(&around, a, b) {
                    continue;
                }
                let buffer = self.name(a.buffer);
                if a.writes && b.writes {
                    problems.insert(format!(
                        "iterations of a `{kind}` loop may write the same element of `{buffer}`"
                    ));
                }
                // An update reads what it writes, an intrinsic may.
                let reads = |x: &Access<'_>| !x.writes || x.update.is_some() || x.call.is_some();
                if reads(a) || reads(b) {
                    problems.insert(format!(
                        "an iteration of a `{kind}` loop may read what another wrote to `{buffer}`"
                    ));
                }
            }
        }
        problems
    }
}
