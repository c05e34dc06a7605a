//! Top-level items.

use super::function::lower_function;
use super::intrinsic::lower_intrinsic;
use super::kernel::lower_kernel;
use super::program::lower_program;
use super::schedule::lower_schedule;
use super::signature::Instance;
use super::{ModuleCx, Reported};
use crate::diag::{Code, Diagnostic};
use crate::span::Span;
use crate::text::ast::{self, File, Item};
use std::rc::Rc;
use tcc_abi::DType;

impl ModuleCx {
    /// Lowers a file.
    pub(super) fn file(&mut self, file: &File) {
        self.declare_items(file);
        for f in self.declared.values().cloned().collect::<Vec<_>>() {
            if self.instance_of_entry(&f).is_ok() {
                self.module.entries.push(f.name.text.clone());
            }
        }
        self.kernel_level(file);
        for item in &file.items {
            match item {
                Item::Rule(r) => self.unsupported("rewrite rules", r.span),
                Item::Function(_)
                | Item::Kernel(_)
                | Item::Program(_)
                | Item::Schedule(_)
                | Item::Semiring(..)
                | Item::Intrin(_)
                | Item::Error => {}
            }
        }
    }

    /// Intrinsics, kernels, then what refers to them. Mistakes are in the diagnostics.
    fn kernel_level(&mut self, file: &File) {
        for item in &file.items {
            if let Item::Intrin(i) = item {
                let _ = lower_intrinsic(self, i);
            }
        }
        let mut rest = Vec::new();
        for item in &file.items {
            if let Item::Kernel(k) = item {
                self.declared_kernels.extend(k.name.iter().map(|n| n.text.clone()));
                let _ = lower_kernel(self, k);
            } else {
                rest.push(item);
            }
        }
        for item in rest {
            if let Item::Program(p) = item {
                let _ = lower_program(self, p);
            }
            if let Item::Schedule(s) = item {
                let _ = lower_schedule(self, s);
            }
        }
    }

    fn declare_items(&mut self, file: &File) {
        for item in &file.items {
            match item {
                Item::Function(f) => self.declare_function(f),
                Item::Semiring(name, parts, span) => self.declare_semiring(name, parts, *span),
                Item::Kernel(_)
                | Item::Program(_)
                | Item::Schedule(_)
                | Item::Intrin(_)
                | Item::Rule(_)
                | Item::Error => {}
            }
        }
    }

    fn declare_function(&mut self, f: &ast::Function) {
        let name = &f.name.text;
        if let Some(first) = self.declared.get(name) {
            let d = Diagnostic::new(
                Code::Name,
                f.name.span,
                format!("function `{name}` is declared twice"),
            )
            .label(first.name.span, "first declared here");
            self.diagnostics.push(d);
            return;
        }
        if crate::scalar::Func::by_name(name).is_some() || name == "cast" || name == "bitcast" {
            let d = Diagnostic::new(
                Code::Name,
                f.name.span,
                format!("`{name}` is a built-in scalar function"),
            )
            .help("choose another name");
            self.diagnostics.push(d);
            return;
        }
        self.declared.insert(name.clone(), Rc::new(f.clone()));
    }

    fn declare_semiring(&mut self, name: &ast::Name, parts: &[ast::Expr], span: Span) {
        if parts.len() != 4 {
            let d = Diagnostic::new(
                Code::Rank,
                span,
                format!("a semiring is (add, mul, zero, one), but {} parts are given", parts.len()),
            );
            self.diagnostics.push(d);
        }
        self.semirings.insert(name.text.clone(), span);
    }

    fn unsupported(&mut self, what: &str, span: Span) {
        let d = Diagnostic::new(Code::Unsupported, span, format!("{what} are not compiled yet"));
        self.diagnostics.push(d);
    }

    /// Lowers a function that the text declares under its own name. A generic function is
    /// instantiated with `f32` (or the first type of the class) and one leading axis.
    fn instance_of_entry(&mut self, f: &Rc<ast::Function>) -> Result<(), Reported> {
        let mut instance = Instance { leading: 1, ..Instance::default() };
        for (name, class) in &f.generics {
            let dtype = self.class_types(class)?.first().copied().unwrap_or(DType::F32);
            instance.dtypes.insert(name.text.clone(), dtype);
        }
        self.lower_instance(f, &f.name.text.clone(), &instance)
    }

    /// The element types of a class.
    pub(super) fn class_types(&mut self, class: &ast::Name) -> Result<Vec<DType>, Reported> {
        let all = DType::all().filter(|d| !d.is_f8());
        Ok(match class.text.as_str() {
            "float" => {
                let mut floats: Vec<DType> = all.filter(|d| d.is_float()).collect();
                floats.sort_by_key(|d| *d != DType::F32);
                floats
            }
            "int" => {
                let mut ints: Vec<DType> = all.filter(|d| d.is_int()).collect();
                ints.sort_by_key(|d| *d != DType::I64);
                ints
            }
            "complex" => vec![DType::C128, DType::C64],
            "real" => {
                let mut real: Vec<DType> = all.filter(|d| d.is_int() || d.is_float()).collect();
                real.sort_by_key(|d| *d != DType::F32);
                real
            }
            "number" | "any" => {
                let any = class.text == "any";
                let mut list: Vec<DType> = all.filter(|d| any || *d != DType::Bool).collect();
                list.sort_by_key(|d| *d != DType::F32);
                list
            }
            other => {
                let classes = ["float", "int", "complex", "real", "number", "any"];
                let d = super::unknown_name("type class", other, class.span, classes.into_iter());
                return Err(self.error(d));
            }
        })
    }

    /// Lowers an instance unless the module has it.
    pub(super) fn lower_instance(
        &mut self,
        f: &Rc<ast::Function>,
        name: &str,
        instance: &Instance,
    ) -> Result<(), Reported> {
        if self.module.functions.contains_key(name) {
            return Ok(());
        }
        if self.failed.iter().any(|n| n == name) {
            return Err(Reported);
        }
        if let Some(at) = self.stack.iter().position(|n| n == name) {
            let through: Vec<String> =
                self.stack.iter().skip(at + 1).map(|n| format!("`{n}`")).collect();
            let mut message = format!("function `{}` calls itself", f.name.text);
            if !through.is_empty() {
                message.push_str(&format!(" through {}", through.join(", ")));
            }
            let d = Diagnostic::new(Code::Cycle, f.name.span, message)
                .note("recursion is written as an equation along an axis, or in a `fix` block");
            return Err(self.error(d));
        }
        self.stack.push(name.to_owned());
        let outcome = lower_function(self, f, name, instance);
        self.stack.pop();
        if outcome.is_err() {
            self.failed.push(name.to_owned());
        }
        outcome
    }
}
