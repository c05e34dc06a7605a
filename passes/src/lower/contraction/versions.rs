//! Rows of a number that is known at the call only: what is best depends on it.
//!
//! ```text
//! if M <= 48 { the lanes' operand is read where it is; rows are packed in tiles of four }
//! else if ceil(M/480) * ceil(N/512) < 4 { for parts of 132 rows { .. copies .. } }
//! else { for parts of 480 rows { .. copies .. } }
//! ```

use super::loops;
use super::plan::SHARED;
use super::{Blocks, Contraction, FEW, FEW_ROWS, LANES, STREAMS};
use super::{ceil_of, is_known, moves_near, nominal, tiles, volume};
use crate::lower::block::{Body, KernelBuilder};
use crate::lower::nest::{Initial, extent_of, over_spatial};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::Stmt;
use tcc_ir::scalar::{Comparison, Expr, Reducer, Subscript};

/// Rows that a thread gets at a time: few enough that small matrices have several parts, and
/// enough that the copy which each part makes does not count.
const SMALL_PART: i64 = 132;
const LARGE_PART: i64 = 480;

impl Contraction {
    /// The rows' variable, if their number is not known and a copy serves all of them.
    pub(super) fn open_rows(&self, b: &KernelBuilder<'_, '_>, body: &Body) -> Option<VarId> {
        let moving = self.moving.as_ref()?;
        let r = self.rows.filter(|r| !is_known(body, *r) && !moving.mentions(*r))?;
        (b.locals.is_empty() && self.most_rows.is_none()).then_some(r)
    }

    /// What is done with few rows: nothing is copied but them.
    fn few(&self, b: &mut KernelBuilder<'_, '_>, body: &Body) -> Option<Vec<Stmt>> {
        let (Some(fixed), Some(moving), [last]) =
            (&self.fixed, &self.moving, self.lanes.as_slice())
        else {
            return None;
        };
        let borne: Vec<VarId> =
            self.summed.iter().copied().filter(|v| moving.mentions(*v)).collect();
        let summed = self.blocked_of(body, moving, &borne)?;
        let known = self.summed.iter().all(|v| *v == summed || is_known(body, *v));
        // Windows that overlap are better copied.
        let alone = |s: &Subscript| s.as_affine().is_some_and(|i| i.as_var().is_some());
        let plain = moving.reads().iter().all(|r| r.subscripts.iter().all(alone));
        if !known || !plain || !moves_near(&self.value, *last) {
            return None;
        }
        let others = volume(self.summed.iter().map(|v| nominal(&extent_of(body, *v))))
            / nominal(&extent_of(body, summed));
        let block = (STREAMS / others).max(1);
        let blocks =
            Blocks { buffer: None, summed, block, lanes: 2 * LANES, plane: None, panel: None };
        let (blocks, most_rows) = (Some(blocks), Some(FEW_ROWS));
        let upright = self.lies_along(body, fixed);
        let mut few = Contraction { tile: FEW, blocks, most_rows, upright, ..self.clone() };
        few.packed = Some(few.rows_buffer(b, body, fixed));
        let outer = few.outer.clone();
        Some(over_spatial(b, body, &outer, &mut |b, at| few.blocks(b, body, at)))
    }

    /// The versions, and the conditions under which they run.
    pub(super) fn by_rows(
        &self,
        b: &mut KernelBuilder<'_, '_>,
        body: &Body,
        r: VarId,
        how: (Reducer, Initial),
    ) -> Option<Vec<Stmt>> {
        let rows = extent_of(body, r);
        let constant = IntExpr::constant;
        let moving = self.moving.as_ref()?;
        let around = self.outer.iter().filter(|v| moving.mentions(**v));
        let shared = volume(around.map(|v| nominal(&extent_of(body, *v)))) >= SHARED;
        let few = self.few(b, body);
        let many = if shared {
            tiles(b, body, how, false)?
        } else {
            let last = self.lanes.last()?;
            let blocks = ceil_of(&rows, LARGE_PART) * ceil_of(&extent_of(body, *last), LANES);
            let condition = Expr::Compare(Comparison::Lt, blocks, constant(SHARED));
            let then = loops::parts(b, body, (r, SMALL_PART), how)?;
            let otherwise = loops::parts(b, body, (r, LARGE_PART), how)?;
            vec![Stmt::If { condition, then, otherwise }]
        };
        let Some(few) = few else { return Some(many) };
        let condition = Expr::Compare(Comparison::Le, rows, constant(FEW_ROWS));
        Some(vec![Stmt::If { condition, then: few, otherwise: many }])
    }
}
