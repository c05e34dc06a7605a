//! Everything the compiler does with a text before it makes code, as one call that reports panics.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use tcc::{Compiler, Error};
use tcc_ir::span::Sources;
use tcc_ir::text::{format::format, parse};
use tcc_passes::pipeline::panic_text;

/// How far a text came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its bytes were taken in.
    Read,
    /// It follows the grammar.
    Parsed,
    /// It has no mistakes.
    Checked,
    /// It became kernels.
    Lowered,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 4] = [Stage::Read, Stage::Parsed, Stage::Checked, Stage::Lowered];
}

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers where a panic happened; a panic hook calls this.
pub fn note_place(place: Option<&Location<'_>>) {
    let text = place.map_or(String::new(), |p| format!("{}:{}", p.file(), p.line()));
    PLACE.with(|p| *p.borrow_mut() = text);
}

/// Formats, diagnoses and lowers a text.
///
/// # Errors
/// The compiler panicked, a pass failed, or the formatter changed what the text says; the stage is
/// the last one that was reached.
pub fn survive(text: &str) -> (Stage, Result<(), String>) {
    let mut stage = Stage::Read;
    let outcome = catch_unwind(AssertUnwindSafe(|| run(text, &mut stage)));
    let outcome = outcome.unwrap_or_else(|payload| {
        let place = PLACE.with(|p| p.borrow().clone());
        Err(format!("panic at {place}: {}", panic_text(payload.as_ref())))
    });
    (stage, outcome)
}

fn run(text: &str, stage: &mut Stage) -> Result<(), String> {
    let mut sources = Sources::default();
    let source = sources.add("text", text);
    let (file, mistakes) = parse(text, source);
    if !mistakes.has_errors() {
        *stage = Stage::Parsed;
        let formatted = format(&file, text);
        let (file, mistakes) = parse(&formatted, source);
        if mistakes.has_errors() {
            return Err("the formatted text does not parse".to_owned());
        }
        if format(&file, &formatted) != formatted {
            return Err("formatting twice changes the text again".to_owned());
        }
    }
    if tcc::diagnose("text", text).diagnostics.has_errors() {
        return Ok(());
    }
    *stage = Stage::Checked;
    match Compiler::new("x86_64-v3".parse().map_err(|e| format!("{e}"))?).lower(text) {
        Ok(_) => *stage = Stage::Lowered,
        Err(Error::Internal(f)) => {
            let place = PLACE.with(|p| p.borrow().clone());
            return Err(format!("pass `{}` failed: {} ({place})", f.pass, f.message));
        }
        Err(_) => {}
    }
    Ok(())
}
