//! Every block and call of a kernel with the loops around it.

use std::collections::HashMap;
use tcc_ir::VarId;
use tcc_ir::int::{Atom, IntExpr, Monomial, Symbol};
use tcc_ir::kernel::{Block, IntrinsicCall, LoopKind, Stmt, View};
use tcc_ir::scalar::{Expr, Func};

/// What is evaluated at a point of the loops.
pub(super) enum Part<'k> {
    Block(&'k Block),
    /// The condition of an `if`.
    Condition(&'k Expr),
    /// The call of an intrinsic.
    Call(&'k IntrinsicCall),
    /// An argument of an intrinsic; its axes are the innermost loops around it.
    View(&'k View),
}

/// The loops around a part. Extents are over sizes alone, see [`Around::on_average`].
#[derive(Default)]
pub(super) struct Around {
    pub(super) loops: Vec<Loop>,
    /// Conditions on loop variables and sizes, each with whether it holds here.
    pub(super) conditions: Vec<(Expr, bool)>,
    /// Values of `let` variables over loop variables.
    lets: HashMap<VarId, IntExpr>,
    /// The middle value of each loop variable.
    middles: HashMap<VarId, IntExpr>,
}

/// A loop with its extent.
pub(super) struct Loop {
    pub(super) var: VarId,
    /// The first value.
    pub(super) lo: IntExpr,
    /// The first value, over sizes and the loops around it.
    pub(super) from: IntExpr,
    pub(super) extent: IntExpr,
    pub(super) kind: LoopKind,
}

impl Around {
    /// The expression over loop variables and sizes.
    pub(super) fn resolve(&self, e: &IntExpr) -> IntExpr {
        replaced(e, &self.lets)
    }

    /// The expression over sizes alone.
    pub(super) fn at_middle(&self, e: &IntExpr) -> IntExpr {
        replaced(&self.resolve(e), &self.middles)
    }

    /// True if an expression over loops changes with this one, or with one that begins where this
    /// one says.
    pub(super) fn moves(&self, e: &IntExpr, var: VarId) -> bool {
        e.mentions(var) || self.loops.iter().any(|l| e.mentions(l.var) && self.moves(&l.from, var))
    }

    /// An expression over sizes and one loop variable, if one is kept: that at the middle of the
    /// other loops, but where it is what is left for a block, `min(X - c*v, c)` in the iterations
    /// of `v`, the average of all blocks.
    pub(super) fn on_average(&self, e: &IntExpr, kept: Option<VarId>) -> IntExpr {
        let lone = |(m, c): &(Monomial, i64)| match m.0.as_slice() {
            [Atom::Min(p)] if *c == 1 => Some((IntExpr::term(m.clone(), 1), (*p).clone())),
            _ => None,
        };
        if let Some((minimum, sides)) = e.terms().iter().find_map(lone) {
            let rest = e - &minimum;
            let still = rest.substitute(&|s| matches!(s, Symbol::Var(_)).then(IntExpr::default));
            let moving = &rest - &still;
            let [a, b] = &*sides;
            return self.least(&(a + &moving), &(b + &moving), kept) + still;
        }
        let mut sum = IntExpr::default();
        for (m, c) in e.terms() {
            let factors = m.0.iter().map(|atom| match atom {
                Atom::Div(p) => self.on_average(&p[0], kept).div(&self.at_middle_but(&p[1], kept)),
                Atom::Max(p) => self.on_average(&p[0], kept).maximum(&self.on_average(&p[1], kept)),
                other => {
                    let atom = Monomial(std::slice::from_ref(other).into());
                    self.at_middle_but(&IntExpr::term(atom, 1), kept)
                }
            });
            sum = sum + factors.fold(IntExpr::constant(*c), |product, f| product * f);
        }
        sum
    }

    /// The average of a minimum.
    fn least(&self, a: &IntExpr, b: &IntExpr, kept: Option<VarId>) -> IntExpr {
        for (size, left) in [(a, b), (b, a)] {
            let Some(n) = size.as_constant() else { continue };
            for l in self.loops.iter().filter(|l| kept != Some(l.var)) {
                let Some((step, all)) = left.linear_in(l.var) else { continue };
                if step.as_constant() == Some(-n) && l.from.as_constant() == Some(0) {
                    let blocks = l.extent.maximum(&IntExpr::constant(1));
                    return self.on_average(&all, kept).div(&blocks).minimum(size);
                }
            }
        }
        self.on_average(a, kept).minimum(&self.on_average(b, kept))
    }

    /// An expression over loops, over sizes and the loop variable that is kept.
    fn at_middle_but(&self, e: &IntExpr, kept: Option<VarId>) -> IntExpr {
        e.substitute(&|s| match s {
            Symbol::Var(v) if kept != Some(v) => self.middles.get(&v).cloned(),
            _ => None,
        })
    }
}

fn replaced(e: &IntExpr, by: &HashMap<VarId, IntExpr>) -> IntExpr {
    e.substitute(&|s| match s {
        Symbol::Var(v) => by.get(&v).cloned(),
        Symbol::Size(_) => None,
    })
}

/// What a condition is taken to be where it is not evaluated: arguments are row-major, and
/// anything else holds.
fn assumed(condition: &Expr) -> bool {
    let (asked, holds) = condition.without_not();
    holds || !is_contiguous(asked)
}

fn is_contiguous(e: &Expr) -> bool {
    e.operands(Func::And).into_iter().all(|e| matches!(e, Expr::Contiguous(_)))
}

/// What a condition on loop variables and sizes compares, and whether that must hold.
fn of_integers(e: &Expr) -> Option<(&Expr, bool)> {
    let (e, holds) = e.without_not();
    let compares = e.operands(Func::And).into_iter().all(|e| matches!(e, Expr::Compare(..)));
    compares.then_some((e, holds))
}

/// Calls `visit` for every block, condition and call. With `assume` only the branches are walked
/// that row-major arguments take; otherwise every first branch.
pub(super) fn walk<'k>(body: &'k [Stmt], assume: bool, visit: &mut dyn FnMut(Part<'k>, &Around)) {
    Walk { around: Around::default(), assume, visit }.body(body);
}

struct Walk<'v, 'k> {
    around: Around,
    assume: bool,
    visit: &'v mut dyn FnMut(Part<'k>, &Around),
}

impl<'k> Walk<'_, 'k> {
    fn call(&mut self, c: &'k IntrinsicCall) {
        (self.visit)(Part::Call(c), &self.around);
        for v in &c.views {
            let outer = self.around.loops.len();
            for (axis, n) in &v.axes {
                let extent = self.around.at_middle(n);
                let (lo, kind) = (IntExpr::constant(0), LoopKind::Serial);
                self.around.loops.push(Loop { var: *axis, from: lo.clone(), lo, extent, kind });
            }
            (self.visit)(Part::View(v), &self.around);
            self.around.loops.truncate(outer);
        }
    }

    fn body(&mut self, body: &'k [Stmt]) {
        for s in body {
            match s {
                Stmt::For(f) => {
                    let extent = self.around.resolve(&(&f.hi - &f.lo));
                    let extent = self.around.on_average(&extent, None);
                    let (lo, hi) = (self.around.at_middle(&f.lo), self.around.at_middle(&f.hi));
                    let middle = (lo.clone() + hi).div(&IntExpr::constant(2));
                    self.around.middles.insert(f.var, middle);
                    let (from, kind) = (self.around.resolve(&f.lo), f.kind);
                    self.around.loops.push(Loop { var: f.var, lo, from, extent, kind });
                    self.body(&f.body);
                    self.around.loops.pop();
                }
                Stmt::Repeat(r) => self.body(&r.body),
                Stmt::If { condition, then, otherwise } => {
                    (self.visit)(Part::Condition(condition), &self.around);
                    if self.assume
                        && let Some((compared, as_is)) = of_integers(condition)
                    {
                        for (body, holds) in [(then, as_is), (otherwise, !as_is)] {
                            self.around.conditions.push((compared.clone(), holds));
                            self.body(body);
                            self.around.conditions.pop();
                        }
                        continue;
                    }
                    let taken = !self.assume || assumed(condition);
                    self.body(if taken && !then.is_empty() { then } else { otherwise });
                }
                Stmt::Let { var, value } => {
                    let value = self.around.resolve(value);
                    self.around.lets.insert(*var, value);
                }
                Stmt::Block(b) => (self.visit)(Part::Block(b), &self.around),
                Stmt::Intrin(c) => self.call(c),
                Stmt::Alloc(_) => {}
            }
        }
    }
}
