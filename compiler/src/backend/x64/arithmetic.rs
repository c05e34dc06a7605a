//! Functions of values: arithmetic, comparisons, conversions, and scalar functions by their
//! expansions.

use super::build::{Builder, Built};
use super::code::{Class, Kind, Lane, Node, Reg, Source};
use super::opcodes::Op;
use super::values::Val;
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::graph::{Function, Node as GraphNode};
use tcc_ir::scalar::{Expr, Func};

/// Predicates of float comparisons: ordered and quiet, but `!=`.
const FLOAT_EQ: u8 = 0x00;
const FLOAT_UNORDERED: u8 = 0x03;
const FLOAT_NE: u8 = 0x04;

fn float_predicate(func: Func) -> Option<u8> {
    Some(match func {
        Func::Eq => FLOAT_EQ,
        Func::Ne => FLOAT_NE,
        Func::Lt => 0x11,
        Func::Le => 0x12,
        Func::Gt => 0x1e,
        Func::Ge => 0x1d,
        _ => return None,
    })
}

fn int_predicate(func: Func) -> Option<u8> {
    Some(match func {
        Func::Eq => 0,
        Func::Lt => 1,
        Func::Le => 2,
        Func::Ne => 4,
        Func::Ge => 5,
        Func::Gt => 6,
        _ => return None,
    })
}

/// Directions of rounding, without exceptions.
fn rounding(func: Func) -> Option<u8> {
    Some(match func {
        Func::Round => 0x8,
        Func::Floor => 0x9,
        Func::Ceil => 0xa,
        Func::Trunc => 0xb,
        _ => return None,
    })
}

fn sign_bit(lane: Lane) -> u64 {
    1 << (8 * lane.bytes() - 1)
}

fn ones(lane: Lane) -> u64 {
    if lane.bytes() == 4 { 0xffff_ffff } else { u64::MAX }
}

impl Builder<'_> {
    pub(super) fn logic(&mut self, func: Func, a: Val, b: Val) -> Built<Val> {
        let kind = match func {
            Func::And => Kind::MaskAnd,
            Func::Or => Kind::MaskOr,
            _ => Kind::MaskXor,
        };
        match (func, a, b) {
            (_, Val::Bool(a), Val::Bool(b)) => Ok(Val::Bool(match func {
                Func::And => a && b,
                Func::Or => a || b,
                _ => a != b,
            })),
            (Func::And, Val::Bool(true), x) | (Func::And, x, Val::Bool(true)) => Ok(x),
            (Func::And, Val::Bool(false), _) | (Func::And, _, Val::Bool(false)) => {
                Ok(Val::Bool(false))
            }
            (Func::Or, Val::Bool(false), x) | (Func::Or, x, Val::Bool(false)) => Ok(x),
            (Func::Or, Val::Bool(true), _) | (Func::Or, _, Val::Bool(true)) => Ok(Val::Bool(true)),
            (_, a, b) => {
                let (a, b) = (self.mask_of(a)?, self.mask_of(b)?);
                Ok(Val::Mask(self.mask_op(kind, &[a, b])?))
            }
        }
    }

    pub(super) fn select(&mut self, dtype: DType, c: Val, a: Val, b: Val) -> Built<Val> {
        let mask = match c {
            Val::Bool(true) => return Ok(a),
            Val::Bool(false) => return Ok(b),
            c => self.mask_of(c)?,
        };
        if dtype == DType::Bool {
            let (a, b) = (self.mask_of(a)?, self.mask_of(b)?);
            let not = self.mask_op(Kind::MaskNot, &[mask])?;
            let (a, b) =
                (self.mask_op(Kind::MaskAnd, &[mask, a])?, self.mask_op(Kind::MaskAnd, &[not, b])?);
            return Ok(Val::Mask(self.mask_op(Kind::MaskOr, &[a, b])?));
        }
        let lane = Lane::of(dtype).ok_or("a value of this type is not in vectors")?;
        let first = Source::Reg(self.in_register(lane, b)?);
        let second = self.source(a)?;
        let mut inst = self.blank(Kind::Op(Op::Blend), lane);
        inst.sources = smallvec![first, second];
        inst.mask = Some(mask);
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// Applies a function to values of a type.
    pub(super) fn apply(&mut self, func: Func, dtype: DType, args: &[Val]) -> Built<Val> {
        if func.is_expanded() {
            return self.expand(func, dtype, args);
        }
        match (func, args) {
            (Func::Select, [c, a, b]) => return self.select(dtype, *c, *a, *b),
            (Func::Not, [a]) => {
                return Ok(match *a {
                    Val::Bool(b) => Val::Bool(!b),
                    a => {
                        let m = self.mask_of(a)?;
                        Val::Mask(self.mask_op(Kind::MaskNot, &[m])?)
                    }
                });
            }
            (Func::And | Func::Or | Func::Xor, [a, b]) => return self.logic(func, *a, *b),
            (Func::Eq | Func::Ne, [a, b]) if dtype == DType::Bool => {
                let different = self.logic(Func::Xor, *a, *b)?;
                return if func == Func::Ne {
                    Ok(different)
                } else {
                    self.apply(Func::Not, dtype, &[different])
                };
            }
            _ => {}
        }
        let lane =
            Lane::of(dtype).ok_or_else(|| format!("`{func}` of {dtype} is not done in vectors"))?;
        if lane.is_float() { self.float(func, lane, args) } else { self.integer(func, lane, args) }
    }

    fn float(&mut self, func: Func, lane: Lane, args: &[Val]) -> Built<Val> {
        if let ([a, b], Some(imm)) = (args, float_predicate(func)) {
            return Ok(Val::Mask(self.op(Op::Cmp, lane, &[*a, *b], imm)?));
        }
        if let ([a], Some(imm)) = (args, rounding(func)) {
            return Ok(Val::Vector(self.op(Op::Round, lane, &[*a], imm)?));
        }
        if let Some(v) = self.float_test(func, lane, args)? {
            return Ok(v);
        }
        let v = match (func, args) {
            (Func::Add, [a, b]) => self.op(Op::Add, lane, &[*a, *b], 0)?,
            (Func::Sub, [a, b]) => self.op(Op::Sub, lane, &[*a, *b], 0)?,
            (Func::Mul, [a, b]) => self.op(Op::Mul, lane, &[*a, *b], 0)?,
            (Func::Div, [a, b]) => self.op(Op::Div, lane, &[*a, *b], 0)?,
            (Func::Max, [a, b]) => self.extreme(lane, *a, *b, 5)?,
            (Func::Min, [a, b]) => self.extreme(lane, *a, *b, 4)?,
            (Func::Sqrt, [a]) => self.op(Op::Sqrt, lane, &[*a], 0)?,
            (Func::Neg, [a]) => self.op(Op::Xor, lane, &[*a, Val::Literal(sign_bit(lane))], 0)?,
            (Func::Abs, [a]) => {
                let rest = ones(lane) & !sign_bit(lane);
                self.op(Op::And, lane, &[*a, Val::Literal(rest)], 0)?
            }
            (Func::Fma, [a, b, c]) => self.fma(lane, *a, *b, *c)?,
            (Func::Copysign, [a, b]) => {
                let (a, b) = (self.in_register(lane, *a)?, self.in_register(lane, *b)?);
                let sign = Val::Literal(sign_bit(lane));
                // The second where the third is set, else the first.
                self.op(Op::Ternary, lane, &[Val::Vector(a), Val::Vector(b), sign], 0xd8)?
            }
            (Func::Rem, [a, b]) => {
                let quotient = self.op(Op::Div, lane, &[*a, *b], 0)?;
                let floor = self.op(Op::Round, lane, &[Val::Vector(quotient)], 0x9)?;
                let sign = Val::Literal(sign_bit(lane));
                let negative = self.op(Op::Xor, lane, &[Val::Vector(floor), sign], 0)?;
                self.fma(lane, Val::Vector(negative), *b, *a)?
            }
            _ => return Err(format!("`{func}` is not done in vectors")),
        };
        Ok(Val::Vector(v))
    }

    /// Functions that end in masks: the sign, and tests for special values.
    fn float_test(&mut self, func: Func, lane: Lane, args: &[Val]) -> Built<Option<Val>> {
        let [a] = args else { return Ok(None) };
        let one = if lane == Lane::F32 { u64::from(1f32.to_bits()) } else { 1f64.to_bits() };
        let v = match func {
            Func::Sign => {
                let positive = self.op(Op::Cmp, lane, &[*a, Val::Literal(0)], 0x1e)?;
                let negative = self.op(Op::Cmp, lane, &[*a, Val::Literal(0)], 0x11)?;
                let dtype = if lane == Lane::F32 { DType::F32 } else { DType::F64 };
                let minus = Val::Literal(one | sign_bit(lane));
                let v = self.select(dtype, Val::Mask(negative), minus, *a)?;
                self.select(dtype, Val::Mask(positive), Val::Literal(one), v)?
            }
            Func::IsNan => {
                let v = Val::Vector(self.in_register(lane, *a)?);
                Val::Mask(self.op(Op::Cmp, lane, &[v, v], FLOAT_UNORDERED)?)
            }
            Func::IsInf => Val::Mask(self.op(Op::Class, lane, &[*a], 0x18)?),
            Func::IsFinite => {
                let not = self.op(Op::Class, lane, &[*a], 0x99)?;
                Val::Mask(self.mask_op(Kind::MaskNot, &[not])?)
            }
            _ => return Ok(None),
        };
        Ok(Some(v))
    }

    /// The smaller (4) or larger (5) of two: the instruction prefers numbers to NaN, so the sum
    /// replaces its result where either is one.
    fn extreme(&mut self, lane: Lane, a: Val, b: Val, imm: u8) -> Built<Reg> {
        let a = Val::Vector(self.in_register(lane, a)?);
        let t = self.op(Op::Range, lane, &[a, b], imm)?;
        // A literal is a number: only the other may be NaN.
        let nan = match b {
            Val::Literal(_) => self.op(Op::Cmp, lane, &[a, a], FLOAT_UNORDERED)?,
            b => self.op(Op::Cmp, lane, &[a, b], FLOAT_UNORDERED)?,
        };
        // The sum goes into the result itself, which is no other value's.
        let mut inst = self.blank(Kind::Op(Op::Add), lane);
        inst.sources = smallvec![self.source(a)?, self.source(b)?];
        inst.mask = Some(nan);
        inst.dst = Some(t);
        self.known.retain(|_, known| *known != t);
        self.push(Node::Inst(inst))?;
        Ok(t)
    }

    fn fma(&mut self, lane: Lane, a: Val, b: Val, c: Val) -> Built<Reg> {
        let (a, b) = if matches!(a, Val::Literal(_)) { (b, a) } else { (a, b) };
        let a = self.in_register(lane, a)?;
        let mut inst = self.blank(Kind::Op(Op::Fma231), lane);
        inst.sources = smallvec![Source::Reg(a), self.source(b)?, self.source(c)?];
        // At most one operand comes from memory.
        if !matches!(b, Val::Vector(_)) && !matches!(c, Val::Vector(_)) {
            let c = self.in_register(lane, c)?;
            if let Some(slot) = inst.sources.get_mut(2) {
                *slot = Source::Reg(c);
            }
        }
        self.pure(Class::Vector, inst, None)
    }

    fn integer(&mut self, func: Func, lane: Lane, args: &[Val]) -> Built<Val> {
        if let ([a, b], Some(imm)) = (args, int_predicate(func)) {
            return Ok(Val::Mask(self.op(Op::Cmp, lane, &[*a, *b], imm)?));
        }
        let zero = Val::Literal(0);
        let v = match (func, args) {
            (Func::Add, [a, b]) => self.op(Op::Add, lane, &[*a, *b], 0)?,
            (Func::Sub, [a, b]) => self.op(Op::Sub, lane, &[*a, *b], 0)?,
            (Func::Mul, [a, b]) => self.op(Op::Mul, lane, &[*a, *b], 0)?,
            (Func::Max, [a, b]) => self.op(Op::Max, lane, &[*a, *b], 0)?,
            (Func::Min, [a, b]) => self.op(Op::Min, lane, &[*a, *b], 0)?,
            (Func::BitAnd, [a, b]) => self.op(Op::And, lane, &[*a, *b], 0)?,
            (Func::BitOr, [a, b]) => self.op(Op::Or, lane, &[*a, *b], 0)?,
            (Func::BitXor, [a, b]) => self.op(Op::Xor, lane, &[*a, *b], 0)?,
            (Func::Neg, [a]) => self.op(Op::Sub, lane, &[zero, *a], 0)?,
            (Func::Abs, [a]) if lane.is_signed() => {
                let negative = self.op(Op::Sub, lane, &[zero, *a], 0)?;
                self.op(Op::Max, lane, &[*a, Val::Vector(negative)], 0)?
            }
            (Func::Abs, [a]) => return Ok(*a),
            (Func::Shl | Func::Shr, [a, Val::Literal(n)]) if *n < u64::from(8 * lane.bytes()) => {
                let op = if func == Func::Shl { Op::Shl } else { Op::Shr };
                self.op(op, lane, &[*a, Val::Literal(*n)], 0)?
            }
            _ => return Err(format!("`{func}` of integers is not done in vectors")),
        };
        Ok(Val::Vector(v))
    }

    pub(super) fn cast(&mut self, from: DType, to: DType, v: Val) -> Built<Val> {
        if from == to {
            return Ok(v);
        }
        let unsupported = || format!("a cast from {from} to {to} is not done in vectors");
        if from == DType::Bool {
            let lane = Lane::of(to).ok_or_else(unsupported)?;
            let one = tcc_abi::Scalar::from_f64(to, 1.0).bits() as u64;
            debug_assert!(lane.bytes() <= 8, "a lane has at most 8 bytes");
            return self.select(to, v, Val::Literal(one), Val::Literal(0));
        }
        let source = Lane::of(from).ok_or_else(unsupported)?;
        if to == DType::Bool {
            let func = Func::Ne;
            return self.apply(func, from, &[v, Val::Literal(0)]);
        }
        let lane = Lane::of(to).ok_or_else(unsupported)?;
        let same_bits = !source.is_float() && !lane.is_float() && source.bytes() == lane.bytes();
        if same_bits {
            return Ok(v);
        }
        let direct = matches!(
            (source, lane),
            (Lane::F32, Lane::F64)
                | (Lane::F64, Lane::F32)
                | (Lane::I32, Lane::F32 | Lane::F64)
                | (Lane::U32, Lane::F32)
                | (Lane::I64, Lane::F64)
                | (Lane::I32 | Lane::U32, Lane::I64 | Lane::U64)
                | (Lane::I64 | Lane::U64, Lane::I32 | Lane::U32)
        );
        if direct {
            let v = self.in_register(source, v)?;
            return Ok(Val::Vector(self.convert(source, lane, v)?));
        }
        if (source, lane) == (Lane::F32, Lane::I32) {
            return self.truncated(v);
        }
        Err(unsupported())
    }

    fn convert(&mut self, from: Lane, to: Lane, v: Reg) -> Built<Reg> {
        let mut inst = self.blank(Kind::Convert(from), to);
        inst.sources.push(Source::Reg(v));
        self.pure(Class::Vector, inst, None)
    }

    /// `f32` to `i32`, saturating, NaN to 0.
    fn truncated(&mut self, v: Val) -> Built<Val> {
        let x = self.in_register(Lane::F32, v)?;
        let v = Val::Vector(x);
        let near = Val::Vector(self.convert(Lane::F32, Lane::I32, x)?);
        let limit = Val::Literal(u64::from(2147483648f32.to_bits()));
        let above = self.op(Op::Cmp, Lane::F32, &[v, limit], 0x1d)?;
        let most = Val::Literal(i32::MAX as u64);
        let near = self.select(DType::I32, Val::Mask(above), most, near)?;
        let nan = self.op(Op::Cmp, Lane::F32, &[v, v], FLOAT_UNORDERED)?;
        self.select(DType::I32, Val::Mask(nan), Val::Literal(0), near)
    }

    /// A scalar function by its expansion.
    fn expand(&mut self, func: Func, dtype: DType, args: &[Val]) -> Built<Val> {
        let expansion = self.expansions.get(func, dtype).clone();
        if expansion.rare.is_some() {
            return Err(format!("`{func}` has a rare case"));
        }
        self.function(&expansion.body, args)
    }

    /// The equations of a function of scalars, in order.
    fn function(&mut self, f: &Function, args: &[Val]) -> Built<Val> {
        let mut values: HashMap<TensorId, Val> =
            f.params.iter().copied().zip(args.iter().copied()).collect();
        for d in f.nodes.iter().flat_map(GraphNode::definitions) {
            if let [e] = d.equations.as_slice() {
                let v = self.inline(&e.body, &values)?;
                values.insert(d.tensor, v);
            }
        }
        let result = f.results.first().and_then(|r| values.get(r).copied());
        result.ok_or_else(|| format!("`{}` defines no result", f.name))
    }

    fn inline(&mut self, e: &Expr, values: &HashMap<TensorId, Val>) -> Built<Val> {
        match e {
            Expr::Read(r) => {
                values.get(&r.tensor).copied().ok_or("a value is used before it is defined".into())
            }
            Expr::Cast(to, x) => {
                let v = self.inline(x, values)?;
                self.cast(x.dtype(), *to, v)
            }
            Expr::Bitcast(_, x) => self.inline(x, values),
            Expr::Apply(func, args) => {
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                let mut given: SmallVec<[Val; 3]> = SmallVec::new();
                for a in args {
                    given.push(self.inline(a, values)?);
                }
                self.apply(*func, dtype, &given)
            }
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {
                self.value(e, None)
            }
        }
    }
}
