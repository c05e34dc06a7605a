//! Sums of short rows: those of a few rows run side by side, each in a vector of its own, and are
//! folded together: the square of accumulators is read down its columns.
//!
//! ```text
//! for uo in U/16 {
//!     acc[16, 16] = 0
//!     for vo in V/16 { for r in 16 unroll { for l in 16 vectorize {
//!         acc[r, l] += A[16*uo + r, 16*vo + l] } } }
//!     for l in 16 vectorize { sum[l] = acc[l, 0] }
//!     for c in 15 unroll { for l in 16 vectorize { sum[l] += acc[l, c + 1] } }
//!     for l in 16 vectorize { C[16*uo + l] = sum[l] }
//! }
//! ```

use super::{Reduction, reads_in_lanes, set_register};
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{
    Initial, MASKED, Positions, extent_of, lane_loop, last_axis_var, name_of, over_spatial, serial,
    unless_empty, versioned,
};
use crate::lower::vector::{Motion, lanes, motion};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, LoopKind, Stmt, Store, Update};
use tcc_ir::scalar::Expr;

/// Longer rows are folded one by one: that is little then, and fewer places are read side by side.
const LONGEST: i64 = 512;
/// Fewer rows are folded one by one.
const FEWEST: i64 = 8;

/// Rows of a square, along `u`; elements along `v`.
#[derive(Clone, Copy)]
struct Rows {
    u: VarId,
    v: VarId,
    side: i64,
    /// Elements of a row.
    length: i64,
}

impl Reduction {
    /// Sums of neighbouring elements of the target, of rows of known length.
    pub(super) fn rows(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Option<Vec<Stmt>> {
        let rows = self.find_rows(b, body)?;
        let Rows { u, side, .. } = rows;
        let order: Vec<VarId> = self.spatial.iter().copied().filter(|x| *x != u).collect();
        let extent = extent_of(body, u);
        let size = IntExpr::constant(side);
        let whole = extent.div(&size);
        let done = &whole * &size;
        let stmts = over_spatial(b, body, &order, &mut |b, at| {
            let block = b.kernel.fresh_var(&format!("{}o", name_of(b, u)));
            let main = self.square(b, body, at, rows, (IntExpr::from(block) * size.clone(), side));
            let mut out = vec![serial(block, IntExpr::default(), whole.clone(), main)];
            match (&extent - &done).as_constant() {
                Some(0) => {}
                Some(n) if n >= FEWEST => {
                    out.extend(self.square(b, body, at, rows, (done.clone(), n)));
                }
                _ => {
                    let i = b.kernel.fresh_var(&format!("{}t", name_of(b, u)));
                    let mut at = at.clone();
                    at.insert(u, i.into());
                    let bounds = super::Bounds { lo: IntExpr::default(), hi: rows.length.into() };
                    let width = 1 << rows.length.min(4 * side).ilog2();
                    let single = self.across_element(b, body, &at, rows.v, (&bounds, width));
                    out.push(serial(i, done.clone(), extent.clone(), single));
                }
            }
            unless_empty(b, &extent, out)
        });
        Some(versioned(b, &[rows.v], body, stmts, |b| self.scalar(b, body)))
    }

    fn find_rows(&self, b: &KernelBuilder<'_, '_>, body: &Body) -> Option<Rows> {
        let [v] = self.summed.as_slice() else { return None };
        let u = last_axis_var(body).filter(|u| self.spatial.contains(u))?;
        let side = lanes(&b.kernel, body, *v, b.cx.target.vector_bytes)?;
        let length = extent_of(body, *v).as_constant()?;
        let masked = b.cx.target.vector_bytes >= MASKED;
        let many = extent_of(body, u).as_constant().is_none_or(|n| n >= FEWEST);
        let fits = masked && many && body.guard.is_none() && (side..=LONGEST).contains(&length);
        // Where all lies side by side along `u` too, nothing needs to be folded.
        let exprs = body.exprs();
        let apart = exprs.flat_map(Expr::reads).any(|r| motion(&r.subscripts, u) == Motion::Other);
        (fits && apart && reads_in_lanes(b, body, *v)).then_some(Rows { u, v: *v, side, length })
    }

    /// The sums of `count` rows from `first`.
    fn square(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        at: &Positions,
        Rows { u, v, side, length }: Rows,
        (first, count): (IntExpr, i64),
    ) -> Vec<Stmt> {
        let dtype = body.value.dtype();
        let acc = b.register("acc", dtype, &[count, side]);
        let unit = Expr::Literal(self.reducer.unit(dtype));
        // A statement for `lanes` lanes of each row.
        let each =
            |b: &mut KernelBuilder<'_, '_>,
             lanes: i64,
             stmt: &mut dyn FnMut(&mut KernelBuilder<'_, '_>, [VarId; 4]) -> Stmt| {
                let vars = ["e", "f", "r", "l"].map(|name| b.kernel.fresh_var(name));
                let [_, _, r, l] = vars;
                let inner = lane_loop(l, lanes, LoopKind::Vectorize, vec![stmt(b, vars)]);
                lane_loop(r, count, LoopKind::Unroll, vec![inner])
            };
        let mut out = vec![Stmt::Alloc(acc)];
        out.push(each(b, side, &mut |_, [e, f, r, l]| {
            set_register(acc, &[(e, r.into()), (f, l.into())], unit.clone())
        }));
        let pass = |b: &mut KernelBuilder<'_, '_>, from: IntExpr, lanes: i64| {
            each(b, lanes, &mut |b, [e, f, r, l]| {
                let mut at = at.clone();
                at.insert(u, first.clone() + r.into());
                at.insert(v, from.clone() + l.into());
                self.update_register(b, body, &at, acc, &[(e, r.into()), (f, l.into())])
            })
        };
        let chunk = b.kernel.fresh_var(&format!("{}o", name_of(b, v)));
        let main = pass(b, IntExpr::from(chunk) * IntExpr::constant(side), side);
        out.push(serial(chunk, IntExpr::default(), (length / side).into(), vec![main]));
        if length % side > 0 {
            out.push(pass(b, (length / side * side).into(), length % side));
        }
        // The columns one after the other.
        let sum = b.register("sum", dtype, &[count]);
        out.push(Stmt::Alloc(sum));
        let column = |b: &mut KernelBuilder<'_, '_>, c: IntExpr, update: Update| {
            let (e, f) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("f"));
            let l = b.kernel.fresh_var("l");
            let block = Block {
                iters: vec![(e, l.into()), (f, c)],
                ..self.combine(
                    "fold",
                    (sum, vec![e.into()]),
                    (acc, vec![e.into(), f.into()]),
                    dtype,
                )
            };
            let block = Block { store: Store { update, ..block.store.clone() }, ..block };
            lane_loop(l, count, LoopKind::Vectorize, vec![Stmt::Block(block)])
        };
        out.push(column(b, IntExpr::default(), Update::Set));
        let c = b.kernel.fresh_var("c");
        let next = column(b, IntExpr::from(c) + IntExpr::constant(1), Update::Reduce(self.reducer));
        out.push(lane_loop(c, side - 1, LoopKind::Unroll, vec![next]));
        // Into the target.
        let (e, l) = (b.kernel.fresh_var("e"), b.kernel.fresh_var("l"));
        let mut at = at.clone();
        at.insert(u, first + l.into());
        let update = match self.initial {
            Initial::Unit => Update::Set,
            Initial::Existing => Update::Reduce(self.reducer),
        };
        let store = self.write_back(b, body, &at, (sum, &[(e, l.into())]), update);
        out.push(lane_loop(l, count, LoopKind::Vectorize, vec![store]));
        out
    }
}
