//! Pipelines: passes in order, as text, with verification and reports between them.
//!
//! A pipeline reads and prints as `inline_calls,order_contractions{strategy=greedy},lower`. A panic
//! or a failed verification inside a pass is caught here; [`Failure::reproducer`] is a text that
//! replays it.

use crate::graph::Changed;
use crate::lower;
use crate::pass::{self, PASSES, Pass, Run, Settings};
use crate::schedule::apply_all;
use crate::tune::Tuning;
use indexmap::IndexMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tcc_ir::diag::{Code, Diagnostics};
use tcc_ir::graph::{Checked, DerivedFact, Module, check};
use tcc_ir::target::Target;
use tcc_ir::text::print_module;
use tcc_ir::{kernel, program};
use thiserror::Error;

/// The passes of `-O1`.
pub const DEFAULT: &[&str] = &[
    "inline_calls",
    "widen_accumulators",
    "expand_lse",
    "order_contractions",
    "order_axes",
    "delay_divisions",
    "pad_defaults",
    "split_sums",
    "cse",
    "dce",
    "lower",
    "share_kernels",
    "parallelize",
];

/// Passes in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline(pub Vec<Step>);

/// One pass with its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The pass.
    pub pass: &'static Pass,
    /// Its options.
    pub settings: Settings,
}

/// Why a text is no pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PipelineError {
    /// No such pass.
    #[error("there is no pass `{0}`; there are: {names}", names = names())]
    Unknown(String),
    /// The pass has no such option, or not with this value.
    #[error("`{pass}` takes {expected}, found `{found}`")]
    Setting {
        /// The pass.
        pass: &'static str,
        /// What was written.
        found: String,
        /// What it takes.
        expected: String,
    },
    /// A brace does not match.
    #[error("`{0}` has a brace without its partner")]
    Brace(String),
}

/// What a pipeline reports while it runs.
pub enum Moment<'a> {
    /// A pass begins.
    Before(&'a Step),
    /// A pass has ended.
    After(&'a Step, Changed, &'a Module),
}

/// A bug in a pass: it panicked, or what it made does not verify.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The pass.
    pub pass: &'static str,
    /// What it is: [`Code::Limit`] if the program outgrew a limit, [`Code::Schedule`] if a schedule
    /// is not legal, otherwise a bug.
    pub code: Code,
    /// The panic's message or the verifier's findings.
    pub message: String,
    /// The module as it was before the pass, as text.
    pub before: String,
    /// The passes from the failing one on.
    pub rest: Pipeline,
}

/// First words of the line of a reproducer that holds the pipeline.
const REPLAY: &str = "// replay: tcc opt --verify-each --passes ";

impl Failure {
    /// A text that replays the failure: the module before the pass under the pipeline's rest.
    pub fn reproducer(&self) -> String {
        let message: String = self.message.lines().map(|line| format!("// {line}\n")).collect();
        format!(
            "{REPLAY}'{}'\n// pass `{}` failed:\n{message}\n{}",
            self.rest, self.pass, self.before
        )
    }
}

/// The pipeline of a reproducer, if the text is one.
pub fn replay(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(REPLAY)?.trim().strip_prefix('\'')?.strip_suffix('\'')
}

/// Runs the passes over a checked module. With `verify_each` the module is verified after every
/// pass, otherwise after the last one and before lowering.
pub fn run(
    checked: &Checked<'_>,
    pipeline: &Pipeline,
    target: &Target,
    verify_each: bool,
    observe: &mut dyn FnMut(Moment<'_>),
) -> Result<Module, Failure> {
    run_tuned(checked, pipeline, (target, &Tuning::default()), verify_each, observe)
}

/// As [`run`], where lowering is told the knobs of a tuning.
pub fn run_tuned(
    checked: &Checked<'_>,
    pipeline: &Pipeline,
    (target, tuning): (&Target, &Tuning),
    verify_each: bool,
    observe: &mut dyn FnMut(Moment<'_>),
) -> Result<Module, Failure> {
    let mut module = checked.module().clone();
    let original: IndexMap<String, Vec<DerivedFact>> = module
        .functions
        .keys()
        .map(|name| (name.clone(), checked.derived_facts(name).to_vec()))
        .collect();
    for (k, step) in pipeline.0.iter().enumerate() {
        observe(Moment::Before(step));
        let last = k + 1 == pipeline.0.len();
        let verify = verify_each || last;
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            apply(&module, step, (target, tuning), verify, &original)
        }));
        let (code, message) = match attempt {
            Ok(Ok((next, changed))) => {
                module = next;
                observe(Moment::After(step, changed, &module));
                continue;
            }
            Ok(Err(findings)) => findings,
            Err(panic) => (Code::Internal, panic_text(&*panic)),
        };
        return Err(Failure {
            pass: step.pass.name,
            code,
            message,
            before: print_module(&module),
            rest: Pipeline(pipeline.0.iter().skip(k).cloned().collect()),
        });
    }
    Ok(module)
}

/// One pass on a copy of the module.
fn apply(
    module: &Module,
    step: &Step,
    (target, tuning): (&Target, &Tuning),
    verify: bool,
    original: &IndexMap<String, Vec<DerivedFact>>,
) -> Result<(Module, Changed), (Code, String)> {
    match step.pass.run {
        Run::Graph(pass) => {
            let mut next = module.clone();
            let changed = pass(&mut next, &step.settings);
            if verify {
                check(&next).map_err(|d| findings(&d))?;
            }
            Ok((next, changed))
        }
        Run::Lower => {
            let checked = check(module).map_err(|d| findings(&d))?;
            let mut next = pass::lower_all(&checked, target, &step.settings, tuning);
            for (name, facts) in original {
                if let Some(program) = next.programs.get_mut(name) {
                    lower::add_guards(program, facts);
                }
            }
            if verify {
                verify_kernels(&next)?;
            }
            Ok((next, Changed(true)))
        }
        Run::Kernels(pass) => {
            let mut next = module.clone();
            let changed = pass(&mut next);
            if verify {
                verify_kernels(&next)?;
            }
            Ok((next, changed))
        }
        Run::Schedule => {
            let next = apply_all(module).map_err(|d| findings(&d))?;
            let changed = next.kernels != module.kernels;
            Ok((next, Changed(changed)))
        }
    }
}

/// Kernels are ready for a back end, and programs call them as they are declared.
fn verify_kernels(module: &Module) -> Result<(), (Code, String)> {
    kernel::verify_all_lowered(module.kernels.values()).map_err(|d| findings(&d))?;
    for p in module.programs.values() {
        program::verify(p, &module.kernels).map_err(|d| findings(&d))?;
    }
    Ok(())
}

/// What the verifier found; a program that only outgrew a limit in a pass, or a schedule that is
/// refused, is no sign of a bug.
fn findings(d: &Diagnostics) -> (Code, String) {
    let only = |code: Code| d.0.iter().all(|d| d.code.is_warning() || d.code == code);
    let known = [Code::Limit, Code::Schedule].into_iter().find(|code| only(*code));
    let code = known.unwrap_or(Code::Internal);
    let lines: Vec<String> = d.0.iter().map(|d| format!("{}: {}", d.code, d.message)).collect();
    (code, lines.join("\n"))
}

/// The message of a caught panic.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn names() -> String {
    PASSES.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
}

impl Pipeline {
    /// These passes with their defaults.
    pub fn of(names: &[&str]) -> Result<Pipeline, PipelineError> {
        names.join(",").parse()
    }
}

impl std::str::FromStr for Pipeline {
    type Err = PipelineError;

    fn from_str(text: &str) -> Result<Pipeline, PipelineError> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = rest.find([',', '{']).unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            let name = name.trim();
            let pass = pass::find(name).ok_or_else(|| PipelineError::Unknown(name.to_owned()))?;
            let (settings, tail) = match tail.strip_prefix('{') {
                Some(inner) => {
                    let brace = || PipelineError::Brace(text.to_owned());
                    let (inner, tail) = inner.split_once('}').ok_or_else(brace)?;
                    (inner, tail)
                }
                None => ("", tail),
            };
            steps.push(Step { pass, settings: read_settings(pass, settings)? });
            rest = tail.trim().trim_start_matches(',').trim();
        }
        Ok(Pipeline(steps))
    }
}

/// The options between braces, over the defaults.
fn read_settings(pass: &'static Pass, text: &str) -> Result<Settings, PipelineError> {
    let first = |values: &'static [&'static str]| values.first().copied().unwrap_or("");
    let mut settings: IndexMap<&str, &str> =
        pass.options.iter().map(|(name, values)| (*name, first(values))).collect();
    for item in text.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        let wrong = || PipelineError::Setting {
            pass: pass.name,
            found: item.to_owned(),
            expected: expected(pass),
        };
        let (name, value) = item.split_once('=').ok_or_else(wrong)?;
        let option = pass.options.iter().find(|(n, _)| *n == name.trim()).ok_or_else(wrong)?;
        let value = option.1.iter().find(|v| **v == value.trim()).ok_or_else(wrong)?;
        settings.insert(option.0, value);
    }
    Ok(Settings(settings))
}

fn expected(pass: &Pass) -> String {
    if pass.options.is_empty() {
        return "no options".to_owned();
    }
    let one = |(name, values): &(&str, &[&str])| format!("{name}={}", values.join("|"));
    pass.options.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, step) in self.0.iter().enumerate() {
            let comma = if k == 0 { "" } else { "," };
            write!(f, "{comma}{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pass.name)?;
        if self.settings.0.is_empty() {
            return Ok(());
        }
        let settings: Vec<String> =
            self.settings.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        write!(f, "{{{}}}", settings.join(","))
    }
}
