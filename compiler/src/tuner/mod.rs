//! Tuning: looks for choices that make a program's kernels faster on this machine, and keeps them.

mod database;
mod measure;

pub use database::{TuningDatabase, TuningRecord};
pub use measure::{TuneOptions, TuneReport, TuningGain};

use std::path::PathBuf;
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, Stmt, nameless, print_kernel, visit_stmts};
use tcc_ir::schedule::Directive;
use tcc_ir::span::Sources;
use tcc_ir::target::Target;
use tcc_ir::text::read_module;
use tcc_passes::tune::search::Tunable;
use tcc_passes::tune::space::definitions;
use tcc_passes::tune::{Knobs, Tuning, apply};
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

/// What the database says about the lowering of a program that `lower` has made without it.
pub(crate) fn knobs(
    database: &TuningDatabase,
    lowered: &Module,
    target: &Target,
) -> (Vec<TunedKernel>, Tuning) {
    let mut found = Vec::new();
    let mut tuning = Tuning::default();
    for (name, kernel) in &lowered.kernels {
        let Some(record) = database.find(&TuningDatabase::knobs_key(kernel, target)) else {
            continue;
        };
        let parsed: Result<Vec<Knobs>, String> = record.knobs.iter().map(|k| k.parse()).collect();
        let refused = parsed.as_ref().err().cloned();
        let all = definitions(kernel).into_iter().zip(parsed.unwrap_or_default());
        tuning.knobs.extend(all.filter(|(_, k)| *k != Knobs::default()));
        found.push(TunedKernel { kernel: name.clone(), record: record.clone(), refused });
    }
    (found, tuning)
}

/// Applies the schedules that the database has for kernels.
pub(crate) fn schedule(
    database: &TuningDatabase,
    lowered: &mut Module,
    target: &Target,
) -> Vec<TunedKernel> {
    let mut found = Vec::new();
    let mut tuning = Tuning::default();
    for (name, kernel) in &lowered.kernels {
        let Some(record) = database.find(&TuningDatabase::schedule_key(kernel, target)) else {
            continue;
        };
        let refused = match directives(kernel, record) {
            Ok(directives) => {
                tuning.schedules.insert(name.clone(), directives);
                None
            }
            Err(reason) => Some(reason),
        };
        found.push(TunedKernel { kernel: name.clone(), record: record.clone(), refused });
    }
    for (kernel, reason) in apply(lowered, &tuning) {
        for t in found.iter_mut().filter(|t| t.kernel == kernel) {
            t.refused = Some(reason.clone());
        }
    }
    found
}

/// The kernels of a lowered program to tune: those with loops. `alone` is the program as `lower`
/// made it, before kernels were shared.
pub(crate) fn tunables(lowered: &Module, alone: &Module) -> Vec<Tunable> {
    let has_loop = |body: &[Stmt]| {
        let mut found = false;
        visit_stmts(body, &mut |s| found |= matches!(s, Stmt::For(_)));
        found
    };
    let forms: Vec<(Kernel, Vec<String>)> =
        alone.kernels.values().map(|k| (nameless(k), definitions(k))).collect();
    let kernels = lowered.kernels.iter().filter(|(_, k)| has_loop(&k.body));
    kernels
        .map(|(name, _)| {
            let own = alone.kernels.get(name).map(nameless);
            let alike = || forms.iter().filter(|(form, _)| own.as_ref() == Some(form));
            let count = alike().next().map_or(0, |(_, names)| names.len());
            let names = |at: usize| alike().filter_map(|(_, n)| n.get(at).cloned()).collect();
            Tunable { kernel: name.clone(), definitions: (0..count).map(names).collect() }
        })
        .collect()
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
