//! The parts of an equation that graph and kernel share: scalar functions, expressions, reads,
//! reducers and semirings.

mod expr;
mod func;
mod print;
mod reducer;

pub use expr::{Comparison, Expr, Read, Subscript};
pub use func::{Func, Signature};
pub use print::ExprPrinter;
pub use reducer::{Reducer, Semiring, absorbing_sum};
