//! Contractions and rows against sums written out: every plan of copies, blocks and tiles, edges of
//! each.
//!
//! Elements are small integers, so that sums are exact in any order.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: R15

use std::fmt::Write;
use tcc::{CallOptions, TensorView};

/// Small integers that differ from element to element.
fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|k| ((k * 31 + k / 7 + seed * 13) % 9) as f32 - 4.0).collect()
}

/// The results of a program at `f32` or `f64`, called with small numbers of these shapes.
fn results(text: &str, dtype: &str, arguments: &[(&[f32], &[usize])]) -> Vec<Vec<f64>> {
    let f = compile(text);
    let wide: Vec<Vec<f64>> =
        arguments.iter().map(|(x, _)| x.iter().map(|v| f64::from(*v)).collect()).collect();
    let single = dtype == "f32";
    let views: Vec<TensorView<'_>> = arguments
        .iter()
        .zip(&wide)
        .map(|((x, shape), wide)| match single {
            true => TensorView::from_slice(x, shape).unwrap(),
            false => TensorView::from_slice(wide, shape).unwrap(),
        })
        .collect();
    let got = f.run(&views).unwrap();
    let elements = |t: &tcc::Tensor| match single {
        true => t.as_slice::<f32>().unwrap().iter().map(|v| f64::from(*v)).collect(),
        false => t.as_slice::<f64>().unwrap().to_vec(),
    };
    got.iter().map(elements).collect()
}

/// `sum A * B` over the letters that the target lacks, by definition.
fn by_definition(
    (target, a, b): (&str, &str, &str),
    size: &dyn Fn(char) -> usize,
    (x, y): (&[f32], &[f32]),
) -> Vec<f32> {
    let mut letters: Vec<char> = target.chars().collect();
    letters.extend(a.chars().chain(b.chars()).filter(|c| !target.contains(*c)));
    let mut seen = Vec::new();
    letters.retain(|c| {
        !seen.contains(c) && {
            seen.push(*c);
            true
        }
    });
    let mut out = vec![0.0; target.chars().map(size).product()];
    // How far a step along a letter's axis goes in a tensor.
    let step = |axes: &str, c: char| {
        let behind = |k: usize| axes.chars().skip(k + 1).map(size).product::<usize>();
        axes.chars().position(|x| x == c).map_or(0, behind)
    };
    let steps: Vec<(usize, [usize; 3])> =
        letters.iter().map(|c| (size(*c), [target, a, b].map(|axes| step(axes, *c)))).collect();
    for n in 0..steps.iter().map(|(size, _)| size).product() {
        let (mut rest, mut at) = (n, [0; 3]);
        for (size, steps) in steps.iter().rev() {
            let k = rest % size;
            rest /= size;
            at = [0, 1, 2].map(|t| at[t] + k * steps[t]);
        }
        let [target, a, b] = at;
        out[target] += x[a] * y[b];
    }
    out
}

/// `target = a * b`, in letters: each axis by its own.
struct Equation<'e> {
    target: &'e str,
    a: &'e str,
    b: &'e str,
}

impl<'e> Equation<'e> {
    fn new(equation: &'e str) -> Equation<'e> {
        let parts: Vec<&str> = equation.split('-').collect();
        let [target, a, b] = parts[..] else { panic!("{equation} has three parts") };
        Equation { target, a, b }
    }

    /// The program, with an extent for each axis.
    fn text(&self, extent: &dyn Fn(char) -> String) -> String {
        let list = |axes: &str, item: &dyn Fn(char) -> String| {
            axes.chars().map(item).collect::<Vec<_>>().join(",")
        };
        let Equation { target, a, b } = *self;
        let mut text = String::new();
        write!(
            text,
            "fn f(P: f32[{}], Q: f32[{}]) -> (R: f32[{}]) {{ R[{}] = P[{}] * Q[{}] }}",
            list(a, extent),
            list(b, extent),
            list(target, extent),
            list(target, &|c| c.to_string()),
            list(a, &|c| c.to_string()),
            list(b, &|c| c.to_string()),
        )
        .unwrap();
        text
    }

    /// The program with names for its extents.
    fn named(&self) -> String {
        self.text(&|c| c.to_ascii_uppercase().to_string())
    }

    /// Calls compiled programs with operands of these sizes, `m3 n4 k5`.
    fn call(&self, programs: &[(&str, &tcc::Executable)], sizes: &str) {
        let Equation { target, a, b } = *self;
        let size = |c| size_of(sizes, c);
        let shape = |axes: &str| axes.chars().map(size).collect::<Vec<usize>>();
        let (x, y) = (values(shape(a).iter().product(), 1), values(shape(b).iter().product(), 2));
        let want = by_definition((target, a, b), &size, (&x, &y));
        let views = [
            TensorView::from_slice(&x, &shape(a)).unwrap(),
            TensorView::from_slice(&y, &shape(b)).unwrap(),
        ];
        for ((text, f), threads) in programs.iter().flat_map(|p| [(p, 1), (p, 3)]) {
            let options = CallOptions {
                threads: std::num::NonZeroUsize::new(threads),
                ..CallOptions::default()
            };
            let got = f.run_with(&views, &options).unwrap();
            let got = got[0].as_slice::<f32>().unwrap();
            let wrong = got.iter().zip(&want).position(|(g, w)| g != w);
            let what = wrong.map(|k| (k, got[k], want[k]));
            let place = format!("{text}, {sizes}, {threads} threads");
            assert_eq!(what, None, "{place}: element, got, expected");
            assert_eq!(got.len(), want.len());
        }
    }
}

/// A size in a list `m3 n4 k5`.
fn size_of(sizes: &str, c: char) -> usize {
    let entry = sizes.split(' ').find(|s| s.starts_with(c)).unwrap();
    entry[1..].parse::<usize>().unwrap()
}

/// Compiles and runs `target = a * b` at fixed sizes, and at the same sizes by name.
fn check(equation: &str, sizes: &str) {
    let equation = Equation::new(equation);
    let texts = [equation.text(&|c| size_of(sizes, c).to_string()), equation.named()];
    let functions = texts.each_ref().map(|text| compile(text));
    let programs: Vec<_> = texts.iter().map(String::as_str).zip(&functions).collect();
    equation.call(&programs, sizes);
}

fn compile(text: &str) -> tcc::Executable {
    tcc::compile(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn matrices_with_edges_on_every_side() {
    for (m, n, k) in
        [(1, 1, 1), (3, 17, 1), (17, 3, 5), (13, 33, 300), (50, 530, 70), (70, 40, 600)]
    {
        let sizes = format!("m{m} n{n} k{k}");
        check("mn-mk-kn", &sizes);
        check("mn-mk-nk", &sizes);
        check("mn-km-kn", &sizes);
        check("nm-km-nk", &sizes);
    }
}

/// One program at sizes on both sides of where its blocks end and of where it goes another way:
/// few rows, a copy that is cut, threads' parts.
#[test]
fn sizes_that_are_known_at_the_call() {
    let sizes = [
        "m0 n5 k3",
        "m1 n1 k0",
        "m1 n513 k33",
        "m3 n64 k32",
        "m4 n63 k257",
        "m48 n65 k31",
        "m49 n31 k1",
        "m50 n33 k256",
        "m61 n512 k255",
        "m132 n32 k40",
        "m133 n3 k5",
        "m265 n520 k260",
        // Four parts of many rows and many lanes.
        "m481 n1025 k9",
    ];
    for equation in ["mn-mk-kn", "mn-mk-nk", "mn-km-kn", "nm-km-nk"] {
        let equation = Equation::new(equation);
        let text = equation.named();
        // Weights of known shape, and rows that are not.
        let rows = equation.text(&|c| match c {
            'm' => "M".to_owned(),
            'n' => "520".to_owned(),
            _ => "260".to_owned(),
        });
        let (named, known) = (compile(&text), compile(&rows));
        for sizes in sizes {
            equation.call(&[(&text, &named)], sizes);
        }
        for sizes in ["m1 n520 k260", "m48 n520 k260", "m49 n520 k260", "m265 n520 k260"] {
            equation.call(&[(&text, &named), (&rows, &known)], sizes);
        }
    }
    let batches = Equation::new("bmn-bmk-kn");
    let text = batches.named();
    let f = compile(&text);
    for sizes in ["b0 m5 n40 k40", "b1 m60 n40 k40", "b3 m17 n33 k300", "b9 m50 n5 k16"] {
        batches.call(&[(&text, &f)], sizes);
    }
}

/// Rows of a number known at the call, with columns that are fewer than it; and the same of an
/// extremum, in double precision, and where lanes or rows end within a tile, of divisions.
#[test]
fn other_reductions_of_sizes_known_at_the_call() {
    let causal = compile(
        "fn f(E: f32[2,T,100], V: f32[2,100,20]) -> (Y: f32[2,T,20]) {
            P[b,i,j] = select(j <= i, E[b,i,j], 0)
            S[b,i] = sum[j](P[b,i,j])
            Z[b,i,d] = P[b,i,j] * V[b,j,d]
            Y[b,i,d] = Z[b,i,d] + S[b,i]
        }",
    );
    for t in [1, 95, 97, 130] {
        let (e, v) = (values(2 * t * 100, 1), values(2 * 100 * 20, 2));
        let views = [
            TensorView::from_slice(&e, &[2, t, 100]).unwrap(),
            TensorView::from_slice(&v, &[2, 100, 20]).unwrap(),
        ];
        let got = causal.run(&views).unwrap();
        for (k, got) in got[0].as_slice::<f32>().unwrap().iter().enumerate() {
            let (row, d) = (k / 20, k % 20);
            let terms = (0..100.min(row % t + 1))
                .map(|j| e[row * 100 + j] * (v[(row / t * 100 + j) * 20 + d] + 1.0));
            assert_eq!(*got, terms.sum::<f32>(), "{t}: {row} {d}");
        }
    }
    for (m, n, k) in [(5, 33, 40), (60, 33, 40), (140, 70, 300)] {
        let text = "fn f(A: f64[M,K], B: f64[K,N]) -> (C: f64[M,N], D: f64[M,N]) {
            C[i,j] max= A[i,k] + B[k,j]
            D[i,j] min= A[i,k] * B[k,j]
        }";
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        let got = results(text, "f64", &[(&a, &[m, k]), (&b, &[k, n])]);
        for (at, (most, least)) in got[0].iter().zip(&got[1]).enumerate() {
            let (i, j) = (at / n, at % n);
            let pairs = || (0..k).map(|l| (f64::from(a[i * k + l]), f64::from(b[l * n + j])));
            assert_eq!(*most, pairs().map(|(x, y)| x + y).fold(f64::MIN, f64::max), "{m} {n} {k}");
            assert_eq!(*least, pairs().map(|(x, y)| x * y).fold(f64::MAX, f64::min), "{m} {n} {k}");
        }
        // Behind the last row and lane there is nothing to divide by.
        for quotient in ["A[i,k] / B[k,j]", "B[k,j] / A[i,k]"] {
            for [rows, columns] in [["M", "N"], [&m.to_string(), &n.to_string()]] {
                let f = compile(&format!(
                    "fn f(A: i64[{rows},K], B: i64[K,{columns}]) -> (C: i64[{rows},{columns}]) {{
                        C[i,j] max= {quotient}
                    }}"
                ));
                let (a, b) = (vec![1i64; m * k], vec![1i64; k * n]);
                let views = [
                    TensorView::from_slice(&a, &[m, k]).unwrap(),
                    TensorView::from_slice(&b, &[k, n]).unwrap(),
                ];
                let got = f.run(&views).unwrap();
                assert!(got[0].as_slice::<i64>().unwrap().iter().all(|c| *c == 1), "{quotient}");
            }
        }
    }
}

/// Images of unknown size: rows of planes, channels in blocks.
#[test]
fn convolutions_of_sizes_known_at_the_call() {
    for stride in [1usize, 2] {
        let f = compile(&format!(
            "fn f(X: f32[2,C,{stride}*H,{stride}*H], W: f32[O,C,3,3]) -> (Y: f32[2,O,H,H]) {{
                Y[n,o,y,x] = X[n,c,{stride}*y+r-1,{stride}*x+s-1]?0 * W[o,c,r,s]
            }}"
        ));
        for (c, h, o) in
            [(1, 1, 1), (3, 2, 5), (14, 17, 13), (15, 33, 12), (29, 16, 25), (2, 65, 1), (0, 4, 3)]
        {
            let side = stride * h;
            let (x, w) = (values(2 * c * side * side, 1), values(o * c * 9, 2));
            let views = [
                TensorView::from_slice(&x, &[2, c, side, side]).unwrap(),
                TensorView::from_slice(&w, &[o, c, 3, 3]).unwrap(),
            ];
            let got = f.run(&views).unwrap();
            let got = got[0].as_slice::<f32>().unwrap();
            let pixel = |n: usize, c_: usize, y: usize, x_: usize| {
                let inside = (1..=side).contains(&y) && (1..=side).contains(&x_);
                if inside { x[((n * c + c_) * side + y - 1) * side + x_ - 1] } else { 0.0 }
            };
            for (k, got) in got.iter().enumerate() {
                let (n, oc, i, j) = (k / h / h / o, k / h / h % o, k / h % h, k % h);
                let terms = (0..c * 9).map(|t| {
                    let (ci, r, s) = (t / 9, t / 3 % 3, t % 3);
                    pixel(n, ci, stride * i + r, stride * j + s) * w[oc * c * 9 + t]
                });
                assert_eq!(*got, terms.sum::<f32>(), "{stride}: {c} {h} {o}: {n} {oc} {i} {j}");
            }
        }
    }
}

/// Rows of scores of unknown length, in blocks of an unknown number of rows.
#[test]
fn groups_of_sizes_known_at_the_call() {
    let f = compile(
        "fn f(Q: f32[B,T,D], K: f32[B,U,D], V: f32[B,U,D]) -> (Y: f32[B,T,D]) {
            S[b,i,j] = Q[b,i,d] * K[b,j,d]
            M[b,i] max= S[b,i,j]
            P[b,i,j] = S[b,i,j] - M[b,i]
            Y[b,i,d] = P[b,i,j] * V[b,j,d]
        }",
    );
    let kernels = f.text(tcc::Stage::Kernel).unwrap();
    assert!(kernels.contains("S: f32[96,U] @local"), "{kernels}");
    for (b, t, u, d) in [
        (1, 1, 1, 1),
        (3, 1, 530, 17),
        (2, 95, 7, 3),
        (1, 96, 40, 16),
        (3, 97, 33, 5),
        (1, 200, 530, 17),
    ] {
        let (q, k, v) = (values(b * t * d, 1), values(b * u * d, 2), values(b * u * d, 3));
        let views = [
            TensorView::from_slice(&q, &[b, t, d]).unwrap(),
            TensorView::from_slice(&k, &[b, u, d]).unwrap(),
            TensorView::from_slice(&v, &[b, u, d]).unwrap(),
        ];
        let got = f.run(&views).unwrap();
        let got = got[0].as_slice::<f32>().unwrap();
        for (row, got) in got.chunks(d).enumerate() {
            let own = &q[row * d..][..d];
            let keys = || k[row / t * u * d..][..u * d].chunks(d);
            let scores: Vec<f32> =
                keys().map(|key| key.iter().zip(own).map(|(x, y)| x * y).sum()).collect();
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            for (e, got) in got.iter().enumerate() {
                let terms = (0..u).map(|j| (scores[j] - most) * v[(row / t * u + j) * d + e]);
                assert_eq!(*got, terms.sum::<f32>(), "{b} {t} {u} {d}: {row} {e}");
            }
        }
    }
}

#[test]
fn sums_of_nothing_are_zero() {
    check("mn-mk-kn", "m5 n40 k0");
    check("abc-bda-dc", "a3 b4 c20 d0");
    check("mn-mk-kn", "m0 n40 k7");
}

/// Lanes of several axes, copies with planes, loops inside of a block, packed rows.
#[test]
fn tensors_in_any_order_of_axes() {
    for (equation, sizes) in [
        ("abcd-aebf-dfce", "a3 b10 c9 d16 e8 f9"),
        ("abcd-aebf-fdec", "a4 b9 c8 d17 e9 f8"),
        ("abcd-eafd-fbec", "a5 b6 c10 d18 e9 f10"),
        ("abcd-dbea-ec", "a20 b3 c13 d12 e35"),
        ("abcd-deca-be", "a17 b12 c5 d12 e33"),
        ("abcde-efbad-cf", "a2 b3 c10 d7 e9 f34"),
        ("abcde-ecbfa-fd", "a18 b2 c3 d9 e7 f33"),
        ("abcdef-dega-gfbc", "a3 b2 c17 d3 e9 f4 g35"),
        ("abc-bda-dc", "a24 b5 c18 d70"),
        ("abc-adec-ebd", "a6 b20 c18 d9 e40"),
        ("abc-dca-bd", "a19 b14 c18 d130"),
        ("ab-cad-dcb", "a25 b40 c18 d18"),
        ("bwk-uvw-bkuv", "b9 w32 k3 u6 v8"),
    ] {
        check(equation, sizes);
    }
}

/// An inlined producer leads to rows that a group would not have computed yet.
#[test]
fn rows_that_others_need_are_computed_before() {
    const N: usize = 130;
    let text = format!(
        "fn f(A: f32[2,{N},4], B: f32[2,{N},4]) -> (Y: f32[2,{N},{N}]) {{
            S[b,i,j] = A[b,i,d] * B[b,j,d]
            T[b,i,j] = 2 * S[b,i,j]
            M[b,i] max= T[b,i,j]
            Y[b,i,j] = T[b,{N}-1-i,j] - M[b,i]
        }}"
    );
    let f = tcc::compile(&text).unwrap();
    let (a, b) = (values(2 * N * 4, 3), values(2 * N * 4, 4));
    let view = |x| TensorView::from_slice(x, &[2, N, 4]).unwrap();
    let got = f.run(&[view(&a), view(&b)]).unwrap();
    let got = got[0].as_slice::<f32>().unwrap();
    let product = |n: usize, i: usize, j: usize| -> f32 {
        (0..4).map(|d| a[(n * N + i) * 4 + d] * b[(n * N + j) * 4 + d]).sum::<f32>() * 2.0
    };
    for n in 0..2 {
        for i in 0..N {
            let most = (0..N).map(|j| product(n, i, j)).fold(f32::MIN, f32::max);
            for j in 0..N {
                let want = product(n, N - 1 - i, j) - most;
                assert_eq!(got[(n * N + i) * N + j], want, "{n} {i} {j}");
            }
        }
    }
}

/// Rows of causal weights end at the diagonal, in blocks of rows that do and do not divide them.
#[test]
fn causal_rows_end_at_the_diagonal() {
    let of_size = |n: &str| {
        compile(&format!(
            "fn f(E: f32[5,{n},{n}], V: f32[5,{n},20]) -> (Y: f32[5,{n},20]) {{
                P[b,i,j] = select(j <= i, 2 * E[b,i,j], 0)
                S[b,i] = sum[j](P[b,i,j])
                Z[b,i,d] = P[b,i,j] * V[b,j,d]
                Y[b,i,d] = Z[b,i,d] + S[b,i]
            }}"
        ))
    };
    let named = of_size("N");
    for (n, named) in
        [1usize, 63, 96, 130, 192].into_iter().flat_map(|n| [(n, None), (n, Some(&named))])
    {
        let fixed = of_size(&n.to_string());
        let f = named.unwrap_or(&fixed);
        let (e, v) = (values(5 * n * n, 5), values(5 * n * 20, 6));
        let views = [
            TensorView::from_slice(&e, &[5, n, n]).unwrap(),
            TensorView::from_slice(&v, &[5, n, 20]).unwrap(),
        ];
        let got = f.run(&views).unwrap();
        let got = got[0].as_slice::<f32>().unwrap();
        for b in 0..5 {
            for i in 0..n {
                let weight = |j: usize| 2.0 * e[(b * n + i) * n + j];
                let total: f32 = (0..=i).map(weight).sum();
                for d in 0..20 {
                    let sum: f32 = (0..=i).map(|j| weight(j) * v[(b * n + j) * 20 + d]).sum();
                    assert_eq!(got[(b * n + i) * 20 + d], sum + total, "{n}: {b} {i} {d}");
                }
            }
        }
    }
}

/// Whole vectors, and rests of every length behind them.
#[test]
fn rows_of_every_length_are_reduced() {
    for n in 1..=140usize {
        for dtype in ["f32", "f64"] {
            let text = format!(
                "fn f(X: {dtype}[3,{n}]) -> (S: {dtype}[3], M: {dtype}[3]) {{
                    S[i] = sum[j](X[i,j])
                    M[i] max= X[i,j]
                }}"
            );
            // The largest element is the last one of each row.
            let x: Vec<f32> = (0..3 * n).map(|k| ((k * 5) % 11) as f32 + (k % n) as f32).collect();
            let got = results(&text, dtype, &[(&x, &[3, n])]);
            for (i, row) in x.chunks(n).enumerate() {
                let sum: f64 = row.iter().copied().map(f64::from).sum();
                assert_eq!(got[0][i], sum, "{dtype} {n} {i}");
                let most = row.iter().copied().fold(f32::MIN, f32::max);
                assert_eq!(got[1][i], f64::from(most), "{dtype} {n} {i}");
            }
        }
    }
}

/// Elements two to five apart, some of them outside of the tensor.
#[test]
fn elements_with_gaps_are_read() {
    for (step, n) in (2..=5usize).flat_map(|s| (1..=40).map(move |n| (s, n))) {
        let len = step * n - step / 2;
        let x: Vec<f32> = values(len, step).iter().map(|v| v + 10.0).collect();
        let at = |k: isize| {
            let x = usize::try_from(k).ok().and_then(|k| x.get(k));
            f64::from(x.copied().unwrap_or(0.5))
        };
        for dtype in ["f32", "f64"] {
            let text = format!(
                "fn f(X: {dtype}[{len}]) -> (Y: {dtype}[{n}], Z: {dtype}[{n}], S: {dtype}) {{
                    Y[i] = X[{step}*i]
                    Z[i] = X[{step}*i - 3]?0.5 * X[i + 1]?0.5
                    S = sum[i](X[{step}*i] * Y[i])
                }}"
            );
            let got = results(&text, dtype, &[(&x, &[len])]);
            let want = |f: &dyn Fn(isize) -> f64| (0..n as isize).map(f).collect::<Vec<f64>>();
            let apart = |i: isize| at(step as isize * i);
            assert_eq!(got[0], want(&apart), "{dtype} {step} {n}");
            let shifted = |i: isize| at(step as isize * i - 3) * at(i + 1);
            assert_eq!(got[1], want(&shifted), "{dtype} {step} {n}");
            let sum: f64 = want(&|i| apart(i) * apart(i)).iter().sum();
            assert_eq!(got[2], [sum], "{dtype} {step} {n}");
        }
    }
}

/// Rows that are summed beside each other and folded through their columns, with what does not
/// bear the rows and what does not bear the elements.
#[test]
fn short_rows_are_reduced_side_by_side() {
    for (rows, n) in [(1, 16), (7, 64), (8, 16), (16, 17), (17, 31), (24, 64), (31, 100), (40, 129)]
    {
        for dtype in ["f32", "f64"] {
            let text = format!(
                "fn f(X: {dtype}[2,{rows},{n}], C: {dtype}[{rows}], W: {dtype}[{n}])
                    -> (S: {dtype}[2,{rows}], M: {dtype}[2,{rows}]) {{
                    S[b,i] = sum[j]((X[b,i,j] - C[i]) * W[j])
                    M[b,i] max= X[b,i,j]
                }}"
            );
            let (x, c, w) = (values(2 * rows * n, 1), values(rows, 2), values(n, 3));
            let arguments: [(&[f32], &[usize]); 3] =
                [(&x, &[2, rows, n]), (&c, &[rows]), (&w, &[n])];
            let got = results(&text, dtype, &arguments);
            let each = |f: &dyn Fn(usize, &[f32]) -> f32| -> Vec<f64> {
                x.chunks(n).enumerate().map(|(k, row)| f64::from(f(k % rows, row))).collect()
            };
            let sums = each(&|i, row| row.iter().zip(&w).map(|(x, w)| (x - c[i]) * w).sum());
            assert_eq!(got[0], sums, "{dtype} {rows} {n}");
            let most = each(&|_, row| row.iter().copied().fold(f32::MIN, f32::max));
            assert_eq!(got[1], most, "{dtype} {rows} {n}");
        }
    }
}

/// Heads `h` that read the keys and values of head `h / G`, in blocks of `G` and a rest of them;
/// also fewer heads than share one.
#[test]
fn heads_share_keys() {
    for (heads, shared, t, d) in
        [(8usize, 4, 40, 24), (6, 4, 17, 16), (9, 3, 33, 70), (5, 2, 300, 8), (3, 4, 40, 16)]
    {
        let f = tcc::compile(&format!(
            "fn f(Q: f32[1,{heads},1,{d}], K: f32[1,{keys},{t},{d}]) -> (Y: f32[1,{heads},1,{d}]) {{
                S[b,h,s,t] = Q[b,h,s,d] * K[b,h/{shared},t,d]
                P[b,h,s,t] = S[b,h,s,t] * 2
                Y[b,h,s,e] = P[b,h,s,t] * K[b,h/{shared},t,e]
            }}",
            keys = heads.div_ceil(shared),
        ))
        .unwrap();
        let keys = heads.div_ceil(shared);
        let (q, k) = (values(heads * d, 1), values(keys * t * d, 2));
        let views = [
            TensorView::from_slice(&q, &[1, heads, 1, d]).unwrap(),
            TensorView::from_slice(&k, &[1, keys, t, d]).unwrap(),
        ];
        let got = f.run(&views).unwrap();
        let mut want = vec![0.0; heads * d];
        for (h, row) in want.chunks_mut(d).enumerate() {
            for key in k.chunks(t * d).nth(h / shared).unwrap().chunks(d) {
                let score: f32 = q[h * d..].iter().zip(key).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(key).for_each(|(y, v)| *y += 2.0 * score * v);
            }
        }
        assert_eq!(got[0].as_slice::<f32>().unwrap(), want, "{heads} {shared} {t} {d}");
    }
}

/// Long reductions into few elements, in parts with and without a rest.
#[test]
fn long_reductions_are_taken_in_parts() {
    for shape in [vec![1 << 18], vec![300_007], vec![1_000_003], vec![700, 401], vec![9, 3, 70_001]]
    {
        let x = values(shape.iter().product(), shape.len());
        let axes = ["i", "j", "k"][..shape.len()].join(",");
        let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let f = tcc::compile(&format!(
            "fn f(X: f32[{}]) -> (S: f32, M: f32) {{
                S = sum[{axes}](X[{axes}] * 3 - 1)
                M min= X[{axes}]
            }}",
            extents.join(",")
        ))
        .unwrap();
        let got = f.run(&[TensorView::from_slice(&x, &shape).unwrap()]).unwrap();
        let element = |t: usize| got[t].as_slice::<f32>().unwrap()[0];
        assert_eq!(element(0), x.iter().map(|v| v * 3.0 - 1.0).sum::<f32>(), "{shape:?}");
        assert_eq!(element(1), x.iter().copied().fold(f32::MAX, f32::min), "{shape:?}");
    }
}
