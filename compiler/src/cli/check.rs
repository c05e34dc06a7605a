//! `tcc check`.

use super::report::{self, Failure};
use super::{Form, files};
use std::fmt::Write;
use std::path::PathBuf;
use tcc::{SourceError, diagnose};
use tcc_ir::diag::Code;
use tcc_ir::graph::check;
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;

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
        let (diagnostics, sources) = diagnose(&name, &text);
        if diagnostics.has_errors() {
            let failed = Failure::from(SourceError { diagnostics, sources });
            if let Some(earlier) = failure.replace(failed) {
                Failure::print(&earlier, form);
            }
            continue;
        }
        report::print(&diagnostics, &sources, form);
        files::print(derived_facts(&name, &text).as_bytes())?;
    }
    failure.map_or(Ok(()), Err)
}

/// The conditions that calls must meet beyond the declared ones.
fn derived_facts(name: &str, text: &str) -> String {
    let mut out = String::new();
    let Ok((module, _)) = read_module(&mut Sources::default(), name, text) else { return out };
    let Ok(checked) = check(&module) else { return out };
    for (f, function) in &module.functions {
        for fact in checked.derived_facts(f) {
            let _ = writeln!(out, "{name}: `{f}` needs {}: {}", fact.text(function), fact.origin);
        }
    }
    out
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
