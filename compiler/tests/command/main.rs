//! The command `tcc` from outside: exit codes, messages, files.

mod checks;
mod forms;
mod inputs;
mod results;
mod sandbox;
mod streams;
