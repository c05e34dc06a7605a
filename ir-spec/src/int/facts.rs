//! Known inequalities, and proofs from them.
//!
//! A fact is an expression known to be `>= 0`. A goal `p >= 0` is shown by writing `p` as a sum of
//! non-negative multiples of facts, of products of a fact with a non-negative symbol, and of
//! monomials in non-negative symbols (Farkas' lemma, Handelman's products of degree two). Quotients
//! and remainders bring their defining inequalities along. Every size and every iteration variable
//! is known to be non-negative.

use super::refute::has_counterexample;
use super::{Atom, IntExpr, Monomial, Symbol, simplex};
use std::collections::BTreeMap;

/// A set of known facts. Cheap to clone for a nested scope.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    nonneg: Vec<IntExpr>,
}

/// Proofs that the parts of a quotient, minimum or maximum have a sign may nest this deep.
const DEPTH: u32 = 3;

/// Answers to goals that came up in a proof, by the depth that was left for them.
type Memo = BTreeMap<(IntExpr, u32), bool>;

/// A coefficient that may outgrow the arithmetic of a proof.
const LARGE: u64 = 1 << 20;

/// At most this many inequalities enter one proof.
const MAX_GENERATORS: usize = 96;

impl Facts {
    /// Adds `expr >= 0`. A tautology or an overflow is dropped.
    pub fn add_nonneg(&mut self, expr: IntExpr) {
        if !expr.is_poisoned() && !has_no_negative_part(&expr) && !self.nonneg.contains(&expr) {
            self.nonneg.push(expr);
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
        goal.as_constant().is_none()
            && !has_counterexample(goal, &self.nonneg)
            && self.proves(goal, DEPTH, &mut Memo::new())
    }

    /// True if `goal >= 0` is plain to see: its terms are not negative, or it is a fact.
    pub fn is_evident(&self, goal: &IntExpr) -> bool {
        let constant = goal.as_constant();
        !goal.is_poisoned()
            && (constant.is_some_and(|c| c >= 0)
                || (constant.is_none()
                    && (has_no_negative_part(goal) || self.is_at_least_a_fact(goal))))
    }

    /// As [`Facts::is_nonneg`]; a proof may rest on others, `depth` of them in a row.
    fn proves(&self, goal: &IntExpr, depth: u32, memo: &mut Memo) -> bool {
        if goal.is_poisoned() {
            return false;
        }
        if let Some(c) = goal.as_constant() {
            return c >= 0;
        }
        if has_no_negative_part(goal) || self.is_at_least_a_fact(goal) {
            return true;
        }
        let key = (goal.clone(), depth);
        if let Some(known) = memo.get(&key) {
            return *known;
        }
        // Every value is an integer: `goal >= 0` follows from `goal > -1`, so from
        // `16*goal >= -15`; a quotient by more than 16 may be nearer to the next integer.
        let n = atoms_of(goal).iter().filter_map(divisor).fold(16, i64::max);
        let relaxed = IntExpr::constant(n) * goal.clone() + IntExpr::constant(n - 1);
        let relaxed = if relaxed.is_poisoned() { goal } else { &relaxed };
        let proved = self.combine(relaxed, depth, memo) || self.by_cases(goal, depth, memo);
        memo.insert(key, proved);
        proved
    }

    /// True if the goal holds whichever side a minimum or maximum in it is.
    fn by_cases(&self, goal: &IntExpr, depth: u32, memo: &mut Memo) -> bool {
        let Some(atom) = goal.first_extremum().filter(|_| depth > 0) else { return false };
        let (Atom::Min(p) | Atom::Max(p)) = &atom else { return false };
        p.iter().all(|side| self.proves(&goal.with_atom(&atom, side), depth - 1, memo))
    }

    /// True if the goal is a fact plus a constant that is not negative.
    fn is_at_least_a_fact(&self, goal: &IntExpr) -> bool {
        let varying = |e: &IntExpr| e.terms().len() - usize::from(e.constant_term() != 0);
        let same_size = |f: &&IntExpr| varying(f) == varying(goal);
        let differences = self.nonneg.iter().filter(same_size).map(|f| goal - f);
        differences.filter_map(|d| d.as_constant()).any(|c| c >= 0)
    }

    fn combine(&self, goal: &IntExpr, depth: u32, memo: &mut Memo) -> bool {
        let generators = self.generators(goal, depth, memo);
        let mut monomials: Vec<&Monomial> = goal
            .terms()
            .iter()
            .chain(generators.iter().flat_map(|g| g.terms()))
            .map(|(m, _)| m)
            .collect();
        monomials.sort();
        monomials.dedup();
        let vector = |e: &IntExpr| -> Vec<i64> {
            let coefficient =
                |m: &&Monomial| e.terms().iter().find(|(n, _)| n == *m).map_or(0, |(_, c)| *c);
            monomials.iter().map(coefficient).collect()
        };
        let mut columns: Vec<Vec<i64>> = generators.iter().map(vector).collect();
        for (k, m) in monomials.iter().enumerate() {
            if m.0.iter().all(atom_is_nonneg) {
                columns.push((0..monomials.len()).map(|j| i64::from(j == k)).collect());
            }
        }
        if simplex::is_combination(&vector(goal), &columns) {
            return true;
        }
        // Large coefficients may have outgrown the arithmetic where they do not matter.
        let count = columns.len();
        columns.retain(|c| c.iter().all(|x| x.unsigned_abs() < LARGE));
        columns.len() < count && simplex::is_combination(&vector(goal), &columns)
    }

    /// Facts that can matter for the goal: those that share an atom with it, directly or through
    /// others, the defining inequalities of quotients, and products for the goal's nonlinear terms.
    fn generators(&self, goal: &IntExpr, depth: u32, memo: &mut Memo) -> Vec<IntExpr> {
        let mut atoms = atoms_of(goal);
        let mut chosen: Vec<IntExpr> = Vec::new();
        let mut pending: Vec<&IntExpr> = self.nonneg.iter().collect();
        let mut axioms_done = 0;
        loop {
            let before = (atoms.len(), chosen.len());
            while let Some(atom) = atoms.get(axioms_done).cloned() {
                axioms_done += 1;
                let earlier = atoms.get(..axioms_done - 1).unwrap_or_default();
                let nested: Vec<IntExpr> =
                    earlier.iter().flat_map(|other| nested_quotients(&atom, other)).collect();
                for axiom in self.axioms(&atom, depth, memo).into_iter().chain(nested) {
                    join_atoms(&mut atoms, &axiom);
                    chosen.push(axiom);
                }
            }
            pending.retain(|fact| {
                let shares = atoms_of(fact).iter().any(|a| is_about(a, &atoms));
                if shares && chosen.len() < MAX_GENERATORS {
                    join_atoms(&mut atoms, fact);
                    chosen.push((*fact).clone());
                }
                !shares
            });
            if before == (atoms.len(), chosen.len()) || chosen.len() >= MAX_GENERATORS {
                break;
            }
        }
        let products = products_for(goal, &chosen);
        chosen.extend(products);
        chosen.truncate(MAX_GENERATORS);
        chosen
    }

    /// What defines a quotient, remainder, minimum or maximum.
    fn axioms(&self, atom: &Atom, depth: u32, memo: &mut Memo) -> Vec<IntExpr> {
        let one = IntExpr::constant(1);
        let mut nonneg = |e: &IntExpr| {
            if depth > 0 { self.proves(e, depth - 1, memo) } else { has_no_negative_part(e) }
        };
        match atom {
            Atom::Symbol(_) => Vec::new(),
            Atom::Div(p) | Atom::Mod(p) => {
                let [a, b] = p.as_ref();
                if !nonneg(&(b - &one)) {
                    return Vec::new();
                }
                let (q, r) = (a.div(b), a.modulo(b));
                let multiple = b * &q;
                let below = a.clone().add_unjoined(-multiple.clone()).add_unjoined(-r.clone());
                let above = multiple.add_unjoined(r.clone()).add_unjoined(-a.clone());
                let mut out = vec![below, above, r.clone(), b - &r - one.clone()];
                if nonneg(&(a - b)) {
                    out.push(q - one.clone());
                } else if nonneg(a) {
                    out.push(q);
                }
                out
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

/// The constant that a quotient or remainder is by.
fn divisor(atom: &Atom) -> Option<i64> {
    match atom {
        Atom::Div(p) | Atom::Mod(p) => p[1].as_constant(),
        Atom::Symbol(_) | Atom::Min(_) | Atom::Max(_) => None,
    }
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
fn products_for(goal: &IntExpr, chosen: &[IntExpr]) -> Vec<IntExpr> {
    let mut out = Vec::new();
    for (m, _) in goal.terms().iter().filter(|(m, _)| m.0.len() >= 2) {
        for (k, atom) in m.0.iter().enumerate() {
            let mut others = m.clone();
            others.0.remove(k);
            if !others.0.iter().all(atom_is_nonneg) {
                continue;
            }
            let factor = IntExpr::term(others, 1);
            for fact in chosen.iter().filter(|f| atoms_of(f).contains(atom)) {
                out.push(fact * &factor);
            }
        }
    }
    out.retain(|p| !p.is_poisoned());
    out
}

fn atoms_of(expr: &IntExpr) -> Vec<Atom> {
    let mut out = Vec::new();
    join_atoms(&mut out, expr);
    out
}

/// True if the atom is one of these, or a quotient or the like that mentions one.
fn is_about(atom: &Atom, atoms: &[Atom]) -> bool {
    let inside = |e: &IntExpr| atoms_of(e).iter().any(|a| is_about(a, atoms));
    atoms.contains(atom)
        || match atom {
            Atom::Symbol(_) => false,
            Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => p.iter().any(inside),
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
    use crate::{SizeId, VarId};

    fn v(k: u32) -> IntExpr {
        IntExpr::from(VarId::from_u32(k))
    }
    fn s(k: u32) -> IntExpr {
        IntExpr::from(SizeId::from_u32(k))
    }
    fn c(k: i64) -> IntExpr {
        IntExpr::constant(k)
    }

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
