//! Random programs as text, with the inputs to run them on.
//!
//! A [`Case`] is a program in pieces: groups of equations that belong together, each defining
//! tensors from earlier ones. So it can be printed, checked, and made smaller: a group that is
//! removed leaves its tensors behind as inputs. The generator aims at valid programs; the checker
//! has the last word.

mod access;
mod builder;
mod calls;
mod coverage;
mod dim;
mod equations;
mod expr;
mod inputs;
mod pieces;
mod recur;

pub use builder::{Options, case};
pub use coverage::Coverage;
pub use dim::{Dim, Sizes};
pub use inputs::{Kind, inputs, special};

use std::fmt::Write;
use tcc_abi::DType;

/// A tensor's declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<Dim>,
}

/// A parameter of the generated function.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `param`, `inout` or nothing.
    pub modifier: &'static str,
    /// What it declares.
    pub decl: Decl,
    /// Which values it gets.
    pub kind: Kind,
}

/// Equations that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Lines, without indentation.
    pub lines: Vec<String>,
    /// The tensors that they define.
    pub defines: Vec<Decl>,
    /// The `inout` parameter that they update.
    pub updates: Option<String>,
    /// False if the tensors may go without a declaration.
    pub declared: bool,
}

/// A generated program.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Case {
    /// Functions that the program calls.
    pub helpers: Vec<String>,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Names of the results in order.
    pub results: Vec<String>,
    /// Facts about sizes.
    pub facts: Vec<String>,
    /// The body.
    pub groups: Vec<Group>,
    /// Values of the sizes, one set for each run.
    pub sizes: Vec<Sizes>,
}

impl Decl {
    /// `f32[N,M]`
    pub fn type_text(&self) -> String {
        if self.shape.is_empty() {
            return self.dtype.to_string();
        }
        let shape: Vec<String> = self.shape.iter().map(Dim::to_string).collect();
        format!("{}[{}]", self.dtype, shape.join(","))
    }
}

impl Case {
    /// The declaration of a defined tensor.
    pub fn defined(&self, name: &str) -> Option<&Decl> {
        self.groups.iter().flat_map(|g| &g.defines).find(|d| d.name == name)
    }

    /// The program's text; the function is called `main`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for h in &self.helpers {
            let _ = writeln!(out, "{h}");
        }
        let params = self.params.iter().map(|p| {
            let space = if p.modifier.is_empty() { "" } else { " " };
            format!("{}{space}{}: {}", p.modifier, p.decl.name, p.decl.type_text())
        });
        let params: Vec<String> = params.collect();
        let results = self.results.iter().filter_map(|r| self.defined(r));
        let results: Vec<String> =
            results.map(|d| format!("{}: {}", d.name, d.type_text())).collect();
        let facts = if self.facts.is_empty() {
            String::new()
        } else {
            format!(" where {}", self.facts.join(", "))
        };
        let (params, results) = (params.join(", "), results.join(", "));
        let _ = writeln!(out, "fn main({params}) -> ({results}){facts} {{");
        for g in &self.groups {
            for d in g.defines.iter().filter(|d| g.declared && !self.results.contains(&d.name)) {
                let _ = writeln!(out, "    let {}: {}", d.name, d.type_text());
            }
        }
        for line in self.groups.iter().flat_map(|g| &g.lines) {
            let _ = writeln!(out, "    {line}");
        }
        out.push_str("}\n");
        out
    }

    /// The number of equations that the body writes.
    pub fn equations(&self) -> usize {
        let lines = self.groups.iter().flat_map(|g| &g.lines);
        lines.filter(|l| !l.starts_with("fix") && *l != "}").count()
    }

    /// True if a name stands in a text as a word.
    pub fn mentions(text: &str, name: &str) -> bool {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        text.match_indices(name).any(|(at, _)| {
            let before = text.get(..at).and_then(|t| t.chars().next_back());
            let after = text.get(at + name.len()..).and_then(|t| t.chars().next());
            !before.is_some_and(word) && !after.is_some_and(word)
        })
    }

    /// True if every defined tensor is a result or read by another group.
    pub fn is_alive(&self) -> bool {
        self.groups.iter().all(|g| {
            let others = self.groups.iter().filter(|o| *o != g).flat_map(|o| &o.lines);
            let others: Vec<&String> = others.collect();
            let read = |name: &str| others.iter().any(|l| Case::mentions(l, name));
            g.defines.iter().all(|d| self.results.contains(&d.name) || read(&d.name))
        })
    }

    /// Removes parameters that nothing mentions.
    pub fn drop_unused_params(&mut self) {
        let body = self.groups.iter().flat_map(|g| &g.lines).cloned().collect::<Vec<_>>();
        self.params.retain(|p| body.iter().any(|l| Case::mentions(l, &p.decl.name)));
    }
}
