//! Printing integer expressions as source text.

use super::{Atom, IntExpr, Monomial, Symbol};
use std::fmt;

/// Names for the symbols of an expression.
pub trait SymbolNames {
    /// Writes the symbol's text name.
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Wraps an expression for `Display` as it stands in subscripts and sizes, where `/` floors.
pub fn display<'a>(expr: &'a IntExpr, names: &'a dyn SymbolNames) -> impl fmt::Display + 'a {
    Named { expr, names, exact_division: false }
}

/// Wraps an expression for `Display` as it stands among values, where `/` is exact and a floored
/// quotient reads `floor(a/b)`.
pub fn display_value<'a>(expr: &'a IntExpr, names: &'a dyn SymbolNames) -> impl fmt::Display + 'a {
    Named { expr, names, exact_division: true }
}

struct Named<'a> {
    expr: &'a IntExpr,
    names: &'a dyn SymbolNames,
    exact_division: bool,
}

/// The ids themselves as names, for debugging.
struct Ids;

impl SymbolNames for Ids {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Var(v) => write!(f, "{v}"),
            Symbol::Size(s) => write!(f, "{s}"),
        }
    }
}

impl fmt::Display for IntExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, &Ids).fmt(f)
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expr.is_poisoned() {
            return f.write_str("<overflow>");
        }
        // Positive terms first: `T - t - 1` rather than `-t + T - 1`.
        let (plus, minus): (Vec<_>, Vec<_>) = self.expr.terms().iter().partition(|(_, c)| *c > 0);
        if plus.is_empty() && minus.is_empty() {
            return f.write_str("0");
        }
        for (k, (m, c)) in plus.iter().chain(minus.iter()).enumerate() {
            match (k, *c > 0) {
                (0, true) => {}
                (0, false) => f.write_str("-")?,
                (_, true) => f.write_str(" + ")?,
                (_, false) => f.write_str(" - ")?,
            }
            self.write_term(m, c.unsigned_abs(), k == 0 && *c < 0, f)?;
        }
        Ok(())
    }
}

impl Named<'_> {
    fn write_term(
        &self,
        monomial: &Monomial,
        coefficient: u64,
        negated: bool,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        if monomial.0.is_empty() {
            return write!(f, "{coefficient}");
        }
        let alone = coefficient == 1 && monomial.0.len() == 1 && !negated;
        if coefficient != 1 {
            write!(f, "{coefficient}*")?;
        }
        for (k, atom) in monomial.0.iter().enumerate() {
            if k > 0 {
                f.write_str("*")?;
            }
            self.write_atom(atom, alone, f)?;
        }
        Ok(())
    }

    fn write_atom(&self, atom: &Atom, alone: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, op) = match atom {
            Atom::Symbol(s) => return self.names.write(*s, f),
            Atom::Div(p) => (p, "/"),
            Atom::Mod(p) => (p, " % "),
            Atom::Min(p) => (p, "min"),
            Atom::Max(p) => (p, "max"),
        };
        let part = |expr| Named { expr, ..*self };
        let (a, b) = (part(&parts[0]), part(&parts[1]));
        if matches!(atom, Atom::Min(_) | Atom::Max(_)) {
            return write!(f, "{op}({a}, {b})");
        }
        let text = [guarded(&parts[0], &a), guarded(&parts[1], &b)];
        if self.exact_division && matches!(atom, Atom::Div(_)) {
            return write!(f, "floor({}/{})", text[0], text[1]);
        }
        let (open, close) = if alone { ("", "") } else { ("(", ")") };
        write!(f, "{open}{}{op}{}{close}", text[0], text[1])
    }
}

/// Parenthesizes everything but a symbol, `min`, `max` or a non-negative constant.
fn guarded(expr: &IntExpr, text: &dyn fmt::Display) -> String {
    let simple = match expr.terms() {
        [] => true,
        [(m, c)] => match m.0.as_slice() {
            [] => *c >= 0,
            [Atom::Symbol(_) | Atom::Min(_) | Atom::Max(_)] => *c == 1,
            _ => false,
        },
        _ => false,
    };
    if simple { text.to_string() } else { format!("({text})") }
}

#[cfg(test)]
mod tests {
    use crate::int::IntExpr;
    use crate::{SizeId, VarId};

    #[test]
    fn prints_as_source() {
        let v = |k| IntExpr::from(VarId::from_u32(k));
        let s = |k| IntExpr::from(SizeId::from_u32(k));
        let c = IntExpr::constant;
        let text = |e: IntExpr| e.to_string();
        assert_eq!(text(c(2) * v(0) + v(1) - c(1)), "2*i0 + i1 - 1");
        assert_eq!(text(s(0) - v(0) - c(1)), "s0 - i0 - 1");
        assert_eq!(text((s(0) - c(1)).div(&c(2))), "(s0 + 1)/2 - 1");
        assert_eq!(text(c(0) - v(0).div(&c(2))), "-(i0/2)");
        assert_eq!(text(c(3) * v(0).modulo(&s(0)) * v(1)), "3*i1*(i0 % s0)");
        assert_eq!(text(v(0).minimum(&s(0)) + c(1)), "min(i0, s0) + 1");
        assert_eq!(text(c(1) - v(0)), "1 - i0");
        assert_eq!(text(c(-4)), "-4");
    }
}
