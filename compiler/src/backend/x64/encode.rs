//! Vector and mask instructions to machine instructions.

use super::allocate::Home;
use super::assemble::{broadcast, mask, memory, vector};
use super::code::{Inst, Int, Kind, Lane, Place, Reg, Source};
use super::emit::{Emitted, Emitter, POOL, RAX, RCX, low};
use super::opcodes::{Op, code};
use iced_x86::{Code, Instruction, MemoryOperand, Register};
use tcc_ir::scalar::Comparison;

/// Vectors that serve one instruction.
const SPARE: u32 = 31;
const OTHER: u32 = 30;
/// A mask that serves one instruction.
const SPARE_MASK: u32 = 7;

/// The last operand of an instruction.
#[derive(Clone, Copy)]
enum Operand {
    Register(Register),
    Memory(MemoryOperand),
}

impl Emitter<'_> {
    pub(super) fn inst(&mut self, i: &Inst) -> Emitted {
        match i.kind {
            Kind::Op(Op::Fma231) => self.fma(i),
            Kind::Op(Op::Ternary) => self.ternary(i),
            Kind::Op(Op::Pick) => self.pick(i),
            Kind::Op(Op::Cmp | Op::Class) => self.test(i),
            Kind::Op(op) => self.operation(i, op),
            Kind::Copy => self.copy(i),
            Kind::Load => self.load(i),
            Kind::Broadcast => self.spread(i, None),
            Kind::Splat => {
                let from = self.first(i, 16)?;
                self.spread(i, Some(from))
            }
            Kind::Indices { step, part } => self.indices(i, step, part),
            Kind::Store | Kind::Stream => self.store(i),
            Kind::Prefetch => {
                let m = self.at(i.place.ok_or("a hint has no place")?)?;
                self.asm.push(Instruction::with1(Code::Prefetchw_m8, m))
            }
            Kind::Convert(from) => self.convert(i, from),
            Kind::Edge => self.edge(i),
            Kind::When(op) => self.when_mask(i, op),
            Kind::MaskAnd => self.mask_op(i, Code::VEX_Kandq_kr_kr_kr),
            Kind::MaskOr => self.mask_op(i, Code::VEX_Korq_kr_kr_kr),
            Kind::MaskXor => self.mask_op(i, Code::VEX_Kxorq_kr_kr_kr),
            Kind::MaskNot => self.mask_op(i, Code::VEX_Knotq_kr_kr),
            Kind::MaskApart { step, below } => self.mask_apart(i, step, below),
            Kind::FromInt => self.integer(i),
            Kind::LoadBool => self.load_bools(i),
            Kind::StoreBool => self.store_bools(i),
        }
    }

    fn at(&mut self, p: Place) -> Result<MemoryOperand, String> {
        Ok(memory(self.address(p.address)?, i64::from(p.offset)))
    }

    /// A source where an instruction takes a register or memory.
    fn operand(&mut self, s: Source, bytes: u32) -> Result<Operand, String> {
        Ok(match s {
            Source::Reg(r) => match self.home(r) {
                Home::Machine(k) => Operand::Register(vector(k, bytes)),
                Home::Slot(k) => Operand::Memory(Self::vector_slot(k)),
            },
            Source::Literal(bits) => {
                let at = self.asm.constant(bits);
                Operand::Memory(broadcast(memory(POOL, at)))
            }
            Source::Memory(p) => Operand::Memory(self.at(p)?),
            Source::Splat(p) => Operand::Memory(broadcast(self.at(p)?)),
        })
    }

    /// A source in a register; `spare` serves where it is not in one.
    fn register(
        &mut self,
        s: Source,
        lane: Lane,
        bytes: u32,
        spare: u32,
    ) -> Result<Register, String> {
        match self.operand(s, bytes)? {
            Operand::Register(r) => Ok(r),
            Operand::Memory(m) if m.is_broadcast => {
                let r = vector(spare, bytes);
                let plain = MemoryOperand { is_broadcast: false, ..m };
                self.asm.push(Instruction::with2(spread_code(lane, bytes), r, plain))?;
                Ok(r)
            }
            Operand::Memory(m) => {
                let r = vector(spare, bytes);
                self.asm.push(Instruction::with2(table(Op::Load, lane, bytes)?, r, m))?;
                Ok(r)
            }
        }
    }

    fn first(&mut self, i: &Inst, bytes: u32) -> Result<Register, String> {
        let s = i.sources.first().copied().ok_or("an instruction has no source")?;
        self.register(s, i.lane, bytes, OTHER)
    }

    /// The destination of an instruction: its register, or the spare one, which `finish` stores.
    fn target(&mut self, i: &Inst, bytes: u32) -> Result<Register, String> {
        let dst = i.dst.ok_or("an instruction has no destination")?;
        Ok(match self.home(dst) {
            Home::Machine(k) => vector(k, bytes),
            Home::Slot(k) => {
                let r = vector(SPARE, bytes);
                if i.merges() {
                    let load = table(Op::Load, i.lane, bytes)?;
                    self.asm.push(Instruction::with2(load, r, Self::vector_slot(k)))?;
                }
                r
            }
        })
    }

    /// Stores a result whose home is on the stack.
    fn finish(&mut self, i: &Inst, bytes: u32) -> Emitted {
        match i.dst.map(|d| self.home(d)) {
            Some(Home::Slot(k)) => {
                let r = vector(SPARE, bytes);
                let store = table(Op::Store, i.lane, bytes)?;
                self.asm.push(Instruction::with2(store, Self::vector_slot(k), r))
            }
            _ => Ok(()),
        }
    }

    /// Adds the mask of `i` to an instruction and appends it.
    fn push_masked(&mut self, i: &Inst, made: Result<Instruction, iced_x86::IcedError>) -> Emitted {
        let mut made = made.map_err(|e| e.to_string())?;
        if let Some(m) = i.mask {
            made.set_op_mask(self.mask_register(m)?);
            made.set_zeroing_masking(i.zero);
        }
        self.asm.push(Ok(made))
    }

    fn operation(&mut self, i: &Inst, op: Op) -> Emitted {
        let bytes = i.bytes();
        let code = table(op, i.lane, bytes)?;
        let imm = u32::from(i.imm);
        let dst = self.target(i, bytes)?;
        let made = match (i.sources.as_slice(), op) {
            ([a], Op::Round) => match self.operand(*a, bytes)? {
                Operand::Register(r) => Instruction::with3(code, dst, r, imm),
                Operand::Memory(m) => Instruction::with3(code, dst, m, imm),
            },
            ([a], _) => match self.operand(*a, bytes)? {
                Operand::Register(r) => Instruction::with2(code, dst, r),
                Operand::Memory(m) => Instruction::with2(code, dst, m),
            },
            ([a, b], Op::Range | Op::Align | Op::Groups) => {
                let a = self.register(*a, i.lane, bytes, OTHER)?;
                match self.operand(*b, bytes)? {
                    Operand::Register(r) => Instruction::with4(code, dst, a, r, imm),
                    Operand::Memory(m) => Instruction::with4(code, dst, a, m, imm),
                }
            }
            ([a, b], _) => {
                let a = self.register(*a, i.lane, bytes, OTHER)?;
                match self.operand(*b, bytes)? {
                    Operand::Register(r) => Instruction::with3(code, dst, a, r),
                    Operand::Memory(m) => Instruction::with3(code, dst, a, m),
                }
            }
            _ => return Err(format!("{op:?} has {} operands", i.sources.len())),
        };
        self.push_masked(i, made)?;
        self.finish(i, bytes)
    }

    /// Comparisons and class tests, into a mask.
    fn test(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let Kind::Op(op) = i.kind else { return Ok(()) };
        let code = table(op, i.lane, bytes)?;
        let dst = self.mask_target(i)?;
        let imm = u32::from(i.imm);
        let made = match i.sources.as_slice() {
            [a] => match self.operand(*a, bytes)? {
                Operand::Register(r) => Instruction::with3(code, dst, r, imm),
                Operand::Memory(m) => Instruction::with3(code, dst, m, imm),
            },
            [a, b] => {
                let a = self.register(*a, i.lane, bytes, OTHER)?;
                match self.operand(*b, bytes)? {
                    Operand::Register(r) => Instruction::with4(code, dst, a, r, imm),
                    Operand::Memory(m) => Instruction::with4(code, dst, a, m, imm),
                }
            }
            _ => return Err("a comparison has two operands".to_owned()),
        };
        self.push_masked(i, made)
    }

    /// `a * b + c`: the instruction overwrites one of its operands.
    fn fma(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let [a, b, c] = i.sources.as_slice() else { return Err("fma has 3 operands".to_owned()) };
        let (a, b, c) = (*a, *b, *c);
        let same = |e: &Self, s: Source, r: Register| match s {
            Source::Reg(s) => match e.home(s) {
                Home::Machine(k) => vector(k, bytes) == r,
                Home::Slot(_) => false,
            },
            _ => false,
        };
        let dst = self.target(i, bytes)?;
        let in_place = |op: Op, e: &mut Self, x: Source, y: Source| -> Emitted {
            let x = e.register(x, i.lane, bytes, OTHER)?;
            let code = table(op, i.lane, bytes)?;
            let made = match e.operand(y, bytes)? {
                Operand::Register(r) => Instruction::with3(code, dst, x, r),
                Operand::Memory(m) => Instruction::with3(code, dst, x, m),
            };
            e.push_masked(i, made)
        };
        if same(self, c, dst) {
            in_place(Op::Fma231, self, a, b)?;
        } else if i.merges() {
            return Err("a masked fma has no accumulator".to_owned());
        } else if same(self, a, dst) {
            match b {
                Source::Reg(_) => in_place(Op::Fma213, self, b, c)?,
                _ => in_place(Op::Fma132, self, c, b)?,
            }
        } else if same(self, b, dst) {
            in_place(Op::Fma213, self, a, c)?;
        } else {
            let move_in = match self.operand(c, bytes)? {
                Operand::Register(r) => Instruction::with2(table(Op::Move, i.lane, bytes)?, dst, r),
                Operand::Memory(m) if m.is_broadcast => {
                    let plain = MemoryOperand { is_broadcast: false, ..m };
                    Instruction::with2(spread_code(i.lane, bytes), dst, plain)
                }
                Operand::Memory(m) => Instruction::with2(table(Op::Load, i.lane, bytes)?, dst, m),
            };
            self.asm.push(move_in)?;
            in_place(Op::Fma231, self, a, b)?;
        }
        self.finish(i, bytes)
    }

    /// The instruction overwrites its first operand.
    fn ternary(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let [a, b, c] = i.sources.as_slice() else { return Err("3 operands".to_owned()) };
        let spare = vector(SPARE, bytes);
        let a = self.register(*a, i.lane, bytes, SPARE)?;
        if a != spare {
            self.two(table(Op::Move, i.lane, bytes)?, spare, a)?;
        }
        let b = self.register(*b, i.lane, bytes, OTHER)?;
        let code = table(Op::Ternary, i.lane, bytes)?;
        let imm = u32::from(i.imm);
        let made = match self.operand(*c, bytes)? {
            Operand::Register(r) => Instruction::with4(code, spare, b, r, imm),
            Operand::Memory(m) => Instruction::with4(code, spare, b, m, imm),
        };
        self.asm.push(made)?;
        let dst = i.dst.ok_or("no destination")?;
        if let Home::Machine(k) = self.home(dst) {
            self.two(table(Op::Move, i.lane, bytes)?, vector(k, bytes), spare)?;
        }
        self.finish(i, bytes)
    }

    /// Lanes of two vectors by numbers; the instruction overwrites the first of them.
    fn pick(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let [a, by, b] = i.sources.as_slice() else { return Err("3 operands".to_owned()) };
        let a = self.register(*a, i.lane, bytes, SPARE)?;
        let by = self.register(*by, i.lane, bytes, OTHER)?;
        let b = self.operand(*b, bytes)?;
        let dst = self.target(i, bytes)?;
        let taken = dst == by || matches!(b, Operand::Register(b) if b == dst);
        let at = if taken && dst != a { vector(SPARE, bytes) } else { dst };
        let moved = table(Op::Move, i.lane, bytes)?;
        if at != a {
            self.two(moved, at, a)?;
        }
        let code = table(Op::Pick, i.lane, bytes)?;
        self.asm.push(match b {
            Operand::Register(r) => Instruction::with3(code, at, by, r),
            Operand::Memory(m) => Instruction::with3(code, at, by, m),
        })?;
        if at != dst {
            self.two(moved, dst, at)?;
        }
        self.finish(i, bytes)
    }

    fn indices(&mut self, i: &Inst, step: u8, part: u8) -> Emitted {
        let bytes = i.bytes();
        let at = self.asm.constants(super::gaps::indices(i.lane, step, part));
        let dst = self.target(i, bytes)?;
        let load = table(Op::Load, i.lane, bytes)?;
        self.asm.push(Instruction::with2(load, dst, memory(POOL, at)))?;
        self.finish(i, bytes)
    }

    fn copy(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let source = i.sources.first().copied().ok_or("a copy has no source")?;
        let dst = self.target(i, bytes)?;
        let made = match self.operand(source, bytes)? {
            Operand::Register(r) if r == dst && i.mask.is_none() => return self.finish(i, bytes),
            Operand::Register(r) => Instruction::with2(table(Op::Move, i.lane, bytes)?, dst, r),
            Operand::Memory(m) if m.is_broadcast => {
                if source == Source::Literal(0) && i.mask.is_none() {
                    let zero = table(Op::Xor, i.lane, bytes)?;
                    Instruction::with3(zero, dst, dst, dst)
                } else {
                    let plain = MemoryOperand { is_broadcast: false, ..m };
                    Instruction::with2(spread_code(i.lane, bytes), dst, plain)
                }
            }
            Operand::Memory(m) => Instruction::with2(table(Op::Load, i.lane, bytes)?, dst, m),
        };
        self.push_masked(i, made)?;
        self.finish(i, bytes)
    }

    fn load(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let m = self.at(i.place.ok_or("a load has no place")?)?;
        let dst = self.target(i, bytes)?;
        let code = match (i.lanes, i.lane.bytes()) {
            (1, 4) => Code::EVEX_Vmovss_xmm_k1z_m32,
            (1, _) => Code::EVEX_Vmovsd_xmm_k1z_m64,
            _ => table(Op::Load, i.lane, bytes)?,
        };
        self.push_masked(i, Instruction::with2(code, dst, m))?;
        self.finish(i, bytes)
    }

    /// One element into every lane.
    fn spread(&mut self, i: &Inst, from: Option<Register>) -> Emitted {
        let bytes = i.bytes();
        let code = spread_code(i.lane, bytes);
        let made = match from {
            Some(r) => {
                let dst = self.target(i, bytes)?;
                Instruction::with2(code, dst, r)
            }
            None => {
                let m = self.at(i.place.ok_or("a load has no place")?)?;
                let dst = self.target(i, bytes)?;
                Instruction::with2(code, dst, m)
            }
        };
        self.push_masked(i, made)?;
        self.finish(i, bytes)
    }

    fn store(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        let r = self.first(i, bytes)?;
        let m = self.at(i.place.ok_or("a store has no place")?)?;
        let code = match (i.lanes, i.lane.bytes()) {
            _ if i.kind == Kind::Stream => Code::EVEX_Vmovntps_m512_zmm,
            (1, 4) => Code::EVEX_Vmovss_m32_k1_xmm,
            (1, _) => Code::EVEX_Vmovsd_m64_k1_xmm,
            _ => table(Op::Store, i.lane, bytes)?,
        };
        self.push_masked(i, Instruction::with2(code, m, r))
    }

    fn convert(&mut self, i: &Inst, from: Lane) -> Emitted {
        let (source, target) = (super::code::width(from, i.lanes), i.bytes());
        let widest = (from.bytes().max(i.lane.bytes()) * i.lanes.next_power_of_two()).clamp(16, 64);
        let pick = |x: [Code; 3]| match widest {
            64 => x[2],
            32 => x[1],
            _ => x[0],
        };
        let s = i.sources.first().copied().ok_or("a conversion has no source")?;
        let r = self.register(s, from, source, OTHER)?;
        let dst = self.target(i, target)?;
        let codes = conversion(from, i.lane)
            .ok_or_else(|| format!("there is no conversion from {from:?} to {:?}", i.lane))?;
        self.push_masked(i, Instruction::with2(pick(codes), dst, r))?;
        self.finish(i, target)
    }

    fn mask_target(&mut self, i: &Inst) -> Result<Register, String> {
        let dst: Reg = i.dst.ok_or("an instruction has no destination")?;
        self.mask_register(dst)
    }

    fn mask_op(&mut self, i: &Inst, code: Code) -> Emitted {
        let dst = self.mask_target(i)?;
        let mut sources = Vec::new();
        for s in &i.sources {
            if let Source::Reg(r) = s {
                sources.push(self.mask_register(*r)?);
            }
        }
        match sources.as_slice() {
            [a] => self.two(code, dst, *a),
            [a, b] => self.asm.push(Instruction::with3(code, dst, *a, *b)),
            _ => Err("a mask operation has one or two operands".to_owned()),
        }
    }

    fn mask_apart(&mut self, i: &Inst, step: u8, below: u8) -> Emitted {
        let dst = self.mask_target(i)?;
        let Some(Source::Reg(from)) = i.sources.first().copied() else {
            return Err("a mask has no source".to_owned());
        };
        let from = self.mask_register(from)?;
        let places = (0..64).step_by(usize::from(step)).fold(0u64, |all, k| all | 1 << k);
        self.two(Code::VEX_Kmovq_r64_kr, RAX, from)?;
        self.constant(RCX, places as i64)?;
        self.asm.push(Instruction::with3(Code::VEX_Pdep_r64_r64_rm64, RAX, RAX, RCX))?;
        if below > 0 {
            self.asm.push(Instruction::with2(Code::Shr_rm64_imm8, RAX, u32::from(below)))?;
        }
        self.two(Code::VEX_Kmovq_kr_r64, dst, RAX)
    }

    /// The lanes below a number, or from it on.
    fn edge(&mut self, i: &Inst) -> Emitted {
        let dst = self.mask_target(i)?;
        match i.int.ok_or("an edge has no number")? {
            Int::Const(n) => {
                let below = if n >= 64 { u64::MAX } else { (1u64 << n.max(0)) - 1 };
                let bits = if i.imm == 0 { below } else { !below };
                self.constant(RCX, bits as i64)?;
            }
            n => {
                self.get(RAX, n)?;
                self.constant(RCX, 0)?;
                self.two(Code::Test_rm64_r64, RAX, RAX)?;
                self.two(Code::Cmovs_r64_rm64, RAX, RCX)?;
                self.constant(RCX, 64)?;
                self.two(Code::Cmp_r64_rm64, RAX, RCX)?;
                self.two(Code::Cmovg_r64_rm64, RAX, RCX)?;
                self.constant(RCX, -1)?;
                self.asm.push(Instruction::with3(Code::VEX_Bzhi_r64_rm64_r64, RCX, RCX, RAX))?;
                if i.imm != 0 {
                    self.asm.push(Instruction::with1(Code::Not_rm64, RCX))?;
                }
            }
        }
        self.two(Code::VEX_Kmovq_kr_r64, dst, RCX)
    }

    fn when_mask(&mut self, i: &Inst, op: Comparison) -> Emitted {
        let dst = self.mask_target(i)?;
        self.get(RAX, i.int.ok_or("a condition has no number")?)?;
        self.constant(RCX, 0)?;
        self.two(Code::Test_rm64_r64, RAX, RAX)?;
        let set = match op {
            Comparison::Eq => Code::Sete_rm8,
            Comparison::Ne => Code::Setne_rm8,
            Comparison::Lt => Code::Setl_rm8,
            Comparison::Le => Code::Setle_rm8,
            Comparison::Gt => Code::Setg_rm8,
            Comparison::Ge => Code::Setge_rm8,
        };
        self.asm.push(Instruction::with1(set, Register::CL))?;
        self.asm.push(Instruction::with1(Code::Neg_rm64, RCX))?;
        self.two(Code::VEX_Kmovq_kr_r64, dst, RCX)
    }

    /// An integer as a value in every lane.
    fn integer(&mut self, i: &Inst) -> Emitted {
        let bytes = i.bytes();
        self.get(RAX, i.int.ok_or("no integer")?)?;
        let dst = self.target(i, bytes)?;
        let pick = |x: [Code; 3]| match bytes {
            64 => x[2],
            32 => x[1],
            _ => x[0],
        };
        match i.lane {
            Lane::I32 | Lane::U32 => {
                let code = pick([
                    Code::EVEX_Vpbroadcastd_xmm_k1z_r32,
                    Code::EVEX_Vpbroadcastd_ymm_k1z_r32,
                    Code::EVEX_Vpbroadcastd_zmm_k1z_r32,
                ]);
                self.two(code, dst, low(RAX))?;
            }
            Lane::I64 | Lane::U64 => {
                let code = pick([
                    Code::EVEX_Vpbroadcastq_xmm_k1z_r64,
                    Code::EVEX_Vpbroadcastq_ymm_k1z_r64,
                    Code::EVEX_Vpbroadcastq_zmm_k1z_r64,
                ]);
                self.two(code, dst, RAX)?;
            }
            Lane::F32 | Lane::F64 => {
                let x = vector(SPARE, 16);
                self.asm.push(Instruction::with3(table(Op::Xor, i.lane, 16)?, x, x, x))?;
                let code = if i.lane == Lane::F32 {
                    Code::EVEX_Vcvtsi2ss_xmm_xmm_rm64_er
                } else {
                    Code::EVEX_Vcvtsi2sd_xmm_xmm_rm64_er
                };
                self.asm.push(Instruction::with3(code, x, x, RAX))?;
                self.two(spread_code(i.lane, bytes), dst, x)?;
            }
        }
        self.finish(i, bytes)
    }

    /// The mask of the bytes that an instruction on bools touches.
    fn byte_mask(&mut self, i: &Inst) -> Result<Register, String> {
        let k = mask(SPARE_MASK);
        let bits = (1i64 << i.lanes.min(16)) - 1;
        self.constant(RCX, bits)?;
        self.two(Code::VEX_Kmovq_kr_r64, k, RCX)?;
        if let Some(m) = i.mask {
            let m = self.mask_register(m)?;
            self.asm.push(Instruction::with3(Code::VEX_Kandq_kr_kr_kr, k, k, m))?;
        }
        Ok(k)
    }

    fn load_bools(&mut self, i: &Inst) -> Emitted {
        let m = self.at(i.place.ok_or("a load has no place")?)?;
        let k = self.byte_mask(i)?;
        let x = vector(SPARE, 16);
        let mut load = Instruction::with2(Code::EVEX_Vmovdqu8_xmm_k1z_xmmm128, x, m)
            .map_err(|e| e.to_string())?;
        load.set_op_mask(k);
        load.set_zeroing_masking(true);
        self.asm.push(Ok(load))?;
        let dst = self.mask_target(i)?;
        self.asm.push(Instruction::with3(Code::EVEX_Vptestmb_kr_k1_xmm_xmmm128, dst, x, x))
    }

    fn store_bools(&mut self, i: &Inst) -> Emitted {
        let Some(Source::Reg(value)) = i.sources.first().copied() else {
            return Err("a store has no source".to_owned());
        };
        let value = self.mask_register(value)?;
        let m = self.at(i.place.ok_or("a store has no place")?)?;
        let k = self.byte_mask(i)?;
        let x = vector(SPARE, 16);
        let ones = self.asm.constant(0x0101_0101_0101_0101);
        let spread = spread_code(Lane::I64, 16);
        self.asm.push(Instruction::with2(spread, x, memory(POOL, ones)))?;
        let mut pick = Instruction::with2(Code::EVEX_Vmovdqu8_xmm_k1z_xmmm128, x, x)
            .map_err(|e| e.to_string())?;
        pick.set_op_mask(value);
        pick.set_zeroing_masking(true);
        self.asm.push(Ok(pick))?;
        let mut store = Instruction::with2(Code::EVEX_Vmovdqu8_xmmm128_k1z_xmm, m, x)
            .map_err(|e| e.to_string())?;
        store.set_op_mask(k);
        self.asm.push(Ok(store))
    }
}

fn table(op: Op, lane: Lane, bytes: u32) -> Result<Code, String> {
    code(op, lane, bytes).ok_or_else(|| format!("there is no {op:?} on {lane:?}"))
}

/// One element of a register or of memory into all lanes.
fn spread_code(lane: Lane, bytes: u32) -> Code {
    match (lane.bytes(), bytes) {
        (4, 64) => Code::EVEX_Vpbroadcastd_zmm_k1z_xmmm32,
        (4, 32) => Code::EVEX_Vpbroadcastd_ymm_k1z_xmmm32,
        (4, _) => Code::EVEX_Vpbroadcastd_xmm_k1z_xmmm32,
        (_, 64) => Code::EVEX_Vpbroadcastq_zmm_k1z_xmmm64,
        (_, 32) => Code::EVEX_Vpbroadcastq_ymm_k1z_xmmm64,
        _ => Code::EVEX_Vpbroadcastq_xmm_k1z_xmmm64,
    }
}

/// Conversions by the width of their wider side.
fn conversion(from: Lane, to: Lane) -> Option<[Code; 3]> {
    Some(match (from, to) {
        (Lane::F32, Lane::F64) => [
            Code::EVEX_Vcvtps2pd_xmm_k1z_xmmm64b32,
            Code::EVEX_Vcvtps2pd_ymm_k1z_xmmm128b32,
            Code::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
        ],
        (Lane::F64, Lane::F32) => [
            Code::EVEX_Vcvtpd2ps_xmm_k1z_xmmm128b64,
            Code::EVEX_Vcvtpd2ps_xmm_k1z_ymmm256b64,
            Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er,
        ],
        (Lane::I32, Lane::F32) => [
            Code::EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32,
            Code::EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32,
            Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
        ],
        (Lane::U32, Lane::F32) => [
            Code::EVEX_Vcvtudq2ps_xmm_k1z_xmmm128b32,
            Code::EVEX_Vcvtudq2ps_ymm_k1z_ymmm256b32,
            Code::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er,
        ],
        (Lane::F32, Lane::I32) => [
            Code::EVEX_Vcvttps2dq_xmm_k1z_xmmm128b32,
            Code::EVEX_Vcvttps2dq_ymm_k1z_ymmm256b32,
            Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae,
        ],
        (Lane::I32, Lane::F64) => [
            Code::EVEX_Vcvtdq2pd_xmm_k1z_xmmm64b32,
            Code::EVEX_Vcvtdq2pd_ymm_k1z_xmmm128b32,
            Code::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
        ],
        (Lane::I64, Lane::F64) => [
            Code::EVEX_Vcvtqq2pd_xmm_k1z_xmmm128b64,
            Code::EVEX_Vcvtqq2pd_ymm_k1z_ymmm256b64,
            Code::EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er,
        ],
        (Lane::I32, Lane::I64 | Lane::U64) => [
            Code::EVEX_Vpmovsxdq_xmm_k1z_xmmm64,
            Code::EVEX_Vpmovsxdq_ymm_k1z_xmmm128,
            Code::EVEX_Vpmovsxdq_zmm_k1z_ymmm256,
        ],
        (Lane::U32, Lane::I64 | Lane::U64) => [
            Code::EVEX_Vpmovzxdq_xmm_k1z_xmmm64,
            Code::EVEX_Vpmovzxdq_ymm_k1z_xmmm128,
            Code::EVEX_Vpmovzxdq_zmm_k1z_ymmm256,
        ],
        (Lane::I64 | Lane::U64, Lane::I32 | Lane::U32) => [
            Code::EVEX_Vpmovqd_xmmm64_k1z_xmm,
            Code::EVEX_Vpmovqd_xmmm128_k1z_ymm,
            Code::EVEX_Vpmovqd_ymmm256_k1z_zmm,
        ],
        _ => return None,
    })
}
