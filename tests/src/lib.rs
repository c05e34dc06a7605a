//! What the suites share.

pub mod filetest;
pub mod golden;
pub mod programs;
