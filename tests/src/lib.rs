//! What the suites share.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

pub mod conformance;
pub mod differential;
pub mod directives;
pub mod expansion_source;
pub mod filetest;
pub mod generate;
pub mod golden;
pub mod mutate;
pub mod programs;
pub mod random;
pub mod random_text;
pub mod run_cases;
pub mod scalar_tables;
pub mod survive;
