//! Functions that generated code calls.

use crate::LoadError;
use tcc_abi::Import;

extern "C" fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

extern "C" fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

/// The address of a function that generated code may call. `symbols` are those of the code's
/// intrinsics.
///
/// # Errors
/// This runtime has no such function for this machine.
pub fn import_address(import: Import, symbols: &[String]) -> Result<u64, LoadError> {
    match import {
        Import::FmaF32 => Ok(fma_f32 as *const () as u64),
        Import::FmaF64 => Ok(fma_f64 as *const () as u64),
        Import::Intrinsic(k) => {
            let unnamed = LoadError::Damaged("a relocation names no intrinsic");
            let symbol = symbols.get(k as usize).ok_or(unnamed)?;
            match crate::intrinsic(symbol) {
                Some(i) => Ok(i.function as *const () as u64),
                None => Err(LoadError::Symbol(symbol.clone())),
            }
        }
    }
}
