//! `check`, `fmt`, `explain`, `targets`, `completions`, and wrong command lines.

use crate::sandbox::{MATMUL, Sandbox};

const MISTAKES: &str = "\
fn f(A: f32[M], B: f32[N]) -> (Y: f32[M]) {
    Y[i] = A[i] + B[i]
}
fn g(A: f32[N]) -> (Y: f32[N]) {
    Y[i] = A[i] + $
    Y[j] = W[j]
}
";

#[test]
fn mistakes_show_their_source() {
    let s = Sandbox::with("m.tir", MISTAKES);
    s.fails(
        &["check", "m.tir"],
        1,
        "\
error[E-SIZE]: index `i` has extent M in one place and N in another
  --> m.tir:2:21
  |
2 |     Y[i] = A[i] + B[i]
  |       -             ^
  |       |             |
  |       |             axis 0 of `B` has extent N
  |       axis 0 of `Y` has extent M
  |
  = help: use another index, or state `where M == N` after the signature

error[E-PARSE]: unexpected character `$`
  --> m.tir:5:19
  |
5 |     Y[i] = A[i] + $
  |                   ^

error[E-NAME]: unknown tensor `W`
  --> m.tir:6:12
  |
6 |     Y[j] = W[j]
  |            ^
",
    );
}

#[test]
fn mistakes_as_json_are_one_object_a_line() {
    let s = Sandbox::with("m.tir", MISTAKES);
    let outcome = s.tcc(&["check", "m.tir", "--diagnostics", "json"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
    let objects: Vec<serde_json::Value> =
        outcome.err.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let codes: Vec<&str> = objects.iter().map(|o| o["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["E-SIZE", "E-PARSE", "E-NAME"]);
    for o in &objects {
        assert_eq!(o["severity"], "error");
        assert_eq!(o["place"]["file"], "m.tir");
        assert!(o["place"]["start"]["line"].as_u64() <= o["place"]["end"]["line"].as_u64());
    }
    let outcome = s.tcc(&["run", "missing.tir", "--diagnostics", "json"]);
    let o: serde_json::Value = serde_json::from_str(outcome.err.trim()).unwrap();
    assert_eq!((&o["code"], &o["place"]), (&"E-FILE".into(), &serde_json::Value::Null));
}

#[test]
fn warnings_and_derived_facts_are_no_mistakes() {
    let s = Sandbox::with(
        "w.tir",
        "fn f(X: f32[H]) -> (Y: f32[HO], F: f32) {\n    Y[y/2] max= X[y]\n    F = X[0]\n}\n",
    );
    let outcome = s.tcc(&["check", "w.tir"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.err.starts_with("warning[W-FREE-SIZE]: no input shows size `HO`"));
    assert!(outcome.out.contains("w.tir: `f` needs "), "{}", outcome.out);
}

#[test]
fn all_files_are_checked() {
    let s = Sandbox::with("a.tir", "fn a(\n");
    s.write("b.tir", MATMUL);
    s.write("c.tir", "fn c(A: f32[N]) -> (Y: f32[N]) { Y[i] = Q[i] }\n");
    let outcome = s.tcc(&["check", "a.tir", "b.tir", "c.tir"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("--> a.tir:1:5"), "{}", outcome.err);
    assert!(outcome.err.contains("--> c.tir:1:41"), "{}", outcome.err);
}

#[test]
fn refused_programs_exit_with_4() {
    let deep = format!(
        "fn f(A: f32) -> (Y: f32) {{\n    Y = {}A{}\n}}\n",
        "(".repeat(9999),
        ")".repeat(9999)
    );
    let s = Sandbox::with("deep.tir", deep);
    s.write("f8.tir", "fn f(A: f8e4m3[N]) -> (Y: f32[N]) {\n    Y[i] = cast(f32, A[i])\n}\n");
    s.write("big.tir", "fn f(A: f32[4294967296,4294967296]) -> (Y: f32) {\n    Y = A[0,0]\n}\n");
    s.write(
        "call.tir",
        "fn f(X: f32[N,C,1099511627776,1099511627776]) -> (Y: f32[N,C]) {\n    \
                         Y = global_avg_pool2d(X)\n}\n",
    );
    for (file, begin) in [
        ("deep.tir", "error[E-LIMIT]: depth 256 exceeded"),
        ("f8.tir", "error[E-UNSUPPORTED]: element type `f8e4m3` is not compiled yet"),
        ("big.tir", "error[E-LIMIT]: `A` has more than 2^40 elements"),
        ("call.tir", "error[E-LIMIT]: "),
    ] {
        let outcome = s.tcc(&["compile", file]);
        assert!(outcome.err.starts_with(begin), "{file}: {}", outcome.err);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(4), ""), "{file}");
    }
    assert_eq!(s.names(), ["big.tir", "call.tir", "deep.tir", "f8.tir"]);
}

#[test]
fn codes_are_explained() {
    let s = Sandbox::new();
    let list = s.succeeds(&["check", "--explain", "all"]);
    for line in list.lines() {
        let code = line.split_whitespace().next().unwrap();
        let text = s.succeeds(&["check", "--explain", code]);
        assert!(text.starts_with(&format!("{code}\n\n")) && text.len() > 40, "{text}");
    }
    assert!(list.lines().count() > 20);
    assert_eq!(
        s.succeeds(&["check", "--explain", "e-budget"]),
        "E-BUDGET\n\nThe program needs more memory or time than the call allows. \
         Nothing was computed.\n"
    );
    let unknown = "error[E-PARSE]: there is no code `E-WHAT`\n \
                   = help: `tcc check --explain all` lists the codes";
    s.fails(&["check", "--explain", "E-WHAT"], 2, unknown);
}

#[test]
fn formatting_keeps_comments_and_is_idempotent() {
    let text = "// head\nfn f( A:f32[N] )->(Y:f32[N]){ // open\n  // inside\n \
                Y[i]=A[i]*2 // behind\n}\n// tail\n";
    let want = "// head\nfn f(A: f32[N]) -> (Y: f32[N]) { // open\n    // inside\n    \
                Y[i] = A[i] * 2 // behind\n}\n// tail\n";
    let s = Sandbox::with("f.tir", text);
    let unformatted = "error[E-MISMATCH]: not formatted: f.tir\n \
                       = help: `tcc fmt` without `--check` formats them";
    s.fails(&["fmt", "--check", "f.tir"], 3, unformatted);
    assert_eq!(s.read("f.tir"), text.as_bytes(), "`--check` writes nothing");
    let outcome = s.tcc_with_stdin(&["fmt", "-"], text.as_bytes());
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    let piped = outcome.out;
    assert_eq!(s.succeeds(&["fmt", "f.tir"]), "");
    let formatted = String::from_utf8(s.read("f.tir")).unwrap();
    assert_eq!(formatted, piped);
    for comment in ["// head", "// open", "// inside", "// behind", "// tail"] {
        assert!(formatted.contains(comment), "{formatted}");
    }
    assert!(formatted.contains("Y[i] = A[i] * 2"), "{formatted}\nwanted like\n{want}");
    assert_eq!(s.succeeds(&["fmt", "--check", "f.tir"]), "");
    s.write("bad.tir", "fn f(\n");
    let outcome = s.tcc(&["fmt", "bad.tir"]);
    assert_eq!((outcome.code, s.read("bad.tir")), (Some(1), b"fn f(\n".to_vec()));
}

#[test]
fn wrong_command_lines_exit_with_2() {
    let s = Sandbox::with("mm.tir", MATMUL);
    let more = "\n\nFor more information, try '--help'.";
    let unknown =
        format!("error: unrecognized subcommand 'nothing'\n\nUsage: tcc [OPTIONS] <COMMAND>{more}");
    s.fails(&["nothing"], 2, &unknown);
    let engine = format!(
        "error: invalid value 'gpu' for '--engine <ENGINE>'\n  [possible values: jit, interp]{more}"
    );
    s.fails(&["run", "mm.tir", "--engine", "gpu"], 2, &engine);
    let emit = s.tcc(&["compile", "mm.tir", "--emit", "ptx"]);
    assert_eq!(emit.code, Some(2));
    assert!(emit.err.contains("possible values: image, graph, program, kernel, clif, asm, obj"));
    for args in [&["run"][..], &["check"], &["fmt"], &["compile"], &["explain"], &[]] {
        assert_eq!(s.tcc(args).code, Some(2), "{args:?}");
    }
    let target = "error[E-PARSE]: there is no target `nope`; there are: x86_64-v2, x86_64-v3, \
                  x86_64-v4, aarch64";
    s.fails(&["compile", "mm.tir", "--target", "nope"], 2, target);
    let function = "error[E-NAME]: the text has no function `nope`\n = help: it has `mm`";
    s.fails(&["compile", "mm.tir", "--function", "nope"], 1, function);
}

#[test]
fn help_targets_and_completions_go_to_stdout() {
    let s = Sandbox::with("mm.tir", MATMUL);
    for command in ["run", "compile", "check", "fmt", "opt", "explain", "bench", "targets"] {
        assert!(s.succeeds(&[command, "--help"]).contains("Usage: tcc"), "{command}");
    }
    assert!(s.succeeds(&["--version"]).starts_with("tcc "));
    let targets = s.succeeds(&["targets"]);
    assert!(targets.starts_with("host is ") && targets.contains("x86_64-v3"), "{targets}");
    for intrinsic in ["exp_f32", "gemm_f32_14x32", "gemm_f32_8x12", "gemm_f32_4x4"] {
        assert!(targets.contains(&format!(" {intrinsic}")), "{intrinsic}: {targets}");
    }
    assert!(targets.contains("baseline") && targets.contains("another architecture"), "{targets}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(s.succeeds(&["completions", shell]).contains("tcc"), "{shell}");
    }
    assert_eq!(s.tcc(&["completions", "nosh"]).code, Some(2));
}

#[test]
fn explain_counts_operations() {
    let s = Sandbox::with("mm.tir", MATMUL);
    // A tile takes four rows: 2*4*3*5.
    let named = s.succeeds(&["explain", "mm.tir", "--set", "M=4", "--set", "K=3", "--set", "N=5"]);
    assert!(named.contains("flops/byte") && named.contains(" 120 "), "{named}");
    let open = s.succeeds(&["explain", "mm.tir"]);
    assert!(open.contains("cost: name the sizes (--set M=... --set K=... --set N=...)"), "{open}");
}

#[test]
fn debug_builds_are_not_measured() {
    let s = Sandbox::with("mm.tir", MATMUL);
    if cfg!(debug_assertions) {
        let debug = "error[E-PARSE]: this is a debug build, its times mean nothing\n \
                     = help: build with `cargo build --release`";
        s.fails(&["bench", "mm.tir", "--random"], 2, debug);
    }
}

#[test]
fn the_readme_shows_a_real_output() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let block = readme.split("```console\n$ cargo run --release --locked -- ").nth(1).unwrap();
    let (command, rest) = block.split_once('\n').unwrap();
    let shown = rest.split("```").next().unwrap();
    let s = Sandbox::new();
    let model = root.join("examples/models/attention.tir").display().to_string();
    let args: Vec<&str> = command
        .split_whitespace()
        .map(|a| if a.ends_with(".tir") { model.as_str() } else { a })
        .collect();
    assert_eq!(s.succeeds(&args), shown);
}
