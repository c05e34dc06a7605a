//! Buffers that hold the part of another one that some statements use.

use super::address::{Path, add_range, follows, replaced};
use super::anchor::Anchor;
use super::edit::{fresh_name, nested};
use super::nest::is_free_for_buffer;
use super::rebase::fresh_iter;
use super::region::{Region, on_axis};
use super::{Names, Refusal};
use tcc_ir::int::{Facts, IntExpr};
use tcc_ir::kernel::dependence::{Access, Accesses, Range};
use tcc_ir::kernel::{
    Block, Buffer, For, Kernel, LoopKind, Scope, Stmt, Store, Update, visit_stmts,
};
use tcc_ir::scalar::{Expr, Read, Subscript};
use tcc_ir::{TensorId, VarId};

/// What a part of a buffer is for.
pub(super) struct Part {
    /// The buffer, and the one that holds the part.
    pub(super) whole: TensorId,
    pub(super) part: TensorId,
    /// The position in the whole of the part's first element.
    pub(super) origin: Vec<IntExpr>,
    pub(super) extents: Vec<IntExpr>,
}

/// The loops inside of some statements; the rounds of a `repeat` count as a loop.
pub(super) fn loops_in(path: &Path<'_>, body: &[Stmt]) -> Vec<Range> {
    let one = IntExpr::constant(1);
    let mut out = Vec::new();
    let lets = Lets::seen(path, body);
    visit_stmts(body, &mut |s| match s {
        Stmt::For(f) => {
            out.push(Range {
                var: f.var,
                lo: lets.resolve(&f.lo),
                last: lets.resolve(&f.hi) - one.clone(),
            });
        }
        Stmt::Repeat(r) => {
            let last = lets.resolve(&r.limit) - one.clone();
            out.push(Range { var: r.var, lo: IntExpr::constant(0), last });
        }
        _ => {}
    });
    out
}

/// Values of the `let`s that statements see, over loop variables and sizes.
pub(super) struct Lets(Vec<(VarId, IntExpr)>);

impl Lets {
    /// Those inside of some statements and around them.
    pub(super) fn seen(path: &Path<'_>, body: &[Stmt]) -> Lets {
        let mut lets = path.lets();
        visit_stmts(body, &mut |s| {
            if let Stmt::Let { var, value } = s {
                let value = replaced(value, &lets);
                lets.push((*var, value));
            }
        });
        Lets(lets)
    }

    /// The expression over loop variables and sizes.
    pub(super) fn resolve(&self, e: &IntExpr) -> IntExpr {
        if self.0.is_empty() { e.clone() } else { replaced(e, &self.0) }
    }
}

/// The accesses of a buffer in the statements of an anchor, positions resolved.
pub(super) fn accesses_of<'a>(
    path: &Path<'_>,
    accesses: &'a Accesses<'a>,
    t: TensorId,
) -> Vec<(&'a Access<'a>, Vec<Option<IntExpr>>)> {
    let of = accesses.list.iter().filter(|a| a.buffer == t);
    of.map(|a| {
        let position = a.position.iter().map(|p| p.as_ref().map(|p| path.resolve(p)));
        (a, position.collect())
    })
    .collect()
}

/// A buffer for a region of another one. The extents must not depend on the loops around.
pub(super) fn allocate(
    k: &mut Kernel,
    (whole, anchor): (TensorId, &Anchor),
    region: &Region,
    facts: &Facts,
    (name, scope): (&str, Scope),
) -> Result<Part, Refusal> {
    if !is_free_for_buffer(k, name) {
        return Err(Refusal::TakenName(name.to_owned()));
    }
    let extents = fixed_extents(k, (whole, anchor), region, facts, scope)?;
    let dtype = k.buffers.get(whole).map_or(tcc_abi::DType::F32, |b| b.dtype);
    let buffer = Buffer { name: name.to_owned(), dtype, shape: extents.clone(), scope };
    let part = k.buffers.push(buffer);
    Ok(Part { whole, part, origin: region.lo.clone(), extents })
}

/// The extents of a region as a shape.
pub(super) fn fixed_extents(
    k: &Kernel,
    (whole, anchor): (TensorId, &Anchor),
    region: &Region,
    facts: &Facts,
    scope: Scope,
) -> Result<Vec<IntExpr>, Refusal> {
    let mut out = Vec::new();
    for (axis, extent) in region.extents().into_iter().enumerate() {
        let number = extent.as_constant().is_some();
        if extent.mentions_vars() || (scope == Scope::Register && !number) {
            return Err(Refusal::PartExtent {
                buffer: Names(k).buffer(whole),
                axis,
                extent: Names(k).show(&extent).to_string(),
                place: anchor.name(k),
                register: scope == Scope::Register && !extent.mentions_vars(),
            });
        }
        let zero = IntExpr::constant(0);
        out.push(if facts.is_nonneg(&extent) { extent } else { extent.maximum(&zero) });
    }
    Ok(out)
}

/// Which way a copy goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Into the part; positions out of bounds of the whole take the default, if there is one.
    Load,
    /// Back into the whole.
    Store,
}

/// Loops that copy a part element by element. Positions out of bounds of the whole are left out.
pub(super) fn transfer(
    k: &mut Kernel,
    part: &Part,
    direction: Direction,
    (name, default): (&str, Option<&Expr>),
    facts: &Facts,
) -> Vec<Stmt> {
    let shape = k.buffers.get(part.whole).map_or(vec![], |b| b.shape.clone());
    let mut facts = facts.clone();
    let (mut loops, mut conditions) = (Vec::new(), Vec::new());
    let empty = Block {
        name: name.to_owned(),
        iters: vec![],
        guard: None,
        init: None,
        lets: vec![],
        store: Store {
            buffer: part.part,
            subscripts: vec![],
            update: Update::Set,
            value: Expr::number(tcc_abi::DType::F32, 0.0),
            drop: false,
        },
    };
    let mut b = empty;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for (axis, ((lo, extent), n)) in part.origin.iter().zip(&part.extents).zip(&shape).enumerate() {
        let zero = IntExpr::constant(0);
        // A loop over one position is none.
        let step = if extent.as_constant() == Some(1) {
            zero.clone()
        } else {
            let var = fresh_name(k, &format!("{name}_{axis}"));
            let var = k.vars.push(var);
            let last = extent - &IntExpr::constant(1);
            add_range(&mut facts, &Range { var, lo: zero.clone(), last });
            let (lo, hi) = (zero.clone(), extent.clone());
            loops.push(For { var, lo, hi, kind: LoopKind::Serial, body: vec![] });
            var.into()
        };
        let position = step.clone() + lo.clone();
        if default.is_none() {
            let needed = on_axis(&position, n).into_iter().filter(|c| !follows(&facts, c));
            conditions.extend(needed);
        }
        near.push(bound(k, &mut b, &format!("i{axis}"), &step));
        far.push(if *lo == zero {
            near.last().cloned().unwrap_or_default()
        } else {
            bound(k, &mut b, &format!("x{axis}"), &position)
        });
    }
    let ((to, at), (from, value)) = match direction {
        Direction::Load => ((part.part, near), (part.whole, far)),
        Direction::Store => ((part.whole, far), (part.part, near)),
    };
    let dtype = k.buffers.get(part.whole).map_or(tcc_abi::DType::F32, |b| b.dtype);
    let affine = |list: Vec<IntExpr>| list.into_iter().map(Subscript::Affine).collect();
    let default = default.cloned();
    b.store.buffer = to;
    b.store.subscripts = affine(at);
    b.store.value =
        Expr::Read(Box::new(Read { tensor: from, dtype, subscripts: affine(value), default }));
    nested(loops, conditions, vec![Stmt::Block(b)])
}

/// A value inside of a block: a new variable bound to it, unless it is a number.
fn bound(k: &mut Kernel, b: &mut Block, stem: &str, value: &IntExpr) -> IntExpr {
    if value.as_constant().is_some() {
        return value.clone();
    }
    let v = fresh_iter(k, b, stem);
    b.iters.push((v, value.clone()));
    v.into()
}
