//! Functions that generated code calls where the machine lacks the instruction.

use tcc_abi::Import;

extern "C" fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

extern "C" fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

/// The address of a function that generated code may call.
pub fn import_address(import: Import) -> u64 {
    match import {
        Import::FmaF32 => fma_f32 as *const () as u64,
        Import::FmaF64 => fma_f64 as *const () as u64,
    }
}
