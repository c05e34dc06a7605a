//! The image: everything a deployed program needs, without the compiler.
//!
//! An image is a header (magic, format version, checksum) and a `postcard` payload. It is trusted
//! like an executable file: the checksum finds accidents, not attacks.

use crate::{DType, SizeExpr};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A compiled function: interface, buffers, call list, sizes and code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The function's name.
    pub name: String,
    /// The compiler's version.
    pub compiler: String,
    /// Names of the sizes, in the order of [`crate::KernelCall::sizes`].
    pub sizes: Vec<String>,
    /// How each size gets its value at a call, in an order in which each only needs earlier ones.
    pub sources: Vec<SizeSource>,
    /// Declared and derived facts, checked once the sizes are known.
    pub facts: Vec<DerivedFact>,
    /// Inputs, in declaration order.
    pub inputs: Vec<TensorSpec>,
    /// Results, in declaration order.
    pub outputs: Vec<TensorSpec>,
    /// Intermediate tensors, which lie in an arena.
    pub buffers: Vec<BufferSpec>,
    /// Kernel calls in order.
    pub steps: Vec<Step>,
    /// Places in the kernels that can fail, by [`crate::ErrorRecord::site`].
    pub sites: Vec<Site>,
    /// Machine code; empty for an executable whose code lives elsewhere (the JIT).
    pub code: CodeImage,
}

/// A place in a kernel that can fail at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// What fails, for example "axis 0 of `table`".
    pub what: String,
    /// Names of the iteration variables in [`crate::ErrorRecord::position`].
    pub vars: Vec<String>,
}

/// Where the value of a size comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SizeSource {
    /// `size = (extent of input's axis - offset) / factor`, which must be exact.
    Extent {
        /// The size that gets the value.
        size: u32,
        /// Position of the input.
        input: u32,
        /// Axis of the input.
        axis: u32,
        /// What the axis adds to the multiple of the size.
        offset: SizeExpr,
        /// What the axis multiplies the size by.
        factor: SizeExpr,
    },
    /// The caller names the value (`--set NAME=4`).
    Argument {
        /// The size that gets the value.
        size: u32,
    },
}

/// A condition on sizes, `value >= 0`, with the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DerivedFact {
    /// The condition holds if this is not negative.
    pub value: SizeExpr,
    /// If one of these is zero or negative, the condition is not needed.
    pub unless_empty: Vec<SizeExpr>,
    /// The condition in source text, for example `(H - 1)/2 < HO`.
    pub text: String,
    /// Where it comes from, for example `write of `Y` axis 0`.
    pub origin: String,
}

/// An input or result of a compiled function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Its name in the source.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<SizeExpr>,
    /// Extents in source text, for messages.
    pub shape_text: Vec<String>,
    /// What the caller may expect of it.
    pub role: TensorRole,
    /// True if the code takes any strides; otherwise only row-major memory without gaps.
    pub strided: bool,
}

/// How a call treats an input or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TensorRole {
    /// Read.
    Input,
    /// Read; the same from call to call.
    Param,
    /// Read and overwritten by its new value.
    Inout,
    /// Written.
    Output,
}

/// An intermediate tensor, which gets a place in the arena of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BufferSpec {
    /// Its name, for messages and profiles.
    pub name: String,
    /// Size in bytes.
    pub bytes: SizeExpr,
    /// Number of the first step that names it.
    pub first: u32,
    /// Number of the last one.
    pub last: u32,
    /// A buffer whose bytes it may take over in its first step, which is the other one's last, if
    /// both have the same size.
    pub replaces: Option<u32>,
}

/// One kernel call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which kernel.
    pub kernel: u32,
    /// What it gets, in the order of its parameters.
    pub arguments: Vec<Argument>,
    /// How many of the arguments, the last ones, it writes.
    pub results: u32,
    /// Set if the step depends on `param` inputs alone, so that it need not run again until they
    /// change.
    pub prepare: Option<Prepare>,
    /// Bytes of [`crate::KernelCall::scratch`] that each thread of the call needs.
    pub scratch: SizeExpr,
    /// What must hold of the arguments' strides; otherwise the kernel would do nothing, and the
    /// step is skipped.
    pub when: Vec<Contiguity>,
    /// The iterations that may be shared out over threads.
    pub parallel: Option<ParallelNest>,
}

/// What a step that depends on `param` inputs alone needs besides them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The sizes that it reads.
    pub sizes: Vec<u32>,
}

/// A condition on the strides of a step's arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contiguity {
    /// Positions among the step's arguments.
    pub arguments: Vec<u32>,
    /// True if all of them must be row-major without gaps; false if one must not be.
    pub holds: bool,
}

/// The parallel nest of a step's kernel: iterations that any threads may run in any pieces, with
/// the same result to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParallelNest {
    /// The number of iterations.
    pub iterations: SizeExpr,
    /// What all of them take on one thread, in nanoseconds; rather too little than too much.
    pub work: Estimate,
}

/// A sum of products of sizes, evaluated in floating point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate(pub Vec<EstimateTerm>);

/// `factor` times each of `sizes`; a negative one counts as 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateTerm {
    /// A number.
    pub factor: f64,
    /// Expressions of sizes.
    pub sizes: Vec<SizeExpr>,
}

impl Estimate {
    /// The value with `sizes[k]` as the value of size number k. An expression without a value
    /// counts as the largest number.
    pub fn eval(&self, sizes: &[i64]) -> f64 {
        let value = |e: &SizeExpr| e.eval(sizes).map_or(f64::MAX, |v| v.max(0) as f64);
        let term = |t: &EstimateTerm| t.sizes.iter().fold(t.factor, |p, e| p * value(e));
        self.0.iter().map(term).sum()
    }
}

/// What a kernel parameter is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// An input of the function.
    Input(u32),
    /// A result of the function.
    Output(u32),
    /// A buffer in the arena.
    Buffer(u32),
}

/// Machine code of all kernels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeImage {
    /// Architecture and operating system family, for example `x86_64`.
    pub architecture: String,
    /// CPU features that the code uses, for example `avx512f`.
    pub features: Vec<String>,
    /// The bytes, functions aligned to 16.
    pub text: Vec<u8>,
    /// Kernels, in the order of [`Step::kernel`].
    pub kernels: Vec<KernelCode>,
    /// What must be patched once the code's address is known.
    pub relocs: Vec<Reloc>,
    /// Symbols of the intrinsics that the code calls, by the number in [`Import::Intrinsic`].
    pub symbols: Vec<String>,
}

/// Where a kernel starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelCode {
    /// Its name, for profiles.
    pub name: String,
    /// Offset of its first instruction in [`CodeImage::text`].
    pub entry: u32,
}

/// A place in the code that holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloc {
    /// Offset of the patched field in [`CodeImage::text`].
    pub offset: u32,
    /// How the field encodes the address.
    pub kind: RelocKind,
    /// What the address is of.
    pub target: RelocTarget,
    /// Added to the target's address.
    pub addend: i64,
}

/// What a relocation points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelocTarget {
    /// An offset in [`CodeImage::text`].
    Text(u32),
    /// A function of the runtime.
    Import(Import),
}

/// Functions that the runtime provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Import {
    /// `extern "C" fn(f32, f32, f32) -> f32`: `a * b + c` with one rounding, for machines without
    /// the instruction.
    FmaF32,
    /// `extern "C" fn(f64, f64, f64) -> f64`: `a * b + c` with one rounding, for machines without
    /// the instruction.
    FmaF64,
    /// The [`crate::IntrinsicFn`] of this number in [`CodeImage::symbols`].
    Intrinsic(u32),
}

/// How a patched field encodes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelocKind {
    /// 8 bytes, absolute.
    Abs8,
    /// 4 bytes, relative to the field.
    X86PcRel4,
    /// The 26-bit immediate of an AArch64 `b` or `bl`.
    Arm64Call,
}

/// Why bytes are not an image that this build can load.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The first bytes are not those of an image.
    #[error("not a tcc image: the file does not begin with `TCX`")]
    Magic,
    /// Written by a build with another image format.
    #[error("the image has format {found}, this build reads format {expected}; compile it again")]
    Version {
        /// Format of the file.
        found: u32,
        /// Format of this build.
        expected: u32,
    },
    /// The payload is damaged.
    #[error("the image is damaged: {0}")]
    Damaged(&'static str),
}

const MAGIC: &[u8; 4] = b"TCX\0";
const VERSION: u32 = 4;
const HEADER: usize = 24;

impl Image {
    /// The image as bytes: magic, format version, payload length, checksum, payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let payload = postcard::to_stdvec(self).expect("an image holds only plain data");
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&checksum(&payload).to_le_bytes());
        out.extend_from_slice(&payload);
        out
    }

    /// True if bytes begin as an image does.
    pub fn is_image(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads an image back. Everything in it is then trusted like an executable file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Image, ImageError> {
        let field = |at: usize, len: usize| bytes.get(at..at + len);
        if field(0, 4) != Some(MAGIC) {
            return Err(ImageError::Magic);
        }
        let version = read_u64(field(4, 4)).ok_or(ImageError::Damaged("the header is cut off"))?;
        if version != u64::from(VERSION) {
            return Err(ImageError::Version { found: version as u32, expected: VERSION });
        }
        let cut = ImageError::Damaged("the header is cut off");
        let length = read_u64(field(8, 8)).ok_or(cut.clone())?;
        let sum = read_u64(field(16, 8)).ok_or(cut)?;
        let payload = bytes.get(HEADER..).unwrap_or_default();
        if payload.len() as u64 != length {
            return Err(ImageError::Damaged("its length differs from the header"));
        }
        if checksum(payload) != sum {
            return Err(ImageError::Damaged("its checksum differs from the header"));
        }
        postcard::from_bytes(payload).map_err(|_| ImageError::Damaged("the payload does not parse"))
    }
}

fn read_u64(bytes: Option<&[u8]>) -> Option<u64> {
    let bytes = bytes?;
    let mut wide = [0u8; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

fn checksum(payload: &[u8]) -> u64 {
    u64::from(crc32fast::hash(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Image {
        Image {
            name: "f".into(),
            compiler: "0".into(),
            sizes: vec!["N".into()],
            sources: vec![SizeSource::Argument { size: 0 }],
            facts: vec![],
            inputs: vec![],
            outputs: vec![],
            buffers: vec![],
            steps: vec![],
            sites: vec![],
            code: CodeImage::default(),
        }
    }

    #[test]
    fn estimates_count_negative_extents_as_nothing() {
        use crate::SizeOp::{Const, Div, Size, Sub};
        let term = |factor, sizes| EstimateTerm { factor, sizes };
        let n = || SizeExpr(vec![Size(0)]);
        let below = SizeExpr(vec![Size(0), Const(10), Sub]);
        let e = Estimate(vec![term(0.5, vec![n(), n()]), term(2.0, vec![below])]);
        assert_eq!(e.eval(&[4]), 8.0);
        assert_eq!(e.eval(&[12]), 76.0);
        let undefined = SizeExpr(vec![Const(1), Size(0), Div]);
        assert_eq!(Estimate(vec![term(1.0, vec![undefined])]).eval(&[0]), f64::MAX);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let bytes = small().to_bytes();
        assert_eq!(Image::from_bytes(&bytes), Ok(small()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(Image::from_bytes(&bad).is_err(), "byte {at} flipped unnoticed");
            assert!(Image::from_bytes(&bytes[..at]).is_err(), "cut at {at} unnoticed");
        }
    }
}
