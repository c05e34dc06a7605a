//! `reorder(a, b, c)`: perfectly nested loops in a new order; the positions that they take are the
//! old ones. Conditions between the loops, as a guarded split makes, move to the loops that they
//! mention.
//!
//! Legal if no two iterations that depend on each other change their order. The updates of one
//! reduction may where that gives the same bits, and where `reassociate` allows other ones.

use super::address::is_integer;
use super::dependence::{Chain, check};
use super::edit::nested;
use super::nest::{find, loop_of, replace};
use super::{Names, Refusal};
use tcc_ir::VarId;
use tcc_ir::kernel::{For, Kernel, Stmt};
use tcc_ir::scalar::{Expr, Func};
use tcc_ir::schedule::Permission;

pub(super) fn reorder(
    k: &mut Kernel,
    names: &[String],
    permission: Option<Permission>,
) -> Result<(), Refusal> {
    let mut wanted: Vec<VarId> = Vec::new();
    for name in names {
        let v = find(k, name)?;
        if wanted.contains(&v) {
            return Err(Refusal::Twice(name.clone()));
        }
        wanted.push(v);
    }
    let Some(nest) = Nest::of(k, &wanted)? else { return Ok(()) };
    let mut next = wanted.iter();
    let order: Vec<VarId> = nest
        .loops
        .iter()
        .map(
            |f| if wanted.contains(&f.var) { next.next().copied().unwrap_or(f.var) } else { f.var },
        )
        .collect();
    if permission != Some(Permission::Unsafe) {
        let chain = Chain { loops: &nest.loops, body: &nest.body };
        check(k, &chain, &order, permission == Some(Permission::Reassociate))?;
    }
    let outermost = nest.loops.first().map(|f| f.var);
    let mut made = Some(nest.rebuilt(&order));
    if let Some(v) = outermost {
        replace(&mut k.body, v, &mut |_| made.take().unwrap_or_default());
    }
    Ok(())
}

/// Perfectly nested loops.
struct Nest {
    /// From the outermost named one to the innermost; bodies are left out.
    loops: Vec<For>,
    /// What stands between and right below them.
    conditions: Vec<Expr>,
    /// The innermost body.
    body: Vec<Stmt>,
}

impl Nest {
    /// The nest of the named loops; `None` for fewer than two.
    fn of(k: &Kernel, wanted: &[VarId]) -> Result<Option<Nest>, Refusal> {
        let names = Names(k);
        let inside = |a: VarId, b: VarId| {
            loop_of(&k.body, a).is_some_and(|f| a != b && loop_of(&f.body, b).is_some())
        };
        let Some(first) = wanted.first().copied().filter(|_| wanted.len() > 1) else {
            return Ok(None);
        };
        let outermost =
            wanted.iter().copied().fold(first, |best, v| if inside(v, best) { v } else { best });
        if let Some(other) = wanted.iter().find(|v| **v != outermost && !inside(outermost, **v)) {
            let (outer, inner) = (names.var(outermost), names.var(*other));
            return Err(Refusal::NotNested { outer, inner });
        }
        let mut nest = Nest { loops: vec![], conditions: vec![], body: vec![] };
        let mut missing: Vec<VarId> = wanted.to_vec();
        let mut at = loop_of(&k.body, outermost);
        while let Some(f) = at {
            missing.retain(|v| *v != f.var);
            nest.loops.push(f.around(vec![]));
            let Some(target) = missing.first().copied() else {
                nest.body = nest.unconditional(&f.body).to_vec();
                break;
            };
            at = nest.descend(&f.body, (f.var, target), &names)?;
        }
        nest.rectangular(&names)?;
        Ok(Some(nest))
    }

    /// What runs where the conditions hold that a body consists of.
    fn unconditional<'k>(&mut self, body: &'k [Stmt]) -> &'k [Stmt] {
        match body {
            [Stmt::If { condition, then, otherwise }]
                if otherwise.is_empty() && is_integer(condition) =>
            {
                self.conditions.extend(condition.operands(Func::And).into_iter().cloned());
                self.unconditional(then)
            }
            other => other,
        }
    }

    /// The loop that is the only statement of a body, through conditions.
    fn descend<'k>(
        &mut self,
        body: &'k [Stmt],
        (outer, target): (VarId, VarId),
        names: &Names<'_>,
    ) -> Result<Option<&'k For>, Refusal> {
        let what = match self.unconditional(body) {
            [Stmt::For(f)] => return Ok(Some(f)),
            [.., Stmt::Block(b)] | [Stmt::Block(b), ..] => format!("block `{}`", b.name),
            [.., Stmt::Intrin(c)] | [Stmt::Intrin(c), ..] => {
                format!("intrinsic `{}`", c.intrinsic.name)
            }
            [Stmt::Repeat(_), ..] => "a `repeat`".to_owned(),
            [Stmt::If { .. }] => "an `if` that depends on data".to_owned(),
            [] | [Stmt::For(_) | Stmt::If { .. } | Stmt::Let { .. } | Stmt::Alloc(_), ..] => {
                "another statement".to_owned()
            }
        };
        let (outer, inner) = (names.var(outer), names.var(target));
        Err(Refusal::NotPerfect { outer, inner, what })
    }

    fn rectangular(&self, names: &Names<'_>) -> Result<(), Refusal> {
        for inner in &self.loops {
            let depends =
                self.loops.iter().find(|f| inner.lo.mentions(f.var) || inner.hi.mentions(f.var));
            if let Some(outer) = depends {
                let (outer, inner) = (names.var(outer.var), names.var(inner.var));
                return Err(Refusal::NotRectangular { outer, inner });
            }
        }
        Ok(())
    }

    /// The loops in another order, each condition as far out as its variables allow.
    fn rebuilt(&self, order: &[VarId]) -> Vec<Stmt> {
        let of = |v: &VarId| self.loops.iter().find(|f| f.var == *v).cloned();
        let loops = order.iter().filter_map(of).collect();
        nested(loops, self.conditions.clone(), self.body.clone())
    }
}
