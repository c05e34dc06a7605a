//! `start = decompose_reduction(mm, k)`: the `init` of a reduction becomes a block of its own
//! before a loop.
//!
//! ```text
//! for k in K { for j in N { block mm(n = j, r = k) { init C[n] = 0   C[n] += A[r] * B[r,n] } } }
//! // start = decompose_reduction(mm, k)
//! if 0 < K { for j_init in N { block start(n = j_init) { C[n] = 0 } } }
//! for k in K { for j in N { block mm(n = j, r = k) { C[n] += A[r] * B[r,n] } } }
//! ```
//!
//! Where the reduction has no iteration the element is not set, before and after; the condition is
//! left out where it is known to hold.
//!
//! Legal if the loop is around all loops that the block reduces over, the iteration that runs the
//! `init` is the first one of its element, and nothing else in the loop accesses the buffer.

use super::address::{Address, Path, assume, follows, replaced};
use super::dependence::{declared, starts_first};
use super::edit::{copy_as, nested};
use super::expand::{expanded, folded, folded_condition};
use super::nest::{find, is_free_for_block, replace};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Block, For, Kernel, Stmt, Store, Update};
use tcc_ir::scalar::{Comparison, Expr};

pub(super) fn decompose_reduction(
    k: &mut Kernel,
    block: &str,
    target: &str,
    start: &str,
) -> Result<(), Refusal> {
    let address = Address::of_block(k, block)?;
    let v = find(k, target)?;
    if !Address::of_loop(k, v).is_some_and(|l| address.is_in(&l)) {
        return Err(Refusal::NotInside { block: block.to_owned(), target: target.to_owned() });
    }
    if !is_free_for_block(k, start) {
        return Err(Refusal::TakenName(start.to_owned()));
    }
    if address.block(&k.body).is_some_and(|b| b.init.is_none()) {
        return Err(Refusal::NoInit(block.to_owned()));
    }
    separate_init(k, &address, Some(v), start)
}

/// Makes a block of an `init`: before the loop, or right before its block where there is none.
pub(super) fn separate_init(
    k: &mut Kernel,
    address: &Address,
    target: Option<VarId>,
    start: &str,
) -> Result<(), Refusal> {
    let Some(b) = address.block(&k.body).cloned() else { return Ok(()) };
    let Some(init) = &b.init else { return Ok(()) };
    let init = expanded(&b, init)?;
    if b.store.subscripts.iter().any(|s| s.as_affine().is_none()) {
        let buffer = Names(k).buffer(b.store.buffer);
        return Err(Refusal::DataPosition { block: b.name, buffer });
    }
    let made = match target {
        Some(v) => before_loop(k, address, &b, (v, &init))?,
        None => {
            let zero = IntExpr::constant(0);
            let firsts = b.reduction_vars().into_iter();
            let firsts = firsts.map(|v| Expr::Compare(Comparison::Eq, v.into(), zero.clone()));
            let guard = super::edit::conjunction(b.guard.clone().into_iter().chain(firsts));
            vec![Stmt::Block(initial(&b, (b.iters.clone(), guard), &init))]
        }
    };
    if let Some((body, at)) = address.siblings_mut(&mut k.body)
        && let Some(Stmt::Block(b)) = body.get_mut(at)
    {
        b.init = None;
    }
    let made = copy_as(k, &made, "_init", start);
    match target {
        Some(v) => {
            let mut made = Some(made);
            replace(&mut k.body, v, &mut |f| {
                let mut all = made.take().unwrap_or_default();
                all.push(Stmt::For(f));
                all
            });
        }
        None => {
            if let Some((body, at)) = address.siblings_mut(&mut k.body) {
                body.splice(at..at, made);
            }
        }
    }
    Ok(())
}

/// The block that sets the element.
fn initial(
    b: &Block,
    (iters, guard): (Vec<(VarId, IntExpr)>, Option<Expr>),
    value: &Expr,
) -> Block {
    let value = value.clone();
    let store = Store { update: Update::Set, value, ..b.store.clone() };
    Block { name: b.name.clone(), iters, guard, init: None, lets: vec![], store }
}

/// The loops that set every element that the block reduces into while the loop runs.
fn before_loop(
    k: &Kernel,
    address: &Address,
    b: &Block,
    (v, init): (VarId, &Expr),
) -> Result<Vec<Stmt>, Refusal> {
    let path = Path::to(&k.body, address);
    let outside = Path::to(&k.body, &Address::of_loop(k, v).unwrap_or_default());
    let below = Path(path.0.iter().skip(outside.0.len()).copied().collect());
    let names = Names(k);
    let block = b.name.clone();
    if !below.is_plain() {
        return Err(Refusal::Unplain { block, target: names.var(v) });
    }
    undisturbed(k, b, v, init)?;
    let start = Start::of(k, b, &path, &below)?;
    first_of_all(k, address, b, &path, (&below, &start))?;
    let first = |e: &IntExpr| replaced(&path.resolve(e), &start.values);
    let mut loops: Vec<For> = Vec::new();
    for f in below.loops().filter(|f| !start.reduces(f.var)) {
        let (lo, hi) = (path.resolve(&f.lo), path.resolve(&f.hi));
        if let Some(r) = below
            .loops()
            .find(|r| start.reduces(r.var) && (lo.mentions(r.var) || hi.mentions(r.var)))
        {
            let (outer, inner) = (names.var(r.var), names.var(f.var));
            return Err(Refusal::NotRectangular { outer, inner });
        }
        loops.push(For { lo, hi, ..f.around(vec![]) });
    }
    let mut facts = outside.facts(k);
    let rewritten = |c: &Expr| c.rewrite(&first, &mut |e| e);
    let run = below.loops().filter(|f| start.reduces(f.var));
    let run = run.map(|f| Expr::Compare(Comparison::Lt, first(&f.lo), first(&f.hi)));
    let mut conditions = Vec::new();
    for c in below.comparisons().iter().map(rewritten).chain(run) {
        if !follows(&facts, &c) {
            assume(&mut facts, &c);
            conditions.push(c);
        }
    }
    let reduced = b.reduction_vars();
    let at_start = |e: &IntExpr| {
        e.substitute(&|s| match s {
            Symbol::Var(v) if reduced.contains(&v) => Some(IntExpr::constant(0)),
            _ => None,
        })
    };
    let guard = b.guard.as_ref();
    let guard = guard.and_then(|g| folded_condition(&g.rewrite(&at_start, &mut |e| e)));
    let init = folded(&init.rewrite(&at_start, &mut |e| e));
    let spatial = b.iters.iter().filter(|(v, _)| !reduced.contains(v));
    let iters = spatial.map(|(v, e)| (*v, path.resolve(e))).collect();
    let block = initial(b, (iters, guard), &init);
    Ok(nested(loops, conditions, vec![Stmt::Block(block)]))
}

/// The loops that a block reduces over, with their first values.
pub(super) struct Start {
    pub(super) values: Vec<(VarId, IntExpr)>,
}

impl Start {
    /// Refuses loops that the `init` does not begin with.
    fn of(k: &Kernel, b: &Block, path: &Path<'_>, below: &Path<'_>) -> Result<Start, Refusal> {
        let names = Names(k);
        let block = b.name.clone();
        let reduced = b.reduction_vars();
        let is_reduced = |v: &VarId| reduced.contains(v);
        let bound = |reduces: bool, v: VarId| {
            let mut some = b.iters.iter().filter(|(w, _)| is_reduced(w) == reduces);
            some.any(|(_, e)| path.resolve(e).mentions(v))
        };
        let outside = path.loops().take(path.loops().count() - below.loops().count());
        if let Some(f) = outside.into_iter().find(|f| bound(true, f.var)) {
            return Err(Refusal::OuterReduction { block, target: names.var(f.var) });
        }
        let mut values: Vec<(VarId, IntExpr)> = Vec::new();
        for f in below.loops().filter(|f| bound(true, f.var)) {
            if bound(false, f.var) {
                return Err(Refusal::MixedLoop { block, target: names.var(f.var) });
            }
            values.push((f.var, replaced(&path.resolve(&f.lo), &values)));
        }
        let starts = b
            .iters
            .iter()
            .filter(|(v, _)| is_reduced(v))
            .all(|(_, e)| replaced(&path.resolve(e), &values).as_constant() == Some(0));
        if starts { Ok(Start { values }) } else { Err(Refusal::LateInit { block }) }
    }

    pub(super) fn reduces(&self, v: VarId) -> bool {
        self.values.iter().any(|(w, _)| *w == v)
    }
}

/// Refuses if another iteration of an element comes before the one that runs the `init`.
fn first_of_all(
    k: &Kernel,
    address: &Address,
    b: &Block,
    path: &Path<'_>,
    (below, start): (&Path<'_>, &Start),
) -> Result<(), Refusal> {
    let sizes = declared(k);
    let Some(s) = address.stmt(&k.body) else { return Ok(()) };
    let accesses = Accesses::of(k, std::slice::from_ref(s), &sizes);
    let around = below.ranges();
    let Some(write) = accesses.list.iter().find(|a| a.writes) else { return Ok(()) };
    let mut write = write.clone();
    for p in write.position.iter_mut().flatten() {
        *p = path.resolve(p);
    }
    let open = accesses.open_loops(&around, &write, &write);
    let resolved =
        Block { iters: b.iters.iter().map(|(v, e)| (*v, path.resolve(e))).collect(), ..b.clone() };
    let first = starts_first(&accesses, &around, &resolved, &open);
    if first && open.iter().all(|v| start.reduces(*v)) {
        return Ok(());
    }
    Err(Refusal::LateInit { block: b.name.clone() })
}

/// Refuses if something else in the loop accesses the buffer, or changes what `init` and guard
/// read.
fn undisturbed(k: &Kernel, b: &Block, v: VarId, init: &Expr) -> Result<(), Refusal> {
    let Some(f) = super::nest::loop_of(&k.body, v) else { return Ok(()) };
    let sizes = declared(k);
    let accesses = Accesses::of(k, &f.body, &sizes);
    let names = Names(k);
    let whole = b.store.buffer;
    let is_own = |x: Option<&Block>| x.is_some_and(|x| x.name == b.name);
    let other = accesses.list.iter().find(|a| a.buffer == whole && !(is_own(a.block) && a.writes));
    if let Some(a) = other {
        let other = a.block.map_or("if", |b| b.name.as_str()).to_owned();
        return Err(Refusal::SharedReduction {
            block: b.name.clone(),
            other,
            buffer: names.buffer(whole),
            target: names.var(v),
        });
    }
    let reads = b.guard.iter().chain([init]).flat_map(Expr::reads);
    for r in reads {
        if let Some(w) = accesses.list.iter().find(|a| a.writes && a.buffer == r.tensor) {
            return Err(Refusal::WrittenInside {
                buffer: names.buffer(r.tensor),
                writer: w.block.map_or(String::new(), |b| b.name.clone()),
                place: format!("loop `{}`", names.var(v)),
            });
        }
    }
    Ok(())
}
