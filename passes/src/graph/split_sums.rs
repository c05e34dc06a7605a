//! Takes long reductions into few elements in parts.
//!
//! **Requires** reductions over constant extents. **Ensures** one that combines very many values
//! into few elements combines parts of them first, into a tensor with an axis over the parts, which
//! threads share; sums lose less to rounding so. The parts are the values of the outermost summed
//! variable, or blocks of them. `S = sum[i,j](X[i,j])` becomes
//! `P[i] = sum[j](X[i,j])`, `S = sum[i](P[i])`; with a single long variable
//! `P[p] = sum[i | B*p + i < N](X[B*p + i])`.

use super::{Changed, add_tensor, insert_before, reorder, take_apart};
use cranelift_entity::PrimaryMap;
use tcc_ir::graph::{Attributes, Equation, Function, Index, Role, Tensor};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Comparison, Expr, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Elements of a target up to which it is few of them.
const FEW: i64 = 64;
/// Values for each element from which they are very many.
const MANY: i64 = 1 << 18;
/// Parts of a single variable, at most.
const PARTS: i64 = 256;
/// Blocks are multiples of this: whole lines of any type.
const STEP: i64 = 64;

/// Splits the long reductions of the function.
pub fn split_sums(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let mut changed = false;
    for t in pending.definitions.keys().copied().collect::<Vec<TensorId>>() {
        if pending.in_fix.contains_key(&t) {
            continue;
        }
        let Some([e]) = pending.definitions.get(&t).map(Vec::as_slice) else { continue };
        let Some(tensor) = f.tensors.get(t).cloned() else { continue };
        let Some((v, block)) = part_of(e, t, &tensor) else { continue };
        let e = e.clone();
        let shape = [IntExpr::constant(block.count)].iter().chain(&tensor.shape).cloned().collect();
        let parts = add_tensor(f, &tensor.name, &Tensor { shape, ..tensor.clone() });
        let (first, whole) = split(&e, v, block, (parts, &tensor));
        insert_before(&mut pending, t, parts, vec![first]);
        pending.definitions.insert(t, vec![whole]);
        changed = true;
    }
    reorder(f, pending);
    Changed(changed)
}

/// How a variable is parted.
#[derive(Clone, Copy)]
struct Parts {
    count: i64,
    /// Values of a part; the last one may have fewer.
    size: i64,
    /// Values of all.
    all: i64,
}

/// The variable of a reduction whose parts are taken first.
fn part_of(e: &Equation, t: TensorId, tensor: &Tensor) -> Option<(VarId, Parts)> {
    let reducer = e.reducer?;
    let fresh = !matches!(tensor.role, Role::Result(Some(_)));
    let alone = e.guard.is_none() && e.reads().iter().all(|r| r.tensor != t);
    if reducer == Reducer::LogSumExp || !fresh || !alone || e.body.dtype() != tensor.dtype {
        return None;
    }
    let extent = |v: VarId| e.vars.get(v)?.extent.as_constant();
    let volume = |vars: &[VarId]| {
        vars.iter().try_fold(1i64, |n, v| n.checked_mul(extent(*v)?)).filter(|n| *n > 0)
    };
    let summed = e.reduced_vars();
    let (few, many) = (volume(&e.whole_target(&tensor.shape)?)?, volume(&summed)?);
    if few > FEW || many < MANY {
        return None;
    }
    // The variable of the first axis of what is read, so that a part is one stretch of memory.
    let outermost = |v: &&VarId| {
        let places = e.reads().into_iter().flat_map(|r| {
            r.subscripts.iter().position(|s| s.mentions(**v)).map(|axis| axis as i64)
        });
        places.min().unwrap_or(i64::MAX)
    };
    let v = *summed.iter().filter(|v| extent(**v).is_some_and(|n| n > 1)).min_by_key(outermost)?;
    let all = extent(v)?;
    let whole = summed.len() > 1 && many / all >= STEP && all <= 16 * PARTS;
    let size = if whole { 1 } else { (all + PARTS * STEP - 1) / (PARTS * STEP) * STEP };
    let count = (all + size - 1) / size;
    (count > 1).then_some((v, Parts { count, size, all }))
}

/// The equation of the parts, and that which combines them.
fn split(
    e: &Equation,
    v: VarId,
    Parts { count, size, all }: Parts,
    (parts, tensor): (TensorId, &Tensor),
) -> (Equation, Equation) {
    let target = e.plain_target().unwrap_or_default();
    let name = |v: VarId| e.vars.get(v).map_or(String::new(), |x| x.name.clone());
    let part = Index { name: format!("{}_part", name(v)), extent: count.into() };
    // Parts: the number of the part, the target's variables, those that are left of the sum.
    let mut vars: PrimaryMap<VarId, Index> = PrimaryMap::new();
    let p = vars.push(part.clone());
    let mut renamed: Vec<(VarId, IntExpr)> = Vec::new();
    let left = e.reduced_vars().into_iter().filter(|x| *x != v);
    for x in target.iter().copied().chain(left) {
        if let Some(index) = e.vars.get(x) {
            renamed.push((x, vars.push(index.clone()).into()));
        }
    }
    let mut guard = None;
    let value = if size == 1 {
        p.into()
    } else {
        let within = vars.push(Index { name: name(v), extent: size.into() });
        let value = IntExpr::from(p) * IntExpr::constant(size) + IntExpr::from(within);
        if count * size > all {
            guard = Some(Expr::Compare(Comparison::Lt, value.clone(), all.into()));
        }
        value
    };
    renamed.push((v, value));
    let replace = |s: Symbol| match s {
        Symbol::Var(x) => renamed.iter().find(|(y, _)| *y == x).map(|(_, i)| i.clone()),
        Symbol::Size(_) => None,
    };
    let places = target.iter().filter_map(|x| replace((*x).into()));
    let subscripts = [p.into()].into_iter().chain(places).map(Subscript::Affine).collect();
    let first =
        Equation { vars, subscripts, body: e.body.substitute(&replace), guard, ..e.clone() };
    // All: the target's variables, then the parts.
    let mut vars: PrimaryMap<VarId, Index> = PrimaryMap::new();
    let at: Vec<IntExpr> =
        target.iter().filter_map(|x| e.vars.get(*x)).map(|x| vars.push(x.clone()).into()).collect();
    let p = vars.push(part);
    let subscripts = at.iter().cloned().map(Subscript::Affine).collect();
    let position = [p.into()].into_iter().chain(at).collect();
    let body = Expr::read(parts, tensor.dtype, position);
    let attributes = Attributes { path: None, ..e.attributes.clone() };
    (first, Equation { vars, subscripts, body, attributes, ..e.clone() })
}
