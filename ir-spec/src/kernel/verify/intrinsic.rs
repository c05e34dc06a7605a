//! Calls of intrinsics: each argument is a part of a live buffer, in bounds, with the element type,
//! extents and layout that the declaration asks for; what is written is written once, and through
//! no other argument.

use super::Verifier;
use crate::int::IntExpr;
use crate::intrinsic::at_call;
use crate::kernel::{Buffer, For, IntrinsicCall, Scope, Stmt, View, visit_stmts};
use crate::scalar::Subscript;

impl Verifier<'_> {
    /// Lanes of a loop cannot call.
    pub(super) fn no_calls(&mut self, f: &For) {
        let mut called = None;
        visit_stmts(&f.body, &mut |s| {
            if let Stmt::Intrin(c) = s {
                called.get_or_insert(c.intrinsic.name.clone());
            }
        });
        if let Some(name) = called {
            self.error(format!("a `vectorize` loop calls the intrinsic `{name}`"));
        }
    }

    pub(super) fn intrinsic(&mut self, c: &IntrinsicCall) {
        let intrinsic = &c.intrinsic;
        let wanted: Vec<&Buffer> =
            intrinsic.kernel.arguments().filter_map(|t| intrinsic.kernel.buffers.get(t)).collect();
        if wanted.len() != c.views.len() {
            return self.call_error(
                c,
                format!("takes {} arguments, but {} are given", wanted.len(), c.views.len()),
            );
        }
        let sizes: Vec<IntExpr> = c.sizes().iter().map(|e| self.resolve(e)).collect();
        for (v, b) in c.views.iter().zip(wanted) {
            if !self.view(c, v) {
                return;
            }
            self.fits(c, (v, b), &sizes);
        }
        for f in &intrinsic.kernel.facts {
            let (lhs, rhs) = (at_call(&f.lhs, &sizes), at_call(&f.rhs, &sizes));
            if !f.comparison.as_nonneg(&lhs, &rhs).iter().all(|e| self.holds(e)) {
                let text = format!("{} {} {}", self.show(&lhs), f.comparison, self.show(&rhs));
                self.call_error(c, format!("needs {text}, which is not proved"));
            }
        }
        self.written_once(c);
    }

    fn call_error(&mut self, c: &IntrinsicCall, what: String) {
        self.error(format!("intrinsic `{}` {what}", c.intrinsic.name));
    }

    /// True if a value is shown not to be negative wherever the loops around run.
    fn holds(&mut self, e: &IntExpr) -> bool {
        self.least_is_nonneg(e) || self.is_nonneg(e)
    }

    /// Axes, bounds and affinity of an argument; false if it makes no sense to look further.
    fn view(&mut self, c: &IntrinsicCall, v: &View) -> bool {
        let name = self.name(v.buffer);
        for (_, n) in &v.axes {
            if !self.in_scope(n, "the extent of a view") {
                return false;
            }
            let n = self.resolve(n);
            if !self.holds(&n) {
                let text = self.show(&n);
                self.call_error(c, format!("gets {text} elements of `{name}`, maybe negative"));
            }
        }
        let outer = self.facts.clone();
        let (first, one) = (IntExpr::constant(0), IntExpr::constant(1));
        for (v, n) in &v.axes {
            let last = self.resolve(n) - one.clone();
            self.facts.add_nonneg(IntExpr::from(*v));
            self.facts.add_nonneg(last.clone() - IntExpr::from(*v));
            self.facts.add_nonneg(last.clone());
            self.loops.insert(*v, (first.clone(), last));
        }
        let scoped = v.subscripts.iter().all(|e| self.in_scope(e, "a view"));
        if scoped {
            let subscripts: Vec<Subscript> =
                v.subscripts.iter().map(|e| Subscript::Affine(self.resolve(e))).collect();
            self.access(v.buffer, &subscripts, false, &Clone::clone);
        }
        for (v, _) in &v.axes {
            self.loops.shift_remove(v);
        }
        self.facts = outer;
        let affine = v.axes.iter().all(|(axis, _)| v.step(*axis).is_some());
        if scoped && !affine {
            self.call_error(c, format!("gets a part of `{name}` that has no strides"));
        }
        scoped && affine && self.kernel.buffers.get(v.buffer).is_some()
    }

    /// An argument has the type, extents and layout of the declared buffer.
    fn fits(&mut self, c: &IntrinsicCall, (v, b): (&View, &Buffer), sizes: &[IntExpr]) {
        let Some(given) = self.kernel.buffers.get(v.buffer) else { return };
        let (dtype, name) = (given.dtype, given.name.clone());
        if dtype != b.dtype || v.axes.len() != b.shape.len() {
            let (have, want) = (v.axes.len(), b.shape.len());
            return self.call_error(
                c,
                format!(
                    "wants `{}` of type {} and rank {want}, but `{name}` has {dtype} and {have}",
                    b.name, b.dtype
                ),
            );
        }
        for (axis, ((_, n), want)) in v.axes.iter().zip(&b.shape).enumerate() {
            let (n, want) = (self.resolve(n), at_call(want, sizes));
            if n != want && !(self.holds(&(&n - &want)) && self.holds(&(&want - &n))) {
                let (n, want) = (self.show(&n), self.show(&want));
                self.call_error(
                    c,
                    format!(
                        "wants extent {want} for axis {axis} of `{}`, but `{name}` gives {n}",
                        b.name
                    ),
                );
            }
        }
        if b.scope != Scope::Strided && !self.is_packed(v) {
            self.call_error(
                c,
                format!("wants `{}` without gaps, but the part of `{name}` may have some", b.name),
            );
        }
    }

    /// True if the elements of a view follow each other in memory.
    fn is_packed(&self, v: &View) -> bool {
        let Some(b) = self.kernel.buffers.get(v.buffer) else { return false };
        if v.axes.is_empty() {
            return true;
        }
        if b.scope == Scope::Strided && !self.contiguous.contains(&v.buffer) {
            return false;
        }
        let mut expected = IntExpr::constant(1);
        for (axis, n) in v.axes.iter().rev() {
            let n = self.resolve(n);
            if n.as_constant() == Some(1) {
                continue;
            }
            let mut distance = IntExpr::default();
            for (step, extent) in v.step(*axis).unwrap_or_default().iter().zip(&b.shape) {
                distance = distance * extent.clone() + self.resolve(step);
            }
            if distance != expected {
                return false;
            }
            expected = expected * n;
        }
        true
    }

    /// What is written is no parameter, no other argument, and no element twice.
    fn written_once(&mut self, c: &IntrinsicCall) {
        let params = c.params().count();
        for (k, v) in c.results().enumerate() {
            let name = self.name(v.buffer);
            if self.kernel.params.contains(&v.buffer) {
                self.call_error(c, format!("writes parameter `{name}`"));
            }
            let others = c.views.iter().enumerate().filter(|(j, _)| *j != params + k);
            if others.into_iter().any(|(_, w)| w.buffer == v.buffer) {
                self.call_error(c, format!("writes `{name}`, which is another argument, too"));
            }
            if !self.is_injective(v) {
                self.call_error(c, format!("may write an element of `{name}` twice"));
            }
        }
    }

    /// True if each axis moves along an axis of the buffer that no other one moves along.
    fn is_injective(&self, v: &View) -> bool {
        let moves = |e: &IntExpr, axis| {
            e.linear_in(axis).is_some_and(|(step, _)| step.as_constant().is_some_and(|s| s != 0))
        };
        v.axes.iter().all(|(axis, n)| {
            let alone = |e: &IntExpr| {
                let others = v.axes.iter().filter(|(w, _)| w != axis);
                moves(e, *axis) && !others.clone().any(|(w, _)| e.mentions(*w))
            };
            self.resolve(n).as_constant() == Some(1) || v.subscripts.iter().any(alone)
        }) || self.is_packed(v)
    }
}
