//! What the suites share.

pub mod golden;
pub mod programs;
pub mod run_cases;
