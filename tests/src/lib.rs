//! What the suites share.

pub mod golden;
pub mod programs;
pub mod scalar_tables;
