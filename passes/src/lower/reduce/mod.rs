//! Loops of reductions.
//!
//! *Tiles* of registers where two sides meet (`contraction`). *Beside*: sums of neighbouring
//! elements in the lanes of register accumulators,
//! `for jo { for i { acc[W] = unit; for k { acc[l] += ... }; C[i, W*jo + l] = acc[l] } }`.
//! *Across*: one sum in the lanes of an accumulator along a contiguous summed variable, combined at
//! the end in a fixed order. *Rows*: such sums of a few rows at a time (`rows`). *Scalar*: one
//! register accumulator.

mod rows;

use crate::lower::block::{Body, KernelBuilder};
use crate::lower::contraction;
use crate::lower::nest::{
    Initial, MASKED, Positions, extent_of, fit_width, joined, lane_loop, last_axis_var, name_of,
    over_spatial, pointwise_stmts, scalar_pointwise, serial, unless_empty, versioned,
};
use crate::lower::tighten::{Bounds, tighten};
use crate::lower::vector::{Motion, guarded_by, lanes, motion};
use indexmap::IndexMap;
use tcc_abi::DType;
use tcc_ir::int::{Facts, IntExpr, Symbol};
use tcc_ir::kernel::{Block, LoopKind, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Vectors of accumulators: enough to hide the latency of the operation.
const VECTORS: i64 = 4;

/// The same range with its start not after its end, so that it splits into chunks and a rest;
/// `None` if the end may be negative.
fn in_order(b: &KernelBuilder<'_, '_>, body: &Body, bounds: Bounds) -> Option<Bounds> {
    let facts = facts_with(b, body, &body.vars.iter().map(|(v, _)| *v).collect::<Vec<_>>());
    if facts.at_most(&bounds.lo, &bounds.hi) {
        return Some(bounds);
    }
    let lo = bounds.lo.minimum(&bounds.hi);
    facts.is_nonneg(&bounds.hi).then_some(Bounds { lo, hi: bounds.hi })
}

/// What is known where these variables of a body run.
fn facts_with(b: &KernelBuilder<'_, '_>, body: &Body, vars: &[VarId]) -> Facts {
    let mut facts = b.facts.clone();
    for v in vars {
        facts.add_nonneg(extent_of(body, *v) - IntExpr::constant(1) - IntExpr::from(*v));
    }
    facts
}

/// A body that combines its values into the target.
pub(crate) fn reduction(
    b: &mut KernelBuilder<'_, '_>,
    body: Body,
    reducer: Reducer,
    initial: Initial,
) {
    let stmts = reduction_stmts(b, body, reducer, initial);
    b.body.extend(stmts);
}

pub(super) fn reduction_stmts(
    b: &mut KernelBuilder<'_, '_>,
    mut body: Body,
    reducer: Reducer,
    initial: Initial,
) -> Vec<Stmt> {
    let update = update_of(b, &body, reducer);
    if !injective(&body) {
        return scalar_pointwise(b, body, update);
    }
    let (spatial, summed) = split_vars(&body);
    if summed.is_empty() && body.guard.is_none() && initial == Initial::Unit {
        // One contribution an element.
        let unit = Expr::Literal(reducer.unit(body.value.dtype()));
        if let Some(func) = reducer.func() {
            body.value = Expr::binary(func, unit, body.value);
        }
        return pointwise_stmts(b, body, Update::Set);
    }
    let plan = Reduction { reducer, initial, update, spatial, summed };
    let tiles = if b.cx.options.vectorize {
        contraction::contraction(b, &body, reducer, initial)
    } else {
        None
    };
    let stmts = match tiles {
        Some(tiles) => {
            let unknown = contraction::strided(b, &body);
            let dense = unknown
                .into_iter()
                .map(Expr::Contiguous)
                .reduce(|a, c| Expr::binary(Func::And, a, c));
            match dense {
                None => tiles,
                Some(condition) => {
                    let otherwise = plan.scalar(b, &body);
                    vec![Stmt::If { condition, then: tiles, otherwise }]
                }
            }
        }
        None => {
            for (v, extent) in &mut body.vars {
                if let Some(end) = b.ends.get(v) {
                    *extent = end.clone();
                }
            }
            plan.stmts(b, &body)
        }
    };
    // Members of a group define whole tensors: what they write exists.
    if !b.locals.is_empty() || stores_in_bounds(b, &body, &plan.spatial) {
        return stmts;
    }
    // The element exists if there is something to combine into it; otherwise it is no element that
    // only this reduction defines.
    let mut guarded = stmts;
    for v in &plan.summed {
        let extent = extent_of(&body, *v);
        if !b.facts.is_positive(&extent) {
            let condition = Expr::Compare(Comparison::Gt, extent, IntExpr::constant(0));
            guarded = vec![Stmt::If { condition, then: guarded, otherwise: Vec::new() }];
        }
    }
    guarded
}

/// True if the written elements exist wherever the written variables run, even if the variables
/// summed over have no values.
fn stores_in_bounds(b: &KernelBuilder<'_, '_>, body: &Body, spatial: &[VarId]) -> bool {
    let Some(buffer) = b.kernel.buffers.get(body.buffer) else { return true };
    let facts = facts_with(b, body, spatial);
    body.subscripts.iter().zip(&buffer.shape).all(|(s, extent)| {
        let Some(i) = s.as_affine() else { return true };
        let i = substitute(body, i, &Positions::new());
        facts.is_nonneg(&i) && facts.less(&i, extent)
    })
}

/// How the inner loop combines: a product that feeds a sum is fused where the target has the
/// instruction.
pub(super) fn update_of(b: &KernelBuilder<'_, '_>, body: &Body, reducer: Reducer) -> Update {
    let product = matches!(&body.value, Expr::Apply(Func::Mul, _));
    let real = body.value.dtype().is_float() && !body.value.dtype().is_storage_float();
    if reducer == Reducer::Sum && product && real && b.cx.target.fma {
        Update::FusedSum
    } else {
        Update::Reduce(reducer)
    }
}

/// True if each written subscript is one variable plus a constant, all variables different.
fn injective(body: &Body) -> bool {
    let mut seen: Vec<VarId> = Vec::new();
    body.subscripts.iter().all(|s| {
        let Some(i) = s.as_affine() else { return false };
        let mut vars: Vec<VarId> = Vec::new();
        i.visit_symbols(&mut |s| {
            if let Symbol::Var(v) = s
                && !body.fixed.contains_key(&v)
            {
                vars.push(v);
            }
        });
        match vars.as_slice() {
            [] => true,
            [v] => {
                let unit = i.linear_in(*v).is_some_and(|(c, rest)| {
                    c.as_constant().is_some_and(|c| c.abs() == 1)
                        && body.vars.iter().all(|(w, _)| !rest.mentions(*w))
                });
                let fresh = !seen.contains(v);
                seen.push(*v);
                unit && fresh
            }
            _ => false,
        }
    })
}

/// Variables of the target, and those summed over.
pub(super) fn split_vars(body: &Body) -> (Vec<VarId>, Vec<VarId>) {
    let written =
        |v: &VarId| body.subscripts.iter().filter_map(Subscript::as_affine).any(|i| i.mentions(*v));
    body.vars.iter().map(|(v, _)| *v).partition(written)
}

struct Reduction {
    reducer: Reducer,
    initial: Initial,
    update: Update,
    spatial: Vec<VarId>,
    summed: Vec<VarId>,
}

impl Reduction {
    fn stmts(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Vec<Stmt> {
        if b.cx.options.vectorize && self.vectorizes(body) {
            if let Some(stmts) = self.rows(b, body) {
                return stmts;
            }
            if let Some(stmts) = self.beside(b, body) {
                return stmts;
            }
            if let Some(stmts) = self.across(b, body) {
                return stmts;
            }
        }
        self.scalar(b, body)
    }

    fn vectorizes(&self, body: &Body) -> bool {
        matches!(self.reducer, Reducer::Sum | Reducer::Max | Reducer::Min | Reducer::Prod)
            && !body.value.dtype().is_complex()
    }

    /// The value that an accumulator starts from.
    fn start(&self, body: &Body) -> Expr {
        match self.initial {
            Initial::Unit => Expr::Literal(self.reducer.unit(body.value.dtype())),
            Initial::Existing => Expr::Read(Box::new(tcc_ir::scalar::Read {
                tensor: body.buffer,
                dtype: body.value.dtype(),
                subscripts: body.subscripts.clone(),
                default: None,
            })),
        }
    }

    /// Accumulators of neighbouring elements in lanes.
    fn beside(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Option<Vec<Stmt>> {
        let v =
            last_axis_var(body).filter(|v| self.spatial.contains(v) && !guarded_by(body, *v))?;
        let lane_count = lanes(&b.kernel, body, v, b.cx.target.vector_bytes)?;
        let extent = extent_of(body, v);
        let width = fit_width(&extent, lane_count, VECTORS)?;
        let chunks = extent.div(&IntExpr::constant(width));
        let done = chunks.clone() * IntExpr::constant(width);
        // Variables that every read bears are outermost: the others share what a chunk reads.
        let (batch, inner): (Vec<VarId>, Vec<VarId>) = self
            .spatial
            .iter()
            .copied()
            .filter(|x| *x != v)
            .partition(|x| every_read_mentions(body, *x));
        let stmts = over_spatial(b, body, &batch, &mut |b, outer| {
            let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, v)));
            let lane = b.kernel.fresh_var(&format!("{}v", name_of(b, v)));
            let position = IntExpr::from(chunk) * IntExpr::constant(width) + IntExpr::from(lane);
            let main = over_spatial(b, body, &inner, &mut |b, at| {
                let mut at = joined(outer, at);
                at.insert(v, position.clone());
                self.accumulate(b, body, &at, Some((lane, width)))
            });
            let mut out = vec![serial(chunk, IntExpr::constant(0), chunks.clone(), main)];
            if done != extent {
                let i = b.kernel.fresh_var(&format!("{}t", name_of(b, v)));
                let tail = over_spatial(b, body, &inner, &mut |b, at| {
                    let mut at = joined(outer, at);
                    at.insert(v, i.into());
                    self.accumulate(b, body, &at, None)
                });
                out.push(serial(i, done.clone(), extent.clone(), tail));
            }
            unless_empty(b, &extent, out)
        });
        Some(versioned(b, &[v], body, stmts, |b| self.scalar(b, body)))
    }

    /// One accumulator in lanes along the innermost contiguous summed variable.
    fn across(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Option<Vec<Stmt>> {
        let v = *self.summed.iter().rev().find(|v| reads_in_lanes(b, body, **v))?;
        let mut tightened = body.clone();
        let bounds = tighten(&mut tightened, v, &extent_of(body, v));
        if guarded_by(&tightened, v) {
            return None;
        }
        let bounds = in_order(b, body, bounds)?;
        let lane_count = lanes(&b.kernel, body, v, b.cx.target.vector_bytes)?;
        let width = fit_width(&extent_of(body, v), lane_count, VECTORS)?;
        // A power of two folds by halves.
        let width = if b.cx.target.vector_bytes >= MASKED { 1 << width.ilog2() } else { width };
        let order = self.spatial.clone();
        let stmts = over_spatial(b, body, &order, &mut |b, at| {
            self.across_element(b, &tightened, at, v, (&bounds, width))
        });
        Some(versioned(b, &[v], body, stmts, |b| self.scalar(b, body)))
    }

    fn across_element(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        v: VarId,
        (bounds, width): (&Bounds, i64),
    ) -> Vec<Stmt> {
        let dtype = body.value.dtype();
        let wide = b.register("acc", dtype, &[width]);
        let single = b.register("sum", dtype, &[]);
        let unit = Expr::Literal(self.reducer.unit(dtype));
        let lane = b.kernel.fresh_var("l");
        let mut out = vec![Stmt::Alloc(wide), Stmt::Alloc(single)];
        let element = |b: &mut KernelBuilder<'_, '_>| b.kernel.fresh_var("e");
        let e0 = element(b);
        let clear = set_register(wide, &[(e0, lane.into())], unit);
        out.push(lane_loop(lane, width, LoopKind::Vectorize, vec![clear]));
        out.push(self.start_block(body, at, single));
        let others: Vec<VarId> = self.summed.iter().copied().filter(|x| *x != v).collect();
        // Long sums over several axes are exacter as a sum of the sums along one axis.
        let by_rows = !others.is_empty() && self.reducer == Reducer::Sum && dtype.is_float();
        let sums = over_spatial(b, body, &others, &mut |b, inner| {
            let at = joined(at, inner);
            if !by_rows {
                return self.across_row(b, body, &at, (v, bounds, width), (wide, single));
            }
            let row = b.register("row", dtype, &[width]);
            let rest = b.register("rest", dtype, &[]);
            let mut out = vec![Stmt::Alloc(row), Stmt::Alloc(rest)];
            let (e, lane) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("l"));
            let unit = Expr::Literal(self.reducer.unit(dtype));
            let clear = set_register(row, &[(e, lane.into())], unit.clone());
            out.push(lane_loop(lane, width, LoopKind::Vectorize, vec![clear]));
            out.push(set_register(rest, &[], unit));
            out.extend(self.across_row(b, body, &at, (v, bounds, width), (row, rest)));
            let (e, lane) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("l"));
            let add = self.combine("row", (wide, vec![e.into()]), (row, vec![e.into()]), dtype);
            let add = Stmt::Block(Block { iters: vec![(e, lane.into())], ..add });
            out.push(lane_loop(lane, width, LoopKind::Vectorize, vec![add]));
            out.push(Stmt::Block(self.combine("rest", (single, vec![]), (rest, vec![]), dtype)));
            out
        });
        out.extend(sums);
        out.extend(self.fold(b, (wide, width), single, dtype));
        out.push(self.write_back(b, body, at, (single, &[]), Update::Set));
        out
    }

    /// Combines the lanes of `wide` and then `single`: by halves, or one after the other where
    /// their number has none.
    fn fold(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        (wide, width): (TensorId, i64),
        single: TensorId,
        dtype: DType,
    ) -> Vec<Stmt> {
        let mut out = Vec::new();
        let (mut from, mut rest) = (wide, width);
        let halves = b.cx.target.vector_bytes >= MASKED && (width as u64).is_power_of_two();
        while halves && rest > 1 {
            rest /= 2;
            let half = b.register("half", dtype, &[rest]);
            out.push(Stmt::Alloc(half));
            let mut step = |update, shift: i64| {
                let (l, e) = (b.kernel.fresh_var("l"), b.kernel.fresh_var("e"));
                let place = IntExpr::from(e) + IntExpr::constant(shift);
                let block =
                    self.combine("fold", (half, vec![e.into()]), (from, vec![place]), dtype);
                let store = Store { update, ..block.store.clone() };
                let block = Stmt::Block(Block { iters: vec![(e, l.into())], store, ..block });
                lane_loop(l, rest, LoopKind::Vectorize, vec![block])
            };
            out.push(step(Update::Set, 0));
            out.push(step(Update::Reduce(self.reducer), rest));
            from = half;
        }
        let (lane, e) = (b.kernel.fresh_var("l"), b.kernel.fresh_var("e"));
        let combine = self.combine("combine", (single, vec![]), (from, vec![e.into()]), dtype);
        let combine = Stmt::Block(Block { iters: vec![(e, lane.into())], ..combine });
        out.push(lane_loop(lane, rest, LoopKind::Unroll, vec![combine]));
        out
    }

    /// A block that adds one register to another.
    fn combine(
        &self,
        name: &str,
        (to, at): (TensorId, Vec<IntExpr>),
        (from, place): (TensorId, Vec<IntExpr>),
        dtype: DType,
    ) -> Block {
        Block {
            name: name.to_owned(),
            iters: vec![],
            guard: None,
            init: None,
            lets: vec![],
            store: Store {
                buffer: to,
                subscripts: at.into_iter().map(Subscript::Affine).collect(),
                update: Update::Reduce(self.reducer),
                value: Expr::read(from, dtype, place),
                drop: false,
            },
        }
    }

    /// One pass along `v`: whole vectors go to the lanes of `wide`, the rest to `single`.
    fn across_row(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        (v, bounds, width): (VarId, &Bounds, i64),
        (wide, single): (TensorId, TensorId),
    ) -> Vec<Stmt> {
        let place = |e: &IntExpr| substitute(body, e, at);
        let (lo, hi) = (place(&bounds.lo), place(&bounds.hi));
        let extent = &hi - &lo;
        let chunks = extent.div(&IntExpr::constant(width));
        let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, v)));
        let lane = b.kernel.fresh_var(&format!("{}v", name_of(b, v)));
        let step = IntExpr::from(chunk) * IntExpr::constant(width);
        let mut main = at.clone();
        main.insert(v, lo.clone() + step + IntExpr::from(lane));
        let e = b.kernel.fresh_var("e");
        let block = self.update_register(b, body, &main, wide, &[(e, lane.into())]);
        let vector = lane_loop(lane, width, LoopKind::Vectorize, vec![block]);
        let mut out = vec![serial(chunk, IntExpr::constant(0), chunks.clone(), vec![vector])];
        let done = lo + chunks * IntExpr::constant(width);
        if done != hi && b.cx.target.vector_bytes >= MASKED {
            let lane = b.kernel.fresh_var(&format!("{}v", name_of(b, v)));
            let e = b.kernel.fresh_var("e");
            let mut rest = at.clone();
            rest.insert(v, done.clone() + IntExpr::from(lane));
            let known = (&hi - &done).as_constant();
            let mut block = self.update_register(b, body, &rest, wide, &[(e, lane.into())]);
            if let (None, Stmt::Block(x)) = (known, &mut block) {
                let left = b.kernel.fresh_var("g");
                x.iters.push((left, done.clone() + IntExpr::from(lane) - hi.clone()));
                let inside = Expr::Compare(Comparison::Lt, left.into(), IntExpr::constant(0));
                x.guard = Some(match x.guard.take() {
                    Some(g) => Expr::binary(Func::And, g, inside),
                    None => inside,
                });
            }
            let n = known.unwrap_or(width);
            let vector = lane_loop(lane, n, LoopKind::Vectorize, vec![block]);
            out.push(match known {
                Some(_) => vector,
                None => {
                    let condition = Expr::Compare(Comparison::Lt, done, hi);
                    Stmt::If { condition, then: vec![vector], otherwise: vec![] }
                }
            });
        } else if done != hi {
            let i = b.kernel.fresh_var(&format!("{}t", name_of(b, v)));
            let mut rest = at.clone();
            rest.insert(v, i.into());
            let block = self.update_register(b, body, &rest, single, &[]);
            out.push(serial(i, done, hi, vec![block]));
        }
        unless_empty(b, &extent, out)
    }

    /// One register accumulator an element.
    fn scalar(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Vec<Stmt> {
        let order = self.spatial.clone();
        over_spatial(b, body, &order, &mut |b, at| self.accumulate(b, body, at, None))
    }

    /// Start, summed loops, store: for one element, or for the elements of a lane loop.
    fn accumulate(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        lanes: Option<(VarId, i64)>,
    ) -> Vec<Stmt> {
        let dtype = body.value.dtype();
        let shape: Vec<i64> = lanes.iter().map(|(_, width)| *width).collect();
        let acc = b.register("acc", dtype, &shape);
        let mut tightened = body.clone();
        let mut bounds: IndexMap<VarId, Bounds> = IndexMap::new();
        for v in &self.summed {
            let found = tighten_if_known(&mut tightened, *v, &extent_of(body, *v), &bounds, at);
            bounds.insert(*v, found);
        }
        let in_lanes = |stmts: Vec<Stmt>| match lanes {
            None => stmts,
            Some((lane, width)) => vec![lane_loop(lane, width, LoopKind::Vectorize, stmts)],
        };
        let place = |b: &mut KernelBuilder<'_, '_>| -> Vec<(VarId, IntExpr)> {
            lanes.iter().map(|(lane, _)| (b.kernel.fresh_var("e"), (*lane).into())).collect()
        };
        let mut out = vec![Stmt::Alloc(acc)];
        let e = place(b);
        let start = self.start_lanes(body, at, acc, &e);
        out.extend(in_lanes(vec![start]));
        let mut positions = at.clone();
        let mut loops = Vec::new();
        for v in &self.summed {
            let Some(range) = bounds.get(v) else { continue };
            let (lo, hi) =
                (substitute(body, &range.lo, &positions), substitute(body, &range.hi, &positions));
            let i = b.kernel.fresh_var(&format!("{}_", name_of(b, *v)));
            positions.insert(*v, i.into());
            loops.push((i, lo, hi));
        }
        let e = place(b);
        let inner = in_lanes(vec![self.update_register(b, &tightened, &positions, acc, &e)]);
        let nest = loops
            .into_iter()
            .rev()
            .fold(inner, |stmts, (i, lo, hi)| vec![serial(i, lo, hi, stmts)]);
        out.extend(nest);
        let e = place(b);
        let store = self.write_back(b, body, at, (acc, &e), Update::Set);
        out.extend(in_lanes(vec![store]));
        out
    }

    /// `acc = start` for a scalar accumulator.
    fn start_block(&self, body: &Body, at: &Positions, acc: TensorId) -> Stmt {
        self.start_lanes(body, at, acc, &[])
    }

    fn start_lanes(
        &self,
        body: &Body,
        at: &Positions,
        acc: TensorId,
        place: &[(VarId, IntExpr)],
    ) -> Stmt {
        let value = self.start(body);
        let subscripts = register_position(place);
        let mut iters = match self.initial {
            Initial::Unit => Vec::new(),
            Initial::Existing => spatial_iters(body, at, &self.spatial),
        };
        iters.extend_from_slice(place);
        let update = Update::Set;
        let store = Store { buffer: acc, subscripts, update, value, drop: false };
        let (guard, init, lets) = (None, None, vec![]);
        Stmt::Block(Block { name: "start".to_owned(), iters, guard, init, lets, store })
    }

    /// `acc op= value`, at a place of the register: variables that subscript it, with their values.
    fn update_register(
        &self,
        b: &KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        acc: TensorId,
        place: &[(VarId, IntExpr)],
    ) -> Stmt {
        let store = Store {
            buffer: acc,
            subscripts: register_position(place),
            update: self.update,
            value: body.value.clone(),
            drop: false,
        };
        let stmt = b.block(body, &|v| at.get(&v).cloned().unwrap_or_default(), store);
        match stmt {
            Stmt::Block(mut block) => {
                block.iters.extend_from_slice(place);
                Stmt::Block(block)
            }
            other => other,
        }
    }

    /// `target = acc`, or `target += acc` and the like
    fn write_back(
        &self,
        b: &KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        (acc, place): (TensorId, &[(VarId, IntExpr)]),
        update: Update,
    ) -> Stmt {
        let dtype = b.kernel.buffers.get(acc).map_or(body.value.dtype(), |x| x.dtype);
        let position = place.iter().map(|(e, _)| (*e).into()).collect();
        let mut iters = spatial_iters(body, at, &self.spatial);
        iters.extend_from_slice(place);
        let store = Store {
            buffer: body.buffer,
            subscripts: body.subscripts.clone(),
            update,
            value: Expr::read(acc, dtype, position),
            drop: false,
        };
        let (guard, init, lets) = (None, None, vec![]);
        Stmt::Block(Block { name: body.name.clone(), iters, guard, init, lets, store })
    }
}

fn register_position(place: &[(VarId, IntExpr)]) -> Vec<Subscript> {
    place.iter().map(|(e, _)| Subscript::Affine((*e).into())).collect()
}

fn set_register(acc: TensorId, place: &[(VarId, IntExpr)], value: Expr) -> Stmt {
    let iters = place.to_vec();
    let subscripts = register_position(place);
    let store = Store { buffer: acc, subscripts, update: Update::Set, value, drop: false };
    let (guard, init, lets) = (None, None, vec![]);
    Stmt::Block(Block { name: "start".to_owned(), iters, guard, init, lets, store })
}

/// Bindings of the written variables, fixed ones included.
fn spatial_iters(body: &Body, at: &Positions, spatial: &[VarId]) -> Vec<(VarId, IntExpr)> {
    let mut out: Vec<(VarId, IntExpr)> =
        spatial.iter().map(|v| (*v, at.get(v).cloned().unwrap_or_default())).collect();
    let written =
        |v: &VarId| body.subscripts.iter().filter_map(Subscript::as_affine).any(|i| i.mentions(*v));
    out.extend(body.fixed.iter().filter(|(v, _)| written(v)).map(|(v, e)| (*v, e.clone())));
    out
}

/// An expression over block variables at loop positions.
fn substitute(body: &Body, e: &IntExpr, at: &Positions) -> IntExpr {
    e.substitute(&|s| match s {
        Symbol::Var(v) => at.get(&v).or_else(|| body.fixed.get(&v)).cloned(),
        Symbol::Size(_) => None,
    })
}

/// Tightens the loop of `v` by conditions whose other variables are placed already.
fn tighten_if_known(
    body: &mut Body,
    v: VarId,
    extent: &IntExpr,
    outer: &IndexMap<VarId, Bounds>,
    at: &Positions,
) -> Bounds {
    let mut attempt = body.clone();
    let bounds = tighten(&mut attempt, v, extent);
    let known = |e: &IntExpr| {
        let mut ok = true;
        e.visit_symbols(&mut |s| {
            if let Symbol::Var(w) = s {
                ok &=
                    at.contains_key(&w) || outer.contains_key(&w) || attempt.fixed.contains_key(&w);
            }
        });
        ok
    };
    if known(&bounds.lo) && known(&bounds.hi) {
        *body = attempt;
        bounds
    } else {
        Bounds { lo: IntExpr::constant(0), hi: extent.clone() }
    }
}

fn every_read_mentions(body: &Body, v: VarId) -> bool {
    let exprs = body.exprs();
    exprs
        .flat_map(Expr::reads)
        .filter(|r| !r.subscripts.is_empty())
        .all(|r| r.subscripts.iter().any(|s| s.mentions(v)))
}

/// True if every read stands still or moves to where vectors are loaded from, and one moves.
fn reads_in_lanes(b: &KernelBuilder<'_, '_>, body: &Body, v: VarId) -> bool {
    let masked = b.cx.target.vector_bytes >= MASKED;
    let exprs = body.exprs();
    let reads: Vec<Motion> = exprs
        .flat_map(Expr::reads)
        .map(|r| if r.default.is_some() { Motion::Other } else { motion(&r.subscripts, v) })
        .collect();
    let loaded = |m: &Motion| *m == Motion::Next || masked && *m == Motion::Gaps;
    reads.iter().any(loaded) && reads.iter().all(|m| *m == Motion::Fixed || loaded(m))
}
