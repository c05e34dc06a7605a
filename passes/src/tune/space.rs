//! Random changes of choices.

use super::Knobs;
use fastrand::Rng;
use tcc_ir::kernel::{Kernel, LoopKind, Stmt, Update, visit_blocks, visit_stmts};
use tcc_ir::schedule::{Directive, Primitive, Tail};

/// Inner extents that splits try.
const FACTORS: [i64; 8] = [2, 4, 8, 16, 32, 64, 128, 256];
/// Loops of at most so many iterations are unrolled.
const UNROLLED: i64 = 16;

/// Definitions of a kernel that have knobs: those of its reductions.
pub fn definitions(kernel: &Kernel) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    visit_blocks(&kernel.body, &mut |b| {
        if b.store.update != Update::Set && !out.contains(&b.name) {
            out.push(b.name.clone());
        }
    });
    out
}

/// Other knobs: one is set, changed or left to lowering again.
pub fn other_knobs(rng: &mut Rng, knobs: Knobs) -> Knobs {
    let mut out = knobs;
    // Rows and vectors make the tile together.
    let count = if rng.bool() { 1 } else { 2 };
    for _ in 0..count {
        let Some((name, values)) = rng.choice(Knobs::ALL) else { continue };
        let value = rng.choice(values.iter().copied()).filter(|_| rng.u8(0..8) > 0);
        if let Some(knob) = out.get_mut(name) {
            *knob = value;
        }
    }
    out
}

/// Each knob from one of two parents.
pub fn mixed_knobs(rng: &mut Rng, mut a: Knobs, mut b: Knobs) -> Knobs {
    for (name, _) in Knobs::ALL {
        if rng.bool()
            && let (Some(to), Some(from)) = (a.get_mut(name), b.get_mut(name))
        {
            *to = *from;
        }
    }
    a
}

/// A loop of a kernel.
struct Nested {
    name: String,
    kind: LoopKind,
    extent: Option<i64>,
    /// The loop that is the only statement inside of it.
    only: Option<String>,
    outermost: bool,
    innermost: bool,
}

fn loops(kernel: &Kernel) -> Vec<Nested> {
    let mut out = Vec::new();
    let mut inner: Vec<String> = Vec::new();
    let name = |v| kernel.vars.get(v).cloned().unwrap_or_default();
    visit_stmts(&kernel.body, &mut |s| {
        let Stmt::For(f) = s else { return };
        let only = match f.body.as_slice() {
            [Stmt::For(g)] => Some(name(g.var)),
            _ => None,
        };
        let mut innermost = true;
        visit_stmts(&f.body, &mut |s| {
            if let Stmt::For(g) = s {
                innermost = false;
                inner.push(name(g.var));
            }
        });
        let extent = (&f.hi - &f.lo).as_constant();
        let (name, kind) = (name(f.var), f.kind);
        let outermost = !inner.contains(&name);
        out.push(Nested { name, kind, extent, only, outermost, innermost });
    });
    out
}

/// A directive about a loop of the kernel; `number` makes new names differ. It may be illegal.
pub fn directive(rng: &mut Rng, kernel: &Kernel, number: usize) -> Option<Directive> {
    let all = loops(kernel);
    let at = rng.choice(&all)?;
    let target = at.name.clone();
    let serial = at.kind == LoopKind::Serial;
    // Another serial loop that fills this one.
    let filling = |l: &&Nested| at.only.as_ref() == Some(&l.name) && l.kind == LoopKind::Serial;
    let inner = all.iter().find(filling).filter(|_| serial);
    let new = |name: &str, end: &str| format!("{name}_{end}{number}");
    let tail = |extent: Option<i64>, factor: i64| match extent {
        Some(n) if n % factor == 0 => Tail::Guard,
        _ => Tail::Peel,
    };
    let mut factor = || rng.choice(FACTORS).unwrap_or(2);
    let (first, second) = (factor(), factor());
    let primitive = match (rng.u8(0..8), inner) {
        (0 | 1, _) if serial && at.extent.is_none_or(|n| n > first) => Primitive::Split {
            outer: new(&target, "o"),
            inner: new(&target, "i"),
            tail: tail(at.extent, first),
            factor: first,
            target,
        },
        (2 | 3, Some(inner)) => Primitive::Reorder(vec![inner.name.clone(), target]),
        (4, Some(inner)) => {
            let whole = at.extent.is_some_and(|n| n % first == 0)
                && inner.extent.is_some_and(|n| n % second == 0);
            let targets = vec![target.clone(), inner.name.clone()];
            Primitive::Tile {
                outer: targets.iter().map(|t| new(t, "o")).collect(),
                inner: targets.iter().map(|t| new(t, "i")).collect(),
                factors: vec![first, second],
                tail: if whole { Tail::Guard } else { Tail::Peel },
                targets,
            }
        }
        (5, Some(inner)) => {
            Primitive::Fuse { fused: new(&target, "f"), targets: vec![target, inner.name.clone()] }
        }
        (6, _) if serial && at.outermost && at.extent != Some(1) => Primitive::Parallel(target),
        (6, _) if serial && at.innermost && at.extent.is_some() => Primitive::Vectorize(target),
        _ if serial && at.extent.is_some_and(|n| n <= UNROLLED) => Primitive::Unroll(target),
        _ => return None,
    };
    Some(Directive { primitive, permission: None, span: Default::default() })
}
