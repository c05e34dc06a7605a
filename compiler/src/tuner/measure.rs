//! The tuner: what candidates are measured on, and what is told of them.

use super::database::{TuningDatabase, TuningRecord};
use super::{TuningError, tunables};
use crate::{
    CallOptions, Compilation, Compiler, Cost, Error, Executable, Tensor, TensorRole, TensorView,
    TensorViewMut,
};
use indexmap::IndexMap;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tcc_abi::{DType, Scalar};
use tcc_ir::SizeId;
use tcc_ir::graph::{Module, check};
use tcc_ir::schedule::{Schedule, print_schedule};
use tcc_passes::cost::{Setting, program_time};
use tcc_passes::pipeline::{self, Pipeline};
use tcc_passes::tune::search::{Bench, Outcome, Tunable, search};
use tcc_passes::tune::{Tuning, apply};

/// Programs of at most so many operations are also interpreted.
const INTERPRETED: f64 = 2e6;
/// Elements of a result that are compared at most.
const COMPARED: usize = 1 << 16;
/// A candidate is measured for so long, and a few calls at least.
const SPAN: Duration = Duration::from_millis(4);
const CALLS: usize = 3;
/// Rounds in which a candidate runs against the best one.
const ROUNDS: usize = 9;

/// How to tune.
pub struct TuneOptions<'a> {
    /// The inputs to measure with, in order.
    pub inputs: &'a [TensorView<'a>],
    /// Sizes and threads of the calls.
    pub call: CallOptions<'a>,
    /// How long to search.
    pub budget: Duration,
    /// What the choices of the search follow from.
    pub seed: u64,
    /// Ends the search early when it becomes true.
    pub stop: &'a AtomicBool,
    /// Is told of every gain when it has been stored.
    pub gained: &'a mut dyn FnMut(&TuningGain),
}

/// A faster kernel that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningGain {
    /// What was stored.
    pub record: TuningRecord,
    /// Time since the search began.
    pub after: Duration,
}

/// What a search did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TuneReport {
    /// The kernels that were looked at.
    pub kernels: Vec<String>,
    /// Nanoseconds of a call at the start and at the end.
    pub before_ns: f64,
    /// See `before_ns`.
    pub after_ns: f64,
    /// Candidates that were made, that were legal, and that were measured.
    pub made: usize,
    /// See `made`.
    pub legal: usize,
    /// See `made`.
    pub measured: usize,
    /// Candidates that were refused, by the reason.
    pub refused: IndexMap<String, usize>,
    /// Mean time of replaying a schedule on a lowered kernel.
    pub replay: Duration,
    /// Mean time of lowering with other knobs.
    pub lowering: Duration,
    /// Mean time of making code of a candidate.
    pub compile: Duration,
    /// How the untuned program was checked: against the interpreter, or not.
    pub interpreted: bool,
    /// Records that could not be stored: why.
    pub not_stored: Option<String>,
}

/// A mean of durations.
#[derive(Default)]
struct Mean(Cell<Duration>, Cell<u32>);

impl Mean {
    fn of<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let out = work();
        self.0.set(self.0.get() + started.elapsed());
        self.1.set(self.1.get() + 1);
        out
    }

    fn get(&self) -> Duration {
        self.0.get() / self.1.get().max(1)
    }
}

impl Compiler {
    /// Looks for faster kernels of a text's function on this machine, and adds what it finds to a
    /// database as soon as it is confirmed. Every candidate's results are compared with those of
    /// the untuned program before it may win.
    ///
    /// # Errors
    /// The text has mistakes or nothing to tune, the inputs do not fit, or the database cannot be
    /// written.
    pub fn tune(
        &self,
        source: &str,
        database: &mut TuningDatabase,
        options: TuneOptions<'_>,
    ) -> Result<TuneReport, Error> {
        let untuned = self.clone().untuned();
        let base = untuned.lower(source)?;
        let (graph, rest) = untuned.before_lowering(&base)?;
        let alone = untuned.lowered_alone(&graph)?;
        let kernels = tunables(&base.lowered, &alone);
        if kernels.is_empty() {
            return Err(TuningError::NoKernels(base.name().to_owned()).into());
        }
        let failed = |path: &std::path::Path, error| {
            Error::from(TuningError::Database { path: path.to_owned(), error })
        };
        database.check_writable().map_err(|e| failed(database.path(), e))?;
        let bench = Subject::new(untuned, source, (base, graph, rest, alone), &options)?;
        let started = Instant::now();
        let (times, stored) = (Times::default(), RefCell::new(None));
        let mut first: IndexMap<String, f64> = IndexMap::new();
        let lowered = RefCell::new(IndexMap::new());
        let outcome = search(
            &kernels,
            options.seed,
            &mut Bench {
                lower: &mut |tuning| bench.lower(tuning, &times, &mut lowered.borrow_mut()),
                predict: &|module| bench.predict(module),
                measure: &mut |module| bench.measure(module, &times),
                compare: &mut |a, b| bench.compare(a, b),
                gained: &mut |kernel, tuning, (before, after)| {
                    let before = *first.entry(kernel.to_owned()).or_insert(before);
                    for record in bench.records(&kernels, kernel, tuning, (before, after)) {
                        if let Err(e) = database.append(record.clone()) {
                            stored.replace(Some(e.to_string()));
                        }
                        (options.gained)(&TuningGain { record, after: started.elapsed() });
                    }
                },
                stop: &|| {
                    started.elapsed() >= options.budget || options.stop.load(Ordering::Relaxed)
                },
            },
        );
        let outcome = outcome.map_err(TuningError::Measure)?;
        let kernels = kernels.into_iter().map(|k| k.kernel).collect();
        bench.report(kernels, outcome, (&times, stored.into_inner()))
    }
}

#[derive(Default)]
struct Times {
    replay: Mean,
    lowering: Mean,
    compile: Mean,
}

/// The program that is tuned.
struct Subject<'a> {
    compiler: Compiler,
    base: Compilation,
    /// The program before lowering, and the passes from there on.
    graph: Module,
    rest: Pipeline,
    /// The program as `lower` makes it, before kernels are shared.
    alone: Module,
    narrow: Vec<String>,
    machine: crate::Machine,
    sizes: Vec<(String, i64)>,
    inputs: &'a [TensorView<'a>],
    call: CallOptions<'a>,
    want: Vec<Tensor>,
    interpreted: bool,
}

impl<'a> Subject<'a> {
    fn new(
        compiler: Compiler,
        source: &str,
        (base, graph, rest, alone): (Compilation, Module, Pipeline, Module),
        options: &TuneOptions<'a>,
    ) -> Result<Subject<'a>, Error> {
        let executable = Executable::from_compilation(base.clone())?;
        let want = executable.run_with(options.inputs, &options.call)?;
        let sizes = sizes_of(&executable, options);
        let named: Vec<(&str, i64)> = sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let small = base.cost(&named).is_ok_and(|c: Cost| c.flops() <= INTERPRETED);
        if small {
            let interpreter = compiler.interpreter(source)?;
            let right = interpreter.run_with(options.inputs, &options.call)?;
            if let Some(difference) = difference(&want, &right) {
                return Err(TuningError::Wrong(difference).into());
            }
        }
        let narrow = base.refusals()?.into_iter().map(|(name, _)| name).collect();
        let machine = compiler.measure_machine()?;
        let (inputs, call, interpreted) = (options.inputs, options.call, small);
        Ok(Subject {
            compiler,
            base,
            graph,
            rest,
            alone,
            narrow,
            machine,
            sizes,
            inputs,
            call,
            want,
            interpreted,
        })
    }

    fn lower(
        &self,
        tuning: &Tuning,
        times: &Times,
        known: &mut IndexMap<String, Module>,
    ) -> Result<Module, String> {
        let knobs: String = tuning.knobs.iter().map(|(n, k)| format!("{n}: {k}; ")).collect();
        if !known.contains_key(&knobs) {
            let module = times.lowering.of(|| {
                let checked = check(&self.graph).map_err(|d| format!("{d:?}"))?;
                let target = (self.compiler.target(), tuning);
                pipeline::run_tuned(&checked, &self.rest, target, false, &mut |_| {})
                    .map_err(|f| f.message)
            })?;
            if known.len() > 64 {
                known.clear();
            }
            known.insert(knobs.clone(), module);
        }
        let mut module = known.get(&knobs).cloned().unwrap_or_default();
        let refused = match tuning.schedules.is_empty() {
            true => Vec::new(),
            false => times.replay.of(|| apply(&mut module, tuning)),
        };
        match refused.into_iter().next() {
            None => Ok(module),
            // The reason without the directive, of which there are many.
            Some((_, reason)) => {
                Err(reason.rsplit_once("`: ").map_or(reason.clone(), |(_, why)| why.to_owned()))
            }
        }
    }

    fn predict(&self, module: &Module) -> IndexMap<String, f64> {
        let Some(program) = module.programs.get(self.base.name()) else { return IndexMap::new() };
        let value = |s: SizeId| {
            let name = program.sizes.get(s).map_or("", |s| s.name.as_str());
            self.sizes.iter().find(|(n, _)| n == name).map_or(0, |(_, v)| *v)
        };
        let setting = Setting {
            machine: &self.machine,
            threads: self.call.threads.map_or(self.machine.cores, std::num::NonZeroUsize::get),
            vector_bytes: f64::from(self.compiler.target().vector_bytes),
            resident: 0.0,
        };
        let narrow = |name: &str| self.narrow.iter().any(|n| n == name);
        let times = program_time(module, program, &value, setting, &narrow);
        let mut out = IndexMap::new();
        for t in times {
            *out.entry(t.kernel).or_insert(0.0) += t.nanoseconds;
        }
        out
    }

    fn executable(&self, module: &Module) -> Result<Executable, String> {
        let mut candidate = self.base.clone();
        if let Some(program) = module.programs.get(self.base.name())
            && let Some(own) = candidate.lowered.programs.get_mut(self.base.name())
        {
            // The guards are those of the program as written.
            let guards = std::mem::take(&mut own.guards);
            *own = program.clone();
            own.guards = guards;
        }
        candidate.lowered.kernels.clone_from(&module.kernels);
        Executable::from_compilation(candidate).map_err(|e| e.to_string())
    }

    fn measure(&self, module: &Module, times: &Times) -> Result<f64, String> {
        let executable = times.compile.of(|| self.executable(module))?;
        let got = executable.run_with(self.inputs, &self.call).map_err(|e| e.to_string())?;
        if difference(&got, &self.want).is_some() {
            return Err("its results differ from those of the untuned program".to_owned());
        }
        let mut got = got;
        let call = Call::new(&executable, self);
        let (started, mut least, mut calls) = (Instant::now(), f64::INFINITY, 0);
        while calls < CALLS || started.elapsed() < SPAN {
            least = least.min(call.once(&mut got)?);
            calls += 1;
        }
        Ok(least)
    }

    /// The times of two programs in turns, in the same memory: pages may be slow or fast.
    fn compare(&self, a: &Module, b: &Module) -> Result<(f64, f64), String> {
        let (a, b) = (self.executable(a)?, self.executable(b)?);
        let mut results = a.run_with(self.inputs, &self.call).map_err(|e| e.to_string())?;
        let (one, other) = (Call::new(&a, self), Call::new(&b, self));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (started, mut least) = (Instant::now(), (f64::INFINITY, f64::INFINITY));
            while started.elapsed() < SPAN / 4 {
                least.0 = least.0.min(one.once(&mut results)?);
                least.1 = least.1.min(other.once(&mut results)?);
            }
            first.push(least.0);
            second.push(least.1);
        }
        Ok((median(first), median(second)))
    }

    /// What is stored of a gain: the knobs of a kernel, the schedule of what they make of it.
    fn records(
        &self,
        kernels: &[Tunable],
        kernel: &str,
        tuning: &Tuning,
        (before_ns, after_ns): (f64, f64),
    ) -> Vec<TuningRecord> {
        let target = self.compiler.target();
        let record = |key: String, knobs: Vec<String>, schedule: String| {
            let (target, kernel) = (target.to_string(), kernel.to_owned());
            TuningRecord { key, target, kernel, knobs, schedule, before_ns, after_ns }
        };
        let mut out = Vec::new();
        let own = kernels.iter().find(|t| t.kernel == kernel);
        let knobs: Vec<String> = own.map_or(Vec::new(), |t| {
            let first = t.definitions.iter().map(|names| names.first());
            first.map(|n| n.map_or_else(String::new, |n| tuning.knobs(n).to_string())).collect()
        });
        if let Some(alone) = self.alone.kernels.get(kernel)
            && knobs.iter().any(|k| !k.is_empty())
        {
            out.push(record(TuningDatabase::knobs_key(alone, target), knobs, String::new()));
        }
        let shaped = Tuning { schedules: IndexMap::new(), ..tuning.clone() };
        let shaped = self.lower(&shaped, &Times::default(), &mut IndexMap::new());
        if let (Ok(shaped), Some(directives)) = (shaped, tuning.schedules.get(kernel))
            && let Some(k) = shaped.kernels.get(kernel)
        {
            let directives = directives.clone();
            let text = print_schedule(&Schedule { kernel: kernel.to_owned(), directives });
            out.push(record(TuningDatabase::schedule_key(k, target), Vec::new(), text));
        }
        out
    }

    /// What the search did, with the times of the untuned and of the best program in turns.
    fn report(
        &self,
        kernels: Vec<String>,
        outcome: Outcome,
        (times, not_stored): (&Times, Option<String>),
    ) -> Result<TuneReport, Error> {
        let mut known = IndexMap::new();
        let last = self.lower(&outcome.tuning, times, &mut known).map_err(TuningError::Measure)?;
        let compared = self.compare(&self.base.lowered, &last);
        let (before_ns, mut after_ns) = compared.map_err(TuningError::Measure)?;
        if outcome.tuning == Tuning::default() {
            after_ns = before_ns;
        }
        Ok(TuneReport {
            kernels,
            before_ns,
            after_ns,
            made: outcome.made,
            legal: outcome.legal,
            measured: outcome.measured,
            refused: outcome.refused,
            replay: times.replay.get(),
            lowering: times.lowering.get(),
            compile: times.compile.get(),
            interpreted: self.interpreted,
            not_stored,
        })
    }
}

/// The middle one: what disturbs few rounds does not count.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// Calls of an executable.
struct Call<'a> {
    executable: &'a Executable,
    inputs: Vec<TensorView<'a>>,
    options: CallOptions<'a>,
}

impl<'a> Call<'a> {
    fn new(executable: &'a Executable, subject: &Subject<'a>) -> Call<'a> {
        let specs = executable.inputs().iter().zip(subject.inputs);
        let inputs =
            specs.filter(|(s, _)| s.role != TensorRole::Inout).map(|(_, v)| v.clone()).collect();
        Call { executable, inputs, options: subject.call }
    }

    /// Nanoseconds of a call that writes to this memory.
    fn once(&self, results: &mut [Tensor]) -> Result<f64, String> {
        let mut out: Vec<TensorViewMut<'_>> = results.iter_mut().map(Tensor::view_mut).collect();
        let started = Instant::now();
        let run = self.executable.run_into(&self.inputs, &mut out, &self.options);
        run.map_err(|e| e.to_string())?;
        Ok(started.elapsed().as_nanos() as f64)
    }
}

/// The sizes of the calls: those that are named and those that the inputs show.
fn sizes_of(executable: &Executable, options: &TuneOptions<'_>) -> Vec<(String, i64)> {
    let named = options.call.sizes.iter();
    let mut sizes: Vec<(String, i64)> = named.map(|(n, v)| ((*n).to_owned(), *v)).collect();
    for (spec, t) in executable.inputs().iter().zip(options.inputs) {
        for (text, extent) in spec.shape_text.iter().zip(t.shape()) {
            if executable.sizes().contains(text) && !sizes.iter().any(|(n, _)| n == text) {
                sizes.push((text.clone(), *extent as i64));
            }
        }
    }
    sizes
}

/// How results differ by more than rounding in another order; nothing if they do not. Of large
/// results elements at even distances are compared.
fn difference(got: &[Tensor], want: &[Tensor]) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("there are {} results instead of {}", got.len(), want.len()));
    }
    got.iter().zip(want).enumerate().find_map(|(number, (g, w))| {
        if g.shape() != w.shape() || g.dtype() != w.dtype() {
            return Some(format!("result {number} has another shape or type"));
        }
        let width = w.dtype().size();
        let count = w.as_bytes().len() / width;
        let step = count.div_ceil(COMPARED).max(1);
        let part = |t: &Tensor, k: usize| {
            let bytes = t.as_bytes().get(k * width..(k + 1) * width)?;
            Some(Scalar::read(t.dtype(), bytes).to_parts())
        };
        let values = |t: &Tensor| -> Vec<(f64, f64)> {
            (0..count).step_by(step).filter_map(|k| part(t, k)).collect()
        };
        let (g, w) = (values(g), values(w));
        let finite = w.iter().flat_map(|(a, b)| [a.abs(), b.abs()]).filter(|v| v.is_finite());
        let bound = finite.fold(0.0, f64::max) * tolerance(want[number].dtype());
        let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= bound;
        let wrong = g.iter().zip(&w).position(|(a, b)| !(close(a.0, b.0) && close(a.1, b.1)));
        wrong.map(|k| format!("element {} of result {number} differs", k * step))
    })
}

/// What results may differ by, relative to the largest one.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 | DType::C128 => 1e-12,
        DType::F32 | DType::C64 => 1e-5,
        DType::F16 | DType::BF16 => 1e-2,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ<T: crate::Element>(got: &[T], want: &[T]) -> Option<String> {
        let tensor = |v: &[T]| vec![Tensor::from_slice(v, &[v.len()]).unwrap()];
        difference(&tensor(got), &tensor(want))
    }

    #[test]
    fn only_rounding_is_no_difference() {
        let want = [1.0f32, f32::NAN, f32::INFINITY, -1000.0];
        assert_eq!(differ(&want, &want), None);
        assert_eq!(differ(&[1.005, want[1], want[2], want[3]], &want), None);
        for wrong in [[1.02, f32::NAN], [1.0, 0.0], [f32::NAN, f32::NAN]] {
            assert!(differ(&[wrong[0], wrong[1], want[2], want[3]], &want).is_some(), "{wrong:?}");
        }
        assert!(differ(&[1.0, want[1], f32::MAX, want[3]], &want).is_some());
        assert_eq!(differ(&[1i64, 2], &[1, 3]).as_deref(), Some("element 1 of result 0 differs"));
        assert!(differ(&[1.0f64], &[1.0 + 1e-11]).is_some());
        assert!(differ(&[1.0f32], &[1.0, 2.0]).is_some());
        assert!(difference(&[], &[Tensor::from_slice(&[1.0f32], &[1]).unwrap()]).is_some());
    }
}
