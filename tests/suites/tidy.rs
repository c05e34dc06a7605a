//! What keeps the layout: edges between crates, sizes and names of files, things that are nowhere.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tcc_passes::pass::PASSES;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below a folder with one of these extensions, relative to the root.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut pending = vec![root().join(folder)];
    while let Some(at) = pending.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                out.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    out.sort();
    out
}

fn sources() -> Vec<PathBuf> {
    let folders =
        ["ir-spec", "passes", "runtime", "compiler", "tests/src", "tests/suites", "examples"];
    folders.into_iter().flat_map(|f| files(f, &["rs"])).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn crates_depend_in_one_direction() {
    let allowed: &[(&str, &[&str])] = &[
        ("tcc-abi", &[]),
        ("tcc-ir", &["tcc-abi"]),
        ("tcc-passes", &["tcc-abi", "tcc-ir"]),
        ("tcc-runtime", &["tcc-abi"]),
        ("tcc", &["tcc-abi", "tcc-ir", "tcc-passes", "tcc-runtime"]),
        ("tcc-tests", &["tcc", "tcc-abi", "tcc-ir", "tcc-passes", "tcc-runtime"]),
        ("tcc-examples", &["tcc", "tcc-runtime"]),
    ];
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), allowed.len());
    for p in packages {
        let name = p["name"].as_str().unwrap();
        let (_, edges) = allowed
            .iter()
            .find(|(n, _)| *n == name)
            .unwrap_or_else(|| panic!("the crate `{name}` is not in the plan of ARCHITECTURE.md"));
        for d in p["dependencies"].as_array().unwrap() {
            let to = d["name"].as_str().unwrap();
            let ours = to == "tcc" || to.starts_with("tcc-");
            assert!(!ours || edges.contains(&to), "`{name}` may not depend on `{to}`");
        }
    }
}

/// The licenses that `deny.toml` allows.
fn allowed_licenses() -> Vec<String> {
    let text = read(Path::new("deny.toml"));
    let list = text.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    list.split(',').map(|l| l.trim().trim_matches('"').to_owned()).collect()
}

#[test]
fn dependencies_come_from_the_registry_under_known_licenses() {
    // What other platforms need is not downloaded here.
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed_licenses();
    for p in metadata["packages"].as_array().unwrap() {
        let name = p["name"].as_str().unwrap();
        let Some(source) = p["source"].as_str() else { continue };
        assert!(source.starts_with("registry+"), "`{name}` comes from {source}");
        let license = p["license"].as_str().unwrap_or("none").replace('/', " OR ");
        let one = |l: &str| allowed.iter().any(|a| a == l.trim().trim_matches(['(', ')']));
        let all = |l: &str| l.split(" AND ").all(|part| part.split(" OR ").any(one));
        assert!(license.split(" OR ").any(one) || all(&license), "`{name}` is under {license}");
    }
}

#[test]
fn files_are_small() {
    let exempt: &[(&str, &str)] = &[];
    for path in sources() {
        let text = read(&path);
        let name = path.display().to_string();
        let lines = text.lines().count();
        let known = exempt.iter().any(|(p, _)| *p == name);
        assert!(lines <= 800 || known, "{name} has {lines} lines; split it");
        for (k, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            let literal = line.contains('"') || line.contains("http") || line.ends_with('\\');
            assert!(columns <= 100 || literal, "{name}:{} has {columns} columns", k + 1);
        }
    }
}

#[test]
fn names_say_what_is_inside() {
    for path in sources() {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let vague = ["util", "utils", "helper", "helpers", "misc", "common"];
        assert!(!vague.contains(&stem.as_ref()), "{}: name its concept", path.display());
    }
}

#[test]
fn some_things_are_nowhere() {
    for path in sources() {
        let text = read(&path);
        let name = path.display().to_string();
        let tests = name.starts_with("tests") || name.starts_with("compiler/tests");
        let talks = tests || name.starts_with("compiler/src/cli") || name.starts_with("examples");
        for (k, line) in text.lines().enumerate() {
            let at = format!("{name}:{}", k + 1);
            let code = line.split("//").next().unwrap();
            if !name.ends_with("suites/tidy.rs") {
                assert!(!code.contains("todo!"), "{at}: finish it");
                assert!(!code.contains("#[ignore"), "{at}: a test runs or is not there");
                assert!(!code.contains("dbg!"), "{at}: left over");
            }
            let prints = code.contains("println!") || code.contains("print!(");
            assert!(
                !prints || talks || name.ends_with("build.rs"),
                "{at}: only the command line prints"
            );
            let unsafe_code = ["unsafe {", "unsafe impl", "unsafe fn"]
                .iter()
                .any(|word| code.find(word).is_some_and(|at| !code[..at].ends_with('_')));
            let may = name.starts_with("runtime") || name == "compiler/src/jit.rs" || tests;
            assert!(!unsafe_code || may, "{at}: unsafe code is in the runtime and the JIT loader");
        }
    }
}

#[test]
fn every_pass_has_a_case() {
    for p in PASSES {
        let case = format!("tests/cases/graph/{}.tir", p.name);
        let lower = format!("tests/cases/{}", p.name);
        let found = root().join(&case).exists() || root().join(&lower).is_dir();
        assert!(found, "the pass `{}` has no case {case}", p.name);
    }
}

#[test]
fn every_library_function_has_a_case() {
    let cases: String = files("tests/cases", &["tir"]).iter().map(|p| read(p)).collect();
    for name in tcc_ir::library::names() {
        let called = cases.contains(&format!("{name}(")) || cases.contains(&format!("{name}["));
        assert!(called, "no case calls `{name}`");
    }
}

#[test]
fn the_readme_is_true() {
    let readme = read(Path::new("README.md"));
    let ci = read(Path::new(".ci/run"));
    assert!(readme.contains("cargo test --workspace --locked"));
    assert!(ci.contains("cargo test --workspace --locked"), "CI runs the README's test command");
    let example = readme.split("```text").nth(1).unwrap().split("```").next().unwrap();
    let attention = read(Path::new("examples/models/attention.tir"));
    let body = |text: &str| -> String {
        text.lines().filter(|l| !l.starts_with("//")).map(str::trim).collect()
    };
    assert_eq!(body(example), body(&attention), "the README's example is the file");
}
