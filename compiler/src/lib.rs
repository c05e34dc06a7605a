//! tcc.

pub mod backend;
