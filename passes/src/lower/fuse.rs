//! Which producers are computed where they are read.
//!
//! A producer is inlined if it is one equation without reducer over its whole shape and (a) its
//! value is an element or a constant (a view), or (b) it is cheap and no consumer evaluates it more
//! often than it has elements, or (c) it has one consumer that reads it at one place and as often
//! as it has elements. So a producer of a contraction is never recomputed inside of it.

use cranelift_entity::SecondaryMap;
use tcc_ir::TensorId;
use tcc_ir::graph::{Definition, Equation, Function, Node, Role};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Expr, Func, Read, Subscript};

/// Operations up to which a value counts as cheap.
const CHEAP: usize = 3;

/// The inlined producers of a function.
pub(super) fn inlined(f: &Function) -> SecondaryMap<TensorId, bool> {
    let mut out: SecondaryMap<TensorId, bool> = SecondaryMap::new();
    let mut uses: SecondaryMap<TensorId, Vec<(&Equation, &Read, bool)>> = SecondaryMap::new();
    for node in &f.nodes {
        let plain = matches!(node, Node::Define(_));
        for e in node.definitions().iter().flat_map(|d| &d.equations) {
            for r in e.reads() {
                uses[r.tensor].push((e, r, plain));
            }
        }
    }
    for node in &f.nodes {
        let Node::Define(d) = node else { continue };
        let Some(body) = candidate(f, d) else { continue };
        out[d.tensor] = worth_it(body, &uses[d.tensor]);
    }
    out
}

/// The body of a definition that could be inlined.
fn candidate<'f>(f: &Function, d: &'f Definition) -> Option<&'f Expr> {
    let tensor = f.tensors.get(d.tensor)?;
    let [e] = d.equations.as_slice() else { return None };
    if tensor.role != Role::Intermediate || e.reducer.is_some() || e.guard.is_some() {
        return None;
    }
    (e.whole_target(&tensor.shape)?.len() == e.vars.len()).then_some(&e.body)
}

fn worth_it(body: &Expr, uses: &[(&Equation, &Read, bool)]) -> bool {
    // A value that is stored in a narrow type or checked at run time is computed once.
    let checked = body.reads().iter().any(|r| has_data(r));
    let as_view = is_view(body) && !checked;
    let readable = |r: &Read| r.default.is_none() && !has_data(r);
    if !uses.iter().all(|(_, r, _)| readable(r)) {
        return false;
    }
    if as_view {
        return true;
    }
    // Reads inside subscripts and fixpoints stay reads of memory.
    let simple = uses.iter().all(|(e, r, plain)| *plain && !recomputes(e, r) && in_value(e, r));
    if !simple || checked {
        return false;
    }
    let single = match uses {
        [] => false,
        [(first, r, _), rest @ ..] => rest
            .iter()
            .all(|(e, other, _)| std::ptr::eq(*e, *first) && other.subscripts == r.subscripts),
    };
    single || operations(body) <= CHEAP
}

/// True if the read stands in the value or guard, not inside another read's subscript.
fn in_value(e: &Equation, r: &Read) -> bool {
    let nested = |x: &Read| {
        x.subscripts.iter().any(|s| match s {
            Subscript::Data(d) => d.reads().into_iter().any(|y| std::ptr::eq(y, r)),
            Subscript::Affine(_) => false,
        })
    };
    let written = e.subscripts.iter().any(|s| match s {
        Subscript::Data(d) => d.reads().into_iter().any(|y| std::ptr::eq(y, r)),
        Subscript::Affine(_) => false,
    });
    !written && !e.reads().into_iter().any(nested)
}

fn has_data(r: &Read) -> bool {
    r.subscripts.iter().any(|s| s.as_affine().is_none())
}

/// True if the consumer evaluates the read more often than it reads distinct elements.
fn recomputes(e: &Equation, r: &Read) -> bool {
    let mentioned = |v| r.subscripts.iter().filter_map(Subscript::as_affine).any(|i| i.mentions(v));
    let unit_extent = |x: &IntExpr| x.as_constant() == Some(1);
    e.vars.iter().any(|(v, x)| !unit_extent(&x.extent) && !mentioned(v))
        || r.subscripts.iter().filter_map(Subscript::as_affine).any(|i| {
            let mut vars = 0;
            i.visit_symbols(&mut |s| vars += usize::from(matches!(s, Symbol::Var(_))));
            vars > 1
        })
}

/// An element, a constant, or the negative or conjugate of one.
fn is_view(e: &Expr) -> bool {
    match e {
        Expr::Read(r) => r.default.is_none(),
        Expr::Literal(_) | Expr::Index { .. } => true,
        Expr::Apply(Func::Neg | Func::Conj, args) => args.iter().all(is_view),
        Expr::Apply(..)
        | Expr::Compare(..)
        | Expr::Cast(..)
        | Expr::Bitcast(..)
        | Expr::Contiguous(_) => false,
    }
}

/// Operations, with expanded functions and divisions counted dearly.
fn operations(e: &Expr) -> usize {
    let mut n = 0;
    e.visit(&mut |x| {
        n += match x {
            Expr::Apply(f, args)
                if f.is_expanded() || args.iter().any(|a| a.dtype().is_complex()) =>
            {
                10
            }
            Expr::Apply(Func::Sqrt | Func::Rem, _) => 4,
            Expr::Apply(..) | Expr::Cast(..) => 1,
            Expr::Read(r) => usize::from(r.default.is_some()) * 4,
            Expr::Literal(_)
            | Expr::Index { .. }
            | Expr::Compare(..)
            | Expr::Bitcast(..)
            | Expr::Contiguous(_) => 0,
        };
    });
    n
}

/// True if every equation of the new value reads the old one only where it writes, also through
/// inlined producers, so that both may share memory.
pub(super) fn updates_in_place(
    f: &Function,
    new: TensorId,
    old: TensorId,
    inlined: &SecondaryMap<TensorId, bool>,
) -> bool {
    let plain = |n: &&Node| matches!(n, Node::Define(d) if d.tensor == new);
    let Some(node) = f.nodes.iter().find(plain) else { return false };
    let equations = || node.definitions().iter().flat_map(|d| &d.equations);
    let own = |e: &Equation, r: &Read| r.subscripts == e.subscripts && e.plain_target().is_some();
    let of_old = |e: &Equation| e.reads().into_iter().filter(|r| r.tensor == old).count();
    // Combining equations change what a later one would read.
    let combined = equations().any(|e| e.reducer.is_some()) && equations().count() > 1;
    !(combined && equations().any(|e| of_old(e) > 0))
        && equations().all(|e| {
            let all = memory_reads(f, inlined, e);
            all.iter().filter(|r| r.tensor == old).count() == of_old(e)
                && e.reads().into_iter().all(|r| r.tensor != old || own(e, r))
        })
}

/// The body of an inlined producer where it is read.
pub(super) fn produced(f: &Function, r: &Read) -> Option<Expr> {
    let d = f.nodes.iter().flat_map(Node::definitions).find(|d| d.tensor == r.tensor)?;
    let e = d.equations.first()?;
    let vars = e.plain_target()?;
    Some(e.body.substitute(&|s| match s {
        Symbol::Var(v) => {
            let axis = vars.iter().position(|x| *x == v)?;
            r.subscripts.get(axis)?.as_affine().cloned()
        }
        Symbol::Size(_) => None,
    }))
}

/// What an equation reads from memory, also through inlined producers.
pub(super) fn memory_reads(
    f: &Function,
    inlined: &SecondaryMap<TensorId, bool>,
    e: &Equation,
) -> Vec<Read> {
    let mut out = Vec::new();
    let mut pending: Vec<Read> = e.reads().into_iter().cloned().collect();
    while let Some(r) = pending.pop() {
        if !inlined[r.tensor] {
            out.push(r);
            continue;
        }
        let Some(body) = produced(f, &r) else { continue };
        pending.extend(body.reads().into_iter().cloned());
    }
    out
}
