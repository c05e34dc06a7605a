//! Tuning: looks for choices that make a program's kernels faster on this machine, and keeps them.

mod database;
mod measure;

pub use database::{TuningDatabase, TuningRecord};
pub use measure::{TuneOptions, TuneReport, TuningGain};

use indexmap::IndexMap;
use std::path::PathBuf;
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, print_kernel};
use tcc_ir::schedule::Directive;
use tcc_ir::span::Sources;
use tcc_ir::target::Target;
use tcc_ir::text::read_module;
use tcc_passes::tune::Tuning;
use thiserror::Error;

/// A kernel for which the tuning database has a record.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedKernel {
    /// The kernel.
    pub kernel: String,
    /// The record.
    pub record: TuningRecord,
    /// Why the record was not followed, if it was not.
    pub refused: Option<String>,
}

/// Why a program is not tuned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TuningError {
    /// No kernel has a loop.
    #[error("`{0}` has no kernels to tune: none of them has a loop")]
    NoKernels(String),
    /// Records cannot be added.
    #[error("cannot write the tuning database `{}`: {error}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The untuned program does not give the interpreter's results: a bug.
    #[error("before any tuning, {0}")]
    Wrong(String),
    /// A program could not be lowered or measured at all.
    #[error("the program cannot be measured: {0}")]
    Measure(String),
}

impl TuningError {
    /// How to mend it.
    pub(crate) fn help(&self) -> Option<&'static str> {
        Some(match self {
            TuningError::NoKernels(_) => "tune a function that works on whole tensors",
            TuningError::Database { .. } => {
                "name a file that can be written: `tcc tune --tuning FILE`"
            }
            TuningError::Wrong(_) => "this is a bug in tcc; please report it with the input",
            TuningError::Measure(_) => return None,
        })
    }
}

/// What the database says about the kernels of a program that was lowered by default. Schedules are
/// read later, for kernels that the knobs have shaped.
pub(crate) fn records(
    database: &TuningDatabase,
    lowered: &Module,
    target: &Target,
) -> (Vec<TunedKernel>, Tuning) {
    let mut found = Vec::new();
    let mut tuning = Tuning::default();
    for (name, kernel) in &lowered.kernels {
        let Some(record) = database.find(kernel, target).cloned() else { continue };
        let knobs: Result<IndexMap<_, _>, String> =
            record.knobs.iter().map(|(n, text)| Ok((n.clone(), text.parse()?))).collect();
        let refused = match knobs {
            Ok(knobs) => {
                tuning.knobs.extend(knobs);
                None
            }
            Err(reason) => Some(reason),
        };
        found.push(TunedKernel { kernel: name.clone(), record, refused });
    }
    (found, tuning)
}

/// Reads the schedules of records for kernels that the knobs have shaped.
pub(crate) fn schedules(found: &mut [TunedKernel], lowered: &Module, tuning: &mut Tuning) {
    for t in found.iter_mut().filter(|t| t.refused.is_none() && !t.record.schedule.is_empty()) {
        let kernel = lowered.kernels.get(&t.kernel);
        match kernel.map(|k| directives(k, &t.record)) {
            Some(Ok(directives)) => drop(tuning.schedules.insert(t.kernel.clone(), directives)),
            Some(Err(reason)) => t.refused = Some(reason),
            None => t.refused = Some("its kernel is not made any more".to_owned()),
        }
    }
}

/// The directives of a record, for a kernel of another name, perhaps.
fn directives(kernel: &Kernel, record: &TuningRecord) -> Result<Vec<Directive>, String> {
    let (_, body) = record.schedule.split_once('{').ok_or("its schedule has no body")?;
    let text = format!("{}\nschedule {} {{{body}", print_kernel(kernel), kernel.name);
    match read_module(&mut Sources::default(), "tuning.tir", &text) {
        Ok((module, _)) => {
            let schedule = module.schedules.into_iter().next();
            Ok(schedule.map_or_else(Vec::new, |(_, s)| s.directives))
        }
        Err(d) => Err(d.0.into_iter().next().map_or_else(String::new, |d| d.message)),
    }
}
