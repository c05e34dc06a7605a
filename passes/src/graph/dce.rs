//! Drops equations whose results nobody uses.
//!
//! **Ensures** every definition reaches a result of the function.

use super::{Changed, reorder, take_apart};
use indexmap::IndexSet;
use tcc_ir::TensorId;
use tcc_ir::graph::Function;

/// Drops unused definitions; their tensors are removed too.
pub fn dce(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let mut live: IndexSet<TensorId> = f.results.iter().copied().collect();
    let mut done = 0;
    while let Some(t) = live.get_index(done).copied() {
        done += 1;
        for e in pending.definitions.get(&t).into_iter().flatten() {
            live.extend(e.reads().into_iter().map(|r| r.tensor));
        }
        for c in pending.calls.iter().filter(|c| c.results.contains(&t)) {
            live.extend(c.arguments.iter().chain(&c.results).copied());
        }
    }
    let before = pending.definitions.len() + pending.calls.len();
    pending.definitions.retain(|t, _| live.contains(t));
    pending.in_fix.retain(|t, _| live.contains(t));
    pending.calls.retain(|c| c.results.iter().any(|t| live.contains(t)));
    let changed = before != pending.definitions.len() + pending.calls.len();
    reorder(f, pending);
    if changed {
        remove_tensors(f);
    }
    Changed(changed)
}

/// Renumbers tensors so that only used ones are left.
pub(super) fn remove_tensors(f: &mut Function) {
    use cranelift_entity::{PrimaryMap, SecondaryMap};
    use tcc_ir::graph::Role;
    use tcc_ir::scalar::{Expr, Read};
    let mut used: IndexSet<TensorId> = f.params.iter().chain(&f.results).copied().collect();
    for n in &f.nodes {
        used.extend(n.defined());
        used.extend(n.used());
    }
    let mut renamed: SecondaryMap<TensorId, TensorId> =
        SecondaryMap::with_default(TensorId::from_u32(0));
    let mut tensors = PrimaryMap::new();
    for (t, tensor) in f.tensors.iter().filter(|(t, _)| used.contains(t)) {
        renamed[t] = tensors.push(tensor.clone());
    }
    for tensor in tensors.values_mut() {
        let tensor: &mut tcc_ir::graph::Tensor = tensor;
        if let Role::Result(Some(old)) = &mut tensor.role {
            *old = renamed[*old];
        }
    }
    f.tensors = tensors;
    f.params.iter_mut().chain(&mut f.results).for_each(|t| *t = renamed[*t]);
    for n in &mut f.nodes {
        if let tcc_ir::graph::Node::Call(c) = n {
            c.arguments.iter_mut().chain(&mut c.results).for_each(|t| *t = renamed[*t]);
        }
        for d in n.definitions_mut() {
            d.tensor = renamed[d.tensor];
            for e in &mut d.equations {
                let mut node = |x: Expr| match x {
                    Expr::Read(r) => Expr::Read(Box::new(Read { tensor: renamed[r.tensor], ..*r })),
                    other => other,
                };
                let keep = |i: &tcc_ir::int::IntExpr| i.clone();
                e.body = e.body.rewrite(&keep, &mut node);
                e.guard = e.guard.take().map(|g| g.rewrite(&keep, &mut node));
                e.subscripts = e.subscripts.iter().map(|s| s.rewrite(&keep, &mut node)).collect();
            }
        }
    }
}
