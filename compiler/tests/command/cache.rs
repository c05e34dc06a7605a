//! The compile cache from outside: options, environment, processes that are killed.

use crate::sandbox::{MATMUL, Outcome, Sandbox};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The command with a cache in the sandbox.
fn cached(s: &Sandbox, args: &[&str]) -> Command {
    let mut command = s.command(args);
    command.env("TCC_CACHE", s.path("cache"));
    command
}

fn output(mut command: Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Entries and bytes of the sandbox's cache.
fn held(s: &Sandbox) -> String {
    let outcome = output(cached(s, &["cache"]));
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    outcome.out.rsplit(": ").next().unwrap().trim().to_owned()
}

const RUN: &[&str] = &["run", "mm.tir", "--random", "--set", "M=2", "--set", "K=3", "--set", "N=2"];

#[test]
fn runs_and_images_come_from_the_cache() {
    let s = Sandbox::with("mm.tir", MATMUL);
    let plain = s.succeeds(RUN);
    assert_eq!(held(&s), "0 entries, 0 bytes");
    for _ in 0..2 {
        let outcome = output(cached(&s, RUN));
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert_eq!(outcome.out, plain);
        assert!(held(&s).starts_with("1 entries, "), "{}", held(&s));
    }
    s.succeeds(&["compile", "mm.tir", "-o", "plain.tcx"]);
    output(cached(&s, &["compile", "mm.tir", "-o", "cached.tcx"]));
    assert_eq!(s.read("plain.tcx"), s.read("cached.tcx"));
    assert!(held(&s).starts_with("1 entries, "));
    let cleared = output(cached(&s, &["cache", "--clear"]));
    assert!(cleared.out.ends_with(": 1 entries removed\n"), "{}", cleared.out);
    assert_eq!(held(&s), "0 entries, 0 bytes");
}

#[test]
fn options_go_before_the_environment() {
    let s = Sandbox::with("mm.tir", MATMUL);
    let with = |more: &[&'static str]| cached(&s, &[RUN, more].concat());
    assert_eq!(output(with(&["--no-cache"])).code, Some(0));
    assert_eq!(held(&s), "0 entries, 0 bytes");
    assert_eq!(output(with(&["--cache", "other"])).code, Some(0));
    assert_eq!(held(&s), "0 entries, 0 bytes");
    assert!(s.succeeds(&["cache", "--cache", "other"]).starts_with("other: 1 entries, "));
    assert_eq!(s.succeeds(&["cache"]), "the compile cache is off\n");
    let both = output(with(&["--cache", "other", "--no-cache"]));
    assert_eq!(both.code, Some(2));
    let mut command = with(&[]);
    command.env("TCC_CACHE_MIB", "much");
    let outcome = output(command);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.contains("TCC_CACHE_MIB is `much`: expected a number of MiB"));
    // The user's folder, by the base folder of the system.
    let mut command = s.command(RUN);
    command.env_remove("TCC_CACHE").env("XDG_CACHE_HOME", s.path("base"));
    assert_eq!(output(command).code, Some(0));
    if cfg!(target_os = "linux") {
        let made = std::fs::read_dir(s.path("base").join("tcc")).unwrap();
        assert_eq!(made.count(), 1);
    }
}

/// A program of some length for each number.
fn program(k: usize) -> String {
    let lines: String = (0..12).map(|n| format!("    X{n}[i] = sin(A[i] + {k}.{n})\n")).collect();
    let names: Vec<String> = (0..12).map(|n| format!("X{n}: f32[N]")).collect();
    format!("fn f(A: f32[N]) -> ({}) {{\n{lines}}}\n", names.join(", "))
}

#[test]
fn a_killed_process_leaves_no_bad_entry() {
    let s = Sandbox::new();
    let (mut killed, mut entries) = (0, 0);
    for k in 0..30 {
        s.write("f.tir", program(k));
        let mut command = cached(&s, &["compile", "f.tir", "-o", "f.tcx"]);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        // Not a measure of anything: later and later moments.
        std::thread::sleep(Duration::from_micros(400 * k as u64));
        let _ = child.kill();
        killed += usize::from(!child.wait().unwrap().success());
    }
    for k in 0..30 {
        s.write("f.tir", program(k));
        s.succeeds(&["compile", "f.tir", "-o", "plain.tcx"]);
        let before = held(&s);
        let outcome = output(cached(&s, &["compile", "f.tir", "-o", "cached.tcx"]));
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        assert_eq!(s.read("plain.tcx"), s.read("cached.tcx"), "{k}");
        entries += usize::from(held(&s) == before);
    }
    assert!(held(&s).starts_with("30 entries, "));
    println!("{killed} of 30 killed, {entries} entries had been written");
}

#[test]
fn processes_share_a_cache() {
    let s = Sandbox::new();
    let names: Vec<String> = (0..8).map(|k| format!("f{k}.tir")).collect();
    names.iter().enumerate().for_each(|(k, name)| s.write(name, program(k % 3)));
    for round in 0..3 {
        let images: Vec<String> = (0..8).map(|k| format!("f{k}-{round}.tcx")).collect();
        let start = |(name, image): (&String, &String)| {
            cached(&s, &["compile", name, "-o", image]).stdin(Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = names.iter().zip(&images).map(start).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
    }
    assert!(held(&s).starts_with("3 entries, "), "{}", held(&s));
    for (k, name) in names.iter().enumerate() {
        s.succeeds(&["compile", name, "-o", "plain.tcx"]);
        for round in 0..3 {
            assert_eq!(s.read("plain.tcx"), s.read(&format!("f{k}-{round}.tcx")));
        }
    }
}
