//! Bracketed reductions, and what R14 makes of softmax, cumsum, mean, argmax.

use super::Reported;
use super::constant::Constant;
use super::hir::{Hir, ReduceOp};
use super::statement::{StatementCx, Written};
use super::typing::Value;
use super::value::Bound;
use crate::diag::{Code, Diagnostic};
use crate::graph::Attributes;
use crate::int::IntExpr;
use crate::scalar::{Expr, Func, Reducer, Subscript};
use crate::span::Span;
use crate::{TensorId, VarId};
use tcc_abi::{DType, Scalar};

/// What a reduction is over.
struct Reduction<'r> {
    vars: &'r [VarId],
    body: Expr,
    pred: Option<Expr>,
    span: Span,
}

impl StatementCx<'_, '_> {
    /// The element type of a reduction whose body has this type.
    pub(super) fn reduce_dtype(&self, op: ReduceOp, body: Option<DType>) -> Option<DType> {
        match op {
            ReduceOp::Count | ReduceOp::ArgMax | ReduceOp::ArgMin => Some(DType::I64),
            ReduceOp::Monoid(Reducer::Or | Reducer::And) => Some(DType::Bool),
            ReduceOp::Monoid(_)
            | ReduceOp::Mean
            | ReduceOp::Softmax
            | ReduceOp::LogSoftmax
            | ReduceOp::Cumsum => body,
        }
    }

    /// `sum[k | p](e)` and its kin, as a value.
    #[expect(clippy::too_many_arguments, reason = "the parts of one construct")]
    pub(super) fn reduction(
        &mut self,
        op: ReduceOp,
        vars: &[VarId],
        pred: Option<&Hir>,
        body: &Hir,
        bound: &Bound,
        (want, span): (Option<DType>, Span),
    ) -> Result<Value, Reported> {
        let inner = bound.with(vars);
        let counts = matches!(op, ReduceOp::Count | ReduceOp::ArgMax | ReduceOp::ArgMin);
        let want = match op {
            ReduceOp::Count => Some(DType::Bool),
            _ if counts => None,
            _ => want,
        };
        let body_want = self.infer(body).or(want);
        let dtype = body_want.unwrap_or(DType::I64);
        let body = self.typed_value(body, &inner, Some(dtype), body.span)?;
        let pred = pred.map(|p| self.predicate(p, &inner)).transpose()?;
        let r = Reduction { vars, body, pred, span };
        if op.keeps_axis() {
            self.check_axis_is_bound(vars, bound, span)?;
        }
        match op {
            ReduceOp::Monoid(m) => {
                let m = self.reducer_for(m, r.body.dtype(), span)?;
                Ok(Value::Typed(self.reduce_into_temporary(m, r.body, r.pred, vars)?))
            }
            ReduceOp::Mean => self.mean(r),
            ReduceOp::Count => self.count(r),
            ReduceOp::ArgMax => self.arg_extreme(r, Reducer::Max),
            ReduceOp::ArgMin => self.arg_extreme(r, Reducer::Min),
            ReduceOp::Softmax => self.softmax(r, false),
            ReduceOp::LogSoftmax => self.softmax(r, true),
            ReduceOp::Cumsum => self.cumsum(r),
        }
    }

    fn check_axis_is_bound(
        &mut self,
        vars: &[VarId],
        bound: &Bound,
        span: Span,
    ) -> Result<(), Reported> {
        let Some(v) = vars.iter().find(|v| !bound.contains(**v)) else { return Ok(()) };
        let name = self.index_name(*v);
        let d = Diagnostic::new(
            Code::Name,
            span,
            format!("the reduction keeps its axis, but the target does not bear `{name}`"),
        )
        .help(format!("write `[...,{name}]` on the left side"));
        Err(self.error(d))
    }

    fn needs_float(&mut self, r: &Reduction<'_>, what: &str) -> Result<DType, Reported> {
        let dtype = r.body.dtype();
        if dtype.is_float() {
            return Ok(dtype);
        }
        let d = Diagnostic::new(
            Code::Type,
            r.span,
            format!("`{what}` is defined on floating types, not on {dtype}"),
        )
        .help("convert the values: `cast(f32, ...)`");
        Err(self.error(d))
    }

    /// Sum over count; the count is a size unless a condition excludes positions.
    fn mean(&mut self, r: Reduction<'_>) -> Result<Value, Reported> {
        let dtype = self.needs_float_or_complex(&r)?;
        let count = match &r.pred {
            None => Value::Constant(self.extent_product(r.vars)),
            Some(p) => {
                let one = Expr::Literal(Scalar::from_i128(dtype, 1));
                let p = Some(p.clone());
                Value::Typed(self.reduce_into_temporary(Reducer::Sum, one, p, r.vars)?)
            }
        };
        let sum = self.reduce_into_temporary(Reducer::Sum, r.body, r.pred, r.vars)?;
        self.arithmetic(Func::Div, (Value::Typed(sum), r.span), (count, r.span), Some(dtype))
    }

    fn needs_float_or_complex(&mut self, r: &Reduction<'_>) -> Result<DType, Reported> {
        if r.body.dtype().is_complex() { Ok(r.body.dtype()) } else { self.needs_float(r, "mean") }
    }

    fn extent_product(&self, vars: &[VarId]) -> Constant {
        let one = IntExpr::constant(1);
        Constant::index(vars.iter().fold(one, |p, v| p * self.domain(*v).unwrap_or_default().1))
    }

    fn count(&mut self, r: Reduction<'_>) -> Result<Value, Reported> {
        let number = |n| Expr::Literal(Scalar::from_i128(DType::I64, n));
        if r.body.dtype() != DType::Bool {
            let d = Diagnostic::new(
                Code::Type,
                r.span,
                format!("`count` counts where a condition holds; this has type {}", r.body.dtype()),
            )
            .help("compare it: `count[k](... != 0)`");
            return Err(self.error(d));
        }
        let body = Expr::select(r.body, number(1), number(0));
        Ok(Value::Typed(self.reduce_into_temporary(Reducer::Sum, body, r.pred, r.vars)?))
    }

    /// The smallest position whose value is the extreme; NaN wins. -1 if a condition excludes every
    /// position.
    fn arg_extreme(&mut self, r: Reduction<'_>, reducer: Reducer) -> Result<Value, Reported> {
        let [var] = r.vars else {
            let d = Diagnostic::new(Code::Rank, r.span, "argmax and argmin reduce over one index");
            return Err(self.error(d));
        };
        let dtype = r.body.dtype();
        let reducer = self.reducer_for(reducer, dtype, r.span)?;
        let (_, extent) = self.domain(*var).unwrap_or_default();
        self.function.require_at_least_one(extent, r.span);
        let body = self.name_value_once(r.body)?;
        let extreme = self.reduce_into_temporary(reducer, body.clone(), r.pred.clone(), r.vars)?;
        let mut found = Expr::binary(Func::Eq, body.clone(), extreme);
        if dtype.is_float() {
            found = Expr::binary(Func::Or, found, Expr::Apply(Func::IsNan, vec![body]));
        }
        let none = Expr::Literal(Reducer::Min.unit(DType::I64));
        let position = Expr::select(found, Expr::index(*var, DType::I64), none.clone());
        let has_pred = r.pred.is_some();
        let first = self.reduce_into_temporary(Reducer::Min, position, r.pred, r.vars)?;
        if !has_pred {
            return Ok(Value::Typed(first));
        }
        let missing = Expr::binary(Func::Eq, first.clone(), none);
        let minus_one = Expr::Literal(Scalar::from_i128(DType::I64, -1));
        Ok(Value::Typed(Expr::select(missing, minus_one, first)))
    }

    /// `softmax[k|p](e)`: m = max[k|p](e), n = select(p, exp(e-m), 0), n / sum[k](n), and 0 where p
    /// is false; `logsoftmax` is (e - m) - log(sum[k|p](exp(e-m))), and -inf where p is false.
    fn softmax(&mut self, r: Reduction<'_>, log: bool) -> Result<Value, Reported> {
        let dtype = self.needs_float(&r, if log { "logsoftmax" } else { "softmax" })?;
        let body = self.name_value_once(r.body)?;
        let largest =
            self.reduce_into_temporary(Reducer::Max, body.clone(), r.pred.clone(), r.vars)?;
        let shifted = Expr::binary(Func::Sub, body, largest);
        let excluded = Expr::number(dtype, if log { f64::NEG_INFINITY } else { 0.0 });
        let guarded = |value: Expr| match &r.pred {
            None => value,
            Some(p) => Expr::select(p.clone(), value, excluded.clone()),
        };
        if log {
            let exp = Expr::Apply(Func::Exp, vec![shifted.clone()]);
            let sum = self.reduce_into_temporary(Reducer::Sum, exp, r.pred.clone(), r.vars)?;
            let log_sum = Expr::Apply(Func::Log, vec![sum]);
            return Ok(Value::Typed(guarded(Expr::binary(Func::Sub, shifted, log_sum))));
        }
        let numerator = guarded(Expr::Apply(Func::Exp, vec![shifted]));
        let numerator = self.name_value_once(numerator)?;
        let sum = self.reduce_into_temporary(Reducer::Sum, numerator.clone(), None, r.vars)?;
        Ok(Value::Typed(guarded(Expr::binary(Func::Div, numerator, sum))))
    }

    /// `cumsum[k](e)` as a scan: S[0] = 0, S[k+1] = S[k] + e, read at k+1.
    fn cumsum(&mut self, r: Reduction<'_>) -> Result<Value, Reported> {
        let [var] = r.vars else {
            let d = Diagnostic::new(Code::Rank, r.span, "cumsum runs along one index");
            return Err(self.error(d));
        };
        let dtype = r.body.dtype();
        self.reducer_for(Reducer::Sum, dtype, r.span)?;
        let body = match r.pred {
            None => r.body,
            Some(p) => Expr::select(p, r.body, Expr::Literal(Scalar::from_i128(dtype, 0))),
        };
        let kept = self.free_vars(&[Some(&body), Some(&Expr::index(*var, dtype))], &[]);
        let axis = kept.iter().position(|v| v == var).unwrap_or(0);
        let (tensor, _) = self.running_sum_tensor(&kept, axis, dtype);
        let at = |shift: i64| {
            let mut positions = self.normalized(&kept);
            if let Some(p) = positions.get_mut(axis) {
                *p = &*p + IntExpr::constant(shift);
            }
            positions
        };
        let (here, next) = (at(0), at(1));
        let add = if dtype == DType::Bool { Func::Or } else { Func::Add };
        let step = Expr::binary(add, Expr::read(tensor, dtype, here.clone()), body);
        let none = Attributes::default;
        let write = |p: &[IntExpr]| p.iter().cloned().map(Subscript::Affine).collect::<Vec<_>>();
        let mut first = here;
        if let Some(p) = first.get_mut(axis) {
            *p = IntExpr::constant(0);
        }
        let zero = Expr::Literal(Scalar::from_i128(dtype, 0));
        let base = self.build(write(&first), None, zero, None, &[], none());
        let next_eq = self.build(write(&next), None, step, None, &[], none());
        self.function.define(tensor, base, self.fix);
        self.function.define(tensor, next_eq, self.fix);
        Ok(Value::Typed(Expr::read(tensor, dtype, next)))
    }

    fn running_sum_tensor(
        &mut self,
        kept: &[VarId],
        axis: usize,
        dtype: DType,
    ) -> (TensorId, usize) {
        let (tensor, _) = self.temporary(kept, dtype);
        if let Some(extent) =
            self.function.function.tensors.get_mut(tensor).and_then(|t| t.shape.get_mut(axis))
        {
            *extent = &*extent + IntExpr::constant(1);
        }
        (tensor, axis)
    }

    /// `mean=`: sum and count of the contributions of each element, then their quotient.
    pub(super) fn mean_equation(
        &mut self,
        written: &Written,
        value: &Hir,
        guard: Option<&Hir>,
        bound: &Bound,
    ) -> Result<(), Reported> {
        let reduced = self.all_unbound(value, guard, bound);
        let inner = bound.with(&reduced);
        let want = written.tensor.and_then(|t| self.function.function.tensors.get(t));
        let want = want.map(|t| t.dtype).or_else(|| self.infer(value));
        let body = self.typed_value(value, &inner, want, value.span)?;
        let dtype = body.dtype();
        if !dtype.is_float() && !dtype.is_complex() {
            let d = Diagnostic::new(
                Code::Type,
                value.span,
                format!("`mean=` is defined on floating types, not on {dtype}"),
            );
            return Err(self.error(d));
        }
        let target = match written.tensor {
            Some(t) => t,
            None => self.infer_target(written, dtype)?,
        };
        if self.function.pending.definitions.contains_key(&target) {
            let d = Diagnostic::new(
                Code::Redef,
                written.span,
                format!("`{}` has another equation beside `mean=`", written.name.text),
            );
            return Err(self.error(d));
        }
        let guard = guard.map(|g| self.predicate(g, &inner)).transpose()?;
        let shape = self.function.function.tensors.get(target).map(|t| t.shape.clone());
        let shape = shape.unwrap_or_default();
        let one = Expr::Literal(Scalar::from_i128(dtype, 1));
        let sum = self.accumulate(written, &shape, body, guard.clone(), &reduced)?;
        let count = self.accumulate(written, &shape, one, guard, &reduced)?;
        self.quotient(target, sum, count, &shape, dtype);
        Ok(())
    }

    /// A tensor of the target's shape that sums `body` under the target's subscripts.
    fn accumulate(
        &mut self,
        written: &Written,
        shape: &[IntExpr],
        body: Expr,
        guard: Option<Expr>,
        reduced: &[VarId],
    ) -> Result<TensorId, Reported> {
        let stem = self.stem.clone();
        let tensor = self.function.fresh_tensor(&stem, body.dtype(), shape.to_vec(), self.span);
        let name = crate::text::ast::Name { text: stem, span: written.span };
        let target =
            Written { name, tensor: Some(tensor), subs: written.subs.clone(), span: written.span };
        self.write(&target, Some(Reducer::Sum), body, guard, reduced)?;
        Ok(tensor)
    }

    /// `target[i...] = sum[i...] / count[i...]` over the whole shape.
    fn quotient(
        &mut self,
        target: TensorId,
        sum: TensorId,
        count: TensorId,
        shape: &[IntExpr],
        dtype: DType,
    ) {
        use crate::graph::{Equation, Index};
        let mut vars = cranelift_entity::PrimaryMap::new();
        let mut positions = Vec::new();
        for (axis, extent) in shape.iter().enumerate() {
            let name = self.unused_index(&format!("m{axis}"));
            let v: VarId = vars.push(Index { name, extent: extent.clone() });
            positions.push(IntExpr::from(v));
        }
        let read = |t| Expr::read(t, dtype, positions.clone());
        let equation = Equation {
            vars,
            subscripts: positions.iter().cloned().map(Subscript::Affine).collect(),
            reducer: None,
            body: Expr::binary(Func::Div, read(sum), read(count)),
            guard: None,
            attributes: Attributes::default(),
            span: self.span,
        };
        self.function.define(target, equation, self.fix);
    }

    /// An index name that is neither a size nor a tensor.
    pub(super) fn unused_index(&self, stem: &str) -> String {
        let mut name = stem.to_owned();
        while self.function.binding(&name, false).is_some()
            || self.function.function.size_by_name(&name).is_some()
        {
            name.insert(0, '_');
        }
        name
    }
}
