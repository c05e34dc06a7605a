//! The loops around tiles: blocks of lanes, of the summed variable and of rows.

use super::tile::{Order, Pass, Place, Rows, Side};
use super::{CACHE, Contraction, ceil, ceil_of, dividing, nominal, volume};
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{Initial, Positions, extent_of, joined, name_of, over_spatial, serial};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::Stmt;
use tcc_ir::scalar::{Comparison, Expr, Reducer};

/// What a block takes of the lanes' first variable and of the planes.
#[derive(Clone, Copy)]
pub(super) struct Piece<'p> {
    pub(super) lanes: Range<'p>,
    pub(super) plane: Option<Range<'p>>,
}

/// A first value, and how many.
pub(super) type Range<'p> = (&'p IntExpr, &'p IntExpr);

/// Where a variable stops: at its extent, or before it.
pub(super) fn end_of(b: &KernelBuilder<'_, '_>, body: &Body, v: VarId) -> IntExpr {
    b.ends.get(&v).cloned().unwrap_or_else(|| extent_of(body, v))
}

/// Runs over an extent in chunks of so many values, given by the first one and how many; the last
/// chunk may be shorter: it has code of its own where the extent is known.
pub(super) fn chunks(
    b: &mut KernelBuilder<'_, '_>,
    extent: &IntExpr,
    size: i64,
    inner: &mut dyn FnMut(&mut KernelBuilder<'_, '_>, Range<'_>) -> Vec<Stmt>,
) -> Vec<Stmt> {
    let zero = IntExpr::constant(0);
    let count = ceil_of(extent, size);
    let size = IntExpr::constant(size);
    let whole = extent.div(&size);
    let done = whole.clone() * size.clone();
    if whole.as_constant() == Some(0) || count.as_constant() == Some(1) {
        return inner(b, (&zero, extent));
    }
    let chunk = b.kernel.fresh_var("block");
    let lo = IntExpr::from(chunk) * size.clone();
    if whole.as_constant().is_none() {
        let here = size.minimum(&(extent - &lo));
        let stmts = inner(b, (&lo, &here));
        return vec![serial(chunk, zero, count, stmts)];
    }
    let main = inner(b, (&lo, &size));
    if done == *extent {
        return vec![serial(chunk, zero, count, main)];
    }
    // By its number it is seen to lie behind the others.
    let last = inner(b, (&lo, &(extent - &done)));
    let condition = Expr::Compare(Comparison::Lt, chunk.into(), whole);
    vec![serial(chunk, zero, count, vec![Stmt::If { condition, then: main, otherwise: last }])]
}

/// Loops over parts of `n` values of a variable, each a contraction of its own.
pub(super) fn parts(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    (v, n): (VarId, i64),
    how: (Reducer, Initial),
) -> Option<Vec<Stmt>> {
    let mut complete = true;
    let stmts = chunks(b, &extent_of(body, v), n, &mut |b, part| {
        let mut body = body.clone();
        let taken = body.take(b, v, part, n);
        let stmts = taken.and_then(|_| super::tiles(b, &body, how, false));
        complete &= stmts.is_some();
        stmts.unwrap_or_default()
    });
    complete.then_some(stmts)
}

impl Contraction {
    /// Blocks of lanes and planes, and of the summed variable.
    pub(super) fn blocks(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
    ) -> Vec<Stmt> {
        let zero = IntExpr::constant(0);
        let extents: Vec<IntExpr> = self.lanes.iter().map(|v| extent_of(body, *v)).collect();
        let ends = self.lanes.iter().map(|v| end_of(b, body, *v));
        let all = ends.fold(IntExpr::constant(1), |n, e| n * e);
        let Some(copy) = &self.blocks else {
            let (summed, origin) = (None, zero);
            let pass = Pass { summed, order: Order::First, origin, plane: None, packed: None };
            return self.rows(b, body, at, &all, (&pass, None));
        };
        let Some(first) = extents.first() else { return vec![] };
        let Some((v, n)) = copy.plane else {
            return chunks(b, first, copy.lanes, &mut |b, (lo, here)| {
                self.block(b, body, at, Piece { lanes: (lo, here), plane: None })
            });
        };
        chunks(b, &extent_of(body, v), n, &mut |b, plane| {
            chunks(b, first, copy.lanes, &mut |b, lanes| {
                self.block(b, body, at, Piece { lanes, plane: Some(plane) })
            })
        })
    }

    /// A block of lanes, by blocks of the summed variable.
    fn block(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        piece: Piece<'_>,
    ) -> Vec<Stmt> {
        let Some(copy) = &self.blocks else { return vec![] };
        let (lo, here) = piece.lanes;
        let inner = self.lanes.iter().skip(1).map(|v| extent_of(body, *v));
        let inner = inner.fold(IntExpr::constant(1), |n, e| n * e);
        let (width, origin) = (here.clone() * inner.clone(), lo.clone() * inner);
        // Tiles need not go as far as the copy, which other blocks of rows may share.
        let end = match self.lanes.as_slice() {
            [v] if *lo == IntExpr::default() && *here == extent_of(body, *v) => b.ends.get(v),
            _ => None,
        };
        let width = end.cloned().unwrap_or(width);
        let mut out: Vec<Stmt> = copy.buffer.map(Stmt::Alloc).into_iter().collect();
        let part =
            |b: &mut KernelBuilder<'_, '_>, from: &IntExpr, count: &IntExpr, order: Order| {
                let mut stmts = self.fill_copy(b, body, at, copy, ((from, count), piece));
                let summed = Some((from.clone(), count.clone()));
                let origin = origin.clone();
                let pass = Pass { summed, order, origin, plane: None, packed: None };
                stmts.extend(over_spatial(b, body, &self.shared, &mut |b, shared| {
                    self.rows(b, body, &joined(at, shared), &width, (&pass, piece.plane))
                }));
                stmts
            };
        let extent = end_of(b, body, copy.summed);
        let size = IntExpr::constant(copy.block);
        if extent.as_constant().is_none() {
            // Also where nothing is summed there is a part, which starts the target.
            let k = b.kernel.fresh_var("part");
            let from = IntExpr::from(k) * size.clone();
            let here = size.minimum(&(&extent - &from));
            let stmts = part(b, &from, &here, Order::Number(k));
            let count = ceil_of(&extent, copy.block).maximum(&IntExpr::constant(1));
            out.push(serial(k, IntExpr::constant(0), count, stmts));
            return out;
        }
        let whole = extent.div(&size);
        let done = whole.clone() * size.clone();
        match whole.as_constant() {
            Some(0) => out.extend(part(b, &done, &extent, Order::First)),
            Some(1) => out.extend(part(b, &IntExpr::constant(0), &size, Order::First)),
            _ => {
                let k = b.kernel.fresh_var("part");
                let from = IntExpr::from(k) * size.clone();
                let main = part(b, &from, &size, Order::Number(k));
                out.push(serial(k, IntExpr::constant(0), whole.clone(), main));
            }
        }
        if done != extent && whole.as_constant() != Some(0) {
            out.extend(part(b, &done, &(&extent - &done), Order::Later));
        }
        out
    }

    /// Blocks of rows that stay in the cache while all columns pass, then the rows that are left.
    fn rows(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        extent: &IntExpr,
        (pass, plane): (&Pass, Option<Range<'_>>),
    ) -> Vec<Stmt> {
        let Some(r) = self.rows else {
            return self.planes(b, body, at, extent, (pass, &Rows::One, plane));
        };
        let size = IntExpr::constant(self.tile.rows);
        let (whole, rest) = match self.pads_rows(body) {
            true => (ceil_of(&extent_of(body, r), self.tile.rows), IntExpr::default()),
            false => {
                let whole = extent_of(body, r).div(&size);
                let rest = &extent_of(body, r) - &(whole.clone() * size);
                (whole, rest)
            }
        };
        let block = self.rows_block(body, self.packed.is_some());
        let zero = IntExpr::constant(0);
        let mut out: Vec<Stmt> = self.packed.map(Stmt::Alloc).into_iter().collect();
        let Some(block) = block else {
            let all = Rows::Tiles(zero.clone(), whole.clone(), rest.clone());
            let (fill, pass) = self.packed_rows(b, body, at, pass, ((&zero, &whole), &rest));
            out.extend(fill);
            out.extend(self.planes(b, body, at, extent, (&pass, &all, plane)));
            return out;
        };
        out.extend(chunks(b, &whole, block, &mut |b, (lo, count)| {
            let end = match count.as_constant() {
                Some(_) => lo + count,
                // As a minimum of two ends it is seen to lie before the next block.
                None => (lo + &IntExpr::constant(block)).minimum(&whole),
            };
            let tiles = Rows::Tiles(lo.clone(), end, zero.clone());
            let (mut out, pass) = self.packed_rows(b, body, at, pass, ((lo, count), &zero));
            out.extend(self.planes(b, body, at, extent, (&pass, &tiles, plane)));
            out
        }));
        if rest.as_constant() != Some(0) {
            let range = (&whole, &zero);
            let (fill, pass) = self.packed_rows(b, body, at, pass, (range, &rest));
            out.extend(fill);
            let last = Rows::Tiles(whole.clone(), whole, rest);
            out.extend(self.planes(b, body, at, extent, (&pass, &last, plane)));
        }
        out
    }

    /// True if the last tile of rows, whose number is not known, is as high as the others.
    pub(super) fn pads_rows(&self, body: &Body) -> bool {
        let unknown = |r: VarId| extent_of(body, r).as_constant().is_none();
        self.packed.is_some() && self.rows.is_some_and(unknown)
    }

    /// The loops that pack rows for a pass, and the pass whose tiles read them.
    fn packed_rows(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        pass: &Pass,
        (tiles, rest): (Range<'_>, &IntExpr),
    ) -> (Vec<Stmt>, Pass) {
        let stmts = self.fill_rows(b, body, at, pass, (tiles, rest));
        let packed = self.packed.map(|t| (t, tiles.0.clone()));
        (stmts, Pass { packed, ..pass.clone() })
    }

    /// Tiles of rows that a block takes; none if all rows are one block.
    pub(super) fn rows_block(&self, body: &Body, packed: bool) -> Option<i64> {
        let summed = volume(self.summed.iter().map(|v| match &self.blocks {
            Some(c) if c.summed == *v => c.block,
            _ => nominal(&extent_of(body, *v)),
        }));
        let row = summed * body.value.dtype().size() as i64 * self.tile.rows;
        let most = (CACHE / 3 / row.max(1)).max(1);
        let rows = self.rows.map_or(IntExpr::constant(1), |r| extent_of(body, r));
        if packed && rows.as_constant().is_none() {
            // Memory for them is taken however few there are.
            let (tiles, most) =
                (self.most_rows.map(|n| ceil(n, self.tile.rows)), (most / 3).max(1));
            return tiles.is_none_or(|n| n > most).then_some(most);
        }
        let tiles = nominal(&rows.div(&IntExpr::constant(self.tile.rows)));
        (tiles > most && (packed || self.copies())).then(|| dividing(tiles, most, 1))
    }

    /// What is read from each plane of a copy.
    fn planes(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        width: &IntExpr,
        (pass, rows, plane): (&Pass, &Rows, Option<Range<'_>>),
    ) -> Vec<Stmt> {
        let plane = self.blocks.as_ref().and_then(|c| c.plane).zip(plane);
        let Some(((v, _), (lo, here))) = plane else {
            return self.columns(b, body, at, width, (pass, rows));
        };
        let x = b.kernel.fresh_var(&format!("{}_", name_of(b, v)));
        let mut at = at.clone();
        at.insert(v, lo + &IntExpr::from(x));
        let pass = Pass { plane: Some(x.into()), ..pass.clone() };
        let stmts = self.columns(b, body, &at, width, (&pass, rows));
        vec![serial(x, IntExpr::constant(0), here.clone(), stmts)]
    }

    /// Columns of tiles over the lanes of a block, the last one cut.
    fn columns(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        extent: &IntExpr,
        place: (&Pass, &Rows),
    ) -> Vec<Stmt> {
        let columns = self.tile.vectors * self.width;
        let size = IntExpr::constant(columns);
        let whole = extent.div(&size);
        let done = whole.clone() * size.clone();
        let chunk = b.kernel.fresh_var("column");
        let panel = IntExpr::from(chunk);
        let start = panel.clone() * size;
        let side = Side { panel, start, size: columns, limit: None };
        let (zero, count) = (IntExpr::constant(0), ceil_of(extent, columns));
        if done == *extent {
            let main = self.row_tiles(b, body, at, &side, place);
            return vec![serial(chunk, zero, count, main)];
        }
        if self.copies() && extent.as_constant().is_none() {
            // What is read from the copy goes past the end: there is one tile for all columns.
            let side = Side { limit: Some(extent.clone()), ..side };
            let main = self.row_tiles(b, body, at, &side, place);
            return vec![serial(chunk, zero, count, main)];
        }
        // As many vectors as the rest needs.
        let rest = (extent - &done).as_constant();
        let narrow = rest.map_or(columns, |r| ceil(r, self.width) * self.width);
        let limit = Some(extent.clone());
        // Where guards bound it, the last column goes by its number too: so it is seen to lie
        // behind the others, and threads can share them.
        let single = whole.as_constant() == Some(0);
        let start = if single || self.copies() { done } else { side.start.clone() };
        let cut = Side { panel: whole.clone(), start, size: narrow, limit };
        let last = self.row_tiles(b, body, at, &cut, place);
        if single {
            return last;
        }
        let main = self.row_tiles(b, body, at, &side, place);
        if self.copies() && rest.is_some() {
            // Threads share blocks: that theirs end where others begin is seen best so.
            let mut out = vec![serial(chunk, zero, whole, main)];
            out.extend(last);
            return out;
        }
        let condition = Expr::Compare(Comparison::Lt, chunk.into(), whole);
        vec![serial(chunk, zero, count, vec![Stmt::If { condition, then: main, otherwise: last }])]
    }

    /// Tiles of rows, the last one lower, or as high where packed rows go on past the end.
    fn row_tiles(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        lanes: &Side,
        (pass, rows): (&Pass, &Rows),
    ) -> Vec<Stmt> {
        let zero = IntExpr::constant(0);
        let place = |rows: Side| Place { at, rows, lanes: lanes.clone(), pass: pass.clone() };
        let (Some(r), Rows::Tiles(lo, hi, rest)) = (self.rows, rows) else {
            let only = Side { panel: zero.clone(), start: zero, size: 1, limit: None };
            return self.tile(b, body, &place(only));
        };
        let extent = extent_of(body, r);
        let size = IntExpr::constant(self.tile.rows);
        let mut out = Vec::new();
        if lo != hi {
            let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, r)));
            let panel = IntExpr::from(chunk);
            let start = panel.clone() * size.clone();
            let limit = self.pads_rows(body).then(|| extent.clone());
            let side = Side { panel, start, size: self.tile.rows, limit };
            let main = self.tile(b, body, &place(side));
            out.push(serial(chunk, lo.clone(), hi.clone(), main));
        }
        if rest.as_constant() == Some(0) {
            return out;
        }
        let whole = extent.div(&size);
        let done = whole.clone() * size;
        match (rest.as_constant(), &self.panels) {
            (Some(rest), _) => {
                let side = Side { panel: whole, start: done, size: rest, limit: None };
                out.extend(self.tile(b, body, &place(side)));
            }
            (None, Some(_)) => {
                let limit = Some(extent.clone());
                let size = self.tile.rows;
                let side = Side { panel: whole, start: done.clone(), size, limit };
                let then = self.tile(b, body, &place(side));
                let condition = Expr::Compare(Comparison::Lt, done, extent);
                out.push(Stmt::If { condition, then, otherwise: vec![] });
            }
            (None, None) => {
                let one = b.kernel.fresh_var(&format!("{}t", name_of(b, r)));
                let side = Side { panel: zero, start: one.into(), size: 1, limit: None };
                let single = self.tile(b, body, &place(side));
                out.push(serial(one, done, extent, single));
            }
        }
        out
    }
}
