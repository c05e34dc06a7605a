//! Scalar functions by their expansions in `std/scalar_*.tir`, as the kernel level runs them.

use super::{Domain, Machine, Value, apply, bitcast, cast, index_value};
use crate::TensorId;
use crate::graph::{Function, Node};
use crate::library;
use crate::scalar::{Expr, Func};
use crate::span::Sources;
use cranelift_entity::SecondaryMap;
use indexmap::IndexMap;
use std::rc::Rc;
use tcc_abi::{DType, Scalar};

/// How a scalar function is computed in terms of correctly rounded operations.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// The definition for all arguments, or for those that `common` admits.
    pub body: Rc<Function>,
    /// The condition, and the definition where it does not hold.
    pub rare: Option<(Rc<Function>, Rc<Function>)>,
}

/// The expansions read so far.
#[derive(Clone, Debug, Default)]
pub struct Expansions {
    read: IndexMap<(Func, DType), Expansion>,
}

impl Expansions {
    /// The expansion of a function on `f32` or `f64`.
    pub fn get(&mut self, func: Func, dtype: DType) -> &Expansion {
        self.read.entry((func, dtype)).or_insert_with(|| {
            let name = format!("{func}_{dtype}");
            let part = |suffix: &str| function(&format!("{name}{suffix}"));
            let Some(body) = part("") else { unreachable!("std/scalar_*.tir lacks `{name}`") };
            Expansion { body, rare: part("_common").zip(part("_rare")) }
        })
    }

    /// Evaluates a function by its expansion.
    pub fn evaluate(&mut self, func: Func, args: &[Scalar]) -> Scalar {
        let dtype = args.first().map_or(DType::F64, |s| s.dtype());
        let values: Vec<Value<f64>> = args.iter().map(|s| Machine.value(*s)).collect();
        let value = self.call(func, dtype, &values);
        Machine.scalar(dtype, &value)
    }

    /// Evaluates a function on values of one floating type.
    pub(super) fn call(&mut self, func: Func, dtype: DType, args: &[Value<f64>]) -> Value<f64> {
        let Expansion { body, rare } = self.get(func, dtype).clone();
        match rare {
            Some((common, rare)) if self.run(&common, args) != Value::Bool(true) => {
                self.run(&rare, args)
            }
            _ => self.run(&body, args),
        }
    }

    /// Runs a function of rank-0 equations.
    fn run(&mut self, f: &Function, args: &[Value<f64>]) -> Value<f64> {
        let mut values: SecondaryMap<TensorId, Option<Value<f64>>> = SecondaryMap::new();
        for (p, v) in f.params.iter().zip(args) {
            values[*p] = Some(v.clone());
        }
        for d in f.nodes.iter().flat_map(Node::definitions) {
            if let [e] = d.equations.as_slice() {
                values[d.tensor] = Some(self.expr(&e.body, &values));
            }
        }
        let result = f.results.first().and_then(|r| values[*r].clone());
        result.unwrap_or_else(|| unreachable!("`{}` defines its result", f.name))
    }

    fn expr(
        &mut self,
        e: &Expr,
        values: &SecondaryMap<TensorId, Option<Value<f64>>>,
    ) -> Value<f64> {
        match e {
            Expr::Literal(s) => Machine.value(*s),
            Expr::Read(r) => values[r.tensor]
                .clone()
                .unwrap_or_else(|| unreachable!("{} is defined before it is used", r.tensor)),
            Expr::Cast(to, inner) => {
                let v = self.expr(inner, values);
                cast(&Machine, *to, &v).unwrap_or_else(|s| unreachable!("a cast stops: {s}"))
            }
            Expr::Bitcast(to, inner) => {
                bitcast(&Machine, inner.dtype(), *to, &self.expr(inner, values))
            }
            Expr::Index { num, den, dtype } => {
                let number = |i: &crate::int::IntExpr| i.as_constant().unwrap_or(0);
                index_value(&Machine, *dtype, number(num), number(den))
            }
            Expr::Apply(func, args) => {
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                let args: Vec<Value<f64>> = args.iter().map(|a| self.expr(a, values)).collect();
                if func.is_expanded() {
                    return self.call(*func, dtype, &args);
                }
                apply(&Machine, *func, dtype, &args)
                    .unwrap_or_else(|s| unreachable!("`{func}` stops: {s}"))
            }
            Expr::Compare(..) | Expr::Contiguous(_) => {
                unreachable!("an expansion has no indices or buffers")
            }
        }
    }
}

/// Reads one function of `std/scalar_*.tir`.
fn function(name: &str) -> Option<Rc<Function>> {
    let text = library::scalar_text(name)?;
    let read = crate::text::read_module(&mut Sources::default(), "std/scalar_*.tir", text);
    match read {
        Ok((mut module, _)) => module.functions.swap_remove(name).map(Rc::new),
        Err(d) => unreachable!("std/scalar_*.tir: `{name}` has mistakes: {d:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansions_run() {
        let mut e = Expansions::default();
        let four = Scalar::from_f64(DType::F32, 4.0);
        assert_eq!(e.evaluate(Func::Rsqrt, &[four]).to_f64(), 0.5);
    }
}
