//! Generated programs mean the same to the interpreter and to compiled code.
//!
//! `TCC_DIFF_COUNT` is the number of programs, `TCC_DIFF_SEED` the first seed.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;
use tcc_abi::DType;
use tcc_ir::scalar::{Func, Reducer};
use tcc_ir::schedule::Primitive;
use tcc_passes::pipeline::panic_text;
use tcc_tests::differential::{
    Applied, Bug, Tally, Verdict, compare_lowered, edge_runs, judge, random_runs, read, reschedule,
    runs_of, show, shrink,
};
use tcc_tests::generate::{Case, Coverage, Options, case, inputs};

/// Writes a line of the report, also when the test passes.
macro_rules! report {
    ($($part:tt)*) => {
        writeln!(std::io::stdout(), $($part)*).unwrap()
    };
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(default)
}

/// The program of a seed: the generator's, without the groups that the checker rejects.
fn valid_case(seed: u64, options: &Options) -> Option<Case> {
    let whole = case(seed, options);
    if read(&whole.text()).is_ok() {
        return Some(whole);
    }
    let mut part = Case { groups: Vec::new(), results: Vec::new(), ..whole.clone() };
    for g in &whole.groups {
        let before = part.clone();
        part.groups.push(g.clone());
        part.results.extend(g.defines.iter().map(|d| d.name.clone()));
        let mut trial = part.clone();
        trial.drop_unused_params();
        if read(&trial.text()).is_err() {
            part = before;
        }
    }
    part.drop_unused_params();
    (!part.groups.is_empty()).then_some(part)
}

fn report(case: &Case, seed: u64, why: &str) -> String {
    let small = shrink(case, 300, &mut |c| {
        matches!(judge(c, seed, &mut Tally::default()), Verdict::Differ(_))
    });
    let why = match judge(&small, seed, &mut Tally::default()) {
        Verdict::Differ(why) => why,
        _ => why.to_owned(),
    };
    let mut text = format!("seed {seed}: {why}\n{}", small.text());
    for (k, sizes) in small.sizes.iter().enumerate() {
        text += &format!("sizes {sizes:?}\n");
        for (name, t) in inputs(&small, sizes, seed.wrapping_add(k as u64)) {
            text += &format!("  {name} = {}\n", show(&t, 24));
        }
    }
    text
}

#[test]
fn interpreter_and_compiled_code_agree() {
    std::panic::set_hook(Box::new(|_| {}));
    let (count, first) = (setting("TCC_DIFF_COUNT", 5000), setting("TCC_DIFF_SEED", 1));
    let options = Options::all();
    let (mut coverage, mut tally) = (Coverage::default(), Tally::default());
    let (mut refused, mut undecided, mut reordered, mut invalid) = (Vec::new(), 0, 0, 0);
    let mut failures = Vec::new();
    let start = Instant::now();
    for seed in first.. {
        if coverage.equations.len() >= count as usize || failures.len() >= 10 {
            break;
        }
        let Some(case) = valid_case(seed, &options) else {
            invalid += 1;
            continue;
        };
        let text = case.text();
        let Ok(subject) = read(&text) else { continue };
        coverage.add(&text, &subject.module, case.equations());
        match judge(&case, seed, &mut tally) {
            Verdict::Agree => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Reordered => reordered += 1,
            Verdict::Refused(why) => refused.push(why),
            Verdict::Differ(why) => {
                let text = report(&case, seed, &why);
                println!("--- {text}");
                failures.push(text);
            }
        }
    }
    let n = coverage.equations.len();
    report!("{n} programs in {:.0} s, {invalid} seeds without one", start.elapsed().as_secs_f64());
    report!("median of equations: {}", coverage.median_equations());
    report!("undecided {undecided}, reordered {reordered}, refused {}: {refused:?}", refused.len());
    report!("{tally:?}\n{}", coverage.table());
    assert!(failures.is_empty(), "{} programs differ; see above", failures.len());
    assert!(refused.len() * 50 <= n, "{} of {n} programs are refused", refused.len());
    if n >= 5000 {
        assert_covered(&coverage);
    }
}

/// Everything of the language is hit, and what is hard often.
fn assert_covered(coverage: &Coverage) {
    assert!(coverage.median_equations() >= 3);
    for construct in ["gather", "guard", "scatter", "scan", "fix"] {
        let share = coverage.share(construct);
        assert!(share >= 0.05, "only {share:.3} of the programs have a {construct}");
    }
    for construct in Coverage::CONSTRUCTS {
        assert!(coverage.share(construct) > 0.0, "no program has `{construct}`");
    }
    for f in Func::all() {
        assert!(coverage.funcs.contains_key(f.name()), "no program uses `{f}`");
    }
    for r in Reducer::ALL {
        assert!(coverage.reducers.contains_key(r.name()), "no program reduces by `{r}`");
    }
    let compiled = DType::all().filter(|d| !d.is_f8());
    for d in compiled {
        assert!(coverage.dtypes.contains_key(d.name()), "no program has elements of {d}");
    }
}

/// Programs that once were compiled wrongly.
#[test]
fn mended_programs_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/regress");
    let mut failures = Vec::new();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("// test: agree"), "{}", path.display());
        let subject = read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for seed in 0..8 {
            let runs = random_runs(subject.function(), seed, 4);
            let compilation = subject.lower().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let tally = &mut Tally::default();
            let verdict = compare_lowered(&subject, compilation, &runs, seed, tally);
            if let Verdict::Differ(why) | Verdict::Refused(why) = verdict {
                failures.push(format!("{}: {why}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The golden programs at sizes that their facts allow, each 0 and 1 among them.
#[test]
fn golden_programs_agree_at_other_sizes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tir");
    let (mut calls, mut failures, mut tally) = (0, Vec::new(), Tally::default());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "tir") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let subject = read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for seed in 0..3 {
            let runs = edge_runs(subject.function(), seed, 4);
            calls += runs.len();
            let compilation = subject.lower().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let verdict = compare_lowered(&subject, compilation, &runs, seed, &mut tally);
            if let Verdict::Differ(why) | Verdict::Refused(why) = verdict {
                failures.push(format!("{}: {why}", path.display()));
            }
        }
    }
    report!("{calls} calls of golden programs: {tally:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(calls > 300, "only {calls} calls");
}

/// Plants a bug in a program where it fits; true if the comparison notices.
fn notices(bug: Bug, case: &Case, seed: u64) -> Option<bool> {
    let subject = read(&case.text()).ok()?;
    let compilation = subject.lower().ok()?;
    let sites = bug.sites(&compilation.lowered().kernels);
    let mut harmless = None;
    // A few places of each program.
    for k in 0..sites.min(3) {
        let site = (seed as usize + k * 7) % sites;
        let mut runs = false;
        let planted = compilation.clone().map_kernels(|kernels| runs = bug.plant(kernels, site));
        if !runs {
            continue;
        }
        let tally = &mut Tally::default();
        match compare_lowered(&subject, planted, &runs_of(case, seed), seed, tally) {
            Verdict::Differ(_) => return Some(true),
            _ => harmless = Some(false),
        }
    }
    harmless
}

#[test]
fn planted_miscompiles_are_found() {
    let (count, first) = (setting("TCC_DIFF_PLANTED", 1000), setting("TCC_DIFF_SEED", 1));
    let options = Options::all();
    let mut missing: Vec<(Bug, u64)> = Bug::ALL.into_iter().map(|b| (b, 0)).collect();
    for (done, seed) in (first..first + count).enumerate() {
        let Some(case) = valid_case(seed, &options) else { continue };
        missing.retain_mut(|(bug, harmless)| match notices(*bug, &case, seed) {
            Some(true) => {
                report!("{bug:?}: after {} programs, harmless in {harmless}", done + 1);
                false
            }
            Some(false) => {
                *harmless += 1;
                true
            }
            None => true,
        });
        if missing.is_empty() {
            return;
        }
    }
    panic!("not found within {count} programs: {missing:?}");
}

/// Kernels under random schedules mean the same.
#[test]
fn scheduled_kernels_agree() {
    std::panic::set_hook(Box::new(|_| {}));
    let (count, first) = (setting("TCC_DIFF_SCHEDULED", 500), setting("TCC_DIFF_SEED", 1));
    let options = Options::all();
    let mut applied = Applied::new();
    let mut failures = Vec::new();
    for seed in first..first + count {
        let Some(case) = valid_case(seed, &options) else { continue };
        let Ok(subject) = read(&case.text()) else { continue };
        let Ok(compilation) = subject.lower() else { continue };
        let trial = AssertUnwindSafe(|| {
            let mut rng = fastrand::Rng::with_seed(seed);
            let scheduled = compilation.map_kernels(|k| reschedule(k, &mut rng, &mut applied));
            let text = scheduled.text(tcc::Stage::Kernel).unwrap_or_default();
            let runs = runs_of(&case, seed);
            // Multiples of eight are compared with their kernels bit by bit.
            let way = seed.wrapping_mul(8);
            (compare_lowered(&subject, scheduled, &runs, way, &mut Tally::default()), text)
        });
        let why = match catch_unwind(trial) {
            Ok((Verdict::Differ(why) | Verdict::Refused(why), text)) => format!("{why}\n{text}"),
            Ok(_) => continue,
            Err(panic) => panic_text(&*panic),
        };
        failures.push(format!("seed {seed}: {}\n{why}", case.text()));
        println!("--- {}", failures.last().map_or("", String::as_str));
        if failures.len() >= 10 {
            break;
        }
    }
    report!("applied {applied:?}");
    assert!(failures.is_empty(), "{} programs differ; see above", failures.len());
    // Lowered kernels have no `init`, and seldom a producer beside its consumer: the suite of
    // schedules has kernels for these.
    let rare = ["decompose_reduction", "compute_at", "reverse_compute_at", "reverse_inline"];
    let never = Primitive::NAMES.iter().filter(|n| !applied.contains_key(**n) && !rare.contains(n));
    let never: Vec<_> = never.collect();
    report!("never legal: {never:?}");
    assert!(count < 500 || never.is_empty(), "not all were legal once");
}
