//! Pointwise bodies that read along another axis than they write: square tiles that are transposed
//! in registers.
//!
//! ```text
//! for ... { for uo in U/16 { for vo in V/16 {
//!     for r in 16 unroll { for c in 16 vectorize {
//!         t[r, c] = X[.., u = 16*uo + c, v = 16*vo + r] } }
//!     for c in 16 unroll { for r in 16 vectorize { Y[.., v = 16*vo + r] = f(t[r, c]) } }
//! } } }
//! ```
//!
//! Whole tiles go in square blocks. Those of a result that is written past the caches lie in local
//! memory first, so that each row of a block is written at once.

use super::block::{Body, KernelBuilder};
use super::contraction::{ceil, ceil_of, strided};
use super::nest::{
    Positions, extent_of, joined, lane_loop, last_axis_var, name_of, over_spatial,
    scalar_pointwise, serial, store_block,
};
use super::vector::{Motion, motion};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, Buffer, For, LoopKind, Scope, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Subscript};
use tcc_ir::{TensorId, VarId};

/// Tiles of a block along both axes.
const BLOCK: i64 = 4;

/// A body that is tiled: written along `v`, read along `u`.
struct Transposed {
    v: VarId,
    u: VarId,
    side: i64,
    /// The reads that go through registers, each with its tile.
    reads: Vec<Read>,
}

/// The statements of a pointwise body whose reads lie across its writes; `None` for any other.
pub(super) fn transposed(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    update: Update,
) -> Option<Vec<Stmt>> {
    let t = recognize(b, body, update)?;
    let order: Vec<VarId> =
        body.vars.iter().map(|(x, _)| *x).filter(|x| *x != t.v && *x != t.u).collect();
    let stmts = over_spatial(b, body, &order, &mut |b, at| t.tiles(b, body, at, update));
    let dense = strided(b, body)
        .into_iter()
        .map(Expr::Contiguous)
        .reduce(|a, c| Expr::binary(Func::And, a, c));
    Some(match dense {
        None => stmts,
        Some(condition) => {
            let otherwise = scalar_pointwise(b, body.clone(), update);
            vec![Stmt::If { condition, then: stmts, otherwise }]
        }
    })
}

fn recognize(b: &KernelBuilder<'_, '_>, body: &Body, update: Update) -> Option<Transposed> {
    let dtype = b.kernel.buffers.get(body.buffer)?.dtype;
    let fits = dtype.size() == 4 || dtype.size() == 8;
    if b.cx.target.vector_bytes < 64 || update != Update::Set || !fits || dtype.is_complex() {
        return None;
    }
    if body.guard.is_some() || !body.lets.is_empty() || !b.cx.options.vectorize {
        return None;
    }
    let v = last_axis_var(body)?;
    let same = |e: &Expr| {
        let mut all = true;
        e.visit(&mut |x| all &= x.dtype().size() == dtype.size() && !x.dtype().is_complex());
        all
    };
    if !same(&body.value) {
        return None;
    }
    // Every read that is not along `v` is along one other variable.
    let mut u = None;
    let mut reads: Vec<Read> = Vec::new();
    for r in body.value.reads() {
        if r.default.is_some() || r.subscripts.iter().any(|s| s.as_affine().is_none()) {
            return None;
        }
        if motion(&r.subscripts, v) != Motion::Other {
            continue;
        }
        let along = body
            .vars
            .iter()
            .map(|(x, _)| *x)
            .find(|x| *x != v && motion(&r.subscripts, *x) == Motion::Next)?;
        if u.is_some_and(|u| u != along) {
            return None;
        }
        u = Some(along);
        if !reads.contains(r) {
            reads.push(r.clone());
        }
    }
    let side = 64 / dtype.size() as i64;
    (reads.len() == 1).then_some(Transposed { v, u: u?, side, reads })
}

/// A tile: where it begins along both variables, and the extents that it must not pass.
struct Tile {
    v: (IntExpr, Option<IntExpr>),
    u: (IntExpr, Option<IntExpr>),
}

impl Transposed {
    /// Whole tiles, then those that the extents cut.
    fn tiles(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        update: Update,
    ) -> Vec<Stmt> {
        let size = IntExpr::constant(self.side);
        let (ev, eu) = (extent_of(body, self.v), extent_of(body, self.u));
        let (wv, wu) = (ev.div(&size), eu.div(&size));
        let (dv, du) = (&wv * &size, &wu * &size);
        let vo = b.kernel.fresh_var(&format!("{}o", name_of(b, self.v)));
        let uo = b.kernel.fresh_var(&format!("{}o", name_of(b, self.u)));
        let (pv, pu) = (IntExpr::from(vo) * size.clone(), IntExpr::from(uo) * size.clone());
        let zero = IntExpr::constant(0);
        let along_v = |b: &mut KernelBuilder<'_, '_>, u: (IntExpr, Option<IntExpr>)| {
            let whole = Tile { v: (pv.clone(), None), u: u.clone() };
            let main = self.tile(b, body, at, update, &whole);
            let mut out = unless_none(vo, &wv, main);
            if dv != ev {
                let cut = Tile { v: (dv.clone(), Some(ev.clone())), u };
                let last = self.tile(b, body, at, update, &cut);
                out.extend(if_any(&dv, &ev, last));
            }
            out
        };
        let (tv, tu) = (wv.as_constant().unwrap_or(0), wu.as_constant().unwrap_or(0));
        if tv > BLOCK && tu > BLOCK && du == eu && dv == ev {
            // Square blocks: runs of several lines on both sides.
            let mut range = |v: VarId, tiles: i64| {
                let size = IntExpr::constant(BLOCK);
                let block = b.kernel.fresh_var(&format!("{}b", name_of(b, v)));
                let lo = IntExpr::from(block) * size.clone();
                let hi = lo.clone() + size;
                let whole = IntExpr::constant(tiles);
                let hi = if tiles % BLOCK == 0 { hi } else { hi.minimum(&whole) };
                (block, lo, hi, IntExpr::constant(ceil(tiles, BLOCK)))
            };
            let (bu, ulo, uhi, nu) = range(self.u, tu);
            let (bv, vlo, vhi, nv) = range(self.v, tv);
            let whole = Tile { v: (pv, None), u: (pu, None) };
            let origin = (&vlo * &size, &ulo * &size);
            let large = b.kernel.buffers.get(body.buffer).is_some_and(Buffer::exceeds_caches);
            let local = (large && tv % BLOCK == 0 && tu % BLOCK == 0)
                .then(|| self.local_block(b, body, &origin));
            let main = self.tile(b, local.as_ref().unwrap_or(body), at, update, &whole);
            let mut inner = vec![serial(uo, ulo, uhi, vec![serial(vo, vlo, vhi, main)])];
            if let Some(local) = local {
                inner.insert(0, Stmt::Alloc(local.buffer));
                inner.push(self.written_out(b, (body, &local), at, update, &origin));
            }
            return vec![serial(bu, zero.clone(), nu, vec![serial(bv, zero, nv, inner)])];
        }
        if b.most.contains_key(&self.v) || b.most.contains_key(&self.u) {
            return self.limited(b, body, at, update);
        }
        let main = along_v(b, (pu, None));
        let mut out = unless_none(uo, &wu, main);
        if du != eu {
            // Loops of another name: a variable is bound by one loop.
            let vo = b.kernel.fresh_var(&format!("{}o", name_of(b, self.v)));
            let pv = IntExpr::from(vo) * size;
            let cut = (du.clone(), Some(eu.clone()));
            let whole = Tile { v: (pv, None), u: cut.clone() };
            let main = self.tile(b, body, at, update, &whole);
            let mut last = unless_none(vo, &wv, main);
            if dv != ev {
                let corner = Tile { v: (dv.clone(), Some(ev.clone())), u: cut };
                let stmts = self.tile(b, body, at, update, &corner);
                last.extend(if_any(&dv, &ev, stmts));
            }
            out.extend(if_any(&du, &eu, last));
        }
        out
    }

    /// Tiles of which each stops at the extents.
    fn limited(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        update: Update,
    ) -> Vec<Stmt> {
        let mut loops = Vec::new();
        let mut side = |b: &mut KernelBuilder<'_, '_>, v: VarId| {
            let extent = extent_of(body, v);
            let most = extent.as_constant().or_else(|| b.most.get(&v).copied());
            let limit =
                (extent.as_constant().is_none_or(|n| n % self.side != 0)).then(|| extent.clone());
            if most.is_some_and(|n| n <= self.side) {
                return (IntExpr::default(), limit);
            }
            let o = b.kernel.fresh_var(&format!("{}o", name_of(b, v)));
            loops.push((o, ceil_of(&extent, self.side)));
            (IntExpr::from(o) * IntExpr::constant(self.side), limit)
        };
        let (u, v) = (side(b, self.u), side(b, self.v));
        let stmts = self.tile(b, body, at, update, &Tile { v, u });
        let zero = IntExpr::constant(0);
        loops.into_iter().rev().fold(stmts, |stmts, (o, n)| vec![serial(o, zero.clone(), n, stmts)])
    }

    /// The body with a block's elements in local memory for its target: rows along `u`.
    fn local_block(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        (v, u): &(IntExpr, IntExpr),
    ) -> Body {
        let side = IntExpr::constant(BLOCK * self.side);
        let dtype = b.kernel.buffers.get(body.buffer).map_or(body.value.dtype(), |x| x.dtype);
        let name = b.unused_name(&format!("{}_block", body.name));
        let (shape, scope) = (vec![side.clone(), side], Scope::Local);
        let buffer = b.kernel.buffers.push(Buffer { name, dtype, shape, scope });
        let (ov, ou) = (b.kernel.fresh_var("o"), b.kernel.fresh_var("o"));
        let mut local = body.clone();
        local.fixed.extend([(ov, v.clone()), (ou, u.clone())]);
        local.buffer = buffer;
        local.subscripts = [(self.u, ou), (self.v, ov)]
            .map(|(x, origin)| Subscript::Affine(IntExpr::from(x) - IntExpr::from(origin)))
            .to_vec();
        local
    }

    /// The loops that write a block from local memory.
    fn written_out(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        (body, local): (&Body, &Body),
        at: &Positions,
        update: Update,
        (v, u): &(IntExpr, IntExpr),
    ) -> Stmt {
        let (row, lane) = (b.kernel.fresh_var("r"), b.kernel.fresh_var("l"));
        let mut at = at.clone();
        at.insert(self.u, u + &IntExpr::from(row));
        at.insert(self.v, v + &IntExpr::from(lane));
        let mut written = body.clone();
        let dtype = local.value.dtype();
        let subscripts = local.subscripts.clone();
        let read = Read { tensor: local.buffer, dtype, subscripts, default: None };
        written.value = Expr::Read(Box::new(read));
        written.fixed.clone_from(&local.fixed);
        let side = BLOCK * self.side;
        let block = store_block(b, &written, &at, update);
        let lanes = lane_loop(lane, side, LoopKind::Vectorize, vec![block]);
        serial(row, IntExpr::default(), side.into(), vec![lanes])
    }

    fn tile(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        update: Update,
        tile: &Tile,
    ) -> Vec<Stmt> {
        let mut out = Vec::new();
        let mut value = body.value.clone();
        let (e, f) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("f"));
        for r in &self.reads {
            let t = b.register("t", r.dtype, &[self.side, self.side]);
            out.push(Stmt::Alloc(t));
            out.push(self.over(b, body, at, tile, Loops::Load(r, t)));
            let tiled = Expr::read(t, r.dtype, vec![e.into(), f.into()]);
            value = value.rewrite(&|i| i.clone(), &mut |x| match &x {
                Expr::Read(y) if **y == *r => tiled.clone(),
                _ => x,
            });
        }
        out.push(self.over(b, body, at, tile, Loops::Store(&value, update, e, f)));
        out
    }

    /// The loops of one step of a tile.
    fn over(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        tile: &Tile,
        step: Loops<'_>,
    ) -> Stmt {
        let (row, column) = (b.kernel.fresh_var("r"), b.kernel.fresh_var("c"));
        let mut here = Positions::new();
        here.insert(self.v, tile.v.0.clone() + IntExpr::from(row));
        here.insert(self.u, tile.u.0.clone() + IntExpr::from(column));
        let at = joined(at, &here);
        let limits = [(self.v, &tile.v.1), (self.u, &tile.u.1)];
        // The extents may be of the loops around: variables of the block take them in.
        let mut ends: Vec<(VarId, IntExpr)> = Vec::new();
        let mut guard: Option<Expr> = None;
        for (v, limit) in limits {
            let Some(limit) = limit else { continue };
            let end = b.kernel.fresh_var(&format!("{}e", name_of(b, v)));
            ends.push((end, limit.clone()));
            let inside = Expr::Compare(Comparison::Lt, v.into(), end.into());
            guard = Some(match guard.take() {
                Some(g) => Expr::binary(Func::And, g, inside),
                None => inside,
            });
        }
        let (e, f) = match &step {
            Loops::Load(..) => (b.kernel.fresh_var("e"), b.kernel.fresh_var("f")),
            Loops::Store(_, _, e, f) => (*e, *f),
        };
        let (store, name) = match &step {
            Loops::Load(r, t) => {
                let subscripts = vec![Subscript::Affine(e.into()), Subscript::Affine(f.into())];
                let value = Expr::Read(Box::new((*r).clone()));
                (Store { buffer: *t, subscripts, update: Update::Set, value, drop: false }, "load")
            }
            Loops::Store(value, update, ..) => (
                Store {
                    buffer: body.buffer,
                    subscripts: body.subscripts.clone(),
                    update: *update,
                    value: (*value).clone(),
                    drop: body.drop,
                },
                body.name.as_str(),
            ),
        };
        let mut used: Vec<VarId> = Vec::new();
        let mut note = |s: Symbol| {
            if let Symbol::Var(v) = s {
                used.push(v);
            }
        };
        store.value.visit_symbols(&mut note);
        store.subscripts.iter().for_each(|s| s.visit_symbols(&mut note));
        guard.iter().for_each(|g| g.visit_symbols(&mut note));
        let mut iters: Vec<(VarId, IntExpr)> = vec![(e, row.into()), (f, column.into())];
        iters.extend(ends);
        iters.extend(
            at.iter()
                .chain(&body.fixed)
                .filter(|(v, _)| used.contains(v))
                .map(|(v, i)| (*v, i.clone())),
        );
        let block = Block { name: name.to_owned(), iters, guard, init: None, lets: vec![], store };
        let (outer, inner) = match step {
            Loops::Load(..) => (row, column),
            Loops::Store(..) => (column, row),
        };
        let side = IntExpr::constant(self.side);
        let make = |var, kind, body| {
            Stmt::For(For { var, lo: IntExpr::constant(0), hi: side.clone(), kind, body })
        };
        let lanes = make(inner, LoopKind::Vectorize, vec![Stmt::Block(block)]);
        make(outer, LoopKind::Unroll, vec![lanes])
    }
}

/// A step of a tile: a read into its registers, or the stores.
enum Loops<'r> {
    Load(&'r Read, TensorId),
    Store(&'r Expr, Update, VarId, VarId),
}

/// A loop over so many tiles, if there may be any.
fn unless_none(var: VarId, tiles: &IntExpr, stmts: Vec<Stmt>) -> Vec<Stmt> {
    match tiles.as_constant() {
        Some(0) => vec![],
        _ => vec![serial(var, IntExpr::constant(0), tiles.clone(), stmts)],
    }
}

/// The statements where something is left between two extents.
fn if_any(done: &IntExpr, extent: &IntExpr, stmts: Vec<Stmt>) -> Vec<Stmt> {
    if (extent - done).as_constant().is_some() {
        return stmts;
    }
    let condition = Expr::Compare(Comparison::Lt, done.clone(), extent.clone());
    vec![Stmt::If { condition, then: stmts, otherwise: vec![] }]
}
