//! The functions of one compilation: kernels, and the scalar functions that they call.

use super::emit::{lane_type, register_type};
use super::{expansion, kernel};
use crate::backend::{BackendError, FunctionCode, ObjectCode, Relocation, Target, x64};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, LibCall, Signature, Type,
    UserExternalName,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_codegen::{Context, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use indexmap::{IndexMap, IndexSet};
use tcc_abi::{DType, Import, RelocKind, RelocTarget, Site};
use tcc_ir::eval::Expansions;
use tcc_ir::kernel::Kernel;
use tcc_ir::scalar::Func;

/// A scalar function on a type, in lanes or alone (1).
type Callee = (Func, DType, u32);

/// What kernels and scalar functions share while they are built.
pub(super) struct Unit<'t> {
    pub(super) target: &'t Target,
    pub(super) expansions: Expansions,
    pub(super) sites: IndexSet<Site>,
    isa: &'t dyn TargetIsa,
    kernels: u32,
    /// Scalar functions in the order of first use; they come after the kernels.
    callees: IndexSet<Callee>,
    /// Symbols of intrinsics in the order of first use.
    symbols: IndexSet<String>,
}

/// What `--emit` wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Cranelift's IR.
    pub clif: bool,
    /// Instructions.
    pub assembly: bool,
}

/// Compiles kernels, and every scalar function that they need.
pub(super) fn compile(
    kernels: &IndexMap<String, Kernel>,
    target: &Target,
    isa: &dyn TargetIsa,
    listing: Listing,
) -> Result<ObjectCode, BackendError> {
    let mut unit = Unit {
        target,
        expansions: Expansions::default(),
        sites: IndexSet::new(),
        isa,
        kernels: kernels.len() as u32,
        callees: IndexSet::new(),
        symbols: IndexSet::new(),
    };
    let mut cx = Context::new();
    let mut builders = FunctionBuilderContext::new();
    let mut functions = Vec::new();
    let mut text = String::new();
    // What Cranelift would make of a kernel is shown for every kernel.
    let vectors = x64::serves(target) && !listing.clif;
    let mut refusals = Vec::new();
    for (name, k) in kernels {
        if vectors {
            match x64::compile(k, &mut unit.expansions, listing, &mut text) {
                Ok(code) => {
                    functions.push(code);
                    continue;
                }
                Err(reason) => refusals.push((name.clone(), reason)),
            }
        }
        cx.func.signature = unit.kernel_signature();
        kernel::build(k, &mut unit, FunctionBuilder::new(&mut cx.func, &mut builders))?;
        functions.push(unit.finish(name, &mut cx, listing, &mut text)?);
    }
    let mut next = 0;
    while let Some((func, dtype, lanes)) = unit.callees.get_index(next).copied() {
        next += 1;
        cx.func.signature = unit.callee_signature(func, dtype, lanes);
        let b = FunctionBuilder::new(&mut cx.func, &mut builders);
        expansion::build((func, dtype, lanes), &mut unit, b);
        let name =
            if lanes == 1 { format!("{func}_{dtype}") } else { format!("{func}_{dtype}x{lanes}") };
        functions.push(unit.finish(&name, &mut cx, listing, &mut text)?);
    }
    Ok(ObjectCode {
        functions,
        kernels: kernels.len(),
        refusals,
        sites: unit.sites.into_iter().collect(),
        symbols: unit.symbols.into_iter().collect(),
        listing: text,
    })
}

impl Unit<'_> {
    pub(super) fn pointer(&self) -> Type {
        self.isa.pointer_type()
    }

    pub(super) fn frontend(&self) -> cranelift_codegen::isa::TargetFrontendConfig {
        self.isa.frontend_config()
    }

    /// `extern "C" fn(*const KernelCall) -> i32`
    fn kernel_signature(&self) -> Signature {
        let mut s = Signature::new(self.isa.default_call_conv());
        s.params.push(AbiParam::new(self.pointer()));
        s.returns.push(AbiParam::new(cranelift_codegen::ir::types::I32));
        s
    }

    fn callee_signature(&self, func: Func, dtype: DType, lanes: u32) -> Signature {
        let ty = if lanes == 1 { Some(register_type(dtype)) } else { lane_type(dtype, lanes) };
        let ty = ty.unwrap_or_else(|| unreachable!("{dtype} is not in {lanes} lanes"));
        let mut s = Signature::new(CallConv::Fast);
        s.params.extend((0..func.arity()).map(|_| AbiParam::new(ty)));
        s.returns.push(AbiParam::new(ty));
        s
    }

    /// A reference to a scalar function for a call in `caller`.
    pub(super) fn callee(
        &mut self,
        caller: &mut Function,
        func: Func,
        dtype: DType,
        lanes: u32,
    ) -> FuncRef {
        let (position, _) = self.callees.insert_full((func, dtype, lanes));
        let index = self.kernels + position as u32;
        let signature = self.callee_signature(func, dtype, lanes);
        reference(caller, UserExternalName { namespace: OWN, index }, signature, true)
    }

    /// A reference to the function of an intrinsic for a call in `caller`.
    pub(super) fn intrinsic(&mut self, caller: &mut Function, symbol: &str) -> FuncRef {
        let (position, _) = self.symbols.insert_full(symbol.to_owned());
        let mut signature = Signature::new(self.isa.default_call_conv());
        signature.params.extend((0..3).map(|_| AbiParam::new(self.pointer())));
        let name = UserExternalName { namespace: INTRINSIC, index: position as u32 };
        // A linker places the runtime within reach; in memory it may be anywhere.
        reference(caller, name, signature, self.isa.flags().is_pic())
    }

    fn finish(
        &self,
        name: &str,
        cx: &mut Context,
        listing: Listing,
        text: &mut String,
    ) -> Result<FunctionCode, BackendError> {
        if listing.clif {
            text.push_str(&format!("; {name}\n{}\n", cx.func.display()));
        }
        cx.set_disasm(listing.assembly);
        let failed = |message: String| BackendError::Codegen { kernel: name.to_owned(), message };
        cx.compile(self.isa, &mut ControlPlane::default())
            .map_err(|e| failed(format!("{:?}", e.inner)))?;
        let compiled = cx.compiled_code().ok_or_else(|| failed("no code".to_owned()))?;
        if let (true, Some(code)) = (listing.assembly, &compiled.vcode) {
            text.push_str(&format!("; {name}\n{code}\n"));
        }
        let bytes = compiled.buffer.data().to_vec();
        let alignment = compiled.buffer.alignment.max(16);
        let mut relocations = Vec::new();
        for r in compiled.buffer.relocs() {
            relocations.push(Relocation {
                offset: r.offset,
                kind: reloc_kind(r.kind)
                    .ok_or_else(|| failed(format!("a relocation of kind {:?}", r.kind)))?,
                target: reloc_target(&r.target, &cx.func)
                    .ok_or_else(|| failed(format!("a call of {:?}", r.target)))?,
                addend: r.addend,
            });
        }
        cx.clear();
        Ok(FunctionCode { name: name.to_owned(), bytes, alignment, relocations })
    }
}

/// The namespace of the functions of this compilation.
const OWN: u32 = 0;
/// The namespace of intrinsics.
const INTRINSIC: u32 = 1;

/// The reference to a function that `caller` has or gets.
fn reference(
    caller: &mut Function,
    name: UserExternalName,
    signature: Signature,
    colocated: bool,
) -> FuncRef {
    let named = |f: &ExtFuncData| match f.name {
        ExternalName::User(r) => caller.params.user_named_funcs().get(r) == Some(&name),
        _ => false,
    };
    if let Some((known, _)) = caller.dfg.ext_funcs.iter().find(|(_, f)| named(f)) {
        return known;
    }
    let signature = caller.import_signature(signature);
    let name = ExternalName::User(caller.declare_imported_user_function(name));
    caller.import_function(ExtFuncData { name, signature, colocated, patchable: false })
}

fn reloc_kind(kind: Reloc) -> Option<RelocKind> {
    match kind {
        Reloc::Abs8 => Some(RelocKind::Abs8),
        Reloc::X86PCRel4 | Reloc::X86CallPCRel4 => Some(RelocKind::X86PcRel4),
        Reloc::Arm64Call => Some(RelocKind::Arm64Call),
        _ => None,
    }
}

/// Functions of this compilation are named by their position, intrinsics by their number.
fn reloc_target(target: &FinalizedRelocTarget, f: &Function) -> Option<RelocTarget> {
    match target {
        FinalizedRelocTarget::ExternalName(ExternalName::User(r)) => {
            f.params.user_named_funcs().get(*r).map(|n| match n.namespace {
                INTRINSIC => RelocTarget::Import(Import::Intrinsic(n.index)),
                _ => RelocTarget::Text(n.index),
            })
        }
        FinalizedRelocTarget::ExternalName(ExternalName::LibCall(LibCall::FmaF32)) => {
            Some(RelocTarget::Import(Import::FmaF32))
        }
        FinalizedRelocTarget::ExternalName(ExternalName::LibCall(LibCall::FmaF64)) => {
            Some(RelocTarget::Import(Import::FmaF64))
        }
        FinalizedRelocTarget::ExternalName(_) | FinalizedRelocTarget::Func(_) => None,
    }
}
