//! Loads and runs what tcc compiled.
//!
//! Together with `tcc-abi` this is all that a deployed program links: tensors and views of the
//! caller's memory, the arena, the loader of machine code, the checks at a call, threads, the
//! intrinsics that kernels call. It knows no IR.

mod buffer;
mod call;
mod error;
mod executable;
mod intrinsics;
mod layout;
mod loader;
mod place;
mod plan;
mod pool;
mod prepared;
mod resolve;
mod tensor;
mod threads;
mod watch;

pub use error::{LoadError, RunError, TensorError};
pub use executable::{Bound, Budget, CallOptions, Executable};
pub use intrinsics::{Implementation, intrinsic, intrinsics};
pub use layout::Layout;
pub use loader::{Code, MappedCode, host_features, import_address};
pub use num_complex::{Complex32, Complex64};
pub use tcc_abi::{DType, Image, TensorRole, TensorSpec};
pub use tensor::{Element, Tensor, TensorView, TensorViewMut};
pub use threads::{Executor, Threads};
