//! Kernels to AVX-512 code: the vector emitter.
//!
//! A kernel of affine accesses becomes one function, loops included: its `vectorize` loops are
//! vectors of 512 bits with masked ends, its register buffers are registers, its addresses move
//! by additions. What the emitter does not do (data-dependent subscripts, fixpoints, complex
//! numbers, narrow types, ...) it leaves to Cranelift, with the reason.

mod allocate;
mod arithmetic;
mod assemble;
mod build;
mod code;
mod emit;
mod encode;
mod fold;
mod gaps;
mod hint;
mod ints;
mod listing;
mod opcodes;
mod stream;
mod values;

use super::cranelift::Listing;
use super::{FunctionCode, Target};
use tcc_ir::eval::Expansions;
use tcc_ir::kernel::Kernel;

/// What the code needs of the machine.
const NEEDED: [&str; 6] = ["avx512f", "avx512bw", "avx512dq", "avx512vl", "fma", "bmi2"];

/// True if code of this kind runs on the target.
pub(crate) fn serves(target: &Target) -> bool {
    let has = |f: &&str| target.features.iter().any(|x| x == *f);
    cfg!(unix) && target.architecture == "x86_64" && NEEDED.iter().all(has)
}

/// Compiles a kernel; the error says why it is left to Cranelift.
pub(crate) fn compile(
    kernel: &Kernel,
    expansions: &mut Expansions,
    listing: Listing,
    text: &mut String,
) -> Result<FunctionCode, String> {
    let mut built = build::Builder::new(kernel, expansions).build()?;
    fold::fold(&mut built.body);
    let allocation = allocate::allocate(&built.body, &built.classes, &built.homes);
    let (bytes, code) = emit::emit(&built, &allocation)?;
    if listing.assembly {
        text.push_str(&format!("; {}\n{}\n", kernel.name, listing::disassemble(&bytes, code)));
    }
    Ok(FunctionCode { name: kernel.name.clone(), bytes, alignment: 64, relocations: Vec::new() })
}
