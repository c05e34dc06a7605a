//! Operations on values that are uniform or in lanes: vector instructions where there are any, else
//! one lane after the other.

use super::emit::{Emit, Val, lane_type};
use cranelift_codegen::ir::{InstBuilder, Value};
use tcc_abi::DType;
use tcc_ir::scalar::Func;

impl Emit<'_, '_> {
    /// Applies a function to values of these types; `lanes` are those of vectors among them. An
    /// integer divisor is not 0.
    pub(super) fn apply_values(
        &mut self,
        func: Func,
        dtypes: &[DType],
        values: &[Val],
        lanes: u32,
    ) -> Val {
        let dtype = dtypes.last().copied().unwrap_or(DType::Bool);
        let vector = values.iter().any(|v| matches!(v, Val::Vector(_)));
        if func.is_expanded() {
            return self.call(func, dtype.compute(), if vector { lanes } else { 1 }, values);
        }
        if vector {
            if let Some(v) = self.apply_lanes(func, dtypes, values, lanes) {
                return v;
            }
            let each: Vec<Val> = (0..lanes)
                .map(|k| {
                    let one: Vec<Val> =
                        values.iter().zip(dtypes).map(|(v, d)| self.lane(*d, *v, k)).collect();
                    self.apply_values(func, dtypes, &one, 1)
                })
                .collect();
            return self.gather(func.result(dtypes).unwrap_or(dtype), &each);
        }
        if dtype.is_complex() || func == Func::Complex {
            return self.apply_complex(func, values);
        }
        let args: Vec<Value> = values
            .iter()
            .map(|v| match v {
                Val::One(v) => *v,
                other => unreachable!("{func} of {other:?}"),
            })
            .collect();
        let v = self.apply(func, dtype, &args);
        Val::One(v.unwrap_or_else(|| unreachable!("{func} on {dtype} has instructions")))
    }

    fn apply_lanes(
        &mut self,
        func: Func,
        dtypes: &[DType],
        values: &[Val],
        lanes: u32,
    ) -> Option<Val> {
        let dtype = dtypes.last().copied()?;
        if let (Func::Shl | Func::Shr, [Val::Vector(a), Val::One(count)]) = (func, values) {
            return Some(Val::Vector(self.shift_lanes(func, dtype.is_signed_int(), *a, *count)));
        }
        if let (Func::Select, [Val::One(c), a, b]) = (func, values) {
            let (a, b) = (self.splat(dtype, *a, lanes), self.splat(dtype, *b, lanes));
            return Some(Val::Vector(self.choose(*c, a, b)));
        }
        let vectors: Vec<Value> =
            values.iter().zip(dtypes).map(|(v, d)| self.splat(*d, *v, lanes)).collect();
        self.apply(func, dtype, &vectors).map(Val::Vector)
    }

    /// Calls the function that holds an expansion.
    pub(super) fn call(&mut self, func: Func, dtype: DType, lanes: u32, values: &[Val]) -> Val {
        let args: Vec<Value> = values
            .iter()
            .map(|v| match *v {
                Val::One(v) if lanes == 1 => v,
                v => self.splat(dtype, v, lanes),
            })
            .collect();
        let callee = self.unit.callee(self.b.func, func, dtype, lanes);
        let call = self.b.ins().call(callee, &args);
        match self.b.inst_results(call) {
            [v] if lanes == 1 => Val::One(*v),
            [v] => Val::Vector(*v),
            other => unreachable!("a scalar function has one result, not {}", other.len()),
        }
    }

    /// Converts a value (see `Expr::Cast`).
    pub(super) fn cast_values(&mut self, from: DType, to: DType, v: Val, lanes: u32) -> Val {
        let Val::Vector(x) = v else { return self.cast(from, to, v) };
        if from == to {
            return v;
        }
        match (from, to, lane_type(to, lanes)) {
            (DType::Bool, _, Some(ty)) if to.is_int() => {
                let one = self.int(ty, 1);
                Val::Vector(self.b.ins().band(x, one))
            }
            (DType::Bool, _, Some(ty)) if to.is_float() => {
                let one = self.float(ty, 1.0);
                let one = self.bits(ty.as_int(), one);
                let value = self.b.ins().band(x, one);
                Val::Vector(self.bits(ty, value))
            }
            (DType::I32, DType::F32, Some(ty)) => Val::Vector(self.b.ins().fcvt_from_sint(ty, x)),
            (DType::F32, DType::I32, Some(ty)) => Val::Vector(self.b.ins().fcvt_to_sint_sat(ty, x)),
            (DType::I32 | DType::U32, DType::I32 | DType::U32, _)
            | (DType::I64 | DType::U64, DType::I64 | DType::U64, _) => v,
            _ => {
                let each: Vec<Val> = (0..lanes)
                    .map(|k| {
                        let one = self.lane(from, v, k);
                        self.cast(from, to, one)
                    })
                    .collect();
                self.gather(to, &each)
            }
        }
    }

    /// The same bits as another type (see `Expr::Bitcast`).
    pub(super) fn bitcast_values(&mut self, from: DType, to: DType, v: Val, lanes: u32) -> Val {
        match (v, lane_type(to, lanes)) {
            (Val::Vector(v), Some(ty)) => Val::Vector(self.bits(ty, v)),
            _ => self.bitcast(from, to, v),
        }
    }
}
