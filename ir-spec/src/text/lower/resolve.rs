//! Names: what stands for a tensor, a size, an index, a function.

use super::constant::{self, Constant};
use super::function::Binding;
use super::hir::{Hir, HirKind, HirRead, HirSub, ReduceOp, Shared};
use super::index::AccessUse;
use super::integer::{self, IntScope};
use super::statement::StatementCx;
use super::{Reported, unknown_name};
use crate::diag::{Code, Diagnostic};
use crate::int::IntExpr;
use crate::scalar::{Func, Signature};
use crate::span::Span;
use crate::text::ast::{self, Expr, ExprKind, Sub};
use crate::{TensorId, VarId};
use std::rc::Rc;
use tcc_abi::DType;

/// How accesses met at a place are covered.
#[derive(Clone, Copy, Default)]
pub(super) struct Cover {
    /// A guard excludes positions.
    pub(super) guarded: bool,
}

impl IntScope for StatementCx<'_, '_> {
    fn int_name(&mut self, name: &str, span: Span) -> Result<Option<IntExpr>, Reported> {
        if self.locals.contains_key(name) {
            return Ok(None);
        }
        if let Some(size) = self.function.function.size_by_name(name) {
            return Ok(Some(size.into()));
        }
        match self.function.binding(name, self.writes(name)) {
            Some(Binding::Tensor(t)) => {
                let rank = self.function.function.tensors.get(t).map_or(0, |t| t.shape.len());
                if rank > 0 {
                    let d = Diagnostic::new(
                        Code::Name,
                        span,
                        format!("`{name}` is a tensor of rank {rank} and cannot be an index"),
                    )
                    .help("rename the index, or write the tensor's subscripts");
                    return Err(self.error(d));
                }
                Ok(None)
            }
            Some(Binding::Failed) => Err(Reported),
            None => Ok(Some(self.indices.get_or_add(name, span).into())),
        }
    }

    fn int_literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported> {
        self.literal(text, span)
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.error(diagnostic)
    }
}

impl StatementCx<'_, '_> {
    /// Resolves a value.
    pub(super) fn resolve(&mut self, e: &Expr, cover: Cover) -> Result<Hir, Reported> {
        let one = |cx: &mut Self, e: &Expr| cx.resolve(e, cover).map(Box::new);
        let kind = match &e.kind {
            ExprKind::Int(text) | ExprKind::Float(text) => {
                HirKind::Constant(self.literal(text, e.span)?)
            }
            ExprKind::Name(name) => return self.name_value(name, e.span),
            ExprKind::Access { name, subs, default } => {
                return self.access(name, subs, default.as_deref(), e.span, cover);
            }
            ExprKind::Reduce { name, vars, pred, body } => {
                return self.reduce(name, vars, pred.as_deref(), body, e.span, cover);
            }
            ExprKind::Call { name, args, sizes } => {
                return self.call(name, args, sizes, e.span, cover);
            }
            ExprKind::Einsum { .. } => {
                let d = Diagnostic::new(
                    Code::Parse,
                    e.span,
                    "`einsum(...)` stands alone on the right side of `=`",
                )
                .help("give its result a name: `T = einsum(...)`");
                return Err(self.error(d));
            }
            ExprKind::Neg(a) => HirKind::Neg(one(self, a)?),
            ExprKind::Not(a) => HirKind::Not(one(self, a)?),
            ExprKind::Sum(terms) => HirKind::Sum(
                terms
                    .iter()
                    .map(|(n, t)| Ok((*n, self.resolve(t, cover)?)))
                    .collect::<Result<_, _>>()?,
            ),
            ExprKind::Product(factors) => HirKind::Product(
                factors
                    .iter()
                    .map(|(op, t)| Ok((*op, self.resolve(t, cover)?)))
                    .collect::<Result<_, _>>()?,
            ),
            ExprKind::Power(a, b) => HirKind::Power(one(self, a)?, one(self, b)?),
            ExprKind::Compare(op, a, b) => HirKind::Compare(*op, one(self, a)?, one(self, b)?),
            ExprKind::And(parts) => HirKind::And(self.resolve_all(parts, cover)?),
            ExprKind::Or(parts) => HirKind::Or(self.resolve_all(parts, cover)?),
            ExprKind::Indicator(p) => HirKind::Indicator(one(self, p)?),
            ExprKind::Paren(inner) => return self.resolve(inner, cover),
            ExprKind::Pattern(n) => {
                let d = Diagnostic::new(
                    Code::Parse,
                    e.span,
                    format!("`?{}` is a pattern variable, which only rules have", n.text),
                );
                return Err(self.error(d));
            }
            ExprKind::Error => return Err(Reported),
        };
        Ok(Hir::new(kind, e.span))
    }

    fn resolve_all(&mut self, parts: &[Expr], cover: Cover) -> Result<Vec<Hir>, Reported> {
        parts.iter().map(|p| self.resolve(p, cover)).collect()
    }

    fn literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported> {
        Constant::parse(text).ok_or_else(|| {
            self.error(Diagnostic::new(Code::Limit, span, "the literal has too many digits"))
        })
    }

    /// A bare name as a value.
    fn name_value(&mut self, name: &str, span: Span) -> Result<Hir, Reported> {
        let make = |kind| Ok(Hir::new(kind, span));
        if let Some(shared) = self.locals.get(name).cloned() {
            *self.shared_uses.entry(shared.id).or_insert(0) += 1;
            return make(HirKind::Shared(shared));
        }
        if let Some(binding) = self.function.binding(name, self.writes(name)) {
            return self.whole_tensor(binding, name, span);
        }
        if let Some(size) = self.function.function.size_by_name(name) {
            return make(HirKind::Constant(Constant::index(size.into())));
        }
        match name {
            "inf" => return make(HirKind::Constant(Constant::Infinity { negative: false })),
            "nan" => return make(HirKind::Constant(Constant::Nan)),
            "pi" => return make(HirKind::Constant(constant::pi())),
            "true" => return make(HirKind::Bool(true)),
            "false" => return make(HirKind::Bool(false)),
            _ => {}
        }
        if !self.subscript_names.contains(name) {
            let d = self.unknown_value(name, span);
            return Err(self.error(d));
        }
        let var = self.indices.get_or_add(name, span);
        make(HirKind::Constant(Constant::index(var.into())))
    }

    fn unknown_value(&self, name: &str, span: Span) -> Diagnostic {
        let function = &self.function.function;
        let tensors = function.tensors.values().map(|t| t.name.as_str());
        let sizes = function.sizes.values().map(|s| s.name.as_str());
        let names = tensors.chain(sizes).chain(self.subscript_names.iter().map(String::as_str));
        unknown_name("name", name, span, names)
    }

    fn whole_tensor(&mut self, binding: Binding, name: &str, span: Span) -> Result<Hir, Reported> {
        let Binding::Tensor(tensor) = binding else { return Err(Reported) };
        let rank = self.function.function.tensors.get(tensor).map_or(0, |t| t.shape.len());
        if rank > 0 {
            let d = Diagnostic::new(
                Code::Rank,
                span,
                format!("`{name}` has rank {rank} and needs that many subscripts"),
            );
            return Err(self.error(d));
        }
        Ok(Hir::new(HirKind::Read(HirRead { tensor, subs: vec![], default: None }), span))
    }

    /// `A[i, j+1]?0`
    fn access(
        &mut self,
        name: &ast::Name,
        subs: &[Sub],
        default: Option<&Expr>,
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        let tensor = self.tensor_of(name)?;
        let default = default.map(|d| self.resolve(d, cover)).transpose()?.map(Box::new);
        let subs = self.subscripts(name, tensor, subs, span, (cover, default.is_some()))?;
        Ok(Hir::new(HirKind::Read(HirRead { tensor, subs, default }), span))
    }

    fn tensor_of(&mut self, name: &ast::Name) -> Result<TensorId, Reported> {
        match self.function.binding(&name.text, self.writes(&name.text)) {
            Some(Binding::Tensor(t)) => Ok(t),
            Some(Binding::Failed) => Err(Reported),
            None => {
                let known = self.function.function.tensors.values().map(|t| t.name.as_str());
                let d = unknown_name("tensor", &name.text, name.span, known);
                let is_size = self.function.function.size_by_name(&name.text).is_some();
                let d = if is_size { d.note("a size of this name exists") } else { d };
                Err(self.error(d))
            }
        }
    }

    /// Resolves subscripts against a tensor whose type is known.
    pub(super) fn subscripts(
        &mut self,
        name: &ast::Name,
        tensor: TensorId,
        subs: &[Sub],
        span: Span,
        (cover, defaulted): (Cover, bool),
    ) -> Result<Vec<HirSub>, Reported> {
        let Some(t) = self.function.function.tensors.get(tensor) else { return Err(Reported) };
        let (shape, declared) = (t.shape.clone(), t.span);
        let expanded = self.expand_ellipsis(subs, span)?;
        if expanded.len() != shape.len() {
            let message = format!(
                "`{}` has rank {}, but {} subscript{} given",
                name.text,
                shape.len(),
                expanded.len(),
                if expanded.len() == 1 { " is" } else { "s are" }
            );
            let d = Diagnostic::new(Code::Rank, span, message).label(declared, "declared here");
            return Err(self.error(d));
        }
        let mut out = Vec::with_capacity(shape.len());
        for (axis, (sub, extent)) in expanded.into_iter().zip(shape).enumerate() {
            let resolved = self.subscript(&sub, cover)?;
            if let HirSub::Int(subscript) = &resolved {
                self.indices.record(AccessUse {
                    subscript: subscript.clone(),
                    extent,
                    protected: defaulted || cover.guarded,
                    defaulted,
                    history: self.function.history.contains(&(tensor, axis)),
                    span: sub_span(&sub).unwrap_or(span),
                    place: format!("axis {axis} of `{}`", name.text),
                });
            }
            out.push(resolved);
        }
        Ok(out)
    }

    /// Replaces `...` by the leading indices.
    pub(super) fn expand_ellipsis(
        &mut self,
        subs: &[Sub],
        span: Span,
    ) -> Result<Vec<Sub>, Reported> {
        let mut out = Vec::with_capacity(subs.len());
        let mut seen = false;
        for sub in subs {
            let Sub::Ellipsis(at) = sub else {
                out.push(sub.clone());
                continue;
            };
            if seen || !self.function.has_leading {
                let message = if seen {
                    "`...` stands once in a subscript list"
                } else {
                    "`...` needs a parameter whose type has leading axes, such as `E[...,D]`"
                };
                return Err(self.error(Diagnostic::new(Code::Parse, *at, message)));
            }
            seen = true;
            for k in 0..self.function.leading {
                let kind = ExprKind::Name(self.function.leading_index(k));
                out.push(Sub::Expr(Expr { kind, span, depth: 1 }));
            }
        }
        Ok(out)
    }

    /// One subscript: an integer expression of indices and sizes, or data.
    pub(super) fn subscript(&mut self, sub: &Sub, cover: Cover) -> Result<HirSub, Reported> {
        match sub {
            Sub::Domain(name, extent) => {
                let var = self.index(name)?;
                self.fix_domain(var, extent)?;
                Ok(HirSub::Int(var.into()))
            }
            Sub::Expr(e) => match self.int_expr(e)? {
                Some(i) => Ok(HirSub::Int(i)),
                None => Ok(HirSub::Data(self.resolve(e, cover)?)),
            },
            Sub::Ellipsis(span) => {
                Err(self.error(Diagnostic::new(Code::Parse, *span, "misplaced `...`")))
            }
        }
    }

    pub(super) fn fix_domain(&mut self, var: VarId, extent: &Expr) -> Result<(), Reported> {
        let n = match self.int_expr(extent)? {
            Some(n) if !n.mentions_vars() => n,
            _ => {
                let d =
                    Diagnostic::new(Code::Size, extent.span, "a domain is an expression of sizes");
                return Err(self.error(d));
            }
        };
        let (indices, mut cx) = self.domain_cx();
        indices.fix(var, n, extent.span, &mut cx)
    }

    /// An index by name; it may not bear the name of a size or tensor.
    pub(super) fn index(&mut self, name: &ast::Name) -> Result<VarId, Reported> {
        let taken = if self.function.binding(&name.text, false).is_some() {
            Some("tensor")
        } else if self.function.function.size_by_name(&name.text).is_some() {
            Some("size")
        } else {
            None
        };
        if let Some(what) = taken {
            let d = Diagnostic::new(
                Code::Name,
                name.span,
                format!("`{}` is a {what} and cannot be an index", name.text),
            )
            .help("rename the index");
            return Err(self.error(d));
        }
        Ok(self.indices.get_or_add(&name.text, name.span))
    }

    /// An integer expression of indices, sizes and integers; `None` if it depends on data.
    pub(super) fn int_expr(&mut self, e: &Expr) -> Result<Option<IntExpr>, Reported> {
        integer::read(self, e)
    }

    /// `sum[k | p](e)`
    #[expect(clippy::too_many_arguments, reason = "the parts of one construct")]
    fn reduce(
        &mut self,
        name: &ast::Name,
        vars: &[Sub],
        pred: Option<&Expr>,
        body: &Expr,
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        let Some(op) = ReduceOp::parse(&name.text) else {
            const OPS: [&str; 14] = [
                "sum",
                "max",
                "min",
                "prod",
                "lse",
                "mean",
                "or",
                "and",
                "count",
                "argmax",
                "argmin",
                "softmax",
                "logsoftmax",
                "cumsum",
            ];
            let d = unknown_name("reduction", &name.text, name.span, OPS.into_iter());
            return Err(self.error(d));
        };
        let mut list = Vec::new();
        for sub in self.expand_ellipsis(vars, span)? {
            list.push(self.reduction_variable(&sub)?);
        }
        if list.is_empty() {
            let d = Diagnostic::new(
                Code::Parse,
                span,
                format!("`{}[...]` names no index to reduce over", name.text),
            );
            return Err(self.error(d));
        }
        let inner = Cover { guarded: cover.guarded || pred.is_some() };
        let pred = pred.map(|p| self.resolve(p, cover)).transpose()?.map(Box::new);
        let body = Box::new(self.resolve(body, inner)?);
        Ok(Hir::new(HirKind::Reduce { op, vars: list, pred, body }, span))
    }

    fn reduction_variable(&mut self, sub: &Sub) -> Result<VarId, Reported> {
        match sub {
            Sub::Domain(n, extent) => {
                let var = self.index(n)?;
                self.fix_domain(var, extent)?;
                Ok(var)
            }
            Sub::Expr(Expr { kind: ExprKind::Name(n), span, .. }) => {
                self.index(&ast::Name { text: n.clone(), span: *span })
            }
            Sub::Expr(e) => {
                let d =
                    Diagnostic::new(Code::Parse, e.span, "a reduction variable is a bare index");
                Err(self.error(d))
            }
            Sub::Ellipsis(_) => Err(Reported),
        }
    }

    /// `f(a, b)` in scalar position.
    fn call(
        &mut self,
        name: &ast::Name,
        args: &[Expr],
        sizes: &[(ast::Name, Expr)],
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        if let Some((n, _)) = sizes.first() {
            let d = Diagnostic::new(
                Code::Parse,
                n.span,
                "sizes are named in calls on whole tensors (`Y = f(X, N=4)`)",
            );
            return Err(self.error(d));
        }
        match (name.text.as_str(), args) {
            ("cast" | "bitcast", [ty, value]) => {
                return self.resolve_cast(name, ty, value, span, cover);
            }
            ("cast" | "bitcast", _) => {
                let d = Diagnostic::new(
                    Code::Rank,
                    span,
                    format!("`{}` takes an element type and a value", name.text),
                )
                .help(format!("write `{}(f32, X[i])`", name.text));
                return Err(self.error(d));
            }
            _ => {}
        }
        if let Some(func) = Func::by_name(&name.text) {
            return self.builtin(func, args, span, cover);
        }
        match self.function.module.find_function(&name.text) {
            Some(f) if super::call::is_scalar(&f) => self.inline(&f, args, span, cover),
            Some(_) => {
                let d = Diagnostic::new(
                    Code::Rank,
                    span,
                    format!("`{}` works on whole tensors, not on elements", name.text),
                )
                .help(format!("write `T = {}(X)` on a line of its own", name.text));
                Err(self.error(d))
            }
            None => Err(self.unknown_function(name)),
        }
    }

    pub(super) fn unknown_function(&mut self, name: &ast::Name) -> Reported {
        let names = self.function.module.function_names();
        let names = names.iter().map(String::as_str);
        let d = unknown_name("function", &name.text, name.span, names);
        self.error(match ReduceOp::parse(&name.text) {
            Some(_) => d.help(format!("write `{}[k](...)` to reduce over k", name.text)),
            None => d,
        })
    }

    fn resolve_cast(
        &mut self,
        name: &ast::Name,
        ty: &Expr,
        value: &Expr,
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        let ExprKind::Name(type_name) = &ty.kind else {
            let d = Diagnostic::new(Code::Type, ty.span, "expected an element type");
            return Err(self.error(d));
        };
        let type_name = ast::Name { text: type_name.clone(), span: ty.span };
        let dtype: DType = self.function.dtype(&type_name)?;
        let value = Box::new(self.resolve(value, cover)?);
        let cast = name.text == "cast";
        let kind = if cast { HirKind::Cast(dtype, value) } else { HirKind::Bitcast(dtype, value) };
        Ok(Hir::new(kind, span))
    }

    fn builtin(
        &mut self,
        func: Func,
        args: &[Expr],
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        let variadic = matches!(func, Func::Min | Func::Max) && args.len() > 2;
        if args.len() != func.arity() && !variadic {
            let message = format!(
                "`{func}` takes {} argument{}, but {} given",
                func.arity(),
                if func.arity() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(self.error(Diagnostic::new(Code::Rank, span, message)));
        }
        debug_assert!(func.signature() != Signature::Logic || func.operator().is_none());
        let mut args = self.resolve_all(args, cover)?;
        if variadic {
            let rest = args.split_off(1);
            let folded = rest.into_iter().fold(args.pop(), |acc, x| {
                acc.map(|a| Hir::new(HirKind::Apply(func, vec![a, x]), span))
            });
            return folded.ok_or(Reported);
        }
        Ok(Hir::new(HirKind::Apply(func, args), span))
    }

    /// Inlines a scalar function: its body over shared uses of the arguments.
    fn inline(
        &mut self,
        f: &Rc<ast::Function>,
        args: &[Expr],
        span: Span,
        cover: Cover,
    ) -> Result<Hir, Reported> {
        let params: Vec<&ast::Name> = f.params.iter().flat_map(|g| &g.names).collect();
        if params.len() != args.len() {
            let message = format!(
                "`{}` takes {} argument{}, but {} given",
                f.name.text,
                params.len(),
                if params.len() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(self.error(Diagnostic::new(Code::Rank, span, message)));
        }
        let mut shared = Vec::new();
        for arg in args {
            let value = self.resolve(arg, cover)?;
            shared.push(self.share(value));
        }
        self.enter_inline(&f.name.text, span)?;
        let mut locals: indexmap::IndexMap<String, Rc<Shared>> = indexmap::IndexMap::new();
        for (p, s) in params.iter().zip(&shared) {
            locals.insert(p.text.clone(), s.clone());
        }
        let outer = std::mem::replace(&mut self.locals, locals);
        let body = self.inline_body(f, span);
        self.locals = outer;
        self.inlining.pop();
        let body = Box::new(body?);
        Ok(Hir::new(HirKind::Inline { args: shared, body }, span))
    }

    fn enter_inline(&mut self, name: &str, span: Span) -> Result<(), Reported> {
        if self.inlining.iter().any(|n| n == name) {
            let d = Diagnostic::new(Code::Cycle, span, format!("`{name}` calls itself"));
            return Err(self.error(d));
        }
        self.inlining.push(name.to_owned());
        Ok(())
    }

    /// The value of a scalar function's result: its statements are plain rank-0 equations.
    fn inline_body(&mut self, f: &ast::Function, call: Span) -> Result<Hir, Reported> {
        let result = f.results.iter().flat_map(|g| &g.names).next();
        for stmt in &f.body {
            let ast::Stmt::Equation(eq) = stmt else { continue };
            let (Some(target), ast::AssignOp::Plain) = (eq.targets.first(), &eq.op) else {
                let d = Diagnostic::new(
                    Code::Unsupported,
                    eq.span,
                    "a scalar function consists of plain equations `name = value`",
                );
                return Err(self.error(d));
            };
            let mut value = self.resolve(&eq.value, Cover::default())?;
            value.span = call;
            let shared = self.share(value);
            self.locals.insert(target.name.text.clone(), shared);
        }
        let shared = result.and_then(|r| self.locals.get(&r.text).cloned());
        match shared {
            Some(s) => Ok(Hir::new(HirKind::Shared(s), call)),
            None => {
                let d = Diagnostic::new(
                    Code::Name,
                    f.name.span,
                    format!("`{}` does not define its result", f.name.text),
                );
                Err(self.error(d))
            }
        }
    }

    fn share(&mut self, value: Hir) -> Rc<Shared> {
        self.next_shared += 1;
        Rc::new(Shared { id: self.next_shared, value })
    }
}

fn sub_span(sub: &Sub) -> Option<Span> {
    match sub {
        Sub::Expr(e) => Some(e.span),
        Sub::Domain(n, _) => Some(n.span),
        Sub::Ellipsis(s) => Some(*s),
    }
}
