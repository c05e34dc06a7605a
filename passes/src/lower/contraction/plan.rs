//! What of a contraction's operands is copied, in which blocks and in which order.

use super::{
    ANY, Blocks, CACHE, Contraction, FIRST, LANES, LINE, PLANE, REGISTERS, STREAMS, SUMMED, Tile,
    UNROLLED, axis_of, ceil, ceil_of, dividing, elements, is_known, nominal, tile, volume,
};
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::extent_of;
use crate::lower::pack;
use crate::lower::vector::{Motion, motion};
use std::cmp::Reverse;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Buffer, Scope};
use tcc_ir::scalar::{Expr, Subscript};
use tcc_ir::{TensorId, VarId};

/// Iterations of the loops around a block that are enough for threads.
pub(super) const SHARED: i64 = 4;
/// Terms of a contraction that threads are woken for.
const WORTH_SHARING: i64 = 1 << 21;

impl Contraction {
    /// Blocks of few rows of a matrix that the cache does not hold: as many as the core follows at
    /// a time, or, where short rows are looked at by several columns of tiles, as the first cache
    /// holds.
    pub(super) fn plan_rows(&self, body: &Body) -> Option<Blocks> {
        let extent = |v: VarId| nominal(&extent_of(body, v));
        let size = body.value.dtype().size() as i64;
        let all = volume(self.summed.iter().map(|v| extent(*v)));
        let last = self.lanes.last()?;
        let long = extent(*last) * size >= 1024;
        let known = self.summed.iter().chain([last]).all(|v| is_known(body, *v));
        let lanes = volume(self.lanes.iter().map(|v| extent(*v)));
        let again = ceil(lanes, self.tile.vectors * self.width) > 1;
        let few = all < 32 || !long && !again;
        if few || !known || lanes * all * size <= CACHE {
            return None;
        }
        let summed = self.summed.iter().copied().max_by_key(|v| extent(*v))?;
        let others = all / extent(summed);
        let rows = if long { STREAMS } else { FIRST / (lanes * size) };
        let block = dividing(extent(summed), (rows / others).max(1), 1);
        let step = self.tile.vectors * self.width;
        let lanes = dividing(extent(*self.lanes.first()?), (2 * LANES).max(step), step);
        Some(Blocks { buffer: None, summed, block, lanes, plane: None, panel: None })
    }

    /// Blocks of a matrix whose rows are what the lanes take: each is a copy already.
    pub(super) fn plan_dense(&self, b: &KernelBuilder<'_, '_>, body: &Body) -> Option<Blocks> {
        let (Some(Expr::Read(r)), [v], [k]) =
            (&self.moving, self.lanes.as_slice(), self.summed.as_slice())
        else {
            return None;
        };
        let [.., row, column] = r.subscripts.as_slice() else { return None };
        let is = |s: &Subscript, v: VarId| s.as_affine().and_then(IntExpr::as_var) == Some(v);
        let extent = extent_of(body, *v);
        let lanes = extent.as_constant()?;
        let row_length = b.kernel.buffers.get(r.tensor).and_then(|x| x.shape.last());
        let whole = lanes % self.width == 0 && lanes <= 4 * self.width;
        let dense = is(row, *k) && is(column, *v) && whole && row_length == Some(&extent);
        let block = dividing(nominal(&extent_of(body, *k)), SUMMED, 1);
        dense.then_some(Blocks { buffer: None, summed: *k, block, lanes, plane: None, panel: None })
    }

    /// An outer variable that only the moving part bears, with as many of its values as a copy
    /// holds: one along which elements lie side by side, one that makes up for few lanes, or the
    /// innermost of unknown extent beside lanes of an unknown number.
    fn plane_of(&self, body: &Body, moving: &Expr) -> Option<(VarId, i64)> {
        let beside = |v: &VarId| {
            let reads = moving.reads();
            reads.iter().all(|r| motion(&r.subscripts, *v) == Motion::Next)
        };
        let alone =
            |v: &VarId| moving.mentions(*v) && self.fixed.as_ref().is_none_or(|f| !f.mentions(*v));
        let known = |v: &VarId| extent_of(body, *v).as_constant();
        let candidates = || self.outer.iter().copied().filter(|v| alone(v) && is_known(body, *v));
        if let Some(v) = candidates().find(beside) {
            let extent = known(&v)?;
            let whole = extent <= 2 * PLANE;
            return Some((v, if whole { extent } else { dividing(extent, PLANE, 1) }));
        }
        // So that the rows that are packed for them serve more lanes than one row of an image has.
        let open = |v: &VarId| alone(v) && !is_known(body, *v);
        if let [last] = self.lanes.as_slice()
            && !is_known(body, *last)
            && let Some(v) = self.outer.iter().copied().rev().find(open)
        {
            return Some((v, PLANE));
        }
        let lanes = volume(self.lanes.iter().map(|v| nominal(&extent_of(body, *v))));
        let v = candidates().filter(|_| lanes < LANES / 2).max_by_key(|v| known(v))?;
        let n = dividing(known(&v)?, (LANES / lanes).max(1), 1);
        (n > 1).then_some((v, n))
    }

    /// The summed variable that is taken in blocks: the longest; of several, one along which no
    /// side's elements lie side by side, and of which whole runs of the moving part are taken, if
    /// that is by far the larger side.
    pub(super) fn blocked_of(&self, body: &Body, moving: &Expr, borne: &[VarId]) -> Option<VarId> {
        let extent = |v: VarId| nominal(&extent_of(body, v));
        let beside = |v: VarId, e: Option<&Expr>| {
            let reads = e.map(Expr::reads).unwrap_or_default();
            reads.iter().any(|r| motion(&r.subscripts, v) == Motion::Next)
        };
        let other = self.fixed.as_ref().map_or(1, |f| elements(body, f));
        let larger = elements(body, moving) > 4 * other;
        borne.iter().copied().max_by_key(|v| {
            let apart = larger || !beside(*v, self.fixed.as_ref());
            let apart = apart && !beside(*v, Some(moving));
            (extent(*v), apart, Reverse(axis_of(moving, *v)))
        })
    }

    /// Values of the first lanes variable, of so many, that a block takes: each stands for `inner`
    /// lanes, and `fitting` lanes fit.
    fn lanes_of_block(&self, first: i64, inner: i64, fitting: i64) -> i64 {
        let step = self.tile.vectors * self.width;
        if self.lanes.len() == 1 {
            return if first <= fitting { first } else { dividing(first, fitting.max(step), step) };
        }
        // Rows of an image that fill tiles best.
        let whole = first * inner <= 2 * fitting;
        let most = if whole { first } else { (fitting / inner).clamp(1, first) };
        let waste = |n: i64| {
            let all = ceil(first, n) * ceil(n * inner, step) * step;
            all as f64 + (first / n) as f64
        };
        (1..=most).min_by(|x, y| waste(*x).total_cmp(&waste(*y))).unwrap_or(1)
    }

    /// True if threads have enough to share without more blocks of lanes: the outer loops, or too
    /// little to be shared at all. If the rows' operand is by far the larger one, each block would
    /// read all of it.
    fn has_many_blocks(&self, body: &Body, plane: Option<(VarId, i64)>, work: i64) -> bool {
        let extent = |v: &VarId| nominal(&extent_of(body, *v));
        let planes = plane.map_or(1, |(v, n)| ceil(extent(&v), n));
        let elements = |e: &Option<Expr>| e.as_ref().map_or(1, |e| elements(body, e));
        let many = planes * volume(self.outer.iter().map(extent)) >= SHARED;
        many || work < WORTH_SHARING || elements(&self.fixed) > 4 * elements(&self.moving)
    }

    /// A variable whose parts threads had better share, with the values of a part, where the loops
    /// around the blocks are too few: because a copy is made before them, or blocks of the summed
    /// variable run around them. It is one that the lanes' operand, the smaller one, does not bear.
    pub(super) fn parts_for_threads(
        &self,
        b: &KernelBuilder<'_, '_>,
        body: &Body,
        copied: bool,
    ) -> Option<(VarId, i64)> {
        let (fixed, moving) = (self.fixed.as_ref()?, self.moving.as_ref()?);
        let extent = |v: &VarId| nominal(&extent_of(body, *v));
        let around = self.outer.iter().filter(|v| !copied || moving.mentions(**v));
        let work = volume(body.vars.iter().map(|(v, _)| extent(v)));
        let small = work < WORTH_SHARING || elements(body, fixed) <= 4 * elements(body, moving);
        if small || !b.locals.is_empty() || volume(around.map(extent)) >= SHARED {
            return None;
        }
        let free = |v: &&VarId| is_known(body, **v) && !moving.mentions(**v);
        let v = *self.outer.iter().chain(&self.rows).filter(free).max_by_key(|v| extent(v))?;
        let least = if self.rows == Some(v) { 2 * self.tile.rows } else { 1 };
        let n = dividing(extent(&v), ceil(extent(&v), SHARED).max(least), 1);
        (n < extent(&v)).then_some((v, n))
    }

    /// Values of the first lanes variable, of so many, so that the number of blocks is even.
    fn even(&self, first: i64, lanes: i64) -> i64 {
        let count = ceil(first, lanes);
        let size = ceil(first, count + count % 2);
        let step = if self.lanes.len() == 1 { self.tile.vectors * self.width } else { 1 };
        let size = ceil(size, step) * step;
        if count % 2 == 1 && size < first { size } else { lanes }
    }

    /// How the moving part is copied.
    pub(super) fn plan_copy(
        &mut self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
    ) -> Option<Blocks> {
        let moving = self.moving.clone()?;
        let moving = &moving;
        let plane = self.plane_of(body, moving);
        self.outer.retain(|v| plane.is_none_or(|(p, _)| p != *v));
        self.shared = self.outer.iter().copied().filter(|v| !moving.mentions(*v)).collect();
        self.outer.retain(|v| moving.mentions(*v));
        // In the order of the axes of what is copied: what one copy leaves of a line is there for
        // the next.
        self.outer.sort_by_key(|v| axis_of(moving, *v));
        let planes = plane.map_or(1, |(_, n)| n);
        let borne: Vec<VarId> =
            self.summed.iter().copied().filter(|v| moving.mentions(*v)).collect();
        let extent = |v: VarId| nominal(&extent_of(body, v));
        let summed = self.blocked_of(body, moving, &borne)?;
        let others = volume(borne.iter().filter(|v| **v != summed).map(|v| extent(*v)));
        if borne.iter().any(|v| *v != summed && !is_known(body, *v)) {
            return None;
        }
        let cut = self.lanes.iter().all(|v| is_known(body, *v));
        let mut most = self.knobs.summed.unwrap_or(SUMMED) / others;
        if planes > 1 {
            most = most.min(CACHE / 2 / (planes * others * LINE));
        }
        let block = dividing(extent(summed), most.max(1), 1);
        let size = body.value.dtype().size() as i64;
        let inner = volume(self.lanes.iter().skip(1).map(|v| extent(*v)));
        // What one tile uses at once need not outlast it.
        let rows = self.rows.map_or(1, extent);
        let again = volume(self.shared.iter().map(|v| extent(*v)));
        let once = self.tile.rows >= rows && again == 1;
        let room = if once { FIRST } else { CACHE / 2 };
        let fitting = (room / (block * others * size * planes)).min(4 * LANES);
        let fitting = fitting.min(self.knobs.lanes.unwrap_or(fitting));
        let step = self.tile.vectors * self.width;
        let first = extent(*self.lanes.first()?);
        let mut lanes = match cut {
            true => self.lanes_of_block(first, inner, fitting),
            false if inner > 1 => (fitting.min(LANES) / inner).max(1),
            false => (fitting.min(LANES) / step).max(1) * step,
        };
        let all = volume(self.summed.iter().map(|v| extent(*v)));
        if cut && !self.has_many_blocks(body, plane, rows * all * first * inner) {
            lanes = self.even(first, lanes);
        }
        let known = self.rows.is_none_or(|r| is_known(body, r));
        let best = if known { tile(rows, lanes * inner, self.width, all) } else { ANY };
        self.tile = self.chosen_tile(best, rows);
        let step = self.tile.vectors * self.width;
        let mut axes: Vec<IntExpr> = plane.map(|(_, n)| n.into()).into_iter().collect();
        let panel = (self.lanes.len() == 1).then_some(step);
        if panel.is_some() {
            let most = IntExpr::constant(lanes);
            let all = self.lanes.first().map(|v| extent_of(body, *v)).unwrap_or_default();
            let open = all.as_constant().is_none() && !all.mentions_vars();
            axes.push(ceil_of(&if open { all.minimum(&most) } else { most }, step));
        }
        let leading = axes.len();
        axes.extend(borne.iter().map(|v| match *v == summed {
            true => block.into(),
            false => extent_of(body, *v),
        }));
        // An odd number of lines keeps panels, or rows of the copy, out of each other's way.
        if let (Some(lanes), Some(first)) = (panel, axes.get_mut(leading)) {
            *first = first.clone() + IntExpr::constant(1);
            axes.push(lanes.into());
        } else {
            let line = 64 / size;
            let lines = (ceil(lanes * inner, step) + 1) * step / line;
            axes.push(((lines | 1) * line).into());
        }
        let name = b.unused_name(&format!("{}_copy", body.name));
        let dtype = moving.dtype();
        let buffer =
            b.kernel.buffers.push(Buffer { name, dtype, shape: axes, scope: Scope::Local });
        Some(Blocks { buffer: Some(buffer), summed, block, lanes, plane, panel })
    }

    /// Packs the fixed part where a tile would pick its elements from far apart, often: in a
    /// kernel of its own, or, if that would not stay in the cache, block by block.
    pub(super) fn pack_rows(&mut self, b: &mut KernelBuilder<'_, '_>, body: &Body, lanes: i64) {
        let (Some(r), Some(fixed)) = (self.rows, self.fixed.clone()) else { return };
        if !fixed.mentions(r) || self.tile.rows == 1 || self.knobs.pack == Some(0) {
            return;
        }
        let extent = |v: &VarId| nominal(&extent_of(body, *v));
        let inner = self.inner_summed(body);
        let along = inner.is_none_or(|v| !motions(&fixed, v).contains(&Motion::Other));
        let beside = motions(&fixed, r).iter().all(|m| *m == Motion::Next);
        let plain = matches!(fixed, Expr::Read(_));
        let step = self.tile.vectors * self.width;
        let here = self.blocks.as_ref().map_or(lanes, |c| {
            let inner = volume(self.lanes.iter().skip(1).map(extent));
            c.lanes * inner * c.plane.map_or(1, |(_, n)| n)
        });
        // Rows that lie far apart meet in the same sets of the caches.
        let far = ceil(lanes, step) >= 8 && along && {
            let row = volume(self.summed.iter().map(extent));
            row * body.value.dtype().size() as i64 >= 2048
        };
        // The last tile of packed rows may go on past them: one tile is enough for any number.
        let blocked = |v: VarId| v == r || self.blocks.as_ref().is_some_and(|c| c.summed == v);
        let borne = || self.summed.iter().chain([&r]).copied().filter(|v| fixed.mentions(*v));
        let open = self.copies() && borne().any(|v| !is_known(body, v) && blocked(v));
        if plain && along && !far && !open {
            return;
        }
        let known = borne().all(|v| is_known(body, v) || open && blocked(v));
        let bytes = elements(body, &fixed) * fixed.dtype().size() as i64;
        let hidden = fixed.reads().iter().any(|x| b.home_of(x.tensor).is_none());
        if (hidden || open || bytes > CACHE) && known && here >= 2 * self.width {
            // As they lie, where that is along what is summed: nothing has to be turned then.
            self.upright = open && self.lies_along(body, &fixed);
            self.packed = Some(self.rows_buffer(b, body, &fixed));
            return;
        }
        if self.most_rows.is_some() {
            return;
        }
        let planes = self.blocks.as_ref().and_then(|c| c.plane).map(|(v, _)| v);
        let outer = self.outer.iter().copied().chain(planes);
        let again = volume(outer.filter(|v| !fixed.mentions(*v)).map(|v| extent(&v)));
        let columns = ceil(lanes, step);
        let uses = columns * again;
        if if beside { uses >= 8 } else { columns >= 2 || uses >= 4 } {
            self.panels = pack::pack(b, body, &fixed, (r, self.tile.rows), "rows");
        }
    }

    /// True if the elements of a part lie side by side along what is summed and not along the rows.
    pub(super) fn lies_along(&self, body: &Body, part: &Expr) -> bool {
        let moves = |v: Option<VarId>, how| v.is_some_and(|v| motions(part, v).contains(&how));
        !moves(self.inner_summed(body), Motion::Other) && moves(self.rows, Motion::Other)
    }

    /// The tile, or the one that the knobs ask for as far as registers suffice.
    pub(super) fn chosen_tile(&self, tile: Tile, most: i64) -> Tile {
        let vectors = self.knobs.vectors.unwrap_or(tile.vectors);
        let fitting = ((REGISTERS - 1) / vectors - 1).min(most).max(1);
        Tile { rows: self.knobs.rows.unwrap_or(tile.rows).min(fitting), vectors }
    }

    /// The summed variable whose loop is the innermost one.
    fn inner_summed(&self, body: &Body) -> Option<VarId> {
        let known = |v: &VarId| extent_of(body, *v).as_constant();
        let short = |v: &VarId| known(v).is_some_and(|n| n <= UNROLLED);
        let loops = || self.summed.iter().copied().filter(|v| known(v) != Some(1));
        loops().rev().find(short).or_else(|| loops().next_back())
    }

    /// Local memory for the packed rows of a block.
    pub(super) fn rows_buffer(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        fixed: &Expr,
    ) -> TensorId {
        let rows = self.rows.map_or(1, |r| nominal(&extent_of(body, r)));
        let rows = self.most_rows.unwrap_or(rows);
        let tiles = self.rows_block(body, true).unwrap_or(ceil(rows, self.tile.rows));
        let block = self.blocks.map(|c| (c.summed, c.block));
        let mut shape: Vec<IntExpr> = self
            .summed
            .iter()
            .filter(|v| fixed.mentions(**v))
            .map(|v| match block {
                Some((summed, n)) if summed == *v => IntExpr::constant(n),
                _ => extent_of(body, *v),
            })
            .collect();
        let inner = volume(shape.iter().skip(1).map(nominal));
        if self.upright
            && let Some(first) = shape.first_mut()
        {
            // A line more keeps rows out of each other's way in the cache.
            *first = first.clone() + IntExpr::constant(ceil(self.width, inner));
        }
        shape.insert(if self.upright { 0 } else { shape.len() }, self.tile.rows.into());
        let rows = self.rows.map(|r| extent_of(body, r)).unwrap_or_default();
        let most = IntExpr::constant(tiles);
        let known = rows.as_constant().is_some() || rows.mentions_vars();
        let tiles = if known { most } else { most.minimum(&ceil_of(&rows, self.tile.rows)) };
        shape.insert(0, tiles);
        let name = b.unused_name(&format!("{}_rows", body.name));
        let buffer = Buffer { name, dtype: fixed.dtype(), shape, scope: Scope::Local };
        b.kernel.buffers.push(buffer)
    }
}

/// How the reads of a part move with a variable.
fn motions(part: &Expr, v: VarId) -> Vec<Motion> {
    part.reads().iter().map(|x| motion(&x.subscripts, v)).collect()
}
