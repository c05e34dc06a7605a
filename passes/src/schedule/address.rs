//! Where statements stand: finding blocks and loops by name, and what surrounds them.

use super::Refusal;
use super::dependence::declared;
use tcc_ir::VarId;
use tcc_ir::int::{Facts, IntExpr, Symbol};
use tcc_ir::kernel::dependence::Range;
use tcc_ir::kernel::{Block, For, Kernel, Stmt};
use tcc_ir::scalar::{Expr, Func};

/// The address of a statement: its position in each body on the way, and whether the way goes on
/// in the second body of an `if`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address(Vec<(usize, bool)>);

impl Address {
    /// Addresses of all statements that fit, in the order of the text.
    pub(super) fn all(body: &[Stmt], fits: &dyn Fn(&Stmt) -> bool) -> Vec<Address> {
        let mut out = Vec::new();
        search(body, fits, &mut Vec::new(), &mut out);
        out
    }

    /// The address of the only block of this name.
    pub(super) fn of_block(k: &Kernel, name: &str) -> Result<Address, Refusal> {
        let named = |s: &Stmt| matches!(s, Stmt::Block(b) if b.name == name);
        let mut found = Address::all(&k.body, &named);
        match (found.pop(), found.len()) {
            (Some(at), 0) => Ok(at),
            (Some(_), others) => {
                Err(Refusal::AmbiguousBlock { name: name.to_owned(), count: others + 1 })
            }
            (None, _) => {
                let mut known: Vec<String> = Vec::new();
                tcc_ir::kernel::visit_blocks(&k.body, &mut |b| known.push(b.name.clone()));
                Err(Refusal::UnknownBlock { name: name.to_owned(), known })
            }
        }
    }

    /// The address of the loop of a variable.
    pub(super) fn of_loop(k: &Kernel, v: VarId) -> Option<Address> {
        Address::all(&k.body, &|s| matches!(s, Stmt::For(f) if f.var == v)).pop()
    }

    /// The address of a statement of the kernel's body.
    pub(super) fn root(at: usize) -> Address {
        Address(vec![(at, false)])
    }

    /// The statement itself.
    pub(super) fn stmt<'a>(&self, body: &'a [Stmt]) -> Option<&'a Stmt> {
        let (last, way) = self.0.split_last()?;
        let body = way.iter().try_fold(body, |body, step| inside(body.get(step.0)?, step.1))?;
        body.get(last.0)
    }

    /// The block at this address.
    pub(super) fn block<'a>(&self, body: &'a [Stmt]) -> Option<&'a Block> {
        match self.stmt(body)? {
            Stmt::Block(b) => Some(b),
            _ => None,
        }
    }

    /// The body in which the statement stands, with its position there.
    pub(super) fn siblings<'a>(&self, body: &'a [Stmt]) -> Option<(&'a [Stmt], usize)> {
        let (last, way) = self.0.split_last()?;
        let body = way.iter().try_fold(body, |body, step| inside(body.get(step.0)?, step.1))?;
        Some((body, last.0))
    }

    /// As [`Address::siblings`], for edits.
    pub(super) fn siblings_mut<'a>(
        &self,
        body: &'a mut Vec<Stmt>,
    ) -> Option<(&'a mut Vec<Stmt>, usize)> {
        let (last, way) = self.0.split_last()?;
        let mut at = body;
        for (k, otherwise) in way {
            at = inside_mut(at.get_mut(*k)?, *otherwise)?;
        }
        Some((at, last.0))
    }

    /// How many statements stand around it.
    pub(super) fn depth(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// The statement around it that stands in `depth` others.
    pub(super) fn ancestor(&self, depth: usize) -> Address {
        Address(self.0.iter().take(depth + 1).copied().collect())
    }

    /// The innermost body that holds both: the statements in it that hold one and the other.
    pub(super) fn apart(&self, other: &Address) -> (Address, Address) {
        let same = self.0.iter().zip(&other.0).take_while(|(a, b)| a == b).count();
        (self.ancestor(same), other.ancestor(same))
    }

    /// True if the statement is the other one or inside of it.
    pub(super) fn is_in(&self, other: &Address) -> bool {
        let Some((last, way)) = other.0.split_last() else { return true };
        self.0.starts_with(way) && self.0.get(way.len()).is_some_and(|s| s.0 == last.0)
    }

    /// Position in the body in which the statement stands.
    pub(super) fn position(&self) -> usize {
        self.0.last().map_or(0, |s| s.0)
    }
}

fn inside(s: &Stmt, otherwise: bool) -> Option<&[Stmt]> {
    match s {
        Stmt::For(f) => Some(&f.body),
        Stmt::Repeat(r) => Some(&r.body),
        Stmt::If { then, otherwise: other, .. } => Some(if otherwise { other } else { then }),
        _ => None,
    }
}

fn inside_mut(s: &mut Stmt, otherwise: bool) -> Option<&mut Vec<Stmt>> {
    match s {
        Stmt::For(f) => Some(&mut f.body),
        Stmt::Repeat(r) => Some(&mut r.body),
        Stmt::If { then, otherwise: other, .. } => Some(if otherwise { other } else { then }),
        _ => None,
    }
}

fn search(
    body: &[Stmt],
    fits: &dyn Fn(&Stmt) -> bool,
    way: &mut Vec<(usize, bool)>,
    out: &mut Vec<Address>,
) {
    for (k, s) in body.iter().enumerate() {
        for otherwise in [false, true] {
            if otherwise && !matches!(s, Stmt::If { .. }) {
                continue;
            }
            way.push((k, otherwise));
            if !otherwise && fits(s) {
                out.push(Address(way.clone()));
            }
            if let Some(inner) = inside(s, otherwise) {
                search(inner, fits, way, out);
            }
            way.pop();
        }
    }
}

/// What stands around a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level<'a> {
    Loop(&'a For),
    /// The first or the second body of an `if`.
    Branch(&'a Expr, bool),
    Rounds,
    Let(VarId, &'a IntExpr),
}

/// What surrounds a statement, outermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Path<'a>(pub(super) Vec<Level<'a>>);

impl<'a> Path<'a> {
    /// What surrounds the statement at an address.
    pub(super) fn to(body: &'a [Stmt], address: &Address) -> Path<'a> {
        let mut levels = Vec::new();
        let mut body = body;
        for (n, (at, otherwise)) in address.0.iter().enumerate() {
            levels.extend(body.iter().take(*at).filter_map(|s| match s {
                Stmt::Let { var, value } => Some(Level::Let(*var, value)),
                _ => None,
            }));
            let (Some(s), true) = (body.get(*at), n + 1 < address.0.len()) else { break };
            match s {
                Stmt::For(f) => levels.push(Level::Loop(f)),
                Stmt::Repeat(_) => levels.push(Level::Rounds),
                Stmt::If { condition, .. } => levels.push(Level::Branch(condition, *otherwise)),
                _ => {}
            }
            body = inside(s, *otherwise).unwrap_or(&[]);
        }
        Path(levels)
    }

    /// What surrounds the body of a loop, the loop included.
    pub(super) fn into_loop(body: &'a [Stmt], v: VarId) -> Path<'a> {
        let is_loop = |s: &Stmt| matches!(s, Stmt::For(f) if f.var == v);
        let Some(at) = Address::all(body, &is_loop).pop() else { return Path::default() };
        let mut path = Path::to(body, &at);
        if let Some(Stmt::For(f)) = at.stmt(body) {
            path.0.push(Level::Loop(f));
        }
        path
    }

    /// The levels inside of a loop.
    pub(super) fn inside(&self, v: VarId) -> Path<'a> {
        let is_loop = |l: &Level<'_>| matches!(l, Level::Loop(f) if f.var == v);
        let at = self.0.iter().position(is_loop).map_or(0, |at| at + 1);
        Path(self.0.iter().skip(at).copied().collect())
    }

    pub(super) fn loops(&self) -> impl DoubleEndedIterator<Item = &'a For> {
        self.0.iter().filter_map(|l| match l {
            Level::Loop(f) => Some(*f),
            _ => None,
        })
    }

    /// The integer expression over loop variables and sizes.
    pub(super) fn resolve(&self, e: &IntExpr) -> IntExpr {
        let lets = self.lets();
        if lets.is_empty() { e.clone() } else { replaced(e, &lets) }
    }

    /// The `let`s over loop variables and sizes.
    pub(super) fn lets(&self) -> Vec<(VarId, IntExpr)> {
        let mut out: Vec<(VarId, IntExpr)> = Vec::new();
        for l in &self.0 {
            if let Level::Let(v, value) = l {
                let value = replaced(value, &out);
                out.push((*v, value));
            }
        }
        out
    }

    /// First and last values of the loops.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let one = IntExpr::constant(1);
        let range = |f: &For| Range {
            var: f.var,
            lo: self.resolve(&f.lo),
            last: self.resolve(&f.hi) - one.clone(),
        };
        self.loops().map(range).collect()
    }

    /// The comparisons of integers that hold here.
    pub(super) fn comparisons(&self) -> Vec<Expr> {
        let int = |e: &IntExpr| self.resolve(e);
        let mut out = Vec::new();
        for l in &self.0 {
            if let Level::Branch(condition, false) = l {
                let conjuncts = condition.operands(Func::And).into_iter();
                let integer = conjuncts.filter(|c| matches!(c, Expr::Compare(..)));
                out.extend(integer.map(|c| c.rewrite(&int, &mut |e| e)));
            }
        }
        out
    }

    /// True if loops and comparisons of integers alone decide what runs here.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|l| match l {
            Level::Loop(_) | Level::Let(..) => true,
            Level::Branch(condition, otherwise) => !otherwise && is_integer(condition),
            Level::Rounds => false,
        })
    }

    /// What is known here: the kernel's facts, ranges of loops, conditions.
    pub(super) fn facts(&self, k: &Kernel) -> Facts {
        let mut facts = declared(k);
        for r in self.ranges() {
            add_range(&mut facts, &r);
        }
        self.comparisons().iter().for_each(|c| assume(&mut facts, c));
        facts
    }
}

/// True for comparisons of integers joined by `&&`: they can be evaluated anywhere.
pub(super) fn is_integer(condition: &Expr) -> bool {
    condition.operands(Func::And).into_iter().all(|c| matches!(c, Expr::Compare(..)))
}

/// Adds what being in a loop says of its variable.
pub(super) fn add_range(facts: &mut Facts, r: &Range) {
    facts.add_nonneg(IntExpr::from(r.var) - r.lo.clone());
    facts.add_nonneg(&r.last - &IntExpr::from(r.var));
    facts.add_nonneg(&r.last - &r.lo);
}

/// Adds a comparison that holds.
pub(super) fn assume(facts: &mut Facts, comparison: &Expr) {
    if let Expr::Compare(op, a, b) = comparison {
        op.as_nonneg(a, b).into_iter().for_each(|e| facts.add_nonneg(e));
    }
}

/// True if a comparison follows.
pub(super) fn follows(facts: &Facts, comparison: &Expr) -> bool {
    let Expr::Compare(op, a, b) = comparison else { return false };
    let goals = op.as_nonneg(a, b);
    !goals.is_empty() && goals.iter().all(|e| facts.is_nonneg(e))
}

/// A value of a symbol that is replaced.
pub(super) fn replaced(e: &IntExpr, with: &[(VarId, IntExpr)]) -> IntExpr {
    e.substitute(&|s| match s {
        Symbol::Var(v) => with.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
        Symbol::Size(_) => None,
    })
}
