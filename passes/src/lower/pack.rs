//! Panels: copies of a contraction's operand in the order in which tiles read it.
//!
//! `B[k..., n]` becomes `P[n / NB, k..., n % NB]`, in a kernel of its own before the contraction.
//! The last panel is not filled: what it holds past the end only meets elements that are not
//! stored.

use super::Fixed;
use super::block::{Body, KernelBuilder};
use super::contraction::ceil_of;
use super::nest::{self, extent_of};
use super::reduce::split_vars;
use indexmap::IndexMap;
use tcc_abi::DType;
use tcc_ir::graph::Role;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::Update;
use tcc_ir::program::ProgramBuffer;
use tcc_ir::scalar::{Expr, Read, Subscript};
use tcc_ir::{TensorId, VarId};

/// An operand in panels, as the contraction's kernel sees it.
#[derive(Clone)]
pub(super) struct Panels {
    buffer: TensorId,
    dtype: DType,
    /// Variables before and behind the number of the panel.
    before: Vec<VarId>,
    behind: Vec<VarId>,
}

impl Panels {
    /// The element `place` of panel `number`.
    pub(super) fn read(&self, number: VarId, place: VarId) -> Expr {
        let vars = self.before.iter().chain([&number]).chain(&self.behind).chain([&place]);
        Expr::read(self.buffer, self.dtype, vars.map(|v| IntExpr::from(*v)).collect())
    }
}

/// Copies an operand into panels of `size` values of `v`.
pub(super) fn pack(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    operand: &Expr,
    (v, size): (VarId, i64),
    what: &str,
) -> Option<Panels> {
    if operand.reads().iter().any(|r| r.subscripts.iter().any(|s| s.as_affine().is_none())) {
        return None;
    }
    // Another kernel does not see local memory.
    if operand.reads().iter().any(|r| b.home_of(r.tensor).is_none()) {
        return None;
    }
    let (spatial, summed) = split_vars(body);
    let borne = |vars: Vec<VarId>| -> Vec<VarId> {
        vars.into_iter().filter(|x| *x != v && operand.mentions(*x)).collect()
    };
    let (before, behind) = (borne(spatial), borne(summed));
    let extent = extent_of(body, v);
    let mut shape: Vec<IntExpr> = before.iter().map(|x| extent_of(body, *x)).collect();
    shape.push(ceil_of(&extent, size));
    shape.extend(behind.iter().map(|x| extent_of(body, *x)));
    shape.push(IntExpr::constant(size));
    let dtype = operand.dtype();
    let name = format!("{}_{what}", body.name);
    let home = b.cx.temporary(ProgramBuffer {
        name: name.clone(),
        dtype,
        shape,
        role: Role::Intermediate,
    });
    fill(b, body, operand, home, (v, size), (&before, &behind));
    let buffer = b.buffer(home, false);
    Some(Panels { buffer, dtype, before, behind })
}

/// The kernel that fills the panels.
fn fill(
    b: &mut KernelBuilder<'_, '_>,
    body: &Body,
    operand: &Expr,
    home: TensorId,
    (v, size): (VarId, i64),
    (before, behind): (&[VarId], &[VarId]),
) {
    let homes: IndexMap<TensorId, TensorId> =
        operand.reads().iter().filter_map(|r| Some((r.tensor, b.home_of(r.tensor)?))).collect();
    let extent = extent_of(body, v);
    let name = b.cx.program.buffers.get(home).map_or(String::new(), |x| x.name.clone());
    let mut p = KernelBuilder::new(&mut *b.cx, &name);
    let target = p.buffer(home, true);
    let mut renamed: IndexMap<VarId, VarId> = IndexMap::new();
    for x in before.iter().chain(behind) {
        let stem = b_name(body, *x);
        renamed.insert(*x, p.kernel.fresh_var(&stem));
    }
    let whole = extent.div(&IntExpr::constant(size));
    let done = whole.clone() * IntExpr::constant(size);
    let mut parts = vec![(None, IntExpr::constant(size))];
    if done != extent {
        parts.push((Some(whole.clone()), &extent - &done));
    }
    for (fixed, lanes) in parts {
        if fixed.is_none() && whole.as_constant() == Some(0) {
            continue;
        }
        let (panel, place) = (p.kernel.fresh_var("panel"), p.kernel.fresh_var("place"));
        let number = fixed.clone().unwrap_or_else(|| panel.into());
        let position = number.clone() * IntExpr::constant(size) + IntExpr::from(place);
        let replace = |s: Symbol| match s {
            Symbol::Var(x) if x == v => Some(position.clone()),
            Symbol::Var(x) => renamed.get(&x).map(|y| IntExpr::from(*y)),
            Symbol::Size(_) => None,
        };
        let value = operand.substitute(&replace).rewrite(&|i| i.clone(), &mut |e| match e {
            Expr::Read(r) => {
                let tensor = homes.get(&r.tensor).map_or(r.tensor, |h| p.buffer(*h, false));
                Expr::Read(Box::new(Read { tensor, ..*r }))
            }
            e => e,
        });
        let own = |list: &[VarId]| -> Vec<VarId> {
            list.iter().filter_map(|x| renamed.get(x).copied()).collect()
        };
        let (first, last) = (own(before), own(behind));
        let mut vars: Vec<(VarId, IntExpr)> = Vec::new();
        let given = |x: &VarId| extent_of(body, *x);
        vars.extend(first.iter().copied().zip(before.iter().map(given)));
        if fixed.is_none() {
            vars.push((panel, whole.clone()));
        }
        vars.extend(last.iter().copied().zip(behind.iter().map(given)));
        vars.push((place, lanes));
        let at = |list: &[VarId]| list.iter().map(|x| IntExpr::from(*x)).collect::<Vec<_>>();
        let subscripts = [at(&first), vec![number], at(&last), vec![place.into()]].concat();
        let part = Body {
            vars,
            fixed: Fixed::new(),
            guard: None,
            lets: Vec::new(),
            value,
            buffer: target,
            subscripts: subscripts.into_iter().map(Subscript::Affine).collect(),
            reducer: None,
            drop: false,
            name: "pack".to_owned(),
        };
        nest::pointwise(&mut p, part, Update::Set);
    }
    p.finish();
}

/// A stem for the name of a variable.
fn b_name(body: &Body, v: VarId) -> String {
    let at = body.vars.iter().position(|(x, _)| *x == v).unwrap_or(0);
    format!("d{at}_")
}
