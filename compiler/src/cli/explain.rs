//! `tcc explain`.

use super::input::InputArgs;
use super::report::{self, Failure};
use super::run::named;
use super::target::TargetArg;
use super::tune::TuningArgs;
use super::{Form, files};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use tcc::{Compilation, KernelTime, Stage};

/// Shows what a compiled function does: kernels, memory, and at given sizes its cost, with the time
/// that is predicted of each kernel on this machine, which is measured for that.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A `.tir` file; `-` is stdin.
    file: PathBuf,
    /// The function; without it the last one of the text.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    /// Threads that the predicted call uses; without a number one for each core.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    target: TargetArg,
    #[command(flatten)]
    tuning: TuningArgs,
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    let text = files::read_text(&a.file)?;
    let compiler = named(a.tuning.apply(a.target.compiler()?)?, a.function.as_deref(), &a.file);
    let lowered = compiler.lower(&text)?;
    report::print(lowered.warnings(), lowered.sources(), form);
    let mut out = format!("target {}\n\n{}\n", compiler.target(), lowered.text(Stage::Program)?);
    let sizes = a.inputs.sizes();
    if sizes.is_empty() && !lowered.sizes().is_empty() {
        let names: Vec<String> = lowered.sizes().iter().map(|s| format!("--set {s}=...")).collect();
        let _ = writeln!(out, "cost: name the sizes ({})", names.join(" "));
    } else {
        let machine = compiler.measure_machine()?;
        let threads = a.threads.map_or(machine.cores, NonZeroUsize::get);
        out.push_str(&costs(&lowered, &sizes, &lowered.predict(&sizes, &machine, threads)?)?);
    }
    for t in lowered.tuned() {
        let (before, after) = (t.record.before_ns / 1e3, t.record.after_ns / 1e3);
        let _ = match &t.refused {
            None => writeln!(
                out,
                "`{}` is tuned, which took a program from {before:.2} us to {after:.2} us: {}",
                t.kernel,
                t.record.choice()
            ),
            Some(reason) => {
                writeln!(out, "`{}` is tuned, but not as it was recorded: {reason}", t.kernel)
            }
        };
    }
    for (kernel, reason) in lowered.refusals()? {
        let _ = writeln!(out, "`{kernel}` is compiled by Cranelift: {reason}");
    }
    files::print(out.as_bytes())
}

/// A table of the kernel calls.
fn costs(
    lowered: &Compilation,
    sizes: &[(&str, i64)],
    times: &[KernelTime],
) -> Result<String, Failure> {
    let cost = lowered.cost(sizes)?;
    let mut out = format!(
        "{:>14} {:>14} {:>10} {:>14} {:<11}  kernel\n",
        "flops", "bytes", "flops/byte", "predicted us", "limited by"
    );
    let mut row = |flops: f64, bytes: f64, time: (f64, String), name: &str| {
        let ratio = if bytes > 0.0 { flops / bytes } else { 0.0 };
        let (us, limit) = (time.0 / 1e3, time.1);
        let _ =
            writeln!(out, "{flops:>14} {bytes:>14} {ratio:>10.2} {us:>14.2} {limit:<11}  {name}");
    };
    for (k, t) in cost.kernels.iter().zip(times) {
        row(k.flops, k.bytes, (t.nanoseconds, t.limit.to_string()), &k.kernel);
    }
    let all = times.iter().map(|t| t.nanoseconds).sum();
    row(cost.flops(), cost.bytes(), (all, String::new()), "total");
    let _ = writeln!(out, "temporaries: {} bytes", cost.arena);
    if cost.scratch > 0 {
        let _ = writeln!(out, "local buffers: {} bytes for each thread", cost.scratch);
    }
    Ok(out)
}
