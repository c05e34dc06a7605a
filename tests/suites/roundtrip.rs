//! Text reads back: `parse(print(x)) == x` at every level.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::path::{Path, PathBuf};
use tcc_ir::graph::{Module, check};
use tcc_ir::span::Sources;
use tcc_ir::text::{print_module, read_module};
use tcc_passes::pipeline::{self, Pipeline};
use tcc_tests::programs::DEFAULT;
use tcc_tests::{directives, random, random_text};

fn golden_texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tir");
    let files = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|p| p.extension().is_some_and(|e| e == "tir")).collect();
    files.sort();
    assert_eq!(files.len(), 23);
    files
}

/// Reads a text that has no mistakes.
fn read(text: &str) -> Module {
    let mut sources = Sources::default();
    match read_module(&mut sources, "t.tir", text) {
        Ok((module, _)) => module,
        Err(d) => {
            let first = d.0.first().unwrap();
            let at = first.span.map(|s| sources.line_column(s.source, s.start));
            panic!("{at:?} {}: {}\n{text}", first.code, first.message)
        }
    }
}

/// Every level of what the default passes make of a program: functions before, the rest after.
fn levels(path: &Path) -> Module {
    let text = std::fs::read_to_string(path).unwrap();
    let module = read(&text);
    let target = "x86_64-v3".parse().unwrap();
    let run = |passes: &[&str]| {
        let pipeline = Pipeline::of(passes).unwrap();
        pipeline::run(&check(&module).unwrap(), &pipeline, &target, true, &mut |_| {})
            .unwrap_or_else(|e| panic!("{}", e.reproducer()))
    };
    let (_, graph_passes) = DEFAULT.split_last().unwrap();
    let mut all = run(DEFAULT);
    all.functions = run(graph_passes).functions;
    all
}

#[test]
fn every_level_of_the_golden_programs_reads_back() {
    for path in golden_texts() {
        let module = levels(&path);
        let text = print_module(&module);
        let back = read(&text);
        for (name, kernel) in &module.kernels {
            assert_eq!(back.kernels.get(name), Some(kernel), "{text}");
        }
        assert_eq!(back.programs, module.programs, "{text}");
        assert_eq!(print_module(&back), text);
    }
}

/// The first line in which two texts differ.
fn difference(a: &str, b: &str) -> String {
    // Positions are not part of what a construct is.
    let position = |x: &str| x.contains("start: ") || x.contains("end: ");
    let differ = |(x, y): &(&str, &str)| x != y && !position(x);
    let lines = a.lines().zip(b.lines()).find(differ);
    lines.map_or("none".to_owned(), |(x, y)| format!("\n{x}\n{y}"))
}

#[test]
fn random_kernels_read_back() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut read, mut calls) = (0, 0);
    for n in 0..2000 {
        let kernel = random::kernel(&mut rng, "k");
        let text = tcc_ir::kernel::print_kernel(&kernel);
        let module = match parse_kernel(&text) {
            Ok(module) => module,
            // What a kernel must satisfy beyond its grammar is another matter.
            Err(message) if message.starts_with("E-KERNEL") => continue,
            Err(message) => panic!("case {n}: {message}\n{text}"),
        };
        let back = &module.kernels["k"];
        let again = tcc_ir::kernel::print_kernel(back);
        assert_eq!(again, text, "case {n}: {}", difference(&text, &again));
        let (x, y) = (format!("{back:#?}"), format!("{kernel:#?}"));
        assert!(*back == kernel, "case {n}: {}\n{text}", difference(&x, &y));
        read += 1;
        calls += usize::from(text.contains(" intrin "));
    }
    assert!(read > 700, "only {read} kernels are well formed");
    assert!(calls > 10, "only {calls} kernels call intrinsics");
}

fn parse_kernel(text: &str) -> Result<Module, String> {
    let mut sources = Sources::default();
    read_module(&mut sources, "k.tir", text)
        .map(|(m, _)| m)
        .map_err(|d| tcc_ir::diag::render_plain(&d, &sources))
}

#[test]
fn random_programs_and_schedules_read_back() {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut read = 0;
    for n in 0..1000 {
        let (program, kernels) = random::program(&mut rng);
        let mut module = Module::default();
        module.programs.insert(program.name.clone(), program);
        for k in kernels {
            let schedule = directives::schedule(&mut rng, &k);
            module.schedules.insert(k.name.clone(), schedule);
            module.kernels.insert(k.name.clone(), k);
        }
        let text = print_module(&module);
        match parse_kernel(&text) {
            Ok(back) => {
                assert!(back == module, "case {n}: {text}");
                read += 1;
            }
            Err(message) if message.starts_with("E-KERNEL") => {}
            Err(message) => panic!("case {n}: {message}\n{text}"),
        }
    }
    assert!(read > 350, "only {read} programs are well formed");
}

#[test]
fn random_functions_read_back() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut read = 0;
    for n in 0..4000 {
        let text = random_text::function(&mut rng);
        // What a text must satisfy beyond its grammar is another matter.
        let Ok(module) = parse_kernel(&text) else { continue };
        let printed = print_module(&module);
        match parse_kernel(&printed) {
            Ok(back) => {
                let again = print_module(&back);
                let line = difference(&printed, &again);
                assert!(printed == again, "case {n}: {line}\n{text}\n{printed}");
                for (name, f) in &module.functions {
                    assert!(Some(f) == back.functions.get(name), "case {n}: `{name}`\n{printed}");
                }
            }
            Err(message) => panic!("case {n}: {message}\n{text}\n{printed}"),
        }
        read += 1;
    }
    assert!(read > 2000, "only {read} functions are well formed");
}

fn comments(text: &str) -> Vec<String> {
    let file = tcc_ir::text::parse(text, Default::default()).0;
    file.comments.iter().map(|c| c.text.trim_end().to_owned()).collect()
}

/// The text in the house style.
fn formatted(text: &str) -> String {
    let (file, mistakes) = tcc_ir::text::parse(text, Default::default());
    assert!(!mistakes.has_errors(), "{mistakes:?}\n{text}");
    tcc_ir::text::format::format(&file, text)
}

#[test]
fn formatting_keeps_meaning_and_comments() {
    let mut rng = fastrand::Rng::with_seed(4);
    for n in 0..1000 {
        let text = if n % 2 == 0 {
            random_text::function(&mut rng)
        } else {
            let (program, kernels) = random::program(&mut rng);
            let mut text = tcc_ir::program::print_program(&program);
            kernels.iter().for_each(|k| text.push_str(&tcc_ir::kernel::print_kernel(k)));
            text
        };
        let text = random_text::commented(&mut rng, &text);
        let once = formatted(&text);
        let twice = formatted(&once);
        assert!(once == twice, "case {n}: {}\n{text}\n{once}", difference(&once, &twice));
        let (mut before, mut after) = (comments(&text), comments(&once));
        before.sort();
        after.sort();
        assert_eq!(before, after, "case {n}\n{text}\n{once}");
        if let (Ok(a), Ok(b)) = (parse_kernel(&text), parse_kernel(&once)) {
            assert!(a == b, "case {n}\n{text}\n{once}");
        }
    }
}

#[test]
fn damaged_texts_are_refused_without_panic() {
    let mut rng = fastrand::Rng::with_seed(6);
    let words = [
        "for",
        "block",
        "in",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "@",
        "=",
        "0",
        "N",
        "9".repeat(30).leak(),
        "-",
        "/",
        "%",
        "init",
        "else",
        "..",
        "min(N, 0)",
        "where",
        "require",
        "\n",
    ];
    for _ in 0..600 {
        let (program, kernels) = random::program(&mut rng);
        let mut text = tcc_ir::program::print_program(&program);
        for k in &kernels {
            let schedule = directives::schedule(&mut rng, k);
            text.push_str(&tcc_ir::kernel::print_kernel(k));
            text.push_str(&tcc_ir::schedule::print_schedule(&schedule));
        }
        for _ in 0..1 + rng.usize(..3) {
            let spaces: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
            let (from, to) = (spaces[rng.usize(..spaces.len())], spaces[rng.usize(..spaces.len())]);
            let word = words[rng.usize(..words.len())];
            match rng.u8(..3) {
                0 => text.insert_str(from, &format!(" {word}")),
                1 => text.replace_range(from..=from, word),
                _ if from < to && to - from < 40 => text.replace_range(from..to, " "),
                _ => {}
            }
        }
        if let Ok(module) = parse_kernel(&text) {
            let _ = tcc_passes::schedule::apply_all(&module);
        }
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |n: usize| {
        let (open, close) = ("if true {\n".repeat(n), "}\n".repeat(n));
        parse_kernel(&format!("kernel k(A: f32[N]) -> (C: f32[N]) {{\n{open}{close}}}\n"))
    };
    assert!(nested(200).is_ok());
    let message = nested(50_000).unwrap_err();
    assert!(message.starts_with("E-LIMIT"), "{message}");
}
