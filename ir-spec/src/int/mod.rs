//! Integer expressions over sizes and iteration variables.
//!
//! Shapes, subscripts and loop bounds are all [`IntExpr`]: polynomials with 64-bit coefficients
//! over symbols and over the non-polynomial atoms `a/b` (floor), `a % b`, `min` and `max`. They are
//! kept in a canonical form, so structural equality proves equality (not the converse). [`Facts`]
//! proves inequalities; [`bounds`] eliminates iteration variables.

pub mod bounds;
mod expr;
mod facts;
mod print;
mod refute;
mod simplex;
#[cfg(test)]
mod testing;

pub use expr::{Atom, IntExpr, Monomial, Symbol};
pub use facts::Facts;
pub use print::{SymbolNames, display, display_value};
