//! Inputs that are missing, damaged or do not fit.

use crate::sandbox::{MATMUL, Sandbox, f32s, npy};

fn matmul() -> Sandbox {
    Sandbox::with("mm.tir", MATMUL)
}

/// Runs the product with a first operand that cannot be read; `what` follows the file's name.
#[track_caller]
fn refuses_array(bytes: &[u8], what: &str) {
    let s = matmul();
    s.write("a.npy", bytes);
    let outcome = s.tcc(&["run", "mm.tir", "a.npy", "--random"]);
    let begin = format!("error[E-FILE]: cannot read `a.npy`: {what}");
    assert!(outcome.err.starts_with(&begin), "{}", outcome.err);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
}

#[test]
fn files_that_are_no_programs() {
    let s = Sandbox::with("bytes.tir", b"fn f\xff\xfe");
    s.write("empty.tir", "");
    s.write("comment.tir", "// nothing\n");
    let missing =
        "error[E-FILE]: cannot open `missing.tir`: No such file or directory (os error 2)";
    s.fails(&["run", "missing.tir"], 1, missing);
    s.fails(&["check", "missing.tir"], 1, missing);
    s.fails(&["run", "."], 1, "error[E-FILE]: cannot read `.`: Is a directory (os error 21)");
    let bytes = "error[E-FILE]: `bytes.tir` is no UTF-8 text: byte 4";
    s.fails(&["check", "bytes.tir"], 1, bytes);
    s.fails(&["compile", "bytes.tir"], 1, bytes);
    let nothing = "error[E-NAME]: the text has no function to compile\n \
                   = help: write `fn name(A: f32[N]) -> (Y: f32[N]) { ... }`";
    s.fails(&["run", "empty.tir"], 1, nothing);
    s.fails(&["compile", "comment.tir"], 1, nothing);
    assert_eq!(s.succeeds(&["check", "empty.tir", "comment.tir"]), "");
}

#[test]
fn byte_order_marks_and_carriage_returns_are_spaces() {
    let text = format!("\u{feff}{}", MATMUL.replace('\n', "\r\n"));
    let s = Sandbox::with("mm.tir", text);
    assert_eq!(s.succeeds(&["check", "mm.tir"]), "");
}

#[test]
fn nul_bytes_are_unexpected_characters() {
    let s = Sandbox::with("a.tir", "fn f(A: f32[N]) -> (Y: f32[N]) {\n    Y[i] = A[i] \0\n}\n");
    let outcome = s.tcc(&["check", "a.tir"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.err.starts_with("error[E-PARSE]: unexpected character `\\0`"),
        "{}",
        outcome.err
    );
}

#[test]
fn shapes_and_types_that_do_not_fit() {
    let s = matmul();
    let run = |a: &str, b: &str, message: &str| {
        let (a, b) = (format!("A={a}"), format!("B={b}"));
        s.fails(&["run", "mm.tir", "--input", &a, "--input", &b], 1, message);
    };
    run(
        "2x2xf32=1",
        "3x2xf32=1",
        "error[E-SHAPE]: `B` has shape [3, 2], expected [K, N] = [2, 2]; \
         K = 2 follows from axis 1 of `A`, of shape [2, 2]",
    );
    run("2xf32=1", "2x2xf32=1", "error[E-SHAPE]: `A` is f32[2], expected f32[M, K]");
    run("2x2xf32=1", "2x2xf64=1", "error[E-SHAPE]: the input `B` is f64[2,2], expected f32[K,N]");
}

#[test]
fn inputs_that_are_missing_or_unknown() {
    let s = matmul();
    let fails = |args: &[&str], message: &str| {
        let mut all = vec!["run", "mm.tir"];
        all.extend(args);
        s.fails(&all, 2, message);
    };
    fails(
        &[],
        "error[E-PARSE]: no input `A`: f32[M,K]\n = help: `--input A=@FILE.npy`, or `--random`",
    );
    fails(
        &["--input", "Q=1xf32=1"],
        "error[E-PARSE]: there is no input `Q`\n = help: the inputs are `A`, `B`",
    );
    fails(&["--input", "A"], "error[E-PARSE]: `--input A`: expected NAME=VALUE");
    let form = " = help: a tensor is written @FILE.npy, @FILE.npz:ARRAY, or with shape and values: \
                2x3xf32=1,2,3,4,5,6";
    let value = |v: &str, m: &str| {
        fails(&["--input", &format!("A={v}")], &format!("error[E-PARSE]: `{v}`: {m}\n{form}"));
    };
    value("f33=1", "no element type `f33`");
    value("2x-1xf32=1", "extent `-1`: invalid digit found in string");
    value("2x2xf32=1,2,3", "4 elements, found 3");
    value("2xi8=1,300", "`300` is no i8");
    value("2xf32=1,one", "`one` is no f32");
    fails(&["a.npy", "b.npy", "c.npy"], "error[E-PARSE]: 2 inputs, found 3 files");
}

#[test]
fn sizes_that_are_unknown_missing_or_huge() {
    let s = matmul();
    let run = |sizes: &[&str], code: i32, message: &str| {
        let mut args = vec!["run", "mm.tir", "--random"];
        sizes.iter().for_each(|n| args.extend(["--set", n]));
        s.fails(&args, code, message);
    };
    run(
        &["M=2", "N=2"],
        1,
        "error[E-SHAPE]: the extent `K` of the input `A` is not known\n \
         = help: name every size: `--set NAME=NUMBER`",
    );
    run(
        &["M=2", "K=2", "N=2", "Q=3"],
        1,
        "error[E-SHAPE]: there is no size `Q`; the sizes are `M`, `K`, `N`",
    );
    run(&["M=2", "K=2", "N=100000000000"], 4, "error[E-BUDGET]: no memory for 800000000000 bytes");
    run(
        &["M=1099511627776", "K=1099511627776", "N=1"],
        4,
        "error[E-BUDGET]: a tensor of shape [1099511627776, 1099511627776] is larger \
         than any memory",
    );
    let usage = |value: &str, message: &str| {
        let text = format!(
            "error: invalid value '{value}' for '--set <SIZE=NUMBER>': {message}\n\n\
             For more information, try '--help'."
        );
        s.fails(&["run", "mm.tir", "--set", value], 2, &text);
    };
    usage("N", "expected SIZE=NUMBER");
    usage("N=x", "`x`: invalid digit found in string");
    usage("N=9000000000000000000", "a size lies between 0 and 2^40");
    usage("N=-1", "a size lies between 0 and 2^40");
}

#[test]
fn a_size_that_no_input_shows_is_asked_for() {
    let s = Sandbox::with("pad.tir", "fn pad(A: f32[N]) -> (Y: f32[M]) {\n    Y[i] = A[i]?0\n}\n");
    let outcome = s.tcc(&["run", "pad.tir", "--input", "A=2xf32=1,2"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("error[E-SHAPE]: "), "{}", outcome.err);
    assert!(outcome.err.contains("`M`"), "{}", outcome.err);
    let outcome = s.tcc(&["run", "pad.tir", "--input", "A=2xf32=1,2", "--set", "M=3"]);
    assert_eq!((outcome.code, outcome.out.trim()), (Some(0), "Y: f32[3] = [1, 2, 0]"));
}

#[test]
fn arrays_that_are_cut_off_or_lie() {
    let whole = npy("<f4", "(2, 2)", &f32s(&[1.0, 2.0, 3.0, 4.0]));
    for end in [0, 5, 9, 40, whole.len() - 1] {
        refuses_array(whole.get(..end).unwrap(), "");
    }
    refuses_array(b"not an array at all", "");
    let announces = "the header announces [1099511627776, 1099511627776] elements, \
                     the file is shorter";
    refuses_array(&npy("<f4", "(1099511627776, 1099511627776)", &[0; 16]), announces);
    let announces = "the header announces [4294967296] elements, the file is shorter";
    refuses_array(&npy("<f4", "(4294967296,)", &[0; 16]), announces);
    refuses_array(&npy("|O", "(2, 2)", &[0; 64]), "");
    refuses_array(&npy("<f4", "(-2, 2)", &[0; 64]), "");
    refuses_array(&npy("<f4", "two", &[0; 64]), "");
    // A header of 4 GiB.
    refuses_array(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr': '<f4'}", "");
    // Another version of the format.
    refuses_array(b"\x93NUMPY\x09\x00\x10\x00{'descr': '<f4'}", "");
}

#[test]
fn an_array_of_another_type() {
    let s = matmul();
    s.write("a.npy", npy("<f8", "(1, 1)", &1f64.to_le_bytes()));
    let message = "error[E-SHAPE]: the input `A` is f64[1,1], expected f32[M,K]";
    s.fails(&["run", "mm.tir", "a.npy", "--random"], 1, message);
}

#[test]
fn archives_that_are_damaged() {
    let s = matmul();
    s.write("ab.npz", b"PK\x03\x04 and nothing more");
    let outcome = s.tcc(&["run", "mm.tir", "--inputs", "ab.npz"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
    assert!(outcome.err.starts_with("error[E-FILE]: cannot read `ab.npz`: "), "{}", outcome.err);
    s.succeeds(&[
        "run",
        "mm.tir",
        "--input",
        "A=1x1xf32=2",
        "--input",
        "B=1x1xf32=3",
        "-o",
        "c.npz",
    ]);
    let whole = s.read("c.npz");
    s.write("cut.npz", whole.get(..whole.len() / 2).unwrap());
    let outcome = s.tcc(&["run", "mm.tir", "--inputs", "cut.npz"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.starts_with("error[E-FILE]: cannot read `cut.npz`: "), "{}", outcome.err);
}
