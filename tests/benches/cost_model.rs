//! How well predictions of time rank programs: `cargo bench -p tcc-tests --bench cost_model`.
//!
//! Runs the workloads of `tests/data/workloads` on one thread and prints for each the measured and
//! the predicted time, and last Spearman's rank correlation. `-- NAME...` runs those whose names
//! contain one of the words.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use serde_json::Value as Json;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;
use tcc::{CallOptions, Compiler, Executable, Machine, Tensor, TensorView, TensorViewMut};

/// Seconds for each workload; the least of its calls counts.
const SECONDS: f64 = 0.3;

/// What was measured and predicted of a workload, in microseconds.
struct Row {
    name: String,
    measured: f64,
    predicted: f64,
}

fn inputs(entry: &Json) -> Vec<Tensor> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let tensor = |spec: &Json| {
        let shape = spec["shape"].as_array().unwrap().iter();
        let shape: Vec<usize> = shape.map(|n| n.as_u64().unwrap() as usize).collect();
        let scale = spec["scale"].as_f64().unwrap() as f32;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| scale * next()).collect();
        Tensor::from_slice(&values, &shape).unwrap()
    };
    entry["inputs"].as_array().unwrap().iter().map(tensor).collect()
}

/// The least microseconds of a call.
fn measure(f: &Executable, inputs: &[Tensor]) -> f64 {
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let options = CallOptions { threads: Some(NonZeroUsize::MIN), ..CallOptions::default() };
    let mut results = f.run_with(&views, &options).unwrap();
    let mut out: Vec<TensorViewMut<'_>> = results.iter_mut().map(Tensor::view_mut).collect();
    let first = Instant::now();
    f.run_into(&views, &mut out, &options).unwrap();
    let calls = (100_000 / first.elapsed().as_nanos().max(1)).clamp(1, 1000) as u32;
    let (started, mut least) = (Instant::now(), f64::INFINITY);
    while started.elapsed().as_secs_f64() < SECONDS {
        let sample = Instant::now();
        for _ in 0..calls {
            f.run_into(&views, &mut out, &options).unwrap();
        }
        least = least.min(sample.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
    }
    least
}

fn row(name: &str, entry: &Json, folder: &Path, machine: &Machine) -> Row {
    let text = std::fs::read_to_string(folder.join(format!("{name}.tir"))).unwrap();
    let f = Compiler::host().compile(&text).unwrap();
    let times = f.compilation().predict(&[], machine, 1).unwrap();
    let predicted = times.iter().map(|t| t.nanoseconds).sum::<f64>() / 1e3;
    Row { name: name.to_owned(), measured: measure(&f, &inputs(entry)), predicted }
}

/// The rank of each value; equal values share the middle of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |v: &f64| {
        let below = values.iter().filter(|x| *x < v).count() as f64;
        let equal = values.iter().filter(|x| *x == v).count() as f64;
        below + (equal - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Spearman's rank correlation: that of the ranks.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let products = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    products(&a, &b) / (products(&a, &a) * products(&b, &b)).sqrt()
}

fn print(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/workloads");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let workloads: Json = serde_json::from_str(&text).unwrap();
    let machine = Compiler::host().measure_machine().unwrap();
    print(&format!("{machine:?}"));
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w));
    let mut rows = Vec::new();
    for (name, entry) in workloads.as_object().unwrap().iter().filter(|(n, _)| wanted(n)) {
        let r = row(name, entry, &folder, &machine);
        let ratio = r.predicted / r.measured;
        print(&format!(
            "{:>12.1} us {:>12.1} us {ratio:>7.2}  {}",
            r.measured, r.predicted, r.name
        ));
        rows.push(r);
    }
    let column = |f: fn(&Row) -> f64| rows.iter().map(f).collect::<Vec<f64>>();
    let (measured, predicted) = (column(|r| r.measured), column(|r| r.predicted));
    let mut factors: Vec<f64> =
        rows.iter().map(|r| (r.predicted / r.measured).ln().abs().exp()).collect();
    factors.sort_by(f64::total_cmp);
    let at = |share: f64| factors.get((share * factors.len() as f64) as usize).unwrap_or(&f64::NAN);
    print(&format!(
        "{} workloads: rank correlation {:.4}; off by a factor of {:.2} in the middle, {:.2} at 90 %",
        rows.len(),
        spearman(&measured, &predicted),
        at(0.5),
        at(0.9),
    ));
}
