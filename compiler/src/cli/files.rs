//! Reading programs and writing results: the only places that touch the file system.

use super::report::Failure;
use std::io::{Read, Write};
use std::path::Path;
use tcc_ir::diag::Code;

/// A source text larger than this is refused.
const MAX_SOURCE: u64 = 64 << 20;

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let read = std::io::stdin().lock().take(MAX_SOURCE + 1).read_to_end(&mut bytes);
        read.map_err(|e| Failure::file(Path::new("<stdin>"), "read", &e))?;
    } else {
        let file = std::fs::File::open(path).map_err(|e| Failure::file(path, "open", &e))?;
        let read = file.take(MAX_SOURCE + 1).read_to_end(&mut bytes);
        read.map_err(|e| Failure::file(path, "read", &e))?;
    }
    if bytes.len() as u64 > MAX_SOURCE {
        let message = format!("`{}` is larger than {} MiB", path.display(), MAX_SOURCE >> 20);
        return Err(Failure::new(Code::Limit, message));
    }
    Ok(bytes)
}

/// Reads a program text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    as_text(read(path)?, path)
}

/// Bytes as UTF-8.
pub(crate) fn as_text(bytes: Vec<u8>, path: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let message = format!("`{}` is no UTF-8 text: byte {at}", path.display());
        Failure::new(Code::File, message)
    })
}

/// The name of a text in messages.
pub(crate) fn source_name(path: &Path) -> String {
    if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Writes a file as a whole, or stdout for `-`: a file that exists is replaced only when all bytes
/// are written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        return print(bytes);
    }
    let failed = |e: std::io::Error| Failure::file(path, "write", &e);
    // A device or a pipe is written, not replaced.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return std::fs::write(path, bytes).map_err(failed);
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let written = std::fs::write(partial, bytes).and_then(|()| std::fs::rename(partial, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(partial);
        failed(e)
    })
}

/// Writes to stdout; a reader that has gone away ends the program quietly.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Failure::file(Path::new("<stdout>"), "write", &e)),
        Ok(()) => Ok(()),
    }
}
