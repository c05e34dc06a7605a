//! Every legal schedule preserves value: random schedules of small kernels, by the interpreter.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use fastrand::Rng;
use tcc::{CallOptions, Compiler, Executable};
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Domain, Expansions, Machine, Tensor, Tensors, run_kernel};
use tcc_ir::graph::Module;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{
    Block, For, Kernel, KernelNames, LoopKind, Rename, Stmt, Store, Update, View, print_kernel,
    verify,
};
use tcc_ir::scalar::{Expr, Subscript};
use tcc_ir::schedule::{Primitive, Schedule, print_schedule};
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;
use tcc_ir::{TensorId, VarId};
use tcc_passes::schedule::apply;
use tcc_tests::differential::{Applied, identical};
use tcc_tests::directives::{self, directive};
use tcc_tests::programs::{from_memory, parts, to_memory};
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

kernel relu(A: f32[M,K], B: f32[K,N], D: f32[N]) -> (C: f32[M,N]) where K >= 1 {
    alloc T: f32[M,N] @local
    for i in M { for j in N { for k in K {
        block mm(m = i, n = j, r = k) {
            init T[m,n] = 0
            T[m,n] += A[m,r] * B[r,n]
        }
    } } }
    for p in M { for q in N {
        block relu(m = p, n = q) {
            C[m,n] = max(T[m,n] + D[n], 0)
        }
    } }
}

kernel blur(A: i32[N,M]) -> (C: i32[N,M]) {
    alloc T: i32[N,M] @local
    for i in N { for j in M {
        block rows(a = i, b = j) {
            T[a,b] = A[a,b-1]?0 + A[a,b] + A[a,b+1]?0
        }
    } }
    for p in N { for q in M {
        block columns(a = p, b = q) {
            C[a,b] = T[a-1,b]?1 + 2 * T[a,b] + T[a+1,b]?3
        }
    } }
}

kernel softmax(A: f32[N,M]) -> (C: f32[N,M]) {
    alloc S: f32[N] @local
    alloc E: f32[N,M] @local
    for i in N { for j in M {
        block scale(a = i, b = j) {
            E[a,b] = 2 * A[a,b] + 1
        }
    } }
    for p in N { for q in M {
        block sum(a = p, b = q) {
            init S[a] = 1
            S[a] += E[a,b]
        }
    } }
    for s in N { for t in M {
        block div(a = s, b = t) {
            C[a,b] = E[a,b] - S[a]
        }
    } }
}

kernel chain(A: f16[N]) -> (C: f16[N], D: f16[N]) {
    alloc T: f16[N] @local
    alloc U: f16[N] @local
    for i in N {
        block one(a = i) {
            let y: f16 = 0.3 * A[a]
            T[a] = y * y + 0.1
        }
    }
    for j in N {
        block two(b = j) {
            U[b] = T[b] * T[b] / 3
        }
    }
    for p in N {
        block three(c = p) {
            C[c] = U[c] + U[c-1]?0.5
        }
    }
    for q in 1..N {
        block four(d = q) where d % 2 == 0 {
            D[d] = U[d] * 0.7
        }
    }
}

kernel turn(A: f32[N,M]) -> (C: f32[M,N]) {
    for i in N { for j in M {
        block t(n = i, m = j) {
            C[m,n] = A[n,m]
        }
    } }
}

kernel gather(I: i32[N], A: f32[9,M]) -> (C: f32[N,M]) {
    alloc T: f32[N,M] @local
    for i in N { for j in M {
        block take(a = i, b = j) {
            T[a,b] = A[I[a],b]?0
        }
    } }
    for p in N { for q in M {
        block add(a = p, b = q) {
            C[a,b] = T[a,b] + T[a,M-1-b]
        }
    } }
}

kernel conv(A: i64[C,H+2,W+2], F: i64[O,C,3,3]) -> (Y: i64[O,H,W]) where C >= 1 {
    for o in O { for y in H { for x in W {
        for c in C { for r in 3 { for s in 3 {
            block conv(vo = o, vy = y, vx = x, vc = c, vr = r, vs = s) {
                init Y[vo,vy,vx] = 0
                Y[vo,vy,vx] += A[vc,vy+vr,vx+vs] * F[vo,vc,vr,vs]
            }
        } } }
    } } }
}

kernel staged(A: i32[K,N], B: i32[K,N]) -> (C: i32[N]) {
    for k in K {
        alloc T: i32[N] @local
        for i in N {
            block stage(a = k, b = i) {
                T[b] = A[a,b] - 1
            }
        }
        for j in N {
            block add(a = k, b = j) {
                C[b] += T[b] * B[a,b]
            }
        }
    }
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

/// Results for random contents, those of result buffers included. Loops that may run in any order
/// run backwards, and allocated buffers begin with an odd value.
fn results(k: &Kernel, sizes: &[i64], arguments: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let mut k = k.clone();
    let body = std::mem::take(&mut k.body);
    k.body = adverse(&mut k, body);
    let k = &k;
    let mut arguments = arguments.to_vec();
    run_kernel(k, sizes, &mut arguments, &mut Expansions::default()).unwrap();
    arguments.split_off(k.params.len())
}

/// The statements with loops that may run in any order backwards, and allocated buffers filled.
fn adverse(k: &mut Kernel, body: Vec<Stmt>) -> Vec<Stmt> {
    let mut out = Vec::new();
    for s in body {
        match s {
            Stmt::For(mut f) => {
                f.body = adverse(k, f.body);
                if !matches!(f.kind, LoopKind::Serial | LoopKind::Unroll) {
                    let back = f.lo.clone() + f.hi.clone() - IntExpr::constant(1);
                    let var = k.vars.push("back".to_owned());
                    let value = back - IntExpr::from(f.var);
                    let from = f.var;
                    let body = Backwards { from, to: var }.body(&f.body);
                    f.body = vec![Stmt::Let { var, value }];
                    f.body.extend(body);
                }
                out.push(Stmt::For(f));
            }
            Stmt::If { condition, then, otherwise } => out.push(Stmt::If {
                condition,
                then: adverse(k, then),
                otherwise: adverse(k, otherwise),
            }),
            Stmt::Repeat(mut r) => {
                r.body = adverse(k, r.body);
                out.push(Stmt::Repeat(r));
            }
            Stmt::Alloc(t) => {
                out.push(Stmt::Alloc(t));
                out.push(filled(k, t));
            }
            other => out.push(other),
        }
    }
    out
}

/// Uses of one variable become uses of another.
struct Backwards {
    from: VarId,
    to: VarId,
}

impl Rename for Backwards {
    fn declare_var(&mut self, v: VarId) -> VarId {
        v
    }

    fn declare_buffer(&mut self, t: TensorId) -> TensorId {
        t
    }

    fn enter_block(&mut self, b: &Block) -> Vec<VarId> {
        b.iters.iter().map(|(v, _)| *v).collect()
    }

    fn enter_view(&mut self, v: &View) -> Vec<VarId> {
        v.axes.iter().map(|(v, _)| *v).collect()
    }

    fn declare_let(&mut self, t: TensorId) -> TensorId {
        t
    }

    fn var(&self, v: VarId) -> VarId {
        if v == self.from { self.to } else { v }
    }

    fn tensor(&self, t: TensorId) -> TensorId {
        t
    }
}

/// Loops that set every element of a buffer.
fn filled(k: &mut Kernel, t: TensorId) -> Stmt {
    let b = k.buffers[t].clone();
    let mut iters = Vec::new();
    let mut loops = Vec::new();
    for n in &b.shape {
        let (l, v) = (k.vars.push("l".to_owned()), k.vars.push("v".to_owned()));
        iters.push((v, IntExpr::from(l)));
        loops.push((l, n.clone()));
    }
    let value = match b.dtype {
        DType::Bool => Scalar::from_bool(true),
        d if d.is_int() => Scalar::from_i128(d, 77),
        d => Scalar::from_f64(d, 77.0),
    };
    let subscripts = iters.iter().map(|(v, _)| Subscript::Affine((*v).into())).collect();
    let value = Expr::Literal(value);
    let store = Store { buffer: t, subscripts, update: Update::Set, value, drop: false };
    let (name, lets) = ("fill".to_owned(), vec![]);
    let block = Block { name, iters, guard: None, init: None, lets, store };
    loops.into_iter().rev().fold(Stmt::Block(block), |inner, (var, hi)| {
        let (lo, kind) = (IntExpr::constant(0), LoopKind::Serial);
        Stmt::For(For { var, lo, hi, kind, body: vec![inner] })
    })
}

/// A schedule of random legal directives, with what it makes and how many were refused.
fn legal(rng: &mut Rng, kernel: &Kernel, applied: &mut Applied) -> (Schedule, Kernel, usize) {
    let mut schedule = Schedule { kernel: kernel.name.clone(), directives: vec![] };
    let (mut k, mut refused) = (kernel.clone(), 0);
    for trial in 0..rng.usize(1..8) {
        let Some(directive) = directive(rng, &k, trial) else { continue };
        let one = Schedule { directives: vec![directive.clone()], ..schedule.clone() };
        match apply(&k, &one) {
            Ok(changed) => {
                *applied.entry(directive.primitive.name()).or_insert(0) += 1;
                schedule.directives.push(directive);
                k = changed;
            }
            Err(_) => refused += 1,
        }
    }
    (schedule, k, refused)
}

fn kernels() -> Module {
    let text = KERNELS.replace(" { for", " {\nfor").replace("} }", "}\n}").replace("} }", "}\n}");
    let module = read_module(&mut Sources::default(), "kernels.tir", &text);
    module.unwrap_or_else(|d| panic!("{d:?}")).0
}

#[test]
fn legal_schedules_preserve_values() {
    let module = kernels();
    let mut rng = Rng::with_seed(5);
    let mut all = Applied::new();
    for kernel in module.kernels.values() {
        let (mut applied, mut refused) = (Applied::new(), 0);
        for _ in 0..setting("TCC_SCHEDULES", 100) {
            let (schedule, scheduled, no) = legal(&mut rng, kernel, &mut applied);
            refused += no;
            verify(&scheduled).unwrap();
            let text = print_schedule(&schedule);
            assert!(apply(kernel, &schedule).as_ref() == Ok(&scheduled), "{text}");
            let sizes = sizes(&mut rng, kernel);
            let arguments: Vec<Tensor<f64>> =
                kernel.arguments().map(|t| tensor(&mut rng, kernel, t, &sizes)).collect();
            let want = results(kernel, &sizes, &arguments);
            let got = results(&scheduled, &sizes, &arguments);
            let reassociated = schedule.directives.iter().any(|d| d.permission.is_some());
            let same = want.iter().zip(&got).all(|(a, b)| close(a, b, reassociated));
            assert!(same, "{sizes:?}\n{text}{}", print_kernel(&scheduled));
            let text = format!("{}\n{text}", print_kernel(&scheduled));
            let back = read_module(&mut Sources::default(), "k.tir", &text);
            let back = back.unwrap_or_else(|d| panic!("{d:?}\n{text}")).0;
            assert!(back.kernels[&kernel.name] == scheduled, "{text}");
            assert!(back.schedules[&kernel.name] == schedule, "{text}");
        }
        let count: usize = applied.values().sum();
        println!("{}: {applied:?}, {refused} refused", kernel.name);
        assert!(count > 20 && refused > 20, "{}: {count} {refused}", kernel.name);
        applied.into_iter().for_each(|(word, n)| *all.entry(word).or_insert(0) += n);
    }
    let never: Vec<_> = Primitive::NAMES.iter().filter(|n| !all.contains_key(**n)).collect();
    assert!(never.is_empty(), "never legal: {never:?}");
}

/// A function of the kernel's signature: its program calls the kernel.
fn stand_in(k: &Kernel) -> String {
    let text = print_kernel(k);
    let header = text.lines().next().unwrap().replacen("kernel ", "fn ", 1);
    let result = &k.buffers[k.results[0]];
    let names = |e: &IntExpr| tcc_ir::int::display(e, &KernelNames(k)).to_string();
    let axes: Vec<String> =
        result.shape.iter().enumerate().map(|(n, e)| format!("x{n} in {}", names(e))).collect();
    let reads: Vec<String> = k
        .params
        .iter()
        .map(|t| {
            let b = &k.buffers[*t];
            let zeros = vec!["0"; b.shape.len()].join(",");
            format!("cast({}, {}[{zeros}]?0)", result.dtype, b.name)
        })
        .collect();
    let (name, axes, reads) = (&result.name, axes.join(","), reads.join(" + "));
    format!("{header}\n    {name}[{axes}] = {reads} @bcast\n}}\n")
}

/// What compiled code makes of a kernel.
fn compiled(k: &Kernel, sizes: &[i64], arguments: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let text = stand_in(k);
    let compilation = Compiler::host().lower(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let compilation = compilation.map_kernels(|kernels| {
        assert_eq!(kernels.len(), 1, "{text}");
        let (name, old) = kernels.get_index_mut(0).unwrap();
        assert_eq!(old.params.len(), k.params.len(), "{text}");
        *old = Kernel { name: name.clone(), ..k.clone() };
    });
    let executable = Executable::from_compilation(compilation).unwrap();
    let memory: Vec<_> = arguments.iter().take(k.params.len()).map(to_memory).collect();
    let views: Vec<_> = memory.iter().map(|m| m.view()).collect();
    let free = executable.free_sizes();
    let all = k.sizes.values().map(|s| s.name.as_str()).zip(sizes.iter().copied());
    let named: Vec<(&str, i64)> = all.filter(|(n, _)| free.contains(n)).collect();
    let options = CallOptions { sizes: &named, ..CallOptions::default() };
    let made = executable.run_with(&views, &options).unwrap();
    made.iter().map(from_memory).collect()
}

#[test]
fn compiled_schedules_agree_with_their_kernels() {
    let module = kernels();
    // The others read what their results hold, or have several.
    let names =
        ["matmul", "fused", "stencil", "scan", "relu", "blur", "softmax", "turn", "gather", "conv"];
    let mut rng = Rng::with_seed(11);
    let mut all = Applied::new();
    for name in names {
        let kernel = &module.kernels[name];
        for _ in 0..setting("TCC_SCHEDULES_COMPILED", 20) {
            let (schedule, scheduled, _) = legal(&mut rng, kernel, &mut all);
            let sizes = sizes(&mut rng, kernel);
            let arguments: Vec<Tensor<f64>> =
                kernel.arguments().map(|t| tensor(&mut rng, kernel, t, &sizes)).collect();
            let mut want = arguments.clone();
            // New results are zero.
            for t in want.iter_mut().skip(kernel.params.len()) {
                let zero = Machine.value(Scalar::from_i128(t.dtype, 0));
                *t = Tensor::filled(t.dtype, &t.shape, zero);
            }
            run_kernel(&scheduled, &sizes, &mut want, &mut Expansions::default()).unwrap();
            let want = want.split_off(kernel.params.len());
            let got = compiled(&scheduled, &sizes, &arguments);
            let text = || format!("{}{}", print_schedule(&schedule), print_kernel(&scheduled));
            let differs = differs(&got, &want);
            assert!(differs.is_none(), "{sizes:?} {}\n{}", differs.unwrap(), text());
        }
    }
    println!("{all:?}");
    let never: Vec<_> = Primitive::NAMES.iter().filter(|n| !all.contains_key(**n)).collect();
    assert!(never.len() < 4, "never legal: {never:?}");
}

/// The first difference of results, bit by bit.
fn differs(got: &[Tensor<f64>], want: &[Tensor<f64>]) -> Option<String> {
    let named = |all: &[Tensor<f64>]| -> Tensors<f64> {
        all.iter().enumerate().map(|(n, t)| (n.to_string(), t.clone())).collect()
    };
    identical(&named(got), &named(want)).err()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(default)
}

/// Small sizes for which the kernel's facts hold.
fn sizes(rng: &mut Rng, k: &Kernel) -> Vec<i64> {
    loop {
        let sizes: Vec<i64> = k.sizes.values().map(|_| rng.i64(0..9)).collect();
        let value = |s: Symbol| match s {
            Symbol::Size(s) => sizes[s.as_u32() as usize],
            Symbol::Var(_) => 0,
        };
        let holds = |f: &tcc_ir::graph::Fact| {
            let (a, b) = (f.lhs.eval(&value).unwrap(), f.rhs.eval(&value).unwrap());
            f.comparison.holds(a.cmp(&b))
        };
        if k.facts.iter().all(holds) {
            return sizes;
        }
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
        let schedule = directives::schedule(&mut rng, &kernel);
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
