//! Values: element types (R13) and implicit sums (R1-R3).
//!
//! A value is lowered in a *scope*: a right side, a function argument, a parenthesised sum. In each
//! scope an index that nothing binds is summed over the one term whose factors use it. Constants
//! stay untyped until something typed meets them.

use super::Reported;
use super::constant::{Constant, Folded};
use super::hir::{Hir, HirKind, HirRead, HirSub, Shared};
use super::statement::StatementCx;
use super::typing::{self, Value};
use crate::VarId;
use crate::diag::{Code, Diagnostic};
use crate::scalar::{
    Comparison, Expr, Func, Read, Reducer, Semiring, Signature, Subscript, absorbing_sum,
};
use crate::span::Span;
use crate::text::ast::ProductOp;
use tcc_abi::{DType, Scalar};

/// The indices that a scope's surroundings bind.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound(Vec<VarId>);

impl Bound {
    pub(super) fn insert(&mut self, v: VarId) {
        if !self.0.contains(&v) {
            self.0.push(v);
        }
    }

    pub(super) fn contains(&self, v: VarId) -> bool {
        self.0.contains(&v)
    }

    pub(super) fn with(&self, vars: &[VarId]) -> Bound {
        let mut out = self.clone();
        vars.iter().for_each(|v| out.insert(*v));
        out
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = VarId> {
        self.0.iter().copied()
    }
}

/// One factor or divisor of a term.
#[derive(Clone)]
struct Item<'h> {
    op: Op,
    hir: std::borrow::Cow<'h, Hir>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Mul,
    Div,
    And,
}

/// A product taken apart (R1).
struct Term<'h> {
    negative: bool,
    items: Vec<Item<'h>>,
    /// Indices summed over this term, in order of appearance.
    reduced: Vec<VarId>,
}

impl StatementCx<'_, '_> {
    /// The element type that the expression has by itself; `None` if it consists of constants.
    pub(super) fn infer(&self, h: &Hir) -> Option<DType> {
        match &h.kind {
            HirKind::Constant(_) | HirKind::Indicator(_) => None,
            HirKind::Bool(_)
            | HirKind::Compare(..)
            | HirKind::Not(_)
            | HirKind::And(_)
            | HirKind::Or(_) => Some(DType::Bool),
            HirKind::Read(r) => self.function.function.tensors.get(r.tensor).map(|t| t.dtype),
            HirKind::Cast(d, _) | HirKind::Bitcast(d, _) => Some(*d),
            HirKind::Neg(a) => self.infer(a),
            HirKind::Power(a, _) => self.infer(a),
            HirKind::Sum(terms) => terms.iter().find_map(|(_, t)| self.infer(t)),
            HirKind::Product(factors) => factors.iter().find_map(|(_, t)| self.infer(t)),
            HirKind::Reduce { op, body, .. } => self.reduce_dtype(*op, self.infer(body)),
            HirKind::Inline { body, .. } => self.infer(body),
            HirKind::Shared(s) => self.infer(&s.value),
            HirKind::Apply(func, args) => {
                let first = args.iter().find_map(|a| self.infer(a));
                match func.signature() {
                    Signature::FloatTest | Signature::Equality | Signature::Order => {
                        Some(DType::Bool)
                    }
                    Signature::Logic => Some(DType::Bool),
                    Signature::Choice => args.iter().skip(1).find_map(|a| self.infer(a)),
                    Signature::Magnitude | Signature::ComplexToReal => first.map(DType::real_part),
                    Signature::RealToComplex => first.and_then(DType::complex_of),
                    _ => first,
                }
            }
        }
    }

    /// Lowers in a scope and gives the result a type: its own, `want`, or i64.
    pub(super) fn typed_value(
        &mut self,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
        span: Span,
    ) -> Result<Expr, Reported> {
        let dtype = self.infer(h).or(want).unwrap_or(DType::I64);
        let value = self.value(h, bound, Some(dtype))?;
        self.typed(value, dtype, span)
    }

    /// Lowers in a scope.
    pub(super) fn value(
        &mut self,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        match &h.kind {
            HirKind::Sum(terms) => {
                let parts = terms.iter().map(|(n, t)| (*n, t));
                self.sum(parts, false, h, bound, want)
            }
            HirKind::Or(parts) => self.sum(parts.iter().map(|t| (false, t)), true, h, bound, want),
            _ => self.term(h, bound, want),
        }
    }

    fn sum<'h>(
        &mut self,
        terms: impl Iterator<Item = (bool, &'h Hir)>,
        logical: bool,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        let dtype = self.infer(h).or(want);
        let mut acc: Option<(Value, Span)> = None;
        for (negative, t) in terms {
            let value = self.value(t, bound, dtype)?;
            let span = acc.as_ref().map_or(t.span, |(_, left)| left.to(t.span));
            let value = match (acc, negative) {
                (None, false) => value,
                (None, true) => self.negate(value, dtype, t.span)?,
                (Some(a), _) => {
                    let func = match (logical, negative) {
                        (true, _) => Func::Or,
                        (false, true) => Func::Sub,
                        (false, false) => Func::Add,
                    };
                    self.arithmetic(func, a, (value, t.span), dtype)?
                }
            };
            acc = Some((value, span));
        }
        acc.map(|(value, _)| value).ok_or(Reported)
    }

    fn negate(
        &mut self,
        value: Value,
        dtype: Option<DType>,
        span: Span,
    ) -> Result<Value, Reported> {
        match value {
            Value::Constant(c) => Ok(Value::Constant(c.neg())),
            Value::Typed(e) => {
                let dtype = dtype.unwrap_or(e.dtype());
                Ok(Value::Typed(self.apply(Func::Neg, vec![e], dtype, span)?))
            }
        }
    }

    /// Takes a product apart into factors and divisors. Products in parentheses are flattened; one
    /// with a division only if it has an index to be summed and the type is not an integer, for a
    /// quotient of integers rounds.
    fn take_apart<'h>(&self, h: &'h Hir, bound: &Bound) -> Term<'h> {
        let mut term = Term { negative: false, items: Vec::new(), reduced: Vec::new() };
        let mut inner = h;
        if let HirKind::Neg(a) = &inner.kind
            && !a.is_factor()
        {
            term.negative = true;
            inner = a;
        }
        self.take_factors(inner, bound, Op::Mul, true, &mut term.items);
        term
    }

    fn take_factors<'h>(
        &self,
        h: &'h Hir,
        bound: &Bound,
        op: Op,
        outermost: bool,
        items: &mut Vec<Item<'h>>,
    ) {
        use std::borrow::Cow::{Borrowed, Owned};
        match &h.kind {
            HirKind::And(parts) => {
                for p in parts {
                    self.take_factors(p, bound, Op::And, false, items);
                }
            }
            HirKind::Product(factors) if outermost || self.may_flatten(h, factors, bound) => {
                let remainder = factors.iter().rposition(|(op, _)| *op == ProductOp::Rem);
                let rest = remainder.map_or(0, |at| at + 1);
                if let Some(at) = remainder {
                    // Everything up to the last `%` is one value.
                    let (left, right) = factors.split_at(at);
                    let left = Hir::new(HirKind::Product(left.to_vec()), h.span);
                    let right = right.iter().take(1).map(|(_, f)| f.clone());
                    let args = std::iter::once(left).chain(right).collect();
                    let rem = Hir::new(HirKind::Apply(Func::Rem, args), h.span);
                    items.push(Item { op, hir: Owned(rem) });
                }
                for (o, f) in factors.iter().skip(rest) {
                    match o {
                        ProductOp::Div => items.push(Item { op: Op::Div, hir: Borrowed(f) }),
                        _ => self.take_factors(f, bound, op, false, items),
                    }
                }
            }
            _ => items.push(Item { op, hir: Borrowed(h) }),
        }
    }

    fn may_flatten(&self, h: &Hir, factors: &[(ProductOp, Hir)], bound: &Bound) -> bool {
        let mut open = false;
        h.free_indices(&mut |v, _| open |= !bound.contains(v));
        if factors.iter().all(|(op, _)| *op == ProductOp::Mul) {
            // Without an index to be summed the product is computed as written.
            return open;
        }
        let remainder = factors.iter().any(|(op, _)| *op == ProductOp::Rem);
        open && !remainder && !self.infer(h).is_some_and(DType::is_int)
    }

    /// Finds which indices a term sums over, and refuses the ambiguous ones (R3).
    fn analyze<'h>(&mut self, h: &'h Hir, bound: &Bound) -> Result<Term<'h>, Reported> {
        let mut term = self.take_apart(h, bound);
        let mut owners: Vec<(VarId, usize, bool, Span)> = Vec::new();
        for (k, item) in term.items.iter().enumerate() {
            let factor = item.op != Op::Div && item.hir.is_factor();
            item.hir.free_indices(&mut |v, span| {
                if !bound.contains(v) {
                    owners.push((v, k, factor, span));
                }
            });
        }
        for (v, k, factor, span) in &owners {
            let divisor = term.items.get(*k).is_some_and(|i| i.op == Op::Div);
            let elsewhere = owners.iter().find(|(w, j, _, _)| w == v && j != k);
            if divisor {
                return Err(self.ambiguous(*v, *span, "a denominator", None));
            }
            if let (false, Some((_, _, _, other))) = (*factor, elsewhere) {
                let place = "a function argument or parenthesised sum and another factor";
                return Err(self.ambiguous(*v, *span, place, Some(*other)));
            }
            if *factor && !term.reduced.contains(v) {
                term.reduced.push(*v);
            }
        }
        for v in term.reduced.clone() {
            self.warn_surprise(v);
        }
        Ok(term)
    }

    fn ambiguous(&mut self, v: VarId, span: Span, place: &str, other: Option<Span>) -> Reported {
        let name = self.index_name(v);
        let message = format!("the target does not bear index `{name}`, which stands in {place}");
        let mut d = Diagnostic::new(Code::AmbigSum, span, message)
            .help(format!("write `sum[{name}](...)` around what is to be summed"));
        if let Some(o) = other {
            d = d.label(span, "used here").label(o, "and here");
        }
        self.error(d)
    }

    /// W-SUM-SURPRISE: an index that is summed although it occurs once in the whole function.
    fn warn_surprise(&mut self, v: VarId) {
        let Some(index) = self.indices.table.get(v) else { return };
        let in_function = self.function.index_counts.get(&index.name).copied().unwrap_or(0);
        if index.occurrences > 1 || in_function > 1 || self.explicit_sums {
            return;
        }
        let d = Diagnostic::new(
            Code::SumSurprise,
            index.span,
            format!("index `{}` is summed although it occurs only here", index.name),
        )
        .help(format!("if the sum is meant, write `sum[{}](...)`", index.name));
        self.warn(d);
    }

    /// A right side that is one sum over factors: its body and the indices summed over, so that the
    /// target can take the sum directly. `guard_vars` are summed too.
    pub(super) fn direct_sum(
        &mut self,
        h: &Hir,
        bound: &Bound,
        guard_vars: &[VarId],
        want: Option<DType>,
    ) -> Result<Option<(Expr, Vec<VarId>)>, Reported> {
        if matches!(h.kind, HirKind::Sum(_) | HirKind::Or(_)) {
            return Ok(None);
        }
        let mut term = self.analyze(h, bound)?;
        for v in guard_vars {
            if !term.reduced.contains(v) {
                term.reduced.push(*v);
            }
        }
        let reduced = term.reduced.clone();
        let direct = !term.negative
            && !reduced.is_empty()
            && term.items.iter().all(|i| i.op != Op::Div && mentions(&i.hir, &reduced));
        if !direct {
            return Ok(None);
        }
        let dtype = self.infer(h).or(want).unwrap_or(DType::I64);
        let inner = bound.with(&reduced);
        let body = self.combine_items(&term.items, &inner, Some(dtype))?;
        Ok(Some((self.typed(body, dtype, h.span)?, reduced)))
    }

    /// One term of a scope.
    fn term(&mut self, h: &Hir, bound: &Bound, want: Option<DType>) -> Result<Value, Reported> {
        let term = self.analyze(h, bound)?;
        let dtype = self.infer(h).or(want);
        let value = if term.reduced.is_empty() {
            self.combine_items(&term.items, bound, dtype)?
        } else {
            self.summed_term(&term, bound, dtype, h.span)?
        };
        if term.negative { self.negate(value, dtype, h.span) } else { Ok(value) }
    }

    /// A term with a sum: the factors that bear a summed index go inside, the others multiply the
    /// sum; so do divisors, except over integers, where the quotient is summed.
    fn summed_term(
        &mut self,
        term: &Term<'_>,
        bound: &Bound,
        dtype: Option<DType>,
        span: Span,
    ) -> Result<Value, Reported> {
        let dtype = dtype.unwrap_or(DType::I64);
        let whole = dtype.is_int() && term.items.iter().any(|i| i.op == Op::Div);
        let inside = |i: &Item<'_>| whole || (i.op != Op::Div && mentions(&i.hir, &term.reduced));
        let summed: Vec<Item<'_>> = term.items.iter().filter(|i| inside(i)).cloned().collect();
        let inner = bound.with(&term.reduced);
        let body = self.combine_items(&summed, &inner, Some(dtype))?;
        let body = self.typed(body, dtype, span)?;
        let reducer = self.reducer_for(Reducer::Sum, dtype, span)?;
        let mut sum = Some(self.reduce_into_temporary(reducer, body, None, &term.reduced)?);
        let mut acc: Option<(Value, Span)> = None;
        for item in &term.items {
            let at = item.hir.span;
            let value = match (inside(item), sum.take()) {
                (true, None) => continue,
                (true, Some(s)) => Value::Typed(s),
                (false, rest) => {
                    sum = rest;
                    self.item_value(&item.hir, bound, Some(dtype))?
                }
            };
            acc = Some(match acc {
                None => (value, at),
                Some(a) => {
                    let joined = a.1.to(at);
                    let func = func_of(item.op, dtype);
                    (self.arithmetic(func, a, (value, at), Some(dtype))?, joined)
                }
            });
        }
        acc.map(|(value, _)| value).ok_or(Reported)
    }

    fn combine_items(
        &mut self,
        items: &[Item<'_>],
        bound: &Bound,
        dtype: Option<DType>,
    ) -> Result<Value, Reported> {
        let mut acc: Option<(Value, Span)> = None;
        for item in items {
            let value = self.item_value(&item.hir, bound, dtype)?;
            let at = item.hir.span;
            acc = Some(match acc {
                None if item.op == Op::Div => {
                    let one = (Value::Constant(Constant::int(1)), at);
                    (self.arithmetic(Func::Div, one, (value, at), dtype)?, at)
                }
                None => (value, at),
                Some(a) => {
                    let joined = a.1.to(at);
                    let func = func_of(item.op, dtype.unwrap_or(DType::I64));
                    (self.arithmetic(func, a, (value, at), dtype)?, joined)
                }
            });
        }
        acc.map(|(value, _)| value).ok_or(Reported)
    }

    /// A factor, or a function of its own scopes.
    fn item_value(
        &mut self,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        match &h.kind {
            HirKind::Constant(c) => Ok(Value::Constant(c.clone())),
            HirKind::Bool(b) => Ok(Value::Typed(Expr::Literal(Scalar::from_bool(*b)))),
            HirKind::Read(r) => Ok(Value::Typed(self.read(r, bound)?)),
            HirKind::Indicator(p) => self.indicator(p, bound, want, None),
            HirKind::Neg(a) => {
                let value = self.item_value(a, bound, want)?;
                self.negate(value, want, h.span)
            }
            HirKind::Cast(d, a) => self.cast(*d, a, bound),
            HirKind::Bitcast(d, a) => self.bitcast(*d, a, bound, h.span),
            HirKind::Apply(func, args) => self.application(*func, args, h, bound, want),
            HirKind::Not(a) => {
                let p = self.predicate(a, bound)?;
                Ok(Value::Typed(self.apply(Func::Not, vec![p], DType::Bool, h.span)?))
            }
            HirKind::Compare(op, a, b) => self.comparison(*op, a, b, h, bound),
            HirKind::Power(a, b) => self.power(a, b, h, bound, want),
            HirKind::Sum(_) | HirKind::Or(_) | HirKind::Product(_) | HirKind::And(_) => {
                self.value(h, bound, want)
            }
            HirKind::Reduce { op, vars, pred, body } => {
                self.reduction(*op, vars, pred.as_deref(), body, bound, (want, h.span))
            }
            HirKind::Inline { body, .. } => match &body.kind {
                HirKind::Shared(s) => self.value(&s.value, bound, want),
                _ => self.value(body, bound, want),
            },
            HirKind::Shared(s) => self.shared(s, bound, want),
        }
    }

    /// A value that may be used several times: named unless it is an element or constant.
    fn shared(
        &mut self,
        s: &Shared,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
        if let Some(v) = self.shared_values.get(&s.id) {
            return Ok(v.clone());
        }
        let value = self.value(&s.value, bound, want)?;
        let uses = self.shared_uses.get(&s.id).copied().unwrap_or(0);
        let value = match value {
            Value::Typed(e) if uses > 1 => Value::Typed(self.name_value_once(e)?),
            other => other,
        };
        self.shared_values.insert(s.id, value.clone());
        Ok(value)
    }

    /// A read whose subscripts may depend on data.
    pub(super) fn read(&mut self, r: &HirRead, bound: &Bound) -> Result<Expr, Reported> {
        let Some(t) = self.function.function.tensors.get(r.tensor) else { return Err(Reported) };
        let dtype = t.dtype;
        let mut subscripts = Vec::with_capacity(r.subs.len());
        for sub in &r.subs {
            subscripts.push(match sub {
                HirSub::Int(i) => Subscript::Affine(i.clone()),
                HirSub::Data(h) => {
                    let everything = self.bind_free(h, bound);
                    Subscript::Data(self.data_subscript(h, &everything)?)
                }
            });
        }
        let default = match &r.default {
            None => None,
            Some(d) => Some(self.typed_value(d, bound, Some(dtype), d.span)?),
        };
        if let (Some(d), Some(h)) = (&default, &r.default)
            && d.dtype() != dtype
        {
            let message = format!("the default has type {}, the tensor holds {dtype}", d.dtype());
            return Err(self.error(Diagnostic::new(Code::Type, h.span, message)));
        }
        Ok(Expr::Read(Box::new(Read { tensor: r.tensor, dtype, subscripts, default })))
    }

    fn bind_free(&self, h: &Hir, bound: &Bound) -> Bound {
        let mut out = bound.clone();
        h.free_indices(&mut |v, _| out.insert(v));
        out
    }

    /// A subscript that depends on data: any integer type.
    pub(super) fn data_subscript(&mut self, h: &Hir, bound: &Bound) -> Result<Expr, Reported> {
        let e = self.typed_value(h, bound, Some(DType::I64), h.span)?;
        if e.dtype().is_int() {
            return Ok(e);
        }
        let d = Diagnostic::new(
            Code::Type,
            h.span,
            format!("a subscript has an integer type, this one has type {}", e.dtype()),
        )
        .help("convert it: `cast(i64, ...)` truncates toward zero");
        Err(self.error(d))
    }

    /// A condition.
    pub(super) fn predicate(&mut self, h: &Hir, bound: &Bound) -> Result<Expr, Reported> {
        let e = self.typed_value(h, bound, Some(DType::Bool), h.span)?;
        if e.dtype() == DType::Bool {
            return Ok(e);
        }
        let d = Diagnostic::new(
            Code::Type,
            h.span,
            format!("a condition is a bool, this has type {}", e.dtype()),
        )
        .help("compare it: `... != 0`");
        Err(self.error(d))
    }

    /// `[pred]`: unit or zero of the semiring (of + and * if there is no tag).
    pub(super) fn indicator(
        &mut self,
        p: &Hir,
        bound: &Bound,
        want: Option<DType>,
        semiring: Option<Semiring>,
    ) -> Result<Value, Reported> {
        let everything = self.bind_free(p, bound);
        let condition = self.predicate(p, &everything)?;
        let dtype = want.unwrap_or(DType::I64);
        if dtype == DType::Bool {
            return Ok(Value::Typed(condition));
        }
        let (one, zero) = match semiring {
            Some(s) => (s.one(dtype), s.zero(dtype)),
            None => (Scalar::from_i128(dtype, 1), Scalar::from_i128(dtype, 0)),
        };
        Ok(Value::Typed(Expr::select(condition, Expr::Literal(one), Expr::Literal(zero))))
    }

    fn cast(&mut self, dtype: DType, a: &Hir, bound: &Bound) -> Result<Value, Reported> {
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
    fn cast_constant(&mut self, c: Constant, dtype: DType, span: Span) -> Result<Expr, Reported> {
        if let (Constant::Number(r), true) = (&c, dtype.is_int())
            && !r.is_integer()
        {
            let truncated = Constant::Number(r.trunc());
            return self.typed(Value::Constant(truncated), dtype, span);
        }
        self.typed(Value::Constant(c), dtype, span)
    }

    fn bitcast(
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
    fn check_arguments(&mut self, args: &[&Hir], bound: &Bound) -> Result<(), Reported> {
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

    fn application(
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

    fn needs_type(&mut self, span: Span) -> Reported {
        let d = Diagnostic::new(Code::Type, span, "nothing gives this constant an element type")
            .help("write `cast(f32, ...)`, or declare the target with `let`");
        self.error(d)
    }

    fn comparison(
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

    fn compare_constants(
        &mut self,
        op: Comparison,
        x: &Constant,
        y: &Constant,
        span: Span,
    ) -> Result<Expr, Reported> {
        typing::compare_constants(op, x, y, span).map_err(|d| self.error(*d))
    }

    fn power(
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
    fn repeated_product(&mut self, base: Expr, n: u32, span: Span) -> Result<Value, Reported> {
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

    fn semiring_factor(
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
    fn semiring_product(
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

    fn folded(&mut self, folded: Folded, span: Span) -> Result<Option<Constant>, Reported> {
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

fn func_of(op: Op, dtype: DType) -> Func {
    match op {
        Op::Div => Func::Div,
        Op::And => Func::And,
        Op::Mul if dtype == DType::Bool => Func::And,
        Op::Mul => Func::Mul,
    }
}

fn mentions(h: &Hir, vars: &[VarId]) -> bool {
    let mut found = false;
    h.free_indices(&mut |v, _| found |= vars.contains(&v));
    found
}
