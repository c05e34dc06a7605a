//! Running programs the ways that suites compare.

use tcc::{CallOptions, Compiler, Error, Executable};
use tcc_ir::eval::{Expansions, Machine, Stop, Tensor, Tensors, bind_sizes, run_program};
use tcc_ir::graph::{Checked, Function, Module, Role};
use tcc_ir::span::Sources;
use tcc_ir::target::Target;
pub use tcc_passes::pipeline::DEFAULT;
use tcc_passes::pipeline::{self, Pipeline};
use tcc_runtime::Tensor as Memory;

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

/// Lowers a module with the default passes and runs one function's kernels by the interpreter of
/// the loop-nest level.
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

/// Compiles one function of a checked module for this machine.
pub fn compile(checked: &Checked<'_>, f: &Function) -> Result<Executable, Error> {
    let compiler = Compiler::host().function(&f.name).verify_each(true);
    let compilation = compiler.lower_module(checked.module().clone(), Sources::default())?;
    Executable::from_compilation(compilation)
}

/// The parameters of a function among `inputs`, in order, as memory.
pub fn memory_of(f: &Function, inputs: &Tensors<f64>) -> Vec<Memory> {
    f.params.iter().map(|p| to_memory(&inputs[&f.tensors[*p].name])).collect()
}

/// A tensor of the interpreter as memory.
pub fn to_memory(t: &Tensor<f64>) -> Memory {
    let bytes: Vec<u8> = t.to_scalars(&Machine).iter().flat_map(bytes_of).collect();
    Memory::from_bytes(t.dtype, &t.shape, &bytes).unwrap()
}

/// Memory as a tensor of the interpreter.
pub fn from_memory(t: &Memory) -> Tensor<f64> {
    let width = t.dtype().size();
    let scalars: Vec<_> =
        t.as_bytes().chunks(width).map(|b| tcc_abi::Scalar::read(t.dtype(), b)).collect();
    Tensor::from_scalars(&Machine, t.dtype(), t.shape(), &scalars)
}

/// A way to call compiled code.
pub type Run<'r> =
    dyn Fn(&[tcc::TensorView<'_>], &CallOptions<'_>) -> Result<Vec<Memory>, Error> + 'r;

/// Runs compiled code on interpreter tensors; the answer names every result, and every `inout`
/// parameter with its new value.
pub fn run_compiled(
    run: &Run<'_>,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, String> {
    let memory = memory_of(f, inputs);
    let views: Vec<_> = memory.iter().map(Memory::view).collect();
    let results = run(&views, &CallOptions { sizes, ..CallOptions::default() })
        .map_err(|e| format!("{}: {e}", e.code()))?;
    Ok(result_names(f).into_iter().zip(results.iter().map(from_memory)).collect())
}

fn bytes_of(s: &tcc_abi::Scalar) -> Vec<u8> {
    let mut bytes = vec![0; s.dtype().size()];
    s.write(&mut bytes);
    bytes
}

/// Names of what a call gives: results, then `inout` parameters.
fn result_names(f: &Function) -> Vec<String> {
    let name = |t: &tcc_ir::TensorId| f.tensors[*t].name.clone();
    let is_new = |t: &&tcc_ir::TensorId| f.tensors[**t].role == Role::Result(None);
    let is_inout = |t: &&tcc_ir::TensorId| f.tensors[**t].role == Role::Inout;
    f.results.iter().filter(is_new).chain(f.params.iter().filter(is_inout)).map(name).collect()
}

/// Runs a function by the JIT.
pub fn run_jit(
    checked: &Checked<'_>,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, String> {
    let executable = compile(checked, f).map_err(|e| e.to_string())?;
    run_compiled(&|views, options| executable.run_with(views, options), f, inputs, sizes)
}

/// Runs a function from an image that went through bytes.
pub fn run_image(
    checked: &Checked<'_>,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, String> {
    let compiler = Compiler::host().function(&f.name);
    let compilation = compiler.lower_module(checked.module().clone(), Sources::default());
    let image = compilation.and_then(|c| c.image()).map_err(|e| e.to_string())?;
    let image = tcc::Image::from_bytes(&image.to_bytes()).map_err(|e| e.to_string())?;
    let executable = tcc_runtime::Executable::load(image).map_err(|e| e.to_string())?;
    run_compiled(&|views, options| Ok(executable.run_with(views, options)?), f, inputs, sizes)
}
