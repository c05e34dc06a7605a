//! What a call does at given shapes: sizes, places in memory, pieces of work.
//!
//! A plan depends on the shapes of the inputs and on named sizes only. Those of recent calls are
//! kept, because finding one takes longer than a small kernel.

use crate::RunError;
use crate::layout::Layout;
use crate::resolve::{Extents, Given, Named, eval, extents, resolve};
use std::sync::{Arc, Mutex, PoisonError};
use tcc_abi::{Image, SCRATCH_ALIGNMENT, SizeExpr, Step};

/// Work below this many nanoseconds is done by the caller alone: waking others would take as long.
const SHARED: f64 = 20_000.0;
/// At most this many plans are kept.
const KEPT: usize = 8;

/// A call's numbers.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The shapes and named sizes that it is for.
    key: Key,
    /// The value of each size.
    pub(crate) sizes: Vec<i64>,
    /// Shapes of the results.
    pub(crate) outputs: Vec<Extents>,
    /// Byte offset of each buffer in the arena.
    pub(crate) offsets: Vec<usize>,
    /// Bytes of the arena.
    pub(crate) arena: usize,
    /// Each step of the image.
    pub(crate) steps: Vec<StepPlan>,
}

/// A step at the sizes of a call.
#[derive(Debug, Default)]
pub(crate) struct StepPlan {
    /// Bytes that each thread needs for buffers of the kernel.
    pub(crate) scratch: usize,
    /// Iterations that may be shared out.
    pub(crate) iterations: i64,
    /// Nanoseconds that they take on one thread.
    pub(crate) work: f64,
}

#[derive(Debug, Default, PartialEq)]
struct Key {
    shapes: Vec<Extents>,
    named: Vec<(String, i64)>,
}

impl StepPlan {
    pub(crate) fn new(step: &Step, sizes: &[i64]) -> Result<StepPlan, RunError> {
        let scratch = bytes(&step.scratch, sizes, "scratch")?;
        Ok(match &step.parallel {
            None => StepPlan { scratch, iterations: 0, work: 0.0 },
            // Iterations beyond counting are those of a nest with an empty loop.
            Some(nest) => StepPlan {
                scratch,
                iterations: nest.iterations.eval(sizes).unwrap_or(0),
                work: nest.work.eval(sizes),
            },
        })
    }

    /// How many threads are to work on the step where `limit` may.
    pub(crate) fn threads(&self, limit: usize) -> usize {
        if self.work < SHARED || limit < 2 {
            return 1;
        }
        // A thread is worth waking for half of what makes sharing worth it.
        let worth = (self.work / (SHARED / 2.0)) as usize;
        limit.min(worth).min(usize::try_from(self.iterations).unwrap_or(usize::MAX)).max(1)
    }

    /// Bytes of one thread's part of the scratch memory.
    pub(crate) fn stride(&self) -> usize {
        self.scratch.checked_next_multiple_of(SCRATCH_ALIGNMENT as usize).unwrap_or(usize::MAX)
    }
}

impl Plan {
    /// A plan of some steps, not of a call.
    pub(crate) fn of_steps(sizes: Vec<i64>, layout: Layout, steps: Vec<StepPlan>) -> Plan {
        let (offsets, arena) = (layout.offsets, layout.bytes);
        Plan { key: Key::default(), sizes, outputs: Vec::new(), offsets, arena, steps }
    }

    fn new(
        image: &Image,
        given: &[Given<'_>],
        named: Named<'_>,
        placed: &dyn Fn(usize) -> bool,
    ) -> Result<Plan, RunError> {
        let sizes = resolve(image, given, named)?;
        let mut plan = Plan {
            key: Key {
                shapes: given.iter().map(|(_, shape)| Extents::from(*shape)).collect(),
                named: named.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
            },
            sizes,
            outputs: Vec::with_capacity(image.outputs.len()),
            offsets: Vec::new(),
            arena: 0,
            steps: Vec::with_capacity(image.steps.len()),
        };
        for spec in &image.outputs {
            plan.outputs.push(extents(spec, &plan.sizes)?);
        }
        let layout = Layout::new(&image.buffers, &plan.sizes, placed)?;
        (plan.offsets, plan.arena) = (layout.offsets, layout.bytes);
        for step in &image.steps {
            plan.steps.push(StepPlan::new(step, &plan.sizes)?);
        }
        Ok(plan)
    }

    /// Bytes of temporaries where `limit` threads may work: the arena, and after it the buffers of
    /// kernels, for each thread.
    pub(crate) fn memory(&self, limit: usize) -> usize {
        let scratch = |s: &StepPlan| match s.scratch {
            0 => 0,
            _ => s.stride().saturating_mul(s.threads(limit)),
        };
        let scratch = self.steps.iter().map(scratch).max().unwrap_or(0);
        if scratch == 0 { self.arena } else { self.scratch_start().saturating_add(scratch) }
    }

    /// Where the scratch memory begins in the block that [`Plan::memory`] measures.
    pub(crate) fn scratch_start(&self) -> usize {
        self.arena.checked_next_multiple_of(SCRATCH_ALIGNMENT as usize).unwrap_or(usize::MAX)
    }
}

/// A number of bytes, which an image never makes negative.
fn bytes(e: &SizeExpr, sizes: &[i64], name: &str) -> Result<usize, RunError> {
    let value = eval(e, sizes)?;
    let negative = |_| RunError::Damaged(format!("`{name}` has a negative place"));
    usize::try_from(value).map_err(negative)
}

/// Plans of recent calls, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    recent: Mutex<Vec<Arc<Plan>>>,
}

impl Plans {
    /// The plan of a call with inputs of these shapes, whose types and ranks were checked. The
    /// arena has room for the buffers that are `placed`, the same ones in each call.
    pub(crate) fn get(
        &self,
        image: &Image,
        given: &[Given<'_>],
        named: Named<'_>,
        placed: &dyn Fn(usize) -> bool,
    ) -> Result<Arc<Plan>, RunError> {
        let fits = |p: &Arc<Plan>| p.key.fits(given, named);
        {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(plan) = recent.iter().find(|p| fits(p)) {
                return Ok(Arc::clone(plan));
            }
        }
        let plan = Arc::new(Plan::new(image, given, named, placed)?);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT - 1);
        recent.insert(0, Arc::clone(&plan));
        Ok(plan)
    }
}

impl Key {
    fn fits(&self, given: &[Given<'_>], named: Named<'_>) -> bool {
        let shapes = self.shapes.iter().map(Extents::as_slice);
        let sizes = self.named.iter().map(|(n, v)| (n.as_str(), *v));
        shapes.eq(given.iter().map(|(_, shape)| *shape)) && sizes.eq(named.iter().copied())
    }
}
