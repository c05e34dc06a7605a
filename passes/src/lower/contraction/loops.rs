//! The loops around tiles: blocks of lanes, of the summed variable and of rows.

use super::tile::{Order, Pass, Place, Rows, Side};
use super::{Blocks, CACHE, Contraction, NOMINAL, ceil, ceil_of, dividing, mentions, nominal};
use crate::lower::Fixed;
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{self, Positions, extent_of, joined, name_of, over_spatial, serial};
use tcc_ir::VarId;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Stmt, Update};
use tcc_ir::scalar::{Comparison, Expr, Subscript};

/// What a block takes of the lanes' first variable and of the planes: the first value, and how many.
#[derive(Clone, Copy)]
struct Piece<'p> {
    lanes: (&'p IntExpr, &'p IntExpr),
    plane: Option<(&'p IntExpr, &'p IntExpr)>,
}

/// Runs over an extent in chunks of so many values, given by the first one and how many; the last
/// chunk may be shorter.
fn chunks(
    b: &mut KernelBuilder<'_, '_>,
    extent: &IntExpr,
    size: i64,
    inner: &mut dyn FnMut(&mut KernelBuilder<'_, '_>, (&IntExpr, &IntExpr)) -> Vec<Stmt>,
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
    let main = inner(b, (&lo, &size));
    if done == *extent {
        return vec![serial(chunk, zero, count, main)];
    }
    // Known extents: by its number it is seen to lie behind the others.
    let from = if whole.as_constant().is_some() { &lo } else { &done };
    let last = inner(b, (from, &(extent - &done)));
    let condition = Expr::Compare(Comparison::Lt, chunk.into(), whole);
    vec![serial(chunk, zero, count, vec![Stmt::If { condition, then: main, otherwise: last }])]
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
        let all = extents.iter().fold(IntExpr::constant(1), |n, e| n * e.clone());
        let Some(copy) = &self.blocks else {
            let place = Pass { summed: None, order: Order::First, origin: zero, plane: None };
            return self.columns(b, body, at, &all, &place);
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
        let mut out: Vec<Stmt> = copy.buffer.map(Stmt::Alloc).into_iter().collect();
        let part =
            |b: &mut KernelBuilder<'_, '_>, from: &IntExpr, count: &IntExpr, order: Order| {
                let mut stmts = self.fill_copy(b, body, at, copy, ((from, count), piece));
                let summed = Some((from.clone(), count.clone()));
                let pass = Pass { summed, order, origin: origin.clone(), plane: None };
                stmts.extend(over_spatial(b, body, &self.shared, &mut |b, shared| {
                    self.planes(b, body, &joined(at, shared), &width, (&pass, piece))
                }));
                stmts
            };
        let extent = extent_of(body, copy.summed);
        let step = copy.block.map_or_else(|| extent.clone(), IntExpr::constant);
        let whole = copy.block.map_or(IntExpr::constant(1), |n| extent.div(&IntExpr::constant(n)));
        let done = whole.clone() * step.clone();
        match whole.as_constant() {
            Some(0) => out.extend(part(b, &done, &extent, Order::First)),
            Some(1) => out.extend(part(b, &IntExpr::constant(0), &step, Order::First)),
            _ => {
                let k = b.kernel.fresh_var("part");
                let from = IntExpr::from(k) * step.clone();
                let main = part(b, &from, &step, Order::Number(k));
                out.push(serial(k, IntExpr::constant(0), whole.clone(), main));
            }
        }
        if done != extent && whole.as_constant() != Some(0) {
            let order = match whole.as_constant() {
                Some(_) => Order::Later,
                None => Order::After(whole),
            };
            out.extend(part(b, &done, &(&extent - &done), order));
        }
        out
    }

    /// The loops that fill the copy of a block.
    fn fill_copy(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        copy: &Blocks,
        ((from, count), piece): ((&IntExpr, &IntExpr), Piece<'_>),
    ) -> Vec<Stmt> {
        let (Some(moving), Some(buffer)) = (&self.moving, copy.buffer) else { return vec![] };
        let mut vars = Vec::new();
        let mut subscripts = Vec::new();
        let mut place: Vec<(VarId, IntExpr)> = Vec::new();
        if let Some(((v, _), (lo, here))) = copy.plane.zip(piece.plane) {
            let x = b.kernel.fresh_var(&name_of(b, v));
            vars.push((x, here.clone()));
            subscripts.push(IntExpr::from(x));
            place.push((v, lo + &IntExpr::from(x)));
        }
        let (lo, here) = piece.lanes;
        for v in self.summed.iter().filter(|v| mentions(moving, **v)) {
            let x = b.kernel.fresh_var(&name_of(b, *v));
            let (extent, value) = if *v == copy.summed {
                (count.clone(), from + &IntExpr::from(x))
            } else {
                (extent_of(body, *v), x.into())
            };
            vars.push((x, extent));
            subscripts.push(IntExpr::from(x));
            place.push((*v, value));
        }
        let mut position = IntExpr::constant(0);
        for (k, v) in self.lanes.iter().enumerate() {
            let x = b.kernel.fresh_var(&name_of(b, *v));
            let (extent, value) = if k == 0 {
                (here.clone(), lo + &IntExpr::from(x))
            } else {
                (extent_of(body, *v), x.into())
            };
            position = position * extent_of(body, *v) + IntExpr::from(x);
            vars.push((x, extent));
            place.push((*v, value));
        }
        subscripts.push(position);
        // What the loops around fix goes through variables of the block.
        let mut fixed = Fixed::new();
        let mut outer = |b: &mut KernelBuilder<'_, '_>, value: &IntExpr| {
            let x = b.kernel.fresh_var("o");
            fixed.insert(x, value.clone());
            IntExpr::from(x)
        };
        let mut replaced: Vec<(VarId, IntExpr)> = Vec::new();
        for (v, value) in at.iter().chain(&body.fixed) {
            if mentions(moving, *v) {
                let x = outer(b, value);
                replaced.push((*v, x));
            }
        }
        for (v, value) in place {
            let value = match vars.iter().find(|(x, _)| value.mentions(*x)) {
                Some((x, _)) if value != (*x).into() => {
                    let rest = &value - &IntExpr::from(*x);
                    outer(b, &rest) + IntExpr::from(*x)
                }
                _ => value,
            };
            replaced.push((v, value));
        }
        let value = moving.substitute(&|s| match s {
            Symbol::Var(v) => replaced.iter().find(|(x, _)| *x == v).map(|(_, e)| e.clone()),
            Symbol::Size(_) => None,
        });
        let fill = Body {
            vars,
            fixed,
            guard: None,
            lets: Vec::new(),
            value,
            buffer,
            subscripts: subscripts.into_iter().map(Subscript::Affine).collect(),
            reducer: None,
            drop: false,
            name: "copy".to_owned(),
        };
        nest::pointwise_stmts(b, fill, Update::Set)
    }

    /// What is read from each plane of a copy.
    fn planes(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        width: &IntExpr,
        (pass, piece): (&Pass, Piece<'_>),
    ) -> Vec<Stmt> {
        let plane = self.blocks.as_ref().and_then(|c| c.plane).zip(piece.plane);
        let Some(((v, _), (lo, here))) = plane else {
            return self.columns(b, body, at, width, pass);
        };
        let x = b.kernel.fresh_var(&format!("{}_", name_of(b, v)));
        let mut at = at.clone();
        at.insert(v, lo + &IntExpr::from(x));
        let pass = Pass { plane: Some(x.into()), ..pass.clone() };
        let stmts = self.columns(b, body, &at, width, &pass);
        vec![serial(x, IntExpr::constant(0), here.clone(), stmts)]
    }

    /// Blocks of rows that stay in the cache while all columns pass, then the rows that are left.
    pub(super) fn columns(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        extent: &IntExpr,
        place: &Pass,
    ) -> Vec<Stmt> {
        let Some(r) = self.rows else {
            return self.columns_of(b, body, at, extent, (place, &Rows::One));
        };
        let whole = extent_of(body, r).div(&IntExpr::constant(self.tile.rows));
        let rest = &extent_of(body, r) - &(whole.clone() * IntExpr::constant(self.tile.rows));
        let summed: i64 = self
            .summed
            .iter()
            .map(|v| match &self.blocks {
                Some(c) if c.summed == *v => c.block.unwrap_or(NOMINAL),
                _ => nominal(&extent_of(body, *v)),
            })
            .product();
        let row = summed * body.value.dtype().size() as i64 * self.tile.rows;
        let most = (CACHE / 3 / row.max(1)).max(1);
        let tiles = nominal(&whole);
        let zero = IntExpr::constant(0);
        if tiles <= most || !self.copies() {
            let all = Rows::Tiles(zero, whole, rest);
            return self.columns_of(b, body, at, extent, (place, &all));
        }
        let block = dividing(tiles, most, 1);
        let size = IntExpr::constant(block);
        let chunk = b.kernel.fresh_var("rows");
        let lo = IntExpr::from(chunk) * size.clone();
        let hi = if whole.div(&size) * size.clone() == whole {
            lo.clone() + size
        } else {
            (lo.clone() + size).minimum(&whole)
        };
        let main = Rows::Tiles(lo, hi, zero.clone());
        let main = self.columns_of(b, body, at, extent, (place, &main));
        let mut out = vec![serial(chunk, zero, ceil_of(&whole, block), main)];
        if rest.as_constant() != Some(0) {
            let last = Rows::Tiles(whole.clone(), whole, rest);
            out.extend(self.columns_of(b, body, at, extent, (place, &last)));
        }
        out
    }

    /// Columns of tiles over the lanes of a block, the last one cut.
    pub(super) fn columns_of(
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
        let condition = Expr::Compare(Comparison::Lt, chunk.into(), whole);
        vec![serial(chunk, zero, count, vec![Stmt::If { condition, then: main, otherwise: last }])]
    }

    /// Tiles of rows, the last one lower.
    pub(super) fn row_tiles(
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
            let side = Side { panel, start, size: self.tile.rows, limit: None };
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
