//! The 23 programs of `tests/data/tir` give numpy's results.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: K5

use std::panic::{AssertUnwindSafe, catch_unwind};
use tcc_ir::eval::{Machine, Tensors, interpret};
use tcc_ir::graph::{Checked, Function, check};
use tcc_ir::span::Sources;
use tcc_passes::pipeline::panic_text;
use tcc_tests::golden::{Golden, programs};
use tcc_tests::programs::{lower_default, parts, run_image, run_jit, run_kernels, run_lowered};

/// Largest difference over the largest expected magnitude; NaN and infinities must match exactly.
fn relative_error(got: &[(f64, f64)], want: &[(f64, f64)]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().flat_map(|(a, b)| [a.abs(), b.abs()]).filter(|x| x.is_finite());
    let scale = scale.fold(1e-30, f64::max);
    let flat = |v: &[(f64, f64)]| v.iter().flat_map(|(a, b)| [*a, *b]).collect::<Vec<_>>();
    flat(got).iter().zip(flat(want)).fold(0.0, |worst: f64, (g, w)| {
        if g.to_bits() == w.to_bits() || *g == w { worst } else { worst.max((g - w).abs() / scale) }
    })
}

type Engine = dyn Fn(&Checked<'_>, &Function, &Tensors<f64>, &[(&str, i64)]) -> Tensors<f64>;

/// Runs every golden program through `engine` and compares.
fn check_all(engine: &Engine) {
    let programs = programs();
    let mut failures = Vec::new();
    for (name, text, golden) in &programs {
        let check = AssertUnwindSafe(|| check_one(name, text, golden, engine));
        if let Err(panic) = catch_unwind(check) {
            failures.push(format!("{name}: {}", panic_text(&*panic)));
        }
    }
    assert_eq!(programs.len(), 23);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check_one(name: &str, text: &str, g: &Golden, engine: &Engine) {
    let (module, _) = tcc_ir::text::read_module(&mut Sources::default(), name, text).unwrap();
    let checked = check(&module).unwrap();
    let f = &module.functions[module.entries.last().unwrap()];
    let sizes: Vec<(&str, i64)> = g.sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let got = engine(&checked, f, &g.tensors(f), &sizes);
    for (output, want) in &g.outputs {
        let t = &got[output];
        assert_eq!(t.shape, want.shape, "{output}");
        let error = relative_error(&parts(t), &want.elements);
        let tolerance = match t.dtype.real_part() {
            tcc_abi::DType::F64 => 1e-12,
            tcc_abi::DType::F32 => 1e-5,
            _ => 0.0,
        };
        assert!(error <= tolerance, "{output}: error {error}");
    }
}

#[test]
fn interpreter_gives_golden_results() {
    check_all(&|checked, f, inputs, sizes| {
        interpret(checked, &f.name, Machine, inputs, sizes).unwrap()
    });
}

#[test]
fn lowered_kernels_give_golden_results() {
    check_all(&|checked, f, inputs, sizes| run_lowered(checked, (f, None), inputs, sizes).unwrap());
}

#[test]
fn compiled_code_gives_golden_results() {
    check_all(&|checked, f, inputs, sizes| run_jit(checked, (f, None), inputs, sizes).unwrap());
}

#[test]
fn images_give_golden_results() {
    check_all(&|checked, f, inputs, sizes| run_image(checked, (f, None), inputs, sizes).unwrap());
}

#[test]
fn reread_kernels_give_the_same_results() {
    check_all(&|checked, f, inputs, sizes| {
        let lowered = lower_default(checked);
        let text = tcc_ir::text::print_module(&lowered);
        let read = tcc_ir::text::read_module(&mut Sources::default(), "printed.tir", &text);
        let (reread, _) = read.unwrap();
        let got = run_kernels(&reread, f, inputs, sizes).unwrap();
        let want = run_kernels(&lowered, f, inputs, sizes).unwrap();
        for (name, t) in &want {
            let bits = |t| parts(t).iter().map(|(a, b)| (a.to_bits(), b.to_bits())).collect();
            let (a, b): (Vec<_>, Vec<_>) = (bits(t), bits(&got[name]));
            assert_eq!(a, b, "{name}");
        }
        got
    });
}
