//! The text cases of `tests/cases`. `TCC_BLESS=1` rewrites what they expect.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tcc_tests::filetest::{command, run};

fn cases(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            cases(&path, out);
        } else if path.extension().is_some_and(|e| e == "tir") {
            out.push(path);
        }
    }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let bless = std::env::var_os("TCC_BLESS").is_some();
    let mut files = Vec::new();
    cases(&root, &mut files);
    // Cases that run programs belong to another suite.
    let runs = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        command(&text).is_some_and(|c| matches!(c.name.as_str(), "run" | "agree"))
    };
    files.retain(|path| !runs(path));
    let trials = files.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        Trial::test(name, move || run(&path, bless).map_err(Failed::from))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
