//! A folder of its own for each test, and the command run in it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A product of matrices.
pub(crate) const MATMUL: &str = "\
fn mm(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) {
    C[m,n] = A[m,k] * B[k,n]
}
";

/// A temporary folder.
pub(crate) struct Sandbox(TempDir);

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sandbox {
    /// An empty folder.
    pub(crate) fn new() -> Sandbox {
        Sandbox(tempfile::tempdir().unwrap())
    }

    /// A folder with one file.
    pub(crate) fn with(name: &str, bytes: impl AsRef<[u8]>) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write(name, bytes);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The names of the files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcc"));
        command.args(args).current_dir(self.0.path()).env_remove("RUST_BACKTRACE");
        command.env("TCC_TUNING", "off").env("TCC_CACHE", "off").env_remove("TCC_CACHE_MIB");
        command
    }

    /// Runs `tcc` with these arguments in the folder.
    pub(crate) fn tcc(&self, args: &[&str]) -> Outcome {
        self.tcc_with_stdin(args, b"")
    }

    pub(crate) fn tcc_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A command that does not read its input may be gone already.
        let _ = pipe.write_all(stdin);
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs the command, which must fail with this exit code and exactly this on stderr.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], code: i32, err: &str) {
        let outcome = self.tcc(args);
        assert_eq!(outcome.err.trim_end(), err.trim_end(), "{args:?}");
        assert_eq!(outcome.code, Some(code), "{args:?}");
        assert_eq!(outcome.out, "", "{args:?}");
    }

    /// Runs the command, which must succeed in silence; gives its stdout.
    #[track_caller]
    pub(crate) fn succeeds(&self, args: &[&str]) -> String {
        let outcome = self.tcc(args);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{args:?}");
        outcome.out
    }
}

/// The bytes of a `.npy` file of version 1 with this header and these data.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The bytes of f32 values.
pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
