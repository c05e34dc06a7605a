//! Running programs the ways that suites compare.

use tcc::{CallOptions, Compilation, Compiler, Error, Executable};
use tcc_abi::{Estimate, EstimateTerm};
use tcc_ir::eval::{Expansions, Machine, Stop, Tensor, Tensors, bind_sizes, run_program};
use tcc_ir::graph::{Checked, Function, Module, Role};
use tcc_ir::program::KernelCall;
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

/// Has a function's program call one kernel of the module, with all inputs and results in order,
/// instead of the kernels that it was lowered to.
pub fn call_kernel(lowered: &mut Module, function: &str, kernel: &str) {
    let p = &mut lowered.programs[function];
    let (arguments, results) = (p.params.clone(), p.results.clone());
    p.calls = vec![KernelCall { kernel: kernel.to_owned(), arguments, results }];
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

/// Lowers a module with the default passes and runs one function's kernels, or the kernel `by`, by
/// the interpreter of the loop-nest level.
pub fn run_lowered(
    checked: &Checked<'_>,
    (f, by): Entry<'_>,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, Stop> {
    let mut lowered = lower_default(checked);
    by.into_iter().for_each(|kernel| call_kernel(&mut lowered, &f.name, kernel));
    run_kernels(&lowered, f, inputs, sizes)
}

/// The elements as (real, imaginary) pairs.
pub fn parts(t: &Tensor<f64>) -> Vec<(f64, f64)> {
    t.to_scalars(&Machine).iter().map(|s| s.to_parts()).collect()
}

/// A function, and the kernel of the text that does its work, if that is not the compiler's task.
pub type Entry<'a> = (&'a Function, Option<&'a str>);

/// Lowers one function of a checked module for this machine.
pub fn lower(checked: &Checked<'_>, (f, by): Entry<'_>) -> Result<Compilation, Error> {
    let compiler = Compiler::host().function(&f.name).verify_each(true);
    let lowered = compiler.lower_module(checked.module().clone(), Sources::default())?;
    Ok(match by {
        None => lowered,
        Some(kernel) => lowered.map_lowered(|m| call_kernel(m, &f.name, kernel)),
    })
}

/// Loads code that shares every nest out, however little work it is.
pub fn eager(compilation: &Compilation) -> Result<tcc_runtime::Executable, Error> {
    let mut image = compilation.image()?;
    for nest in image.steps.iter_mut().filter_map(|s| s.parallel.as_mut()) {
        nest.work = Estimate(vec![EstimateTerm { factor: 1e9, sizes: vec![] }]);
    }
    Ok(tcc_runtime::Executable::load(image)?)
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
    entry: Entry<'_>,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, String> {
    let executable = lower(checked, entry).and_then(Executable::from_compilation);
    let executable = executable.map_err(|e| e.to_string())?;
    run_compiled(&|views, options| executable.run_with(views, options), entry.0, inputs, sizes)
}

/// Runs a function from an image that went through bytes.
pub fn run_image(
    checked: &Checked<'_>,
    entry: Entry<'_>,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
) -> Result<Tensors<f64>, String> {
    let image = lower(checked, entry).and_then(|c| c.image()).map_err(|e| e.to_string())?;
    let image = tcc::Image::from_bytes(&image.to_bytes()).map_err(|e| e.to_string())?;
    let executable = tcc_runtime::Executable::load(image).map_err(|e| e.to_string())?;
    run_compiled(&|views, options| Ok(executable.run_with(views, options)?), entry.0, inputs, sizes)
}
