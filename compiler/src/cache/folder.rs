//! The folder of a cache: who owns it, what lies in it, what must go.

use super::{EXTENSION, PARTIAL};
use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Partial files of this age were left by processes that were killed.
const STALE: Duration = Duration::from_secs(600);

/// An entry as a file.
pub(super) struct Entry {
    used: SystemTime,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
}

/// Makes the folder, for its owner alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Code of a folder that others may write to is not run.
#[cfg(unix)]
pub(super) fn check_owner(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(folder)?;
    let own = data.uid() == rustix::process::geteuid().as_raw();
    if own && data.mode() & 0o022 == 0 {
        return Ok(());
    }
    let what = if own { "others may write to it" } else { "it belongs to another user" };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

/// The user's folders are the user's alone on other systems.
#[cfg(not(unix))]
pub(super) fn check_owner(folder: &Path) -> io::Result<()> {
    std::fs::metadata(folder).map(|_| ())
}

/// Removes a file; that it is gone already is no failure.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The entries of a folder. Files of other names are not touched, stale partial ones are removed.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut out = Vec::new();
    let now = SystemTime::now();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let partial =
            path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(PARTIAL.as_bytes()));
        if !partial && path.extension().is_none_or(|e| e != EXTENSION) {
            continue;
        }
        // A file that another process has just removed is not there.
        let Ok(data) = std::fs::symlink_metadata(&path) else { continue };
        let used = data.modified()?;
        if !partial {
            out.push(Entry { used, bytes: data.len(), path });
        } else if now.duration_since(used).is_ok_and(|age| age > STALE) {
            remove(&path)?;
        }
    }
    Ok(out)
}

/// Removes the least recently used entries if there are more bytes than the cap, an eighth more
/// than needed; gives the bytes that are left.
pub(super) fn sweep(folder: &Path, cap: u64) -> io::Result<u64> {
    let mut all = entries(folder)?;
    let mut left: u64 = all.iter().map(|e| e.bytes).sum();
    if left <= cap {
        return Ok(left);
    }
    all.sort_by_key(|e| e.used);
    for e in all {
        if left <= cap - cap / 8 {
            break;
        }
        remove(&e.path)?;
        left -= e.bytes;
    }
    Ok(left)
}
