//! The verifier of programs.
//!
//! Rules (SPEC.md, K): buffer names differ; each call names a kernel with the same sizes and is
//! given buffers of the types that the kernel declares; inputs are not written.

use super::{KernelCall, Program, ProgramNames};
use crate::TensorId;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::graph::Role;
use crate::int::{Facts, display};
use crate::kernel::Kernel;
use indexmap::{IndexMap, IndexSet};

/// Checks a program against the kernels of its module.
pub fn verify(program: &Program, kernels: &IndexMap<String, Kernel>) -> Result<(), Diagnostics> {
    let mut facts = Facts::default();
    for g in program.guards.iter().filter(|g| g.unless_empty.is_empty()) {
        for e in g.fact.comparison.as_nonneg(&g.fact.lhs, &g.fact.rhs) {
            facts.add_nonneg(e);
        }
    }
    let mut v = Verifier { program, facts, diagnostics: Diagnostics::default() };
    v.buffers();
    for call in &program.calls {
        match kernels.get(&call.kernel) {
            Some(kernel) => v.call(call, kernel),
            None => v.error(format!("there is no kernel `{}`", call.kernel)),
        }
    }
    if v.diagnostics.has_errors() { Err(v.diagnostics) } else { Ok(()) }
}

struct Verifier<'a> {
    program: &'a Program,
    facts: Facts,
    diagnostics: Diagnostics,
}

impl Verifier<'_> {
    fn error(&mut self, message: String) {
        let message = format!("program `{}`: {message}", self.program.name);
        self.diagnostics.push(Diagnostic::plain(Code::Kernel, message));
    }

    fn buffers(&mut self) {
        let mut names: IndexSet<&str> = IndexSet::new();
        for b in self.program.buffers.values() {
            if !names.insert(&b.name) {
                self.error(format!("two buffers have the name `{}`", b.name));
            }
            if b.shape.iter().any(|e| e.mentions_vars() || e.is_poisoned()) {
                self.error(format!("the shape of `{}` is not an expression of sizes", b.name));
            }
        }
    }

    fn call(&mut self, call: &KernelCall, kernel: &Kernel) {
        let name = &kernel.name;
        let list = |sizes: Vec<&str>| match sizes.is_empty() {
            true => "no sizes".to_owned(),
            false => sizes.join(", "),
        };
        let theirs: Vec<&str> = kernel.sizes.values().map(|s| s.name.as_str()).collect();
        let ours: Vec<&str> = self.program.sizes.values().map(|s| s.name.as_str()).collect();
        if theirs != ours {
            let (theirs, ours) = (list(theirs), list(ours));
            return self.error(format!(
                "kernel `{name}` has {theirs}, but the program has {ours}; list the sizes in one \
                 order, as in `kernel {name}<{ours}>(...)`"
            ));
        }
        let given = (call.arguments.len(), call.results.len());
        if given != (kernel.params.len(), kernel.results.len()) {
            return self.error(format!(
                "kernel `{name}` has {} parameters and {} results, the call gives {} and {}",
                kernel.params.len(),
                kernel.results.len(),
                given.0,
                given.1
            ));
        }
        for (given, wanted) in call.arguments.iter().chain(&call.results).zip(kernel.arguments()) {
            self.argument(*given, kernel, wanted);
        }
        for t in &call.results {
            let Some(b) = self.program.buffers.get(*t) else { continue };
            if matches!(b.role, Role::Input | Role::Param) {
                self.error(format!("kernel `{name}` writes the input `{}`", b.name));
            }
        }
    }

    fn argument(&mut self, given: TensorId, kernel: &Kernel, wanted: TensorId) {
        let (Some(b), Some(k)) = (self.program.buffers.get(given), kernel.buffers.get(wanted))
        else {
            return self.error(format!("a call of `{}` names no buffer", kernel.name));
        };
        let names = ProgramNames(self.program);
        let same = b.dtype == k.dtype
            && b.shape.len() == k.shape.len()
            && b.shape.iter().zip(&k.shape).all(|(x, y)| self.facts.equal(x, y));
        if !same {
            let ty = |dtype: tcc_abi::DType, shape: &[crate::int::IntExpr]| {
                let dims: Vec<String> =
                    shape.iter().map(|e| display(e, &names).to_string()).collect();
                format!("{dtype}[{}]", dims.join(", "))
            };
            let message = format!(
                "`{}` of type {} is given for `{}` of kernel `{}`, which has type {}",
                b.name,
                ty(b.dtype, &b.shape),
                k.name,
                kernel.name,
                ty(k.dtype, &k.shape)
            );
            self.error(message);
        }
    }
}
