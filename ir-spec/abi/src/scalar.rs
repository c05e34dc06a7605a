//! Typed scalar values, compared and hashed by their bits.

use crate::DType;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One element of a tensor: a type and its bits (little-endian in the low bytes; a complex number
/// holds its real part in the low half). Equality and hashing are those of the bits, so a NaN
/// equals itself and `0.0` differs from `-0.0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scalar {
    dtype: DType,
    bits: u128,
}

impl Scalar {
    /// A value from raw bits; bits beyond the type's size are dropped.
    pub fn from_bits(dtype: DType, bits: u128) -> Scalar {
        let width = 8 * dtype.size();
        let mask = if width == 128 { u128::MAX } else { (1u128 << width) - 1 };
        Scalar { dtype, bits: bits & mask }
    }

    /// The value in the given type nearest to `value` (ties to even). Integers saturate and take 0
    /// for NaN; bool is `value != 0`; a complex type gets the real part.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        if let Some((lo, hi)) = dtype.int_range() {
            if dtype == DType::Bool {
                return Scalar::from_i128(dtype, i128::from(value != 0.0));
            }
            let clamped = if value.is_nan() { 0.0 } else { value.trunc() };
            return Scalar::from_i128(dtype, (clamped as i128).clamp(lo, hi));
        }
        Scalar { dtype, bits: real_bits(dtype.real_part(), value) }
    }

    /// An integer in the given type: integers wrap modulo 2^width, floats round once, bool is
    /// `!= 0`.
    pub fn from_i128(dtype: DType, value: i128) -> Scalar {
        if dtype == DType::Bool {
            return Scalar { dtype, bits: u128::from(value != 0) };
        }
        if dtype.is_int() {
            return Scalar::from_bits(dtype, value as u128);
        }
        if dtype.real_part() == DType::F32 {
            return Scalar { dtype, bits: u128::from((value as f32).to_bits()) };
        }
        Scalar { dtype, bits: real_bits(dtype.real_part(), value as f64) }
    }

    /// A complex value from its parts, each rounded to the part type.
    pub fn from_parts(dtype: DType, re: f64, im: f64) -> Scalar {
        assert!(dtype.is_complex(), "from_parts wants a complex type, got {dtype}");
        let part = dtype.real_part();
        let shift = 8 * part.size();
        Scalar { dtype, bits: real_bits(part, re) | (real_bits(part, im) << shift) }
    }

    /// A bool.
    pub fn from_bool(value: bool) -> Scalar {
        Scalar { dtype: DType::Bool, bits: u128::from(value) }
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        self.dtype
    }

    /// The raw bits, zero-extended.
    pub fn bits(self) -> u128 {
        self.bits
    }

    /// The value as `f64`: the real part of a complex number, integers rounded once.
    pub fn to_f64(self) -> f64 {
        let part = self.dtype.real_part();
        if part.is_float() { real_value(part, self.bits) } else { self.to_i128() as f64 }
    }

    /// Real and imaginary part; a real value has imaginary part 0.
    pub fn to_parts(self) -> (f64, f64) {
        if !self.dtype.is_complex() {
            return (self.to_f64(), 0.0);
        }
        let part = self.dtype.real_part();
        let shift = 8 * part.size();
        (real_value(part, self.bits), real_value(part, self.bits >> shift))
    }

    /// The value as an integer: floats truncate toward zero, NaN gives 0.
    pub fn to_i128(self) -> i128 {
        if !self.dtype.is_int() && self.dtype != DType::Bool {
            return self.to_f64() as i128;
        }
        let width = self.dtype.bits();
        if self.dtype.is_signed_int() {
            ((self.bits << (128 - width)) as i128) >> (128 - width)
        } else {
            self.bits as i128
        }
    }

    /// True unless the value is 0 or `false`.
    pub fn to_bool(self) -> bool {
        if self.dtype.is_int() || self.dtype == DType::Bool {
            self.bits != 0
        } else {
            self.to_parts() != (0.0, 0.0)
        }
    }

    /// Reads an element from its little-endian bytes; `bytes` has the type's size.
    pub fn read(dtype: DType, bytes: &[u8]) -> Scalar {
        let mut wide = [0u8; 16];
        wide[..dtype.size()].copy_from_slice(&bytes[..dtype.size()]);
        Scalar { dtype, bits: u128::from_le_bytes(wide) }
    }

    /// Writes the element's little-endian bytes; `bytes` has the type's size.
    pub fn write(self, bytes: &mut [u8]) {
        let size = self.dtype.size();
        bytes[..size].copy_from_slice(&self.bits.to_le_bytes()[..size]);
    }
}

fn real_bits(part: DType, value: f64) -> u128 {
    match part {
        DType::F64 => u128::from(value.to_bits()),
        DType::F32 => u128::from((value as f32).to_bits()),
        DType::F16 => u128::from(f16::from_f32(to_odd(value)).to_bits()),
        DType::BF16 => u128::from(bf16::from_f32(to_odd(value)).to_bits()),
        other => panic!("{other} has no floating representation here"),
    }
}

/// Rounded to the neighbour with an odd last bit unless exact, so that rounding the result to a
/// shorter type rounds `value` once.
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) == value || !near.is_finite() || near.to_bits() & 1 == 1 {
        return near;
    }
    let outward = f64::from(near).abs() < value.abs();
    f32::from_bits(if outward { near.to_bits() + 1 } else { near.to_bits() - 1 })
}

fn real_value(part: DType, bits: u128) -> f64 {
    match part {
        DType::F64 => f64::from_bits(bits as u64),
        DType::F32 => f64::from(f32::from_bits(bits as u32)),
        DType::F16 => f16::from_bits(bits as u16).to_f64(),
        DType::BF16 => bf16::from_bits(bits as u16).to_f64(),
        other => panic!("{other} has no floating representation here"),
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}:{}", self.dtype)
    }
}

impl fmt::Display for Scalar {
    /// Prints the shortest decimal that reads back to the same bits (a NaN's payload is not kept).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dtype {
            DType::Bool => write!(f, "{}", self.bits != 0),
            DType::C64 | DType::C128 => {
                let (re, im) = self.to_parts();
                write!(f, "complex({re}, {im})")
            }
            DType::F32 => write_real(f, f32::from_bits(self.bits as u32)),
            DType::F64 => write_real(f, f64::from_bits(self.bits as u64)),
            d if d.is_float() => write_real(f, self.to_f64()),
            _ => write!(f, "{}", self.to_i128()),
        }
    }
}

fn write_real<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, value: T) -> fmt::Result {
    let text = format!("{value:?}");
    f.write_str(match text.as_str() {
        "NaN" | "-NaN" => "nan",
        other => other.strip_suffix(".0").unwrap_or(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_sign_extend() {
        assert_eq!(Scalar::from_i128(DType::I8, 200).to_i128(), -56);
        assert_eq!(Scalar::from_i128(DType::U8, 300).to_i128(), 44);
        assert_eq!(Scalar::from_i128(DType::I64, i128::from(i64::MIN)).to_i128(), i64::MIN.into());
    }

    #[test]
    fn float_to_int_saturates() {
        assert_eq!(Scalar::from_f64(DType::I8, 1e9).to_i128(), 127);
        assert_eq!(Scalar::from_f64(DType::U32, -3.5).to_i128(), 0);
        assert_eq!(Scalar::from_f64(DType::I32, f64::NAN).to_i128(), 0);
        assert_eq!(Scalar::from_f64(DType::I32, -2.9).to_i128(), -2);
    }

    #[test]
    fn short_floats_round_once() {
        // Just above a tie, by less than the last bit of a single float.
        let tie = 1.0 + f64::powi(2.0, -8);
        let up = 1.0 + f64::powi(2.0, -7);
        assert_eq!(Scalar::from_f64(DType::BF16, tie).to_f64(), 1.0);
        assert_eq!(Scalar::from_f64(DType::BF16, tie + f64::powi(2.0, -50)).to_f64(), up);
        let tie = -1.0 - f64::powi(2.0, -11);
        assert_eq!(Scalar::from_f64(DType::F16, tie).to_f64(), -1.0);
        let below = -1.0 - f64::powi(2.0, -10);
        assert_eq!(Scalar::from_f64(DType::F16, tie - f64::powi(2.0, -45)).to_f64(), below);
    }

    #[test]
    fn bytes_round_trip() {
        for d in DType::all().filter(|d| !d.is_f8()) {
            let v = Scalar::from_f64(d, 1.0);
            let mut bytes = vec![0; d.size()];
            v.write(&mut bytes);
            assert_eq!(Scalar::read(d, &bytes), v);
            assert_eq!(v.to_f64(), 1.0);
        }
        assert_eq!(Scalar::from_parts(DType::C64, 1.5, -2.0).to_parts(), (1.5, -2.0));
    }

    #[test]
    fn prints_shortest() {
        assert_eq!(Scalar::from_f64(DType::F32, 0.1).to_string(), "0.1");
        assert_eq!(Scalar::from_f64(DType::F64, 1e300).to_string(), "1e300");
        assert_eq!(Scalar::from_f64(DType::F64, 3.0).to_string(), "3");
        assert_eq!(Scalar::from_f64(DType::F64, f64::NEG_INFINITY).to_string(), "-inf");
        assert_eq!(Scalar::from_i128(DType::I32, -7).to_string(), "-7");
    }
}
