//! The vector emitter: what it takes, what it leaves, and the code that it makes.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use tcc::{CallOptions, Compilation, Compiler, Stage, TensorView, TensorViewMut};

/// Compiles for a machine with AVX-512, whatever this one has.
fn lower(text: &str) -> Compilation {
    Compiler::new("x86_64-v4".parse().unwrap()).lower(text).unwrap()
}

/// Instructions on vectors and masks, without their addresses.
fn vector_instructions(listing: &str) -> Vec<&str> {
    let names = |line: &&str| ["zmm", "ymm", "xmm", ",k", " k"].iter().any(|r| line.contains(r));
    listing.lines().filter_map(|l| l.split_once("  v").map(|_| l)).filter(names).collect()
}

/// The instructions of the whole vectors, before single elements.
fn body(listing: &str) -> Vec<&str> {
    vector_instructions(listing)
        .into_iter()
        .map(|l| l.trim_start().split_once("  ").map_or("", |(_, i)| i))
        .take_while(|i| !i.contains("xmm"))
        .collect()
}

/// `2*x + y` over 40 elements: one vector of 32 as two registers, then 8 lanes of half a register.
/// The products and sums are as written, the literal comes from the constants behind the code.
#[test]
fn a_small_kernel_in_instructions() {
    let f = lower("fn f(X: f32[40], Y: f32[40]) -> (Z: f32[40]) { Z[i] = X[i] * 2 + Y[i] }");
    let listing = f.text(Stage::Asm).unwrap();
    let expected = [
        "vmovups zmm0,[rbx]",
        "vmulps zmm0,zmm0,[r15]{1to16}",
        "vaddps zmm0,zmm0,[rsi]",
        "vmovups [rdi],zmm0",
        "vmovups zmm0,[rbx+40h]",
        "vmulps zmm0,zmm0,[r15]{1to16}",
        "vaddps zmm0,zmm0,[rsi+40h]",
        "vmovups [rdi+40h],zmm0",
        "vmovups ymm0,[rbx+80h]",
        "vmulps ymm0,ymm0,[r15]{1to8}",
        "vaddps ymm0,ymm0,[rsi+80h]",
        "vmovups [rdi+80h],ymm0",
    ];
    assert_eq!(body(&listing), expected, "{listing}");
}

/// Every third element: the vectors that hold sixteen of them, joined by permutations. The last one
/// is read up to the last element only.
#[test]
fn lanes_with_gaps_in_instructions() {
    let f = lower("fn f(X: f32[46]) -> (Y: f32[16]) { Y[i] = X[3*i] }");
    let listing = f.text(Stage::Asm).unwrap();
    let expected = [
        "vmovups zmm0,[rbx]",
        "vmovups zmm1,[r15]",
        "vpermt2ps zmm0,zmm1,[rbx+40h]",
        "vmovups zmm1{k1}{z},[rbx+80h]",
        "vmovups zmm2,[r15+40h]",
        "vpermt2ps zmm0,zmm2,zmm1",
        "vmovups [rsi],zmm0",
    ];
    assert_eq!(body(&listing), expected, "{listing}");
    assert!(listing.contains("mov rcx,3FFFh"), "{listing}");
}

/// A result of more than 24 MiB is written past the caches, where it begins with a line and where
/// it does not; lines that are written in part are not.
#[test]
fn large_results_are_written_past_the_caches() {
    let (rows, columns) = (2051, 3200);
    let large = format!(
        "fn f(X: i32[{rows},{columns}]) -> (Y: i32[{rows},{columns}]) {{ Y[i,j] = X[i,j] + i }}"
    );
    let listing = lower(&large).text(Stage::Asm).unwrap();
    assert!(listing.contains("vmovntps") && listing.contains("sfence"), "{listing}");
    for small in
        [large.replace("2051", "20"), large.replace("2051", "N"), large.replace("3200", "3201")]
    {
        assert!(!lower(&small).text(Stage::Asm).unwrap().contains("vmovntps"), "{small}");
    }
    let f = tcc::compile(&large).unwrap();
    let x: Vec<i32> = (0..rows * columns).collect();
    let shape = [rows as usize, columns as usize];
    let views = [TensorView::from_slice(&x, &shape).unwrap()];
    let want: Vec<i32> = x.iter().map(|k| k + k / columns).collect();
    for shift in [0, 1, 15] {
        let mut y = vec![0; x.len() + 32];
        let line = (0..16).find(|k| y[*k..].as_ptr().addr().is_multiple_of(64)).unwrap();
        let place = &mut y[line + shift..][..x.len()];
        let out = TensorViewMut::from_slice(place, &shape).unwrap();
        f.run_into(&views, &mut [out], &CallOptions::default()).unwrap();
        assert!(y[line + shift..][..x.len()] == want, "{shift}");
        assert!(y[..line + shift].iter().chain(&y[line + shift + x.len()..]).all(|v| *v == 0));
    }
}

/// A large transpose, whose blocks lie in local memory first, and one whose blocks are cut.
#[test]
fn large_transposes() {
    for (rows, columns) in [(2624usize, 2560usize), (2630, 2570)] {
        let text = format!(
            "fn f(X: f32[{rows},{columns}]) -> (Y: f32[{columns},{rows}]) {{ Y[j,i] = X[i,j] * 2 }}"
        );
        let f = lower(&text);
        let blocks = f.text(Stage::Kernel).unwrap().contains("@local");
        assert_eq!(blocks, rows == 2624, "{rows}");
        let x: Vec<f32> = (0..rows * columns).map(|k| k as f32).collect();
        let got = tcc::compile(&text)
            .unwrap()
            .run(&[TensorView::from_slice(&x, &[rows, columns]).unwrap()])
            .unwrap();
        let y = got[0].as_slice::<f32>().unwrap();
        for (j, row) in y.chunks(rows).enumerate() {
            assert!((0..rows).all(|i| row[i] == 2.0 * x[i * columns + j]), "{rows} {j}");
        }
    }
}

#[test]
fn affine_kernels_are_emitted_and_others_are_left_with_the_reason() {
    for text in [
        "fn f(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) { C[m,n] = A[m,k] * B[k,n] }",
        "fn f(A: f64[64,300], B: f64[300,70]) -> (C: f64[64,70]) { C[m,n] = A[m,k] * B[k,n] }",
        "fn f(X: f32[B,N]) -> (Y: f32[B,N]) { Y = softmax(X) }",
        "fn f(X: f32[8,33,7]) -> (Y: f32[7,33,8]) { Y[c,b,a] = X[a,b,c] }",
        "fn f(X: f32[1,8,14,14], W: f32[16,8,3,3]) -> (Y: f32[1,16,14,14]) { \
         Y[n,o,y,x] = X[n,c,y+r-1,x+s-1]?0 * W[o,c,r,s] }",
        "fn f(A: f32[30,20], B: f32[20,40]) -> (C: f32[30,40]) { C[i,j] max= A[i,k] + B[k,j] }",
        "fn f(X: i32[N], Y: i32[N]) -> (Z: bool[N]) { Z[i] = X[i] < Y[i] }",
        "fn f(X: f64[4*N]) -> (Y: f64[N]) { Y[i] = X[4*i] + X[2*i+1]?0 }",
    ] {
        assert_eq!(lower(text).refusals().unwrap(), [], "{text}");
    }
    for (text, reason) in [
        (
            "fn f(X: f32[N], I: i64[M]) -> (Y: f32[M]) { Y[i] = X[I[i]] }",
            "it reads where its data say",
        ),
        (
            "fn f(X: f32[5*N], A: f32[N]) -> (Y: f32[N]) { Y[i] = X[5*i] + A[i] }",
            "lanes are read from far apart",
        ),
        ("fn f(X: c64[N]) -> (Y: c64[N]) { Y[i] = X[i] * X[i] }", "c64 is not read into vectors"),
        ("fn f(X: f32[N]) -> (Y: f32[N]) { Y[i] = sin(X[i]) }", "`sin` has a rare case"),
    ] {
        let refusals = lower(text).refusals().unwrap();
        assert!(!refusals.is_empty(), "{text}");
        assert!(refusals.iter().all(|(_, r)| r.contains(reason)), "{refusals:?}");
    }
    let old = Compiler::new("x86_64-v3".parse().unwrap());
    let f = old.lower("fn f(X: f32[N]) -> (Y: f32[N]) { Y[i] = X[i] + 1 }").unwrap();
    assert_eq!(f.refusals().unwrap(), []);
    assert!(!f.text(Stage::Asm).unwrap().contains("zmm"));
}

/// The second half of a sum joins the first one: the lines of a tile of C are asked for before the
/// half is summed. A sum in one part joins nothing.
#[test]
fn what_sums_join_is_asked_for_before() {
    let listing = |k: usize| {
        let text = format!(
            "fn f(A: f32[48,{k}], B: f32[{k},256]) -> (C: f32[48,256]) {{ C[m,n] = A[m,k] * B[k,n] }}"
        );
        lower(&text).text(Stage::Asm).unwrap()
    };
    assert!(!listing(256).contains("prefetch"));
    let halves = listing(512);
    let hints: Vec<&str> = halves.lines().filter(|l| l.contains("prefetch")).collect();
    // A tile is twelve rows of two lines.
    assert_eq!(hints.len(), 24, "{halves}");
    assert!(hints.iter().all(|l| l.contains("prefetchw")), "{hints:?}");
}
