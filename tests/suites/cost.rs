//! Predicted times: what grows with what, and what limits what, on a machine of fixed rates.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use tcc::{Compiler, KernelTime, Limit, Machine};

/// Predictions of the calls that do something, on code of this target.
fn predict(target: &str, text: &str, sizes: &[(&str, i64)], threads: usize) -> Vec<KernelTime> {
    let compiler = Compiler::new(target.parse().unwrap());
    let machine = Machine::nominal(8);
    let all = compiler.lower(text).unwrap().predict(sizes, &machine, threads).unwrap();
    all.into_iter().filter(|t| t.nanoseconds > 0.0).collect()
}

fn time(target: &str, text: &str, sizes: &[(&str, i64)]) -> f64 {
    predict(target, text, sizes, 1).iter().map(|t| t.nanoseconds).sum()
}

const V4: &str = "x86_64-v4";
const MATMUL: &str = "fn f(A: f32[N,N], B: f32[N,N]) -> (C: f32[N,N]) { C[i,j] = A[i,k] * B[k,j] }";
const ADD: &str = "fn f(A: f32[N], B: f32[N]) -> (C: f32[N]) { C[i] = A[i] + B[i] }";

fn fixed(n: i64) -> String {
    MATMUL.replace('N', &n.to_string())
}

#[test]
fn work_grows_with_sizes() {
    let cube = time(V4, &fixed(384), &[]) / time(V4, &fixed(192), &[]);
    assert!((6.0..12.0).contains(&cube), "{cube}");
    // 2 * 192^3 flops at 6 vectors of 16 multiply-adds in a nanosecond, and some copies.
    let ideal = 192.0 * 192.0 * 192.0 / 16.0 / 6.0;
    let ratio = time(V4, &fixed(192), &[]) / ideal;
    assert!((1.0..3.0).contains(&ratio), "{ratio}");
    let call = Machine::nominal(8).call;
    let line = |n: i64| time(V4, ADD, &[("N", n)]) - call;
    let ratio = line(2048) / line(1024);
    assert!((ratio - 2.0).abs() < 0.3, "{ratio}");
}

/// Blocks of sizes that are counted at the call: of the versions for few and many rows one is
/// counted, and the last block of each axis as far as it goes, up to the rest of a tile.
#[test]
fn what_is_counted_at_the_call_is_counted_once() {
    let text = "fn f(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) { C[i,j] = A[i,k] * B[k,j] }";
    let f = Compiler::new(V4.parse().unwrap()).lower(text).unwrap();
    for (m, k, n) in
        [(4, 300, 64), (48, 1000, 1030), (60, 300, 640), (264, 257, 544), (1008, 1000, 1024)]
    {
        let flops = f.cost(&[("M", m), ("K", k), ("N", n)]).unwrap().flops();
        // The last blocks count as averages of all; additions to earlier blocks come on top.
        let exact = (2 * m * k * n) as f64;
        assert!((0.95..1.05).contains(&(flops / exact)), "{m} {k} {n}: {flops}, {exact}");
    }
}

#[test]
fn streams_are_limited_by_the_level_that_holds_them() {
    let limit = |n: i64| predict(V4, ADD, &[("N", n)], 1)[0].limit;
    assert!(matches!(limit(1000), Limit::Loads | Limit::Compute), "{:?}", limit(1000));
    assert_eq!(limit(40_000), Limit::Level(1));
    assert_eq!(limit(1_000_000), Limit::Level(2));
    assert_eq!(limit(100_000_000), Limit::Level(3));
    let each = |n: i64| time(V4, ADD, &[("N", n)]) / n as f64;
    assert!(each(40_000) < each(1_000_000) && each(1_000_000) < each(100_000_000));
}

#[test]
fn what_stays_in_a_cache_is_loaded_once() {
    // Rows of 4 KiB are read three times, but come once from beyond the second cache.
    let norm = "fn f(X: f32[8192,1024]) -> (Y: f32[8192,1024]) {
        M[i] = mean[j](X[i,j])
        V[i] = mean[j]((X[i,j] - M[i])^2)
        Y[i,j] = (X[i,j] - M[i]) * rsqrt(V[i] + 0.00001)
    }";
    let copy = "fn f(X: f32[8192,1024]) -> (Y: f32[8192,1024]) { Y[i,j] = X[i,j] + 1 }";
    let ratio = time(V4, norm, &[]) / time(V4, copy, &[]);
    assert!((0.9..1.5).contains(&ratio), "{ratio}");
    // Five reads of neighbours are one of the rows.
    let stencil = "fn f(X: f32[4096,4096]) -> (Y: f32[4096,4096]) {
        Y[i,j] = X[i,j] + X[i-1,j]?0 + X[i+1,j]?0 + X[i,j-1]?0 + X[i,j+1]?0
    }";
    let copy = copy.replace("8192", "4096").replace("1024", "4096");
    let ratio = time(V4, stencil, &[]) / time(V4, &copy, &[]);
    assert!((0.9..2.0).contains(&ratio), "{ratio}");
}

#[test]
fn narrow_vectors_and_chains_take_longer() {
    let exps = "fn f(A: f32[N]) -> (C: f32[N]) { C[i] = exp(A[i]) }";
    let sizes = [("N", 4000)];
    assert!(time("x86_64-v2", exps, &sizes) > 3.0 * time(V4, exps, &sizes));
    // Each sum waits for the one before.
    let chain = "fn f(X: f32[T]) -> (H: f32[T]) {
        H[0] = X[0]
        H[t+1] = 0.5 * H[t] + X[t+1]
    }";
    let sum = "fn f(X: f32[T]) -> (S: f32) { S += X[t] }";
    assert!(time(V4, chain, &[("T", 4000)]) > 4.0 * time(V4, sum, &[("T", 4000)]));
}

#[test]
fn threads_share_long_kernels_only() {
    let of = |n: i64, threads| {
        predict(V4, ADD, &[("N", n)], threads).iter().map(|t| t.nanoseconds).sum::<f64>()
    };
    assert_eq!(of(1000, 1), of(1000, 8));
    assert!(of(1_000_000, 8) < of(1_000_000, 1));
    assert_eq!(of(1_000_000, 8), of(1_000_000, 100), "there are eight cores");
}

#[test]
fn blocks_of_blocks_touch_every_element() {
    let turn = "fn f(A: f32[1024,512]) -> (B: f32[512,1024]) { B[i,j] = A[j,i] }";
    let lowered = Compiler::new(V4.parse().unwrap()).lower(turn).unwrap();
    assert_eq!(lowered.cost(&[]).unwrap().bytes(), 2.0 * 4.0 * 1024.0 * 512.0);
    let times = predict(V4, turn, &[], 1);
    assert!(times[0].nanoseconds > 4.0 * 1024.0 * 512.0 / 96.0, "{times:?}");
}

#[test]
fn sizes_must_be_named() {
    let lowered = Compiler::host().lower(ADD).unwrap();
    let e = lowered.predict(&[], &Machine::nominal(1), 1).unwrap_err();
    assert!(e.to_string().contains('N'), "{e}");
}
