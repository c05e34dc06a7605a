//! Text names of a kernel's symbols.

use super::Kernel;
use crate::int::{Symbol, SymbolNames};
use std::fmt;

/// Names of a kernel's sizes and variables.
#[derive(Clone, Copy)]
pub struct KernelNames<'a>(pub &'a Kernel);

impl SymbolNames for KernelNames<'_> {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Size(s) => match self.0.sizes.get(s) {
                Some(size) => f.write_str(&size.name),
                None => write!(f, "{s}"),
            },
            Symbol::Var(v) => match self.0.vars.get(v) {
                Some(name) => f.write_str(name),
                None => write!(f, "{v}"),
            },
        }
    }
}
