//! The embedding API: views, sizes, budgets, images, threads, errors.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: P2, P3, P4, P5, F4

use std::time::{Duration, Instant};
use tcc::{Budget, CallOptions, Compiler, DType, Image, Stage, TensorView, TensorViewMut};

const MATMUL: &str = "fn matmul(A: f64[M,K], B: f64[K,N]) -> (C: f64[M,N]) {
    C[m,n] = A[m,k] * B[k,n]
}";

#[test]
fn any_strides_give_the_result_of_a_copy() {
    let f = tcc::compile(MATMUL).unwrap();
    let values: Vec<f64> = (0..400).map(|k| f64::from((k * 37) % 23) - 11.0).collect();
    // Row-major, transposed, reversed, with gaps, one element for a whole axis.
    let layouts: &[(&[i64], usize)] = &[
        (&[19, 1], 0),
        (&[1, 17], 3),
        (&[-19, -1], 399),
        (&[38, 2], 5),
        (&[0, 1], 7),
        (&[3, 0], 0),
    ];
    for (a_strides, a_offset) in layouts {
        for (b_strides, b_offset) in layouts {
            let a = TensorView::strided(&values, &[5, 18], a_strides, *a_offset);
            let b = TensorView::strided(&values, &[18, 3], b_strides, *b_offset);
            let (Ok(a), Ok(b)) = (a, b) else { continue };
            let got = f.run(&[a.clone(), b.clone()]).unwrap();
            let (a, b) = (a.to_tensor().unwrap(), b.to_tensor().unwrap());
            let want = f.run(&[a.view(), b.view()]).unwrap();
            assert_eq!(got[0].as_slice::<f64>().unwrap(), want[0].as_slice::<f64>().unwrap());
        }
    }
}

#[test]
fn results_go_into_strided_memory_and_nowhere_else() {
    let f = tcc::compile(MATMUL).unwrap();
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 0.0, 1.0]);
    let inputs = [
        TensorView::from_slice(&a, &[2, 2]).unwrap(),
        TensorView::from_slice(&b, &[2, 2]).unwrap(),
    ];
    let mut memory = [9.0; 12];
    let mut out = [TensorViewMut::strided(&mut memory, &[2, 2], &[-6, 2], 7).unwrap()];
    f.run_into(&inputs, &mut out, &CallOptions::default()).unwrap();
    assert_eq!(memory, [9.0, 3.0, 9.0, 7.0, 9.0, 9.0, 9.0, 1.0, 9.0, 3.0, 9.0, 9.0]);
    // An output that has an element twice is refused.
    assert!(TensorViewMut::strided(&mut memory, &[2, 2], &[1, 1], 0).is_err());
}

#[test]
fn code_for_dense_tensors_refuses_strides() {
    let compiler = Compiler::host().passes("inline_calls,lower").unwrap();
    let f = compiler.compile(MATMUL).unwrap();
    let a = [1.0, 2.0, 3.0, 4.0];
    let dense = TensorView::from_slice(&a, &[2, 2]).unwrap();
    let turned = TensorView::strided(&a, &[2, 2], &[1, 2], 0).unwrap();
    assert!(f.run(&[dense.clone(), dense.clone()]).is_ok());
    let e = f.run(&[dense, turned]).unwrap_err();
    assert_eq!(e.code(), "E-SHAPE");
    assert_eq!(e.to_string(), "`B` has strides [1, 2]; this code takes row-major tensors only");
}

#[test]
fn sizes_disagree_by_name() {
    let f = tcc::compile(MATMUL).unwrap();
    let a = [0.0; 12];
    let view =
        |shape: &[usize]| TensorView::from_slice(&a[..shape.iter().product()], shape).unwrap();
    let e = f.run(&[view(&[2, 3]), view(&[4, 2])]).unwrap_err();
    assert_eq!(e.code(), "E-SHAPE");
    let text = e.to_string();
    for part in ["`B`", "[4, 2]", "`A`", "[2, 3]", "K"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(f.run(&[view(&[2, 3])]).unwrap_err().code(), "E-SHAPE");
    let f32s = [0.0f32; 4];
    let wrong = TensorView::from_slice(&f32s, &[2, 2]).unwrap();
    assert_eq!(f.run(&[view(&[2, 2]), wrong]).unwrap_err().code(), "E-SHAPE");
}

#[test]
fn facts_are_checked_at_the_call() {
    let f = tcc::compile("fn f(X: f32[N]) -> (Y: f32[N]) where N % 4 == 0, N <= 8 { Y[i] = X[i] }");
    let f = f.unwrap();
    let x = [0.0f32; 12];
    for n in [0usize, 4, 8] {
        assert!(f.run(&[TensorView::from_slice(&x[..n], &[n]).unwrap()]).is_ok());
    }
    for n in [3usize, 12] {
        let e = f.run(&[TensorView::from_slice(&x[..n], &[n]).unwrap()]).unwrap_err();
        assert_eq!(e.code(), "E-FACT", "{n}");
    }
}

#[test]
fn free_sizes_are_named() {
    let f = tcc::compile("fn f(X: i64[N]) -> (Y: i64[M]) { Y[i in M] = X[i % N] }").unwrap();
    assert_eq!(f.free_sizes(), ["M"]);
    let x = [1i64, 2];
    let inputs = [TensorView::from_slice(&x, &[2]).unwrap()];
    assert_eq!(f.run(&inputs).unwrap_err().code(), "E-SHAPE");
    let sizes = [("M", 5)];
    let y = f.run_with(&inputs, &CallOptions { sizes: &sizes, ..CallOptions::default() }).unwrap();
    assert_eq!(y[0].as_slice::<i64>().unwrap(), [1, 2, 1, 2, 1]);
    for bad in [-1, 1 << 62] {
        let sizes = [("M", bad)];
        let options = CallOptions { sizes: &sizes, ..CallOptions::default() };
        assert!(f.run_with(&inputs, &options).is_err(), "{bad}");
    }
}

#[test]
fn budgets_hold() {
    let f = tcc::compile("fn f(X: f64[N]) -> (Y: f64[N,N]) { Y[i,j] = X[i] * X[j] }").unwrap();
    let x = [1.0; 100];
    let inputs = [TensorView::from_slice(&x, &[100]).unwrap()];
    let with = |memory, time| {
        let options = CallOptions { budget: Budget { memory, time }, ..CallOptions::default() };
        f.run_with(&inputs, &options).map(|_| ()).map_err(|e| (e.code(), e.to_string()))
    };
    assert!(with(Some(80_000), None).is_ok());
    let message = "the call needs 80000 bytes, allowed are 79999".to_owned();
    assert_eq!(with(Some(79_999), None), Err(("E-BUDGET", message)));
    let slow =
        "fn f(X: f64[N]) -> (S: f64) { S = sum[i,j,k,l,m](sin(X[i] + X[j] + X[k] + X[l] + X[m])) }";
    let f = tcc::compile(slow).unwrap();
    let options = CallOptions {
        budget: Budget { time: Some(Duration::from_millis(50)), memory: None },
        ..CallOptions::default()
    };
    let started = Instant::now();
    let e = f.run_with(&inputs, &options).unwrap_err();
    assert_eq!(e.code(), "E-BUDGET");
    assert!(started.elapsed() < Duration::from_secs(20), "the call stops when its time is over");
}

#[test]
fn one_executable_serves_many_threads() {
    let f = tcc::compile(
        "fn f(X: f32[N]) -> (Y: f32[N]) { T[i] = exp(X[i])\n Y[i] = T[i] / sum[k](T[k]) }",
    );
    let f = f.unwrap();
    std::thread::scope(|s| {
        for n in 1..9usize {
            let f = &f;
            s.spawn(move || {
                let x = vec![0.5f32; 100 * n];
                for _ in 0..50 {
                    let y = f.run(&[TensorView::from_slice(&x, &[x.len()]).unwrap()]).unwrap();
                    let want = 1.0 / x.len() as f32;
                    let close = |v: &f32| (v - want).abs() < 1e-6;
                    assert!(y[0].as_slice::<f32>().unwrap().iter().all(close));
                }
            });
        }
    });
}

#[test]
fn images_are_whole_or_refused() {
    let compilation = Compiler::host().lower(MATMUL).unwrap();
    let bytes = compilation.image().unwrap().to_bytes();
    assert!(Image::from_bytes(&bytes).is_ok());
    for k in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[k] ^= 0x10;
        assert!(Image::from_bytes(&damaged).is_err(), "byte {k} of {}", bytes.len());
    }
    for n in [0, 3, 10, bytes.len() - 1] {
        assert!(Image::from_bytes(&bytes[..n]).is_err());
    }
    let other = Compiler::new("aarch64".parse().unwrap()).lower(MATMUL).unwrap().image().unwrap();
    if cfg!(target_arch = "x86_64") {
        let e = tcc_runtime::Executable::load(other).unwrap_err();
        assert!(e.to_string().contains("aarch64"), "{e}");
    }
}

#[test]
fn code_is_a_function_of_source_and_target() {
    let target: tcc::Target = "x86_64-v3".parse().unwrap();
    let image = || {
        let f = "fn f(X: f32[B,N]) -> (Y: f32[B,N]) { Y = softmax(X) }";
        Compiler::new(target.clone()).lower(f).unwrap().image().unwrap().to_bytes()
    };
    assert_eq!(image(), image());
}

#[test]
fn stages_print_and_costs_count() {
    let f = tcc::compile(MATMUL).unwrap();
    assert!(f.text(Stage::Graph).unwrap().contains("C[m,n] += A[m,k] * B[k,n]"));
    assert!(f.text(Stage::Program).unwrap().starts_with("program matmul(A: f64[M,K]"));
    assert!(f.text(Stage::Kernel).unwrap().contains("for"));
    assert!(f.text(Stage::Clif).unwrap().contains("function"));
    assert!(!f.text(Stage::Asm).unwrap().is_empty());
    // What is done: of whole tiles what the product needs, else the rest of the last tile as well.
    let whole = f.cost(&[("M", 48), ("K", 20), ("N", 64)]).unwrap();
    let needed = 2.0 * 48.0 * 20.0 * 64.0;
    assert!((needed..=1.01 * needed).contains(&whole.flops()), "{}", whole.flops());
    let cost = f.cost(&[("M", 10), ("K", 20), ("N", 30)]).unwrap();
    let least = 2.0 * 10.0 * 20.0 * 30.0;
    let most = 2.0 * 16.0 * 20.0 * 32.0;
    assert!((least..=1.01 * most).contains(&cost.flops()), "{}", cost.flops());
    // Each tensor once at least, and once more for panels or for the columns behind whole vectors.
    let once = 8.0 * (10.0 * 20.0 + 20.0 * 30.0 + 10.0 * 30.0);
    assert!((once..=2.0 * once).contains(&cost.bytes()), "{}", cost.bytes());
    assert_eq!(f.cost(&[("M", 10)]).unwrap_err().code(), "E-SHAPE");
}

#[test]
fn mistakes_come_with_places() {
    let text =
        "fn f(Input: f32[N]) -> (Y: f32[N]) {\n    Y[i] = Inputs[i]\n    Z[i] = Input[i,i]\n}";
    let e = tcc::compile(text).unwrap_err();
    assert_eq!(e.code(), "E-NAME");
    assert!(e.diagnostics().len() >= 2, "{:?}", e.diagnostics());
    assert!(e.to_string().starts_with("E-NAME <text>:2:12: unknown tensor `Inputs`"), "{e}");
    assert_eq!(e.help().as_deref(), Some("did you mean `Input`?"));
}

#[test]
fn bound_params_need_not_be_given_again() {
    let text = "fn f(inout S: i32[N], param W: i32[N], X: i32[N]) -> (Y: i32[N]) {
        Y[i] = W[i] * X[i]
        S[i] = S[i] + W[i]
    }";
    let f = tcc::compile(text).unwrap();
    let (w, x, mut s, mut y) = ([1, 2, 3], [10, 20, 30], [5, 5, 5], [0; 3]);
    let bound = f.bind(&[("W", TensorView::from_slice(&w, &[3]).unwrap())]).unwrap();
    let inputs = [TensorView::from_slice(&x, &[3]).unwrap()];
    let mut into = |inputs: &[TensorView<'_>]| {
        let mut out = [
            TensorViewMut::from_slice(&mut y, &[3]).unwrap(),
            TensorViewMut::from_slice(&mut s, &[3]).unwrap(),
        ];
        bound.run_into(inputs, &mut out, &CallOptions::default()).map_err(|e| e.to_string())
    };
    assert_eq!(into(&[]), Err("expected 1 input (`X`), found 0".to_owned()));
    assert_eq!(into(&inputs), Ok(()));
    assert_eq!((y, s), ([10, 40, 90], [6, 7, 8]));
    let old = TensorView::from_slice(&s, &[3]).unwrap();
    let new = bound.run(&[old, inputs[0].clone()], &CallOptions::default()).unwrap();
    assert_eq!(new[0].as_slice::<i32>().unwrap(), [10, 40, 90]);
    assert_eq!(new[1].as_slice::<i32>().unwrap(), [7, 9, 11]);
}

#[test]
fn shapes_of_earlier_calls_do_not_stick() {
    let f = tcc::compile("fn f(X: i64[N]) -> (Y: i64[N,M]) { Y[i,j in M] = X[i] + j }").unwrap();
    let x: Vec<i64> = (0..20).collect();
    for round in 0..3 {
        for n in 0..5usize {
            let m = (n + round) % 4;
            let sizes = [("M", m as i64)];
            let options = CallOptions { sizes: &sizes, ..CallOptions::default() };
            let input = [TensorView::from_slice(&x[..n], &[n]).unwrap()];
            let y = f.run_with(&input, &options).unwrap();
            let want: Vec<i64> = (0..n * m).map(|k| (k / m + k % m) as i64).collect();
            assert_eq!((y[0].shape(), y[0].as_slice::<i64>().unwrap()), (&[n, m][..], &want[..]));
            // The same shape in another type.
            let wrong = vec![0.0f64; n];
            let input = [TensorView::from_slice(&wrong, &[n]).unwrap()];
            assert_eq!(f.run_with(&input, &options).unwrap_err().code(), "E-SHAPE");
        }
    }
}

#[test]
fn inout_is_updated_in_place() {
    let f = tcc::compile("fn f(inout S: i32[N], X: i32[N]) -> () { S[i] = S[i] + X[i] }").unwrap();
    let (mut s, x) = ([1, 2, 3], [10, 20, 30]);
    let inputs = [TensorView::from_slice(&x, &[3]).unwrap()];
    for _ in 0..2 {
        let mut out = [TensorViewMut::from_slice(&mut s, &[3]).unwrap()];
        f.run_into(&inputs, &mut out, &CallOptions::default()).unwrap();
    }
    assert_eq!(s, [21, 42, 63]);
    let old = TensorView::from_slice(&s, &[3]).unwrap();
    let new = f.run(&[old, inputs[0].clone()]).unwrap();
    assert_eq!(
        (new[0].dtype(), new[0].as_slice::<i32>().unwrap()),
        (DType::I32, &[31, 62, 93][..])
    );
    assert_eq!(s, [21, 42, 63], "`run` leaves its inputs");
}
