//! A program on its way through both sides.

use super::compare::{Difference, Tally, identical, within_bounds};
use super::layout::Layout;
use super::oracle::{Oracle, Reference};
use crate::generate::{Case, Sizes, inputs, special};
use crate::programs::from_memory;
use cranelift_entity::EntityRef;
use fastrand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tcc::{CallOptions, Compilation, Compiler, Error, Executable};
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{
    Expansions, Machine, Stop, Tensor, Tensors, Value, bind_sizes, interpret, run_program,
};
use tcc_ir::graph::sizes::free_sizes;
use tcc_ir::graph::{Checked, Function, Module, Role, Size, check};
use tcc_ir::int::Symbol;
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;
use tcc_passes::pipeline::{DEFAULT, panic_text};

/// The function of a text, and what it is made of.
pub struct Subject {
    /// The checked functions.
    pub module: Module,
    /// The name of the function that runs.
    pub entry: String,
}

/// How a program fared.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Both sides agree.
    Agree,
    /// The reference had to guess; compiled code did what its kernels say.
    Undecided,
    /// Both sides agree if sums of products are computed in the order of the text.
    Reordered,
    /// The compiler refuses the program, with its reason.
    Refused(String),
    /// The two sides differ.
    Differ(String),
}

/// Reads and checks a text. The answer is the mistakes as text.
pub fn read(text: &str) -> Result<Subject, String> {
    let list = |d: tcc_ir::diag::Diagnostics| {
        let errors = d.0.iter().filter(|d| !d.code.is_warning());
        let lines: Vec<String> = errors.map(|d| format!("{} {}", d.code, d.message)).collect();
        lines.join("\n")
    };
    let (module, _) = read_module(&mut Sources::default(), "case", text).map_err(list)?;
    check(&module).map_err(list)?;
    let entry = module.entries.last().cloned().ok_or("the text has no function")?;
    Ok(Subject { module, entry })
}

impl Subject {
    /// The function that runs.
    pub fn function(&self) -> &Function {
        &self.module.functions[&self.entry]
    }

    /// Lowers the function.
    pub fn lower(&self) -> Result<Compilation, Error> {
        self.lower_with(Compiler::host())
    }

    fn lower_with(&self, compiler: Compiler) -> Result<Compilation, Error> {
        let compiler = compiler.function(&self.entry).verify_each(true);
        compiler.lower_module(self.module.clone(), Sources::default())
    }

    /// Code that keeps the order of sums of products.
    fn in_text_order(&self) -> Result<Executable, Error> {
        let passes: Vec<&str> =
            DEFAULT.iter().copied().filter(|p| *p != "order_contractions").collect();
        let passes = passes.join(",").replace("lower", "lower{strided=true}");
        Executable::from_compilation(self.lower_with(Compiler::host().passes(&passes)?)?)
    }

    /// Sizes that a call must name.
    pub fn named<'s>(&'s self, sizes: &Sizes) -> Vec<(&'s str, i64)> {
        let f = self.function();
        let named = free_sizes(f).into_iter().map(|s| f.sizes[s].name.as_str());
        named.map(|n| (n, sizes.get(n).copied().unwrap_or(0))).collect()
    }
}

/// The word code of a stop.
pub fn stop_code(s: &Stop) -> &'static str {
    match s {
        Stop::Index { .. } => "E-INDEX",
        Stop::Diverge(_) => "E-DIVERGE",
        Stop::Division => "E-DIV",
        Stop::Overflow { .. } => "E-OVERFLOW",
        Stop::Shape(_) => "E-SHAPE",
        Stop::Fact(_) => "E-FACT",
        Stop::Limit(_) => "E-LIMIT",
        Stop::Undecided => "undecided",
    }
}

/// Calls of a function of any text at random sizes; `seed` picks them. Integers are small, so that
/// they can be positions.
pub fn random_runs(f: &Function, seed: u64, count: usize) -> Vec<Run> {
    let mut rng = Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let sizes = f.sizes.values().map(|s| (s.name.clone(), rng.i64(0..10))).collect();
            run_at(f, &mut rng, sizes)
        })
        .collect()
}

/// Calls at random sizes that satisfy the declared facts, and at each 0 and 1 that they allow.
pub fn edge_runs(f: &Function, seed: u64, count: usize) -> Vec<Run> {
    let mut rng = Rng::with_seed(seed);
    let mut fixed: Vec<Option<(String, i64)>> = vec![None; count];
    for s in f.sizes.values() {
        fixed.extend([0, 1].map(|v| Some((s.name.clone(), v))));
    }
    let mut runs = Vec::new();
    for fixed in fixed {
        let draws = (0..1000).map(|_| {
            let draw = |s: &Size| match &fixed {
                Some((name, v)) if *name == s.name => *v,
                _ => rng.i64(0..7),
            };
            f.sizes.values().map(draw).collect::<Vec<i64>>()
        });
        let allowed = draws.into_iter().find(|values| {
            f.facts.iter().all(|fact| {
                let value = |s: Symbol| match s {
                    Symbol::Size(s) => values.get(s.index()).copied().unwrap_or(0),
                    Symbol::Var(_) => 0,
                };
                match (fact.lhs.eval(&value), fact.rhs.eval(&value)) {
                    (Ok(a), Ok(b)) => fact.comparison.holds(a.cmp(&b)),
                    _ => false,
                }
            })
        });
        if let Some(values) = allowed {
            let sizes = f.sizes.values().map(|s| s.name.clone()).zip(values).collect();
            runs.push(run_at(f, &mut rng, sizes));
        }
    }
    runs
}

/// A call at these sizes with random inputs.
fn run_at(f: &Function, rng: &mut Rng, sizes: Sizes) -> Run {
    let value = |s: Symbol| match s {
        Symbol::Size(s) => f.sizes.get(s).map_or(0, |s| sizes[&s.name]),
        Symbol::Var(_) => 0,
    };
    let mut values = Tensors::default();
    for p in &f.params {
        let t = &f.tensors[*p];
        let extents = t.shape.iter().map(|e| e.eval(&value).unwrap_or(0).max(0) as usize);
        let shape: Vec<usize> = extents.collect();
        let count = shape.iter().product();
        let scalars: Vec<Scalar> = (0..count).map(|_| ordinary(rng, t.dtype)).collect();
        let tensor = Tensor::from_scalars(&Machine, t.dtype, &shape, &scalars);
        values.insert(t.name.clone(), tensor);
    }
    (sizes, values)
}

fn ordinary(rng: &mut Rng, dtype: DType) -> Scalar {
    match dtype {
        _ if rng.u8(0..24) == 0 => special(rng, dtype),
        DType::Bool => Scalar::from_bool(rng.bool()),
        d if d.is_int() => Scalar::from_i128(d, rng.i128(0..3)),
        d if d.is_complex() => Scalar::from_parts(d, rng.f64() - 0.5, rng.f64() - 0.5),
        d => Scalar::from_f64(d, 4.0 * rng.f64() - 2.0),
    }
}

/// Compiles a program and compares it with the reference, for every set of sizes of the case.
pub fn judge(case: &Case, seed: u64, tally: &mut Tally) -> Verdict {
    let guarded = catch_unwind(AssertUnwindSafe(|| {
        let subject = match read(&case.text()) {
            Ok(s) => s,
            Err(e) => return Verdict::Refused(e),
        };
        let compilation = match subject.lower() {
            Ok(c) => c,
            Err(e) if e.code() == "E-UNSUPPORTED" => return Verdict::Refused(e.to_string()),
            Err(e) => return Verdict::Differ(format!("{} {e}", e.code())),
        };
        compare(&subject, compilation, &runs_of(case, seed), seed, tally)
    }));
    guarded.unwrap_or_else(|panic| Verdict::Differ(format!("panic: {}", panic_text(&*panic))))
}

/// Sizes and inputs of a call.
pub type Run = (Sizes, Tensors<f64>);

/// The calls that a case asks for.
pub fn runs_of(case: &Case, seed: u64) -> Vec<Run> {
    let sets = case.sizes.iter().enumerate();
    sets.map(|(k, s)| (s.clone(), inputs(case, s, seed.wrapping_add(k as u64)))).collect()
}

/// As [`judge`], for a program that is lowered already; every third seed runs it on inputs with odd
/// strides too.
pub fn compare(
    subject: &Subject,
    compilation: Compilation,
    runs: &[Run],
    seed: u64,
    tally: &mut Tally,
) -> Verdict {
    let executable = match Executable::from_compilation(compilation) {
        Ok(e) => e,
        Err(e) if e.code() == "E-UNSUPPORTED" => return Verdict::Refused(e.to_string()),
        Err(e) => return Verdict::Differ(format!("{} {e}", e.code())),
    };
    let mut verdict = Verdict::Agree;
    for (k, (sizes, values)) in runs.iter().enumerate() {
        let way = Way {
            layout_seed: (k == 1 && seed.is_multiple_of(3)).then_some(seed),
            bound: seed.is_multiple_of(5),
            bitwise: seed.is_multiple_of(8),
        };
        match one_run(subject, &executable, values, sizes, way, tally) {
            Ok(true) => {}
            Ok(false) => verdict = Verdict::Undecided,
            Err(why) => {
                let calm = why.reorders && {
                    let plain = subject.in_text_order().ok();
                    let again = plain.map(|e| one_run(subject, &e, values, sizes, way, tally));
                    again.is_some_and(|r| r.is_ok())
                };
                if !calm {
                    return Verdict::Differ(format!("{} (at {sizes:?})", why.text));
                }
                verdict = Verdict::Reordered;
            }
        }
    }
    verdict
}

/// How a program runs, and what it is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// Inputs with odd strides, which follow from the seed.
    pub layout_seed: Option<u64>,
    /// The `param` inputs are bound before the call.
    pub bound: bool,
    /// Compare with the interpreter of the loop-nest level too.
    pub bitwise: bool,
}

/// True if the reference decided; the error says how the sides differ.
fn one_run(
    subject: &Subject,
    executable: &Executable,
    values: &Tensors<f64>,
    sizes: &Sizes,
    way: Way,
    tally: &mut Tally,
) -> Result<bool, Difference> {
    let named = subject.named(sizes);
    let got = execute(subject.function(), executable, values, &named, way);
    let (want, undecided) = reference(subject, values, &named);
    if undecided || way.bitwise {
        by_kernels(subject, executable, values, &named).map_err(Difference::plain)?;
    }
    if undecided {
        return Ok(false);
    }
    let differ = |text: String| Err(Difference::plain(text));
    match (got, want) {
        (Ok(got), Ok(want)) => within_bounds(&got, &want, largest_of(values), tally)?,
        (Err(e), Err(stop)) if e.code() == stop_code(&stop) => {}
        (Err(e), Err(stop)) => {
            return differ(format!("fails with {} {e}, expected {}", e.code(), stop_code(&stop)));
        }
        (Err(e), Ok(_)) => return differ(format!("fails with {} {e}", e.code())),
        (Ok(_), Err(stop)) => {
            return differ(format!("gives results, expected {} {stop}", stop_code(&stop)));
        }
    }
    Ok(true)
}

/// The largest finite magnitude among the inputs.
fn largest_of(values: &Tensors<f64>) -> f64 {
    let elements = values.values().flat_map(|t| &t.elements);
    let magnitudes = elements.map(|v| match v {
        Value::Float(x) => x.abs(),
        Value::Complex(a, b) => a.abs().max(b.abs()),
        Value::Int(i) => (*i as f64).abs(),
        Value::Bool(_) => 1.0,
    });
    magnitudes.filter(|x| x.is_finite()).fold(1.0, f64::max)
}

/// The interpreter's results with bounds, and whether it had to guess.
pub fn reference(
    subject: &Subject,
    values: &Tensors<f64>,
    named: &[(&str, i64)],
) -> (Result<Tensors<Reference>, Stop>, bool) {
    let checked: Checked<'_> =
        check(&subject.module).unwrap_or_else(|_| unreachable!("a subject is checked"));
    let oracle = Oracle::default();
    let exact = values.iter().map(|(n, t)| {
        let scalars = t.to_scalars(&Machine);
        (n.clone(), Tensor::from_scalars(&oracle, t.dtype, &t.shape, &scalars))
    });
    let want = interpret(&checked, &subject.entry, oracle.clone(), &exact.collect(), named);
    (want, oracle.is_undecided())
}

/// Compares with the interpreter of the loop-nest level, bit by bit. Inputs are without gaps, as
/// that interpreter takes them to be.
fn by_kernels(
    subject: &Subject,
    executable: &Executable,
    values: &Tensors<f64>,
    named: &[(&str, i64)],
) -> Result<(), String> {
    let f = subject.function();
    let got = execute(f, executable, values, named, Way::default());
    let lowered = executable.compilation().lowered();
    let shapes: Vec<&[usize]> =
        f.params.iter().map(|p| values[&f.tensors[*p].name].shape.as_slice()).collect();
    let Ok(sizes) = bind_sizes(f, &shapes, named) else { return Ok(()) };
    let program = &lowered.programs[&subject.entry];
    let want = run_program(program, &lowered.kernels, values, &sizes, &mut Expansions::default());
    match (got, want) {
        (Ok(got), Ok(want)) => identical(&got, &want),
        (Err(e), Err(stop)) if e.code() == stop_code(&stop) => Ok(()),
        (Err(e), _) if e.code() == "E-FACT" => Ok(()),
        (Err(e), want) => Err(format!("fails with {} {e}, its kernels {:?}", e.code(), want.err())),
        (Ok(_), Err(stop)) => Err(format!("gives results, its kernels {}", stop_code(&stop))),
    }
}

/// Runs compiled code.
pub fn execute(
    f: &Function,
    executable: &Executable,
    values: &Tensors<f64>,
    named: &[(&str, i64)],
    way: Way,
) -> Result<Tensors<f64>, Error> {
    let mut rng = Rng::with_seed(way.layout_seed.unwrap_or(0));
    let placed: Vec<_> = f
        .params
        .iter()
        .map(|p| {
            let t = &values[&f.tensors[*p].name];
            let layout = match way.layout_seed {
                Some(_) => Layout::random(&mut rng, &t.shape),
                None => Layout::dense(&t.shape),
            };
            let memory = layout.place(t);
            (layout, memory)
        })
        .collect();
    let views: Vec<_> = placed.iter().map(|(l, m)| l.view(m)).collect();
    let options = CallOptions { sizes: named, ..CallOptions::default() };
    let is_param = |t: &tcc_ir::TensorId| f.tensors[*t].role == Role::Param;
    let results = if way.bound {
        let all = f.params.iter().zip(&views);
        let (params, rest): (Vec<_>, Vec<_>) = all.partition(|(t, _)| is_param(t));
        let params: Vec<_> =
            params.into_iter().map(|(t, v)| (f.tensors[*t].name.as_str(), v.clone())).collect();
        let rest: Vec<_> = rest.into_iter().map(|(_, v)| v.clone()).collect();
        executable.bind(&params)?.run(&rest, &options)?
    } else {
        executable.run_with(&views, &options)?
    };
    let name = |t: &tcc_ir::TensorId| f.tensors[*t].name.clone();
    let results_of = f.results.iter().filter(|t| f.tensors[**t].role == Role::Result(None));
    let inouts = f.params.iter().filter(|t| f.tensors[**t].role == Role::Inout);
    Ok(results_of.chain(inouts).map(name).zip(results.iter().map(from_memory)).collect())
}

/// The elements as text, at most `most` of them.
pub fn show(t: &Tensor<f64>, most: usize) -> String {
    let shown = t.elements.iter().take(most).map(|v| match v {
        Value::Float(x) => format!("{x:?}"),
        Value::Complex(a, b) => format!("{a:?}{b:+?}i"),
        Value::Int(i) => i.to_string(),
        Value::Bool(b) => b.to_string(),
    });
    let more = if t.elements.len() > most { ", ..." } else { "" };
    format!("{}{:?} [{}{more}]", t.dtype, t.shape, shown.collect::<Vec<_>>().join(", "))
}
