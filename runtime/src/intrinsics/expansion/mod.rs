//! Transcendental functions: the expansions of `ir-spec/std/scalar_*.tir` as Rust, operation by
//! operation, so that strips, scalar code and the interpreter give the same bits. The modules are
//! made from the `.tir` text; a test compares them with it.

#![allow(
    clippy::approx_constant,
    clippy::excessive_precision,
    clippy::too_many_lines,
    reason = "generated from the expansions, whose constants and length are what they are"
)]

pub(super) mod error;
pub(super) mod exponential;
pub(super) mod logarithm;
pub(super) mod trigonometric;

use super::cast::to_i32;

/// Both values are computed, so that lanes can choose.
#[inline(always)]
fn select<T>(condition: bool, a: T, b: T) -> T {
    if condition { a } else { b }
}

/// The upper half of the product.
#[inline(always)]
fn mulhi(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}
