//! Applies schedules: each directive is checked, then changes the loops of a copy of the kernel.
//!
//! A directive is refused unless it is proved to keep the kernel's meaning: values are equal bit
//! for bit, but that a `reorder` may change the order in which a reduction combines. What an edit
//! makes is verified again, which is how `vectorize` and `parallel` are proved independent.

mod dependence;
mod edit;
mod nest;
mod parallel;
mod reorder;
mod split;
mod unroll;
mod vectorize;

use std::fmt;
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, renumbered, verify};
use tcc_ir::schedule::{Directive, Primitive, Schedule};
use thiserror::Error;

/// Why a schedule cannot be applied: the directive and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{directive}`: {refusal}", directive = directive)]
pub struct ScheduleError {
    /// The refused directive.
    pub directive: Box<Directive>,
    /// The reason.
    pub refusal: Refusal,
}

/// Why a directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No loop has the name.
    #[error("there is no loop `{name}`; there are: {known}", known = list(known))]
    UnknownLoop {
        /// What was asked for.
        name: String,
        /// The kernel's loops.
        known: Vec<String>,
    },
    /// Several loops have the name.
    #[error("{count} loops have the name `{name}`")]
    AmbiguousLoop {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The loop has a data-dependent end.
    #[error("`{0}` counts the rounds of a `repeat`, which run in order")]
    Repeat(String),
    /// A name for a new loop is in use.
    #[error("`{0}` already means something in the kernel")]
    TakenName(String),
    /// The factor of a split is not positive.
    #[error("the factor {0} is not positive")]
    Factor(i64),
    /// The loop is not a plain one.
    #[error("loop `{name}` is already marked `{kind}`")]
    Marked {
        /// The loop.
        name: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The extent is not a number.
    #[error("the extent {extent} of loop `{name}` is not a number; split it first")]
    Symbolic {
        /// The loop.
        name: String,
        /// Its extent.
        extent: String,
    },
    /// The extent is too large to copy the body that often.
    #[error("loop `{name}` has {extent} iterations, more than the {limit} that may be copied")]
    TooLong {
        /// The loop.
        name: String,
        /// Its extent.
        extent: i64,
        /// The most.
        limit: i64,
    },
    /// A loop stands twice in a list.
    #[error("loop `{0}` is named twice")]
    Twice(String),
    /// The loops do not nest.
    #[error("loop `{inner}` is not inside loop `{outer}`")]
    NotNested {
        /// One loop.
        outer: String,
        /// The other.
        inner: String,
    },
    /// Something stands between two loops.
    #[error("between loop `{outer}` and loop `{inner}` stands {what}")]
    NotPerfect {
        /// The loop around.
        outer: String,
        /// The loop inside.
        inner: String,
        /// What is in the way.
        what: String,
    },
    /// The bound of one loop depends on another.
    #[error("the bounds of loop `{inner}` depend on loop `{outer}`")]
    NotRectangular {
        /// The loop that the bounds mention.
        outer: String,
        /// The loop with the bounds.
        inner: String,
    },
    /// Iterations depend on each other and would change their order.
    #[error(
        "iterations of loops {loops} must keep their order: {blocks} elements of `{buffer}`",
        loops = list(loops), blocks = sharing(from, to)
    )]
    Dependence {
        /// A block.
        from: String,
        /// The same or another block.
        to: String,
        /// The buffer.
        buffer: String,
        /// The loops that carry the dependence.
        loops: Vec<String>,
    },
    /// A tail cannot be peeled off an extent that may be negative.
    #[error("the extent {extent} of loop `{name}` may be negative; use `tail=guard`")]
    Negative {
        /// The loop.
        name: String,
        /// Its extent.
        extent: String,
    },
    /// The scheduled kernel does not verify.
    #[error("{}", .0.join("; "))]
    Unproved(Vec<String>),
    /// `unsafe` where nothing is taken on trust.
    #[error("`unsafe` does not apply to `{0}`: the verifier of kernels wants the proof itself")]
    Unsafe(&'static str),
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn sharing(from: &str, to: &str) -> String {
    if from == to {
        format!("block `{from}` shares")
    } else {
        format!("blocks `{from}` and `{to}` share")
    }
}

/// Applies a schedule to its kernel. On an error nothing has happened.
pub fn apply(kernel: &Kernel, schedule: &Schedule) -> Result<Kernel, ScheduleError> {
    let mut k = kernel.clone();
    for d in &schedule.directives {
        let outcome = step(&mut k, d).and_then(|()| proved(&k));
        outcome.map_err(|refusal| ScheduleError { directive: Box::new(d.clone()), refusal })?;
        k = renumbered(&k);
    }
    Ok(k)
}

fn step(k: &mut Kernel, d: &Directive) -> Result<(), Refusal> {
    if d.is_unsafe && !matches!(d.primitive, Primitive::Reorder(_)) {
        return Err(Refusal::Unsafe(d.primitive.name()));
    }
    match &d.primitive {
        Primitive::Split { target, factor, tail, outer, inner } => {
            split::split(k, target, *factor, *tail, (outer, inner))
        }
        Primitive::Reorder(loops) => reorder::reorder(k, loops, d.is_unsafe),
        Primitive::Unroll(target) => unroll::unroll(k, target),
        Primitive::Vectorize(target) => vectorize::vectorize(k, target),
        Primitive::Parallel(target) => parallel::parallel(k, target),
    }
}

fn proved(k: &Kernel) -> Result<(), Refusal> {
    let prefix = format!("kernel `{}`: ", k.name);
    verify(k).map_err(|d| {
        let text = |d: Diagnostic| d.message.strip_prefix(&prefix).unwrap_or(&d.message).to_owned();
        Refusal::Unproved(d.into_iter().map(text).collect())
    })
}

/// Applies every schedule of a module to its kernel, and drops the schedules.
pub fn apply_all(module: &Module) -> Result<Module, Diagnostics> {
    let mut out = module.clone();
    let mut mistakes = Diagnostics::default();
    for (name, schedule) in std::mem::take(&mut out.schedules) {
        let Some(kernel) = out.kernels.get_mut(&name) else {
            let message = format!("there is no kernel `{name}` to schedule");
            let span = schedule.directives.first().map(|d| d.span);
            mistakes.push(Diagnostic { span, ..Diagnostic::plain(Code::Schedule, message) });
            continue;
        };
        match apply(kernel, &schedule) {
            Ok(scheduled) => *kernel = scheduled,
            Err(e) => mistakes.push(diagnostic(&name, &e)),
        }
    }
    if mistakes.has_errors() { Err(mistakes) } else { Ok(out) }
}

fn diagnostic(kernel: &str, e: &ScheduleError) -> Diagnostic {
    let message = format!("kernel `{kernel}`: {e}");
    Diagnostic::new(Code::Schedule, e.directive.span, message)
}

/// Something that has a name in a kernel.
struct Names<'a>(&'a Kernel);

impl Names<'_> {
    fn var(&self, v: tcc_ir::VarId) -> String {
        self.0.vars.get(v).cloned().unwrap_or_else(|| v.to_string())
    }

    fn show(&self, e: &tcc_ir::int::IntExpr) -> impl fmt::Display {
        tcc_ir::int::display(e, &tcc_ir::kernel::KernelNames(self.0)).to_string()
    }
}
