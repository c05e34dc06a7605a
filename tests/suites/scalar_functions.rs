//! The expansions of scalar functions are within 4 ulp of the truth and exact at special arguments.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: S1, S3

use std::thread;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::Expansions;
use tcc_ir::scalar::Func;
use tcc_tests::scalar_tables::{MAX_ULPS, Point, Worst, error, functions, single, table};

/// Distance between the `f32` arguments that are tried: a prime, about 43 000 arguments.
const STRIDE: usize = 99_991;

/// Runs `check` on every function, on two threads, and reports the largest errors.
fn check_all(check: fn(Func, &mut Expansions) -> Worst) {
    let all: Vec<Func> = functions().collect();
    assert_eq!(all.len(), 25);
    let run = |part: usize| {
        let mut expansions = Expansions::default();
        let mine = all.iter().skip(part).step_by(2);
        mine.map(|f| (*f, check(*f, &mut expansions))).collect::<Vec<_>>()
    };
    let worst: Vec<(Func, Worst)> = thread::scope(|s| {
        let other = s.spawn(|| run(1));
        let mut found = run(0);
        found.extend(other.join().unwrap());
        found
    });
    for (func, w) in &worst {
        println!("{func}: {} ulp", w.ulps);
    }
    let wrong: Vec<String> = worst
        .iter()
        .filter(|(_, w)| w.ulps > MAX_ULPS)
        .map(|(func, w)| format!("{func}: {:?}", w.at))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_table(func: Func, dtype: DType, expansions: &mut Expansions) -> Worst {
    let mut worst = Worst::default();
    for p in table(func, dtype) {
        worst.add(&p, expansions.evaluate(func, &p.args));
    }
    worst
}

#[test]
fn double_precision_tables() {
    check_all(|func, expansions| check_table(func, DType::F64, expansions));
}

#[test]
fn single_precision_tables() {
    check_all(|func, expansions| check_table(func, DType::F32, expansions));
}

#[test]
fn single_precision_sweep() {
    check_all(|func, expansions| {
        let mut worst = Worst::default();
        for bits in (0..=u32::MAX).step_by(STRIDE) {
            let x = f32::from_bits(bits);
            // A second argument that reaches far but often gives a finite power.
            let y = if bits % 2 == 0 { 40.0 / x.abs().log2() } else { f32::from_bits(!bits) };
            let args = if func.arity() == 1 { vec![x] } else { vec![x, y] };
            let point = single(func, &args);
            worst.add(&point, expansions.evaluate(func, &point.args));
        }
        worst
    });
}

#[test]
fn distances() {
    let s = |x: f64| Scalar::from_f64(DType::F32, x);
    let at = |x: f64, want: f64| Point { args: vec![s(x)], want: s(want) };
    let next = f64::from(1f32.next_up());
    assert_eq!(error(&at(1.0, 1.0), s(next)), 1);
    assert_eq!(error(&at(1.0, f64::NAN), s(f64::NAN)), 0);
    assert_eq!(error(&at(1.0, f64::NAN), s(1.0)), u64::MAX);
    assert_eq!(error(&at(1.0, 0.0), s(-0.0)), u64::MAX);
    assert_eq!(error(&at(1.0, f64::INFINITY), s(f64::from(f32::MAX))), 1);
    assert_eq!(error(&at(0.0, f64::INFINITY), s(f64::from(f32::MAX))), u64::MAX);
    let tiny = f64::from(f32::from_bits(1));
    assert_eq!(error(&at(1.0, tiny), s(-tiny)), 2);
}
