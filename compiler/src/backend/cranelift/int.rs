//! Integer expressions over loop variables and sizes, computed as far out as possible.
//!
//! A scope is a loop body or another region that dominates what is inside of it. When a scope
//! begins, every integer that its body needs is computed as far as the variables known there allow
//! ([`KernelCx::anticipate`]); inside, what remains is the terms of the inner variables. So an
//! address costs one multiplication and addition a loop level, whatever the number of axes.

use super::kernel::KernelCx;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_entity::{EntityRef, SecondaryMap};
use std::collections::HashMap;
use tcc_ir::int::{Atom, IntExpr, Monomial, Symbol};
use tcc_ir::{SizeId, VarId};

/// What is known about variables, and the values computed so far.
#[derive(Default)]
pub(super) struct Ints {
    /// Values of loop and let variables, with the scope that they belong to.
    vars: SecondaryMap<VarId, Option<(Value, usize)>>,
    /// Variables that stand for an expression: block variables, and those of unrolled loops.
    bound: SecondaryMap<VarId, Option<IntExpr>>,
    /// Values of sizes, then of the numbers of the call that act like sizes: strides and addresses.
    sizes: Vec<Value>,
    /// Values by expression, outermost scope first.
    scopes: Vec<HashMap<IntExpr, Value>>,
}

impl Ints {
    /// A number of the call as a symbol.
    pub(super) fn constant_of_call(&mut self, v: Value) -> IntExpr {
        self.sizes.push(v);
        IntExpr::from(SizeId::new(self.sizes.len() - 1))
    }

    pub(super) fn bind(&mut self, v: VarId, e: Option<IntExpr>) -> Option<IntExpr> {
        std::mem::replace(&mut self.bound[v], e)
    }

    /// Gives a variable its value in the current scope.
    pub(super) fn define(&mut self, v: VarId, value: Value) {
        let scope = self.scopes.len();
        self.vars[v] = Some((value, scope));
    }

    pub(super) fn push_scope(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(super) fn pop_scope(&mut self) {
        self.scopes.pop();
        let scope = self.scopes.len();
        for v in self.vars.keys().collect::<Vec<_>>() {
            if self.vars[v].is_some_and(|(_, s)| s > scope) {
                self.vars[v] = None;
            }
        }
    }

    fn find(&self, e: &IntExpr) -> Option<Value> {
        self.scopes.iter().rev().find_map(|s| s.get(e)).copied()
    }

    fn keep(&mut self, e: IntExpr, v: Value) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(e, v);
        }
    }

    /// The expression with every bound variable replaced.
    pub(super) fn resolve(&self, e: &IntExpr) -> IntExpr {
        let mut any = false;
        e.visit_symbols(&mut |s| any |= matches!(s, Symbol::Var(v) if self.bound[v].is_some()));
        if !any {
            return e.clone();
        }
        e.substitute(&|s| match s {
            Symbol::Var(v) => self.bound[v].clone(),
            Symbol::Size(_) => None,
        })
    }

    /// The scope in which the last of the atom's variables gets its value; `None` if one has none
    /// yet.
    fn depth(&self, a: &Atom) -> Option<usize> {
        match a {
            Atom::Symbol(Symbol::Size(_)) => Some(0),
            Atom::Symbol(Symbol::Var(v)) => self.vars[*v].map(|(_, s)| s),
            Atom::Div(x) | Atom::Mod(x) | Atom::Min(x) | Atom::Max(x) => {
                let depths: Option<Vec<usize>> = x
                    .iter()
                    .flat_map(|e| e.terms().iter().flat_map(|(m, _)| m.0.iter()))
                    .map(|a| self.depth(a))
                    .collect();
                depths.map(|d| d.into_iter().max().unwrap_or(0))
            }
        }
    }

    fn term_depth(&self, m: &Monomial) -> Option<usize> {
        let depths: Option<Vec<usize>> = m.0.iter().map(|a| self.depth(a)).collect();
        depths.map(|d| d.into_iter().max().unwrap_or(0))
    }
}

/// A sum of terms.
fn sum<'a>(terms: impl Iterator<Item = &'a (Monomial, i64)>) -> IntExpr {
    terms.fold(IntExpr::default(), |s, (m, c)| s + IntExpr::term(m.clone(), *c))
}

impl KernelCx<'_, '_> {
    /// The value of an expression whose variables all have one.
    pub(super) fn int(&mut self, e: &IntExpr) -> Value {
        let e = self.ints.resolve(e);
        if let Some(c) = e.as_constant() {
            return self.e.b.ins().iconst(I64, c);
        }
        let c = e.constant_term();
        let v = self.without_constant(&(e - IntExpr::constant(c)));
        if c == 0 { v } else { self.e.b.ins().iadd_imm_s(v, c) }
    }

    /// An expression without constant term: what outer scopes know, plus the innermost terms.
    pub(super) fn without_constant(&mut self, e: &IntExpr) -> Value {
        if let Some(v) = self.ints.find(e) {
            return v;
        }
        let depth = |m: &Monomial| {
            self.ints.term_depth(m).unwrap_or_else(|| unreachable!("{e:?} has an unknown variable"))
        };
        let deepest = e.terms().iter().map(|(m, _)| depth(m)).max().unwrap_or(0);
        let (deep, rest): (Vec<_>, Vec<_>) =
            e.terms().iter().cloned().partition(|(m, _)| depth(m) == deepest);
        let mut value =
            if rest.is_empty() { None } else { Some(self.without_constant(&sum(rest.iter()))) };
        for (m, c) in &deep {
            let term = self.term(m, *c);
            value = Some(match value {
                None => term,
                Some(v) => self.e.b.ins().iadd(v, term),
            });
        }
        let value = value.unwrap_or_else(|| unreachable!("an expression has terms"));
        self.ints.keep(e.clone(), value);
        value
    }

    /// `coefficient * atoms`: the part that outer scopes know, times the innermost atoms.
    fn term(&mut self, m: &Monomial, coefficient: i64) -> Value {
        if let ([atom], 1) = (m.0.as_slice(), coefficient) {
            return self.atom(atom);
        }
        let whole = IntExpr::term(m.clone(), coefficient);
        if let Some(v) = self.ints.find(&whole) {
            return v;
        }
        let depth = |a: &Atom| self.ints.depth(a).unwrap_or(0);
        let deepest = m.0.iter().map(depth).max().unwrap_or(0);
        let (deep, rest): (Vec<Atom>, Vec<Atom>) =
            m.0.iter().cloned().partition(|a| depth(a) == deepest);
        let value = if rest.is_empty() {
            let mut atoms = deep.iter();
            let first = atoms.next().unwrap_or_else(|| unreachable!("a term has an atom"));
            let first = self.atom(first);
            let product = atoms.fold(first, |v, a| {
                let a = self.atom(a);
                self.e.b.ins().imul(v, a)
            });
            self.scaled(product, coefficient)
        } else {
            let outer = self.term(&Monomial(rest.into()), coefficient);
            deep.iter().fold(outer, |v, a| {
                let a = self.atom(a);
                self.e.b.ins().imul(v, a)
            })
        };
        self.ints.keep(whole, value);
        value
    }

    fn scaled(&mut self, v: Value, c: i64) -> Value {
        match c {
            1 => v,
            -1 => self.e.b.ins().ineg(v),
            c if c > 0 && c.count_ones() == 1 => {
                self.e.b.ins().ishl_imm_u(v, i64::from(c.trailing_zeros()))
            }
            c => {
                let c = self.e.b.ins().iconst(I64, c);
                self.e.b.ins().imul(v, c)
            }
        }
    }

    fn atom(&mut self, a: &Atom) -> Value {
        match a {
            Atom::Symbol(Symbol::Size(s)) => self
                .ints
                .sizes
                .get(s.index())
                .copied()
                .unwrap_or_else(|| unreachable!("{s} is a size of the kernel")),
            Atom::Symbol(Symbol::Var(v)) => {
                let known = self.ints.vars[*v];
                known.unwrap_or_else(|| unreachable!("{v} has a value here")).0
            }
            Atom::Div(x) | Atom::Mod(x) | Atom::Min(x) | Atom::Max(x) => {
                let key = IntExpr::term(Monomial(std::iter::once(a.clone()).collect()), 1);
                if let Some(v) = self.ints.find(&key) {
                    return v;
                }
                let [p, q] = x.as_ref();
                let v = match a {
                    Atom::Min(_) => {
                        let (p, q) = (self.int(p), self.int(q));
                        self.e.b.ins().smin(p, q)
                    }
                    Atom::Max(_) => {
                        let (p, q) = (self.int(p), self.int(q));
                        self.e.b.ins().smax(p, q)
                    }
                    _ => self.floored(p, q, matches!(a, Atom::Div(_))),
                };
                self.ints.keep(key, v);
                v
            }
        }
    }

    /// The floored quotient, or the remainder with the divisor's sign.
    fn floored(&mut self, p: &IntExpr, q: &IntExpr, quotient: bool) -> Value {
        let a = self.int(p);
        if let Some(c) = q.as_constant()
            && c > 0
            && c.count_ones() == 1
        {
            return if quotient {
                self.e.b.ins().sshr_imm_u(a, i64::from(c.trailing_zeros()))
            } else {
                self.e.b.ins().band_imm_s(a, c - 1)
            };
        }
        let mut b = self.int(q);
        if q.as_constant().is_none() {
            // Sizes of 0 come with empty loops; the hardware must not see the division.
            let one = self.e.b.ins().iconst(I64, 1);
            let zero = self.e.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
            b = self.e.b.ins().select(zero, one, b);
        }
        let func = if quotient { tcc_ir::scalar::Func::Div } else { tcc_ir::scalar::Func::Rem };
        let v = self.e.apply(func, tcc_abi::DType::I64, &[a, b]);
        v.unwrap_or_else(|| unreachable!("integers divide"))
    }

    /// Computes what the known variables allow of expressions that inner scopes will need.
    pub(super) fn anticipate(&mut self, needed: &[IntExpr]) {
        for e in needed {
            let e = self.ints.resolve(e);
            self.anticipate_one(&e);
        }
    }

    fn anticipate_one(&mut self, e: &IntExpr) {
        let terms = e.terms().iter().filter(|(m, _)| !m.0.is_empty());
        let (known, unknown): (Vec<_>, Vec<_>) =
            terms.cloned().partition(|(m, _)| self.ints.term_depth(m).is_some());
        if !known.is_empty() {
            self.without_constant(&sum(known.iter()));
        }
        for (m, c) in unknown {
            let (inside, outside): (Vec<Atom>, Vec<Atom>) =
                m.0.iter().cloned().partition(|a| self.ints.depth(a).is_some());
            if !inside.is_empty() && (inside.len() > 1 || c != 1) {
                self.term(&Monomial(inside.into()), c);
            }
            for a in outside {
                match a {
                    Atom::Symbol(_) => {}
                    Atom::Div(x) | Atom::Mod(x) | Atom::Min(x) | Atom::Max(x) => {
                        x.iter().for_each(|e| self.anticipate_one(e));
                    }
                }
            }
        }
    }
}
