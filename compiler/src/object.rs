//! Object files, by cranelift-object.

use crate::backend::cranelift::isa;
use crate::backend::{BackendError, ObjectCode, Target};
use crate::jit::define;
use cranelift_module::{Linkage, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

/// An object file of a compilation: one global symbol per kernel.
pub(crate) fn write(code: &ObjectCode, target: &Target) -> Result<Vec<u8>, BackendError> {
    let failed =
        |message: String| BackendError::Codegen { kernel: "the object file".into(), message };
    let isa = isa::isa(target, true)?;
    let builder = ObjectBuilder::new(isa, "tcc", default_libcall_names())
        .map_err(|e| failed(e.to_string()))?;
    let mut module = ObjectModule::new(builder);
    define(&mut module, code, Linkage::Export).map_err(failed)?;
    module.finish().emit().map_err(|e| failed(e.to_string()))
}
