//! Kernels to machine code by Cranelift.
//!
//! Each kernel becomes a function `extern "C" fn(*const KernelCall) -> i32`; a scalar function that
//! has an expansion becomes a function of its own, scalar and in lanes, when something calls it.
//! Loops marked `vectorize` are unrolled into 128-bit vectors, or into scalars where an operation
//! has no vector form.

mod access;
mod complex;
mod control;
mod convert;
mod emit;
mod expansion;
mod int;
mod intrinsic;
pub(crate) mod isa;
mod kernel;
mod lanes;
mod parallel;
mod registers;
mod unit;
mod value;

pub(crate) use unit::Listing;

use super::{BackendError, ObjectCode, Target};
use indexmap::IndexMap;
use tcc_ir::kernel::Kernel;

/// Compiles kernels for a target; `pic` makes code that a linker can place in any executable.
pub(crate) fn compile(
    kernels: &IndexMap<String, Kernel>,
    target: &Target,
    pic: bool,
    listing: Listing,
) -> Result<ObjectCode, BackendError> {
    let isa = isa::isa(target, pic)?;
    unit::compile(kernels, target, &*isa, listing)
}
