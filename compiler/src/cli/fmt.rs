//! `tcc fmt`.

use super::files;
use super::report::Failure;
use std::path::PathBuf;
use tcc::SourceError;
use tcc_ir::diag::Code;
use tcc_ir::span::Sources;
use tcc_ir::text::format::format;
use tcc_ir::text::parse;

/// Formats programs in place.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files to format; `-` formats stdin to stdout.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Writes nothing; fails if a file is not formatted.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(a: &Args) -> Result<(), Failure> {
    let mut unformatted = Vec::new();
    for path in &a.files {
        let text = files::read_text(path)?;
        let mut sources = Sources::default();
        let source = sources.add(&files::source_name(path), &text);
        let (file, diagnostics) = parse(&text, source);
        if diagnostics.has_errors() {
            return Err(SourceError { diagnostics, sources }.into());
        }
        let formatted = format(&file, &text);
        let stdin = path.as_os_str() == "-";
        if a.check {
            if formatted != text {
                unformatted.push(files::source_name(path));
            }
        } else if stdin || formatted != text {
            files::write(path, formatted.as_bytes())?;
        }
    }
    if unformatted.is_empty() {
        return Ok(());
    }
    let message = format!("not formatted: {}", unformatted.join(", "));
    Err(Failure::new(Code::Mismatch, message).help("`tcc fmt` without `--check` formats them"))
}
