//! Writes log-sum-exp reductions as a maximum, a sum and a logarithm.
//!
//! **Requires** reductions in a type with the precision of their accumulator.
//! **Ensures** no equation reduces with `lse`. `Y[i] lse= X[i,k]` becomes
//! `M[i] max= X[i,k]`, `S[i] += exp(X[i,k] - m)`, `Y[i] = log(S[i]) + m` with `m = M[i]` where that
//! is finite and 0 elsewhere, so that an empty reduction gives -inf and infinities pass through.

use super::{Changed, add_tensor, elementwise, insert_before, reorder, take_apart};
use tcc_ir::graph::{Attributes, Equation, Function, Role, Tensor};
use tcc_ir::int::Symbol;
use tcc_ir::scalar::{Expr, Func, Read, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Expands every log-sum-exp of the function.
pub fn expand_lse(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let is_lse = |e: &Equation| e.reducer == Some(Reducer::LogSumExp);
    let targets: Vec<TensorId> = pending
        .definitions
        .iter()
        .filter(|(_, list)| list.iter().any(is_lse))
        .map(|(t, _)| *t)
        .collect();
    for t in &targets {
        let Some(list) = pending.definitions.get(t).cloned() else { continue };
        let Some(like) = f.tensors.get(*t).cloned() else { continue };
        let largest = add_tensor(f, &like.name, &like);
        let sum = add_tensor(f, &like.name, &like);
        let parts = expand(&list, &like, largest, sum);
        let group = pending.in_fix.get(t).copied();
        pending.definitions.insert(*t, parts.2);
        for (tensor, equations) in [(largest, parts.0), (sum, parts.1)] {
            insert_before(&mut pending, *t, tensor, equations);
            if let Some(g) = group {
                pending.in_fix.insert(tensor, g);
            }
        }
    }
    reorder(f, pending);
    Changed(!targets.is_empty())
}

type Parts = (Vec<Equation>, Vec<Equation>, Vec<Equation>);

/// Equations of the maximum, of the sum and of the tensor itself.
fn expand(list: &[Equation], like: &Tensor, largest: TensorId, sum: TensorId) -> Parts {
    let mut out: Parts = (Vec::new(), Vec::new(), Vec::new());
    let all = list.iter().all(|e| e.reducer == Some(Reducer::LogSumExp));
    for e in list {
        if e.reducer != Some(Reducer::LogSumExp) {
            out.2.push(e.clone());
            continue;
        }
        contributions(&mut out, e, e.body.clone(), like, largest);
        if !all {
            out.2.push(region(e, like, largest, sum));
        }
    }
    if let (Some(e), true) = (list.first(), all) {
        if let Role::Result(Some(old)) = like.role {
            let start = elementwise(&like.shape, |at| Expr::read(old, like.dtype, at.to_vec()), e);
            contributions(&mut out, &start, start.body.clone(), like, largest);
        }
        let whole = elementwise(
            &like.shape,
            |at| {
                let at: Vec<Subscript> = at.iter().cloned().map(Subscript::Affine).collect();
                finish(&at, like, largest, sum)
            },
            e,
        );
        out.2.push(whole);
    }
    out
}

fn contributions(out: &mut Parts, e: &Equation, body: Expr, like: &Tensor, largest: TensorId) {
    out.0.push(Equation { reducer: Some(Reducer::Max), body: body.clone(), ..e.clone() });
    let shifted = Expr::binary(Func::Sub, body, shift(&e.subscripts, like, largest));
    let term = Expr::Apply(Func::Exp, vec![shifted]);
    out.1.push(Equation { reducer: Some(Reducer::Sum), body: term, ..e.clone() });
}

fn element(t: TensorId, like: &Tensor, at: &[Subscript]) -> Expr {
    let (dtype, subscripts) = (like.dtype, at.to_vec());
    Expr::Read(Box::new(Read { tensor: t, dtype, subscripts, default: None }))
}

/// The maximum where it is finite, else 0.
fn shift(at: &[Subscript], like: &Tensor, largest: TensorId) -> Expr {
    let m = element(largest, like, at);
    let finite = Expr::Apply(Func::IsFinite, vec![m.clone()]);
    Expr::select(finite, m, Expr::number(like.dtype, 0.0))
}

fn finish(at: &[Subscript], like: &Tensor, largest: TensorId, sum: TensorId) -> Expr {
    let log = Expr::Apply(Func::Log, vec![element(sum, like, at)]);
    Expr::binary(Func::Add, log, shift(at, like, largest))
}

/// True if each subscript is a number, or one variable of its own with a factor of 1 or -1.
fn writes_once(subscripts: &[Subscript]) -> bool {
    let mut seen: Vec<VarId> = Vec::new();
    subscripts.iter().all(|s| {
        let Some(i) = s.as_affine() else { return false };
        let mut vars: Vec<VarId> = Vec::new();
        i.visit_symbols(&mut |s| {
            if let Symbol::Var(v) = s {
                vars.push(v);
            }
        });
        let [v] = vars.as_slice() else { return vars.is_empty() };
        let fresh = !seen.contains(v);
        seen.push(*v);
        let factor = i.linear_in(*v).and_then(|(c, _)| c.as_constant());
        fresh && factor.is_some_and(|c| c.abs() == 1)
    })
}

/// The tensor's equation on the region that one log-sum-exp writes.
fn region(e: &Equation, like: &Tensor, largest: TensorId, sum: TensorId) -> Equation {
    let kept: Vec<_> = {
        let reduced = e.reduced_vars();
        e.vars.keys().filter(|v| !reduced.contains(v)).collect()
    };
    // Written variables come first in an equation, so dropping the summed ones keeps their numbers.
    let vars = e.vars.iter().filter(|(v, _)| kept.contains(v)).map(|(_, x)| x.clone()).collect();
    Equation {
        vars,
        subscripts: e.subscripts.clone(),
        // Points that write one element write the same value.
        reducer: (!writes_once(&e.subscripts)).then_some(Reducer::Max),
        body: finish(&e.subscripts, like, largest, sum),
        guard: None,
        attributes: Attributes::default(),
        span: e.span,
    }
}
