//! The 82 workloads of `tests/data/workloads` compile, and give numpy's results.
//!
//! The small ones run in every test;
//! `TCC_WORKLOADS=all cargo test --release -p tcc-tests --test workloads` runs all of them.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use serde_json::Value as Json;
use std::io::Write;
use std::path::Path;
use tcc::{Executable, Tensor, TensorView};

/// Workloads with more floating-point operations are compiled but not run by default.
const SMALL: f64 = 2e8;

fn hashed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The input of this number, as `tests/data/workloads.py` makes it.
fn input(number: u64, spec: &Json) -> Tensor {
    let shape: Vec<usize> =
        spec["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let scale = spec["scale"].as_f64().unwrap() as f32;
    let unit = |k: u64| (hashed(k + ((number + 1) << 32)) >> 40) as f32 / 8_388_608.0 - 1.0;
    let elements: Vec<f32> =
        (0..shape.iter().product::<usize>()).map(|k| scale * unit(k as u64)).collect();
    Tensor::from_slice(&elements, &shape).unwrap()
}

fn run(name: &str, executable: &Executable, entry: &Json) -> Result<(), String> {
    let inputs: Vec<Tensor> = entry["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(n, spec)| input(n as u64, spec))
        .collect();
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let results = executable.run(&views).map_err(|e| format!("{name}: {e}"))?;
    for (spec, result) in executable.outputs().iter().zip(&results) {
        let want = &entry["outputs"][&spec.name];
        let largest = want["largest"].as_f64().unwrap();
        let got = result.as_slice::<f32>().unwrap();
        let pairs = want["at"].as_array().unwrap().iter().zip(want["values"].as_array().unwrap());
        for (at, value) in pairs {
            let at = at.as_u64().unwrap() as usize;
            let (g, w) = (f64::from(got[at]), value.as_f64().unwrap());
            let error = (g - w).abs() / largest;
            if error.is_nan() || error > 1e-5 {
                return Err(format!("{name}: `{}` at {at}: {g}, expected {w}", spec.name));
            }
        }
    }
    Ok(())
}

#[test]
fn workloads_compile_and_give_numpys_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/workloads");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: Json = serde_json::from_str(&text).unwrap();
    let workloads = expected.as_object().unwrap();
    assert_eq!(workloads.len(), 82);
    let all = std::env::var("TCC_WORKLOADS").is_ok_and(|v| v == "all");
    let (mut ran, mut failures) = (0, Vec::new());
    for (name, entry) in workloads {
        let source = std::fs::read_to_string(folder.join(format!("{name}.tir"))).unwrap();
        match tcc::compile(&source) {
            Err(e) => failures.push(format!("{name}: {e}")),
            Ok(executable) if all || entry["flops"].as_f64().unwrap() <= SMALL => {
                ran += 1;
                failures.extend(run(name, &executable, entry).err());
            }
            Ok(_) => {}
        }
    }
    let report = format!("{} programs compiled, {ran} run\n", workloads.len());
    std::io::stdout().write_all(report.as_bytes()).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran >= 40, "only {ran} workloads were small enough");
}
