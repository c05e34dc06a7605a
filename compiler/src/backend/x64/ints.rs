//! Integers of the emitted code: what is known at which loop.
//!
//! Every integer expression is split by the loops it depends on. A part that is linear in a loop's
//! variable becomes an induction value of that loop, advanced by a step from iteration to
//! iteration; a part that is not is computed at the head of each iteration; what no loop changes is
//! computed once at the entry. So the innermost loops only add to pointers.

use super::code::{Int, IntId};
use std::collections::HashMap;
use tcc_ir::VarId;
use tcc_ir::int::{Atom, IntExpr, Symbol};

/// Where an integer that the call gives comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Incoming {
    /// A size of the kernel.
    Size(u32),
    /// Address of an argument.
    Address(u32),
    /// Stride of an argument along an axis, in elements.
    Stride(u32, u32),
    /// 1 if an argument is row-major without gaps.
    Dense(u32),
    /// First iteration of the parallel loop, and one past the last.
    First,
    End,
    /// Address of the memory for local buffers.
    Scratch,
}

/// How an integer gets its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Definition {
    Incoming(Incoming),
    /// `init`, then more by `step` in each iteration of its loop.
    Induction {
        init: Int,
        step: Int,
    },
    /// `constant + sum of coefficient * product`
    Sum {
        terms: Vec<(i64, Vec<IntId>)>,
        constant: i64,
    },
    Div(Int, Int),
    Mod(Int, Int),
    Min(Int, Int),
    Max(Int, Int),
}

/// The loops around the code that is being built; 0 is the kernel itself.
#[derive(Clone, Debug)]
struct Level {
    id: u32,
    var: Option<VarId>,
    lo: IntExpr,
}

/// All integers of a kernel.
pub(super) struct Ints {
    levels: Vec<Level>,
    next_loop: u32,
    /// The integers of each loop in an order in which each only needs earlier ones.
    pub(super) of_loop: Vec<Vec<IntId>>,
    pub(super) definitions: Vec<Definition>,
    memo: HashMap<(u32, IntExpr), Int>,
    incoming: HashMap<Symbol, Incoming>,
}

impl Ints {
    pub(super) fn new() -> Ints {
        Ints {
            levels: vec![Level { id: 0, var: None, lo: IntExpr::default() }],
            next_loop: 1,
            of_loop: vec![Vec::new()],
            definitions: Vec::new(),
            memo: HashMap::new(),
            incoming: HashMap::new(),
        }
    }

    /// Says what a symbol that no loop binds stands for.
    pub(super) fn bind(&mut self, symbol: Symbol, incoming: Incoming) {
        self.incoming.insert(symbol, incoming);
    }

    /// Enters a loop of `var` from `lo`; gives its number.
    pub(super) fn enter(&mut self, var: VarId, lo: IntExpr) -> u32 {
        let id = self.next_loop;
        self.next_loop += 1;
        self.of_loop.push(Vec::new());
        self.levels.push(Level { id, var: Some(var), lo });
        id
    }

    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// The integer where the code that is being built stands.
    pub(super) fn value(&mut self, e: &IntExpr) -> Int {
        self.at(self.levels.len() - 1, e)
    }

    /// The integer outside the innermost loop.
    fn at(&mut self, mut depth: usize, e: &IntExpr) -> Int {
        if let Some(c) = e.as_constant() {
            return Int::Const(c);
        }
        // Loops that do not change it.
        let var = |depth: usize| self.levels.get(depth).and_then(|level| level.var);
        while var(depth).is_some_and(|v| !e.mentions(v)) {
            depth -= 1;
        }
        let Some(level) = self.levels.get(depth) else { return Int::Const(0) };
        let (id, var, lo) = (level.id, level.var, level.lo.clone());
        if let Some(known) = self.memo.get(&(id, e.clone())) {
            return *known;
        }
        let made = match var {
            Some(v) => match e.linear_in(v) {
                Some((c, _)) => {
                    let init = self.at(depth - 1, &e.with_var(v, &lo));
                    let step = self.at(depth - 1, &c);
                    self.define(id, Definition::Induction { init, step })
                }
                None => self.compute(depth, id, e),
            },
            None => self.compute(depth, id, e),
        };
        self.memo.insert((id, e.clone()), made);
        made
    }

    fn compute(&mut self, depth: usize, id: u32, e: &IntExpr) -> Int {
        let mut terms = Vec::new();
        let mut constant = 0;
        for (m, c) in e.terms() {
            if m.0.is_empty() {
                constant = *c;
                continue;
            }
            let mut coefficient = *c;
            let mut factors = Vec::new();
            for atom in &m.0 {
                match self.atom(depth, id, atom) {
                    Int::Const(k) => coefficient *= k,
                    Int::Value(v) => factors.push(v),
                }
            }
            terms.push((coefficient, factors));
        }
        if let ([(1, factors)], 0) = (terms.as_slice(), constant)
            && let [only] = factors.as_slice()
        {
            return Int::Value(*only);
        }
        self.define(id, Definition::Sum { terms, constant })
    }

    fn atom(&mut self, depth: usize, id: u32, atom: &Atom) -> Int {
        let pair = match atom {
            Atom::Symbol(s) => return self.symbol(depth, *s),
            Atom::Div(p) | Atom::Mod(p) | Atom::Min(p) | Atom::Max(p) => p,
        };
        let single = IntExpr::term(tcc_ir::int::Monomial(smallvec::smallvec![atom.clone()]), 1);
        if let Some(known) = self.memo.get(&(id, single.clone())) {
            return *known;
        }
        // An operation that the loop does not change belongs further out.
        let inside = self.levels.get(depth).and_then(|l| l.var).is_none_or(|v| single.mentions(v));
        if !inside {
            return self.at(depth - 1, &single);
        }
        let [a, b] = pair.as_ref();
        let (a, b) = (self.at(depth, a), self.at(depth, b));
        let definition = match atom {
            Atom::Div(_) => Definition::Div(a, b),
            Atom::Mod(_) => Definition::Mod(a, b),
            Atom::Min(_) => Definition::Min(a, b),
            Atom::Max(_) | Atom::Symbol(_) => Definition::Max(a, b),
        };
        let made = self.define(id, definition);
        self.memo.insert((id, single), made);
        made
    }

    fn symbol(&mut self, depth: usize, s: Symbol) -> Int {
        match self.incoming.get(&s).copied() {
            Some(from) => {
                let e = IntExpr::symbol(s);
                if let Some(known) = self.memo.get(&(0, e.clone())) {
                    return *known;
                }
                let made = self.define(0, Definition::Incoming(from));
                self.memo.insert((0, e), made);
                made
            }
            None => {
                let bound = self.levels.iter().any(|l| l.var.is_some_and(|v| s == v.into()));
                assert!(bound, "{s:?} is bound by no loop around the code");
                self.at(depth, &IntExpr::symbol(s))
            }
        }
    }

    fn define(&mut self, id: u32, definition: Definition) -> Int {
        let made = IntId(self.definitions.len() as u32);
        self.definitions.push(definition);
        if let Some(list) = self.of_loop.get_mut(id as usize) {
            list.push(made);
        }
        Int::Value(made)
    }
}
