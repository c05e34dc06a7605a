//! From equations in source order to nodes in execution order: scans and fixpoints.
//!
//! A strongly connected component of the equations is one scan if every tensor in it has an axis
//! such that all dependences step in one direction along those axes (R8): an equation that writes
//! slot `w` and reads slot `r` has distance `w - r`, never negative for a forward scan, and
//! dependences of distance 0 form no cycle. Anything else is legal only inside `fix`.

use super::{Call, Definition, Equation, Fix, Function, Node, Scan};
use crate::TensorId;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::int::{Facts, IntExpr, bounds};
use crate::scalar::Expr;
use crate::span::Span;
use indexmap::IndexMap;
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// The parts of a function before they are put in order.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Equations by the tensor they write, in source order.
    pub definitions: IndexMap<TensorId, Vec<Equation>>,
    /// For tensors written in a `fix` block, which one.
    pub in_fix: IndexMap<TensorId, usize>,
    /// The `fix` blocks.
    pub fixes: Vec<FixGroup>,
    /// Calls.
    pub calls: Vec<Call>,
}

/// A `fix` block.
#[derive(Clone, Debug, Default)]
pub struct FixGroup {
    /// `limit=`
    pub limit: Option<u64>,
    /// `tol=`
    pub tol: Option<String>,
    /// Where it was written.
    pub span: Span,
}

impl Pending {
    /// Number of equations and calls.
    pub fn count(&self) -> usize {
        self.definitions.values().map(Vec::len).sum::<usize>() + self.calls.len()
    }
}

/// One vertex of the dependence graph.
enum Unit {
    Definition(Definition),
    Fix(usize, Vec<Definition>),
    Call(Call),
}

/// Orders the parts; the function's nodes are in dependence order, source order among equals.
pub fn order(mut function: Function, pending: Pending) -> Result<Function, Diagnostics> {
    let fixes = pending.fixes.clone();
    let units = units(pending);
    let edges = dependences(&units);
    let mut diagnostics = Diagnostics::default();
    let mut slots: Vec<Option<Unit>> = units.into_iter().map(Some).collect();
    for component in components(slots.len(), &edges) {
        let cyclic = component.len() > 1 || component.iter().any(|k| edges.contains(&(*k, *k)));
        let members: Vec<Unit> =
            component.iter().filter_map(|k| slots.get_mut(*k).and_then(Option::take)).collect();
        match node(&function, members, cyclic, &fixes) {
            Ok(nodes) => function.nodes.extend(nodes),
            Err(d) => diagnostics.push(d),
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(function) }
}

fn units(pending: Pending) -> Vec<Unit> {
    let Pending { definitions, in_fix, calls, .. } = pending;
    let mut units: Vec<Unit> = Vec::new();
    for (tensor, equations) in definitions {
        let definition = Definition { tensor, equations };
        match in_fix.get(&tensor) {
            None => units.push(Unit::Definition(definition)),
            Some(group) => {
                let existing = units.iter_mut().find_map(|u| match u {
                    Unit::Fix(g, list) if g == group => Some(list),
                    _ => None,
                });
                match existing {
                    Some(list) => list.push(definition),
                    None => units.push(Unit::Fix(*group, vec![definition])),
                }
            }
        }
    }
    units.extend(calls.into_iter().map(Unit::Call));
    units
}

impl Unit {
    fn defined(&self) -> Vec<TensorId> {
        match self {
            Unit::Definition(d) => vec![d.tensor],
            Unit::Fix(_, list) => list.iter().map(|d| d.tensor).collect(),
            Unit::Call(c) => c.results.clone(),
        }
    }

    fn used(&self) -> Vec<TensorId> {
        let of = |d: &Definition| {
            d.equations
                .iter()
                .flat_map(|e| e.reads().into_iter().map(|r| r.tensor).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        match self {
            Unit::Definition(d) => of(d),
            Unit::Fix(_, list) => list.iter().flat_map(of).collect(),
            Unit::Call(c) => c.arguments.clone(),
        }
    }

    fn span(&self) -> Span {
        match self {
            Unit::Definition(d) => d.equations.first().map_or(Span::default(), |e| e.span),
            Unit::Fix(_, list) => {
                list.iter().flat_map(|d| &d.equations).map(|e| e.span).next().unwrap_or_default()
            }
            Unit::Call(c) => c.span,
        }
    }
}

/// Edges from a unit to the units that use what it defines.
fn dependences(units: &[Unit]) -> indexmap::IndexSet<(usize, usize)> {
    let mut definer: IndexMap<TensorId, usize> = IndexMap::new();
    for (k, u) in units.iter().enumerate() {
        u.defined().into_iter().for_each(|t| {
            definer.insert(t, k);
        });
    }
    let mut edges = indexmap::IndexSet::new();
    for (k, u) in units.iter().enumerate() {
        for t in u.used() {
            if let Some(from) = definer.get(&t) {
                edges.insert((*from, k));
            }
        }
    }
    edges
}

/// Strongly connected components in topological order, source order among independent ones.
fn components(count: usize, edges: &indexmap::IndexSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(count, edges.len());
    let nodes: Vec<_> = (0..count).map(|_| graph.add_node(())).collect();
    for (a, b) in edges {
        if let (Some(a), Some(b)) = (nodes.get(*a), nodes.get(*b)) {
            graph.add_edge(*a, *b, ());
        }
    }
    let mut component_of = vec![0; count];
    let mut members: Vec<Vec<usize>> = tarjan_scc(&graph)
        .into_iter()
        .map(|scc| {
            let mut m: Vec<usize> = scc.into_iter().map(|n| n.index()).collect();
            m.sort_unstable();
            m
        })
        .collect();
    members.sort();
    for (c, m) in members.iter().enumerate() {
        m.iter().for_each(|k| {
            if let Some(slot) = component_of.get_mut(*k) {
                *slot = c;
            }
        });
    }
    topological(&members, &component_of, edges)
}

/// Kahn's algorithm, smallest component first.
fn topological(
    members: &[Vec<usize>],
    component_of: &[usize],
    edges: &indexmap::IndexSet<(usize, usize)>,
) -> Vec<Vec<usize>> {
    let of = |k: usize| component_of.get(k).copied().unwrap_or(0);
    let mut successors: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    let mut indegree = vec![0usize; members.len()];
    for (a, b) in edges {
        let (a, b) = (of(*a), of(*b));
        if a != b
            && let (Some(s), Some(n)) = (successors.get_mut(a), indegree.get_mut(b))
        {
            s.push(b);
            *n += 1;
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        indegree.iter().enumerate().filter(|(_, n)| **n == 0).map(|(c, _)| c).collect();
    let mut out = Vec::with_capacity(members.len());
    while let Some(c) = ready.pop_first() {
        out.extend(members.get(c).cloned());
        for s in successors.get(c).cloned().unwrap_or_default() {
            if let Some(n) = indegree.get_mut(s) {
                *n -= 1;
                if *n == 0 {
                    ready.insert(s);
                }
            }
        }
    }
    out
}

fn node(
    function: &Function,
    members: Vec<Unit>,
    cyclic: bool,
    fixes: &[FixGroup],
) -> Result<Vec<Node>, Diagnostic> {
    let spans: Vec<Span> = members.iter().map(Unit::span).collect();
    let mut definitions = Vec::new();
    let alone = members.len() == 1;
    for member in members {
        match member {
            Unit::Definition(d) => definitions.push(d),
            Unit::Fix(group, list) if alone => {
                let group = fixes.get(group).cloned().unwrap_or_default();
                let definitions = round_order(list);
                return Ok(vec![Node::Fix(Fix {
                    definitions,
                    limit: group.limit,
                    tol: group.tol,
                })]);
            }
            Unit::Call(c) if alone && !cyclic => return Ok(vec![Node::Call(c)]),
            Unit::Fix(..) | Unit::Call(_) => {
                return Err(cycle_error(function, &spans, &[]));
            }
        }
    }
    if !cyclic {
        return Ok(definitions.into_iter().map(Node::Define).collect());
    }
    match scan(function, &definitions) {
        Some(scan) => Ok(vec![Node::Scan(scan)]),
        None => Err(cycle_error(function, &spans, &definitions)),
    }
}

/// Tensors without a reducer that others of the block read come before their readers.
fn round_order(list: Vec<Definition>) -> Vec<Definition> {
    let lattice = |d: &Definition| {
        d.equations.iter().all(|e| e.reducer.is_some_and(crate::scalar::Reducer::is_idempotent))
    };
    let (fixed, helpers): (Vec<_>, Vec<_>) = list.into_iter().partition(lattice);
    let mut out = Vec::new();
    let mut rest = helpers;
    // Helpers in dependence order; a cycle among helpers is left for the verifier to refuse.
    loop {
        let pending: Vec<TensorId> = rest.iter().map(|d| d.tensor).collect();
        let ready = |d: &Definition| {
            d.equations.iter().flat_map(Equation::reads).all(|r| !pending.contains(&r.tensor))
        };
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(ready);
        let stuck = now.is_empty();
        out.extend(now);
        rest = later;
        if stuck || rest.is_empty() {
            out.append(&mut rest);
            out.extend(fixed);
            return out;
        }
    }
}

fn cycle_error(function: &Function, spans: &[Span], definitions: &[Definition]) -> Diagnostic {
    let names: Vec<String> = definitions
        .iter()
        .filter_map(|d| function.tensors.get(d.tensor))
        .map(|t| format!("`{}`", t.name))
        .collect();
    let who = match names.as_slice() {
        [] => "these equations depend on each other".to_owned(),
        [one] => format!("{one} depends on itself"),
        many => format!("{} depend on each other", many.join(", ")),
    };
    let first = spans.first().copied().unwrap_or(function.span);
    let mut d = Diagnostic::new(
        Code::Cycle,
        first,
        format!("{who} in a way that does not step along one axis"),
    )
    .help("write each slot from earlier ones only (`H[t+1] = f(H[t])`), or use `fix { ... }`");
    for s in spans.iter().skip(1) {
        d = d.label(*s, "part of the cycle");
    }
    d
}

/// Finds axes and a direction along which the definitions are one scan.
fn scan(function: &Function, definitions: &[Definition]) -> Option<Scan> {
    let facts = function.known_facts();
    for backward in [false, true] {
        let mut axes = vec![usize::MAX; definitions.len()];
        let search = Search { function, definitions, facts: &facts, backward };
        if let Some(order) = search.assign(&mut axes, 0) {
            let definitions = order.iter().filter_map(|k| definitions.get(*k).cloned()).collect();
            let axes = order.iter().filter_map(|k| axes.get(*k).copied()).collect();
            return Some(Scan { definitions, axes, backward });
        }
    }
    None
}

struct Search<'a> {
    function: &'a Function,
    definitions: &'a [Definition],
    facts: &'a Facts,
    backward: bool,
}

impl Search<'_> {
    /// Tries every axis for definition `k` on; on success `axes` is filled in and the step order of
    /// the definitions is returned.
    fn assign(&self, axes: &mut Vec<usize>, k: usize) -> Option<Vec<usize>> {
        let Some(d) = self.definitions.get(k) else { return self.step_order(axes) };
        let rank = self.function.tensors.get(d.tensor)?.shape.len();
        for axis in 0..rank {
            *axes.get_mut(k)? = axis;
            if self.consistent(axes, k)
                && let Some(order) = self.assign(axes, k + 1)
            {
                return Some(order);
            }
        }
        *axes.get_mut(k)? = usize::MAX;
        None
    }

    /// Checks the dependences between definition `k` and those assigned so far.
    fn consistent(&self, axes: &[usize], k: usize) -> bool {
        (0..=k).all(|j| {
            self.edge(axes, k, j) != Edge::Wrong && (j == k || self.edge(axes, j, k) != Edge::Wrong)
        })
    }

    /// How the equations of `reader` depend on `read`.
    fn edge(&self, axes: &[usize], reader: usize, read: usize) -> Edge {
        let (Some(d), Some(source)) = (self.definitions.get(reader), self.definitions.get(read))
        else {
            return Edge::None;
        };
        let (Some(wa), Some(ra)) = (axes.get(reader), axes.get(read)) else { return Edge::None };
        let mut result = Edge::None;
        for e in &d.equations {
            for r in e.reads() {
                if r.tensor != source.tensor {
                    continue;
                }
                let write = e.subscripts.get(*wa).and_then(|s| s.as_affine());
                let slot = r.subscripts.get(*ra).and_then(|s| s.as_affine());
                let (Some(write), Some(slot)) = (write, slot) else { return Edge::Wrong };
                result = result.worst(self.classify(e, write, slot));
            }
        }
        result
    }

    fn classify(&self, e: &Equation, write: &IntExpr, slot: &IntExpr) -> Edge {
        let distance = if self.backward { slot - write } else { write - slot };
        let facts = equation_facts(self.facts, e);
        let one = IntExpr::constant(1);
        let least = |d: &IntExpr| {
            let range = |v| var_range(e, v);
            bounds::lower(d, &range, &facts).is_some_and(|lo| facts.is_nonneg(&lo))
                || facts.is_nonneg(d)
        };
        if least(&(&distance - &one)) {
            Edge::Strict
        } else if least(&distance) {
            Edge::SameSlot
        } else {
            Edge::Wrong
        }
    }

    /// Definitions in an order in which same-slot dependences point backward; `None` on a cycle.
    fn step_order(&self, axes: &[usize]) -> Option<Vec<usize>> {
        let n = self.definitions.len();
        let mut out: Vec<usize> = Vec::new();
        while out.len() < n {
            let next = (0..n).find(|k| {
                !out.contains(k)
                    && (0..n).all(|j| out.contains(&j) || self.edge(axes, *k, j) != Edge::SameSlot)
            })?;
            out.push(next);
        }
        Some(out)
    }
}

/// How a reader's slots relate to the slots it reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    None,
    /// Only earlier slots.
    Strict,
    /// Possibly the same slot.
    SameSlot,
    /// Later slots, or not known.
    Wrong,
}

impl Edge {
    fn worst(self, other: Edge) -> Edge {
        self.max(other)
    }
}

/// First and last value of an equation's variable.
pub fn var_range(e: &Equation, v: crate::VarId) -> Option<(IntExpr, IntExpr)> {
    let index = e.vars.get(v)?;
    Some((IntExpr::constant(0), &index.extent - &IntExpr::constant(1)))
}

/// The function's facts with what holds at every visited point of an equation: variables are inside
/// their extents, and the comparisons that the guard joins by `&&` hold.
pub fn equation_facts(function: &Facts, e: &Equation) -> Facts {
    let mut facts = function.clone();
    for (v, index) in e.vars.iter() {
        facts.add_nonneg(&index.extent - IntExpr::from(v) - IntExpr::constant(1));
        facts.add_nonneg(&index.extent - &IntExpr::constant(1));
    }
    if let Some(guard) = &e.guard {
        for conjunct in guard.operands(crate::scalar::Func::And) {
            if let Expr::Compare(op, a, b) = conjunct {
                op.as_nonneg(a, b).into_iter().for_each(|f| facts.add_nonneg(f));
            }
        }
    }
    facts
}
