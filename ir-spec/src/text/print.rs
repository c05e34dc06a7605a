//! A module as text, every level.

use crate::graph::{Module, print_function};
use crate::kernel::print_kernel;
use crate::program::print_program;

/// The functions, kernels and programs of a module, in this order, a blank line between them.
pub fn print_module(module: &Module) -> String {
    let functions = module.functions.values().map(|f| print_function(f, module));
    let kernels = module.kernels.values().map(print_kernel);
    let programs = module.programs.values().map(print_program);
    functions.chain(kernels).chain(programs).collect::<Vec<_>>().join("\n")
}
