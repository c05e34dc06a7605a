//! Bound executables: what depends on params alone is computed when they are bound, and nothing
//! else outlives a call.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: P7

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tcc::{CallOptions, Compiler, Executor, Image, Tensor, TensorView};

/// Values that differ from element to element.
fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|k| ((k * 7 + seed * 13) % 19) as f32 - 9.0).collect()
}

fn floats(results: &[Tensor]) -> Vec<Vec<f32>> {
    results.iter().map(|t| t.as_slice::<f32>().unwrap().to_vec()).collect()
}

/// An executor that counts how often it was asked for help.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Executor for Counted {
    fn threads(&self) -> usize {
        2
    }

    fn run(&self, _helpers: usize, work: &(dyn Fn() + Sync)) {
        self.0.fetch_add(1, Ordering::Relaxed);
        work();
    }
}

/// `G` and `H` follow from `W` alone; `Y` does not.
const PRODUCTS: &str = "fn f(X: f32[B,K], param W: f32[K,K]) -> (Y: f32[B,K]) {
    G[i,j] = W[k,i] * W[k,j]
    H[i,j] = G[i,k] * W[k,j]
    Y[b,j] = X[b,i] * H[i,j]
}";

#[test]
fn products_of_params_are_computed_once() {
    const K: usize = 192;
    let counted = Arc::new(Counted::default());
    let executor: Arc<dyn Executor> = Arc::clone(&counted) as Arc<dyn Executor>;
    let f = tcc::compile(PRODUCTS).unwrap().with_executor(executor);
    let w = values(K * K, 1);
    let view = TensorView::from_slice(&w, &[K, K]).unwrap();
    let bound = f.bind(&[("W", view.clone())]).unwrap();
    let when_bound = counted.0.swap(0, Ordering::Relaxed);
    assert!(when_bound >= 2, "two products are worth threads, {when_bound} used them");
    let x = values(K, 2);
    let x = TensorView::from_slice(&x, &[1, K]).unwrap();
    let got = bound.run(std::slice::from_ref(&x), &CallOptions::default()).unwrap();
    assert_eq!(counted.0.swap(0, Ordering::Relaxed), 0, "the product with a row is not");
    let want = f.run(&[x, view]).unwrap();
    assert_eq!(counted.0.swap(0, Ordering::Relaxed), when_bound, "without binding all of it runs");
    assert_eq!(floats(&got), floats(&want));
}

#[test]
fn calls_differ_as_their_inputs_do() {
    let f = tcc::compile(PRODUCTS).unwrap();
    let image = f.compilation().image().unwrap();
    let image = Image::from_bytes(&image.to_bytes()).unwrap();
    let loaded = tcc_runtime::Executable::load(image).unwrap();
    for seed in 0..3 {
        let w = values(35, seed);
        // Rows with a gap between them.
        let w = TensorView::strided(&w, &[5, 5], &[7, 1], 0).unwrap();
        let bound = f.bind(&[("W", w.clone())]).unwrap();
        let from_image = loaded.bind(&[("W", w.clone())]).unwrap();
        for rows in [3usize, 1, 3, 0] {
            let x = values(rows * 5, seed + rows);
            let x = TensorView::from_slice(&x, &[rows, 5]).unwrap();
            let want = floats(&f.run(&[x.clone(), w.clone()]).unwrap());
            let options = CallOptions::default();
            let given = std::slice::from_ref(&x);
            assert_eq!(floats(&bound.run(given, &options).unwrap()), want);
            assert_eq!(floats(&from_image.run(given, &options).unwrap()), want);
            let mut y = Tensor::zeros(tcc::DType::F32, &[rows, 5]).unwrap();
            bound.run_into(given, &mut [y.view_mut()], &options).unwrap();
            assert_eq!(floats(&[y]), want);
        }
    }
}

#[test]
fn what_follows_from_inputs_does_not_outlive_a_call() {
    // S mixes a param with an input, T is a table whose extent an input shows.
    let f = tcc::compile(
        "fn f(X: f32[N], param W: f32[K,K]) -> (Y: f32[N,K]) {
            S[n,i] = X[n] * W[i,i]
            T[n] = S[n,k]
            Y[n,i] = T[n] * S[N-1-n,i]
        }",
    )
    .unwrap();
    let w = values(9, 4);
    let w = TensorView::from_slice(&w, &[3, 3]).unwrap();
    let bound = f.bind(&[("W", w.clone())]).unwrap();
    for n in [4usize, 2, 4, 7] {
        for seed in [0, 1] {
            let x = values(n, seed);
            let x = TensorView::from_slice(&x, &[n]).unwrap();
            let got = bound.run(std::slice::from_ref(&x), &CallOptions::default()).unwrap();
            assert_eq!(floats(&got), floats(&f.run(&[x, w.clone()]).unwrap()));
        }
    }
}

#[test]
fn errors_of_params_come_when_they_are_bound() {
    let f = tcc::compile(
        "fn f(X: i32[N], param D: i32[N,K]) -> (Y: i32[N]) {
            Q[n] = sum[k](100 / D[n,k])
            Y[n] = X[n] * Q[n] + Q[N-1-n]
        }",
    )
    .unwrap();
    let view = |d: &'static [i32]| TensorView::from_slice(d, &[2, 2]).unwrap();
    let error = f.bind(&[("D", view(&[5, 5, 4, 0]))]).err().map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("divided by zero")));
    let bound = f.bind(&[("D", view(&[5, 5, 4, 10]))]).unwrap();
    let x = TensorView::from_slice(&[1, 2], &[2]).unwrap();
    let got = bound.run(&[x], &CallOptions::default()).unwrap();
    assert_eq!(got[0].as_slice::<i32>().unwrap(), [40 + 35, 2 * 35 + 40]);
}

#[test]
fn named_sizes_belong_to_what_was_bound() {
    // H follows from no input.
    let f = tcc::compile(
        "fn f(X: f32[N], param W: f32[H*K]) -> (Y: f32[N,H]) where H >= 1 {
            S[h in H, k in K] = W[h*K+k]
            P[h] = S[h,k]
            R[h] = P[h] + P[H-1-h]
            Y[n,h] = X[n] * R[h] + R[H-1-h]
        }",
    )
    .unwrap();
    let (w, x) = (values(12, 1), values(3, 2));
    let w = TensorView::from_slice(&w, &[12]).unwrap();
    let x = [TensorView::from_slice(&x, &[3]).unwrap()];
    for bound_to in [&[][..], &[("H", 4)], &[("H", 5)]] {
        let at = CallOptions { sizes: bound_to, ..CallOptions::default() };
        let bound = f.bind_with(&[("W", w.clone())], &at).unwrap();
        for h in [4, 2, 4] {
            let sizes = [("H", h)];
            let options = CallOptions { sizes: &sizes, ..CallOptions::default() };
            let want = f.run_with(&[x[0].clone(), w.clone()], &options).unwrap();
            assert_eq!(floats(&bound.run(&x, &options).unwrap()), floats(&want));
        }
        assert!(bound.run(&x, &CallOptions::default()).is_err(), "H has no value");
    }
}

#[test]
fn facts_about_inputs_hold_back_what_rests_on_them() {
    // The read of W is in bounds because K <= N <= 4, which only a call shows.
    let f = tcc::compile(
        "fn f(X: f32[N], param I: f32[K], param W: f32[4]) -> (Y: f32[N]) where K <= N, N <= 4 {
            S[k] = I[k] * W[K-1-k]
            T[k] = S[k] + S[K-1-k]
            V = T[k]
            Y[n] = X[n] * V
        }",
    )
    .unwrap();
    let (i, w, x) = (values(9, 1), values(4, 2), values(3, 3));
    let w = TensorView::from_slice(&w, &[4]).unwrap();
    let x = [TensorView::from_slice(&x, &[3]).unwrap()];
    let long = TensorView::from_slice(&i, &[9]).unwrap();
    let bound = f.bind(&[("I", long), ("W", w.clone())]).unwrap();
    let error = bound.run(&x, &CallOptions::default()).unwrap_err();
    assert!(error.to_string().contains("K <= N"), "{error}");
    let short = TensorView::from_slice(&i[..2], &[2]).unwrap();
    let bound = f.bind(&[("I", short.clone()), ("W", w.clone())]).unwrap();
    let got = bound.run(&x, &CallOptions::default()).unwrap();
    assert_eq!(floats(&got), floats(&f.run(&[x[0].clone(), short, w]).unwrap()));
}

#[test]
fn weights_are_packed_when_bound() {
    // Rows of the weights lie far apart: their panels are made by a kernel of its own.
    let text = "fn dense(X: f32[M,K], param W: f32[K,N]) -> (Y: f32[N,M]) {
        Y[n,m] = X[m,k] * W[k,n]
    }";
    let lowered = Compiler::host().lower(text).unwrap();
    let f = tcc::Executable::from_compilation(lowered).unwrap();
    let image = f.compilation().image().unwrap();
    let (k, n) = (300usize, 70usize);
    let w = values(k * n, 1);
    let w = TensorView::from_slice(&w, &[k, n]).unwrap();
    let bound = f.bind(&[("W", w.clone())]).unwrap();
    for m in [1usize, 33, 40] {
        let x = values(m * k, m);
        let x = TensorView::from_slice(&x, &[m, k]).unwrap();
        let got = bound.run(std::slice::from_ref(&x), &CallOptions::default()).unwrap();
        assert_eq!(floats(&got), floats(&f.run(&[x, w.clone()]).unwrap()));
    }
    let packs = image.steps.iter().filter(|s| s.prepare.is_some()).count();
    let all = image.steps.len();
    assert!(packs < all, "{packs} of {all} steps depend on the weights alone");
}
