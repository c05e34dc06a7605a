//! What the suites share.

pub mod golden;
pub mod programs;
