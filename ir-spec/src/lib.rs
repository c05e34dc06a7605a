//! What tcc programs are and mean.

#![forbid(unsafe_code)]

pub mod diag;
pub mod eval;
pub mod graph;
mod ids;
pub mod int;
pub mod intrinsic;
pub mod kernel;
pub mod library;
pub mod program;
pub mod scalar;
pub mod schedule;
pub mod span;
pub mod target;
pub mod text;

pub use ids::{NodeId, SizeId, TensorId, VarId};
