//! Which iterations of loops touch the same elements.
//!
//! Two accesses of one element, one of them a write, make the iterations that they stand in
//! dependent. [`Accesses::open_loops`] says in which loops the two iterations may differ. Equal
//! positions are equations between subscripts, axis by axis. What follows from them is collected:
//! what surrounds the loops is *known* to be the same on both sides; a variable, quotient or
//! remainder is if some subscript steps by more than everything unknown in it spreads; and `x` is
//! if `x/d` and `x % d` are. Loops whose variable is not known are *open*.

use super::{Block, IntrinsicCall, Kernel, Scope, Stmt, Update, visit_stmts};
use crate::int::{Atom, Facts, IntExpr, Symbol, bounds};
use crate::scalar::{Expr, Reducer, Subscript};
use crate::{TensorId, VarId};
use std::sync::Arc;

/// A loop: its variable with the first and the last value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The variable.
    pub var: VarId,
    /// Its first value.
    pub lo: IntExpr,
    /// Its last value.
    pub last: IntExpr,
}

/// One access of a body.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The block; `None` for the condition of an `if` or `repeat`, and for an intrinsic.
    pub block: Option<&'a Block>,
    /// The call of an intrinsic.
    pub call: Option<&'a IntrinsicCall>,
    /// What is accessed.
    pub buffer: TensorId,
    /// Subscripts over loop variables and sizes; `None` for what depends on data.
    pub position: Vec<Option<IntExpr>>,
    /// True for the write of a block and for what an intrinsic updates.
    pub writes: bool,
    /// How an update combines; `None` for anything else.
    pub update: Option<Reducer>,
    /// True for a read with a default for positions out of bounds.
    pub covered: bool,
}

impl<'a> Access<'a> {
    /// The name of the block or intrinsic.
    pub fn name(&self) -> &'a str {
        match (self.block, self.call) {
            (Some(b), _) => &b.name,
            (None, Some(c)) => &c.intrinsic.name,
            (None, None) => "if",
        }
    }
}

/// The accesses of a body to buffers that it does not allocate itself.
#[derive(Clone, Debug)]
pub struct Accesses<'a> {
    /// In the order of the text.
    pub list: Vec<Access<'a>>,
    /// Loops inside of the body.
    inner: Vec<Range>,
    lets: Vec<(VarId, IntExpr)>,
    facts: &'a Facts,
    /// The buffers to look at.
    buffers: Vec<TensorId>,
}

impl<'a> Accesses<'a> {
    /// The accesses of a body; `facts` are about sizes.
    pub fn of(kernel: &Kernel, body: &'a [Stmt], facts: &'a Facts) -> Accesses<'a> {
        Accesses::collect(kernel, body, facts, kernel.buffers.keys().collect())
    }

    /// As [`Accesses::of`], but only to buffers that the body writes: the others make no iterations
    /// depend on each other.
    pub fn to_written(kernel: &Kernel, body: &'a [Stmt], facts: &'a Facts) -> Accesses<'a> {
        let mut written = Vec::new();
        visit_stmts(body, &mut |s| match s {
            Stmt::Block(b) => written.push(b.store.buffer),
            Stmt::Intrin(c) => written.extend(c.results().map(|v| v.buffer)),
            _ => {}
        });
        Accesses::collect(kernel, body, facts, written)
    }

    fn collect(
        kernel: &Kernel,
        body: &'a [Stmt],
        facts: &'a Facts,
        buffers: Vec<TensorId>,
    ) -> Accesses<'a> {
        let (list, inner, lets) = (Vec::new(), Vec::new(), Vec::new());
        let mut out = Accesses { list, inner, lets, facts, buffers };
        let mut allocated: Vec<TensorId> = Vec::new();
        visit_stmts(body, &mut |s| out.declare(s, &mut allocated));
        let of_block = |t: TensorId| kernel.buffers.get(t).is_none_or(|b| b.scope == Scope::Let);
        let outlives = |t: &TensorId| !of_block(*t) && !allocated.contains(t);
        out.buffers.retain(outlives);
        visit_stmts(body, &mut |s| match s {
            Stmt::Block(b) => out.block(b),
            Stmt::If { condition, .. } => out.reads(None, condition),
            Stmt::Repeat(r) => out.reads(None, &r.until),
            Stmt::Intrin(c) => out.call(c),
            Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) => {}
        });
        out
    }

    fn declare(&mut self, s: &Stmt, allocated: &mut Vec<TensorId>) {
        let one = IntExpr::constant(1);
        match s {
            Stmt::For(f) => {
                let (lo, last) = (self.resolve(&f.lo), self.resolve(&f.hi) - one);
                self.inner.push(Range { var: f.var, lo, last });
            }
            Stmt::Repeat(r) => {
                let (lo, last) = (IntExpr::constant(0), self.resolve(&r.limit) - one);
                self.inner.push(Range { var: r.var, lo, last });
            }
            Stmt::Let { var, value } => {
                let value = self.resolve(value);
                self.lets.push((*var, value));
            }
            Stmt::Alloc(t) => allocated.push(*t),
            // A call covers its views in any order.
            Stmt::Intrin(c) => {
                for (axis, n) in c.views.iter().flat_map(|v| &v.axes) {
                    let (lo, last) = (IntExpr::constant(0), self.resolve(n) - one.clone());
                    self.inner.push(Range { var: *axis, lo, last });
                }
            }
            Stmt::Block(_) | Stmt::If { .. } => {}
        }
    }

    fn block(&mut self, b: &'a Block) {
        for e in b.exprs() {
            self.reads(Some(b), e);
        }
        let buffer = b.store.buffer;
        if !self.buffers.contains(&buffer) {
            return;
        }
        let position = self.position(Some(b), &b.store.subscripts);
        let update = match b.store.update {
            Update::Set => None,
            Update::Reduce(r) => Some(r),
            Update::FusedSum => Some(Reducer::Sum),
        };
        let (block, writes, covered) = (Some(b), true, false);
        self.list.push(Access { block, call: None, buffer, position, writes, update, covered });
    }

    fn call(&mut self, c: &'a IntrinsicCall) {
        let first_result = c.params().count();
        for (k, v) in c.views.iter().enumerate() {
            if !self.buffers.contains(&v.buffer) {
                continue;
            }
            self.list.push(Access {
                block: None,
                call: Some(c),
                buffer: v.buffer,
                position: v.subscripts.iter().map(|e| Some(self.resolve(e))).collect(),
                writes: k >= first_result,
                update: None,
                covered: false,
            });
        }
    }

    fn reads(&mut self, block: Option<&'a Block>, e: &Expr) {
        for r in e.reads().into_iter().filter(|r| self.buffers.contains(&r.tensor)) {
            let position = self.position(block, &r.subscripts);
            let (buffer, covered) = (r.tensor, r.default.is_some());
            let (writes, update) = (false, None);
            self.list.push(Access { block, call: None, buffer, position, writes, update, covered });
        }
    }

    /// Over loop variables and sizes alone.
    pub fn resolve(&self, e: &IntExpr) -> IntExpr {
        if self.lets.is_empty() {
            return e.clone();
        }
        e.substitute(&|s| match s {
            Symbol::Var(v) => self.lets.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
            Symbol::Size(_) => None,
        })
    }

    fn position(&self, block: Option<&Block>, subs: &[Subscript]) -> Vec<Option<IntExpr>> {
        let one = |s: &Subscript| {
            let i = s.as_affine()?;
            Some(self.resolve(&block.map_or_else(|| i.clone(), |b| b.over_loops(i))))
        };
        subs.iter().map(one).collect()
    }

    /// The loops of `around`, which stand around the body, that the iterations of two accesses of
    /// one element may differ in; outermost first.
    pub fn open_loops(&self, around: &[Range], a: &Access<'_>, b: &Access<'_>) -> Vec<VarId> {
        let positions = a.position.iter().zip(&b.position);
        let both = positions.filter_map(|(x, y)| Some((x.as_ref()?, y.as_ref()?)));
        let equations: Vec<(&IntExpr, &IntExpr)> = both.collect();
        let mut agreement = Agreement { accesses: self, around, known: Vec::new() };
        agreement.solve(&equations);
        let vars = around.iter().map(|r| r.var);
        vars.filter(|v| !agreement.is_known(&Atom::Symbol((*v).into()))).collect()
    }

    /// True if two accesses of one element are in the same iteration of the loops around.
    pub fn are_apart(&self, around: &[Range], a: &Access<'_>, b: &Access<'_>) -> bool {
        self.open_loops(around, a, b).is_empty()
    }
}

/// What two iterations that touch the same element have in common.
struct Agreement<'s, 'a> {
    accesses: &'s Accesses<'a>,
    around: &'s [Range],
    known: Vec<Atom>,
}

impl Agreement<'_, '_> {
    /// Collects what the equations tell, until nothing is new or all loops are known.
    fn solve(&mut self, equations: &[(&IntExpr, &IntExpr)]) {
        loop {
            let before = self.known.len();
            for (x, y) in equations {
                self.learn(x, y);
            }
            for x in self.joined() {
                self.learn(&x, &x);
            }
            let all = |r: &Range| self.is_known(&Atom::Symbol(r.var.into()));
            if self.known.len() == before || self.around.iter().all(all) {
                break;
            }
        }
    }

    /// Adds the atoms that an equation tells.
    fn learn(&mut self, x: &IntExpr, y: &IntExpr) {
        for (m, _) in x.terms() {
            for atom in &m.0 {
                if !self.is_known(atom) && self.tells_apart((x, y), atom) {
                    self.known.push(atom.clone());
                }
            }
        }
    }

    /// Expressions whose quotient and remainder by the same number are known.
    fn joined(&self) -> Vec<IntExpr> {
        let remainders = self.known.iter().filter_map(|a| match a {
            Atom::Mod(p) => Some(p),
            _ => None,
        });
        let known =
            |p: &&Arc<[IntExpr; 2]>| self.is_fixed(&p[1]) && self.is_fixed(&p[0].div(&p[1]));
        remainders.filter(known).map(|p| p[0].clone()).collect()
    }

    /// True if the sides are known to have the same value of this.
    fn is_known(&self, atom: &Atom) -> bool {
        self.known.contains(atom)
            || match atom {
                Atom::Symbol(Symbol::Size(_)) => true,
                Atom::Symbol(Symbol::Var(v)) => {
                    let mut moving = self.around.iter().chain(&self.accesses.inner);
                    !moving.any(|r| r.var == *v)
                }
                Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => {
                    p.iter().all(|e| self.is_fixed(e))
                }
            }
    }

    fn is_fixed(&self, e: &IntExpr) -> bool {
        e.terms().iter().flat_map(|(m, _)| &m.0).all(|a| self.is_known(a))
    }

    /// The range of a variable that may differ between the sides.
    fn range(&self, v: VarId) -> Option<(IntExpr, IntExpr)> {
        if self.known.contains(&Atom::Symbol(v.into())) {
            return None;
        }
        let mut moving = self.around.iter().chain(&self.accesses.inner);
        moving.find(|r| r.var == v).map(|r| (r.lo.clone(), r.last.clone()))
    }

    /// True if `x` on one side equals `y` on the other only where the atom has the same value.
    fn tells_apart(&self, (x, y): (&IntExpr, &IntExpr), atom: &Atom) -> bool {
        let (Some(x), Some(y)) = (self.split(x, atom), self.split(y, atom)) else { return false };
        if x.step != y.step {
            return false;
        }
        // step*(atom - atom') = rest' - rest, which must be shown to lie between the multiples of
        // the step that are not 0.
        let step = match x.step.as_constant() {
            Some(0) => return false,
            Some(c) if c < 0 => -x.step,
            _ => x.step,
        };
        let facts = self.accesses.facts;
        let still = x.moving.terms().is_empty() && y.moving.terms().is_empty();
        if still && x.fixed == y.fixed {
            return facts.is_positive(&step);
        }
        let range = |v: VarId| self.range(v);
        let extremes = |e: &IntExpr| bounds::extremes(e, &range, facts);
        let (Some((x_lo, x_hi)), Some((y_lo, y_hi))) = (extremes(&x.moving), extremes(&y.moving))
        else {
            return false;
        };
        let shift = y.fixed - x.fixed;
        let (least, most) = (y_lo - x_hi + shift.clone(), y_hi - x_lo + shift);
        facts.less(&most, &step) && facts.less(&-least, &step)
    }

    /// The expression as `step * atom + fixed + moving`, the step being fixed.
    fn split(&self, e: &IntExpr, atom: &Atom) -> Option<Parts> {
        let mut out = Parts::default();
        for (m, c) in e.terms() {
            let mut others = m.clone();
            let at = others.0.iter().position(|a| a == atom);
            if let Some(at) = at {
                others.0.remove(at);
            }
            let known = others.0.iter().all(|a| self.is_known(a));
            let term = IntExpr::term(others, *c);
            match (at, known) {
                (Some(_), true) => out.step = out.step + term,
                (Some(_), false) => return None,
                (None, true) => out.fixed = out.fixed + term,
                (None, false) => out.moving = out.moving + term,
            }
        }
        Some(out)
    }
}

/// The parts of a subscript that tell an atom apart, or not.
#[derive(Default)]
struct Parts {
    step: IntExpr,
    fixed: IntExpr,
    moving: IntExpr,
}
