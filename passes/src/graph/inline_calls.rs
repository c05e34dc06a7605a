//! Replaces calls by the callee's equations.
//!
//! **Requires** a checked function whose callees are in the module. **Ensures** no call is left.
//! `Y = f(X)` with `fn f(A: f32[N]) -> (B: f32[N]) { B[i] = exp(A[i]) }` becomes
//! `Y[i] = exp(X[i])`.

use super::{Changed, add_tensor, reorder, take_apart};
use cranelift_entity::SecondaryMap;
use tcc_ir::TensorId;
use tcc_ir::graph::cycles::Pending;
use tcc_ir::graph::{Call, Equation, Fact, Function, Module, Role};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Expr, Read, Subscript};

/// Inlines every call of `f`, callees first.
pub fn inline_calls(module: &Module, f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let calls = std::mem::take(&mut pending.calls);
    let changed = !calls.is_empty();
    for call in calls {
        let callee = module
            .functions
            .get(&call.callee)
            .unwrap_or_else(|| panic!("a checked call names a function: `{}`", call.callee));
        let mut callee = callee.clone();
        inline_calls(module, &mut callee);
        splice(f, &mut pending, &call, callee);
    }
    reorder(f, pending);
    Changed(changed)
}

fn splice(f: &mut Function, pending: &mut Pending, call: &Call, mut callee: Function) {
    let size = |s: Symbol| match s {
        Symbol::Size(s) => call.sizes.get(s).cloned(),
        Symbol::Var(_) => None,
    };
    let mut renamed: SecondaryMap<TensorId, Option<TensorId>> = SecondaryMap::new();
    let formals = callee.params.iter().chain(&callee.results);
    for (formal, actual) in formals.zip(call.arguments.iter().chain(&call.results)) {
        renamed[*formal] = Some(*actual);
    }
    let stem = callee.name.clone();
    for (t, tensor) in callee.tensors.iter().filter(|(_, t)| t.role == Role::Intermediate) {
        let mut like = tensor.clone();
        like.shape = like.shape.iter().map(|e| e.substitute(&size)).collect();
        renamed[t] = Some(add_tensor(f, &format!("{stem}_{}", tensor.name), &like));
    }
    for fact in &callee.facts {
        let (lhs, rhs) = (fact.lhs.substitute(&size), fact.rhs.substitute(&size));
        let fact = Fact { lhs, rhs, ..fact.clone() };
        let constant = fact.lhs.as_constant().is_some() && fact.rhs.as_constant().is_some();
        if !constant && !f.facts.contains(&fact) {
            f.facts.push(fact);
        }
    }
    let inner = take_apart(&mut callee);
    let base = pending.fixes.len();
    pending.fixes.extend(inner.fixes);
    for (t, group) in inner.in_fix {
        if let Some(new) = renamed[t] {
            pending.in_fix.insert(new, base + group);
        }
    }
    for (t, equations) in inner.definitions {
        let Some(new) = renamed[t] else { continue };
        let equations = equations.into_iter().map(|e| translate(e, &size, &renamed)).collect();
        pending.definitions.insert(new, equations);
    }
}

/// The equation over the caller's sizes and tensors.
fn translate(
    e: Equation,
    size: &dyn Fn(Symbol) -> Option<IntExpr>,
    renamed: &SecondaryMap<TensorId, Option<TensorId>>,
) -> Equation {
    let int = |i: &IntExpr| i.substitute(size);
    let mut node = |x: Expr| match x {
        Expr::Read(r) => {
            let tensor = renamed[r.tensor].unwrap_or(r.tensor);
            Expr::Read(Box::new(Read { tensor, ..*r }))
        }
        other => other,
    };
    let mut vars = e.vars;
    for index in vars.values_mut() {
        index.extent = int(&index.extent);
    }
    let subscripts: Vec<Subscript> =
        e.subscripts.iter().map(|s| s.rewrite(&int, &mut node)).collect();
    let guard = e.guard.map(|g| g.rewrite(&int, &mut node));
    let body = e.body.rewrite(&int, &mut node);
    Equation { vars, subscripts, body, guard, ..e }
}
