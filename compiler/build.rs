//! A fingerprint of the sources that decide what code is made: part of the keys of the compile
//! cache, so that no build reads what another build of the same version made.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// What decides about code, from the root of the workspace.
const PARTS: &[&str] = &[
    "Cargo.lock",
    "ir-spec/src",
    "ir-spec/std",
    "ir-spec/intrinsics",
    "ir-spec/abi/src",
    "passes/src",
    "runtime/src",
    "compiler/src",
];

fn main() {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&folder).parent().expect("the crate lies in the workspace").to_owned();
    let mut files = BTreeSet::new();
    // A package outside of the workspace has no neighbours; its version says what they are.
    for part in PARTS.iter().map(|part| root.join(part)).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", part.display());
        collect(&part, &mut files);
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(&root).expect("it was found below the root").hash(&mut hasher);
        std::fs::read(&file).expect("a source can be read").hash(&mut hasher);
    }
    println!("cargo::rustc-env=TCC_BUILD={:016x}", hasher.finish());
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|e| collect(&e.path(), files)),
        Err(_) => drop(files.insert(path.to_owned())),
    }
}
