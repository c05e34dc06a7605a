//! Scalar expressions: the body of an equation, evaluated once per point of its domain.

use super::Func;
use crate::int::{IntExpr, Symbol};
use crate::{TensorId, VarId};
use std::fmt;
use tcc_abi::{DType, Scalar};

/// An expression without reductions. Every node has one element type ([`Expr::dtype`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A typed constant.
    Literal(Scalar),
    /// A constant of sizes and indices, `num / den`: exact, then rounded once to `dtype`.
    Index {
        /// Dividend.
        num: IntExpr,
        /// Divisor; the constant 1 for an integer value.
        den: IntExpr,
        /// Type of the value.
        dtype: DType,
    },
    /// A comparison of sizes and indices, exact; bool.
    Compare(Comparison, IntExpr, IntExpr),
    /// An element of a tensor.
    Read(Box<Read>),
    /// A scalar function.
    Apply(Func, Vec<Expr>),
    /// A conversion. Float to integer truncates and saturates, NaN gives 0; integer to integer
    /// wraps; anything to bool is `!= 0`; complex to real takes the real part.
    Cast(DType, Box<Expr>),
    /// The same bits as another type of equal size.
    Bitcast(DType, Box<Expr>),
    /// True if a kernel parameter is row-major without gaps (loop-nest level only).
    Contiguous(TensorId),
}

/// A read access.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// What is read.
    pub tensor: TensorId,
    /// Its element type.
    pub dtype: DType,
    /// One subscript per axis.
    pub subscripts: Vec<Subscript>,
    /// The value where a subscript is out of bounds; without it, being in bounds is proved or, for
    /// data-dependent subscripts, checked.
    pub default: Option<Expr>,
}

/// One subscript of an access.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subscript {
    /// An expression of indices and sizes.
    Affine(IntExpr),
    /// A value of integer type.
    Data(Expr),
}

/// A comparison operator of [`Expr::Compare`] and of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// The operator as text.
    pub fn text(self) -> &'static str {
        match self {
            Comparison::Eq => "==",
            Comparison::Ne => "!=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }

    /// The outcome for an ordering of the two sides.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Lt => order.is_lt(),
            Comparison::Le => order.is_le(),
            Comparison::Gt => order.is_gt(),
            Comparison::Ge => order.is_ge(),
        }
    }

    /// The same relation on typed values.
    pub fn func(self) -> Func {
        match self {
            Comparison::Eq => Func::Eq,
            Comparison::Ne => Func::Ne,
            Comparison::Lt => Func::Lt,
            Comparison::Le => Func::Le,
            Comparison::Gt => Func::Gt,
            Comparison::Ge => Func::Ge,
        }
    }

    /// Expressions that are `>= 0` exactly when the comparison holds; `!=` has none.
    pub fn as_nonneg(self, a: &IntExpr, b: &IntExpr) -> Vec<IntExpr> {
        let one = IntExpr::constant(1);
        match self {
            Comparison::Eq => vec![a - b, b - a],
            Comparison::Ne => vec![],
            Comparison::Lt => vec![b - a - one],
            Comparison::Le => vec![b - a],
            Comparison::Gt => vec![a - b - one],
            Comparison::Ge => vec![a - b],
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Expr {
    /// A constant of the type nearest to the value.
    pub fn number(dtype: DType, value: f64) -> Expr {
        Expr::Literal(Scalar::from_f64(dtype, value))
    }

    /// A size or index as a value.
    pub fn index(value: impl Into<IntExpr>, dtype: DType) -> Expr {
        Expr::Index { num: value.into(), den: IntExpr::constant(1), dtype }
    }

    /// A read without a default.
    pub fn read(tensor: TensorId, dtype: DType, subscripts: Vec<IntExpr>) -> Expr {
        let subscripts = subscripts.into_iter().map(Subscript::Affine).collect();
        Expr::Read(Box::new(Read { tensor, dtype, subscripts, default: None }))
    }

    /// A binary function.
    pub fn binary(func: Func, a: Expr, b: Expr) -> Expr {
        Expr::Apply(func, vec![a, b])
    }

    /// `select(condition, a, b)`.
    pub fn select(condition: Expr, a: Expr, b: Expr) -> Expr {
        Expr::Apply(Func::Select, vec![condition, a, b])
    }

    /// The element type. Ill-typed applications (which the verifier rejects) answer their first
    /// argument's type.
    pub fn dtype(&self) -> DType {
        match self {
            Expr::Literal(s) => s.dtype(),
            Expr::Index { dtype, .. } | Expr::Cast(dtype, _) | Expr::Bitcast(dtype, _) => *dtype,
            Expr::Compare(..) | Expr::Contiguous(_) => DType::Bool,
            Expr::Read(r) => r.dtype,
            Expr::Apply(func, args) => {
                let types: smallvec::SmallVec<[DType; 3]> = args.iter().map(Expr::dtype).collect();
                let first = types.first().copied().unwrap_or(DType::Bool);
                func.result(&types).unwrap_or(first)
            }
        }
    }

    /// Direct subexpressions, those in subscripts and defaults included.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {
                vec![]
            }
            Expr::Apply(_, args) => args.iter().collect(),
            Expr::Cast(_, e) | Expr::Bitcast(_, e) => vec![e.as_ref()],
            Expr::Read(r) => {
                let data = r.subscripts.iter().filter_map(|s| match s {
                    Subscript::Data(e) => Some(e),
                    Subscript::Affine(_) => None,
                });
                data.chain(r.default.as_ref()).collect()
            }
        }
    }

    /// Calls `visit` on this node and everything below it, parents first.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.visit(visit);
        }
    }

    /// Every read in the expression, those in subscripts included.
    pub fn reads(&self) -> Vec<&Read> {
        let mut out = Vec::new();
        self.visit(&mut |e| {
            if let Expr::Read(r) = e {
                out.push(r.as_ref());
            }
        });
        out
    }

    /// Every integer expression in the tree: index values, comparisons, affine subscripts.
    pub fn visit_ints<'a>(&'a self, visit: &mut dyn FnMut(&'a IntExpr)) {
        self.visit(&mut |e| match e {
            Expr::Index { num, den, .. } => {
                visit(num);
                visit(den);
            }
            Expr::Compare(_, a, b) => {
                visit(a);
                visit(b);
            }
            Expr::Read(r) => r.subscripts.iter().for_each(|s| {
                if let Subscript::Affine(i) = s {
                    visit(i);
                }
            }),
            Expr::Literal(_)
            | Expr::Apply(..)
            | Expr::Cast(..)
            | Expr::Bitcast(..)
            | Expr::Contiguous(_) => {}
        });
    }

    /// Every symbol that occurs (repeats possible).
    pub fn visit_symbols(&self, visit: &mut dyn FnMut(Symbol)) {
        self.visit_ints(&mut |i| i.visit_symbols(visit));
    }

    /// True if the variable occurs.
    pub fn mentions(&self, v: VarId) -> bool {
        let mut found = false;
        self.visit_symbols(&mut |s| found |= s == v.into());
        found
    }

    /// Rebuilds the tree bottom-up: `leaf` replaces whole nodes whose children are already rebuilt,
    /// `int` replaces integer expressions.
    pub fn rewrite(
        &self,
        int: &dyn Fn(&IntExpr) -> IntExpr,
        node: &mut dyn FnMut(Expr) -> Expr,
    ) -> Expr {
        let rebuilt = match self {
            Expr::Literal(_) | Expr::Contiguous(_) => self.clone(),
            Expr::Index { num, den, dtype } => {
                Expr::Index { num: int(num), den: int(den), dtype: *dtype }
            }
            Expr::Compare(c, a, b) => Expr::Compare(*c, int(a), int(b)),
            Expr::Apply(f, args) => {
                Expr::Apply(*f, args.iter().map(|a| a.rewrite(int, node)).collect())
            }
            Expr::Cast(d, e) => Expr::Cast(*d, Box::new(e.rewrite(int, node))),
            Expr::Bitcast(d, e) => Expr::Bitcast(*d, Box::new(e.rewrite(int, node))),
            Expr::Read(r) => Expr::Read(Box::new(Read {
                tensor: r.tensor,
                dtype: r.dtype,
                subscripts: r.subscripts.iter().map(|s| s.rewrite(int, node)).collect(),
                default: r.default.as_ref().map(|d| d.rewrite(int, node)),
            })),
        };
        node(rebuilt)
    }

    /// Replaces symbols throughout.
    pub fn substitute(&self, replace: &dyn Fn(Symbol) -> Option<IntExpr>) -> Expr {
        self.rewrite(&|i| i.substitute(replace), &mut |e| e)
    }

    /// A condition as what must hold, or, with false, what must not.
    pub fn without_not(&self) -> (&Expr, bool) {
        match self {
            Expr::Apply(Func::Not, args) if let [negated] = args.as_slice() => (negated, false),
            plain => (plain, true),
        }
    }

    /// Flattens a tree of one associative function into its operands, left to right.
    pub fn operands(&self, func: Func) -> Vec<&Expr> {
        match self {
            Expr::Apply(f, args) if *f == func => {
                args.iter().flat_map(|a| a.operands(func)).collect()
            }
            _ => vec![self],
        }
    }
}

impl Subscript {
    /// The affine expression, if it is one.
    pub fn as_affine(&self) -> Option<&IntExpr> {
        match self {
            Subscript::Affine(i) => Some(i),
            Subscript::Data(_) => None,
        }
    }

    /// Rebuilds the subscript like [`Expr::rewrite`].
    pub fn rewrite(
        &self,
        int: &dyn Fn(&IntExpr) -> IntExpr,
        node: &mut dyn FnMut(Expr) -> Expr,
    ) -> Subscript {
        match self {
            Subscript::Affine(i) => Subscript::Affine(int(i)),
            Subscript::Data(e) => Subscript::Data(e.rewrite(int, node)),
        }
    }

    /// Every symbol that occurs.
    pub fn visit_symbols(&self, visit: &mut dyn FnMut(Symbol)) {
        match self {
            Subscript::Affine(i) => i.visit_symbols(visit),
            Subscript::Data(e) => e.visit_symbols(visit),
        }
    }

    /// True if the variable occurs.
    pub fn mentions(&self, v: VarId) -> bool {
        let mut found = false;
        self.visit_symbols(&mut |s| found |= s == v.into());
        found
    }
}
