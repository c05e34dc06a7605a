//! Compiled functions in the memory of this process, by cranelift-jit.

use crate::backend::{BackendError, ObjectCode};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{AbiParam, LibCall, Signature, types};
use cranelift_codegen::isa::CallConv;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget};
use tcc_abi::{Import, KernelFn, RelocKind, RelocTarget};
use tcc_runtime::Code;

/// Code that cranelift-jit placed; the memory is never writable and executable at once, and is
/// freed when this is dropped.
pub(crate) struct JitCode {
    module: Option<JITModule>,
    entries: Vec<KernelFn>,
}

// SAFETY: after `place` the module is never used again except to free its memory; the code itself
// is read-only and may run on any thread.
unsafe impl Send for JitCode {}
// SAFETY: see above; shared access only reads `entries`.
unsafe impl Sync for JitCode {}

impl JitCode {
    /// Places functions and resolves their relocations.
    pub(crate) fn place(code: &ObjectCode) -> Result<JitCode, BackendError> {
        let failed = |message: String| BackendError::Codegen { kernel: "the JIT".into(), message };
        let mut builder = JITBuilder::new(cranelift_module::default_libcall_names())
            .map_err(|e| failed(e.to_string()))?;
        let imports = [("fmaf", Import::FmaF32), ("fma", Import::FmaF64)];
        let intrinsics = code.symbols.iter().zip(0..);
        let intrinsics = intrinsics.map(|(symbol, k)| (symbol.as_str(), Import::Intrinsic(k)));
        for (symbol, import) in imports.into_iter().chain(intrinsics) {
            let address = tcc_runtime::import_address(import, &code.symbols);
            let address = address.map_err(|_| BackendError::Intrinsic(symbol.to_owned()))?;
            builder.symbol(symbol, address as *const u8);
        }
        let mut module = JITModule::new(builder);
        match fill(&mut module, code) {
            Ok(ids) => {
                let entries = ids
                    .iter()
                    .take(code.kernels)
                    .map(|id| {
                        let address = module.get_finalized_function(*id);
                        // SAFETY: the back end made this function with the signature of a kernel,
                        // and `JitCode` keeps its memory as long as it hands it out.
                        unsafe { std::mem::transmute::<*const u8, KernelFn>(address) }
                    })
                    .collect();
                Ok(JitCode { module: Some(module), entries })
            }
            Err(e) => {
                // SAFETY: nothing of this module was handed out.
                unsafe { module.free_memory() };
                Err(failed(e))
            }
        }
    }
}

impl Drop for JitCode {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: the entries are only called through `&self` of this value, which is gone.
            unsafe { module.free_memory() };
        }
    }
}

impl Code for JitCode {
    fn kernel(&self, index: usize) -> Option<KernelFn> {
        self.entries.get(index).copied()
    }
}

fn fill(module: &mut JITModule, code: &ObjectCode) -> Result<Vec<FuncId>, String> {
    let ids = define(module, code, Linkage::Local)?;
    module.finalize_definitions().map_err(|e| e.to_string())?;
    Ok(ids)
}

/// Defines the functions of a compilation in a module of Cranelift; kernels get `linkage`.
pub(crate) fn define(
    module: &mut dyn Module,
    code: &ObjectCode,
    linkage: Linkage,
) -> Result<Vec<FuncId>, String> {
    let mut kernel = Signature::new(module.isa().default_call_conv());
    kernel.params.push(AbiParam::new(module.isa().pointer_type()));
    kernel.returns.push(AbiParam::new(types::I32));
    let inner = Signature::new(CallConv::Fast);
    let mut intrinsics = Vec::new();
    for symbol in &code.symbols {
        let mut signature = Signature::new(module.isa().default_call_conv());
        signature.params.extend((0..3).map(|_| AbiParam::new(module.isa().pointer_type())));
        let id = module.declare_function(symbol, Linkage::Import, &signature);
        intrinsics.push(id.map_err(|e| e.to_string())?);
    }
    let mut ids = Vec::new();
    for (k, f) in code.functions.iter().enumerate() {
        let (linkage, signature) =
            if k < code.kernels { (linkage, &kernel) } else { (Linkage::Local, &inner) };
        let id = module.declare_function(&f.name, linkage, signature);
        ids.push(id.map_err(|e| e.to_string())?);
    }
    for (id, f) in ids.iter().zip(&code.functions) {
        let relocs: Vec<ModuleReloc> = f
            .relocations
            .iter()
            .map(|r| ModuleReloc {
                offset: r.offset,
                kind: match r.kind {
                    RelocKind::Abs8 => Reloc::Abs8,
                    RelocKind::X86PcRel4 => Reloc::X86CallPCRel4,
                    RelocKind::Arm64Call => Reloc::Arm64Call,
                },
                name: match r.target {
                    RelocTarget::Text(k) => function(&ids, k),
                    RelocTarget::Import(Import::Intrinsic(k)) => function(&intrinsics, k),
                    RelocTarget::Import(Import::FmaF32) => {
                        ModuleRelocTarget::LibCall(LibCall::FmaF32)
                    }
                    RelocTarget::Import(Import::FmaF64) => {
                        ModuleRelocTarget::LibCall(LibCall::FmaF64)
                    }
                },
                addend: r.addend,
            })
            .collect();
        let alignment = u64::from(f.alignment);
        module
            .define_function_bytes(*id, alignment, &f.bytes, &relocs)
            .map_err(|e| e.to_string())?;
    }
    Ok(ids)
}

fn function(ids: &[FuncId], k: u32) -> ModuleRelocTarget {
    ModuleRelocTarget::user(0, ids.get(k as usize).map_or(0, |id| id.as_u32()))
}
