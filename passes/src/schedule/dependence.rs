//! Which iterations of nested loops depend on each other.
//!
//! Two accesses of one element, one of them a write, make two iterations dependent. A loop is
//! *fixed* for such a pair if the iterations agree in its variable: some axis has the same
//! subscript on both sides, and that subscript tells the variable's values apart. Loops that are
//! not fixed decide the order of the two, so their relative order must stay, unless both accesses
//! are updates of one reduction.

use super::{Names, Refusal};
use tcc_ir::TensorId;
use tcc_ir::VarId;
use tcc_ir::int::{Facts, IntExpr, Symbol, bounds};
use tcc_ir::kernel::{Block, For, Kernel, Stmt, Update, visit_stmts};
use tcc_ir::scalar::{Expr, Reducer, Subscript};

/// Perfectly nested loops around a body.
pub(super) struct Chain<'a> {
    pub(super) loops: &'a [For],
    pub(super) body: &'a [Stmt],
}

/// One access, its subscripts over loop variables; `None` for what depends on data.
struct Access<'a> {
    /// The block; `None` for the condition of an `if` or `repeat` and for an intrinsic.
    block: Option<&'a Block>,
    /// The name of the block or intrinsic.
    name: &'a str,
    buffer: TensorId,
    position: Vec<Option<IntExpr>>,
    writes: bool,
    /// How an update combines; `None` for anything else.
    update: Option<Reducer>,
}

/// Refuses an order of the loops that swaps dependent iterations.
pub(super) fn check(k: &Kernel, chain: &Chain<'_>, order: &[VarId]) -> Result<(), Refusal> {
    let scope = Scope::of(chain);
    let accesses = accesses(k, chain, &scope);
    for (n, a) in accesses.iter().enumerate() {
        let later = accesses.iter().skip(n);
        for b in later.filter(|b| b.buffer == a.buffer && (a.writes || b.writes)) {
            let open = scope.open_loops(chain, a, b);
            let kept: Vec<VarId> = order.iter().copied().filter(|v| open.contains(v)).collect();
            if kept == open || scope.commute(a, b, &open) {
                continue;
            }
            let names = Names(k);
            return Err(Refusal::Dependence {
                from: a.name.to_owned(),
                to: b.name.to_owned(),
                buffer: k.buffers.get(a.buffer).map_or(String::new(), |b| b.name.clone()),
                loops: open.iter().map(|v| names.var(*v)).collect(),
            });
        }
    }
    Ok(())
}

/// Variables of the chain and of what is inside.
struct Scope {
    /// Loops inside of the body: free in both iterations, with first and last value.
    inner: Vec<(VarId, IntExpr, IntExpr)>,
    lets: Vec<(VarId, IntExpr)>,
    /// Rounds of `repeat` inside of the body.
    rounds: Vec<VarId>,
}

impl Scope {
    fn of(chain: &Chain<'_>) -> Scope {
        let mut scope = Scope { inner: vec![], lets: vec![], rounds: vec![] };
        visit_stmts(chain.body, &mut |s| match s {
            Stmt::For(f) => {
                let last = &f.hi - &IntExpr::constant(1);
                scope.inner.push((f.var, f.lo.clone(), last));
            }
            Stmt::Let { var, value } => scope.lets.push((*var, value.clone())),
            Stmt::Repeat(r) => scope.rounds.push(r.var),
            // A call covers its views in any order.
            Stmt::Intrin(c) => {
                let axes = c.views.iter().flat_map(|v| &v.axes);
                let range = |(v, n): &(VarId, IntExpr)| {
                    (*v, IntExpr::constant(0), n - &IntExpr::constant(1))
                };
                scope.inner.extend(axes.map(range));
            }
            Stmt::Block(_) | Stmt::If { .. } | Stmt::Alloc(_) => {}
        });
        scope
    }

    /// Over loop variables and sizes alone.
    fn resolve(&self, e: &IntExpr) -> IntExpr {
        // A `let` may use the ones before it.
        self.lets.iter().rev().fold(e.clone(), |e, (v, value)| e.with_var(*v, value))
    }

    /// Subscripts over loop variables.
    fn position(&self, block: Option<&Block>, subs: &[Subscript]) -> Vec<Option<IntExpr>> {
        let iters = block.map_or(&[][..], |b| &b.iters);
        let one = |s: &Subscript| {
            let bound = s.as_affine()?.substitute(&|s| match s {
                Symbol::Var(v) => iters.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
                Symbol::Size(_) => None,
            });
            Some(self.resolve(&bound))
        };
        subs.iter().map(one).collect()
    }

    /// True for updates of one reduction that give the same in any order of the open loops.
    fn commute(&self, a: &Access<'_>, b: &Access<'_>, open: &[VarId]) -> bool {
        let same = a.writes && b.writes && a.update.is_some() && a.update == b.update;
        let (Some(x), Some(y)) = (a.block, b.block) else { return false };
        let initialized = x.init.is_some() || y.init.is_some();
        same && (!initialized || (std::ptr::eq(x, y) && self.starts_first(x, open)))
    }

    /// True if the iteration that runs the block's `init` is the first one of its element in every
    /// order: each open loop moves some reduction variable away from 0, none moves one back.
    fn starts_first(&self, b: &Block, open: &[VarId]) -> bool {
        let reduced = b.reduction_vars();
        let bindings: Vec<IntExpr> = b
            .iters
            .iter()
            .filter(|(v, _)| reduced.contains(v))
            .map(|(_, e)| self.resolve(e))
            .collect();
        open.iter().all(|v| {
            let mut factors = Vec::new();
            for e in &bindings {
                match e.linear_in(*v).and_then(|(c, _)| c.as_constant()) {
                    Some(c) => factors.push(c),
                    None => return false,
                }
            }
            factors.iter().all(|c| *c >= 0) && factors.iter().any(|c| *c > 0)
        })
    }

    /// The loops that the two iterations may differ in, outermost first.
    fn open_loops(&self, chain: &Chain<'_>, a: &Access<'_>, b: &Access<'_>) -> Vec<VarId> {
        let mut fixed: Vec<VarId> = Vec::new();
        loop {
            let before = fixed.len();
            for (x, y) in a.position.iter().zip(&b.position) {
                let (Some(x), Some(y)) = (x, y) else { continue };
                if x != y {
                    continue;
                }
                for f in chain.loops {
                    if !fixed.contains(&f.var) && self.tells_apart(x, f.var, &fixed, chain) {
                        fixed.push(f.var);
                    }
                }
            }
            if fixed.len() == before {
                break;
            }
        }
        chain.loops.iter().map(|f| f.var).filter(|v| !fixed.contains(v)).collect()
    }

    /// True if different values of `v` give different values of `e`, whatever the loops that are
    /// not fixed do.
    fn tells_apart(&self, e: &IntExpr, v: VarId, fixed: &[VarId], chain: &Chain<'_>) -> bool {
        let Some((c, rest)) = e.linear_in(v) else { return false };
        let Some(c) = c.as_constant().filter(|c| *c != 0) else { return false };
        let mut moving = IntExpr::default();
        for (m, k) in rest.terms() {
            let term = IntExpr::term(m.clone(), *k);
            let chained =
                chain.loops.iter().any(|f| !fixed.contains(&f.var) && term.mentions(f.var));
            let inner = self.inner.iter().any(|(w, ..)| term.mentions(*w))
                || self.rounds.iter().any(|w| term.mentions(*w));
            if chained || inner {
                moving = moving + term;
            }
        }
        let range = |w: VarId| -> Option<(IntExpr, IntExpr)> {
            let chained = chain.loops.iter().find(|f| f.var == w);
            match chained {
                Some(f) => Some((f.lo.clone(), &f.hi - &IntExpr::constant(1))),
                None => {
                    let found = self.inner.iter().find(|(x, ..)| *x == w);
                    found.map(|(_, lo, hi)| (lo.clone(), hi.clone()))
                }
            }
        };
        let facts = Facts::default();
        let (lo, hi) =
            (bounds::lower(&moving, &range, &facts), bounds::upper(&moving, &range, &facts));
        lo.zip(hi).and_then(|(lo, hi)| (hi - lo).as_constant()).is_some_and(|w| w < c.abs())
    }
}

/// Accesses of the body to buffers that outlive an iteration, those of conditions included.
fn accesses<'a>(k: &Kernel, chain: &Chain<'a>, scope: &Scope) -> Vec<Access<'a>> {
    let mut own: Vec<TensorId> = Vec::new();
    visit_stmts(chain.body, &mut |s| {
        if let Stmt::Alloc(t) = s {
            own.push(*t);
        }
    });
    let outlives = |t: TensorId| {
        let of_block = k.buffers.get(t).is_none_or(|b| b.scope == tcc_ir::kernel::Scope::Let);
        !of_block && !own.contains(&t)
    };
    let mut out = Vec::new();
    visit_stmts(chain.body, &mut |s| {
        let exprs: Vec<&Expr> = match s {
            Stmt::Block(b) => b.exprs(),
            Stmt::If { condition, .. } => vec![condition],
            Stmt::Repeat(r) => vec![&r.until],
            Stmt::Intrin(c) => {
                let first_result = c.params().count();
                for (n, v) in c.views.iter().enumerate().filter(|(_, v)| outlives(v.buffer)) {
                    let position = v.subscripts.iter().map(|e| Some(scope.resolve(e))).collect();
                    let (name, buffer) = (c.intrinsic.name.as_str(), v.buffer);
                    let writes = n >= first_result;
                    out.push(Access { block: None, name, buffer, position, writes, update: None });
                }
                return;
            }
            Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) => return,
        };
        let block = match s {
            Stmt::Block(b) => Some(b),
            _ => None,
        };
        let name = block.map_or("if", |b| b.name.as_str());
        let reads = exprs.into_iter().flat_map(Expr::reads);
        for r in reads.filter(|r| outlives(r.tensor)) {
            let position = scope.position(block, &r.subscripts);
            let buffer = r.tensor;
            out.push(Access { block, name, buffer, position, writes: false, update: None });
        }
        let Some(b) = block.filter(|b| outlives(b.store.buffer)) else { return };
        let update = match b.store.update {
            Update::Set => None,
            Update::Reduce(r) => Some(r),
            Update::FusedSum => Some(Reducer::Sum),
        };
        let position = scope.position(block, &b.store.subscripts);
        let buffer = b.store.buffer;
        out.push(Access { block, name, buffer, position, writes: true, update });
    });
    out
}
