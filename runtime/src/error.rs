//! What can go wrong with tensors, at loading and at a call.

use tcc_abi::{DType, ImageError};
use thiserror::Error;

/// Why memory is no tensor of the wanted shape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The number of elements is wrong.
    #[error("shape {shape:?} has {expected} elements, the memory has {found}")]
    Count {
        /// The shape.
        shape: Vec<usize>,
        /// Its number of elements.
        expected: usize,
        /// Elements in the memory.
        found: usize,
    },
    /// A strided view leaves its memory.
    #[error("the view spans elements {low}..={high} of a slice of {len}")]
    Reach {
        /// Lowest element.
        low: i128,
        /// Highest element.
        high: i128,
        /// Elements in the memory.
        len: usize,
    },
    /// Shape and strides differ in length.
    #[error("{shape} extents with {strides} strides")]
    Rank {
        /// Number of extents.
        shape: usize,
        /// Number of strides.
        strides: usize,
    },
    /// Two positions of a written view may share an element.
    #[error("a tensor to write, of shape {shape:?} and strides {strides:?}, has an element twice")]
    Overlap {
        /// The shape.
        shape: Vec<usize>,
        /// The strides.
        strides: Vec<i64>,
    },
    /// Another element type was asked for.
    #[error("the elements are {expected}, not {found}")]
    DType {
        /// Type of the elements.
        expected: DType,
        /// Type asked for.
        found: DType,
    },
    /// The bytes are no whole number of elements.
    #[error("{bytes} bytes are no whole number of {dtype} elements")]
    Bytes {
        /// Element type.
        dtype: DType,
        /// Bytes given.
        bytes: usize,
    },
    /// A bool must be the byte 0 or 1.
    #[error("a byte of a bool tensor is neither 0 nor 1")]
    Bool,
    /// The shape has more bytes than an address space.
    #[error("a tensor of shape {shape:?} is larger than any memory")]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
    /// The system gives no memory.
    #[error("no memory for {bytes} bytes")]
    Memory {
        /// Bytes asked for.
        bytes: u64,
    },
}

/// Why an image cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The bytes are no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image contradicts itself.
    #[error("the image is damaged: {0}")]
    Damaged(&'static str),
    /// Compiled for another architecture.
    #[error("the image holds code for {found}, this machine is {expected}")]
    Architecture {
        /// Architecture of the code.
        found: String,
        /// Architecture of the machine.
        expected: &'static str,
    },
    /// The machine lacks a feature that the code uses.
    #[error("the image uses the CPU feature `{0}`, which this machine lacks")]
    Feature(String),
    /// The code calls an intrinsic that this runtime does not have.
    #[error("the image calls the intrinsic `{0}`, which this runtime has not for this machine")]
    Symbol(String),
    /// The system refuses executable memory.
    #[error("no executable memory: {0}")]
    Map(#[source] std::io::Error),
}

/// Why a call did not give results.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// Wrong number of tensors.
    #[error("expected {expected}, found {found}")]
    Arity {
        /// What is expected, for example "2 inputs (`A`, `B`)".
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// A shape or element type does not match the signature.
    #[error("{0}")]
    Shape(String),
    /// A size has no value.
    #[error("the size `{0}` follows from no input")]
    FreeSize(String),
    /// A named size does not exist.
    #[error("there is no size `{name}`; the sizes are {known}")]
    UnknownSize {
        /// The name given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A declared or derived fact does not hold.
    #[error("{0}")]
    Fact(String),
    /// A size or byte count is too large.
    #[error("{0}")]
    Limit(String),
    /// More memory is needed than allowed.
    #[error("the call needs {needed} bytes, allowed are {allowed}")]
    Memory {
        /// Bytes of results and temporaries.
        needed: u64,
        /// The budget.
        allowed: u64,
    },
    /// The time budget is over.
    #[error("the call did not end within {0:?}")]
    Time(std::time::Duration),
    /// A data-dependent subscript is out of range.
    #[error("{0}")]
    Index(String),
    /// A fixpoint did not converge.
    #[error("{0}")]
    Diverge(String),
    /// An integer was divided by zero.
    #[error("{0}")]
    Division(String),
    /// An integer left its type in a run that looks for that.
    #[error("{0}")]
    Overflow(String),
    /// The memory for results or temporaries.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The image is inconsistent.
    #[error("the image is damaged: {0}")]
    Damaged(String),
}

impl RunError {
    /// The word code of the error, as in SPEC.md.
    pub fn code(&self) -> &'static str {
        match self {
            RunError::Arity { .. }
            | RunError::Shape(_)
            | RunError::FreeSize(_)
            | RunError::UnknownSize { .. } => "E-SHAPE",
            RunError::Fact(_) => "E-FACT",
            RunError::Limit(_) => "E-LIMIT",
            RunError::Memory { .. } | RunError::Time(_) | RunError::Tensor(_) => "E-BUDGET",
            RunError::Index(_) => "E-INDEX",
            RunError::Diverge(_) => "E-DIVERGE",
            RunError::Division(_) => "E-DIV",
            RunError::Overflow(_) => "E-OVERFLOW",
            RunError::Damaged(_) => "E-IMAGE",
        }
    }

    /// How to mend it, if there is a general way.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            RunError::FreeSize(name) => format!("give it by name: `{name}` = a number"),
            RunError::Index(_) => {
                "give the read a default (`X[...]?0`) or the write `@drop`, or mend the data".into()
            }
            RunError::Diverge(_) => {
                "give the block a `limit`, or a larger `tol`, or check that its values stay finite"
                    .into()
            }
            RunError::Memory { .. } => "raise the memory budget, or run on smaller sizes".into(),
            RunError::Time(_) => "raise the time budget, or run on smaller sizes".into(),
            RunError::Arity { .. }
            | RunError::Shape(_)
            | RunError::UnknownSize { .. }
            | RunError::Fact(_)
            | RunError::Limit(_)
            | RunError::Division(_)
            | RunError::Overflow(_)
            | RunError::Tensor(_)
            | RunError::Damaged(_) => return None,
        })
    }
}
