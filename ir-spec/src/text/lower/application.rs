//! What is applied to values: casts, scalar functions, powers, comparisons, products of a semiring.

use super::Reported;
use super::constant::{Constant, Folded};
use super::hir::{Hir, HirKind};
use super::statement::StatementCx;
use super::typing::{self, Value};
use super::value::{Bound, Op};
use crate::VarId;
use crate::diag::{Code, Diagnostic};
use crate::scalar::{Comparison, Expr, Func, Semiring, Signature, absorbing_sum};
use crate::span::Span;
use tcc_abi::{DType, Scalar};

impl StatementCx<'_, '_> {
    pub(super) fn cast(&mut self, dtype: DType, a: &Hir, bound: &Bound) -> Result<Value, Reported> {
        let value = if a.is_factor() {
            self.item_value(a, bound, None)?
        } else {
            self.value(a, bound, None)?
        };
        Ok(Value::Typed(match value {
            Value::Constant(c) => self.cast_constant(c, dtype, a.span)?,
            Value::Typed(e) if e.dtype() == dtype => e,
            Value::Typed(e) => Expr::Cast(dtype, Box::new(e)),
        }))
    }

    /// `cast` of a constant: a fraction truncates into an integer type.
    pub(super) fn cast_constant(
        &mut self,
        c: Constant,
        dtype: DType,
        span: Span,
    ) -> Result<Expr, Reported> {
        if let (Constant::Number(r), true) = (&c, dtype.is_int())
            && !r.is_integer()
        {
            let truncated = Constant::Number(r.trunc());
            return self.typed(Value::Constant(truncated), dtype, span);
        }
        self.typed(Value::Constant(c), dtype, span)
    }

    pub(super) fn bitcast(
        &mut self,
        dtype: DType,
        a: &Hir,
        bound: &Bound,
        span: Span,
    ) -> Result<Value, Reported> {
        let same_size = DType::all().find(|d| d.is_int() && d.size() == dtype.size());
        let e = self.typed_value(a, bound, same_size, span)?;
        if e.dtype().size() != dtype.size() || e.dtype().is_complex() || dtype.is_complex() {
            let d = Diagnostic::new(
                Code::Type,
                span,
                format!("`bitcast` needs types of equal size, got {} and {dtype}", e.dtype()),
            );
            return Err(self.error(d));
        }
        Ok(Value::Typed(Expr::Bitcast(dtype, Box::new(e))))
    }

    /// A function of several scopes; an unbound index shared between two of them is ambiguous.
    pub(super) fn check_arguments(&mut self, args: &[&Hir], bound: &Bound) -> Result<(), Reported> {
        let mut seen: Vec<(VarId, usize, Span)> = Vec::new();
        let mut clash = None;
        for (k, a) in args.iter().enumerate() {
            a.free_indices(&mut |v, span| {
                if bound.contains(v) {
                    return;
                }
                if let Some((_, _, other)) = seen.iter().find(|(w, j, _)| *w == v && *j != k) {
                    clash = clash.or(Some((v, span, *other)));
                }
                seen.push((v, k, span));
            });
        }
        match clash {
            None => Ok(()),
            Some((v, span, other)) => {
                Err(self.ambiguous(v, span, "two arguments of a function", Some(other)))
            }
        }
    }

    pub(super) fn application(
        &mut self,
        func: Func,
        args: &[Hir],
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        let list: Vec<&Hir> = args.iter().collect();
        if h.is_factor() {
            // conj of a factor: its indices are the term's.
        } else {
            self.check_arguments(&list, bound)?;
        }
        let own = self.infer(h).or(want);
        let common = args.iter().find_map(|a| self.infer(a));
        let wanted = match func.signature() {
            Signature::Magnitude | Signature::FloatTest => common.or(want),
            Signature::ComplexToReal => common.or(want.and_then(DType::complex_of)),
            Signature::RealToComplex => common.or(want.map(DType::real_part)),
            Signature::Choice => own,
            _ => common.or(want),
        };
        let mut values = Vec::with_capacity(args.len());
        for (k, a) in args.iter().enumerate() {
            let w = if func == Func::Select && k == 0 { Some(DType::Bool) } else { wanted };
            values.push(if h.is_factor() {
                self.item_value(a, bound, w)?
            } else {
                self.value(a, bound, w)?
            });
        }
        if let Some(folded) = typing::fold_function(func, &values) {
            return Ok(Value::Constant(folded));
        }
        let Some(dtype) = wanted else {
            return Err(self.needs_type(h.span));
        };
        let mut typed = Vec::with_capacity(values.len());
        for (k, (v, a)) in values.into_iter().zip(args).enumerate() {
            let d = if func == Func::Select && k == 0 { DType::Bool } else { dtype };
            typed.push(self.typed(v, d, a.span)?);
        }
        Ok(Value::Typed(self.apply(func, typed, dtype, h.span)?))
    }

    pub(super) fn needs_type(&mut self, span: Span) -> Reported {
        let d = Diagnostic::new(Code::Type, span, "nothing gives this constant an element type")
            .help("write `cast(f32, ...)`, or declare the target with `let`");
        self.error(d)
    }

    pub(super) fn comparison(
        &mut self,
        op: Comparison,
        a: &Hir,
        b: &Hir,
        h: &Hir,
        bound: &Bound,
    ) -> Result<Value, Reported> {
        self.check_arguments(&[a, b], bound)?;
        let dtype = self.infer(a).or_else(|| self.infer(b));
        let (x, y) = (self.value(a, bound, dtype)?, self.value(b, bound, dtype)?);
        if let (Value::Constant(x), Value::Constant(y)) = (&x, &y) {
            return self.compare_constants(op, x, y, h.span).map(Value::Typed);
        }
        let dtype = dtype.unwrap_or(DType::I64);
        let (x, y) = (self.typed(x, dtype, a.span)?, self.typed(y, dtype, b.span)?);
        Ok(Value::Typed(self.apply(op.func(), vec![x, y], DType::Bool, h.span)?))
    }

    pub(super) fn compare_constants(
        &mut self,
        op: Comparison,
        x: &Constant,
        y: &Constant,
        span: Span,
    ) -> Result<Expr, Reported> {
        typing::compare_constants(op, x, y, span).map_err(|d| self.error(*d))
    }

    pub(super) fn power(
        &mut self,
        a: &Hir,
        b: &Hir,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        let mut open = None;
        a.free_indices(&mut |v, span| {
            if !bound.contains(v) {
                open = open.or(Some((v, span)));
            }
        });
        if let Some((v, span)) = open {
            return Err(self.ambiguous(v, span, "the base of `^`", None));
        }
        let dtype = self.infer(a).or(want);
        let base = self.value(a, bound, dtype)?;
        let exponent = self.value(b, bound, dtype)?;
        if let Value::Constant(e) = &exponent {
            if let Value::Constant(base) = &base
                && let Some(v) = self.folded(base.pow(e), h.span)?
            {
                return Ok(Value::Constant(v));
            }
            let small = e.as_int().and_then(|i| i.as_constant()).filter(|n| (0..=64).contains(n));
            if let (Some(n), Some(d)) = (small, dtype) {
                let base = self.typed(base, d, a.span)?;
                return self.repeated_product(base, n as u32, h.span);
            }
        }
        let Some(dtype) = dtype else { return Err(self.needs_type(h.span)) };
        let base = self.typed(base, dtype, a.span)?;
        let exponent = self.typed(exponent, dtype, b.span)?;
        Ok(Value::Typed(self.apply(Func::Pow, vec![base, exponent], dtype, h.span)?))
    }

    /// `x^n` for a small integer n, by squaring.
    pub(super) fn repeated_product(
        &mut self,
        base: Expr,
        n: u32,
        span: Span,
    ) -> Result<Value, Reported> {
        let dtype = base.dtype();
        if n == 0 {
            return Ok(Value::Typed(Expr::Literal(Scalar::from_i128(dtype, 1))));
        }
        let base = if n > 1 { self.name_value_once(base)? } else { base };
        let mut acc: Option<Expr> = None;
        let mut square = base;
        let mut rest = n;
        loop {
            if rest % 2 == 1 {
                acc = Some(match acc {
                    None => square.clone(),
                    Some(a) => self.apply(Func::Mul, vec![a, square.clone()], dtype, span)?,
                });
            }
            rest /= 2;
            if rest == 0 {
                return acc.map(Value::Typed).ok_or(Reported);
            }
            let product = self.apply(Func::Mul, vec![square.clone(), square], dtype, span)?;
            square = if rest > 1 { self.name_value_once(product)? } else { product };
        }
    }

    /// A body under a semiring tag: products only.
    pub(super) fn semiring_value(
        &mut self,
        h: &Hir,
        bound: &Bound,
        semiring: Semiring,
        want: Option<DType>,
    ) -> Result<Expr, Reported> {
        let plain = matches!(semiring, Semiring::Real | Semiring::Bool | Semiring::Count);
        let own = self.infer(h);
        let counting = semiring == Semiring::Count && own == Some(DType::Bool);
        let dtype = if counting { want } else { own.or(want) };
        let dtype = dtype.unwrap_or(if counting { DType::I64 } else { DType::F64 });
        if let HirKind::Sum(_) | HirKind::Or(_) = &h.kind
            && !plain
        {
            let d = Diagnostic::new(
                Code::Type,
                h.span,
                format!("under `=<{semiring}>` the right side is a product"),
            )
            .note(format!("`*` is the semiring's product, its sum is `{}`", semiring.reducer()))
            .help("write one equation a term");
            return Err(self.error(d));
        }
        if plain && !counting {
            return self.typed_value(h, bound, Some(dtype), h.span);
        }
        let term = self.take_apart(h, bound);
        let mut acc: Option<Expr> = None;
        for item in &term.items {
            if item.op == Op::Div || term.negative {
                let d = Diagnostic::new(
                    Code::Type,
                    item.hir.span,
                    format!("a semiring has no division or negation (`=<{semiring}>`)"),
                );
                return Err(self.error(d));
            }
            let factor = self.semiring_factor(&item.hir, bound, semiring, dtype)?;
            acc = Some(match acc {
                None => factor,
                Some(a) => self.semiring_product(a, factor, semiring, h.span)?,
            });
        }
        acc.ok_or(Reported)
    }

    pub(super) fn semiring_factor(
        &mut self,
        h: &Hir,
        bound: &Bound,
        semiring: Semiring,
        dtype: DType,
    ) -> Result<Expr, Reported> {
        let value = match &h.kind {
            HirKind::Indicator(p) => self.indicator(p, bound, Some(dtype), Some(semiring))?,
            _ => self.value(h, bound, Some(dtype))?,
        };
        match value {
            Value::Typed(e) if e.dtype() == DType::Bool && semiring == Semiring::Count => {
                Ok(Expr::Cast(dtype, Box::new(e)))
            }
            other => self.typed(other, dtype, h.span),
        }
    }

    /// The semiring's product. Integers have no infinity: over them the zero of a tropical
    /// semiring, the least or largest value, absorbs.
    pub(super) fn semiring_product(
        &mut self,
        a: Expr,
        b: Expr,
        semiring: Semiring,
        span: Span,
    ) -> Result<Expr, Reported> {
        let dtype = a.dtype();
        if !(dtype.is_int() && semiring.product() == Func::Add) {
            return self.apply(semiring.product(), vec![a, b], dtype, span);
        }
        let (a, b) = (self.name_value_once(a)?, self.name_value_once(b)?);
        Ok(absorbing_sum(semiring.zero(dtype), a, b))
    }

    // ---- types

    /// A binary operation of `+ - * /` or logic on values, exact on constants.
    pub(super) fn arithmetic(
        &mut self,
        func: Func,
        (a, left): (Value, Span),
        (b, right): (Value, Span),
        dtype: Option<DType>,
    ) -> Result<Value, Reported> {
        let span = left.to(right);
        if let (Value::Constant(x), Value::Constant(y)) = (&a, &b) {
            let folded = typing::fold_operator(func, x, y);
            if let Some(c) = self.folded(folded, span)? {
                return Ok(Value::Constant(c));
            }
        }
        let Some(dtype) = dtype else { return Err(self.needs_type(span)) };
        let (a, b) = (self.typed(a, dtype, left)?, self.typed(b, dtype, right)?);
        let func = match (func, dtype) {
            (Func::Mul, DType::Bool) => Func::And,
            (Func::Add, DType::Bool) => Func::Or,
            (f, _) => f,
        };
        Ok(Value::Typed(self.apply(func, vec![a, b], dtype, span)?))
    }

    pub(super) fn folded(
        &mut self,
        folded: Folded,
        span: Span,
    ) -> Result<Option<Constant>, Reported> {
        typing::folded(folded, span).map_err(|d| self.error(*d))
    }

    /// Applies a function, checking its argument types.
    pub(super) fn apply(
        &mut self,
        func: Func,
        args: Vec<Expr>,
        _dtype: DType,
        span: Span,
    ) -> Result<Expr, Reported> {
        typing::apply(func, args, span).map_err(|d| self.error(*d))
    }

    /// The value in an element type.
    pub(super) fn typed(
        &mut self,
        value: Value,
        dtype: DType,
        span: Span,
    ) -> Result<Expr, Reported> {
        typing::typed(value, dtype, span).map_err(|d| self.error(*d))
    }
}
