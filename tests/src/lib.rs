//! What the suites share.

pub mod golden;
pub mod programs;
pub mod scalar_tables;
pub mod run_cases;
