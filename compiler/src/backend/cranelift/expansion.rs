//! Scalar functions by their expansions in `std/scalar_*.tir`, as functions of scalars or of lanes.

use super::emit::{Emit, Val};
use super::unit::Unit;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_entity::SecondaryMap;
use cranelift_frontend::FunctionBuilder;
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::eval::Expansion;
use tcc_ir::graph::{Function, Node};
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Expr, Func};

struct ExpansionCx<'b, 'u> {
    e: Emit<'b, 'u>,
    lanes: u32,
}

/// Builds the function of a scalar function: the common definition, and the rare one where a lane
/// has an argument that the common one does not cover.
pub(super) fn build<'b>(
    (func, dtype, lanes): (Func, DType, u32),
    unit: &'b mut Unit<'_>,
    b: FunctionBuilder<'b>,
) {
    let Expansion { body, rare } = unit.expansions.get(func, dtype).clone();
    let frontend = unit.frontend();
    let mut cx = ExpansionCx { e: Emit { b, unit }, lanes };
    let entry = cx.e.b.create_block();
    cx.e.b.append_block_params_for_function_params(entry);
    cx.e.b.switch_to_block(entry);
    cx.e.b.seal_block(entry);
    let args: Vec<Val> =
        cx.e.b.block_params(entry).to_vec().into_iter().map(|v| cx.whole(v)).collect();
    if let Some((common, rare)) = rare {
        let covered = cx.function(&common, &args);
        let (plain, other) = (cx.e.b.create_block(), cx.e.b.create_block());
        let all = match covered {
            Val::Vector(mask) => cx.e.b.ins().vall_true(mask),
            Val::One(c) => c,
            Val::Pair(..) => unreachable!("a condition is a bool"),
        };
        cx.e.b.ins().brif(all, plain, &[], other, &[]);
        cx.e.b.set_cold_block(other);
        cx.e.b.seal_block(plain);
        cx.e.b.seal_block(other);
        cx.e.b.switch_to_block(other);
        let value = if lanes == 1 {
            cx.function(&rare, &args)
        } else {
            // The scalar function decides for every lane.
            let each: Vec<Val> = (0..lanes)
                .map(|k| {
                    let one: Vec<Val> = args.iter().map(|v| cx.e.lane(dtype, *v, k)).collect();
                    cx.e.call(func, dtype, 1, &one)
                })
                .collect();
            cx.e.gather(dtype, &each)
        };
        cx.give(dtype, value);
        cx.e.b.switch_to_block(plain);
    }
    let value = cx.function(&body, &args);
    cx.give(dtype, value);
    cx.e.b.finalize(frontend);
}

impl ExpansionCx<'_, '_> {
    fn whole(&self, v: Value) -> Val {
        if self.lanes == 1 { Val::One(v) } else { Val::Vector(v) }
    }

    fn give(&mut self, dtype: DType, value: Val) {
        let v = match value {
            Val::One(v) if self.lanes == 1 => v,
            v => self.e.splat(dtype, v, self.lanes),
        };
        self.e.b.ins().return_(&[v]);
    }

    /// The equations of a function of scalars, in order.
    fn function(&mut self, f: &Function, args: &[Val]) -> Val {
        let mut values: SecondaryMap<TensorId, Option<Val>> = SecondaryMap::new();
        for (p, v) in f.params.iter().zip(args) {
            values[*p] = Some(*v);
        }
        for d in f.nodes.iter().flat_map(Node::definitions) {
            if let [e] = d.equations.as_slice() {
                let v = self.expr(&e.body, &values);
                values[d.tensor] = Some(v);
            }
        }
        let result = f.results.first().and_then(|r| values[*r]);
        result.unwrap_or_else(|| unreachable!("`{}` defines its result", f.name))
    }

    fn expr(&mut self, e: &Expr, values: &SecondaryMap<TensorId, Option<Val>>) -> Val {
        match e {
            Expr::Literal(s) => self.e.literal(*s),
            Expr::Index { num, den, dtype } => {
                let number = |i: &IntExpr| i.as_constant().unwrap_or(0);
                let s = tcc_ir::eval::constant(*dtype, number(num), number(den));
                self.e.literal(s)
            }
            Expr::Read(r) => values[r.tensor]
                .unwrap_or_else(|| unreachable!("{} is defined before it is used", r.tensor)),
            Expr::Cast(to, x) => {
                let v = self.expr(x, values);
                self.e.cast_values(x.dtype(), *to, v, self.lanes)
            }
            Expr::Bitcast(to, x) => {
                let v = self.expr(x, values);
                self.e.bitcast_values(x.dtype(), *to, v, self.lanes)
            }
            Expr::Apply(func, args) => {
                let dtypes: Vec<DType> = args.iter().map(Expr::dtype).collect();
                let args: Vec<Val> = args.iter().map(|a| self.expr(a, values)).collect();
                self.e.apply_values(*func, &dtypes, &args, self.lanes)
            }
            Expr::Compare(..) | Expr::Contiguous(_) => {
                unreachable!("an expansion has no indices or buffers")
            }
        }
    }
}
