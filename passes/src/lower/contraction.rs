//! Contractions: sums of products on tiles of registers.
//!
//! The variables of `C[m..., n] += A[m..., k...] * B[k..., n]` fall into groups: *lanes* (`n`, the
//! last axis of the target, which only `B` bears), *rows* (borne by `A` alone), *summed*, and
//! outer ones (the rest). A tile of rows and vectors of lanes is kept in registers while the summed
//! variables run:
//!
//! ```text
//! for outer... { for jo in N/NB { for io in M/MR {
//!     acc[MR, NB] = 0
//!     for k { for i in MR unroll { for l in NB vectorize { acc[i, l] += A * B } } }
//!     C = acc
//! } } }
//! ```
//!
//! The same holds for any product and sum of a semiring. Which tile is best follows from the
//! extents and from what a core does in a cycle ([`tile`]).

use super::block::{Body, KernelBuilder};
use super::nest::{
    Initial, Positions, extent_of, joined, name_of, over_spatial, serial, split_vars, update_of,
};
use super::vector::{Motion, motion};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, For, LoopKind, Scope, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Vector registers for accumulators: of 30, those that hold operands are left out.
const REGISTERS: i64 = 29;
/// Summed variables of at most this extent are unrolled.
const UNROLLED: i64 = 4;

/// A contraction's variables by their part in it.
struct Contraction {
    /// The last axis of the target.
    lanes: VarId,
    /// The variable whose values share what is read of the lanes' operand.
    rows: Option<VarId>,
    /// Other variables of the target.
    outer: Vec<VarId>,
    summed: Vec<VarId>,
    /// The two sides of the product: without and with the lanes.
    fixed: Expr,
    moving: Expr,
    product: Func,
    update: Update,
    reducer: Reducer,
    initial: Initial,
}

/// Rows and vectors of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: i64,
    pub(super) vectors: i64,
}

fn ceil(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// The tile with the least time for so many rows and lanes: a core starts two multiplications and
/// two loads a cycle, and waits four cycles for a sum.
pub(super) fn tile(rows: i64, lanes: i64, width: i64) -> Tile {
    let mut best = (f64::INFINITY, Tile { rows: 1, vectors: 1 });
    for vectors in 1..=6 {
        for most in 1..=REGISTERS {
            if most * vectors + vectors + 1 > REGISTERS + 1 {
                continue;
            }
            let tiles = ceil(rows.max(1), most);
            let high = ceil(rows.max(1), tiles);
            let columns = ceil(lanes.max(1), width * vectors);
            let work = (0.5 * (high * vectors) as f64).max(0.5 * (high + vectors) as f64).max(4.0);
            let time = (tiles * columns) as f64 * (work + 0.01 * (high + vectors) as f64);
            if time < best.0 {
                best = (time, Tile { rows: high, vectors });
            }
        }
    }
    best.1
}

/// The statements of a contraction; `None` if the body is none, or none that gains by it.
pub(super) fn contraction(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    reducer: Reducer,
    initial: Initial,
) -> Option<Vec<Stmt>> {
    let c = recognize(b, body, reducer, initial)?;
    let width = i64::from(b.cx.target.vector_bytes) / body.value.dtype().size() as i64;
    let nominal = |e: &IntExpr| e.as_constant().unwrap_or(256);
    let rows = c.rows.map_or(1, |r| nominal(&extent_of(body, r)));
    let lanes = nominal(&extent_of(body, c.lanes));
    let tile = tile(rows, lanes, width);
    if !moves_by_one(&c.moving, c.lanes) {
        return None;
    }
    let outer = c.outer.clone();
    let stmts = over_spatial(b, body, &outer, &mut |b, at| c.columns(b, body, at, tile, width));
    Some(stmts)
}

/// True if everything that moves with `v` moves to the next element.
fn moves_by_one(e: &Expr, v: VarId) -> bool {
    e.reads().iter().all(|r| motion(&r.subscripts, v) != Motion::Other && r.default.is_none())
}

fn mentions(e: &Expr, v: VarId) -> bool {
    let mut found = false;
    e.visit_symbols(&mut |s| found |= s == v.into());
    found
}

fn recognize(
    b: &KernelBuilder<'_, '_>,
    body: &Body,
    reducer: Reducer,
    initial: Initial,
) -> Option<Contraction> {
    let dtype = body.value.dtype();
    let wide = b.cx.target.vector_bytes >= 64 && (dtype.size() == 4 || dtype.size() == 8);
    let real = !dtype.is_complex() && !dtype.is_storage_float();
    if !wide || !real || body.guard.is_some() || !body.lets.is_empty() {
        return None;
    }
    let product = match reducer {
        Reducer::Sum => Func::Mul,
        Reducer::Max | Reducer::Min => Func::Add,
        _ => return None,
    };
    let affine = |r: &tcc_ir::scalar::Read| r.subscripts.iter().all(|s| s.as_affine().is_some());
    if !body.value.reads().into_iter().all(affine) {
        return None;
    }
    let factors: Vec<Expr> = body.value.operands(product).into_iter().cloned().collect();
    let lanes = body.subscripts.last()?.as_affine()?.as_var()?;
    let (moving, fixed): (Vec<Expr>, Vec<Expr>) =
        factors.into_iter().partition(|f| mentions(f, lanes));
    let join = |list: Vec<Expr>| list.into_iter().reduce(|a, b| Expr::binary(product, a, b));
    let (moving, fixed) = (join(moving)?, join(fixed)?);
    if fixed.reads().is_empty() {
        return None;
    }
    let (spatial, summed) = split_vars(body);
    if summed.is_empty() {
        return None;
    }
    let mut rows = None;
    let mut outer = Vec::new();
    for v in spatial.into_iter().filter(|v| *v != lanes) {
        let row = mentions(&fixed, v) && !mentions(&moving, v);
        match rows {
            None if row => rows = Some(v),
            Some(old) if row => {
                // The last one is closest to the lanes.
                outer.push(old);
                rows = Some(v);
            }
            _ => outer.push(v),
        }
    }
    let update = update_of(b, body, reducer);
    Some(Contraction {
        lanes,
        rows,
        outer,
        summed,
        fixed,
        moving,
        product,
        update,
        reducer,
        initial,
    })
}

/// A tile that is being built: its loop positions, its register buffer and what limits its lanes.
struct Place<'p> {
    at: &'p Positions,
    /// Where the rows begin.
    row: IntExpr,
    rows: i64,
    /// Where the lanes begin.
    column: IntExpr,
    columns: i64,
    /// The extent that lanes must not reach.
    limit: Option<IntExpr>,
}

impl Contraction {
    /// Columns of tiles, the last one cut.
    fn columns(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        tile: Tile,
        width: i64,
    ) -> Vec<Stmt> {
        let extent = extent_of(body, self.lanes);
        let columns = tile.vectors * width;
        let size = IntExpr::constant(columns);
        let whole = extent.div(&size);
        let done = whole.clone() * size.clone();
        let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, self.lanes)));
        let column = IntExpr::from(chunk) * size;
        let main = self.rows(b, body, at, tile, (column, columns, None));
        let mut out = vec![serial(chunk, IntExpr::constant(0), whole, main)];
        if done != extent {
            // As many vectors as the rest needs.
            let rest = (&extent - &done).as_constant();
            let columns = rest.map_or(columns, |r| ceil(r, width) * width);
            let limit = Some(extent.clone());
            let last = self.rows(b, body, at, tile, (done.clone(), columns, limit));
            match rest {
                Some(_) => out.extend(last),
                None => {
                    let condition = Expr::Compare(Comparison::Lt, done, extent);
                    out.push(Stmt::If { condition, then: last, otherwise: vec![] });
                }
            }
        }
        out
    }

    /// Rows of tiles, the last one lower.
    fn rows(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        tile: Tile,
        (column, columns, limit): (IntExpr, i64, Option<IntExpr>),
    ) -> Vec<Stmt> {
        let place = |row: IntExpr, rows: i64| Place {
            at,
            row,
            rows,
            column: column.clone(),
            columns,
            limit: limit.clone(),
        };
        let Some(r) = self.rows else {
            return self.tile(b, body, &place(IntExpr::default(), 1));
        };
        let extent = extent_of(body, r);
        let size = IntExpr::constant(tile.rows);
        let whole = extent.div(&size);
        let done = whole.clone() * size.clone();
        let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, r)));
        let main = self.tile(b, body, &place(IntExpr::from(chunk) * size, tile.rows));
        let mut out = vec![serial(chunk, IntExpr::constant(0), whole, main)];
        if done != extent {
            match (&extent - &done).as_constant() {
                Some(rest) => out.extend(self.tile(b, body, &place(done, rest))),
                None => {
                    let one = b.kernel.fresh_var(&format!("{}t", name_of(b, r)));
                    let single = self.tile(b, body, &place(one.into(), 1));
                    out.push(serial(one, done, extent, single));
                }
            }
        }
        out
    }

    /// One tile: start, sum, store.
    fn tile(&self, b: &mut KernelBuilder<'_, '_>, body: &Body, p: &Place<'_>) -> Vec<Stmt> {
        let dtype = body.value.dtype();
        let acc = b.register("acc", dtype, &[p.rows, p.columns]);
        let mut out = vec![Stmt::Alloc(acc)];
        let start = match self.initial {
            Initial::Unit => Expr::Literal(self.reducer.unit(dtype)),
            Initial::Existing => read_target(body),
        };
        out.push(self.over_tile(b, body, p, &Positions::new(), (acc, Part::Start(start))));
        let mut summed = Positions::new();
        let mut loops = Vec::new();
        for v in &self.summed {
            let extent = extent_of(body, *v);
            if extent.as_constant() == Some(1) {
                summed.insert(*v, IntExpr::constant(0));
                continue;
            }
            let i = b.kernel.fresh_var(&format!("{}_", name_of(b, *v)));
            summed.insert(*v, i.into());
            loops.push((i, extent));
        }
        // Short loops are unrolled inside of the long ones.
        loops.sort_by_key(|(_, e)| e.as_constant().is_some_and(|n| n <= UNROLLED));
        let inner = self.over_tile(b, body, p, &summed, (acc, Part::Sum));
        let nest = loops.into_iter().rev().fold(vec![inner], |stmts, (i, extent)| {
            let short = extent.as_constant().is_some_and(|n| n <= UNROLLED);
            let kind = if short { LoopKind::Unroll } else { LoopKind::Serial };
            vec![Stmt::For(For { var: i, lo: IntExpr::constant(0), hi: extent, kind, body: stmts })]
        });
        out.extend(nest);
        out.push(self.over_tile(b, body, p, &Positions::new(), (acc, Part::Store)));
        out
    }

    /// A block for each row and lane of a tile.
    fn over_tile(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        p: &Place<'_>,
        summed: &Positions,
        (acc, part): (TensorId, Part),
    ) -> Stmt {
        let dtype = body.value.dtype();
        let (row, lane) = (b.kernel.fresh_var("r"), b.kernel.fresh_var("l"));
        let (e, f) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("f"));
        let mut at = joined(p.at, summed);
        if let Some(r) = self.rows {
            at.insert(r, p.row.clone() + IntExpr::from(row));
        }
        at.insert(self.lanes, p.column.clone() + IntExpr::from(lane));
        let own = vec![Subscript::Affine(e.into()), Subscript::Affine(f.into())];
        let subscripts: Vec<IntExpr> = vec![e.into(), f.into()];
        let register = |update, value| Store {
            buffer: acc,
            subscripts: own.clone(),
            update,
            value,
            drop: false,
        };
        let limited = matches!(part, Part::Sum | Part::Store)
            || matches!(&part, Part::Start(e) if !e.reads().is_empty());
        let store = match part {
            Part::Start(value) => register(Update::Set, value),
            Part::Sum => {
                let value = Expr::binary(self.product, self.fixed.clone(), self.moving.clone());
                register(self.update, value)
            }
            Part::Store => Store {
                buffer: body.buffer,
                subscripts: body.subscripts.clone(),
                update: Update::Set,
                value: Expr::read(acc, dtype, subscripts),
                drop: false,
            },
        };
        let mut iters: Vec<(VarId, IntExpr)> = vec![(e, row.into()), (f, lane.into())];
        let guard = p.limit.as_ref().filter(|_| limited).map(|limit| {
            Expr::Compare(Comparison::Lt, self.lanes.into(), limit.clone())
        });
        let mut used: Vec<VarId> = Vec::new();
        let mut note = |s: Symbol| {
            if let Symbol::Var(v) = s
                && !used.contains(&v)
            {
                used.push(v);
            }
        };
        store.value.visit_symbols(&mut note);
        store.subscripts.iter().for_each(|s| s.visit_symbols(&mut note));
        guard.iter().for_each(|g| g.visit_symbols(&mut note));
        iters.extend(at.iter().chain(&body.fixed).filter(|(v, _)| used.contains(v)).map(
            |(v, i)| (*v, i.clone()),
        ));
        let block =
            Block { name: body.name.clone(), iters, guard, init: None, lets: vec![], store };
        let lanes = For {
            var: lane,
            lo: IntExpr::constant(0),
            hi: IntExpr::constant(p.columns),
            kind: LoopKind::Vectorize,
            body: vec![Stmt::Block(block)],
        };
        Stmt::For(For {
            var: row,
            lo: IntExpr::constant(0),
            hi: IntExpr::constant(p.rows),
            kind: LoopKind::Unroll,
            body: vec![Stmt::For(lanes)],
        })
    }
}

/// What the blocks of a tile do.
enum Part {
    Start(Expr),
    Sum,
    Store,
}

fn read_target(body: &Body) -> Expr {
    Expr::Read(Box::new(tcc_ir::scalar::Read {
        tensor: body.buffer,
        dtype: body.value.dtype(),
        subscripts: body.subscripts.clone(),
        default: None,
    }))
}

/// True if the kernel reads or writes memory of unknown strides.
pub(super) fn strided(b: &KernelBuilder<'_, '_>, body: &Body) -> Vec<TensorId> {
    let mut out: Vec<TensorId> = Vec::new();
    let mut note = |t: TensorId| {
        let scope = b.kernel.buffers.get(t).map(|x| x.scope);
        if scope == Some(Scope::Strided) && !out.contains(&t) {
            out.push(t);
        }
    };
    note(body.buffer);
    body.lets.iter().map(|(_, e)| e).chain([&body.value]).for_each(|e| {
        e.reads().iter().for_each(|r| note(r.tensor));
    });
    out
}
