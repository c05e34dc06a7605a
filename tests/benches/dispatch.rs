//! What a call costs before and after its arithmetic: `cargo bench -p tcc-tests --bench dispatch`.
//!
//! Prints the time of adding tensors of one element, on one thread, and what it takes until other
//! threads have come to help and are done.

#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::hint::{black_box, spin_loop};
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tcc::{CallOptions, Executor, TensorView, TensorViewMut, Threads};

/// Calls of a sample.
const CALLS: u32 = 100;
/// Samples of a measurement: a million calls.
const SAMPLES: usize = 10_000;

/// The median over samples of the nanoseconds of a call.
fn median(mut once: impl FnMut()) -> f64 {
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let started = Instant::now();
            (0..CALLS).for_each(|_| once());
            started.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}

/// One line of the report.
fn print(what: &str, nanoseconds: f64) {
    let line = format!("{what:<30} {nanoseconds:>8.0} ns\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

fn main() {
    let f = tcc::compile("fn add(A: f32[N], B: f32[N]) -> (C: f32[N]) { C[i] = A[i] + B[i] }");
    let f = f.unwrap();
    let (a, b, mut c) = ([1.0f32], [2.0f32], [0.0f32]);
    let inputs =
        [TensorView::from_slice(&a, &[1]).unwrap(), TensorView::from_slice(&b, &[1]).unwrap()];
    let mut out = [TensorViewMut::from_slice(&mut c, &[1]).unwrap()];
    let options = CallOptions { threads: Some(NonZeroUsize::MIN), ..CallOptions::default() };
    let into = median(|| f.run_into(black_box(&inputs), &mut out, &options).unwrap());
    print("add of 1 element, run_into", into);
    print("add of 1 element, run", median(|| drop(f.run_with(black_box(&inputs), &options))));
    let f =
        tcc::compile("fn add(A: f32[N], param B: f32[N]) -> (C: f32[N]) { C[i] = A[i] + B[i] }");
    let f = f.unwrap();
    let [a, b] = inputs;
    let bound = f.bind(&[("B", b)]).unwrap();
    let a = [a];
    let into = median(|| bound.run_into(black_box(&a), &mut out, &options).unwrap());
    print("add of 1 element, bound", into);
    let threads = Threads::global();
    for helpers in [1, 3, 7, 15].into_iter().filter(|h| *h < threads.threads()) {
        let shared = median(|| {
            let missing = AtomicUsize::new(helpers + 1);
            threads.run(helpers, &|| {
                missing.fetch_sub(1, Ordering::Relaxed);
                while missing.load(Ordering::Relaxed) > 0 {
                    spin_loop();
                }
            });
        });
        print(&format!("meeting of {} threads", helpers + 1), shared);
    }
}
