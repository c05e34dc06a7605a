//! What the suites share.

pub mod golden;
