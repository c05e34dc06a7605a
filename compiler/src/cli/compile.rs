//! `tcc compile`.

use super::cache::CacheArgs;
use super::report::{self, Failure};
use super::run::named;
use super::target::TargetArg;
use super::tune::TuningArgs;
use super::{Form, files};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use tcc::{Compilation, Stage};

/// Compiles a function to an image, an object file, or the text of a stage.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tcc compile model.tir -o model.tcx     an image that `tcc run` loads without compiling\n  \
    tcc compile model.tir --emit kernel    the loop nests\n  \
    tcc compile model.tir --emit graph,program,asm")]
pub(crate) struct Args {
    /// A `.tir` file; `-` is stdin.
    file: PathBuf,
    /// The function to compile; without it the last one of the text.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// The file to write; without it texts go to stdout, and others beside the source.
    #[arg(short, value_name = "FILE")]
    o: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "image")]
    emit: Vec<Emit>,
    #[command(flatten)]
    target: TargetArg,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Forms of a compiled function.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// What `tcc run` and the runtime library load.
    Image,
    /// Core equations.
    Graph,
    /// Buffers and kernel calls.
    Program,
    /// Loop nests.
    Kernel,
    /// Cranelift's IR.
    Clif,
    /// Instructions.
    Asm,
    /// An object file with a symbol for every kernel.
    Obj,
}

impl Emit {
    fn stage(self) -> Option<Stage> {
        Some(match self {
            Emit::Graph => Stage::Graph,
            Emit::Program => Stage::Program,
            Emit::Kernel => Stage::Kernel,
            Emit::Clif => Stage::Clif,
            Emit::Asm => Stage::Asm,
            Emit::Image | Emit::Obj => return None,
        })
    }
}

pub(crate) fn run(a: &Args, form: Form) -> Result<(), Failure> {
    let text = files::read_text(&a.file)?;
    let compiler = named(a.tuning.apply(a.target.compiler()?)?, a.function.as_deref(), &a.file);
    if a.emit == [Emit::Image] {
        let made = a.cache.apply(compiler)?.compile_image(&text)?;
        report::print(&made.warnings, &made.sources, form);
        return files::write(&path(a, &made.image.name, "tcx"), &made.image.to_bytes());
    }
    let lowered = compiler.lower(&text)?;
    report::print(lowered.warnings(), lowered.sources(), form);
    if a.emit.len() > 1 && a.o.is_some() && a.emit.iter().any(|e| e.stage().is_none()) {
        return Err(Failure::usage("`-o` names one file, `--emit` asks for several"));
    }
    let mut texts = String::new();
    for emit in &a.emit {
        match emit.stage() {
            Some(stage) => texts.push_str(&lowered.text(stage)?),
            None => binary(a, *emit, &lowered)?,
        }
    }
    match &a.o {
        _ if texts.is_empty() => Ok(()),
        Some(path) => files::write(path, texts.as_bytes()),
        None => files::print(texts.as_bytes()),
    }
}

fn binary(a: &Args, emit: Emit, lowered: &Compilation) -> Result<(), Failure> {
    let (bytes, extension) = match emit {
        Emit::Obj => (lowered.object()?, "o"),
        _ => (lowered.image()?.to_bytes(), "tcx"),
    };
    files::write(&path(a, lowered.name(), extension), &bytes)
}

/// The file to write: the one that was named, or one beside the source.
fn path(a: &Args, function: &str, extension: &str) -> PathBuf {
    match &a.o {
        Some(path) => path.clone(),
        None if a.file == Path::new("-") => PathBuf::from(function).with_extension(extension),
        None => a.file.with_extension(extension),
    }
}
