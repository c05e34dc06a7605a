//! The reference interpreter: the definition of what programs mean, slow and obvious.
//!
//! It is generic over the arithmetic of real numbers ([`Domain`]); integers and bools are concrete
//! in every domain. [`Machine`] computes what a machine that rounds every operation computes;
//! [`Bounded`] carries a bound on the error that any legal order of evaluation can make, so that
//! compiled code can be compared with it. At graph level scalar functions are opaque and evaluated
//! by an independent library; the kernel level runs their expansions.

mod bounded;
mod domain;
mod equation;
mod expansion;
mod graph;
mod kernel;
mod ops;
mod program;
mod tensor;

pub use bounded::{Bounded, BoundedFloat};
pub use domain::{Domain, Machine, NoOverflow};
pub use expansion::{Expansion, Expansions};
pub use graph::{Interpreter, Tensors, bind_sizes, interpret};
pub use kernel::run_kernel;
pub use ops::{apply, bitcast, cast, constant, index_value};
pub use program::run_program;
pub use tensor::{Tensor, Value};

use crate::scalar::Func;
use std::fmt;
use tcc_abi::DType;

/// Why an evaluation stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A data-dependent subscript is out of range.
    Index {
        /// The accessed tensor.
        tensor: String,
        /// The axis.
        axis: usize,
        /// The subscript's value.
        value: i128,
        /// The axis's extent.
        extent: usize,
        /// Names and values of the iteration variables.
        at: Vec<(String, i64)>,
    },
    /// A fixpoint did not converge, or met a NaN.
    Diverge(String),
    /// An integer was divided by zero.
    Division,
    /// The exact result of an integer operation is outside of its type.
    Overflow {
        /// The operation.
        func: Func,
        /// The type.
        dtype: DType,
        /// The exact result.
        exact: i128,
    },
    /// The domain cannot tell which way a comparison goes.
    Undecided,
    /// A shape, type or size does not fit the signature.
    Shape(String),
    /// A declared or derived fact does not hold.
    Fact(String),
    /// A size or count is too large.
    Limit(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Index { tensor, axis, value, extent, at } => {
                write!(f, "subscript {value} of axis {axis} of `{tensor}` is not in 0..{extent}")?;
                for (k, (name, v)) in at.iter().enumerate() {
                    write!(f, "{}{name} = {v}", if k == 0 { ", at " } else { ", " })?;
                }
                Ok(())
            }
            Stop::Diverge(t) => write!(f, "the fixpoint of `{t}` did not converge"),
            Stop::Overflow { func, dtype, exact } => {
                write!(f, "`{func}` gives {exact}, which {dtype} does not hold")
            }
            Stop::Division => f.write_str("an integer is divided by zero"),
            Stop::Undecided => f.write_str("a comparison is within the error bound"),
            Stop::Shape(m) | Stop::Fact(m) | Stop::Limit(m) => f.write_str(m),
        }
    }
}

impl std::error::Error for Stop {}
