//! Reads and writes of buffers: addresses, checks of data-dependent subscripts, defaults.

use super::emit::{Val, lane_type, memory_type};
use super::kernel::{KernelCx, plain};
use super::registers::Registers;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Type, Value};
use tcc_abi::{DType, Status};
use tcc_ir::TensorId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, Stmt};
use tcc_ir::scalar::{Expr, Read, Subscript};

/// Where a buffer is.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// Row-major in memory.
    Dense {
        /// Address of the first element.
        base: IntExpr,
    },
    /// In the caller's memory with strides known at the call.
    Strided {
        /// Address of the first element.
        base: IntExpr,
        /// Not 0 if row-major without gaps.
        dense_flag: Value,
        /// Stride of each axis in elements.
        strides: Vec<IntExpr>,
        /// True where the flag was tested.
        dense: bool,
    },
    /// In registers.
    Registers(Registers),
}

/// An address with the conditions on it.
struct Place {
    /// Bytes, a symbolic address included.
    address: IntExpr,
    /// What data-dependent subscripts add.
    offset: Option<Value>,
    /// False where the position is out of bounds, if that can be.
    inside: Option<Value>,
}

impl<'k> KernelCx<'k, '_> {
    /// The address of an element with affine subscripts over loop variables; others count as 0.
    pub(super) fn address(&self, t: TensorId, subscripts: &[Subscript]) -> IntExpr {
        let Some((base, strides)) = self.layout(t) else { return IntExpr::default() };
        let mut flat = IntExpr::default();
        for (s, stride) in subscripts.iter().zip(&strides) {
            if let Subscript::Affine(i) = s {
                flat = flat + self.ints.resolve(i) * stride.clone();
            }
        }
        flat * IntExpr::constant(self.size_of(t)) + base
    }

    /// Address of the first element, and strides in elements.
    pub(super) fn layout(&self, t: TensorId) -> Option<(IntExpr, Vec<IntExpr>)> {
        let shape = &self.kernel.buffers.get(t)?.shape;
        match self.homes[t].as_ref()? {
            Home::Strided { base, strides, dense: false, .. } => {
                Some((base.clone(), strides.clone()))
            }
            Home::Dense { base } | Home::Strided { base, .. } => {
                let mut strides = vec![IntExpr::constant(1); shape.len()];
                for axis in (1..shape.len()).rev() {
                    if let (Some(next), Some(n)) = (strides.get(axis).cloned(), shape.get(axis))
                        && let Some(s) = strides.get_mut(axis - 1)
                    {
                        *s = next * n.clone();
                    }
                }
                Some((base.clone(), strides))
            }
            Home::Registers(_) => None,
        }
    }

    fn size_of(&self, t: TensorId) -> i64 {
        self.dtype_of(t).size() as i64
    }

    pub(super) fn dtype_of(&self, t: TensorId) -> DType {
        self.kernel.buffers.get(t).map_or(DType::F64, |b| b.dtype)
    }

    /// Every integer that the statements will compute, over loop variables.
    pub(super) fn needed(&mut self, body: &'k [Stmt]) -> Vec<IntExpr> {
        let mut out = Vec::new();
        tcc_ir::kernel::visit_stmts(body, &mut |s| match s {
            Stmt::For(f) => out.extend([f.lo.clone(), f.hi.clone()]),
            Stmt::Let { value, .. } => out.push(value.clone()),
            Stmt::Repeat(r) => out.push(r.limit.clone()),
            Stmt::Block(b) => self.needed_by_block(b, &mut out),
            Stmt::If { condition, .. } => self.needed_by_expr(condition, &mut out),
            Stmt::Intrin(c) => self.needed_by_intrinsic(c, &mut out),
            Stmt::Alloc(_) => {}
        });
        let mut unique: Vec<IntExpr> = Vec::new();
        for e in out {
            let e = &e - &IntExpr::constant(e.constant_term());
            if !e.terms().is_empty() && !unique.contains(&e) {
                unique.push(e);
            }
        }
        unique
    }

    fn needed_by_block(&mut self, b: &'k Block, out: &mut Vec<IntExpr>) {
        let before = self.enter(b);
        for e in b.exprs() {
            self.needed_by_expr(e, out);
        }
        out.push(self.address(b.store.buffer, &b.store.subscripts));
        self.leave(before);
    }

    fn needed_by_expr(&self, e: &Expr, out: &mut Vec<IntExpr>) {
        e.visit(&mut |x| match x {
            Expr::Read(r) => {
                out.push(self.address(r.tensor, &r.subscripts));
                if r.default.is_some() {
                    let affine = r.subscripts.iter().filter_map(Subscript::as_affine);
                    out.extend(affine.map(|i| self.ints.resolve(i)));
                }
            }
            Expr::Index { num, den, .. } => {
                out.extend([self.ints.resolve(num), self.ints.resolve(den)]);
            }
            Expr::Compare(_, a, b) => out.push(self.ints.resolve(&(a - b))),
            Expr::Literal(_)
            | Expr::Apply(..)
            | Expr::Cast(..)
            | Expr::Bitcast(..)
            | Expr::Contiguous(_) => {}
        });
    }

    /// Reads an element, or in lanes.
    pub(super) fn read(&mut self, r: &'k Read) -> Val {
        if let Some(v) = self.lets[r.tensor] {
            return self.pick(r.dtype, v);
        }
        if let Some(Home::Registers(registers)) = self.homes[r.tensor].clone() {
            return self.read_registers(&registers, r.dtype, &r.subscripts);
        }
        let simple = r.default.is_none() && r.subscripts.iter().all(|s| s.as_affine().is_some());
        let Some(lane) = self.lane else {
            return if simple {
                let address = self.address(r.tensor, &r.subscripts);
                self.load(r.dtype, &address, None)
            } else {
                self.checked_read(r)
            };
        };
        if !self.moves(r) {
            // The same element in every lane.
            return self.pinned(0, |cx| cx.read(r));
        }
        let address = self.address(r.tensor, &r.subscripts);
        if simple && let Some(first) = self.first_lane(&address, r.dtype) {
            let ty = lane_type(r.dtype, lane.lanes)
                .unwrap_or_else(|| unreachable!("blocks in lanes have types that fit"));
            let (p, c) = self.pointer(&first, None);
            return Val::Vector(self.e.b.ins().load(ty, plain(), p, c));
        }
        self.per_lane(r.dtype, |cx| cx.read(r))
    }

    /// The address of lane 0, if the lanes are neighbours in memory.
    fn first_lane(&self, address: &IntExpr, dtype: DType) -> Option<IntExpr> {
        let lane = self.lane?;
        let (step, rest) = address.linear_in(lane.var)?;
        let size = dtype.size() as i64;
        (step.as_constant() == Some(size)).then(|| rest + IntExpr::constant(size * lane.base))
    }

    /// True if the read depends on the lane.
    fn moves(&self, r: &Read) -> bool {
        let mut moves = false;
        let mut note = |e: &IntExpr| {
            moves |= self.lane.is_some_and(|l| self.ints.resolve(e).mentions(l.var));
        };
        for s in &r.subscripts {
            match s {
                Subscript::Affine(i) => note(i),
                Subscript::Data(e) => e.visit_ints(&mut note),
            }
        }
        r.default.iter().for_each(|d| d.visit_ints(&mut note));
        moves || self.reads_lanes(r)
    }

    /// True if a subscript or default reads a let that differs from lane to lane.
    fn reads_lanes(&self, r: &Read) -> bool {
        let data = r.subscripts.iter().filter_map(|s| match s {
            Subscript::Data(e) => Some(e),
            Subscript::Affine(_) => None,
        });
        data.chain(&r.default)
            .flat_map(Expr::reads)
            .any(|x| matches!(self.lets[x.tensor], Some(Val::Vector(_))))
    }

    /// Pointer and constant offset of an address.
    fn pointer(&mut self, address: &IntExpr, offset: Option<Value>) -> (Value, i32) {
        let address = self.ints.resolve(address);
        let c = address.constant_term();
        let (address, c) = match i32::try_from(c) {
            Ok(c) => (&address - &IntExpr::constant(i64::from(c)), c),
            Err(_) => (address, 0),
        };
        let p = self.int(&address);
        match offset {
            None => (p, c),
            Some(o) => (self.e.b.ins().iadd(p, o), c),
        }
    }

    fn load(&mut self, dtype: DType, address: &IntExpr, offset: Option<Value>) -> Val {
        let (p, c) = self.pointer(address, offset);
        self.load_from(dtype, p, c)
    }

    fn load_from(&mut self, dtype: DType, p: Value, c: i32) -> Val {
        let ty = memory_type(dtype);
        let first = self.e.b.ins().load(ty, plain(), p, c);
        if dtype.is_complex() {
            let second = self.e.b.ins().load(ty, plain(), p, c + ty.bytes() as i32);
            return Val::Pair(first, second);
        }
        Val::One(self.e.loaded(dtype, first))
    }

    fn store_to(&mut self, dtype: DType, v: Val, p: Value, c: i32) {
        match v {
            Val::One(v) => {
                let v = self.e.stored(dtype, v);
                self.e.b.ins().store(plain(), v, p, c);
            }
            Val::Vector(v) => {
                self.e.b.ins().store(plain(), v, p, c);
            }
            Val::Pair(re, im) => {
                let part = memory_type(dtype).bytes() as i32;
                self.e.b.ins().store(plain(), re, p, c);
                self.e.b.ins().store(plain(), im, p, c + part);
            }
        }
    }

    /// A read with data-dependent subscripts or a default.
    fn checked_read(&mut self, r: &'k Read) -> Val {
        let covered = r.default.is_some();
        let place = self.place(r.tensor, &r.subscripts, covered);
        let Some(default) = &r.default else {
            return self.load(r.dtype, &place.address, place.offset);
        };
        let default = self.expr(default);
        let Some(inside) = place.inside else {
            return self.load(r.dtype, &place.address, place.offset);
        };
        // Outside, a dummy is loaded instead and not used.
        let (p, c) = self.pointer(&place.address, place.offset);
        let p = if c == 0 { p } else { self.e.b.ins().iadd_imm_s(p, i64::from(c)) };
        let dummy = self.dummy();
        let p = self.e.b.ins().select(inside, p, dummy);
        let value = self.load_from(r.dtype, p, 0);
        match (value, default) {
            (Val::One(a), Val::One(b)) => Val::One(self.e.choose(inside, a, b)),
            (Val::Pair(a, b), Val::Pair(x, y)) => {
                Val::Pair(self.e.choose(inside, a, x), self.e.choose(inside, b, y))
            }
            _ => unreachable!("a default has the type of the read"),
        }
    }

    fn dummy(&mut self) -> Value {
        let pointer: Type = self.e.unit.pointer();
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 4);
        let slot = match self.dummy {
            Some(slot) => slot,
            None => self.e.b.create_sized_stack_slot(data),
        };
        self.dummy = Some(slot);
        self.e.b.ins().stack_addr(pointer, slot, 0)
    }

    /// An address with data-dependent subscripts evaluated. Without `covered` they must be in
    /// range; with it the condition that all subscripts are in range is returned.
    fn place(&mut self, t: TensorId, subscripts: &'k [Subscript], covered: bool) -> Place {
        let shape = self.kernel.buffers.get(t).map(|b| b.shape.clone()).unwrap_or_default();
        let strides = self.layout(t).map(|(_, s)| s).unwrap_or_default();
        let size = IntExpr::constant(self.size_of(t));
        let mut place = Place { address: self.address(t, subscripts), offset: None, inside: None };
        for (axis, ((s, extent), stride)) in subscripts.iter().zip(&shape).zip(&strides).enumerate()
        {
            let index = match s {
                Subscript::Affine(_) if !covered => continue,
                Subscript::Affine(i) => self.int(i),
                Subscript::Data(e) => {
                    let dtype = e.dtype();
                    let Val::One(v) = self.expr(e) else {
                        unreachable!("a subscript is an integer")
                    };
                    self.e.as_i64(dtype, v)
                }
            };
            let bound = self.int(extent);
            let within = self.e.b.ins().icmp(IntCC::UnsignedLessThan, index, bound);
            if covered {
                place.inside = Some(match place.inside {
                    None => within,
                    Some(w) => self.e.b.ins().band(w, within),
                });
            } else {
                let outside = self.e.b.ins().bxor_imm_u(within, 1);
                let what = format!("axis {axis} of `{}`", self.name(t));
                self.fail_if(outside, Status::Index, what, index, bound);
            }
            if matches!(s, Subscript::Data(_)) {
                let step = self.int(&(stride.clone() * size.clone()));
                let bytes = self.e.b.ins().imul(index, step);
                place.offset = Some(match place.offset {
                    None => bytes,
                    Some(o) => self.e.b.ins().iadd(o, bytes),
                });
            }
        }
        place
    }

    /// Performs a block's store: `update` makes the new value of the old one.
    pub(super) fn store(
        &mut self,
        b: &'k Block,
        reads_old: bool,
        update: &mut dyn FnMut(&mut Self, Option<Val>) -> Val,
    ) {
        let (t, subscripts) = (b.store.buffer, &b.store.subscripts);
        let dtype = self.dtype_of(t);
        if let Some(Home::Registers(registers)) = self.homes[t].clone() {
            let old = reads_old.then(|| self.read_registers(&registers, dtype, subscripts));
            let new = update(self, old);
            return self.write_registers(&registers, dtype, subscripts, new);
        }
        if subscripts.iter().any(|s| s.as_affine().is_none()) {
            return self.scatter(b, reads_old, update);
        }
        let address = self.address(t, subscripts);
        if let Some(lane) = self.lane {
            let Some(first) = self.first_lane(&address, dtype) else {
                for k in 0..lane.lanes {
                    self.pinned(k, |cx| cx.store(b, reads_old, update));
                }
                return;
            };
            let (p, c) = self.pointer(&first, None);
            let ty = lane_type(dtype, lane.lanes)
                .unwrap_or_else(|| unreachable!("blocks in lanes have types that fit"));
            let old = reads_old.then(|| Val::Vector(self.e.b.ins().load(ty, plain(), p, c)));
            let new = update(self, old);
            let new = self.e.splat(dtype, new, lane.lanes);
            return self.store_to(dtype, Val::Vector(new), p, c);
        }
        let (p, c) = self.pointer(&address, None);
        let old = reads_old.then(|| self.load_from(dtype, p, c));
        let new = update(self, old);
        self.store_to(dtype, new, p, c);
    }

    /// A store with data-dependent subscripts.
    fn scatter(
        &mut self,
        b: &'k Block,
        reads_old: bool,
        update: &mut dyn FnMut(&mut Self, Option<Val>) -> Val,
    ) {
        if let Some(lane) = self.lane {
            for k in 0..lane.lanes {
                self.pinned(k, |cx| cx.scatter(b, reads_old, update));
            }
            return;
        }
        let t = b.store.buffer;
        let dtype = self.dtype_of(t);
        let place = self.place(t, &b.store.subscripts, b.store.drop);
        let (p, c) = self.pointer(&place.address, place.offset);
        let Some(inside) = place.inside else {
            let old = reads_old.then(|| self.load_from(dtype, p, c));
            let new = update(self, old);
            return self.store_to(dtype, new, p, c);
        };
        let (hit, done) = (self.e.b.create_block(), self.e.b.create_block());
        self.e.b.ins().brif(inside, hit, &[], done, &[]);
        self.e.b.seal_block(hit);
        self.e.b.switch_to_block(hit);
        self.ints.push_scope();
        let old = reads_old.then(|| self.load_from(dtype, p, c));
        let new = update(self, old);
        self.store_to(dtype, new, p, c);
        self.ints.pop_scope();
        self.e.b.ins().jump(done, &[]);
        self.e.b.seal_block(done);
        self.e.b.switch_to_block(done);
    }

    /// True where a strided argument is row-major without gaps.
    pub(super) fn contiguous(&mut self, t: TensorId) -> Val {
        let v = match &self.homes[t] {
            Some(Home::Strided { dense_flag, .. }) => {
                let flag = *dense_flag;
                self.e.b.ins().icmp_imm_s(IntCC::NotEqual, flag, 0)
            }
            _ => self.e.b.ins().iconst(cranelift_codegen::ir::types::I8, 1),
        };
        Val::One(v)
    }

    /// Treats strided buffers as row-major where a condition has shown it.
    pub(super) fn set_dense(&mut self, condition: &Expr, to: bool) {
        for part in condition.operands(tcc_ir::scalar::Func::And) {
            if let Expr::Contiguous(t) = part
                && let Some(Home::Strided { dense, .. }) = &mut self.homes[*t]
            {
                *dense = to;
            }
        }
    }
}
