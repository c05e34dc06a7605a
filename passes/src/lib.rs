//! From IR to IR: graph passes, contraction order, lowering to loop nests.
//!
//! Passes do no I/O, keep no state between runs, read no environment and depend on no hash order.
//! What needs measuring or running code takes a closure.

#![forbid(unsafe_code)]

pub mod cost;
pub mod graph;
pub mod lower;
pub mod memory_plan;
pub mod parallelize;
pub mod param_steps;
pub mod pass;
pub mod pipeline;
pub mod plan;
pub mod schedule;
pub mod share_kernels;
pub mod tune;
