//! Every implementation of an intrinsic that this machine can run gives what its declaration
//! means, and transcendental strips the truth of the tables. Those that it cannot run are listed
//! as ignored, with the features that it lacks.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: I3, K5, S1

use fastrand::Rng;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::Expansions;
use tcc_ir::intrinsic::Intrinsic;
use tcc_ir::library;
use tcc_ir::scalar::Func;
use tcc_ir::span::SourceId;
use tcc_ir::target::FEATURES;
use tcc_ir::text::format::format;
use tcc_ir::text::parse;
use tcc_runtime::{Implementation, intrinsics};
use tcc_tests::conformance::{Case, LONG, Layout, admits, all_sizes, element, tiny};
use tcc_tests::expansion_source::{THEMES, without_layout};
use tcc_tests::scalar_tables::{MAX_ULPS, Worst, functions, table};

/// Distance between the `f32` arguments of the sweep: a prime, about 43 000 arguments.
const STRIDE: usize = 99_991;

/// The implementations of a declaration, and those that can run here.
fn implementations(i: &Intrinsic) -> (Vec<Implementation>, Vec<Implementation>) {
    let all: Vec<Implementation> = intrinsics().filter(|x| x.symbol == i.symbol).collect();
    let here = all.iter().filter(|x| x.is_available()).copied().collect();
    (all, here)
}

fn name(by: &Implementation) -> String {
    let features = if by.features.is_empty() { "baseline" } else { &by.features.join("+") };
    format!("{} {features}", by.symbol)
}

/// Checks implementations at all sizes and layouts.
fn conform(i: &Intrinsic, by: &[Implementation]) -> Result<(), Failed> {
    let mut rng = Rng::with_seed(7);
    let mut expansions = Expansions::default();
    let mut cases = 0;
    for sizes in all_sizes(i).iter().filter(|s| admits(i, s)) {
        for layout in Layout::ALL {
            // Results of long sums would all be NaN.
            let special = match sizes.as_slice() {
                [LONG] => 1.0,
                [_] => 0.3,
                _ => 0.02,
            };
            let case = Case::new(i, sizes, layout, &mut |d| element(&mut rng, d, special));
            let want = case.meaning(i, &mut expansions);
            by.iter().try_for_each(|by| {
                case.check(i, by, &want).map_err(|e| format!("{}: {e}", name(by)))
            })?;
            cases += 1;
        }
    }
    assert!(cases > 50, "only {cases} cases");
    Ok(())
}

/// Sums of pairs of products about the smallest normal number.
fn flush(i: &Intrinsic, by: &[Implementation]) -> Result<(), Failed> {
    let mut rng = Rng::with_seed(8);
    let mut expansions = Expansions::default();
    for _ in 0..200 {
        let case = Case::new(i, &[2, 4, 4], Layout::Dense, &mut |d| tiny(&mut rng, d));
        let want = case.meaning(i, &mut expansions);
        for by in by {
            case.check(i, by, &want).map_err(|e| format!("{}: {e}", name(by)))?;
        }
    }
    Ok(())
}

/// Checks the strip of a function against the tables, and against the meaning along a sweep.
fn truth(i: &Intrinsic, func: Func, dtype: DType, by: &[Implementation]) -> Result<(), Failed> {
    let columns = |points: &[Vec<Scalar>]| -> Vec<Vec<Scalar>> {
        (0..func.arity()).map(|k| points.iter().map(|p| p[k]).collect()).collect()
    };
    let points = table(func, dtype);
    let args: Vec<Vec<Scalar>> = points.iter().map(|p| p.args.clone()).collect();
    let case = Case::strip(i, columns(&args));
    for by in by {
        let mut worst = Worst::default();
        let got = case.run(i, by)?;
        points.iter().zip(&got[0]).for_each(|(p, g)| worst.add(p, *g));
        if worst.ulps > MAX_ULPS {
            return Err(format!("{}: {:?}", name(by), worst.at).into());
        }
    }
    if dtype == DType::F32 && func.arity() == 1 {
        let sweep = (0..=u32::MAX).step_by(STRIDE);
        let args = sweep.map(|bits| vec![Scalar::from_bits(dtype, u128::from(bits))]);
        let case = Case::strip(i, columns(&args.collect::<Vec<_>>()));
        let want = case.meaning(i, &mut Expansions::default());
        for by in by {
            case.check(i, by, &want).map_err(|e| format!("{}: {e}", name(by)))?;
        }
    }
    Ok(())
}

/// Features that a declaration requires are what its implementations use; one without has an
/// implementation for every machine.
fn declared_as_built() -> Result<(), Failed> {
    let declared: Vec<Intrinsic> = library::intrinsics().collect();
    for i in &declared {
        let (all, _) = implementations(i);
        let (_, known, _) = FEATURES.iter().find(|(a, _, _)| *a == std::env::consts::ARCH).unwrap();
        if !i.requires.iter().all(|f| known.contains(&f.as_str())) {
            assert!(all.is_empty(), "`{}` is for another architecture", i.name);
            continue;
        }
        let suffices =
            |x: &Implementation| x.features.iter().all(|f| i.requires.iter().any(|r| r == f));
        assert!(all.iter().any(suffices), "`{}` has no implementation that suffices", i.name);
        assert_eq!(i.symbol, format!("tcc_{}", i.name));
        assert_eq!(library::intrinsic(&i.name).as_ref(), Some(i));
    }
    for x in intrinsics() {
        assert!(declared.iter().any(|i| i.symbol == x.symbol), "`{}` is not declared", x.symbol);
    }
    Ok(())
}

/// The declarations are in the house style, and all of them are read.
fn declared_in_style() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ir-spec/intrinsics");
    let mut count = 0;
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let text = std::fs::read_to_string(&path)?;
        let (file, mistakes) = parse(&text, SourceId::default());
        assert!(!mistakes.has_errors(), "{}: {mistakes:?}", path.display());
        assert!(format(&file, &text) == text, "{}: run `tcc fmt`", path.display());
        count += file.items.len();
    }
    assert_eq!(count, library::intrinsics().count());
    Ok(())
}

/// The expansions of the runtime are made from those of the library.
fn expansions_as_written() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/intrinsics/expansion");
    let bless = std::env::var_os("TCC_BLESS").is_some();
    let mut expansions = Expansions::default();
    let count: usize = THEMES.iter().map(|t| t.functions.len()).sum();
    assert_eq!(count, functions().count());
    for theme in THEMES {
        let path = folder.join(format!("{}.rs", theme.name));
        let want = theme.source(&mut expansions);
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        if without_layout(&have) == without_layout(&want) {
            continue;
        }
        assert!(bless, "{} is not made from the library; see its first lines", path.display());
        std::fs::write(&path, want)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut trials = vec![
        Trial::test("declared as built", declared_as_built),
        Trial::test("declared in style", declared_in_style),
        Trial::test("expansions as written", expansions_as_written),
    ];
    let (mut run, mut declared, mut missing) = (0, 0, Vec::new());
    for i in library::intrinsics().map(Arc::new) {
        let (all, here) = implementations(&i);
        declared += 1;
        run += here.len();
        for by in all.iter().filter(|x| !x.is_available()) {
            missing.push(name(by));
            trials.push(Trial::test(name(by), || Ok(())).with_ignored_flag(true));
        }
        if all.is_empty() {
            let name = format!("{} {}", i.symbol, i.requires.join("+"));
            missing.push(name.clone());
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
        }
        if here.is_empty() {
            continue;
        }
        let (meaning, by) = (i.clone(), here.clone());
        trials.push(Trial::test(format!("{} conforms", i.name), move || conform(&meaning, &by)));
        if i.name.starts_with("gemm_bf16pairs") {
            let (meaning, by) = (i.clone(), here.clone());
            let name = format!("{} flushes", i.name);
            trials.push(Trial::test(name, move || flush(&meaning, &by)));
        }
        let function = functions().flat_map(|f| [(f, DType::F32), (f, DType::F64)]);
        if let Some((func, dtype)) = { function }.find(|(f, d)| format!("{f}_{d}") == i.name) {
            let name = format!("{} is true", i.name);
            trials.push(Trial::test(name, move || truth(&i, func, dtype, &here)));
        }
    }
    let outcome = libtest_mimic::run(&Arguments::from_args(), trials);
    println!("{declared} intrinsics: {run} implementations run, not here: {}", missing.join(", "));
    outcome.exit_code()
}
