//! Every rule of SPEC.md is named by a test, and every rule that a test names exists.
//!
//! A test names rules in a comment `// spec: R1, K2`, a text case also in its first line:
//! `spec=R1,K2`.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rules by number, in the order of the text.
fn rules() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ir-spec/SPEC.md")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**").map(|(id, _)| id.to_owned()))
        .collect()
}

/// Rules that tests name, with one place each.
fn named() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let folders = [
        "tests/cases",
        "tests/suites",
        "compiler/tests",
        "ir-spec/src",
        "ir-spec/abi",
        "runtime/src",
    ];
    let mut pending: Vec<PathBuf> =
        folders.iter().map(|f| root().join(f)).filter(|f| f.exists()).collect();
    while let Some(at) = pending.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "tir") {
                let text = std::fs::read_to_string(&path).unwrap();
                let lines = text.lines().filter_map(|l| l.trim().strip_prefix("// spec: "));
                let option = text.lines().next().and_then(|l| l.split_once(" spec="));
                for id in lines.chain(option.map(|(_, ids)| ids)).flat_map(|l| l.split(',')) {
                    out.insert(id.trim().to_owned(), path.display().to_string());
                }
            }
        }
    }
    out
}

#[test]
fn rules_and_tests_name_each_other() {
    let (rules, named) = (rules(), named());
    assert!(rules.len() > 50, "SPEC.md has only {} rules", rules.len());
    for (k, id) in rules.iter().enumerate() {
        assert!(!rules[..k].contains(id), "{id} stands twice in SPEC.md");
    }
    let untested: Vec<&String> = rules.iter().filter(|id| !named.contains_key(*id)).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
    for (id, place) in &named {
        assert!(rules.contains(id), "{place} names {id}, which is not in SPEC.md");
    }
}
