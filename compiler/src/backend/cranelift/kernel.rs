//! One kernel as a Cranelift function: entry, buffers, and what its parts share.

use super::access::Home;
use super::emit::{Emit, Val};
use super::int::Ints;
use super::unit::Unit;
use crate::backend::BackendError;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlot, Value};
use cranelift_entity::SecondaryMap;
use cranelift_frontend::FunctionBuilder;
use std::mem::offset_of;
use tcc_abi::{ErrorRecord, KernelCall, Site, Status};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, For, Kernel, Scope, Scratch};
use tcc_ir::{TensorId, VarId};

/// A kernel being compiled.
pub(super) struct KernelCx<'k, 'u> {
    pub(super) e: Emit<'k, 'u>,
    pub(super) kernel: &'k Kernel,
    pub(super) ints: Ints,
    pub(super) homes: SecondaryMap<TensorId, Option<Home>>,
    /// Values of block lets.
    pub(super) lets: SecondaryMap<TensorId, Option<Val>>,
    /// The vector loop whose lanes are being computed.
    pub(super) lane: Option<Lane>,
    /// The one lane of them for which scalar code is being made.
    pub(super) picked: Option<u32>,
    /// The block being compiled, for messages of failures.
    pub(super) block: Option<&'k Block>,
    /// Memory that reads out of bounds look at.
    pub(super) dummy: Option<StackSlot>,
    /// Memory for the arguments of intrinsics.
    pub(super) call: Option<StackSlot>,
    /// Address of the `ErrorRecord`, and of the flag that cancels the call.
    error: Value,
    pub(super) cancel: Value,
    /// The loops of the parallel nest; empty if there is none.
    pub(super) nest: Vec<&'k For>,
    /// First iteration of the nest that the call runs, and one past the last.
    pub(super) range: (Value, Value),
    pub(super) failure: Option<BackendError>,
}

/// A chunk of a vector loop: `var` is `base`, `base + 1`, ... in the lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) var: VarId,
    pub(super) base: i64,
    pub(super) lanes: u32,
}

/// Memory that belongs to the call: loads and stores never trap.
pub(super) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Builds the kernel's function.
pub(super) fn build<'k>(
    kernel: &'k Kernel,
    unit: &'k mut Unit<'_>,
    b: FunctionBuilder<'k>,
) -> Result<(), BackendError> {
    let (frontend, pointer) = (unit.frontend(), unit.pointer());
    let mut e = Emit { b, unit };
    let entry = e.b.create_block();
    e.b.append_block_params_for_function_params(entry);
    e.b.switch_to_block(entry);
    e.b.seal_block(entry);
    let [call] = *e.b.block_params(entry) else { unreachable!("a kernel has one argument") };
    let mut field = |offset: usize| e.b.ins().load(pointer, plain(), call, offset as i32);
    let buffers = field(offset_of!(KernelCall, buffers));
    let strides = field(offset_of!(KernelCall, strides));
    let sizes = field(offset_of!(KernelCall, sizes));
    let error = field(offset_of!(KernelCall, error));
    let cancel = field(offset_of!(KernelCall, cancel));
    let scratch = field(offset_of!(KernelCall, scratch));
    let mut number = |offset: usize| e.b.ins().load(I64, plain(), call, offset as i32);
    let range = (number(offset_of!(KernelCall, first)), number(offset_of!(KernelCall, end)));
    let mut cx = KernelCx {
        e,
        kernel,
        ints: Ints::default(),
        homes: SecondaryMap::new(),
        lets: SecondaryMap::new(),
        lane: None,
        picked: None,
        block: None,
        dummy: None,
        call: None,
        error,
        cancel,
        nest: kernel.parallel_nest().map_or(Vec::new(), |n| n.loops),
        range,
        failure: None,
    };
    cx.ints.push_scope();
    for k in 0..kernel.sizes.len() {
        let v = cx.e.b.ins().load(I64, plain(), sizes, 8 * k as i32);
        cx.ints.constant_of_call(v);
    }
    cx.arguments(buffers, strides);
    cx.registers();
    cx.locals(scratch);
    let needed = cx.needed(&kernel.body);
    cx.anticipate(&needed);
    cx.body(&kernel.body);
    let ok = cx.e.b.ins().iconst(I32, Status::Ok as i64);
    cx.e.b.ins().return_(&[ok]);
    cx.e.b.finalize(frontend);
    match cx.failure {
        None => Ok(()),
        Some(f) => Err(f),
    }
}

impl<'k> KernelCx<'k, '_> {
    /// Where the arguments of the call are.
    fn arguments(&mut self, buffers: Value, strides: Value) {
        let pointer = self.e.unit.pointer();
        for (k, t) in self.kernel.arguments().enumerate() {
            let Some(buffer) = self.kernel.buffers.get(t) else { continue };
            let base = self.e.b.ins().load(pointer, plain(), buffers, 8 * k as i32);
            let base = self.ints.constant_of_call(base);
            let home = if buffer.scope == Scope::Strided {
                let table = self.e.b.ins().load(pointer, plain(), strides, 8 * k as i32);
                let dense = self.e.b.ins().load(I64, plain(), table, 0);
                let strides = (0..buffer.shape.len())
                    .map(|axis| {
                        let v = self.e.b.ins().load(I64, plain(), table, 8 * (axis as i32 + 1));
                        self.ints.constant_of_call(v)
                    })
                    .collect();
                Home::Strided { base, dense_flag: dense, strides, dense: false }
            } else {
                Home::Dense { base }
            };
            self.homes[t] = Some(home);
        }
    }

    /// Where the local buffers are.
    fn locals(&mut self, scratch: Value) {
        let layout = Scratch::of(self.kernel);
        if layout.offsets.is_empty() {
            return;
        }
        let scratch = self.ints.constant_of_call(scratch);
        for (t, offset) in layout.offsets {
            self.homes[t] = Some(Home::Dense { base: scratch.clone() + offset });
        }
    }

    /// Refuses the kernel; compilation goes on to the end without effect.
    pub(super) fn refuse(&mut self, message: String) {
        self.failure
            .get_or_insert(BackendError::Unsupported { kernel: self.kernel.name.clone(), message });
    }

    /// Returns a status where the condition holds.
    pub(super) fn fail_if(
        &mut self,
        condition: Value,
        status: Status,
        what: String,
        value: Value,
        bound: Value,
    ) {
        let (cold, go_on) = (self.e.b.create_block(), self.e.b.create_block());
        self.e.b.set_cold_block(cold);
        self.e.b.ins().brif(condition, cold, &[], go_on, &[]);
        self.e.b.seal_block(cold);
        self.e.b.seal_block(go_on);
        self.e.b.switch_to_block(cold);
        self.ints.push_scope();
        self.report(status, what, value, bound);
        self.ints.pop_scope();
        self.e.b.switch_to_block(go_on);
    }

    /// Fills in the error record and returns.
    pub(super) fn report(&mut self, status: Status, what: String, value: Value, bound: Value) {
        let vars: Vec<(VarId, IntExpr)> = self
            .block
            .map_or(Vec::new(), |b| b.iters.iter().map(|(v, _)| (*v, IntExpr::from(*v))).collect());
        let name = |v: VarId| self.kernel.vars.get(v).cloned().unwrap_or_default();
        let names = vars.iter().map(|(v, _)| name(*v));
        let site = Site { what, vars: names.take(ErrorRecord::MAX_POSITION).collect() };
        let (site, _) = self.e.unit.sites.insert_full(site);
        let rank = vars.len().min(ErrorRecord::MAX_POSITION);
        let put = |cx: &mut Self, ty, v: i64, offset: usize| {
            let v = cx.e.b.ins().iconst(ty, v);
            cx.e.b.ins().store(plain(), v, cx.error, offset as i32);
        };
        put(self, I32, site as i64, offset_of!(ErrorRecord, site));
        put(self, I32, rank as i64, offset_of!(ErrorRecord, rank));
        let error = self.error;
        self.e.b.ins().store(plain(), value, error, offset_of!(ErrorRecord, value) as i32);
        self.e.b.ins().store(plain(), bound, error, offset_of!(ErrorRecord, bound) as i32);
        let position = offset_of!(ErrorRecord, position);
        for (k, (_, e)) in vars.iter().take(rank).enumerate() {
            let v = self.int(e);
            self.e.b.ins().store(plain(), v, error, (position + 8 * k) as i32);
        }
        let status = self.e.b.ins().iconst(I32, status as i64);
        self.e.b.ins().return_(&[status]);
    }

    pub(super) fn name(&self, t: TensorId) -> &'k str {
        self.kernel.buffers.get(t).map_or("", |b| b.name.as_str())
    }
}
