//! Tuning: the database, what compilers make of its records, the search.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tcc::{
    Cache, CacheUse, CallOptions, Compiler, Executable, Stage, Tensor, TensorView, TuneOptions,
    TuningDatabase, TuningRecord,
};
use tcc_ir::graph::Module;
use tcc_passes::tune::Tuning;
use tcc_passes::tune::search::{Bench, Outcome, Tunable, search};
use tempfile::TempDir;

const MATMUL: &str =
    "fn f(A: f32[48,40], B: f32[40,64]) -> (C: f32[48,64]) { C[i,j] = A[i,k] * B[k,j] }";
const ROWS: &str = "fn g(A: f32[48,40], B: f32[40,64]) -> (C: f32[40]) {
    C[i] = exp(A[0,i]) + B[i,0]
}";

fn record(key: &str, after_ns: f64) -> TuningRecord {
    TuningRecord {
        key: key.to_owned(),
        target: "x86_64-v2".to_owned(),
        kernel: "k".to_owned(),
        knobs: Vec::new(),
        schedule: String::new(),
        before_ns: 100.0,
        after_ns,
    }
}

fn sandbox() -> (TempDir, TuningDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let database = TuningDatabase::read(folder.path().join("below").join("tuning.log")).unwrap();
    (folder, database)
}

fn again(database: &TuningDatabase) -> TuningDatabase {
    TuningDatabase::read(database.path()).unwrap()
}

fn keys(database: &TuningDatabase) -> Vec<(String, f64)> {
    let mut all: Vec<_> = database.records().map(|r| (r.key.clone(), r.after_ns)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn records_are_kept_and_the_largest_gain_counts() {
    let (_folder, mut database) = sandbox();
    assert_eq!(database.records().count(), 0);
    for (key, after) in [("a", 90.0), ("b", 80.0), ("a", 70.0), ("a", 75.0)] {
        database.append(record(key, after)).unwrap();
    }
    let want = vec![("a".to_owned(), 70.0), ("b".to_owned(), 80.0)];
    assert_eq!((keys(&database), keys(&again(&database))), (want.clone(), want));
}

#[test]
fn damaged_and_unfinished_lines_are_skipped() {
    let (_folder, mut database) = sandbox();
    for key in ["a", "b", "c"] {
        database.append(record(key, 90.0)).unwrap();
    }
    let whole = std::fs::read(database.path()).unwrap();
    let lines: Vec<usize> =
        (0..whole.len()).filter(|k| whole[*k] == b'\n').map(|end| end + 1).collect();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 7);
        std::fs::write(database.path(), &bytes).unwrap();
        let damaged = again(&database);
        // A line end that is lost costs two lines; others only their own.
        let lost = if lines.contains(&(at + 1)) { 1..=2 } else { 1..=1 };
        assert!(lost.contains(&(3 - damaged.records().count())), "byte {at}");
        assert!(damaged.records().all(|r| *r == record(&r.key, 90.0)), "byte {at}");
    }
    for length in 0..whole.len() {
        std::fs::write(database.path(), &whole[..length]).unwrap();
        let mut cut = again(&database);
        let before = cut.records().count();
        assert!(before >= lines.iter().filter(|end| **end <= length).count(), "{length}");
        cut.append(record("d", 50.0)).unwrap();
        assert_eq!(keys(&again(&database)).len(), before + 1, "{length}");
    }
}

#[test]
fn writers_beside_each_other_lose_nothing() {
    let (_folder, database) = sandbox();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let mut database = again(&database);
            scope.spawn(move || {
                for k in 0..20 {
                    database.append(record(&format!("{thread}-{k}"), 10.0)).unwrap();
                }
            });
        }
    });
    let all = again(&database);
    assert_eq!((all.records().count(), all.skipped()), (160, 0));
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_search() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file").join("tuning.log");
    let mut database = TuningDatabase::read(&path).unwrap_or_default();
    assert!(database.append(record("a", 1.0)).is_err());
    let e = tune(MATMUL, &mut database, Duration::from_secs(600)).unwrap_err();
    assert!(e.to_string().contains("cannot write the tuning database"), "{e}");
    assert!(e.help().unwrap().contains("--tuning FILE"));
}

fn inputs() -> Vec<Tensor> {
    let values = |n: usize| (0..n).map(|k| (k * 37 % 23) as f32 / 8.0 - 1.0).collect::<Vec<_>>();
    vec![
        Tensor::from_slice(&values(48 * 40), &[48, 40]).unwrap(),
        Tensor::from_slice(&values(40 * 64), &[40, 64]).unwrap(),
    ]
}

fn call(f: &Executable) -> Vec<u8> {
    let inputs = inputs();
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    f.run(&views).unwrap()[0].as_bytes().to_vec()
}

fn tune(
    text: &str,
    database: &mut TuningDatabase,
    budget: Duration,
) -> Result<tcc::TuneReport, tcc::Error> {
    let inputs = inputs();
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let options = TuneOptions {
        inputs: &views,
        call: CallOptions::default(),
        budget,
        seed: 3,
        stop: &AtomicBool::new(false),
        gained: &mut |_| {},
    };
    Compiler::host().tune(text, database, options)
}

/// Knobs for a kernel of a program.
fn knobs(text: &str, kernel: &str, knobs: &str) -> TuningRecord {
    let passes = "inline_calls,lower{strided=true,vectorize=true}";
    let plain = compiler().passes(passes).unwrap().lower(text).unwrap();
    let key = TuningDatabase::knobs_key(&plain.lowered().kernels[kernel], compiler().target());
    let target = compiler().target().to_string();
    TuningRecord { target, knobs: vec![knobs.to_owned()], ..record(&key, 50.0) }
}

/// A schedule for a kernel of a program.
fn schedule(text: &str, kernel: &str, directives: &str) -> TuningRecord {
    let plain = compiler().lower(text).unwrap();
    let key = TuningDatabase::schedule_key(&plain.lowered().kernels[kernel], compiler().target());
    let target = compiler().target().to_string();
    let schedule = format!("schedule other {{\n    {directives}\n}}\n");
    TuningRecord { target, schedule, ..record(&key, 50.0) }
}

/// Lowering has knobs where vectors have masks.
fn compiler() -> Compiler {
    Compiler::new("x86_64-v4".parse().unwrap())
}

#[test]
fn records_decide_how_kernels_are_made() {
    let (_folder, mut database) = sandbox();
    let plain = compiler().lower(MATMUL).unwrap();
    database.append(knobs(MATMUL, "f_C", "rows=5 vectors=2")).unwrap();
    let tuned = compiler().tuning(Arc::new(database.clone()));
    let lowered = tuned.lower(MATMUL).unwrap();
    let text = lowered.text(Stage::Kernel).unwrap();
    assert!(text.contains("f32[5,32] @register"), "{text}");
    assert!(!plain.text(Stage::Kernel).unwrap().contains("f32[5,32] @register"));
    assert!(matches!(lowered.tuned(), [t] if t.kernel == "f_C" && t.refused.is_none()));
    // Programs that hold the same kernel under another name profit, others do not.
    let renamed = tuned.lower(&MATMUL.replace("fn f(", "fn h(").replace('C', "Out")).unwrap();
    assert_eq!(renamed.tuned().len(), 1);
    let other = tuned.lower(&MATMUL.replace("48", "56")).unwrap();
    assert!(other.tuned().is_empty());
    let narrow = Compiler::new("x86_64-v3".parse().unwrap()).tuning(Arc::new(database));
    assert!(narrow.lower(MATMUL).unwrap().tuned().is_empty());
}

#[test]
fn schedules_of_records_are_proved_again() {
    let text = "fn g(A: f32[48,40], B: f32[40,64]) -> (C: f32[40,48]) {
        C[i,j] = exp(A[j,i]) + B[i,0]
    }";
    let plain = compiler().lower(text).unwrap();
    let last = plain.lowered().kernels.keys().last().unwrap().clone();
    let (_folder, mut database) = sandbox();
    let directives =
        [("a, b = split(i_, 8, tail=guard)", None), ("vectorize(no_loop)", Some("no"))];
    for (directive, refused) in directives {
        let mut record = schedule(text, &last, directive);
        record.after_ns = if refused.is_some() { 10.0 } else { 50.0 };
        database.append(record).unwrap();
        let lowered = compiler().tuning(Arc::new(database.clone())).lower(text).unwrap();
        let [t] = lowered.tuned() else { panic!("{:?}", lowered.tuned()) };
        let same = lowered.lowered().kernels == plain.lowered().kernels;
        match refused {
            None => assert!(t.refused.is_none() && !same, "{t:?}"),
            Some(word) => {
                assert!(t.refused.as_ref().is_some_and(|r| r.contains(word)) && same, "{t:?}");
            }
        }
    }
    // Knobs that this version does not have leave the kernel alone.
    database.append(knobs(MATMUL, "f_C", "colour=3")).unwrap();
    let lowered = compiler().tuning(Arc::new(database)).lower(MATMUL).unwrap();
    assert!(lowered.tuned()[0].refused.as_ref().is_some_and(|r| r.contains("colour")));
}

#[test]
fn cached_programs_follow_the_database() {
    let (folder, mut database) = sandbox();
    let cache = Arc::new(Cache::new(folder.path().join("cache")));
    let used = |database: &TuningDatabase| {
        let compiler = compiler().cache(cache.clone()).tuning(Arc::new(database.clone()));
        compiler.compile_image(MATMUL).unwrap()
    };
    assert_eq!(used(&database).cache, CacheUse::Added);
    assert_eq!(used(&database).cache, CacheUse::Found);
    let plain = used(&database).image;
    database.append(knobs(MATMUL, "f_C", "rows=3 vectors=1")).unwrap();
    let tuned = used(&database);
    assert_eq!(tuned.cache, CacheUse::Added);
    assert_ne!(tuned.image.code, plain.code);
    // Records for other targets do not count.
    database.append(record("another", 10.0)).unwrap();
    assert_eq!(used(&database).cache, CacheUse::Found);
}

#[test]
fn a_search_stores_what_later_compilations_use() {
    let want = call(&tcc::compile(MATMUL).unwrap());
    let (_folder, mut database) = sandbox();
    let report = tune(MATMUL, &mut database, Duration::from_millis(1500)).unwrap();
    assert!(report.made > 0 && report.interpreted && report.not_stored.is_none(), "{report:?}");
    let stored = again(&database);
    assert_eq!(keys(&stored), keys(&database));
    let tuned = Compiler::host().tuning(Arc::new(stored)).compile(MATMUL).unwrap();
    assert_eq!(call(&tuned), want);
    let followed = tuned.compilation().tuned();
    assert!(followed.len() <= database.records().count());
    assert_eq!(followed.is_empty(), database.records().count() == 0);
    assert!(followed.iter().all(|t| t.refused.is_none()), "{followed:?}");
    println!("{report:?}");
}

#[test]
fn programs_without_loops_are_not_tuned() {
    let (_folder, mut database) = sandbox();
    let text = "fn f(A: f32[48,40], B: f32[40,64]) -> (C: f32) { C = A[0,0] + B[0,0] }";
    let e = tune(text, &mut database, Duration::from_secs(600)).unwrap_err();
    assert!(e.to_string().contains("`f` has no kernels to tune"), "{e}");
    assert_eq!(e.code(), "E-UNSUPPORTED");
}

/// A search whose programs take as long as `time` says; the answers are not measured.
fn simulated(text: &str, time: impl Fn(&Module) -> Result<f64, String>, turns: usize) -> Outcome {
    let base = compiler().lower(text).unwrap();
    let module = base.lowered().clone();
    let left = RefCell::new(turns);
    let lower = |tuning: &Tuning| {
        let mut module = module.clone();
        match tcc_passes::tune::apply(&mut module, tuning).into_iter().next() {
            None => Ok(module),
            Some((_, reason)) => Err(reason),
        }
    };
    let all = module.kernels.keys().cloned();
    let kernels: Vec<Tunable> =
        all.map(|kernel| Tunable { kernel, ..Tunable::default() }).collect();
    let mut bench = Bench {
        lower: &mut { lower },
        predict: &|m| m.kernels.keys().map(|k| (k.clone(), 1.0)).collect(),
        measure: &mut |m| {
            *left.borrow_mut() -= 1;
            time(m)
        },
        compare: &mut |a, b| Ok((time(a)?, time(b)?)),
        gained: &mut |_, _, (before, after)| assert!(after < before),
        stop: &|| *left.borrow() == 0,
    };
    search(&kernels, 7, &mut bench).unwrap()
}

/// Fewer statements are faster.
fn by_text(m: &Module) -> f64 {
    let kernels = m.kernels.values().map(tcc_ir::kernel::print_kernel);
    1e6 / kernels.map(|t| t.len()).sum::<usize>() as f64
}

#[test]
fn a_search_follows_from_its_seed_and_its_answers() {
    let run = || simulated(ROWS, |m| Ok(by_text(m)), 60);
    let (one, other) = (run(), run());
    assert_eq!(one, other);
    assert!(!one.tuning.schedules.is_empty(), "{one:?}");
    let base = compiler().lower(ROWS).unwrap();
    let mut tuned = base.lowered().clone();
    assert_eq!(tcc_passes::tune::apply(&mut tuned, &one.tuning), []);
    assert!(by_text(&tuned) < by_text(base.lowered()));
}

#[test]
fn candidates_that_fail_never_win() {
    let base = compiler().lower(ROWS).unwrap();
    let untouched = base.lowered().kernels.clone();
    let wrong = |m: &Module| match m.kernels == untouched {
        true => Ok(100.0),
        false => Err("its results differ".to_owned()),
    };
    let outcome = simulated(ROWS, wrong, 40);
    assert_eq!(outcome.tuning, Tuning::default());
    assert_eq!(outcome.refused.get("its results differ"), Some(&outcome.measured));
    // Slower ones do not win, either.
    let slower = |m: &Module| Ok(if m.kernels == untouched { 100.0 } else { 99.0 });
    assert_eq!(simulated(ROWS, slower, 40).tuning, Tuning::default());
}

#[test]
fn kernels_that_differ_in_names_only_are_tuned_together() {
    let text = "fn t(A: f32[64,64], B: f32[64,64]) -> (C: f32[64,64], D: f32[64,64]) {
        C[i,j] = A[i,k] * B[k,j]
        D[m,n] = B[m,l] * A[l,n]
    }";
    let (_folder, mut database) = sandbox();
    database.append(knobs(text, "t_C", "rows=5 vectors=2")).unwrap();
    let lowered = compiler().tuning(Arc::new(database)).lower(text).unwrap();
    assert_eq!(lowered.tuned().len(), 2);
    let plain = compiler().lower(text).unwrap();
    assert_eq!(lowered.lowered().kernels.len(), plain.lowered().kernels.len(), "they are shared");
    assert!(lowered.text(Stage::Kernel).unwrap().contains("f32[5,32] @register"));
}
