//! Back ends: from kernels to code.

pub(crate) mod cranelift;
pub(crate) mod x64;

pub use tcc_ir::target::Target;

use tcc_abi::{RelocKind, RelocTarget, Site};
use thiserror::Error;

/// Why kernels cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendError {
    /// No code can be made for the target.
    #[error("the target `{target}` is not supported: {message}")]
    Target {
        /// The target.
        target: String,
        /// Why.
        message: String,
    },
    /// A kernel uses what this back end does not compile.
    #[error("kernel `{kernel}`: {message}")]
    Unsupported {
        /// The kernel.
        kernel: String,
        /// What it uses.
        message: String,
    },
    /// A kernel calls an intrinsic that the runtime does not have.
    #[error(
        "the runtime has no intrinsic `{0}` for this machine; an object file can be linked with one"
    )]
    Intrinsic(String),
    /// The code generator failed: a bug.
    #[error("the code generator failed on `{kernel}`: {message}")]
    Codegen {
        /// The kernel or scalar function.
        kernel: String,
        /// What it said.
        message: String,
    },
}

/// The functions of a compilation, not yet at addresses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectCode {
    /// Kernels, then the scalar functions that they call.
    pub functions: Vec<FunctionCode>,
    /// How many of the functions are kernels.
    pub kernels: usize,
    /// Kernels that the vector emitter left to Cranelift, and why.
    pub refusals: Vec<(String, String)>,
    /// Places that can fail, by number.
    pub sites: Vec<Site>,
    /// Symbols of intrinsics, by the number in `Import::Intrinsic`.
    pub symbols: Vec<String>,
    /// What was asked to be listed.
    pub listing: String,
}

/// One function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FunctionCode {
    /// Its name.
    pub name: String,
    /// Its instructions and constants.
    pub bytes: Vec<u8>,
    /// Alignment of its first byte.
    pub alignment: u32,
    /// Fields that hold addresses.
    pub relocations: Vec<Relocation>,
}

/// A field of a function that holds an address. `RelocTarget::Text` is the number of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relocation {
    /// Offset of the field in the function.
    pub offset: u32,
    /// How it encodes the address.
    pub kind: RelocKind,
    /// What it points to.
    pub target: RelocTarget,
    /// What is added.
    pub addend: i64,
}
