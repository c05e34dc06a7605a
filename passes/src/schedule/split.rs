//! `io, ii = split(i, f, tail=..)`: a loop becomes two, the inner one of extent `f`.
//!
//! ```text
//! for i in N { S(i) }
//! // io, ii = split(i, 4, tail=guard)
//! for io in (N + 3)/4 { for ii in 4 { if 4*io + ii < N { S(4*io + ii) } } }
//! // io, ii = split(i, 4, tail=peel)
//! for io in N/4 { for ii in 4 { S(4*io + ii) } }
//! for i_tail in 4*(N/4)..N { S(i_tail) }
//! ```

use super::address::{Address, Path};
use super::edit::{copy, fresh_name, guarded, substitute};
use super::nest::{find, is_free, loop_of, replace};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{For, Kernel, LoopKind, Stmt};
use tcc_ir::scalar::{Comparison, Expr};
use tcc_ir::schedule::Tail;

pub(super) fn split(
    k: &mut Kernel,
    target: &str,
    factor: i64,
    tail: Tail,
    (outer, inner): (&str, &str),
) -> Result<(), Refusal> {
    let v = find(k, target)?;
    if factor < 1 {
        return Err(Refusal::Factor(factor));
    }
    for name in [outer, inner] {
        if name != target && !is_free(k, name) {
            return Err(Refusal::TakenName(name.to_owned()));
        }
    }
    if outer == inner {
        return Err(Refusal::TakenName(inner.to_owned()));
    }
    let Some(f) = loop_of(&k.body, v) else { return Ok(()) };
    match f.kind {
        LoopKind::Serial | LoopKind::Parallel => {}
        LoopKind::Vectorize | LoopKind::Unroll | LoopKind::Bind(_) => {
            return Err(Refusal::Marked { name: target.to_owned(), kind: f.kind.name() });
        }
    }
    let (extent, by) = (&f.hi - &f.lo, IntExpr::constant(factor));
    let exact = extent.modulo(&by).as_constant() == Some(0);
    if tail == Tail::Peel && !exact && !is_never_negative(k, v, &extent) {
        let extent = Names(k).show(&extent).to_string();
        return Err(Refusal::Negative { name: target.to_owned(), extent });
    }
    let peeled = (tail == Tail::Peel && !exact).then(|| f.body.clone());
    let f = f.around(vec![]);
    let vars = (k.vars.push(outer.to_owned()), k.vars.push(inner.to_owned()));
    let position = &f.lo + by.clone() * IntExpr::from(vars.0) + IntExpr::from(vars.1);
    let blocks = match (exact, tail) {
        (true, _) | (false, Tail::Peel) => extent.div(&by),
        (false, Tail::Guard) => (extent.clone() + IntExpr::constant(factor - 1)).div(&by),
    };
    let mut rest = peeled.map(|body| {
        let start = &f.lo + by * blocks.clone();
        rest(k, &f.around(body), start, target)
    });
    let guard = match (exact, tail) {
        (true, _) | (false, Tail::Peel) => None,
        (false, Tail::Guard) => Some(Expr::Compare(Comparison::Lt, position.clone(), f.hi.clone())),
    };
    replace(&mut k.body, v, &mut |mut f| {
        substitute(&mut f.body, v, &position);
        let inside = guarded(guard.iter().cloned().collect(), f.body);
        let made = nested(vars, blocks.clone(), factor, (f.kind, inside));
        [made].into_iter().chain(rest.take()).collect()
    });
    Ok(())
}

fn nested(
    (outer, inner): (VarId, VarId),
    blocks: IntExpr,
    factor: i64,
    (kind, body): (LoopKind, Vec<Stmt>),
) -> Stmt {
    let zero = IntExpr::constant(0);
    let inner = For {
        var: inner,
        lo: zero.clone(),
        hi: IntExpr::constant(factor),
        kind: LoopKind::Serial,
        body,
    };
    Stmt::For(For { var: outer, lo: zero, hi: blocks, kind, body: vec![Stmt::For(inner)] })
}

/// The loop over what the full blocks leave.
fn rest(k: &mut Kernel, f: &For, lo: IntExpr, target: &str) -> Stmt {
    let name = fresh_name(k, &format!("{target}_tail"));
    let var = k.vars.push(name);
    let mut body = copy(k, &f.body, "_tail");
    substitute(&mut body, f.var, &var.into());
    Stmt::For(For { var, lo, hi: f.hi.clone(), kind: f.kind, body })
}

/// True if the extent is proved not to be negative where the loop stands.
fn is_never_negative(k: &Kernel, v: VarId, extent: &IntExpr) -> bool {
    let at = Address::of_loop(k, v).unwrap_or_default();
    Path::to(&k.body, &at).facts(k).is_nonneg(extent)
}
