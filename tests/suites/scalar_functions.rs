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

/// A function on whole tensors, compiled: vector lanes and a scalar rest.
struct Compiled {
    code: tcc::Executable,
    dtype: DType,
}

impl Compiled {
    fn new(func: Func, dtype: DType) -> Compiled {
        let text = match func.arity() {
            1 => format!("fn f(X: {dtype}[N]) -> (Y: {dtype}[N]) {{ Y[i] = {func}(X[i]) }}"),
            _ => format!(
                "fn f(X: {dtype}[N], W: {dtype}[N]) -> (Y: {dtype}[N]) {{\n    \
                 Y[i] = {func}(X[i], W[i])\n}}"
            ),
        };
        Compiled { code: tcc::compile(&text).unwrap(), dtype }
    }

    fn evaluate(&self, points: &[Point]) -> Vec<Scalar> {
        let width = self.dtype.size();
        let arity = points.first().map_or(0, |p| p.args.len());
        let columns: Vec<Vec<u8>> = (0..arity)
            .map(|k| {
                let mut bytes = vec![0; points.len() * width];
                for (slot, p) in bytes.chunks_mut(width).zip(points) {
                    p.args[k].write(slot);
                }
                bytes
            })
            .collect();
        let view = |b| tcc::TensorView::from_bytes(self.dtype, &[points.len()], b).unwrap();
        let views: Vec<_> = columns.iter().map(|b: &Vec<u8>| view(b)).collect();
        let results = self.code.run(&views).unwrap();
        results[0].as_bytes().chunks(width).map(|b| Scalar::read(self.dtype, b)).collect()
    }
}

/// Compiled code gives what the interpreter gives, to the bit, and the truth of the tables.
fn check_compiled_table(func: Func, dtype: DType, expansions: &mut Expansions) -> Worst {
    let points = table(func, dtype);
    let mut worst = Worst::default();
    for (p, got) in points.iter().zip(Compiled::new(func, dtype).evaluate(&points)) {
        let want = expansions.evaluate(func, &p.args);
        let nan = got.to_f64().is_nan() && want.to_f64().is_nan();
        assert!(got == want || nan, "{func} of {:?}: {got:?}, interpreted {want:?}", p.args);
        worst.add(p, got);
    }
    worst
}

#[test]
fn compiled_double_precision_tables() {
    check_all(|func, expansions| check_compiled_table(func, DType::F64, expansions));
}

#[test]
fn compiled_single_precision_tables() {
    check_all(|func, expansions| check_compiled_table(func, DType::F32, expansions));
}

/// Distance between the `f32` arguments of compiled code: `TCC_SCALAR_STRIDE`, or a prime that
/// gives about 2 million arguments. The heavy run is
/// `TCC_SCALAR_STRIDE=13 cargo test --release -p tcc-tests --test scalar_functions`.
fn stride() -> usize {
    std::env::var("TCC_SCALAR_STRIDE").ok().and_then(|v| v.parse().ok()).unwrap_or(2003)
}

#[test]
fn compiled_single_precision_sweep() {
    check_all(|func, _| {
        let code = Compiled::new(func, DType::F32);
        let mut worst = Worst::default();
        let mut points = Vec::new();
        for bits in (0..=u32::MAX).step_by(stride()) {
            let x = f32::from_bits(bits);
            let y = if bits % 2 == 0 { 40.0 / x.abs().log2() } else { f32::from_bits(!bits) };
            let args = [x, y];
            points.push(single(func, &args[..func.arity()]));
            if points.len() == 1 << 16 {
                let got = code.evaluate(&points);
                points.drain(..).zip(got).for_each(|(p, g)| worst.add(&p, g));
            }
        }
        let got = code.evaluate(&points);
        points.iter().zip(got).for_each(|(p, g)| worst.add(p, g));
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
