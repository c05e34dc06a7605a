//! Contractions: reductions of two-sided bodies on tiles of registers.
//!
//! The variables of `C[m..., n] += A[m..., k...] * B[k..., n]` fall into groups: *lanes* (`n`, the
//! last axis of the target, with those before it where they join), *rows* (borne by what does not
//! move with the lanes), *summed*, and outer ones. A tile of rows and vectors of lanes is kept in
//! registers while the summed variables run:
//!
//! ```text
//! for outer... { for block of lanes { for block of k {
//!     S[no, k, n] = B[k, NB*no + n]                   // lanes side by side, in the cache
//!     for shared... { for block of rows {
//!         R[mo, k, m] = A[MR*mo + m, k]               // where rows lie far apart
//!         for no in NC/NB { for mo in MC/MR {
//!             acc[MR, NB] = 0
//!             for k { for m in MR unroll { for n in NB vectorize { acc[m, n] += R * S } } }
//!             C = acc, or C += acc
//!         } }
//!     } }
//! } } }
//! ```
//!
//! The copy `S` is made where the lanes' operand is not side by side, or is used often enough; a
//! convolution's is made of the rows of an image, block by block, and has no panels. Outer
//! variables that it does not move with are *shared*; one along which the operand's elements lie
//! side by side, or that makes up for few lanes, gives it *planes*. Rows that are small are packed
//! by a kernel before (`pack`). Any reducer and any body will do. Which tile is best follows from
//! the extents and from what a core does in a cycle ([`tile`]).

mod copy;
mod loops;
mod plan;
mod tile;
mod versions;

use super::block::{Body, KernelBuilder};
use super::nest::{self, Initial, extent_of, over_spatial};
use super::pack::Panels;
use super::reduce::{split_vars, update_of};
use super::vector::{Motion, motion};
use crate::tune::Knobs;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Scope, Stmt, Update};
use tcc_ir::scalar::{Expr, Func, Read, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Vector registers for accumulators and operands.
const REGISTERS: i64 = 30;
/// Cycles a load: a core starts two a cycle, but seldom for long.
const LOAD: f64 = 0.6;
/// Cycles that a round of the innermost loop takes besides.
const ROUND: f64 = 0.75;
/// Cycles a vector from the second cache.
const STREAM: f64 = 2.5;
/// Bytes of the cache that a core has for itself: what the copy of the lanes' operand may take.
const CACHE: i64 = 1 << 20;
/// Bytes of the first cache that an operand may take.
const FIRST: i64 = 1 << 15;
/// An operand whose elements are used less often is rather not packed.
const RARE: i64 = 256;
/// Values of a variable that a copy holds at a time, so that it is made by whole lines, or serves
/// rows that are packed with enough lanes.
const PLANE: i64 = 16;
/// Elements of a summed variable that a block takes at most, and lanes.
const SUMMED: i64 = 256;
const LANES: i64 = 512;
/// Bytes of lanes that a copy with planes has room for at least.
const LINE: i64 = 256;
/// Rows of a matrix that are read side by side.
const STREAMS: i64 = 32;
/// Summed variables of at most this extent are unrolled.
const UNROLLED: i64 = 4;
/// Nodes of a body that a tile repeats for each of its elements.
const LARGEST: usize = 64;
/// What a symbolic extent counts.
const NOMINAL: i64 = 256;

/// A contraction's variables by their part in it.
#[derive(Clone)]
struct Contraction {
    /// The variables of the target that lie in lanes, row-major; more than one only with a copy.
    lanes: Vec<VarId>,
    /// The variable whose values a tile holds beside each other.
    rows: Option<VarId>,
    /// Other variables of the target; those of `shared` run inside of a block of the copy, because
    /// the copy does not move with them.
    outer: Vec<VarId>,
    shared: Vec<VarId>,
    summed: Vec<VarId>,
    /// The body, and the parts of it that do not and do move with the lanes.
    value: Expr,
    fixed: Option<Expr>,
    moving: Option<Expr>,
    update: Update,
    reducer: Reducer,
    initial: Initial,
    /// The fixed part in the order in which tiles read it.
    panels: Option<Panels>,
    /// The same, made block by block in local memory; upright, the rows of a tile lie behind each
    /// other there, else beside each other.
    packed: Option<TensorId>,
    upright: bool,
    tile: Tile,
    /// Lanes of a vector.
    width: i64,
    blocks: Option<Blocks>,
    /// Rows that there are at most, if their number is not known.
    most_rows: Option<i64>,
    knobs: Knobs,
}

/// Blocks of lanes and of a summed variable.
#[derive(Clone, Copy)]
struct Blocks {
    /// The copy of the moving part; none if tiles read it where it is.
    buffer: Option<TensorId>,
    /// The summed variable that is taken in blocks, with their size.
    summed: VarId,
    block: i64,
    /// Values of the first lanes variable that a block takes.
    lanes: i64,
    /// Another variable of the target, and so many values of it that a copy holds: along it the
    /// elements of the moving part lie side by side.
    plane: Option<(VarId, i64)>,
    /// Lanes of a panel, if the copy has those of a column of tiles side by side,
    /// `[column, k..., lane]`, and not the whole block's.
    panel: Option<i64>,
}

/// Rows and vectors of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: i64,
    pub(super) vectors: i64,
}

/// Tiles of rows that make a copy of more than [`CACHE`] worth its time.
const OFTEN: i64 = 6;
/// The tile for rows of unknown number: it keeps the core busy, and the numbers that are met most
/// often fill tiles of twelve well.
const ANY: Tile = Tile { rows: 12, vectors: 2 };
/// Up to so many rows the lanes' operand is read where it is, in tiles of this kind.
const FEW_ROWS: i64 = 48;
const FEW: Tile = Tile { rows: 4, vectors: 4 };

/// The quotient, rounded up.
pub(super) fn ceil(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// The number of tiles of a size that cover an extent.
pub(super) fn ceil_of(extent: &IntExpr, size: i64) -> IntExpr {
    (extent + &IntExpr::constant(size - 1)).div(&IntExpr::constant(size))
}

/// The tile with the least time for so many rows and lanes: a core starts two multiplications a
/// cycle and a load every [`LOAD`] cycles, waits four cycles for a sum, and gets a vector of the
/// lanes' operand from the second cache in [`STREAM`] cycles, if the summed variables are too long
/// for the first one.
pub(super) fn tile(rows: i64, lanes: i64, width: i64, summed: i64) -> Tile {
    let mut best = (f64::INFINITY, Tile { rows: 1, vectors: 1 });
    for vectors in 1..=6 {
        let near = vectors * 64 * summed.min(SUMMED) <= FIRST;
        for most in 1..=REGISTERS {
            if most * vectors + vectors + 1 > REGISTERS {
                continue;
            }
            let tiles = ceil(rows.max(1), most);
            let high = ceil(rows.max(1), tiles);
            let columns = ceil(lanes.max(1), width * vectors);
            let fused = 0.5 * (high * vectors) as f64;
            let loads = LOAD * (high + vectors) as f64;
            let stream = if near { 0.0 } else { STREAM * vectors as f64 };
            let work = fused.max(loads).max(4.0).max(stream);
            let time = (tiles * columns) as f64 * (work + ROUND + 0.01 * (high + vectors) as f64);
            if time < best.0 {
                best = (time, Tile { rows: high, vectors });
            }
        }
    }
    best.1
}

/// A size of blocks, at most `most` (one at least) and a multiple of `step`: if there is one that
/// leaves no rest and is not much smaller, that one.
pub(super) fn dividing(extent: i64, most: i64, step: i64) -> i64 {
    let largest = (most / step).max(1) * step;
    let exact = (1..=largest / step)
        .rev()
        .map(|k| k * step)
        .find(|n| extent % n == 0)
        .filter(|n| 2 * n > largest);
    let even = ceil(ceil(extent, ceil(extent, largest)), step) * step;
    exact.unwrap_or(even).min(ceil(extent, step) * step)
}

/// The product of extents, as a number that estimates can go on with.
pub(super) fn volume(extents: impl Iterator<Item = i64>) -> i64 {
    extents.fold(1, i64::saturating_mul).min(1 << 28)
}

fn nominal(e: &IntExpr) -> i64 {
    e.as_constant().unwrap_or(NOMINAL).max(1)
}

fn is_known(body: &Body, v: VarId) -> bool {
    extent_of(body, v).as_constant().is_some()
}

/// How many elements a part of a body has.
fn elements(body: &Body, part: &Expr) -> i64 {
    volume(body.vars.iter().filter(|(v, _)| part.mentions(*v)).map(|(_, n)| nominal(n)))
}

/// The statements of a contraction; `None` if the body is none, or none that gains by it.
pub(super) fn contraction(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    reducer: Reducer,
    initial: Initial,
) -> Option<Vec<Stmt>> {
    tiles(b, &with_lets(body)?, (reducer, initial), true)
}

/// The same of a body without lets, of which threads may each get a part if they have to share it.
fn tiles(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    (reducer, initial): (Reducer, Initial),
    whole: bool,
) -> Option<Vec<Stmt>> {
    let mut c = recognize(b, body, reducer, initial)?;
    let [last] = c.lanes.as_slice() else { return None };
    let last = *last;
    let extent = |v: &VarId| nominal(&extent_of(body, *v));
    let rows = c.rows.map_or(1, |r| extent(&r));
    let summed = volume(c.summed.iter().map(extent));
    let still = |v: &VarId| c.moving.as_ref().is_some_and(|m| !m.mentions(*v));
    let shared = c.rows.is_some_and(|r| still(&r));
    let again = volume(c.outer.iter().filter(|v| still(v)).map(extent));
    let wanted = c.wants_copy(body, last, (summed, if shared { rows } else { 1 }, again));
    let unit = moves_by_one(&c.value, last);
    let wanted = wanted && (!unit || c.may_be_copied(body));
    let wanted = c.knobs.copy.filter(|_| unit).map_or(wanted, |copy| copy == 1);
    // A copy that no rows share gains nothing over loads with gaps.
    let merged = wanted && shared && rows >= 2;
    let wanted = merged || wanted && unit;
    if merged {
        c.merge_lanes(b, body);
    } else if !moves_near(&c.value, last) {
        return None;
    }
    let lanes = volume(c.lanes.iter().map(extent));
    c.tile = tile(rows, lanes, c.width, summed);
    if !shared {
        // Rows only keep the core busy: few are enough.
        c.tile.rows = c.tile.rows.min(4);
        c.tile.vectors = c.tile.vectors.min(if c.tile.rows > 1 { 2 } else { 4 });
    }
    c.tile = c.chosen_tile(c.tile, rows);
    c.blocks = match (wanted, initial) {
        (true, _) if unit => c.plan_dense(b, body),
        (false, Initial::Unit) => c.plan_rows(body),
        _ => None,
    };
    let copied = wanted && c.blocks.is_none();
    if whole
        && copied
        && let Some(r) = c.open_rows(b, body)
    {
        return c.by_rows(b, body, r, (reducer, initial));
    }
    if whole
        && (copied || c.blocks.is_some())
        && let Some((v, n)) = c.parts_for_threads(b, body, copied)
    {
        return loops::parts(b, body, (v, n), (reducer, initial));
    }
    if copied {
        c.blocks = Some(c.plan_copy(b, body)?);
    }
    c.pack_rows(b, body, lanes);
    let outer = c.outer.clone();
    Some(over_spatial(b, body, &outer, &mut |b, at| c.blocks(b, body, at)))
}

/// The body with its lets written out where they are used.
fn with_lets(body: &Body) -> Option<Body> {
    let mut out = body.clone();
    let mut values: Vec<(TensorId, Expr)> = Vec::new();
    for (t, e) in std::mem::take(&mut out.lets) {
        let e = written_out(&e, &values);
        values.push((t, e));
    }
    out.value = written_out(&out.value, &values);
    let mut size = 0;
    out.value.visit(&mut |_| size += 1);
    (size <= LARGEST).then_some(out)
}

fn written_out(e: &Expr, values: &[(TensorId, Expr)]) -> Expr {
    e.rewrite(&|i| i.clone(), &mut |x| match &x {
        Expr::Read(r) => {
            let found = values.iter().find(|(t, _)| *t == r.tensor);
            found.map_or(x.clone(), |(_, value)| value.clone())
        }
        _ => x,
    })
}

/// True if everything that moves with `v` moves to the next element.
fn moves_by_one(e: &Expr, v: VarId) -> bool {
    moves_near(e, v) && e.reads().iter().all(|r| motion(&r.subscripts, v) != Motion::Gaps)
}

/// True if everything that moves with `v` moves to where vectors are loaded from.
fn moves_near(e: &Expr, v: VarId) -> bool {
    e.reads().iter().all(|r| motion(&r.subscripts, v) != Motion::Other && r.default.is_none())
}

/// The first axis of what is read that moves with a variable.
fn axis_of(e: &Expr, v: VarId) -> Option<usize> {
    let on = |s: &Subscript| s.as_affine().is_some_and(|i| i.mentions(v));
    e.reads().iter().find_map(|r| r.subscripts.iter().position(on))
}

fn recognize(
    b: &KernelBuilder<'_, '_>,
    body: &Body,
    reducer: Reducer,
    initial: Initial,
) -> Option<Contraction> {
    let dtype = body.value.dtype();
    let wide = b.cx.target.vector_bytes >= nest::MASKED;
    let mut fits = wide && (dtype.size() == 4 || dtype.size() == 8);
    body.value.visit(&mut |x| {
        let d = x.dtype();
        fits &= d == tcc_abi::DType::Bool || d.size() == dtype.size() && !d.is_complex();
        fits &= !matches!(x, Expr::Index { .. } | Expr::Compare(..));
        // Tiles go on past the end, where a division of integers might fail.
        let divides = matches!(x, Expr::Apply(Func::Div | Func::Rem, _));
        fits &= !divides || d.is_float();
    });
    if !fits || body.guard.is_some() || !body.lets.is_empty() {
        return None;
    }
    if !matches!(reducer, Reducer::Sum | Reducer::Max | Reducer::Min | Reducer::Prod) {
        return None;
    }
    let affine = |r: &Read| r.subscripts.iter().all(|s| s.as_affine().is_some());
    if !body.value.reads().into_iter().all(affine) {
        return None;
    }
    let last = body.subscripts.last()?.as_affine()?.as_var()?;
    let (spatial, summed) = split_vars(body);
    if summed.is_empty() || !spatial.contains(&last) {
        return None;
    }
    let (value, fixed, moving) = sides(&body.value, reducer, last)?;
    let rows = match fixed {
        Some(_) => rows_of(body, &spatial, last, fixed.as_ref(), moving.as_ref()),
        None => None,
    };
    let outer = spatial.into_iter().filter(|v| *v != last && Some(*v) != rows).collect();
    Some(Contraction {
        lanes: vec![last],
        rows,
        outer,
        shared: Vec::new(),
        summed,
        value,
        fixed,
        moving,
        update: update_of(b, body, reducer),
        reducer,
        initial,
        panels: None,
        packed: None,
        upright: false,
        tile: Tile { rows: 1, vectors: 1 },
        width: i64::from(b.cx.target.vector_bytes) / dtype.size() as i64,
        blocks: None,
        most_rows: rows.and_then(|r| b.most.get(&r).copied()),
        knobs: b.cx.tuning.knobs(&body.name),
    })
}

/// The body as one product of what does not and what does move with the lanes, or else as it is
/// with its only reads of both kinds; `None` if nothing is fixed.
fn sides(
    value: &Expr,
    reducer: Reducer,
    lanes: VarId,
) -> Option<(Expr, Option<Expr>, Option<Expr>)> {
    let product = match reducer {
        Reducer::Sum => Func::Mul,
        _ => Func::Add,
    };
    let reads = value.reads();
    if !reads.iter().any(|r| motion(&r.subscripts, lanes) == Motion::Fixed) {
        return Some((value.clone(), None, None));
    }
    let factors: Vec<Expr> = value.operands(product).into_iter().cloned().collect();
    let (moving, fixed): (Vec<Expr>, Vec<Expr>) =
        factors.into_iter().partition(|f| f.mentions(lanes));
    let pure = moving
        .iter()
        .all(|f| f.reads().iter().all(|r| motion(&r.subscripts, lanes) != Motion::Fixed));
    let join = |list: Vec<Expr>| list.into_iter().reduce(|a, b| Expr::binary(product, a, b));
    if pure && let (Some(m), Some(f)) = (join(moving), join(fixed)) {
        return Some((Expr::binary(product, f.clone(), m.clone()), Some(f), Some(m)));
    }
    let only = |still: bool| {
        let mut list: Vec<&&Read> = reads
            .iter()
            .filter(|r| (motion(&r.subscripts, lanes) == Motion::Fixed) == still)
            .collect();
        list.dedup();
        match list.as_slice() {
            [r] => Some(Expr::Read(Box::new((**r).clone()))),
            _ => None,
        }
    };
    Some((value.clone(), only(true), only(false)))
}

/// The variable that tiles take several values of: one that shares what moves with the lanes, else
/// any, so that sums run beside each other. Of several that are long enough, the one whose rows lie
/// nearest in the target, or whose elements lie side by side, so that they need not be packed,
/// where each is used a few times only.
fn rows_of(
    body: &Body,
    spatial: &[VarId],
    lanes: VarId,
    fixed: Option<&Expr>,
    moving: Option<&Expr>,
) -> Option<VarId> {
    let long = |v: &VarId| *v != lanes && extent_of(body, *v).as_constant() != Some(1);
    let sharing = |v: &VarId| {
        fixed.is_some_and(|f| f.mentions(*v)) && moving.is_some_and(|m| !m.mentions(*v))
    };
    let candidates = || spatial.iter().rev().copied().filter(long);
    let extent = |v: VarId| nominal(&extent_of(body, v));
    let rare = fixed.is_some_and(|f| {
        let others = spatial.iter().filter(|v| !f.mentions(**v));
        volume(others.map(|v| extent(*v))) < RARE
    });
    let worth = |v: VarId| {
        let reads = fixed.map(Expr::reads).unwrap_or_default();
        let beside = reads.iter().all(|r| motion(&r.subscripts, v) == Motion::Next);
        (extent(v).min(12), rare && beside)
    };
    // The longest, up to what a tile holds.
    let mut best: Option<VarId> = None;
    for v in candidates().filter(sharing) {
        if best.is_none_or(|o| worth(v) > worth(o)) {
            best = Some(v);
        }
    }
    best.or_else(|| candidates().next())
}

impl Contraction {
    /// The values of a summed variable that a block takes, if it is the one taken in blocks.
    fn taken<'r, T: ?Sized>(&self, v: VarId, range: Option<&'r T>) -> Option<&'r T> {
        range.filter(|_| self.blocks.as_ref().is_some_and(|c| c.summed == v))
    }

    /// True if tiles read a copy of the moving part.
    fn copies(&self) -> bool {
        self.blocks.as_ref().is_some_and(|c| c.buffer.is_some())
    }

    /// True if a copy of the moving part has a size: all but one of its summed variables have.
    fn may_be_copied(&self, body: &Body) -> bool {
        let moving = |v: &VarId| self.moving.as_ref().is_some_and(|m| m.mentions(*v));
        self.summed.iter().filter(|v| moving(v) && !is_known(body, **v)).count() <= 1
    }

    /// True if tiles had better read a copy of the moving part, of which each element is used by
    /// `rows` rows in each of `again` iterations of outer loops.
    fn wants_copy(&self, body: &Body, last: VarId, (summed, rows, again): (i64, i64, i64)) -> bool {
        let size = body.value.dtype().size() as i64;
        let lanes = nominal(&extent_of(body, last));
        let uses = again * ceil(rows, tile(rows, lanes, self.width, summed).rows);
        // Rows of the operand that lie in pages of their own, or more than the first cache holds.
        let far = lanes * size >= 1024 || lanes * summed * size > FIRST;
        // Lanes that leave much of their vectors empty.
        let sparse = 10 * lanes < 9 * ceil(lanes, self.width) * self.width;
        // What comes from memory each time is copied at the cost of a few tiles.
        let often = uses >= if lanes * summed * size > CACHE { OFTEN } else { 3 };
        !moves_by_one(&self.value, last) || (often && summed >= 32 && (far || sparse))
    }

    /// Takes the axes before the last one into the lanes too, as far as only the moving part bears
    /// them and the last one alone does not fill a tile.
    fn merge_lanes(&mut self, b: &KernelBuilder<'_, '_>, body: &Body) {
        let Some(moving) = self.moving.clone() else { return };
        let fixed = self.fixed.clone();
        let shape = b.kernel.buffers.get(body.buffer).map_or(Vec::new(), |x| x.shape.clone());
        let mut axis = body.subscripts.len() - 1;
        let Some(last) = self.lanes.last().copied() else { return };
        let mut inner = extent_of(body, last);
        while axis > 0 {
            // The axis that joins must be whole.
            let whole =
                shape.get(axis).is_some_and(|n| *n == inner) && inner.as_constant().is_some();
            let small =
                volume(self.lanes.iter().map(|v| nominal(&extent_of(body, *v)))) < LANES / 2;
            axis -= 1;
            let next = body.subscripts.get(axis).and_then(Subscript::as_affine);
            let Some(v) = next.and_then(IntExpr::as_var) else { return };
            let free = self.outer.contains(&v)
                && moving.mentions(v)
                && !fixed.as_ref().is_some_and(|f| f.mentions(v));
            if !whole || !small || !free {
                return;
            }
            self.outer.retain(|x| *x != v);
            self.lanes.insert(0, v);
            inner = extent_of(body, v);
        }
    }
}

/// Arguments of unknown strides that a body reads or writes.
pub(super) fn strided(b: &KernelBuilder<'_, '_>, body: &Body) -> Vec<TensorId> {
    let mut out: Vec<TensorId> = Vec::new();
    let mut note = |t: TensorId| {
        let scope = b.kernel.buffers.get(t).map(|x| x.scope);
        if scope == Some(Scope::Strided) && !out.contains(&t) {
            out.push(t);
        }
    };
    note(body.buffer);
    body.exprs().for_each(|e| {
        e.reads().iter().for_each(|r| note(r.tensor));
    });
    out
}
