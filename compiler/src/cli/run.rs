//! `tcc run`.

use super::cache::CacheArgs;
use super::input::{self, InputArgs};
use super::report::{self, Failure};
use super::target::TargetArg;
use super::tune::TuningArgs;
use super::{Form, files, npy, show};
use clap::ValueEnum;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tcc::{
    Budget, CallOptions, Compiler, Einsum, Executable, Image, Interpreter, Tensor, TensorRole,
    TensorSpec, TensorView,
};
use tcc_abi::Scalar;
use tcc_ir::diag::Code;

/// Runs a function of a `.tir` program, a compiled image, or an einsum equation.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tcc run 'ij,jk->ik' a.npy b.npy -o c.npy\n  \
    tcc run model.tir --inputs weights.npz --input X=@x.npy --output Y=@y.npy\n  \
    tcc run model.tir --random --set N=64 --expected Y=@reference.npy")]
pub(crate) struct Args {
    /// A `.tir` file, `-` for stdin, an image (`.tcx`), or an equation such as 'ij,jk->ik'.
    program: String,
    /// Inputs in order, as `.npy` files.
    files: Vec<PathBuf>,
    #[command(flatten)]
    inputs: InputArgs,
    /// The function to run; without it the last one of the text.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Writes a result: NAME=@FILE.npy.
    #[arg(long = "output", value_name = "NAME=@FILE")]
    outputs: Vec<String>,
    /// Writes the result to a `.npy` file, or all results to a `.npz` file.
    #[arg(short, value_name = "FILE")]
    o: Option<PathBuf>,
    /// Compares a result: NAME=@FILE.npy, NAME=@FILE.npz:ARRAY, or shape and values as for
    /// `--input`.
    #[arg(long, value_name = "NAME=VALUE")]
    expected: Vec<String>,
    /// Largest difference relative to the expected element.
    #[arg(long, default_value_t = 1e-5, value_name = "NUMBER")]
    rtol: f64,
    /// Largest difference beyond that.
    #[arg(long, default_value_t = 1e-8, value_name = "NUMBER")]
    atol: f64,
    /// What runs the program.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// Interprets the program; an integer that leaves its type is an error instead of wrapping.
    #[arg(long)]
    check_overflow: bool,
    /// Rules of an equation.
    #[arg(long, value_enum, default_value_t)]
    compat: Compat,
    /// The semiring of an equation: bool, maxplus, minplus, maxmul or log.
    #[arg(long, value_name = "NAME")]
    semiring: Option<String>,
    /// Refuses calls that need more memory for results and temporaries.
    #[arg(long, value_name = "MIB")]
    max_memory: Option<u64>,
    /// Stops calls that take longer.
    #[arg(long, value_name = "SECONDS")]
    max_time: Option<f64>,
    /// Threads that a call may use; without a number one for each core.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    target: TargetArg,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// What runs a program.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Machine code.
    #[default]
    Jit,
    /// The reference interpreter.
    Interp,
}

/// Rules of an equation.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Compat {
    /// Labels may repeat anywhere; equal labels have equal extents.
    #[default]
    None,
    /// Axes of extent 1 are broadcast; repeated or unknown labels of the result are errors.
    Numpy,
}

/// What was loaded.
pub(crate) enum Loaded {
    Compiled(Box<Executable>),
    Image(Box<tcc_runtime::Executable>),
    Interpreted(Box<Interpreter>),
}

impl Loaded {
    pub(crate) fn inputs(&self) -> &[TensorSpec] {
        match self {
            Loaded::Compiled(e) => e.inputs(),
            Loaded::Image(e) => e.inputs(),
            Loaded::Interpreted(e) => e.inputs(),
        }
    }

    pub(crate) fn outputs(&self) -> &[TensorSpec] {
        match self {
            Loaded::Compiled(e) => e.outputs(),
            Loaded::Image(e) => e.outputs(),
            Loaded::Interpreted(e) => e.outputs(),
        }
    }

    pub(crate) fn sizes(&self) -> Vec<String> {
        match self {
            Loaded::Compiled(e) => e.sizes().to_vec(),
            Loaded::Image(e) => e.sizes().to_vec(),
            Loaded::Interpreted(e) => e.sizes(),
        }
    }

    fn run(
        &self,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, Failure> {
        Ok(match self {
            Loaded::Compiled(e) => {
                let (params, rest) = parted(e.inputs(), inputs);
                e.bind_with(&params, options)?.run(&rest, options).map_err(tcc::Error::from)?
            }
            Loaded::Image(e) => {
                let (params, rest) = parted(e.inputs(), inputs);
                let bound = e.bind_with(&params, options).map_err(tcc::Error::from)?;
                bound.run(&rest, options).map_err(tcc::Error::from)?
            }
            Loaded::Interpreted(e) => e.run_with(inputs, options)?,
        })
    }
}

/// The `param` inputs by name, and the others.
fn parted<'s, 'v>(
    specs: &'s [TensorSpec],
    inputs: &[TensorView<'v>],
) -> (Vec<(&'s str, TensorView<'v>)>, Vec<TensorView<'v>>) {
    let (params, rest): (Vec<_>, Vec<_>) =
        specs.iter().zip(inputs).partition(|(s, _)| s.role == TensorRole::Param);
    let params = params.into_iter().map(|(s, v)| (s.name.as_str(), v.clone()));
    (params.collect(), rest.into_iter().map(|(_, v)| v.clone()).collect())
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    let equation = is_equation(&a.program).then_some(a.program.as_str());
    let (loaded, tensors) = match equation {
        Some(text) => equation_and_inputs(a, text)?,
        None => {
            let loaded = load(a, form)?;
            let tensors = a.inputs.gather(loaded.inputs(), &loaded.sizes(), &a.files)?;
            (loaded, tensors)
        }
    };
    let budget = Budget {
        time: a.max_time.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)),
        memory: a.max_memory.map(|mib| mib.saturating_mul(1 << 20)),
    };
    let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
    let sizes = if equation.is_some() { Vec::new() } else { a.inputs.sizes() };
    let results = loaded.run(&views, &CallOptions { sizes: &sizes, budget, threads: a.threads })?;
    let inouts = loaded.inputs().iter().filter(|s| s.role == TensorRole::Inout);
    let names = loaded.outputs().iter().chain(inouts).map(|s| s.name.clone());
    let results: Vec<(String, Tensor)> = names.zip(results).collect();
    write(a, &results)?;
    compare(a, &results)
}

/// The engine that was asked for; looking for overflow needs the interpreter.
fn engine(a: &Args) -> Engine {
    if a.check_overflow { Engine::Interp } else { a.engine }
}

/// True for an einsum equation: it has an arrow or a comma and is no file.
fn is_equation(text: &str) -> bool {
    text.contains("->") || (text.contains(',') && !Path::new(text).exists())
}

fn equation_and_inputs(a: &Args, text: &str) -> Result<(Loaded, Vec<Tensor>), Failure> {
    let mut equation = Einsum::parse(text)?;
    if let Some(name) = &a.semiring {
        equation = equation.semiring(name);
    }
    if a.compat == Compat::Numpy {
        equation = equation.compat_numpy();
    }
    for (label, extent) in a.inputs.sizes() {
        equation = equation.size(label, extent);
    }
    let tensors =
        a.files.iter().map(|path| npy::read(path)).collect::<Result<Vec<Tensor>, Failure>>()?;
    let shapes: Vec<_> = tensors.iter().map(|t| (t.dtype(), t.shape())).collect();
    let compiler = a.cache.apply(a.tuning.apply(a.target.compiler()?)?)?;
    let loaded = match engine(a) {
        Engine::Jit => Loaded::Compiled(Box::new(equation.compile(&compiler, &shapes)?)),
        Engine::Interp => Loaded::Interpreted(Box::new(
            compiler.interpreter(&equation.source(&shapes)?)?.check_overflow(a.check_overflow),
        )),
    };
    Ok((loaded, tensors))
}

fn load(a: &Args, form: Form) -> Result<Loaded, Failure> {
    let path = Path::new(&a.program);
    let bytes = files::read(path)?;
    if Image::is_image(&bytes) {
        if engine(a) == Engine::Interp {
            return Err(Failure::usage("an image has machine code only; `--engine jit` runs it"));
        }
        let image =
            Image::from_bytes(&bytes).map_err(|e| tcc::Error::from(tcc::LoadError::from(e)))?;
        let executable = tcc_runtime::Executable::load(image).map_err(tcc::Error::from)?;
        return Ok(Loaded::Image(Box::new(executable)));
    }
    let text = files::as_text(bytes, path)?;
    let compiler =
        named(a.cache.apply(a.tuning.apply(a.target.compiler()?)?)?, a.function.as_deref(), path);
    Ok(match engine(a) {
        Engine::Jit => Loaded::Compiled(Box::new(compile(&compiler, &text, form)?)),
        Engine::Interp => Loaded::Interpreted(Box::new(
            compiler.interpreter(&text)?.check_overflow(a.check_overflow),
        )),
    })
}

/// A compiler for a function of a file.
pub(crate) fn named(compiler: Compiler, function: Option<&str>, path: &Path) -> Compiler {
    let compiler = compiler.source_name(&files::source_name(path));
    match function {
        Some(name) => compiler.function(name),
        None => compiler,
    }
}

/// Compiles, and prints the warnings.
pub(crate) fn compile(compiler: &Compiler, text: &str, form: Form) -> Result<Executable, Failure> {
    let executable = compiler.compile(text)?;
    report::print(executable.warnings(), executable.sources(), form);
    Ok(executable)
}

fn write(a: &Args, results: &[(String, Tensor)]) -> Result<(), Failure> {
    let mut silent = !a.expected.is_empty();
    for text in &a.outputs {
        let (name, path) = text
            .split_once("=@")
            .ok_or_else(|| Failure::usage(format!("`--output {text}`: expected NAME=@FILE.npy")))?;
        files::write(Path::new(path), &npy::encode(find(results, name)?)?)?;
        silent = true;
    }
    if let Some(path) = &a.o {
        silent = true;
        let archive = path.extension().is_some_and(|e| e == "npz");
        let bytes = match results {
            _ if archive => npy::encode_archive(results)?,
            [(_, t)] => npy::encode(t)?,
            _ => {
                let message = format!(
                    "`{}` holds one result, the program has {}",
                    path.display(),
                    results.len()
                );
                return Err(Failure::usage(message)
                    .help("name a `.npz` file, or each result: `--output NAME=@FILE.npy`"));
            }
        };
        files::write(path, &bytes)?;
    }
    if !silent {
        for (name, t) in results {
            files::print(show::tensor(name, t).as_bytes())?;
        }
    }
    Ok(())
}

fn find<'r>(results: &'r [(String, Tensor)], name: &str) -> Result<&'r Tensor, Failure> {
    let found = results.iter().find(|(n, _)| n == name).map(|(_, t)| t);
    found.ok_or_else(|| {
        let names: Vec<String> = results.iter().map(|(n, _)| format!("`{n}`")).collect();
        Failure::usage(format!("there is no result `{name}`"))
            .help(format!("the results are {}", names.join(", ")))
    })
}

fn compare(a: &Args, results: &[(String, Tensor)]) -> Result<(), Failure> {
    for text in &a.expected {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`--expected {text}`: expected NAME=@FILE.npy"))
        })?;
        let got = find(results, name)?;
        let want = input::parse(value)?;
        if want.shape() != got.shape() {
            let message = format!(
                "`{name}` has shape {:?}, the expected one {:?}",
                got.shape(),
                want.shape()
            );
            return Err(Failure::new(Code::Mismatch, message));
        }
        if let Some(message) = difference(name, got, &want, a.rtol, a.atol) {
            return Err(Failure::new(Code::Mismatch, message));
        }
        files::print(format!("{name}: as expected\n").as_bytes())?;
    }
    Ok(())
}

/// How a result differs; nothing if every element is within `atol + rtol * |expected|`.
fn difference(name: &str, got: &Tensor, want: &Tensor, rtol: f64, atol: f64) -> Option<String> {
    let parts = |t: &Tensor| -> Vec<(f64, f64)> {
        let width = t.dtype().size();
        t.as_bytes().chunks(width).map(|b| Scalar::read(t.dtype(), b).to_parts()).collect()
    };
    let close = |g: f64, w: f64| {
        g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= atol + rtol * w.abs()
    };
    let (g, w) = (parts(got), parts(want));
    let wrong: Vec<usize> =
        (0..g.len()).filter(|k| !(close(g[*k].0, w[*k].0) && close(g[*k].1, w[*k].1))).collect();
    let first = *wrong.first()?;
    let worst = wrong.iter().map(|k| (g[*k].0 - w[*k].0).hypot(g[*k].1 - w[*k].1));
    let worst = worst.fold(0.0, f64::max);
    let mut rest = first;
    let mut position: Vec<usize> = got
        .shape()
        .iter()
        .rev()
        .map(|n| {
            let i = rest % n;
            rest /= n;
            i
        })
        .collect();
    position.reverse();
    let at = |t: &Tensor| {
        let width = t.dtype().size();
        show::element(t.dtype(), &t.as_bytes()[first * width..(first + 1) * width])
    };
    Some(format!(
        "`{name}` differs in {} of {} elements, first at {position:?}: {} instead of {}; \
         largest difference {worst:e}",
        wrong.len(),
        g.len(),
        at(got),
        at(want)
    ))
}
