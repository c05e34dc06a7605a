//! How long work takes, roughly: enough to tell what is worth sharing out over threads.
//!
//! The rates are those of warm caches and of loops that a back end compiles well, so that the
//! estimate is rather too small than too large.

use super::walk::{Around, Loop, Part, walk};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, Kernel, LoopKind, Scope, Stmt, Update, regions};
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
    let mut sum = Time::new();
    walk(body, false, &mut |part, around| {
        if let Part::Block(b) = part {
            add(&mut sum, once(kernel, b, around, target), &around.loops);
        }
    });
    sum
}

/// Adds `factor` times the extents of the loops.
fn add(sum: &mut Time, factor: f64, loops: &[Loop]) {
    let (mut factor, mut extents) = (factor, Vec::new());
    for l in loops {
        match l.extent.as_constant() {
            Some(n) => factor *= n.max(0) as f64,
            None => extents.push(l.extent.clone()),
        }
    }
    match sum.iter_mut().find(|(_, known)| *known == extents) {
        Some((known, _)) => *known += factor,
        None => sum.push((factor, extents)),
    }
}

/// Nanoseconds of one execution.
fn once(kernel: &Kernel, b: &Block, around: &Around, target: &Target) -> f64 {
    let operations = b.exprs().into_iter().map(weight).sum::<f64>()
        + f64::from(u8::from(b.store.update != Update::Set));
    let memory: f64 = regions::reads(b)
        .iter()
        .chain([&regions::write(b)])
        .filter_map(|a| kernel.buffers.get(a.buffer))
        .filter(|x| !matches!(x.scope, Scope::Register | Scope::Let))
        .map(|x| x.dtype.size() as f64 / BYTES)
        .sum();
    if around.loops.iter().any(|l| l.kind == LoopKind::Vectorize) {
        let size = b.store.value.dtype().size() as f64;
        let rate = LANE_OPERATIONS * f64::from(target.vector_bytes) * 4.0 / size;
        return operations / rate + memory;
    }
    BLOCK + operations * SCALAR_OPERATION + memory
}

/// Operations of one evaluation, in additions.
fn weight(e: &Expr) -> f64 {
    let mut n = 0.0;
    e.visit(&mut |e| {
        if let Expr::Apply(f, _) = e {
            n += match f {
                f if f.is_expanded() => EXPANDED,
                Func::Div | Func::Rem | Func::Sqrt => DIVISION,
                _ => 1.0,
            };
        }
    });
    n
}
