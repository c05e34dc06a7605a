//! Register buffers: a variable for each element, or for each vector of them.

use super::access::Home;
use super::emit::{Val, lane_type, register_type};
use super::kernel::KernelCx;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Type};
use cranelift_frontend::Variable;
use tcc_abi::DType;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{LoopKind, Scope, Stmt, regions, visit_blocks, visit_stmts};
use tcc_ir::scalar::Subscript;
use tcc_ir::{TensorId, VarId};

/// A buffer in registers.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    /// Constant extents.
    shape: Vec<i64>,
    /// Elements in each variable.
    lanes: u32,
    /// Variables in row-major order; two for each complex element.
    vars: Vec<Variable>,
}

/// At most this many bytes of a buffer live in registers.
const MAX_REGISTER_BYTES: i64 = 512;

/// At most this many bytes of a buffer live on the stack.
const MAX_STACK_BYTES: i64 = 1 << 16;

impl KernelCx<'_, '_> {
    /// Places every register buffer.
    pub(super) fn registers(&mut self) {
        let mut allocated = Vec::new();
        visit_stmts(&self.kernel.body, &mut |s| {
            if let Stmt::Alloc(t) = s
                && self.kernel.buffers.get(*t).is_some_and(|b| b.scope == Scope::Register)
            {
                allocated.push(*t);
            }
        });
        for t in allocated {
            let home = self.allocated(t);
            self.homes[t] = home;
        }
    }

    fn allocated(&mut self, t: TensorId) -> Option<Home> {
        let buffer = self.kernel.buffers.get(t)?;
        let shape: Option<Vec<i64>> = buffer.shape.iter().map(IntExpr::as_constant).collect();
        let Some(shape) = shape else {
            self.refuse(format!("the register buffer `{}` needs constant extents", buffer.name));
            return None;
        };
        let count = shape.iter().fold(1i64, |p, n| p.saturating_mul((*n).max(0)));
        let bytes = count.saturating_mul(buffer.dtype.size() as i64);
        if bytes <= MAX_REGISTER_BYTES && self.positions_fixed(t) {
            return Some(Home::Registers(self.in_registers(t, buffer.dtype, shape, count)));
        }
        if bytes > MAX_STACK_BYTES {
            self.refuse(format!(
                "the register buffer `{}` has {bytes} bytes, at most {MAX_STACK_BYTES} are possible",
                buffer.name
            ));
            return None;
        }
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes.max(16) as u32, 4);
        let slot = self.e.b.create_sized_stack_slot(data);
        let pointer: Type = self.e.unit.pointer();
        let address = self.e.b.ins().stack_addr(pointer, slot, 0);
        Some(Home::Dense { base: self.ints.constant_of_call(address) })
    }

    /// True if every access is at a position that is constant once vector and unrolled loops are
    /// written out.
    fn positions_fixed(&self, t: TensorId) -> bool {
        let mut copied: Vec<VarId> = Vec::new();
        visit_stmts(&self.kernel.body, &mut |s| {
            if let Stmt::For(f) = s
                && matches!(f.kind, LoopKind::Vectorize | LoopKind::Unroll)
            {
                copied.push(f.var);
            }
        });
        let mut fixed = true;
        // An intrinsic gets an address.
        visit_stmts(&self.kernel.body, &mut |s| {
            if let Stmt::Intrin(c) = s {
                fixed &= c.views.iter().all(|v| v.buffer != t);
            }
        });
        visit_blocks(&self.kernel.body, &mut |b| {
            let at = |i: &IntExpr| {
                i.substitute(&|s| match s {
                    Symbol::Var(v) => b.iters.iter().find(|(w, _)| *w == v).map(|(_, e)| e.clone()),
                    Symbol::Size(_) => None,
                })
            };
            let accesses = regions::reads(b).into_iter().chain([regions::write(b)]);
            for a in accesses.filter(|a| a.buffer == t) {
                for s in a.subscripts {
                    let Subscript::Affine(i) = s else {
                        fixed = false;
                        continue;
                    };
                    at(i).visit_symbols(&mut |s| {
                        fixed &= matches!(s, Symbol::Var(v) if copied.contains(&v));
                    });
                }
            }
        });
        fixed
    }

    fn in_registers(
        &mut self,
        t: TensorId,
        dtype: DType,
        shape: Vec<i64>,
        count: i64,
    ) -> Registers {
        let lanes = if self.used_in_lanes(t) { 16 / dtype.size() as u32 } else { 1 };
        let vector = lane_type(dtype, lanes).filter(|_| lanes > 1 && count % i64::from(lanes) == 0);
        let (ty, lanes) = vector.map_or((register_type(dtype), 1), |ty| (ty, lanes));
        let parts = if dtype.is_complex() { 2 } else { 1 };
        let number = (count as usize / lanes as usize) * parts;
        let vars: Vec<Variable> = (0..number).map(|_| self.e.b.declare_var(ty)).collect();
        for v in &vars {
            let zero =
                if ty.lane_type().is_float() { self.e.float(ty, 0.0) } else { self.e.int(ty, 0) };
            self.e.b.def_var(*v, zero);
        }
        Registers { shape, lanes, vars }
    }

    /// True if a vector loop touches the buffer.
    fn used_in_lanes(&self, t: TensorId) -> bool {
        let mut used = false;
        visit_stmts(&self.kernel.body, &mut |s| {
            if let Stmt::For(f) = s
                && f.kind == LoopKind::Vectorize
            {
                visit_blocks(&f.body, &mut |b| {
                    used |= b.store.buffer == t;
                    used |= regions::reads(b).iter().any(|a| a.buffer == t);
                });
            }
        });
        used
    }

    /// Position of an element in row-major order.
    fn flat(&self, r: &Registers, subscripts: &[Subscript]) -> IntExpr {
        let mut flat = IntExpr::default();
        for (s, n) in subscripts.iter().zip(&r.shape) {
            let i = s.as_affine().map(|i| self.ints.resolve(i)).unwrap_or_default();
            flat = flat * IntExpr::constant(*n) + i;
        }
        flat
    }

    /// The vector that holds the elements of all lanes in order, if there is one.
    fn whole_vector(&self, r: &Registers, flat: &IntExpr) -> Option<Variable> {
        let lane = self.lane?;
        let (step, rest) = flat.linear_in(lane.var)?;
        let first = rest.as_constant()? + lane.base;
        let lanes = i64::from(lane.lanes);
        let aligned = step.as_constant() == Some(1) && lane.lanes == r.lanes && first % lanes == 0;
        if aligned { r.vars.get((first / lanes) as usize).copied() } else { None }
    }

    pub(super) fn read_registers(
        &mut self,
        r: &Registers,
        dtype: DType,
        subscripts: &[Subscript],
    ) -> Val {
        let flat = self.flat(r, subscripts);
        if let Some(v) = self.whole_vector(r, &flat) {
            return Val::Vector(self.e.b.use_var(v));
        }
        if self.lane.is_some_and(|l| flat.mentions(l.var)) {
            return self.per_lane(dtype, |cx| cx.read_registers(r, dtype, subscripts));
        }
        let Some(k) = self.element(&flat) else { return self.zero(dtype) };
        if dtype.is_complex() {
            let part = |k| r.vars.get(k).copied();
            let (Some(re), Some(im)) = (part(2 * k), part(2 * k + 1)) else {
                return self.zero(dtype);
            };
            return Val::Pair(self.e.b.use_var(re), self.e.b.use_var(im));
        }
        let lanes = r.lanes as usize;
        let Some(var) = r.vars.get(k / lanes) else { return self.zero(dtype) };
        let v = self.e.b.use_var(*var);
        if lanes == 1 {
            return Val::One(v);
        }
        self.e.lane(dtype, Val::Vector(v), (k % lanes) as u32)
    }

    pub(super) fn write_registers(
        &mut self,
        r: &Registers,
        dtype: DType,
        subscripts: &[Subscript],
        value: Val,
    ) {
        let flat = self.flat(r, subscripts);
        if let (Some(var), Some(lane)) = (self.whole_vector(r, &flat), self.lane) {
            let v = self.e.splat(dtype, value, lane.lanes);
            return self.e.b.def_var(var, v);
        }
        if let Some(lane) = self.lane {
            for k in 0..lane.lanes {
                self.pinned(k, |cx| {
                    let one = cx.pick(dtype, value);
                    cx.write_registers(r, dtype, subscripts, one);
                });
            }
            return;
        }
        let Some(k) = self.element(&flat) else { return };
        match value {
            Val::Pair(re, im) => {
                if let (Some(a), Some(b)) = (r.vars.get(2 * k), r.vars.get(2 * k + 1)) {
                    self.e.b.def_var(*a, re);
                    self.e.b.def_var(*b, im);
                }
            }
            Val::One(v) => {
                let lanes = r.lanes as usize;
                let Some(var) = r.vars.get(k / lanes).copied() else { return };
                let new = if lanes == 1 {
                    v
                } else {
                    let old = self.e.b.use_var(var);
                    let v = if dtype == DType::Bool { self.mask_of(old, v) } else { v };
                    self.e.b.ins().insertlane(old, v, (k % lanes) as u8)
                };
                self.e.b.def_var(var, new);
            }
            Val::Vector(_) => unreachable!("one lane was picked"),
        }
    }

    /// A bool as an element of a vector of masks.
    fn mask_of(
        &mut self,
        vector: cranelift_codegen::ir::Value,
        v: cranelift_codegen::ir::Value,
    ) -> cranelift_codegen::ir::Value {
        let ty = self.e.ty(vector).lane_type();
        let wide = self.e.b.ins().uextend(ty, v);
        self.e.b.ins().ineg(wide)
    }

    fn element(&self, flat: &IntExpr) -> Option<usize> {
        flat.as_constant().and_then(|k| usize::try_from(k).ok())
    }
}
