//! Damaged texts never hurt the compiler: no panic, no abort, no hang, no hunger for memory.
//!
//! Each text is formatted, diagnosed and, if it has no mistakes, lowered. Child processes take
//! batches of texts, so that an abort shows which text it was; that text is saved and named. By
//! default 4,000 texts run. The heavy run is
//!
//! ```text
//! TCC_MUTATIONS=100000 cargo test --release -p tcc-tests --test mutations
//! ```
//!
//! `TCC_MUTATIONS=first..end` runs a range of numbers.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: L3, G4

use libtest_mimic::{Arguments, Failed, Trial};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tcc_tests::mutate::Corpus;
use tcc_tests::survive::{Stage, survive};

/// The environment variable that makes this program a worker on a range of numbers.
const WORKER: &str = "TCC_MUTATIONS_OF_WORKER";
const DEFAULT_COUNT: u64 = 4_000;
const BATCH: u64 = 500;
/// One text may take this long.
const TIME: Duration = Duration::from_secs(2);
/// A worker that is silent for this long is stopped. Other programs may share the machine.
const SILENCE: Duration = Duration::from_secs(30);
/// One text may take this much memory.
const MEMORY: usize = 256 << 20;
/// A worker that asks for more is stopped at once.
const HARD_MEMORY: usize = 1 << 30;
const STACK: usize = 8 << 20;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts what is allocated.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator with the arguments as they came; an
// allocation beyond the limit fails, as an allocation may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if used > HARD_MEMORY {
            return std::ptr::null_mut();
        }
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What became of one text, as a worker tells it: `number stage microseconds bytes message`.
#[derive(Clone, Debug, PartialEq)]
struct Report {
    number: u64,
    stage: Stage,
    time: Duration,
    memory: usize,
    message: String,
}

impl Report {
    fn line(&self) -> String {
        let message = self.message.replace('\n', " ");
        let (stage, micros) = (self.stage as u8, self.time.as_micros());
        format!("{} {stage} {micros} {} {message}", self.number, self.memory)
    }

    fn parse(line: &str) -> Option<Report> {
        let mut parts = line.splitn(5, ' ');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (n, stage, micros, memory) = (number()?, number()?, number()?, number()?);
        Some(Report {
            number: n,
            stage: Stage::ALL.into_iter().find(|s| *s as u64 == stage)?,
            time: Duration::from_micros(micros),
            memory: usize::try_from(memory).ok()?,
            message: parts.next().unwrap_or("").to_owned(),
        })
    }

    fn trouble(&self) -> Option<String> {
        if !self.message.is_empty() {
            return Some(self.message.clone());
        }
        if self.time > TIME {
            return Some(format!("took {:?}", self.time));
        }
        (self.memory > MEMORY).then(|| format!("took {} MiB", self.memory >> 20))
    }
}

/// Time that this thread has computed; wall time where the system does not tell.
fn computed(start: Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Runs texts and tells about each on stdout; a line with the number alone comes before.
fn work(range: Range<u64>) {
    std::panic::set_hook(Box::new(|info| {
        tcc_tests::survive::note_place(info.location());
    }));
    let corpus = Corpus::read().expect("the seeds can be read");
    let start = Instant::now();
    let mut out = std::io::stdout().lock();
    for number in range {
        let mutant = corpus.mutant(number);
        let _ = writeln!(out, "{number}").and_then(|()| out.flush());
        let used = USED.load(Ordering::Relaxed);
        PEAK.store(used, Ordering::Relaxed);
        let before = computed(start);
        let (stage, outcome) = survive(&mutant.text);
        let report = Report {
            number,
            stage,
            time: computed(start).saturating_sub(before),
            memory: PEAK.load(Ordering::Relaxed).saturating_sub(used),
            message: outcome.err().unwrap_or_default(),
        };
        let _ = writeln!(out, "{}", report.line()).and_then(|()| out.flush());
    }
}

fn spawn(range: &Range<u64>) -> std::io::Result<(Child, Receiver<String>)> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .env(WORKER, format!("{}..{}", range.start, range.end))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    Ok((child, receive))
}

/// Runs a batch in child processes: after an abort or a hang the next one takes up behind the
/// culprit.
fn run_batch(mut range: Range<u64>, reports: &Mutex<Vec<Report>>) -> std::io::Result<()> {
    while !range.is_empty() {
        let (mut child, lines) = spawn(&range)?;
        let begun = Instant::now();
        let mut last = None;
        let end = loop {
            match lines.recv_timeout(SILENCE) {
                Ok(line) => match (Report::parse(&line), line.parse()) {
                    (Some(report), _) => {
                        range.start = report.number + 1;
                        last = None;
                        reports.lock().expect("no reporter panics").push(report);
                    }
                    (None, Ok(number)) => last = Some(number),
                    (None, Err(_)) => {}
                },
                Err(RecvTimeoutError::Timeout) => {
                    child.kill()?;
                    break "hangs";
                }
                Err(RecvTimeoutError::Disconnected) => break "aborts",
            }
        };
        child.wait()?;
        if range.is_empty() {
            return Ok(());
        }
        let number = last.unwrap_or(range.start);
        let (time, message) = (begun.elapsed(), end.to_owned());
        let report = Report { number, stage: Stage::Read, time, memory: 0, message };
        reports.lock().expect("no reporter panics").push(report);
        range.start = number + 1;
    }
    Ok(())
}

fn run_all(range: &Range<u64>) -> std::io::Result<Vec<Report>> {
    let reports = Mutex::new(Vec::new());
    let next = AtomicU64::new(range.start);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        let work = || -> std::io::Result<()> {
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= range.end {
                    return Ok(());
                }
                run_batch(first..range.end.min(first + BATCH), &reports)?;
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|t| t.join().expect("no worker panics"))
    })?;
    Ok(reports.into_inner().expect("no reporter panics"))
}

/// Saves a text that the compiler did not survive; gives its place.
fn save(corpus: &Corpus, number: u64) -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    std::fs::create_dir_all(&folder)?;
    let mutant = corpus.mutant(number);
    let path = folder.join(format!("{number}.tir"));
    std::fs::write(&path, format!("// {}\n{}", mutant.seed, mutant.text))?;
    Ok(path)
}

fn sweep(range: &Range<u64>) -> Result<(), Failed> {
    let corpus = Corpus::read()?;
    let reports = run_all(range)?;
    let total = range.end.saturating_sub(range.start);
    assert_eq!(reports.len() as u64, total, "every text was run");
    let reached = |s: Stage| reports.iter().filter(|r| r.stage >= s).count() as u64;
    let share = |n: u64| format!("{:.1} %", 100.0 * n as f64 / total as f64);
    let (parsed, checked, lowered) =
        (reached(Stage::Parsed), reached(Stage::Checked), reached(Stage::Lowered));
    let slowest = reports.iter().max_by_key(|r| r.time).ok_or("no text")?;
    let largest = reports.iter().max_by_key(|r| r.memory).ok_or("no text")?;
    println!(
        "{total} texts of {} seeds: {} parse, {} pass the check, {} are lowered",
        corpus.seeds().len(),
        share(parsed),
        share(checked),
        share(lowered)
    );
    println!(
        "slowest: {:?} (text {}); most memory: {:.1} MiB (text {})",
        slowest.time,
        slowest.number,
        largest.memory as f64 / f64::from(1 << 20),
        largest.number
    );
    let mut troubles = Vec::new();
    for r in &reports {
        if let Some(trouble) = r.trouble() {
            let path = save(&corpus, r.number)?;
            troubles.push(format!("text {}: {trouble}\n    {}", r.number, path.display()));
        }
    }
    if !troubles.is_empty() {
        return Err(troubles.join("\n").into());
    }
    if total >= 1_000 && (3 * parsed < total || 10 * checked < total) {
        return Err("too few texts come far enough to be worth the run".into());
    }
    Ok(())
}

fn parse_range(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((a, b)) => Some(a.parse().ok()?..b.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn main() -> ExitCode {
    let of = |name: &str| std::env::var(name).ok().and_then(|v| parse_range(&v));
    if let Some(range) = of(WORKER) {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(|| work(range));
        return match thread.map(std::thread::JoinHandle::join) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let range = of("TCC_MUTATIONS").unwrap_or(0..DEFAULT_COUNT);
    let trial = Trial::test("damaged_texts_are_survived", move || sweep(&range));
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}
