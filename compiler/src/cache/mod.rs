//! The compile cache: compiled programs in a folder, by what they were made from.
//!
//! An entry is a file named by its key, a hash of everything that decides about code: the
//! program's canonical text, the target, the passes, the schedules of the tuning database, the
//! build of tcc. It holds the image and the warnings, so that a hit skips proofs, passes and code
//! generation. Entries are written beside their place, synced and renamed, so that a reader sees a
//! whole entry or none, whoever else writes or is killed. An entry whose checksum is wrong is a
//! miss, and is replaced. The least recently used entries go when the folder outgrows its cap.
//!
//! Entries are trusted like executables, so the folder must be its owner's alone. What fails here
//! never fails a compilation.

mod entry;
mod folder;
mod program;

pub(crate) use entry::Key;
pub(crate) use program::CachedProgram;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The cap where none is given: some thousands of programs.
pub(crate) const CAP: u64 = 256 << 20;
/// How the names of entries end.
const EXTENSION: &str = "tce";
/// How the names of files begin that are being written.
const PARTIAL: &str = ".partial-";

/// A folder of compiled programs, to be shared by any number of compilers and processes.
///
/// ```
/// use std::sync::Arc;
/// use tcc::{Cache, CacheUse, Compiler};
///
/// # let folder = std::env::temp_dir().join(format!("tcc-doc-{}", std::process::id()));
/// let compiler = Compiler::host().cache(Arc::new(Cache::new(&folder)));
/// let text = "fn twice(A: f32[N]) -> (B: f32[N]) { B[i] = 2 * A[i] }";
/// assert_eq!(*compiler.compile(text)?.cache_use(), CacheUse::Added);
/// assert_eq!(*compiler.compile(text)?.cache_use(), CacheUse::Found);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), tcc::Error>(())
/// ```
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    cap: u64,
    /// Bytes that may be added before the folder is measured again.
    room: AtomicU64,
}

/// What the compile cache did for a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// The compiler has no cache.
    Off,
    /// The program was there.
    Found,
    /// The program was compiled, and is there now.
    Added,
    /// The program was compiled, and could not be added for this reason.
    NotAdded(String),
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheContents {
    /// Compiled programs.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Cache {
    /// The cache in a folder, which is made when the first program is added.
    pub fn new(folder: impl Into<PathBuf>) -> Cache {
        Cache { folder: folder.into(), cap: CAP, room: AtomicU64::new(0) }
    }

    /// The folder of this user's programs: `tcc` below `$XDG_CACHE_HOME` or `~/.cache`, or where
    /// the system keeps caches instead. Nothing if the user has no home.
    pub fn user_folder() -> Option<PathBuf> {
        dirs::cache_dir().map(|folder| folder.join("tcc"))
    }

    /// With another cap than 256 MiB: entries of more bytes than this are dropped, the least
    /// recently used ones first.
    #[must_use]
    pub fn cap(self, bytes: u64) -> Cache {
        Cache { cap: bytes, ..self }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it holds at this moment.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn contents(&self) -> io::Result<CacheContents> {
        let all = match folder::entries(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(CacheContents::default()),
            all => all?,
        };
        Ok(CacheContents { entries: all.len(), bytes: all.iter().map(|e| e.bytes).sum() })
    }

    /// Removes every entry, and gives how many there were.
    ///
    /// # Errors
    /// The folder or a file cannot be read or removed.
    pub fn clear(&self) -> io::Result<usize> {
        let all = match folder::entries(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            all => all?,
        };
        all.iter().try_for_each(|e| folder::remove(&e.path))?;
        Ok(all.len())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{key}.{EXTENSION}"))
    }

    /// The program of this key; `None` if it is not there, or not as it was written.
    pub(crate) fn get(&self, key: &Key) -> Option<CachedProgram> {
        folder::check_owner(&self.folder).ok()?;
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        (&file).take(self.cap).read_to_end(&mut bytes).ok()?;
        let program = entry::decode(&bytes, key).and_then(CachedProgram::from_bytes);
        match program {
            // The time of the last use orders the entries when some must go.
            Some(_) => drop(file.set_modified(SystemTime::now())),
            None => drop(folder::remove(&path)),
        }
        program
    }

    /// Adds a program; the error says why it is not there now.
    pub(crate) fn put(&self, key: &Key, program: &CachedProgram) -> io::Result<()> {
        let bytes = entry::encode(key, &program.to_bytes());
        let size = bytes.len() as u64;
        if size > self.cap {
            let message = format!("{size} bytes are more than the cap, {}", self.cap);
            return Err(io::Error::other(message));
        }
        folder::make(&self.folder)?;
        folder::check_owner(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path(key)).map_err(|e| e.error)?;
        self.keep_to_cap(size)
    }

    /// Drops what is too much. The folder is not measured each time, but at least whenever this
    /// process has added a sixteenth of the cap.
    fn keep_to_cap(&self, added: u64) -> io::Result<()> {
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.room.fetch_update(set, fetch, |room| room.checked_sub(added)).is_ok() {
            return Ok(());
        }
        let left = folder::sweep(&self.folder, self.cap)?;
        self.room.store((self.cap - left).min(self.cap / 16), Ordering::Relaxed);
        Ok(())
    }
}
