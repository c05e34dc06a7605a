//! Why a program was not compiled or did not run.

use crate::backend::BackendError;
use crate::tuner::TuningError;
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::span::Sources;
use tcc_passes::pipeline::{Failure, PipelineError};
use tcc_runtime::{LoadError, RunError, TensorError};
use thiserror::Error;

/// Anything that the embedding API answers instead of a result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Mistakes in a source text, all of them.
    #[error("{}", first(.0))]
    Source(Box<SourceError>),
    /// The back end does not support a target or construct.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// An image does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Memory is no tensor of the wanted shape.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A text is no list of passes.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A program cannot be tuned.
    #[error(transparent)]
    Tuning(#[from] TuningError),
    /// A bug in tcc.
    #[error("pass `{}` failed: {}", .0.pass, .0.message)]
    Internal(Box<Failure>),
}

/// The mistakes of a text, with the texts they stand in.
#[derive(Clone, Debug)]
pub struct SourceError {
    /// Mistakes and warnings in the order of the text.
    pub diagnostics: Diagnostics,
    /// The texts.
    pub sources: Sources,
}

fn first(e: &SourceError) -> String {
    let mistakes = e.diagnostics.0.iter().filter(|d| !d.code.is_warning());
    let mut lines = mistakes.map(|d| one_line(d, &e.sources));
    let line = lines.next().unwrap_or_else(|| "the text has mistakes".to_owned());
    match lines.count() {
        0 => line,
        n => format!("{line} (and {n} more)"),
    }
}

/// `E-CODE name:line:column: message`.
fn one_line(d: &Diagnostic, sources: &Sources) -> String {
    match d.span {
        Some(span) => {
            let (line, column) = sources.line_column(span.source, span.start);
            let name = sources.get(span.source).0;
            format!("{} {name}:{line}:{column}: {}", d.code, d.message)
        }
        None => format!("{} {}", d.code, d.message),
    }
}

impl Error {
    pub(crate) fn source(diagnostics: Diagnostics, sources: Sources) -> Error {
        Error::Source(Box::new(SourceError { diagnostics, sources }))
    }

    pub(crate) fn pass(failure: Failure) -> Error {
        if failure.code != Code::Internal {
            let mut d = Diagnostic::plain(failure.code, failure.message);
            if failure.code == Code::Limit {
                d = d.help("the sizes are too large: products of extents must fit in 64 bits");
            }
            return Error::source(d.into(), Sources::default());
        }
        Error::Internal(Box::new(failure))
    }

    /// The word code, for example `E-SHAPE`; `tcc check --explain CODE` describes it.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Source(e) => {
                let mut mistakes = e.diagnostics.0.iter().filter(|d| !d.code.is_warning());
                mistakes.next().map_or(Code::Parse, |d| d.code).word()
            }
            Error::Backend(BackendError::Codegen { .. }) | Error::Internal(_) => {
                Code::Internal.word()
            }
            Error::Backend(_) => Code::Unsupported.word(),
            Error::Load(_) => Code::Image.word(),
            Error::Run(e) => e.code(),
            Error::Tensor(TensorError::Memory { .. } | TensorError::TooLarge { .. }) => {
                Code::Budget.word()
            }
            Error::Tensor(_) => Code::Shape.word(),
            Error::Pipeline(_) => Code::Parse.word(),
            Error::Tuning(TuningError::Database { .. }) => Code::File.word(),
            Error::Tuning(TuningError::Wrong(_)) => Code::Internal.word(),
            Error::Tuning(_) => Code::Unsupported.word(),
        }
    }

    /// How to mend it, where there is a general way.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Source(e) => e.diagnostics.0.iter().find_map(|d| d.help.clone()),
            Error::Run(e) => e.help(),
            Error::Internal(_) => {
                Some("this is a bug in tcc; `Failure::reproducer` replays it".to_owned())
            }
            Error::Tuning(e) => e.help().map(str::to_owned),
            Error::Backend(_) | Error::Load(_) | Error::Tensor(_) | Error::Pipeline(_) => None,
        }
    }

    /// The places and words of mistakes in a source text; empty for other errors.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Error::Source(e) => &e.diagnostics.0,
            Error::Backend(_)
            | Error::Load(_)
            | Error::Run(_)
            | Error::Tensor(_)
            | Error::Pipeline(_)
            | Error::Tuning(_)
            | Error::Internal(_) => &[],
        }
    }
}
