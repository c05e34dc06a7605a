//! `tcc tune`, and the options about the tuning database of other commands.

use super::input::InputArgs;
use super::report::{self, Failure};
use super::run::named;
use super::target::TargetArg;
use super::{Form, files};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tcc::{
    CallOptions, Compiler, Tensor, TensorView, TuneOptions, TuneReport, TuningDatabase, TuningGain,
};

/// Looks for faster kernels on this machine; later compilations use what was found.
#[derive(clap::Args)]
#[command(after_help = "Ctrl-C ends the search; what was found by then is stored.\n\n\
    Environment:\n  \
    TCC_TUNING  the file of records, or `off`; without it the user's, for example\n              \
                ~/.local/share/tcc/tuning.log\n\n\
    Examples:\n  \
    tcc tune model.tir --random --set N=64 --budget 30s\n  \
    tcc explain model.tir --set N=64       says which kernels came from the records")]
pub(crate) struct Args {
    /// A `.tir` file; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    inputs: InputArgs,
    /// The function; without it the last one of the text.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// How long to search: a number with `ms`, `s`, `m` or `h`.
    #[arg(long, default_value = "30s", value_name = "TIME")]
    budget: String,
    /// Threads that a call may use; without a number one for each core.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// What the random choices of the search follow from.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    search_seed: u64,
    /// The file of records; without it that of TCC_TUNING, or the user's.
    #[arg(long, value_name = "FILE")]
    tuning: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArg,
}

/// Whether kernels are compiled as the tuning database says.
#[derive(clap::Args)]
pub(crate) struct TuningArgs {
    /// The file of records of `tcc tune`; without it that of TCC_TUNING, or the user's.
    #[arg(long, value_name = "FILE")]
    tuning: Option<PathBuf>,
    /// Compiles as if nothing had been tuned.
    #[arg(long, conflicts_with = "tuning")]
    no_tuning: bool,
}

impl TuningArgs {
    /// The compiler, with the records that were asked for.
    pub(crate) fn apply(&self, compiler: Compiler) -> Result<Compiler, Failure> {
        if self.no_tuning {
            return Ok(compiler);
        }
        let Some(path) = file(self.tuning.as_ref()) else { return Ok(compiler) };
        let database = read(path)?;
        Ok(if database.records().next().is_some() {
            compiler.tuning(Arc::new(database))
        } else {
            compiler
        })
    }
}

/// The file of an option or of the environment; nothing if it is off, or the user has no home.
fn file(path: Option<&PathBuf>) -> Option<PathBuf> {
    let set = std::env::var_os("TCC_TUNING").filter(|v| !v.is_empty());
    match (path, set) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(off)) if off == "off" => None,
        (None, Some(path)) => Some(path.into()),
        (None, None) => TuningDatabase::user_file(),
    }
}

fn read(path: PathBuf) -> Result<TuningDatabase, Failure> {
    TuningDatabase::read(&path)
        .map_err(|e| Failure::file(&path, "read the tuning database", &e))
        .map_err(|f| f.help("name another file with `--tuning`, or say `--no-tuning`"))
}

/// A time as `500ms`, `30s`, `2m` or `1h`.
fn budget(text: &str) -> Result<Duration, Failure> {
    let wrong = || {
        Failure::usage(format!("`--budget {text}`: expected a number with `ms`, `s`, `m` or `h`"))
            .help("write for example `--budget 30s`")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<f64>().map_err(|_| wrong())? * scale;
    Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero()).ok_or_else(wrong)
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    let budget = budget(&a.budget)?;
    let text = files::read_text(&a.file)?;
    let compiler = named(a.target.compiler()?, a.function.as_deref(), &a.file);
    let Some(path) = file(a.tuning.as_ref()) else {
        return Err(Failure::usage("TCC_TUNING is `off`: there is nowhere to store what is found")
            .help("name a file: `tcc tune --tuning FILE`"));
    };
    let mut database = read(path)?;
    let executable = compiler.compile(&text)?;
    report::print(executable.warnings(), executable.sources(), form);
    let tensors = a.inputs.gather(executable.inputs(), executable.sizes(), &[])?;
    let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
    let sizes = a.inputs.sizes();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A second one ends the process: what was found before is stored already.
    let interrupted = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(interrupted)
        .map_err(|e| Failure::usage(format!("Ctrl-C cannot be caught: {e}")))?;
    let report = compiler.tune(
        &text,
        &mut database,
        TuneOptions {
            inputs: &views,
            call: CallOptions { sizes: &sizes, threads: a.threads, ..CallOptions::default() },
            budget,
            seed: a.search_seed,
            stop: &stop,
            gained: &mut |gain| eprintln!("{}", progress(gain)),
        },
    )?;
    if let Some(reason) = &report.not_stored {
        return Err(Failure::file(database.path(), "write the tuning database", reason));
    }
    let ended = if stop.load(Ordering::Relaxed) { "interrupted, " } else { "" };
    files::print(format!("{ended}{}", summary(&report, &database)).as_bytes())
}

fn progress(gain: &TuningGain) -> String {
    let r = &gain.record;
    let (before, after) = (r.before_ns / 1e3, r.after_ns / 1e3);
    let (seconds, kernel) = (gain.after.as_secs_f64(), &r.kernel);
    format!("{seconds:7.2} s  {kernel}: {before:.2} us -> {after:.2} us  {}", r.choice())
}

fn summary(r: &TuneReport, database: &TuningDatabase) -> String {
    let (before, after) = (r.before_ns / 1e3, r.after_ns / 1e3);
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    let mut out = format!(
        "{} kernels, {} candidates, {} legal, {} measured\n\
         call       {before:.2} us -> {after:.2} us ({:.3} times as fast)\n\
         candidate  {:.1} us to replay a schedule, {:.1} us to lower with knobs, \
         {:.1} us to make code\n",
        r.kernels.len(),
        r.made,
        r.legal,
        r.measured,
        before / after,
        us(r.replay),
        us(r.lowering),
        us(r.compile),
    );
    let against = if r.interpreted { "the interpreter" } else { "the untuned program" };
    out.push_str(&format!("results were compared with those of {against}\n"));
    let mut refused: Vec<(&String, &usize)> = r.refused.iter().collect();
    refused.sort_by(|a, b| b.1.cmp(a.1));
    for (reason, count) in refused.iter().take(8) {
        out.push_str(&format!("{count:>6} refused: {reason}\n"));
    }
    let more: usize = refused.iter().skip(8).map(|(_, count)| **count).sum();
    if more > 0 {
        out.push_str(&format!("{more:>6} refused for other reasons\n"));
    }
    let place = database.path().display();
    out.push_str(&format!("{place}: {} records\n", database.records().count()));
    out
}
