//! `tcc tune` from outside: messages, records, Ctrl-C.

use crate::sandbox::{MATMUL, Sandbox};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

const SIZES: &[&str] = &["--random", "--set", "M=64", "--set", "K=64", "--set", "N=64"];

#[test]
fn wrong_command_lines_are_told() {
    let s = Sandbox::with("mm.tir", MATMUL);
    for text in ["30", "s", "-1s", "0s", "1 fortnight", "1e99h"] {
        let budget = format!("--budget={text}");
        let outcome = s.tcc(&["tune", "mm.tir", &budget, "--tuning", "t.log"]);
        assert_eq!(outcome.code, Some(2), "{text}");
        let want = format!("`--budget {text}`: expected a number with `ms`, `s`, `m` or `h`");
        assert!(outcome.err.contains(&want), "{}", outcome.err);
        assert!(outcome.err.contains("= help: write for example `--budget 30s`"));
    }
    let outcome = s.tcc(&["tune", "mm.tir"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.contains("there is nowhere to store what is found"), "{}", outcome.err);
    s.write("one.tir", "fn one(A: f32) -> (B: f32) { B = A + 1 }");
    let outcome = s.tcc(&["tune", "one.tir", "--random", "--tuning", "t.log"]);
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.err.contains("`one` has no kernels to tune"), "{}", outcome.err);
    s.write("file", "");
    let args = [&["tune", "mm.tir", "--tuning", "file/t.log"][..], SIZES].concat();
    let outcome = s.tcc(&args);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(outcome.err.contains("the tuning database `file/t.log`"), "{}", outcome.err);
}

#[test]
fn records_are_used_and_told() {
    let s = Sandbox::with("mm.tir", MATMUL);
    let tune = ["tune", "mm.tir", "--budget", "1s", "--tuning", "t.log"];
    let outcome = s.tcc(&[&tune[..], SIZES].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains("candidates") && outcome.out.contains("t.log: "));
    let count: usize =
        outcome.out.lines().last().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let explained = s.succeeds(&["explain", "mm.tir", "--tuning", "t.log"]);
    assert_eq!(explained.contains("is tuned"), count > 0, "{explained}");
    assert!(!explained.contains("not as it was recorded"), "{explained}");
    let plain = s.succeeds(&["explain", "mm.tir", "--no-tuning"]);
    assert!(!plain.contains("is tuned"), "{plain}");
    let run = [&["run", "mm.tir"][..], SIZES].concat();
    let tuned = s.succeeds(&[&run[..], &["--tuning", "t.log"]].concat());
    assert_eq!(tuned, s.succeeds(&run));
}

/// The signal goes by `kill`, which every such system has.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_search_and_a_kill_leaves_whole_records() {
    let s = Sandbox::with("mm.tir", MATMUL);
    for (signal, code) in [("-INT", Some(0)), ("-KILL", None)] {
        let args = [&["tune", "mm.tir", "--budget", "1h", "--tuning", "t.log"][..], SIZES].concat();
        let mut child = s
            .command(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The first record, or the file that was made before the search.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while !s.path("t.log").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(child.wait().unwrap().code(), code, "{:?}", lines.next());
        assert_eq!(out.starts_with("interrupted, "), code.is_some(), "{out}");
        let explained = s.succeeds(&["explain", "mm.tir", "--tuning", "t.log"]);
        assert!(!explained.contains("not as it was recorded"), "{explained}");
        std::fs::remove_file(s.path("t.log")).unwrap();
    }
}
