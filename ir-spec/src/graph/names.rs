//! Text names of symbols inside a function and inside an equation.

use super::{Equation, Function};
use crate::int::{Symbol, SymbolNames};
use std::fmt;

/// Names of a function's sizes; variables print as their ids.
#[derive(Clone, Copy)]
pub struct FunctionNames<'a>(pub &'a Function);

impl SymbolNames for FunctionNames<'_> {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Size(s) => match self.0.sizes.get(s) {
                Some(size) => f.write_str(&size.name),
                None => write!(f, "{s}"),
            },
            Symbol::Var(v) => write!(f, "{v}"),
        }
    }
}

/// Names of a function's sizes and of one equation's variables.
#[derive(Clone, Copy)]
pub struct EquationNames<'a>(pub &'a Function, pub &'a Equation);

impl SymbolNames for EquationNames<'_> {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Var(v) => match self.1.vars.get(v) {
                Some(index) => f.write_str(&index.name),
                None => write!(f, "{v}"),
            },
            Symbol::Size(_) => FunctionNames(self.0).write(symbol, f),
        }
    }
}
