//! Results: where they go, what they are compared with, which limits hold.

use crate::sandbox::{MATMUL, Sandbox, f32s, npy};

const TWO: [&str; 4] = ["--input", "A=1x2xf32=2,1", "--input", "B=2x1xf32=3,4"];

/// `tcc run mm.tir` with inputs that give 10.
fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["run", "mm.tir"];
    args.extend(TWO);
    args.extend(more);
    args
}

fn matmul() -> Sandbox {
    Sandbox::with("mm.tir", MATMUL)
}

#[test]
fn results_are_printed_or_written() {
    let s = matmul();
    assert_eq!(s.succeeds(&run(&[])).trim(), "C: f32[1,1] =\n[[10]]");
    assert_eq!(s.succeeds(&run(&["-o", "c.npy"])), "");
    assert!(s.read("c.npy").ends_with(&f32s(&[10.0])));
    assert_eq!(s.succeeds(&run(&["--output", "C=@d.npy"])), "");
    assert_eq!(s.read("c.npy"), s.read("d.npy"));
    assert_eq!(s.names(), ["c.npy", "d.npy", "mm.tir"]);
}

#[test]
fn calls_take_as_many_threads_as_they_are_told() {
    let s = matmul();
    for n in ["1", "2", "7"] {
        assert_eq!(s.succeeds(&run(&["--threads", n])).trim(), "C: f32[1,1] =\n[[10]]");
    }
    for command in ["run", "bench"] {
        assert_eq!(s.tcc(&[command, "mm.tir", "--threads", "0"]).code, Some(2));
    }
}

#[test]
fn archives_hold_all_results_and_feed_inputs() {
    let text = "fn f(A: f32[N]) -> (A2: f32[N], A3: i64[N]) {\n    A2[i] = 2 * A[i]\n    \
                A3[i] = cast(i64, A[i])\n}\n";
    let s = Sandbox::with("f.tir", text);
    s.write(
        "back.tir",
        "fn g(A2: f32[N], A3: i64[N]) -> (Y: f32[N]) {\n    \
                         Y[i] = A2[i] + cast(f32, A3[i])\n}\n",
    );
    let two = "error[E-PARSE]: `x.npy` holds one result, the program has 2\n \
               = help: name a `.npz` file, or each result: `--output NAME=@FILE.npy`";
    s.fails(&["run", "f.tir", "--input", "A=2xf32=1,5", "-o", "x.npy"], 2, two);
    s.succeeds(&["run", "f.tir", "--input", "A=2xf32=1,5", "-o", "x.npz"]);
    assert_eq!(
        s.succeeds(&["run", "back.tir", "--inputs", "x.npz"]).trim(),
        "Y: f32[2] = [ 3, 15]"
    );
}

#[test]
fn results_that_differ_exit_with_3() {
    let s = matmul();
    assert_eq!(s.succeeds(&run(&["--expected", "C=1x1xf32=10"])), "C: as expected\n");
    let differs = "error[E-MISMATCH]: `C` differs in 1 of 1 elements, first at [0, 0]: \
                   10 instead of 11; largest difference 1e0";
    s.fails(&run(&["--expected", "C=1x1xf32=11"]), 3, differs);
    assert_eq!(
        s.succeeds(&run(&["--expected", "C=1x1xf32=11", "--atol", "1"])),
        "C: as expected\n"
    );
    let shape = "error[E-MISMATCH]: `C` has shape [1, 1], the expected one [2, 1]";
    s.fails(&run(&["--expected", "C=2x1xf32=10"]), 3, shape);
    s.write("c.npy", npy("<f4", "(1, 1)", &f32s(&[9.0])));
    assert_eq!(s.tcc(&run(&["--expected", "C=@c.npy"])).code, Some(3));
    let unknown = "error[E-PARSE]: there is no result `D`\n = help: the results are `C`";
    s.fails(&run(&["--expected", "D=1xf32=1"]), 2, unknown);
    s.fails(&run(&["--output", "D=@d.npy"]), 2, unknown);
}

#[test]
fn places_that_cannot_be_written() {
    let s = matmul();
    let nowhere =
        "error[E-FILE]: cannot write `nowhere/c.npy`: No such file or directory (os error 2)";
    s.fails(&run(&["-o", "nowhere/c.npy"]), 1, nowhere);
    let file = "error[E-FILE]: cannot write `mm.tir/c.npy`: Not a directory (os error 20)";
    s.fails(&run(&["-o", "mm.tir/c.npy"]), 1, file);
    s.fails(&run(&["-o", "."]), 1, "error[E-FILE]: cannot write `.`: Is a directory (os error 21)");
    assert_eq!(s.names(), ["mm.tir"], "no partial file stays");
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let s = matmul();
    let folder = s.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    // A privileged user may write everywhere.
    if std::fs::write(folder.join("probe"), "").is_ok() {
        return;
    }
    let locked = "error[E-FILE]: cannot write `locked/c.npy`: Permission denied (os error 13)";
    s.fails(&run(&["-o", "locked/c.npy"]), 1, locked);
}

#[cfg(unix)]
#[test]
fn devices_are_written_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let s = matmul();
    assert_eq!(s.succeeds(&run(&["-o", "/dev/null"])), "");
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn budgets_refuse_with_4() {
    let s = matmul();
    let sizes = |n: &'static str| {
        ["run", "mm.tir", "--random", "--set", "M=600", "--set", "K=600", "--set", n, "-o", "c.npy"]
    };
    // The result, and what a thread copies: [16,257,32] elements of B and [9,12,272] of A.
    let memory = "error[E-BUDGET]: the call needs 2083840 bytes, allowed are 1048576\n \
                  = help: raise the memory budget, or run on smaller sizes";
    let mut args = sizes("N=600").to_vec();
    args.extend(["--max-memory", "1", "--threads", "1"]);
    s.fails(&args, 4, memory);
    let time = "error[E-BUDGET]: the call did not end within 100µs\n \
                = help: raise the time budget, or run on smaller sizes";
    let mut args = sizes("N=600").to_vec();
    args.extend(["--max-time", "0.0001"]);
    s.fails(&args, 4, time);
    assert_eq!(s.names(), ["mm.tir"]);
}

#[test]
fn random_inputs_depend_on_their_seed_alone() {
    let s = matmul();
    let at = |seed: &str, engine: &str| {
        s.succeeds(&[
            "run", "mm.tir", "--random", "--seed", seed, "--set", "M=2", "--set", "K=3", "--set",
            "N=2", "--engine", engine,
        ])
    };
    assert_eq!(at("7", "jit"), at("7", "jit"));
    assert_ne!(at("7", "jit"), at("8", "jit"));
    assert_eq!(at("7", "jit").lines().next(), at("7", "interp").lines().next());
}

#[test]
fn run_time_mistakes() {
    let s = Sandbox::with(
        "g.tir",
        "fn g(X: f32[N], T: i64[M]) -> (Y: f32[M]) {\n    Y[j] = X[T[j]]\n}\n",
    );
    for engine in ["jit", "interp"] {
        let outcome = s.tcc(&[
            "run",
            "g.tir",
            "--input",
            "X=3xf32=1,2,3",
            "--input",
            "T=2xi64=0,7",
            "--engine",
            engine,
        ]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.err.starts_with("error[E-INDEX]: "), "{}", outcome.err);
        assert!(outcome.err.contains('7') && outcome.err.contains("`X`"), "{}", outcome.err);
    }
    s.write("h.tir", "fn h(A: i32[N], B: i32[N]) -> (Y: i32[N]) {\n    Y[i] = A[i] / B[i]\n}\n");
    let outcome = s.tcc(&["run", "h.tir", "--input", "A=1xi32=1", "--input", "B=1xi32=0"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.starts_with("error[E-DIV]: "), "{}", outcome.err);
    s.write("w.tir", "fn w(A: f32[N]) -> (Y: f32) where N % 2 == 0 {\n    Y = sum[i](A[i])\n}\n");
    let outcome = s.tcc(&["run", "w.tir", "--input", "A=3xf32=1"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.starts_with("error[E-FACT]: "), "{}", outcome.err);
}

#[test]
fn equations() {
    let s = Sandbox::with("a.npy", npy("<f4", "(2, 2)", &f32s(&[1.0, 2.0, 3.0, 4.0])));
    s.write("row.npy", npy("<f4", "(1, 2)", &f32s(&[10.0, 20.0])));
    let product = s.succeeds(&["run", "ij,jk->ik", "a.npy", "a.npy"]);
    assert!(product.contains("7") && product.contains("22"), "{product}");
    let tropical = s.succeeds(&["run", "ij,jk->ik", "a.npy", "a.npy", "--semiring", "maxplus"]);
    assert!(tropical.contains('8'), "{tropical}");
    let outcome = s.tcc(&["run", "ij,ij->ij", "a.npy", "row.npy"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    s.succeeds(&["run", "ij,ij->ij", "a.npy", "row.npy", "--compat", "numpy"]);
    for wrong in ["ij,jk->iz", "ij,jk->ii", "i j>k,->", "ij->i->j"] {
        let outcome = s.tcc(&["run", wrong, "a.npy", "a.npy", "--compat", "numpy"]);
        assert!(matches!(outcome.code, Some(1 | 2)), "{wrong}: {}", outcome.err);
        assert!(outcome.err.starts_with("error[E-"), "{wrong}: {}", outcome.err);
    }
    let outcome = s.tcc(&["run", "ij,jk->ik", "a.npy"]);
    assert!(
        matches!(outcome.code, Some(1 | 2)) && outcome.err.starts_with("error[E-"),
        "{outcome:?}"
    );
    let outcome = s.tcc(&["run", "ij,jk->ik", "a.npy", "a.npy", "--semiring", "tropic"]);
    assert!(outcome.err.contains("tropic") && outcome.code != Some(0), "{outcome:?}");
}

// spec: R15
#[test]
fn integers_that_leave_their_type_are_found() {
    let text = "fn f(A: i8[N]) -> (S: i8) {\n    S = sum[i](A[i])\n}\n";
    let s = Sandbox::with("f.tir", text);
    let run = ["run", "f.tir", "--input", "A=3xi8=100,27,1"];
    assert_eq!(s.succeeds(&run), "S: i8 = -128\n");
    let checked = [&run[..], &["--check-overflow"]].concat();
    let message = "error[E-OVERFLOW]: `add` gives 128, which i8 does not hold";
    let got = s.tcc(&checked);
    assert_eq!(got.code, Some(1));
    assert!(got.err.starts_with(message), "{}", got.err);
    let fits = ["run", "f.tir", "--input", "A=2xi8=100,27", "--check-overflow"];
    assert_eq!(s.succeeds(&fits), "S: i8 = 127\n");
}
