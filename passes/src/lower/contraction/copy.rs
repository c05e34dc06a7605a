//! Copies that tiles read: of the lanes' operand, and of the rows' operand in panels.

use super::loops::{Piece, Range};
use super::tile::Pass;
use super::{Blocks, Contraction, ceil_of, moves_near};
use crate::lower::Fixed;
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{self, Positions, extent_of, name_of, serial};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Stmt, Update};
use tcc_ir::scalar::{Expr, Subscript};
use tcc_ir::{TensorId, VarId};

/// The loops of a copy, where it is written, and which values the variables of the body have there.
#[derive(Default)]
struct Filling {
    vars: Vec<(VarId, IntExpr)>,
    subscripts: Vec<IntExpr>,
    place: Vec<(VarId, IntExpr)>,
}

impl Filling {
    /// A loop over an axis of the copy, whose `v` begins at `lo`.
    fn axis(&mut self, b: &mut KernelBuilder<'_, '_>, v: VarId, lo: &IntExpr, count: IntExpr) {
        let x = self.over(b, v, count);
        self.subscripts.push(x.into());
        self.place.push((v, lo + &IntExpr::from(x)));
    }

    fn over(&mut self, b: &mut KernelBuilder<'_, '_>, v: VarId, count: IntExpr) -> VarId {
        let x = b.kernel.fresh_var(&name_of(b, v));
        self.vars.push((x, count));
        x
    }

    /// A loop over one of the parts of an axis, of `size` values but the last: `within` is where
    /// the part begins, `extent` the number of values in all.
    fn part(
        &mut self,
        b: &mut KernelBuilder<'_, '_>,
        v: VarId,
        (within, extent): (&IntExpr, &IntExpr),
        size: i64,
    ) -> VarId {
        let x = self.over(b, v, IntExpr::constant(size).minimum(&(extent - within)));
        b.most.insert(x, size);
        x
    }
}

impl Contraction {
    /// The loops that fill the copy of a block.
    pub(super) fn fill_copy(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        copy: &Blocks,
        (range, piece): (Range<'_>, Piece<'_>),
    ) -> Vec<Stmt> {
        let (Some(moving), Some(buffer)) = (&self.moving, copy.buffer) else { return vec![] };
        let (lo, here) = piece.lanes;
        let start = |b: &mut KernelBuilder<'_, '_>| {
            let mut f = Filling::default();
            if let Some(((v, _), (lo, here))) = copy.plane.zip(piece.plane) {
                f.axis(b, v, lo, here.clone());
            }
            f
        };
        if let (Some(panel), [v]) = (copy.panel, self.lanes.as_slice()) {
            let size = IntExpr::constant(panel);
            if here.as_constant().is_none() {
                let f = start(b);
                return self.fill_panels(b, body, at, f, (range, piece.lanes));
            }
            let whole = here.div(&size);
            let rest = here - &(whole.clone() * size.clone());
            let mut out = Vec::new();
            for (count, lanes) in [(Some(&whole), &size), (None, &rest)] {
                let none = |n: &IntExpr| n.as_constant() == Some(0);
                if count.is_some_and(none) || none(lanes) {
                    continue;
                }
                let mut f = start(b);
                let axis = f.subscripts.len();
                self.summed_axes(b, body, &mut f, moving, Some(range));
                let column = match count {
                    Some(count) if count.as_constant() != Some(1) => {
                        f.over(b, *v, count.clone()).into()
                    }
                    Some(_) => IntExpr::constant(0),
                    None => whole.clone(),
                };
                let x = f.over(b, *v, lanes.clone());
                f.subscripts.insert(axis, column.clone());
                f.subscripts.push(x.into());
                f.place.push((*v, lo + &(column * size.clone()) + IntExpr::from(x)));
                out.extend(fill(b, body, at, (moving, buffer), f));
            }
            return out;
        }
        let mut f = start(b);
        self.summed_axes(b, body, &mut f, moving, Some(range));
        let mut position = IntExpr::constant(0);
        for (k, v) in self.lanes.iter().enumerate() {
            let extent = extent_of(body, *v);
            let x = f.over(b, *v, if k == 0 { here.clone() } else { extent.clone() });
            let value = if k == 0 { lo + &IntExpr::from(x) } else { x.into() };
            position = position * extent + IntExpr::from(x);
            f.place.push((*v, value));
        }
        f.subscripts.push(position);
        fill(b, body, at, (moving, buffer), f)
    }

    /// The same for lanes of unknown number: panel by panel, each as far as there are lanes.
    fn fill_panels(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        mut f: Filling,
        (range, (lo, here)): (Range<'_>, Range<'_>),
    ) -> Vec<Stmt> {
        let (Some(moving), Some(copy), [v]) = (&self.moving, self.blocks, self.lanes.as_slice())
        else {
            return vec![];
        };
        let (Some(buffer), Some(panel)) = (copy.buffer, copy.panel) else { return vec![] };
        let column = b.kernel.fresh_var("column");
        let within = IntExpr::from(column) * IntExpr::constant(panel);
        let axis = f.subscripts.len();
        self.summed_axes(b, body, &mut f, moving, Some(range));
        f.subscripts.insert(axis, column.into());
        // What lies side by side along the lanes is read row by row, through all panels.
        let rows = if moves_near(moving, *v) { std::mem::take(&mut f.vars) } else { vec![] };
        let x = f.part(b, *v, (&within, here), panel);
        f.subscripts.push(x.into());
        f.place.push((*v, lo + &within + IntExpr::from(x)));
        let stmts = fill(b, body, at, (moving, buffer), f);
        let loops = rows.into_iter().chain([(column, ceil_of(here, panel))]);
        let nest = |stmts, (v, extent)| vec![serial(v, IntExpr::default(), extent, stmts)];
        loops.rev().fold(stmts, nest)
    }

    /// The loops that pack so many tiles of rows from the first of a range, and the rows that are
    /// left behind them.
    pub(super) fn fill_rows(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        pass: &Pass,
        ((lo, count), rest): (Range<'_>, &IntExpr),
    ) -> Vec<Stmt> {
        let (Some(part), Some(buffer), Some(r)) = (&self.fixed, self.packed, self.rows) else {
            return vec![];
        };
        let size = IntExpr::constant(self.tile.rows);
        let extent = extent_of(body, r);
        let range = pass.summed.as_ref().map(|(from, count)| (from, count));
        if extent.as_constant().is_none() {
            // Tile by tile, each as far as there are rows.
            let tile = b.kernel.fresh_var("tile");
            let first = (lo + &IntExpr::from(tile)) * size;
            let mut f = Filling::default();
            f.subscripts.push(tile.into());
            let row = |b: &mut KernelBuilder<'_, '_>, f: &mut Filling| {
                f.part(b, r, (&first, &extent), self.tile.rows)
            };
            let x = self.panel_axes(b, body, &mut f, (part, range), &row);
            f.place.push((r, first.clone() + IntExpr::from(x)));
            let stmts = fill(b, body, at, (part, buffer), f);
            return vec![serial(tile, IntExpr::default(), count.clone(), stmts)];
        }
        let mut out = Vec::new();
        let panels = [(count.clone(), size.clone()), (IntExpr::constant(1), rest.clone())];
        for (k, (tiles, rows)) in panels.into_iter().enumerate() {
            if tiles.as_constant() == Some(0) || rows.as_constant() == Some(0) {
                continue;
            }
            let mut f = Filling::default();
            let (panel, first) = match k {
                0 if tiles.as_constant() != Some(1) => {
                    let x = f.over(b, r, tiles);
                    (IntExpr::from(x), lo + &IntExpr::from(x))
                }
                0 => (IntExpr::constant(0), lo.clone()),
                _ => (count.clone(), lo + count),
            };
            f.subscripts.push(panel);
            let row = |b: &mut KernelBuilder<'_, '_>, f: &mut Filling| f.over(b, r, rows.clone());
            let x = self.panel_axes(b, body, &mut f, (part, range), &row);
            f.place.push((r, first * size.clone() + IntExpr::from(x)));
            out.extend(fill(b, body, at, (part, buffer), f));
        }
        out
    }

    /// Axes of a panel of rows: the row, which is returned, before or after the summed variables.
    fn panel_axes(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        f: &mut Filling,
        (part, range): (&Expr, Option<Range<'_>>),
        row: &dyn Fn(&mut KernelBuilder<'_, '_>, &mut Filling) -> VarId,
    ) -> VarId {
        let first = self.upright.then(|| row(b, f));
        f.subscripts.extend(first.map(IntExpr::from));
        self.summed_axes(b, body, f, part, range);
        first.unwrap_or_else(|| {
            let x = row(b, f);
            f.subscripts.push(x.into());
            x
        })
    }

    /// Axes for the summed variables that an operand moves with.
    fn summed_axes(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        f: &mut Filling,
        part: &Expr,
        range: Option<Range<'_>>,
    ) {
        for v in self.summed.iter().filter(|v| part.mentions(**v)) {
            match self.taken(*v, range.as_ref()) {
                Some((from, count)) => f.axis(b, *v, from, (*count).clone()),
                None => f.axis(b, *v, &IntExpr::constant(0), extent_of(body, *v)),
            }
        }
    }
}

/// The statements that copy a part of a body.
fn fill(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    at: &Positions,
    (part, buffer): (&Expr, TensorId),
    f: Filling,
) -> Vec<Stmt> {
    // What the loops around fix goes through variables of the block.
    let mut fixed = Fixed::new();
    let mut outer = |b: &mut KernelBuilder<'_, '_>, value: &IntExpr| {
        if value.as_constant().is_some() {
            return value.clone();
        }
        let x = b.kernel.fresh_var("o");
        fixed.insert(x, value.clone());
        IntExpr::from(x)
    };
    let mut replaced: Vec<(VarId, IntExpr)> = Vec::new();
    for (v, value) in at.iter().chain(&body.fixed) {
        if part.mentions(*v) {
            let x = outer(b, value);
            replaced.push((*v, x));
        }
    }
    let own = |s: Symbol| match s {
        Symbol::Var(v) => f.vars.iter().any(|(x, _)| *x == v).then(IntExpr::default),
        Symbol::Size(_) => None,
    };
    let mut apart = |b: &mut KernelBuilder<'_, '_>, value: IntExpr| {
        let rest = value.substitute(&own);
        &value - &rest + outer(b, &rest)
    };
    for (v, value) in f.place {
        replaced.push((v, apart(b, value)));
    }
    let subscripts: Vec<IntExpr> = f.subscripts.into_iter().map(|i| apart(b, i)).collect();
    let value = part.substitute(&|s| match s {
        Symbol::Var(v) => replaced.iter().find(|(x, _)| *x == v).map(|(_, e)| e.clone()),
        Symbol::Size(_) => None,
    });
    let subscripts = subscripts.into_iter().map(Subscript::Affine).collect();
    let fill = Body {
        vars: f.vars,
        fixed,
        guard: None,
        lets: Vec::new(),
        value,
        buffer,
        subscripts,
        reducer: None,
        drop: false,
        name: "copy".to_owned(),
    };
    nest::pointwise_stmts(b, fill, Update::Set)
}
