//! The parallel nest: the loops of a kernel whose iterations a call may share out over threads.

use super::{For, Kernel, LoopKind, Stmt};
use crate::int::{Facts, IntExpr};
use crate::scalar::Expr;

/// The parallel nest of a kernel: `parallel` loops, each the only statement of the one around it,
/// their bounds expressions of sizes. The outermost one is the kernel's last statement, behind
/// nothing but `let` and `alloc`; conditions that hold for a whole call may stand around it:
///
/// ```text
/// if contiguous(A) {                       // a condition of the call
///     for i in M parallel {                // iteration k of the nest is
///         for j in N parallel { ... }      // i = k / N, j = k % N
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelNest<'k> {
    /// The conditions around the loops, outermost first.
    pub conditions: Vec<&'k Expr>,
    /// The loops, outermost first; there is at least one.
    pub loops: Vec<&'k For>,
}

impl Kernel {
    /// The loops whose iterations [`tcc_abi::KernelCall::first`] numbers, if there are any.
    pub fn parallel_nest(&self) -> Option<ParallelNest<'_>> {
        let mut conditions = Vec::new();
        let mut body = self.body.as_slice();
        let mut outermost = loop {
            let (last, before) = body.split_last()?;
            if !before.iter().all(|s| matches!(s, Stmt::Let { .. } | Stmt::Alloc(_))) {
                return None;
            }
            match last {
                Stmt::For(f) => break shared_out(f)?,
                Stmt::If { condition, then, otherwise } => {
                    if !otherwise.is_empty() || !is_fixed(condition) {
                        return None;
                    }
                    conditions.push(condition);
                    body = then;
                }
                Stmt::Block(_)
                | Stmt::Let { .. }
                | Stmt::Alloc(_)
                | Stmt::Repeat(_)
                | Stmt::Intrin(_) => return None,
            }
        };
        let mut loops = vec![outermost];
        while let [Stmt::For(inner)] = outermost.body.as_slice()
            && let Some(inner) = shared_out(inner)
        {
            loops.push(inner);
            outermost = inner;
        }
        Some(ParallelNest { conditions, loops })
    }
}

/// The loop, if it is parallel and its bounds are known to the caller.
fn shared_out(f: &For) -> Option<&For> {
    let known = !f.lo.mentions_vars() && !f.hi.mentions_vars();
    (f.kind == LoopKind::Parallel && known).then_some(f)
}

/// True if a condition has one value for a whole call: it reads nothing and mentions sizes only.
pub fn is_fixed(condition: &Expr) -> bool {
    let mut fixed = condition.reads().is_empty();
    condition.visit_ints(&mut |i| fixed &= !i.mentions_vars());
    fixed
}

impl ParallelNest<'_> {
    /// The number of iterations.
    pub fn iterations(&self) -> IntExpr {
        let extents = self.loops.iter().map(|f| at_least_zero(&(&f.hi - &f.lo)));
        extents.fold(IntExpr::constant(1), |n, e| n * e)
    }
}

/// The extent, or 0 where it is negative.
pub(super) fn at_least_zero(extent: &IntExpr) -> IntExpr {
    let never_negative = Facts::default().is_nonneg(extent);
    if never_negative { extent.clone() } else { extent.maximum(&IntExpr::constant(0)) }
}
