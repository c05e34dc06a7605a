//! Structured code to machine code: the frame, control flow, integers.
//!
//! Integers live in stack slots; inside an innermost loop those that its body uses most are in
//! general registers. `rax`, `rcx` and `rdx` are free for short sequences, `r15` holds the address
//! of the constants, `rbp` the frame.

use super::allocate::{Allocation, Home};
use super::assemble::{Assembler, Label, memory};
use super::build::Built64;
use super::code::{Condition, Inst, Int, IntId, Loop, Node, Reg, Source};
use super::ints::{Definition, Incoming};
use iced_x86::{Code, Instruction, MemoryOperand, Register};
use std::collections::HashMap;
use std::mem::offset_of;
use tcc_abi::{KernelCall, Status};
use tcc_ir::scalar::Comparison;

pub(super) type Emitted = Result<(), String>;

/// General registers that hold integers.
const FREE: [Register; 10] = [
    Register::RBX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
];

/// Registers that belong to the caller.
const SAVED: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

pub(super) const RAX: Register = Register::RAX;
pub(super) const RCX: Register = Register::RCX;
pub(super) const RDX: Register = Register::RDX;
pub(super) const POOL: Register = Register::R15;

/// Turns the code of a kernel into bytes.
pub(super) struct Emitter<'b> {
    pub(super) asm: Assembler,
    built: &'b Built64,
    allocation: &'b Allocation,
    /// Integers in registers: all of those of the innermost loop being made.
    held: HashMap<IntId, Register>,
    /// Outside of innermost loops, slots that were loaded lately, oldest first.
    recent: Vec<(IntId, Register)>,
    innermost: bool,
    /// Stack offsets after the vector slots.
    first_slot: i64,
    counters: i64,
    cancelled: Label,
    has_cancel: bool,
}

/// The code of a kernel, and the length of its instructions.
pub(super) fn emit(built: &Built64, allocation: &Allocation) -> Result<(Vec<u8>, usize), String> {
    let mut asm = Assembler::new();
    let cancelled = asm.label();
    let mut e = Emitter {
        asm,
        built,
        allocation,
        held: HashMap::new(),
        recent: Vec::new(),
        innermost: false,
        first_slot: 64 * i64::from(allocation.slots),
        counters: 0,
        cancelled,
        has_cancel: false,
    };
    e.function()?;
    e.asm.finish()
}

/// Jumps that are taken where a comparison with 0 holds.
fn jump_if(c: Comparison) -> Code {
    match c {
        Comparison::Eq => Code::Je_rel32_64,
        Comparison::Ne => Code::Jne_rel32_64,
        Comparison::Lt => Code::Jl_rel32_64,
        Comparison::Le => Code::Jle_rel32_64,
        Comparison::Gt => Code::Jg_rel32_64,
        Comparison::Ge => Code::Jge_rel32_64,
    }
}

fn negated(c: Comparison) -> Comparison {
    match c {
        Comparison::Eq => Comparison::Ne,
        Comparison::Ne => Comparison::Eq,
        Comparison::Lt => Comparison::Ge,
        Comparison::Le => Comparison::Gt,
        Comparison::Gt => Comparison::Le,
        Comparison::Ge => Comparison::Lt,
    }
}

impl Emitter<'_> {
    fn function(&mut self) -> Emitted {
        // Slots: the call, the flag that cancels it, integers, counters of loops.
        let ints = self.built.ints.definitions.len() as i64;
        let loops = self.built.ints.of_loop.len() as i64;
        self.counters = self.first_slot + 16 + 8 * ints;
        let frame = (self.counters + 8 * loops + 63) / 64 * 64;
        for r in SAVED {
            self.asm.push(Instruction::with1(Code::Push_r64, r))?;
        }
        self.two(Code::Mov_r64_rm64, Register::RBP, Register::RSP)?;
        self.asm.push(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64i32))?;
        let frame = i32::try_from(frame).map_err(|_| "the frame is too large")?;
        self.asm.push(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, frame))?;
        self.asm.pool_address(POOL)?;
        self.store_slot(self.first_slot, Register::RDI)?;
        let cancel = memory(Register::RDI, offset_of!(KernelCall, cancel) as i64);
        self.asm.push(Instruction::with2(Code::Mov_r64_rm64, RAX, cancel))?;
        self.store_slot(self.first_slot + 8, RAX)?;
        self.computed(0)?;
        let built = self.built;
        self.nodes(&built.body)?;
        self.asm.push(Instruction::with2(Code::Xor_r32_rm32, Register::EAX, Register::EAX))?;
        let exit = self.asm.label();
        self.asm.place(exit);
        if built.streams {
            // Before others are told that the results are there.
            self.asm.push(Ok(Instruction::with(Code::Sfence)))?;
        }
        self.asm.push(Ok(Instruction::with(Code::VEX_Vzeroupper)))?;
        self.two(Code::Mov_r64_rm64, Register::RSP, Register::RBP)?;
        for r in SAVED.iter().rev() {
            self.asm.push(Instruction::with1(Code::Pop_r64, *r))?;
        }
        self.asm.push(Ok(Instruction::with(Code::Retnq)))?;
        if self.has_cancel {
            self.asm.place(self.cancelled);
            let status = Status::Cancelled as i32;
            self.asm.push(Instruction::with2(Code::Mov_r32_imm32, Register::EAX, status))?;
            self.asm.jump(Code::Jmp_rel32_64, exit)?;
        }
        Ok(())
    }

    pub(super) fn two(&mut self, code: Code, a: Register, b: Register) -> Emitted {
        self.asm.push(Instruction::with2(code, a, b))
    }

    fn slot(offset: i64) -> MemoryOperand {
        memory(Register::RSP, offset)
    }

    fn store_slot(&mut self, offset: i64, from: Register) -> Emitted {
        self.asm.push(Instruction::with2(Code::Mov_rm64_r64, Self::slot(offset), from))
    }

    fn load_slot(&mut self, to: Register, offset: i64) -> Emitted {
        self.asm.push(Instruction::with2(Code::Mov_r64_rm64, to, Self::slot(offset)))
    }

    fn slot_of(&self, id: IntId) -> i64 {
        self.first_slot + 16 + 8 * i64::from(id.0)
    }

    /// Where a vector register is.
    pub(super) fn home(&self, r: Reg) -> Home {
        self.allocation.homes.get(r.0 as usize).copied().unwrap_or(Home::Machine(0))
    }

    /// Memory of a spilled vector.
    pub(super) fn vector_slot(slot: u32) -> MemoryOperand {
        Self::slot(64 * i64::from(slot))
    }

    /// Loads an integer into a scratch register.
    pub(super) fn get(&mut self, to: Register, i: Int) -> Emitted {
        match i {
            Int::Const(c) => self.constant(to, c),
            Int::Value(id) => match self.held.get(&id).copied() {
                Some(r) => self.two(Code::Mov_r64_rm64, to, r),
                None => match self.recent.iter().find(|(x, _)| *x == id).map(|(_, r)| *r) {
                    Some(r) => self.two(Code::Mov_r64_rm64, to, r),
                    None => self.load_slot(to, self.slot_of(id)),
                },
            },
        }
    }

    pub(super) fn constant(&mut self, to: Register, c: i64) -> Emitted {
        match (c, i32::try_from(c)) {
            (0, _) => self.two(Code::Xor_r32_rm32, low(to), low(to)),
            (_, Ok(c)) => self.asm.push(Instruction::with2(Code::Mov_rm64_imm32, to, c)),
            _ => self.asm.push(Instruction::with2(Code::Mov_r64_imm64, to, c)),
        }
    }

    /// A register that holds an address; for short use.
    pub(super) fn address(&mut self, i: Int) -> Result<Register, String> {
        let id = match i {
            Int::Const(_) => {
                self.get(RDX, i)?;
                return Ok(RDX);
            }
            Int::Value(id) => id,
        };
        if let Some(r) = self.held.get(&id) {
            return Ok(*r);
        }
        if self.innermost {
            self.get(RDX, i)?;
            return Ok(RDX);
        }
        if let Some((_, r)) = self.recent.iter().find(|(x, _)| *x == id) {
            return Ok(*r);
        }
        let r = if self.recent.len() < FREE.len() {
            let taken: Vec<Register> = self.recent.iter().map(|(_, r)| *r).collect();
            FREE.iter().copied().find(|r| !taken.contains(r)).unwrap_or(RDX)
        } else {
            self.recent.remove(0).1
        };
        self.load_slot(r, self.slot_of(id))?;
        self.recent.push((id, r));
        Ok(r)
    }

    /// Puts `rax` where an integer lives.
    fn put(&mut self, id: IntId) -> Emitted {
        match self.held.get(&id).copied() {
            Some(r) => self.two(Code::Mov_r64_rm64, r, RAX),
            None => self.store_slot(self.slot_of(id), RAX),
        }
    }

    /// The integers of a loop that each of its iterations computes.
    fn computed(&mut self, id: u32) -> Emitted {
        let built = self.built;
        for i in built.ints.of_loop.get(id as usize).into_iter().flatten() {
            let Some(definition) = built.ints.definitions.get(i.0 as usize) else { continue };
            if !matches!(definition, Definition::Induction { .. }) {
                self.compute(definition)?;
                self.put(*i)?;
            }
        }
        Ok(())
    }

    /// A value into `rax`.
    fn compute(&mut self, d: &Definition) -> Emitted {
        match d {
            Definition::Incoming(from) => self.incoming(*from),
            Definition::Induction { .. } => Ok(()),
            Definition::Sum { terms, constant } => {
                self.constant(RAX, *constant)?;
                for (c, factors) in terms {
                    let mut factors = factors.iter();
                    match factors.next() {
                        Some(first) => self.get(RCX, Int::Value(*first))?,
                        None => self.constant(RCX, 1)?,
                    }
                    for f in factors {
                        self.get(RDX, Int::Value(*f))?;
                        self.two(Code::Imul_r64_rm64, RCX, RDX)?;
                    }
                    self.scale(RCX, *c)?;
                    self.two(Code::Add_r64_rm64, RAX, RCX)?;
                }
                Ok(())
            }
            Definition::Div(a, b) => self.divide(*a, *b, true),
            Definition::Mod(a, b) => self.divide(*a, *b, false),
            Definition::Min(a, b) => self.extremum(*a, *b, Code::Cmovg_r64_rm64),
            Definition::Max(a, b) => self.extremum(*a, *b, Code::Cmovl_r64_rm64),
        }
    }

    fn scale(&mut self, r: Register, by: i64) -> Emitted {
        match (by, i32::try_from(by)) {
            (1, _) => Ok(()),
            (_, Ok(c)) => self.asm.push(Instruction::with3(Code::Imul_r64_rm64_imm32, r, r, c)),
            _ => {
                self.constant(RDX, by)?;
                self.two(Code::Imul_r64_rm64, r, RDX)
            }
        }
    }

    fn extremum(&mut self, a: Int, b: Int, replace: Code) -> Emitted {
        self.get(RAX, a)?;
        self.get(RCX, b)?;
        self.two(Code::Cmp_r64_rm64, RAX, RCX)?;
        self.two(replace, RAX, RCX)
    }

    /// Floor of the quotient, or the remainder with the divisor's sign; 0 for a divisor of 0, which
    /// only code that does not run can have.
    fn divide(&mut self, a: Int, b: Int, quotient: bool) -> Emitted {
        if let Int::Const(c) = b
            && c > 0
            && (c as u64).is_power_of_two()
        {
            self.get(RAX, a)?;
            if quotient {
                let shift = (c as u64).trailing_zeros();
                return self.asm.push(Instruction::with2(Code::Sar_rm64_imm8, RAX, shift));
            }
            self.constant(RCX, c - 1)?;
            return self.two(Code::And_r64_rm64, RAX, RCX);
        }
        self.get(RAX, a)?;
        self.get(RCX, b)?;
        let done = self.asm.label();
        let never = self.asm.label();
        self.two(Code::Test_rm64_r64, RCX, RCX)?;
        self.asm.jump(Code::Je_rel32_64, never)?;
        self.asm.push(Ok(Instruction::with(Code::Cqo)))?;
        self.asm.push(Instruction::with1(Code::Idiv_rm64, RCX))?;
        // Rounded toward zero: one too much where the rest and the divisor differ in sign.
        let exact = self.asm.label();
        self.two(Code::Test_rm64_r64, RDX, RDX)?;
        self.asm.jump(Code::Je_rel32_64, exact)?;
        if quotient {
            self.two(Code::Xor_r64_rm64, RDX, RCX)?;
            self.asm.jump(Code::Jns_rel32_64, exact)?;
            self.asm.push(Instruction::with2(Code::Sub_rm64_imm8, RAX, 1i32))?;
            self.asm.place(exact);
        } else {
            self.two(Code::Mov_r64_rm64, RAX, RDX)?;
            self.two(Code::Xor_r64_rm64, RAX, RCX)?;
            self.asm.jump(Code::Jns_rel32_64, exact)?;
            self.two(Code::Add_r64_rm64, RDX, RCX)?;
            self.asm.place(exact);
            self.two(Code::Mov_r64_rm64, RAX, RDX)?;
        }
        self.asm.jump(Code::Jmp_rel32_64, done)?;
        self.asm.place(never);
        self.constant(RAX, 0)?;
        self.asm.place(done);
        Ok(())
    }

    fn incoming(&mut self, from: Incoming) -> Emitted {
        self.load_slot(RCX, self.first_slot)?;
        let load =
            |field: usize| Instruction::with2(Code::Mov_r64_rm64, RAX, memory(RCX, field as i64));
        let through = |e: &mut Self, field: usize, path: &[i64]| -> Emitted {
            e.asm.push(load(field))?;
            for step in path {
                let m = memory(RAX, *step);
                e.asm.push(Instruction::with2(Code::Mov_r64_rm64, RAX, m))?;
            }
            Ok(())
        };
        match from {
            Incoming::Size(k) => through(self, offset_of!(KernelCall, sizes), &[8 * i64::from(k)]),
            Incoming::Address(k) => {
                through(self, offset_of!(KernelCall, buffers), &[8 * i64::from(k)])
            }
            Incoming::Stride(k, axis) => {
                let path = [8 * i64::from(k), 8 * (i64::from(axis) + 1)];
                through(self, offset_of!(KernelCall, strides), &path)
            }
            Incoming::Dense(k) => {
                through(self, offset_of!(KernelCall, strides), &[8 * i64::from(k), 0])
            }
            Incoming::First => through(self, offset_of!(KernelCall, first), &[]),
            Incoming::End => through(self, offset_of!(KernelCall, end), &[]),
            Incoming::Scratch => through(self, offset_of!(KernelCall, scratch), &[]),
        }
    }

    fn nodes(&mut self, nodes: &[Node]) -> Emitted {
        for n in nodes {
            match n {
                Node::Inst(i) => self.inst(i)?,
                Node::Loop(l) => self.counted(l)?,
                Node::If { condition, then, otherwise } => {
                    let (other, end) = (self.asm.label(), self.asm.label());
                    self.unless(condition, other)?;
                    let before = self.recent.clone();
                    self.nodes(then)?;
                    if !otherwise.is_empty() {
                        self.asm.jump(Code::Jmp_rel32_64, end)?;
                    }
                    self.asm.place(other);
                    self.recent = before;
                    self.nodes(otherwise)?;
                    self.asm.place(end);
                    self.recent.clear();
                }
            }
        }
        Ok(())
    }

    /// Jumps where the condition does not hold.
    fn unless(&mut self, c: &Condition, to: Label) -> Emitted {
        match c {
            Condition::Compare(op, i) => self.compare(negated(*op), *i, to),
            Condition::All(cs) => cs.iter().try_for_each(|c| self.unless(c, to)),
            Condition::Any(cs) => {
                let holds = self.asm.label();
                cs.iter().try_for_each(|c| self.when(c, holds))?;
                self.asm.jump(Code::Jmp_rel32_64, to)?;
                self.asm.place(holds);
                Ok(())
            }
            Condition::Not(c) => self.when(c, to),
            Condition::Mask(m) => self.mask_bit(*m, Code::Je_rel32_64, to),
        }
    }

    /// Jumps where the condition holds.
    fn when(&mut self, c: &Condition, to: Label) -> Emitted {
        match c {
            Condition::Compare(op, i) => self.compare(*op, *i, to),
            Condition::Any(cs) => cs.iter().try_for_each(|c| self.when(c, to)),
            Condition::All(cs) => {
                let fails = self.asm.label();
                cs.iter().try_for_each(|c| self.unless(c, fails))?;
                self.asm.jump(Code::Jmp_rel32_64, to)?;
                self.asm.place(fails);
                Ok(())
            }
            Condition::Not(c) => self.unless(c, to),
            Condition::Mask(m) => self.mask_bit(*m, Code::Jne_rel32_64, to),
        }
    }

    fn compare(&mut self, op: Comparison, i: Int, to: Label) -> Emitted {
        self.get(RAX, i)?;
        self.two(Code::Test_rm64_r64, RAX, RAX)?;
        self.asm.jump(jump_if(op), to)
    }

    fn mask_bit(&mut self, m: Reg, code: Code, to: Label) -> Emitted {
        let k = self.mask_register(m)?;
        self.asm.push(Instruction::with2(Code::VEX_Kmovd_r32_kr, Register::EAX, k))?;
        self.asm.push(Instruction::with2(Code::Test_rm32_imm32, Register::EAX, 1i32))?;
        self.asm.jump(code, to)
    }

    fn counted(&mut self, l: &Loop) -> Emitted {
        if matches!(l.count, Int::Const(c) if c <= 0) {
            return Ok(());
        }
        let innermost = l.is_innermost();
        let (top, end) = (self.asm.label(), self.asm.label());
        let counter_slot = self.counters + 8 * i64::from(l.id);
        self.get(RAX, l.count)?;
        if !matches!(l.count, Int::Const(_)) {
            self.two(Code::Test_rm64_r64, RAX, RAX)?;
            self.asm.jump(Code::Jle_rel32_64, end)?;
        }
        let [counter, ..] = FREE;
        if innermost {
            self.recent.clear();
            self.two(Code::Mov_r64_rm64, counter, RAX)?;
            self.hold(l)?;
        } else {
            self.store_slot(counter_slot, RAX)?;
        }
        self.start_inductions(l.id)?;
        if innermost {
            self.asm.align(32)?;
        }
        self.innermost = innermost;
        self.recent.clear();
        self.asm.place(top);
        if !innermost {
            self.poll()?;
        }
        self.computed(l.id)?;
        self.nodes(&l.body)?;
        self.innermost = innermost;
        self.recent.clear();
        self.advance_inductions(l.id)?;
        if innermost {
            self.asm.push(Instruction::with2(Code::Sub_rm64_imm8, counter, 1i32))?;
        } else {
            let m = Self::slot(counter_slot);
            self.asm.push(Instruction::with2(Code::Sub_rm64_imm8, m, 1i32))?;
        }
        self.asm.jump(Code::Jne_rel32_64, top)?;
        self.asm.place(end);
        self.held.clear();
        self.innermost = false;
        Ok(())
    }

    /// Returns if the call was cancelled.
    fn poll(&mut self) -> Emitted {
        self.has_cancel = true;
        self.load_slot(RAX, self.first_slot + 8)?;
        self.asm.push(Instruction::with2(Code::Cmp_rm32_imm8, memory(RAX, 0), 0i32))?;
        self.asm.jump(Code::Jne_rel32_64, self.cancelled)
    }

    /// Picks the integers that an innermost loop keeps in registers, and loads those from outside.
    fn hold(&mut self, l: &Loop) -> Emitted {
        let mut uses: HashMap<IntId, u32> = HashMap::new();
        count_uses(&l.body, &mut uses);
        let mut order: Vec<(IntId, u32)> = uses.into_iter().collect();
        order.sort_by_key(|(id, n)| (std::cmp::Reverse(*n), *id));
        self.held.clear();
        let own = self.built.ints.of_loop.get(l.id as usize);
        for ((id, _), r) in order.into_iter().zip(FREE.iter().skip(1)) {
            if !own.is_some_and(|ids| ids.contains(&id)) {
                self.load_slot(*r, self.slot_of(id))?;
            }
            self.held.insert(id, *r);
        }
        Ok(())
    }

    fn start_inductions(&mut self, id: u32) -> Emitted {
        let built = self.built;
        for i in built.ints.of_loop.get(id as usize).into_iter().flatten() {
            if let Some(Definition::Induction { init, .. }) =
                built.ints.definitions.get(i.0 as usize)
            {
                self.get(RAX, *init)?;
                self.put(*i)?;
            }
        }
        Ok(())
    }

    fn advance_inductions(&mut self, id: u32) -> Emitted {
        let built = self.built;
        for i in built.ints.of_loop.get(id as usize).into_iter().flatten() {
            let Some(Definition::Induction { step, .. }) = built.ints.definitions.get(i.0 as usize)
            else {
                continue;
            };
            let held = self.held.get(i).copied();
            let slot = Self::slot(self.slot_of(*i));
            match step {
                Int::Const(c) if i32::try_from(*c).is_ok() => {
                    let c = *c as i32;
                    self.asm.push(match held {
                        Some(r) => Instruction::with2(Code::Add_rm64_imm32, r, c),
                        None => Instruction::with2(Code::Add_rm64_imm32, slot, c),
                    })?;
                }
                step => {
                    self.get(RAX, *step)?;
                    self.asm.push(match held {
                        Some(r) => Instruction::with2(Code::Add_rm64_r64, r, RAX),
                        None => Instruction::with2(Code::Add_rm64_r64, slot, RAX),
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The machine register of a mask.
    pub(super) fn mask_register(&self, m: Reg) -> Result<Register, String> {
        match self.home(m) {
            Home::Machine(k) => Ok(super::assemble::mask(k)),
            Home::Slot(_) => Err("more masks are alive than the machine has".to_owned()),
        }
    }
}

/// How often the code of an innermost loop uses each integer.
fn count_uses(nodes: &[Node], uses: &mut HashMap<IntId, u32>) {
    for n in nodes {
        let ints = match n {
            Node::Inst(i) => ints_of(i),
            Node::Loop(_) => vec![],
            Node::If { condition, then, otherwise } => {
                count_uses(then, uses);
                count_uses(otherwise, uses);
                condition_ints(condition)
            }
        };
        for i in ints {
            if let Int::Value(id) = i {
                *uses.entry(id).or_default() += 1;
            }
        }
    }
}

fn ints_of(i: &Inst) -> Vec<Int> {
    let sources = i.sources.iter().filter_map(|s| match s {
        Source::Memory(p) | Source::Splat(p) => Some(p.address),
        _ => None,
    });
    i.place.iter().map(|p| p.address).chain(i.int).chain(sources).collect()
}

fn condition_ints(c: &Condition) -> Vec<Int> {
    match c {
        Condition::Compare(_, i) => vec![*i],
        Condition::All(cs) | Condition::Any(cs) => cs.iter().flat_map(condition_ints).collect(),
        Condition::Not(c) => condition_ints(c),
        Condition::Mask(_) => vec![],
    }
}

/// The low 32 bits of a general register.
pub(super) fn low(r: Register) -> Register {
    Register::EAX + (r as u32 - Register::RAX as u32)
}
