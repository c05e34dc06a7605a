//! Every file of `tests/cases/run` and `tests/cases/std` gives the results that it states.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tcc_abi::{DType, Scalar};
use tcc_ir::diag::Code;
use tcc_ir::eval::{Machine, Stop, Tensor, Tensors, interpret};
use tcc_ir::graph::{Checked, check};
use tcc_ir::span::Sources;
use tcc_passes::pipeline::panic_text;
use tcc_tests::programs::{Entry, run_image, run_jit, run_lowered};
use tcc_tests::run_cases::{CaseTensor, Outcome, Run, parse};

/// Runs one function, or a kernel that does its work: results by name, or an error whose text
/// begins with its code.
type Engine =
    dyn Fn(&Checked<'_>, Entry<'_>, &Tensors<f64>, &[(&str, i64)]) -> Result<Tensors<f64>, String>;

/// Largest accepted difference over the largest expected magnitude.
fn tolerance(dtype: DType) -> f64 {
    match dtype.real_part() {
        DType::F64 => 1e-12,
        DType::F32 => 1e-5,
        DType::F16 => 2e-3,
        DType::BF16 => 2e-2,
        _ => 0.0,
    }
}

/// Largest difference over the largest expected magnitude; NaN and infinities must match.
fn relative_error(got: &[Scalar], want: &[Scalar]) -> f64 {
    let flat = |v: &[Scalar]| {
        let parts = v.iter().map(|s| s.to_parts());
        parts.flat_map(|(a, b)| [a, b]).collect::<Vec<f64>>()
    };
    let (got, want) = (flat(got), flat(want));
    let finite = want.iter().map(|x| x.abs()).filter(|x| x.is_finite());
    let scale = finite.fold(1e-30, f64::max);
    got.iter().zip(&want).fold(0.0, |worst: f64, (g, w)| {
        let same = g == w || (g.is_nan() && w.is_nan());
        let difference = if same { 0.0 } else { (g - w).abs() / scale };
        if difference.is_nan() { f64::INFINITY } else { worst.max(difference) }
    })
}

fn compare(name: &str, got: &Tensor<f64>, want: &CaseTensor) -> Result<(), String> {
    if (got.dtype, &got.shape) != (want.dtype, &want.shape) {
        let found = format!("{}{:?}", got.dtype, got.shape);
        return Err(format!("{name}: {found}, expected {}{:?}", want.dtype, want.shape));
    }
    let scalars = got.to_scalars(&Machine);
    if got.dtype.is_int() || got.dtype == DType::Bool {
        let wrong = scalars.iter().zip(&want.elements).position(|(g, w)| g != w);
        return wrong.map_or(Ok(()), |k| {
            let (g, w) = (scalars[k], want.elements[k]);
            Err(format!("{name}: element {k} is {g:?}, expected {w:?}"))
        });
    }
    let error = relative_error(&scalars, &want.elements);
    if error <= tolerance(got.dtype) { Ok(()) } else { Err(format!("{name}: error {error:e}")) }
}

fn check_run(checked: &Checked<'_>, run: &Run, engine: &Engine) -> Result<(), String> {
    let f = checked.function(&run.function).ok_or("no such function")?;
    let tensor = |t: &CaseTensor| Tensor::from_scalars(&Machine, t.dtype, &t.shape, &t.elements);
    let inputs: Tensors<f64> = run.inputs.iter().map(|(n, t)| (n.clone(), tensor(t))).collect();
    let sizes: Vec<(&str, i64)> = run.sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let entry = (f, run.kernel.as_deref());
    match (engine(checked, entry, &inputs, &sizes), &run.outcome) {
        (Ok(got), Outcome::Outputs(outputs)) => outputs.iter().try_for_each(|(name, want)| {
            let got = got.get(name).ok_or_else(|| format!("no result `{name}`"))?;
            compare(name, got, want)
        }),
        (Err(message), Outcome::Error(code)) if message.starts_with(code.as_str()) => Ok(()),
        (Err(message), _) => Err(message),
        (Ok(_), Outcome::Error(code)) => Err(format!("no error, expected {code}")),
    }
}

/// The mistakes of one file.
fn check_file(path: &Path, engine: &Engine) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let cases = match parse(&text) {
        Ok(cases) => cases,
        Err(e) => return vec![e.to_string()],
    };
    let name = path.file_name().unwrap().to_string_lossy();
    let module = match tcc_ir::text::read_module(&mut Sources::default(), &name, &text) {
        Ok((module, _)) => module,
        Err(e) => return e.0.iter().map(|d| format!("{}: {}", d.code, d.message)).collect(),
    };
    let checked = match check(&module) {
        Ok(checked) => checked,
        Err(e) => return e.0.iter().map(|d| format!("{}: {}", d.code, d.message)).collect(),
    };
    let run = |run: &Run| {
        let outcome = catch_unwind(AssertUnwindSafe(|| check_run(&checked, run, engine)));
        let outcome = outcome.unwrap_or_else(|panic| Err(panic_text(&*panic)));
        outcome.err().map(|m| format!("line {}: {}: {m}", run.line, run.function))
    };
    cases.runs.iter().filter_map(run).collect()
}

/// Runs every case through `engine`.
fn check_all(engine: &Engine) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = ["run", "std"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "tir"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut failures = Vec::new();
    for path in &files {
        let name = path.strip_prefix(&root).unwrap().display();
        failures.extend(check_file(path, engine).into_iter().map(|m| format!("{name}: {m}")));
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn stop_text(stop: &Stop) -> String {
    let code = match stop {
        Stop::Index { .. } => Code::Index,
        Stop::Diverge(_) => Code::Diverge,
        Stop::Division => Code::Div,
        Stop::Overflow { .. } => Code::Overflow,
        Stop::Shape(_) => Code::Shape,
        Stop::Fact(_) => Code::Fact,
        Stop::Limit(_) | Stop::Undecided => Code::Limit,
    };
    format!("{code}: {stop}")
}

#[test]
fn every_library_function_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/std");
    for name in tcc_ir::library::names() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.tir")));
        let text = text.unwrap_or_else(|_| panic!("no case for `{name}`"));
        assert!(text.contains(&format!("{name}(")), "the case of `{name}` does not call it");
    }
}

#[test]
fn interpreter() {
    check_all(&|checked, (f, _), inputs, sizes| {
        interpret(checked, &f.name, Machine, inputs, sizes).map_err(|e| stop_text(&e))
    });
}

#[test]
fn lowered_kernels() {
    check_all(&|checked, entry, inputs, sizes| {
        run_lowered(checked, entry, inputs, sizes).map_err(|e| stop_text(&e))
    });
}

#[test]
fn compiled_code() {
    check_all(&run_jit);
}

#[test]
fn images() {
    check_all(&run_image);
}
