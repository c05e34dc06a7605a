//! A module as text, every level.

use crate::SizeId;
use crate::graph::{Module, Size, print_function};
use crate::intrinsic::print_intrinsic;
use crate::kernel::print_kernel;
use crate::program::print_program;
use crate::schedule::print_schedule;
use cranelift_entity::PrimaryMap;

/// The functions, intrinsics, kernels, schedules and programs of a module, in this order, a blank
/// line between them.
pub fn print_module(module: &Module) -> String {
    let functions = module.functions.values().map(|f| print_function(f, module));
    let intrinsics = module.intrinsics.values().map(|i| print_intrinsic(i));
    let kernels = module.kernels.values().map(print_kernel);
    let programs = module.programs.values().map(print_program);
    let schedules = module.schedules.values().map(print_schedule);
    let level = intrinsics.chain(kernels).chain(schedules).chain(programs);
    functions.chain(level).collect::<Vec<_>>().join("\n")
}

/// The sizes of a kernel or program as `<M, N>`, or nothing if its signature shows them in order.
pub(crate) fn size_list(sizes: &PrimaryMap<SizeId, Size>, signature: &str) -> String {
    let words = signature.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut shown: Vec<&str> = Vec::new();
    for word in words {
        if sizes.values().any(|s| s.name == word) && !shown.contains(&word) {
            shown.push(word);
        }
    }
    let names: Vec<&str> = sizes.values().map(|s| s.name.as_str()).collect();
    if names == shown { String::new() } else { format!("<{}>", names.join(", ")) }
}
