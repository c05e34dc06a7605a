//! Random schedules of lowered kernels: what is not refused must keep the meaning.

use fastrand::Rng;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use tcc_ir::kernel::{Kernel, Stmt, visit_stmts};
use tcc_ir::schedule::{Directive, Primitive, Schedule, Tail};
use tcc_ir::span::Span;
use tcc_passes::schedule::apply;

/// Directives that were applied, by the word in the text.
pub type Applied = BTreeMap<&'static str, usize>;

/// Changes the loops of every kernel by a few random directives, and counts those that were legal.
pub fn reschedule(kernels: &mut IndexMap<String, Kernel>, rng: &mut Rng, applied: &mut Applied) {
    for k in kernels.values_mut() {
        for trial in 0..rng.usize(2..7) {
            let Some(primitive) = directive(k, rng, trial) else { break };
            let word = primitive.name();
            let directive = Directive { primitive, permission: None, span: Span::default() };
            let schedule = Schedule { kernel: k.name.clone(), directives: vec![directive] };
            if let Ok(changed) = apply(k, &schedule) {
                *k = changed;
                *applied.entry(word).or_insert(0) += 1;
            }
        }
    }
}

/// A directive for one of the kernel's loops, legal or not.
fn directive(k: &Kernel, rng: &mut Rng, trial: usize) -> Option<Primitive> {
    let mut loops = Vec::new();
    let mut small = Vec::new();
    visit_stmts(&k.body, &mut |s| {
        if let Stmt::For(f) = s
            && let Some(name) = k.vars.get(f.var)
        {
            loops.push(name.clone());
            let extent = (&f.hi - &f.lo).as_constant();
            small.extend(extent.filter(|e| *e <= 16).map(|_| name.clone()));
        }
    });
    if loops.is_empty() {
        return None;
    }
    let at = rng.usize(..loops.len());
    let target = loops[at].clone();
    let one_of = |rng: &mut Rng, from: &[String]| match from {
        [] => target.clone(),
        list => list[rng.usize(..list.len())].clone(),
    };
    Some(match rng.u8(0..8) {
        0..3 => Primitive::Split {
            outer: format!("{target}_a{trial}"),
            inner: format!("{target}_b{trial}"),
            factor: rng.i64(1..9),
            tail: Tail::ALL[rng.usize(..2)],
            target,
        },
        3 | 4 => {
            let mut some = loops.get(at..).unwrap_or(&[]).to_vec();
            some.truncate(rng.usize(2..4));
            some.reverse();
            Primitive::Reorder(some)
        }
        5 => Primitive::Unroll(one_of(rng, &small)),
        6 => Primitive::Vectorize(one_of(rng, &small)),
        _ => Primitive::Parallel(target),
    })
}
