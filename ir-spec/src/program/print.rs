//! Printing programs as text that reads back to the same program.

use super::{Guard, Program, ProgramNames};
use crate::TensorId;
use crate::graph::Role;
use crate::int::{IntExpr, display};
use crate::text::size_list;
use std::fmt::Write;

/// The program as `.tir` text. Declared facts stand in the header, conditions that follow from
/// subscripts below it.
pub fn print_program(program: &Program) -> String {
    let p = Printer { program };
    let declared = program.guards.iter().take_while(|g| is_declared(g)).count();
    let signature = p.signature(declared);
    let sizes = size_list(&program.sizes, &signature);
    let mut out = format!("program {}{sizes}{signature} {{\n", program.name);
    for g in program.guards.iter().skip(declared) {
        let _ = writeln!(out, "    {}", p.requirement(g));
    }
    for (t, _) in program.buffers.iter().filter(|(_, b)| b.role == Role::Intermediate) {
        let _ = writeln!(out, "    buffer {}", p.declaration(t));
    }
    for c in &program.calls {
        let (args, results) = (p.list(&c.arguments), p.list(&c.results));
        let _ = writeln!(out, "    call {}({args}) -> {results}", c.kernel);
    }
    out.push_str("}\n");
    out
}

/// True for what a `where` in the header says.
fn is_declared(g: &Guard) -> bool {
    g.unless_empty.is_empty() && g.origin.is_empty()
}

struct Printer<'a> {
    program: &'a Program,
}

impl Printer<'_> {
    fn int(&self, e: &IntExpr) -> String {
        display(e, &ProgramNames(self.program)).to_string()
    }

    fn name(&self, t: TensorId) -> String {
        self.program.buffers.get(t).map_or_else(|| t.to_string(), |b| b.name.clone())
    }

    fn list(&self, ts: &[TensorId]) -> String {
        ts.iter().map(|t| self.name(*t)).collect::<Vec<_>>().join(", ")
    }

    fn declaration(&self, t: TensorId) -> String {
        let Some(b) = self.program.buffers.get(t) else { return t.to_string() };
        let modifier = match b.role {
            Role::Param => "param ",
            Role::Inout => "inout ",
            Role::Input | Role::Result(_) | Role::Intermediate => "",
        };
        let dims: Vec<String> = b.shape.iter().map(|e| self.int(e).replace(' ', "")).collect();
        let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
        format!("{modifier}{}: {}{dims}", b.name, b.dtype)
    }

    /// Parameters, results and the first `declared` guards.
    fn signature(&self, declared: usize) -> String {
        let p = self.program;
        let list = |ts: &[TensorId]| {
            ts.iter().map(|t| self.declaration(*t)).collect::<Vec<_>>().join(", ")
        };
        let facts: Vec<String> = p.guards.iter().take(declared).map(|g| self.fact(g)).collect();
        let facts = match facts.as_slice() {
            [] => String::new(),
            _ => format!(" where {}", facts.join(", ")),
        };
        format!("({}) -> ({}){facts}", list(&p.params), list(&p.results))
    }

    fn fact(&self, g: &Guard) -> String {
        format!("{} {} {}", self.int(&g.fact.lhs), g.fact.comparison, self.int(&g.fact.rhs))
    }

    fn requirement(&self, g: &Guard) -> String {
        let mut out = format!("require {}", self.fact(g));
        for e in &g.unless_empty {
            let _ = write!(out, " || {} == 0", self.int(e));
        }
        if !g.origin.is_empty() {
            let _ = write!(out, " @origin(\"{}\")", g.origin.replace(['"', '\n'], "'"));
        }
        out
    }
}
