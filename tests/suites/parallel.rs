//! Calls on several threads: the same results to the bit, the same errors, little ado.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: K7, P6

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::scope;
use std::time::{Duration, Instant};
use tcc::{
    Budget, CallOptions, Compiler, Executor, RunError, Tensor, TensorView, TensorViewMut, Threads,
};
use tcc_ir::eval::{Machine, Tensors};
use tcc_ir::graph::{Function, check};
use tcc_ir::span::Sources;
use tcc_runtime::Executable;
use tcc_tests::differential::{read, runs_of};
use tcc_tests::generate::{Options, case};
use tcc_tests::golden::programs;
use tcc_tests::programs::{call_kernel, eager, lower, run_compiled};

const THREADS: [usize; 5] = [1, 2, 3, 8, 16];

/// Threads of a test's own.
fn own_threads(most: usize) -> Arc<Threads> {
    Arc::new(Threads::new(NonZeroUsize::new(most).unwrap()))
}

fn on(threads: usize) -> CallOptions<'static> {
    CallOptions { threads: NonZeroUsize::new(threads), ..CallOptions::default() }
}

/// Code of a text that shares every nest out, on threads of its own.
fn eager_text(text: &str) -> (Executable, Arc<Threads>) {
    let threads = own_threads(1);
    let executable = eager(&Compiler::host().lower(text).unwrap()).unwrap();
    (executable.with_executor(Arc::clone(&threads) as Arc<dyn Executor>), threads)
}

/// What a call gives: the bits of every result, or the error.
type Answer = Result<Vec<(String, Vec<u8>)>, String>;

fn answer(
    executable: &Executable,
    f: &Function,
    inputs: &Tensors<f64>,
    sizes: &[(&str, i64)],
    threads: usize,
) -> Answer {
    let threads = NonZeroUsize::new(threads);
    let results = run_compiled(
        &|views, options| Ok(executable.run_with(views, &CallOptions { threads, ..*options })?),
        f,
        inputs,
        sizes,
    )?;
    let bits = |t: &tcc_ir::eval::Tensor<f64>| {
        let mut bytes = Vec::new();
        for s in t.to_scalars(&Machine) {
            let mut one = vec![0; s.dtype().size()];
            s.write(&mut one);
            bytes.extend(one);
        }
        bytes
    };
    Ok(results.iter().map(|(name, t)| (name.clone(), bits(t))).collect())
}

#[test]
fn golden_programs_give_the_same_bits_on_any_number_of_threads() {
    let threads = own_threads(1);
    for (name, text, golden) in programs() {
        let (module, _) = tcc_ir::text::read_module(&mut Sources::default(), &name, &text).unwrap();
        let checked = check(&module).unwrap();
        let f = &module.functions[module.entries.last().unwrap()];
        let executable = eager(&lower(&checked, (f, None)).unwrap()).unwrap();
        let executable = executable.with_executor(Arc::clone(&threads) as Arc<dyn Executor>);
        let sizes: Vec<(&str, i64)> = golden.sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let inputs = golden.tensors(f);
        let want = answer(&executable, f, &inputs, &sizes, 1);
        assert!(want.is_ok(), "{name}: {want:?}");
        for n in THREADS {
            assert_eq!(answer(&executable, f, &inputs, &sizes, n), want, "{name} on {n} threads");
        }
    }
    assert!(threads.shares() > 100, "only {} nests were shared out", threads.shares());
    assert_eq!(threads.started(), 15);
}

#[test]
fn generated_programs_give_the_same_bits_on_any_number_of_threads() {
    let threads = own_threads(1);
    let (mut programs, mut errors) = (0, 0);
    for seed in 0..120 {
        let case = case(seed, &Options::all());
        let Ok(subject) = read(&case.text()) else { continue };
        let Ok(executable) = subject.lower().and_then(|c| eager(&c)) else { continue };
        let executable = executable.with_executor(Arc::clone(&threads) as Arc<dyn Executor>);
        programs += 1;
        for (sizes, inputs) in runs_of(&case, seed) {
            let (f, named) = (subject.function(), subject.named(&sizes));
            let want = answer(&executable, f, &inputs, &named, 1);
            errors += usize::from(want.is_err());
            for n in THREADS {
                let got = answer(&executable, f, &inputs, &named, n);
                assert_eq!(got, want, "seed {seed} on {n} threads at {sizes:?}\n{}", case.text());
            }
        }
    }
    assert!(programs > 60, "only {programs} programs ran");
    assert!(errors > 0, "no call failed");
    assert!(threads.shares() > 500, "only {} nests were shared out", threads.shares());
}

const MATMUL: &str = "fn matmul(A: f32[B,M,K], X: f32[B,K,N]) -> (C: f32[B,M,N]) {
    C[b,m,n] = A[b,m,k] * X[b,k,n]
}";

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|k| ((k * 37) % 101) as f32 / 7.0 - 5.0).collect()
}

fn bits(results: &[Tensor]) -> Vec<&[u8]> {
    results.iter().map(Tensor::as_bytes).collect()
}

#[test]
fn strided_tensors_take_their_own_kernels_on_any_number_of_threads() {
    let (f, threads) = eager_text(MATMUL);
    let (a, x) = (numbers(2 * 33 * 19), numbers(2 * 19 * 35));
    let (columns, pairs) = ([33 * 19, 1, 33], [1, 2, 38]);
    let turned = [
        TensorView::strided(&a, &[2, 33, 19], &columns, 0).unwrap(),
        TensorView::strided(&x, &[2, 19, 35], &pairs, 0).unwrap(),
    ];
    let copies = turned.clone().map(|v| v.to_tensor().unwrap());
    let dense = [copies[0].view(), copies[1].view()];
    let at = |v: &[f32], strides: [i64; 3], i: usize, j: usize, k: usize| {
        f64::from(v[i * strides[0] as usize + j * strides[1] as usize + k * strides[2] as usize])
    };
    let element = |position: usize| -> f64 {
        let (b, m, n) = (position / (33 * 35), position / 35 % 33, position % 35);
        (0..19).map(|k| at(&a, columns, b, m, k) * at(&x, pairs, b, k, n)).sum()
    };
    for inputs in [turned, dense] {
        let want = f.run_with(&inputs, &on(1)).unwrap();
        let values = want[0].as_slice::<f32>().unwrap();
        assert_eq!(values.len(), 2 * 33 * 35);
        for (position, v) in values.iter().enumerate() {
            assert!((f64::from(*v) - element(position)).abs() < 1e-3, "element {position}");
        }
        for n in THREADS {
            assert_eq!(bits(&f.run_with(&inputs, &on(n)).unwrap()), bits(&want), "{n} threads");
        }
    }
    assert!(threads.shares() > 0);
}

#[test]
fn eight_callers_share_one_executable() {
    let (f, threads) = eager_text(MATMUL);
    let (a, x) = (numbers(3 * 17 * 9), numbers(3 * 9 * 40));
    let inputs = [
        TensorView::from_slice(&a, &[3, 17, 9]).unwrap(),
        TensorView::from_slice(&x, &[3, 9, 40]).unwrap(),
    ];
    let want = f.run_with(&inputs, &on(1)).unwrap();
    scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for k in 0..100 {
                    let got = f.run_with(&inputs, &on(1 + k % 5)).unwrap();
                    assert_eq!(bits(&got), bits(&want));
                }
            });
        }
    });
    assert!(threads.started() <= 4, "{} threads for calls on five", threads.started());
}

/// Of the kernels for few, some and many rows one has work for threads.
#[test]
fn kernels_that_do_nothing_wake_no_thread() {
    let text = "fn f(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) { C[i,j] = A[i,k] * B[k,j] }";
    let threads = own_threads(1);
    let f = tcc::compile(text).unwrap().with_executor(Arc::clone(&threads) as Arc<dyn Executor>);
    for (m, k, n) in [(40, 300, 3000), (300, 300, 300), (1000, 300, 1030), (1, 20, 20)] {
        let (a, b) = (numbers(m * k), numbers(k * n));
        let inputs = [
            TensorView::from_slice(&a, &[m, k]).unwrap(),
            TensorView::from_slice(&b, &[k, n]).unwrap(),
        ];
        let before = threads.shares();
        f.run_with(&inputs, &on(2)).unwrap();
        assert_eq!(threads.shares() - before, u64::from(m > 1), "{m} {k} {n}");
    }
}

#[test]
fn a_call_inside_of_shared_work_runs_on_its_thread() {
    let (f, threads) = eager_text(MATMUL);
    let (a, x) = (numbers(20 * 20), numbers(20 * 20));
    let inputs = [
        TensorView::from_slice(&a, &[1, 20, 20]).unwrap(),
        TensorView::from_slice(&x, &[1, 20, 20]).unwrap(),
    ];
    let want = f.run_with(&inputs, &on(1)).unwrap();
    let before = threads.shares();
    threads.run(3, &|| {
        let got = f.run_with(&inputs, &on(4)).unwrap();
        assert_eq!(bits(&got), bits(&want));
    });
    assert_eq!(threads.shares(), before + 1, "only the outer work is shared out");
}

/// Threads of `rayon` as an executor.
struct Rayon(rayon::ThreadPool);

impl Executor for Rayon {
    fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    fn run(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        self.0.in_place_scope(|scope| {
            (0..helpers).for_each(|_| scope.spawn(|_| work()));
            work();
        });
    }
}

#[test]
fn calls_run_on_the_threads_of_the_embedding_program() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let f = eager(&Compiler::host().lower(MATMUL).unwrap()).unwrap();
    let f = f.with_executor(Arc::new(Rayon(pool)));
    let (a, x) = (numbers(2 * 30 * 30), numbers(2 * 30 * 30));
    let inputs = [
        TensorView::from_slice(&a, &[2, 30, 30]).unwrap(),
        TensorView::from_slice(&x, &[2, 30, 30]).unwrap(),
    ];
    let want = f.run_with(&inputs, &on(1)).unwrap();
    for _ in 0..20 {
        let got = f.run(&inputs).unwrap();
        assert_eq!(bits(&got), bits(&want));
    }
    // Calls from tasks of the same threads.
    let inner = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    inner.scope(|s| {
        for _ in 0..6 {
            s.spawn(|_| assert_eq!(bits(&f.run(&inputs).unwrap()), bits(&want)));
        }
    });
}

/// An executor that calls the work on no thread, or too often.
struct Odd(usize);

impl Executor for Odd {
    fn threads(&self) -> usize {
        3
    }

    fn run(&self, _: usize, work: &(dyn Fn() + Sync)) {
        scope(|s| (0..self.0).for_each(|_| drop(s.spawn(work))));
    }
}

#[test]
fn odd_executors_do_no_harm() {
    let text = "fn f(X: i64[N,M]) -> (Y: i64[N,M]) { Y[n,m] = X[n,m] * X[n,m] + m }";
    let lowered = Compiler::host().lower(text).unwrap();
    let x: Vec<i64> = (0..21 * 13).collect();
    let inputs = [TensorView::from_slice(&x, &[21, 13]).unwrap()];
    let want: Vec<i64> = x.iter().map(|v| v * v + v % 13).collect();
    for calls in [0, 1, 7] {
        let f = eager(&lowered).unwrap().with_executor(Arc::new(Odd(calls)));
        assert_eq!(f.run(&inputs).unwrap()[0].as_slice::<i64>().unwrap(), want, "{calls} calls");
    }
}

#[test]
fn the_error_of_the_lowest_iteration_is_reported() {
    let x: Vec<i64> = (0..5000).map(|k| k % 10).collect();
    let mut y = x.iter().map(|v| v + 1).collect::<Vec<i64>>();
    for bad in [4999, 4000, 1237, 1238, 2500] {
        y[bad] = 0;
    }
    let inputs = [&x, &y].map(|v| TensorView::from_slice(v, &[5000]).unwrap());
    let pick = "fn f(X: i64[N], I: i64[N]) -> (Y: i64[N]) { Y[n] = X[I[n] - 1] }";
    let halve = "fn f(X: i64[N], D: i64[N]) -> (Y: i64[N]) { Y[n] = X[n] / D[n] }";
    let index = "subscript -1 of axis 0 of `X` is not in 0..5000, at n = 1237";
    let division = "an integer is divided by zero in `Y`";
    let cases = [
        (pick, RunError::Index(index.to_owned())),
        (halve, RunError::Division(division.to_owned())),
    ];
    for (text, want) in cases {
        let (f, _) = eager_text(text);
        for n in THREADS {
            for _ in 0..20 {
                let got = f.run_with(&inputs, &on(n)).unwrap_err();
                assert_eq!(got, want, "on {n} threads");
            }
        }
    }
}

#[test]
fn an_earlier_error_counts_even_if_it_is_found_later() {
    let (f, _) = eager_text("fn f(X: i32[M], I: i32[N,K]) -> (Y: i32[N]) { Y[n] = X[I[n,k]] }");
    // The first row fails at its end, the second one at once.
    let row = 2_000_000;
    let mut indices = vec![0; 2 * row];
    indices[row - 1] = 7;
    indices[row] = 9;
    let inputs = [
        TensorView::from_slice(&[1, 2, 3], &[3]).unwrap(),
        TensorView::from_slice(&indices, &[2, row]).unwrap(),
    ];
    let message = "subscript 7 of axis 0 of `X` is not in 0..3, at n = 0, k = 1999999";
    for _ in 0..10 {
        let error = f.run_with(&inputs, &on(2)).unwrap_err();
        assert_eq!(error, RunError::Index(message.to_owned()));
    }
}

#[test]
fn a_time_budget_stops_every_thread() {
    let (f, threads) = eager_text(
        "fn f(X: f64[N]) -> (S: f64[N]) { S[i] = sum[j,k,l](sin(X[i] + X[j] + X[k] + X[l])) }",
    );
    let x = [1.0; 600];
    let inputs = [TensorView::from_slice(&x, &[600]).unwrap()];
    let limit = Duration::from_millis(50);
    let options = CallOptions { budget: Budget { time: Some(limit), memory: None }, ..on(4) };
    let started = Instant::now();
    assert_eq!(f.run_with(&inputs, &options).unwrap_err(), RunError::Time(limit));
    assert!(started.elapsed() < Duration::from_secs(20), "the call stops when its time is over");
    assert_eq!(threads.shares(), 1);
}

#[test]
fn little_work_starts_no_thread() {
    let threads = own_threads(4);
    let text = "fn add(X: f32[M,N], Y: f32[M,N]) -> (Z: f32[M,N]) { Z[m,n] = X[m,n] + Y[m,n] }";
    let f = tcc::compile(text).unwrap().with_executor(Arc::clone(&threads) as Arc<dyn Executor>);
    let x = numbers(2000 * 1000);
    let run = |m: usize, n: usize| {
        let view = TensorView::from_slice(&x[..m * n], &[m, n]).unwrap();
        let sum = f.run(&[view.clone(), view]).unwrap();
        assert!(sum[0].as_slice::<f32>().unwrap().iter().zip(&x).all(|(s, x)| *s == x + x));
    };
    // The work of a few microseconds.
    for _ in 0..10 {
        run(100, 100);
    }
    assert_eq!((threads.started(), threads.shares()), (0, 0));
    // That of at least half a millisecond.
    run(2000, 1000);
    assert_eq!((threads.started(), threads.shares()), (3, 1));
}

/// A kernel with memory of its own in place of the lowered ones.
fn scratch_kernel() -> Executable {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/run/local.tir");
    let text = std::fs::read_to_string(path).unwrap();
    let lowered = Compiler::host().function("reversed").lower(&text).unwrap();
    eager(&lowered.map_lowered(|m| call_kernel(m, "reversed", "by_rows"))).unwrap()
}

#[test]
fn each_thread_has_local_buffers_of_its_own() {
    let f = scratch_kernel();
    let (m, n) = (200, 37);
    let x: Vec<i32> = (0..m * n).collect();
    let want: Vec<i32> = (0..m * n).map(|k| k * (k - k % n + (n - 1 - k % n))).collect();
    let inputs = [TensorView::from_slice(&x, &[m as usize, n as usize]).unwrap()];
    for threads in THREADS {
        for _ in 0..20 {
            let got = f.run_with(&inputs, &on(threads)).unwrap();
            assert_eq!(got[0].as_slice::<i32>().unwrap(), want, "on {threads} threads");
        }
    }
}

#[test]
fn the_memory_budget_counts_the_local_buffers_of_all_threads() {
    let f = scratch_kernel();
    let x: Vec<i32> = (0..10 * 30).collect();
    let inputs = [TensorView::from_slice(&x, &[10, 30]).unwrap()];
    let mut y = vec![0i32; 300];
    // 30 i32 are 120 bytes, 30 i64 are 240: in lines of 64 bytes 128 + 256.
    for threads in [1, 2, 3] {
        let mut with = |memory| {
            let budget = Budget { memory: Some(memory), time: None };
            let mut out = [TensorViewMut::from_slice(&mut y, &[10, 30]).unwrap()];
            f.run_into(&inputs, &mut out, &CallOptions { budget, ..on(threads) })
        };
        let needed = 384 * threads as u64;
        assert_eq!(with(needed), Ok(()));
        let refused = RunError::Memory { needed, allowed: needed - 1 };
        assert_eq!(with(needed - 1), Err(refused));
    }
}
