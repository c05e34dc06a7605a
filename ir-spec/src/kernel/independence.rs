//! Whether iterations of a loop depend on each other.
//!
//! They do not if they write different elements and read, of what the loop writes, only what they
//! wrote themselves. Two accesses are of different elements if on some axis they have the same
//! subscript, and different iterations give it different values whatever the loops inside do.

use super::regions::reads;
use super::{Block, For, Kernel, Repeat, Stmt, visit_blocks, visit_stmts};
use crate::int::{Facts, IntExpr, Symbol, bounds};
use crate::scalar::{Comparison, Expr, Func, Subscript};
use crate::{TensorId, VarId};
use indexmap::IndexMap;

/// First and last value of loop variables.
pub(super) type Ranges = IndexMap<VarId, (IntExpr, IntExpr)>;

/// What is known where a loop stands.
pub(super) struct Around<'a> {
    /// The loops around it and the loop itself.
    pub(super) loops: &'a Ranges,
    /// Values of `let` variables, over loop variables and sizes.
    pub(super) lets: &'a IndexMap<VarId, IntExpr>,
    pub(super) facts: &'a Facts,
}

impl Kernel {
    /// True if the iterations of a loop are proved to be independent; `outer` are the loops around
    /// it, whose bounds mention no `let`.
    pub fn is_independent(&self, outer: &[&For], f: &For) -> bool {
        let mut facts = Facts::default();
        for fact in &self.facts {
            let known = fact.comparison.as_nonneg(&fact.lhs, &fact.rhs);
            known.into_iter().for_each(|e| facts.add_nonneg(e));
        }
        let mut loops = Ranges::new();
        for l in outer.iter().copied().chain([f]) {
            let last = &l.hi - &IntExpr::constant(1);
            facts.add_nonneg(IntExpr::from(l.var) - l.lo.clone());
            facts.add_nonneg(last.clone() - IntExpr::from(l.var));
            loops.insert(l.var, (l.lo.clone(), last));
        }
        let around = Around { loops: &loops, lets: &IndexMap::new(), facts: &facts };
        dependences(self, f, &around).is_empty()
    }
}

/// The expression with `let` variables replaced by their values.
pub(super) fn without_lets(e: &IntExpr, lets: &IndexMap<VarId, IntExpr>) -> IntExpr {
    if lets.is_empty() {
        return e.clone();
    }
    e.substitute(&|s| match s {
        Symbol::Var(v) => lets.get(&v).cloned(),
        Symbol::Size(_) => None,
    })
}

/// Why iterations of a loop may depend on each other; nothing if it is proved that they do not.
pub(super) fn dependences(kernel: &Kernel, f: &For, around: &Around<'_>) -> Vec<String> {
    let mut scope = Scope { kernel, f, around, inner: Ranges::new(), lets: around.lets.clone() };
    let mut own = Vec::new();
    visit_stmts(&f.body, &mut |s| match s {
        Stmt::Alloc(t) => own.push(*t),
        Stmt::For(g) => {
            scope.inner.insert(g.var, (g.lo.clone(), &g.hi - &IntExpr::constant(1)));
        }
        Stmt::Let { var, value } => {
            let value = scope.resolve(value);
            scope.lets.insert(*var, value);
        }
        Stmt::Repeat(r) => {
            let zero = IntExpr::constant(0);
            scope.inner.insert(r.var, (zero, &r.limit - &IntExpr::constant(1)));
        }
        Stmt::Intrin(c) => {
            let (zero, one) = (IntExpr::constant(0), IntExpr::constant(1));
            let axes = c.views.iter().flat_map(|v| &v.axes);
            scope.inner.extend(axes.map(|(v, n)| (*v, (zero.clone(), n - &one))));
        }
        Stmt::Block(_) | Stmt::If { .. } => {}
    });
    let mut problems = Vec::new();
    let writes = scope.writes(&own, &mut problems);
    for (k, (t, w)) in writes.iter().enumerate() {
        let mut same = writes.iter().take(k + 1).filter(|(u, _)| u == t);
        if !same.all(|(_, other)| scope.apart(w, &some(other))) {
            problems.push(format!(
                "iterations of a `{}` loop may write the same element of `{}`",
                f.kind.name(),
                scope.name(*t)
            ));
        }
    }
    let written = |t: TensorId| writes.iter().any(|(u, _)| *u == t);
    for (t, position) in scope.reads(&written) {
        let mut written = writes.iter().filter(|(u, _)| *u == t);
        if !written.all(|(_, w)| scope.apart(w, &position)) {
            problems.push(format!(
                "an iteration of a `{}` loop may read what another wrote to `{}`",
                f.kind.name(),
                scope.name(t)
            ));
        }
    }
    problems
}

struct Scope<'a> {
    kernel: &'a Kernel,
    f: &'a For,
    around: &'a Around<'a>,
    /// Loops and rounds inside.
    inner: Ranges,
    /// Those around, and those inside.
    lets: IndexMap<VarId, IntExpr>,
}

impl Scope<'_> {
    fn name(&self, t: TensorId) -> String {
        self.kernel.buffers.get(t).map_or_else(|| t.to_string(), |b| b.name.clone())
    }

    /// The expression over loop variables and sizes alone.
    fn resolve(&self, e: &IntExpr) -> IntExpr {
        without_lets(e, &self.lets)
    }

    /// A subscript of a block over loop variables. A variable that the guard bounds by a constant
    /// is not more than that.
    fn over_loops(&self, b: &Block, i: &IntExpr) -> IntExpr {
        let bind = |i: &IntExpr| {
            let bound = i.substitute(&|s| match s {
                Symbol::Var(v) => b.iters.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
                Symbol::Size(_) => None,
            });
            self.resolve(&bound)
        };
        let mut bound = bind(i);
        for c in b.guard.iter().flat_map(|g| g.operands(Func::And)) {
            let Expr::Compare(Comparison::Lt, x, y) = c else { continue };
            let room = bind(y) - bind(x) - IntExpr::constant(1);
            let last = -(room.clone() - IntExpr::constant(room.constant_term()));
            if let Some(v) = last.as_var() {
                let most = IntExpr::constant(room.constant_term());
                bound = bound.with_var(v, &IntExpr::from(v).minimum(&most));
            }
        }
        bound
    }

    /// Positions that iterations write in buffers that outlive them.
    fn writes(
        &self,
        own: &[TensorId],
        problems: &mut Vec<String>,
    ) -> Vec<(TensorId, Vec<IntExpr>)> {
        let mut writes = Vec::new();
        visit_blocks(&self.f.body, &mut |b| {
            if own.contains(&b.store.buffer) {
                return;
            }
            let at = |s: &Subscript| s.as_affine().map(|i| self.over_loops(b, i));
            match b.store.subscripts.iter().map(at).collect::<Option<Vec<_>>>() {
                Some(position) => writes.push((b.store.buffer, position)),
                None => {
                    let kind = self.f.kind.name();
                    problems.push(format!("`{}` scatters in a `{kind}` loop", b.name));
                }
            }
        });
        visit_stmts(&self.f.body, &mut |s| {
            let Stmt::Intrin(c) = s else { return };
            for v in c.results().filter(|v| !own.contains(&v.buffer)) {
                writes.push((v.buffer, v.subscripts.iter().map(|e| self.resolve(e)).collect()));
            }
        });
        writes
    }

    /// Positions that iterations read in some buffers; `None` where a subscript depends on data.
    fn reads(&self, wanted: &dyn Fn(TensorId) -> bool) -> Vec<(TensorId, Vec<Option<IntExpr>>)> {
        let mut out = Vec::new();
        visit_stmts(&self.f.body, &mut |s| match s {
            Stmt::Block(b) => {
                for a in reads(b).into_iter().filter(|a| wanted(a.buffer)) {
                    let at = |s: &Subscript| s.as_affine().map(|i| self.over_loops(b, i));
                    out.push((a.buffer, a.subscripts.iter().map(at).collect()));
                }
            }
            Stmt::If { condition: e, .. } | Stmt::Repeat(Repeat { until: e, .. }) => {
                for r in e.reads().into_iter().filter(|r| wanted(r.tensor)) {
                    let at = |s: &Subscript| s.as_affine().map(|i| self.resolve(i));
                    out.push((r.tensor, r.subscripts.iter().map(at).collect()));
                }
            }
            Stmt::Intrin(c) => {
                for v in c.views.iter().filter(|v| wanted(v.buffer)) {
                    let position = v.subscripts.iter().map(|e| Some(self.resolve(e)));
                    out.push((v.buffer, position.collect()));
                }
            }
            Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) => {}
        });
        out
    }

    /// True if different iterations access different elements: some axis tells them apart.
    fn apart(&self, w: &[IntExpr], other: &[Option<IntExpr>]) -> bool {
        w.iter().zip(other).any(|(i, o)| o.as_ref().is_some_and(|o| self.separates(i, o)))
    }

    /// True if `i` in one iteration and `j` in another always differ, whatever the inner loops do.
    fn separates(&self, i: &IntExpr, j: &IntExpr) -> bool {
        let (Some(i), Some(j)) = (self.spread(i), self.spread(j)) else { return false };
        let Some(between) = (&i.fixed - &j.fixed).as_constant() else { return false };
        // Less far apart than a step.
        let near = |d: IntExpr, more: i64| {
            self.around.facts.less(&d, &IntExpr::constant(i.step.abs() - more))
        };
        i.step == j.step && near(&i.hi - &j.lo, between) && near(&j.hi - &i.lo, -between)
    }

    /// A subscript taken apart; `None` if the loop does not move it steadily.
    fn spread(&self, i: &IntExpr) -> Option<Spread> {
        let (c, rest) = i.linear_in(self.f.var)?;
        let step = c.as_constant().filter(|c| *c != 0)?;
        // Inner variables of one iteration and of another are independent.
        let mut moving = IntExpr::default();
        let mut fixed = IntExpr::default();
        for (m, k) in rest.terms() {
            let term = IntExpr::term(m.clone(), *k);
            if self.inner.keys().any(|w| term.mentions(*w)) {
                moving = moving + term;
            } else {
                fixed = fixed + term;
            }
        }
        let range =
            |w: VarId| self.inner.get(&w).cloned().or_else(|| self.around.loops.get(&w).cloned());
        let facts = self.around.facts;
        let lo = bounds::lower(&moving, &range, facts)?;
        let hi = bounds::upper(&moving, &range, facts)?;
        Some(Spread { step, fixed, lo, hi })
    }
}

/// A subscript by what moves it: the loop by `step`, what stands around the loop, and what runs
/// inside, between two bounds.
struct Spread {
    step: i64,
    fixed: IntExpr,
    lo: IntExpr,
    hi: IntExpr,
}

fn some(position: &[IntExpr]) -> Vec<Option<IntExpr>> {
    position.iter().cloned().map(Some).collect()
}
