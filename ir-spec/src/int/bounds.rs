//! Extremes of an expression over a box of iteration variables, as expressions over sizes.

use super::{Atom, Facts, IntExpr, Monomial, Symbol};
use crate::VarId;

/// What is known of the iteration variables: `lo <= var <= hi`, bounds free of other variables.
pub trait VarRanges {
    /// The first and last value of a variable, both inclusive; `None` if it is unknown.
    fn range(&self, var: VarId) -> Option<(IntExpr, IntExpr)>;
}

impl<F: Fn(VarId) -> Option<(IntExpr, IntExpr)>> VarRanges for F {
    fn range(&self, var: VarId) -> Option<(IntExpr, IntExpr)> {
        self(var)
    }
}

/// A lower bound of `expr` over the box, free of variables; exact where every variable occurs once.
/// `facts` must include the variables' own bounds.
pub fn lower(expr: &IntExpr, ranges: &dyn VarRanges, facts: &Facts) -> Option<IntExpr> {
    Extreme { ranges, facts }.of(expr, false).filter(|e| !e.mentions_vars())
}

/// An upper bound of `expr` over the box, like [`lower`].
pub fn upper(expr: &IntExpr, ranges: &dyn VarRanges, facts: &Facts) -> Option<IntExpr> {
    Extreme { ranges, facts }.of(expr, true).filter(|e| !e.mentions_vars())
}

/// A lower and an upper bound of `expr` while the variables that have a range move over the box.
/// The others stand still: the bounds may mention them.
pub fn extremes(
    expr: &IntExpr,
    ranges: &dyn VarRanges,
    facts: &Facts,
) -> Option<(IntExpr, IntExpr)> {
    let extreme = Extreme { ranges, facts };
    Some((extreme.of(expr, false)?, extreme.of(expr, true)?))
}

struct Extreme<'a> {
    ranges: &'a dyn VarRanges,
    facts: &'a Facts,
}

impl Extreme<'_> {
    fn of(&self, expr: &IntExpr, largest: bool) -> Option<IntExpr> {
        if expr.is_poisoned() {
            return None;
        }
        if let Some(plain) = self.of_plain(expr, largest) {
            return Some(plain);
        }
        let mut current = self.without_nested_vars(expr, largest)?;
        while let Some((var, (lo, hi))) = self.first_moving(&current) {
            let Some((coefficient, rest)) = current.linear_in(var) else {
                // A bound of another variable brought it along inside of a quotient or the like.
                let plain = self.without_nested_vars(&current, largest)?;
                if plain == current {
                    return None;
                }
                current = plain;
                continue;
            };
            let rising = self.is_rising(&coefficient)?;
            let at = if rising == largest { hi } else { lo };
            current = coefficient * at + rest;
        }
        Some(current)
    }

    /// True if a factor is not negative, false if it is not positive.
    fn is_rising(&self, factor: &IntExpr) -> Option<bool> {
        let negated = -factor.clone();
        if self.facts.is_evident(factor) {
            Some(true)
        } else if self.facts.is_evident(&negated) {
            Some(false)
        } else if self.facts.is_nonneg(factor) {
            Some(true)
        } else {
            self.facts.is_nonneg(&negated).then_some(false)
        }
    }

    /// The extreme of a sum of multiples of variables in ranges that stand still: the usual case,
    /// without the work for the others.
    fn of_plain(&self, expr: &IntExpr, largest: bool) -> Option<IntExpr> {
        let mut sum = IntExpr::default();
        for (m, c) in expr.terms() {
            let range = match m.0.as_slice() {
                [Atom::Symbol(Symbol::Var(v))] => self.ranges.range(*v),
                atoms if atoms.iter().any(|a| self.atom_moves(a)) => return None,
                _ => None,
            };
            sum = match range {
                None => sum + IntExpr::term(m.clone(), *c),
                Some((lo, hi)) if !self.moves(&lo) && !self.moves(&hi) => {
                    let at = if (*c > 0) == largest { hi } else { lo };
                    sum + at * IntExpr::constant(*c)
                }
                Some(_) => return None,
            };
        }
        Some(sum)
    }

    fn atom_moves(&self, atom: &Atom) -> bool {
        match atom {
            Atom::Symbol(Symbol::Var(v)) => self.ranges.range(*v).is_some(),
            Atom::Symbol(Symbol::Size(_)) => false,
            Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => {
                p.iter().any(|e| self.moves(e))
            }
        }
    }

    /// Replaces quotients, remainders, minima and maxima that mention variables by their extremes.
    fn without_nested_vars(&self, expr: &IntExpr, largest: bool) -> Option<IntExpr> {
        let mut sum = IntExpr::default();
        for (m, c) in expr.terms() {
            let nested = m.0.iter().position(|a| self.is_nested(a));
            let Some(at) = nested else {
                sum = sum + IntExpr::term(m.clone(), *c);
                continue;
            };
            let mut others = m.0.clone();
            let atom = others.remove(at);
            let factor = IntExpr::term(Monomial(others), *c);
            let rising = self.is_rising(&factor)?;
            let extreme = self.of_atom(&atom, rising == largest)?;
            sum = sum + self.without_nested_vars(&(factor * extreme), largest)?;
        }
        Some(sum)
    }

    fn of_atom(&self, atom: &Atom, largest: bool) -> Option<IntExpr> {
        match atom {
            Atom::Symbol(s) => Some(IntExpr::symbol(*s)),
            Atom::Div(p) if !self.moves(&p[1]) && self.facts.is_positive(&p[1]) => {
                let inside = self.of(&p[0], largest)?;
                // floor((q*d - 1)/d) = q - 1
                let one = IntExpr::constant(1);
                let below = (inside.clone() + one.clone()).exact_quotient(&p[1]);
                Some(below.map_or_else(|| inside.div(&p[1]), |q| q - one))
            }
            Atom::Mod(p) if !self.moves(&p[1]) && self.facts.is_positive(&p[1]) => {
                let inside = self.of(&p[0], true).zip(self.of(&p[0], false));
                if let Some((hi, lo)) = inside
                    && self.facts.is_nonneg(&lo)
                    && self.facts.less(&hi, &p[1])
                {
                    return Some(if largest { hi } else { lo });
                }
                Some(if largest { &p[1] - &IntExpr::constant(1) } else { IntExpr::constant(0) })
            }
            Atom::Min(p) => Some(self.of(&p[0], largest)?.minimum(&self.of(&p[1], largest)?)),
            Atom::Max(p) => Some(self.of(&p[0], largest)?.maximum(&self.of(&p[1], largest)?)),
            Atom::Div(_) | Atom::Mod(_) => None,
        }
    }

    /// The first variable that has a range, with it.
    fn first_moving(&self, expr: &IntExpr) -> Option<(VarId, (IntExpr, IntExpr))> {
        let mut found = None;
        expr.visit_symbols(&mut |s| {
            if let Symbol::Var(v) = s
                && found.is_none()
            {
                found = self.ranges.range(v).map(|range| (v, range));
            }
        });
        found
    }

    fn moves(&self, expr: &IntExpr) -> bool {
        self.first_moving(expr).is_some()
    }

    /// True for a quotient, remainder, minimum or maximum of something that moves.
    fn is_nested(&self, atom: &Atom) -> bool {
        !matches!(atom, Atom::Symbol(_)) && self.atom_moves(atom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int::testing::{c, s, v};

    /// Variable k runs over 0..size k.
    fn check(expr: &IntExpr, lo: Option<IntExpr>, hi: Option<IntExpr>) {
        let range = |var: VarId| Some((c(0), s(var.as_u32()) - c(1)));
        let mut facts = Facts::default();
        for k in 0..4 {
            facts.add_nonneg(s(k) - c(1) - v(k));
        }
        assert_eq!(lower(expr, &range, &facts), lo, "lower of {expr}");
        assert_eq!(upper(expr, &range, &facts), hi, "upper of {expr}");
    }

    #[test]
    fn affine_and_quasi_affine() {
        check(&(c(2) * v(0) + v(1) - c(1)), Some(c(-1)), Some(c(2) * s(0) + s(1) - c(4)));
        check(&(v(0) - v(1)), Some(c(1) - s(1)), Some(s(0) - c(1)));
        check(&v(0).div(&c(2)), Some(c(0)), Some((s(0) - c(1)).div(&c(2))));
        check(&v(0).modulo(&c(4)), Some(c(0)), Some(c(3)));
        check(&(v(0) * s(1) + v(1)), Some(c(0)), Some(s(0) * s(1) - c(1)));
        check(&(s(2) - c(1) - v(0)), Some(s(2) - s(0)), Some(s(2) - c(1)));
        check(&v(0).div(&s(7)), None, None);
    }

    #[test]
    fn fused_indices() {
        // v0 = f in 0..M*(N - 1): f/(N - 1) <= M - 1 where N >= 2.
        let extent = s(0) * (s(1) - c(1));
        let range = |_| Some((c(0), extent.clone() - c(1)));
        let mut facts = Facts::default();
        let row = v(0).div(&(s(1) - c(1)));
        assert_eq!(upper(&row, &range, &facts), None);
        facts.add_nonneg(s(1) - c(2));
        assert_eq!(upper(&row, &range, &facts), Some(s(0) - c(1)));
        assert_eq!(upper(&v(0).modulo(&(s(1) - c(1))), &range, &facts), Some(s(1) - c(2)));
    }

    #[test]
    fn bounds_of_bounds() {
        // Blocks v1 of 16 tiles v0: 16*v1 <= v0 < min(16*v1 + 16, N/13), v1 < (N/13 + 15)/16.
        let tiles = s(0).div(&c(13));
        let range = |v: VarId| match v.as_u32() {
            0 => Some((c(16) * self::v(1), (c(16) * self::v(1) + c(16)).minimum(&tiles) - c(1))),
            1 => Some((c(0), (tiles.clone() + c(15)).div(&c(16)) - c(1))),
            _ => None,
        };
        let facts = Facts::default();
        let left = lower(&(s(0) - c(13) * v(0) - c(13)), &range, &facts);
        let blocks = c(16) * (tiles.clone() + c(15)).div(&c(16));
        assert_eq!(left, Some(s(0) - c(13) * blocks.minimum(&tiles)));
        assert!(left.is_some_and(|left| facts.is_nonneg(&left)));
    }

    #[test]
    fn variables_without_a_range_stay() {
        // Tile v1 of 32, v2 within it: 32*v1 - 1 <= 32*v1 + v2 - 1 <= 32*v1 + 30.
        let range = |var: VarId| (var.as_u32() == 2).then(|| (c(0), c(31)));
        let e = c(32) * v(1) + v(2) - c(1);
        let (lo, hi) = (c(32) * v(1) - c(1), c(32) * v(1) + c(30));
        assert_eq!(extremes(&e, &range, &Facts::default()), Some((lo, hi)));
        assert_eq!(lower(&e, &range, &Facts::default()), None);
        let quotient = (c(8) * v(1) + v(2)).div(&c(8));
        let bounds = Some((v(1), v(1) + c(3)));
        assert_eq!(extremes(&quotient, &range, &Facts::default()), bounds);
    }
}
