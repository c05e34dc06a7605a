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
use tcc_ir::kernel::{Kernel, nameless, print_kernel};
use tcc_ir::target::Target;

/// Bytes of the hexadecimal checksum of a line.
const SUM: usize = 16;
/// A file larger than this is no database.
const LARGEST: u64 = 64 << 20;

/// What was found for a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningRecord {
    /// The hash of the kernel that is changed, and of the target.
    pub key: String,
    /// The target.
    pub target: String,
    /// The kernel's name where it was tuned.
    pub kernel: String,
    /// What the lowering of each definition with knobs is told, in order, for example `rows=8`;
    /// empty if the record is a schedule.
    pub knobs: Vec<String>,
    /// The directives for the kernel's loops, as the text of a schedule; empty if the record is one
    /// of knobs.
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
        let knobs = self.knobs.iter().map(String::as_str).filter(|k| !k.is_empty());
        let lines = self.schedule.lines().skip(1).map(str::trim).filter(|l| *l != "}");
        knobs.chain(lines).collect::<Vec<_>>().join("; ")
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

    /// The record of this key.
    pub(crate) fn find(&self, key: &str) -> Option<&TuningRecord> {
        self.records.get(key)
    }

    /// The key of knobs for a kernel as `lower` makes it without any: the same for kernels that
    /// differ in names only.
    pub fn knobs_key(kernel: &Kernel, target: &Target) -> String {
        let mut kernel = nameless(kernel);
        for (t, b) in kernel.buffers.iter_mut() {
            b.name = t.to_string();
        }
        for (v, name) in kernel.vars.iter_mut() {
            *name = v.to_string();
        }
        hashed("knobs", &kernel, target)
    }

    /// The key of a schedule for a kernel, which names its loops.
    pub fn schedule_key(kernel: &Kernel, target: &Target) -> String {
        hashed("schedule", kernel, target)
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

/// A hash of a kernel's text but for the kernel's name.
fn hashed(what: &str, kernel: &Kernel, target: &Target) -> String {
    let unnamed = Kernel { name: "kernel".to_owned(), ..kernel.clone() };
    let text = format!("{what}\n{target}\n{}", print_kernel(&unnamed));
    blake3::hash(text.as_bytes()).to_hex().to_string()
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
