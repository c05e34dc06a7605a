//! Commutative monoids that equations reduce with, and the semirings made of them.

use super::{Expr, Func};
use std::fmt;
use tcc_abi::{DType, Scalar};

/// A commutative monoid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reducer {
    /// Sum; unit 0.
    Sum,
    /// Maximum; unit the smallest value of the type.
    Max,
    /// Minimum; unit the largest value of the type.
    Min,
    /// Product; unit 1.
    Prod,
    /// Disjunction; unit false.
    Or,
    /// Conjunction; unit true.
    And,
    /// log(sum(exp(..))); unit minus infinity.
    LogSumExp,
}

impl Reducer {
    /// Every reducer.
    pub const ALL: [Reducer; 7] = [
        Reducer::Sum,
        Reducer::Max,
        Reducer::Min,
        Reducer::Prod,
        Reducer::Or,
        Reducer::And,
        Reducer::LogSumExp,
    ];

    /// The name as a bracketed reduction (`sum[k](..)`); the assignment is this with `=` appended,
    /// except that of [`Reducer::Sum`], which is `+=`.
    pub fn name(self) -> &'static str {
        match self {
            Reducer::Sum => "sum",
            Reducer::Max => "max",
            Reducer::Min => "min",
            Reducer::Prod => "prod",
            Reducer::Or => "or",
            Reducer::And => "and",
            Reducer::LogSumExp => "lse",
        }
    }

    /// The reducer of this name.
    pub fn parse(name: &str) -> Option<Reducer> {
        Reducer::ALL.into_iter().find(|r| r.name() == name)
    }

    /// The assignment operator as text.
    pub fn assignment(self) -> &'static str {
        match self {
            Reducer::Sum => "+=",
            Reducer::Max => "max=",
            Reducer::Min => "min=",
            Reducer::Prod => "prod=",
            Reducer::Or => "or=",
            Reducer::And => "and=",
            Reducer::LogSumExp => "lse=",
        }
    }

    /// True if the type has this monoid.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Reducer::Sum | Reducer::Prod => dtype != DType::Bool,
            Reducer::Max | Reducer::Min => dtype.is_float() || dtype.is_int(),
            Reducer::Or | Reducer::And => dtype == DType::Bool,
            Reducer::LogSumExp => dtype.is_float(),
        }
    }

    /// True if combining a value with itself changes nothing.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Reducer::Max | Reducer::Min | Reducer::Or | Reducer::And)
    }

    /// The value of an empty reduction.
    pub fn unit(self, dtype: DType) -> Scalar {
        match self {
            Reducer::Sum | Reducer::Or => Scalar::from_i128(dtype, 0),
            Reducer::Prod | Reducer::And => Scalar::from_i128(dtype, 1),
            Reducer::Max | Reducer::LogSumExp => extreme(dtype, false),
            Reducer::Min => extreme(dtype, true),
        }
    }

    /// The scalar function that combines two values; log-sum-exp has none of its own.
    pub fn func(self) -> Option<Func> {
        match self {
            Reducer::Sum => Some(Func::Add),
            Reducer::Max => Some(Func::Max),
            Reducer::Min => Some(Func::Min),
            Reducer::Prod => Some(Func::Mul),
            Reducer::Or => Some(Func::Or),
            Reducer::And => Some(Func::And),
            Reducer::LogSumExp => None,
        }
    }
}

fn extreme(dtype: DType, largest: bool) -> Scalar {
    match dtype.int_range() {
        Some((lo, hi)) => Scalar::from_i128(dtype, if largest { hi } else { lo }),
        None => Scalar::from_f64(dtype, if largest { f64::INFINITY } else { f64::NEG_INFINITY }),
    }
}

impl fmt::Display for Reducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A commutative semiring that a tagged assignment (`=<maxplus>`) computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Semiring {
    /// (+, *).
    Real,
    /// (or, and).
    Bool,
    /// (max, +), zero minus infinity.
    MaxPlus,
    /// (min, +), zero plus infinity.
    MinPlus,
    /// (max, *) over non-negative values.
    MaxMul,
    /// (logsumexp, +).
    Log,
    /// (+, *) over counts: bool operands count as 0 and 1.
    Count,
}

impl Semiring {
    /// Every built-in semiring.
    pub const ALL: [Semiring; 7] = [
        Semiring::Real,
        Semiring::Bool,
        Semiring::MaxPlus,
        Semiring::MinPlus,
        Semiring::MaxMul,
        Semiring::Log,
        Semiring::Count,
    ];

    /// The tag.
    pub fn name(self) -> &'static str {
        match self {
            Semiring::Real => "real",
            Semiring::Bool => "bool",
            Semiring::MaxPlus => "maxplus",
            Semiring::MinPlus => "minplus",
            Semiring::MaxMul => "maxmul",
            Semiring::Log => "log",
            Semiring::Count => "count",
        }
    }

    /// The semiring of this tag.
    pub fn parse(name: &str) -> Option<Semiring> {
        Semiring::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Its addition.
    pub fn reducer(self) -> Reducer {
        match self {
            Semiring::Real | Semiring::Count => Reducer::Sum,
            Semiring::Bool => Reducer::Or,
            Semiring::MaxPlus | Semiring::MaxMul => Reducer::Max,
            Semiring::MinPlus => Reducer::Min,
            Semiring::Log => Reducer::LogSumExp,
        }
    }

    /// Its multiplication.
    pub fn product(self) -> Func {
        match self {
            Semiring::Real | Semiring::Count | Semiring::MaxMul => Func::Mul,
            Semiring::Bool => Func::And,
            Semiring::MaxPlus | Semiring::MinPlus | Semiring::Log => Func::Add,
        }
    }

    /// The neutral element of the multiplication.
    pub fn one(self, dtype: DType) -> Scalar {
        match self.product() {
            Func::Add => Scalar::from_i128(dtype, 0),
            _ => Scalar::from_i128(dtype, 1),
        }
    }

    /// The neutral element of the addition. Over `maxmul` it is 0, the least of its values.
    pub fn zero(self, dtype: DType) -> Scalar {
        match self {
            Semiring::MaxMul => Scalar::from_i128(dtype, 0),
            _ => self.reducer().unit(dtype),
        }
    }
}

impl fmt::Display for Semiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `a + b` over integers with an absorbing value: integers have no infinity, so the zero of a
/// tropical semiring is the type's extreme value, and a sum with it is it. The operands are used
/// twice.
pub fn absorbing_sum(zero: Scalar, a: Expr, b: Expr) -> Expr {
    let zero = Expr::Literal(zero);
    let is_zero = |e: &Expr| Expr::binary(Func::Eq, e.clone(), zero.clone());
    let absorbed = Expr::binary(Func::Or, is_zero(&a), is_zero(&b));
    Expr::select(absorbed, zero, Expr::binary(Func::Add, a, b))
}
