//! A lowered function and what can be made of it.

use super::link;
use crate::Error;
use crate::backend::cranelift::{self, Listing};
use crate::backend::{ObjectCode, Target};
use crate::jit::JitCode;
use crate::object;
use crate::tuner::TunedKernel;
use indexmap::IndexMap;
use std::fmt;
use std::str::FromStr;
use tcc_abi::Image;
use tcc_ir::SizeId;
use tcc_ir::diag::Diagnostics;
use tcc_ir::graph::{Function, Module};
use tcc_ir::int::Symbol;
use tcc_ir::kernel::{Kernel, Scratch, print_kernel};
use tcc_ir::program::{Program, print_program};
use tcc_ir::span::Sources;
use tcc_ir::text::print_module;
use tcc_passes::cost::{KernelCost, KernelTime, Machine, Setting, program_cost, program_time};
use tcc_passes::memory_plan;
use tcc_runtime::{Layout, RunError};

/// A function as kernels and a program, before code is made for it.
#[derive(Clone, Debug)]
pub struct Compilation {
    pub(crate) target: Target,
    pub(crate) entry: String,
    pub(crate) sources: Sources,
    pub(crate) warnings: Diagnostics,
    pub(crate) source: Module,
    pub(crate) lowered: Module,
    pub(crate) tuned: Vec<TunedKernel>,
}

/// What a call costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Kernel calls in order.
    pub kernels: Vec<KernelCost>,
    /// Bytes of temporaries.
    pub arena: u64,
    /// Bytes of the kernels' local buffers, for each thread.
    pub scratch: u64,
}

impl Cost {
    /// Operations on values: additions, multiplications and so on; a fused multiply-add counts two.
    pub fn flops(&self) -> f64 {
        self.kernels.iter().map(|k| k.flops).sum()
    }

    /// Bytes that the kernels move at least: each of their arguments once.
    pub fn bytes(&self) -> f64 {
        self.kernels.iter().map(|k| k.bytes).sum()
    }
}

/// A level of the text of a compiled function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Core equations, as they were read.
    Graph,
    /// Buffers and kernel calls.
    Program,
    /// Loop nests.
    Kernel,
    /// Cranelift's IR.
    Clif,
    /// Instructions.
    Asm,
}

impl Stage {
    /// All stages with their names.
    pub const ALL: [(&'static str, Stage); 5] = [
        ("graph", Stage::Graph),
        ("program", Stage::Program),
        ("kernel", Stage::Kernel),
        ("clif", Stage::Clif),
        ("asm", Stage::Asm),
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Stage::ALL.iter().find(|(_, s)| s == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Stage, String> {
        let found = Stage::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, stage)| *stage).ok_or_else(|| {
            let names: Vec<&str> = Stage::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is no stage `{text}`; there are: {}", names.join(", "))
        })
    }
}

impl Compilation {
    /// The function's name.
    pub fn name(&self) -> &str {
        &self.entry
    }

    /// Names of the sizes.
    pub fn sizes(&self) -> Vec<&str> {
        self.program().sizes.values().map(|s| s.name.as_str()).collect()
    }

    /// The program and the texts behind the spans of [`Compilation::warnings`].
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What the checker warned of.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The function as read.
    pub(crate) fn function(&self) -> &Function {
        self.source
            .functions
            .get(&self.entry)
            .unwrap_or_else(|| unreachable!("`{}` was found in the text", self.entry))
    }

    /// What to run.
    pub(crate) fn program(&self) -> &Program {
        self.lowered
            .programs
            .get(&self.entry)
            .unwrap_or_else(|| unreachable!("`{}` was lowered", self.entry))
    }

    /// The lowered function: its program and kernels.
    pub fn lowered(&self) -> &Module {
        &self.lowered
    }

    /// The kernels that the tuning database has a record of.
    pub fn tuned(&self) -> &[TunedKernel] {
        &self.tuned
    }

    /// Edits the kernels before code is made of them, for experiments with schedules and for tests
    /// of testing itself. The program that calls them stays, so their signatures must.
    #[must_use]
    pub fn map_kernels(self, edit: impl FnOnce(&mut IndexMap<String, Kernel>)) -> Compilation {
        self.map_lowered(|lowered| edit(&mut lowered.kernels))
    }

    /// Edits the program and its kernels before code is made of them, for kernels written by hand.
    /// The program's inputs and results must stay.
    #[must_use]
    pub fn map_lowered(mut self, edit: impl FnOnce(&mut Module)) -> Compilation {
        edit(&mut self.lowered);
        self
    }

    /// The text of one level.
    ///
    /// # Errors
    /// The back end does not support the target or a construct.
    pub fn text(&self, stage: Stage) -> Result<String, Error> {
        Ok(match stage {
            Stage::Graph => print_module(&self.source),
            Stage::Program => print_program(self.program()),
            Stage::Kernel => {
                let kernels = self.lowered.kernels.values().map(print_kernel);
                kernels.collect::<Vec<_>>().join("\n")
            }
            Stage::Clif => self.code(false, Listing { clif: true, assembly: false })?.listing,
            Stage::Asm => self.code(false, Listing { clif: false, assembly: true })?.listing,
        })
    }

    /// Work and memory of a call at these sizes; every size of the function must be named.
    ///
    /// # Errors
    /// A size has no value, or the sizes are too large to count with.
    pub fn cost(&self, sizes: &[(&str, i64)]) -> Result<Cost, Error> {
        let program = self.program();
        let value = self.size_values(sizes)?;
        let kernels = program_cost(&self.lowered, program, &value);
        let values: Vec<i64> = program.sizes.keys().map(&value).collect();
        let temporaries = memory_plan::temporaries(program, &self.lowered.kernels);
        let buffers = link::buffers(program, &temporaries);
        let arena = Layout::new(&buffers, &values, &|_| true)?.bytes;
        let at = |s: Symbol| match s {
            Symbol::Size(s) => value(s),
            Symbol::Var(_) => 0,
        };
        let mut scratch = 0;
        for k in program.calls.iter().filter_map(|c| self.lowered.kernels.get(&c.kernel)) {
            let bytes = Scratch::of(k).bytes.eval(&at);
            scratch = scratch.max(bytes.map_err(|e| RunError::Limit(e.to_string()))?);
        }
        Ok(Cost { kernels, arena: arena as u64, scratch: scratch.unsigned_abs() })
    }

    /// How long each kernel call takes at these sizes on a machine, as predicted; every size of the
    /// function must be named.
    ///
    /// # Errors
    /// A size has no value, or the back end does not support the target or a construct.
    pub fn predict(
        &self,
        sizes: &[(&str, i64)],
        machine: &Machine,
        threads: usize,
    ) -> Result<Vec<KernelTime>, Error> {
        let value = self.size_values(sizes)?;
        let refused = self.refusals()?;
        let narrow = |name: &str| refused.iter().any(|(n, _)| n == name);
        let vector_bytes = f64::from(self.target.vector_bytes);
        let setting = Setting { machine, threads, vector_bytes, resident: 0.0 };
        Ok(program_time(&self.lowered, self.program(), &value, setting, &narrow))
    }

    /// The value of each size of the program; every one must be named.
    fn size_values<'a>(
        &'a self,
        sizes: &'a [(&str, i64)],
    ) -> Result<impl Fn(SizeId) -> i64 + 'a, Error> {
        let program = self.program();
        for s in program.sizes.values() {
            if !sizes.iter().any(|(name, _)| *name == s.name) {
                return Err(RunError::FreeSize(s.name.clone()).into());
            }
        }
        Ok(move |s: SizeId| {
            let name = program.sizes.get(s).map_or("", |s| s.name.as_str());
            sizes.iter().find(|(n, _)| *n == name).map_or(0, |(_, v)| *v)
        })
    }

    /// Kernels that the vector emitter left to Cranelift, each with the reason; none where the
    /// target has no vectors that it serves.
    ///
    /// # Errors
    /// The back end does not support the target or a construct.
    pub fn refusals(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.code(false, Listing::default())?.refusals)
    }

    fn code(&self, pic: bool, listing: Listing) -> Result<ObjectCode, Error> {
        Ok(cranelift::compile(&self.lowered.kernels, &self.target, pic, listing)?)
    }

    fn link(&self, code: &ObjectCode) -> Image {
        link::image(self.function(), self.program(), &self.lowered.kernels, code, &self.target)
    }

    /// Compiles into the memory of this process.
    pub(crate) fn jit(&self) -> Result<tcc_runtime::Executable, Error> {
        self.place(&self.code(false, Listing::default())?)
    }

    /// As [`Compilation::jit`], with the image of the same code.
    pub(crate) fn jit_and_image(&self) -> Result<(tcc_runtime::Executable, Image), Error> {
        let code = self.code(false, Listing::default())?;
        Ok((self.place(&code)?, self.image_of(&code)))
    }

    fn place(&self, code: &ObjectCode) -> Result<tcc_runtime::Executable, Error> {
        let placed = JitCode::place(code)?;
        Ok(tcc_runtime::Executable::with_code(self.link(code), Box::new(placed))?)
    }

    fn image_of(&self, code: &ObjectCode) -> Image {
        Image { code: link::lay_out(code, &self.target), ..self.link(code) }
    }

    /// The image: a file's content that `tcc run` and `tcc-runtime` load without compiling.
    ///
    /// # Errors
    /// The back end does not support the target or a construct.
    pub fn image(&self) -> Result<Image, Error> {
        Ok(self.image_of(&self.code(false, Listing::default())?))
    }

    /// An object file with one symbol per kernel,
    /// `extern "C" fn(*const tcc_abi::KernelCall) -> i32`.
    ///
    /// # Errors
    /// The back end does not support the target or a construct.
    pub fn object(&self) -> Result<Vec<u8>, Error> {
        let code = self.code(true, Listing::default())?;
        Ok(object::write(&code, &self.target)?)
    }
}
