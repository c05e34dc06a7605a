//! Divides a sum instead of its terms.
//!
//! **Requires** a sum of products of which one factor is a tensor that nothing else reads and whose
//! elements are quotients, by what the sum's variables do not move. **Ensures** the tensor holds
//! the dividends, and the sum is divided. So attention divides rows of its result instead of rows
//! of its weights, and needs no pass over those.
//! `P[i,j] = E[i,j] / S[i]`, `Y[i,k] += P[i,j] * V[j,k]` becomes
//! `P[i,j] = E[i,j]`, `T[i,k] += P[i,j] * V[j,k]`, `Y[i,k] = T[i,k] / S[i]`.
//!
//! Quotients under a condition, `select(c, E / S, 0)`, are taken too where `c` holds for some value
//! of the sum's variables: where it held for none, `S` might be 0.

use super::{Changed, add_tensor, insert_before, reorder, take_apart, with_vars};
use tcc_ir::graph::cycles::Pending;
use tcc_ir::graph::{Equation, Function, Role};
use tcc_ir::int::{Facts, IntExpr, Symbol};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Delays the divisions of the function.
pub fn delay_divisions(f: &mut Function) -> Changed {
    let mut pending = take_apart(f);
    let mut changed = false;
    for t in pending.definitions.keys().copied().collect::<Vec<TensorId>>() {
        let Some(found) = quotient_in(f, &pending, t) else { continue };
        let Some(tensor) = f.tensors.get(t).cloned() else { continue };
        let Some([e]) = pending.definitions.get(&t).map(Vec::as_slice) else { continue };
        let sum = e.clone();
        let new = add_tensor(f, &tensor.name, &tensor);
        let at: Vec<IntExpr> =
            sum.subscripts.iter().filter_map(|s| s.as_affine().cloned()).collect();
        let body = Expr::binary(Func::Div, Expr::read(new, tensor.dtype, at), found.divisor);
        let target = sum.plain_target().unwrap_or_default();
        let divided = Equation { reducer: None, body, ..sum.clone() };
        let divided = with_vars(divided, target);
        insert_before(&mut pending, t, new, vec![sum]);
        pending.definitions.insert(t, vec![divided]);
        if let Some([producer]) = pending.definitions.get_mut(&found.tensor).map(Vec::as_mut_slice)
        {
            producer.body = found.dividend;
        }
        changed = true;
    }
    reorder(f, pending);
    Changed(changed)
}

/// A factor of a sum whose elements are quotients.
struct Quotient {
    tensor: TensorId,
    /// What the tensor's elements become.
    dividend: Expr,
    /// What divides the sum, over its variables.
    divisor: Expr,
}

fn quotient_in(f: &Function, pending: &Pending, t: TensorId) -> Option<Quotient> {
    let [e] = pending.definitions.get(&t)?.as_slice() else { return None };
    let tensor = f.tensors.get(t)?;
    let real = tensor.dtype.is_float() && !tensor.dtype.is_storage_float();
    let plain = e.reducer == Some(Reducer::Sum) && e.guard.is_none() && real;
    let fresh = !matches!(tensor.role, Role::Result(Some(_)));
    if !plain
        || !fresh
        || pending.in_fix.contains_key(&t)
        || e.whole_target(&tensor.shape).is_none()
    {
        return None;
    }
    let summed = e.reduced_vars();
    let factors = e.body.operands(Func::Mul);
    if factors.len() < 2 || e.reads().iter().any(|r| r.tensor == t) {
        return None;
    }
    factors.into_iter().find_map(|factor| {
        let Expr::Read(r) = factor else { return None };
        let moves = |e: &Expr| {
            let mut found = false;
            e.visit_symbols(&mut |s| found |= summed.iter().any(|v| s == (*v).into()));
            found
        };
        let (dividend, divisor, condition) = quotient_of(f, pending, r)?;
        let here = at_read(pending, r)?;
        let divisor = divisor.substitute(&here);
        let steady = !moves(&divisor) && moves(&dividend.substitute(&here));
        let holds = condition.is_none_or(|c| holds_somewhere(f, e, &c.substitute(&here), &summed));
        (steady && holds).then_some(Quotient { tensor: r.tensor, dividend, divisor })
    })
}

/// Dividend and divisor of a tensor that only this read reads, and the condition of its elements.
fn quotient_of(f: &Function, pending: &Pending, r: &Read) -> Option<(Expr, Expr, Option<Expr>)> {
    let tensor = f.tensors.get(r.tensor)?;
    let [p] = pending.definitions.get(&r.tensor)?.as_slice() else { return None };
    let plain = p.reducer.is_none() && p.guard.is_none() && r.default.is_none();
    let own = tensor.role == Role::Intermediate && !pending.in_fix.contains_key(&r.tensor);
    let equations = || pending.definitions.values().flatten();
    let uses = equations().flat_map(Equation::reads).filter(|x| x.tensor == r.tensor).count();
    let called = pending.calls.iter().any(|c| c.arguments.contains(&r.tensor));
    if !plain || !own || uses != 1 || called || p.whole_target(&tensor.shape).is_none() {
        return None;
    }
    let pair = |e: &Expr| match e {
        Expr::Apply(Func::Div, args) => match args.as_slice() {
            [a, b] => Some((a.clone(), b.clone())),
            _ => None,
        },
        _ => None,
    };
    if let Some((a, b)) = pair(&p.body) {
        return Some((a, b, None));
    }
    let Expr::Apply(Func::Select, args) = &p.body else { return None };
    let [condition, quotient, other] = args.as_slice() else { return None };
    let zero = matches!(other, Expr::Literal(s) if *s == Reducer::Sum.unit(other.dtype()));
    let (a, b) = pair(quotient).filter(|_| zero)?;
    let dividend = if is_zero_without(pending, &a, condition) {
        a
    } else {
        Expr::select(condition.clone(), a, other.clone())
    };
    Some((dividend, b, Some(condition.clone())))
}

/// True if a value is an element that its own equation sets to zero where the condition fails.
fn is_zero_without(pending: &Pending, value: &Expr, condition: &Expr) -> bool {
    let Expr::Read(r) = value else { return false };
    let Some([e]) = pending.definitions.get(&r.tensor).map(Vec::as_slice) else { return false };
    let Expr::Apply(Func::Select, args) = &e.body else { return false };
    let ([own, _, other], Some(here)) = (args.as_slice(), at_read(pending, r)) else {
        return false;
    };
    let zero = matches!(other, Expr::Literal(s) if *s == Reducer::Sum.unit(other.dtype()));
    let plain = e.reducer.is_none() && e.guard.is_none() && r.default.is_none();
    zero && plain && own.substitute(&here) == *condition
}

/// The values that a producer's variables have where it is read.
fn at_read(pending: &Pending, r: &Read) -> Option<impl Fn(Symbol) -> Option<IntExpr> + use<>> {
    let [p] = pending.definitions.get(&r.tensor)?.as_slice() else { return None };
    let at: Option<Vec<IntExpr>> =
        r.subscripts.iter().map(|s| Subscript::as_affine(s).cloned()).collect();
    let list: Vec<(VarId, IntExpr)> = p.plain_target()?.into_iter().zip(at?).collect();
    Some(move |s: Symbol| match s {
        Symbol::Var(v) => list.iter().find(|(x, _)| *x == v).map(|(_, i)| i.clone()),
        Symbol::Size(_) => None,
    })
}

/// True if a condition is proved to hold at the first or the last values of the summed variables,
/// whatever the others are.
fn holds_somewhere(f: &Function, e: &Equation, condition: &Expr, summed: &[VarId]) -> bool {
    let Expr::Compare(op, a, b) = condition else { return false };
    let mut facts: Facts = f.known_facts();
    for (v, index) in e.vars.iter().filter(|(v, _)| !summed.contains(v)) {
        facts.add_nonneg(&index.extent - &IntExpr::constant(1) - IntExpr::from(v));
    }
    let one = IntExpr::constant(1);
    let extents = || summed.iter().filter_map(|v| Some((*v, e.vars.get(*v)?.extent.clone())));
    let any = extents().all(|(_, n)| facts.is_positive(&n));
    let place = |last: bool| {
        let list: Vec<(VarId, IntExpr)> = extents()
            .map(|(v, n)| (v, if last { &n - &one } else { IntExpr::constant(0) }))
            .collect();
        move |s: Symbol| match s {
            Symbol::Var(v) => list.iter().find(|(x, _)| *x == v).map(|(_, i)| i.clone()),
            Symbol::Size(_) => None,
        }
    };
    let proved = |op: &Comparison, a: &IntExpr, b: &IntExpr| {
        op.as_nonneg(a, b).iter().all(|goal| facts.is_nonneg(goal))
    };
    any && *op != Comparison::Ne
        && [false, true].into_iter().any(|last| {
            let here = place(last);
            proved(op, &a.substitute(&here), &b.substitute(&here))
        })
}
