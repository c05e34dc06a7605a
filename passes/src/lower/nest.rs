//! The loop templates.
//!
//! *Pointwise*: a loop a variable; the last axis of the target in vector lanes where its reads
//! allow. *Beside*: sums of neighbouring elements in the lanes of register accumulators,
//! `for jo { for i { acc[W] = unit; for k { acc[l] += ... }; C[i, W*jo + l] = acc[l] } }`.
//! *Across*: one sum in the lanes of an accumulator along a contiguous summed variable, combined at
//! the end in a fixed order. *Scalar*: one register accumulator. Remainders run the scalar
//! template.

use super::block::{Body, KernelBuilder};
use super::contraction;
use super::tighten::{Bounds, tighten};
use super::transpose;
use super::vector::{Motion, guarded_by, lanes, motion};
use indexmap::IndexMap;
use tcc_abi::DType;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, For, LoopKind, Scope, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// What a reduction starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initial {
    /// The reducer's unit.
    Unit,
    /// What the target holds.
    Existing,
}

/// Vectors held by a loop over lanes: enough to hide the latency of the operation.
const VECTORS: i64 = 4;

/// Vectors of this many bytes have masks: lanes of a chunk may be left out.
pub(super) const MASKED: u32 = 64;

/// Loop positions of a body's variables.
pub(super) type Positions = IndexMap<VarId, IntExpr>;

pub(super) fn serial(var: VarId, lo: IntExpr, hi: IntExpr, body: Vec<Stmt>) -> Stmt {
    Stmt::For(For { var, lo, hi, kind: LoopKind::Serial, body })
}

fn lane_loop(var: VarId, width: i64, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    let (lo, hi) = (IntExpr::constant(0), IntExpr::constant(width));
    Stmt::For(For { var, lo, hi, kind, body })
}

/// A body that stores its value at each point.
pub(crate) fn pointwise(b: &mut KernelBuilder<'_, '_>, body: Body, update: Update) {
    let stmts = pointwise_stmts(b, body, update);
    b.body.extend(stmts);
}

pub(super) fn pointwise_stmts(b: &mut KernelBuilder<'_, '_>, body: Body, update: Update) -> Vec<Stmt> {
    let vector = last_axis_var(&body)
        .filter(|v| b.cx.options.vectorize && in_lanes(update) && !guarded_by(&body, *v))
        .and_then(|v| Some((v, lanes(&b.kernel, &body, v, b.cx.target.vector_bytes)?)));
    if vector.is_none()
        && let Some(stmts) = transpose::transposed(b, &body, update)
    {
        return stmts;
    }
    let Some((v, lane_count)) = vector else {
        return scalar_pointwise(b, body, update);
    };
    let extent = extent_of(&body, v);
    let masked = b.cx.target.vector_bytes >= MASKED;
    let width = fit_width(&extent, lane_count, 2).or(extent.as_constant().filter(|_| masked));
    let Some(width) = width else { return scalar_pointwise(b, body, update) };
    let order: Vec<VarId> = body.vars.iter().map(|(x, _)| *x).filter(|x| *x != v).collect();
    let scalar = body.clone();
    let stmts = over_spatial(b, &body, &order, &mut |b, at| {
        let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, v)));
        let lane = b.kernel.fresh_var(&format!("{}v", name_of(b, v)));
        let mut main = at.clone();
        main.insert(v, IntExpr::from(chunk) * IntExpr::constant(width) + IntExpr::from(lane));
        let inner = vec![store_block(b, &body, &main, update)];
        let chunks = extent.div(&IntExpr::constant(width));
        let mut out = vec![serial(
            chunk,
            IntExpr::constant(0),
            chunks.clone(),
            vec![lane_loop(lane, width, LoopKind::Vectorize, inner)],
        )];
        let done = chunks * IntExpr::constant(width);
        if done != extent && masked {
            out.extend(masked_rest(b, &body, at, (v, &done, &extent, width), update));
        } else if done != extent {
            let i = b.kernel.fresh_var(&format!("{}t", name_of(b, v)));
            let mut rest = at.clone();
            rest.insert(v, i.into());
            let tail = vec![store_block(b, &body, &rest, update)];
            out.push(serial(i, done, extent.clone(), tail));
        }
        unless_empty(b, &extent, out)
    });
    versioned(b, &[v], &scalar, stmts, |b| scalar_pointwise(b, scalar.clone(), update))
}

/// The rest behind whole chunks, in lanes of which the last ones are left out.
fn masked_rest(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    at: &Positions,
    (v, done, extent, width): (VarId, &IntExpr, &IntExpr, i64),
    update: Update,
) -> Vec<Stmt> {
    let lane = b.kernel.fresh_var(&format!("{}v", name_of(b, v)));
    let mut rest = at.clone();
    rest.insert(v, done.clone() + IntExpr::from(lane));
    let known = (extent - done).as_constant();
    let mut body = body.clone();
    if known.is_none() {
        // The extent may be one of the loops around: a variable of the block takes it in.
        let end = b.kernel.fresh_var(&format!("{}e", name_of(b, v)));
        body.fixed.insert(end, extent.clone());
        let inside = Expr::Compare(Comparison::Lt, v.into(), end.into());
        body.guard = Some(match body.guard.take() {
            Some(g) => Expr::binary(Func::And, g, inside),
            None => inside,
        });
    }
    let block = store_block(b, &body, &rest, update);
    let lanes = lane_loop(lane, known.unwrap_or(width), LoopKind::Vectorize, vec![block]);
    if known.is_some() {
        return vec![lanes];
    }
    let condition = Expr::Compare(Comparison::Lt, done.clone(), extent.clone());
    vec![Stmt::If { condition, then: vec![lanes], otherwise: Vec::new() }]
}

/// Chunks of an extent and its rest: the rest of a negative extent would begin at negative values.
fn unless_empty(b: &KernelBuilder<'_, '_>, extent: &IntExpr, stmts: Vec<Stmt>) -> Vec<Stmt> {
    if b.cx.f.known_facts().is_nonneg(extent) {
        return stmts;
    }
    let condition = Expr::Compare(Comparison::Gt, extent.clone(), IntExpr::constant(0));
    vec![Stmt::If { condition, then: stmts, otherwise: Vec::new() }]
}

/// The same range with its start not after its end, so that it splits into chunks and a rest;
/// `None` if the end may be negative.
fn in_order(b: &KernelBuilder<'_, '_>, bounds: Bounds) -> Option<Bounds> {
    if b.facts.at_most(&bounds.lo, &bounds.hi) {
        return Some(bounds);
    }
    let lo = bounds.lo.minimum(&bounds.hi);
    b.facts.is_nonneg(&bounds.hi).then_some(Bounds { lo, hi: bounds.hi })
}

/// Updates that lanes of distinct elements can do at once.
fn in_lanes(update: Update) -> bool {
    !matches!(update, Update::Reduce(Reducer::Or | Reducer::And | Reducer::LogSumExp))
}

pub(super) fn scalar_pointwise(b: &mut KernelBuilder<'_, '_>, body: Body, update: Update) -> Vec<Stmt> {
    let order: Vec<VarId> = body.vars.iter().map(|(x, _)| *x).collect();
    over_spatial(b, &body, &order, &mut |b, at| vec![store_block(b, &body, at, update)])
}

/// Runs a body only where `condition` holds: the variables that it mentions are outermost.
pub(crate) fn filtered(
    b: &mut KernelBuilder<'_, '_>,
    body: Body,
    update: Update,
    condition: &Expr,
) {
    let mut mentioned: Vec<VarId> = Vec::new();
    condition.visit_symbols(&mut |s| {
        if let Symbol::Var(v) = s {
            mentioned.push(v);
        }
    });
    let outer: Vec<VarId> =
        body.vars.iter().map(|(v, _)| *v).filter(|v| mentioned.contains(v)).collect();
    let stmts = over_spatial(b, &body, &outer, &mut |b, at| {
        let mut inner = body.clone();
        inner.vars.retain(|(v, _)| !outer.contains(v));
        inner.fixed.extend(at.iter().map(|(v, e)| (*v, e.clone())));
        let condition = condition.substitute(&|s| match s {
            Symbol::Var(v) => at.get(&v).or_else(|| body.fixed.get(&v)).cloned(),
            Symbol::Size(_) => None,
        });
        let then = pointwise_stmts(b, inner, update);
        vec![Stmt::If { condition, then, otherwise: Vec::new() }]
    });
    b.body.extend(stmts);
}

/// The variable that is the target's last subscript, if the target moves with it by one element.
pub(super) fn last_axis_var(body: &Body) -> Option<VarId> {
    let last = body.subscripts.last()?.as_affine()?;
    let v = body.vars.iter().map(|(v, _)| *v).find(|v| last.mentions(*v))?;
    (motion(&body.subscripts, v) == Motion::Next).then_some(v)
}

pub(super) fn extent_of(body: &Body, v: VarId) -> IntExpr {
    body.vars.iter().find(|(x, _)| *x == v).map(|(_, e)| e.clone()).unwrap_or_default()
}

pub(super) fn name_of(b: &KernelBuilder<'_, '_>, v: VarId) -> String {
    b.kernel.vars.get(v).cloned().unwrap_or_default()
}

/// A multiple of the lanes, at most `vectors` of them, that fits a constant extent.
fn fit_width(extent: &IntExpr, lanes: i64, vectors: i64) -> Option<i64> {
    match extent.as_constant() {
        None => Some(vectors * lanes),
        Some(e) => Some((e / lanes).min(vectors) * lanes).filter(|w| *w > 0),
    }
}

/// Loops over variables in order, each from 0 to its extent.
pub(super) fn over_spatial(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    order: &[VarId],
    inner: &mut dyn FnMut(&mut KernelBuilder<'_, '_>, &Positions) -> Vec<Stmt>,
) -> Vec<Stmt> {
    let mut at = Positions::new();
    let mut loops = Vec::new();
    for v in order {
        let extent = extent_of(body, *v);
        if extent.as_constant() == Some(1) {
            at.insert(*v, IntExpr::constant(0));
            continue;
        }
        let i = b.kernel.fresh_var(&format!("{}_", name_of(b, *v)));
        at.insert(*v, i.into());
        loops.push((i, extent));
    }
    let stmts = inner(b, &at);
    loops
        .into_iter()
        .rev()
        .fold(stmts, |stmts, (i, extent)| vec![serial(i, IntExpr::constant(0), extent, stmts)])
}

pub(super) fn store_block(b: &KernelBuilder<'_, '_>, body: &Body, at: &Positions, update: Update) -> Stmt {
    let store = Store {
        buffer: body.buffer,
        subscripts: body.subscripts.clone(),
        update,
        value: body.value.clone(),
        drop: body.drop,
    };
    b.block(body, &|v| at.get(&v).cloned().unwrap_or_default(), store)
}

/// Where a kernel reads or writes buffers of unknown stride in lanes: the vector form if they turn
/// out to be contiguous, else the scalar form.
fn versioned(
    b: &mut KernelBuilder<'_, '_>,
    vars: &[VarId],
    body: &Body,
    vector: Vec<Stmt>,
    scalar: impl FnOnce(&mut KernelBuilder<'_, '_>) -> Vec<Stmt>,
) -> Vec<Stmt> {
    let mut strided: Vec<TensorId> = Vec::new();
    let moving = |s: &[Subscript]| vars.iter().any(|v| motion(s, *v) == Motion::Next);
    let mut note = |t: TensorId, s: &[Subscript]| {
        let scope = b.kernel.buffers.get(t).map(|x| x.scope);
        if scope == Some(Scope::Strided) && moving(s) && !strided.contains(&t) {
            strided.push(t);
        }
    };
    note(body.buffer, &body.subscripts);
    for e in body.lets.iter().map(|(_, e)| e).chain([&body.value]) {
        e.reads().into_iter().for_each(|r| note(r.tensor, &r.subscripts));
    }
    let condition =
        strided.into_iter().map(Expr::Contiguous).reduce(|a, c| Expr::binary(Func::And, a, c));
    match condition {
        None => vector,
        Some(condition) => {
            let otherwise = scalar(b);
            vec![Stmt::If { condition, then: vector, otherwise }]
        }
    }
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

fn reduction_stmts(
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
            let dense =
                unknown.into_iter().map(Expr::Contiguous).reduce(|a, c| Expr::binary(Func::And, a, c));
            match dense {
                None => tiles,
                Some(condition) => {
                    let otherwise = plan.scalar(b, &body);
                    vec![Stmt::If { condition, then: tiles, otherwise }]
                }
            }
        }
        None => plan.stmts(b, &body),
    };
    if stores_in_bounds(b, &body, &plan.spatial) {
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
    let mut facts = b.facts.clone();
    for v in spatial {
        facts.add_nonneg(extent_of(body, *v) - IntExpr::constant(1) - IntExpr::from(*v));
    }
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
        let v = *self.summed.iter().rev().find(|v| contiguous_reads(body, **v))?;
        let mut tightened = body.clone();
        let bounds = tighten(&mut tightened, v, &extent_of(body, v));
        if guarded_by(&tightened, v) {
            return None;
        }
        let bounds = in_order(b, bounds)?;
        let lane_count = lanes(&b.kernel, body, v, b.cx.target.vector_bytes)?;
        let width = fit_width(&extent_of(body, v), lane_count, VECTORS)?;
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
        let clear = set_register(wide, Some((e0, lane)), unit);
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
            let clear = set_register(row, Some((e, lane)), unit.clone());
            out.push(lane_loop(lane, width, LoopKind::Vectorize, vec![clear]));
            out.push(set_register(rest, None, unit));
            out.extend(self.across_row(b, body, &at, (v, bounds, width), (row, rest)));
            let (e, lane) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("l"));
            let add = self.combine("row", (wide, vec![e.into()]), (row, vec![e.into()]), dtype);
            let add = Stmt::Block(Block { iters: vec![(e, lane.into())], ..add });
            out.push(lane_loop(lane, width, LoopKind::Vectorize, vec![add]));
            out.push(Stmt::Block(self.combine("rest", (single, vec![]), (rest, vec![]), dtype)));
            out
        });
        out.extend(sums);
        let lane = b.kernel.fresh_var("l");
        let e = element(b);
        let combine = self.combine("combine", (single, vec![]), (wide, vec![e.into()]), dtype);
        let combine = Stmt::Block(Block { iters: vec![(e, lane.into())], ..combine });
        out.push(lane_loop(lane, width, LoopKind::Unroll, vec![combine]));
        out.push(self.write_back(b, body, at, single, None));
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
        let block = self.update_register(b, body, &main, wide, Some((e, lane)));
        let vector = lane_loop(lane, width, LoopKind::Vectorize, vec![block]);
        let mut out = vec![serial(chunk, IntExpr::constant(0), chunks.clone(), vec![vector])];
        let done = lo + chunks * IntExpr::constant(width);
        if done != hi {
            let i = b.kernel.fresh_var(&format!("{}t", name_of(b, v)));
            let mut rest = at.clone();
            rest.insert(v, i.into());
            let block = self.update_register(b, body, &rest, single, None);
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
        let lane_var =
            |b: &mut KernelBuilder<'_, '_>| lanes.map(|(lane, _)| (b.kernel.fresh_var("e"), lane));
        let mut out = vec![Stmt::Alloc(acc)];
        let e = lane_var(b);
        let start = self.start_lanes(body, at, acc, e);
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
        let e = lane_var(b);
        let inner = in_lanes(vec![self.update_register(b, &tightened, &positions, acc, e)]);
        let nest = loops
            .into_iter()
            .rev()
            .fold(inner, |stmts, (i, lo, hi)| vec![serial(i, lo, hi, stmts)]);
        out.extend(nest);
        let e = lane_var(b);
        let store = self.write_back(b, body, at, acc, e);
        out.extend(in_lanes(vec![store]));
        out
    }

    /// `acc = start` for a scalar accumulator.
    fn start_block(&self, body: &Body, at: &Positions, acc: TensorId) -> Stmt {
        self.start_lanes(body, at, acc, None)
    }

    fn start_lanes(
        &self,
        body: &Body,
        at: &Positions,
        acc: TensorId,
        lane: Option<(VarId, VarId)>,
    ) -> Stmt {
        let value = self.start(body);
        let mut iters = spatial_iters(body, at, &self.spatial);
        let subscripts = register_position(lane);
        iters.extend(lane.map(|(e, l)| (e, l.into())));
        if self.initial == Initial::Unit {
            iters.retain(|(v, _)| lane.is_some_and(|(e, _)| *v == e));
        }
        let update = Update::Set;
        let store = Store { buffer: acc, subscripts, update, value, drop: false };
        let (guard, init, lets) = (None, None, vec![]);
        Stmt::Block(Block { name: "start".to_owned(), iters, guard, init, lets, store })
    }

    /// `acc op= value`
    fn update_register(
        &self,
        b: &KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        acc: TensorId,
        lane: Option<(VarId, VarId)>,
    ) -> Stmt {
        let store = Store {
            buffer: acc,
            subscripts: register_position(lane),
            update: self.update,
            value: body.value.clone(),
            drop: false,
        };
        let stmt = b.block(body, &|v| at.get(&v).cloned().unwrap_or_default(), store);
        match stmt {
            Stmt::Block(mut block) => {
                block.iters.extend(lane.map(|(e, l)| (e, l.into())));
                Stmt::Block(block)
            }
            other => other,
        }
    }

    /// `target = acc`
    fn write_back(
        &self,
        b: &KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        acc: TensorId,
        lane: Option<(VarId, VarId)>,
    ) -> Stmt {
        let dtype = b.kernel.buffers.get(acc).map_or(body.value.dtype(), |x| x.dtype);
        let position = lane.map(|(e, _)| IntExpr::from(e)).into_iter().collect();
        let mut iters = spatial_iters(body, at, &self.spatial);
        iters.extend(lane.map(|(e, l)| (e, l.into())));
        let store = Store {
            buffer: body.buffer,
            subscripts: body.subscripts.clone(),
            update: Update::Set,
            value: Expr::read(acc, dtype, position),
            drop: false,
        };
        let (guard, init, lets) = (None, None, vec![]);
        Stmt::Block(Block { name: body.name.clone(), iters, guard, init, lets, store })
    }
}

fn register_position(lane: Option<(VarId, VarId)>) -> Vec<Subscript> {
    lane.map(|(e, _)| Subscript::Affine(e.into())).into_iter().collect()
}

fn set_register(acc: TensorId, lane: Option<(VarId, VarId)>, value: Expr) -> Stmt {
    let iters = lane.map(|(e, l)| (e, l.into())).into_iter().collect();
    let subscripts = register_position(lane);
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

pub(super) fn joined(a: &Positions, b: &Positions) -> Positions {
    let mut out = a.clone();
    out.extend(b.iter().map(|(v, e)| (*v, e.clone())));
    out
}

fn every_read_mentions(body: &Body, v: VarId) -> bool {
    let exprs = body.lets.iter().map(|(_, e)| e).chain([&body.value]);
    exprs.flat_map(Expr::reads).filter(|r| !r.subscripts.is_empty()).all(|r| {
        r.subscripts.iter().any(|s| {
            let mut found = false;
            s.visit_symbols(&mut |x| found |= x == v.into());
            found
        })
    })
}

/// True if every read stands still or moves by one element, and one moves.
fn contiguous_reads(body: &Body, v: VarId) -> bool {
    let exprs = body.lets.iter().map(|(_, e)| e).chain([&body.value]);
    let reads: Vec<Motion> = exprs
        .flat_map(Expr::reads)
        .map(|r| if r.default.is_some() { Motion::Other } else { motion(&r.subscripts, v) })
        .collect();
    reads.contains(&Motion::Next) && !reads.contains(&Motion::Other)
}
