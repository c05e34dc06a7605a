//! What the suites share.

pub mod differential;
pub mod generate;
pub mod golden;
pub mod programs;
pub mod scalar_tables;
pub mod run_cases;
