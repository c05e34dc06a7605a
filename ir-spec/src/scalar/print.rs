//! Printing scalar expressions as source text that reads back to the same expression.

use super::{Expr, Func, Read, Subscript};
use crate::int::{IntExpr, SymbolNames, display, display_value};
use crate::{TensorId, VarId};
use std::fmt::Write;
use tcc_abi::{DType, Scalar};

/// Prints expressions of one equation or block.
pub struct ExprPrinter<'a> {
    /// Names of sizes and variables.
    pub symbols: &'a dyn SymbolNames,
    /// Names of tensors.
    pub tensors: &'a dyn Fn(TensorId) -> String,
    /// Variables whose domain the text must state, with the domain; printed as `i in n` where the
    /// variable first stands alone in a subscript.
    pub domains: Vec<(VarId, String)>,
}

/// Binding strength of what surrounds an expression.
const LOOSEST: u8 = 0;
const COMPARISON: u8 = 3;
const UNARY: u8 = 6;
const ATOM: u8 = 8;

impl ExprPrinter<'_> {
    /// The expression where the surroundings give untyped constants the type `want`.
    pub fn print(&mut self, e: &Expr, want: Option<DType>) -> String {
        self.expr(e, LOOSEST, want)
    }

    /// A list of subscripts without brackets.
    pub fn subscripts(&mut self, subscripts: &[Subscript]) -> String {
        let list: Vec<String> = subscripts.iter().map(|s| self.subscript(s)).collect();
        list.join(",")
    }

    fn subscript(&mut self, s: &Subscript) -> String {
        match s {
            Subscript::Data(e) => self.expr(e, LOOSEST, Some(DType::I64)),
            Subscript::Affine(i) => {
                let text = display(i, self.symbols).to_string().replace(' ', "");
                let at = i.as_var().and_then(|v| self.domains.iter().position(|(w, _)| *w == v));
                match at {
                    Some(at) => format!("{text} in {}", self.domains.remove(at).1),
                    None => text,
                }
            }
        }
    }

    fn expr(&mut self, e: &Expr, outer: u8, want: Option<DType>) -> String {
        match e {
            Expr::Literal(s) => literal(*s, outer, want),
            Expr::Index { num, den, dtype } => self.index(num, den, *dtype, outer, want),
            Expr::Compare(op, a, b) => {
                let (a, b) = (display_value(a, self.symbols), display_value(b, self.symbols));
                parenthesize(format!("{a} {op} {b}"), COMPARISON < outer)
            }
            Expr::Read(r) => self.read(r),
            Expr::Cast(d, inner) => format!("cast({d}, {})", self.expr(inner, LOOSEST, None)),
            Expr::Bitcast(d, inner) => {
                format!("bitcast({d}, {})", self.expr(inner, LOOSEST, None))
            }
            Expr::Contiguous(t) => format!("contiguous({})", (self.tensors)(*t)),
            Expr::Apply(func, args) => self.apply(*func, args, outer, want),
        }
    }

    fn index(
        &mut self,
        num: &IntExpr,
        den: &IntExpr,
        dtype: DType,
        outer: u8,
        want: Option<DType>,
    ) -> String {
        let n = display_value(num, self.symbols).to_string();
        let whole = den.as_constant() == Some(1);
        let simple = whole && num.as_symbol().is_some();
        let text = if whole {
            n
        } else {
            let d = display_value(den, self.symbols).to_string();
            let guard = |text: String, e: &IntExpr| {
                parenthesize(text, e.as_symbol().is_none() && e.as_constant().is_none())
            };
            format!("{} / {}", guard(n, num), guard(d, den))
        };
        if want != Some(dtype) {
            return format!("cast({dtype}, {text})");
        }
        parenthesize(text, !simple && outer > LOOSEST)
    }

    fn read(&mut self, r: &Read) -> String {
        let name = (self.tensors)(r.tensor);
        if r.subscripts.is_empty() {
            return name;
        }
        let mut out = format!("{name}[{}]", self.subscripts(&r.subscripts));
        if let Some(d) = &r.default {
            let text = match d {
                Expr::Literal(s) if !s.dtype().is_complex() => literal(*s, LOOSEST, Some(r.dtype)),
                _ => format!("({})", self.expr(d, LOOSEST, Some(r.dtype))),
            };
            let _ = write!(out, "?{text}");
        }
        out
    }

    fn apply(&mut self, func: Func, args: &[Expr], outer: u8, want: Option<DType>) -> String {
        let own = args.iter().find_map(self_typed);
        let want = argument_type(func, args, own, want);
        let fold = folds(func) && args.iter().all(is_constant);
        let Some((op, precedence)) = func.operator() else {
            let list: Vec<String> = args
                .iter()
                .enumerate()
                .map(|(k, a)| match (func, k) {
                    (Func::Select, 0) => self.expr(a, LOOSEST, Some(DType::Bool)),
                    _ if fold && k == 0 => self.expr(a, LOOSEST, None),
                    _ => self.expr(a, LOOSEST, want),
                })
                .collect();
            return format!("{func}({})", list.join(", "));
        };
        let first_want = if fold { None } else { want };
        let text = match args {
            [a] => format!("{op}{}", self.expr(a, UNARY, first_want)),
            [a, b] => {
                let left = if precedence == COMPARISON { precedence + 1 } else { precedence };
                let (a, b) = (self.expr(a, left, first_want), self.expr(b, precedence + 1, want));
                format!("{a} {op} {b}")
            }
            _ => String::new(),
        };
        parenthesize(text, precedence < outer)
    }
}

fn parenthesize(text: String, yes: bool) -> String {
    if yes { format!("({text})") } else { text }
}

/// A literal; `cast` states its type unless the surroundings do.
fn literal(s: Scalar, outer: u8, want: Option<DType>) -> String {
    let dtype = s.dtype();
    if dtype == DType::Bool {
        return s.to_string();
    }
    if dtype.is_complex() {
        let (re, im) = s.to_parts();
        if im != 0.0 || im.is_sign_negative() || want != Some(dtype) {
            let part = |v: f64| literal(Scalar::from_f64(dtype.real_part(), v), LOOSEST, None);
            return format!("complex({}, {})", part(re), part(im));
        }
        return literal(Scalar::from_f64(dtype.real_part(), re), outer, Some(dtype.real_part()));
    }
    let text = s.to_string();
    if want != Some(dtype) {
        return format!("cast({dtype}, {text})");
    }
    parenthesize(text.clone(), text.starts_with('-') && outer >= ATOM)
}

/// The type that an expression has without its surroundings; `None` for constants.
fn self_typed(e: &Expr) -> Option<DType> {
    match e {
        Expr::Literal(s) if s.dtype() == DType::Bool => Some(DType::Bool),
        Expr::Literal(_) | Expr::Index { .. } => None,
        Expr::Apply(Func::Select, args) => args.iter().skip(1).find_map(self_typed),
        Expr::Apply(func, args) => {
            let first = args.iter().find_map(self_typed)?;
            let types = vec![first; func.arity()];
            func.result(&types).or(Some(e.dtype()))
        }
        _ => Some(e.dtype()),
    }
}

/// What the reader will type untyped arguments as.
fn argument_type(
    func: Func,
    args: &[Expr],
    own: Option<DType>,
    want: Option<DType>,
) -> Option<DType> {
    use super::Signature as S;
    match func.signature() {
        S::Choice => args.iter().skip(1).find_map(self_typed).or(want),
        S::FloatTest | S::Magnitude | S::ComplexToReal | S::RealToComplex => own,
        S::Equality | S::Order => own,
        S::Logic => Some(DType::Bool),
        _ => own.or(want),
    }
}

/// Functions that the reader folds if all arguments are constants.
fn folds(func: Func) -> bool {
    matches!(
        func,
        Func::Add
            | Func::Sub
            | Func::Mul
            | Func::Div
            | Func::Rem
            | Func::Neg
            | Func::Floor
            | Func::Min
            | Func::Max
            | Func::Complex
            | Func::Eq
            | Func::Ne
            | Func::Lt
            | Func::Le
            | Func::Gt
            | Func::Ge
    )
}

/// True for what the reader keeps untyped.
fn is_constant(e: &Expr) -> bool {
    match e {
        Expr::Literal(s) => s.dtype() != DType::Bool,
        Expr::Index { .. } => true,
        Expr::Apply(func, args) => folds(*func) && args.iter().all(is_constant),
        _ => false,
    }
}
