//! `tcc bench`.

use super::input::InputArgs;
use super::report::Failure;
use super::run::{compile, named};
use super::target::TargetArg;
use super::tune::TuningArgs;
use super::{Form, files, npy};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tcc::{
    Bound, CallOptions, Compiler, Executable, Executor, KernelTime, Tensor, TensorRole, TensorSpec,
    TensorView, TensorViewMut, Threads,
};

/// Measures a function: compile time, time of a call.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A `.tir` file; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    inputs: InputArgs,
    /// The function; without it the last one of the text.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Threads that a call may use; without a number one for each core.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// How long to measure; at least one call is made.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    seconds: f64,
    /// Prints the samples as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the results as `.npy` files into this folder.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArg,
    #[command(flatten)]
    tuning: TuningArgs,
}

/// A sample averages as many calls as take this long.
const SAMPLE: Duration = Duration::from_micros(200);
/// How often the text is compiled for the warm compile time.
const WARM: usize = 5;

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err(Failure::usage("this is a debug build, its times mean nothing")
            .help("build with `cargo build --release`"));
    }
    let text = files::read_text(&a.file)?;
    let compiler = named(a.tuning.apply(a.target.compiler()?)?, a.function.as_deref(), &a.file);
    let started = Instant::now();
    let executable = compile(&compiler, &text, form)?;
    let cold = started.elapsed().as_secs_f64();
    let mut warm = Vec::new();
    for _ in 0..WARM {
        let started = Instant::now();
        let again = compiler.compile(&text)?;
        warm.push(started.elapsed().as_secs_f64());
        drop(again);
    }
    let tensors = a.inputs.gather(executable.inputs(), executable.sizes(), &[])?;
    let sizes = a.inputs.sizes();
    let options = CallOptions { sizes: &sizes, threads: a.threads, ..CallOptions::default() };
    let mut call = Call::new(&executable, &tensors, options)?;
    let times = call.measure(a.seconds)?;
    let saved = save(a, &call.names, &call.results)?;
    let threads = a.threads.map_or_else(|| Threads::global().threads(), NonZeroUsize::get);
    let sizes = all_sizes(&executable, &tensors, &sizes);
    let predicted = predict(&compiler, &executable, &sizes, threads)?;
    let median_of_warm = median(&mut warm);
    let line = if a.json {
        json!({
            "compile_s": cold,
            "compile_warm_s": median_of_warm,
            "bind_s": call.bind,
            "times_s": times,
            "threads": threads,
            "predicted_s": predicted.iter().map(|k| k.nanoseconds).sum::<f64>() / 1e9,
            "kernels": predicted.iter().map(kernel).collect::<Vec<_>>(),
            "outputs": saved,
        })
        .to_string()
    } else {
        let total = predicted.iter().map(|k| k.nanoseconds).sum::<f64>() / 1e3;
        let work = Work::of(&executable, &sizes);
        let rest = summary((cold, median_of_warm, call.bind), &times, work);
        format!("{rest}\npredicted {total:.3} us")
    };
    files::print(format!("{line}\n").as_bytes())
}

/// A call of a bound function with its memory.
struct Call<'a> {
    bound: Bound<'a, 'a>,
    /// Seconds that binding the params took.
    bind: f64,
    inputs: Vec<TensorView<'a>>,
    options: CallOptions<'a>,
    names: Vec<String>,
    results: Vec<Tensor>,
}

impl<'a> Call<'a> {
    /// Binds the params and runs once, which gives the results' shapes.
    fn new(
        executable: &'a Executable,
        tensors: &'a [Tensor],
        options: CallOptions<'a>,
    ) -> Result<Call<'a>, Failure> {
        let specs = executable.inputs();
        let given = || specs.iter().zip(tensors);
        let is_param = |s: &TensorSpec| s.role == TensorRole::Param;
        let params = given().filter(|(s, _)| is_param(s));
        let params: Vec<(&str, TensorView<'_>)> =
            params.map(|(s, t)| (s.name.as_str(), t.view())).collect();
        let started = Instant::now();
        let bound = executable.bind_with(&params, &options)?;
        let bind = started.elapsed().as_secs_f64();
        let all: Vec<(&TensorSpec, TensorView<'_>)> =
            given().filter(|(s, _)| !is_param(s)).map(|(s, t)| (s, t.view())).collect();
        let inputs: Vec<TensorView<'_>> = all.iter().map(|(_, v)| v.clone()).collect();
        let results = bound.run(&inputs, &options).map_err(tcc::Error::from)?;
        let inouts = || specs.iter().filter(|s| s.role == TensorRole::Inout);
        let names = executable.outputs().iter().chain(inouts()).map(|s| s.name.clone()).collect();
        let read = all.into_iter().filter(|(s, _)| s.role != TensorRole::Inout);
        let inputs = read.map(|(_, v)| v).collect();
        Ok(Call { bound, bind, inputs, options, names, results })
    }

    /// Seconds per call, one number for each sample.
    fn measure(&mut self, seconds: f64) -> Result<Vec<f64>, Failure> {
        let mut out: Vec<TensorViewMut<'_>> =
            self.results.iter_mut().map(Tensor::view_mut).collect();
        let mut once = || {
            let done = self.bound.run_into(&self.inputs, &mut out, &self.options);
            done.map_err(tcc::Error::from)
        };
        let first = Instant::now();
        once()?;
        let per_call = first.elapsed().max(Duration::from_nanos(1));
        let calls = (SAMPLE.as_nanos() / per_call.as_nanos()).clamp(1, 100_000) as u32;
        let mut times = Vec::new();
        let started = Instant::now();
        loop {
            let sample = Instant::now();
            for _ in 0..calls {
                once()?;
            }
            times.push(sample.elapsed().as_secs_f64() / f64::from(calls));
            if started.elapsed().as_secs_f64() >= seconds {
                return Ok(times);
            }
        }
    }
}

fn save(
    a: &Args,
    names: &[String],
    results: &[Tensor],
) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let mut saved = serde_json::Map::new();
    if let Some(folder) = &a.save {
        std::fs::create_dir_all(folder).map_err(|e| Failure::file(folder, "create", &e))?;
        for (name, t) in names.iter().zip(results) {
            let file = format!("{name}.out.npy");
            files::write(&folder.join(&file), &npy::encode(t)?)?;
            saved.insert(name.clone(), file.into());
        }
    }
    Ok(saved)
}

/// Flops and bytes of a call.
#[derive(Clone, Copy)]
struct Work {
    flops: f64,
    bytes: f64,
}

impl Work {
    fn of(executable: &Executable, sizes: &[(&str, i64)]) -> Option<Work> {
        let cost = executable.cost(sizes).ok()?;
        Some(Work { flops: cost.flops(), bytes: cost.bytes() })
    }
}

/// The sizes of a call: those that were named, and those that the inputs show.
fn all_sizes<'a>(
    executable: &'a Executable,
    tensors: &[Tensor],
    named: &[(&'a str, i64)],
) -> Vec<(&'a str, i64)> {
    let mut sizes: Vec<(&str, i64)> = named.to_vec();
    for (spec, t) in executable.inputs().iter().zip(tensors) {
        for (text, extent) in spec.shape_text.iter().zip(t.shape()) {
            if executable.sizes().contains(text) && !sizes.iter().any(|(n, _)| n == text) {
                sizes.push((text, *extent as i64));
            }
        }
    }
    sizes
}

/// What is predicted of each kernel call; nothing where inputs do not show all sizes.
fn predict(
    compiler: &Compiler,
    executable: &Executable,
    sizes: &[(&str, i64)],
    threads: usize,
) -> Result<Vec<KernelTime>, Failure> {
    if executable.sizes().iter().any(|s| !sizes.iter().any(|(n, _)| n == s)) {
        return Ok(Vec::new());
    }
    let machine = compiler.measure_machine()?;
    Ok(executable.compilation().predict(sizes, &machine, threads)?)
}

fn kernel(t: &KernelTime) -> serde_json::Value {
    json!({
        "kernel": t.kernel,
        "predicted_s": t.nanoseconds / 1e9,
        "limited_by": t.limit.to_string(),
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn summary((cold, warm, bind): (f64, f64, f64), times: &[f64], work: Option<Work>) -> String {
    let middle = median(&mut times.to_vec());
    let spread = median(&mut times.iter().map(|t| (t - middle).abs()).collect::<Vec<_>>());
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let us = |seconds: f64| format!("{:.3} us", seconds * 1e6);
    let mut out = format!(
        "compile  {:.3} ms cold, {:.3} ms warm\nbind     {:.3} ms\ncall     {} median, {} MAD, {} min, {} samples",
        cold * 1e3,
        warm * 1e3,
        bind * 1e3,
        us(middle),
        us(spread),
        us(least),
        times.len()
    );
    if let Some(w) = work {
        let (gflops, gbytes) = (w.flops / middle / 1e9, w.bytes / middle / 1e9);
        out.push_str(&format!("\nrate     {gflops:.2} GFLOP/s, {gbytes:.2} GB/s"));
    }
    out
}
