//! `+`, `-` and `*` of expressions.

use super::IntExpr;
use std::ops::{Add, Mul, Neg, Sub};

impl Add for IntExpr {
    type Output = IntExpr;
    fn add(self, other: IntExpr) -> IntExpr {
        self.add_unjoined(other).join_quotients()
    }
}

impl Mul for IntExpr {
    type Output = IntExpr;
    fn mul(self, other: IntExpr) -> IntExpr {
        &self * &other
    }
}

impl Mul for &IntExpr {
    type Output = IntExpr;
    fn mul(self, other: &IntExpr) -> IntExpr {
        /// Beyond this many terms a product is treated like an overflow: no program needs it.
        const MAX_TERMS: usize = 256;
        if self.poisoned || other.poisoned || self.terms.len() * other.terms.len() > MAX_TERMS {
            return IntExpr::poison();
        }
        match (self.as_constant(), other.as_constant()) {
            (Some(c), _) => return other.clone().scaled(c),
            (_, Some(c)) => return self.clone().scaled(c),
            (None, None) => {}
        }
        let mut sum = IntExpr::default();
        for (m, c) in &self.terms {
            for (n, d) in &other.terms {
                let Some(product) = c.checked_mul(*d) else { return IntExpr::poison() };
                sum.push_term(m.product(n), product);
            }
        }
        if sum.poisoned { IntExpr::poison() } else { sum.join_quotients() }
    }
}

impl Neg for IntExpr {
    type Output = IntExpr;
    fn neg(self) -> IntExpr {
        self.scaled(-1)
    }
}

impl Sub for IntExpr {
    type Output = IntExpr;
    fn sub(self, other: IntExpr) -> IntExpr {
        self + other.scaled(-1)
    }
}

impl Add for &IntExpr {
    type Output = IntExpr;
    fn add(self, other: &IntExpr) -> IntExpr {
        self.clone() + other.clone()
    }
}

impl Sub for &IntExpr {
    type Output = IntExpr;
    fn sub(self, other: &IntExpr) -> IntExpr {
        if self.poisoned || other.poisoned {
            return IntExpr::poison();
        }
        let mut out = self.clone();
        for (m, c) in &other.terms {
            match c.checked_neg() {
                Some(c) => out.push_term(m.clone(), c),
                None => return IntExpr::poison(),
            }
        }
        if out.poisoned { IntExpr::poison() } else { out.join_quotients() }
    }
}

impl Add<IntExpr> for &IntExpr {
    type Output = IntExpr;
    fn add(self, other: IntExpr) -> IntExpr {
        self.clone() + other
    }
}

impl Sub<IntExpr> for &IntExpr {
    type Output = IntExpr;
    fn sub(self, other: IntExpr) -> IntExpr {
        self.clone() - other
    }
}

impl Mul<IntExpr> for &IntExpr {
    type Output = IntExpr;
    fn mul(self, other: IntExpr) -> IntExpr {
        self * &other
    }
}
