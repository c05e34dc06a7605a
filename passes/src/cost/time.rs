//! How long work takes, roughly: enough to tell what is worth sharing out over threads.
//!
//! The rates are those of warm caches and of loops that a back end compiles well, so that the
//! estimate is rather too small than too large.

use super::walk::{Loop, Part, walk};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::intrinsic::at_call;
use tcc_ir::kernel::regions::{self, Access};
use tcc_ir::kernel::{Block, Kernel, LoopKind, Scope, Stmt, Update};
use tcc_ir::scalar::{Expr, Func};
use tcc_ir::target::Target;

/// Nanoseconds of a block outside of vector loops, but for its operations.
const BLOCK: f64 = 0.25;
/// Nanoseconds of an operation outside of vector loops.
const SCALAR_OPERATION: f64 = 0.25;
/// Operations on 32-bit lanes in a nanosecond, for each byte of a vector.
const LANE_OPERATIONS: f64 = 1.0;
/// Bytes that are loaded or stored in a nanosecond.
const BYTES: f64 = 64.0;
/// Additions that a transcendental function takes as long as.
const EXPANDED: f64 = 12.0;
/// Additions that a division, a remainder or a square root takes as long as.
const DIVISION: f64 = 4.0;

/// Nanoseconds as a sum of products: a number times extents, which count as 0 where negative.
pub type Time = Vec<(f64, Vec<IntExpr>)>;

/// What statements of a kernel take on one thread of a target. Of two branches the first one
/// counts.
pub fn time(kernel: &Kernel, body: &[Stmt], target: &Target) -> Time {
    time_of(kernel, body, target, false)
}

/// As [`time`]; with `lanes` all blocks count as those of vector loops.
fn time_of(kernel: &Kernel, body: &[Stmt], target: &Target, lanes: bool) -> Time {
    let mut sum = Time::new();
    walk(body, false, &mut |part, around| match part {
        Part::Block(b) => {
            let lanes = lanes || around.loops.iter().any(|l| l.kind == LoopKind::Vectorize);
            add(&mut sum, operations(b, lanes, target), &around.loops);
            for a in regions::reads(b).iter().chain([&regions::write(b)]) {
                let Some(x) = kernel.buffers.get(a.buffer) else { continue };
                if !matches!(x.scope, Scope::Register | Scope::Let) {
                    let loops = around.loops.iter().filter(|l| !is_shared(b, a, l));
                    let nanoseconds = x.dtype.size() as f64 / BYTES;
                    add_extents(&mut sum, nanoseconds, loops.map(|l| l.extent.clone()));
                }
            }
        }
        Part::Call(c) => {
            let meaning = &c.intrinsic.kernel;
            let sizes: Vec<IntExpr> = c.sizes().iter().map(|e| around.at_middle(e)).collect();
            for (factor, extents) in time_of(meaning, &meaning.body, target, true) {
                let inner = extents.iter().map(|e| at_call(e, &sizes));
                let outer = around.loops.iter().map(|l| l.extent.clone());
                add_extents(&mut sum, factor, outer.chain(inner));
            }
        }
        Part::Condition(_) | Part::View(_) => {}
    });
    sum
}

/// Adds `factor` times the extents of the loops.
fn add(sum: &mut Time, factor: f64, loops: &[Loop]) {
    add_extents(sum, factor, loops.iter().map(|l| l.extent.clone()));
}

/// Adds `factor` times the extents.
fn add_extents(sum: &mut Time, mut factor: f64, all: impl Iterator<Item = IntExpr>) {
    let mut extents = Vec::new();
    for extent in all {
        match extent.as_constant() {
            Some(n) => factor *= n.max(0) as f64,
            None => extents.push(extent),
        }
    }
    match sum.iter_mut().find(|(_, known)| *known == extents) {
        Some((known, _)) => *known += factor,
        None => sum.push((factor, extents)),
    }
}

/// True if the iterations of a loop that becomes straight code use an element together.
fn is_shared(b: &Block, a: &Access<'_>, l: &Loop) -> bool {
    let moving: Vec<VarId> =
        b.iters.iter().filter(|(_, e)| e.mentions(l.var)).map(|(v, _)| *v).collect();
    matches!(l.kind, LoopKind::Unroll | LoopKind::Vectorize)
        && !a.subscripts.iter().any(|s| moving.iter().any(|v| s.mentions(*v)))
}

/// Nanoseconds of the operations of one execution.
fn operations(b: &Block, lanes: bool, target: &Target) -> f64 {
    let operations = b.exprs().into_iter().map(|e| weight(e, EXPANDED)).sum::<f64>()
        + f64::from(u8::from(b.store.update != Update::Set));
    if lanes {
        let size = b.store.value.dtype().size() as f64;
        let rate = LANE_OPERATIONS * f64::from(target.vector_bytes) * 4.0 / size;
        return operations / rate;
    }
    BLOCK + operations * SCALAR_OPERATION
}

/// Operations of one evaluation, in additions; a transcendental function is `expanded` of them.
pub(super) fn weight(e: &Expr, expanded: f64) -> f64 {
    let mut n = 0.0;
    e.visit(&mut |e| {
        if let Expr::Apply(f, _) = e {
            n += match f {
                f if f.is_expanded() => expanded,
                Func::Div | Func::Rem | Func::Sqrt => DIVISION,
                _ => 1.0,
            };
        }
    });
    n
}
