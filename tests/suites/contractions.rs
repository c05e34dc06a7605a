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
    let f = tcc::compile(text).unwrap_or_else(|e| panic!("{text}: {e}"));
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
    let mut at = vec![0; letters.len()];
    let total: usize = letters.iter().map(|c| size(*c)).product();
    for n in 0..total {
        let mut rest = n;
        for (k, c) in letters.iter().enumerate().rev() {
            at[k] = rest % size(*c);
            rest /= size(*c);
        }
        let place = |axes: &str| {
            axes.chars().fold(0, |p, c| {
                let k = letters.iter().position(|l| *l == c).unwrap();
                p * size(c) + at[k]
            })
        };
        out[place(target)] += x[place(a)] * y[place(b)];
    }
    out
}

/// Compiles and runs `target = a * b` at fixed sizes, and at the same sizes by name.
fn check(equation: &str, sizes: &str) {
    let parts: Vec<&str> = equation.split('-').collect();
    let [target, a, b] = parts[..] else { panic!("{equation} has three parts") };
    let size = |c: char| {
        let entry = sizes.split(' ').find(|s| s.starts_with(c)).unwrap();
        entry[1..].parse::<usize>().unwrap()
    };
    let shape = |axes: &str| axes.chars().map(size).collect::<Vec<usize>>();
    let (x, y) = (values(shape(a).iter().product(), 1), values(shape(b).iter().product(), 2));
    let want = by_definition((target, a, b), &size, (&x, &y));
    for symbolic in [false, true] {
        let list = |axes: &str, brackets: &dyn Fn(char) -> String| {
            axes.chars().map(brackets).collect::<Vec<_>>().join(",")
        };
        let extent = |c: char| match symbolic {
            true => c.to_ascii_uppercase().to_string(),
            false => size(c).to_string(),
        };
        let mut text = String::new();
        write!(
            text,
            "fn f(P: f32[{}], Q: f32[{}]) -> (R: f32[{}]) {{ R[{}] = P[{}] * Q[{}] }}",
            list(a, &extent),
            list(b, &extent),
            list(target, &extent),
            list(target, &|c| c.to_string()),
            list(a, &|c| c.to_string()),
            list(b, &|c| c.to_string()),
        )
        .unwrap();
        let f = tcc::compile(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let views = [
            TensorView::from_slice(&x, &shape(a)).unwrap(),
            TensorView::from_slice(&y, &shape(b)).unwrap(),
        ];
        for threads in [1, 3] {
            let options = CallOptions {
                threads: std::num::NonZeroUsize::new(threads),
                ..CallOptions::default()
            };
            let got = f.run_with(&views, &options).unwrap();
            let got = got[0].as_slice::<f32>().unwrap();
            let wrong = got.iter().zip(&want).position(|(g, w)| g != w);
            let what = wrong.map(|k| (k, got[k], want[k]));
            assert_eq!(what, None, "{text}, {threads} threads: element, got, expected");
            assert_eq!(got.len(), want.len());
        }
    }
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
    for n in [1usize, 63, 130, 192] {
        let text = format!(
            "fn f(E: f32[5,{n},{n}], V: f32[5,{n},20]) -> (Y: f32[5,{n},20]) {{
                P[b,i,j] = select(j <= i, 2 * E[b,i,j], 0)
                S[b,i] = sum[j](P[b,i,j])
                Z[b,i,d] = P[b,i,j] * V[b,j,d]
                Y[b,i,d] = Z[b,i,d] + S[b,i]
            }}"
        );
        let f = tcc::compile(&text).unwrap_or_else(|e| panic!("{n}: {e}"));
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
