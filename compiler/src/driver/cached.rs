//! Compiling with the compile cache.

use super::{Compilation, Compiler, reachable};
use crate::cache::{CachedProgram, Key};
use crate::{Cache, CacheUse, Error, Executable};
use std::sync::OnceLock;
use tcc_abi::Image;
use tcc_ir::diag::Diagnostics;
use tcc_ir::graph::Module;
use tcc_ir::span::Sources;
use tcc_ir::text::print_module;

/// The build of tcc, its version and that of its code generators.
const BUILD: &[&str] = &[env!("CARGO_PKG_VERSION"), env!("TCC_BUILD"), cranelift_codegen::VERSION];

/// A text as it was read, before anything is proved of it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    entry: String,
    module: Module,
    warnings: Diagnostics,
    sources: Sources,
}

/// Where an executable comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    made: Made,
    cache: CacheUse,
}

#[derive(Debug)]
enum Made {
    Lowered(Box<Compilation>),
    /// Found in the cache; lowered only if someone asks what it was made of.
    Found(Box<(Compiler, Request)>, OnceLock<Box<Compilation>>),
}

/// An image with what was learnt on the way to it.
#[derive(Clone, Debug)]
pub struct CompiledImage {
    /// The image.
    pub image: Image,
    /// What reading and checking the text warned of.
    pub warnings: Diagnostics,
    /// The texts behind the places of the warnings.
    pub sources: Sources,
    /// What the compile cache did.
    pub cache: CacheUse,
}

impl Origin {
    pub(crate) fn lowered(compilation: Compilation, cache: CacheUse) -> Origin {
        Origin { made: Made::Lowered(Box::new(compilation)), cache }
    }

    pub(crate) fn cache_use(&self) -> &CacheUse {
        &self.cache
    }

    pub(crate) fn compilation(&self) -> &Compilation {
        match &self.made {
            Made::Lowered(compilation) => compilation,
            Made::Found(request, made) => made.get_or_init(|| {
                let (compiler, request) = (&request.0, request.1.clone());
                let lowered = compiler.lower_request(request);
                Box::new(lowered.unwrap_or_else(|e| unreachable!("it was lowered before: {e}")))
            }),
        }
    }

    pub(crate) fn warnings(&self) -> &Diagnostics {
        match &self.made {
            Made::Lowered(compilation) => &compilation.warnings,
            Made::Found(request, _) => &request.1.warnings,
        }
    }

    pub(crate) fn sources(&self) -> &Sources {
        match &self.made {
            Made::Lowered(compilation) => &compilation.sources,
            Made::Found(request, _) => &request.1.sources,
        }
    }
}

impl Compiler {
    pub(super) fn compile_cached(&self, source: &str, cache: &Cache) -> Result<Executable, Error> {
        let mut request = self.request(source)?;
        let key = self.key(&request);
        if let Some(CachedProgram { image, warnings }) = find(cache, (&key, source))
            // An image that this machine cannot load is compiled again, which says why.
            && let Ok(inner) = tcc_runtime::Executable::load(image)
        {
            request.warnings = warnings;
            let made = Made::Found(Box::new((self.clone(), request)), OnceLock::new());
            return Ok(Executable::new(inner, Origin { made, cache: CacheUse::Found }));
        }
        let compilation = self.lower_request(request)?;
        let (inner, image) = compilation.jit_and_image()?;
        let warnings = compilation.warnings.clone();
        let added = add(cache, (&key, source), &CachedProgram { image, warnings });
        Ok(Executable::new(inner, Origin::lowered(compilation, added)))
    }

    /// Compiles a text to an image.
    ///
    /// # Errors
    /// The text has mistakes (all of them are listed), or uses what tcc does not compile.
    pub fn compile_image(&self, source: &str) -> Result<CompiledImage, Error> {
        let request = self.request(source)?;
        let cache = self.cache.as_ref().map(|cache| (cache, self.key(&request)));
        let found = cache.as_ref().and_then(|(cache, key)| find(cache, (key, source)));
        if let Some(CachedProgram { image, warnings }) = found {
            let sources = request.sources;
            return Ok(CompiledImage { image, warnings, sources, cache: CacheUse::Found });
        }
        let compilation = self.lower_request(request)?;
        let image = compilation.image()?;
        let Compilation { warnings, sources, .. } = compilation;
        let program = CachedProgram { image, warnings };
        let cache = match cache {
            Some((cache, key)) => add(cache, (&key, source), &program),
            None => CacheUse::Off,
        };
        let CachedProgram { image, warnings } = program;
        Ok(CompiledImage { image, warnings, sources, cache })
    }

    /// Reads a text.
    pub(super) fn request(&self, source: &str) -> Result<Request, Error> {
        let (module, warnings, sources) = self.parse(source)?;
        match self.entry(&module) {
            Ok(entry) => {
                Ok(Request { module: reachable(module, &entry), entry, warnings, sources })
            }
            Err(d) => Err(Error::source(d.into(), sources)),
        }
    }

    /// As [`Compiler::lower_module`], with the warnings of reading.
    pub(super) fn lower_request(&self, request: Request) -> Result<Compilation, Error> {
        let mut compilation = self.lower_module(request.module, request.sources)?;
        let checked = std::mem::replace(&mut compilation.warnings, request.warnings);
        compilation.warnings.extend(checked);
        Ok(compilation)
    }

    /// Everything that decides about the image. The program is its canonical text, which reads back
    /// as the same program: names of files, comments and layout are not part of it.
    fn key(&self, request: &Request) -> Key {
        let t = &self.target;
        let machine = format!("{t} {} {} {}", target_lexicon::HOST, t.vector_bytes, t.fma);
        let (passes, program) = (self.pipeline.to_string(), print_module(&request.module));
        let features = t.features.join(" ");
        let tuning = self.tuning.as_ref().map_or_else(String::new, |db| db.fingerprint(t));
        let mut parts = BUILD.to_vec();
        parts.extend([machine.as_str(), &features, &passes, &tuning, &request.entry, &program]);
        Key::of(&parts)
    }
}

/// The program of a key. Warnings mark places of a text: a program that has any is found under a
/// key of its text.
fn find(cache: &Cache, (key, source): (&Key, &str)) -> Option<CachedProgram> {
    cache.get(key).or_else(|| cache.get(&key.of_text(source)))
}

fn add(cache: &Cache, (key, source): (&Key, &str), program: &CachedProgram) -> CacheUse {
    let key = if program.warnings.0.is_empty() { *key } else { key.of_text(source) };
    match cache.put(&key, program) {
        Ok(()) => CacheUse::Added,
        Err(e) => CacheUse::NotAdded(format!("`{}`: {e}", cache.folder().display())),
    }
}
