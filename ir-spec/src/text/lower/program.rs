//! Programs: buffers, guards and kernel calls.

use super::kernel::signature;
use super::signature::{Instance, SignatureCx};
use super::{ModuleCx, Reported, unknown_name};
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::graph::{Fact, Function, Role};
use crate::int::IntExpr;
use crate::program::{Guard, KernelCall, Program, ProgramBuffer, verify};
use crate::text::ast::{self, AttrArg, ExprKind, ProgramStmt};

/// Reads a program and adds it to the module if it is well formed.
pub(super) fn lower_program(module: &mut ModuleCx, p: &ast::Program) -> Result<(), Reported> {
    let name = &p.name;
    if module.module.programs.contains_key(&name.text) {
        let message = format!("program `{}` is declared twice", name.text);
        return Err(module.error(Diagnostic::new(Code::Name, name.span, message)));
    }
    let mut outcome = Ok(());
    for g in p.params.iter().chain(&p.results).filter(|g| g.strides.is_some()) {
        let d = Diagnostic::new(Code::Parse, g.ty.span, "strides belong to the kernels");
        outcome = Err(module.error(d));
    }
    // Facts are guards: they may say for which sizes they are not needed.
    let signature = signature(module, &name.text, &p.sizes, (&p.params, &p.results), &[]);
    let signature = signature?;
    let open = p.sizes.is_empty();
    let mut cx = ProgramCx { module, program: Program::default(), signature, open };
    cx.program.name = name.text.clone();
    cx.arguments();
    for n in p.params.iter().chain(&p.results).flat_map(|g| &g.names) {
        if cx.signature.size_by_name(&n.text).is_some() {
            let message = format!("`{}` is a size and cannot be a buffer", n.text);
            outcome = Err(cx.module.error(Diagnostic::new(Code::Name, n.span, message)));
        }
    }
    for fact in &p.facts {
        outcome = outcome.and(cx.declared_guard(fact));
    }
    cx.open = false;
    for stmt in &p.body {
        outcome = outcome.and(cx.stmt(&stmt.node));
    }
    let mut program = cx.program;
    program.sizes = cx.signature.sizes;
    outcome?;
    if let Err(mistakes) = verify(&program, &module.module.kernels) {
        for mut d in mistakes {
            d.span = Some(name.span);
            module.diagnostics.push(d);
        }
        return Err(Reported);
    }
    module.module.programs.insert(name.text.clone(), program);
    Ok(())
}

struct ProgramCx<'a> {
    module: &'a mut ModuleCx,
    program: Program,
    /// Sizes and arguments.
    signature: Function,
    /// True while facts may name new sizes.
    open: bool,
}

impl ProgramCx<'_> {
    fn arguments(&mut self) {
        let f = &self.signature;
        for t in f.params.iter().chain(&f.results) {
            let Some(t) = f.tensors.get(*t) else { continue };
            let id = self.program.buffers.push(ProgramBuffer {
                name: t.name.clone(),
                dtype: t.dtype,
                shape: t.shape.clone(),
                role: t.role,
            });
            if t.role.is_parameter() {
                self.program.params.push(id);
            } else {
                self.program.results.push(id);
            }
        }
    }

    /// Runs `read` with the rules for types and sizes of signatures.
    fn with_signature<T>(&mut self, read: impl FnOnce(&mut SignatureCx<'_>) -> T) -> T {
        let instance = Instance::default();
        let mut cx = SignatureCx::new(self.module, "", &instance);
        cx.function = std::mem::take(&mut self.signature);
        cx.open = self.open;
        let out = read(&mut cx);
        self.signature = std::mem::take(&mut cx.function);
        out
    }

    /// The facts that one fact of the text stands for.
    fn facts(&mut self, fact: &ast::Fact) -> Result<Vec<Fact>, Reported> {
        self.with_signature(|cx| {
            let outcome = cx.fact(fact);
            let facts = std::mem::take(&mut cx.function.facts);
            outcome.map(|()| facts)
        })
    }

    fn declared_guard(&mut self, fact: &ast::Fact) -> Result<(), Reported> {
        for fact in self.facts(fact)? {
            let guard = Guard { fact, unless_empty: Vec::new(), origin: String::new() };
            self.program.guards.push(guard);
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &ProgramStmt) -> Result<(), Reported> {
        match stmt {
            ProgramStmt::Buffer(names, ty, attrs) => self.buffer(names, ty, attrs),
            ProgramStmt::Call(kernel, args, results) => self.call(kernel, args, results),
            ProgramStmt::Require(condition, attrs) => self.require(condition, attrs),
            ProgramStmt::Error => Err(Reported),
        }
    }

    fn buffer(
        &mut self,
        names: &[ast::Name],
        ty: &ast::TypeExpr,
        attrs: &[ast::Attr],
    ) -> Result<(), Reported> {
        let read = self.with_signature(|cx| cx.type_expr(ty));
        if let Some(a) = attrs.first() {
            let d = unknown_name("attribute", &a.name.text, a.name.span, [].into_iter());
            return Err(self.module.error(d));
        }
        let (dtype, shape) = read?;
        let mut outcome = Ok(());
        for name in names {
            if self.named(&name.text).is_some() || self.signature.size_by_name(&name.text).is_some()
            {
                let message = format!("`{}` already means something here", name.text);
                let d = Diagnostic::new(Code::Name, name.span, message);
                outcome = Err(self.module.error(d));
                continue;
            }
            self.program.buffers.push(ProgramBuffer {
                name: name.text.clone(),
                dtype,
                shape: shape.clone(),
                role: Role::Intermediate,
            });
        }
        outcome
    }

    fn named(&self, name: &str) -> Option<TensorId> {
        self.program.buffers.iter().find(|(_, b)| b.name == name).map(|(t, _)| t)
    }

    fn list(&mut self, names: &[ast::Name]) -> Result<Vec<TensorId>, Reported> {
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for name in names {
            match self.named(&name.text) {
                Some(t) => out.push(t),
                None => {
                    let known = self.program.buffers.values().map(|b| b.name.as_str());
                    let d = unknown_name("buffer", &name.text, name.span, known);
                    outcome = Err(self.module.error(d));
                }
            }
        }
        outcome.map(|()| out)
    }

    fn call(
        &mut self,
        kernel: &ast::Name,
        args: &[ast::Name],
        results: &[ast::Name],
    ) -> Result<(), Reported> {
        let known = &self.module.module.kernels;
        let mut outcome = Ok(());
        if !known.contains_key(&kernel.text) {
            // One that had a mistake is not unknown.
            outcome = Err(Reported);
            if !self.module.declared_kernels.contains(&kernel.text) {
                let names = known.keys().map(String::as_str);
                let d = unknown_name("kernel", &kernel.text, kernel.span, names);
                self.module.error(d);
            }
        }
        let (arguments, results) = (self.list(args), self.list(results));
        let (arguments, results, ()) = (arguments?, results?, outcome?);
        self.program.calls.push(KernelCall { kernel: kernel.text.clone(), arguments, results });
        Ok(())
    }

    /// `require fact || S == 0 @origin("...")`
    fn require(&mut self, condition: &ast::Expr, attrs: &[ast::Attr]) -> Result<(), Reported> {
        let origin = self.origin(attrs);
        let parts = match &condition.kind {
            ExprKind::Or(parts) => parts.as_slice(),
            _ => std::slice::from_ref(condition),
        };
        let mut unless_empty = Vec::new();
        let mut parts = parts.iter();
        let fact = parts.next().ok_or(Reported)?;
        let facts = self.facts(&ast::Fact::Expr(fact.clone()))?;
        for part in parts {
            unless_empty.push(self.empty_size(part)?);
        }
        let origin = origin?;
        for fact in facts {
            let (unless_empty, origin) = (unless_empty.clone(), origin.clone());
            self.program.guards.push(Guard { fact, unless_empty, origin });
        }
        Ok(())
    }

    fn empty_size(&mut self, e: &ast::Expr) -> Result<IntExpr, Reported> {
        if let ExprKind::Compare(crate::scalar::Comparison::Eq, a, b) = &e.unparen().kind
            && matches!(&b.kind, ExprKind::Int(n) if n == "0")
        {
            return self.with_signature(|cx| cx.size_expr(a));
        }
        let d = Diagnostic::new(Code::Parse, e.span, "after `||` stands `size == 0`")
            .note("a requirement falls away where a size is 0, for nothing else");
        Err(self.module.error(d))
    }

    fn origin(&mut self, attrs: &[ast::Attr]) -> Result<String, Reported> {
        let d = match attrs {
            [] => return Ok(String::new()),
            [a] if a.name.text == "origin" => match a.args.as_slice() {
                [AttrArg::Str(s, _)] => return Ok(s.clone()),
                _ => Diagnostic::new(Code::Parse, a.span, "`@origin` takes a text in quotes"),
            },
            [_, a] | [a] | [_, a, ..] => {
                let known = ["origin"].into_iter();
                unknown_name("attribute", &a.name.text, a.name.span, known)
            }
        };
        Err(self.module.error(d))
    }
}
