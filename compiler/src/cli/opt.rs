//! `tcc opt`.

use super::report::{self, Failure};
use super::target::TargetArg;
use super::{Form, files};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tcc::SourceError;
use tcc_ir::graph::check;
use tcc_ir::span::Sources;
use tcc_ir::text::{print_module, read_module};
use tcc_passes::pass::PASSES;
use tcc_passes::pipeline::{self, Moment, Pipeline};

/// Runs passes on a program and prints the result.
#[derive(clap::Args)]
#[command(after_help = passes())]
pub(crate) struct Args {
    /// A `.tir` file; `-` is stdin. A reproducer names its passes itself.
    file: PathBuf,
    /// Passes in order, for example 'inline_calls,order_contractions{strategy=greedy},lower'.
    #[arg(long, value_name = "PASSES")]
    passes: Option<String>,
    /// Prints the program after each pass.
    #[arg(long)]
    print_after_all: bool,
    /// Prints the program after each pass that changed it.
    #[arg(long)]
    print_after_change: bool,
    /// Verifies the program after each pass.
    #[arg(long)]
    verify_each: bool,
    /// Prints the time that each pass took.
    #[arg(long)]
    time_passes: bool,
    #[command(flatten)]
    target: TargetArg,
}

fn passes() -> String {
    let mut out = "Passes:\n".to_owned();
    for p in PASSES {
        let _ = writeln!(out, "  {:<20} {}", p.name, p.about);
        for (name, values) in p.options {
            let _ = writeln!(out, "  {:<20}   {name} = {}", "", values.join(" | "));
        }
    }
    out
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    let text = files::read_text(&a.file)?;
    let replay = pipeline::replay(&text);
    let passes = a.passes.as_deref().or(replay).unwrap_or("");
    let pipeline: Pipeline = passes.parse().map_err(|e| Failure::usage(format!("{e}")))?;
    let mut sources = Sources::default();
    let name = files::source_name(&a.file);
    let (module, warnings) = match read_module(&mut sources, &name, &text) {
        Ok(read) => read,
        Err(diagnostics) => return Err(SourceError { diagnostics, sources }.into()),
    };
    report::print(&warnings, &sources, form);
    let checked = match check(&module) {
        Ok(checked) => checked,
        Err(diagnostics) => return Err(SourceError { diagnostics, sources }.into()),
    };
    let compiler = a.target.compiler()?;
    let mut watch = Watch { started: Instant::now(), times: Vec::new(), printed: String::new() };
    let each = a.verify_each || replay.is_some();
    // A panic inside of a pass is caught and told below, with the reproducer.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result =
        pipeline::run(&checked, &pipeline, compiler.target(), each, &mut |m| watch.note(a, m));
    std::panic::set_hook(hook);
    files::print(watch.printed.as_bytes())?;
    let module = match result {
        Ok(module) => module,
        Err(failure) => return Err(report::reproducer(&failure)),
    };
    if !a.print_after_all && !a.print_after_change {
        files::print(print_module(&module).as_bytes())?;
    }
    if a.time_passes {
        let mut table = String::new();
        for (name, time) in &watch.times {
            let _ = writeln!(table, "{:>10.3} ms  {name}", time.as_secs_f64() * 1e3);
        }
        let total: Duration = watch.times.iter().map(|(_, t)| *t).sum();
        let _ = writeln!(table, "{:>10.3} ms  total", total.as_secs_f64() * 1e3);
        eprint!("{table}");
    }
    Ok(())
}

struct Watch {
    started: Instant,
    times: Vec<(String, Duration)>,
    printed: String,
}

impl Watch {
    fn note(&mut self, a: &Args, moment: Moment<'_>) {
        match moment {
            Moment::Before(_) => self.started = Instant::now(),
            Moment::After(step, changed, module) => {
                self.times.push((step.to_string(), self.started.elapsed()));
                if a.print_after_all || (a.print_after_change && changed.0) {
                    let text = print_module(module);
                    let _ = writeln!(self.printed, "// after {step}\n{text}");
                }
            }
        }
    }
}
