//! Text reads back: `parse(print(x)) == x` at every level.

use std::path::{Path, PathBuf};
use tcc_ir::graph::{Module, check};
use tcc_ir::span::Sources;
use tcc_ir::text::{print_module, read_module};
use tcc_passes::pipeline::{self, Pipeline};
use tcc_tests::programs::DEFAULT;

fn golden_texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tir");
    let files = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "tir")).collect();
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
