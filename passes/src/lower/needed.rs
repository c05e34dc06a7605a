//! How far members of a group run along their rows in a block of rows.
//!
//! Where a sum leaves out what a condition excludes, `sum[j | j <= i]`, or adds zeros there, only a
//! part of each row is looked at: rows `lo` to `lo + n` of causal attention end at `lo + n`.

use super::tighten::{Limit, limit};
use super::{LowerCx, fuse};
use indexmap::IndexMap;
use tcc_ir::graph::{Definition, Equation};
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Expr, Func, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// A block of rows: the axis that is taken in blocks, the block's first and last row, and the loop
/// over blocks with the number of its last iteration.
pub(super) struct BlockOfRows<'b> {
    pub(super) axis: usize,
    pub(super) last_row: &'b IntExpr,
    pub(super) chunk: VarId,
    /// None if the number of blocks is not known.
    pub(super) last_chunk: Option<i64>,
}

/// The ends of variables of members' equations that are before their extents, over the loops around
/// the block.
pub(super) type Ends = IndexMap<(TensorId, VarId), IntExpr>;

/// The ends of a group's members; `local` are those that only members read.
pub(super) fn ends(
    cx: &LowerCx<'_>,
    members: &[&Definition],
    local: &[TensorId],
    block: &BlockOfRows<'_>,
) -> Ends {
    let mut analysis = Analysis { cx, block, zeros: IndexMap::new() };
    for d in members {
        let [e] = d.equations.as_slice() else { return Ends::new() };
        let vars = e.plain_target().unwrap_or_default();
        for (axis, x) in vars.iter().enumerate().skip(block.axis + 1) {
            let zero = if e.reducer.is_none() { analysis.zero_from(e, &e.body, *x) } else { None };
            if let Some(end) = zero {
                analysis.zeros.insert((d.tensor, axis), end);
            }
        }
    }
    let mut out = Ends::new();
    // Ends of the members' axes, consumers first.
    let mut needed: IndexMap<(TensorId, usize), IntExpr> = IndexMap::new();
    for (k, d) in members.iter().enumerate().rev() {
        let [e] = d.equations.as_slice() else { continue };
        let vars = e.plain_target().unwrap_or_default();
        let consumers = members.get(k + 1..).unwrap_or_default();
        for (axis, x) in vars.iter().enumerate().skip(block.axis + 1) {
            if !local.contains(&d.tensor) {
                continue;
            }
            if let Some(end) = analysis.end_by_consumers(d.tensor, axis, consumers, &needed) {
                needed.insert((d.tensor, axis), end.clone());
                out.insert((d.tensor, *x), end);
            }
        }
        for x in e.reduced_vars() {
            // Guards bound their loops row by row.
            if e.guard.is_none()
                && let Some(end) = analysis.summed_to(e, x)
            {
                out.insert((d.tensor, x), end);
            }
        }
    }
    out
}

struct Analysis<'a> {
    cx: &'a LowerCx<'a>,
    block: &'a BlockOfRows<'a>,
    /// From where the elements of a member are zero along an axis.
    zeros: IndexMap<(TensorId, usize), IntExpr>,
}

impl Analysis<'_> {
    /// Where all who read a member stop along an axis, if all stop at one place.
    fn end_by_consumers(
        &self,
        t: TensorId,
        axis: usize,
        consumers: &[&Definition],
        needed: &IndexMap<(TensorId, usize), IntExpr>,
    ) -> Option<IntExpr> {
        let mut found: Option<IntExpr> = None;
        for d in consumers {
            let [e] = d.equations.as_slice() else { return None };
            for r in fuse::memory_reads(self.cx.f, &self.cx.inlined, e) {
                if r.tensor != t {
                    continue;
                }
                let x = r.subscripts.get(axis)?.as_affine()?.as_var()?;
                let place = e.plain_target()?.iter().position(|v| *v == x);
                let end = match place {
                    Some(k) => needed.get(&(d.tensor, k)).cloned()?,
                    None => self.summed_to(e, x)?,
                };
                if found.as_ref().is_some_and(|f| *f != end) {
                    return None;
                }
                found = Some(end);
            }
        }
        found
    }

    /// Where a reduction stops along a variable.
    fn summed_to(&self, e: &Equation, x: VarId) -> Option<IntExpr> {
        let by_guard = e.guard.as_ref().and_then(|g| self.holds_to(e, g, x));
        by_guard.or_else(|| match e.reducer {
            Some(Reducer::Sum) => self.zero_from(e, &e.body, x),
            _ => None,
        })
    }

    /// From where on along `x` a value is zero in all rows of the block.
    fn zero_from(&self, e: &Equation, value: &Expr, x: VarId) -> Option<IntExpr> {
        match value {
            Expr::Apply(Func::Mul, args) => args.iter().find_map(|a| self.zero_from(e, a, x)),
            Expr::Apply(Func::Select, args) => {
                let [condition, _, other] = args.as_slice() else { return None };
                let unit = Reducer::Sum.unit(other.dtype());
                let zero = matches!(other, Expr::Literal(s) if *s == unit);
                self.holds_to(e, condition, x).filter(|_| zero)
            }
            Expr::Read(r) if r.default.is_none() => {
                if self.cx.inlined[r.tensor] {
                    return self.zero_from(e, &fuse::produced(self.cx.f, r)?, x);
                }
                let at = |s: &Subscript| s.as_affine().and_then(IntExpr::as_var);
                let axis = r.subscripts.iter().position(|s| at(s) == Some(x))?;
                let row = e.plain_target()?.get(self.block.axis).copied();
                let same = at(r.subscripts.get(self.block.axis)?) == row;
                self.zeros.get(&(r.tensor, axis)).filter(|_| same).cloned()
            }
            _ => None,
        }
    }

    /// From where on along `x` a condition fails in all rows of the block.
    fn holds_to(&self, e: &Equation, condition: &Expr, x: VarId) -> Option<IntExpr> {
        let row = e.plain_target()?.get(self.block.axis).copied()?;
        let extent = &e.vars.get(x)?.extent;
        condition.operands(Func::And).into_iter().find_map(|c| {
            let Expr::Compare(op, a, b) = c else { return None };
            let Limit::Below(end) = limit(x, *op, &(a - b))? else { return None };
            let rising = end.linear_in(row).and_then(|(c, _)| c.as_constant())? >= 0;
            let end = end.with_var(row, self.block.last_row);
            let at = |k: i64| end.with_var(self.block.chunk, &IntExpr::constant(k)).as_constant();
            if !rising || at(0)? < 0 {
                return None;
            }
            let Some(chunk) = self.block.last_chunk else { return Some(end.minimum(extent)) };
            (at(chunk)? <= extent.as_constant()?).then_some(end)
        })
    }
}
