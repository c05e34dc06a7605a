//! What an entry holds of a program.

use cranelift_entity::EntityRef;
use serde::{Deserialize, Serialize};
use tcc_abi::Image;
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::span::{SourceId, Span};

/// An image with the warnings about its text.
#[derive(Clone, Debug)]
pub(crate) struct CachedProgram {
    pub(crate) image: Image,
    /// What reading and checking warned of.
    pub(crate) warnings: Diagnostics,
}

/// The same as plain data.
#[derive(Serialize, Deserialize)]
struct Plain {
    warnings: Vec<Warning>,
    image: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Warning {
    code: String,
    place: Option<Place>,
    message: String,
    labels: Vec<(Place, String)>,
    notes: Vec<String>,
    help: Option<String>,
}

/// Source, first byte, one past the last byte.
type Place = (u64, u32, u32);

impl CachedProgram {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let warnings = self.warnings.0.iter().map(warning).collect();
        let plain = Plain { warnings, image: self.image.to_bytes() };
        postcard::to_stdvec(&plain).unwrap_or_else(|e| unreachable!("it is plain data: {e}"))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<CachedProgram> {
        let plain: Plain = postcard::from_bytes(bytes).ok()?;
        let warnings = plain.warnings.into_iter().map(diagnostic).collect::<Option<_>>()?;
        let image = Image::from_bytes(&plain.image).ok()?;
        Some(CachedProgram { image, warnings: Diagnostics(warnings) })
    }
}

fn place(s: Span) -> Place {
    (s.source.index() as u64, s.start, s.end)
}

fn span((source, start, end): Place) -> Span {
    Span { source: SourceId::new(source as usize), start, end }
}

fn warning(d: &Diagnostic) -> Warning {
    Warning {
        code: d.code.word().to_owned(),
        place: d.span.map(place),
        message: d.message.clone(),
        labels: d.labels.iter().map(|(s, text)| (place(*s), text.clone())).collect(),
        notes: d.notes.clone(),
        help: d.help.clone(),
    }
}

fn diagnostic(w: Warning) -> Option<Diagnostic> {
    Some(Diagnostic {
        code: Code::parse(&w.code)?,
        span: w.place.map(span),
        message: w.message,
        labels: w.labels.into_iter().map(|(p, text)| (span(p), text)).collect(),
        notes: w.notes,
        help: w.help,
    })
}
