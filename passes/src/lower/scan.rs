//! Scans: one kernel whose outer loop runs over the slots.

use super::block::{KernelBuilder, Start};
use super::nest::Initial;
use super::{Fixed, LowerCx};
use indexmap::IndexMap;
use tcc_ir::TensorId;
use tcc_ir::graph::cycles::{equation_facts, var_range};
use tcc_ir::graph::{Definition, Equation, Function, Node, Role, Scan};
use tcc_ir::int::{Facts, IntExpr, Symbol, bounds};
use tcc_ir::kernel::{For, LoopKind, Stmt};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Subscript};

/// Scanned intermediates that need only their last slots: the axis and how many.
pub(super) fn windows(f: &Function) -> IndexMap<TensorId, (usize, IntExpr)> {
    let facts = f.known_facts();
    let mut out = IndexMap::new();
    for node in &f.nodes {
        let Node::Scan(s) = node else { continue };
        for (d, axis) in s.definitions.iter().zip(&s.axes) {
            if let Some(slots) = window(f, s, d, *axis, &facts) {
                out.insert(d.tensor, (*axis, slots));
            }
        }
    }
    out
}

/// The number of slots that every read needs, unless that is all of them.
fn window(f: &Function, s: &Scan, d: &Definition, axis: usize, facts: &Facts) -> Option<IntExpr> {
    let tensor = f.tensors.get(d.tensor)?;
    let extent = tensor.shape.get(axis)?.clone();
    if tensor.role != Role::Intermediate {
        return None;
    }
    let one = IntExpr::constant(1);
    let mut slots = one.clone();
    for node in &f.nodes {
        for (k, other) in node.definitions().iter().enumerate() {
            let inside = matches!(node, Node::Scan(x) if std::ptr::eq(x, s));
            for e in &other.equations {
                for r in e.reads().into_iter().filter(|r| r.tensor == d.tensor) {
                    let own_axis = if inside { s.axes.get(k).copied() } else { None };
                    let need = slots_needed(s, e, r, (axis, own_axis), &extent, facts)?;
                    slots = if facts.at_most(&need, &slots) {
                        slots
                    } else if facts.at_most(&slots, &need) {
                        need
                    } else {
                        slots.maximum(&need)
                    };
                }
            }
        }
    }
    let whole = facts.at_most(&extent, &slots);
    (!whole).then(|| slots.minimum(&extent))
}

/// How many of the last slots one read needs.
fn slots_needed(
    s: &Scan,
    e: &Equation,
    r: &Read,
    (axis, own_axis): (usize, Option<usize>),
    extent: &IntExpr,
    facts: &Facts,
) -> Option<IntExpr> {
    if r.default.is_some() {
        return None;
    }
    let slot = r.subscripts.get(axis)?.as_affine()?;
    let facts = equation_facts(facts, e);
    let range = |v| var_range(e, v);
    let one = IntExpr::constant(1);
    let back = match own_axis {
        Some(own) => {
            let write = e.subscripts.get(own)?.as_affine()?;
            let distance = if s.backward { slot - write } else { write - slot };
            bounds::upper(&distance, &range, &facts)? + one
        }
        None if s.backward => bounds::upper(slot, &range, &facts)? + one,
        None => extent - &bounds::lower(slot, &range, &facts)?,
    };
    facts.is_positive(&back).then_some(back)
}

impl LowerCx<'_> {
    /// Lowers a scan to one kernel.
    pub(super) fn scan(&mut self, s: &Scan) {
        let first = s.definitions.first().and_then(|d| self.f.tensors.get(d.tensor));
        let name = first.map_or("scan".to_owned(), |t| format!("{}_scan", t.name));
        let windowed: Vec<bool> =
            s.definitions.iter().map(|d| self.windows.contains_key(&d.tensor)).collect();
        let mut b = KernelBuilder::new(self, &name);
        let mut slots = IntExpr::constant(0);
        let mut homes = Vec::new();
        for (d, (axis, window)) in s.definitions.iter().zip(s.axes.iter().zip(&windowed)) {
            let extent = b.cx.f.tensors.get(d.tensor).and_then(|t| t.shape.get(*axis)).cloned();
            let extent = extent.unwrap_or_default();
            slots = if b.facts.at_most(&extent, &slots) {
                slots
            } else if b.facts.at_most(&slots, &extent) {
                extent
            } else {
                slots.maximum(&extent)
            };
            let home = b.written(d.tensor);
            // A windowed tensor is filled slot by slot.
            let start = if *window { b.coverage(d) } else { b.start_of(d, home) };
            homes.push((home, start));
        }
        let u = b.kernel.fresh_var("step");
        let slot = if s.backward {
            &slots - &IntExpr::constant(1) - IntExpr::from(u)
        } else {
            IntExpr::from(u)
        };
        let before = std::mem::take(&mut b.body);
        for (k, d) in s.definitions.iter().enumerate() {
            let (Some((home, start)), Some(axis)) = (homes.get(k), s.axes.get(k)) else { continue };
            if windowed.get(k) == Some(&true) && *start == Start::Filled {
                b.fill_slot(d, *home, *axis, &slot);
            }
            b.step(d, *home, *axis, &slot, *start);
        }
        let body = std::mem::replace(&mut b.body, before);
        let kind = LoopKind::Serial;
        b.body.push(Stmt::For(For { var: u, lo: IntExpr::constant(0), hi: slots, kind, body }));
        b.finish();
    }
}

impl KernelBuilder<'_, '_> {
    /// The equations of one tensor, each where its domain has the slot.
    fn step(&mut self, d: &Definition, home: TensorId, axis: usize, slot: &IntExpr, start: Start) {
        let initial = initial_of(d, start, self.cx.f);
        for e in &d.equations {
            let Some(Subscript::Affine(i)) = e.subscripts.get(axis) else { continue };
            let (fixed, condition) = at_slot(e, i, slot, &self.facts);
            let before = std::mem::take(&mut self.body);
            match fixed {
                Some(fixed) => self.equation(e, home, initial, &fixed),
                None => self.selected(e, home, initial, i, slot),
            }
            let inner = std::mem::replace(&mut self.body, before);
            match condition {
                None => self.body.extend(inner),
                Some(condition) => {
                    self.body.push(Stmt::If { condition, then: inner, otherwise: Vec::new() });
                }
            }
        }
    }

    /// An equation whose slot no single variable determines: the points that write it are selected.
    fn selected(
        &mut self,
        e: &Equation,
        home: TensorId,
        initial: Initial,
        i: &IntExpr,
        slot: &IntExpr,
    ) {
        // The slot is a variable of its own, fixed by the loop.
        let mut e = e.clone();
        let extent = IntExpr::constant(1);
        let v = e.vars.push(tcc_ir::graph::Index { name: "slot".to_owned(), extent });
        let hit = Expr::Compare(Comparison::Eq, i.clone(), v.into());
        e.guard = Some(match e.guard.take() {
            None => hit,
            Some(g) => Expr::binary(Func::And, g, hit),
        });
        self.equation(&e, home, initial, &Fixed::from_iter([(v, slot.clone())]));
    }

    /// Sets one slot of a windowed tensor to the fill value.
    fn fill_slot(&mut self, d: &Definition, home: TensorId, axis: usize, slot: &IntExpr) {
        let Some(tensor) = self.cx.f.tensors.get(d.tensor).cloned() else { return };
        let value = Expr::Literal(d.fill(tensor.dtype));
        let slots = self.cx.windows.get(&d.tensor).map(|(_, n)| n.clone()).unwrap_or_default();
        let mut shape = tensor.shape.clone();
        let Some(extent) = shape.get(axis).cloned() else { return };
        if let Some(e) = shape.get_mut(axis) {
            *e = IntExpr::constant(1);
        }
        let mut body = self.whole_body(home, &shape, "fill", |_| value);
        if let Some(Subscript::Affine(i)) = body.subscripts.get(axis).cloned()
            && let Some(v) = i.as_var()
        {
            // The slot's variable is bound to its place in the window.
            body.vars.retain(|(w, _)| *w != v);
            body.fixed.insert(v, slot.modulo(&slots));
        }
        let before = std::mem::take(&mut self.body);
        super::nest::pointwise(self, body, tcc_ir::kernel::Update::Set);
        let then = std::mem::replace(&mut self.body, before);
        let condition = Expr::Compare(Comparison::Lt, slot.clone(), extent);
        self.body.push(Stmt::If { condition, then, otherwise: Vec::new() });
    }
}

/// What reductions of a definition start from.
pub(super) fn initial_of(d: &Definition, start: Start, f: &Function) -> Initial {
    let inout = matches!(f.tensors.get(d.tensor).map(|t| t.role), Some(Role::Result(Some(_))));
    let first = d.equations.first().and_then(|e| e.reducer);
    let shared =
        d.equations.len() > 1 && first.is_some() && d.equations.iter().all(|e| e.reducer == first);
    if inout || (shared && start == Start::Filled) { Initial::Existing } else { Initial::Unit }
}

/// Values of the variables that a slot determines, and the condition under which the equation's
/// domain has the slot. `None` for the values if the slot does not determine a variable.
fn at_slot(
    e: &Equation,
    i: &IntExpr,
    slot: &IntExpr,
    facts: &Facts,
) -> (Option<Fixed>, Option<Expr>) {
    let mut vars = Vec::new();
    i.visit_symbols(&mut |s| {
        if let Symbol::Var(v) = s
            && !vars.contains(&v)
        {
            vars.push(v);
        }
    });
    let zero = IntExpr::constant(0);
    match vars.as_slice() {
        [] => {
            let hit = Expr::Compare(Comparison::Eq, slot.clone(), i.clone());
            (Some(Fixed::new()), Some(hit))
        }
        [v] => {
            let Some((c, rest)) = i.linear_in(*v) else { return (None, None) };
            let extent = e.vars.get(*v).map(|x| x.extent.clone()).unwrap_or_default();
            let value = match c.as_constant() {
                Some(1) => slot - &rest,
                Some(-1) => rest - slot.clone(),
                _ => return (None, None),
            };
            let mut conditions = Vec::new();
            if !facts.is_nonneg(&value) {
                conditions.push(Expr::Compare(Comparison::Ge, value.clone(), zero));
            }
            conditions.push(Expr::Compare(Comparison::Lt, value.clone(), extent));
            let condition = conditions.into_iter().reduce(|a, b| Expr::binary(Func::And, a, b));
            (Some(Fixed::from_iter([(*v, value)])), condition)
        }
        _ => (None, None),
    }
}
