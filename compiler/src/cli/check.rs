//! `tcc check`.

use super::report::{self, Failure};
use super::{Form, files};
use std::path::PathBuf;
use tcc::{Diagnosis, SourceError, diagnose};
use tcc_ir::diag::Code;

/// Reads programs, lists all mistakes and the facts that follow from subscripts.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files to check; `-` is stdin.
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Describes an error or warning code, for example E-SIZE; `all` lists the codes.
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    if let Some(word) = &a.explain {
        return explain(word);
    }
    let mut failure = None;
    for path in &a.files {
        let text = files::read_text(path)?;
        let name = files::source_name(path);
        let Diagnosis { diagnostics, sources, facts } = diagnose(&name, &text);
        if diagnostics.has_errors() {
            let failed = Failure::from(SourceError { diagnostics, sources });
            if let Some(earlier) = failure.replace(failed) {
                Failure::print(&earlier, form);
            }
            continue;
        }
        report::print(&diagnostics, &sources, form);
        let lines: String = facts.iter().map(|fact| format!("{name}: {fact}\n")).collect();
        files::print(lines.as_bytes())?;
    }
    failure.map_or(Ok(()), Err)
}

fn explain(word: &str) -> Result<(), Failure> {
    if word == "all" {
        let line = |c: Code| {
            let first = c.explanation().lines().next().unwrap_or("").to_owned();
            format!("{:<16} {first}\n", c.word())
        };
        return files::print(Code::all().map(line).collect::<String>().as_bytes());
    }
    match Code::parse(word) {
        Some(code) => files::print(format!("{code}\n\n{}", code.explanation()).as_bytes()),
        None => Err(Failure::usage(format!("there is no code `{word}`"))
            .help("`tcc check --explain all` lists the codes")),
    }
}
