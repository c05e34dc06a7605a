//! `tcc cache`, and the options about the compile cache of other commands.

use super::files;
use super::report::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use tcc::{Cache, Compiler};

/// Shows what the compile cache holds, or empties it.
#[derive(clap::Args)]
#[command(after_help = "Environment:\n  \
    TCC_CACHE      the folder, or `off`; without it the user's, for example ~/.cache/tcc\n  \
    TCC_CACHE_MIB  how large it may grow; without it 256")]
pub(crate) struct Args {
    /// The folder; without it that of TCC_CACHE, or the user's.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Removes all entries.
    #[arg(long)]
    clear: bool,
}

/// Whether programs are looked for in the compile cache, and added to it.
#[derive(clap::Args)]
pub(crate) struct CacheArgs {
    /// The folder of the compile cache; without it that of TCC_CACHE, or the user's.
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Compiles anew, and adds nothing to the compile cache.
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl CacheArgs {
    /// The compiler, with the cache that was asked for.
    pub(crate) fn apply(&self, compiler: Compiler) -> Result<Compiler, Failure> {
        if self.no_cache {
            return Ok(compiler);
        }
        Ok(match open(self.cache.as_ref())? {
            Some(cache) => compiler.cache(Arc::new(cache)),
            None => compiler,
        })
    }
}

/// The cache of an option or of the environment; nothing if it is off, or the user has no home.
fn open(folder: Option<&PathBuf>) -> Result<Option<Cache>, Failure> {
    let set = std::env::var_os("TCC_CACHE").filter(|v| !v.is_empty());
    let folder = match (folder, set) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Some(off)) if off == "off" => None,
        (None, Some(folder)) => Some(folder.into()),
        (None, None) => Cache::user_folder(),
    };
    let Some(folder) = folder else { return Ok(None) };
    let cache = Cache::new(folder);
    let Some(cap) = std::env::var_os("TCC_CACHE_MIB").filter(|v| !v.is_empty()) else {
        return Ok(Some(cache));
    };
    let mib = cap.to_str().and_then(|text| text.parse::<u64>().ok());
    let bytes = mib.and_then(|mib| mib.checked_mul(1 << 20)).ok_or_else(|| {
        let found = cap.to_string_lossy();
        Failure::usage(format!("TCC_CACHE_MIB is `{found}`: expected a number of MiB"))
            .help("unset it, or write for example TCC_CACHE_MIB=64")
    })?;
    Ok(Some(cache.cap(bytes)))
}

pub(crate) fn run(a: &Args) -> Result<(), Failure> {
    let Some(cache) = open(a.cache.as_ref())? else {
        return files::print(b"the compile cache is off\n");
    };
    let folder = cache.folder().display();
    let failed = |e| Failure::file(cache.folder(), "read", &e);
    let line = if a.clear {
        format!("{folder}: {} entries removed\n", cache.clear().map_err(failed)?)
    } else {
        let held = cache.contents().map_err(failed)?;
        format!("{folder}: {} entries, {} bytes\n", held.entries, held.bytes)
    };
    files::print(line.as_bytes())
}
