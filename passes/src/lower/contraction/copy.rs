//! Copies that tiles read: of the lanes' operand, and of the rows' operand in panels.

use super::loops::{Piece, Range};
use super::tile::Pass;
use super::{Blocks, Contraction};
use crate::lower::Fixed;
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{self, Positions, extent_of, name_of};
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
        if let (Some(size), [v]) = (copy.panel, self.lanes.as_slice()) {
            let size = IntExpr::constant(size);
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
        let range = pass.summed.as_ref().map(|(from, count)| (from, count));
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
            self.summed_axes(b, body, &mut f, part, range);
            let x = f.over(b, r, rows);
            f.subscripts.push(x.into());
            f.place.push((r, first * size.clone() + IntExpr::from(x)));
            out.extend(fill(b, body, at, (part, buffer), f));
        }
        out
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
    for (v, value) in f.place {
        let own = |s: Symbol| match s {
            Symbol::Var(v) => f.vars.iter().any(|(x, _)| *x == v).then(IntExpr::default),
            Symbol::Size(_) => None,
        };
        let rest = value.substitute(&own);
        let value = &value - &rest + outer(b, &rest);
        replaced.push((v, value));
    }
    let value = part.substitute(&|s| match s {
        Symbol::Var(v) => replaced.iter().find(|(x, _)| *x == v).map(|(_, e)| e.clone()),
        Symbol::Size(_) => None,
    });
    let subscripts = f.subscripts.into_iter().map(Subscript::Affine).collect();
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
