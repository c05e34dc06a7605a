//! The compile cache: hits, keys, damage, the cap, writers beside each other.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tcc::{Cache, CacheUse, CallOptions, Compiler, Executable, Stage, Tensor, TensorView};
use tcc_ir::diag::render_plain;
use tempfile::TempDir;

const PROGRAMS: &[&str] = &[
    "fn matmul(A: f32[M,K], B: f32[K,M]) -> (C: f32[M,M]) { C[m,n] = A[m,k] * B[k,n] }",
    "fn attend(A: f32[M,K], B: f32[K,M]) -> (C: f32[M,M]) {
         P[m,n] = softmax[n](A[m,k] * B[k,n])
         C[m,n] = P[m,j] * P[j,n]
     }",
    "fn waves(A: f32[M,K], B: f32[K,M]) -> (C: f32[M,K]) { C[m,k] = sin(A[m,k]) + exp(B[k,m]) }",
    "fn chain(A: f32[M,K], B: f32[K,M]) -> (H: f32[K,M]) {
         H[0,m] = A[m,0]
         H[k+1,m] = 0.5 * H[k,m] + B[k+1,m]
     }",
    "fn pick(A: f32[M,K], B: f32[K,M]) -> (C: f32[M,K]) { C[m,k] = A[cast(i64, 9 * B[k,m]),k] }",
];

/// Another program for each number.
fn numbered(k: usize) -> String {
    format!("fn add(A: f32[N]) -> (B: f32[N]) {{ B[i] = A[i] + {k} }}")
}

fn sandbox(cap: u64) -> (TempDir, Arc<Cache>) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("cache")).cap(cap);
    (folder, Arc::new(cache))
}

fn entries(cache: &Cache) -> Vec<PathBuf> {
    let all = std::fs::read_dir(cache.folder()).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == "tce")).collect();
    all.sort();
    all
}

/// The bytes of the results, or the error.
fn call(f: &Executable) -> Result<Vec<Vec<u8>>, String> {
    let values: Vec<f32> = (0..15).map(|k| k as f32 / 7.0 - 1.0).collect();
    let inputs = [
        Tensor::from_slice(&values, &[3, 5]).unwrap(),
        Tensor::from_slice(&values, &[5, 3]).unwrap(),
    ];
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let results = f.run_with(&views, &CallOptions::default()).map_err(|e| e.to_string())?;
    Ok(results.iter().map(|t| t.as_bytes().to_vec()).collect())
}

fn twice(cache: &Arc<Cache>, text: &str) -> (Executable, Executable) {
    let compiler = Compiler::host().cache(cache.clone());
    (compiler.compile(text).unwrap(), compiler.compile(text).unwrap())
}

#[test]
fn a_hit_gives_the_same_bits_errors_and_texts() {
    let (_folder, cache) = sandbox(1 << 30);
    for text in PROGRAMS {
        let plain = tcc::compile(text).unwrap();
        let (added, found) = twice(&cache, text);
        let uses = [plain.cache_use(), added.cache_use(), found.cache_use()];
        assert_eq!(uses, [&CacheUse::Off, &CacheUse::Added, &CacheUse::Found], "{text}");
        assert_eq!(call(&added), call(&plain), "{text}");
        assert_eq!(call(&found), call(&plain), "{text}");
        assert_eq!(found.inputs(), plain.inputs());
        for (_, stage) in Stage::ALL {
            assert_eq!(found.text(stage).unwrap(), plain.text(stage).unwrap(), "{text}");
        }
        let sizes = [("M", 3), ("K", 5)];
        assert_eq!(found.cost(&sizes).unwrap(), plain.cost(&sizes).unwrap());
        let image = Compiler::host().cache(cache.clone()).compile_image(text).unwrap();
        assert_eq!(image.cache, CacheUse::Found);
        assert_eq!(image.image, plain.compilation().image().unwrap());
    }
    assert_eq!(entries(&cache).len(), PROGRAMS.len());
    assert!(call(&tcc::compile(PROGRAMS[4]).unwrap()).is_err(), "one program fails at the call");
}

#[test]
fn keys_are_of_programs_targets_and_passes() {
    let (_folder, cache) = sandbox(1 << 30);
    let text = "fn f(A: f32[N]) -> (B: f32[N]) { B[i] = A[i] + 1 }
                fn g(A: f32[N]) -> (B: f32[N]) { B[i] = A[i] + 2 }";
    let compiler = Compiler::host().cache(cache.clone());
    let used = |c: &Compiler, text: &str| c.compile_image(text).unwrap().cache;
    assert_eq!(used(&compiler, text), CacheUse::Added);
    let other = text.replace("A[i] + 2", "A[i] + 3");
    assert_eq!(used(&compiler, &other), CacheUse::Added);
    assert_eq!(used(&compiler.clone().function("f"), text), CacheUse::Added);
    let baseline = Compiler::new("x86_64-v2".parse().unwrap()).cache(cache.clone());
    let v3 = Compiler::new("x86_64-v3".parse().unwrap()).cache(cache.clone());
    assert_eq!(used(&baseline, text), CacheUse::Added);
    assert_eq!(used(&v3, text), CacheUse::Added);
    let passes = compiler.clone().passes("inline_calls,lower").unwrap();
    assert_eq!(used(&passes, text), CacheUse::Added);
    // Layout, comments, names of files and functions that nothing calls do not count.
    let same = text.lines().last().unwrap().replace("{ B[i]", "{ // again\n B[ i ]");
    assert_eq!(used(&compiler.source_name("other.tir"), &same), CacheUse::Found);
}

#[test]
fn every_damage_is_found_and_mended() {
    let (_folder, cache) = sandbox(1 << 30);
    let text = numbered(1);
    let compiler = Compiler::host().cache(cache.clone());
    let image = compiler.compile_image(&text).unwrap().image;
    let [path] = entries(&cache).try_into().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut bad: Vec<Vec<u8>> = Vec::new();
    // All bytes of the header, many of the image.
    for at in (0..whole.len()).filter(|at| *at < 140 || at % 13 == 0) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        bad.push(bytes);
    }
    bad.extend((0..whole.len()).filter(|n| *n < 140 || n % 13 == 0).map(|n| whole[..n].to_vec()));
    bad.push([&whole[..], b"\0"].concat());
    let other = compiler.compile_image(&numbered(2)).unwrap().cache;
    assert_eq!(other, CacheUse::Added);
    // A good entry, but of another program.
    let another = entries(&cache).into_iter().find(|p| *p != path).unwrap();
    bad.push(std::fs::read(another).unwrap());
    for bytes in &bad {
        std::fs::write(&path, bytes).unwrap();
        let made = compiler.compile_image(&text).unwrap();
        assert_eq!((made.cache, &made.image), (CacheUse::Added, &image));
        assert!(std::fs::read(&path).unwrap() == whole, "the entry is whole again");
    }
    println!("{} damaged entries found", bad.len());
}

#[test]
fn the_cap_holds_and_the_least_recently_used_goes() {
    let (_folder, cache) = sandbox(1 << 30);
    let size = {
        twice(&cache, &numbered(0));
        cache.contents().unwrap().bytes
    };
    let cap = 10 * size;
    let cache = Arc::new(Cache::new(cache.folder()).cap(cap));
    let compiler = Compiler::host().cache(cache.clone());
    let used = |k: usize| compiler.compile(&numbered(k)).unwrap().cache_use().clone();
    for k in 1..9 {
        assert_eq!(used(k), CacheUse::Added);
    }
    let long_ago = SystemTime::now() - Duration::from_secs(5000);
    for path in entries(&cache) {
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    assert_eq!(used(0), CacheUse::Found);
    for k in 9..40 {
        assert_eq!(used(k), CacheUse::Added);
        assert!(cache.contents().unwrap().bytes <= cap + cap / 16);
    }
    // A cache that has measured nothing yet measures first.
    let again = Compiler::host().cache(Arc::new(Cache::new(cache.folder()).cap(cap)));
    assert_eq!(*again.compile(&numbered(40)).unwrap().cache_use(), CacheUse::Added);
    assert!(cache.contents().unwrap().bytes <= cap);
    // Of those that were not used the first ones went, 0 stayed until it was the oldest.
    let (_folder, cache) = sandbox(1 << 30);
    let compiler = Compiler::host().cache(cache.clone());
    (0..8).for_each(|k| drop(compiler.compile(&numbered(k)).unwrap()));
    for path in entries(&cache) {
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let kept = compiler.compile(&numbered(5)).unwrap();
    assert_eq!(*kept.cache_use(), CacheUse::Found);
    let small = Compiler::host().cache(Arc::new(Cache::new(cache.folder()).cap(4 * size)));
    drop(small.compile(&numbered(8)).unwrap());
    assert_eq!(*small.compile(&numbered(5)).unwrap().cache_use(), CacheUse::Found);
    assert!(cache.contents().unwrap().entries <= 4);
    // What is larger than the cap is not added.
    let tiny = Compiler::host().cache(Arc::new(Cache::new(cache.folder()).cap(size / 2)));
    let made = tiny.compile(&numbered(50)).unwrap();
    assert!(matches!(made.cache_use(), CacheUse::NotAdded(why) if why.contains("the cap")));
}

#[test]
fn partial_files_of_killed_processes_go_when_they_are_stale() {
    let (_folder, cache) = sandbox(1 << 30);
    twice(&cache, &numbered(0));
    let (stale, fresh) =
        (cache.folder().join(".partial-aaaaaa"), cache.folder().join(".partial-bbbbbb"));
    let foreign = cache.folder().join("notes.txt");
    for path in [&stale, &fresh, &foreign] {
        std::fs::write(path, "x").unwrap();
    }
    let hours_ago = SystemTime::now() - Duration::from_secs(7200);
    for path in [&stale, &foreign] {
        File::options().write(true).open(path).unwrap().set_modified(hours_ago).unwrap();
    }
    let again = Arc::new(Cache::new(cache.folder()));
    twice(&again, &numbered(1));
    assert!(!stale.exists() && fresh.exists() && foreign.exists());
    assert_eq!(again.clear().unwrap(), 2);
    assert!(foreign.exists() && entries(&again).is_empty());
}

#[test]
fn writers_beside_each_other_do_no_harm() {
    let (_folder, cache) = sandbox(1 << 30);
    let want = call(&tcc::compile(PROGRAMS[0]).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (cache, want) = (Cache::new(cache.folder()).cap(40_000), &want);
            let compiler = Compiler::host().cache(Arc::new(cache));
            scope.spawn(move || {
                for k in 0..12 {
                    assert_eq!(&call(&compiler.compile(PROGRAMS[0]).unwrap()), want);
                    compiler.compile(&numbered((thread * 5 + k) % 30)).unwrap();
                }
            });
        }
    });
    let compiler = Compiler::host().cache(cache.clone());
    for path in entries(&cache) {
        assert!(std::fs::metadata(path).unwrap().len() > 0);
    }
    let before = cache.contents().unwrap().entries;
    let found = (0..30)
        .filter(|k| *compiler.compile(&numbered(*k)).unwrap().cache_use() == CacheUse::Found);
    let matmul = *compiler.compile(PROGRAMS[0]).unwrap().cache_use() == CacheUse::Found;
    assert_eq!(found.count() + usize::from(matmul), before, "every entry is whole");
}

/// Compiles in spite of a cache that cannot be used; gives the reason.
fn not_added(folder: &Path) -> String {
    let compiler = Compiler::host().cache(Arc::new(Cache::new(folder)));
    let made = [compiler.compile(PROGRAMS[0]).unwrap(), compiler.compile(PROGRAMS[0]).unwrap()];
    let want = call(&tcc::compile(PROGRAMS[0]).unwrap());
    assert!(made.iter().all(|f| call(f) == want));
    let CacheUse::NotAdded(why) = made[1].cache_use() else { panic!("{:?}", made[1].cache_use()) };
    why.clone()
}

#[test]
fn a_folder_that_cannot_be_used_fails_no_compilation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(not_added(&file.join("below")).contains("below"));
    assert!(not_added(&file).contains("file"));
    let made = Cache::new(file.join("below"));
    assert!(made.contents().is_err() || made.contents().unwrap().entries == 0);
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_may_write_to_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, cache) = sandbox(1 << 30);
    twice(&cache, PROGRAMS[0]);
    let mode = std::fs::metadata(cache.folder()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for bad in [0o720, 0o702] {
        std::fs::set_permissions(cache.folder(), PermissionsExt::from_mode(bad)).unwrap();
        assert!(not_added(cache.folder()).contains("others may write"));
    }
}

#[test]
fn warnings_are_told_of_programs_that_were_found() {
    let (_folder, cache) = sandbox(1 << 30);
    let compiler = Compiler::host().cache(cache.clone());
    // No input shows the size of the result, of which the checker warns.
    let text = "fn f(A: f32[N]) -> (B: f32[N,M]) { B[i,j] = A[i] @bcast }";
    let told = |f: &Executable| render_plain(f.warnings(), f.sources());
    let want = told(&Compiler::host().compile(text).unwrap());
    assert!(want.contains("W-FREE-SIZE"), "{want}");
    for expected in [CacheUse::Added, CacheUse::Found] {
        let again = compiler.compile(text).unwrap();
        assert_eq!((again.cache_use(), told(&again)), (&expected, want.clone()));
        let image = compiler.compile_image(text).unwrap();
        assert_eq!(render_plain(&image.warnings, &image.sources), want);
    }
    // In another layout the warning stands elsewhere.
    let moved = text.replacen("fn", "\n  fn", 1);
    let want = told(&Compiler::host().compile(&moved).unwrap());
    for _ in 0..2 {
        assert_eq!(told(&compiler.compile(&moved).unwrap()), want);
    }
}
