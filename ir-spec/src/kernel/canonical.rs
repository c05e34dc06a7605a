//! The canonical form of kernels and programs: what reading their text gives.
//!
//! Ids are numbered in the order of the text, what nothing declares is dropped, and names differ:
//! those of buffers, loops and lets throughout the kernel, those of a block's or view's variables
//! within it.

use super::{Block, Kernel, Rename, View};
use crate::program::Program;
use crate::{TensorId, VarId};
use cranelift_entity::packed_option::ReservedValue;
use cranelift_entity::{PrimaryMap, SecondaryMap};
use indexmap::IndexSet;

/// The same kernel with ids in the order of its text and names that differ.
pub fn canonical(kernel: &Kernel) -> Kernel {
    rebuild(kernel, Naming::Distinct)
}

/// The same kernel with ids in the order of its text; names stay.
pub fn renumbered(kernel: &Kernel) -> Kernel {
    rebuild(kernel, Naming::Kept)
}

/// The same kernel with ids in the order of its text and without names but for those of sizes:
/// equal for kernels that differ in names only.
pub fn nameless(kernel: &Kernel) -> Kernel {
    Kernel { name: String::new(), ..rebuild(kernel, Naming::None) }
}

/// What becomes of names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Distinct,
    Kept,
    None,
}

fn rebuild(kernel: &Kernel, naming: Naming) -> Kernel {
    let mut names: IndexSet<String> = kernel.sizes.values().map(|s| s.name.clone()).collect();
    names.extend(super::visible_buffers(kernel).map(|t| name_of(kernel, t)));
    let mut c = Canonical {
        old: kernel,
        naming,
        buffers: PrimaryMap::new(),
        vars: PrimaryMap::new(),
        tensors: SecondaryMap::with_default(TensorId::reserved_value()),
        symbols: SecondaryMap::with_default(VarId::reserved_value()),
        names,
        used: IndexSet::new(),
        held: Vec::new(),
    };
    let params = kernel.params.iter().map(|t| c.buffer(*t)).collect();
    let results = kernel.results.iter().map(|t| c.buffer(*t)).collect();
    let body = c.body(&kernel.body);
    Kernel {
        name: kernel.name.clone(),
        sizes: kernel.sizes.clone(),
        facts: kernel.facts.clone(),
        buffers: c.buffers,
        params,
        results,
        vars: c.vars,
        body,
    }
}

/// The same program with buffers in the order of its text.
pub fn canonical_program(program: &Program) -> Program {
    use crate::graph::Role;
    let mut buffers = PrimaryMap::new();
    let mut renamed = SecondaryMap::with_default(TensorId::reserved_value());
    let temporaries =
        program.buffers.iter().filter(|(_, b)| b.role == Role::Intermediate).map(|(t, _)| t);
    for t in program.params.iter().chain(&program.results).copied().chain(temporaries) {
        if let Some(b) = program.buffers.get(t) {
            renamed[t] = buffers.push(b.clone());
        }
    }
    let list = |ts: &[TensorId]| ts.iter().map(|t| renamed[*t]).collect::<Vec<_>>();
    let mut out = Program { buffers, ..program.clone() };
    out.params = list(&program.params);
    out.results = list(&program.results);
    for c in &mut out.calls {
        c.arguments = list(&c.arguments);
        c.results = list(&c.results);
    }
    out
}

fn name_of(kernel: &Kernel, t: TensorId) -> String {
    kernel.buffers.get(t).map_or_else(String::new, |b| b.name.clone())
}

struct Canonical<'a> {
    old: &'a Kernel,
    naming: Naming,
    buffers: PrimaryMap<TensorId, super::Buffer>,
    vars: PrimaryMap<VarId, String>,
    tensors: SecondaryMap<TensorId, TensorId>,
    symbols: SecondaryMap<VarId, VarId>,
    /// Names of sizes and buffers.
    names: IndexSet<String>,
    /// Names given so far, but for those of the variables of blocks and views.
    used: IndexSet<String>,
    /// Names of the variables of the block or view being copied.
    held: Vec<String>,
}

impl Canonical<'_> {
    /// The name, or one derived from it, that no one in `taken` or this kernel has.
    fn named(&self, name: &str, taken: &dyn Fn(&str) -> bool) -> String {
        if self.naming == Naming::None {
            return String::new();
        }
        let name = if name.is_empty() { "x" } else { name };
        let free = |n: &str| !taken(n);
        if self.naming == Naming::Kept || free(name) {
            return name.to_owned();
        }
        let numbered = (1..).map(|k| format!("{name}_{k}"));
        numbered.into_iter().find(|n| free(n)).unwrap_or_default()
    }

    fn buffer(&mut self, t: TensorId) -> TensorId {
        let Some(b) = self.old.buffers.get(t) else { return t };
        let mut b = b.clone();
        let size = |n: &str| self.old.sizes.values().any(|s| s.name == n);
        b.name = self.named(&b.name, &|n| size(n) || self.used.contains(n));
        self.used.insert(b.name.clone());
        self.names.insert(b.name.clone());
        let new = self.buffers.push(b);
        self.tensors[t] = new;
        new
    }
}

impl Rename for Canonical<'_> {
    fn block_name(&mut self, name: &str) -> String {
        if self.naming == Naming::None { String::new() } else { name.to_owned() }
    }

    fn declare_var(&mut self, v: VarId) -> VarId {
        let old = self.old.vars.get(v).map_or("", String::as_str);
        let name = self.named(old, &|n| self.names.contains(n) || self.used.contains(n));
        self.used.insert(name.clone());
        let new = self.vars.push(name);
        self.symbols[v] = new;
        new
    }

    fn declare_buffer(&mut self, t: TensorId) -> TensorId {
        self.buffer(t)
    }

    fn enter_block(&mut self, b: &Block) -> Vec<VarId> {
        let mut own: IndexSet<String> = b.lets.iter().map(|(t, _)| name_of(self.old, *t)).collect();
        let mut vars = Vec::new();
        for (v, _) in &b.iters {
            let old = self.old.vars.get(*v).map_or("", String::as_str);
            let name = self.named(old, &|n| self.names.contains(n) || own.contains(n));
            own.insert(name.clone());
            if self.used.insert(name.clone()) {
                self.held.push(name.clone());
            }
            let new = self.vars.push(name);
            self.symbols[*v] = new;
            vars.push(new);
        }
        vars
    }

    fn declare_let(&mut self, t: TensorId) -> TensorId {
        self.buffer(t)
    }

    fn enter_view(&mut self, v: &View) -> Vec<VarId> {
        let declare = |(v, _): &(VarId, _)| {
            let new = self.declare_var(*v);
            self.held.extend(self.vars.get(new).cloned());
            new
        };
        v.axes.iter().map(declare).collect()
    }

    fn leave(&mut self) {
        for name in self.held.drain(..) {
            self.used.swap_remove(&name);
        }
    }

    fn var(&self, v: VarId) -> VarId {
        self.symbols[v]
    }

    fn tensor(&self, t: TensorId) -> TensorId {
        self.tensors[t]
    }
}
