//! Expressions of kernels: everything is explicit, so a tree of the text is a tree of the IR.
//!
//! Constants of literals, sizes and variables are exact and take the type of their surroundings, as
//! on the graph level (R13). There are no implicit sums, no reductions and no library functions.

use super::constant::{self, Constant, Folded};
use super::kernel::KernelCx;
use super::typing::{self, Mistake, Value};
use super::{Reported, unknown_name};
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::scalar::{Expr, Func, Read, Signature, Subscript};
use crate::span::Span;
use crate::text::ast::{self, ExprKind, ProductOp, Sub};
use num_traits::Zero;
use tcc_abi::{DType, Scalar};

impl KernelCx<'_> {
    fn checked<T>(&mut self, outcome: Result<T, Mistake>) -> Result<T, Reported> {
        outcome.map_err(|d| self.error(*d))
    }

    /// The expression with a type: its own, `want`, or i64.
    pub(super) fn typed_value(
        &mut self,
        e: &ast::Expr,
        want: Option<DType>,
    ) -> Result<Expr, Reported> {
        let dtype = self.infer(e).or(want).unwrap_or(DType::I64);
        let value = self.value(e, Some(dtype))?;
        self.typed(value, dtype, e)
    }

    /// Refuses another type than the one wanted.
    pub(super) fn expect(&mut self, e: Expr, dtype: DType, span: Span) -> Result<Expr, Reported> {
        self.checked(typing::typed(Value::Typed(e), dtype, span))
    }

    /// A condition.
    pub(super) fn predicate(&mut self, e: &ast::Expr) -> Result<Expr, Reported> {
        let p = self.typed_value(e, Some(DType::Bool))?;
        if p.dtype() == DType::Bool {
            return Ok(p);
        }
        let message = format!("a condition is a bool, this has type {}", p.dtype());
        let d = Diagnostic::new(Code::Type, e.span, message).help("compare it: `... != 0`");
        Err(self.error(d))
    }

    /// The type that the expression has by itself; `None` for constants.
    fn infer(&self, e: &ast::Expr) -> Option<DType> {
        match &e.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Indicator(_) => None,
            ExprKind::Name(n) => match self.buffer_named(n) {
                Some(t) => self.kernel.buffers.get(t).map(|b| b.dtype),
                None if self.var_named(n).is_some() => None,
                None => matches!(n.as_str(), "true" | "false").then_some(DType::Bool),
            },
            ExprKind::Access { name, .. } => {
                self.kernel.buffers.get(self.buffer_named(&name.text)?).map(|b| b.dtype)
            }
            ExprKind::Call { name, args, .. } => self.infer_call(&name.text, args),
            ExprKind::Neg(a) | ExprKind::Paren(a) | ExprKind::Power(a, _) => self.infer(a),
            ExprKind::Sum(terms) => terms.iter().find_map(|(_, t)| self.infer(t)),
            ExprKind::Product(factors) => factors.iter().find_map(|(_, t)| self.infer(t)),
            ExprKind::Not(_) | ExprKind::Compare(..) | ExprKind::And(_) | ExprKind::Or(_) => {
                Some(DType::Bool)
            }
            ExprKind::Reduce { .. }
            | ExprKind::Einsum { .. }
            | ExprKind::Pattern(_)
            | ExprKind::Error => None,
        }
    }

    fn infer_call(&self, name: &str, args: &[ast::Expr]) -> Option<DType> {
        match (name, args) {
            ("cast" | "bitcast", [ty, _]) => match &ty.kind {
                ExprKind::Name(n) => return DType::parse(n),
                _ => return None,
            },
            ("contiguous", _) => return Some(DType::Bool),
            _ => {}
        }
        let first = || args.iter().find_map(|a| self.infer(a));
        match Func::by_name(name)?.signature() {
            Signature::FloatTest | Signature::Equality | Signature::Order | Signature::Logic => {
                Some(DType::Bool)
            }
            Signature::Choice => args.iter().skip(1).find_map(|a| self.infer(a)),
            Signature::Magnitude | Signature::ComplexToReal => first().map(DType::real_part),
            Signature::RealToComplex => first().and_then(DType::complex_of),
            Signature::Number
            | Signature::Real
            | Signature::Float
            | Signature::ComplexToComplex
            | Signature::Integer => first(),
        }
    }

    fn typed(&mut self, value: Value, dtype: DType, e: &ast::Expr) -> Result<Expr, Reported> {
        if let (Value::Constant(c), ExprKind::Neg(_)) = (&value, &e.unparen().kind)
            && c.as_number().is_some_and(Zero::is_zero)
            && dtype.is_float()
        {
            return Ok(Expr::number(dtype, -0.0));
        }
        self.checked(typing::typed(value, dtype, e.span))
    }

    fn value(&mut self, e: &ast::Expr, want: Option<DType>) -> Result<Value, Reported> {
        match &e.kind {
            ExprKind::Int(text) | ExprKind::Float(text) => {
                self.literal(text, e.span).map(Value::Constant)
            }
            ExprKind::Name(name) => self.name_value(name, e.span),
            ExprKind::Access { name, subs, default } => {
                self.access(name, subs, default.as_deref(), e.span).map(Value::Typed)
            }
            ExprKind::Call { name, args, sizes } => self.call(name, args, sizes, (e, want)),
            ExprKind::Paren(inner) => self.value(inner, want),
            ExprKind::Neg(a) => match self.value(a, want)? {
                Value::Constant(c) => Ok(Value::Constant(c.neg())),
                Value::Typed(x) => self.apply(Func::Neg, vec![x], e.span),
            },
            ExprKind::Not(a) => {
                let p = self.predicate(a)?;
                self.apply(Func::Not, vec![p], e.span)
            }
            ExprKind::Sum(terms) => {
                let operands =
                    terms.iter().map(|(n, t)| (if *n { Func::Sub } else { Func::Add }, t));
                self.fold(operands, (e, want))
            }
            ExprKind::Product(factors) => {
                let func = |op: &ProductOp| match op {
                    ProductOp::Mul => Func::Mul,
                    ProductOp::Div => Func::Div,
                    ProductOp::Rem => Func::Rem,
                };
                self.fold(factors.iter().map(|(op, f)| (func(op), f)), (e, want))
            }
            ExprKind::And(parts) => self.fold(parts.iter().map(|p| (Func::And, p)), (e, want)),
            ExprKind::Or(parts) => self.fold(parts.iter().map(|p| (Func::Or, p)), (e, want)),
            ExprKind::Compare(op, a, b) => self.comparison(*op, a, b, e.span),
            ExprKind::Indicator(p) => {
                let condition = self.predicate(p)?;
                let dtype = want.unwrap_or(DType::I64);
                let number = |v| Expr::Literal(Scalar::from_i128(dtype, v));
                Ok(Value::Typed(Expr::select(condition, number(1), number(0))))
            }
            ExprKind::Power(..)
            | ExprKind::Reduce { .. }
            | ExprKind::Einsum { .. }
            | ExprKind::Pattern(_) => Err(self.graph_only(e)),
            ExprKind::Error => Err(Reported),
        }
    }

    /// The mistake for what a kernel writes in another way.
    fn graph_only(&mut self, e: &ast::Expr) -> Reported {
        let (what, help) = match &e.kind {
            ExprKind::Power(..) => ("`^` is", "write the product out, or `pow(x, y)`"),
            ExprKind::Reduce { .. } => {
                ("a bracketed reduction is", "write a loop, and a block with `+=`, `max=`, ...")
            }
            ExprKind::Einsum { .. } => ("`einsum` is", "write loops and a block with `+=`"),
            _ => ("this is", "write an element, a constant or a scalar function"),
        };
        let message = format!("{what} not part of kernels");
        self.error(Diagnostic::new(Code::Parse, e.span, message).help(help))
    }

    fn name_value(&mut self, name: &str, span: Span) -> Result<Value, Reported> {
        if let Some(t) = self.buffer_named(name) {
            let subscripts = self.subscripts(t, &[], span)?;
            return Ok(Value::Typed(self.read(t, subscripts, None)));
        }
        let known = self.var_named(name).is_some() || self.signature.size_by_name(name).is_some();
        let constant = match name {
            _ if known => None,
            "inf" => Some(Constant::Infinity { negative: false }),
            "nan" => Some(Constant::Nan),
            "pi" => Some(constant::pi()),
            "true" | "false" => {
                let literal = Scalar::from_bool(name == "true");
                return Ok(Value::Typed(Expr::Literal(literal)));
            }
            _ => None,
        };
        match constant {
            Some(c) => Ok(Value::Constant(c)),
            None => self.symbol(name, span).map(|i| Value::Constant(Constant::index(i))),
        }
    }

    fn read(&self, tensor: TensorId, subscripts: Vec<Subscript>, default: Option<Expr>) -> Expr {
        let dtype = self.kernel.buffers.get(tensor).map_or(DType::F32, |b| b.dtype);
        Expr::Read(Box::new(Read { tensor, dtype, subscripts, default }))
    }

    fn access(
        &mut self,
        name: &ast::Name,
        subs: &[Sub],
        default: Option<&ast::Expr>,
        span: Span,
    ) -> Result<Expr, Reported> {
        let tensor = self.buffer(name)?;
        let subscripts = self.subscripts(tensor, subs, span);
        let dtype = self.kernel.buffers.get(tensor).map(|b| b.dtype);
        let default = default.map(|d| self.default(d, dtype)).transpose();
        Ok(self.read(tensor, subscripts?, default?))
    }

    fn default(&mut self, d: &ast::Expr, dtype: Option<DType>) -> Result<Expr, Reported> {
        let value = self.typed_value(d, dtype)?;
        match dtype {
            Some(dtype) => self.expect(value, dtype, d.span),
            None => Ok(value),
        }
    }

    /// Operands from left to right; the first one's function is not used.
    fn fold<'e>(
        &mut self,
        operands: impl Iterator<Item = (Func, &'e ast::Expr)>,
        (e, want): (&ast::Expr, Option<DType>),
    ) -> Result<Value, Reported> {
        let dtype = self.infer(e).or(want);
        let mut acc: Option<(Value, &ast::Expr)> = None;
        for (func, operand) in operands {
            let value = self.value(operand, dtype)?;
            let joined = match acc {
                None => value,
                Some((left, at)) => self.binary(func, (left, at), (value, operand), dtype, e)?,
            };
            acc = Some((joined, operand));
        }
        acc.map(|(v, _)| v).ok_or(Reported)
    }

    fn binary(
        &mut self,
        func: Func,
        (a, at): (Value, &ast::Expr),
        (b, bt): (Value, &ast::Expr),
        dtype: Option<DType>,
        e: &ast::Expr,
    ) -> Result<Value, Reported> {
        if let (Value::Constant(x), Value::Constant(y)) = (&a, &b) {
            let exact = match func {
                Func::Rem => x.rem(y),
                Func::Add | Func::Sub | Func::Mul | Func::Div => typing::fold_operator(func, x, y),
                _ => Folded::Inexact,
            };
            if let Some(c) = self.checked(typing::folded(exact, e.span))? {
                return Ok(Value::Constant(c));
            }
        }
        let Some(dtype) = dtype else { return Err(self.needs_type(e.span)) };
        let (a, b) = (self.typed(a, dtype, at)?, self.typed(b, dtype, bt)?);
        self.apply(func, vec![a, b], e.span)
    }

    fn apply(&mut self, func: Func, args: Vec<Expr>, span: Span) -> Result<Value, Reported> {
        self.checked(typing::apply(func, args, span)).map(Value::Typed)
    }

    fn needs_type(&mut self, span: Span) -> Reported {
        let message = "nothing gives this constant an element type";
        self.error(Diagnostic::new(Code::Type, span, message).help("write `cast(f32, ...)`"))
    }

    fn comparison(
        &mut self,
        op: crate::scalar::Comparison,
        a: &ast::Expr,
        b: &ast::Expr,
        span: Span,
    ) -> Result<Value, Reported> {
        let dtype = self.infer(a).or_else(|| self.infer(b));
        let (x, y) = (self.value(a, dtype)?, self.value(b, dtype)?);
        if let (Value::Constant(x), Value::Constant(y)) = (&x, &y) {
            return self.checked(typing::compare_constants(op, x, y, span)).map(Value::Typed);
        }
        let dtype = dtype.unwrap_or(DType::I64);
        let (x, y) = (self.typed(x, dtype, a)?, self.typed(y, dtype, b)?);
        self.apply(op.func(), vec![x, y], span)
    }

    fn call(
        &mut self,
        name: &ast::Name,
        args: &[ast::Expr],
        sizes: &[(ast::Name, ast::Expr)],
        (e, want): (&ast::Expr, Option<DType>),
    ) -> Result<Value, Reported> {
        if let Some((n, _)) = sizes.first() {
            let d =
                Diagnostic::new(Code::Parse, n.span, "a scalar function has no named arguments");
            return Err(self.error(d));
        }
        match (name.text.as_str(), args) {
            ("cast" | "bitcast", [ty, value]) => {
                let cast = name.text == "cast";
                return self.conversion(cast, ty, value, e.span);
            }
            ("contiguous", [ast::Expr { kind: ExprKind::Name(n), span, .. }]) => {
                let t = self.buffer(&ast::Name { text: n.clone(), span: *span })?;
                return Ok(Value::Typed(Expr::Contiguous(t)));
            }
            _ => {}
        }
        let Some(func) = Func::by_name(&name.text) else {
            let functions = Func::all().filter(|f| f.operator().is_none()).map(Func::name);
            let d = unknown_name("scalar function", &name.text, name.span, functions)
                .note("kernels call built-in scalar functions only");
            return Err(self.error(d));
        };
        if args.len() != func.arity() {
            let message = format!(
                "`{func}` takes {} argument{}, but {} given",
                func.arity(),
                if func.arity() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(self.error(Diagnostic::new(Code::Rank, e.span, message)));
        }
        self.application(func, args, (e, want))
    }

    fn application(
        &mut self,
        func: Func,
        args: &[ast::Expr],
        (e, want): (&ast::Expr, Option<DType>),
    ) -> Result<Value, Reported> {
        let common = args.iter().find_map(|a| self.infer(a));
        let wanted = match func.signature() {
            Signature::Magnitude | Signature::FloatTest => common.or(want),
            Signature::ComplexToReal => common.or(want.and_then(DType::complex_of)),
            Signature::RealToComplex => common.or(want.map(DType::real_part)),
            Signature::Choice => self.infer(e).or(want),
            Signature::Logic => Some(DType::Bool),
            Signature::Number
            | Signature::Real
            | Signature::Float
            | Signature::Equality
            | Signature::Order
            | Signature::ComplexToComplex
            | Signature::Integer => common.or(want),
        };
        let condition = |k: usize| func == Func::Select && k == 0;
        let mut values = Vec::with_capacity(args.len());
        for (k, a) in args.iter().enumerate() {
            let want = if condition(k) { Some(DType::Bool) } else { wanted };
            values.push(self.value(a, want)?);
        }
        if let Some(folded) = typing::fold_function(func, &values) {
            return Ok(Value::Constant(folded));
        }
        let Some(dtype) = wanted else { return Err(self.needs_type(e.span)) };
        let mut typed = Vec::with_capacity(values.len());
        for (k, (v, a)) in values.into_iter().zip(args).enumerate() {
            let dtype = if condition(k) { DType::Bool } else { dtype };
            typed.push(self.typed(v, dtype, a)?);
        }
        self.apply(func, typed, e.span)
    }

    fn conversion(
        &mut self,
        cast: bool,
        ty: &ast::Expr,
        inner: &ast::Expr,
        span: Span,
    ) -> Result<Value, Reported> {
        let dtype = match &ty.kind {
            ExprKind::Name(n) => DType::parse(n),
            _ => None,
        };
        let Some(dtype) = dtype else {
            let d = Diagnostic::new(Code::Type, ty.span, "expected an element type");
            return Err(self.error(d));
        };
        if cast {
            return Ok(Value::Typed(match self.value(inner, None)? {
                Value::Constant(c) => self.typed(Value::Constant(c), dtype, inner)?,
                Value::Typed(x) => Expr::Cast(dtype, Box::new(x)),
            }));
        }
        let same_size = DType::all().find(|d| d.is_int() && d.size() == dtype.size());
        let x = self.typed_value(inner, same_size)?;
        if x.dtype().size() == dtype.size() && !x.dtype().is_complex() && !dtype.is_complex() {
            return Ok(Value::Typed(Expr::Bitcast(dtype, Box::new(x))));
        }
        let message = format!("`bitcast` needs types of equal size, got {} and {dtype}", x.dtype());
        Err(self.error(Diagnostic::new(Code::Type, span, message)))
    }
}
