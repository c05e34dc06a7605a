//! `tcc::einsum` on the equations of numpy, opt_einsum, jax and OMEinsum.
//!
//! Expected values: the golden file (computed by numpy and by hand-written loops for other
//! semirings), and for the lists a direct summation over all index values, written here.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use serde_json::Value as Json;
use std::collections::BTreeMap;
use tcc::{Compiler, DType, Einsum, Tensor, TensorView};

fn data(name: &str) -> Json {
    let path = format!("{}/data/einsum/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn compiler() -> Compiler {
    let passes = "inline_calls,expand_lse,widen_accumulators,order_contractions{strategy=left_to_right},\
                  pad_defaults,cse,dce,lower{strided=true}";
    Compiler::host().passes(passes).unwrap()
}

fn strings(list: &Json) -> Vec<String> {
    list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn usizes(list: &Json) -> Vec<usize> {
    list.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

/// Labels of an operand list with the ellipsis written out as the digits `0`, `1`, ... from the
/// right.
fn spelled(eq: &str, ranks: &[usize]) -> (Vec<Vec<char>>, Vec<char>) {
    let eq: String = eq.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match eq.split_once("->") {
        Some((l, r)) => (l.to_owned(), Some(r.to_owned())),
        None => (eq.clone(), None),
    };
    let open = |text: &str, rank: usize| rank - text.replace("...", "").chars().count();
    let dots = |n: usize| (0..n).rev().map(|k| char::from(b'0' + k as u8)).collect::<String>();
    let mut most = 0;
    let inputs: Vec<Vec<char>> = left
        .split(',')
        .zip(ranks)
        .map(|(text, rank)| {
            let n = if text.contains("...") { open(text, *rank) } else { 0 };
            most = most.max(n);
            text.replace("...", &dots(n)).chars().collect()
        })
        .collect();
    let output = match right {
        Some(r) => r.replace("...", &dots(most)).chars().collect(),
        None => {
            let mut counts: BTreeMap<char, usize> = BTreeMap::new();
            for c in inputs.iter().flatten() {
                *counts.entry(*c).or_default() += 1;
            }
            let once = counts.iter().filter(|(c, n)| **n == 1 && !c.is_ascii_digit());
            dots(most).chars().chain(once.map(|(c, _)| *c)).collect()
        }
    };
    (inputs, output)
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|k| shape[k + 1..].iter().product()).collect()
}

/// Sums the product over every value of every label; an axis of extent 1 is repeated.
fn by_hand(
    inputs: &[(Vec<char>, Vec<usize>, Vec<f64>)],
    output: &[char],
    free: &BTreeMap<char, usize>,
) -> (Vec<usize>, Vec<f64>) {
    let mut extents = free.clone();
    for (labels, shape, _) in inputs {
        for (c, n) in labels.iter().zip(shape) {
            let slot = extents.entry(*c).or_insert(*n);
            if *slot == 1 {
                *slot = *n;
            }
        }
    }
    let labels: Vec<char> = extents.keys().copied().collect();
    let domain: Vec<usize> = extents.values().copied().collect();
    let out_shape: Vec<usize> = output.iter().map(|c| extents[c]).collect();
    let out_strides = strides(&out_shape);
    let mut result = vec![0.0; out_shape.iter().product()];
    let place = |list: &[char], shape: &[usize], at: &[usize]| -> usize {
        let value = |c: &char| at[labels.iter().position(|l| l == c).unwrap()];
        list.iter()
            .zip(shape)
            .zip(strides(shape))
            .map(|((c, n), s)| if *n == 1 { 0 } else { value(c) * s })
            .sum()
    };
    for number in 0..domain.iter().product() {
        let mut rest: usize = number;
        let mut at = vec![0; domain.len()];
        for (slot, n) in at.iter_mut().zip(&domain).rev() {
            *slot = rest % n;
            rest /= n;
        }
        let product: f64 = inputs.iter().map(|(l, s, v)| v[place(l, s, &at)]).product();
        let target: usize = output
            .iter()
            .zip(&out_strides)
            .map(|(c, s)| at[labels.iter().position(|l| l == c).unwrap()] * s)
            .sum();
        result[target] += product;
    }
    (out_shape, result)
}

/// Small integers, different for every operand.
fn values(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|k| ((k * 7 + seed * 13 + 3) % 11) as f64 - 5.0).collect()
}

/// Runs one equation on operands of these shapes and compares with the direct sum, exactly.
fn check(eq: &str, shapes: &[Vec<usize>], free: &BTreeMap<char, usize>, numpy: bool) {
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    let (labels, output) = spelled(eq, &ranks);
    let operands: Vec<_> = labels
        .into_iter()
        .zip(shapes)
        .enumerate()
        .map(|(k, (l, s))| (l, s.clone(), values(s.iter().product(), k)))
        .collect();
    let (shape, want) = by_hand(&operands, &output, free);
    let views: Vec<TensorView<'_>> =
        operands.iter().map(|(_, s, v)| TensorView::from_slice(v, s).unwrap()).collect();
    let mut e = Einsum::parse(eq).unwrap_or_else(|e| panic!("{eq}: {e}"));
    for (label, n) in free {
        e = e.size(&label.to_string(), *n as i64);
    }
    let e = if numpy { e.compat_numpy() } else { e };
    let got = e.evaluate(&compiler(), &views).unwrap_or_else(|e| panic!("{eq}: {e}"));
    assert_eq!(got.shape(), shape, "{eq}");
    assert_eq!(got.as_slice::<f64>().unwrap(), want, "{eq}");
}

/// Shapes of the operands of an equation: a size by letter, 2, 3, ... for the ellipsis.
fn shapes_of(eq: &str, sizes: &Json, dots: &[usize]) -> Vec<Vec<usize>> {
    let left = eq.split("->").next().unwrap().replace(' ', "");
    let operand = |text: &str| -> Vec<usize> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("...") {
                out.extend_from_slice(dots);
                rest = after;
                continue;
            }
            out.push(sizes[c.to_string()].as_u64().unwrap_or(3) as usize);
            rest = &rest[c.len_utf8()..];
        }
        out
    };
    left.split(',').map(operand).collect()
}

fn none() -> BTreeMap<char, usize> {
    BTreeMap::new()
}

#[test]
fn numpy_equations() {
    let d = data("numpy_einsum_tests");
    let equations = strings(&d["equations"]);
    assert_eq!(equations.len(), 145);
    for eq in &equations {
        check(eq, &shapes_of(eq, &d["default_sizes"], &[2, 3]), &none(), true);
        check(eq, &shapes_of(eq, &d["default_sizes"], &[]), &none(), false);
    }
}

#[test]
fn opt_einsum_equations() {
    let d = data("opt_einsum_tests");
    let mut equations = strings(&d["equations"]);
    assert_eq!(equations.len(), 69);
    equations.extend(strings(&d["ellipsis_equations"]));
    for eq in &equations {
        let shapes = shapes_of(eq, &d["default_sizes"], &[10, 2, 4]);
        check(eq, &shapes, &none(), false);
        let greek: String = eq
            .chars()
            .map(|c| if c.is_alphabetic() { char::from_u32(c as u32 + 848).unwrap() } else { c })
            .collect();
        if greek.chars().all(|c| !c.is_ascii_alphabetic()) {
            let shapes = shapes_of(eq, &d["default_sizes"], &[10, 2, 4]);
            check(&greek, &shapes, &none(), false);
        }
    }
    for case in d["broadcasting"].as_array().unwrap() {
        let shapes: Vec<Vec<usize>> =
            case["shapes"].as_array().unwrap().iter().map(usizes).collect();
        check(case["eq"].as_str().unwrap(), &shapes, &none(), true);
    }
}

#[test]
fn jax_equations() {
    let d = data("jax_einsum_tests");
    let equations = strings(&d["equations"]);
    assert_eq!(equations.len(), 55);
    for eq in &equations {
        check(eq, &shapes_of(eq, &Json::Null, &[2, 3]), &none(), false);
    }
    for case in d["broadcasting"].as_array().unwrap() {
        let shapes: Vec<Vec<usize>> =
            case["shapes"].as_array().unwrap().iter().map(usizes).collect();
        check(case["eq"].as_str().unwrap(), &shapes, &none(), true);
    }
}

#[test]
fn omeinsum_equations() {
    let d = data("omeinsum_tests");
    let equations = strings(&d["equations"]);
    assert_eq!(equations.len(), 39);
    for eq in &equations {
        let shapes = shapes_of(eq, &Json::Null, &[]);
        let right = eq.split("->").nth(1).unwrap();
        let left = eq.split("->").next().unwrap();
        let free = right.chars().filter(|c| !left.contains(*c)).map(|c| (c, 4)).collect();
        check(eq, &shapes, &free, false);
        let empty: Vec<Vec<usize>> = shapes.iter().map(|s| vec![0; s.len()]).collect();
        check(eq, &empty, &free, false);
    }
}

#[test]
fn golden_cases_in_four_semirings() {
    let d = data("semantics_golden");
    let cases = d["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 218);
    let semirings =
        [("sum_prod", None), ("max_plus", Some("maxplus")), ("min_plus", Some("minplus"))];
    let mut failures = Vec::new();
    for case in cases {
        for (key, semiring) in semirings {
            if let Err(e) = golden(case, key, semiring, DType::I64) {
                failures.push(e);
            }
        }
        if let Err(e) = golden(case, "or_and", Some("bool"), DType::Bool) {
            failures.push(e);
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Shapes of the operands: given, or by the labels' sizes.
fn golden_shapes(case: &Json) -> Vec<Vec<usize>> {
    if let Some(shapes) = case["shapes"].as_array() {
        return shapes.iter().map(usizes).collect();
    }
    let left = case["eq_explicit"].as_str().unwrap().split("->").next().unwrap();
    let extent = |c: char| case["sizes"][c.to_string()].as_u64().unwrap() as usize;
    left.split(',').map(|labels| labels.chars().map(extent).collect()).collect()
}

fn golden(case: &Json, key: &str, semiring: Option<&str>, dtype: DType) -> Result<(), String> {
    let eq = case["eq"].as_str().unwrap();
    if case["out"][key].is_null() {
        return Ok(());
    }
    let tensors: Vec<Tensor> = golden_shapes(case)
        .iter()
        .zip(case["inputs"].as_array().unwrap())
        .map(|(shape, data)| {
            let data: Vec<i64> =
                data.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
            match dtype {
                DType::Bool => {
                    let data: Vec<bool> = data.iter().map(|x| *x > 0).collect();
                    Tensor::from_slice(&data, shape).unwrap()
                }
                _ => Tensor::from_slice(&data, shape).unwrap(),
            }
        })
        .collect();
    let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
    let fail = |e: tcc::Error| format!("{eq} {key}: {e}");
    let mut e = Einsum::parse(eq).map_err(fail)?;
    if let Some(s) = semiring {
        e = e.semiring(s);
    }
    for (label, n) in case["sizes"].as_object().into_iter().flatten() {
        e = e.size(label, n.as_i64().unwrap());
    }
    if case["suite"] == "broadcast_zero" {
        e = e.compat_numpy();
    }
    let got = e.evaluate(&compiler(), &views).map_err(fail)?;
    let want_shape = usizes(&case["out_shape"]);
    let want: Vec<i64> =
        case["out"][key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    let got_values: Vec<i64> = match dtype {
        DType::Bool => got.as_slice::<bool>().unwrap().iter().map(|b| i64::from(*b)).collect(),
        _ => got.as_slice::<i64>().unwrap().to_vec(),
    };
    if got.shape() != want_shape || got_values != want {
        return Err(format!(
            "{eq} {key}: {:?} {got_values:?}, expected {want_shape:?} {want:?}",
            got.shape()
        ));
    }
    Ok(())
}

#[test]
fn interleaved_form() {
    let a = values(6, 0);
    let b = values(12, 1);
    let views = [
        TensorView::from_slice(&a, &[2, 3]).unwrap(),
        TensorView::from_slice(&b, &[3, 4]).unwrap(),
    ];
    let want = tcc::einsum("ij,jk->ki", &views).unwrap();
    for (x, y, z) in [(0, 1, 2), (1000, 1001, 1002), (51, 0, 7)] {
        let e = Einsum::from_labels(&[&[x, y], &[y, z]], Some(&[z, x]));
        assert_eq!(e.evaluate(&compiler(), &views).unwrap().as_bytes(), want.as_bytes());
    }
    // Without a result its labels come in increasing order: 7 before 51.
    let e = Einsum::from_labels(&[&[51, 0], &[0, 7]], None);
    assert_eq!(e.evaluate(&compiler(), &views).unwrap().as_bytes(), want.as_bytes());
    let e = Einsum::from_labels(&[&[0, 52], &[52, 2]], None).compat_numpy();
    assert_eq!(e.evaluate(&compiler(), &views).unwrap_err().code(), "E-NAME");
}

#[test]
fn mistakes_are_errors() {
    let one = values(4, 0);
    let views = [TensorView::from_slice(&one, &[2, 2]).unwrap()];
    let numpy = strings(&data("numpy_einsum_tests")["error_equations"]);
    let opt: Vec<String> = data("opt_einsum_tests")["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["eq"].as_str().unwrap().to_owned())
        .collect();
    for eq in numpy.iter().chain(&opt) {
        let run = |e: Einsum| {
            let rank = eq.split("->").next().unwrap().chars().filter(|c| c.is_alphabetic()).count();
            let view = TensorView::from_slice(&one[..1 << rank.min(2)], &vec![2; rank]).unwrap();
            e.compat_numpy().evaluate(&compiler(), &[view])
        };
        assert!(Einsum::parse(eq).and_then(run).is_err(), "{eq}");
    }
    // Without numpy's rules only what has no meaning is refused.
    for eq in ["ij", "ii->i", "ij->iji", "ij->jij"] {
        assert!(tcc::einsum(eq, &views).is_ok(), "{eq}");
    }
    for (eq, code) in
        [("ijk", "E-RANK"), ("ij,j", "E-RANK"), ("ij->k", "E-SIZE"), ("i%", "E-PARSE")]
    {
        assert_eq!(tcc::einsum(eq, &views).unwrap_err().code(), code, "{eq}");
    }
    let other = values(3, 0);
    let views = [views[0].clone(), TensorView::from_slice(&other, &[3]).unwrap()];
    let e = tcc::einsum("ij,j", &views).unwrap_err();
    assert_eq!(e.to_string(), "E-SIZE <einsum>:1:1: the label `j` has extents 2 and 3");
}

#[test]
fn infinities_stay_off_the_diagonal() {
    let a = [1.0f32, f32::INFINITY, f32::NAN, 4.0];
    let views = [TensorView::from_slice(&a, &[2, 2]).unwrap()];
    let got = tcc::einsum("aa->a", &views).unwrap();
    assert_eq!(got.as_slice::<f32>().unwrap(), [1.0, 4.0]);
}
