//! `tensorize(i, f)`: a loop, with what is inside of it, becomes a call of the intrinsic `f`.
//!
//! ```text
//! for ii in 4 { if 4*io + ii < M { for k in K { block mm(m = 4*io + ii, r = k) {
//!     C[m] += P[r,m % 4] * B[r] @fma } } } }
//! // tensorize(ii, f), where f is { for m in M { for k in K { C[m] += A[k,m] * B[k] @fma } } }
//! intrin f(P[k, m | k in K, m in 4], B[k | k in K]) -> C[4*io + m | m in min(4, M - 4*io)]
//! ```
//!
//! Legal if the nest is the meaning of the intrinsic under names: its loops, in an order that
//! changes no bit (or other ones that `reassociate` allows), are those of the meaning; its block
//! does the same on elements that are linear in them; and its conditions bound them from above.
//! That the parts are in bounds, as large and as dense as the declaration asks for, and not written
//! twice, the verifier proves of the call.

use super::address::Address;
use super::dependence::{Chain, check};
use super::edit::guarded;
use super::expand::expanded;
use super::nest::{find, replace};
use super::nested_block::NestedBlock;
use super::{Names, Refusal};
use cranelift_entity::{EntityRef, SecondaryMap};
use std::sync::Arc;
use tcc_ir::TensorId;
use tcc_ir::VarId;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::intrinsic::{Intrinsic, at_call};
use tcc_ir::kernel::{Block, For, IntrinsicCall, Kernel, LoopKind, Stmt, View};
use tcc_ir::scalar::{Expr, Func, Read, Subscript};
use tcc_ir::schedule::Permission;

/// More loops are not matched: their orders would be too many.
const MOST_LOOPS: usize = 6;

pub(super) fn tensorize(
    k: &mut Kernel,
    target: &str,
    intrinsic: &Arc<Intrinsic>,
    permission: Option<Permission>,
) -> Result<(), Refusal> {
    let refuse = |what: String| {
        let (target, intrinsic) = (target.to_owned(), intrinsic.name.clone());
        Refusal::Unlike { target, intrinsic, what }
    };
    let v = find(k, target)?;
    let Some(root) = Address::of_loop(k, v) else { return Ok(()) };
    let code = Nest::of(k, &root).map_err(refuse)?;
    let meaning = Nest::of(&intrinsic.kernel, &Address::root(0))
        .map_err(|what| refuse(format!("in its meaning, {what}")))?;
    if let Some(what) = meaning.differs(&code) {
        return Err(refuse(what));
    }
    let (outer, extents) = code.extents(k).map_err(refuse)?;
    let found = orders(code.nest.loops.len()).into_iter().filter_map(|order| {
        let matching =
            Matching { intrinsic, meaning: &meaning, code: &code, order, extents: &extents };
        matching.views().map(|views| (matching.order, views))
    });
    let params = intrinsic.kernel.params.len();
    let turned = |views: &[View]| views.iter().skip(params).filter(|v| !is_row_wise(v)).count();
    let found = found.min_by_key(|(_, views)| turned(views));
    let Some((order, views)) = found else {
        let name = &code.nest.block.name;
        return Err(refuse(format!(
            "block `{name}` does something else under any order of its loops"
        )));
    };
    let body = [Stmt::Block(code.nest.block.clone())];
    let chain = Chain { loops: &code.nest.loops, body: &body };
    let loops = |n: &usize| code.nest.loops.get(*n).map(|f| f.var);
    let order: Vec<VarId> = order.iter().filter_map(loops).collect();
    check(k, &chain, &order, permission == Some(Permission::Reassociate))?;
    let call = Stmt::Intrin(IntrinsicCall { intrinsic: intrinsic.clone(), views });
    let mut made = Some(guarded(outer, vec![call]));
    replace(&mut k.body, v, &mut |_| made.take().unwrap_or_default());
    Ok(())
}

/// Loops with one block inside.
struct Nest {
    nest: NestedBlock,
    /// What the block stores, its `let`s written out.
    value: Expr,
}

impl Nest {
    /// The nest at a loop, or what it is instead.
    fn of(k: &Kernel, root: &Address) -> Result<Nest, String> {
        let mut blocks = Address::all(&k.body, &|s| matches!(s, Stmt::Block(_)));
        blocks.retain(|b| b.is_in(root));
        let [at] = blocks.as_slice() else {
            return Err(format!("there are {} blocks instead of one", blocks.len()));
        };
        let nest = NestedBlock::of(k, root, at).map_err(|e| e.to_string())?;
        let b = &nest.block;
        let marked = nest.loops.iter().find(|f| f.kind != LoopKind::Serial);
        if let Some(f) = marked {
            return Err(format!("loop `{}` is marked `{}`", Names(k).var(f.var), f.kind.name()));
        }
        if b.init.is_some() {
            return Err(format!(
                "block `{}` has an `init`; `decompose_reduction` parts it",
                b.name
            ));
        }
        if b.guard.is_some() || b.store.drop {
            return Err(format!("block `{}` runs under a condition of its own", b.name));
        }
        let value = expanded(b, &b.store.value).map_err(|e| e.to_string())?;
        Ok(Nest { nest, value })
    }

    /// What tells at first sight that the other one is not the same.
    fn differs(&self, code: &Nest) -> Option<String> {
        let (wanted, found) = (self.nest.loops.len(), code.nest.loops.len());
        let (b, c) = (&self.nest.block, &code.nest.block);
        if wanted != found {
            Some(format!("it has {found} loops around block `{}`, the meaning {wanted}", c.name))
        } else if found > MOST_LOOPS {
            Some(format!("more than {MOST_LOOPS} loops are not matched"))
        } else if !self.nest.conditions.is_empty() {
            Some("its meaning has conditions".to_owned())
        } else if b.store.update != c.store.update {
            Some(format!("block `{}` combines or rounds in another way", c.name))
        } else {
            None
        }
    }

    /// Conditions about what is around the nest, and the extents of its loops as the others bound
    /// them.
    fn extents(&self, k: &Kernel) -> Result<(Vec<Expr>, Vec<IntExpr>), String> {
        let loops = &self.nest.loops;
        let own = |e: &IntExpr| loops.iter().filter(|f| e.mentions(f.var)).count();
        let names = Names(k);
        let mut ends: Vec<IntExpr> = loops.iter().map(|f| f.hi.clone()).collect();
        if let Some(f) = loops.iter().find(|f| own(&f.lo) + own(&f.hi) > 0) {
            return Err(format!(
                "the bounds of loop `{}` depend on another loop",
                names.var(f.var)
            ));
        }
        let mut outer = Vec::new();
        for c in self.nest.conditions.iter().flat_map(|c| c.operands(Func::And)) {
            let Expr::Compare(op, a, b) = c else {
                return Err("a condition depends on data".to_owned());
            };
            if own(&(a - b)) == 0 {
                outer.push(c.clone());
                continue;
            }
            let bounds = op.as_nonneg(a, b);
            if bounds.is_empty() {
                return Err("a condition leaves single iterations out".to_owned());
            }
            for slack in bounds {
                let bounded = loops.iter().zip(&mut ends).find(|(f, _)| slack.mentions(f.var));
                let Some((f, end)) = bounded else { continue };
                let last = slack
                    .linear_in(f.var)
                    .filter(|(step, rest)| step.as_constant() == Some(-1) && own(rest) == 0);
                let Some((_, last)) = last else {
                    let name = names.var(f.var);
                    return Err(format!("a condition bounds loop `{name}` not from above alone"));
                };
                *end = end.minimum(&(last + IntExpr::constant(1)));
            }
        }
        Ok((outer, ends.iter().zip(loops).map(|(end, f)| end - &f.lo).collect()))
    }
}

/// True if the last axis of a view moves along the last one of its buffer, whose elements are
/// neighbours.
fn is_row_wise(v: &View) -> bool {
    match (v.axes.last(), v.subscripts.last()) {
        (Some((axis, _)), Some(last)) => last.mentions(*axis),
        _ => true,
    }
}

/// All orders of that many things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    (0..n).fold(vec![vec![]], |all, _| {
        let longer = |order: &Vec<usize>| {
            let left = (0..n).filter(|k| !order.contains(k));
            left.map(|k| [order.as_slice(), &[k]].concat()).collect::<Vec<_>>()
        };
        all.iter().flat_map(longer).collect()
    })
}

/// An attempt to read a nest as a meaning.
struct Matching<'a> {
    intrinsic: &'a Intrinsic,
    meaning: &'a Nest,
    code: &'a Nest,
    /// For each loop of the meaning, the loop of the code.
    order: Vec<usize>,
    /// Of the loops of the code.
    extents: &'a [IntExpr],
}

/// The part of a buffer that each argument of the meaning is, as far as it is known.
type Views = SecondaryMap<TensorId, Option<View>>;

impl Matching<'_> {
    /// The arguments of the call, if the attempt succeeds.
    fn views(&self) -> Option<Vec<View>> {
        let sizes = self.sizes()?;
        let mut views = Views::new();
        let (b, c) = (&self.meaning.nest.block, &self.code.nest.block);
        let at = |b: &Block| (b.store.buffer, b.store.subscripts.clone());
        if !self.access(at(b), at(c), &sizes, &mut views) {
            return None;
        }
        if !self.expr((&self.meaning.value, &self.code.value), &sizes, &mut views) {
            return None;
        }
        self.intrinsic.kernel.arguments().map(|t| views[t].clone()).collect()
    }

    /// The loop of the code for one of the meaning, with its extent.
    fn loop_of(&self, v: VarId) -> Option<(&For, &IntExpr)> {
        let at = self.meaning.nest.loops.iter().position(|f| f.var == v)?;
        let n = *self.order.get(at)?;
        self.code.nest.loops.get(n).zip(self.extents.get(n))
    }

    /// The sizes of the declaration: each is the extent of a loop, and other loops have the
    /// extents of the meaning.
    fn sizes(&self) -> Option<Vec<IntExpr>> {
        let kernel = &self.intrinsic.kernel;
        let mut sizes: Vec<Option<IntExpr>> = vec![None; kernel.sizes.len()];
        for f in &self.meaning.nest.loops {
            let (_, extent) = self.loop_of(f.var)?;
            if f.lo.as_constant() != Some(0) {
                return None;
            }
            match f.hi.as_symbol() {
                Some(Symbol::Size(s)) => {
                    let slot = sizes.get_mut(s.index())?;
                    if slot.get_or_insert_with(|| extent.clone()) != extent {
                        return None;
                    }
                }
                _ if f.hi.as_constant().is_some() && f.hi == *extent => {}
                _ => return None,
            }
        }
        sizes.into_iter().collect()
    }

    /// True if two accesses, the first of the meaning, are of the same elements.
    fn access(
        &self,
        (t, wanted): (TensorId, Vec<Subscript>),
        (buffer, found): (TensorId, Vec<Subscript>),
        sizes: &[IntExpr],
        views: &mut Views,
    ) -> bool {
        match (self.view((t, &wanted), (buffer, &found), sizes), &views[t]) {
            (Some(view), Some(known)) => view == *known,
            (Some(view), None) => {
                views[t] = Some(view);
                true
            }
            (None, _) => false,
        }
    }

    /// The part of a buffer that an argument is, if an access of it is one of the argument.
    fn view(
        &self,
        (t, wanted): (TensorId, &[Subscript]),
        (buffer, found): (TensorId, &[Subscript]),
        sizes: &[IntExpr],
    ) -> Option<View> {
        let declared = self.intrinsic.kernel.buffers.get(t)?;
        let mut axes = Vec::new();
        let mut origin: Vec<(VarId, IntExpr)> = Vec::new();
        for (s, n) in wanted.iter().zip(&declared.shape) {
            let v = self.meaning.nest.block.over_loops(s.as_affine()?).as_var()?;
            let (f, _) = self.loop_of(v)?;
            axes.push((f.var, at_call(n, sizes)));
            // The axis counts from 0.
            origin.push((f.var, f.lo.clone() + f.var.into()));
        }
        let over_axes = |s: &Subscript| {
            let i = self.code.nest.block.over_loops(s.as_affine()?);
            let own = |f: &&For| i.mentions(f.var) && !axes.iter().any(|(v, _)| *v == f.var);
            let moved = i.substitute(&|s| match s {
                Symbol::Var(v) => origin.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
                Symbol::Size(_) => None,
            });
            self.code.nest.loops.iter().find(own).is_none().then_some(moved)
        };
        let subscripts: Option<Vec<IntExpr>> = found.iter().map(over_axes).collect();
        Some(View { buffer, axes, subscripts: subscripts? })
    }

    /// True if two expressions, the first of the meaning, are the same operations on the same
    /// elements.
    fn expr(&self, (m, c): (&Expr, &Expr), sizes: &[IntExpr], views: &mut Views) -> bool {
        match (m, c) {
            (Expr::Literal(x), Expr::Literal(y)) => x == y,
            (Expr::Read(x), Expr::Read(y)) => {
                let at = |r: &Read| (r.tensor, r.subscripts.clone());
                x.default.is_none()
                    && y.default.is_none()
                    && self.access(at(x), at(y), sizes, views)
            }
            (Expr::Cast(x, m), Expr::Cast(y, c)) | (Expr::Bitcast(x, m), Expr::Bitcast(y, c)) => {
                x == y && self.expr((m, c), sizes, views)
            }
            (Expr::Apply(f, x), Expr::Apply(g, y)) if f == g && x.len() == y.len() => {
                let before = views.clone();
                if x.iter().zip(y).all(|pair| self.expr(pair, sizes, views)) {
                    return true;
                }
                *views = before;
                let commutes = matches!(f, Func::Add | Func::Mul | Func::Min | Func::Max);
                commutes && x.iter().zip(y.iter().rev()).all(|pair| self.expr(pair, sizes, views))
            }
            _ => false,
        }
    }
}
