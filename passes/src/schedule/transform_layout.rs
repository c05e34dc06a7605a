//! `transform_layout(T[i,j], T[j/8,i,j % 8])`: the element at a position of a buffer lies at
//! another one.
//!
//! ```text
//! alloc T: f32[M,N] @local
//! .. T[p,q] ..
//! // transform_layout(T[i,j], T[j/8,i,j % 8])
//! alloc T: f32[(N + 7)/8,M,8] @local
//! .. T[q/8,p,q % 8] ..
//! ```
//!
//! Legal if the kernel allocates the buffer and different positions stay different. An axis that
//! some access takes from data must stay an axis.

use super::address::Address;
use super::dependence::declared;
use super::edit::mapped;
use super::expand::inside_or;
use super::nest::allocated_named;
use super::rebase::rewrite_block;
use super::shrink::users;
use super::{Names, Refusal};
use tcc_ir::int::{Facts, IntExpr, Symbol, bounds};
use tcc_ir::kernel::dependence::{Access, Accesses, Range};
use tcc_ir::kernel::{Block, Buffer, Kernel, Stmt};
use tcc_ir::scalar::{Expr, Read, Subscript};
use tcc_ir::schedule::Layout;
use tcc_ir::{TensorId, VarId};

pub(super) fn transform_layout(
    k: &mut Kernel,
    buffer: &str,
    layout: &Layout,
) -> Result<(), Refusal> {
    let t = allocated_named(k, buffer)?;
    let Some(old) = k.buffers.get(t).cloned() else { return Ok(()) };
    let (given, rank) = (layout.axes.len(), old.shape.len());
    if given != rank {
        return Err(Refusal::LayoutRank { buffer: buffer.to_owned(), given, rank });
    }
    let ranges: Vec<Range> = layout
        .axes
        .keys()
        .zip(&old.shape)
        .map(|(var, n)| Range { var, lo: IntExpr::constant(0), last: n - &IntExpr::constant(1) })
        .collect();
    let facts = declared(k);
    if !is_injective(k, t, layout, (&ranges, &facts)) {
        return Err(Refusal::LayoutMeets(buffer.to_owned()));
    }
    let shape =
        shape(layout, (&ranges, &facts)).ok_or_else(|| Refusal::LayoutBounds(buffer.to_owned()))?;
    let moved = Moved { t, shape: &old.shape, layout };
    for user in users(&k.body, t) {
        moved.may_move(k, &user)?;
    }
    if let Some(b) = k.buffers.get_mut(t) {
        *b = Buffer { shape, ..old.clone() };
    }
    k.body = moved.body(&k.body)?;
    Ok(())
}

/// True if different positions have different places.
fn is_injective(
    k: &Kernel,
    t: TensorId,
    layout: &Layout,
    (ranges, facts): (&[Range], &Facts),
) -> bool {
    let accesses = Accesses::of(k, &[], facts);
    let position = layout.subscripts.iter().cloned().map(Some).collect();
    let place = Access {
        block: None,
        call: None,
        buffer: t,
        position,
        writes: true,
        update: None,
        covered: false,
    };
    accesses.open_loops(ranges, &place, &place).is_empty()
}

/// The extents that hold every place; `None` if one may be negative or cannot be bounded.
fn shape(layout: &Layout, (ranges, facts): (&[Range], &Facts)) -> Option<Vec<IntExpr>> {
    let range = |v: VarId| {
        let found = ranges.iter().find(|r| r.var == v);
        found.map(|r| (r.lo.clone(), r.last.clone()))
    };
    let mut out = Vec::new();
    for i in &layout.subscripts {
        let (lo, last) = bounds::extremes(i, &range, facts)?;
        let extent = last + IntExpr::constant(1);
        if !facts.is_nonneg(&lo) {
            return None;
        }
        let zero = IntExpr::constant(0);
        out.push(if facts.is_nonneg(&extent) { extent } else { extent.maximum(&zero) });
    }
    Some(out)
}

/// A buffer whose elements move.
struct Moved<'a> {
    t: TensorId,
    /// The extents before.
    shape: &'a [IntExpr],
    layout: &'a Layout,
}

impl Moved<'_> {
    /// Refuses accesses with data where the layout computes with them.
    fn may_move(&self, k: &Kernel, user: &Address) -> Result<(), Refusal> {
        let Some(b) = user.block(&k.body) else { return Ok(()) };
        let reads = b.exprs().into_iter().flat_map(Expr::reads).filter(|r| r.tensor == self.t);
        let mut all: Vec<&[Subscript]> = reads.map(|r| r.subscripts.as_slice()).collect();
        if b.store.buffer == self.t {
            all.push(&b.store.subscripts);
        }
        let computed = |v: VarId| {
            let mut uses = self.layout.subscripts.iter().filter(|i| i.mentions(v));
            !uses.all(|i| i.as_var() == Some(v))
        };
        let data = all.iter().any(|subscripts| {
            let axes = subscripts.iter().zip(self.layout.axes.keys());
            axes.filter(|(s, _)| s.as_affine().is_none()).any(|(_, v)| computed(v))
        });
        if data {
            let buffer = Names(k).buffer(self.t);
            return Err(Refusal::DataPosition { block: b.name.clone(), buffer });
        }
        Ok(())
    }

    fn subscripts(&self, old: &[Subscript]) -> Vec<Subscript> {
        let of = |v: VarId| {
            let axis = self.layout.axes.keys().position(|w| w == v)?;
            old.get(axis)
        };
        let one = |i: &IntExpr| match i.as_var().and_then(of) {
            Some(s) => s.clone(),
            None => Subscript::Affine(i.substitute(&|s| match s {
                Symbol::Var(v) => of(v).and_then(Subscript::as_affine).cloned(),
                Symbol::Size(_) => None,
            })),
        };
        self.layout.subscripts.iter().map(one).collect()
    }

    fn node(&self, e: Expr) -> Expr {
        let Expr::Read(r) = e else { return e };
        if r.tensor != self.t {
            return Expr::Read(r);
        }
        let subscripts = self.subscripts(&r.subscripts);
        let Some(default) = &r.default else {
            return Expr::Read(Box::new(Read { subscripts, ..*r }));
        };
        // A position out of bounds may lie at a place in bounds.
        let axes = r.subscripts.iter().zip(self.shape);
        let affine: Vec<_> = axes.filter_map(|(s, n)| Some((s.as_affine()?, n))).collect();
        let read = Expr::Read(Box::new(Read { subscripts, ..r.as_ref().clone() }));
        inside_or(read, affine.into_iter(), default)
    }

    fn body(&self, body: &[Stmt]) -> Result<Vec<Stmt>, Refusal> {
        let mut block = |b: &Block| {
            let mut made = rewrite_block(b, &IntExpr::clone, &mut |e| self.node(e));
            if made.store.buffer == self.t {
                made.store.subscripts = self.subscripts(&made.store.subscripts);
            }
            Ok(made)
        };
        mapped(body, &mut block, &|e| e.rewrite(&IntExpr::clone, &mut |e| self.node(e)))
    }
}
