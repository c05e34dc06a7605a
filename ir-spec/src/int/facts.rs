//! Known inequalities, and proofs from them.
//!
//! A fact is an expression known to be `>= 0`. A goal `p >= 0` is shown by writing `p` as a sum of
//! non-negative multiples of facts, of products of a fact with a non-negative symbol, and of
//! monomials in non-negative symbols (Farkas' lemma, Handelman's products of degree two). Quotients
//! and remainders bring their defining inequalities along. Every size and every iteration variable
//! is known to be non-negative.

use super::refute::Samples;
use super::simplex::{Row, System, gcd};
use super::{Atom, IntExpr, Monomial, Symbol};
use indexmap::IndexSet;
use std::borrow::Cow;
use std::collections::HashMap;

/// A set of known facts. Cheap to clone for a nested scope.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    nonneg: Vec<IntExpr>,
    /// For each fact its atoms, those inside of others too.
    atoms: Vec<Vec<Atom>>,
}

/// Proofs that the parts of a quotient, minimum or maximum have a sign may nest this deep.
const DEPTH: u32 = 3;

/// A coefficient that may outgrow the arithmetic of a proof.
const LARGE: u64 = 1 << 20;

/// At most this many inequalities enter one proof.
const MAX_GENERATORS: usize = 96;

impl Facts {
    /// Adds `expr >= 0`, and what it says without the minima and quotients that it adds. A
    /// tautology or an overflow is dropped.
    pub fn add_nonneg(&mut self, expr: IntExpr) {
        if !expr.is_poisoned() && !has_no_negative_part(&expr) && !self.nonneg.contains(&expr) {
            let mut atoms = Vec::new();
            join_nested_atoms(&mut atoms, &expr);
            let plainer = consequences(&expr);
            self.atoms.push(atoms);
            self.nonneg.push(expr);
            plainer.into_iter().for_each(|e| self.add_nonneg(e));
        }
    }

    /// Adds `a == b`.
    pub fn add_equal(&mut self, a: &IntExpr, b: &IntExpr) {
        self.add_nonneg(a - b);
        self.add_nonneg(b - a);
    }

    /// How many facts there are, for [`Facts::forget`].
    pub fn count(&self) -> usize {
        self.nonneg.len()
    }

    /// Drops the facts that were added since there were `count`.
    pub fn forget(&mut self, count: usize) {
        self.nonneg.truncate(count);
        self.atoms.truncate(count);
    }

    /// The facts, each `>= 0`.
    pub fn nonneg(&self) -> &[IntExpr] {
        &self.nonneg
    }

    /// True if `a == b` follows.
    pub fn equal(&self, a: &IntExpr, b: &IntExpr) -> bool {
        a == b || (!self.nonneg.is_empty() && self.is_nonneg(&(a - b)) && self.is_nonneg(&(b - a)))
    }

    /// True if `a <= b` follows.
    pub fn at_most(&self, a: &IntExpr, b: &IntExpr) -> bool {
        self.is_nonneg(&(b - a))
    }

    /// True if `a < b` follows.
    pub fn less(&self, a: &IntExpr, b: &IntExpr) -> bool {
        self.is_nonneg(&(b - a - IntExpr::constant(1)))
    }

    /// True if the facts make `expr >= 1`.
    pub fn is_positive(&self, expr: &IntExpr) -> bool {
        self.is_nonneg(&(expr - &IntExpr::constant(1)))
    }

    /// True if `goal >= 0` follows from the facts.
    pub fn is_nonneg(&self, goal: &IntExpr) -> bool {
        if self.is_evident(goal) {
            return true;
        }
        if goal.as_constant().is_some() || goal.is_poisoned() {
            return false;
        }
        let goal = &without_common_factor(goal);
        Samples::without_counterexample(goal, &self.nonneg).is_some_and(|samples| {
            Proof { facts: self, samples, answers: HashMap::new() }.proves(goal, DEPTH)
        })
    }

    /// True if `goal >= 0` is plain to see: its terms are not negative, or it is a fact.
    pub fn is_evident(&self, goal: &IntExpr) -> bool {
        let constant = goal.as_constant();
        !goal.is_poisoned()
            && (constant.is_some_and(|c| c >= 0)
                || (constant.is_none()
                    && (self.has_no_negative_part(goal) || self.is_at_least_a_fact(goal))))
    }

    /// True if no term is negative: what quotients divide and minima are of is evident.
    fn has_no_negative_part(&self, e: &IntExpr) -> bool {
        let atom_is_nonneg = |atom: &Atom| match atom {
            Atom::Div(p) => p[1].as_constant().is_some_and(|d| d > 0) && self.is_evident(&p[0]),
            Atom::Min(p) => p.iter().all(|e| self.is_evident(e)),
            Atom::Max(p) => p.iter().any(|e| self.is_evident(e)),
            Atom::Symbol(_) | Atom::Mod(_) => atom_is_nonneg(atom),
        };
        e.terms().iter().all(|(m, c)| *c >= 0 && m.0.iter().all(atom_is_nonneg))
    }

    /// True if the goal is a fact plus a constant that is not negative.
    fn is_at_least_a_fact(&self, goal: &IntExpr) -> bool {
        let (varying, constant) = goal.varying_and_constant();
        self.nonneg.iter().any(|fact| {
            let (other, least) = fact.varying_and_constant();
            constant >= least && varying == other
        })
    }
}

/// The search for a proof of one goal.
struct Proof<'f> {
    facts: &'f Facts,
    samples: Samples,
    /// Answers to goals that came up on the way, by the depth that was left for them.
    answers: HashMap<(IntExpr, u32), bool>,
}

impl<'f> Proof<'f> {
    /// As [`Facts::is_nonneg`]; a proof may rest on others, `depth` of them in a row.
    fn proves(&mut self, goal: &IntExpr, depth: u32) -> bool {
        if self.facts.is_evident(goal) {
            return true;
        }
        if goal.is_poisoned() || goal.as_constant().is_some() || self.samples.refute(goal) {
            return false;
        }
        let key = (goal.clone(), depth);
        if let Some(known) = self.answers.get(&key) {
            return *known;
        }
        // Every value is an integer: `goal >= 0` follows from `goal > -1`, so from
        // `16*goal >= -15`; a quotient by more than 16 may be nearer to the next integer.
        let mut atoms = Vec::new();
        join_atoms(&mut atoms, goal);
        let n = atoms.iter().filter_map(divisor).fold(16, i64::max);
        let relaxed = IntExpr::constant(n) * goal.clone() + IntExpr::constant(n - 1);
        let relaxed = if relaxed.is_poisoned() { goal } else { &relaxed };
        let proved = self.combine(relaxed, depth) || self.by_cases(goal, depth);
        self.answers.insert(key, proved);
        proved
    }

    /// True if the goal holds whichever side a minimum or maximum in it is.
    fn by_cases(&mut self, goal: &IntExpr, depth: u32) -> bool {
        let Some(atom) = goal.first_extremum().filter(|_| depth > 0) else { return false };
        let (Atom::Min(p) | Atom::Max(p)) = &atom else { return false };
        p.iter().all(|side| self.proves(&goal.with_atom(&atom, side), depth - 1))
    }

    fn combine(&mut self, goal: &IntExpr, depth: u32) -> bool {
        let generators = self.generators(goal, depth);
        let mut monomials: IndexSet<&Monomial> = IndexSet::new();
        let target = row(goal, &mut monomials);
        let mut rows: Vec<Row> = generators.iter().map(|g| row(g, &mut monomials)).collect();
        let units: Vec<bool> = monomials.iter().map(|m| m.0.iter().all(atom_is_nonneg)).collect();
        let solve = |rows: &[Row]| {
            System { target: &target, generators: rows, units: &units }.is_feasible()
        };
        solve(&rows).unwrap_or_else(|| {
            // Large coefficients have outgrown the arithmetic, maybe where they do not matter.
            rows.retain(|r| r.iter().all(|(_, c)| c.unsigned_abs() < LARGE));
            solve(&rows).unwrap_or(false)
        })
    }

    /// Facts that can matter for the goal: those that share an atom with it, directly or through
    /// others, the defining inequalities of quotients, and products for the goal's nonlinear terms.
    fn generators(&mut self, goal: &IntExpr, depth: u32) -> Vec<Cow<'f, IntExpr>> {
        let mut atoms = Vec::new();
        join_atoms(&mut atoms, goal);
        let facts: &'f Facts = self.facts;
        let mut chosen: Vec<Cow<'f, IntExpr>> = Vec::new();
        let mut pending: Vec<(&'f IntExpr, &'f Vec<Atom>)> =
            facts.nonneg.iter().zip(&facts.atoms).collect();
        let mut axioms_done = 0;
        loop {
            let before = (atoms.len(), chosen.len());
            while let Some(atom) = atoms.get(axioms_done).cloned() {
                axioms_done += 1;
                let earlier = atoms.get(..axioms_done - 1).unwrap_or_default();
                let nested: Vec<IntExpr> =
                    earlier.iter().flat_map(|other| nested_quotients(&atom, other)).collect();
                for axiom in self.axioms(&atom, depth).into_iter().chain(nested) {
                    join_atoms(&mut atoms, &axiom);
                    chosen.push(Cow::Owned(axiom));
                }
            }
            pending.retain(|(fact, about)| {
                let shares = about.iter().any(|a| atoms.contains(a));
                if shares && chosen.len() < MAX_GENERATORS {
                    join_atoms(&mut atoms, fact);
                    chosen.push(Cow::Borrowed(*fact));
                }
                !shares
            });
            if before == (atoms.len(), chosen.len()) || chosen.len() >= MAX_GENERATORS {
                break;
            }
        }
        let products = products_for(goal, &chosen);
        chosen.extend(products.into_iter().map(Cow::Owned));
        chosen.truncate(MAX_GENERATORS);
        chosen
    }

    /// What defines a quotient, remainder, minimum or maximum.
    fn axioms(&mut self, atom: &Atom, depth: u32) -> Vec<IntExpr> {
        let one = IntExpr::constant(1);
        let mut nonneg = |e: &IntExpr| {
            if depth > 0 { self.proves(e, depth - 1) } else { has_no_negative_part(e) }
        };
        match atom {
            Atom::Symbol(_) => Vec::new(),
            Atom::Div(p) => {
                let [a, b] = p.as_ref();
                let last = b - &one;
                if !nonneg(&last) {
                    return Vec::new();
                }
                let q = a.div(b);
                let rest = a.clone().add_unjoined(-(b * &q));
                let mut out = vec![last.add_unjoined(-rest.clone()), rest];
                if nonneg(&(a - b)) {
                    out.push(q - one.clone());
                } else if nonneg(a) {
                    out.push(q);
                }
                out
            }
            Atom::Mod(p) => {
                let [a, b] = p.as_ref();
                let last = b - &one;
                if !nonneg(&last) {
                    return Vec::new();
                }
                let (q, r) = (a.div(b), a.modulo(b));
                let rest = a.clone().add_unjoined(-(b * &q));
                let below = rest.clone().add_unjoined(-r.clone());
                let above = r.clone().add_unjoined(-rest);
                vec![below, above, r.clone(), last - r]
            }
            Atom::Min(p) => {
                let [a, b] = p.as_ref();
                let m = a.minimum(b);
                let mut out = vec![a - &m, b - &m];
                if nonneg(&(a - &one)) && nonneg(&(b - &one)) {
                    out.push(m - one.clone());
                }
                out
            }
            Atom::Max(p) => {
                let [a, b] = p.as_ref();
                let m = a.maximum(b);
                vec![m.clone() - a.clone(), m - b.clone()]
            }
        }
    }
}

/// An expression that is not negative if and only if the goal is not: `64*x - 63` says no more than
/// `x >= 1`.
fn without_common_factor(goal: &IntExpr) -> IntExpr {
    let varying = || goal.terms().iter().filter(|(m, _)| !m.0.is_empty());
    let factor = varying().fold(0i64, |g, (_, c)| gcd(g, c.saturating_abs()));
    if factor <= 1 {
        return goal.clone();
    }
    let constant = IntExpr::constant(goal.constant_term().div_euclid(factor));
    varying().fold(constant, |sum, (m, c)| sum + IntExpr::term(m.clone(), c / factor))
}

/// What follows from `fact >= 0` by `min(a, b) <= a` and `c*(a/c) <= a`, one step each.
fn consequences(fact: &IntExpr) -> Vec<IntExpr> {
    let mut out = Vec::new();
    for (m, c) in fact.terms().iter().filter(|(_, c)| *c > 0) {
        let [atom] = m.0.as_slice() else { continue };
        let rest = || fact.clone() - IntExpr::term(m.clone(), *c);
        match atom {
            Atom::Min(p) => {
                out.extend(p.iter().map(|side| rest() + IntExpr::constant(*c) * side.clone()));
            }
            Atom::Div(p) if *c == 1 && p[1].as_constant().is_some_and(|d| d > 0) => {
                out.push(p[1].clone() * rest() + p[0].clone());
            }
            _ => {}
        }
    }
    out
}

/// The constant that a quotient or remainder is by; quotients of quotients are by the product.
fn divisor(atom: &Atom) -> Option<i64> {
    let (Atom::Div(p) | Atom::Mod(p)) = atom else { return None };
    let [a, b] = p.as_ref();
    let mut inner = Vec::new();
    join_atoms(&mut inner, a);
    let inner = inner.iter().filter_map(divisor).fold(1, i64::max);
    b.as_constant().map(|b| b.saturating_mul(inner))
}

/// For quotients of one dividend whose divisors are constants, one a multiple of the other:
/// `x/(m*c)` is `(x/c)/m`.
fn nested_quotients(a: &Atom, b: &Atom) -> Vec<IntExpr> {
    let (Atom::Div(p), Atom::Div(r)) = (a, b) else { return Vec::new() };
    let ([x, c], [y, d]) = (p.as_ref(), r.as_ref());
    let (Some(c), Some(d)) = (c.as_constant(), d.as_constant()) else { return Vec::new() };
    if x != y || c <= 0 || d <= 0 || c == d {
        return Vec::new();
    }
    let (fine, coarse, m) = if c % d == 0 {
        (y.div(&IntExpr::constant(d)), x.div(&IntExpr::constant(c)), c / d)
    } else if d % c == 0 {
        (x.div(&IntExpr::constant(c)), y.div(&IntExpr::constant(d)), d / c)
    } else {
        return Vec::new();
    };
    let rest = fine - IntExpr::constant(m) * coarse;
    vec![rest.clone(), IntExpr::constant(m - 1) - rest]
}

/// For each product `x*y` in the goal: every chosen fact that mentions one factor, times the other.
fn products_for(goal: &IntExpr, chosen: &[Cow<'_, IntExpr>]) -> Vec<IntExpr> {
    let mut out = Vec::new();
    for (m, _) in goal.terms().iter().filter(|(m, _)| m.0.len() >= 2) {
        for (k, atom) in m.0.iter().enumerate() {
            let mut others = m.clone();
            others.0.remove(k);
            if !others.0.iter().all(atom_is_nonneg) {
                continue;
            }
            let factor = IntExpr::term(others, 1);
            let mentions = |f: &IntExpr| f.terms().iter().any(|(m, _)| m.0.contains(atom));
            for fact in chosen.iter().filter(|f| mentions(f)) {
                out.push(fact.as_ref() * &factor);
            }
        }
    }
    out.retain(|p| !p.is_poisoned());
    out
}

/// The coefficients of an expression by the numbers of its monomials.
fn row<'e>(e: &'e IntExpr, monomials: &mut IndexSet<&'e Monomial>) -> Row {
    e.terms().iter().map(|(m, c)| (monomials.insert_full(m).0 as u32, *c)).collect()
}

/// Adds the atoms of an expression and those inside of them.
fn join_nested_atoms(atoms: &mut Vec<Atom>, expr: &IntExpr) {
    for atom in expr.terms().iter().flat_map(|(m, _)| m.0.iter()) {
        if !atoms.contains(atom) {
            atoms.push(atom.clone());
            if let Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) = atom {
                p.iter().for_each(|e| join_nested_atoms(atoms, e));
            }
        }
    }
}

fn join_atoms(atoms: &mut Vec<Atom>, expr: &IntExpr) {
    for atom in expr.terms().iter().flat_map(|(m, _)| m.0.iter()) {
        if !atoms.contains(atom) {
            atoms.push(atom.clone());
        }
    }
}

/// Sizes and variables are never negative; a remainder by a positive constant is not either.
fn atom_is_nonneg(atom: &Atom) -> bool {
    match atom {
        Atom::Symbol(Symbol::Size(_) | Symbol::Var(_)) => true,
        Atom::Mod(p) => p[1].as_constant().is_some_and(|d| d > 0),
        Atom::Div(p) => p[1].as_constant().is_some_and(|d| d > 0) && has_no_negative_part(&p[0]),
        Atom::Min(p) => p.iter().all(has_no_negative_part),
        Atom::Max(p) => p.iter().any(has_no_negative_part),
    }
}

fn has_no_negative_part(expr: &IntExpr) -> bool {
    expr.terms().iter().all(|(m, c)| *c >= 0 && m.0.iter().all(atom_is_nonneg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int::testing::{c, s, v};

    #[test]
    fn flattened_index_is_in_bounds() {
        // h in 0..H, d in 0..D  =>  h*D + d < H*D
        let mut facts = Facts::default();
        facts.add_nonneg(s(0) - c(1) - v(0));
        facts.add_nonneg(s(1) - c(1) - v(1));
        assert!(facts.less(&(v(0) * s(1) + v(1)), &(s(0) * s(1))));
        assert!(!facts.less(&(v(0) * s(1) + v(1) + c(1)), &(s(0) * s(1))));
    }

    #[test]
    fn quotients_by_large_constants_round_down() {
        // x <= 7  =>  (x + 20)/28 <= 0
        let mut facts = Facts::default();
        facts.add_nonneg(c(7) - v(0));
        let quotient = (v(0) + c(20)).div(&c(28));
        assert!(facts.at_most(&quotient, &c(0)));
        facts = Facts::default();
        facts.add_nonneg(c(8) - v(0));
        assert!(!facts.at_most(&quotient, &c(0)));
        // 32*x + y <= 199  =>  (8*x + y/4)/5 <= 9
        facts.add_nonneg(c(199) - c(32) * v(1) - v(2));
        let nested = (c(8) * v(1) + v(2).div(&c(4))).div(&c(5));
        assert!(facts.at_most(&nested, &c(9)));
    }

    #[test]
    fn guards_help() {
        let mut facts = Facts::default();
        assert!(!facts.is_nonneg(&(v(0) - v(1))));
        facts.add_nonneg(v(0) - v(1));
        assert!(facts.is_nonneg(&(v(0) - v(1))));
        assert!(facts.is_nonneg(&(c(2) * v(0) - c(2) * v(1) + s(0))));
    }

    #[test]
    fn quotients_and_divisibility() {
        let mut facts = Facts::default();
        facts.add_nonneg(s(0) - c(1) - v(0));
        // i/2 <= (N-1)/2 needs monotonicity; i/2 <= i does not.
        assert!(facts.at_most(&v(0).div(&c(2)), &v(0)));
        assert!(facts.less(&v(0).modulo(&c(4)), &c(4)));
        let sixteen = c(16);
        assert!(!facts.equal(&(sixteen.clone() * s(1).div(&sixteen)), &s(1)));
        facts.add_equal(&s(1).modulo(&sixteen), &c(0));
        assert!(facts.equal(&(sixteen.clone() * s(1).div(&sixteen)), &s(1)));
    }

    #[test]
    fn integers_round() {
        // 8*(N/16) <= N/2: over the rationals only 8*(N/16) <= N/2 + 1/2 follows.
        let facts = Facts::default();
        assert!(facts.at_most(&(c(8) * s(0).div(&c(16))), &s(0).div(&c(2))));
        assert!(!facts.at_most(&(c(8) * s(0).div(&c(16)) + c(1)), &s(0).div(&c(2))));
    }

    #[test]
    fn facts_about_quotients_bound_what_they_divide() {
        // A tile exists: v < N/8, hence N >= 8.
        let mut facts = Facts::default();
        facts.add_nonneg(s(0).div(&c(8)) - c(1) - v(0));
        assert!(facts.is_nonneg(&(s(0) - c(8))));
        assert!(!facts.is_nonneg(&(s(0) - c(9))));
    }

    #[test]
    fn facts_say_more_without_minima_and_quotients() {
        // v < min(N - 256*p, 256) and w < N/64: each bound by itself is plain to see.
        let (n, p, v0, w) = (s(0), v(2), v(0), v(1));
        let mut facts = Facts::default();
        facts.add_nonneg((&n - &(c(256) * p.clone())).minimum(&c(256)) - c(1) - v0.clone());
        facts.add_nonneg(n.div(&c(64)) - c(1) - w.clone());
        assert!(facts.is_evident(&(n.clone() - c(256) * p - c(1) - v0.clone())));
        assert!(facts.is_evident(&(c(255) - v0.clone())));
        assert!(!facts.is_evident(&(c(254) - v0)));
        assert!(facts.is_evident(&(n.clone() - c(64) * w.clone() - c(64))));
        assert!(!facts.is_nonneg(&(n - c(64) * w - c(65))));
    }

    #[test]
    fn common_factors_round() {
        // 64*((m + 63)/64) <= 128 for m <= 128: over the rationals it may be 191.
        let m = s(0).minimum(&c(128));
        let facts = Facts::default();
        let up = c(64) * (m + c(63)).div(&c(64));
        assert!(facts.at_most(&up, &c(128)));
        assert!(!facts.at_most(&up, &c(127)));
    }

    #[test]
    fn minimum_and_maximum() {
        let facts = Facts::default();
        let m = s(0).minimum(&s(1));
        assert!(facts.at_most(&m, &s(0)) && facts.at_most(&m, &s(1)) && facts.is_nonneg(&m));
        assert!(facts.at_most(&s(0), &s(0).maximum(&s(1))));
    }

    #[test]
    fn the_last_block_is_not_empty() {
        // rows < (T + 63)/64: min(64*rows + 64, T) - 64*rows is in 1..=64, also in tiles of 13.
        let mut facts = Facts::default();
        facts.add_nonneg((s(0) + c(63)).div(&c(64)) - c(1) - v(0));
        let lo = c(64) * v(0);
        let here = (lo.clone() + c(64)).minimum(&s(0)) - lo;
        assert!(facts.is_nonneg(&(here.clone() - c(1))));
        assert!(!facts.is_nonneg(&(here.clone() - c(2))));
        assert!(facts.at_most(&here, &c(64)));
        assert!(facts.is_nonneg(&(c(13) * here.div(&c(13)))));
    }

    #[test]
    fn the_rest_of_a_block_in_tiles_is_bounded() {
        // l < 32: 32*(N/32) + l - 256*(N/256) <= 255 + 31.
        let (n, l) = (s(0), v(0));
        let mut facts = Facts::default();
        facts.add_nonneg(c(31) - l.clone());
        let place = c(32) * n.div(&c(32)) + l - c(256) * n.div(&c(256));
        assert!(facts.is_nonneg(&place));
        assert!(facts.at_most(&place, &c(303)));
        assert!(facts.at_most(&place, &c(286)));
        assert!(!facts.at_most(&place, &c(200)));
    }
}
