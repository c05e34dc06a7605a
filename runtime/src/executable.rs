//! Executables: checks at the call, memory, kernels in order.

use crate::buffer::Buffer;
use crate::call::{Call, Failure};
use crate::loader::{Code, MappedCode};
use crate::place::Place;
use crate::plan::{Plan, Plans};
use crate::pool::{Arena, Pool};
use crate::prepared::{Preparation, Prepared};
use crate::resolve::{Given, check_types};
use crate::tensor::{byte_count, is_dense};
use crate::threads::{Executor, Threads};
use crate::watch::Watch;
use crate::{LoadError, RunError, Tensor, TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tcc_abi::{Argument, ErrorRecord, Image, SizeSource, Status, TensorRole, TensorSpec};

/// The tensors of a call.
type Places = SmallVec<[Place; 4]>;

/// A compiled function.
pub struct Executable {
    image: Image,
    code: Box<dyn Code>,
    pool: Pool,
    plans: Plans,
    /// Whose threads help; without one those of the process.
    executor: Option<Arc<dyn Executor>>,
}

/// What a call may take; nothing is limited by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Wall-clock time of the call.
    pub time: Option<Duration>,
    /// Bytes of results and temporaries.
    pub memory: Option<u64>,
}

/// How a call runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions<'a> {
    /// Sizes by name: those that no input shows, or others as a check.
    pub sizes: &'a [(&'a str, i64)],
    /// What the call may take.
    pub budget: Budget,
    /// How many threads may work on the call, the caller's included; without a number as many as
    /// the executor has, which is one for each core. Results are the same to the bit for all.
    pub threads: Option<NonZeroUsize>,
}

/// An executable with its `param` inputs, and with all that follows from them alone.
pub struct Bound<'e, 'p> {
    executable: &'e Executable,
    params: Vec<Option<TensorView<'p>>>,
    prepared: Option<Prepared>,
}

impl Executable {
    /// Loads an image: maps its code.
    pub fn load(image: Image) -> Result<Executable, LoadError> {
        let code = MappedCode::map(&image.code)?;
        Executable::with_code(image, Box::new(code))
    }

    /// An image whose code is in memory already.
    pub fn with_code(image: Image, code: Box<dyn Code>) -> Result<Executable, LoadError> {
        for step in &image.steps {
            let fits = step.arguments.iter().all(|a| match a {
                Argument::Input(k) => (*k as usize) < image.inputs.len(),
                Argument::Output(k) => (*k as usize) < image.outputs.len(),
                Argument::Buffer(k) => (*k as usize) < image.buffers.len(),
            });
            let conditions = step.when.iter().flat_map(|c| &c.arguments);
            let known = conditions.into_iter().all(|k| (*k as usize) < step.arguments.len())
                && step.results as usize <= step.arguments.len();
            if !fits || !known || code.kernel(step.kernel as usize).is_none() {
                return Err(LoadError::Damaged("a call names what the image does not hold"));
            }
        }
        Ok(Executable {
            image,
            code,
            pool: Pool::default(),
            plans: Plans::default(),
            executor: None,
        })
    }

    /// Has calls run on these threads instead of those of the process, [`Threads::global`].
    #[must_use]
    pub fn with_executor(mut self, executor: Arc<dyn Executor>) -> Executable {
        self.executor = Some(executor);
        self
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.image.name
    }

    /// Inputs in order, `inout` parameters among them.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.image.inputs
    }

    /// Results in order.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.image.outputs
    }

    /// Names of the sizes.
    pub fn sizes(&self) -> &[String] {
        &self.image.sizes
    }

    /// Sizes that no input shows: the caller names their values.
    pub fn free_sizes(&self) -> Vec<&str> {
        let free = self.image.sources.iter().filter_map(|s| match s {
            SizeSource::Argument { size } => self.image.sizes.get(*size as usize),
            SizeSource::Extent { .. } => None,
        });
        free.map(String::as_str).collect()
    }

    /// Runs on all inputs in order. Gives the results in order, then the new values of `inout`
    /// parameters, whose inputs stay as they are.
    pub fn run(&self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, RunError> {
        self.run_with(inputs, &CallOptions::default())
    }

    /// As [`Executable::run`], with sizes and a budget.
    pub fn run_with(
        &self,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, RunError> {
        self.run_after(None, inputs, options)
    }

    fn run_after(
        &self,
        prepared: Option<&Prepared>,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, RunError> {
        self.expect_inputs(inputs.len(), &|_| true)?;
        let started = Started::now(options);
        for (spec, v) in self.image.inputs.iter().zip(inputs) {
            check_layout(spec, v.shape(), v.strides())?;
        }
        let given: SmallVec<[Given<'_>; 8]> =
            inputs.iter().map(|v| (v.dtype(), v.shape())).collect();
        let (plan, prepared) = self.plan(prepared, &given, options)?;
        let mut needed = plan.memory(self.threads(options)) as u64;
        for (spec, shape) in self.image.outputs.iter().zip(&plan.outputs) {
            needed = needed.saturating_add(byte_count(spec.dtype, shape)? as u64);
        }
        for (_, v) in self.inouts(inputs) {
            needed = needed.saturating_add(byte_count(v.dtype(), v.shape())? as u64);
        }
        check_memory(needed, options.budget)?;
        let mut results = Vec::with_capacity(plan.outputs.len());
        for (spec, shape) in self.image.outputs.iter().zip(&plan.outputs) {
            results.push(Tensor::zeros(spec.dtype, shape)?);
        }
        let mut updated = Vec::new();
        for (_, v) in self.inouts(inputs) {
            updated.push(v.to_tensor()?);
        }
        let mut sources: Places = inputs.iter().map(Place::read).collect();
        for ((k, _), t) in self.inouts(inputs).zip(&mut updated) {
            if let Some(slot) = sources.get_mut(k) {
                *slot = Place::written(&mut t.view_mut());
            }
        }
        let targets: Places =
            results.iter_mut().map(|t| Place::written(&mut t.view_mut())).collect();
        self.execute((&plan, prepared), (&sources, &targets), options, &started)?;
        results.append(&mut updated);
        Ok(results)
    }

    /// Runs into the caller's memory. `inputs` are those that are not `inout`, `outputs` the
    /// results and then the `inout` tensors, which hold their old values.
    pub fn run_into(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), RunError> {
        self.run_into_after(None, inputs, outputs, options)
    }

    fn run_into_after(
        &self,
        prepared: Option<&Prepared>,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), RunError> {
        let started = Started::now(options);
        let is_inout = |s: &&TensorSpec| s.role == TensorRole::Inout;
        self.expect_inputs(inputs.len(), &|s| s.role != TensorRole::Inout)?;
        let results = self.image.outputs.len();
        let expected = results + self.image.inputs.iter().filter(is_inout).count();
        if outputs.len() != expected {
            return Err(RunError::Arity {
                expected: format!("{expected} tensors to write"),
                found: outputs.len(),
            });
        }
        let (targets, updated) = outputs.split_at_mut(results);
        for (spec, v) in self.image.outputs.iter().zip(targets.iter()) {
            check_layout(spec, v.shape(), v.strides())?;
        }
        let (plan, prepared) = {
            let mut given: SmallVec<[Given<'_>; 8]> = SmallVec::new();
            let (mut reads, mut updates) = (inputs.iter(), updated.iter());
            for spec in &self.image.inputs {
                if spec.role == TensorRole::Inout {
                    given.extend(updates.next().map(|v| (v.dtype(), v.shape())));
                } else {
                    given.extend(reads.next().map(|v| (v.dtype(), v.shape())));
                }
            }
            self.plan(prepared, &given, options)?
        };
        for ((spec, view), shape) in
            self.image.outputs.iter().zip(targets.iter()).zip(&plan.outputs)
        {
            check_target(spec, view, shape)?;
        }
        check_memory(plan.memory(self.threads(options)) as u64, options.budget)?;
        let (mut reads, mut updates) = (inputs.iter(), updated.iter_mut());
        let mut sources = Places::new();
        for spec in &self.image.inputs {
            if spec.role == TensorRole::Inout {
                if let Some(v) = updates.next() {
                    check_layout(spec, v.shape(), v.strides())?;
                    sources.push(Place::written(v));
                }
            } else if let Some(v) = reads.next() {
                check_layout(spec, v.shape(), v.strides())?;
                sources.push(Place::read(v));
            }
        }
        let targets: Places = targets.iter_mut().map(Place::written).collect();
        self.execute((&plan, prepared), (&sources, &targets), options, &started)
    }

    /// Fixes the `param` inputs by name; a run then takes the others.
    ///
    /// What depends on params alone is computed here, once, as far as its sizes follow from them.
    pub fn bind<'p>(&self, params: &[(&str, TensorView<'p>)]) -> Result<Bound<'_, 'p>, RunError> {
        self.bind_with(params, &CallOptions::default())
    }

    /// As [`Executable::bind`], with the values of sizes that no input shows.
    pub fn bind_with<'p>(
        &self,
        params: &[(&str, TensorView<'p>)],
        options: &CallOptions<'_>,
    ) -> Result<Bound<'_, 'p>, RunError> {
        let mut bound: Vec<Option<TensorView<'p>>> = vec![None; self.image.inputs.len()];
        let is_param = |s: &TensorSpec| s.role == TensorRole::Param;
        for (name, view) in params {
            let slot = self.image.inputs.iter().position(|s| s.name == *name && is_param(s));
            match slot.and_then(|k| bound.get_mut(k)) {
                Some(slot) => *slot = Some(view.clone()),
                None => {
                    return Err(RunError::Shape(format!(
                        "`{name}` is no `param` of `{}`",
                        self.name()
                    )));
                }
            }
        }
        for (spec, slot) in self.image.inputs.iter().zip(&bound) {
            if is_param(spec) && slot.is_none() {
                return Err(RunError::Shape(format!("the param `{}` is not bound", spec.name)));
            }
            if let Some(v) = slot
                && (v.dtype() != spec.dtype || v.shape().len() != spec.shape.len())
            {
                return Err(RunError::Shape(format!(
                    "`{}` is {}{:?}, expected {}[{}]",
                    spec.name,
                    v.dtype(),
                    v.shape(),
                    spec.dtype,
                    spec.shape_text.join(", ")
                )));
            }
        }
        let prepared = self.prepare(&bound, options)?;
        Ok(Bound { executable: self, params: bound, prepared })
    }

    /// Runs the steps that depend on params alone and whose sizes are known.
    fn prepare(
        &self,
        params: &[Option<TensorView<'_>>],
        options: &CallOptions<'_>,
    ) -> Result<Option<Prepared>, RunError> {
        let started = Started::now(options);
        for (spec, v) in self.image.inputs.iter().zip(params) {
            if let Some(v) = v {
                check_layout(spec, v.shape(), v.strides())?;
            }
        }
        let Some(ready) = Preparation::new(&self.image, params, options.sizes)? else {
            return Ok(None);
        };
        let threads = self.threads(options);
        let bytes = ready.plan.memory(threads);
        check_memory(bytes as u64, options.budget)?;
        let mut memory = Buffer::zeroed(bytes)?;
        let place = |v: &Option<TensorView<'_>>| v.as_ref().map_or_else(Place::absent, Place::read);
        let inputs: Places = params.iter().map(place).collect();
        let watch = options.budget.time.map(Watch::new);
        let call = Call {
            code: &*self.code,
            plan: &ready.plan,
            inputs: &inputs,
            outputs: &[],
            memory: memory.as_mut_ptr(),
            cancel: watch.as_ref().map_or_else(Watch::never, Watch::flag),
            prepared: None,
            threads,
            executor: self.executor(),
        };
        let steps = self.image.steps.iter().zip(&ready.plan.steps).enumerate();
        for (_, (step, sized)) in steps.filter(|(k, _)| ready.runs(*k)) {
            started.check()?;
            call.step(step, sized).map_err(|f| self.explain(&f, options.budget))?;
        }
        Ok(Some(ready.done(memory)))
    }

    fn expect_inputs(
        &self,
        found: usize,
        wanted: &dyn Fn(&TensorSpec) -> bool,
    ) -> Result<(), RunError> {
        let wanted_inputs = || self.image.inputs.iter().filter(|s| wanted(s));
        if wanted_inputs().count() == found {
            return Ok(());
        }
        let names: Vec<String> = wanted_inputs().map(|s| format!("`{}`", s.name)).collect();
        let plural = if names.len() == 1 { "" } else { "s" };
        let list =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        Err(RunError::Arity { expected: format!("{} input{plural}{list}", names.len()), found })
    }

    /// The plan of a call, and what it can use of what was prepared.
    fn plan<'b>(
        &self,
        prepared: Option<&'b Prepared>,
        given: &[Given<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(Arc<Plan>, Option<&'b Prepared>), RunError> {
        check_types(&self.image, given)?;
        if let Some(p) = prepared {
            let rest = |k: usize| !p.holds(k);
            let plan = p.plans.get(&self.image, given, options.sizes, &rest)?;
            if p.fits(&plan.sizes) {
                return Ok((plan, prepared));
            }
        }
        Ok((self.plans.get(&self.image, given, options.sizes, &|_| true)?, None))
    }

    fn executor(&self) -> &dyn Executor {
        self.executor.as_deref().unwrap_or_else(|| &**Threads::global())
    }

    /// How many threads may work on a call.
    fn threads(&self, options: &CallOptions<'_>) -> usize {
        options.threads.map_or_else(|| self.executor().threads(), NonZeroUsize::get).max(1)
    }

    fn inouts<'v, 'a>(
        &'v self,
        inputs: &'v [TensorView<'a>],
    ) -> impl Iterator<Item = (usize, &'v TensorView<'a>)> {
        let specs = self.image.inputs.iter().zip(inputs).enumerate();
        specs.filter(|(_, (s, _))| s.role == TensorRole::Inout).map(|(k, (_, v))| (k, v))
    }

    fn execute(
        &self,
        (plan, prepared): (&Plan, Option<&Prepared>),
        (inputs, outputs): (&[Place], &[Place]),
        options: &CallOptions<'_>,
        started: &Started,
    ) -> Result<(), RunError> {
        let threads = self.threads(options);
        let bytes = plan.memory(threads);
        let mut memory = if bytes == 0 { None } else { Some(self.pool.take(bytes)?) };
        let watch = options.budget.time.map(Watch::new);
        let call = Call {
            code: &*self.code,
            plan,
            inputs,
            outputs,
            memory: memory.as_mut().map_or(std::ptr::null_mut(), Arena::start),
            cancel: watch.as_ref().map_or_else(Watch::never, Watch::flag),
            prepared,
            threads,
            executor: self.executor(),
        };
        for (k, (step, sized)) in self.image.steps.iter().zip(&plan.steps).enumerate() {
            if prepared.is_some_and(|p| p.has_run(k)) {
                continue;
            }
            started.check()?;
            call.step(step, sized).map_err(|f| self.explain(&f, options.budget))?;
        }
        Ok(())
    }

    fn explain(&self, failure: &Failure, budget: Budget) -> RunError {
        let e = &failure.record;
        let site = self.image.sites.get(e.site as usize);
        let what = site.map_or("a kernel", |s| s.what.as_str());
        match Status::from_code(failure.status) {
            Some(Status::Index) => {
                let mut message =
                    format!("subscript {} of {what} is not in 0..{}", e.value, e.bound);
                let vars = site.map_or(&[][..], |s| s.vars.as_slice());
                let used = (e.rank as usize).min(ErrorRecord::MAX_POSITION);
                for (k, (name, value)) in vars.iter().zip(e.position.iter().take(used)).enumerate()
                {
                    let before = if k == 0 { ", at" } else { "," };
                    message.push_str(&format!("{before} {name} = {value}"));
                }
                RunError::Index(message)
            }
            Some(Status::Diverge) => {
                RunError::Diverge(format!("the fixpoint of {what} did not converge"))
            }
            Some(Status::Division) => {
                RunError::Division(format!("an integer is divided by zero in {what}"))
            }
            Some(Status::Cancelled) => RunError::Time(budget.time.unwrap_or_default()),
            Some(Status::Ok) | None => {
                RunError::Damaged(format!("a kernel answered {}", failure.status))
            }
        }
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executable({})", self.image.name)
    }
}

impl Bound<'_, '_> {
    /// Runs on the inputs that are no `param`s, in order.
    pub fn run(
        &self,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, RunError> {
        self.executable.expect_inputs(inputs.len(), &|s| s.role != TensorRole::Param)?;
        let mut rest = inputs.iter().cloned();
        let all: Vec<TensorView<'_>> =
            self.params.iter().filter_map(|p| p.clone().or_else(|| rest.next())).collect();
        self.executable.run_after(self.prepared.as_ref(), &all, options)
    }

    /// Runs into the caller's memory on the inputs that are neither `param` nor `inout`, in order;
    /// `outputs` are as for [`Executable::run_into`].
    pub fn run_into(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), RunError> {
        let given = |s: &TensorSpec| !matches!(s.role, TensorRole::Param | TensorRole::Inout);
        self.executable.expect_inputs(inputs.len(), &given)?;
        let mut rest = inputs.iter().cloned();
        let read = self.executable.image.inputs.iter().zip(&self.params);
        let read = read.filter(|(s, _)| s.role != TensorRole::Inout);
        let all: SmallVec<[TensorView<'_>; 4]> =
            read.filter_map(|(_, p)| p.clone().or_else(|| rest.next())).collect();
        self.executable.run_into_after(self.prepared.as_ref(), &all, outputs, options)
    }
}

/// When a call with a time limit began.
struct Started(Option<(Instant, Duration)>);

impl Started {
    fn now(options: &CallOptions<'_>) -> Started {
        Started(options.budget.time.map(|limit| (Instant::now(), limit)))
    }

    fn check(&self) -> Result<(), RunError> {
        match self.0 {
            Some((began, limit)) if began.elapsed() > limit => Err(RunError::Time(limit)),
            _ => Ok(()),
        }
    }
}

/// The caller's memory for a result has its element type and shape.
fn check_target(
    spec: &TensorSpec,
    view: &TensorViewMut<'_>,
    shape: &[usize],
) -> Result<(), RunError> {
    if view.dtype() == spec.dtype && view.shape() == shape {
        return Ok(());
    }
    Err(RunError::Shape(format!(
        "the result `{}` is {}{:?}, expected {}[{}] = {shape:?}",
        spec.name,
        view.dtype(),
        view.shape(),
        spec.dtype,
        spec.shape_text.join(", ")
    )))
}

/// Code that was not compiled for strides gets row-major memory only.
fn check_layout(spec: &TensorSpec, shape: &[usize], strides: &[i64]) -> Result<(), RunError> {
    if spec.strided || is_dense(shape, strides) {
        return Ok(());
    }
    Err(RunError::Shape(format!(
        "`{}` has strides {strides:?}; this code takes row-major tensors only",
        spec.name
    )))
}

fn check_memory(needed: u64, budget: Budget) -> Result<(), RunError> {
    match budget.memory {
        Some(allowed) if needed > allowed => Err(RunError::Memory { needed, allowed }),
        _ => Ok(()),
    }
}
