//! `reverse_inline(relu)`: what a block makes of another one's elements is made where those are.
//!
//! ```text
//! alloc T: f32[N] @local
//! for i in N { block scale(a = i) { T[a] = 2*X[a] } }
//! for j in N { block relu(b = j) { Y[b] = max(T[b], 0) } }
//! // reverse_inline(relu)
//! for i in N { block scale(a = i) { let T_v: f32 = 2*X[a]   Y[a] = max(T_v, 0) } }
//! ```
//!
//! Legal if the block assigns, alone in its loops, and reads one element of a buffer that nothing
//! else reads and that one earlier block assigns, each element once and all that are read. What a
//! reduction sums up has its value only at its end: `reverse_compute_at` puts a block there. What
//! else the block reads, and what it writes, is left alone in between.

use super::address::{Address, Path, assume, follows, replaced};
use super::cache::{accesses_of, loops_in};
use super::compute_at::is_complete;
use super::dependence::declared;
use super::edit::{fresh_buffer, guarded};
use super::inline::nest_root;
use super::nest::allocated;
use super::nested_block::NestedBlock;
use super::rebase::rewrite_block;
use super::region::{Region, covers};
use super::shrink::{remove_alloc, users};
use super::{Names, Refusal};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::dependence::{Accesses, Range};
use tcc_ir::kernel::{Block, Buffer, Kernel, Scope, Stmt, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Read};
use tcc_ir::{TensorId, VarId};

pub(super) fn reverse_inline(k: &mut Kernel, block: &str) -> Result<(), Refusal> {
    let at = Address::of_block(k, block)?;
    let root = nest_root(k, &at);
    let nest = NestedBlock::of(k, &root, &at)?;
    let (t, producer_at) = produced(k, &nest, &at, &root)?;
    let axes = read_loops(k, &nest, t)?;
    let fusion = Fusion::of(k, &nest, (&root, &producer_at), (t, &axes))?;
    let made = fusion.block(k)?;
    let conditions = fusion.conditions(k);
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.remove(position);
    }
    if let Some((body, position)) = producer_at.siblings_mut(&mut k.body) {
        body.splice(position..=position, guarded(conditions, vec![Stmt::Block(made)]));
    }
    remove_alloc(&mut k.body, t);
    Ok(())
}

/// The buffer that only the block reads, and the block that makes it.
fn produced(
    k: &Kernel,
    nest: &NestedBlock,
    at: &Address,
    root: &Address,
) -> Result<(TensorId, Address), Refusal> {
    let b = &nest.block;
    if b.store.update != Update::Set || b.init.is_some() {
        let buffer = Names(k).buffer(b.store.buffer);
        return Err(Refusal::Reduces { block: b.name.clone(), buffer });
    }
    let own = allocated(k);
    let mut found: Vec<(TensorId, Address)> = Vec::new();
    for r in b.exprs().into_iter().flat_map(Expr::reads) {
        if !own.contains(&r.tensor) || found.iter().any(|(t, _)| *t == r.tensor) {
            continue;
        }
        let mut others = users(&k.body, r.tensor).into_iter().filter(|u| u != at);
        let (Some(other), None) = (others.next(), others.next()) else { continue };
        let (mine, earlier) = root.apart(&other);
        let writes = other.block(&k.body).is_some_and(|b| b.store.buffer == r.tensor);
        if writes && mine == *root && earlier.position() < root.position() {
            found.push((r.tensor, other));
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Refusal::SeveralMade { block: b.name.clone() }),
        (None, _) => Err(Refusal::NoProducer { block: b.name.clone() }),
    }
}

/// The loop of the block that moves each axis of what it reads; each loop moves one.
fn read_loops(k: &Kernel, nest: &NestedBlock, t: TensorId) -> Result<Vec<Option<VarId>>, Refusal> {
    let b = &nest.block;
    let mut axes: Option<Vec<Option<VarId>>> = None;
    for r in b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == t) {
        let each = r.subscripts.iter().map(|s| {
            let i = b.over_loops(s.as_affine()?);
            if i.mentions_vars() { Some(Some(i.as_var()?)) } else { Some(None) }
        });
        let each: Option<Vec<Option<VarId>>> = each.collect();
        let same = each.is_some() && axes.as_ref().is_none_or(|a| Some(a) == each.as_ref());
        if !same || r.default.is_some() {
            let buffer = Names(k).buffer(t);
            return Err(Refusal::NotOneElement { block: b.name.clone(), buffer });
        }
        axes = each;
    }
    let axes = axes.unwrap_or_default();
    let each_once = |v: VarId| axes.iter().filter(|a| **a == Some(v)).count() == 1;
    if nest.loops.iter().all(|f| each_once(f.var)) {
        return Ok(axes);
    }
    Err(Refusal::NotOneElement { block: b.name.clone(), buffer: Names(k).buffer(t) })
}

/// A block that makes elements, and one that uses them.
struct Fusion<'a> {
    nest: &'a NestedBlock,
    t: TensorId,
    producer: Block,
    /// The loops of the user as positions of the producer, in its variables and over its loops.
    inside: Vec<(VarId, IntExpr)>,
    over_loops: Vec<(VarId, IntExpr)>,
    place: Address,
}

impl<'a> Fusion<'a> {
    fn of(
        k: &Kernel,
        nest: &'a NestedBlock,
        (root, place): (&Address, &Address),
        (t, axes): (TensorId, &[Option<VarId>]),
    ) -> Result<Fusion<'a>, Refusal> {
        let Some(producer) = place.block(&k.body).cloned() else {
            unreachable!("the address is that of a block")
        };
        let buffer = Names(k).buffer(t);
        is_complete(k, &producer)?;
        if producer.store.update != Update::Set {
            return Err(Refusal::Reduces { block: producer.name, buffer });
        }
        let (_, earlier) = root.apart(place);
        let outside = Path::to(&k.body, &earlier);
        let path = Path::to(&k.body, place);
        let unfinished = || Refusal::NotAllMade {
            block: nest.block.name.clone(),
            producer: producer.name.clone(),
            buffer: buffer.clone(),
        };
        let position: Option<Vec<IntExpr>> =
            producer.store.subscripts.iter().map(|s| s.as_affine().cloned()).collect();
        let position = position.filter(|_| producer.guard.is_none()).ok_or_else(unfinished)?;
        let pairs = |of: &dyn Fn(&IntExpr) -> IntExpr| -> Vec<(VarId, IntExpr)> {
            axes.iter().zip(&position).filter_map(|(v, p)| Some(((*v)?, of(p)))).collect()
        };
        let inside = pairs(&IntExpr::clone);
        let over_loops = pairs(&|p| path.resolve(&producer.over_loops(p)));
        let fusion = Fusion {
            nest,
            t,
            producer: producer.clone(),
            inside,
            over_loops,
            place: place.clone(),
        };
        fusion.once(k, &outside)?;
        if !fusion.makes_all(k, (&earlier, &outside), axes) {
            return Err(unfinished());
        }
        fusion.undisturbed(k, (&earlier, root))?;
        Ok(fusion)
    }

    /// Refuses if either block writes an element twice.
    fn once(&self, k: &Kernel, outside: &Path<'_>) -> Result<(), Refusal> {
        let path = Path::to(&k.body, &self.place);
        let loops = path.ranges().split_off(outside.ranges().len());
        injective(k, &self.producer, &loops, &path)?;
        injective(k, &self.nest.block, &self.nest.ranges(), &Path::default())
    }

    /// True if every element that the user reads is made.
    fn makes_all(
        &self,
        k: &Kernel,
        (earlier, outside): (&Address, &Path<'_>),
        axes: &[Option<VarId>],
    ) -> bool {
        let Some(s) = earlier.stmt(&k.body) else { return false };
        let body = std::slice::from_ref(s);
        let sizes = declared(k);
        let accesses = Accesses::of(k, body, &sizes);
        let shape = k.buffers.get(self.t).map_or(vec![], |b| b.shape.clone());
        let (inner, facts) = (loops_in(outside, body), outside.facts(k));
        let all = accesses_of(outside, &accesses, self.t);
        let Some((_, position)) = all.iter().find(|(a, _)| a.writes) else { return false };
        let region = Region::around([position.as_slice()].into_iter(), &shape, &inner, &facts);
        let position: Option<Vec<IntExpr>> = position.iter().cloned().collect();
        let same = |s: &Stmt| matches!(s, Stmt::Block(b) if b == &self.producer);
        let at = Address::all(body, &same).pop();
        let (Some(region), Some(position), Some(at)) = (region, position, at) else {
            return false;
        };
        let one = IntExpr::constant(1);
        let domain = |v: &Option<VarId>| self.nest.loops.iter().find(|f| Some(f.var) == *v);
        let within = axes.iter().zip(region.lo.iter().zip(&region.last)).all(|(v, (lo, last))| {
            domain(v)
                .is_none_or(|f| facts.at_most(lo, &f.lo) && facts.at_most(&(&f.hi - &one), last))
        });
        let needed = |p: &[IntExpr]| -> Vec<Expr> {
            let read = p.iter().zip(axes).filter_map(|(p, v)| Some((p, domain(v)?)));
            read.flat_map(|(p, f)| {
                [
                    Expr::Compare(Comparison::Ge, p.clone(), f.lo.clone()),
                    Expr::Compare(Comparison::Lt, p.clone(), f.hi.clone()),
                ]
            })
            .collect()
        };
        within && covers(k, outside, &Path::to(body, &at), &position, &needed)
    }

    /// Refuses if what the user writes is accessed in between, or what else it reads is written.
    fn undisturbed(
        &self,
        k: &Kernel,
        (earlier, root): (&Address, &Address),
    ) -> Result<(), Refusal> {
        let Some((body, first)) = earlier.siblings(&k.body) else { return Ok(()) };
        let between = body.get(first..root.position()).unwrap_or(&[]);
        let sizes = declared(k);
        let accesses = Accesses::of(k, between, &sizes);
        let b = &self.nest.block;
        let user_of = |a: &tcc_ir::kernel::dependence::Access<'_>| {
            a.block.map_or("if", |b| b.name.as_str()).to_owned()
        };
        if let Some(a) = accesses.list.iter().find(|a| a.buffer == b.store.buffer) {
            let buffer = Names(k).buffer(b.store.buffer);
            return Err(Refusal::UsedBetween { block: b.name.clone(), buffer, user: user_of(a) });
        }
        for r in b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor != self.t) {
            if let Some(w) = accesses.list.iter().find(|a| a.writes && a.buffer == r.tensor) {
                let buffer = Names(k).buffer(r.tensor);
                return Err(Refusal::Changed { block: b.name.clone(), buffer, writer: user_of(w) });
            }
        }
        Ok(())
    }

    /// The producer that does the user's work as well.
    fn block(&self, k: &mut Kernel) -> Result<Block, Refusal> {
        let (user, producer) = (&self.nest.block, &self.producer);
        let stem = format!("{}_v", Names(k).buffer(self.t));
        let dtype = producer.store.value.dtype();
        let name = fresh_buffer(k, &stem);
        let made = k.buffers.push(Buffer { name, dtype, shape: vec![], scope: Scope::Let });
        let mut values: Vec<(VarId, IntExpr)> = Vec::new();
        for (v, e) in &user.iters {
            let value = replaced(e, &self.inside);
            let own = |w: VarId| producer.iters.iter().any(|(x, _)| *x == w);
            let mut foreign = false;
            value.visit_symbols(&mut |s| {
                foreign |= matches!(s, tcc_ir::int::Symbol::Var(w) if !own(w));
            });
            if foreign {
                let buffer = Names(k).buffer(self.t);
                return Err(Refusal::NotOneElement { block: user.name.clone(), buffer });
            }
            values.push((*v, value));
        }
        let int = |e: &IntExpr| replaced(e, &values);
        let fused = rewrite_block(user, &int, &mut |e| match e {
            Expr::Read(r) if r.tensor == self.t => {
                let (subscripts, default) = (vec![], None);
                Expr::Read(Box::new(Read { tensor: made, subscripts, default, ..*r }))
            }
            other => other,
        });
        let mut value = producer.store.value.clone();
        if dtype.is_storage_float() {
            // The store rounded.
            value = Expr::Cast(dtype, Box::new(value));
        }
        let mut lets = producer.lets.clone();
        lets.push((made, value));
        lets.extend(fused.lets);
        if fused.guard.as_ref().is_some_and(|g| g.reads().iter().any(|r| r.tensor == made)) {
            let buffer = Names(k).buffer(self.t);
            return Err(Refusal::NotOneElement { block: user.name.clone(), buffer });
        }
        Ok(Block { guard: fused.guard, lets, store: fused.store, ..producer.clone() })
    }

    /// Where the user runs, over the loops of the producer.
    fn conditions(&self, k: &Kernel) -> Vec<Expr> {
        let int = |e: &IntExpr| replaced(e, &self.over_loops);
        let mut out = Vec::new();
        for f in &self.nest.loops {
            let position = int(&f.var.into());
            out.push(Expr::Compare(Comparison::Ge, position.clone(), int(&f.lo)));
            out.push(Expr::Compare(Comparison::Lt, position, int(&f.hi)));
        }
        out.extend(
            self.nest.conditions.iter().flat_map(|c| {
                c.operands(Func::And).into_iter().map(|c| c.rewrite(&int, &mut |e| e))
            }),
        );
        let mut facts = Path::to(&k.body, &self.place).facts(k);
        out.retain(|c| {
            let new = !follows(&facts, c);
            if new {
                assume(&mut facts, c);
            }
            new
        });
        out
    }
}

/// Refuses a block that writes an element in several iterations of its loops.
fn injective(k: &Kernel, b: &Block, loops: &[Range], path: &Path<'_>) -> Result<(), Refusal> {
    let stmts = [Stmt::Block(b.clone())];
    let sizes = declared(k);
    let accesses = Accesses::of(k, &stmts, &sizes);
    let Some(write) = accesses.list.iter().find(|a| a.writes) else { return Ok(()) };
    let mut write = write.clone();
    write.position.iter_mut().flatten().for_each(|p| *p = path.resolve(p));
    if accesses.open_loops(loops, &write, &write).is_empty() {
        return Ok(());
    }
    let buffer = Names(k).buffer(b.store.buffer);
    Err(Refusal::WritesAgain { block: b.name.clone(), buffer })
}
