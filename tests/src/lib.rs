//! What the suites share.

pub mod filetest;
pub mod golden;
pub mod programs;
pub mod random;
pub mod random_text;
