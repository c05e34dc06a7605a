//! Passes on graph functions. Each takes a function apart, edits its equations, and has the order
//! of execution found again (`reorder`), so that an intermediate added inside a scan joins the
//! scan.

pub mod cse;
pub mod dce;
pub mod delay_divisions;
pub mod expand_lse;
pub mod inline_calls;
pub mod order_axes;
pub mod order_contractions;
pub mod pad_defaults;
pub mod split_sums;
pub mod widen_accumulators;

use cranelift_entity::{PrimaryMap, SecondaryMap};
use tcc_ir::graph::cycles::{self, FixGroup, Pending};
use tcc_ir::graph::{Attributes, Equation, Function, Index, Node, Role, Tensor};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Expr, Subscript};
use tcc_ir::{TensorId, VarId};

/// True if a pass changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed(pub bool);

/// Takes a function's equations out of its nodes.
pub(crate) fn take_apart(f: &mut Function) -> Pending {
    let mut pending = Pending::default();
    for node in std::mem::take(&mut f.nodes) {
        match node {
            Node::Define(d) => {
                pending.definitions.insert(d.tensor, d.equations);
            }
            Node::Scan(s) => {
                for d in s.definitions {
                    pending.definitions.insert(d.tensor, d.equations);
                }
            }
            Node::Fix(x) => {
                let group = pending.fixes.len();
                pending.fixes.push(FixGroup { limit: x.limit, tol: x.tol, span: f.span });
                for d in x.definitions {
                    pending.in_fix.insert(d.tensor, group);
                    pending.definitions.insert(d.tensor, d.equations);
                }
            }
            Node::Call(c) => pending.calls.push(c),
        }
    }
    pending
}

/// Puts equations back in order of execution.
pub(crate) fn reorder(f: &mut Function, pending: Pending) {
    let taken = std::mem::take(f);
    let name = taken.name.clone();
    *f = cycles::order(taken, pending)
        .unwrap_or_else(|d| panic!("the equations of `{name}` lost their order: {d:?}"));
}

/// Adds the equations of a new tensor before those of the tensor that needs it, so that a round of
/// a fixpoint computes them in this order.
pub(crate) fn insert_before(
    pending: &mut Pending,
    reader: TensorId,
    new: TensorId,
    equations: Vec<Equation>,
) {
    let end = pending.definitions.len();
    let at = pending.definitions.get_index_of(&reader).unwrap_or(end);
    pending.definitions.shift_insert(at, new, equations);
}

/// Adds an intermediate tensor under a fresh name.
pub(crate) fn add_tensor(f: &mut Function, stem: &str, like: &Tensor) -> TensorId {
    let mut k = 0;
    let taken = |f: &Function, name: &str| {
        f.tensor_by_name(name).is_some() || f.size_by_name(name).is_some()
    };
    let mut name = format!("{stem}_{k}");
    while taken(f, &name) {
        k += 1;
        name = format!("{stem}_{k}");
    }
    f.tensors.push(Tensor { name, role: Role::Intermediate, ..like.clone() })
}

/// One variable for each axis of a shape, and the subscripts that are just them.
pub(crate) fn whole_domain(shape: &[IntExpr]) -> (PrimaryMap<VarId, Index>, Vec<IntExpr>) {
    let mut vars = PrimaryMap::new();
    let mut positions = Vec::new();
    for (axis, extent) in shape.iter().enumerate() {
        let v = vars.push(Index { name: format!("i{axis}"), extent: extent.clone() });
        positions.push(IntExpr::from(v));
    }
    (vars, positions)
}

/// The unguarded equation with these variables alone, in this order.
pub(crate) fn with_vars(e: Equation, used: Vec<VarId>) -> Equation {
    let mut vars: PrimaryMap<VarId, Index> = PrimaryMap::new();
    let mut renamed: SecondaryMap<VarId, Option<VarId>> = SecondaryMap::new();
    for v in used {
        if renamed[v].is_none()
            && let Some(x) = e.vars.get(v)
        {
            renamed[v] = Some(vars.push(x.clone()));
        }
    }
    let replace = |s: Symbol| match s {
        Symbol::Var(v) => renamed[v].map(IntExpr::from),
        Symbol::Size(_) => None,
    };
    let int = |i: &IntExpr| i.substitute(&replace);
    Equation {
        vars,
        subscripts: e.subscripts.iter().map(|s| s.rewrite(&int, &mut |x| x)).collect(),
        body: e.body.substitute(&replace),
        ..e
    }
}

/// `target[i...] = body` over a whole shape.
pub(crate) fn elementwise(
    shape: &[IntExpr],
    body: impl FnOnce(&[IntExpr]) -> Expr,
    like: &Equation,
) -> Equation {
    let (vars, positions) = whole_domain(shape);
    let body = body(&positions);
    Equation {
        vars,
        subscripts: positions.into_iter().map(Subscript::Affine).collect(),
        reducer: None,
        body,
        guard: None,
        attributes: Attributes::default(),
        span: like.span,
    }
}
