//! Calls of intrinsics: addresses, strides and sizes are stored where the function finds them.

use super::kernel::{KernelCx, plain};
use cranelift_codegen::ir::{InstBuilder, StackSlot, StackSlotData, StackSlotKind};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{IntrinsicCall, Scope, Stmt, View, visit_stmts};
use tcc_ir::scalar::Subscript;

/// What a call passes, over loop variables.
struct Arguments {
    addresses: Vec<IntExpr>,
    strides: Vec<IntExpr>,
    sizes: Vec<IntExpr>,
}

impl Arguments {
    fn len(&self) -> usize {
        self.addresses.len() + self.strides.len() + self.sizes.len()
    }
}

impl KernelCx<'_, '_> {
    pub(super) fn intrinsic(&mut self, c: &IntrinsicCall) {
        let name = &c.intrinsic.name;
        if let Some(feature) = c.intrinsic.missing_feature(&self.e.unit.target.features) {
            let target = self.e.unit.target;
            return self.refuse(format!(
                "the intrinsic `{name}` needs `{feature}`, which the target {target} has not"
            ));
        }
        let arguments = self.arguments_of(c);
        let pointer = self.e.unit.pointer();
        let slot = self.call_slot();
        let mut at = 0;
        let mut starts = Vec::new();
        for list in [&arguments.addresses, &arguments.strides, &arguments.sizes] {
            let start = self.e.b.ins().stack_addr(pointer, slot, at);
            for (e, k) in list.iter().zip(0..) {
                let v = self.int(e);
                self.e.b.ins().store(plain(), v, start, 8 * k);
            }
            starts.push(start);
            at += 8 * list.len() as i32;
        }
        let f = self.e.unit.intrinsic(self.e.b.func, &c.intrinsic.symbol);
        self.e.b.ins().call(f, &starts);
    }

    /// Memory for the arguments of the largest call.
    fn call_slot(&mut self) -> StackSlot {
        if let Some(slot) = self.call {
            return slot;
        }
        let mut words = 0;
        visit_stmts(&self.kernel.body, &mut |s| {
            if let Stmt::Intrin(c) = s {
                words = words.max(self.arguments_of(c).len());
            }
        });
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * words as u32, 4);
        let slot = self.e.b.create_sized_stack_slot(data);
        self.call = Some(slot);
        slot
    }

    fn arguments_of(&self, c: &IntrinsicCall) -> Arguments {
        let kernel = &c.intrinsic.kernel;
        let mut out = Arguments { addresses: vec![], strides: vec![], sizes: c.sizes() };
        for (v, t) in c.views.iter().zip(kernel.arguments()) {
            let origin: Vec<Subscript> = v.origin().into_iter().map(Subscript::Affine).collect();
            out.addresses.push(self.address(v.buffer, &origin));
            if kernel.buffers.get(t).is_some_and(|b| b.scope == Scope::Strided) {
                out.strides.extend(self.strides_of(v));
            }
        }
        out
    }

    /// The distance of neighbours along each axis of a view, in elements.
    fn strides_of(&self, v: &View) -> Vec<IntExpr> {
        let strides = self.layout(v.buffer).map(|(_, s)| s).unwrap_or_default();
        let along = |axis| {
            let step = v.step(axis).unwrap_or_default();
            let terms = step.iter().zip(&strides);
            terms.fold(IntExpr::default(), |sum, (step, stride)| {
                sum + self.ints.resolve(step) * stride.clone()
            })
        };
        v.axes.iter().map(|(axis, _)| along(*axis)).collect()
    }

    /// The integers that a call will need.
    pub(super) fn needed_by_intrinsic(&self, c: &IntrinsicCall, out: &mut Vec<IntExpr>) {
        let arguments = self.arguments_of(c);
        let all = [arguments.addresses, arguments.strides, arguments.sizes];
        out.extend(all.into_iter().flatten().map(|e| self.ints.resolve(&e)));
    }
}
