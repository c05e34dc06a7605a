//! Functions: sizes from inputs, nodes in order, scans slot by slot, fixpoints round by round.

use super::equation::{Accumulator, Contribution, Scope, combine, log_sum_exp, out_of_range};
use super::{Domain, Stop, Tensor, Value, cast};
use crate::graph::sizes::{SizeSource, size_sources};
use crate::graph::{
    Call, Checked, Definition, Equation, Fix, Function, FunctionNames, Node, Role, Scan,
};
use crate::int::{IntExpr, Symbol, display};
use crate::scalar::Reducer;
use crate::{SizeId, TensorId};
use cranelift_entity::{EntityRef, SecondaryMap};
use indexmap::IndexMap;

/// Inputs and results by name.
pub type Tensors<F> = IndexMap<String, Tensor<F>>;

/// Evaluates functions of a checked module.
pub struct Interpreter<'m, D: Domain> {
    domain: D,
    module: &'m Checked<'m>,
    /// At most this many elements in one tensor.
    pub max_elements: usize,
}

/// Runs a function of a checked module on named inputs; `sizes` names those that no input shows.
/// Results are the declared ones, then the new values of `inout` parameters, by name.
pub fn interpret<D: Domain>(
    module: &Checked<'_>,
    function: &str,
    domain: D,
    inputs: &Tensors<D::Float>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<D::Float>, Stop> {
    let interpreter = Interpreter { domain, module, max_elements: 1 << 28 };
    let f = module
        .function(function)
        .ok_or_else(|| Stop::Shape(format!("no function `{function}`")))?;
    interpreter.run(f, inputs, sizes)
}

impl<D: Domain> Interpreter<'_, D> {
    fn run(
        &self,
        f: &Function,
        inputs: &Tensors<D::Float>,
        named: &[(&str, i64)],
    ) -> Result<Tensors<D::Float>, Stop> {
        let mut arguments = Vec::new();
        for p in &f.params {
            let Some(tensor) = f.tensors.get(*p) else { continue };
            let given = inputs
                .get(&tensor.name)
                .ok_or_else(|| Stop::Shape(format!("input `{}` is missing", tensor.name)))?;
            if given.dtype != tensor.dtype || given.shape.len() != tensor.shape.len() {
                return Err(Stop::Shape(format!(
                    "input `{}` is {}[{} axes], expected {}[{} axes]",
                    tensor.name,
                    given.dtype,
                    given.shape.len(),
                    tensor.dtype,
                    tensor.shape.len()
                )));
            }
            arguments.push(given.clone());
        }
        let shapes: Vec<&[usize]> = arguments.iter().map(|t| t.shape.as_slice()).collect();
        let sizes = bind_sizes(f, &shapes, named)?;
        self.check_facts(f, &sizes)?;
        let results = self.evaluate(f, arguments, &sizes)?;
        let names = f.results.iter().filter_map(|t| f.tensors.get(*t)).map(|t| t.name.clone());
        Ok(names.zip(results).collect())
    }

    fn check_facts(&self, f: &Function, sizes: &[i64]) -> Result<(), Stop> {
        let names = FunctionNames(f);
        for fact in &f.facts {
            let (a, b) = (eval_size(&fact.lhs, sizes)?, eval_size(&fact.rhs, sizes)?);
            if !fact.comparison.holds(a.cmp(&b)) {
                let (lhs, rhs) = (display(&fact.lhs, &names), display(&fact.rhs, &names));
                return Err(Stop::Fact(format!(
                    "the fact {lhs} {} {rhs} does not hold",
                    fact.comparison
                )));
            }
        }
        for d in self.module.derived_facts(&f.name) {
            let empty = d.unless_empty.iter().any(|e| eval_size(e, sizes).is_ok_and(|v| v <= 0));
            if !empty && eval_size(&d.nonneg, sizes)? < 0 {
                let text = d.text(f);
                return Err(Stop::Fact(format!("the fact {text} does not hold: {}", d.origin)));
            }
        }
        Ok(())
    }

    /// Runs the nodes; the results in the order of the signature.
    fn evaluate(
        &self,
        f: &Function,
        arguments: Vec<Tensor<D::Float>>,
        sizes: &[i64],
    ) -> Result<Vec<Tensor<D::Float>>, Stop> {
        let mut tensors: SecondaryMap<TensorId, Option<Tensor<D::Float>>> = SecondaryMap::new();
        for (p, t) in f.params.iter().zip(arguments) {
            tensors[*p] = Some(t);
        }
        for node in &f.nodes {
            match node {
                Node::Define(d) => {
                    let t = self.definition(f, d, &tensors, sizes)?;
                    tensors[d.tensor] = Some(t);
                }
                Node::Scan(s) => self.scan(f, s, &mut tensors, sizes)?,
                Node::Fix(x) => self.fix(f, x, &mut tensors, sizes)?,
                Node::Call(c) => self.call(f, c, &mut tensors, sizes)?,
            }
        }
        let take = |t: &TensorId| {
            tensors[*t].clone().unwrap_or_else(|| unreachable!("result {t} is not defined"))
        };
        Ok(f.results.iter().map(take).collect())
    }

    /// The tensor before any equation: the fill value, or the old value of an `inout`.
    fn blank(
        &self,
        f: &Function,
        d: &Definition,
        tensors: &SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<Tensor<D::Float>, Stop> {
        let Some(t) = f.tensors.get(d.tensor) else { unreachable!("a definition of no tensor") };
        if let Role::Result(Some(old)) = t.role
            && let Some(old) = &tensors[old]
        {
            return Ok(old.clone());
        }
        let mut shape = Vec::with_capacity(t.shape.len());
        let mut count = 1usize;
        for e in &t.shape {
            let extent = usize::try_from(eval_size(e, sizes)?)
                .map_err(|_| Stop::Shape(format!("`{}` has a negative extent", t.name)))?;
            count = count.saturating_mul(extent);
            shape.push(extent);
        }
        if count > self.max_elements {
            return Err(Stop::Limit(format!("`{}` has too many elements", t.name)));
        }
        Ok(Tensor::filled(t.dtype, &shape, self.domain.value(d.fill(t.dtype))))
    }

    fn definition(
        &self,
        f: &Function,
        d: &Definition,
        tensors: &SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<Tensor<D::Float>, Stop> {
        let mut out = self.blank(f, d, tensors, sizes)?;
        let scope = Scope { domain: &self.domain, function: f, tensors, sizes };
        let mut filling = Filling::new(&self.domain, f, d.tensor);
        let shape = out.shape.clone();
        for e in &d.equations {
            scope.contributions(e, &shape, None, &mut |c| filling.store(&mut out, e, c))?;
        }
        filling.settle(&mut out)?;
        Ok(out)
    }

    /// Slot by slot along the axis, in the scan's direction.
    fn scan(
        &self,
        f: &Function,
        s: &Scan,
        tensors: &mut SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<(), Stop> {
        let mut slots = 0;
        for (d, axis) in s.definitions.iter().zip(&s.axes) {
            let blank = self.blank(f, d, tensors, sizes)?;
            slots = slots.max(blank.shape.get(*axis).copied().unwrap_or(0));
            tensors[d.tensor] = Some(blank);
        }
        let order: Box<dyn Iterator<Item = usize>> =
            if s.backward { Box::new((0..slots).rev()) } else { Box::new(0..slots) };
        for slot in order {
            for (d, axis) in s.definitions.iter().zip(&s.axes) {
                self.slot(f, d, (*axis, slot as i64), tensors, sizes)?;
            }
        }
        Ok(())
    }

    /// One slot of one tensor of a scan: contributions are collected before any is stored, for the
    /// equations read the tensor they write.
    fn slot(
        &self,
        f: &Function,
        d: &Definition,
        slot: (usize, i64),
        tensors: &mut SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<(), Stop> {
        let mut filling = Filling::new(&self.domain, f, d.tensor);
        let mut collected = Vec::new();
        let shape = tensors[d.tensor].as_ref().map_or(Vec::new(), |t| t.shape.clone());
        for e in &d.equations {
            let scope = Scope { domain: &self.domain, function: f, tensors, sizes };
            scope.contributions(e, &shape, Some(slot), &mut |c| {
                collected.push((e, c));
                Ok(())
            })?;
        }
        if let Some(out) = &mut tensors[d.tensor] {
            for (e, c) in collected {
                filling.store(out, e, c)?;
            }
            filling.settle(out)?;
        }
        Ok(())
    }

    /// Rounds from the units until nothing changes. A round computes the tensors in order, each
    /// from the newest values; only those over a lattice read each other's values of the round
    /// before.
    fn fix(
        &self,
        f: &Function,
        x: &Fix,
        tensors: &mut SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<(), Stop> {
        let mut elements = 0;
        for d in &x.definitions {
            let blank = self.blank(f, d, tensors, sizes)?;
            elements += blank.elements.len();
            tensors[d.tensor] = Some(blank);
        }
        let limit = x.limit.unwrap_or(elements as u64 + 1);
        let tol = x.tol.as_ref().and_then(|t| t.parse::<f64>().ok());
        let idempotent = |e: &Equation| e.reducer.is_some_and(Reducer::is_idempotent);
        let lattice = |d: &Definition| x.limit.is_none() && d.equations.iter().all(idempotent);
        for _ in 0..limit {
            let mut largest: f64 = 0.0;
            let mut next = Vec::new();
            for d in &x.definitions {
                let new = self.definition(f, d, tensors, sizes)?;
                if let Some(old) = &tensors[d.tensor] {
                    largest = largest.max(self.change(f, d.tensor, old, &new)?);
                }
                if lattice(d) {
                    next.push((d.tensor, new));
                } else {
                    tensors[d.tensor] = Some(new);
                }
            }
            for (t, new) in next {
                tensors[t] = Some(new);
            }
            if largest <= tol.unwrap_or(0.0) {
                return Ok(());
            }
        }
        let name = x.definitions.first().and_then(|d| f.tensors.get(d.tensor));
        if x.limit.is_none() || tol.is_some() {
            return Err(Stop::Diverge(name.map_or(String::new(), |t| t.name.clone())));
        }
        Ok(())
    }

    /// The largest difference between two values of a tensor; NaN diverges.
    fn change(
        &self,
        f: &Function,
        t: TensorId,
        old: &Tensor<D::Float>,
        new: &Tensor<D::Float>,
    ) -> Result<f64, Stop> {
        let mut largest: f64 = 0.0;
        for (a, b) in old.elements.iter().zip(&new.elements) {
            let real = |x: &D::Float, y: &D::Float| {
                let (x, y) = (self.domain.approximate(x), self.domain.approximate(y));
                if x == y { 0.0 } else { (x - y).abs() }
            };
            let difference = match (a, b) {
                (Value::Float(x), Value::Float(y)) => real(x, y),
                (Value::Complex(a, b), Value::Complex(c, d)) => real(a, c).max(real(b, d)),
                (a, b) if a == b => 0.0,
                _ => f64::INFINITY,
            };
            if difference.is_nan() {
                let name = f.tensors.get(t).map_or(String::new(), |t| t.name.clone());
                return Err(Stop::Diverge(name));
            }
            largest = largest.max(difference);
        }
        Ok(largest)
    }

    fn call(
        &self,
        f: &Function,
        c: &Call,
        tensors: &mut SecondaryMap<TensorId, Option<Tensor<D::Float>>>,
        sizes: &[i64],
    ) -> Result<(), Stop> {
        let Some(callee) = self.module.function(&c.callee) else {
            unreachable!("a checked call names a function")
        };
        let mut inner = Vec::with_capacity(c.sizes.len());
        for e in c.sizes.values() {
            inner.push(eval_size(e, sizes)?);
        }
        let arguments = c
            .arguments
            .iter()
            .map(|t| tensors[*t].clone().unwrap_or_else(|| unreachable!("{} lacks {t}", f.name)))
            .collect();
        let results = self.evaluate(callee, arguments, &inner)?;
        for (t, value) in c.results.iter().zip(results) {
            tensors[*t] = Some(value);
        }
        Ok(())
    }
}

/// A tensor while its equations run.
struct Filling<'a, D: Domain> {
    domain: &'a D,
    function: &'a Function,
    tensor: TensorId,
    /// By position in the tensor's elements.
    accumulators: IndexMap<usize, Accumulator<D::Float>>,
}

impl<'a, D: Domain> Filling<'a, D> {
    fn new(domain: &'a D, function: &'a Function, tensor: TensorId) -> Filling<'a, D> {
        Filling { domain, function, tensor, accumulators: IndexMap::new() }
    }

    /// Stores or combines one contribution.
    fn store(
        &mut self,
        out: &mut Tensor<D::Float>,
        e: &Equation,
        (position, value): Contribution<D::Float>,
    ) -> Result<(), Stop> {
        let Some(offset) = out.offset(&position) else {
            if e.attributes.drop {
                return Ok(());
            }
            return Err(out_of_range(self.function, self.tensor, &position, out, Vec::new()));
        };
        let Some(element) = out.elements.get_mut(offset) else { return Ok(()) };
        match e.reducer {
            None => *element = cast(self.domain, out.dtype, &value)?,
            Some(r) => {
                // Contributions start from the unit, those of an `inout` from its old value.
                let unit = self.domain.value(r.unit(out.dtype));
                let start = if self.keeps_old() { element.clone() } else { unit };
                let acc = self.accumulators.entry(offset).or_insert(Accumulator::Untouched);
                combine(self.domain, r, e.accumulator(out.dtype), acc, &start, value)?;
            }
        }
        Ok(())
    }

    fn keeps_old(&self) -> bool {
        let role = self.function.tensors.get(self.tensor).map(|t| t.role);
        matches!(role, Some(Role::Result(Some(_))))
    }

    /// Stores what the accumulators hold.
    fn settle(self, out: &mut Tensor<D::Float>) -> Result<(), Stop> {
        let old = self.keeps_old();
        for (offset, acc) in self.accumulators {
            let Some(element) = out.elements.get_mut(offset) else { continue };
            match acc {
                Accumulator::Untouched => {}
                Accumulator::Value(v) => *element = cast(self.domain, out.dtype, &v)?,
                Accumulator::Terms(mut terms) => {
                    if let (Value::Float(start), true) = (&*element, old) {
                        terms.push(start.clone());
                    }
                    let dtype = out.dtype.compute();
                    let value = Value::Float(log_sum_exp(self.domain, dtype, &terms)?);
                    *element = cast(self.domain, out.dtype, &value)?;
                }
            }
        }
        Ok(())
    }
}

fn eval_size(e: &IntExpr, sizes: &[i64]) -> Result<i64, Stop> {
    let value = |s: Symbol| match s {
        Symbol::Size(s) => sizes.get(SizeId::index(s)).copied().unwrap_or(0),
        Symbol::Var(_) => 0,
    };
    e.eval(&value).map_err(|e| Stop::Limit(e.to_string()))
}

/// The value of each size at a call with inputs of these shapes, in order; every input must have
/// its declared shape. `named` gives the sizes that no input shows.
pub fn bind_sizes(
    f: &Function,
    shapes: &[&[usize]],
    named: &[(&str, i64)],
) -> Result<Vec<i64>, Stop> {
    let mut values = vec![0i64; f.sizes.len()];
    for source in size_sources(f) {
        let (size, value) = match source {
            SizeSource::Argument(size) => {
                let name = f.sizes.get(size).map_or("", |s| s.name.as_str());
                let value = named.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
                (size, value.ok_or_else(|| Stop::Shape(format!("size `{name}` is not given")))?)
            }
            SizeSource::Extent { size, param, axis, offset, factor } => {
                let actual = shapes.get(param).and_then(|s| s.get(axis)).copied();
                let rest = actual.unwrap_or(0) as i64 - eval_size(&offset, &values)?;
                let factor = eval_size(&factor, &values)?;
                if factor == 0 || rest % factor != 0 || rest / factor < 0 {
                    return Err(shape_error(f, shapes));
                }
                (size, rest / factor)
            }
        };
        if let Some(slot) = values.get_mut(size.index()) {
            *slot = value;
        }
    }
    for (p, shape) in f.params.iter().zip(shapes) {
        let Some(tensor) = f.tensors.get(*p) else { continue };
        for (extent, have) in tensor.shape.iter().zip(*shape) {
            if eval_size(extent, &values)? != *have as i64 {
                return Err(shape_error(f, shapes));
            }
        }
    }
    Ok(values)
}

fn shape_error(f: &Function, shapes: &[&[usize]]) -> Stop {
    let shapes: Vec<String> = f
        .params
        .iter()
        .zip(shapes)
        .filter_map(|(p, shape)| Some(format!("{}: {shape:?}", f.tensors.get(*p)?.name)))
        .collect();
    Stop::Shape(format!("the shapes do not fit the signature: {}", shapes.join(", ")))
}
