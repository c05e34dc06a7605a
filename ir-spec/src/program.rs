//! Programs: what an executable runs, kernels called in order on buffers.

mod print;
mod verify;

pub use print::print_program;
pub use verify::verify;

use crate::graph::{Fact, Size};
use crate::int::{IntExpr, Symbol, SymbolNames, display};
use crate::{SizeId, TensorId};
use cranelift_entity::PrimaryMap;
use std::fmt;
use tcc_abi::DType;

/// A program: its kernels are in the module beside it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its sizes; every kernel it calls has the same ones.
    pub sizes: PrimaryMap<SizeId, Size>,
    /// What must hold at a call.
    pub guards: Vec<Guard>,
    /// Inputs, results and temporaries.
    pub buffers: PrimaryMap<TensorId, ProgramBuffer>,
    /// Inputs in order.
    pub params: Vec<TensorId>,
    /// Results in order.
    pub results: Vec<TensorId>,
    /// Kernel calls in order.
    pub calls: Vec<KernelCall>,
}

/// A condition on the sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The condition.
    pub fact: Fact,
    /// If one of these is 0, the condition is not needed.
    pub unless_empty: Vec<IntExpr>,
    /// What needs it; empty for a declared fact.
    pub origin: String,
}

impl Guard {
    /// The condition as text.
    pub fn text(&self, program: &Program) -> String {
        let names = ProgramNames(program);
        if !self.origin.is_empty() && self.fact.rhs.as_constant() == Some(0) {
            return crate::graph::nonneg_text(&self.fact.lhs, &names);
        }
        let (lhs, rhs) = (display(&self.fact.lhs, &names), display(&self.fact.rhs, &names));
        format!("{lhs} {} {rhs}", self.fact.comparison)
    }
}

/// A buffer of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramBuffer {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<IntExpr>,
    /// What it is to the program.
    pub role: crate::graph::Role,
}

/// A call of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCall {
    /// The kernel's name.
    pub kernel: String,
    /// What its parameters are bound to.
    pub arguments: Vec<TensorId>,
    /// What its results are bound to.
    pub results: Vec<TensorId>,
}

/// Names of a program's sizes.
#[derive(Clone, Copy)]
pub struct ProgramNames<'a>(pub &'a Program);

impl SymbolNames for ProgramNames<'_> {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Size(s) => match self.0.sizes.get(s) {
                Some(size) => f.write_str(&size.name),
                None => write!(f, "{s}"),
            },
            Symbol::Var(v) => write!(f, "{v}"),
        }
    }
}
