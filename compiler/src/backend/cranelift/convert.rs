//! Conversions between element types, and between memory and registers.

use super::emit::{Emit, Val, register_type};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use tcc_abi::DType;

impl Emit<'_, '_> {
    /// Converts a uniform value (see `Expr::Cast`).
    pub(super) fn cast(&mut self, from: DType, to: DType, v: Val) -> Val {
        if from == to && !to.is_storage_float() {
            return v;
        }
        match v {
            Val::Pair(re, im) if to.is_complex() => {
                let (from, to) = (from.real_part(), to.real_part());
                Val::Pair(self.cast_real(from, to, re), self.cast_real(from, to, im))
            }
            Val::Pair(re, im) if to == DType::Bool => {
                let part = from.real_part();
                let (a, b) = (self.cast_real(part, to, re), self.cast_real(part, to, im));
                Val::One(self.b.ins().bor(a, b))
            }
            Val::Pair(re, _) => Val::One(self.cast_real(from.real_part(), to, re)),
            Val::One(x) if to.is_complex() => {
                let part = to.real_part();
                let re = self.cast_real(from, part, x);
                let zero = self.float(register_type(part), 0.0);
                Val::Pair(re, zero)
            }
            Val::One(x) => Val::One(self.cast_real(from, to, x)),
            Val::Vector(_) => unreachable!("lanes are converted one by one"),
        }
    }

    fn cast_real(&mut self, from: DType, to: DType, v: Value) -> Value {
        match (from.is_float(), to.is_float()) {
            (true, true) => self.float_to_float(to, v),
            (true, false) => self.float_to_int(to, v),
            (false, true) => self.int_to_float(from, to, v),
            (false, false) => self.int_to_int(from, to, v),
        }
    }

    fn float_to_float(&mut self, to: DType, v: Value) -> Value {
        let wide = self.ty(v) == F64;
        match to {
            DType::F64 if wide => v,
            DType::F64 => self.b.ins().fpromote(F64, v),
            DType::F32 if wide => self.b.ins().fdemote(F32, v),
            DType::F32 => v,
            _ => {
                let single = if wide { self.rounded_to_odd(v) } else { v };
                self.round_half(to, single)
            }
        }
    }

    /// An f64 as an f32 whose last bit is sticky, so that rounding again to a narrower type gives
    /// what rounding once would.
    fn rounded_to_odd(&mut self, v: Value) -> Value {
        let near = self.b.ins().fdemote(F32, v);
        let back = self.b.ins().fpromote(F64, near);
        let inexact = self.b.ins().fcmp(FloatCC::NotEqual, back, v);
        let (size, size_back) = (self.b.ins().fabs(v), self.b.ins().fabs(back));
        let above = self.b.ins().fcmp(FloatCC::GreaterThan, size_back, size);
        let bits = self.bits(I32, near);
        let above = self.b.ins().uextend(I32, above);
        let cut = self.b.ins().isub(bits, above);
        let odd = self.b.ins().bor_imm_u(cut, 1);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, v, v);
        let exact = self.b.ins().bxor_imm_u(inexact, 1);
        let keep = self.b.ins().bor(exact, nan);
        let bits = self.b.ins().select(keep, bits, odd);
        self.bits(F32, bits)
    }

    /// Rounds an f32 to a half type; the value stays in an f32.
    fn round_half(&mut self, to: DType, v: Value) -> Value {
        let half = self.encode_half(to, v);
        self.decode_half(to, half)
    }

    /// The 16 bits of an f32 rounded to a half type, in an `i32`.
    fn encode_half(&mut self, to: DType, v: Value) -> Value {
        let bits = self.bits(I32, v);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, v, v);
        if to == DType::BF16 {
            let high = self.b.ins().ushr_imm_u(bits, 16);
            let odd = self.b.ins().band_imm_u(high, 1);
            let biased = self.b.ins().iadd_imm_u(bits, 0x7fff);
            let rounded = self.b.ins().iadd(biased, odd);
            let rounded = self.b.ins().ushr_imm_u(rounded, 16);
            let quiet = self.b.ins().bor_imm_u(high, 0x40);
            return self.b.ins().select(nan, quiet, rounded);
        }
        let sign = self.b.ins().ushr_imm_u(bits, 16);
        let sign = self.b.ins().band_imm_u(sign, 0x8000);
        let size = self.b.ins().band_imm_u(bits, 0x7fff_ffff);
        // Too large or infinite: infinity.
        let large = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, size, 0x4780_0000);
        // Below the least normal: adding 0.5 aligns the last bit of the result with that of the
        // sum.
        let small = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, size, 0x3880_0000);
        let magic = self.float(F32, 0.5);
        let as_float = self.bits(F32, size);
        let sum = self.b.ins().fadd(as_float, magic);
        let sum = self.bits(I32, sum);
        let subnormal = self.b.ins().iadd_imm_s(sum, -0x3f00_0000);
        // Normal: rebias the exponent and round to even.
        let last = self.b.ins().ushr_imm_u(size, 13);
        let odd = self.b.ins().band_imm_u(last, 1);
        let rebias = self.b.ins().iadd_imm_s(size, -(112 << 23) + 0xfff);
        let normal = self.b.ins().iadd(rebias, odd);
        let normal = self.b.ins().ushr_imm_u(normal, 13);
        let finite = self.b.ins().select(small, subnormal, normal);
        let infinity = self.b.ins().iconst(I32, 0x7c00);
        let value = self.b.ins().select(large, infinity, finite);
        let quiet = self.b.ins().iconst(I32, 0x7e00);
        let value = self.b.ins().select(nan, quiet, value);
        self.b.ins().bor(value, sign)
    }

    /// An f32 from the 16 bits of a half type in an `i32`.
    fn decode_half(&mut self, from: DType, bits: Value) -> Value {
        if from == DType::BF16 {
            let bits = self.b.ins().ishl_imm_u(bits, 16);
            return self.bits(F32, bits);
        }
        let sign = self.b.ins().band_imm_u(bits, 0x8000);
        let sign = self.b.ins().ishl_imm_u(sign, 16);
        let size = self.b.ins().band_imm_u(bits, 0x7fff);
        let shifted = self.b.ins().ishl_imm_u(size, 13);
        let special = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, size, 0x7c00);
        let small = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, size, 0x400);
        let normal = self.b.ins().iadd_imm_u(shifted, 112 << 23);
        let infinite = self.b.ins().iadd_imm_u(shifted, 224 << 23);
        // Subnormal: the bits count units of 2^-24.
        let count = self.b.ins().fcvt_from_uint(F32, size);
        let unit = self.float(F32, 1.0 / 16_777_216.0);
        let tiny = self.b.ins().fmul(count, unit);
        let tiny = self.bits(I32, tiny);
        let value = self.b.ins().select(small, tiny, normal);
        let value = self.b.ins().select(special, infinite, value);
        let value = self.b.ins().bor(value, sign);
        self.bits(F32, value)
    }

    fn float_to_int(&mut self, to: DType, v: Value) -> Value {
        if to == DType::Bool {
            let zero = self.float(self.ty(v), 0.0);
            return self.b.ins().fcmp(FloatCC::NotEqual, v, zero);
        }
        let ty = register_type(to);
        let wide = if ty == I64 { I64 } else { I32 };
        if !to.is_signed_int() {
            let x = self.b.ins().fcvt_to_uint_sat(wide, v);
            return self.narrow(ty, x, |e, x| {
                let top = e.b.ins().iconst(I32, (1 << ty.bits()) - 1);
                e.b.ins().umin(x, top)
            });
        }
        let x = self.b.ins().fcvt_to_sint_sat(wide, v);
        self.narrow(ty, x, |e, x| {
            let top = 1i64 << (ty.bits() - 1);
            let (high, low) = (e.b.ins().iconst(I32, top - 1), e.b.ins().iconst(I32, -top));
            let x = e.b.ins().smin(x, high);
            e.b.ins().smax(x, low)
        })
    }

    /// Reduces to a narrower type after clamping.
    fn narrow(
        &mut self,
        ty: Type,
        x: Value,
        clamp: impl FnOnce(&mut Self, Value) -> Value,
    ) -> Value {
        if self.ty(x) == ty {
            return x;
        }
        let clamped = clamp(self, x);
        self.b.ins().ireduce(ty, clamped)
    }

    fn int_to_float(&mut self, from: DType, to: DType, v: Value) -> Value {
        let signed = from.is_signed_int();
        let bits = self.ty(v).bits();
        let wide = match (bits < 32, signed) {
            (true, true) => self.b.ins().sextend(I32, v),
            (true, false) => self.b.ins().uextend(I32, v),
            (false, _) => v,
        };
        let ty = if to.is_storage_float() { F64 } else { register_type(to) };
        let float = if signed {
            self.b.ins().fcvt_from_sint(ty, wide)
        } else {
            self.b.ins().fcvt_from_uint(ty, wide)
        };
        if to.is_storage_float() { self.float_to_float(to, float) } else { float }
    }

    fn int_to_int(&mut self, from: DType, to: DType, v: Value) -> Value {
        let ty = self.ty(v);
        if to == DType::Bool {
            return if from == DType::Bool {
                v
            } else {
                self.b.ins().icmp_imm_s(IntCC::NotEqual, v, 0)
            };
        }
        let target = register_type(to);
        match (target.bits().cmp(&ty.bits()), from.is_signed_int()) {
            (std::cmp::Ordering::Less, _) => self.b.ins().ireduce(target, v),
            (std::cmp::Ordering::Equal, _) => v,
            (std::cmp::Ordering::Greater, true) => self.b.ins().sextend(target, v),
            (std::cmp::Ordering::Greater, false) => self.b.ins().uextend(target, v),
        }
    }

    /// The same bits as another type (see `Expr::Bitcast`).
    pub(super) fn bitcast(&mut self, from: DType, to: DType, v: Val) -> Val {
        match v {
            Val::One(x) => {
                let bits = self.stored(from, x);
                let ty = super::emit::memory_type(to);
                let same = self.bits(ty, bits);
                Val::One(self.loaded(to, same))
            }
            other => other,
        }
    }

    /// A register value as it lies in memory.
    pub(super) fn stored(&mut self, dtype: DType, v: Value) -> Value {
        if !dtype.is_storage_float() {
            return v;
        }
        let half = self.encode_half(dtype, v);
        self.b.ins().ireduce(I16, half)
    }

    /// A loaded value as it lies in registers.
    pub(super) fn loaded(&mut self, dtype: DType, v: Value) -> Value {
        if !dtype.is_storage_float() {
            return v;
        }
        let bits = self.b.ins().uextend(I32, v);
        self.decode_half(dtype, bits)
    }

    /// A constant made of sizes and indices, `num / den`.
    pub(super) fn index(&mut self, dtype: DType, num: Value, den: Option<Value>) -> Val {
        if dtype.is_int() {
            let ty = register_type(dtype);
            return Val::One(if ty == I64 { num } else { self.b.ins().ireduce(ty, num) });
        }
        let mut x = self.b.ins().fcvt_from_sint(F64, num);
        if let Some(den) = den {
            let den = self.b.ins().fcvt_from_sint(F64, den);
            x = self.b.ins().fdiv(x, den);
        }
        self.cast(DType::F64, dtype, Val::One(x))
    }
}
