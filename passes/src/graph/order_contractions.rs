//! Splits n-ary products with a sum into pairs.
//!
//! **Requires** products over a semiring: `+` of `*`, `or` of `and`, `max`/`min`/`lse` of `+` on
//! floats. **Ensures** no reduction multiplies more than two operands, and an index that only one
//! operand bears is summed in that operand first. Guarded reductions and those of fixpoints are
//! left alone. `Y[a,c] += A[a,b] * B[b,d] * C[d,c]` becomes `T[a,d] += A[a,b] * B[b,d]`,
//! `Y[a,c] += T[a,d] * C[d,c]`.

use super::{Changed, add_tensor, reorder, take_apart, with_vars};
use crate::plan::{Cost, Strategy, SumProduct, Tree, from_text, kept, order};
use cranelift_entity::PrimaryMap;
use tcc_ir::graph::{Attributes, Equation, Function, Index, Tensor};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Expr, Func, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// Orders every n-ary contraction of the function.
pub fn order_contractions(f: &mut Function, strategy: Strategy) -> Changed {
    let mut pending = take_apart(f);
    let mut changed = false;
    for t in pending.definitions.keys().copied().collect::<Vec<TensorId>>() {
        if pending.in_fix.contains_key(&t) {
            continue;
        }
        let Some(list) = pending.definitions.get(&t).cloned() else { continue };
        let mut kept_equations = Vec::new();
        for e in list {
            let mut split = Split { f, target: t, made: Vec::new(), equation: &e };
            let root = split.equation(strategy);
            changed |= root.is_some();
            for (t, equation) in split.made {
                pending.definitions.insert(t, vec![equation]);
            }
            kept_equations.push(root.unwrap_or(e));
        }
        pending.definitions.insert(t, kept_equations);
    }
    reorder(f, pending);
    Changed(changed)
}

struct Split<'a> {
    f: &'a mut Function,
    target: TensorId,
    made: Vec<(TensorId, Equation)>,
    equation: &'a Equation,
}

impl Split<'_> {
    /// The equation over pairs, if it has something to order.
    fn equation(&mut self, strategy: Strategy) -> Option<Equation> {
        let e = self.equation;
        let reducer = e.reducer?;
        // Without a sum the product stays in the order of the text.
        if e.guard.is_some() || e.reduced_vars().is_empty() {
            return None;
        }
        let (product, operands) = operands(&e.body, reducer)?;
        let (constants, factors): (Vec<Expr>, Vec<Expr>) =
            operands.into_iter().partition(|x| vars_of(x).is_empty());
        if factors.len() < 2 {
            return None;
        }
        let output: Vec<VarId> = {
            let reduced = e.reduced_vars();
            e.vars.keys().filter(|v| !reduced.contains(v)).collect()
        };
        let mut sum = SumProduct { operands: factors.iter().map(vars_of).collect(), output };
        let (mut factors, summed) = self.sum_alone(&mut sum, factors, reducer);
        if factors.len() == 2 && !summed {
            return None;
        }
        let extent = |v: VarId| nominal(&e.vars, v);
        let tree = match self.given_path(&factors) {
            Some(tree) => tree,
            None => order(&sum, &Cost { extent: &extent, strategy }),
        };
        let Tree::Pair(a, b) = &tree else { return None };
        let a = self.subtree(a, &sum, &mut factors, product, reducer);
        let b = self.subtree(b, &sum, &mut factors, product, reducer);
        let mut body = Expr::binary(product, a, b);
        for c in constants {
            body = Expr::binary(product, body, c);
        }
        Some(self.compact(Equation { body, ..e.clone() }))
    }

    fn given_path(&self, factors: &[Expr]) -> Option<Tree> {
        let path = self.equation.attributes.path.as_ref()?;
        let name = |x: &Expr| {
            let first = x.reads().first().map(|r| r.tensor);
            first.and_then(|t| self.f.tensors.get(t)).map_or(String::new(), |t| t.name.clone())
        };
        from_text(path, &factors.iter().map(name).collect::<Vec<_>>()).ok()
    }

    /// Sums indices that a single operand bears, in that operand.
    fn sum_alone(
        &mut self,
        sum: &mut SumProduct,
        factors: Vec<Expr>,
        reducer: Reducer,
    ) -> (Vec<Expr>, bool) {
        let mut any = false;
        let mut out = Vec::new();
        for (k, x) in factors.into_iter().enumerate() {
            let own = sum.operands.get(k).cloned().unwrap_or_default();
            let keep = kept(sum, &[k]);
            if keep.len() == own.len() {
                out.push(x);
                continue;
            }
            any = true;
            let read = self.intermediate(&keep, x, reducer);
            if let Some(slot) = sum.operands.get_mut(k) {
                *slot = keep;
            }
            out.push(read);
        }
        (out, any)
    }

    fn subtree(
        &mut self,
        tree: &Tree,
        sum: &SumProduct,
        factors: &mut [Expr],
        product: Func,
        reducer: Reducer,
    ) -> Expr {
        match tree {
            Tree::Leaf(k) => match factors.get(*k) {
                Some(x) => x.clone(),
                None => unreachable!("a tree names operand {k}"),
            },
            Tree::Pair(a, b) => {
                let a = self.subtree(a, sum, factors, product, reducer);
                let b = self.subtree(b, sum, factors, product, reducer);
                let keep = kept(sum, &tree.leaves());
                self.intermediate(&keep, Expr::binary(product, a, b), reducer)
            }
        }
    }

    /// `T[keep] reducer= body`, and the read of it in the original equation.
    fn intermediate(&mut self, keep: &[VarId], body: Expr, reducer: Reducer) -> Expr {
        let e = self.equation;
        let Some(target) = self.f.tensors.get(self.target).cloned() else { return body };
        let extent = |v: &VarId| e.vars.get(*v).map(|x| x.extent.clone()).unwrap_or_default();
        // A domain may be empty with a negative extent (`T - 1` for T = 0); a shape may not.
        let zero = IntExpr::constant(0);
        let facts = self.f.known_facts();
        let fit = |x: IntExpr| if facts.is_nonneg(&x) { x } else { x.maximum(&zero) };
        let shape = keep.iter().map(|v| fit(extent(v))).collect();
        let dtype = body.dtype();
        let like = Tensor { dtype, shape, ..target.clone() };
        let t = add_tensor(self.f, &target.name, &like);
        let subscripts = keep.iter().map(|v| Subscript::Affine(IntExpr::from(*v))).collect();
        let attributes = Attributes { path: None, ..e.attributes.clone() };
        let equation =
            Equation { subscripts, reducer: Some(reducer), body, attributes, ..e.clone() };
        let equation = self.compact(equation);
        self.made.push((t, equation));
        Expr::read(t, dtype, keep.iter().map(|v| IntExpr::from(*v)).collect())
    }

    /// Drops variables that the equation no longer mentions, written ones first.
    fn compact(&self, e: Equation) -> Equation {
        let mut used: Vec<VarId> = Vec::new();
        let mut note = |s: Symbol| {
            if let Symbol::Var(v) = s
                && !used.contains(&v)
            {
                used.push(v);
            }
        };
        e.subscripts.iter().for_each(|s| s.visit_symbols(&mut note));
        e.body.visit_symbols(&mut note);
        // An index that occurs nowhere multiplies the sum: it stays with the equation that has the
        // original target.
        let whole = self.equation.subscripts == e.subscripts;
        let mentioned = |v: VarId| {
            let mut found = false;
            self.equation.body.visit_symbols(&mut |s| found |= s == Symbol::Var(v));
            found
        };
        if whole {
            used.extend(e.vars.keys().filter(|v| !mentioned(*v)).filter(|v| {
                !self
                    .equation
                    .subscripts
                    .iter()
                    .any(|s| s.as_affine().is_some_and(|i| i.mentions(*v)))
            }));
            used.dedup();
        }
        with_vars(e, used)
    }
}

/// The operands of a product that distributes over the reducer.
fn operands(body: &Expr, reducer: Reducer) -> Option<(Func, Vec<Expr>)> {
    let func = match reducer {
        Reducer::Sum => Func::Mul,
        Reducer::Or => Func::And,
        Reducer::Max | Reducer::Min | Reducer::LogSumExp => Func::Add,
        Reducer::Prod | Reducer::And => return None,
    };
    // Sums of integers wrap, so they do not distribute over extremes.
    if func == Func::Add && body.dtype().is_int() {
        return None;
    }
    let out: Vec<Expr> = body.operands(func).into_iter().cloned().collect();
    (out.len() > 1).then_some((func, out))
}

fn vars_of(e: &Expr) -> Vec<VarId> {
    let mut out = Vec::new();
    e.visit_symbols(&mut |s| {
        if let Symbol::Var(v) = s
            && !out.contains(&v)
        {
            out.push(v);
        }
    });
    out
}

/// An extent as a number; symbolic sizes count 64.
fn nominal(vars: &PrimaryMap<VarId, Index>, v: VarId) -> f64 {
    const NOMINAL: i64 = 64;
    let Some(x) = vars.get(v) else { return 1.0 };
    x.extent.eval(&|_| NOMINAL).map_or(NOMINAL as f64, |n| n.max(1) as f64)
}
