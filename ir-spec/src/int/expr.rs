//! The canonical polynomial form.

mod operators;

use crate::{SizeId, VarId};
use cranelift_entity::EntityRef;
use smallvec::SmallVec;
use std::sync::Arc;
use tcc_abi::{SizeError, SizeExpr, SizeOp};

/// A size or an iteration variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symbol {
    /// An iteration variable.
    Var(VarId),
    /// A size.
    Size(SizeId),
}

impl From<VarId> for Symbol {
    fn from(v: VarId) -> Self {
        Symbol::Var(v)
    }
}

impl From<SizeId> for Symbol {
    fn from(s: SizeId) -> Self {
        Symbol::Size(s)
    }
}

/// A factor of a monomial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    /// A size or variable.
    Symbol(Symbol),
    /// Floor of the quotient.
    Div(Arc<[IntExpr; 2]>),
    /// Remainder with the divisor's sign.
    Mod(Arc<[IntExpr; 2]>),
    /// The smaller of two.
    Min(Arc<[IntExpr; 2]>),
    /// The larger of two.
    Max(Arc<[IntExpr; 2]>),
}

/// A product of atoms in canonical order; empty for the constant term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Monomial(pub SmallVec<[Atom; 2]>);

impl PartialOrd for Monomial {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Monomial {
    /// Higher degree first, so that the constant term comes last.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.len().cmp(&self.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

/// An integer expression in canonical form: terms sorted, no zero coefficient.
///
/// Coefficients are checked: an overflow poisons the expression ([`IntExpr::is_poisoned`]), which
/// then equals nothing, proves nothing and is reported by the verifier.
#[derive(Clone, Debug, Default, Eq, PartialOrd, Ord)]
pub struct IntExpr {
    terms: SmallVec<[(Monomial, i64); 2]>,
    poisoned: bool,
}

impl PartialEq for IntExpr {
    fn eq(&self, other: &Self) -> bool {
        !self.poisoned && !other.poisoned && self.terms == other.terms
    }
}

impl std::hash::Hash for IntExpr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.terms.hash(state);
    }
}

impl From<i64> for IntExpr {
    fn from(value: i64) -> Self {
        IntExpr::constant(value)
    }
}

impl From<SizeId> for IntExpr {
    fn from(size: SizeId) -> Self {
        IntExpr::symbol(Symbol::Size(size))
    }
}

impl From<VarId> for IntExpr {
    fn from(var: VarId) -> Self {
        IntExpr::symbol(Symbol::Var(var))
    }
}

impl IntExpr {
    /// The constant `value`.
    pub fn constant(value: i64) -> IntExpr {
        let mut terms = SmallVec::new();
        if value != 0 {
            terms.push((Monomial::default(), value));
        }
        IntExpr { terms, poisoned: false }
    }

    /// A single size or variable.
    pub fn symbol(symbol: Symbol) -> IntExpr {
        IntExpr::atom(Atom::Symbol(symbol))
    }

    fn atom(atom: Atom) -> IntExpr {
        let mut terms = SmallVec::new();
        terms.push((Monomial(SmallVec::from_iter([atom])), 1));
        IntExpr { terms, poisoned: false }
    }

    /// One monomial with a coefficient.
    pub fn term(monomial: Monomial, coefficient: i64) -> IntExpr {
        let mut terms = SmallVec::new();
        if coefficient != 0 {
            terms.push((monomial, coefficient));
        }
        IntExpr { terms, poisoned: false }
    }

    /// An expression that stands for an overflow.
    pub fn poison() -> IntExpr {
        IntExpr { terms: SmallVec::new(), poisoned: true }
    }

    /// True if a coefficient overflowed on the way.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Monomials with their coefficients, highest degree first.
    pub fn terms(&self) -> &[(Monomial, i64)] {
        &self.terms
    }

    /// The value, if the expression is a constant.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.as_slice() {
            _ if self.poisoned => None,
            [] => Some(0),
            [(m, c)] if m.0.is_empty() => Some(*c),
            _ => None,
        }
    }

    /// The symbol, if the expression is exactly one.
    pub fn as_symbol(&self) -> Option<Symbol> {
        match self.terms.as_slice() {
            [(m, 1)] => match m.0.as_slice() {
                [Atom::Symbol(s)] => Some(*s),
                _ => None,
            },
            _ => None,
        }
    }

    /// The variable, if the expression is exactly one.
    pub fn as_var(&self) -> Option<VarId> {
        match self.as_symbol()? {
            Symbol::Var(v) => Some(v),
            Symbol::Size(_) => None,
        }
    }

    /// The constant term.
    pub fn constant_term(&self) -> i64 {
        self.terms.last().filter(|(m, _)| m.0.is_empty()).map_or(0, |(_, c)| *c)
    }

    /// The terms with symbols, and the constant term.
    pub(super) fn varying_and_constant(&self) -> (&[(Monomial, i64)], i64) {
        match self.terms.split_last() {
            Some(((m, c), varying)) if m.0.is_empty() => (varying, *c),
            _ => (&self.terms, 0),
        }
    }

    /// Floor of `self / divisor`; the divisor's value 0 is an error when the expression is
    /// evaluated.
    pub fn div(&self, divisor: &IntExpr) -> IntExpr {
        if self.poisoned || divisor.poisoned {
            return IntExpr::poison();
        }
        if let (Some(a), Some(b)) = (self.as_constant(), divisor.as_constant())
            && let Some(q) = floor_div(a, b)
        {
            return IntExpr::constant(q);
        }
        if divisor.as_constant() == Some(1) {
            return self.clone();
        }
        let (whole, rest) = self.split_multiples(divisor);
        let fraction = rest.div_rest(divisor);
        whole + fraction
    }

    /// The quotient if the expression is a multiple of the divisor, whatever the sizes are.
    pub fn exact_quotient(&self, divisor: &IntExpr) -> Option<IntExpr> {
        /// Longer quotients do not come up.
        const MAX_TERMS: usize = 16;
        // Division of polynomials: what the leading term of the divisor does not divide is no
        // multiple.
        let (leading, c) = divisor.terms.first().filter(|_| !divisor.poisoned)?;
        let (mut whole, mut rest) = (IntExpr::default(), self.clone());
        for _ in 0..MAX_TERMS {
            let Some((m, k)) = rest.terms.first().filter(|_| !rest.poisoned) else { break };
            let q = m.without(leading).filter(|_| k % c == 0)?;
            let term = IntExpr::term(q, k / c);
            rest = rest - &term * divisor;
            whole = whole + term;
        }
        (rest.as_constant() == Some(0)).then_some(whole)
    }

    /// `self - divisor * floor(self / divisor)`: the remainder that has the divisor's sign.
    pub fn modulo(&self, divisor: &IntExpr) -> IntExpr {
        if self.poisoned || divisor.poisoned {
            return IntExpr::poison();
        }
        if let (Some(a), Some(b)) = (self.as_constant(), divisor.as_constant())
            && let Some(q) = floor_div(a, b)
        {
            return IntExpr::constant(a - q * b);
        }
        if divisor.as_constant() == Some(1) {
            return IntExpr::constant(0);
        }
        let (_, rest) = self.split_multiples(divisor);
        match rest.as_constant() {
            Some(0) => IntExpr::constant(0),
            Some(r) if divisor.as_constant().is_some_and(|d| 0 <= r && r < d) => rest,
            _ => IntExpr::atom(Atom::Mod(Arc::new([rest, divisor.clone()]))),
        }
    }

    /// The quotient atom of a dividend without obvious multiples of the divisor.
    fn div_rest(self, divisor: &IntExpr) -> IntExpr {
        let positive = divisor.as_constant().filter(|d| *d > 0);
        if let (Some(r), Some(d)) = (self.as_constant(), positive)
            && let Some(q) = floor_div(r, d)
        {
            return IntExpr::constant(q);
        }
        if self.as_constant() == Some(0) && divisor.as_constant() != Some(0) && positive.is_some() {
            return IntExpr::constant(0);
        }
        // (x/a)/b = x/(a*b) for positive constants a, b.
        if let (Some(Atom::Div(inner)), Some(b)) = (self.single_atom(), positive)
            && let [x, a] = inner.as_ref()
            && let Some(product) = a.as_constant().filter(|a| *a > 0).and_then(|a| a.checked_mul(b))
        {
            return x.div(&IntExpr::constant(product));
        }
        IntExpr::atom(Atom::Div(Arc::new([self, divisor.clone()])))
    }

    fn single_atom(&self) -> Option<&Atom> {
        match self.terms.as_slice() {
            [(m, 1)] if m.0.len() == 1 => m.0.first(),
            _ => None,
        }
    }

    /// Splits into `(q, r)` with `self = q * divisor + r`, moving every term that is an obvious
    /// multiple of a positive constant or of a single monomial divisor into `q`.
    fn split_multiples(&self, divisor: &IntExpr) -> (IntExpr, IntExpr) {
        let mut whole = IntExpr::default();
        let mut rest = IntExpr::default();
        let unit = match divisor.terms.as_slice() {
            [(m, c)] if *c > 0 => Some((m, *c)),
            _ => None,
        };
        for (m, c) in &self.terms {
            let quotient = unit.and_then(|(dm, dc)| {
                let q = m.without(dm)?;
                (c % dc == 0).then(|| IntExpr::term(q, c / dc))
            });
            match quotient {
                Some(q) => whole = whole + q,
                None if m.0.is_empty() && divisor.as_constant().is_some_and(|d| d > 0) => {
                    let d = divisor.as_constant().unwrap_or(1);
                    let q = floor_div(*c, d).unwrap_or(0);
                    whole = whole + IntExpr::constant(q);
                    rest = rest + IntExpr::constant(c - q * d);
                }
                None => rest = rest + IntExpr::term(m.clone(), *c),
            }
        }
        (whole, rest)
    }

    /// The smaller of two.
    pub fn minimum(&self, other: &IntExpr) -> IntExpr {
        self.extremum(other, i64::min, Atom::Min)
    }

    /// The larger of two.
    pub fn maximum(&self, other: &IntExpr) -> IntExpr {
        self.extremum(other, i64::max, Atom::Max)
    }

    fn extremum(
        &self,
        other: &IntExpr,
        pick: fn(i64, i64) -> i64,
        make: fn(Arc<[IntExpr; 2]>) -> Atom,
    ) -> IntExpr {
        if self.poisoned || other.poisoned {
            return IntExpr::poison();
        }
        // Constant difference: one side always wins.
        if let Some(d) = (self - other).as_constant() {
            return if pick(d, 0) == d { self.clone() } else { other.clone() };
        }
        let (a, b) = if self <= other { (self, other) } else { (other, self) };
        IntExpr::atom(make(Arc::new([a.clone(), b.clone()])))
    }

    /// Calls `visit` for every symbol, those inside quotients included (repeats possible).
    pub fn visit_symbols(&self, visit: &mut dyn FnMut(Symbol)) {
        for atom in self.terms.iter().flat_map(|(m, _)| m.0.iter()) {
            match atom {
                Atom::Symbol(s) => visit(*s),
                Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => {
                    p.iter().for_each(|e| e.visit_symbols(visit));
                }
            }
        }
    }

    /// Divisors of all quotients and remainders, those inside others included.
    pub fn divisors(&self) -> Vec<IntExpr> {
        let mut out = Vec::new();
        for atom in self.terms.iter().flat_map(|(m, _)| m.0.iter()) {
            let (Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p)) = atom else {
                continue;
            };
            out.extend(p.iter().flat_map(IntExpr::divisors));
            if let Atom::Div(_) | Atom::Mod(_) = atom {
                out.push(p[1].clone());
            }
        }
        out
    }

    /// True if the symbol occurs.
    pub fn mentions(&self, symbol: impl Into<Symbol>) -> bool {
        let (mut found, symbol) = (false, symbol.into());
        self.visit_symbols(&mut |s| found |= s == symbol);
        found
    }

    /// True if any variable occurs.
    pub fn mentions_vars(&self) -> bool {
        let mut found = false;
        self.visit_symbols(&mut |s| found |= matches!(s, Symbol::Var(_)));
        found
    }

    /// Writes the expression as `coefficient * symbol + rest` where neither part mentions the
    /// symbol.
    pub fn linear_in(&self, symbol: impl Into<Symbol>) -> Option<(IntExpr, IntExpr)> {
        let symbol = symbol.into();
        let target = Atom::Symbol(symbol);
        let (mut coefficient, mut rest) = (IntExpr::default(), IntExpr::default());
        for (m, c) in &self.terms {
            match m.0.iter().position(|a| *a == target) {
                Some(at) => {
                    let mut others = m.clone();
                    others.0.remove(at);
                    coefficient = coefficient + IntExpr::term(others, *c);
                }
                None => rest = rest + IntExpr::term(m.clone(), *c),
            }
        }
        (!self.poisoned && !coefficient.mentions(symbol) && !rest.mentions(symbol))
            .then_some((coefficient, rest))
    }

    /// Replaces symbols; `None` keeps the symbol.
    pub fn substitute(&self, replace: &dyn Fn(Symbol) -> Option<IntExpr>) -> IntExpr {
        if self.poisoned {
            return IntExpr::poison();
        }
        let mut sum = IntExpr::default();
        for (m, c) in &self.terms {
            if !m.0.iter().any(|a| a.changes(replace)) {
                sum.push_term(m.clone(), *c);
                continue;
            }
            let mut product = IntExpr::constant(*c);
            for atom in &m.0 {
                product = product * atom.substitute(replace);
            }
            sum = sum.add_unjoined(product);
        }
        sum.join_quotients()
    }

    /// The first minimum or maximum in the expression, those inside others first.
    pub(super) fn first_extremum(&self) -> Option<Atom> {
        for atom in self.terms.iter().flat_map(|(m, _)| m.0.iter()) {
            if let Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) = atom {
                let inside = p.iter().find_map(IntExpr::first_extremum);
                let own = matches!(atom, Atom::Min(_) | Atom::Max(_)).then(|| atom.clone());
                if let Some(found) = inside.or(own) {
                    return Some(found);
                }
            }
        }
        None
    }

    /// Replaces an atom wherever it stands.
    pub(super) fn with_atom(&self, old: &Atom, new: &IntExpr) -> IntExpr {
        if self.poisoned {
            return IntExpr::poison();
        }
        let part = |e: &IntExpr| e.with_atom(old, new);
        let mut sum = IntExpr::default();
        for (m, c) in &self.terms {
            let mut product = IntExpr::constant(*c);
            for atom in &m.0 {
                let factor = match atom {
                    a if a == old => new.clone(),
                    Atom::Symbol(s) => IntExpr::symbol(*s),
                    Atom::Div(p) => part(&p[0]).div(&part(&p[1])),
                    Atom::Mod(p) => part(&p[0]).modulo(&part(&p[1])),
                    Atom::Min(p) => part(&p[0]).minimum(&part(&p[1])),
                    Atom::Max(p) => part(&p[0]).maximum(&part(&p[1])),
                };
                product = product * factor;
            }
            sum = sum + product;
        }
        sum
    }

    /// Replaces one variable.
    pub fn with_var(&self, var: VarId, value: &IntExpr) -> IntExpr {
        if !self.mentions(var) {
            return self.clone();
        }
        self.substitute(&|s| (s == Symbol::Var(var)).then(|| value.clone()))
    }

    /// Evaluates with checked arithmetic.
    pub fn eval(&self, value: &dyn Fn(Symbol) -> i64) -> Result<i64, SizeError> {
        if self.poisoned {
            return Err(SizeError::TooLarge);
        }
        let mut sum = 0i64;
        for (m, c) in &self.terms {
            let mut product = *c;
            for atom in &m.0 {
                let v = atom.eval(value)?;
                product = product.checked_mul(v).ok_or(SizeError::TooLarge)?;
            }
            sum = sum.checked_add(product).ok_or(SizeError::TooLarge)?;
        }
        Ok(sum)
    }

    /// The expression in the postfix form that the runtime evaluates; `slot` numbers the sizes.
    /// Variables do not occur in shapes; one that does is a bug of the caller.
    pub fn to_size_expr(&self, slot: &dyn Fn(SizeId) -> u32) -> SizeExpr {
        let mut ops = Vec::new();
        self.emit(slot, &mut ops);
        SizeExpr(ops)
    }

    fn emit(&self, slot: &dyn Fn(SizeId) -> u32, ops: &mut Vec<SizeOp>) {
        if self.terms.is_empty() {
            ops.push(SizeOp::Const(if self.poisoned { i64::MAX } else { 0 }));
        }
        for (k, (m, c)) in self.terms.iter().enumerate() {
            let mut pending = *c != 1 || m.0.is_empty();
            if pending {
                ops.push(SizeOp::Const(*c));
            }
            for atom in &m.0 {
                atom.emit(slot, ops);
                if pending {
                    ops.push(SizeOp::Mul);
                }
                pending = true;
            }
            if k > 0 {
                ops.push(SizeOp::Add);
            }
        }
    }

    /// The sum without the rewriting `c*(x/c) + x % c = x`, for stating that very identity.
    pub(super) fn add_unjoined(mut self, other: IntExpr) -> IntExpr {
        if self.poisoned || other.poisoned {
            return IntExpr::poison();
        }
        for (m, c) in other.terms {
            self.push_term(m, c);
        }
        if self.poisoned { IntExpr::poison() } else { self }
    }

    fn push_term(&mut self, monomial: Monomial, coefficient: i64) {
        match self.terms.binary_search_by(|(m, _)| m.cmp(&monomial)) {
            Err(at) => {
                if coefficient != 0 {
                    self.terms.insert(at, (monomial, coefficient));
                }
            }
            Ok(at) => {
                let Some((_, c)) = self.terms.get_mut(at) else { return };
                match c.checked_add(coefficient) {
                    Some(0) => {
                        self.terms.remove(at);
                    }
                    Some(sum) => *c = sum,
                    None => self.poisoned = true,
                }
            }
        }
    }

    /// A multiple.
    fn scaled(mut self, factor: i64) -> IntExpr {
        if factor == 0 && !self.poisoned {
            return IntExpr::default();
        }
        for (_, c) in &mut self.terms {
            match c.checked_mul(factor) {
                Some(product) => *c = product,
                None => return IntExpr::poison(),
            }
        }
        self
    }

    /// Rewrites `k*c*(x/c) + k*(x % c)` to `k*x`.
    fn join_quotients(self) -> IntExpr {
        let is_remainder = |m: &Monomial| matches!(m.0.as_slice(), [Atom::Mod(_)]);
        if !self.terms.iter().any(|(m, _)| is_remainder(m)) {
            return self;
        }
        let mods: SmallVec<[(Arc<[IntExpr; 2]>, i64); 1]> = self
            .terms
            .iter()
            .filter_map(|(m, c)| match m.0.as_slice() {
                [Atom::Mod(p)] => Some((p.clone(), *c)),
                _ => None,
            })
            .collect();
        for (parts, k) in mods {
            let [x, d] = parts.as_ref();
            let quotient = d * &x.div(d) * IntExpr::constant(k);
            let present = !quotient.terms.is_empty()
                && quotient.terms.iter().all(|(m, c)| {
                    self.terms.iter().any(|(sm, sc)| {
                        sm == m
                            && sc.signum() == c.signum()
                            && sc.unsigned_abs() >= c.unsigned_abs()
                    })
                });
            if present && !quotient.poisoned {
                let remainder = IntExpr::atom(Atom::Mod(parts.clone())) * IntExpr::constant(k);
                // Between the two subtractions the same remainder would be joined again.
                let rest = self.add_unjoined(-quotient).add_unjoined(-remainder);
                return rest + x * &IntExpr::constant(k);
            }
        }
        self
    }
}

/// Floor of `a / b`; `None` for a zero divisor or the one overflowing quotient.
pub(crate) fn floor_div(a: i64, b: i64) -> Option<i64> {
    let q = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
}

impl Monomial {
    /// The other factors, if `divisor`'s factors are all among these.
    fn without(&self, divisor: &Monomial) -> Option<Monomial> {
        let mut rest = self.clone();
        for atom in &divisor.0 {
            let at = rest.0.iter().position(|a| a == atom)?;
            rest.0.remove(at);
        }
        Some(rest)
    }

    fn product(&self, other: &Monomial) -> Monomial {
        let mut atoms = self.0.clone();
        atoms.extend(other.0.iter().cloned());
        atoms.sort();
        Monomial(atoms)
    }
}

impl Atom {
    /// True if the replacement is about a symbol of the atom.
    fn changes(&self, replace: &dyn Fn(Symbol) -> Option<IntExpr>) -> bool {
        let inside =
            |e: &IntExpr| e.terms.iter().flat_map(|(m, _)| &m.0).any(|a| a.changes(replace));
        match self {
            Atom::Symbol(s) => replace(*s).is_some(),
            Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => p.iter().any(inside),
        }
    }

    fn substitute(&self, replace: &dyn Fn(Symbol) -> Option<IntExpr>) -> IntExpr {
        match self {
            Atom::Symbol(s) => replace(*s).unwrap_or_else(|| IntExpr::symbol(*s)),
            Atom::Div(p) => p[0].substitute(replace).div(&p[1].substitute(replace)),
            Atom::Mod(p) => p[0].substitute(replace).modulo(&p[1].substitute(replace)),
            Atom::Min(p) => p[0].substitute(replace).minimum(&p[1].substitute(replace)),
            Atom::Max(p) => p[0].substitute(replace).maximum(&p[1].substitute(replace)),
        }
    }

    fn eval(&self, value: &dyn Fn(Symbol) -> i64) -> Result<i64, SizeError> {
        let (p, op) = match self {
            Atom::Symbol(s) => return Ok(value(*s)),
            Atom::Div(p) => (p, SizeOp::Div),
            Atom::Mod(p) => (p, SizeOp::Mod),
            Atom::Min(p) => (p, SizeOp::Min),
            Atom::Max(p) => (p, SizeOp::Max),
        };
        let (a, b) = (p[0].eval(value)?, p[1].eval(value)?);
        Ok(match op {
            SizeOp::Min => a.min(b),
            SizeOp::Max => a.max(b),
            SizeOp::Div => floor_div(a, b).ok_or(SizeError::DivisionByZero)?,
            _ => a - b * floor_div(a, b).ok_or(SizeError::DivisionByZero)?,
        })
    }

    fn emit(&self, slot: &dyn Fn(SizeId) -> u32, ops: &mut Vec<SizeOp>) {
        let (p, op) = match self {
            Atom::Symbol(Symbol::Size(s)) => return ops.push(SizeOp::Size(slot(*s))),
            Atom::Symbol(Symbol::Var(v)) => {
                unreachable!("variable i{} in a size expression", v.index())
            }
            Atom::Div(p) => (p, SizeOp::Div),
            Atom::Mod(p) => (p, SizeOp::Mod),
            Atom::Min(p) => (p, SizeOp::Min),
            Atom::Max(p) => (p, SizeOp::Max),
        };
        p[0].emit(slot, ops);
        p[1].emit(slot, ops);
        ops.push(op);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int::testing::{c, s, v};

    #[test]
    fn canonical_forms_are_equal() {
        assert_eq!((v(0) + c(1)) * (v(0) - c(1)), v(0) * v(0) - c(1));
        assert_eq!(v(0) * s(0) + v(1), v(1) + s(0) * v(0));
        assert_eq!((v(0) - v(0)).as_constant(), Some(0));
    }

    #[test]
    fn quotients_simplify() {
        assert_eq!((c(8) * v(0) + v(1)).div(&c(8)), v(0) + v(1).div(&c(8)));
        assert_eq!((s(0) * v(0) + v(1)).div(&s(0)), v(0) + v(1).div(&s(0)));
        assert_eq!((c(8) * v(0) + c(3)).modulo(&c(8)), c(3));
        assert_eq!(c(8) * v(0).div(&c(8)) + v(0).modulo(&c(8)), v(0));
        assert_eq!(v(0).modulo(&s(0)) + s(0) * v(0).div(&s(0)) + c(1), v(0) + c(1));
        assert_eq!(v(0).div(&c(2)).div(&c(3)), v(0).div(&c(6)));
        assert_eq!(c(-1).div(&c(2)), c(-1));
        assert_eq!((v(0) - c(1)).div(&c(2)), (v(0) + c(1)).div(&c(2)) - c(1));
    }

    #[test]
    fn exact_quotients() {
        let d = s(1) - c(1);
        assert_eq!((s(0) * s(1) - s(0)).exact_quotient(&d), Some(s(0)));
        assert_eq!((s(1) * s(1) - c(1)).exact_quotient(&d), Some(s(1) + c(1)));
        assert_eq!((s(0) * s(1) - c(1)).exact_quotient(&d), None);
        assert_eq!((c(6) * s(0) * v(0)).exact_quotient(&(c(2) * s(0))), Some(c(3) * v(0)));
        assert_eq!((c(3) * s(0)).exact_quotient(&(c(2) * s(0))), None);
        assert_eq!(c(0).exact_quotient(&s(0)), Some(c(0)));
        assert_eq!(s(0).exact_quotient(&c(0)), None);
    }

    #[test]
    fn evaluation_agrees_with_the_runtime_form() {
        let e = (c(3) * s(0) - c(7)).div(&c(2)) + s(1).minimum(&s(0)) * c(-2) + s(1).modulo(&c(3));
        let post = e.to_size_expr(&|id| id.as_u32());
        for a in 0..9 {
            for b in 0..9 {
                let direct = e.eval(&|sym| match sym {
                    Symbol::Size(id) if id.as_u32() == 0 => a,
                    Symbol::Size(_) => b,
                    Symbol::Var(_) => 0,
                });
                assert_eq!(direct, post.eval(&[a, b]));
                let by_hand = (3 * a - 7).div_euclid(2) - 2 * a.min(b) + b.rem_euclid(3);
                assert_eq!(direct, Ok(by_hand));
            }
        }
    }

    #[test]
    fn overflow_poisons() {
        let big = c(i64::MAX) + c(1);
        assert!(big.is_poisoned() && (big.clone() * c(0)).is_poisoned());
        assert_ne!(big, big.clone());
        assert!((c(1 << 40) * c(1 << 40)).is_poisoned());
    }

    #[test]
    fn linear_parts() {
        let e = s(0) * v(0) + c(2) * v(1) - c(1);
        assert_eq!(e.linear_in(VarId::from_u32(0)), Some((s(0), c(2) * v(1) - c(1))));
        assert_eq!((v(0) * v(0)).linear_in(VarId::from_u32(0)), None);
        assert_eq!(v(0).div(&c(2)).linear_in(VarId::from_u32(0)), None);
    }
}
