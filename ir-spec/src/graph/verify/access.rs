//! Bounds of affine accesses (R7), and the proof that `@exact` asks for (R15).

use super::Verifier;
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::graph::cycles::{equation_facts, var_range};
use crate::graph::{Equation, EquationNames};
use crate::int::{Facts, IntExpr, bounds};
use crate::scalar::{Expr, ExprPrinter, Func, Reducer, Subscript};
use tcc_abi::DType;

/// Extents do not exceed this.
const MAX_EXTENT: i64 = 1 << 40;

impl Verifier<'_> {
    /// Every affine subscript of the equation is in bounds, or a fact is derived.
    pub(super) fn accesses(&mut self, target: TensorId, e: &Equation) {
        let mut facts = equation_facts(&self.facts, e);
        let written = self.access_text(e, target, &e.subscripts);
        self.divisors(e, &e.subscripts, &mut facts, &format!("`{written}` divides"));
        for r in e.reads() {
            let text = self.access_text(e, r.tensor, &r.subscripts);
            self.divisors(e, &r.subscripts, &mut facts, &format!("`{text}` divides"));
        }
        self.access(e, target, &e.subscripts, &facts, &format!("`{written}` writes"));
        for r in e.reads() {
            if r.default.is_none() {
                let text = self.access_text(e, r.tensor, &r.subscripts);
                self.access(e, r.tensor, &r.subscripts, &facts, &format!("`{text}` reads"));
            }
        }
    }

    /// Divisors of subscripts are positive, or a fact is derived.
    fn divisors(&mut self, e: &Equation, subscripts: &[Subscript], facts: &mut Facts, what: &str) {
        for d in subscripts.iter().filter_map(Subscript::as_affine).flat_map(IntExpr::divisors) {
            let positive = &d - &IntExpr::constant(1);
            if facts.is_nonneg(&positive) || d.mentions_vars() || d.as_constant().is_some() {
                continue;
            }
            self.derive(positive.clone(), self.empty_extents(e), what.to_owned(), e.span);
            facts.add_nonneg(positive);
        }
    }

    /// The extents that may be 0: where one is, the equation visits no point.
    fn empty_extents(&self, e: &Equation) -> Vec<IntExpr> {
        let extents = e.vars.values().map(|x| x.extent.clone());
        extents.filter(|x| !self.facts.is_positive(x)).collect()
    }

    fn access_text(&self, e: &Equation, t: TensorId, subscripts: &[Subscript]) -> String {
        let tensors = |t: TensorId| self.name(t);
        let symbols = EquationNames(self.function, e);
        let mut p = ExprPrinter { symbols: &symbols, tensors: &tensors, domains: Vec::new() };
        if subscripts.is_empty() {
            self.name(t)
        } else {
            format!("{}[{}]", self.name(t), p.subscripts(subscripts))
        }
    }

    fn access(
        &mut self,
        e: &Equation,
        t: TensorId,
        subscripts: &[Subscript],
        facts: &Facts,
        what: &str,
    ) {
        let Some(tensor) = self.function.tensors.get(t) else { return };
        for (axis, (s, extent)) in subscripts.iter().zip(&tensor.shape).enumerate() {
            let Subscript::Affine(i) = s else { continue };
            // A bare index over the axis's own extent is the common case.
            if i.as_var().and_then(|v| e.vars.get(v)).is_some_and(|x| x.extent == *extent) {
                continue;
            }
            if i.as_constant().is_some_and(|c| c >= MAX_EXTENT) {
                let message = format!("{what} slot {} of axis {axis}", self.show(i));
                let d = Diagnostic::new(Code::Oob, e.span, message);
                self.error(d.note("no extent exceeds 2^40"));
                continue;
            }
            let last = extent - &IntExpr::constant(1) - i.clone();
            for (goal, low) in [(i.clone(), true), (last, false)] {
                self.in_bounds(e, &goal, facts, (what, axis, low), (i, extent));
            }
        }
    }

    /// `goal >= 0` at every visited point.
    fn in_bounds(
        &mut self,
        e: &Equation,
        goal: &IntExpr,
        facts: &Facts,
        (what, axis, low): (&str, usize, bool),
        (i, extent): (&IntExpr, &IntExpr),
    ) {
        let range = |v| var_range(e, v);
        let least = bounds::lower(goal, &range, facts);
        if least.as_ref().is_some_and(|l| facts.is_nonneg(l)) || facts.is_nonneg(goal) {
            return;
        }
        let side = if low { "before the start" } else { "past the end" };
        let never =
            least.as_ref().is_none_or(|l| facts.is_nonneg(&(-l.clone() - IntExpr::constant(1))));
        if !never && let Some(least) = least {
            let unless_empty = self.empty_extents(e);
            self.derive(least, unless_empty, format!("{what} axis {axis}"), e.span);
            return;
        }
        let message =
            format!("{what} {side} of axis {axis}, whose extent is {}", self.show(extent));
        let mut d = Diagnostic::new(Code::Oob, e.span, message).help(if what.ends_with("writes") {
            "exclude the position with `where`, or give the tensor a larger extent"
        } else {
            "give the read a default (`?0`), or exclude the position with `where`"
        });
        if let Some(corner) = self.corner(e, i, low) {
            d = d.note(corner);
        }
        self.error(d);
    }

    /// The worst point, for example "at i = 0 the subscript is -1".
    fn corner(&self, e: &Equation, i: &IntExpr, low: bool) -> Option<String> {
        let facts = equation_facts(&self.facts, e);
        let range = |v| var_range(e, v);
        let extreme =
            if low { bounds::lower(i, &range, &facts)? } else { bounds::upper(i, &range, &facts)? };
        let mut points = Vec::new();
        let mut seen = Vec::new();
        i.visit_symbols(&mut |s| {
            if let crate::int::Symbol::Var(v) = s
                && !seen.contains(&v)
            {
                seen.push(v);
            }
        });
        for v in seen {
            let (coefficient, _) = i.linear_in(v)?;
            let first = facts.is_nonneg(&coefficient) == low;
            let (lo, hi) = var_range(e, v)?;
            let name = e.vars.get(v).map_or(String::new(), |x| x.name.clone());
            points.push(format!("{name} = {}", self.show(if first { &lo } else { &hi })));
        }
        let at =
            if points.is_empty() { String::new() } else { format!("at {} ", points.join(", ")) };
        Some(format!("{at}the subscript is {}", self.show(&extreme)))
    }

    /// `@exact` on integers: no operation and no sum leaves the type's range.
    pub(super) fn exactness(&mut self, e: &Equation) {
        if !e.attributes.exact || !e.body.dtype().is_int() {
            return;
        }
        let dtype = e.body.dtype();
        let Some((lo, hi)) = dtype.int_range() else { return };
        let value = interval(&e.body);
        let count = e.reducer.filter(|r| matches!(r, Reducer::Sum)).map_or(Some(1), |_| {
            e.reduced_vars().iter().try_fold(1i128, |n, v| {
                let extent = e.vars.get(*v)?.extent.as_constant()?;
                n.checked_mul(i128::from(extent.max(0)))
            })
        });
        let fits = value.zip(count).is_some_and(|((a, b), n)| {
            let low = a.min(0).checked_mul(n);
            let high = b.max(0).checked_mul(n);
            low.is_some_and(|l| lo <= l) && high.is_some_and(|h| h <= hi)
        });
        if !fits {
            let message = format!("`@exact`: cannot prove that every result fits {dtype}");
            let help = "convert the operands to a wider type with `cast`, and state the extents";
            self.error(Diagnostic::new(Code::Type, e.span, message).help(help));
        }
    }
}

/// Smallest and largest value of an integer expression before wrapping; `None` if unknown.
fn interval(e: &Expr) -> Option<(i128, i128)> {
    let range = |d: DType| d.int_range();
    match e {
        Expr::Literal(s) => Some((s.to_i128(), s.to_i128())),
        Expr::Read(r) => range(r.dtype),
        Expr::Cast(d, inner) => {
            let (a, b) = interval(inner)?;
            let (lo, hi) = range(*d)?;
            (lo <= a && b <= hi).then_some((a, b))
        }
        Expr::Apply(func, args) => {
            let parts: Option<Vec<(i128, i128)>> = args.iter().map(interval).collect();
            let out = match (func, parts?.as_slice()) {
                (Func::Add, [a, b]) => (a.0.checked_add(b.0)?, a.1.checked_add(b.1)?),
                (Func::Sub, [a, b]) => (a.0.checked_sub(b.1)?, a.1.checked_sub(b.0)?),
                (Func::Neg, [a]) => (a.1.checked_neg()?, a.0.checked_neg()?),
                (Func::Min, [a, b]) => (a.0.min(b.0), a.1.min(b.1)),
                (Func::Max, [a, b]) => (a.0.max(b.0), a.1.max(b.1)),
                (Func::Mul, [a, b]) => {
                    let corners = [
                        a.0.checked_mul(b.0)?,
                        a.0.checked_mul(b.1)?,
                        a.1.checked_mul(b.0)?,
                        a.1.checked_mul(b.1)?,
                    ];
                    (corners.iter().copied().min()?, corners.iter().copied().max()?)
                }
                (Func::Select, [_, a, b]) => (a.0.min(b.0), a.1.max(b.1)),
                _ => return None,
            };
            let (lo, hi) = range(e.dtype())?;
            (lo <= out.0 && out.1 <= hi).then_some(out)
        }
        Expr::Index { .. } | Expr::Compare(..) | Expr::Bitcast(..) | Expr::Contiguous(_) => None,
    }
}
