//! Keeps one of several intermediates with the same equations.
//!
//! **Ensures** no two intermediates that are defined by single nodes have equal equations.

use super::dce::remove_tensors;
use super::{Changed, reorder, take_apart};
use indexmap::IndexMap;
use tcc_ir::TensorId;
use tcc_ir::graph::{Equation, Function, Role};
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Expr, Read};
use tcc_ir::span::Span;

/// Merges equal intermediates until none are left.
pub fn cse(f: &mut Function) -> Changed {
    let mut changed = false;
    loop {
        let mut pending = take_apart(f);
        let mut first: IndexMap<String, TensorId> = IndexMap::new();
        let mut renamed: IndexMap<TensorId, TensorId> = IndexMap::new();
        for (t, equations) in &pending.definitions {
            let Some(tensor) = f.tensors.get(*t) else { continue };
            let own = equations.iter().any(|e| e.reads().iter().any(|r| r.tensor == *t));
            if tensor.role != Role::Intermediate || own || pending.in_fix.contains_key(t) {
                continue;
            }
            let key = format!("{} {:?} {:?}", tensor.dtype, tensor.shape, anonymous(equations));
            match first.get(&key) {
                Some(kept) => {
                    renamed.insert(*t, *kept);
                }
                None => {
                    first.insert(key, *t);
                }
            }
        }
        for t in renamed.keys() {
            pending.definitions.shift_remove(t);
        }
        for e in pending.definitions.values_mut().flatten() {
            rename_reads(e, &renamed);
        }
        for c in &mut pending.calls {
            for t in &mut c.arguments {
                *t = renamed.get(t).copied().unwrap_or(*t);
            }
        }
        reorder(f, pending);
        if renamed.is_empty() {
            if changed {
                remove_tensors(f);
            }
            return Changed(changed);
        }
        changed = true;
    }
}

/// The equations without the names of their indices and the places where they were written.
fn anonymous(equations: &[Equation]) -> Vec<Equation> {
    let mut out = equations.to_vec();
    for e in &mut out {
        e.span = Span::default();
        e.vars.values_mut().for_each(|x| x.name.clear());
    }
    out
}

fn rename_reads(e: &mut Equation, renamed: &IndexMap<TensorId, TensorId>) {
    let mut node = |x: Expr| match x {
        Expr::Read(r) => {
            let tensor = renamed.get(&r.tensor).copied().unwrap_or(r.tensor);
            Expr::Read(Box::new(Read { tensor, ..*r }))
        }
        other => other,
    };
    let keep = |i: &IntExpr| i.clone();
    e.body = e.body.rewrite(&keep, &mut node);
    e.guard = e.guard.take().map(|g| g.rewrite(&keep, &mut node));
    e.subscripts = e.subscripts.iter().map(|s| s.rewrite(&keep, &mut node)).collect();
}
