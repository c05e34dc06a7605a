//! Kernels: signature, scopes, statements. Blocks are in [`super::block`], expressions in
//! [`super::kernel_value`], their names and subscripts in [`super::kernel_index`].
//!
//! Ids are given in the order of the text, which is the order that [`crate::kernel::canonical`]
//! makes, so that a canonical kernel reads back equal.

use super::signature::{Instance, SignatureCx};
use super::{ModuleCx, Reported, unknown_name};
use crate::diag::{Code, Diagnostic};
use crate::graph::Function;
use crate::int::IntExpr;
use crate::kernel::{Buffer, For, Kernel, LoopKind, Repeat, Scope, Stmt, verify};
use crate::span::Span;
use crate::text::ast::{self, KernelStmt, Modifier, Spanned, Stride};
use crate::{TensorId, VarId};
use tcc_abi::DType;

/// Reads a kernel and adds it to the module if it is well formed.
pub(super) fn lower_kernel(module: &mut ModuleCx, k: &ast::Kernel) -> Result<(), Reported> {
    let Some(name) = &k.name else { return Err(Reported) };
    if module.module.kernels.contains_key(&name.text) {
        let message = format!("kernel `{}` is declared twice", name.text);
        return Err(module.error(Diagnostic::new(Code::Name, name.span, message)));
    }
    let kernel = read_kernel(module, name, k)?;
    module.module.kernels.insert(name.text.clone(), kernel);
    Ok(())
}

/// Reads a kernel and verifies it; `name` is what messages call it.
pub(super) fn read_kernel(
    module: &mut ModuleCx,
    name: &ast::Name,
    k: &ast::Kernel,
) -> Result<Kernel, Reported> {
    // A kernel may read what its results hold, said or not.
    let plain = |g: &ast::Group| match g.modifier {
        Modifier::Inout => ast::Group { modifier: Modifier::None, ..g.clone() },
        Modifier::None | Modifier::Param => g.clone(),
    };
    let results: Vec<ast::Group> = k.results.iter().map(plain).collect();
    let signature = signature(module, &name.text, &k.sizes, (&k.params, &results), &k.facts)?;
    let kernel = Kernel { name: name.text.clone(), ..Kernel::default() };
    let mut cx = KernelCx {
        module,
        kernel,
        signature,
        buffers: vec![],
        vars: vec![],
        hidden: vec![],
        failed: vec![],
    };
    let outcome = cx.arguments(k);
    let body = cx.body(&k.body);
    let mut kernel = cx.kernel;
    outcome?;
    kernel.body = body?;
    match verify(&kernel) {
        Ok(()) => Ok(kernel),
        Err(mistakes) => Err(module.report_at(name.span, mistakes)),
    }
}

/// Sizes, parameters, results and facts of a kernel or program, as those of a function.
pub(super) fn signature(
    module: &mut ModuleCx,
    name: &str,
    sizes: &[ast::Name],
    (params, results): (&[ast::Group], &[ast::Group]),
    facts: &[ast::Fact],
) -> Result<Function, Reported> {
    let instance = Instance::default();
    let mut cx = SignatureCx::new(module, name, &instance);
    let mut outcome = cx.size_list(sizes);
    cx.open = sizes.is_empty();
    outcome = outcome.and(cx.parameters(params));
    outcome = outcome.and(cx.results(results));
    for fact in facts {
        outcome = outcome.and(cx.fact(fact));
    }
    outcome.map(|()| cx.function)
}

/// A kernel being read.
pub(super) struct KernelCx<'a> {
    pub(super) module: &'a mut ModuleCx,
    pub(super) kernel: Kernel,
    /// Its sizes and facts.
    pub(super) signature: Function,
    /// Buffers in scope, block lets included.
    pub(super) buffers: Vec<(String, TensorId)>,
    /// Variables in scope: those of loops and lets, or those of a block.
    pub(super) vars: Vec<(String, VarId)>,
    /// Inside a block: the variables around it, which it does not see.
    pub(super) hidden: Vec<(String, VarId)>,
    /// Names whose declaration had a mistake: what uses them stays silent.
    pub(super) failed: Vec<String>,
}

impl KernelCx<'_> {
    pub(super) fn error(&mut self, d: Diagnostic) -> Reported {
        self.module.error(d)
    }

    pub(super) fn buffer_named(&self, name: &str) -> Option<TensorId> {
        self.buffers.iter().find(|(n, _)| n == name).map(|(_, t)| *t)
    }

    pub(super) fn var_named(&self, name: &str) -> Option<VarId> {
        self.vars.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    fn taken(&self, name: &str) -> bool {
        self.buffer_named(name).is_some()
            || self.var_named(name).is_some()
            || self.signature.size_by_name(name).is_some()
    }

    fn declare(&mut self, name: &ast::Name) -> Result<(), Reported> {
        if !self.taken(&name.text) {
            return Ok(());
        }
        let message = format!("`{}` already means something here", name.text);
        let d = Diagnostic::new(Code::Name, name.span, message)
            .help("a kernel has no shadowing; choose another name");
        Err(self.error(d))
    }

    pub(super) fn declare_var(&mut self, name: &ast::Name) -> Result<VarId, Reported> {
        self.declare(name)?;
        let v = self.kernel.vars.push(name.text.clone());
        self.vars.push((name.text.clone(), v));
        Ok(v)
    }

    pub(super) fn declare_buffer(
        &mut self,
        name: &ast::Name,
        dtype: DType,
        shape: Vec<IntExpr>,
        scope: Scope,
    ) -> Result<TensorId, Reported> {
        self.declare(name)?;
        let t = self.kernel.buffers.push(Buffer { name: name.text.clone(), dtype, shape, scope });
        self.buffers.push((name.text.clone(), t));
        Ok(t)
    }

    /// Element type and extents; the sizes are those of the signature.
    pub(super) fn type_expr(
        &mut self,
        ty: &ast::TypeExpr,
    ) -> Result<(DType, Vec<IntExpr>), Reported> {
        let instance = Instance::default();
        let mut cx = SignatureCx::new(self.module, "", &instance);
        cx.function = std::mem::take(&mut self.signature);
        cx.open = false;
        let outcome = cx.type_expr(ty);
        self.signature = std::mem::take(&mut cx.function);
        outcome
    }

    fn arguments(&mut self, k: &ast::Kernel) -> Result<(), Reported> {
        let groups = k.params.iter().chain(&k.results);
        let mut outcome = Ok(());
        let mut scopes = Vec::new();
        for g in groups {
            let scope = self.argument_scope(k, g);
            outcome = outcome.and(scope.map(|_| ()));
            scopes.extend(g.names.iter().map(|_| scope.unwrap_or(Scope::Global)));
        }
        let f = &self.signature;
        self.kernel.sizes = f.sizes.clone();
        self.kernel.facts = f.facts.clone();
        let order = f.params.iter().chain(&f.results);
        for (t, scope) in order.zip(scopes) {
            let Some(t) = f.tensors.get(*t) else { continue };
            let (name, shape) = (t.name.clone(), t.shape.clone());
            let id = self.kernel.buffers.push(Buffer { name, dtype: t.dtype, shape, scope });
            self.buffers.push((t.name.clone(), id));
            if t.role.is_parameter() {
                self.kernel.params.push(id);
            } else {
                self.kernel.results.push(id);
            }
        }
        let sizes: Vec<String> = f.sizes.values().map(|s| s.name.clone()).collect();
        for name in groups_names(k).filter(|n| sizes.contains(&n.text)) {
            let message = format!("`{}` is a size and cannot be a buffer", name.text);
            outcome = Err(self.error(Diagnostic::new(Code::Name, name.span, message)));
        }
        outcome
    }

    fn argument_scope(&mut self, k: &ast::Kernel, g: &ast::Group) -> Result<Scope, Reported> {
        let result = k.results.iter().any(|r| std::ptr::eq(r, g));
        if g.modifier == Modifier::Inout && !result {
            let message = "`inout` stands before a result that the kernel updates";
            return Err(self.error(Diagnostic::new(Code::Parse, g.ty.span, message)));
        }
        if g.modifier == Modifier::Param {
            let d = Diagnostic::new(Code::Parse, g.ty.span, "`param` belongs to programs");
            return Err(self.error(d));
        }
        let Some(strides) = &g.strides else { return Ok(Scope::Global) };
        let rank = g.ty.dims.len();
        if strides.len() != rank {
            let message =
                format!("rank {rank} has {rank} strides, but {} are given", strides.len());
            return Err(self.error(Diagnostic::new(Code::Rank, g.ty.span, message)));
        }
        let known = strides.iter().enumerate().find_map(|(k, s)| match s {
            Stride::Expr(ast::Expr { kind: ast::ExprKind::Int(n), .. })
                if n == "1" && k + 1 == rank =>
            {
                None
            }
            Stride::Expr(e) => Some(e.span),
            Stride::Any => None,
        });
        match known {
            None => Ok(Scope::Strided),
            Some(span) => {
                let d =
                    Diagnostic::new(Code::Unsupported, span, "known strides are not compiled yet")
                        .help("write `?` (or `1` for the last axis)");
                Err(self.error(d))
            }
        }
    }

    pub(super) fn body(&mut self, body: &[Spanned<KernelStmt>]) -> Result<Vec<Stmt>, Reported> {
        let (buffers, vars) = (self.buffers.len(), self.vars.len());
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for s in body {
            match self.stmt(&s.node) {
                Ok(stmts) => out.extend(stmts),
                Err(Reported) => outcome = Err(Reported),
            }
        }
        self.buffers.truncate(buffers);
        self.vars.truncate(vars);
        outcome.map(|()| out)
    }

    /// One statement; an `alloc` of several names is several.
    fn stmt(&mut self, s: &KernelStmt) -> Result<Vec<Stmt>, Reported> {
        match s {
            KernelStmt::For { var, lo, hi, kind, body } => {
                self.for_loop(var, (lo.as_ref(), hi), kind.as_ref(), body).map(|s| vec![s])
            }
            KernelStmt::Block { name, bindings, guard, body, span } => {
                let block = self.block(name, bindings, guard.as_ref(), body, *span)?;
                Ok(vec![Stmt::Block(block)])
            }
            KernelStmt::If(p, then, otherwise, _) => {
                let condition = self.predicate(p);
                let then = self.body(then);
                let otherwise = self.body(otherwise);
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                Ok(vec![Stmt::If { condition, then, otherwise }])
            }
            KernelStmt::Let(name, e) => {
                let value = self.int_only(e, "the value of a `let`");
                let var = self.declared(name)?;
                Ok(vec![Stmt::Let { var, value: value? }])
            }
            KernelStmt::Alloc(names, ty, attrs) => self.alloc(names, ty, attrs),
            KernelStmt::Repeat { var, lo, limit, until, body } => {
                self.repeat(var, (lo.as_ref(), limit), until, body).map(|s| vec![s])
            }
            KernelStmt::Intrin { name, params, results } => {
                self.intrinsic(name, params, results).map(|s| vec![s])
            }
            KernelStmt::Error => Err(Reported),
        }
    }

    /// Declares a variable; uses of one that cannot be declared stay silent.
    fn declared(&mut self, name: &ast::Name) -> Result<VarId, Reported> {
        let outcome = self.declare_var(name);
        if outcome.is_err() {
            self.failed.push(name.text.clone());
        }
        outcome
    }

    fn for_loop(
        &mut self,
        name: &ast::Name,
        (lo, hi): (Option<&ast::Expr>, &ast::Expr),
        kind: Option<&ast::Name>,
        body: &[Spanned<KernelStmt>],
    ) -> Result<Stmt, Reported> {
        let lo = match lo {
            Some(e) => self.int_only(e, "a loop bound"),
            None => Ok(IntExpr::constant(0)),
        };
        let hi = self.int_only(hi, "a loop bound");
        let kind = kind.map_or(Ok(LoopKind::Serial), |k| self.loop_kind(k));
        let scope = self.vars.len();
        let var = self.declared(name);
        let body = self.body(body);
        self.vars.truncate(scope);
        Ok(Stmt::For(For { var: var?, lo: lo?, hi: hi?, kind: kind?, body: body? }))
    }

    fn loop_kind(&mut self, name: &ast::Name) -> Result<LoopKind, Reported> {
        let kinds = LoopKind::all().filter(|k| *k != LoopKind::Serial);
        match kinds.clone().find(|k| k.name() == name.text) {
            Some(kind) => Ok(kind),
            None => {
                let names = kinds.map(LoopKind::name);
                let d = unknown_name("kind of loop", &name.text, name.span, names);
                Err(self.error(d))
            }
        }
    }

    fn repeat(
        &mut self,
        name: &ast::Name,
        (lo, limit): (Option<&ast::Expr>, &ast::Expr),
        until: &ast::Expr,
        body: &[Spanned<KernelStmt>],
    ) -> Result<Stmt, Reported> {
        let from_zero = match lo.map(|e| self.int_only(e, "the first round")).transpose()? {
            Some(e) if e.as_constant() != Some(0) => {
                let span = lo.map_or(name.span, |e| e.span);
                let d = Diagnostic::new(Code::Parse, span, "rounds are counted from 0");
                return Err(self.error(d));
            }
            other => other.is_some(),
        };
        let limit = self.int_only(limit, "the most rounds");
        let scope = self.vars.len();
        let var = self.declared(name);
        let until = self.predicate(until);
        let body = self.body(body);
        self.vars.truncate(scope);
        let (var, limit, until, body) = (var?, limit?, until?, body?);
        Ok(Stmt::Repeat(Repeat { var, limit, until, must_converge: !from_zero, body }))
    }

    fn alloc(
        &mut self,
        names: &[ast::Name],
        ty: &ast::TypeExpr,
        attrs: &[ast::Attr],
    ) -> Result<Vec<Stmt>, Reported> {
        let read = match self.alloc_scope(attrs, ty) {
            Ok(scope) => self.type_expr(ty).map(|(dtype, shape)| (scope, dtype, shape)),
            Err(Reported) => Err(Reported),
        };
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for name in names {
            let declared = match &read {
                Ok((scope, d, shape)) => self.declare_buffer(name, *d, shape.clone(), *scope),
                Err(Reported) => Err(Reported),
            };
            match declared {
                Ok(t) => out.push(Stmt::Alloc(t)),
                Err(Reported) => {
                    self.failed.push(name.text.clone());
                    outcome = Err(Reported);
                }
            }
        }
        outcome.map(|()| out)
    }

    fn alloc_scope(&mut self, attrs: &[ast::Attr], ty: &ast::TypeExpr) -> Result<Scope, Reported> {
        let d = match attrs {
            [a] if a.args.is_empty() => match memory_scope(&a.name.text, a.name.span) {
                Ok(scope) => return Ok(scope),
                Err(d) => *d,
            },
            [] | [_] => Diagnostic::new(Code::Parse, ty.span, "an `alloc` needs a memory scope")
                .help("write `@local` or `@register` after the type"),
            [_, second, ..] => {
                Diagnostic::new(Code::Parse, second.span, "an `alloc` has one memory scope")
            }
        };
        Err(self.error(d))
    }
}

/// The scope of this name that buffers of kernels may have.
fn memory_scope(name: &str, span: Span) -> Result<Scope, Box<Diagnostic>> {
    let found = Scope::ALLOCATED.into_iter().find(|s| s.name() == name);
    found.ok_or_else(|| {
        let known = Scope::ALLOCATED.into_iter().map(Scope::name);
        Box::new(unknown_name("memory scope", name, span, known))
    })
}

fn groups_names(k: &ast::Kernel) -> impl Iterator<Item = &ast::Name> {
    k.params.iter().chain(&k.results).flat_map(|g| &g.names)
}
