//! tcc, a tensor compiler: tensor equations in, machine code out.
//!
//! ```
//! use tcc::TensorView;
//!
//! let softmax = tcc::compile(
//!     "fn main(X: f32[B,N]) -> (Y: f32[B,N]) {
//!          E[b,n] = exp(X[b,n] - max[k](X[b,k]))
//!          Y[b,n] = E[b,n] / sum[k](E[b,k])
//!      }",
//! )?;
//! let x = [1.0f32, 2.0, 3.0, 4.0];
//! let y = softmax.run(&[TensorView::from_slice(&x, &[2, 2])?])?;
//! assert!((y[0].as_slice::<f32>()?[1] - 0.7310586).abs() < 1e-6);
//! # Ok::<(), tcc::Error>(())
//! ```

mod backend;
mod cache;
mod driver;
mod einsum;
mod error;
mod executable;
mod interpreter;
mod jit;
mod machine;
mod object;
mod tuner;

pub use backend::{BackendError, Target};
pub use cache::{Cache, CacheContents, CacheUse};
pub use driver::{Compilation, CompiledImage, Compiler, Cost, Diagnosis, Stage, diagnose};
pub use einsum::{Einsum, einsum};
pub use error::{Error, SourceError};
pub use executable::Executable;
pub use interpreter::Interpreter;
pub use tcc_abi::{DType, Image, TensorRole, TensorSpec};
pub use tcc_passes::cost::{KernelCost, KernelTime, Level, Limit, Machine};
pub use tcc_runtime::{
    Bound, Budget, CallOptions, Complex32, Complex64, Element, Executor, LoadError, RunError,
    Tensor, TensorError, TensorView, TensorViewMut, Threads,
};
pub use tuner::{
    TuneOptions, TuneReport, TunedKernel, TuningDatabase, TuningError, TuningGain, TuningRecord,
};

/// Compiles the last function of a text for this machine.
///
/// # Errors
/// The text has mistakes (all of them are listed), or uses what tcc does not compile.
pub fn compile(source: &str) -> Result<Executable, Error> {
    Compiler::host().compile(source)
}

/// The examples of the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
