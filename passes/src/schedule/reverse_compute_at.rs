//! `reverse_compute_at(relu, jo)`: a block uses what an iteration of an earlier loop makes, at its
//! end.
//!
//! ```text
//! for jo in (N + 7)/8 {
//!     for ji in 8 { if 8*jo + ji < N { block sum(n = 8*jo + ji) { T[n] = .. } } }
//! }
//! for i in N { block relu(a = i) { Y[a] = max(T[a], 0) } }
//! // reverse_compute_at(relu, jo)
//! for jo in (N + 7)/8 {
//!     for ji in 8 { if 8*jo + ji < N { block sum(n = 8*jo + ji) { T[n] = .. } } }
//!     for i in 8 { if 8*jo + i < N { block relu(a = 8*jo + i) { Y[a] = max(T[a], 0) } } }
//! }
//! ```
//!
//! Legal if each element that the block reads of what the loop makes is made in one iteration of
//! the loop and of those around it, all of an iteration's part is, and the parts together are all
//! that the block reads; the block stands alone in its loops, behind the loop; and nothing in
//! between accesses what it writes, or writes what else it reads. So each of its iterations runs
//! once, when what it reads has its final value. What the kernel allocates for this shrinks as by
//! `compute_at`.

use super::address::{Address, Path, add_range, assume};
use super::anchor::Anchor;
use super::cache::{accesses_of, loops_in};
use super::compute_at::{region_of_loops, restricted};
use super::dependence::declared;
use super::nest::find;
use super::nested_block::NestedBlock;
use super::region::{Region, covers, on_axis};
use super::shrink::{shrink, users};
use super::{Names, Refusal};
use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{For, Kernel, Stmt, Update};
use tcc_ir::scalar::{Comparison, Expr, Subscript};
use tcc_ir::{TensorId, VarId};

pub(super) fn reverse_compute_at(k: &mut Kernel, block: &str, target: &str) -> Result<(), Refusal> {
    let at = Address::of_block(k, block)?;
    let v = find(k, target)?;
    let Some(target_at) = Address::of_loop(k, v) else { return Ok(()) };
    let (root, earlier) = at.apart(&target_at);
    if at.is_in(&target_at) || root.position() <= earlier.position() {
        return Err(Refusal::NotBehind { block: block.to_owned(), target: target.to_owned() });
    }
    let nest = NestedBlock::of(k, &root, &at)?;
    let made = made_in(k, &nest, (&earlier, &root), &target_at, v)?;
    let cx = Consumer { k, nest: &nest, earlier: &earlier, v };
    let mut parts: Option<Vec<(VarId, IntExpr, IntExpr)>> = None;
    for t in &made {
        let own = cx.part(*t)?;
        if parts.is_none() {
            cx.covers_all(*t, &own)?;
        }
        cx.fits(*t, &own, parts.get_or_insert_with(|| own.loops.clone()))?;
    }
    let facts = Path::into_loop(&k.body, v).facts(k);
    let moved = restricted(&nest, &parts.unwrap_or_default(), &facts);
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.remove(position);
    }
    let anchor = Anchor::Loop(v);
    let mut all = anchor.stmts(k).to_vec();
    all.extend(moved);
    anchor.replace(k, all);
    for t in made {
        if is_own(k, t, v) {
            shrink(k, t, v);
        }
    }
    Ok(())
}

/// True if a buffer is allocated beside the statement of a loop and used in the loop alone.
fn is_own(k: &Kernel, t: TensorId, v: VarId) -> bool {
    let Some(target) = Address::of_loop(k, v) else { return false };
    let alloc = Address::all(&k.body, &|s| *s == Stmt::Alloc(t)).pop();
    let beside = alloc.is_some_and(|a| a.apart(&target).0 == a);
    beside && users(&k.body, t).iter().all(|u| u.is_in(&target) && *u != target)
}

/// The buffers that the block reads and the loop writes. Refuses what is used in between.
fn made_in(
    k: &Kernel,
    nest: &NestedBlock,
    (earlier, root): (&Address, &Address),
    target: &Address,
    v: VarId,
) -> Result<Vec<TensorId>, Refusal> {
    let names = Names(k);
    let b = &nest.block;
    let Some((body, first)) = earlier.siblings(&k.body) else { return Ok(vec![]) };
    let between = body.get(first..root.position()).unwrap_or(&[]);
    let sizes = declared(k);
    let accesses = Accesses::of(k, between, &sizes);
    let written = b.store.buffer;
    if let Some(a) = accesses.list.iter().find(|a| a.buffer == written) {
        let user = a.block.map_or("if", |b| b.name.as_str()).to_owned();
        let (block, buffer) = (b.name.clone(), names.buffer(written));
        return Err(Refusal::UsedBetween { block, buffer, user });
    }
    let mut made: Vec<TensorId> = Vec::new();
    for r in b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor != written) {
        let writers = users(&k.body, r.tensor)
            .into_iter()
            .filter(|u| u.block(&k.body).is_some_and(|b| b.store.buffer == r.tensor));
        for w in writers {
            let beside = accesses.list.iter().any(|a| {
                let same = w.block(&k.body).zip(a.block);
                a.writes && same.is_some_and(|(x, y)| std::ptr::eq(x, y))
            });
            if !beside {
                continue;
            }
            if !w.is_in(target) {
                return Err(Refusal::Changed {
                    block: b.name.clone(),
                    buffer: names.buffer(r.tensor),
                    writer: w.block(&k.body).map_or(String::new(), |b| b.name.clone()),
                });
            }
            if !made.contains(&r.tensor) {
                made.push(r.tensor);
            }
        }
    }
    if made.is_empty() {
        return Err(Refusal::NothingMade { block: b.name.clone(), target: names.var(v) });
    }
    Ok(made)
}

/// A block that is to follow a loop.
struct Consumer<'a> {
    k: &'a Kernel,
    nest: &'a NestedBlock,
    /// The statement that holds the loop.
    earlier: &'a Address,
    v: VarId,
}

/// What an iteration makes of a buffer.
struct Made {
    region: Region,
    /// The loops of the consumer that an axis of the buffer is read with, and their parts.
    loops: Vec<(VarId, IntExpr, IntExpr)>,
    axes: Vec<Option<VarId>>,
}

impl Consumer<'_> {
    fn unfinished(&self, t: TensorId) -> Refusal {
        Refusal::Unfinished {
            block: self.nest.block.name.clone(),
            buffer: Names(self.k).buffer(t),
            target: Names(self.k).var(self.v),
        }
    }

    /// The positions at which the block reads a buffer, over its loops.
    fn reads(&self, t: TensorId) -> Result<Vec<Vec<IntExpr>>, Refusal> {
        let b = &self.nest.block;
        let mut out = Vec::new();
        for r in b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == t) {
            let position = |s: &Subscript| s.as_affine().map(|i| b.over_loops(i));
            let position: Option<Vec<IntExpr>> = r.subscripts.iter().map(position).collect();
            match position.filter(|_| r.default.is_none()) {
                Some(position) => out.push(position),
                None => {
                    let buffer = Names(self.k).buffer(t);
                    return Err(Refusal::DataPosition { block: b.name.clone(), buffer });
                }
            }
        }
        Ok(out)
    }

    /// What an iteration makes of a buffer, all of which must be its own.
    fn part(&self, t: TensorId) -> Result<Made, Refusal> {
        let k = self.k;
        let anchor = Anchor::Loop(self.v);
        let (path, stmts) = (anchor.path(k), anchor.stmts(k));
        let sizes = declared(k);
        let accesses = Accesses::of(k, stmts, &sizes);
        let all = accesses_of(&path, &accesses, t);
        let outside = Path::to(&k.body, self.earlier);
        let around = path.ranges().split_off(outside.ranges().len());
        let final_here = all
            .iter()
            .filter(|(a, _)| a.writes)
            .all(|(a, _)| all.iter().all(|(b, _)| accesses.open_loops(&around, a, b).is_empty()));
        let shape = k.buffers.get(t).map_or(vec![], |b| b.shape.clone());
        let (inner, facts) = (loops_in(&path, stmts), path.facts(k));
        let axes = self.axes(t)?;
        for (a, position) in all.iter().filter(|(a, _)| a.writes) {
            let whole: Option<Vec<IntExpr>> = position.iter().cloned().collect();
            let one = [position.as_slice()].into_iter();
            let (Some(whole), Some(region)) = (whole, Region::around(one, &shape, &inner, &facts))
            else {
                continue;
            };
            let Some(b) = a.block.filter(|b| b.guard.is_none() && !b.store.drop) else { continue };
            let same = |s: &Stmt| matches!(s, Stmt::Block(x) if std::ptr::eq(x, b));
            let Some(at) = Address::all(stmts, &same).pop() else { continue };
            let sets = b.store.update == Update::Set || b.init.is_some();
            let needed = |p: &[IntExpr]| self.needed(p, &axes, &shape);
            if final_here && sets && covers(k, &path, &Path::to(stmts, &at), &whole, &needed) {
                let loops = region_of_loops(&axes, &region);
                return Ok(Made { region, loops, axes });
            }
        }
        Err(self.unfinished(t))
    }

    /// The loop that each axis of a buffer is read with: a variable that the block writes with.
    fn axes(&self, t: TensorId) -> Result<Vec<Option<VarId>>, Refusal> {
        let reads = self.reads(t)?;
        let reduced = self.nest.block.reduction_vars();
        let spatial = |v: VarId| {
            let mut bound = self.nest.block.iters.iter().filter(|(_, e)| e.mentions(v));
            bound.all(|(w, _)| !reduced.contains(w))
        };
        let rank = reads.first().map_or(0, Vec::len);
        let mut out: Vec<Option<VarId>> = Vec::new();
        for axis in 0..rank {
            let mut read = reads.iter().map(|p| p.get(axis).and_then(IntExpr::as_var));
            let first = read.next().flatten();
            let found = first.filter(|v| {
                read.all(|w| w == Some(*v))
                    && self.nest.loops.iter().any(|f| f.var == *v)
                    && spatial(*v)
                    && !out.contains(&Some(*v))
            });
            out.push(found);
        }
        Ok(out)
    }

    /// What is known of a position that the block reads.
    fn needed(&self, p: &[IntExpr], axes: &[Option<VarId>], shape: &[IntExpr]) -> Vec<Expr> {
        let mut out: Vec<Expr> = p.iter().zip(shape).flat_map(|(p, n)| on_axis(p, n)).collect();
        for (p, v) in p.iter().zip(axes) {
            let Some(f) = self.nest.loops.iter().find(|f| Some(f.var) == *v) else { continue };
            out.push(Expr::Compare(Comparison::Ge, p.clone(), f.lo.clone()));
            out.push(Expr::Compare(Comparison::Lt, p.clone(), f.hi.clone()));
        }
        let runs = |f: &For| Expr::Compare(Comparison::Lt, f.lo.clone(), f.hi.clone());
        out.extend(self.nest.loops.iter().map(runs));
        out
    }

    /// Refuses unless all iterations together make what the block reads.
    fn covers_all(&self, t: TensorId, made: &Made) -> Result<(), Refusal> {
        let k = self.k;
        let outside = Path::to(&k.body, self.earlier);
        let Some(s) = self.earlier.stmt(&k.body) else { return Ok(()) };
        let body = std::slice::from_ref(s);
        let sizes = declared(k);
        let accesses = Accesses::of(k, body, &sizes);
        let shape = k.buffers.get(t).map_or(vec![], |b| b.shape.clone());
        let (inner, facts) = (loops_in(&outside, body), outside.facts(k));
        let needed = |p: &[IntExpr]| self.needed(p, &made.axes, &shape);
        let all = accesses_of(&outside, &accesses, t);
        let whole = all.iter().filter(|(a, _)| a.writes).any(|(a, position)| {
            let one = [position.as_slice()].into_iter();
            let region = Region::around(one, &shape, &inner, &facts);
            let position: Option<Vec<IntExpr>> = position.iter().cloned().collect();
            let same = |s: &Stmt| match (s, a.block) {
                (Stmt::Block(x), Some(b)) => std::ptr::eq(x, b) && b.guard.is_none(),
                _ => false,
            };
            let at = Address::all(body, &same).pop();
            let (Some(region), Some(position), Some(at)) = (region, position, at) else {
                return false;
            };
            self.within(&region, &made.axes, &facts)
                && covers(k, &outside, &Path::to(body, &at), &position, &needed)
        });
        if whole { Ok(()) } else { Err(self.unfinished(t)) }
    }

    /// True if the loops that axes are read with run inside of a region.
    fn within(&self, region: &Region, axes: &[Option<VarId>], facts: &Facts) -> bool {
        let one = IntExpr::constant(1);
        axes.iter().zip(region.lo.iter().zip(&region.last)).all(|(v, (lo, last))| {
            let Some(f) = self.nest.loops.iter().find(|f| Some(f.var) == *v) else { return true };
            facts.at_most(lo, &f.lo) && facts.at_most(&(&f.hi - &one), last)
        })
    }

    /// Refuses unless what the block reads of a buffer, with some loops over parts, is what the
    /// iteration makes.
    fn fits(
        &self,
        t: TensorId,
        made: &Made,
        parts: &[(VarId, IntExpr, IntExpr)],
    ) -> Result<(), Refusal> {
        let mut facts = Path::into_loop(&self.k.body, self.v).facts(self.k);
        self.nest.ranges().iter().for_each(|r| add_range(&mut facts, r));
        self.nest.conditions.iter().for_each(|c| assume(&mut facts, c));
        for (v, lo, extent) in parts {
            let position = IntExpr::from(*v);
            facts.add_nonneg(position.clone() - lo.clone());
            facts.add_nonneg(lo + extent - IntExpr::constant(1) - position);
        }
        let inside = |p: &Vec<IntExpr>| {
            let bounds = made.region.lo.iter().zip(&made.region.last);
            p.iter()
                .zip(bounds)
                .all(|(p, (lo, last))| facts.at_most(lo, p) && facts.at_most(p, last))
        };
        if self.reads(t)?.iter().all(inside) { Ok(()) } else { Err(self.unfinished(t)) }
    }
}
