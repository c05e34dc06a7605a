//! What sizes that are known at the call only cost: `cargo bench -p tcc-tests --bench symbolic`.
//!
//! Each program is compiled with names for its sizes and with numbers, and both are called in turn
//! on one thread. Prints medians and their ratio. Takes parts of names after `--`.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Instant;
use tcc::{CallOptions, Tensor, TensorView};

/// Samples of each program, at least.
const SAMPLES: usize = 15;
/// Seconds that the samples of both take together, at least.
const SECONDS: f64 = 0.6;

/// A program with `{X}` for its sizes, and the values of those.
struct Program {
    name: &'static str,
    text: &'static str,
    sizes: &'static str,
    values: [&'static [usize]; 5],
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "gemm",
        text: "fn f(A: f32[{M},{K}], B: f32[{K},{N}]) -> (C: f32[{M},{N}]) {
            C[m,n] = A[m,k] * B[k,n] }",
        sizes: "MKN",
        values: [
            &[128, 128, 128],
            &[512, 512, 512],
            &[1024, 1024, 1024],
            &[127, 333, 511],
            &[32, 2048, 2048],
        ],
    },
    Program {
        name: "attention",
        text: "fn f(Q: f32[{B},{T},{D}], K: f32[{B},{T},{D}], V: f32[{B},{T},{D}])
            -> (Y: f32[{B},{T},{D}]) {
            S[b,i,j] = Q[b,i,d] * K[b,j,d] * 0.125
            P[b,i,j] = softmax[j](S[b,i,j])
            Y[b,i,e] = P[b,i,j] * V[b,j,e] }",
        sizes: "BTD",
        values: [&[8, 64, 64], &[12, 256, 64], &[12, 512, 64], &[4, 1000, 64], &[3, 77, 80]],
    },
    Program {
        name: "softmax",
        text: "fn f(X: f32[{N},{M}]) -> (Y: f32[{N},{M}]) { Y[i,j] = softmax[j](X[i,j]) }",
        sizes: "NM",
        values: [&[64, 64], &[1024, 1024], &[4096, 1000], &[77, 4096], &[333, 129]],
    },
    Program {
        name: "conv",
        text: "fn f(X: f32[1,{C},{H},{H}], W: f32[{O},{C},3,3]) -> (Y: f32[1,{O},{H},{H}]) {
            Y[n,o,y,x] = X[n,c,y+r-1,x+s-1]?0 * W[o,c,r,s] }",
        sizes: "CHO",
        values: [&[16, 28, 16], &[64, 56, 64], &[128, 28, 128], &[256, 14, 256], &[32, 33, 48]],
    },
];

impl Program {
    /// The text with something for each size.
    fn with(&self, value: impl Fn(usize, char) -> String) -> String {
        let names = self.sizes.chars().enumerate();
        names.fold(self.text.to_owned(), |text, (k, c)| {
            text.replace(&format!("{{{c}}}"), &value(k, c))
        })
    }
}

/// Inputs of a program with fixed sizes: small numbers that differ.
fn inputs(text: &str) -> Vec<Tensor> {
    let (parameters, _) = text.split_once("->").unwrap();
    let shapes = parameters.split("f32[").skip(1).map(|rest| rest.split_once(']').unwrap().0);
    shapes
        .map(|shape| {
            let shape: Vec<usize> = shape.split(',').map(|n| n.parse().unwrap()).collect();
            let n: usize = shape.iter().product();
            let elements: Vec<f32> = (0..n).map(|k| (k * 31 % 17) as f32 / 8.0 - 1.0).collect();
            Tensor::from_slice(&elements, &shape).unwrap()
        })
        .collect()
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    for p in PROGRAMS.iter().filter(|p| chosen(p.name)) {
        for values in p.values {
            measure(p, values);
        }
    }
}

fn measure(p: &Program, values: &[usize]) {
    let named = tcc::compile(&p.with(|_, c| c.to_string())).unwrap();
    let text = p.with(|k, _| values[k].to_string());
    let fixed = tcc::compile(&text).unwrap();
    let tensors = inputs(&text);
    let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
    let options = CallOptions { threads: Some(NonZeroUsize::MIN), ..CallOptions::default() };
    let mut times = [Vec::new(), Vec::new()];
    let started = Instant::now();
    while times[1].len() < SAMPLES || started.elapsed().as_secs_f64() < SECONDS {
        for (f, times) in [&named, &fixed].into_iter().zip(&mut times) {
            let started = Instant::now();
            drop(f.run_with(&views, &options).unwrap());
            times.push(started.elapsed().as_secs_f64());
        }
    }
    let [named, fixed] = times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        t[t.len() / 2] * 1e3
    });
    let sizes: Vec<String> = p.sizes.chars().zip(values).map(|(c, n)| format!("{c}={n}")).collect();
    let line = format!(
        "{:<10} {:<22} {named:>9.4} ms {fixed:>9.4} ms {:>6.2}\n",
        p.name,
        sizes.join(" "),
        named / fixed
    );
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}
