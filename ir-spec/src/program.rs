//! Programs: what an executable runs, kernels called in order on buffers.

use crate::graph::{Fact, Size};
use crate::int::{IntExpr, Symbol, SymbolNames, display};
use crate::{SizeId, TensorId};
use cranelift_entity::PrimaryMap;
use std::fmt::{self, Write};
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
    /// Byte offset in the arena, for temporaries.
    pub offset: Option<IntExpr>,
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

/// The program as `.tir` text.
pub fn print_program(p: &Program) -> String {
    use crate::graph::Role;
    let names = ProgramNames(p);
    let int = |e: &IntExpr| display(e, &names).to_string();
    let ty = |t: &TensorId| {
        let Some(b) = p.buffers.get(*t) else { return String::new() };
        let dims: Vec<String> = b.shape.iter().map(|e| int(e).replace(' ', "")).collect();
        let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
        format!("{}: {}{dims}", b.name, b.dtype)
    };
    let name = |t: &TensorId| p.buffers.get(*t).map_or(String::new(), |b| b.name.clone());
    let declare = |t: &TensorId| {
        let modifier = match p.buffers.get(*t).map(|b| b.role) {
            Some(Role::Param) => "param ",
            Some(Role::Inout) => "inout ",
            _ => "",
        };
        format!("{modifier}{}", ty(t))
    };
    let list = |ts: &[TensorId]| ts.iter().map(name).collect::<Vec<_>>().join(", ");
    let params: Vec<String> = p.params.iter().map(declare).collect();
    let results: Vec<String> = p.results.iter().map(ty).collect();
    let guards: Vec<String> = p
        .guards
        .iter()
        .map(|g| {
            let fact = format!("{} {} {}", int(&g.fact.lhs), g.fact.comparison, int(&g.fact.rhs));
            g.unless_empty.iter().fold(fact, |text, e| format!("{text} || {} == 0", int(e)))
        })
        .collect();
    let guards =
        if guards.is_empty() { String::new() } else { format!(" where {}", guards.join(", ")) };
    let mut out = format!(
        "program {}({}) -> ({}){guards} {{\n",
        p.name,
        params.join(", "),
        results.join(", ")
    );
    for (t, b) in p.buffers.iter().filter(|(_, b)| b.role == Role::Intermediate) {
        let offset = b.offset.as_ref().map_or(String::new(), |o| format!(" @offset({})", int(o)));
        let _ = writeln!(out, "    buffer {}{offset}", ty(&t));
    }
    for c in &p.calls {
        let (args, results) = (list(&c.arguments), list(&c.results));
        let _ = writeln!(out, "    call {}({args}) -> {results}", c.kernel);
    }
    out.push_str("}\n");
    out
}
