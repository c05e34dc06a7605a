//! Running programs the ways that suites compare.

use tcc_ir::eval::{Expansions, Machine, Stop, Tensor, Tensors, bind_sizes, run_program};
use tcc_ir::graph::{Checked, Function, Module};
use tcc_ir::target::Target;
use tcc_passes::pipeline::{self, Pipeline};

/// The passes that the compiler runs by default.
pub const DEFAULT: &[&str] = &[
    "inline_calls",
    "expand_lse",
    "widen_accumulators",
    "order_contractions",
    "pad_defaults",
    "cse",
    "dce",
    "lower",
];

/// Lowers a module with the default passes.
pub fn lower_default(checked: &Checked<'_>) -> Module {
    let pipeline = Pipeline::of(DEFAULT).unwrap();
    let target: Target = "x86_64-v3".parse().unwrap();
    pipeline::run(checked, &pipeline, &target, true, &mut |_| {})
        .unwrap_or_else(|e| panic!("{}", e.reproducer()))
}

/// Runs one function's kernels by the interpreter of the loop-nest level.
pub fn run_kernels(
    lowered: &Module,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, Stop> {
    let shapes: Vec<Vec<usize>> =
        f.params.iter().map(|p| inputs[&f.tensors[*p].name].shape.clone()).collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let sizes = bind_sizes(f, &shapes, sizes)?;
    let program = &lowered.programs[&f.name];
    run_program(program, &lowered.kernels, inputs, &sizes, &mut Expansions::default())
}

/// Lowers a module with the default passes and runs one function's kernels by the interpreter of the
/// loop-nest level.
pub fn run_lowered(
    checked: &Checked<'_>,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, Stop> {
    run_kernels(&lower_default(checked), f, inputs, sizes)
}

/// The elements as (real, imaginary) pairs.
pub fn parts(t: &Tensor<f64>) -> Vec<(f64, f64)> {
    t.to_scalars(&Machine).iter().map(|s| s.to_parts()).collect()
}
