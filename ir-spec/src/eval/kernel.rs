//! The interpreter of the loop-nest level: machine arithmetic, scalar functions by their
//! expansions.

use super::expansion::Expansions;
use super::{Domain, Machine, Stop, Tensor, Value, apply, bitcast, cast, index_value};
use crate::int::{IntExpr, Symbol};
use crate::kernel::{Block, IntrinsicCall, Kernel, Repeat, Stmt, Update, View};
use crate::scalar::{Expr, Func, Read, Subscript};
use crate::{TensorId, VarId};
use cranelift_entity::{EntityRef, SecondaryMap};
use tcc_abi::{DType, Scalar};

/// Runs a kernel: `arguments` are its parameters, then its results (whose contents a kernel may
/// read), in order; on success they hold the new contents.
pub fn run_kernel(
    kernel: &Kernel,
    sizes: &[i64],
    arguments: &mut [Tensor<f64>],
    expansions: &mut Expansions,
) -> Result<(), Stop> {
    let mut machine = KernelMachine {
        kernel,
        sizes,
        expansions,
        buffers: SecondaryMap::new(),
        vars: SecondaryMap::new(),
    };
    let ids: Vec<TensorId> = kernel.arguments().collect();
    for (t, given) in ids.iter().zip(arguments.iter()) {
        machine.buffers[*t] = Some(given.clone());
    }
    machine.body(&kernel.body)?;
    for (t, slot) in ids.iter().zip(arguments.iter_mut()) {
        if let Some(b) = machine.buffers[*t].take() {
            *slot = b;
        }
    }
    Ok(())
}

/// Views with more elements are not copied.
const MAX_VIEW: usize = 1 << 28;

struct KernelMachine<'a> {
    kernel: &'a Kernel,
    sizes: &'a [i64],
    expansions: &'a mut Expansions,
    buffers: SecondaryMap<TensorId, Option<Tensor<f64>>>,
    vars: SecondaryMap<VarId, i64>,
}

impl KernelMachine<'_> {
    fn int(&self, e: &IntExpr) -> Result<i64, Stop> {
        let value = |s: Symbol| match s {
            Symbol::Var(v) => self.vars[v],
            Symbol::Size(s) => self.sizes.get(s.index()).copied().unwrap_or(0),
        };
        e.eval(&value).map_err(|e| Stop::Limit(e.to_string()))
    }

    fn body(&mut self, body: &[Stmt]) -> Result<(), Stop> {
        body.iter().try_for_each(|s| self.stmt(s))
    }

    fn stmt(&mut self, s: &Stmt) -> Result<(), Stop> {
        match s {
            Stmt::For(f) => {
                let (lo, hi) = (self.int(&f.lo)?, self.int(&f.hi)?);
                for i in lo..hi {
                    self.vars[f.var] = i;
                    self.body(&f.body)?;
                }
                Ok(())
            }
            Stmt::Block(b) => self.block(b),
            Stmt::If { condition, then, otherwise } => {
                let holds = self.expr(condition)? == Value::Bool(true);
                self.body(if holds { then } else { otherwise })
            }
            Stmt::Let { var, value } => {
                self.vars[*var] = self.int(value)?;
                Ok(())
            }
            Stmt::Alloc(t) => {
                let Some(b) = self.kernel.buffers.get(*t) else { return Ok(()) };
                let shape: Result<Vec<usize>, Stop> =
                    b.shape.iter().map(|e| Ok(self.int(e)?.max(0) as usize)).collect();
                let zero = Machine.value(Scalar::from_i128(b.dtype, 0));
                self.buffers[*t] = Some(Tensor::filled(b.dtype, &shape?, zero));
                Ok(())
            }
            Stmt::Repeat(r) => self.repeat(r),
            Stmt::Intrin(c) => self.intrinsic(c),
        }
    }

    fn repeat(&mut self, r: &Repeat) -> Result<(), Stop> {
        let limit = self.int(&r.limit)?;
        for round in 0..limit {
            self.vars[r.var] = round;
            self.body(&r.body)?;
            if self.expr(&r.until)? == Value::Bool(true) {
                return Ok(());
            }
        }
        if r.must_converge { Err(Stop::Diverge(self.kernel.name.clone())) } else { Ok(()) }
    }

    /// Runs the meaning of an intrinsic on copies of the views, then writes the results back.
    fn intrinsic(&mut self, c: &IntrinsicCall) -> Result<(), Stop> {
        let sizes: Result<Vec<i64>, Stop> = c.sizes().iter().map(|e| self.int(e)).collect();
        let places: Result<Vec<_>, Stop> = c.views.iter().map(|v| self.places(v)).collect();
        let places = places?;
        let mut arguments = Vec::new();
        for (v, (shape, offsets)) in c.views.iter().zip(&places) {
            let Some(b) = &self.buffers[v.buffer] else {
                unreachable!("the verifier wants live buffers under a view")
            };
            let elements = offsets.iter().filter_map(|o| b.elements.get(*o).cloned()).collect();
            arguments.push(Tensor { dtype: b.dtype, shape: shape.clone(), elements });
        }
        run_kernel(&c.intrinsic.kernel, &sizes?, &mut arguments, self.expansions)?;
        let params = c.params().count();
        for ((v, (_, offsets)), new) in c.views.iter().zip(&places).zip(arguments).skip(params) {
            let Some(b) = &mut self.buffers[v.buffer] else { continue };
            for (offset, value) in offsets.iter().zip(new.elements) {
                if let Some(slot) = b.elements.get_mut(*offset) {
                    *slot = value;
                }
            }
        }
        Ok(())
    }

    /// The shape of a view, and where in its buffer the elements are, in row-major order.
    fn places(&mut self, v: &View) -> Result<(Vec<usize>, Vec<usize>), Stop> {
        let extents: Result<Vec<i64>, Stop> = v.axes.iter().map(|(_, n)| self.int(n)).collect();
        let shape: Vec<usize> = extents?.iter().map(|n| (*n).max(0) as usize).collect();
        let count = shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
        let Some(count) = count.filter(|n| *n <= MAX_VIEW) else {
            return Err(Stop::Limit(format!("a view of more than {MAX_VIEW} elements")));
        };
        let mut offsets = Vec::with_capacity(count);
        for flat in 0..count {
            let mut rest = flat;
            for ((axis, _), n) in v.axes.iter().zip(&shape).rev() {
                self.vars[*axis] = (rest % n) as i64;
                rest /= n;
            }
            let position: Result<Vec<i128>, Stop> =
                v.subscripts.iter().map(|e| self.int(e).map(i128::from)).collect();
            let position = position?;
            let offset = self.buffers[v.buffer].as_ref().and_then(|b| b.offset(&position));
            offsets.push(offset.ok_or_else(|| self.out_of_range(v.buffer, &position))?);
        }
        Ok((shape, offsets))
    }

    fn block(&mut self, b: &Block) -> Result<(), Stop> {
        for (v, e) in &b.iters {
            self.vars[*v] = self.int(e)?;
        }
        if let Some(g) = &b.guard
            && self.expr(g)? != Value::Bool(true)
        {
            return Ok(());
        }
        for (t, e) in &b.lets {
            let value = self.expr(e)?;
            let dtype = e.dtype();
            self.buffers[*t] = Some(Tensor { dtype, shape: vec![], elements: vec![value] });
        }
        let position = self.position(&b.store.subscripts)?;
        let offset = self.buffers[b.store.buffer].as_ref().and_then(|t| t.offset(&position));
        let Some(offset) = offset else {
            return if b.store.drop {
                Ok(())
            } else {
                Err(self.out_of_range(b.store.buffer, &position))
            };
        };
        if let Some(init) = &b.init
            && b.reduction_vars().iter().all(|v| self.vars[*v] == 0)
        {
            let value = self.expr(init)?;
            self.put(b.store.buffer, offset, value)?;
        }
        let value = self.updated(b, offset)?;
        self.put(b.store.buffer, offset, value)
    }

    /// The element's new value.
    fn updated(&mut self, b: &Block, offset: usize) -> Result<Value<f64>, Stop> {
        let old = |m: &Self| {
            m.buffers[b.store.buffer].as_ref().and_then(|t| t.elements.get(offset).cloned())
        };
        let dtype = b.store.value.dtype();
        match (b.store.update, &b.store.value) {
            (Update::Set, value) => self.expr(value),
            (Update::Reduce(r), value) => {
                let x = self.expr(value)?;
                let (Some(old), Some(func)) = (old(self), r.func()) else { return Ok(x) };
                apply(&Machine, func, dtype, &[old, x])
            }
            (Update::FusedSum, Expr::Apply(Func::Mul, args)) => {
                let factors: Result<Vec<_>, Stop> = args.iter().map(|a| self.expr(a)).collect();
                let mut factors = factors?;
                factors.extend(old(self));
                apply(&Machine, Func::Fma, dtype, &factors)
            }
            (Update::FusedSum, _) => unreachable!("the verifier wants a product under `@fma`"),
        }
    }

    fn put(&mut self, t: TensorId, offset: usize, value: Value<f64>) -> Result<(), Stop> {
        if let Some(b) = &mut self.buffers[t]
            && let Some(slot) = b.elements.get_mut(offset)
        {
            *slot = cast(&Machine, b.dtype, &value)?;
        }
        Ok(())
    }

    fn position(&mut self, subscripts: &[Subscript]) -> Result<Vec<i128>, Stop> {
        let mut out = Vec::with_capacity(subscripts.len());
        for s in subscripts {
            out.push(match s {
                Subscript::Affine(i) => i128::from(self.int(i)?),
                Subscript::Data(e) => match self.expr(e)? {
                    Value::Int(i) => i,
                    other => unreachable!("a subscript evaluated to {other:?}"),
                },
            });
        }
        Ok(out)
    }

    fn out_of_range(&self, t: TensorId, position: &[i128]) -> Stop {
        let shape = self.buffers[t].as_ref().map_or(Vec::new(), |b| b.shape.clone());
        let inside = |(p, n): (&i128, &usize)| usize::try_from(*p).is_ok_and(|p| p < *n);
        let axis = position.iter().zip(&shape).position(|x| !inside(x)).unwrap_or(0);
        Stop::Index {
            tensor: self.kernel.buffers.get(t).map_or(String::new(), |b| b.name.clone()),
            axis,
            value: position.get(axis).copied().unwrap_or(0),
            extent: shape.get(axis).copied().unwrap_or(0),
            at: Vec::new(),
        }
    }

    fn read(&mut self, r: &Read) -> Result<Value<f64>, Stop> {
        let position = self.position(&r.subscripts)?;
        if let Some(v) = self.buffers[r.tensor].as_ref().and_then(|b| b.get(&position)) {
            return Ok(v.clone());
        }
        match &r.default {
            Some(d) => self.expr(d),
            None => Err(self.out_of_range(r.tensor, &position)),
        }
    }

    fn expr(&mut self, e: &Expr) -> Result<Value<f64>, Stop> {
        match e {
            Expr::Literal(s) => Ok(Machine.value(*s)),
            Expr::Index { num, den, dtype } => {
                Ok(index_value(&Machine, *dtype, self.int(num)?, self.int(den)?))
            }
            Expr::Compare(op, a, b) => Ok(Value::Bool(op.holds(self.int(a)?.cmp(&self.int(b)?)))),
            Expr::Read(r) => self.read(r),
            Expr::Cast(to, inner) => cast(&Machine, *to, &self.expr(inner)?),
            Expr::Bitcast(to, inner) => {
                Ok(bitcast(&Machine, inner.dtype(), *to, &self.expr(inner)?))
            }
            // Tensors of the interpreter have no gaps.
            Expr::Contiguous(_) => Ok(Value::Bool(true)),
            Expr::Apply(func, args) => {
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                let values: Result<Vec<_>, Stop> = args.iter().map(|a| self.expr(a)).collect();
                let values = values?;
                if func.is_expanded() {
                    return Ok(self.expansions.call(*func, dtype.compute(), &values));
                }
                apply(&Machine, *func, dtype, &values)
            }
        }
    }
}
