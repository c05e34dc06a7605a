//! The table of scalar functions: one row each, from which parser, printer, type rules, interpreter
//! coverage and documentation follow.

use std::fmt;
use tcc_abi::DType;

/// A scalar function or operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table below and SPEC.md describe each function")]
pub enum Func {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Neg,
    Min,
    Max,
    Abs,
    Sign,
    Fma,
    Pow,
    Sqrt,
    Rsqrt,
    Cbrt,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Erfc,
    Floor,
    Ceil,
    Round,
    Trunc,
    Copysign,
    IsNan,
    IsInf,
    IsFinite,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Xor,
    Not,
    Select,
    Conj,
    Re,
    Im,
    Complex,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
    MulHi,
}

/// Which element types a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Integer, real or complex arguments of one type; the result has it too.
    Number,
    /// Integer or real arguments of one type; the result has it too.
    Real,
    /// Integer, real or complex; a complex argument gives its part type.
    Magnitude,
    /// Real floating arguments of one type; the result has it too.
    Float,
    /// Real floating argument, bool result.
    FloatTest,
    /// Any two arguments of one type, bool result.
    Equality,
    /// Integer, real or bool arguments of one type, bool result.
    Order,
    /// Bool arguments and result.
    Logic,
    /// Bool, then two values of one type, which is the result's.
    Choice,
    /// Complex argument and result.
    ComplexToComplex,
    /// Complex argument, result of the part type.
    ComplexToReal,
    /// Two `f32` or two `f64`, complex result.
    RealToComplex,
    /// Integer arguments of one type; the result has it too.
    Integer,
}

struct Row {
    func: Func,
    name: &'static str,
    arity: usize,
    signature: Signature,
    /// True if the function never decreases when one of its (real) arguments grows.
    monotone: bool,
}

const fn row(
    func: Func,
    name: &'static str,
    arity: usize,
    signature: Signature,
    monotone: bool,
) -> Row {
    Row { func, name, arity, signature, monotone }
}

use Signature as S;

/// One row per function, in the order of [`Func`].
const TABLE: &[Row] = &[
    row(Func::Add, "add", 2, S::Number, true),
    row(Func::Sub, "sub", 2, S::Number, false),
    row(Func::Mul, "mul", 2, S::Number, false),
    row(Func::Div, "div", 2, S::Number, false),
    row(Func::Rem, "rem", 2, S::Real, false),
    row(Func::Neg, "neg", 1, S::Number, false),
    row(Func::Min, "min", 2, S::Real, true),
    row(Func::Max, "max", 2, S::Real, true),
    row(Func::Abs, "abs", 1, S::Magnitude, false),
    row(Func::Sign, "sign", 1, S::Real, true),
    row(Func::Fma, "fma", 3, S::Float, false),
    row(Func::Pow, "pow", 2, S::Float, false),
    row(Func::Sqrt, "sqrt", 1, S::Float, true),
    row(Func::Rsqrt, "rsqrt", 1, S::Float, false),
    row(Func::Cbrt, "cbrt", 1, S::Float, true),
    row(Func::Exp, "exp", 1, S::Float, true),
    row(Func::Exp2, "exp2", 1, S::Float, true),
    row(Func::Expm1, "expm1", 1, S::Float, true),
    row(Func::Log, "log", 1, S::Float, true),
    row(Func::Log2, "log2", 1, S::Float, true),
    row(Func::Log10, "log10", 1, S::Float, true),
    row(Func::Log1p, "log1p", 1, S::Float, true),
    row(Func::Sin, "sin", 1, S::Float, false),
    row(Func::Cos, "cos", 1, S::Float, false),
    row(Func::Tan, "tan", 1, S::Float, false),
    row(Func::Asin, "asin", 1, S::Float, true),
    row(Func::Acos, "acos", 1, S::Float, false),
    row(Func::Atan, "atan", 1, S::Float, true),
    row(Func::Atan2, "atan2", 2, S::Float, false),
    row(Func::Sinh, "sinh", 1, S::Float, true),
    row(Func::Cosh, "cosh", 1, S::Float, false),
    row(Func::Tanh, "tanh", 1, S::Float, true),
    row(Func::Asinh, "asinh", 1, S::Float, true),
    row(Func::Acosh, "acosh", 1, S::Float, true),
    row(Func::Atanh, "atanh", 1, S::Float, true),
    row(Func::Erf, "erf", 1, S::Float, true),
    row(Func::Erfc, "erfc", 1, S::Float, false),
    row(Func::Floor, "floor", 1, S::Float, true),
    row(Func::Ceil, "ceil", 1, S::Float, true),
    row(Func::Round, "round", 1, S::Float, true),
    row(Func::Trunc, "trunc", 1, S::Float, true),
    row(Func::Copysign, "copysign", 2, S::Float, false),
    row(Func::IsNan, "isnan", 1, S::FloatTest, false),
    row(Func::IsInf, "isinf", 1, S::FloatTest, false),
    row(Func::IsFinite, "isfinite", 1, S::FloatTest, false),
    row(Func::Eq, "eq", 2, S::Equality, false),
    row(Func::Ne, "ne", 2, S::Equality, false),
    row(Func::Lt, "lt", 2, S::Order, false),
    row(Func::Le, "le", 2, S::Order, false),
    row(Func::Gt, "gt", 2, S::Order, false),
    row(Func::Ge, "ge", 2, S::Order, false),
    row(Func::And, "and", 2, S::Logic, true),
    row(Func::Or, "or", 2, S::Logic, true),
    row(Func::Xor, "xor", 2, S::Logic, false),
    row(Func::Not, "not", 1, S::Logic, false),
    row(Func::Select, "select", 3, S::Choice, false),
    row(Func::Conj, "conj", 1, S::ComplexToComplex, false),
    row(Func::Re, "re", 1, S::ComplexToReal, false),
    row(Func::Im, "im", 1, S::ComplexToReal, false),
    row(Func::Complex, "complex", 2, S::RealToComplex, false),
    row(Func::BitAnd, "bitand", 2, S::Integer, false),
    row(Func::BitOr, "bitor", 2, S::Integer, false),
    row(Func::BitXor, "bitxor", 2, S::Integer, false),
    row(Func::Shl, "shl", 2, S::Integer, false),
    row(Func::Shr, "shr", 2, S::Integer, false),
    row(Func::MulHi, "mulhi", 2, S::Integer, false),
];

impl Func {
    /// Every function, in table order.
    pub fn all() -> impl Iterator<Item = Func> {
        TABLE.iter().map(|r| r.func)
    }

    fn row(self) -> &'static Row {
        TABLE.get(self as usize).unwrap_or_else(|| unreachable!("every function has a row"))
    }

    /// The name in `.tir` text (operators have one too, used in tables and messages).
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Number of arguments.
    pub fn arity(self) -> usize {
        self.row().arity
    }

    /// Which element types it takes and gives.
    pub fn signature(self) -> Signature {
        self.row().signature
    }

    /// True if it never decreases when one of its arguments grows (or, on bool, turns true).
    pub fn is_monotone(self) -> bool {
        self.row().monotone
    }

    /// The function that may be called by this name: every row but those written only as operators.
    pub fn by_name(name: &str) -> Option<Func> {
        TABLE.iter().find(|r| r.name == name && r.func.operator().is_none()).map(|r| r.func)
    }

    /// Operator text and precedence (higher binds tighter), for functions written as operators.
    pub fn operator(self) -> Option<(&'static str, u8)> {
        Some(match self {
            Func::Or => ("||", 1),
            Func::And => ("&&", 2),
            Func::Eq => ("==", 3),
            Func::Ne => ("!=", 3),
            Func::Lt => ("<", 3),
            Func::Le => ("<=", 3),
            Func::Gt => (">", 3),
            Func::Ge => (">=", 3),
            Func::Add => ("+", 4),
            Func::Sub => ("-", 4),
            Func::Mul => ("*", 5),
            Func::Div => ("/", 5),
            Func::Rem => ("%", 5),
            Func::Neg => ("-", 6),
            Func::Not => ("!", 6),
            _ => return None,
        })
    }

    /// True for the functions whose value is not a correctly rounded result of IEEE arithmetic and
    /// that are therefore expanded by `std/scalar_*.tir`.
    pub fn is_expanded(self) -> bool {
        let range = (Func::Pow as usize)..=(Func::Erfc as usize);
        range.contains(&(self as usize)) && self != Func::Sqrt
    }

    /// The result's type for these argument types, or `None` if they do not fit.
    pub fn result(self, args: &[DType]) -> Option<DType> {
        let (first, rest) = args.split_first()?;
        if args.len() != self.arity() {
            return None;
        }
        let same = rest.iter().all(|d| d == first);
        let (d, real) = (*first, first.is_int() || first.is_float());
        match self.signature() {
            S::Number => (same && (real || d.is_complex())).then_some(d),
            S::Real => (same && real).then_some(d),
            S::Magnitude => (real || d.is_complex()).then_some(d.real_part()),
            S::Float => (same && d.is_float()).then_some(d),
            S::FloatTest => d.is_float().then_some(DType::Bool),
            S::Equality => same.then_some(DType::Bool),
            S::Order => (same && !d.is_complex()).then_some(DType::Bool),
            S::Logic => (same && d == DType::Bool).then_some(d),
            S::Choice => match rest {
                [a, b] if d == DType::Bool && a == b => Some(*a),
                _ => None,
            },
            S::ComplexToComplex => d.is_complex().then_some(d),
            S::ComplexToReal => d.is_complex().then_some(d.real_part()),
            S::RealToComplex => d.complex_of().filter(|_| same),
            S::Integer => (same && d.is_int()).then_some(d),
        }
    }
}

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_enum() {
        for (k, r) in TABLE.iter().enumerate() {
            assert_eq!(r.func as usize, k, "{}", r.name);
        }
        assert_eq!(TABLE.len(), Func::MulHi as usize + 1);
    }

    #[test]
    fn result_types() {
        use DType::{Bool, C64, F32, F64, I32};
        assert_eq!(Func::Add.result(&[C64, C64]), Some(C64));
        assert_eq!(Func::Add.result(&[F32, F64]), None);
        assert_eq!(Func::Abs.result(&[C64]), Some(F32));
        assert_eq!(Func::Exp.result(&[I32]), None);
        assert_eq!(Func::Select.result(&[Bool, I32, I32]), Some(I32));
        assert_eq!(Func::Complex.result(&[F64, F64]), Some(DType::C128));
        assert_eq!(Func::Lt.result(&[C64, C64]), None);
        assert!(Func::Pow.is_expanded() && Func::Erfc.is_expanded() && !Func::Sqrt.is_expanded());
    }
}
