//! Gives sums and products an accumulator of another type than their tensor a tensor of that type.
//!
//! **Ensures** every equation that sums or multiplies does so in its tensor's own type, which is
//! not a storage float. `Y[i] += X[i,k]` with `Y: f16` becomes `A[i] += cast(f32, X[i,k])` with
//! `A: f32`, and `Y[i] = cast(f16, A[i])`.

use super::{Changed, add_tensor, elementwise, insert_before, reorder, take_apart};
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::graph::{Equation, Function, Role, Tensor};
use tcc_ir::scalar::{Expr, Reducer};

/// Widens the accumulators of the function.
pub fn widen_accumulators(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let mut changed = false;
    for t in pending.definitions.keys().copied().collect::<Vec<TensorId>>() {
        let Some(tensor) = f.tensors.get(t).cloned() else { continue };
        let Some(list) = pending.definitions.get(&t).cloned() else { continue };
        let Some(acc) = list.iter().find_map(|e| wider(e, tensor.dtype)) else { continue };
        let wide = Tensor { dtype: acc, ..tensor.clone() };
        let new = add_tensor(f, &tensor.name, &wide);
        let mut equations: Vec<Equation> = list
            .iter()
            .map(|e| Equation { body: cast(acc, e.body.clone()), ..e.clone() })
            .collect();
        if let (Role::Result(Some(old)), Some(first)) = (tensor.role, list.first()) {
            let start = elementwise(
                &tensor.shape,
                |at| cast(acc, Expr::read(old, tensor.dtype, at.to_vec())),
                first,
            );
            let reducer = list.iter().find_map(|e| e.reducer);
            equations.insert(0, Equation { reducer, ..start });
        }
        for e in &mut equations {
            e.attributes.acc = None;
        }
        let Some(first) = list.first() else { continue };
        let narrow = elementwise(
            &tensor.shape,
            |at| cast(tensor.dtype, Expr::read(new, acc, at.to_vec())),
            first,
        );
        if let Some(g) = pending.in_fix.get(&t).copied() {
            pending.in_fix.insert(new, g);
        }
        insert_before(&mut pending, t, new, equations);
        pending.definitions.insert(t, vec![narrow]);
        changed = true;
    }
    reorder(f, pending);
    Changed(changed)
}

/// The accumulator's type, if it differs from the tensor's.
fn wider(e: &Equation, dtype: DType) -> Option<DType> {
    let rounds = matches!(e.reducer, Some(Reducer::Sum | Reducer::Prod | Reducer::LogSumExp));
    let acc = e.accumulator(dtype);
    (rounds && acc != dtype).then_some(acc)
}

fn cast(dtype: DType, e: Expr) -> Expr {
    if e.dtype() == dtype { e } else { Expr::Cast(dtype, Box::new(e)) }
}
