//! `P = rfactor(sum, ki, at=i, scope=register)`: a reduction keeps a partial result for each
//! iteration of a loop, and joins them at the end.
//!
//! ```text
//! for i in N { for ko in K { for ki in 4 {
//!     block sum(n = i, r = 4*ko + ki) { S[n] += A[n,r] }
//! } } }
//! // reassociate P = rfactor(sum, ki, at=i)
//! for i in N {
//!     alloc P: f32[4,1] @local
//!     for ki_unit in 4 { block P_unit(f = ki_unit) { P[f,0] = 0 } }
//!     for ko in K { for ki in 4 { block P(n = i, r = 4*ko + ki, f = ki) { P[f,0] += A[n,r] } } }
//!     for ki_join in 4 { block sum(n = i, f = ki_join) { S[n] += P[f,0] } }
//! }
//! ```
//!
//! An `init` becomes a block of its own before, as by `decompose_reduction`. The partial results
//! begin with the unit of the reduction. Legal if the block stands alone in its loops inside of the
//! place, and the loop moves what the block reduces over and not what it writes. Sums and products
//! of floats combine in another order, which needs `reassociate`.

use super::address::{Address, Path};
use super::anchor::Anchor;
use super::cache::{Lets, fixed_extents};
use super::compute_at::reads_others;
use super::decompose_reduction::separate_init;
use super::dependence::{declared, is_exact};
use super::edit::{copy_as, fresh_block, nested};
use super::inline::nest_root;
use super::nest::{find, is_free_for_buffer};
use super::nested_block::NestedBlock;
use super::rebase::{Rebase, fresh_iter, uses};
use super::region::Region;
use super::{Names, Refusal};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::dependence::Accesses;
use tcc_ir::kernel::{Block, Buffer, For, Kernel, Scope, Stmt, Store, Update};
use tcc_ir::scalar::{Expr, Func, Read, Reducer, Subscript};
use tcc_ir::schedule::Permission;
use tcc_ir::{TensorId, VarId};

/// What to split how.
pub(super) struct Rfactor<'a> {
    pub(super) block: &'a str,
    pub(super) target: &'a str,
    pub(super) at: Option<&'a String>,
    pub(super) scope: Scope,
    pub(super) partial: &'a str,
}

pub(super) fn rfactor(
    k: &mut Kernel,
    what: &Rfactor<'_>,
    permission: Option<Permission>,
) -> Result<(), Refusal> {
    let v = find(k, what.target)?;
    let address = Address::of_block(k, what.block)?;
    if !Address::of_loop(k, v).is_some_and(|l| address.is_in(&l)) {
        let (block, target) = (what.block.to_owned(), what.target.to_owned());
        return Err(Refusal::NotInside { block, target });
    }
    if !is_free_for_buffer(k, what.partial) {
        return Err(Refusal::TakenName(what.partial.to_owned()));
    }
    let root = root_in(k, &Anchor::around(k, &address, what.at)?, &address);
    let nest = NestedBlock::of(k, &root, &address)?;
    if nest.block.init.is_some() {
        let name = fresh_block(k, &format!("{}_init", what.block));
        separate_init(k, &address, nest.loops.first().map(|f| f.var), &name)?;
    }
    let address = Address::of_block(k, what.block)?;
    let anchor = Anchor::around(k, &address, what.at)?;
    let root = root_in(k, &anchor, &address);
    let nest = NestedBlock::of(k, &root, &address)?;
    let parts = Parts::of(k, &nest, v, what.target)?;
    if !parts.exact && permission != Some(Permission::Reassociate) {
        return Err(Refusal::Reassociates {
            block: what.block.to_owned(),
            buffer: Names(k).buffer(nest.block.store.buffer),
            loops: parts.reduced.iter().map(|v| Names(k).var(*v)).collect(),
        });
    }
    let made = parts.statements(k, (&anchor, &root), &nest, what)?;
    if let Some((body, position)) = root.siblings_mut(&mut k.body) {
        body.splice(position..=position, made);
    }
    Ok(())
}

/// The outermost statement inside of an anchor in which a block is alone.
fn root_in(k: &Kernel, anchor: &Anchor, address: &Address) -> Address {
    let depth = match anchor {
        Anchor::Root(_) => 0,
        Anchor::Loop(v) => Address::of_loop(k, *v).map_or(0, |l| l.depth() + 1),
    };
    let root = nest_root(k, address);
    if root.depth() < depth { address.ancestor(depth) } else { root }
}

/// A reduction to be split.
struct Parts {
    reducer: Reducer,
    /// True if the order of combining does not matter.
    exact: bool,
    /// The loops that the block reduces over.
    reduced: Vec<VarId>,
    /// The one whose iterations get results of their own.
    kept: For,
}

impl Parts {
    fn of(k: &Kernel, nest: &NestedBlock, v: VarId, target: &str) -> Result<Parts, Refusal> {
        let b = &nest.block;
        let (block, buffer) = (b.name.clone(), Names(k).buffer(b.store.buffer));
        let stmts = [Stmt::Block(b.clone())];
        let sizes = declared(k);
        let accesses = Accesses::of(k, &stmts, &sizes);
        let Some(write) = accesses.list.iter().find(|a| a.writes) else {
            return Err(Refusal::NotInside { block, target: target.to_owned() });
        };
        let Some(reducer) = write.update else {
            return Err(Refusal::NoReduction { block, buffer });
        };
        reads_others(k, b)?;
        if write.position.iter().any(Option::is_none) {
            return Err(Refusal::DataPosition { block, buffer });
        }
        if nest.loops.iter().all(|f| f.var != v) {
            return Err(Refusal::NotAlone(block));
        }
        let reduced = accesses.open_loops(&nest.ranges(), write, write);
        let kept = nest.loops.iter().find(|f| f.var == v && reduced.contains(&v));
        let Some(kept) = kept.cloned() else {
            return Err(Refusal::NotReduced { block, buffer, target: target.to_owned() });
        };
        Ok(Parts { reducer, exact: is_exact(k, write), reduced, kept })
    }

    /// The loops over the partial results, innermost the one that tells them apart.
    fn skeleton(&self, k: &Kernel, nest: &NestedBlock) -> Result<(Vec<For>, Vec<Expr>), Refusal> {
        let gone = |v: VarId| self.reduced.contains(&v) && v != self.kept.var;
        let mut loops: Vec<For> = Vec::new();
        for f in &nest.loops {
            let depends = nest.loops.iter().find(|g| {
                (self.reduced.contains(&g.var) || f.var == self.kept.var)
                    && (f.lo.mentions(g.var) || f.hi.mentions(g.var))
            });
            if let Some(g) = depends.filter(|_| !gone(f.var)) {
                let (outer, inner) = (Names(k).var(g.var), Names(k).var(f.var));
                return Err(Refusal::NotRectangular { outer, inner });
            }
            if !self.reduced.contains(&f.var) {
                loops.push(f.clone());
            }
        }
        loops.push(self.kept.clone());
        let moves = |c: &&Expr| {
            let mut found = false;
            c.visit_symbols(&mut |s| {
                found |= matches!(s, tcc_ir::int::Symbol::Var(v) if gone(v));
            });
            !found
        };
        Ok((loops, nest.conditions.iter().filter(moves).cloned().collect()))
    }

    /// The partial results: their unit, what they combine, and how they are joined.
    fn statements(
        &self,
        k: &mut Kernel,
        place: (&Anchor, &Address),
        nest: &NestedBlock,
        what: &Rfactor<'_>,
    ) -> Result<Vec<Stmt>, Refusal> {
        let (loops, conditions) = self.skeleton(k, nest)?;
        let partial = self.allocate(k, place, nest, what)?;
        let b = &nest.block;
        let dtype = b.store.value.dtype();
        let unit = Block {
            name: String::new(),
            guard: None,
            lets: vec![],
            store: Store {
                update: Update::Set,
                value: Expr::Literal(self.reducer.unit(dtype)),
                ..b.store.clone()
            },
            ..b.clone()
        };
        let unit = partial.moved(k, &without_idle(unit), self)?;
        let update = partial.moved(k, b, self)?;
        let update = Block { name: fresh_block(k, what.partial), ..update };
        // What is read of the partial results stands where the block writes.
        let value = Expr::Read(Box::new(Read {
            tensor: partial.marker,
            dtype,
            subscripts: b.store.subscripts.clone(),
            default: None,
        }));
        let joined = Block {
            guard: self.spatial_guard(b),
            lets: vec![],
            store: Store { update: Update::Reduce(self.reducer), value, ..b.store.clone() },
            ..b.clone()
        };
        let joined = partial.moved(k, &without_idle(joined), self)?;
        let name = fresh_block(k, &format!("{}_unit", what.partial));
        let start = nested(loops.clone(), conditions.clone(), vec![Stmt::Block(unit)]);
        let end = nested(loops, conditions, vec![Stmt::Block(joined)]);
        let mut made = vec![Stmt::Alloc(partial.buffer)];
        made.extend(copy_as(k, &start, "_unit", &name));
        made.extend(nested(nest.loops.clone(), nest.conditions.clone(), vec![Stmt::Block(update)]));
        made.extend(copy_as(k, &end, "_join", &b.name));
        Ok(made)
    }

    /// The comparisons of the guard that the partial results know.
    fn spatial_guard(&self, b: &Block) -> Option<Expr> {
        let known = |v: VarId| {
            let binding = b.iters.iter().find(|(w, _)| *w == v);
            binding.is_some_and(|(_, e)| !self.reduced.iter().any(|r| e.mentions(*r)))
        };
        let conjuncts = b.guard.iter().flat_map(|g| g.operands(Func::And));
        let kept = conjuncts.filter(|c| {
            let mut spatial = matches!(c, Expr::Compare(..));
            c.visit_symbols(&mut |s| {
                spatial &= !matches!(s, tcc_ir::int::Symbol::Var(v) if !known(v));
            });
            spatial
        });
        super::edit::conjunction(kept.cloned())
    }

    fn allocate<'a>(
        &self,
        k: &mut Kernel,
        (anchor, root): (&Anchor, &Address),
        nest: &'a NestedBlock,
        what: &Rfactor<'_>,
    ) -> Result<Partial<'a>, Refusal> {
        let b = &nest.block;
        let whole = b.store.buffer;
        let place = (whole, anchor);
        let Some(old) = k.buffers.get(whole).cloned() else {
            unreachable!("a block writes a buffer of its kernel")
        };
        let over = |s: &Subscript| s.as_affine().map(|i| b.over_loops(i));
        let position: Vec<Option<IntExpr>> = b.store.subscripts.iter().map(over).collect();
        let path = Path::to(&k.body, root);
        let facts = path.facts(k);
        let one = [position.as_slice()].into_iter();
        let Some(region) = Region::around(one, &old.shape, &nest.ranges(), &facts) else {
            let buffer = old.name;
            return Err(Refusal::Unbounded { buffer, place: anchor.name(k) });
        };
        let extent = &self.kept.hi - &self.kept.lo;
        if extent.mentions_vars() || (what.scope == Scope::Register && !is_number(&extent)) {
            let (name, extent) = (what.target.to_owned(), Names(k).show(&extent).to_string());
            return Err(Refusal::ExtentVaries { name, extent });
        }
        let zero = IntExpr::constant(0);
        let mut shape = vec![if facts.is_nonneg(&extent) { extent } else { extent.maximum(&zero) }];
        shape.extend(fixed_extents(k, place, &region, &facts, what.scope)?);
        let lets = Lets::seen(&path, &[]);
        let buffer = Buffer { name: what.partial.to_owned(), shape, scope: what.scope, ..old };
        let marker = k.buffers.push(buffer.clone());
        let buffer = k.buffers.push(buffer);
        Ok(Partial { whole, buffer, marker, origin: region.lo, lets, nest })
    }
}

/// The buffer of partial results.
struct Partial<'a> {
    whole: TensorId,
    buffer: TensorId,
    /// Stands for a read of the buffer at the position that a block writes.
    marker: TensorId,
    origin: Vec<IntExpr>,
    lets: Lets,
    nest: &'a NestedBlock,
}

impl Partial<'_> {
    /// The block with its accesses moved to the partial results: those of the marker, or else what
    /// it writes.
    fn moved(&self, k: &mut Kernel, b: &Block, parts: &Parts) -> Result<Block, Refusal> {
        let reads = b.store.value.reads().iter().any(|r| r.tensor == self.marker);
        let inner: Vec<VarId> = self.nest.loops.iter().map(|f| f.var).collect();
        let rebase = Rebase {
            from: if reads { self.marker } else { self.whole },
            to: self.buffer,
            origin: &self.origin,
            inner: &inner,
            lets: &self.lets,
            only: None,
            drops_defaults: false,
        };
        let mut made = rebase.block(k, b)?;
        let f = fresh_iter(k, &made, "f");
        made.iters.push((f, IntExpr::from(parts.kept.var) - parts.kept.lo.clone()));
        let leading = Subscript::Affine(f.into());
        if made.store.buffer == self.buffer {
            made.store.subscripts.insert(0, leading);
            return Ok(made);
        }
        made.store.value = made.store.value.rewrite(&IntExpr::clone, &mut |e| match e {
            Expr::Read(mut r) if r.tensor == self.buffer => {
                r.subscripts.insert(0, leading.clone());
                Expr::Read(r)
            }
            other => other,
        });
        Ok(made)
    }
}

fn is_number(e: &IntExpr) -> bool {
    e.as_constant().is_some()
}

/// The block without variables that nothing in it mentions.
fn without_idle(mut b: Block) -> Block {
    let used: Vec<VarId> = b.iters.iter().map(|(v, _)| *v).filter(|v| uses(&b, *v)).collect();
    b.iters.retain(|(v, _)| used.contains(v));
    b
}
