//! Images, texts of stages, objects, passes and reproducers.

// spec: G3

use crate::sandbox::{MATMUL, Sandbox};
use tcc_ir::graph::check;
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;

fn image() -> (Sandbox, Vec<u8>) {
    let s = Sandbox::with("mm.tir", MATMUL);
    assert_eq!(s.succeeds(&["compile", "mm.tir"]), "");
    let bytes = s.read("mm.tcx");
    (s, bytes)
}

const RUN: [&str; 6] = ["run", "mm.tcx", "--input", "A=1x1xf32=2", "--input", "B=1x1xf32=3"];

#[test]
fn images_run() {
    let (s, _) = image();
    assert_eq!(s.succeeds(&RUN).trim(), "C: f32[1,1] =\n[[6]]");
    let mut interp = RUN.to_vec();
    interp.extend(["--engine", "interp"]);
    let message = "error[E-PARSE]: an image has machine code only; `--engine jit` runs it";
    s.fails(&interp, 2, message);
}

#[test]
fn damaged_images_are_refused() {
    let (s, whole) = image();
    let refused = |bytes: &[u8], what: &str| {
        s.write("mm.tcx", bytes);
        let outcome = s.tcc(&RUN);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{what}: {}", outcome.err);
        let told = ["error[E-IMAGE]: ", "error[E-FILE]: ", "error[E-PARSE]: "];
        assert!(told.iter().any(|t| outcome.err.starts_with(t)), "{what}: {}", outcome.err);
    };
    for share in [1, 2, 3, 5, 7] {
        refused(whole.get(..whole.len() * share / 8).unwrap(), "cut off");
    }
    refused(whole.get(..whole.len() - 1).unwrap(), "one byte short");
    let step = (whole.len() / 40).max(1);
    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        *bytes.get_mut(at).unwrap() ^= 0x10;
        refused(&bytes, &format!("byte {at} changed"));
    }
    let mut longer = whole.clone();
    longer.push(0);
    refused(&longer, "one byte more");
}

#[test]
fn images_of_another_version_are_refused() {
    let (s, whole) = image();
    // The version is the first number behind the eight bytes that mark an image.
    let mut bytes = whole;
    *bytes.get_mut(8).unwrap() = 99;
    s.write("mm.tcx", bytes);
    let outcome = s.tcc(&RUN);
    assert!(outcome.err.starts_with("error[E-IMAGE]: "), "{}", outcome.err);
    assert_eq!(outcome.code, Some(1));
}

#[test]
fn every_form_is_written() {
    let s = Sandbox::with("mm.tir", MATMUL);
    for (form, has) in [
        ("graph", "C[m,n] += "),
        ("program", "program mm"),
        ("kernel", "kernel mm_C"),
        ("clif", "function"),
        ("asm", "ret"),
    ] {
        let text = s.succeeds(&["compile", "mm.tir", "--emit", form]);
        assert!(text.contains(has), "{form}: {text}");
    }
    assert_eq!(s.succeeds(&["compile", "mm.tir", "--emit", "obj"]), "");
    assert!(s.read("mm.o").len() > 100);
    let both = s.succeeds(&["compile", "mm.tir", "--emit", "graph,program"]);
    assert!(both.contains("fn mm") && both.contains("program mm"), "{both}");
    s.succeeds(&["compile", "mm.tir", "--emit", "kernel", "-o", "k.tir"]);
    assert!(s.succeeds(&["check", "k.tir"]).is_empty(), "kernels read back");
    let one = "error[E-PARSE]: `-o` names one file, `--emit` asks for several";
    s.fails(&["compile", "mm.tir", "--emit", "graph,obj", "-o", "x"], 2, one);
}

#[test]
fn passes_print_what_they_do() {
    let text = "fn f(A: f32[I,J], B: f32[J,K], C: f32[K,L]) -> (Y: f32[I,L]) {\n    \
                Y[i,l] = A[i,j] * B[j,k] * C[k,l]\n}\n";
    let s = Sandbox::with("abc.tir", text);
    let plain = s.succeeds(&["opt", "abc.tir"]);
    assert!(plain.contains("A[i,j] * B[j,k] * C[k,l]"), "{plain}");
    let passes =
        ["opt", "abc.tir", "--passes", "inline_calls,order_contractions{strategy=greedy},cse"];
    let ordered = s.succeeds(&passes);
    assert!(ordered.contains("let Y_0"), "{ordered}");
    let with = |flag: &str| {
        let mut args = passes.to_vec();
        args.push(flag);
        s.tcc(&args)
    };
    let all = with("--print-after-all").out;
    for step in ["inline_calls", "order_contractions{strategy=greedy}", "cse"] {
        assert!(all.contains(&format!("// after {step}\n")), "{all}");
    }
    let changed = with("--print-after-change").out;
    assert!(!changed.contains("// after inline_calls") && changed.contains("// after order_"));
    assert_eq!(with("--verify-each").out, ordered);
    let times = with("--time-passes");
    assert_eq!(times.out, ordered);
    assert_eq!(times.err.lines().count(), 4);
    assert!(times.err.lines().all(|l| l.contains(" ms  ")), "{}", times.err);
    let outcome = s.tcc(&["opt", "abc.tir", "--passes", "nope"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.starts_with("error[E-PARSE]: there is no pass `nope`; there are: "));
    let outcome = s.tcc(&["opt", "abc.tir", "--passes", "lower{vectorize=maybe}"]);
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn reproducers_replay_their_passes() {
    let mut sources = Sources::default();
    let (module, _) = read_module(&mut sources, "mm.tir", MATMUL).unwrap();
    assert!(check(&module).is_ok());
    let failure = tcc_passes::pipeline::Failure {
        pass: "cse",
        code: tcc_ir::diag::Code::Internal,
        message: "an example\nof two lines".to_owned(),
        before: tcc_ir::text::print_module(&module),
        rest: "cse,dce,lower{strided=true}".parse().unwrap(),
    };
    let text = failure.reproducer();
    assert_eq!(
        tcc_passes::pipeline::replay(&text),
        Some("cse,dce,lower{strided=true,vectorize=true}")
    );
    let s = Sandbox::with("reproducer.tir", &text);
    let outcome = s.tcc(&["opt", "reproducer.tir", "--time-passes"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains("program mm"), "{}", outcome.out);
    let passes: Vec<&str> = outcome.err.lines().filter_map(|l| l.split(" ms  ").nth(1)).collect();
    assert_eq!(passes, ["cse", "dce", "lower{strided=true,vectorize=true}", "total"]);
}

// spec: D1
#[test]
fn a_refused_schedule_is_no_bug_of_tcc() {
    let text = "kernel copy(X: f32[T]) -> (Y: f32[T]) {\n    for t in T {\n        block copy(a = t) {\n            \
                Y[a] = X[a]\n        }\n    }\n}\n\nschedule copy {\n    to, ti = split(t, 0)\n}\n";
    let s = Sandbox::with("k.tir", text);
    let got = s.tcc(&["opt", "k.tir", "--passes", "schedule"]);
    assert_eq!(got.code, Some(1), "{}", got.err);
    assert!(got.err.starts_with("error[E-SCHEDULE]: "), "{}", got.err);
    assert!(got.err.contains("the factor 0 is not positive"), "{}", got.err);
    assert_eq!(s.names(), ["k.tir"], "no reproducer is written");
}
