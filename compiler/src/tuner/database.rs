//! The tuning database: choices that made kernels faster, by kernel and target.
//!
//! A text file to which records are appended, a line each: a checksum and a JSON object. A writer
//! holds the file's lock and syncs, so that lines of several processes do not mix. A line that a
//! killed writer left unfinished, or that was damaged, has another checksum and is skipped. Of
//! several records for a kernel the one with the largest gain counts.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tcc_ir::kernel::{Kernel, print_kernel};
use tcc_ir::target::Target;

/// Bytes of the hexadecimal checksum of a line.
const SUM: usize = 16;
/// A file larger than this is no database.
const LARGEST: u64 = 64 << 20;

/// What was found for a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningRecord {
    /// The hash of the kernel as it is lowered by default, and of the target.
    pub key: String,
    /// The target.
    pub target: String,
    /// The kernel's name where it was tuned.
    pub kernel: String,
    /// What the lowering of each definition is told, for example `rows=8`.
    pub knobs: IndexMap<String, String>,
    /// The directives for its loops, as the text of a schedule; empty if there are none.
    pub schedule: String,
    /// Nanoseconds of the program without this record.
    pub before_ns: f64,
    /// Nanoseconds of the program with it.
    pub after_ns: f64,
}

impl TuningRecord {
    /// The time with the record as a share of that without.
    fn share(&self) -> f64 {
        self.after_ns / self.before_ns
    }

    /// What was chosen, in one line.
    pub fn choice(&self) -> String {
        let knobs = self.knobs.iter().map(|(name, knobs)| format!("{name}: {knobs}"));
        let lines = self.schedule.lines().skip(1).map(str::trim).filter(|l| *l != "}");
        knobs.chain(lines.map(str::to_owned)).collect::<Vec<_>>().join("; ")
    }
}

/// The records of a file.
#[derive(Clone, Debug, Default)]
pub struct TuningDatabase {
    path: PathBuf,
    records: IndexMap<String, TuningRecord>,
    skipped: usize,
}

impl TuningDatabase {
    /// Reads a file; one that is not there has no records.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(path: impl Into<PathBuf>) -> io::Result<TuningDatabase> {
        let mut out = TuningDatabase { path: path.into(), ..TuningDatabase::default() };
        let mut bytes = Vec::new();
        match File::open(&out.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(out),
            file => file?.take(LARGEST).read_to_end(&mut bytes)?,
        };
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match record(line) {
                Some(r) => out.insert(r),
                None => out.skipped += 1,
            }
        }
        Ok(out)
    }

    /// The file of this user's records: `tcc/tuning.log` below `$XDG_DATA_HOME` or
    /// `~/.local/share`, or where the system keeps data instead. Nothing if the user has no home.
    pub fn user_file() -> Option<PathBuf> {
        dirs::data_dir().map(|folder| folder.join("tcc").join("tuning.log"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = &TuningRecord> {
        self.records.values()
    }

    /// Lines that are no records: cut off, or damaged.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The record of a kernel as it is lowered by default.
    pub(crate) fn find(&self, kernel: &Kernel, target: &Target) -> Option<&TuningRecord> {
        self.records.get(&TuningDatabase::key(kernel, target))
    }

    /// The key of a kernel, whatever its name, on a target: a hash of its text as it is lowered
    /// without a database.
    pub fn key(kernel: &Kernel, target: &Target) -> String {
        let unnamed = Kernel { name: "kernel".to_owned(), ..kernel.clone() };
        let mut hasher = blake3::Hasher::new();
        hasher.update(target.to_string().as_bytes()).update(b"\n");
        hasher.update(print_kernel(&unnamed).as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Adds a record to the file, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, record: TuningRecord) -> io::Result<()> {
        let mut file = open(&self.path)?;
        file.lock()?;
        // A line that was left unfinished ends here.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let start = if last == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{start}{}\n", line(&record)).as_bytes())?;
        file.sync_data()?;
        self.insert(record);
        Ok(())
    }

    /// Finds out whether records can be added.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn check_writable(&self) -> io::Result<()> {
        open(&self.path).map(drop)
    }

    /// A hash of what the database says about a target: what code depends on.
    pub(crate) fn fingerprint(&self, target: &Target) -> String {
        let target = target.to_string();
        let mut lines: Vec<String> =
            self.records.values().filter(|r| r.target == target).map(line).collect();
        lines.sort();
        blake3::hash(lines.concat().as_bytes()).to_hex().to_string()
    }

    fn insert(&mut self, r: TuningRecord) {
        match self.records.get(&r.key) {
            Some(known) if known.share() <= r.share() => {}
            _ => drop(self.records.insert(r.key.clone(), r)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().read(true).append(true).create(true).open(path)
}

fn checksum(text: &[u8]) -> String {
    blake3::hash(text).to_hex().as_str().chars().take(SUM).collect()
}

fn line(r: &TuningRecord) -> String {
    let text =
        serde_json::to_string(r).unwrap_or_else(|e| unreachable!("a record is plain data: {e}"));
    format!("{} {text}", checksum(text.as_bytes()))
}

fn record(line: &[u8]) -> Option<TuningRecord> {
    let (sum, text) = line.split_at_checked(SUM)?;
    let text = text.strip_prefix(b" ")?;
    if checksum(text).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(text).ok()
}
