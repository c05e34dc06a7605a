//! Element types of tensors.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The element type of a tensor. `Display` and [`DType::parse`] use the spelling of the `.tir`
/// text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DType {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16: storage only, arithmetic happens in `f32`.
    F16,
    /// bfloat16: storage only, arithmetic happens in `f32`.
    BF16,
    /// 8-bit float with 4 exponent bits (parsed, not yet compiled).
    F8E4M3,
    /// 8-bit float with 5 exponent bits (parsed, not yet compiled).
    F8E5M2,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// One byte, 0 or 1.
    Bool,
    /// A pair of `f32`: real part, then imaginary part.
    C64,
    /// A pair of `f64`: real part, then imaginary part.
    C128,
}

/// One row per element type: text name and size in bytes.
const TABLE: [(DType, &str, usize); 17] = [
    (DType::F64, "f64", 8),
    (DType::F32, "f32", 4),
    (DType::F16, "f16", 2),
    (DType::BF16, "bf16", 2),
    (DType::F8E4M3, "f8e4m3", 1),
    (DType::F8E5M2, "f8e5m2", 1),
    (DType::I8, "i8", 1),
    (DType::I16, "i16", 2),
    (DType::I32, "i32", 4),
    (DType::I64, "i64", 8),
    (DType::U8, "u8", 1),
    (DType::U16, "u16", 2),
    (DType::U32, "u32", 4),
    (DType::U64, "u64", 8),
    (DType::Bool, "bool", 1),
    (DType::C64, "c64", 8),
    (DType::C128, "c128", 16),
];

impl DType {
    /// Every element type, in the order of the specification.
    pub fn all() -> impl Iterator<Item = DType> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (DType, &'static str, usize) {
        &TABLE[self as usize]
    }

    /// The spelling in `.tir` text, for example `f32`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Size of one element in bytes.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// Alignment of one element in bytes (a complex number is aligned like its parts).
    pub fn align(self) -> usize {
        if self.is_complex() { self.size() / 2 } else { self.size() }
    }

    /// Reads the `.tir` spelling.
    pub fn parse(text: &str) -> Option<DType> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0)
    }

    /// True for the six real floating types.
    pub fn is_float(self) -> bool {
        (self as usize) <= (DType::F8E5M2 as usize)
    }

    /// True for the 16-bit and 8-bit floats, which are storage types only.
    pub fn is_storage_float(self) -> bool {
        self.is_float() && self.size() < 4
    }

    /// True for the eight integer types.
    pub fn is_int(self) -> bool {
        (DType::I8 as usize..=DType::U64 as usize).contains(&(self as usize))
    }

    /// True for `i8` to `i64`.
    pub fn is_signed_int(self) -> bool {
        (DType::I8 as usize..=DType::I64 as usize).contains(&(self as usize))
    }

    /// True for `c64` and `c128`.
    pub fn is_complex(self) -> bool {
        matches!(self, DType::C64 | DType::C128)
    }

    /// True for `f8e4m3` and `f8e5m2`, which parse but are refused by the verifier.
    pub fn is_f8(self) -> bool {
        matches!(self, DType::F8E4M3 | DType::F8E5M2)
    }

    /// The type of the parts of a complex type; any other type is its own part.
    pub fn real_part(self) -> DType {
        if self == DType::C64 {
            DType::F32
        } else if self == DType::C128 {
            DType::F64
        } else {
            self
        }
    }

    /// The complex type whose parts have this type, if there is one.
    pub fn complex_of(self) -> Option<DType> {
        match self {
            DType::F32 => Some(DType::C64),
            DType::F64 => Some(DType::C128),
            _ => None,
        }
    }

    /// The type in which arithmetic on this type happens: `f32` for the storage floats.
    pub fn compute(self) -> DType {
        if self.is_storage_float() { DType::F32 } else { self }
    }

    /// Width of an integer or bool in bits.
    pub fn bits(self) -> u32 {
        8 * self.size() as u32
    }

    /// Smallest and largest value of an integer type (bool counts as 0..=1).
    pub fn int_range(self) -> Option<(i128, i128)> {
        if self == DType::Bool {
            return Some((0, 1));
        }
        if !self.is_int() {
            return None;
        }
        let bits = self.bits();
        Some(if self.is_signed_int() {
            (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
        } else {
            (0, (1i128 << bits) - 1)
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_indexed_by_discriminant() {
        for d in DType::all() {
            assert_eq!(d.row().0, d);
            assert_eq!(DType::parse(d.name()), Some(d));
        }
    }

    #[test]
    fn classes() {
        assert!(DType::F8E5M2.is_float() && !DType::I8.is_float());
        assert!(DType::U64.is_int() && !DType::Bool.is_int() && !DType::U8.is_signed_int());
        assert_eq!(DType::I8.int_range(), Some((-128, 127)));
        assert_eq!(DType::U64.int_range(), Some((0, u64::MAX as i128)));
        assert_eq!(DType::C128.align(), 8);
        assert_eq!(DType::BF16.compute(), DType::F32);
    }
}
