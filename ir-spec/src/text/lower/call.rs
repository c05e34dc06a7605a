//! Statements on whole tensors: `Y = f(X)`, `Y = relu(X)`, `Y = X`, `Y = einsum(...)`.

use super::function::Binding;
use super::signature::Instance;
use super::statement::StatementCx;
use super::value::Bound;
use super::{Reported, unknown_name};
use crate::diag::{Code, Diagnostic};
use crate::graph::{Call, Function, FunctionNames};
use crate::int::{IntExpr, Symbol, display};
use crate::scalar::Func;
use crate::span::Span;
use crate::text::ast::{self, AssignOp, Expr, ExprKind, ProductOp, Sub, Target};
use crate::text::einsum::{self, Label};
use crate::{SizeId, TensorId};
use cranelift_entity::SecondaryMap;
use indexmap::IndexMap;
use std::rc::Rc;
use tcc_abi::DType;

/// True for a function whose parameters are all of rank 0 and that has one result: it may be called
/// in scalar position and lifts over tensors.
pub(super) fn is_scalar(f: &ast::Function) -> bool {
    let scalar = |g: &ast::Group| g.ty.dims.is_empty() && !g.ty.ellipsis;
    let one_result = f.results.iter().map(|g| g.names.len()).sum::<usize>() == 1;
    f.params.iter().all(scalar) && f.results.iter().all(scalar) && one_result
}

type Solved = SecondaryMap<SizeId, Option<IntExpr>>;

impl StatementCx<'_, '_> {
    /// Lowers the statement if it is one on whole tensors.
    pub(super) fn whole_tensors(&mut self, e: &ast::Equation) -> Option<Result<(), Reported>> {
        let bare = e.targets.iter().all(|t| t.subs.is_none());
        if !bare || !matches!(e.op, AssignOp::Plain) || e.guard.is_some() {
            return None;
        }
        match &e.value.unparen().kind {
            ExprKind::Einsum { equation, args } => Some(self.einsum(e, equation, args)),
            ExprKind::Name(_) => {
                let args = std::slice::from_ref(e.value.unparen());
                self.lift(e, args)
            }
            ExprKind::Call { name, args, sizes } => {
                let converts = matches!(name.text.as_str(), "cast" | "bitcast");
                if converts || Func::by_name(&name.text).is_some() {
                    return self.lift(e, args);
                }
                let Some(f) = self.function.module.find_function(&name.text) else {
                    return Some(Err(self.unknown_function(name)));
                };
                if is_scalar(&f) {
                    self.lift(e, args)
                } else {
                    Some(self.whole_call(e, &f, args, sizes))
                }
            }
            _ => None,
        }
    }

    /// The tensor of positive rank that an argument names.
    fn whole_argument(&self, arg: &Expr) -> Option<(TensorId, usize)> {
        let ExprKind::Name(n) = &arg.unparen().kind else { return None };
        match self.function.binding(n, self.writes(n)) {
            Some(Binding::Tensor(t)) => {
                let rank = self.function.function.tensors.get(t)?.shape.len();
                (rank > 0).then_some((t, rank))
            }
            _ => None,
        }
    }

    /// `Y = f(X)` with a scalar function, element by element: rewritten to `Y[i,..] = f(X[i,..])`.
    fn lift(&mut self, e: &ast::Equation, args: &[Expr]) -> Option<Result<(), Reported>> {
        let rank = args.iter().find_map(|a| self.whole_argument(a)).map(|(_, r)| r)?;
        let [target] = e.targets.as_slice() else { return None };
        let subs: Vec<Sub> = (0..rank)
            .map(|k| {
                let name = self.unused_index(&format!("i{k}"));
                Sub::Expr(Expr { kind: ExprKind::Name(name), span: e.span, depth: 1 })
            })
            .collect();
        let mut lifted = e.clone();
        lifted.targets = vec![Target { subs: Some(subs.clone()), ..target.clone() }];
        let access = |cx: &Self, a: &Expr| match (&a.unparen().kind, cx.whole_argument(a)) {
            (ExprKind::Name(n), Some(_)) => {
                let name = ast::Name { text: n.clone(), span: a.span };
                let kind = ExprKind::Access { name, subs: subs.clone(), default: None };
                Expr { kind, span: a.span, depth: 2 }
            }
            _ => a.clone(),
        };
        let value = e.value.unparen();
        lifted.value = match &value.kind {
            ExprKind::Call { name, args, sizes } => {
                let args = args.iter().map(|a| access(self, a)).collect();
                let kind = ExprKind::Call { name: name.clone(), args, sizes: sizes.clone() };
                Expr { kind, span: value.span, depth: 3 }
            }
            _ => access(self, value),
        };
        Some(StatementCx::new(self.function, &lifted, self.fix).lower(&lifted))
    }

    // ---- einsum

    fn einsum(
        &mut self,
        e: &ast::Equation,
        equation: &ast::Einsum,
        args: &[Expr],
    ) -> Result<(), Reported> {
        let [target] = e.targets.as_slice() else {
            let d = Diagnostic::new(Code::Rank, e.span, "`einsum` has one result");
            return Err(self.error(d));
        };
        let parsed = self.einsum_labels(equation, e.value.span)?;
        if parsed.inputs.len() != args.len() {
            let message = format!(
                "the equation has {} operand{}, but {} given",
                parsed.inputs.len(),
                if parsed.inputs.len() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(self.error(Diagnostic::new(Code::Rank, e.value.span, message)));
        }
        let mut names = LabelNames::default();
        let mut factors = Vec::new();
        let mut leading = 0;
        let mut operands = Vec::new();
        for (labels, arg) in parsed.inputs.iter().zip(args) {
            let (tensor, rank) = self.einsum_operand(arg)?;
            let named = labels.iter().filter(|l| **l != Label::Ellipsis).count();
            let open = labels.contains(&Label::Ellipsis);
            if rank < named || (rank > named && !open) {
                let message = format!(
                    "the operand has rank {rank}, its labels name {named} ax{}",
                    if named == 1 { "is" } else { "es" }
                );
                return Err(self.error(Diagnostic::new(Code::Rank, arg.span, message)));
            }
            leading = leading.max(rank - named);
            operands.push((tensor, labels, rank - named, arg));
        }
        for (tensor, labels, open, arg) in operands {
            let subs = self.einsum_subs(labels, (open, leading), Some(tensor), &mut names, e.span);
            factors.push((ProductOp::Mul, access_expr(arg, subs)));
        }
        let unknown = parsed
            .output
            .iter()
            .find(|l| **l != Label::Ellipsis && !parsed.inputs.iter().flatten().any(|k| k == *l));
        if let (Some(Label::Name(l)), None) = (unknown, self.function.target(&target.name.text)) {
            let d = Diagnostic::new(
                Code::Size,
                e.value.span,
                format!("label `{l}` of the result is in no operand, so its extent is not known"),
            )
            .help(format!("declare the result: `let {}: f32[...]`", target.name.text));
            return Err(self.error(d));
        }
        let subs = self.einsum_subs(&parsed.output, (leading, leading), None, &mut names, e.span);
        let mut rewritten = e.clone();
        rewritten.targets = vec![Target { subs: Some(subs), ..target.clone() }];
        rewritten.value = match factors.len() {
            0 => Expr { kind: ExprKind::Int("1".to_owned()), span: e.value.span, depth: 1 },
            1 => factors.pop().map(|(_, f)| f).ok_or(Reported)?,
            _ => Expr { kind: ExprKind::Product(factors), span: e.value.span, depth: 3 },
        };
        let mut cx = StatementCx::new(self.function, &rewritten, self.fix);
        cx.explicit_sums = true;
        cx.lower(&rewritten)
    }

    fn einsum_labels(
        &mut self,
        equation: &ast::Einsum,
        span: Span,
    ) -> Result<einsum::Einsum, Reported> {
        match equation {
            ast::Einsum::Text(text, at) => {
                einsum::parse(text).map_err(|m| self.error(Diagnostic::new(Code::Parse, *at, m)))
            }
            ast::Einsum::Labels { inputs, output } => {
                let list = |names: &[ast::Name]| {
                    names.iter().map(|n| Label::Name(n.text.clone())).collect::<Vec<_>>()
                };
                let _ = span;
                Ok(einsum::Einsum {
                    inputs: inputs.iter().map(|l| list(l)).collect(),
                    output: list(output),
                    explicit: true,
                })
            }
        }
    }

    fn einsum_operand(&mut self, arg: &Expr) -> Result<(TensorId, usize), Reported> {
        if let ExprKind::Name(n) = &arg.unparen().kind {
            match self.function.binding(n, self.writes(n)) {
                Some(Binding::Tensor(t)) => {
                    let rank = self.function.function.tensors.get(t).map_or(0, |t| t.shape.len());
                    return Ok((t, rank));
                }
                Some(Binding::Failed) => return Err(Reported),
                None => {
                    let known = self.function.function.tensors.values().map(|t| t.name.as_str());
                    let d = unknown_name("tensor", n, arg.span, known);
                    return Err(self.error(d));
                }
            }
        }
        let d = Diagnostic::new(Code::Type, arg.span, "an operand of `einsum` is a tensor's name");
        Err(self.error(d))
    }

    /// Subscripts for labels; `...` stands for the last `open` of the equation's leading axes. With
    /// `@bcast` an axis of extent 1 is read at slot 0.
    fn einsum_subs(
        &self,
        labels: &[Label],
        (open, leading): (usize, usize),
        tensor: Option<TensorId>,
        names: &mut LabelNames,
        span: Span,
    ) -> Vec<Sub> {
        let mut out = Vec::new();
        let mut push = |key: Label, text: String| {
            let name = names.get(key, || self.unused_index(&text));
            out.push(Sub::Expr(Expr { kind: ExprKind::Name(name), span, depth: 1 }));
        };
        for l in labels {
            match l {
                Label::Name(n) => push(l.clone(), n.clone()),
                Label::Ellipsis => {
                    for k in leading - open..leading {
                        push(Label::Name(format!("...{k}")), format!("l{k}"));
                    }
                }
            }
        }
        let shape = tensor.and_then(|t| self.function.function.tensors.get(t)).map(|t| &t.shape);
        if let (Some(shape), true) = (shape, self.attributes.bcast) {
            for (sub, extent) in out.iter_mut().zip(shape) {
                if extent.as_constant() == Some(1) {
                    let kind = ExprKind::Int("0".to_owned());
                    *sub = Sub::Expr(Expr { kind, span, depth: 1 });
                }
            }
        }
        out
    }

    // ---- calls

    fn whole_call(
        &mut self,
        e: &ast::Equation,
        f: &Rc<ast::Function>,
        args: &[Expr],
        sizes: &[(ast::Name, Expr)],
    ) -> Result<(), Reported> {
        let params: Vec<(&ast::Group, &ast::Name)> =
            f.params.iter().flat_map(|g| g.names.iter().map(move |n| (g, n))).collect();
        self.check_counts(e, f, params.len(), args.len())?;
        let mut given = Vec::new();
        for (arg, (group, _)) in args.iter().zip(&params) {
            given.push(self.argument(arg, group)?);
        }
        let instance = self.instantiate(e, f, &params, &given)?;
        let name = instance_name(f, &instance);
        self.function.module.lower_instance(f, &name, &instance)?;
        let callee = self.function.module.module.functions.get(&name).cloned().ok_or(Reported)?;
        let mut arguments = Vec::new();
        for (g, p) in given.into_iter().zip(&callee.params) {
            arguments.push(self.bind_argument(g, *p, &callee)?);
        }
        let mut solved: Solved = SecondaryMap::new();
        for (name, value) in sizes {
            self.named_size(name, value, &callee, &mut solved)?;
        }
        self.solve_call(e, &callee, &arguments, &mut solved)?;
        let results = self.call_results(e, &callee, &solved)?;
        let sizes = callee.sizes.keys().map(|s| solved[s].clone().unwrap_or_default()).collect();
        let call = Call { callee: name, arguments, results, sizes, span: e.span };
        self.function.pending.calls.push(call);
        Ok(())
    }

    fn check_counts(
        &mut self,
        e: &ast::Equation,
        f: &ast::Function,
        params: usize,
        args: usize,
    ) -> Result<(), Reported> {
        let results = f.results.iter().map(|g| g.names.len()).sum::<usize>();
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let message = if params != args {
            let name = &f.name.text;
            format!("`{name}` takes {params} argument{}, but {args} given", plural(params))
        } else if results != e.targets.len() {
            let (name, n) = (&f.name.text, e.targets.len());
            format!("`{name}` has {results} result{}, but {n} on the left side", plural(results))
        } else if f.params.iter().any(|g| g.modifier == ast::Modifier::Inout) {
            let d = Diagnostic::new(
                Code::Unsupported,
                e.value.span,
                format!("`{}` updates a parameter in place and cannot be called", f.name.text),
            )
            .help("return the new value as a result");
            return Err(self.error(d));
        } else {
            return Ok(());
        };
        let d =
            Diagnostic::new(Code::Rank, e.value.span, message).label(f.name.span, "declared here");
        Err(self.error(d))
    }

    fn argument<'e>(&mut self, arg: &'e Expr, group: &ast::Group) -> Result<Given<'e>, Reported> {
        if let ExprKind::Name(n) = &arg.unparen().kind {
            match self.function.binding(n, self.writes(n)) {
                Some(Binding::Tensor(t)) => return Ok(Given::Tensor(t, arg.span)),
                Some(Binding::Failed) => return Err(Reported),
                None => {}
            }
        }
        if group.ty.dims.is_empty() && !group.ty.ellipsis {
            return Ok(Given::Value(arg));
        }
        let d = match &arg.unparen().kind {
            ExprKind::Name(n) => {
                let known = self.function.function.tensors.values().map(|t| t.name.as_str());
                unknown_name("tensor", n, arg.span, known)
            }
            _ => Diagnostic::new(Code::Type, arg.span, "an argument is a tensor's name")
                .help("give the value a name on a line of its own"),
        };
        Err(self.error(d))
    }

    /// Element types and the number of leading axes, from the arguments; element types that no
    /// argument shows, from declared results.
    fn instantiate(
        &mut self,
        e: &ast::Equation,
        f: &ast::Function,
        params: &[(&ast::Group, &ast::Name)],
        given: &[Given<'_>],
    ) -> Result<Instance, Reported> {
        let mut instance = Instance::default();
        let mut leading = None;
        for ((group, param), g) in params.iter().zip(given) {
            let Given::Tensor(t, at) = g else { continue };
            let Some(t) = self.function.function.tensors.get(*t) else { return Err(Reported) };
            let (dtype, rank) = (t.dtype, t.shape.len());
            let generic = f.generics.iter().find(|(n, _)| n.text == group.ty.dtype.text);
            if let Some((name, class)) = generic {
                self.bind_dtype(&mut instance, name, class, dtype, *at)?;
            }
            let fixed = group.ty.dims.len();
            let fits = if group.ty.ellipsis { rank >= fixed } else { rank == fixed };
            if !fits {
                let message = format!(
                    "parameter `{}` has {}rank {fixed}, the argument has rank {rank}",
                    param.text,
                    if group.ty.ellipsis { "at least " } else { "" }
                );
                let d =
                    Diagnostic::new(Code::Rank, *at, message).label(param.span, "declared here");
                return Err(self.error(d));
            }
            if group.ty.ellipsis {
                let have = rank - fixed;
                if *leading.get_or_insert(have) != have {
                    let message = format!(
                        "`...` stands for {} axes in one argument and {have} in another",
                        leading.unwrap_or(0)
                    );
                    return Err(self.error(Diagnostic::new(Code::Rank, *at, message)));
                }
            }
        }
        instance.leading = leading.unwrap_or(0);
        self.result_dtypes(e, f, &mut instance)?;
        for (name, _) in &f.generics {
            if !instance.dtypes.contains_key(&name.text) {
                let d = Diagnostic::new(
                    Code::Type,
                    e.value.span,
                    format!("no argument shows the element type `{}`", name.text),
                )
                .help("declare the result with `let`");
                return Err(self.error(d));
            }
        }
        Ok(instance)
    }

    /// Element types that no argument shows, from results that the caller declares.
    fn result_dtypes(
        &mut self,
        e: &ast::Equation,
        f: &ast::Function,
        instance: &mut Instance,
    ) -> Result<(), Reported> {
        let formals = f.results.iter().flat_map(|g| g.names.iter().map(move |_| &g.ty.dtype));
        for (formal, target) in formals.zip(&e.targets) {
            let Some(Binding::Tensor(t)) = self.function.target(&target.name.text) else {
                continue;
            };
            let dtype = self.function.function.tensors.get(t).map(|t| t.dtype);
            let generic = f.generics.iter().find(|(n, _)| n.text == formal.text);
            if let (Some((name, class)), Some(dtype)) = (generic, dtype)
                && !instance.dtypes.contains_key(&name.text)
            {
                self.bind_dtype(instance, name, class, dtype, target.span)?;
            }
        }
        Ok(())
    }

    fn bind_dtype(
        &mut self,
        instance: &mut Instance,
        name: &ast::Name,
        class: &ast::Name,
        dtype: DType,
        at: Span,
    ) -> Result<(), Reported> {
        let allowed = self.function.module.class_types(class)?;
        let message = match instance.dtypes.get(&name.text) {
            Some(d) if *d != dtype => {
                format!(
                    "element type `{}` is {d} in one argument and {dtype} in another",
                    name.text
                )
            }
            None if !allowed.contains(&dtype) => {
                format!("element type {dtype} is not of class `{}`", class.text)
            }
            _ => {
                instance.dtypes.insert(name.text.clone(), dtype);
                return Ok(());
            }
        };
        Err(self.error(Diagnostic::new(Code::Type, at, message)))
    }

    /// The tensor that is passed: the argument's own, or a constant given a name.
    fn bind_argument(
        &mut self,
        g: Given<'_>,
        param: TensorId,
        callee: &Function,
    ) -> Result<TensorId, Reported> {
        let Some(p) = callee.tensors.get(param) else { return Err(Reported) };
        match g {
            Given::Tensor(t, at) => {
                let have = self.function.function.tensors.get(t).map(|t| t.dtype);
                if have != Some(p.dtype) {
                    let message = format!(
                        "parameter `{}` holds {}, the argument {}",
                        p.name,
                        p.dtype,
                        have.map_or(String::new(), |d| d.to_string())
                    );
                    return Err(self.error(Diagnostic::new(Code::Type, at, message)));
                }
                Ok(t)
            }
            Given::Value(e) => {
                let h = self.resolve(e, super::resolve::Cover::default())?;
                let value = self.typed_value(&h, &Bound::default(), Some(p.dtype), e.span)?;
                if value.dtype() != p.dtype {
                    let message = format!(
                        "parameter `{}` holds {}, the argument has type {}",
                        p.name,
                        p.dtype,
                        value.dtype()
                    );
                    return Err(self.error(Diagnostic::new(Code::Type, e.span, message)));
                }
                let stem = self.stem.clone();
                let t = self.function.fresh_tensor(&stem, p.dtype, vec![], e.span);
                let none = crate::graph::Attributes::default();
                let equation = self.build(vec![], None, value, None, &[], none);
                self.function.define(t, equation, self.fix);
                Ok(t)
            }
        }
    }

    fn named_size(
        &mut self,
        name: &ast::Name,
        value: &Expr,
        callee: &Function,
        solved: &mut Solved,
    ) -> Result<(), Reported> {
        let Some(size) = callee.size_by_name(&name.text) else {
            let known = callee.sizes.values().map(|s| s.name.as_str());
            let d = unknown_name("size", &name.text, name.span, known);
            return Err(self.error(d));
        };
        if solved[size].is_some() {
            let message = format!("size `{}` is given twice", name.text);
            return Err(self.error(Diagnostic::new(Code::Name, name.span, message)));
        }
        match self.int_expr(value)? {
            Some(v) if !v.mentions_vars() => {
                solved[size] = Some(v);
                Ok(())
            }
            _ => {
                let d = Diagnostic::new(Code::Size, value.span, "a size is an expression of sizes");
                Err(self.error(d))
            }
        }
    }

    /// Finds the callee's sizes from arguments and declared results, and checks all of them.
    fn solve_call(
        &mut self,
        e: &ast::Equation,
        callee: &Function,
        arguments: &[TensorId],
        solved: &mut Solved,
    ) -> Result<(), Reported> {
        let mut pairs: Vec<(IntExpr, IntExpr, String)> = Vec::new();
        let mut collect = |cx: &Self, formal: TensorId, actual: TensorId| {
            let (Some(p), Some(a)) =
                (callee.tensors.get(formal), cx.function.function.tensors.get(actual))
            else {
                return;
            };
            for (axis, (x, y)) in p.shape.iter().zip(&a.shape).enumerate() {
                pairs.push((x.clone(), y.clone(), format!("axis {axis} of `{}`", p.name)));
            }
        };
        for (formal, actual) in callee.params.iter().zip(arguments) {
            collect(self, *formal, *actual);
        }
        for (formal, target) in callee.results.iter().zip(&e.targets) {
            if let Some(Binding::Tensor(t)) = self.function.target(&target.name.text) {
                let rank = |t: Option<&crate::graph::Tensor>| t.map_or(0, |t| t.shape.len());
                let have = rank(self.function.function.tensors.get(t));
                let want = rank(callee.tensors.get(*formal));
                if have != want {
                    let message = format!(
                        "the result has rank {want}, `{}` has rank {have}",
                        target.name.text
                    );
                    return Err(self.error(Diagnostic::new(Code::Rank, target.span, message)));
                }
                collect(self, *formal, t);
            }
        }
        while pairs.iter().any(|(formal, actual, _)| self.solve_extent(formal, actual, solved)) {}
        let missing: Vec<&str> = callee
            .sizes
            .iter()
            .filter(|(s, _)| solved[*s].is_none())
            .map(|(_, size)| size.name.as_str())
            .collect();
        if let Some(first) = missing.first() {
            let message =
                format!("no argument shows size `{}` of the callee", missing.join("`, `"));
            let d = Diagnostic::new(Code::Size, e.value.span, message).help(format!(
                "name it in the call: `{first}=4`, or declare the result with `let`"
            ));
            return Err(self.error(d));
        }
        for (formal, actual, place) in &pairs {
            let value = substitute(formal, solved);
            if !self.function.facts.equal(&value, actual) {
                let names = FunctionNames(&self.function.function);
                let want = display(&value, &names).to_string();
                let have = display(actual, &names).to_string();
                let message =
                    format!("{place} of the callee has extent {want}, but {have} is given");
                let d = Diagnostic::new(Code::Size, e.value.span, message);
                return Err(self.error(d));
            }
        }
        Ok(())
    }

    /// Solves one extent for its only unknown size; true if that found a value.
    fn solve_extent(&self, formal: &IntExpr, actual: &IntExpr, solved: &mut Solved) -> bool {
        let mut unknown: Vec<SizeId> = Vec::new();
        formal.visit_symbols(&mut |s| {
            if let Symbol::Size(s) = s
                && solved[s].is_none()
                && !unknown.contains(&s)
            {
                unknown.push(s);
            }
        });
        let [size] = unknown.as_slice() else { return false };
        let marker = IntExpr::symbol(Symbol::Var(MARKER));
        let open = formal.substitute(&|s| match s {
            Symbol::Size(s) if s == *size => Some(marker.clone()),
            Symbol::Size(s) => solved[s].clone(),
            Symbol::Var(_) => None,
        });
        let Some((factor, rest)) = open.linear_in(MARKER) else { return false };
        let numerator = actual - &rest;
        let value = numerator.exact_quotient(&factor).unwrap_or_else(|| numerator.div(&factor));
        let exact = factor.as_constant() == Some(1)
            || self.function.facts.equal(&(&value * &factor), &numerator);
        if !exact || factor.as_constant() == Some(0) {
            return false;
        }
        solved[*size] = Some(value);
        true
    }

    fn call_results(
        &mut self,
        e: &ast::Equation,
        callee: &Function,
        solved: &Solved,
    ) -> Result<Vec<TensorId>, Reported> {
        let mut out = Vec::new();
        for (formal, target) in callee.results.iter().zip(&e.targets) {
            let Some(r) = callee.tensors.get(*formal) else { return Err(Reported) };
            let t = match self.function.target(&target.name.text) {
                Some(Binding::Failed) => return Err(Reported),
                Some(Binding::Tensor(t)) => t,
                None => {
                    let shape = r.shape.iter().map(|x| substitute(x, solved)).collect();
                    self.function.add_tensor(&target.name.text, r.dtype, shape, target.name.span)
                }
            };
            let have = self.function.function.tensors.get(t).map(|t| (t.dtype, t.role));
            if have.is_some_and(|(d, _)| d != r.dtype) {
                let message = format!(
                    "the result has type {}, `{}` holds {}",
                    r.dtype,
                    target.name.text,
                    have.map_or(String::new(), |(d, _)| d.to_string())
                );
                return Err(self.error(Diagnostic::new(Code::Type, target.span, message)));
            }
            let taken = self.function.pending.definitions.contains_key(&t)
                || self.function.pending.calls.iter().any(|c| c.results.contains(&t))
                || have.is_some_and(|(_, role)| role.is_parameter())
                || out.contains(&t);
            if taken {
                let message = format!("`{}` already has a value", target.name.text);
                return Err(self.error(Diagnostic::new(Code::Redef, target.span, message)));
            }
            out.push(t);
        }
        Ok(out)
    }
}

/// Stands for the unknown size while an extent is solved.
const MARKER: crate::VarId = crate::VarId::MARKER;

fn substitute(e: &IntExpr, solved: &Solved) -> IntExpr {
    e.substitute(&|s| match s {
        Symbol::Size(s) => solved[s].clone(),
        Symbol::Var(_) => None,
    })
}

/// An argument as given.
enum Given<'e> {
    Tensor(TensorId, Span),
    Value(&'e Expr),
}

fn instance_name(f: &ast::Function, instance: &Instance) -> String {
    let ellipsis = f.params.iter().chain(&f.results).any(|g| g.ty.ellipsis);
    if instance.dtypes.is_empty() && !ellipsis {
        return f.name.text.clone();
    }
    let mut name = format!("{}_", f.name.text);
    for d in instance.dtypes.values() {
        name.push_str(&format!("_{d}"));
    }
    if ellipsis {
        name.push_str(&format!("_{}", instance.leading));
    }
    name
}

fn access_expr(arg: &Expr, subs: Vec<Sub>) -> Expr {
    match &arg.unparen().kind {
        ExprKind::Name(n) if !subs.is_empty() => {
            let name = ast::Name { text: n.clone(), span: arg.span };
            Expr { kind: ExprKind::Access { name, subs, default: None }, span: arg.span, depth: 2 }
        }
        _ => arg.unparen().clone(),
    }
}

/// Index names given to labels.
#[derive(Default)]
struct LabelNames(IndexMap<Label, String>);

impl LabelNames {
    fn get(&mut self, label: Label, make: impl FnOnce() -> String) -> String {
        if let Some(n) = self.0.get(&label) {
            return n.clone();
        }
        let mut name = make();
        while self.0.values().any(|n| *n == name) {
            name.insert(0, '_');
        }
        self.0.insert(label, name.clone());
        name
    }
}
