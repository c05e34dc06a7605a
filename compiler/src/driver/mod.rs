//! From a source text to code: reading, checking, passes, back end, and the forms that code takes.

mod cached;
mod compilation;
mod link;

pub use cached::CompiledImage;
pub(crate) use cached::Origin;
pub use compilation::{Compilation, Cost, Stage};
pub(crate) use link::tensor_specs;

use crate::backend::Target;
use crate::tuner::{self, TunedKernel, TuningDatabase};
use crate::{Cache, Error, Executable};
use std::sync::Arc;
use tcc_ir::diag::{Code, Diagnostic, Diagnostics};
use tcc_ir::graph::{Checked, DerivedFact, Module, Node, check};
use tcc_ir::span::Sources;
use tcc_ir::text::read_module;
use tcc_passes::pipeline::{self, DEFAULT, Moment, Pipeline};
use tcc_passes::tune::Tuning;

/// Compiles source texts for a target.
///
/// ```
/// let compiler = tcc::Compiler::host();
/// let matmul = compiler.compile(
///     "fn matmul(A: f32[M,K], B: f32[K,N]) -> (C: f32[M,N]) {
///          C[m,n] = A[m,k] * B[k,n]
///      }",
/// )?;
/// assert_eq!(matmul.inputs().len(), 2);
/// # Ok::<(), tcc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    target: Target,
    function: Option<String>,
    source_name: String,
    pipeline: Pipeline,
    verify_each: bool,
    cache: Option<Arc<Cache>>,
    tuning: Option<Arc<TuningDatabase>>,
}

impl Compiler {
    /// A compiler of code for `target`.
    pub fn new(target: Target) -> Compiler {
        let mut pipeline =
            Pipeline::of(DEFAULT).unwrap_or_else(|e| unreachable!("the default passes: {e}"));
        for step in pipeline.0.iter_mut().filter(|step| step.pass.name == "lower") {
            step.settings.0.insert("strided", "true");
        }
        Compiler {
            target,
            function: None,
            source_name: "<text>".to_owned(),
            pipeline,
            verify_each: false,
            cache: None,
            tuning: None,
        }
    }

    /// A compiler of code for this machine, with all of its features that tcc uses.
    pub fn host() -> Compiler {
        let features = tcc_runtime::host_features();
        Compiler::new(Target::with_features(std::env::consts::ARCH, &features))
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Which function of a text to compile; without it the last one.
    #[must_use]
    pub fn function(mut self, name: &str) -> Compiler {
        self.function = Some(name.to_owned());
        self
    }

    /// The name of the text in messages, for example its path.
    #[must_use]
    pub fn source_name(mut self, name: &str) -> Compiler {
        name.clone_into(&mut self.source_name);
        self
    }

    /// The passes to run, as text: `tcc opt --help` lists them. One is `lower`; without
    /// `parallelize` after it calls run on one thread.
    ///
    /// # Errors
    /// The text names an unknown pass or option.
    pub fn passes(mut self, text: &str) -> Result<Compiler, Error> {
        self.pipeline = text.parse()?;
        Ok(self)
    }

    /// Verifies the module after every pass, not only before and after lowering.
    #[must_use]
    pub fn verify_each(mut self, on: bool) -> Compiler {
        self.verify_each = on;
        self
    }

    /// Looks for compiled programs in this cache, and adds those that it compiles. Without it
    /// nothing is read or written: a library does not touch files unasked.
    #[must_use]
    pub fn cache(mut self, cache: Arc<Cache>) -> Compiler {
        self.cache = Some(cache);
        self
    }

    /// Compiles kernels as the records of this database say; without it as passes choose. Code
    /// follows from the text, the target, the passes and the records.
    #[must_use]
    pub fn tuning(mut self, database: Arc<TuningDatabase>) -> Compiler {
        self.tuning = Some(database);
        self
    }

    /// Without a tuning database.
    pub(crate) fn untuned(mut self) -> Compiler {
        self.tuning = None;
        self
    }

    /// Compiles a text into the memory of this process.
    ///
    /// # Errors
    /// The text has mistakes (all of them are listed), or uses what tcc does not compile.
    pub fn compile(&self, source: &str) -> Result<Executable, Error> {
        match &self.cache {
            Some(cache) => self.compile_cached(source, cache),
            None => Executable::from_compilation(self.lower(source)?),
        }
    }

    /// Reads, checks and lowers a text: everything before code is made.
    ///
    /// # Errors
    /// The text has mistakes, or a pass failed.
    pub fn lower(&self, source: &str) -> Result<Compilation, Error> {
        self.lower_request(self.request(source)?)
    }

    fn parse(&self, source: &str) -> Result<(Module, Diagnostics, Sources), Error> {
        let mut sources = Sources::default();
        match read_module(&mut sources, &self.source_name, source) {
            Ok((module, warnings)) => Ok((module, warnings, sources)),
            Err(diagnostics) => Err(Error::source(diagnostics, sources)),
        }
    }

    /// Reads and checks a text; gives what the function to compile needs, and its name.
    pub(crate) fn read(&self, source: &str) -> Result<(Module, String), Error> {
        let (module, _, sources) = self.parse(source)?;
        let entry = match self.entry(&module) {
            Ok(entry) => entry,
            Err(d) => return Err(Error::source(d.into(), sources)),
        };
        let module = reachable(module, &entry);
        match check(&module) {
            Ok(_) => Ok((module, entry)),
            Err(diagnostics) => Err(Error::source(diagnostics, sources)),
        }
    }

    /// Checks and lowers a module that was read or built; `sources` are the texts behind its spans.
    ///
    /// # Errors
    /// The module has mistakes, or a pass failed.
    pub fn lower_module(&self, module: Module, sources: Sources) -> Result<Compilation, Error> {
        let entry = match self.entry(&module) {
            Ok(entry) => entry,
            Err(d) => return Err(Error::source(d.into(), sources)),
        };
        let module = reachable(module, &entry);
        let checked = match check(&module) {
            Ok(checked) => checked,
            Err(diagnostics) => return Err(Error::source(diagnostics, sources)),
        };
        let (lowered, tuned) = self.run_passes(&checked)?;
        let (target, warnings) = (self.target.clone(), checked.warnings);
        Ok(Compilation { target, entry, sources, warnings, source: module, lowered, tuned })
    }

    /// The lowered program, and what the tuning database said about it.
    fn run_passes(&self, checked: &Checked<'_>) -> Result<(Module, Vec<TunedKernel>), Error> {
        // What `lower` made is what the database knows.
        let mut alone = None;
        let run = |tuning: &Tuning, alone: &mut Option<Module>| {
            let (pipeline, each) = (&self.pipeline, self.verify_each);
            let target = (&self.target, tuning);
            let mut keep = |m: Moment<'_>| match m {
                Moment::After(step, _, module) if step.pass.name == "lower" => {
                    *alone = self.tuning.as_ref().map(|_| module.clone());
                }
                Moment::Before(_) | Moment::After(..) => {}
            };
            pipeline::run_tuned(checked, pipeline, target, each, &mut keep).map_err(Error::pass)
        };
        let lowered = run(&Tuning::default(), &mut alone)?;
        let Some(database) = &self.tuning else { return Ok((lowered, Vec::new())) };
        let (mut found, tuning) =
            tuner::knobs(database, alone.as_ref().unwrap_or(&lowered), &self.target);
        let mut lowered = if tuning.knobs.is_empty() { lowered } else { run(&tuning, &mut None)? };
        found.extend(tuner::schedule(database, &mut lowered, &self.target));
        Ok((lowered, found))
    }

    /// What `lower` makes of a program, before other passes.
    pub(crate) fn lowered_alone(&self, graph: &Module) -> Result<Module, Error> {
        let steps = self.pipeline.0.iter().filter(|s| s.pass.name == "lower");
        let lower = Pipeline(steps.cloned().collect());
        let checked = check(graph).map_err(|d| Error::source(d, Sources::default()))?;
        let lowered = pipeline::run(&checked, &lower, &self.target, false, &mut |_| {});
        lowered.map_err(Error::pass)
    }

    /// The program of a compilation before it is lowered, and the passes from there on.
    pub(crate) fn before_lowering(&self, c: &Compilation) -> Result<(Module, Pipeline), Error> {
        let steps = self.pipeline.0.iter();
        let at = steps.clone().position(|s| s.pass.name == "lower").unwrap_or(0);
        let (first, rest) = self.pipeline.0.split_at(at);
        let (first, rest) = (Pipeline(first.to_vec()), Pipeline(rest.to_vec()));
        let checked = match check(&c.source) {
            Ok(checked) => checked,
            Err(diagnostics) => return Err(Error::source(diagnostics, c.sources.clone())),
        };
        let graph = pipeline::run(&checked, &first, &self.target, false, &mut |_| {});
        Ok((graph.map_err(Error::pass)?, rest))
    }

    /// The function to compile.
    fn entry(&self, module: &Module) -> Result<String, Diagnostic> {
        let names = || {
            let names: Vec<String> = module.entries.iter().map(|n| format!("`{n}`")).collect();
            names.join(", ")
        };
        match &self.function {
            Some(name) if module.functions.contains_key(name) => Ok(name.clone()),
            Some(name) => {
                let message = format!("the text has no function `{name}`");
                let d = Diagnostic::plain(Code::Name, message);
                Err(if module.entries.is_empty() {
                    d
                } else {
                    d.help(format!("it has {}", names()))
                })
            }
            None => module.entries.last().cloned().ok_or_else(|| {
                Diagnostic::plain(Code::Name, "the text has no function to compile")
                    .help("write `fn name(A: f32[N]) -> (Y: f32[N]) { ... }`")
            }),
        }
    }
}

/// The functions that `entry` needs, directly or not.
fn reachable(mut module: Module, entry: &str) -> Module {
    let mut needed = vec![entry.to_owned()];
    let mut next = 0;
    while let Some(name) = needed.get(next).cloned() {
        next += 1;
        for node in module.functions.get(&name).map_or(&[][..], |f| &f.nodes) {
            if let Node::Call(c) = node
                && !needed.contains(&c.callee)
            {
                needed.push(c.callee.clone());
            }
        }
    }
    module.functions.retain(|name, _| needed.contains(name));
    module.entries.retain(|name| name == entry);
    if module.entries.is_empty() {
        module.entries.push(entry.to_owned());
    }
    module
}

/// What a text says of itself without being compiled.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// Mistakes and warnings, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The texts behind their places.
    pub sources: Sources,
    /// Conditions that calls must meet beyond the declared ones, for example
    /// "`f` needs N >= 1: `X[N-1]` reads axis 0"; none if there are mistakes.
    pub facts: Vec<String>,
}

/// Reads and checks a text without compiling it.
pub fn diagnose(name: &str, text: &str) -> Diagnosis {
    let mut d = Diagnosis::default();
    let module = match read_module(&mut d.sources, name, text) {
        Err(mistakes) => {
            d.diagnostics = mistakes;
            return d;
        }
        Ok((module, warnings)) => {
            d.diagnostics = warnings;
            module
        }
    };
    match check(&module) {
        Ok(checked) => {
            for (name, f) in &module.functions {
                let facts = checked.derived_facts(name).iter();
                let line = |fact: &DerivedFact| {
                    format!("`{name}` needs {}: {}", fact.text(f), fact.origin)
                };
                d.facts.extend(facts.map(line));
            }
            d.diagnostics.extend(checked.warnings);
        }
        Err(mistakes) => d.diagnostics.extend(mistakes),
    }
    d.diagnostics.sort();
    d
}
