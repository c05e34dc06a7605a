//! What writes what: plain equations write each element once, regions do not overlap (R5).

use super::Verifier;
use crate::diag::{Code, Diagnostic};
use crate::graph::cycles::{equation_facts, var_range};
use crate::graph::{Definition, Equation};
use crate::int::{Facts, IntExpr, Symbol, bounds};
use crate::scalar::Subscript;
use crate::{TensorId, VarId};

impl Verifier<'_> {
    /// An equation without reducer writes distinct elements at distinct points.
    pub(super) fn writes_once(&mut self, target: TensorId, e: &Equation) {
        if e.reducer.is_some() || is_injective(e, &self.facts) {
            return;
        }
        let name = self.name(target);
        let message = format!("a plain `=` must write each element of `{name}` once");
        let d = Diagnostic::new(Code::Redef, e.span, message)
            .note("the subscripts on the left do not show that the written elements are distinct")
            .help("say how contributions combine: `+=`, `max=`, ...");
        self.error(d);
    }

    /// Equations of one tensor all have the same reducer, or write disjoint regions.
    pub(super) fn regions(&mut self, d: &Definition) {
        for (k, a) in d.equations.iter().enumerate() {
            for b in d.equations.iter().skip(k + 1) {
                let shared = a.reducer.is_some() && a.reducer == b.reducer;
                if shared || self.disjoint(a, b) {
                    continue;
                }
                let name = self.name(d.tensor);
                let message = match (a.reducer, b.reducer) {
                    (None, None) => {
                        format!("two equations of `{name}` write regions that may overlap")
                    }
                    _ => format!("the equations of `{name}` combine in different ways"),
                };
                let d = Diagnostic::new(Code::Redef, b.span, message)
                    .label(a.span, "the other equation")
                    .help("use the same accumulating assignment, or write provably disjoint slots");
                self.error(d);
                return;
            }
        }
    }

    /// True if on some axis the slots of one equation are provably not those of the other.
    fn disjoint(&self, a: &Equation, b: &Equation) -> bool {
        let fa = equation_facts(&self.facts, a);
        let fb = equation_facts(&self.facts, b);
        a.subscripts.iter().zip(&b.subscripts).any(|(x, y)| {
            let (Some(x), Some(y)) = (x.as_affine(), y.as_affine()) else { return false };
            let (Some((xl, xh)), Some((yl, yh))) = (ends(a, x, &fa), ends(b, y, &fb)) else {
                return congruence_differs(x, y);
            };
            self.facts.less(&xh, &yl)
                || self.facts.less(&yh, &xl)
                || fa.less(&xh, &yl)
                || fb.less(&yh, &xl)
                || congruence_differs(x, y)
        })
    }
}

/// First and last value of a subscript over the equation's domain.
fn ends(e: &Equation, i: &IntExpr, facts: &Facts) -> Option<(IntExpr, IntExpr)> {
    let range = |v| var_range(e, v);
    Some((bounds::lower(i, &range, facts)?, bounds::upper(i, &range, facts)?))
}

/// True if two subscripts, over independent variables, differ modulo the common divisor of their
/// coefficients: `2*t` and `2*t + 1`.
fn congruence_differs(x: &IntExpr, y: &IntExpr) -> bool {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let divisor = x
        .terms()
        .iter()
        .chain(y.terms())
        .filter(|(m, _)| !m.0.is_empty())
        .fold(0, |g, (_, c)| gcd(g, c.unsigned_abs()));
    let difference = i128::from(x.constant_term()) - i128::from(y.constant_term());
    divisor > 1 && difference % i128::from(divisor) != 0
}

/// True if distinct points of the domain provably write distinct elements.
pub(crate) fn is_injective(e: &Equation, facts: &Facts) -> bool {
    let facts = equation_facts(facts, e);
    let mut open: Vec<VarId> = e
        .vars
        .iter()
        .filter(|(_, index)| index.extent.as_constant().is_none_or(|c| c > 1))
        .map(|(v, _)| v)
        .collect();
    let mut rest: Vec<&IntExpr> = e.subscripts.iter().filter_map(Subscript::as_affine).collect();
    // Each subscript that determines its undetermined variables takes them off the list.
    loop {
        let before = open.len();
        rest.retain(|i| {
            let unknown: Vec<VarId> = open.iter().copied().filter(|v| i.mentions(*v)).collect();
            let determined = determines(e, i, &unknown, &facts);
            if determined {
                open.retain(|v| !unknown.contains(v));
            }
            !determined
        });
        if open.is_empty() {
            return true;
        }
        if open.len() == before {
            return false;
        }
    }
}

/// True if the value of `i` determines the variables `unknown`, the others being known: one
/// variable with a non-zero coefficient, or a mixed-radix number such as `h*D + d` with `d < D`.
fn determines(e: &Equation, i: &IntExpr, unknown: &[VarId], facts: &Facts) -> bool {
    let known_free = |x: &IntExpr| unknown.iter().all(|v| !x.mentions(*v));
    let Some((last, others)) = unknown.split_last() else { return true };
    if others.is_empty() {
        return i.linear_in(*last).is_some_and(|(c, _)| nonzero(&c, facts));
    }
    // Split off the variable with coefficient 1 whose extent divides every other coefficient.
    unknown.iter().any(|v| {
        let Some((c, rest)) = i.linear_in(*v) else { return false };
        let Some(extent) = e.vars.get(*v).map(|x| &x.extent) else { return false };
        if c.as_constant() != Some(1) {
            return false;
        }
        let (mut quotient, mut offset) = (IntExpr::default(), IntExpr::default());
        for (m, k) in rest.terms() {
            let term = IntExpr::term(m.clone(), *k);
            if known_free(&term) {
                offset = offset + term;
                continue;
            }
            let Some(q) = term.exact_quotient(extent) else { return false };
            quotient = quotient + q;
        }
        let remaining: Vec<VarId> = unknown.iter().copied().filter(|w| w != v).collect();
        determines(e, &quotient, &remaining, facts)
    })
}

fn nonzero(c: &IntExpr, facts: &Facts) -> bool {
    let mut vars = false;
    c.visit_symbols(&mut |s| vars |= matches!(s, Symbol::Var(_)));
    !vars && (facts.is_positive(c) || facts.is_positive(&-c.clone()))
}
