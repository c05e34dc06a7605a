//! The command `tcc` from outside: exit codes, messages, files.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod cache;
mod checks;
mod forms;
mod inputs;
mod results;
mod sandbox;
mod streams;
mod tuning;
