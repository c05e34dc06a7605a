//! Scalar operations as Cranelift instructions, on one value or on the lanes of a 128-bit vector.
//!
//! A value is uniform (the same in every lane; what scalar code has) or a vector with an element a
//! lane. Bools are bytes 0 or 1 when uniform, and masks of the lanes' width in vectors. `f16` and
//! `bf16` live in `f32` registers; complex numbers are pairs.

use super::unit::Unit;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FunctionBuilder;
use tcc_abi::{DType, Scalar};
use tcc_ir::scalar::Func;

/// A value in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Val {
    /// A number or bool.
    One(Value),
    /// A complex number.
    Pair(Value, Value),
    /// A number or mask in each lane.
    Vector(Value),
}

/// A function being built.
pub(super) struct Emit<'b, 'u> {
    pub(super) b: FunctionBuilder<'b>,
    pub(super) unit: &'b mut Unit<'u>,
}

/// The register type of a value of this element type; for a complex number that of its parts.
pub(super) fn register_type(dtype: DType) -> Type {
    match dtype.real_part() {
        DType::F64 => F64,
        DType::F32 | DType::F16 | DType::BF16 => F32,
        other => memory_type(other),
    }
}

/// The type of an element in memory; for a complex number that of its parts.
pub(super) fn memory_type(dtype: DType) -> Type {
    match dtype.real_part() {
        DType::F64 => F64,
        DType::F32 => F32,
        other => match other.size() {
            1 => I8,
            2 => I16,
            4 => I32,
            _ => I64,
        },
    }
}

/// The vector type of this many lanes, if values of the type can be in lanes.
pub(super) fn lane_type(dtype: DType, lanes: u32) -> Option<Type> {
    let width = 128 / lanes;
    match dtype {
        DType::Bool => Type::int(width as u16)?.by(lanes),
        DType::F32 | DType::F64 | DType::I32 | DType::I64 | DType::U32 | DType::U64 => {
            let fits = dtype.bits() == width;
            fits.then(|| register_type(dtype).by(lanes)).flatten()
        }
        _ => None,
    }
}

/// Flags of a bit cast between vectors.
fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Emit<'_, '_> {
    pub(super) fn ty(&self, v: Value) -> Type {
        self.b.func.dfg.value_type(v)
    }

    /// A constant.
    pub(super) fn literal(&mut self, s: Scalar) -> Val {
        let dtype = s.dtype();
        if dtype.is_complex() {
            let (re, im) = s.to_parts();
            let ty = register_type(dtype);
            return Val::Pair(self.float(ty, re), self.float(ty, im));
        }
        if dtype.is_float() {
            return Val::One(self.float(register_type(dtype), s.to_f64()));
        }
        Val::One(self.b.ins().iconst(register_type(dtype), s.to_i128() as i64))
    }

    /// A floating constant, in every lane if the type is a vector.
    pub(super) fn float(&mut self, ty: Type, value: f64) -> Value {
        let bits = match ty.lane_type() {
            F32 => u64::from((value as f32).to_bits()),
            _ => value.to_bits(),
        };
        if ty.is_vector() {
            return self.splat_bits(ty, bits);
        }
        match ty {
            F32 => self.b.ins().f32const(value as f32),
            _ => self.b.ins().f64const(value),
        }
    }

    /// An integer constant, in every lane if the type is a vector.
    pub(super) fn int(&mut self, ty: Type, value: i64) -> Value {
        if ty.is_vector() {
            return self.splat_bits(ty, value as u64);
        }
        self.b.ins().iconst(ty, value)
    }

    fn splat_bits(&mut self, ty: Type, bits: u64) -> Value {
        let width = ty.lane_type().bytes() as usize;
        let one = bits.to_le_bytes();
        let bytes: Vec<u8> = one.iter().take(width).copied().cycle().take(16).collect();
        let constant = self.b.func.dfg.constants.insert(bytes.into());
        self.b.ins().vconst(ty, constant)
    }

    /// The same bits as another type of equal size.
    pub(super) fn bits(&mut self, ty: Type, v: Value) -> Value {
        if self.ty(v) == ty {
            return v;
        }
        let flags = if ty.is_vector() { little() } else { MemFlagsData::new() };
        self.b.ins().bitcast(ty, flags, v)
    }

    /// The value in every lane.
    pub(super) fn splat(&mut self, dtype: DType, v: Val, lanes: u32) -> Value {
        match v {
            Val::Vector(v) => v,
            Val::Pair(..) => unreachable!("complex numbers are not in lanes"),
            Val::One(v) => {
                let ty = lane_type(dtype, lanes)
                    .unwrap_or_else(|| unreachable!("{dtype} is not in {lanes} lanes"));
                if dtype == DType::Bool {
                    let wide = self.b.ins().uextend(ty.lane_type(), v);
                    let mask = self.b.ins().ineg(wide);
                    return self.b.ins().splat(ty, mask);
                }
                self.b.ins().splat(ty, v)
            }
        }
    }

    /// One lane as a uniform value.
    pub(super) fn lane(&mut self, dtype: DType, v: Val, lane: u32) -> Val {
        let Val::Vector(v) = v else { return v };
        let x = self.b.ins().extractlane(v, lane as u8);
        if dtype != DType::Bool {
            return Val::One(x);
        }
        let low = self.b.ins().ireduce(I8, x);
        Val::One(self.b.ins().band_imm_u(low, 1))
    }

    /// A vector of uniform values.
    pub(super) fn gather(&mut self, dtype: DType, values: &[Val]) -> Val {
        let lanes = values.len() as u32;
        let ty = lane_type(dtype, lanes)
            .unwrap_or_else(|| unreachable!("{dtype} is not in {lanes} lanes"));
        let mut out: Option<Value> = None;
        for (k, v) in values.iter().enumerate() {
            let Val::One(v) = *v else { unreachable!("lanes hold numbers") };
            let v = if dtype == DType::Bool {
                let wide = self.b.ins().uextend(ty.lane_type(), v);
                self.b.ins().ineg(wide)
            } else {
                v
            };
            out = Some(match out {
                None => self.b.ins().splat(ty, v),
                Some(vector) => self.b.ins().insertlane(vector, v, k as u8),
            });
        }
        Val::Vector(out.unwrap_or_else(|| unreachable!("a vector has lanes")))
    }

    /// `if condition { a } else { b }`, both computed; lane by lane if the condition is a mask.
    pub(super) fn choose(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        if self.ty(condition).is_vector() {
            let mask = self.bits(ty, condition);
            return self.b.ins().bitselect(mask, a, b);
        }
        self.b.ins().select(condition, a, b)
    }

    /// Applies a function that is one or a few instructions to values of one shape: all scalar, or
    /// all vectors. `None` if there are no such instructions for vectors.
    pub(super) fn apply(&mut self, func: Func, dtype: DType, args: &[Value]) -> Option<Value> {
        let float = dtype.is_float() && func != Func::Select;
        match args {
            [c, a, b] if func == Func::Select => Some(self.choose(*c, *a, *b)),
            _ if float => self.float_op(func, args),
            _ if dtype == DType::Bool => Some(self.bool_op(func, args)),
            _ => self.int_op(func, dtype, args),
        }
    }

    fn float_op(&mut self, func: Func, args: &[Value]) -> Option<Value> {
        match *args {
            [a] => self.float_unary(func, a),
            [a, b] => self.float_binary(func, a, b),
            [a, b, c] => {
                let vector = self.ty(a).is_vector();
                (self.unit.target.fma || !vector).then(|| self.b.ins().fma(a, b, c))
            }
            _ => None,
        }
    }

    fn float_unary(&mut self, func: Func, a: Value) -> Option<Value> {
        let ty = self.ty(a);
        Some(match func {
            Func::Neg => self.b.ins().fneg(a),
            Func::Abs => self.b.ins().fabs(a),
            Func::Sqrt => self.b.ins().sqrt(a),
            Func::Floor => self.b.ins().floor(a),
            Func::Ceil => self.b.ins().ceil(a),
            Func::Round => self.b.ins().nearest(a),
            Func::Trunc => self.b.ins().trunc(a),
            Func::Sign => {
                let (zero, one, less) =
                    (self.float(ty, 0.0), self.float(ty, 1.0), self.float(ty, -1.0));
                let below = self.b.ins().fcmp(FloatCC::LessThan, a, zero);
                let above = self.b.ins().fcmp(FloatCC::GreaterThan, a, zero);
                let rest = self.choose(below, less, a);
                self.choose(above, one, rest)
            }
            Func::IsNan => self.b.ins().fcmp(FloatCC::Unordered, a, a),
            Func::IsInf | Func::IsFinite => {
                let size = self.b.ins().fabs(a);
                let infinity = self.float(ty, f64::INFINITY);
                let cc = if func == Func::IsInf { FloatCC::Equal } else { FloatCC::LessThan };
                self.b.ins().fcmp(cc, size, infinity)
            }
            _ => return None,
        })
    }

    fn float_binary(&mut self, func: Func, a: Value, b: Value) -> Option<Value> {
        if let Some(cc) = float_condition(func) {
            return Some(self.b.ins().fcmp(cc, a, b));
        }
        Some(match func {
            Func::Add => self.b.ins().fadd(a, b),
            Func::Sub => self.b.ins().fsub(a, b),
            Func::Mul => self.b.ins().fmul(a, b),
            Func::Div => self.b.ins().fdiv(a, b),
            Func::Min => self.b.ins().fmin(a, b),
            Func::Max => self.b.ins().fmax(a, b),
            Func::Copysign => self.copysign(a, b),
            Func::Rem => {
                let quotient = self.b.ins().fdiv(a, b);
                let floor = self.b.ins().floor(quotient);
                let negative = self.b.ins().fneg(floor);
                return self.float_op(Func::Fma, &[negative, b, a]);
            }
            _ => return None,
        })
    }

    fn copysign(&mut self, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        let int = ty.as_int();
        let width = ty.lane_type().bits();
        let sign = self.int(int, (1u64 << (width - 1)) as i64);
        let rest = self.int(int, ((1u64 << (width - 1)) - 1) as i64);
        let (a, b) = (self.bits(int, a), self.bits(int, b));
        let (a, b) = (self.b.ins().band(a, rest), self.b.ins().band(b, sign));
        let both = self.b.ins().bor(a, b);
        self.bits(ty, both)
    }

    fn bool_op(&mut self, func: Func, args: &[Value]) -> Value {
        let not = |e: &mut Self, a: Value| {
            if e.ty(a).is_vector() { e.b.ins().bnot(a) } else { e.b.ins().bxor_imm_u(a, 1) }
        };
        match (func, args) {
            (Func::Not, [a]) => not(self, *a),
            (Func::And, [a, b]) => self.b.ins().band(*a, *b),
            (Func::Or, [a, b]) => self.b.ins().bor(*a, *b),
            (Func::Xor | Func::Ne, [a, b]) => self.b.ins().bxor(*a, *b),
            (Func::Eq, [a, b]) => {
                let differ = self.b.ins().bxor(*a, *b);
                not(self, differ)
            }
            (Func::Lt, [a, b]) | (Func::Gt, [b, a]) => {
                let a = not(self, *a);
                self.b.ins().band(a, *b)
            }
            (Func::Le, [a, b]) | (Func::Ge, [b, a]) => {
                let a = not(self, *a);
                self.b.ins().bor(a, *b)
            }
            _ => unreachable!("{func} on bools"),
        }
    }

    fn int_op(&mut self, func: Func, dtype: DType, args: &[Value]) -> Option<Value> {
        let signed = dtype.is_signed_int();
        match *args {
            [a] => self.int_unary(func, signed, a),
            [a, b] => {
                if int_condition(func, true).is_some() {
                    return Some(self.int_compare(func, signed, a, b));
                }
                self.int_binary(func, signed, a, b)
            }
            _ => None,
        }
    }

    fn int_unary(&mut self, func: Func, signed: bool, a: Value) -> Option<Value> {
        let ty = self.ty(a);
        Some(match func {
            Func::Neg => self.b.ins().ineg(a),
            Func::Abs if !signed => a,
            Func::Abs if ty.is_vector() => self.b.ins().iabs(a),
            Func::Abs => {
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, a, 0);
                let other = self.b.ins().ineg(a);
                self.b.ins().select(negative, other, a)
            }
            Func::Sign => {
                if ty.is_vector() {
                    return None;
                }
                let nonzero = self.b.ins().icmp_imm_s(IntCC::NotEqual, a, 0);
                let one = self.extend(ty, nonzero);
                if !signed {
                    return Some(one);
                }
                let below = self.b.ins().sshr_imm_u(a, i64::from(ty.bits()) - 1);
                self.b.ins().bor(below, one)
            }
            _ => return None,
        })
    }

    /// A bool as an integer of this type.
    fn extend(&mut self, ty: Type, v: Value) -> Value {
        if ty == I8 { v } else { self.b.ins().uextend(ty, v) }
    }

    fn int_binary(&mut self, func: Func, signed: bool, a: Value, b: Value) -> Option<Value> {
        let ty = self.ty(a);
        let vector = ty.is_vector();
        Some(match func {
            Func::Add => self.b.ins().iadd(a, b),
            Func::Sub => self.b.ins().isub(a, b),
            Func::Mul => self.b.ins().imul(a, b),
            Func::Min | Func::Max => {
                let first = self.int_compare(Func::Lt, signed, a, b);
                let (x, y) = if func == Func::Min { (a, b) } else { (b, a) };
                self.choose(first, x, y)
            }
            Func::BitAnd => self.b.ins().band(a, b),
            Func::BitOr => self.b.ins().bor(a, b),
            Func::BitXor => self.b.ins().bxor(a, b),
            _ if vector => return None,
            Func::Shl => self.b.ins().ishl(a, b),
            Func::Shr if signed => self.b.ins().sshr(a, b),
            Func::Shr => self.b.ins().ushr(a, b),
            Func::MulHi => self.mul_hi(signed, a, b),
            Func::Div | Func::Rem => self.quotient(func, signed, a, b),
            _ => return None,
        })
    }

    /// A shift of every lane by the same count.
    pub(super) fn shift_lanes(
        &mut self,
        func: Func,
        signed: bool,
        a: Value,
        count: Value,
    ) -> Value {
        match func {
            Func::Shl => self.b.ins().ishl(a, count),
            _ if signed => self.b.ins().sshr(a, count),
            _ => self.b.ins().ushr(a, count),
        }
    }

    /// An integer comparison. Lanes have signed instructions only.
    fn int_compare(&mut self, func: Func, signed: bool, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        let cc =
            |signed| int_condition(func, signed).unwrap_or_else(|| unreachable!("{func} compares"));
        if signed || !ty.is_vector() || matches!(func, Func::Eq | Func::Ne) {
            return self.b.ins().icmp(cc(signed), a, b);
        }
        let width = ty.lane_type().bits();
        let sign = self.int(ty, (1u64 << (width - 1)) as i64);
        let (a, b) = (self.b.ins().bxor(a, sign), self.b.ins().bxor(b, sign));
        self.b.ins().icmp(cc(true), a, b)
    }

    fn mul_hi(&mut self, signed: bool, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        if ty == I64 {
            return if signed { self.b.ins().smulhi(a, b) } else { self.b.ins().umulhi(a, b) };
        }
        let (wide_a, wide_b) = if signed {
            (self.b.ins().sextend(I64, a), self.b.ins().sextend(I64, b))
        } else {
            (self.b.ins().uextend(I64, a), self.b.ins().uextend(I64, b))
        };
        let product = self.b.ins().imul(wide_a, wide_b);
        let high = self.b.ins().ushr_imm_u(product, i64::from(ty.bits()));
        self.b.ins().ireduce(ty, high)
    }

    /// The floored quotient or its remainder; the divisor is not 0.
    fn quotient(&mut self, func: Func, signed: bool, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        if ty.bits() < 32 {
            let wide = |e: &mut Self, v: Value| {
                if signed { e.b.ins().sextend(I32, v) } else { e.b.ins().uextend(I32, v) }
            };
            let (a, b) = (wide(self, a), wide(self, b));
            let wide = self.quotient(func, signed, a, b);
            return self.b.ins().ireduce(ty, wide);
        }
        if !signed {
            return match func {
                Func::Div => self.b.ins().udiv(a, b),
                _ => self.b.ins().urem(a, b),
            };
        }
        // The least integer divided by -1 would trap: divide by 1 and negate.
        let minus = self.b.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let one = self.b.ins().iconst(ty, 1);
        let divisor = self.b.ins().select(minus, one, b);
        let truncated = self.b.ins().sdiv(a, divisor);
        let product = self.b.ins().imul(truncated, divisor);
        let rest = self.b.ins().isub(a, product);
        // Rounded toward zero is one too much where the rest and the divisor differ in sign.
        let mixed = self.b.ins().bxor(rest, divisor);
        let mixed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, mixed, 0);
        let nonzero = self.b.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        let adjust = self.b.ins().band(mixed, nonzero);
        if func == Func::Div {
            let adjust = self.extend(ty, adjust);
            let floored = self.b.ins().isub(truncated, adjust);
            let negative = self.b.ins().ineg(a);
            return self.b.ins().select(minus, negative, floored);
        }
        let fixed = self.b.ins().iadd(rest, divisor);
        let rest = self.b.ins().select(adjust, fixed, rest);
        let zero = self.b.ins().iconst(ty, 0);
        self.b.ins().select(minus, zero, rest)
    }

    /// An integer of any type as an `i64`; values of `u64` beyond keep their bits.
    pub(super) fn as_i64(&mut self, dtype: DType, v: Value) -> Value {
        if self.ty(v) == I64 {
            return v;
        }
        if dtype.is_signed_int() {
            self.b.ins().sextend(I64, v)
        } else {
            self.b.ins().uextend(I64, v)
        }
    }
}

fn float_condition(func: Func) -> Option<FloatCC> {
    Some(match func {
        Func::Eq => FloatCC::Equal,
        Func::Ne => FloatCC::NotEqual,
        Func::Lt => FloatCC::LessThan,
        Func::Le => FloatCC::LessThanOrEqual,
        Func::Gt => FloatCC::GreaterThan,
        Func::Ge => FloatCC::GreaterThanOrEqual,
        _ => return None,
    })
}

/// The condition of an integer comparison.
pub(super) fn int_condition(func: Func, signed: bool) -> Option<IntCC> {
    let cc = match func {
        Func::Eq => IntCC::Equal,
        Func::Ne => IntCC::NotEqual,
        Func::Lt => IntCC::SignedLessThan,
        Func::Le => IntCC::SignedLessThanOrEqual,
        Func::Gt => IntCC::SignedGreaterThan,
        Func::Ge => IntCC::SignedGreaterThanOrEqual,
        _ => return None,
    };
    Some(if signed { cc } else { cc.unsigned() })
}
