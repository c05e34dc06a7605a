//! Every legal schedule preserves value: random schedules of small kernels, by the interpreter.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use fastrand::Rng;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Expansions, Machine, Tensor, run_kernel};
use tcc_ir::kernel::{Kernel, Stmt, print_kernel, verify, visit_stmts};
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;
use tcc_passes::schedule::apply;
use tcc_tests::programs::parts;
use tcc_tests::random;

const KERNELS: &str = r"
kernel matmul(A: i64[M,K], B: i64[K,N]) -> (C: i64[M,N]) {
    for i in M { for j in N { for k in K {
        block mm(m = i, n = j, r = k) {
            init C[m,n] = 0
            C[m,n] += A[m,r] * B[r,n]
        }
    } } }
}

kernel fused(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) {
    for i in M { for j in N { for k in K {
        block mm(m = i, n = j, r = k) {
            init C[m,n] = 1
            C[m,n] += A[m,r] * B[r,n] @fma
        }
    } } }
}

kernel plane_sum(A: i32[N,M,6]) -> (C: i32[N]) {
    for i in N {
        block start(n = i) {
            C[n] = 0
        }
        for j in M { for k in 6 {
            block add(n = i, m = j, r = k) {
                C[n] += A[n,m,r]
            }
        } }
    }
}

kernel stencil(A: i32[N,M]) -> (C: i32[N,M]) {
    for i in N { for j in M {
        block left(n = i, m = j) {
            C[n,m] = A[n-1,m]?0 + A[n,m+1]?7
        }
    } }
}

kernel scan(X: i32[T,D]) -> (H: i32[T,D]) {
    for t in T { for d in D {
        block step(a = t, b = d) {
            H[a,b] = 3 * H[a-1,b]?1 + X[a,b]
        }
    } }
}

kernel diagonal(X: i32[T,D]) -> (H: i32[T,D]) {
    for t in T { for d in D {
        block step(a = t, b = d) {
            H[a,b] = 3 * H[a-1,b+1]?1 + X[a,b]
        }
    } }
}

kernel last(X: i32[T,D]) -> (S: i32[D]) {
    for t in T { for d in D {
        block put(a = t, b = d) {
            S[b] = X[a,b]
        }
    } }
}

kernel maximum(A: i32[N,M]) -> (C: i32[M], D: i32[N,M]) {
    for i in N { for j in M {
        alloc x: i32 @register
        block get(n = i, m = j) {
            x = A[n,m]
        }
        block most(n = i, m = j) where n != 2 {
            let y: i32 = 2 * A[n,m]
            init C[m] = -9
            C[m] max= y + x
        }
        block put(n = i, m = j) {
            D[n,m] = x
        }
    } }
}

kernel histogram(I: i32[N,M]) -> (H: i32[9]) {
    for i in N { for j in M {
        block count(n = i, m = j) {
            H[I[n,m]] += n + 1 @drop
        }
    } }
}

kernel mixed(A: i32[N,M]) -> (C: i32[M], D: i32[N,M]) {
    for i in N { for j in M {
        block add(n = i, m = j) {
            C[m] += A[n,m]
        }
        block prefix(n = i, m = j) {
            D[n,m] = C[m]
        }
    } }
}

kernel planes(A: f32[N,M,K]) -> (S: f32[N]) {
    for i in N { for j in M { for k in K {
        block add(n = i, p = j, q = k) {
            S[n] += A[n,p,q]
        }
    } } }
}

kernel triangle(A: i32[N,N]) -> (C: i32[N]) {
    for i in N {
        let half = i / 2
        for j in half..i + 1 {
            block add(n = i, m = j) {
                C[n] += A[n,m]
            }
        }
    }
}
";

fn tensor(rng: &mut Rng, k: &Kernel, t: tcc_ir::TensorId, sizes: &[i64]) -> Tensor<f64> {
    use tcc_ir::int::Symbol;
    let b = &k.buffers[t];
    let value = |s: Symbol| match s {
        Symbol::Size(s) => sizes[s.as_u32() as usize],
        Symbol::Var(_) => 0,
    };
    let shape: Vec<usize> = b.shape.iter().map(|e| e.eval(&value).unwrap() as usize).collect();
    let scalar = |rng: &mut Rng| match b.dtype {
        DType::F32 => Scalar::from_f64(DType::F32, rng.f64() - 0.5),
        d => Scalar::from_i128(d, i128::from(rng.i64(-3..9))),
    };
    let elements: Vec<Scalar> = (0..shape.iter().product()).map(|_| scalar(rng)).collect();
    Tensor::from_scalars(&Machine, b.dtype, &shape, &elements)
}

/// Equal, but for the rounding of sums in another order.
fn close(a: &Tensor<f64>, b: &Tensor<f64>, reassociated: bool) -> bool {
    let rounds = reassociated && a.dtype.is_float();
    let near = |x: f64, y: f64| x == y || (rounds && (x - y).abs() <= 1e-5);
    a.shape == b.shape && parts(a).iter().zip(parts(b)).all(|(x, y)| near(x.0, y.0))
}

/// Results for random contents, those of result buffers included.
fn results(k: &Kernel, sizes: &[i64], arguments: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let mut arguments = arguments.to_vec();
    run_kernel(k, sizes, &mut arguments, &mut Expansions::default()).unwrap();
    arguments.split_off(k.params.len())
}

fn loops(k: &Kernel) -> Vec<String> {
    let mut out = Vec::new();
    visit_stmts(&k.body, &mut |s| {
        if let Stmt::For(f) = s {
            out.push(k.vars[f.var].clone());
        }
    });
    out
}

#[test]
fn legal_schedules_preserve_values() {
    let text = KERNELS.replace(" { for", " {\nfor").replace("} }", "}\n}").replace("} }", "}\n}");
    let (module, _) = read_module(&mut Sources::default(), "kernels.tir", &text)
        .unwrap_or_else(|d| panic!("{d:?}"));
    let mut rng = Rng::with_seed(5);
    for kernel in module.kernels.values() {
        let (mut applied, mut refused) = (0, 0);
        for _ in 0..400 {
            let schedule = random::schedule(&mut rng, &kernel.name, &loops(kernel));
            let Ok(scheduled) = apply(kernel, &schedule) else {
                refused += 1;
                continue;
            };
            verify(&scheduled).unwrap();
            applied += 1;
            let sizes: Vec<i64> = kernel.sizes.values().map(|_| rng.i64(0..9)).collect();
            let arguments: Vec<Tensor<f64>> =
                kernel.arguments().map(|t| tensor(&mut rng, kernel, t, &sizes)).collect();
            let want = results(kernel, &sizes, &arguments);
            let got = results(&scheduled, &sizes, &arguments);
            let reassociated = schedule.directives.iter().any(|d| d.permission.is_some());
            let same = want.iter().zip(&got).all(|(a, b)| close(a, b, reassociated));
            assert!(same, "{sizes:?} {schedule:?}\n{}", print_kernel(&scheduled));
            let back = read_module(&mut Sources::default(), "k.tir", &print_kernel(&scheduled));
            assert!(back.unwrap().0.kernels[&kernel.name] == scheduled);
        }
        assert!(applied > 20 && refused > 20, "{}: {applied} {refused}", kernel.name);
    }
}

#[test]
fn schedules_of_any_kernel_verify_or_are_refused() {
    let mut rng = Rng::with_seed(7);
    let mut applied = 0;
    for n in 0..1000 {
        let kernel = random::kernel(&mut rng, "k");
        if verify(&kernel).is_err() {
            continue;
        }
        let schedule = random::schedule(&mut rng, "k", &loops(&kernel));
        if let Ok(scheduled) = apply(&kernel, &schedule) {
            let text = print_kernel(&scheduled);
            let back = read_module(&mut Sources::default(), "k.tir", &text);
            let back = back.unwrap_or_else(|d| panic!("case {n}: {d:?}\n{text}"));
            assert_eq!(print_kernel(&back.0.kernels["k"]), text, "case {n}");
            applied += 1;
        }
    }
    assert!(applied > 50, "only {applied} schedules are legal");
}
