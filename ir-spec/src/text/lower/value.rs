//! Values: element types (R13) and implicit sums (R1-R3).
//!
//! A value is lowered in a *scope*: a right side, a function argument, a parenthesised sum. In each
//! scope an index that nothing binds is summed over the one term whose factors use it. Constants
//! stay untyped until something typed meets them.

use super::Reported;
use super::constant::Constant;
use super::hir::{Hir, HirKind, HirRead, HirSub, Shared};
use super::statement::StatementCx;
use super::typing::Value;
use crate::VarId;
use crate::diag::{Code, Diagnostic};
use crate::scalar::{Expr, Func, Read, Reducer, Semiring, Signature, Subscript};
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
pub(super) struct Item<'h> {
    pub(super) op: Op,
    pub(super) hir: std::borrow::Cow<'h, Hir>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Mul,
    Div,
    And,
}

/// A product taken apart (R1).
pub(super) struct Term<'h> {
    pub(super) negative: bool,
    pub(super) items: Vec<Item<'h>>,
    /// Indices summed over this term, in order of appearance.
    pub(super) reduced: Vec<VarId>,
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

    pub(super) fn sum<'h>(
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
    pub(super) fn take_apart<'h>(&self, h: &'h Hir, bound: &Bound) -> Term<'h> {
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
    pub(super) fn analyze<'h>(&mut self, h: &'h Hir, bound: &Bound) -> Result<Term<'h>, Reported> {
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

    pub(super) fn ambiguous(
        &mut self,
        v: VarId,
        span: Span,
        place: &str,
        other: Option<Span>,
    ) -> Reported {
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
    pub(super) fn warn_surprise(&mut self, v: VarId) {
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
    pub(super) fn term(
        &mut self,
        h: &Hir,
        bound: &Bound,
        want: Option<DType>,
    ) -> Result<Value, Reported> {
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
    pub(super) fn summed_term(
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
    pub(super) fn item_value(
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

    pub(super) fn bind_free(&self, h: &Hir, bound: &Bound) -> Bound {
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
