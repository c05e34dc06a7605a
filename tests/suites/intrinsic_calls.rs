//! Compiled calls of intrinsics: what they pass, and who resolves them.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use tcc::{Compilation, Compiler, Executable, Image, TensorView};
use tcc_ir::kernel::Kernel;
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;
use tcc_passes::schedule::apply_all;

const ADD: &str = "fn add(X: f32[N], Y: f32[N]) -> (Z: f32[N]) { Z[i] = X[i] + Y[i] }";

/// A function whose one kernel is replaced by another of the same signature.
fn with_kernel(compiler: Compiler, function: &str, kernel: &str) -> Compilation {
    let compiler = compiler.passes("lower{strided=true}").unwrap();
    let compilation = compiler.lower(function).unwrap();
    let (module, _) = read_module(&mut Sources::default(), "kernel.tir", kernel).unwrap();
    let module = apply_all(&module).unwrap();
    let made = module.kernels.values().next().unwrap().clone();
    compilation.map_kernels(|kernels| {
        assert_eq!(kernels.len(), 1);
        kernels.values_mut().for_each(|k| *k = Kernel { name: k.name.clone(), ..made.clone() });
    })
}

// spec: I2
#[test]
fn compiled_calls_find_their_arguments() {
    // In strips of 5 elements; the second half of each goes through the stack, backward.
    let kernel = "
        kernel add(X: f32[N] strides(?), Y: f32[N] strides(?)) -> (Z: f32[N] strides(?)) {
            alloc S: f32[2,5] @local
            alloc R: f32[5] @register
            alloc zero: f32[1] @register
            block () { zero[0] = 0 }
            for b in (N + 4)/5 {
                let n = min(5, N - 5*b)
                for i in n { block (k = n - 1 - i, m = 5*b + i) { S[1,k] = Y[m] } }
                intrin add_f32(X[5*b + i | i in n], S[1, n - 1 - i | i in n]) -> R[i | i in n]
                intrin add_f32(R[i | i in n], zero[0*i | i in n]) -> Z[5*b + i | i in n]
            }
        }";
    let compilation = with_kernel(Compiler::host(), ADD, kernel);
    let bytes = compilation.image().unwrap().to_bytes();
    let image = tcc_runtime::Executable::load(Image::from_bytes(&bytes).unwrap()).unwrap();
    let jit = Executable::from_compilation(compilation).unwrap();
    let x: Vec<f32> = (0..60).map(|k| k as f32).collect();
    for n in [0, 1, 4, 5, 17] {
        let a = TensorView::strided(&x, &[n], &[3], 2).unwrap();
        let b = TensorView::strided(&x, &[n], &[-2], 40).unwrap();
        // 2 + 3 i + 40 - 2 i
        let want: Vec<f32> = (0..n).map(|i| (42 + i) as f32).collect();
        let inputs = [a, b];
        for got in [jit.run(&inputs).unwrap(), image.run(&inputs).unwrap()] {
            assert_eq!(got[0].as_slice::<f32>().unwrap(), want);
        }
    }
}

// spec: D19
#[test]
fn tensorized_kernels_keep_their_bits() {
    let function = "fn mm(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) {
        C[m,n] = A[m,k] * B[k,n]
    }";
    let kernel = |schedule: &str| {
        format!(
            "kernel mm(A: f32[M,K] strides(?, ?), B: f32[K,N] strides(?, ?)) ->
                     (C: f32[M,N] strides(?, ?)) {{
                 for x in M {{ for y in N {{
                     block zero(m = x, n = y) {{ C[m,n] = 0 }}
                 }} }}
                 for i in M {{ for j in N {{ for k in K {{
                     block mm(m = i, n = j, r = k) {{ C[m,n] += A[m,r] * B[r,n] @fma }}
                 }} }} }}
             }}
             schedule mm {{ {schedule} }}"
        )
    };
    let tile = |m: usize, n: usize| {
        format!(
            "io, jo, ii, ji = tile(i, j, {m}, {n})
             P = pack(mm, A[m,k], P[k,m], at=io)
             Q = pack(mm, B[k,n], Q[k,n], at=jo)
             tensorize(ii, gemm_f32_{m}x{n})"
        )
    };
    let tiles = [(4, 4), (14, 32), (6, 16), (8, 12)];
    let target = Compiler::host().target().features.clone();
    let here = |(m, n): &(usize, usize)| {
        let i = tcc_ir::library::intrinsic(&format!("gemm_f32_{m}x{n}")).unwrap();
        i.missing_feature(&target).is_none()
    };
    let (m, k, n) = (15, 7, 37);
    let a: Vec<f32> = (0..m * k).map(|x| (x as f32 * 0.37).sin()).collect();
    let b: Vec<f32> = (0..k * n).map(|x| (x as f32 * 0.73).cos()).collect();
    // `A` by columns.
    let a = TensorView::strided(&a, &[m, k], &[1, m as i64], 0).unwrap();
    let b = TensorView::from_slice(&b, &[k, n]).unwrap();
    let run = |schedule: &str| {
        let compilation = with_kernel(Compiler::host(), function, &kernel(schedule));
        let f = Executable::from_compilation(compilation).unwrap();
        f.run(&[a.clone(), b.clone()]).unwrap()[0].as_slice::<f32>().unwrap().to_vec()
    };
    let want = run("");
    let mut tried = 0;
    for (m, n) in tiles.into_iter().filter(here) {
        assert_eq!(run(&tile(m, n)), want, "{m}x{n}");
        tried += 1;
    }
    assert!(tried > 0);
}

// spec: I1
#[test]
fn an_unknown_symbol_is_for_a_linker() {
    let kernel = "
        intrin mine symbol \"my_symbol\" {
            kernel (X: f32[N] strides(?)) -> (Y: f32[N] strides(?)) {
                for i in N { block (n = i) { Y[n] = X[n] } }
            }
        }
        kernel add(X: f32[N] strides(?), Y: f32[N] strides(?)) -> (Z: f32[N] strides(?)) {
            intrin mine(X[i | i in N]) -> Z[i | i in N]
        }";
    let compilation = with_kernel(Compiler::host(), ADD, kernel);
    let object = compilation.object().unwrap();
    assert!(object.windows(9).any(|w| w == b"my_symbol"));
    let e = tcc_runtime::Executable::load(compilation.image().unwrap()).unwrap_err();
    assert!(e.to_string().contains("the intrinsic `my_symbol`"), "{e}");
    let e = Executable::from_compilation(compilation).unwrap_err();
    assert_eq!(e.code(), "E-UNSUPPORTED");
    assert!(e.to_string().contains("the runtime has no intrinsic `my_symbol`"), "{e}");
}

// spec: I1
#[test]
fn a_target_without_the_feature_refuses_the_call() {
    let kernel = "
        intrin wide requires avx512f symbol \"tcc_add_f32\" {
            kernel (X: f32[N] strides(?), Y: f32[N] strides(?)) -> (Z: f32[N] strides(?)) {
                for i in N { block (n = i) { Z[n] = X[n] + Y[n] } }
            }
        }
        kernel add(X: f32[N] strides(?), Y: f32[N] strides(?)) -> (Z: f32[N] strides(?)) {
            intrin wide(X[i | i in N], Y[i | i in N]) -> Z[i | i in N]
        }";
    let at = |target: &str| {
        with_kernel(Compiler::new(target.parse().unwrap()), ADD, kernel).image().map(|_| ())
    };
    let e = at("x86_64-v3").unwrap_err();
    let why = "the intrinsic `wide` needs `avx512f`, which the target x86_64-v3 has not";
    assert!(e.to_string().ends_with(why), "{e}");
    at("x86_64-v4").unwrap();
}
