//! Loops of pointwise bodies: the last axis of the target in vector lanes where its reads allow,
//! what is left behind whole vectors under a mask, or one by one where vectors have none.

use super::block::{Body, KernelBuilder};
use super::transpose;
use super::vector::{Motion, guarded_by, lanes, motion};
use indexmap::IndexMap;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{For, LoopKind, Scope, Stmt, Store, Update};
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

/// Vectors of this many bytes have masks: lanes of a chunk may be left out.
pub(super) const MASKED: u32 = 64;

/// Loop positions of a body's variables.
pub(super) type Positions = IndexMap<VarId, IntExpr>;

pub(super) fn serial(var: VarId, lo: IntExpr, hi: IntExpr, body: Vec<Stmt>) -> Stmt {
    Stmt::For(For { var, lo, hi, kind: LoopKind::Serial, body })
}

pub(super) fn lane_loop(var: VarId, width: i64, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    let (lo, hi) = (IntExpr::constant(0), IntExpr::constant(width));
    Stmt::For(For { var, lo, hi, kind, body })
}

/// A body that stores its value at each point.
pub(crate) fn pointwise(b: &mut KernelBuilder<'_, '_>, body: Body, update: Update) {
    let stmts = pointwise_stmts(b, body, update);
    b.body.extend(stmts);
}

pub(super) fn pointwise_stmts(
    b: &mut KernelBuilder<'_, '_>,
    body: Body,
    update: Update,
) -> Vec<Stmt> {
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
    let most = b.most.get(&v).copied().filter(|n| masked && *n <= 4 * lane_count);
    let width = fit_width(&extent, lane_count, 2).or(extent.as_constant().filter(|_| masked));
    let Some(width) = width else { return scalar_pointwise(b, body, update) };
    let order: Vec<VarId> = body.vars.iter().map(|(x, _)| *x).filter(|x| *x != v).collect();
    let scalar = body.clone();
    let stmts = over_spatial(b, &body, &order, &mut |b, at| {
        if let Some(most) = most {
            return vec![masked_lanes(
                b,
                &body,
                at,
                (v, &IntExpr::default(), &extent, most),
                update,
            )];
        }
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
pub(super) fn masked_rest(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    at: &Positions,
    (v, done, extent, width): (VarId, &IntExpr, &IntExpr, i64),
    update: Update,
) -> Vec<Stmt> {
    let lanes = masked_lanes(b, body, at, (v, done, extent, width), update);
    if (extent - done).as_constant().is_some() {
        return vec![lanes];
    }
    let condition = Expr::Compare(Comparison::Lt, done.clone(), extent.clone());
    vec![Stmt::If { condition, then: vec![lanes], otherwise: Vec::new() }]
}

/// The values of a variable from `done`, at most `width` of them, in lanes of which those past the
/// extent are left out.
fn masked_lanes(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    at: &Positions,
    (v, done, extent, width): (VarId, &IntExpr, &IntExpr, i64),
    update: Update,
) -> Stmt {
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
    lane_loop(lane, known.unwrap_or(width), LoopKind::Vectorize, vec![block])
}

/// Chunks of an extent and its rest: the rest of a negative extent would begin at negative values.
pub(super) fn unless_empty(
    b: &KernelBuilder<'_, '_>,
    extent: &IntExpr,
    stmts: Vec<Stmt>,
) -> Vec<Stmt> {
    if b.cx.f.known_facts().is_nonneg(extent) {
        return stmts;
    }
    let condition = Expr::Compare(Comparison::Gt, extent.clone(), IntExpr::constant(0));
    vec![Stmt::If { condition, then: stmts, otherwise: Vec::new() }]
}

/// Updates that lanes of distinct elements can do at once.
pub(super) fn in_lanes(update: Update) -> bool {
    !matches!(update, Update::Reduce(Reducer::Or | Reducer::And | Reducer::LogSumExp))
}

pub(super) fn scalar_pointwise(
    b: &mut KernelBuilder<'_, '_>,
    body: Body,
    update: Update,
) -> Vec<Stmt> {
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

/// The variable with which the target moves by one element; of several, the last.
pub(super) fn last_axis_var(body: &Body) -> Option<VarId> {
    let beside = |v: &VarId| motion(&body.subscripts, *v) == Motion::Next;
    body.vars.iter().rev().map(|(v, _)| *v).find(beside)
}

pub(super) fn extent_of(body: &Body, v: VarId) -> IntExpr {
    body.vars.iter().find(|(x, _)| *x == v).map(|(_, e)| e.clone()).unwrap_or_default()
}

pub(super) fn name_of(b: &KernelBuilder<'_, '_>, v: VarId) -> String {
    b.kernel.vars.get(v).cloned().unwrap_or_default()
}

/// A multiple of the lanes, at most `vectors` of them, that fits a constant extent.
pub(super) fn fit_width(extent: &IntExpr, lanes: i64, vectors: i64) -> Option<i64> {
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

pub(super) fn store_block(
    b: &KernelBuilder<'_, '_>,
    body: &Body,
    at: &Positions,
    update: Update,
) -> Stmt {
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
pub(super) fn versioned(
    b: &mut KernelBuilder<'_, '_>,
    vars: &[VarId],
    body: &Body,
    vector: Vec<Stmt>,
    scalar: impl FnOnce(&mut KernelBuilder<'_, '_>) -> Vec<Stmt>,
) -> Vec<Stmt> {
    let mut strided: Vec<TensorId> = Vec::new();
    let moving =
        |s: &[Subscript]| vars.iter().any(|v| matches!(motion(s, *v), Motion::Next | Motion::Gaps));
    let mut note = |t: TensorId, s: &[Subscript]| {
        let scope = b.kernel.buffers.get(t).map(|x| x.scope);
        if scope == Some(Scope::Strided) && moving(s) && !strided.contains(&t) {
            strided.push(t);
        }
    };
    note(body.buffer, &body.subscripts);
    for e in body.exprs() {
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

pub(super) fn joined(a: &Positions, b: &Positions) -> Positions {
    let mut out = a.clone();
    out.extend(b.iter().map(|(v, e)| (*v, e.clone())));
    out
}
