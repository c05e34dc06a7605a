//! What tcc programs are and mean.

#![forbid(unsafe_code)]

pub mod diag;
pub mod eval;
pub mod graph;
mod ids;
pub mod int;
pub mod library;
pub mod scalar;
pub mod span;
pub mod text;

pub use ids::{NodeId, SizeId, TensorId, VarId};
