//! Standard input, output that nobody reads.

use crate::sandbox::{MATMUL, Sandbox};
use std::io::Read;
use std::process::Stdio;

#[test]
fn programs_come_from_stdin() {
    let s = Sandbox::new();
    let inputs = ["run", "-", "--input", "A=1x1xf32=2", "--input", "B=1x1xf32=3"];
    let outcome = s.tcc_with_stdin(&inputs, MATMUL.as_bytes());
    assert_eq!((outcome.code, outcome.out.trim()), (Some(0), "C: f32[1,1] =\n[[6]]"));
    let outcome =
        s.tcc_with_stdin(&["check", "-"], b"fn f(A: f32[N]) -> (Y: f32[N]) { Y[i] = B[i] }");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("--> <stdin>:1:41"), "{}", outcome.err);
    let outcome = s.tcc_with_stdin(&["compile", "-"], MATMUL.as_bytes());
    assert_eq!((outcome.code, s.names()), (Some(0), vec!["mm.tcx".to_owned()]));
    let outcome = s.tcc_with_stdin(&["check", "-"], b"\xc3\x28");
    assert_eq!(outcome.err.trim(), "error[E-FILE]: `-` is no UTF-8 text: byte 0");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let s = Sandbox::with("mm.tir", MATMUL);
    let mut child = s
        .command(&["run", "mm.tir", "--random", "--set", "M=200", "--set", "K=2", "--set", "N=900"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn a_text_beyond_the_limit_is_refused() {
    let s = Sandbox::with("long.tir", vec![b'a'; (64 << 20) + 1]);
    s.fails(&["check", "long.tir"], 4, "error[E-LIMIT]: `long.tir` is larger than 64 MiB");
}
