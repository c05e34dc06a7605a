//! One tile: start, sum, store.

use super::loops::end_of;
use super::{Contraction, UNROLLED};
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{Initial, Positions, extent_of, name_of};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, For, LoopKind, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Subscript};
use tcc_ir::{TensorId, VarId};

/// A tile that is being built: its loop positions and what limits its rows and lanes.
pub(super) struct Place<'p> {
    pub(super) at: &'p Positions,
    pub(super) rows: Side,
    pub(super) lanes: Side,
    pub(super) pass: Pass,
}

/// The blocks that a tile is in.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// The block of the summed variable: its first value, and how many.
    pub(super) summed: Option<(IntExpr, IntExpr)>,
    pub(super) order: Order,
    /// Where the lanes of the block begin, as a position among all lanes.
    pub(super) origin: IntExpr,
    /// Which of the planes of the copy is read.
    pub(super) plane: Option<IntExpr>,
    /// Where rows are packed, and the number of the first tile there.
    pub(super) packed: Option<(TensorId, IntExpr)>,
}

/// Which of the blocks of the summed variable it is: later ones go on from the target.
#[derive(Clone, Debug)]
pub(super) enum Order {
    First,
    Later,
    /// The block of this number.
    Number(VarId),
}

/// Which rows are done: one, or the tiles from one number to another and then so many rows behind
/// the last whole tile.
pub(super) enum Rows {
    One,
    Tiles(IntExpr, IntExpr, IntExpr),
}

/// A tile along one side.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// The number of the tile, where it begins, and how far it goes.
    pub(super) panel: IntExpr,
    pub(super) start: IntExpr,
    pub(super) size: i64,
    /// The extent that it must not pass.
    pub(super) limit: Option<IntExpr>,
}

impl Contraction {
    /// One tile: start, sum, store.
    pub(super) fn tile(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        p: &Place<'_>,
    ) -> Vec<Stmt> {
        let dtype = body.value.dtype();
        let acc = b.register("acc", dtype, &[p.rows.size, p.lanes.size]);
        let mut out = vec![Stmt::Alloc(acc)];
        let none = Positions::new();
        let earlier = match &p.pass.order {
            _ if self.initial == Initial::Existing => None,
            Order::Later => None,
            Order::First => Some(IntExpr::constant(0)),
            Order::Number(k) => Some(IntExpr::from(*k)),
        };
        out.push(self.over_tile(b, body, p, &none, (acc, Part::Clear)));
        let mut summed = Positions::new();
        let mut loops = Vec::new();
        for v in &self.summed {
            let block = self.taken(*v, p.pass.summed.as_ref());
            let extent = block.map_or_else(|| end_of(b, body, *v), |(_, n)| n.clone());
            if extent.as_constant() == Some(1) && block.is_none() {
                summed.insert(*v, IntExpr::constant(0));
                continue;
            }
            let i = b.kernel.fresh_var(&format!("{}_", name_of(b, *v)));
            summed.insert(*v, i.into());
            loops.push((i, extent));
        }
        // Short loops are unrolled inside of the long ones.
        let short = |e: &IntExpr| e.as_constant().is_some_and(|n| n <= UNROLLED);
        loops.sort_by_key(|(_, e)| short(e));
        let inner = self.over_tile(b, body, p, &summed, (acc, Part::Sum));
        let nest = loops.into_iter().rev().fold(vec![inner], |stmts, (i, extent)| {
            let kind = if short(&extent) { LoopKind::Unroll } else { LoopKind::Serial };
            vec![Stmt::For(For { var: i, lo: IntExpr::constant(0), hi: extent, kind, body: stmts })]
        });
        out.extend(nest);
        // What earlier blocks left joins at the end: tiles need not wait for it.
        match earlier.map(|n| (n.as_constant(), n)) {
            None => out.push(self.over_tile(b, body, p, &none, (acc, Part::Join))),
            Some((Some(0), _)) => out.push(self.over_tile(b, body, p, &none, (acc, Part::Store))),
            Some((_, n)) => {
                let condition = Expr::Compare(Comparison::Eq, n, IntExpr::constant(0));
                let then = vec![self.over_tile(b, body, p, &none, (acc, Part::Store))];
                let otherwise = vec![self.over_tile(b, body, p, &none, (acc, Part::Join))];
                out.push(Stmt::If { condition, then, otherwise });
            }
        }
        out
    }

    /// Loop positions of the lanes' variables at a lane of a tile.
    fn lane_positions(&self, body: &Body, p: &Place<'_>, lane: VarId) -> Vec<(VarId, IntExpr)> {
        let position = p.pass.origin.clone() + p.lanes.start.clone() + IntExpr::from(lane);
        let mut rest = position;
        let mut out = Vec::new();
        for (k, v) in self.lanes.iter().enumerate().rev() {
            let extent = extent_of(body, *v);
            let value = if k == 0 { rest.clone() } else { rest.modulo(&extent) };
            rest = rest.div(&extent);
            out.push((*v, value));
        }
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
        let mut at = p.at.clone();
        for (v, i) in summed {
            let from = self.taken(*v, p.pass.summed.as_ref());
            at.insert(*v, from.map_or(i.clone(), |(from, _)| from + i));
        }
        if let Some(r) = self.rows {
            at.insert(r, p.rows.start.clone() + IntExpr::from(row));
        }
        at.extend(self.lane_positions(body, p, lane));
        let own = vec![Subscript::Affine(e.into()), Subscript::Affine(f.into())];
        let mut iters: Vec<(VarId, IntExpr)> = vec![(e, row.into()), (f, lane.into())];
        let target = matches!(part, Part::Store | Part::Join);
        let sum = matches!(part, Part::Sum);
        let store = match part {
            Part::Clear => {
                let value = Expr::Literal(self.reducer.unit(dtype));
                Store { buffer: acc, subscripts: own, update: Update::Set, value, drop: false }
            }
            Part::Sum => {
                let value = self.tile_value(b, p, summed, (e, f), &mut iters);
                Store { buffer: acc, subscripts: own, update: self.update, value, drop: false }
            }
            Part::Store | Part::Join => Store {
                buffer: body.buffer,
                subscripts: body.subscripts.clone(),
                update: match part {
                    Part::Join => Update::Reduce(self.reducer),
                    _ => Update::Set,
                },
                value: Expr::read(acc, dtype, vec![e.into(), f.into()]),
                drop: false,
            },
        };
        let guard = self.guard(b, p, (row, lane), (target, sum), &mut iters);
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
        let bound = at.iter().chain(&body.fixed).filter(|(v, _)| used.contains(v));
        iters.extend(bound.map(|(v, i)| (*v, i.clone())));
        let block =
            Block { name: body.name.clone(), iters, guard, init: None, lets: vec![], store };
        let make = |var, size, kind, body| {
            let (lo, hi) = (IntExpr::constant(0), IntExpr::constant(size));
            Stmt::For(For { var, lo, hi, kind, body })
        };
        let lanes = make(lane, p.lanes.size, LoopKind::Vectorize, vec![Stmt::Block(block)]);
        make(row, p.rows.size, LoopKind::Unroll, vec![lanes])
    }

    /// What keeps a tile within the extents: what is read from copies goes past the end, where its
    /// values are not used.
    fn guard(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        p: &Place<'_>,
        (row, lane): (VarId, VarId),
        (target, sum): (bool, bool),
        iters: &mut Vec<(VarId, IntExpr)>,
    ) -> Option<Expr> {
        let mut guard: Option<Expr> = None;
        let mut limit = |v: VarId, value: IntExpr, limit: &Option<IntExpr>, applies: bool| {
            let Some(limit) = limit.as_ref().filter(|_| applies) else { return };
            let own = b.kernel.fresh_var(&format!("{}g", name_of(b, v)));
            iters.push((own, value - limit.clone()));
            let inside = Expr::Compare(Comparison::Lt, own.into(), IntExpr::constant(0));
            guard = Some(match guard.take() {
                Some(g) => Expr::binary(Func::And, g, inside),
                None => inside,
            });
        };
        if let Some(r) = self.rows {
            let value = p.rows.start.clone() + IntExpr::from(row);
            // Panels go on past the last row; what moves with the lanes may not.
            let bare = self.panels.is_none() && self.packed.is_none()
                || !self.copies() && self.moving.as_ref().is_none_or(|m| m.mentions(r));
            limit(r, value, &p.rows.limit, target || sum && bare);
        }
        if let Some(v) = self.lanes.last() {
            let value = p.lanes.start.clone() + IntExpr::from(lane);
            let applies = target || sum && !self.copies();
            limit(*v, value, &p.lanes.limit, applies);
        }
        guard
    }

    /// The body with its sides read from their copies.
    fn tile_value(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        p: &Place<'_>,
        summed: &Positions,
        (e, f): (VarId, VarId),
        iters: &mut Vec<(VarId, IntExpr)>,
    ) -> Expr {
        let mut replaced: Vec<(Expr, Expr)> = Vec::new();
        if let (Some(panels), Some(fixed)) = (&self.panels, &self.fixed) {
            let number = b.kernel.fresh_var("p");
            iters.push((number, p.rows.panel.clone()));
            replaced.push((fixed.clone(), panels.read(number, e)));
        }
        type Iters = Vec<(VarId, IntExpr)>;
        let axes = |b: &mut KernelBuilder<'_, '_>,
                    iters: &mut Iters,
                    part: &Expr,
                    at: &mut Vec<IntExpr>| {
            for v in self.summed.iter().filter(|v| part.mentions(**v)) {
                let x = b.kernel.fresh_var("k");
                iters.push((x, summed.get(v).cloned().unwrap_or_default()));
                at.push(IntExpr::from(x));
            }
        };
        if let (Some((buffer, lo)), Some(fixed)) = (&p.pass.packed, &self.fixed) {
            let number = b.kernel.fresh_var("p");
            let mut at = vec![IntExpr::from(number)];
            axes(b, iters, fixed, &mut at);
            iters.push((number, p.rows.panel.clone() - lo.clone()));
            at.insert(if self.upright { 1 } else { at.len() }, e.into());
            replaced.push((fixed.clone(), Expr::read(*buffer, fixed.dtype(), at)));
        }
        let buffer = self.blocks.as_ref().and_then(|c| c.buffer);
        if let (Some(buffer), Some(moving)) = (buffer, &self.moving) {
            let mut at = Vec::new();
            if let Some(plane) = &p.pass.plane {
                let x = b.kernel.fresh_var("p");
                iters.push((x, plane.clone()));
                at.push(IntExpr::from(x));
            }
            let panel = self.blocks.as_ref().is_some_and(|c| c.panel.is_some());
            let x = b.kernel.fresh_var("s");
            if panel {
                iters.push((x, p.lanes.panel.clone()));
                at.push(x.into());
                axes(b, iters, moving, &mut at);
                at.push(f.into());
            } else {
                iters.push((x, p.lanes.start.clone()));
                axes(b, iters, moving, &mut at);
                at.push(IntExpr::from(x) + IntExpr::from(f));
            }
            replaced.push((moving.clone(), Expr::read(buffer, moving.dtype(), at)));
        }
        self.value.rewrite(&|i| i.clone(), &mut |x| match replaced
            .iter()
            .find(|(from, _)| *from == x)
        {
            Some((_, to)) => to.clone(),
            None => x,
        })
    }
}

/// What the blocks of a tile do.
enum Part {
    /// Sets the registers to the unit.
    Clear,
    Sum,
    /// Sets the target.
    Store,
    /// Combines with what the target holds.
    Join,
}
