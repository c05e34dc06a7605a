//! Applies schedules: each directive is checked, then changes the loops of a copy of the kernel.
//!
//! A directive is refused unless it is proved to keep the kernel's meaning: values are equal bit
//! for bit, but where it says `reassociate`, which lets sums and products of floats combine in
//! another order. What the edits make is verified again, which is how `vectorize` and `parallel`
//! are proved independent.

mod address;
mod anchor;
mod bind;
mod cache;
mod cache_read;
mod cache_write;
mod compute_at;
mod decompose_reduction;
mod dependence;
mod edit;
mod expand;
mod fuse;
mod inline;
mod nest;
mod nested_block;
mod pack;
mod pad;
mod parallel;
mod pipeline;
mod rebase;
mod refusal;
mod region;
mod reorder;
mod reverse_compute_at;
mod reverse_inline;
mod rfactor;
mod set_scope;
mod shrink;
mod split;
mod tensorize;
mod tile;
mod transform_layout;
mod unroll;
mod vectorize;

use cache_read::CacheRead;
use cache_write::CacheWrite;
pub use refusal::Refusal;
use rfactor::Rfactor;
use std::fmt;
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, Stmt, renumbered, verify, visit_stmts};
use tcc_ir::schedule::{Directive, Permission, Primitive, Schedule};
use thiserror::Error;
use tile::Tiles;

/// Why a schedule cannot be applied: the directive and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{directive}`: {refusal}", directive = directive)]
pub struct ScheduleError {
    /// The refused directive.
    pub directive: Box<Directive>,
    /// The reason.
    pub refusal: Refusal,
}

/// Applies a schedule to its kernel. On an error nothing has happened.
pub fn apply(kernel: &Kernel, schedule: &Schedule) -> Result<Kernel, ScheduleError> {
    let mut k = kernel.clone();
    let all = schedule.directives.iter().try_for_each(|d| checked_step(&mut k, d));
    let outcome = all.and_then(|()| {
        let made = renumbered(&k);
        proved(&made).map(|()| made).map_err(|refusal| match schedule.directives.last() {
            Some(d) => refused(d, refusal),
            None => unreachable!("a kernel without directives was verified before"),
        })
    });
    // One proof for all directives is cheap; that of each tells which one is to blame.
    outcome.map_err(|e| first_mistake(kernel, schedule).unwrap_or(e))
}

fn refused(d: &Directive, refusal: Refusal) -> ScheduleError {
    ScheduleError { directive: Box::new(d.clone()), refusal }
}

fn checked_step(k: &mut Kernel, d: &Directive) -> Result<(), ScheduleError> {
    step(k, d).map_err(|refusal| refused(d, refusal))
}

/// The first directive that is refused when what each one makes is verified.
fn first_mistake(kernel: &Kernel, schedule: &Schedule) -> Option<ScheduleError> {
    let mut k = kernel.clone();
    schedule.directives.iter().find_map(|d| {
        let outcome = checked_step(&mut k, d);
        outcome.and_then(|()| proved(&k).map_err(|refusal| refused(d, refusal))).err()
    })
}

fn step(k: &mut Kernel, d: &Directive) -> Result<(), Refusal> {
    allowed(d)?;
    sees_all(k, d)?;
    match &d.primitive {
        Primitive::Split { target, factor, tail, outer, inner } => {
            split::split(k, target, *factor, *tail, (outer, inner))
        }
        Primitive::Fuse { targets, fused } => fuse::fuse(k, targets, fused),
        Primitive::Tile { targets, factors, tail, outer, inner } => {
            tile::tile(k, &Tiles { targets, factors, outer, inner }, *tail, d.permission)
        }
        Primitive::ComputeAt { block, target } => compute_at::compute_at(k, block, target),
        Primitive::ReverseComputeAt { block, target } => {
            reverse_compute_at::reverse_compute_at(k, block, target)
        }
        Primitive::Inline(block) => inline::inline(k, block),
        Primitive::ReverseInline(block) => reverse_inline::reverse_inline(k, block),
        Primitive::CacheRead { block, buffer, at, scope, cache } => {
            let at = at.as_ref();
            cache_read::cache_read(k, &CacheRead { block, buffer, at, scope: *scope, cache })
        }
        Primitive::CacheWrite { block, at, scope, cache } => {
            let at = at.as_ref();
            cache_write::cache_write(k, &CacheWrite { block, at, scope: *scope, cache })
        }
        Primitive::Rfactor { block, target, at, scope, partial } => {
            let (at, scope) = (at.as_ref(), *scope);
            rfactor::rfactor(k, &Rfactor { block, target, at, scope, partial }, d.permission)
        }
        Primitive::TransformLayout { buffer, layout } => {
            transform_layout::transform_layout(k, buffer, layout)
        }
        Primitive::Pack { block, buffer, layout, at, scope, cache } => {
            let at = at.as_ref();
            pack::pack(k, &CacheRead { block, buffer, at, scope: *scope, cache }, layout)
        }
        Primitive::Pad { block, multiples, fill } => pad::pad(k, block, multiples, *fill),
        Primitive::Pipeline { target, block, depth } => {
            pipeline::pipeline(k, target, block, *depth)
        }
        Primitive::Bind { target, axis } => bind::bind(k, target, *axis),
        Primitive::SetScope { buffer, scope } => set_scope::set_scope(k, buffer, *scope),
        Primitive::DecomposeReduction { block, target, start } => {
            decompose_reduction::decompose_reduction(k, block, target, start)
        }
        Primitive::Tensorize { target, intrinsic } => {
            tensorize::tensorize(k, target, intrinsic, d.permission)
        }
        Primitive::Reorder(loops) => reorder::reorder(k, loops, d.permission),
        Primitive::Unroll(target) => unroll::unroll(k, target),
        Primitive::Vectorize(target) => vectorize::vectorize(k, target),
        Primitive::Parallel(target) => parallel::parallel(k, target),
    }
}

/// Refuses permissions that mean nothing for the directive.
fn allowed(d: &Directive) -> Result<(), Refusal> {
    let name = d.primitive.name();
    let reorders = matches!(d.primitive, Primitive::Reorder(_) | Primitive::Tile { .. });
    let combines = matches!(d.primitive, Primitive::Rfactor { .. } | Primitive::Tensorize { .. });
    let combines = reorders || combines;
    match d.permission {
        Some(Permission::Unsafe) if !reorders => Err(Refusal::Unsafe(name)),
        Some(Permission::Reassociate) if !combines => Err(Refusal::Reassociate(name)),
        Some(Permission::Unsafe | Permission::Reassociate) | None => Ok(()),
    }
}

/// Refuses what moves or copies buffers where an intrinsic, into which it does not look, may use
/// them.
fn sees_all(k: &Kernel, d: &Directive) -> Result<(), Refusal> {
    let mut called = None;
    visit_stmts(&k.body, &mut |s| {
        if let Stmt::Intrin(c) = s {
            called.get_or_insert(c.intrinsic.name.clone());
        }
    });
    match called {
        Some(intrinsic) if !d.primitive.is_about_loops() => {
            Err(Refusal::Intrinsic { directive: d.primitive.name(), intrinsic })
        }
        _ => Ok(()),
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

    fn buffer(&self, t: tcc_ir::TensorId) -> String {
        self.0.buffers.get(t).map_or_else(|| t.to_string(), |b| b.name.clone())
    }

    fn show(&self, e: &tcc_ir::int::IntExpr) -> impl fmt::Display {
        tcc_ir::int::display(e, &tcc_ir::kernel::KernelNames(self.0)).to_string()
    }
}
