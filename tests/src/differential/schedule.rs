//! Random schedules of lowered kernels: what is not refused must keep the meaning.

use crate::directives::directive;
use fastrand::Rng;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use tcc_ir::kernel::{Kernel, Stmt};
use tcc_ir::schedule::Schedule;
use tcc_passes::schedule::apply;

/// Directives that were applied, by the word in the text.
pub type Applied = BTreeMap<&'static str, usize>;

/// Changes the loops of every kernel by a few random directives, and counts those that were legal.
pub fn reschedule(kernels: &mut IndexMap<String, Kernel>, rng: &mut Rng, applied: &mut Applied) {
    for k in kernels.values_mut() {
        // Lowering gives one name to several blocks.
        let mut count = 0;
        rename_blocks(&mut k.body, &mut count);
        for trial in 0..rng.usize(2..12) {
            let Some(directive) = directive(rng, k, trial) else { continue };
            let word = directive.primitive.name();
            let schedule = Schedule { kernel: k.name.clone(), directives: vec![directive] };
            if let Ok(changed) = apply(k, &schedule) {
                *k = changed;
                *applied.entry(word).or_insert(0) += 1;
            }
        }
    }
}

fn rename_blocks(body: &mut [Stmt], count: &mut usize) {
    for s in body {
        match s {
            Stmt::Block(b) => {
                b.name = format!("b{count}");
                *count += 1;
            }
            Stmt::For(f) => rename_blocks(&mut f.body, count),
            Stmt::Repeat(r) => rename_blocks(&mut r.body, count),
            Stmt::If { then, otherwise, .. } => {
                rename_blocks(then, count);
                rename_blocks(otherwise, count);
            }
            _ => {}
        }
    }
}
