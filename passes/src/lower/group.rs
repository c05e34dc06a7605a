//! Definitions that share their outer loops become one kernel.
//!
//! Consecutive definitions whose leading axes run over the same extents, and that read each other
//! at the same leading indices only, run side by side inside of the loops over those axes. What
//! only they use lives in local memory, without those axes: rows of a softmax, of a layer norm, of
//! attention stay in the cache. Where a contraction's operand is shared along the last shared axis,
//! that is taken in blocks, so that its tiles have rows: also where some of its indices share each
//! element, as the heads `h/4` of grouped queries do.
//!
//! ```text
//! S[b,i,j] += Q * K                for b { for i in blocks of 64 {
//! M[b,i] max= S[b,i,j]                 alloc S[64, J], M[64], ... @local
//! P[b,i,j] = exp(S - M)                S = ..; M = ..; P = ..; O[b,i,e] = ..
//! O[b,i,e] += P * V                } }
//! ```

use super::block::{Body, KernelBuilder, Start};
use super::contraction::{ceil_of, dividing, volume};
use super::needed::{BlockOfRows, Ends};
use super::nest::{Initial, serial};
use super::{Fixed, LowerCx, fuse, needed, nest, reduce};
use cranelift_entity::SecondaryMap;
use indexmap::IndexMap;
use tcc_ir::graph::{Definition, Equation, Function, Node, Role};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Buffer, Scope, Stmt, Update, visit_stmts};
use tcc_ir::scalar::{Comparison, Expr, Read, Subscript};
use tcc_ir::{TensorId, VarId};

/// Rows of a block where a member is a contraction.
const ROWS: i64 = 64;
/// The same of unknown number: a multiple of the rows of a tile.
const ANY_ROWS: i64 = 96;
/// Bytes of one iteration's local memory that pay.
const LOCAL: i64 = 1 << 20;
/// Iterations of the outer loops that are enough for all threads.
const MANY: i64 = 4;
/// What a symbolic extent counts.
const NOMINAL: i64 = 256;

/// Definitions that run together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Their tensors in order.
    pub(super) members: Vec<TensorId>,
    /// How many leading axes they share.
    shared: usize,
    /// The rows of a block, if the last shared axis is taken in blocks.
    block: Option<i64>,
    /// Those of the members that only members use.
    pub(super) locals: Vec<TensorId>,
}

/// A definition that may join a group.
#[derive(Clone)]
struct Candidate<'f> {
    definition: &'f Definition,
    /// The shape of its tensor, and the variables of its axes.
    shape: &'f [IntExpr],
    target: Vec<VarId>,
    /// What it reads from memory.
    reads: Vec<Read>,
}

/// A tensor of a group in local memory, as equations of the group see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) buffer: TensorId,
    /// Leading axes that the loops around fix.
    pub(crate) dropped: usize,
}

/// The groups of a function's definitions that are not computed where they are read.
pub(super) fn groups(cx: &LowerCx<'_>) -> Vec<Group> {
    let f = cx.f;
    let readers = readers(cx);
    let mut out: Vec<Group> = Vec::new();
    let mut open: Vec<Candidate<'_>> = Vec::new();
    let mut close = |open: &mut Vec<Candidate<'_>>| {
        out.extend(group_of(cx, open, &readers));
        open.clear();
    };
    for node in &f.nodes {
        let Node::Define(d) = node else {
            close(&mut open);
            continue;
        };
        if cx.is_inlined(d.tensor) {
            continue;
        }
        let joins = |c: &Candidate<'_>| shared_axes(std::slice::from_ref(c)) > 0;
        let fits = |c: &Candidate<'_>| !is_contraction(f, d) || is_known(f, d) || c.is_batched();
        match Candidate::of(cx, d).filter(|c| fits(c) && joins(c)) {
            None => close(&mut open),
            Some(c) => {
                open.push(c);
                if shared_axes(&open) == 0
                    && let Some(last) = open.pop()
                {
                    close(&mut open);
                    open.push(last);
                }
            }
        }
    }
    close(&mut open);
    out
}

/// The tensors whose definitions read a tensor from memory, also through inlined producers.
fn readers(cx: &LowerCx<'_>) -> SecondaryMap<TensorId, Vec<TensorId>> {
    let mut out: SecondaryMap<TensorId, Vec<TensorId>> = SecondaryMap::new();
    let definitions = cx.f.nodes.iter().flat_map(Node::definitions);
    for d in definitions.filter(|d| !cx.is_inlined(d.tensor)) {
        for e in &d.equations {
            for r in fuse::memory_reads(cx.f, &cx.inlined, e) {
                out[r.tensor].push(d.tensor);
            }
        }
    }
    out
}

/// A run as a group, if it is worth being one.
fn group_of(
    cx: &LowerCx<'_>,
    run: &[Candidate<'_>],
    readers: &SecondaryMap<TensorId, Vec<TensorId>>,
) -> Option<Group> {
    if run.len() < 2 || cx.target.vector_bytes < nest::MASKED || !cx.options.vectorize {
        return None;
    }
    let mut shared = shared_axes(run);
    let contracts = run.iter().any(|c| is_contraction(cx.f, c.definition));
    // A contraction without an axis that both sides share would copy its operand for each block.
    if shared == 0 || contracts && shared < 2 {
        return None;
    }
    let members: Vec<TensorId> = run.iter().map(|c| c.definition.tensor).collect();
    let is_local = |t: &TensorId| {
        let inside = cx.f.tensors.get(*t).is_some_and(|x| x.role == Role::Intermediate);
        inside && readers[*t].iter().all(|d| members.contains(d))
    };
    let locals: Vec<TensorId> = members.iter().copied().filter(|t| is_local(t)).collect();
    let mut block = None;
    if contracts {
        // An axis of one element leaves it to the one before to have rows.
        let single = |axis: usize| extent_at(run, axis).as_constant() == Some(1);
        while shared > 1 && single(shared - 1) {
            shared -= 1;
        }
        let contractions = run.iter().filter(|c| is_contraction(cx.f, c.definition));
        block = contractions.filter_map(|c| c.rows_along(shared - 1)).max();
    }
    let row = |shape: &[IntExpr]| {
        volume(shape.iter().skip(shared).map(|n| n.as_constant().unwrap_or(NOMINAL)))
    };
    let bytes: i64 = locals
        .iter()
        .filter_map(|t| cx.f.tensors.get(*t))
        .map(|x| row(&x.shape) * x.dtype.size() as i64 * block.unwrap_or(1))
        .sum();
    // Rows must be long enough for their loops, and few enough to stay in the cache.
    let longest = run.iter().map(|c| row(c.shape)).max().unwrap_or(1);
    let pays = !locals.is_empty() && bytes <= LOCAL && longest >= 16;
    pays.then_some(Group { members, shared, block, locals })
}

/// The extent of an axis that all of a run share.
fn extent_at(run: &[Candidate<'_>], axis: usize) -> IntExpr {
    run.first().and_then(|c| c.shape.get(axis)).cloned().unwrap_or_default()
}

/// The leading axes that a run shares: equal extents, and reads among its members at the same
/// indices.
fn shared_axes(run: &[Candidate<'_>]) -> usize {
    let Some(first) = run.first() else { return 0 };
    let mut shared = usize::MAX;
    for c in run {
        let same = first.shape.iter().zip(c.shape).take_while(|(a, b)| a == b).count();
        shared = shared.min(c.target.len()).min(same);
        let inside = |r: &&Read| run.iter().any(|m| m.definition.tensor == r.tensor);
        for r in c.reads.iter().filter(inside) {
            let at = |s: &Subscript| s.as_affine().and_then(IntExpr::as_var);
            let same = r
                .subscripts
                .iter()
                .zip(&c.target)
                .take_while(|(s, v)| at(s) == Some(**v) && r.default.is_none())
                .count();
            shared = shared.min(same);
        }
    }
    shared
}

impl<'f> Candidate<'f> {
    /// A definition by one equation that defines all of its tensor.
    fn of(cx: &LowerCx<'f>, d: &'f Definition) -> Option<Candidate<'f>> {
        let [e] = d.equations.as_slice() else { return None };
        let x = cx.f.tensors.get(d.tensor)?;
        let target = e.whole_target(&x.shape)?;
        let fresh = !matches!(x.role, Role::Result(Some(_)));
        let clear = e.guard.is_none() || e.reducer.is_some();
        let reads = fuse::memory_reads(cx.f, &cx.inlined, e);
        let data = reads.iter().any(|r| r.subscripts.iter().any(|s| s.as_affine().is_none()));
        let joins = fresh && clear && !data && !cx.windows.contains_key(&d.tensor);
        joins.then_some(Candidate { definition: d, shape: &x.shape, target, reads })
    }

    /// True if all that it reads bears the first axis: no operand is copied for each block of rows
    /// that others could share, as weights.
    fn is_batched(&self) -> bool {
        let Some(v) = self.target.first() else { return false };
        self.reads.iter().all(|r| r.subscripts.iter().any(|s| s.mentions(*v)))
    }

    /// The rows of a block along an axis, if several of its indices share an operand: one that does
    /// not bear the axis, or only its quotient by the number of rows.
    fn rows_along(&self, axis: usize) -> Option<i64> {
        let v = *self.target.get(axis)?;
        let known = self.shape.get(axis)?.as_constant();
        let extent = known.unwrap_or(ANY_ROWS);
        let shared_by = |r: &Read| {
            let mut bearing = r.subscripts.iter().filter(|s| s.mentions(v));
            match (bearing.next(), bearing.next()) {
                (None, _) => Some(known.map_or(ANY_ROWS, |n| dividing(n, ROWS, 1))),
                (Some(s), None) => {
                    quotient_of(s.as_affine()?, v).map(|n| n.min(extent)).filter(|n| *n <= ROWS)
                }
                _ => None,
            }
        };
        let operands = self.reads.iter().filter(|r| r.subscripts.len() + 1 >= self.shape.len());
        operands.filter_map(shared_by).max().filter(|n| *n > 1 && extent > 1)
    }
}

/// The number by which an expression divides a variable, if it does nothing else.
fn quotient_of(e: &IntExpr, v: VarId) -> Option<i64> {
    let [by] = &e.divisors()[..] else { return None };
    let n = by.as_constant()?;
    (*e == IntExpr::from(v).div(by)).then_some(n)
}

/// A reduction over a product.
fn is_contraction(f: &Function, d: &Definition) -> bool {
    let rank = f.tensors.get(d.tensor).map_or(0, |x| x.shape.len());
    d.equations.iter().any(|e| {
        let wide = e.reads().iter().filter(|r| r.subscripts.len() + 1 >= rank).count() >= 2;
        e.reducer.is_some() && wide && rank >= 2 && !e.reduced_vars().is_empty()
    })
}

/// True if the extents of a definition's tensor are constants.
fn is_known(f: &Function, d: &Definition) -> bool {
    f.tensors.get(d.tensor).is_some_and(|x| x.shape.iter().all(|n| n.as_constant().is_some()))
}

/// Lowers a group to one kernel.
pub(super) fn lower(cx: &mut LowerCx<'_>, g: &Group) {
    let f = cx.f;
    let definitions: Vec<&Definition> = f
        .nodes
        .iter()
        .flat_map(Node::definitions)
        .filter(|d| g.members.contains(&d.tensor))
        .collect();
    let Some(name) = g.members.last().and_then(|t| f.tensors.get(*t)).map(|x| x.name.clone())
    else {
        return;
    };
    let Some(shape) = g.members.first().and_then(|t| f.tensors.get(*t)).map(|x| x.shape.clone())
    else {
        return;
    };
    let mut b = KernelBuilder::new(cx, &name);
    let whole_axes = g.shared - usize::from(g.block.is_some());
    let loops: Vec<(VarId, IntExpr)> =
        shape.iter().take(whole_axes).map(|n| (b.kernel.fresh_var("i"), n.clone())).collect();
    let at: Vec<IntExpr> = loops
        .iter()
        .map(|(v, n)| if n.as_constant() == Some(1) { IntExpr::default() } else { (*v).into() })
        .collect();
    let stmts = match (g.block, shape.get(g.shared - 1)) {
        (Some(rows), Some(extent)) => {
            let many = loops.iter().map(|(_, n)| n.as_constant().unwrap_or(NOMINAL));
            blocks_of_rows(&mut b, g, &definitions, &at, (extent, rows), volume(many) >= MANY)
        }
        _ => members(&mut b, g, &definitions, &at, None, &Ends::new()),
    };
    b.body = loops.into_iter().rev().fold(stmts, |stmts, (v, n)| {
        if n.as_constant() == Some(1) {
            return stmts;
        }
        vec![serial(v, IntExpr::default(), n, stmts)]
    });
    b.finish();
}

/// The members in blocks of so many rows of an extent; with `many` iterations around them, what is
/// the same for all blocks comes before.
fn blocks_of_rows(
    b: &mut KernelBuilder<'_, '_>,
    g: &Group,
    definitions: &[&Definition],
    at: &[IntExpr],
    (extent, rows): (&IntExpr, i64),
    many: bool,
) -> Vec<Stmt> {
    let size = IntExpr::constant(rows);
    let whole = extent.div(&size);
    let count = ceil_of(extent, rows);
    let chunk = b.kernel.fresh_var("rows");
    let lo = match count.as_constant() {
        Some(1) => IntExpr::default(),
        _ => IntExpr::from(chunk) * size.clone(),
    };
    let last_row = lo.clone() + size.clone() - IntExpr::constant(1);
    let axis = at.len();
    let last_chunk = count.as_constant().map(|n| n - 1);
    let taken = BlockOfRows { axis, last_row: &last_row, chunk, last_chunk };
    let ends = needed::ends(b.cx, definitions, &g.locals, &taken);
    let none = Ends::new();
    let stmts = if whole.clone() * size.clone() == *extent {
        members(b, g, definitions, at, Some((&lo, &size, rows)), &ends)
    } else if extent.as_constant().is_none() {
        // The last block has the code of the others.
        let here = size.minimum(&(extent - &lo));
        members(b, g, definitions, at, Some((&lo, &here, rows)), &ends)
    } else {
        let main = members(b, g, definitions, at, Some((&lo, &size, rows)), &ends);
        let rest = extent - &(whole.clone() * size);
        let last = members(b, g, definitions, at, Some((&lo, &rest, rows)), &none);
        let condition = Expr::Compare(Comparison::Lt, chunk.into(), whole);
        vec![Stmt::If { condition, then: main, otherwise: last }]
    };
    if count.as_constant() == Some(1) {
        return stmts;
    }
    // Threads share the outer loops: if these are few, they had better share the blocks.
    let (mut out, inner) = if many { hoisted(b, chunk, stmts) } else { (vec![], stmts) };
    out.push(serial(chunk, IntExpr::default(), count, inner));
    if extent.as_constant().is_some() {
        return out;
    }
    // A single row, as when text is made word by word, shares nothing: nothing is copied.
    let (zero, one) = (IntExpr::default(), IntExpr::constant(1));
    let then = members(b, g, definitions, at, Some((&zero, &one, 1)), &none);
    let condition = Expr::Compare(Comparison::Eq, extent.clone(), one);
    vec![Stmt::If { condition, then, otherwise: out }]
}

/// Splits the statements of a loop into copies that are the same in each iteration and the rest.
fn hoisted(b: &KernelBuilder<'_, '_>, chunk: VarId, stmts: Vec<Stmt>) -> (Vec<Stmt>, Vec<Stmt>) {
    let written: Vec<Access> = stmts.iter().map(|s| Access::of(s, chunk)).collect();
    let scope = |t: TensorId| b.kernel.buffers.get(t).map(|x| x.scope);
    // Buffers that one statement of the loop fills, from what the loop does not write.
    let copied = |t: TensorId| {
        let mut writers = written.iter().filter(|a| a.writes.contains(&t));
        let (Some(a), None) = (writers.next(), writers.next()) else { return false };
        let alone = a.writes.iter().all(|w| *w == t || scope(*w) == Some(Scope::Register));
        let given =
            |r: &TensorId| a.writes.contains(r) || written.iter().all(|o| !o.writes.contains(r));
        alone && !a.moves && a.reads.iter().all(given)
    };
    let same: Vec<bool> = stmts
        .iter()
        .zip(&written)
        .map(|(s, a)| match s {
            Stmt::Alloc(t) => scope(*t) == Some(Scope::Local) && copied(*t),
            Stmt::For(_) => a.writes.iter().any(|t| scope(*t) == Some(Scope::Local) && copied(*t)),
            _ => false,
        })
        .collect();
    let (mut before, mut rest) = (Vec::new(), Vec::new());
    for (s, same) in stmts.into_iter().zip(same) {
        if same { before.push(s) } else { rest.push(s) }
    }
    (before, rest)
}

/// What a statement does with memory, and whether it moves with a loop's variable.
struct Access {
    reads: Vec<TensorId>,
    writes: Vec<TensorId>,
    moves: bool,
}

impl Access {
    fn of(s: &Stmt, v: VarId) -> Access {
        let mut out = Access { reads: Vec::new(), writes: Vec::new(), moves: false };
        visit_stmts(std::slice::from_ref(s), &mut |s| match s {
            Stmt::Block(x) => {
                out.moves |= x.iters.iter().any(|(_, i)| i.mentions(v));
                out.writes.push(x.store.buffer);
                let exprs = x.exprs();
                out.reads.extend(exprs.iter().flat_map(|e| e.reads()).map(|r| r.tensor));
            }
            Stmt::For(f) => out.moves |= f.lo.mentions(v) || f.hi.mentions(v),
            // Conditions are seldom: what they ask is taken to move.
            Stmt::If { .. } | Stmt::Repeat(_) | Stmt::Intrin(_) | Stmt::Let { .. } => {
                out.moves = true;
            }
            Stmt::Alloc(_) => {}
        });
        out
    }
}

/// A block of rows: where it begins, how many it takes, and how many a whole one has.
type Taken<'b> = (&'b IntExpr, &'b IntExpr, i64);

/// The members at an index of the shared axes, or at a block of rows.
fn members(
    b: &mut KernelBuilder<'_, '_>,
    g: &Group,
    definitions: &[&Definition],
    at: &[IntExpr],
    block: Option<Taken<'_>>,
    ends: &Ends,
) -> Vec<Stmt> {
    let f = b.cx.f;
    b.locals.clear();
    let mut out = Vec::new();
    for t in &g.locals {
        let Some(x) = f.tensors.get(*t) else { continue };
        let mut shape: Vec<IntExpr> = x.shape.iter().skip(at.len()).cloned().collect();
        // Rows of the last block are fewer: local memory has room for a whole one.
        if let (Some((_, _, rows)), Some(n)) = (block, shape.first_mut()) {
            *n = rows.into();
        }
        let name = b.unused_name(&x.name);
        let scope = Scope::Local;
        let buffer = b.kernel.buffers.push(Buffer { name, dtype: x.dtype, shape, scope });
        b.locals.insert(*t, Local { buffer, dropped: at.len() });
        out.push(Stmt::Alloc(buffer));
    }
    for d in definitions {
        let [e] = d.equations.as_slice() else { continue };
        let stmts = member(b, d, e, at, (block, ends));
        out.extend(stmts);
    }
    b.locals.clear();
    out
}

fn member(
    b: &mut KernelBuilder<'_, '_>,
    d: &Definition,
    e: &Equation,
    at: &[IntExpr],
    (block, ends): (Option<Taken<'_>>, &Ends),
) -> Vec<Stmt> {
    let target = e.plain_target().unwrap_or_default();
    let fixed: Fixed = target.iter().copied().zip(at.iter().cloned()).collect();
    let local = b.locals.get(&d.tensor).copied();
    let buffer = match local {
        Some(l) => l.buffer,
        None => b.written(d.tensor),
    };
    let mut body = b.body_of(e, buffer, &fixed);
    if let Some(l) = local {
        body.subscripts.drain(..l.dropped.min(body.subscripts.len()));
    }
    if let Some(block) = block {
        let blocked = target.get(at.len()).copied();
        let mut free = e.vars.keys().filter(|v| !fixed.contains_key(v));
        let place = free.position(|v| Some(v) == blocked);
        if let Some(place) = place {
            take_block(b, &mut body, place, block);
        }
    }
    b.ends.clear();
    for (place, v) in e.vars.keys().filter(|v| !fixed.contains_key(v)).enumerate() {
        let Some(end) = ends.get(&(d.tensor, v)) else { continue };
        if let Some((own, extent)) = body.vars.get_mut(place) {
            if body.reducer.is_some() {
                b.ends.insert(*own, end.clone());
            } else {
                *extent = end.clone();
            }
        }
    }
    let start = b.coverage(d);
    debug_assert!(start == Start::Fresh || e.reducer.is_some(), "members define all they write");
    match body.reducer {
        None => nest::pointwise_stmts(b, body, Update::Set),
        Some(r) => reduce::reduction_stmts(b, body, r, Initial::Unit),
    }
}

/// Lets a variable of a body run over a block; local buffers begin with it.
fn take_block(
    b: &mut KernelBuilder<'_, '_>,
    body: &mut Body,
    place: usize,
    (lo, count, rows): Taken<'_>,
) {
    let Some((v, _)) = body.vars.get(place).cloned() else { return };
    // All rows of a block have the same quotient by their number.
    let number = b.kernel.fresh_var("q");
    let size = IntExpr::constant(rows);
    let quotient = IntExpr::from(v).div(&size);
    if rows > 1 {
        body.rewrite(&|i| if *i == quotient { number.into() } else { i.clone() }, &mut |e| e);
    }
    if body.exprs().any(|e| e.mentions(number)) {
        body.fixed.insert(number, lo.div(&size));
    }
    let Some(origin) = body.take(b, v, (lo, count), rows) else { return };
    let locals: Vec<TensorId> = b.locals.values().map(|l| l.buffer).collect();
    let within = |t: TensorId, subscripts: &mut Vec<Subscript>| {
        if locals.contains(&t)
            && let Some(Subscript::Affine(i)) = subscripts.first_mut()
        {
            *i = i.clone() - IntExpr::from(origin);
        }
    };
    body.rewrite(&IntExpr::clone, &mut |e| match e {
        Expr::Read(mut r) => {
            within(r.tensor, &mut r.subscripts);
            Expr::Read(r)
        }
        e => e,
    });
    within(body.buffer, &mut body.subscripts);
}

/// Where an equation of a group reads one of its tensors.
pub(crate) fn local_read(
    locals: &IndexMap<TensorId, Local>,
    r: &Read,
    subscripts: &[Subscript],
) -> Option<Read> {
    let l = locals.get(&r.tensor)?;
    let subscripts = subscripts.iter().skip(l.dropped).cloned().collect();
    Some(Read { tensor: l.buffer, dtype: r.dtype, subscripts, default: None })
}
