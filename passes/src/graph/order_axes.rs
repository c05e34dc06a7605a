//! Orders the axes of contractions' tensors so that lanes of vectors are full.
//!
//! The last axes of `T[.., n]` lie in the lanes of vectors. A product leaves the order of its axes
//! open: those that one operand alone bears come last, as the operand has them, if they fill more
//! lanes. **Ensures** nothing about values; a result keeps its axes and is copied.
//! `T[i,j,k] += A[i,j,r] * B[r,k]` with three `k` becomes `T[k,i,j] += ...`.

use super::{Changed, add_tensor, elementwise, insert_before, reorder, take_apart};
use tcc_ir::TensorId;
use tcc_ir::VarId;
use tcc_ir::graph::cycles::Pending;
use tcc_ir::graph::{Equation, Function, Node, Role};
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Expr, Func, Read, Subscript};

/// Lanes that are to be filled.
const LANES: f64 = 16.0;
/// What a run of lanes that does not lie side by side in its operand is worth: it is copied.
const COPIED: f64 = 0.7;
/// How much better another order must be, for a tensor of our own and for a result, which is
/// copied.
const GAIN: f64 = 1.25;
const GAIN_COPIED: f64 = 2.0;

/// Orders the axes of the function's contractions.
pub fn order_axes(f: &mut Function) -> Changed {
    // Only what is defined by itself: scans and fixpoints keep their order.
    let plain = |n: &Node| match n {
        Node::Define(d) => Some(d.tensor),
        Node::Scan(_) | Node::Fix(_) | Node::Call(_) => None,
    };
    let candidates: Vec<TensorId> = f.nodes.iter().filter_map(plain).collect();
    let mut pending = take_apart(f);
    let mut changed = false;
    for t in candidates {
        let Some(order) = better_order(f, &pending, t) else { continue };
        let Some(tensor) = f.tensors.get(t).cloned() else { continue };
        let permuted: Vec<IntExpr> =
            order.iter().filter_map(|k| tensor.shape.get(*k).cloned()).collect();
        let Some([e]) = pending.definitions.get(&t).map(Vec::as_slice) else { continue };
        let mut e = e.clone();
        e.subscripts = order.iter().filter_map(|k| e.subscripts.get(*k).cloned()).collect();
        changed = true;
        if tensor.role == Role::Intermediate {
            if let Some(x) = f.tensors.get_mut(t) {
                x.shape = permuted;
            }
            pending.definitions.insert(t, vec![e]);
            pending.definitions.values_mut().flatten().for_each(|e| permute_reads(e, t, &order));
            continue;
        }
        let mut like = tensor.clone();
        like.shape = permuted;
        let new = add_tensor(f, &tensor.name, &like);
        let copy = elementwise(
            &tensor.shape,
            |at| {
                let at = order.iter().filter_map(|k| at.get(*k).cloned()).collect();
                Expr::read(new, tensor.dtype, at)
            },
            &e,
        );
        insert_before(&mut pending, t, new, vec![e]);
        pending.definitions.insert(t, vec![copy]);
    }
    reorder(f, pending);
    Changed(changed)
}

/// Lets an equation read a tensor whose axes have another order.
fn permute_reads(e: &mut Equation, t: TensorId, order: &[usize]) {
    let mut permute = |x: Expr| match x {
        Expr::Read(mut r) if r.tensor == t => {
            r.subscripts = order.iter().filter_map(|k| r.subscripts.get(*k).cloned()).collect();
            Expr::Read(r)
        }
        x => x,
    };
    e.body = e.body.rewrite(&|i| i.clone(), &mut permute);
    e.guard = e.guard.as_ref().map(|g| g.rewrite(&|i| i.clone(), &mut permute));
}

/// An order of a tensor's axes, by their numbers, that fills more lanes than the one it has.
fn better_order(f: &Function, pending: &Pending, t: TensorId) -> Option<Vec<usize>> {
    let [e] = pending.definitions.get(&t)?.as_slice() else { return None };
    let tensor = f.tensors.get(t)?;
    let own = tensor.role == Role::Intermediate;
    let fresh = own || matches!(tensor.role, Role::Result(None));
    let target = e.plain_target()?;
    if !fresh || e.guard.is_some() || target.len() < 2 || e.reduced_vars().is_empty() {
        return None;
    }
    // Reads at data keep their place, and so do arguments of calls.
    let data = |e: &Equation| {
        let read = |s: &Subscript| match s {
            Subscript::Data(x) => x.reads().iter().any(|r| r.tensor == t),
            Subscript::Affine(_) => false,
        };
        e.subscripts.iter().any(read) || e.reads().iter().any(|r| r.subscripts.iter().any(read))
    };
    let called = pending.calls.iter().any(|c| c.arguments.contains(&t));
    if called || pending.definitions.values().flatten().any(data) {
        return None;
    }
    let factors = e.body.operands(e.reducer.map_or(Func::Mul, |r| match r {
        tcc_ir::scalar::Reducer::Sum => Func::Mul,
        _ => Func::Add,
    }));
    let [Expr::Read(a), Expr::Read(b)] = factors.as_slice() else { return None };
    let (a, b) = (axes_of(a)?, axes_of(b)?);
    let extent = |v: &VarId| e.vars.get(*v).and_then(|x| x.extent.as_constant());
    if e.vars.keys().any(|v| extent(&v).is_none()) {
        return None;
    }
    // Lanes filled by the last axes, which one operand alone bears, and what they are worth.
    let worth = |order: &[VarId]| {
        let alone = |v: &VarId, x: &[VarId], y: &[VarId]| x.contains(v) && !y.contains(v);
        let Some(last) = order.last() else { return 0.0 };
        let (x, y) = if alone(last, &a, &b) { (&a, &b) } else { (&b, &a) };
        let run: Vec<&VarId> = order.iter().rev().take_while(|v| alone(v, x, y)).collect();
        let lanes: f64 = run.iter().filter_map(|v| extent(v)).map(|n| n as f64).product();
        let filled = lanes / ((lanes / LANES).ceil() * LANES);
        // As far as the run is the end of its operand, it is read where it is.
        let side: f64 = run
            .iter()
            .zip(x.iter().rev())
            .take_while(|(v, w)| *v == w)
            .filter_map(|(v, _)| extent(v))
            .map(|n| n as f64)
            .product();
        if side >= LANES.min(lanes) && side > 1.0 { filled } else { filled * COPIED }
    };
    let now = worth(&target);
    let arranged = |x: &[VarId], y: &[VarId]| {
        let mut out: Vec<VarId> = Vec::new();
        let kept = |v: &&VarId| target.contains(v);
        out.extend(x.iter().filter(kept).filter(|v| y.contains(v)));
        out.extend(y.iter().filter(kept).filter(|v| !x.contains(v)));
        out.extend(x.iter().filter(kept).filter(|v| !y.contains(v)));
        out
    };
    let best = [arranged(&a, &b), arranged(&b, &a)]
        .into_iter()
        .filter(|o| o.len() == target.len())
        .max_by(|x, y| worth(x).total_cmp(&worth(y)))?;
    let gain = if own { GAIN } else { GAIN_COPIED };
    (worth(&best) >= gain * now)
        .then(|| best.iter().filter_map(|v| target.iter().position(|w| w == v)).collect())
}

/// The variables of an operand's axes, if each axis has one of its own.
fn axes_of(r: &Read) -> Option<Vec<VarId>> {
    let mut out: Vec<VarId> = Vec::new();
    for s in &r.subscripts {
        let v = s.as_affine()?.as_var().filter(|v| !out.contains(v))?;
        out.push(v);
    }
    r.default.is_none().then_some(out)
}
