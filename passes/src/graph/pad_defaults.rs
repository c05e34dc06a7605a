//! Copies tensors that a reduction reads with a default into padded ones.
//!
//! A convolution reads each element several times and tests its bounds each time; a padded copy,
//! made once, needs no test. **Ensures** reductions with more variables in a read's subscripts than
//! axes have no default there if the range of the subscripts is known.
//! `Y[x] += X[x+r-1]?0 * F[r]` becomes `P[i0] = X[i0-1]?0`, `Y[x] += P[x+r] * F[r]`.

use super::{Changed, add_tensor, elementwise, reorder, take_apart};
use tcc_ir::TensorId;
use tcc_ir::graph::cycles::{Pending, equation_facts, var_range};
use tcc_ir::graph::{Equation, Function, Tensor};
use tcc_ir::int::{Facts, IntExpr, Symbol, bounds};
use tcc_ir::scalar::{Expr, Read, Subscript};

/// Pads what the function's reductions read with a default.
pub fn pad_defaults(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let facts = f.known_facts();
    let mut made = Vec::new();
    for t in pending.definitions.keys().copied().collect::<Vec<TensorId>>() {
        if pending.in_fix.contains_key(&t) {
            continue;
        }
        let Some(list) = pending.definitions.get(&t).cloned() else { continue };
        let pads =
            |e: &Equation| e.reducer.is_some() && e.body.reads().iter().any(|r| is_candidate(r));
        if !list.iter().any(pads) {
            continue;
        }
        let own: Vec<TensorId> = cyclic_with(&pending, t);
        let list = list
            .into_iter()
            .map(|e| if e.reducer.is_some() { pad(f, &facts, &own, e, &mut made) } else { e })
            .collect();
        pending.definitions.insert(t, list);
    }
    let changed = !made.is_empty();
    for (t, equation) in made {
        pending.definitions.insert(t, vec![equation]);
    }
    reorder(f, pending);
    Changed(changed)
}

/// Tensors that depend on `t`: a padded copy of one would break the recurrence.
fn cyclic_with(pending: &Pending, t: TensorId) -> Vec<TensorId> {
    let mut reach = vec![t];
    let mut done = 0;
    while let Some(current) = reach.get(done).copied() {
        done += 1;
        for (user, list) in &pending.definitions {
            let uses = list.iter().any(|e| e.reads().iter().any(|r| r.tensor == current));
            if uses && !reach.contains(user) {
                reach.push(*user);
            }
        }
    }
    reach
}

fn pad(
    f: &mut Function,
    facts: &Facts,
    own: &[TensorId],
    mut e: Equation,
    made: &mut Vec<(TensorId, Equation)>,
) -> Equation {
    let reads: Vec<Read> = e.body.reads().into_iter().cloned().collect();
    for r in reads.iter().filter(|r| is_candidate(r) && !own.contains(&r.tensor)) {
        let Some((padded, offsets)) = padded_copy(f, facts, &e, r, made) else { continue };
        let replace = |x: Expr| match x {
            Expr::Read(found) if *found == *r => {
                let at = r
                    .subscripts
                    .iter()
                    .zip(&offsets)
                    .filter_map(|(s, o)| s.as_affine().map(|i| i - o));
                Expr::read(padded, r.dtype, at.collect())
            }
            other => other,
        };
        e.body = e.body.rewrite(&|i| i.clone(), &mut { replace });
    }
    e
}

/// A read with a literal default whose subscripts are affine and bear more variables than axes.
fn is_candidate(r: &Read) -> bool {
    let mut vars: Vec<Symbol> = Vec::new();
    for s in &r.subscripts {
        let Some(i) = s.as_affine() else { return false };
        i.visit_symbols(&mut |s| {
            if matches!(s, Symbol::Var(_)) && !vars.contains(&s) {
                vars.push(s);
            }
        });
    }
    matches!(r.default, Some(Expr::Literal(_))) && vars.len() > r.subscripts.len()
}

/// The padded tensor and the first position of each of its axes in the original.
fn padded_copy(
    f: &mut Function,
    facts: &Facts,
    e: &Equation,
    r: &Read,
    made: &mut Vec<(TensorId, Equation)>,
) -> Option<(TensorId, Vec<IntExpr>)> {
    let tensor = f.tensors.get(r.tensor)?.clone();
    let local = equation_facts(facts, e);
    let range = |v| var_range(e, v);
    let (mut offsets, mut shape) = (Vec::new(), Vec::new());
    for (s, extent) in r.subscripts.iter().zip(&tensor.shape) {
        let i = s.as_affine()?;
        let (lo, hi) = (bounds::lower(i, &range, &local)?, bounds::upper(i, &range, &local)?);
        let inside = local.is_nonneg(&lo) && local.less(&hi, extent);
        if inside {
            offsets.push(IntExpr::constant(0));
            shape.push(extent.clone());
        } else {
            let width = &hi - &lo + IntExpr::constant(1);
            let zero = IntExpr::constant(0);
            shape.push(if facts.is_nonneg(&width) { width } else { width.maximum(&zero) });
            offsets.push(lo);
        }
    }
    let copy = |at: &[IntExpr]| {
        let subscripts = at.iter().zip(&offsets).map(|(i, o)| Subscript::Affine(i + o)).collect();
        Expr::Read(Box::new(Read { subscripts, ..r.clone() }))
    };
    let equation = elementwise(&shape, copy, e);
    let same = |(_, x): &&(TensorId, Equation)| x.body == equation.body && x.vars == equation.vars;
    if let Some((t, _)) = made.iter().find(same) {
        return Some((*t, offsets));
    }
    let new = add_tensor(f, &tensor.name, &Tensor { shape, ..tensor.clone() });
    made.push((new, equation));
    Some((new, offsets))
}
