//! The nests of a kernel, with those loops marked whose iterations threads can share.

use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::{For, Kernel, LoopKind, Stmt, is_fixed};
use tcc_ir::scalar::{Expr, Func};

/// A nest that runs its blocks no more often than this, whatever the sizes, is not worth a thread.
const SHORT: i64 = 4096;
/// A loop that is proved to have no more iterations than this counts as one that has this many.
const REST: i64 = 64;

/// Statements that a kernel runs in order.
pub(super) struct Nest {
    /// Conditions of the whole call, outermost first.
    conditions: Vec<Expr>,
    body: Vec<Stmt>,
    /// True if the body is a loop that threads can share.
    pub(super) parallel: bool,
}

/// A body under conditions of the whole call.
type Case = (Vec<Expr>, Vec<Stmt>);

impl Nest {
    /// The statements under their conditions.
    pub(super) fn into_stmts(self) -> Vec<Stmt> {
        self.conditions.into_iter().rev().fold(self.body, |then, condition| {
            vec![Stmt::If { condition, then, otherwise: vec![] }]
        })
    }
}

/// The nests of a kernel in order.
pub(super) fn nests(k: &Kernel) -> Vec<Nest> {
    let mut facts = Facts::default();
    for f in &k.facts {
        f.comparison.as_nonneg(&f.lhs, &f.rhs).into_iter().for_each(|e| facts.add_nonneg(e));
    }
    let mut nests = Vec::new();
    Shaper { k, facts }.body(&k.body, &[], &mut nests);
    nests
}

struct Shaper<'k> {
    k: &'k Kernel,
    facts: Facts,
}

impl Shaper<'_> {
    fn body(&self, body: &[Stmt], conditions: &[Expr], out: &mut Vec<Nest>) {
        if !is_separable(body) {
            let (conditions, body) = (conditions.to_vec(), body.to_vec());
            return out.push(Nest { conditions, body, parallel: false });
        }
        for s in body {
            if let Some([then, otherwise]) = branches(s) {
                for (condition, body) in [then, otherwise] {
                    self.body(body, &joined(conditions, &[condition]), out);
                }
                continue;
            }
            match s {
                Stmt::For(f) if self.starts(f) => {
                    out.extend(self.shared(&[], f).into_iter().map(|(inner, body)| Nest {
                        conditions: joined(conditions, &inner),
                        body,
                        parallel: true,
                    }));
                }
                other => out.push(Nest {
                    conditions: conditions.to_vec(),
                    body: vec![other.clone()],
                    parallel: false,
                }),
            }
        }
    }

    /// An independent loop with what it runs, marked, in as many cases as its body needs.
    fn shared(&self, outer: &[&For], f: &For) -> Vec<Case> {
        let around = [outer, &[f]].concat();
        let mark = |(conditions, body): Case| {
            let kind = LoopKind::Parallel;
            (conditions, vec![Stmt::For(For { kind, body, ..f.clone() })])
        };
        self.cases(&around, &f.body).into_iter().map(mark).collect()
    }

    /// What independent loops run, as cases that can run one after the other.
    fn cases(&self, outer: &[&For], body: &[Stmt]) -> Vec<Case> {
        match body {
            [Stmt::For(f)] if self.joins(outer, f) => self.shared(outer, f),
            [s] if let Some(both) = branches(s) => {
                let mut cases = Vec::new();
                for (condition, body) in both.into_iter().filter(|(_, body)| !body.is_empty()) {
                    let inner = self.cases(outer, body).into_iter();
                    let under = std::slice::from_ref(&condition);
                    cases.extend(inner.map(|(c, body)| (joined(under, &c), body)));
                }
                cases
            }
            several if self.comes_apart(outer, several) => {
                several.iter().flat_map(|s| self.cases(outer, std::slice::from_ref(s))).collect()
            }
            _ => vec![(vec![], body.to_vec())],
        }
    }

    /// True if the loop is the outermost of a nest that threads can share.
    fn starts(&self, f: &For) -> bool {
        let iterations = self.most_iterations(&(&f.hi - &f.lo));
        let runs = self.most_runs(&f.body).zip(iterations);
        let short = runs.is_some_and(|(n, times)| n.saturating_mul(times) <= SHORT);
        f.kind == LoopKind::Serial && !short && self.k.is_independent(&[], f)
    }

    /// True if a loop that is the only statement of the loops around it is worth joining them: its
    /// iterations are independent, and a loop is left inside to make up for finding its place.
    fn joins(&self, outer: &[&For], f: &For) -> bool {
        let rectangular = !f.lo.mentions_vars() && !f.hi.mentions_vars();
        let plain = rectangular && f.kind == LoopKind::Serial;
        plain && !self.is_short(&f.body) && self.k.is_independent(outer, f)
    }

    /// True if several statements are nests of their own, one of which can join the loops around.
    fn comes_apart(&self, outer: &[&For], body: &[Stmt]) -> bool {
        let mut joining = false;
        let mut nests = true;
        for s in body {
            match s {
                Stmt::For(f) => joining = joining || self.joins(outer, f),
                s => nests &= branches(s).is_some(),
            }
        }
        nests && joining
    }

    fn is_short(&self, body: &[Stmt]) -> bool {
        self.most_runs(body).is_some_and(|n| n <= SHORT)
    }

    /// How often blocks run at most, if that is known for all sizes.
    fn most_runs(&self, body: &[Stmt]) -> Option<i64> {
        let mut sum = 0i64;
        for s in body {
            let runs = match s {
                Stmt::For(f) => {
                    let inside = self.most_runs(&f.body)?;
                    inside.checked_mul(self.most_iterations(&(&f.hi - &f.lo))?)?
                }
                Stmt::If { then, otherwise, .. } => {
                    self.most_runs(then)?.max(self.most_runs(otherwise)?)
                }
                Stmt::Block(_) => 1,
                Stmt::Let { .. } | Stmt::Alloc(_) => 0,
                Stmt::Repeat(_) | Stmt::Intrin(_) => return None,
            };
            sum = sum.checked_add(runs)?;
        }
        Some(sum)
    }

    fn most_iterations(&self, extent: &IntExpr) -> Option<i64> {
        if let Some(n) = extent.as_constant() {
            return Some(n.max(0));
        }
        // The rest of an extent is a difference; the proof that others are long is not worth it.
        let difference = extent.terms().len() > 1;
        (difference && self.facts.at_most(extent, &IntExpr::constant(REST))).then_some(REST)
    }
}

fn joined(a: &[Expr], b: &[Expr]) -> Vec<Expr> {
    [a, b].concat()
}

/// True if statements share no variables or buffers.
fn is_separable(body: &[Stmt]) -> bool {
    !body.iter().any(|s| matches!(s, Stmt::Let { .. } | Stmt::Alloc(_)))
}

/// The bodies of an `if` whose condition has one value for a whole call, each with what must hold
/// for it to run.
fn branches(s: &Stmt) -> Option<[(Expr, &[Stmt]); 2]> {
    let Stmt::If { condition, then, otherwise } = s else { return None };
    let not = Expr::Apply(Func::Not, vec![condition.clone()]);
    is_fixed(condition).then(|| [(condition.clone(), then.as_slice()), (not, otherwise.as_slice())])
}
