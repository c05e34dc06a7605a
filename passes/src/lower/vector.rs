//! Which variable of a body can run in vector lanes.

use super::block::Body;
use tcc_abi::DType;
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::Kernel;
use tcc_ir::scalar::{Expr, Read, Subscript};

/// How an access moves with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// Not at all.
    Fixed,
    /// To the next element.
    Next,
    /// To the second, third or fourth next one: a few vectors hold what one of them takes.
    Gaps,
    /// In some other way.
    Other,
}

/// How subscripts move with a variable.
pub(super) fn motion(subscripts: &[Subscript], v: VarId) -> Motion {
    let Some((last, outer)) = subscripts.split_last() else { return Motion::Fixed };
    if outer.iter().any(|s| s.mentions(v)) {
        return Motion::Other;
    }
    if !last.mentions(v) {
        return Motion::Fixed;
    }
    match last.as_affine().and_then(|i: &IntExpr| i.linear_in(v)?.0.as_constant()) {
        Some(1) => Motion::Next,
        Some(2..=4) => Motion::Gaps,
        _ => Motion::Other,
    }
}

/// The number of lanes in which the body can run over `v`, if every value that moves with `v` has
/// elements of one size; `None` if it cannot or if nothing would be gained.
pub(super) fn lanes(kernel: &Kernel, body: &Body, v: VarId, vector_bytes: u32) -> Option<i64> {
    let store = kernel.buffers.get(body.buffer)?.dtype;
    let size = store.size();
    if !supported(store) || body.subscripts.iter().any(|s| s.as_affine().is_none()) {
        return None;
    }
    if reads_other_lanes(body, v) {
        return None;
    }
    if divides_by_a_size(body, v) {
        return None;
    }
    let masked = vector_bytes >= super::nest::MASKED;
    let mut same = true;
    let mut gain = false;
    for e in body.exprs() {
        e.visit(&mut |x| {
            let dtype = x.dtype();
            same &= dtype == DType::Bool && !matches!(x, Expr::Read(_))
                || (dtype.size() == size && supported(dtype));
            match x {
                Expr::Read(r) => gain |= loads_a_vector(r, v, masked),
                Expr::Apply(f, _) => gain |= f.is_expanded(),
                _ => {}
            }
        });
    }
    let constant = matches!(body.value, Expr::Literal(_) | Expr::Index { .. });
    (same && (gain || constant)).then(|| i64::from(vector_bytes) / size as i64)
}

/// True if a point may read an element of the written tensor that belongs to another value of `v`:
/// no axis that bears `v` is subscripted alike on both sides.
fn reads_other_lanes(body: &Body, v: VarId) -> bool {
    let mut found = false;
    for e in body.exprs().chain(&body.guard) {
        e.visit(&mut |x| {
            if let Expr::Read(r) = x
                && r.tensor == body.buffer
            {
                found |= !r
                    .subscripts
                    .iter()
                    .zip(&body.subscripts)
                    .any(|(a, b)| a == b && a.mentions(v));
            }
        });
    }
    found
}

/// True if a subscript divides `v` by a size: lanes of it are no vector, and chunks of it are
/// beyond what bounds proofs show.
fn divides_by_a_size(body: &Body, v: VarId) -> bool {
    let mut found = false;
    let mut note = |e: &IntExpr| {
        found |= e.mentions(v) && e.divisors().iter().any(|d| d.as_constant().is_none());
    };
    body.exprs().for_each(|e| e.visit_ints(&mut note));
    body.subscripts.iter().filter_map(Subscript::as_affine).for_each(note);
    found
}

fn supported(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::I64 | DType::U64)
}

/// Lanes out of bounds are masked off where vectors have masks; those also take what lies in gaps.
fn loads_a_vector(r: &Read, v: VarId, masked: bool) -> bool {
    match motion(&r.subscripts, v) {
        Motion::Next => r.default.is_none() || masked,
        Motion::Gaps => masked,
        Motion::Fixed | Motion::Other => false,
    }
}

/// True if the guard mentions the variable.
pub(super) fn guarded_by(body: &Body, v: VarId) -> bool {
    body.guard.as_ref().is_some_and(|g| g.mentions(v))
}
