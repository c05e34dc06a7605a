//! From a checked function without calls to a program: kernels, buffers, calls in order.
//!
//! Each node becomes one kernel. Elementwise producers that need no recomputation are inlined into
//! their consumers (`fuse`); everything else is a buffer. A kernel's loops follow one of four
//! templates (`nest`): pointwise, a vector of sums beside each other, one sum in vector lanes,
//! scalar.

mod block;
mod contraction;
mod fixpoint;
mod fuse;
mod group;
mod needed;
mod nest;
mod pack;
mod reduce;
mod scan;
mod tighten;
mod transpose;
mod vector;

use crate::tune::Tuning;
use block::KernelBuilder;
use cranelift_entity::SecondaryMap;
use indexmap::IndexMap;
use tcc_ir::graph::{Checked, Definition, DerivedFact, Fact, Function, Node, Role};
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::Kernel;
use tcc_ir::program::{Guard, KernelCall, Program, ProgramBuffer};
use tcc_ir::scalar::Comparison;
use tcc_ir::target::Target;
use tcc_ir::{TensorId, VarId};
use thiserror::Error;

/// A lowered function.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// What to run.
    pub program: Program,
    /// The kernels that it calls, by name.
    pub kernels: IndexMap<String, Kernel>,
}

/// Why a function cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LowerError {
    /// The module has no such function.
    #[error("no function `{0}`")]
    Unknown(String),
    /// Calls must be inlined first.
    #[error("`{0}` still calls `{1}`")]
    Call(String, String),
}

/// What lowering may assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// Inputs and results may have any strides; otherwise they are row-major without gaps.
    pub strided: bool,
    /// Loops are vectorized where that is legal.
    pub vectorize: bool,
}

/// Lowers one function of a checked module.
pub fn lower(
    checked: &Checked<'_>,
    name: &str,
    target: &Target,
    options: LowerOptions,
    tuning: &Tuning,
) -> Result<Lowered, LowerError> {
    let f = checked.function(name).ok_or_else(|| LowerError::Unknown(name.to_owned()))?;
    let mut cx = LowerCx::new(f, target, options, tuning);
    cx.guards(checked);
    cx.groups = group::groups(&cx);
    cx.buffers();
    for node in &f.nodes {
        match node {
            Node::Define(d) if cx.is_inlined(d.tensor) => {}
            Node::Define(d) if let Some(g) = cx.group_of(d.tensor) => {
                // At its last member, where all that it reads is there.
                if g.members.last() == Some(&d.tensor) {
                    group::lower(&mut cx, &g);
                }
            }
            Node::Define(d) => cx.define(d),
            Node::Scan(s) => cx.scan(s),
            Node::Fix(x) => cx.fix(x),
            Node::Call(c) => return Err(LowerError::Call(name.to_owned(), c.callee.clone())),
        }
    }
    cx.copy_back();
    Ok(Lowered { program: cx.program, kernels: cx.kernels })
}

/// Adds conditions that follow from subscripts to the guards of a program.
pub(crate) fn add_guards(program: &mut Program, facts: &[DerivedFact]) {
    for d in facts {
        let fact = Fact {
            lhs: d.nonneg.clone(),
            comparison: Comparison::Ge,
            rhs: IntExpr::constant(0),
            span: d.span,
        };
        let (unless_empty, origin) = (d.unless_empty.clone(), d.origin.clone());
        let guard = Guard { fact, unless_empty, origin };
        let same = |g: &Guard| g.fact == guard.fact && g.unless_empty == guard.unless_empty;
        if !program.guards.iter().any(same) {
            program.guards.push(guard);
        }
    }
}

/// What lowering a function carries along.
pub(crate) struct LowerCx<'a> {
    pub(crate) f: &'a Function,
    pub(crate) target: &'a Target,
    pub(crate) options: LowerOptions,
    pub(crate) tuning: &'a Tuning,
    /// Producers whose definition is computed where it is read.
    pub(crate) inlined: SecondaryMap<TensorId, bool>,
    /// Scanned tensors that keep only their last slots: axis and number of slots.
    pub(crate) windows: IndexMap<TensorId, (usize, IntExpr)>,
    /// Where each tensor lives.
    pub(crate) homes: SecondaryMap<TensorId, Option<TensorId>>,
    pub(crate) program: Program,
    pub(crate) kernels: IndexMap<String, Kernel>,
    /// `inout` results computed beside their parameter, to be copied back at the end.
    pub(crate) copies: Vec<(TensorId, TensorId)>,
    /// Definitions that become one kernel.
    groups: Vec<group::Group>,
}

impl<'a> LowerCx<'a> {
    fn new(
        f: &'a Function,
        target: &'a Target,
        options: LowerOptions,
        tuning: &'a Tuning,
    ) -> LowerCx<'a> {
        let program =
            Program { name: f.name.clone(), sizes: f.sizes.clone(), ..Program::default() };
        LowerCx {
            f,
            target,
            options,
            tuning,
            inlined: fuse::inlined(f),
            windows: scan::windows(f),
            homes: SecondaryMap::new(),
            program,
            kernels: IndexMap::new(),
            copies: Vec::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn is_inlined(&self, t: TensorId) -> bool {
        self.inlined[t]
    }

    fn group_of(&self, t: TensorId) -> Option<group::Group> {
        self.groups.iter().find(|g| g.members.contains(&t)).cloned()
    }

    fn guards(&mut self, checked: &Checked<'_>) {
        for fact in &self.f.facts {
            let fact = fact.clone();
            let guard = Guard { fact, unless_empty: Vec::new(), origin: String::new() };
            self.program.guards.push(guard);
        }
        add_guards(&mut self.program, checked.derived_facts(&self.f.name));
    }

    /// Parameters, results, and the intermediates that live in memory.
    fn buffers(&mut self) {
        for (t, tensor) in self.f.tensors.iter() {
            if self.inlined[t] || self.groups.iter().any(|g| g.locals.contains(&t)) {
                continue;
            }
            let mut shape = tensor.shape.clone();
            if let Some((axis, slots)) = self.windows.get(&t)
                && let Some(extent) = shape.get_mut(*axis)
            {
                *extent = slots.clone();
            }
            let id = self.program.buffers.push(ProgramBuffer {
                name: tensor.name.clone(),
                dtype: tensor.dtype,
                shape,
                role: tensor.role,
            });
            self.homes[t] = Some(id);
        }
        let home = |t: &TensorId| self.homes[*t];
        self.program.params = self.f.params.iter().filter_map(home).collect();
        self.place_results();
    }

    /// Results get their own buffers; the new value of an `inout` shares its parameter's where each
    /// element is read only where it is written.
    fn place_results(&mut self) {
        for t in &self.f.results {
            let role = self.f.tensors.get(*t).map(|x| x.role);
            let (Some(home), Some(Role::Result(alias))) = (self.homes[*t], role) else { continue };
            match alias.and_then(|old| self.homes[old].map(|h| (old, h))) {
                None => self.program.results.push(home),
                Some((old, old_home)) if fuse::updates_in_place(self.f, *t, old, &self.inlined) => {
                    self.homes[*t] = Some(old_home);
                }
                Some((_, old_home)) => {
                    self.demote(home);
                    self.copies.push((home, old_home));
                }
            }
        }
    }

    /// Makes a buffer a temporary.
    fn demote(&mut self, home: TensorId) {
        if let Some(b) = self.program.buffers.get_mut(home) {
            b.role = Role::Intermediate;
            b.name = format!("{}_new", b.name);
        }
    }

    /// A temporary that no tensor of the function has.
    pub(crate) fn temporary(&mut self, like: ProgramBuffer) -> TensorId {
        let mut name = like.name.clone();
        let mut k = 0;
        while self.program.buffers.values().any(|b| b.name == name)
            || self.f.tensor_by_name(&name).is_some()
        {
            name = format!("{}_{k}", like.name);
            k += 1;
        }
        self.program.buffers.push(ProgramBuffer { name, role: Role::Intermediate, ..like })
    }

    /// One kernel for one definition.
    fn define(&mut self, d: &Definition) {
        let Some(tensor) = self.f.tensors.get(d.tensor) else { return };
        let name = tensor.name.clone();
        let mut b = KernelBuilder::new(self, &name);
        let home = b.written(d.tensor);
        let start = b.start_of(d, home);
        let initial = scan::initial_of(d, start, b.cx.f);
        for e in &d.equations {
            b.equation(e, home, initial, &IndexMap::new());
        }
        b.finish();
    }

    /// Copies `inout` results that were computed beside their parameter.
    fn copy_back(&mut self) {
        for (from, to) in std::mem::take(&mut self.copies) {
            let Some(name) = self.program.buffers.get(to).map(|b| format!("{}_update", b.name))
            else {
                continue;
            };
            let mut b = KernelBuilder::new(self, &name);
            b.copy(from, to);
            b.finish();
        }
    }

    /// Adds a finished kernel and its call.
    pub(crate) fn add_kernel(&mut self, kernel: Kernel, call: KernelCall) {
        self.program.calls.push(call);
        self.kernels.insert(kernel.name.clone(), kernel);
    }
}

/// Values of some equation variables over loop variables: those that the loops around fix.
pub(crate) type Fixed = IndexMap<VarId, IntExpr>;
