//! What a bound executable computes once: the steps that depend on its params alone.
//!
//! Such a step runs when the executable is bound if its sizes follow from the params, or are named
//! by the caller and follow from no input. Every fact about those sizes is checked first, because
//! kernels rely on them; a size that shares a fact with an unknown one counts as unknown. Steps
//! that cannot run yet run in each call.

use crate::buffer::Buffer;
use crate::layout::Layout;
use crate::plan::{Plan, Plans, StepPlan};
use crate::resolve::Named;
use crate::{RunError, TensorView};
use tcc_abi::{Argument, Image, SizeExpr, SizeOp, SizeSource};

/// Buffers with their contents.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The values of the sizes that the steps used.
    sizes: Vec<Option<i64>>,
    /// For each step whether it has run.
    steps: Vec<bool>,
    /// For each buffer whether it is here.
    buffers: Vec<bool>,
    offsets: Vec<usize>,
    memory: Buffer,
    /// Plans of calls, whose arenas leave these buffers out.
    pub(crate) plans: Plans,
}

/// Which steps can run, with the numbers that they need.
pub(crate) struct Preparation {
    sizes: Vec<Option<i64>>,
    steps: Vec<bool>,
    buffers: Vec<bool>,
    /// A plan of these steps alone.
    pub(crate) plan: Plan,
}

impl Preparation {
    /// `None` if no step can run.
    pub(crate) fn new(
        image: &Image,
        params: &[Option<TensorView<'_>>],
        named: Named<'_>,
    ) -> Result<Option<Preparation>, RunError> {
        let Some(sizes) = known_sizes(image, params, named) else { return Ok(None) };
        let steps = runnable(image, &sizes);
        if !steps.contains(&true) {
            return Ok(None);
        }
        let mut buffers = vec![false; image.buffers.len()];
        let mut specs = image.buffers.clone();
        for (step, runs) in image.steps.iter().zip(&steps) {
            for k in step.arguments.iter().filter_map(buffer) {
                if let (Some(here), Some(spec)) = (buffers.get_mut(k), specs.get_mut(k)) {
                    *here |= runs;
                    // What other steps read stays; what they take over has no place here.
                    if !runs {
                        spec.last = u32::MAX;
                    }
                }
            }
        }
        let kept: Vec<u32> =
            (0..).zip(&specs).filter(|(_, s)| s.last == u32::MAX).map(|(k, _)| k).collect();
        for spec in &mut specs {
            spec.replaces = spec.replaces.filter(|k| !kept.contains(k));
        }
        let values: Vec<i64> = sizes.iter().map(|s| s.unwrap_or(0)).collect();
        let layout = Layout::new(&specs, &values, &|k| buffers.get(k) == Some(&true))?;
        let mut plans = Vec::with_capacity(image.steps.len());
        for (step, runs) in image.steps.iter().zip(&steps) {
            plans.push(if *runs { StepPlan::new(step, &values)? } else { StepPlan::default() });
        }
        let plan = Plan::of_steps(values, layout, plans);
        Ok(Some(Preparation { sizes, steps, buffers, plan }))
    }

    pub(crate) fn runs(&self, step: usize) -> bool {
        self.steps.get(step) == Some(&true)
    }

    /// The result, once the steps have run on the memory.
    pub(crate) fn done(self, memory: Buffer) -> Prepared {
        let Preparation { sizes, steps, buffers, plan } = self;
        let (offsets, plans) = (plan.offsets, Plans::default());
        Prepared { sizes, steps, buffers, offsets, memory, plans }
    }
}

impl Prepared {
    pub(crate) fn has_run(&self, step: usize) -> bool {
        self.steps.get(step) == Some(&true)
    }

    pub(crate) fn holds(&self, buffer: usize) -> bool {
        self.buffers.get(buffer) == Some(&true)
    }

    /// Where a buffer lies, if it is here.
    pub(crate) fn address(&self, buffer: usize) -> Option<*const u8> {
        let offset = self.offsets.get(buffer).filter(|_| self.holds(buffer))?;
        Some(self.memory.as_ptr().wrapping_add(*offset))
    }

    /// True if a call has the sizes that the steps used.
    pub(crate) fn fits(&self, sizes: &[i64]) -> bool {
        self.sizes.iter().zip(sizes).all(|(own, s)| own.is_none_or(|own| own == *s))
    }
}

fn buffer(a: &Argument) -> Option<usize> {
    match a {
        Argument::Buffer(k) => Some(*k as usize),
        Argument::Input(_) | Argument::Output(_) => None,
    }
}

/// The sizes that an expression mentions.
fn mentioned(e: &SizeExpr) -> impl Iterator<Item = usize> + '_ {
    e.0.iter().filter_map(|op| match op {
        SizeOp::Size(k) => Some(*k as usize),
        _ => None,
    })
}

/// The value of an expression whose sizes are known.
fn value(e: &SizeExpr, sizes: &[Option<i64>]) -> Option<i64> {
    let known = mentioned(e).all(|k| sizes.get(k).copied().flatten().is_some());
    let values: Vec<i64> = sizes.iter().map(|s| s.unwrap_or(0)).collect();
    if known { e.eval(&values).ok() } else { None }
}

/// The one unknown size of an extent, with the value that makes it `n`, if it is linear in it. A
/// call with another value does without what was prepared.
fn solve(e: &SizeExpr, n: usize, sizes: &[Option<i64>]) -> Option<(usize, i64)> {
    let unknown = |k: &usize| sizes.get(*k).copied().flatten().is_none();
    let k = mentioned(e).find(unknown)?;
    let at = |x: i64| {
        let mut values = sizes.to_vec();
        *values.get_mut(k)? = Some(x);
        value(e, &values)
    };
    let (first, second, third) = (at(0)?, at(1)?, at(2)?);
    let step = second.checked_sub(first)?;
    let rest = i64::try_from(n).ok()?.checked_sub(first)?;
    let linear = step != 0 && third.checked_sub(second)? == step && rest % step == 0;
    linear.then(|| (k, rest / step))
}

/// The sizes that kernels can rely on; `None` if a call must fail, which it says better.
fn known_sizes(
    image: &Image,
    params: &[Option<TensorView<'_>>],
    named: Named<'_>,
) -> Option<Vec<Option<i64>>> {
    let mut sizes: Vec<Option<i64>> = vec![None; image.sizes.len()];
    for source in &image.sources {
        if let SizeSource::Argument { size } = source {
            let name = image.sizes.get(*size as usize)?;
            let given = named.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
            *sizes.get_mut(*size as usize)? = given;
        }
    }
    let axes = || {
        let views = image.inputs.iter().zip(params).filter_map(|(s, v)| Some((s, v.as_ref()?)));
        views.flat_map(|(s, v)| s.shape.iter().zip(v.shape()))
    };
    loop {
        let before = sizes.iter().flatten().count();
        for (e, n) in axes() {
            if let Some((k, found)) = solve(e, *n, &sizes) {
                *sizes.get_mut(k)? = Some(found);
            }
        }
        if sizes.iter().flatten().count() == before {
            break;
        }
    }
    if sizes.iter().flatten().any(|v| *v < 0) {
        return None;
    }
    for (e, n) in axes() {
        if value(e, &sizes).is_some_and(|v| usize::try_from(v) != Ok(*n)) {
            return None;
        }
    }
    // Facts about unknown sizes may bear on known ones.
    loop {
        let before = sizes.iter().flatten().count();
        for fact in &image.facts {
            match value(&fact.value, &sizes) {
                Some(v) if v >= 0 => {}
                _ => {
                    for k in mentioned(&fact.value) {
                        *sizes.get_mut(k)? = None;
                    }
                }
            }
        }
        if sizes.iter().flatten().count() == before {
            return Some(sizes);
        }
    }
}

/// The steps that can run: their sizes are known, and so is all that they read.
fn runnable(image: &Image, sizes: &[Option<i64>]) -> Vec<bool> {
    let known = |k: &u32| sizes.get(*k as usize).copied().flatten().is_some();
    let mut steps: Vec<bool> = image
        .steps
        .iter()
        .map(|s| s.prepare.as_ref().is_some_and(|p| p.sizes.iter().all(known)))
        .collect();
    loop {
        // Buffers that a step writes in each call.
        let mut open = vec![false; image.buffers.len()];
        for (step, _) in image.steps.iter().zip(&steps).filter(|(_, runs)| !**runs) {
            let results = step.arguments.iter().skip(step.arguments.len() - step.results as usize);
            for k in results.filter_map(buffer) {
                if let Some(slot) = open.get_mut(k) {
                    *slot = true;
                }
            }
        }
        let mut changed = false;
        for (step, runs) in image.steps.iter().zip(&mut steps) {
            let waits =
                step.arguments.iter().filter_map(buffer).any(|k| open.get(k) == Some(&true));
            changed |= *runs && waits;
            *runs &= !waits;
        }
        if !changed {
            return steps;
        }
    }
}
