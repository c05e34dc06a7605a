//! The command line: one file per command. Only here are files read and written and errors
//! rendered.
//!
//! Exit codes: 0 success, 1 a mistake in a program or its inputs, 2 a wrong command line, 3 a
//! result that differs from the expected one, 4 refused by a limit or not supported, 101 a bug in
//! tcc.

mod bench;
mod cache;
mod check;
mod compile;
mod completions;
mod explain;
mod files;
mod fmt;
mod input;
mod npy;
mod opt;
mod report;
mod run;
mod show;
mod target;
mod targets;
mod tune;

use clap::{Parser, Subcommand, ValueEnum};
use report::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A tensor compiler: tensor equations in, machine code out.
#[derive(Parser)]
#[command(name = "tcc", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How mistakes are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    diagnostics: Form,
}

/// How mistakes are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people: source lines with marks.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Compile(compile::Args),
    Check(check::Args),
    Fmt(fmt::Args),
    Opt(opt::Args),
    Explain(explain::Args),
    Bench(bench::Args),
    Tune(tune::Args),
    Cache(cache::Args),
    Targets(targets::Args),
    Completions(completions::Args),
}

/// Runs the command of this process.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { report::USAGE } else { 0 };
            return match e.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(report::USER),
            };
        }
    };
    std::panic::set_hook(Box::new(report::panicked));
    let form = cli.diagnostics;
    match catch_unwind(AssertUnwindSafe(|| dispatch(cli))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            failure.print(form);
            ExitCode::from(failure.exit())
        }
        Err(_) => ExitCode::from(report::INTERNAL),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let form = cli.diagnostics;
    match cli.command {
        Command::Run(a) => run::run(&a, form),
        Command::Compile(a) => compile::run(&a, form),
        Command::Check(a) => check::run(&a, form),
        Command::Fmt(a) => fmt::run(&a),
        Command::Opt(a) => opt::run(&a, form),
        Command::Explain(a) => explain::run(&a, form),
        Command::Bench(a) => bench::run(&a, form),
        Command::Tune(a) => tune::run(&a, form),
        Command::Cache(a) => cache::run(&a),
        Command::Targets(a) => targets::run(&a),
        Command::Completions(a) => completions::run(&a),
    }
}
