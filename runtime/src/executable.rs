//! Executables: checks at the call, memory, kernels in order.

use crate::loader::{Code, MappedCode};
use crate::pool::Pool;
use crate::resolve::{Extents, Given, Resolved, extents, resolve};
use crate::tensor::{byte_count, is_dense};
use crate::watch::Watch;
use crate::{LoadError, RunError, Tensor, TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::time::{Duration, Instant};
use tcc_abi::{
    Argument, ErrorRecord, Image, KernelCall, SizeSource, Status, TensorRole, TensorSpec,
};

/// A compiled function.
pub struct Executable {
    image: Image,
    code: Box<dyn Code>,
    pool: Pool,
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
}

/// An executable with its `param` inputs.
pub struct Bound<'e, 'p> {
    executable: &'e Executable,
    params: Vec<Option<TensorView<'p>>>,
}

/// A tensor as kernels see it.
struct Place {
    start: *mut u8,
    /// 1 if row-major without gaps, then the strides.
    strides: SmallVec<[i64; 7]>,
}

impl Place {
    fn new(start: *mut u8, shape: &[usize], strides: &[i64]) -> Place {
        let dense = i64::from(is_dense(shape, strides));
        Place { start, strides: std::iter::once(dense).chain(strides.iter().copied()).collect() }
    }
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
            if !fits || code.kernel(step.kernel as usize).is_none() {
                return Err(LoadError::Damaged("a call names what the image does not hold"));
            }
        }
        Ok(Executable { image, code, pool: Pool::default() })
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
        self.expect_inputs(inputs.len(), &|_| true)?;
        let started = Instant::now();
        for (spec, v) in self.image.inputs.iter().zip(inputs) {
            check_layout(spec, v.shape(), v.strides())?;
        }
        let given: SmallVec<[Given<'_>; 8]> =
            inputs.iter().map(|v| (v.dtype(), v.shape())).collect();
        let resolved = resolve(&self.image, &given, options.sizes)?;
        let shapes = self.output_shapes(&resolved)?;
        let mut needed = resolved.memory() as u64;
        for (spec, shape) in self.image.outputs.iter().zip(&shapes) {
            needed += byte_count(spec.dtype, shape)? as u64;
        }
        for (_, v) in self.inouts(inputs) {
            needed += byte_count(v.dtype(), v.shape())? as u64;
        }
        check_memory(needed, options.budget)?;
        let mut results = Vec::with_capacity(shapes.len());
        for (spec, shape) in self.image.outputs.iter().zip(&shapes) {
            results.push(Tensor::zeros(spec.dtype, shape)?);
        }
        let mut updated = Vec::new();
        for (_, v) in self.inouts(inputs) {
            updated.push(v.to_tensor()?);
        }
        let mut sources = inputs.iter().map(place).collect::<Vec<_>>();
        for ((k, _), t) in self.inouts(inputs).zip(&mut updated) {
            if let Some(slot) = sources.get_mut(k) {
                *slot = place_mut(&mut t.view_mut());
            }
        }
        let targets: Vec<Place> =
            results.iter_mut().map(|t| place_mut(&mut t.view_mut())).collect();
        self.execute(&resolved, &sources, &targets, options.budget, started)?;
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
        let started = Instant::now();
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
        let resolved = {
            let mut given: SmallVec<[Given<'_>; 8]> = SmallVec::new();
            let (mut reads, mut updates) = (inputs.iter(), updated.iter());
            for spec in &self.image.inputs {
                if spec.role == TensorRole::Inout {
                    given.extend(updates.next().map(|v| (v.dtype(), v.shape())));
                } else {
                    given.extend(reads.next().map(|v| (v.dtype(), v.shape())));
                }
            }
            resolve(&self.image, &given, options.sizes)?
        };
        for ((spec, view), shape) in
            self.image.outputs.iter().zip(targets.iter()).zip(self.output_shapes(&resolved)?)
        {
            if view.dtype() != spec.dtype || view.shape() != shape.as_slice() {
                return Err(RunError::Shape(format!(
                    "the result `{}` is {}{:?}, expected {}[{}] = {shape:?}",
                    spec.name,
                    view.dtype(),
                    view.shape(),
                    spec.dtype,
                    spec.shape_text.join(", ")
                )));
            }
        }
        check_memory(resolved.memory() as u64, options.budget)?;
        let (mut reads, mut updates) = (inputs.iter(), updated.iter_mut());
        let mut sources = Vec::with_capacity(self.image.inputs.len());
        for spec in &self.image.inputs {
            if spec.role == TensorRole::Inout {
                if let Some(v) = updates.next() {
                    check_layout(spec, v.shape(), v.strides())?;
                    sources.push(place_mut(v));
                }
            } else {
                if let Some(v) = reads.next() {
                    check_layout(spec, v.shape(), v.strides())?;
                    sources.push(place(v));
                }
            }
        }
        let targets: Vec<Place> = targets.iter_mut().map(place_mut).collect();
        self.execute(&resolved, &sources, &targets, options.budget, started)
    }

    /// Fixes the `param` inputs by name; a run then takes the others.
    pub fn bind<'p>(&self, params: &[(&str, TensorView<'p>)]) -> Result<Bound<'_, 'p>, RunError> {
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
        Ok(Bound { executable: self, params: bound })
    }

    fn expect_inputs(
        &self,
        found: usize,
        wanted: &dyn Fn(&TensorSpec) -> bool,
    ) -> Result<(), RunError> {
        let names: Vec<String> = self
            .image
            .inputs
            .iter()
            .filter(|s| wanted(s))
            .map(|s| format!("`{}`", s.name))
            .collect();
        if names.len() == found {
            return Ok(());
        }
        let plural = if names.len() == 1 { "" } else { "s" };
        let list =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        Err(RunError::Arity { expected: format!("{} input{plural}{list}", names.len()), found })
    }

    fn output_shapes(&self, resolved: &Resolved) -> Result<Vec<Extents>, RunError> {
        self.image.outputs.iter().map(|spec| extents(spec, &resolved.sizes)).collect()
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
        resolved: &Resolved,
        inputs: &[Place],
        outputs: &[Place],
        budget: Budget,
        started: Instant,
    ) -> Result<(), RunError> {
        let mut arena = self.pool.take(resolved.memory())?;
        let base = arena.start();
        let buffers: Vec<Place> = resolved
            .offsets
            .iter()
            .map(|offset| Place { start: base.wrapping_add(*offset), strides: SmallVec::new() })
            .collect();
        let watch = Watch::new(budget.time);
        let late = |limit: &Duration| started.elapsed() > *limit;
        let mut error = ErrorRecord::default();
        let mut pointers: SmallVec<[*mut u8; 8]> = SmallVec::new();
        let mut strides: SmallVec<[*const i64; 8]> = SmallVec::new();
        for step in &self.image.steps {
            if let Some(limit) = budget.time.filter(late) {
                return Err(RunError::Time(limit));
            }
            pointers.clear();
            strides.clear();
            for a in &step.arguments {
                let place = match a {
                    Argument::Input(k) => inputs.get(*k as usize),
                    Argument::Output(k) => outputs.get(*k as usize),
                    Argument::Buffer(k) => buffers.get(*k as usize),
                };
                let Some(place) = place else { continue };
                pointers.push(place.start);
                strides.push(place.strides.as_ptr());
            }
            let call = KernelCall {
                buffers: pointers.as_ptr(),
                strides: strides.as_ptr(),
                sizes: resolved.sizes.as_ptr(),
                error: &raw mut error,
                cancel: watch.flag(),
                scratch: base.wrapping_add(resolved.arena),
                first: 0,
                end: i64::MAX,
            };
            let Some(kernel) = self.code.kernel(step.kernel as usize) else { continue };
            // SAFETY: every step was checked at loading to name existing tensors; each has the
            // element type and shape that the kernel was compiled for, because the shapes agree
            // with the signature at these sizes; the kernel stays within them (proved at
            // compilation or checked by its code); `error` and `cancel` outlive the call.
            let status = unsafe { kernel(&raw const call) };
            self.outcome(status, &error, budget)?;
        }
        Ok(())
    }

    fn outcome(&self, status: i32, e: &ErrorRecord, budget: Budget) -> Result<(), RunError> {
        let site = self.image.sites.get(e.site as usize);
        let what = site.map_or("a kernel", |s| s.what.as_str());
        match Status::from_code(status) {
            Some(Status::Ok) => Ok(()),
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
                Err(RunError::Index(message))
            }
            Some(Status::Diverge) => {
                Err(RunError::Diverge(format!("the fixpoint of {what} did not converge")))
            }
            Some(Status::Division) => {
                Err(RunError::Division(format!("an integer is divided by zero in {what}")))
            }
            Some(Status::Cancelled) => Err(RunError::Time(budget.time.unwrap_or_default())),
            None => Err(RunError::Damaged(format!("a kernel answered {status}"))),
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
        self.executable.run_with(&all, options)
    }
}

fn place(v: &TensorView<'_>) -> Place {
    Place::new(v.start().cast_mut(), v.shape(), v.strides())
}

fn place_mut(v: &mut TensorViewMut<'_>) -> Place {
    Place::new(v.start(), v.shape(), v.strides())
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
