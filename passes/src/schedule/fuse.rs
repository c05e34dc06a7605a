//! `f = fuse(i, j, ..)`: loops that stand directly in each other become one, in the same order.
//!
//! ```text
//! for i in M { for j in N { S(i, j) } }
//! // f = fuse(i, j)
//! if N >= 1 { for f in M*N { S(f/N, f % N) } }
//! ```
//!
//! The condition is left out where it is known to hold. It changes nothing, as without inner
//! iterations nothing runs, but what divides by `N` rests on it.

use super::address::{Address, Path};
use super::edit::{guarded, substitute};
use super::nest::{find, is_free, loop_of, replace};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{For, Kernel, LoopKind, Stmt};
use tcc_ir::scalar::{Comparison, Expr};

pub(super) fn fuse(k: &mut Kernel, targets: &[String], fused: &str) -> Result<(), Refusal> {
    let mut vars: Vec<VarId> = Vec::new();
    for name in targets {
        let v = find(k, name)?;
        if vars.contains(&v) {
            return Err(Refusal::Twice(name.clone()));
        }
        vars.push(v);
    }
    if !targets.iter().any(|t| t == fused) && !is_free(k, fused) {
        return Err(Refusal::TakenName(fused.to_owned()));
    }
    let [first, rest @ ..] = vars.as_slice() else { return Ok(()) };
    let mut outer = *first;
    for inner in rest {
        outer = fuse_two(k, outer, *inner, fused)?;
    }
    Ok(())
}

fn fuse_two(k: &mut Kernel, outer: VarId, inner: VarId, fused: &str) -> Result<VarId, Refusal> {
    let names = Names(k);
    let Some(f) = loop_of(&k.body, outer) else { return Ok(outer) };
    let [Stmt::For(g)] = f.body.as_slice() else {
        let (outer, inner) = (names.var(outer), names.var(inner));
        return Err(Refusal::NotDirectlyInside { outer, inner });
    };
    if g.var != inner {
        let (outer, inner) = (names.var(outer), names.var(inner));
        return Err(Refusal::NotDirectlyInside { outer, inner });
    }
    if g.lo.mentions(outer) || g.hi.mentions(outer) {
        let (outer, inner) = (names.var(outer), names.var(inner));
        return Err(Refusal::NotRectangular { outer, inner });
    }
    let unlike = [f, g]
        .into_iter()
        .find(|l| !matches!(l.kind, LoopKind::Serial | LoopKind::Parallel) || l.kind != f.kind);
    if let Some(l) = unlike {
        return Err(Refusal::Marked { name: names.var(l.var), kind: l.kind.name() });
    }
    let inner_extent = &g.hi - &g.lo;
    let (extent, kind) = ((&f.hi - &f.lo) * inner_extent.clone(), f.kind);
    let (outer_lo, inner_lo, mut body) = (f.lo.clone(), g.lo.clone(), g.body.clone());
    let var = k.vars.push(fused.to_owned());
    let quotient = outer_lo + IntExpr::from(var).div(&inner_extent);
    let rest = inner_lo + IntExpr::from(var).modulo(&inner_extent);
    substitute(&mut body, inner, &rest);
    substitute(&mut body, outer, &quotient);
    let made = For { var, lo: IntExpr::constant(0), hi: extent, kind, body };
    let one = IntExpr::constant(1);
    let at = Address::of_loop(k, outer).unwrap_or_default();
    let nonempty = Path::to(&k.body, &at).facts(k).is_positive(&inner_extent);
    let conditions =
        if nonempty { vec![] } else { vec![Expr::Compare(Comparison::Ge, inner_extent, one)] };
    let mut made = Some(guarded(conditions, vec![Stmt::For(made)]));
    replace(&mut k.body, outer, &mut |_| made.take().unwrap_or_default());
    Ok(var)
}
