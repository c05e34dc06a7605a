//! What a command says when it fails, and with which exit code.

use super::Form;
use codespan_reporting::diagnostic::{self as spoken, Label, Severity};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use tcc::{Error, RunError, SourceError};
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::span::{SourceId, Sources, Span};
use tcc_passes::pipeline;

/// A mistake in a program or its inputs.
pub(crate) const USER: u8 = 1;
/// A wrong command line.
pub(crate) const USAGE: u8 = 2;
/// A result differs from the expected one.
const MISMATCH: u8 = 3;
/// Refused by a limit, or not supported.
const REFUSED: u8 = 4;
/// A bug.
pub(crate) const INTERNAL: u8 = 101;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    diagnostics: Diagnostics,
    sources: Sources,
}

impl Failure {
    /// A failure that is not about a place in a text.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure::of(Diagnostic::plain(code, message))
    }

    pub(crate) fn of(d: Diagnostic) -> Failure {
        Failure { exit: exit_of(d.code), diagnostics: d.into(), sources: Sources::default() }
    }

    /// A command line that parses but makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: USAGE, ..Failure::new(Code::Parse, message) }
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, what: &str, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(Code::File, format!("cannot {what} `{}`: {error}", path.display()))
    }

    #[must_use]
    pub(crate) fn help(mut self, text: impl Into<String>) -> Failure {
        if let Some(d) = self.diagnostics.0.first_mut() {
            d.help = Some(text.into());
        }
        self
    }

    pub(crate) fn exit(&self) -> u8 {
        self.exit
    }

    pub(crate) fn print(&self, form: Form) {
        print(&self.diagnostics, &self.sources, form);
    }
}

fn exit_of(code: Code) -> u8 {
    match code {
        Code::Unsupported | Code::Limit | Code::Budget => REFUSED,
        Code::Mismatch => MISMATCH,
        Code::Internal => INTERNAL,
        _ => USER,
    }
}

impl From<SourceError> for Failure {
    fn from(e: SourceError) -> Failure {
        let mut mistakes = e.diagnostics.0.iter().filter(|d| !d.code.is_warning());
        let exit = match mistakes.next() {
            Some(first) if mistakes.all(|d| exit_of(d.code) == exit_of(first.code)) => {
                exit_of(first.code)
            }
            _ => USER,
        };
        Failure { exit, diagnostics: e.diagnostics, sources: e.sources }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        match e {
            Error::Source(e) => (*e).into(),
            Error::Internal(f) => reproducer(&f),
            other => {
                let code = Code::parse(other.code()).unwrap_or(Code::Internal);
                let mut d = Diagnostic::plain(code, other.to_string());
                d.help = other.help();
                Failure::of(d)
            }
        }
    }
}

impl From<RunError> for Failure {
    fn from(e: RunError) -> Failure {
        Error::from(e).into()
    }
}

/// A failed pass: writes a text that replays it.
pub(crate) fn reproducer(f: &pipeline::Failure) -> Failure {
    if f.code != Code::Internal {
        return Failure::new(f.code, format!("in the pass `{}`: {}", f.pass, f.message));
    }
    let message = format!("the pass `{}` failed: {}", f.pass, f.message);
    let text = f.reproducer();
    let path = PathBuf::from(format!("tcc-reproducer-{}.tir", std::process::id()));
    let written = std::fs::write(&path, &text).map(|()| path.clone()).or_else(|_| {
        let path = std::env::temp_dir().join(&path);
        std::fs::write(&path, &text).map(|()| path)
    });
    let help = match written {
        Ok(path) => format!("this is a bug in tcc; `tcc opt {}` replays it", path.display()),
        Err(e) => format!("this is a bug in tcc; the reproducer cannot be written: {e}"),
    };
    Failure::new(Code::Internal, message).help(help)
}

/// Says what a panic outside of the passes was.
pub(crate) fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    // Panics inside of passes are caught by the pipeline, which writes a reproducer.
    let text = pipeline::panic_text(info.payload());
    let place = info.location().map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
    let mut err = std::io::stderr().lock();
    let _ = writeln!(
        err,
        "internal error: {text}{place}\n  = help: this is a bug in tcc; please report it with the input"
    );
}

/// Writes diagnostics to stderr.
pub(crate) fn print(diagnostics: &Diagnostics, sources: &Sources, form: Form) {
    let mut err = std::io::stderr().lock();
    for d in &diagnostics.0 {
        let text = match form {
            Form::Text => text(d, sources),
            Form::Json => format!("{}\n", as_json(d, sources)),
        };
        let _ = err.write_all(text.as_bytes());
    }
}

/// A diagnostic with its source lines.
fn text(d: &Diagnostic, sources: &Sources) -> String {
    let mut files = SimpleFiles::new();
    let mut known: Vec<(SourceId, usize)> = Vec::new();
    let mut label = |span: Span, primary: bool, message: &str| {
        let id = known.iter().find(|(s, _)| *s == span.source).map(|(_, id)| *id);
        let id = id.unwrap_or_else(|| {
            let (name, text) = sources.get(span.source);
            let id = files.add(name.to_owned(), text.to_owned());
            known.push((span.source, id));
            id
        });
        let make = if primary { Label::primary } else { Label::secondary };
        make(id, span.range()).with_message(message)
    };
    let mut labels = Vec::new();
    if let Some(span) = d.span {
        labels.push(label(span, true, ""));
    }
    labels.extend(d.labels.iter().map(|(span, message)| label(*span, false, message)));
    let help = d.help.iter().map(|h| format!("help: {h}"));
    let notes = d.notes.iter().map(|n| format!("note: {n}")).chain(help).collect();
    let severity = if d.code.is_warning() { Severity::Warning } else { Severity::Error };
    let spoken = spoken::Diagnostic::new(severity)
        .with_code(d.code.word())
        .with_message(&d.message)
        .with_labels(labels)
        .with_notes(notes);
    let config = term::Config { chars: term::Chars::ascii(), ..term::Config::default() };
    term::emit_into_string(&config, &files, &spoken)
        .unwrap_or_else(|e| format!("{}: {} ({e})\n", d.code, d.message))
}

/// A diagnostic as JSON: lines and columns from 1, offsets in bytes from 0.
pub(crate) fn as_json(d: &Diagnostic, sources: &Sources) -> Json {
    let place = |span: Span| {
        let at = |offset: u32| {
            let (line, column) = sources.line_column(span.source, offset);
            json!({ "line": line, "column": column, "offset": offset })
        };
        json!({
            "file": sources.get(span.source).0,
            "start": at(span.start),
            "end": at(span.end),
        })
    };
    let labels: Vec<Json> = d
        .labels
        .iter()
        .map(|(span, message)| json!({ "message": message, "place": place(*span) }))
        .collect();
    json!({
        "code": d.code.word(),
        "severity": if d.code.is_warning() { "warning" } else { "error" },
        "message": d.message,
        "place": d.span.map(place),
        "labels": labels,
        "notes": d.notes,
        "help": d.help,
    })
}
