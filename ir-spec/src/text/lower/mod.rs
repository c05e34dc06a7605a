//! From the syntax tree to the IR: names, element types, implicit sums, index domains, sugar.
//!
//! The order for a function: signature, `let`s, then one equation after the other as soon as the
//! tensors it reads have a type. Each equation is resolved to [`hir`], its index domains are found
//! ([`index`]), and [`value`] turns it into core equations. Cycles between the equations become
//! scans and fixpoints at the end ([`crate::graph::cycles`]).

mod application;
mod attributes;
mod block;
mod call;
mod constant;
mod emit;
mod function;
mod hir;
mod index;
mod integer;
mod intrinsic;
mod item;
mod kernel;
mod kernel_index;
mod kernel_value;
mod program;
mod resolve;
mod schedule;
mod signature;
mod statement;
mod sugar;
mod typing;
mod value;

pub(crate) use intrinsic::read_intrinsics;

use super::ast;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::graph::Module;
use crate::intrinsic::Intrinsic;
use crate::span::{Sources, Span};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

/// Marks that a mistake was found and reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// More nodes than this in one function, or functions in one module, are refused.
const MAX_EQUATIONS: usize = 100_000;

/// Reads a program text into a module. Warnings come with the module, mistakes instead of it.
pub fn read_module(
    sources: &mut Sources,
    name: &str,
    text: &str,
) -> Result<(Module, Diagnostics), Diagnostics> {
    let source = sources.add(name, text);
    let (file, diagnostics) = super::parse(text, source);
    let mut cx = ModuleCx { sources: std::mem::take(sources), diagnostics, ..ModuleCx::default() };
    cx.file(&file);
    if cx.diagnostics.has_errors() {
        cx.check_the_rest();
    }
    *sources = cx.sources;
    cx.diagnostics.sort();
    cx.diagnostics.0.truncate(super::MAX_ERRORS);
    if cx.diagnostics.has_errors() { Err(cx.diagnostics) } else { Ok((cx.module, cx.diagnostics)) }
}

/// What lowering a text carries along.
#[derive(Default)]
pub(super) struct ModuleCx {
    sources: Sources,
    diagnostics: Diagnostics,
    module: Module,
    /// Functions that the text declares.
    declared: IndexMap<String, Rc<ast::Function>>,
    /// Functions of the standard library that were asked for.
    library: IndexMap<String, Option<Rc<ast::Function>>>,
    /// Intrinsics of the runtime that were asked for.
    intrinsics: IndexMap<String, Arc<Intrinsic>>,
    /// Names of the kernels that the text declares.
    declared_kernels: Vec<String>,
    /// Semirings that the text declares.
    semirings: IndexMap<String, Span>,
    /// Names of the instances being lowered, innermost last.
    stack: Vec<String>,
    /// Instances that had mistakes.
    failed: Vec<String>,
}

impl ModuleCx {
    /// Finds the mistakes of the functions that could be read beside others that could not.
    fn check_the_rest(&mut self) {
        let functions = std::mem::take(&mut self.module.functions);
        let module = Module { functions, ..Module::default() };
        if let Err(mistakes) = crate::graph::check(&module) {
            self.diagnostics.extend(mistakes);
        }
    }

    fn error(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        Reported
    }

    /// The function of this name: declared by the text or in the standard library.
    fn find_function(&mut self, name: &str) -> Option<Rc<ast::Function>> {
        if let Some(f) = self.declared.get(name) {
            return Some(f.clone());
        }
        if let Some(known) = self.library.get(name) {
            return known.clone();
        }
        let (file, text) = crate::library::find(name)?;
        let source = self.sources.add(file, text);
        let (parsed, mistakes) = super::parse(text, source);
        assert!(!mistakes.has_errors(), "the standard library parses: {file}: {mistakes:?}");
        for item in parsed.items {
            if let ast::Item::Function(f) = item {
                self.library.entry(f.name.text.clone()).or_insert_with(|| Some(Rc::new(f)));
            }
        }
        self.library.get(name).cloned().flatten()
    }

    /// Names of functions that a misspelt one may have meant.
    fn function_names(&self) -> Vec<String> {
        let builtin = crate::scalar::Func::all()
            .filter(|f| f.operator().is_none())
            .map(|f| f.name().to_owned());
        let library = crate::library::names().map(str::to_owned);
        self.declared.keys().cloned().chain(builtin).chain(library).collect()
    }
}

/// The closest of several names, if one is close enough to have been meant.
pub(super) fn closest<'n>(
    name: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    // A name of one letter is close to every other one.
    let length = name.chars().count();
    let limit = (1 + length / 4).min(length.saturating_sub(1));
    candidates
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        .filter(|(d, c)| *d <= limit && *c != name)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// The diagnostic for a name that means nothing here.
pub(super) fn unknown_name<'n>(
    what: &str,
    name: &str,
    span: Span,
    candidates: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let d = Diagnostic::new(Code::Name, span, format!("unknown {what} `{name}`"));
    match closest(name, candidates) {
        Some(c) => d.help(format!("did you mean `{c}`?")),
        None => d,
    }
}
