//! One equation: loop over the domain, evaluate, store or combine.

use super::{Domain, Stop, Tensor, Value, apply, bitcast, cast, index_value};
use crate::TensorId;
use crate::graph::{Equation, Function};
use crate::int::{IntExpr, Symbol};
use crate::scalar::{Expr, Read, Reducer, Subscript};
use cranelift_entity::{EntityRef, SecondaryMap};
use std::cmp::Ordering;
use tcc_abi::DType;

/// Where an equation is evaluated: the tensors so far and the sizes.
pub(super) struct Scope<'a, D: Domain> {
    pub(super) domain: &'a D,
    pub(super) function: &'a Function,
    pub(super) tensors: &'a SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
    pub(super) sizes: &'a [i64],
}

/// One point of an equation's domain.
struct Point<'a, 'e, D: Domain> {
    scope: &'a Scope<'a, D>,
    equation: &'e Equation,
    vars: Vec<i64>,
}

/// A contribution: where, and what.
pub(super) type Contribution<F> = (Vec<i128>, Value<F>);

impl<D: Domain> Scope<'_, D> {
    pub(super) fn int(&self, e: &IntExpr, vars: &[i64]) -> Result<i64, Stop> {
        let value = |s: Symbol| match s {
            Symbol::Var(v) => vars.get(v.index()).copied().unwrap_or(0),
            Symbol::Size(s) => self.sizes.get(s.index()).copied().unwrap_or(0),
        };
        e.eval(&value).map_err(|e| Stop::Limit(e.to_string()))
    }

    /// Extents of the equation's variables, empty ones as 0.
    pub(super) fn extents(&self, e: &Equation) -> Result<Vec<i64>, Stop> {
        e.vars.values().map(|x| Ok(self.int(&x.extent, &[])?.max(0))).collect()
    }

    /// Visits the domain in lexicographic order; `slot` restricts it to the points that write that
    /// slot of that axis. `shape` is the target's: values that `@drop` drops are not evaluated.
    pub(super) fn contributions(
        &self,
        e: &Equation,
        shape: &[usize],
        slot: Option<(usize, i64)>,
        visit: &mut dyn FnMut(Contribution<D::Float>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let extents = self.extents(e)?;
        let mut ranges: Vec<(i64, i64)> = extents.into_iter().map(|n| (0, n)).collect();
        let written = slot.and_then(|(axis, at)| Some((e.subscripts.get(axis)?.as_affine()?, at)));
        if let Some((i, at)) = written {
            self.restrict(i, at, &mut ranges)?;
        }
        if ranges.iter().any(|(lo, hi)| lo >= hi) {
            return Ok(());
        }
        let first = ranges.iter().map(|(lo, _)| *lo).collect();
        let mut point = Point { scope: self, equation: e, vars: first };
        loop {
            let here = match written {
                None => true,
                Some((i, at)) => self.int(i, &point.vars)? == at,
            };
            if here && point.guard()? {
                let position = point.position()?;
                if !e.attributes.drop || is_inside(&position, shape) {
                    let value = point.expr(&e.body)?;
                    visit((position, value))?;
                }
            }
            if !advance(&mut point.vars, &ranges) {
                return Ok(());
            }
        }
    }

    /// Narrows the range of the variable that a subscript `v + c` shows, so that it equals `at`.
    fn restrict(&self, i: &IntExpr, at: i64, ranges: &mut [(i64, i64)]) -> Result<(), Stop> {
        let mut vars = Vec::new();
        i.visit_symbols(&mut |s| {
            if let Symbol::Var(v) = s {
                vars.push(v);
            }
        });
        let [v] = vars.as_slice() else { return Ok(()) };
        let Some((c, rest)) = i.linear_in(*v) else { return Ok(()) };
        let c = self.int(&c, &[])?;
        if let (1 | -1, Some((lo, hi))) = (c, ranges.get_mut(v.index())) {
            let value = c * (at - self.int(&rest, &[])?);
            (*lo, *hi) = if (*lo..*hi).contains(&value) { (value, value + 1) } else { (0, 0) };
        }
        Ok(())
    }
}

fn is_inside(position: &[i128], shape: &[usize]) -> bool {
    position.iter().zip(shape).all(|(p, n)| usize::try_from(*p).is_ok_and(|p| p < *n))
}

/// The next point in lexicographic order; false after the last.
fn advance(vars: &mut [i64], ranges: &[(i64, i64)]) -> bool {
    for (v, (lo, hi)) in vars.iter_mut().zip(ranges).rev() {
        *v += 1;
        if *v < *hi {
            return true;
        }
        *v = *lo;
    }
    false
}

impl<D: Domain> Point<'_, '_, D> {
    fn guard(&self) -> Result<bool, Stop> {
        match &self.equation.guard {
            None => Ok(true),
            Some(g) => Ok(self.expr(g)? == Value::Bool(true)),
        }
    }

    /// The written position.
    fn position(&self) -> Result<Vec<i128>, Stop> {
        let mut out = Vec::with_capacity(self.equation.subscripts.len());
        for s in &self.equation.subscripts {
            out.push(match s {
                Subscript::Affine(i) => i128::from(self.scope.int(i, &self.vars)?),
                Subscript::Data(e) => self.integer(e)?,
            });
        }
        Ok(out)
    }

    fn integer(&self, e: &Expr) -> Result<i128, Stop> {
        match self.expr(e)? {
            Value::Int(i) => Ok(i),
            other => unreachable!("a subscript evaluated to {other:?}"),
        }
    }

    fn expr(&self, e: &Expr) -> Result<Value<D::Float>, Stop> {
        let domain = self.scope.domain;
        match e {
            Expr::Literal(s) => Ok(domain.value(*s)),
            Expr::Index { num, den, dtype } => {
                let n = self.scope.int(num, &self.vars)?;
                let d = self.scope.int(den, &self.vars)?;
                Ok(index_value(domain, *dtype, n, d))
            }
            Expr::Compare(op, a, b) => {
                let (a, b) = (self.scope.int(a, &self.vars)?, self.scope.int(b, &self.vars)?);
                Ok(Value::Bool(op.holds(a.cmp(&b))))
            }
            Expr::Read(r) => self.read(r),
            Expr::Apply(func, args) => {
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                let values: Result<Vec<_>, Stop> = args.iter().map(|a| self.expr(a)).collect();
                apply(domain, *func, dtype, &values?)
            }
            Expr::Cast(to, inner) => cast(domain, *to, &self.expr(inner)?),
            Expr::Bitcast(to, inner) => Ok(bitcast(domain, inner.dtype(), *to, &self.expr(inner)?)),
            Expr::Contiguous(_) => Ok(Value::Bool(true)),
        }
    }

    fn read(&self, r: &Read) -> Result<Value<D::Float>, Stop> {
        let Some(tensor) = &self.scope.tensors[r.tensor] else {
            unreachable!("tensor {} is read before it is defined", r.tensor)
        };
        let mut position = Vec::with_capacity(r.subscripts.len());
        for s in &r.subscripts {
            position.push(match s {
                Subscript::Affine(i) => i128::from(self.scope.int(i, &self.vars)?),
                Subscript::Data(e) => self.integer(e)?,
            });
        }
        match (tensor.get(&position), &r.default) {
            (Some(v), _) => Ok(v.clone()),
            (None, Some(d)) => self.expr(d),
            (None, None) => {
                Err(out_of_range(self.scope.function, r.tensor, &position, tensor, self.at()))
            }
        }
    }

    fn at(&self) -> Vec<(String, i64)> {
        let names = self.equation.vars.values().map(|x| x.name.clone());
        names.zip(self.vars.iter().copied()).collect()
    }
}

/// The failure for a position outside of a tensor.
pub(super) fn out_of_range<F: Clone>(
    function: &Function,
    t: TensorId,
    position: &[i128],
    tensor: &Tensor<F>,
    at: Vec<(String, i64)>,
) -> Stop {
    let inside = |p: i128, extent: usize| usize::try_from(p).is_ok_and(|p| p < extent);
    let axis = position
        .iter()
        .zip(&tensor.shape)
        .position(|(p, extent)| !inside(*p, *extent))
        .unwrap_or(0);
    Stop::Index {
        tensor: function.tensors.get(t).map_or_else(|| t.to_string(), |t| t.name.clone()),
        axis,
        value: position.get(axis).copied().unwrap_or(0),
        extent: tensor.shape.get(axis).copied().unwrap_or(0),
        at,
    }
}

/// An element that contributions are combined into.
#[derive(Clone, Debug)]
pub(super) enum Accumulator<F> {
    /// Nothing yet; the fill value or the old value stands.
    Untouched,
    /// The combined value, in the accumulator's type.
    Value(Value<F>),
    /// For log-sum-exp: every contribution.
    Terms(Vec<F>),
}

/// Combines a contribution.
pub(super) fn combine<D: Domain>(
    domain: &D,
    reducer: Reducer,
    acc_type: DType,
    acc: &mut Accumulator<D::Float>,
    start: &Value<D::Float>,
    x: Value<D::Float>,
) -> Result<(), Stop> {
    if reducer == Reducer::LogSumExp {
        if let Value::Float(x) = x {
            match acc {
                Accumulator::Terms(terms) => terms.push(x),
                _ => *acc = Accumulator::Terms(vec![x]),
            }
        }
        return Ok(());
    }
    let x = if x_needs_cast(acc_type, &x) { cast(domain, acc_type, &x)? } else { x };
    let old = match acc {
        Accumulator::Value(v) => v.clone(),
        _ => cast(domain, acc_type, start)?,
    };
    let part = acc_type.real_part();
    let new = match (&old, &x) {
        (Value::Float(a), Value::Float(b)) => Value::Float(domain.accumulate(reducer, part, a, b)?),
        (Value::Complex(a, b), Value::Complex(c, d)) if reducer == Reducer::Sum => Value::Complex(
            domain.accumulate(reducer, part, a, c)?,
            domain.accumulate(reducer, part, b, d)?,
        ),
        _ => match reducer.func() {
            Some(func) => apply(domain, func, acc_type, &[old, x])?,
            None => unreachable!("log-sum-exp collects its terms"),
        },
    };
    *acc = Accumulator::Value(new);
    Ok(())
}

fn x_needs_cast<F>(acc_type: DType, x: &Value<F>) -> bool {
    match x {
        Value::Int(_) => acc_type.is_int() || acc_type.is_float(),
        Value::Float(_) => acc_type.is_float(),
        Value::Complex(..) | Value::Bool(_) => false,
    }
}

/// log(sum(exp(x))) by shifting with the largest term; `-inf` for no terms.
pub(super) fn log_sum_exp<D: Domain>(
    domain: &D,
    dtype: DType,
    terms: &[D::Float],
) -> Result<D::Float, Stop> {
    use crate::scalar::Func;
    let mut largest = f64::NEG_INFINITY;
    let mut shift = domain.constant(dtype, 0.0);
    for t in terms {
        let v = domain.approximate(t);
        if v.is_finite() && v > largest {
            largest = v;
            shift = t.clone();
        }
    }
    if terms.iter().any(|t| {
        matches!(domain.approximate(t).partial_cmp(&f64::INFINITY), None | Some(Ordering::Equal))
    }) {
        shift = domain.constant(dtype, 0.0);
    }
    let mut sum = domain.constant(dtype, 0.0);
    for t in terms {
        let shifted = domain.function(Func::Sub, dtype, &[t.clone(), shift.clone()])?;
        let e = domain.function(Func::Exp, dtype, &[shifted])?;
        sum = domain.accumulate(Reducer::Sum, dtype, &sum, &e)?;
    }
    let log = domain.function(Func::Log, dtype, &[sum])?;
    domain.function(Func::Add, dtype, &[log, shift])
}
