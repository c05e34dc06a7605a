//! Schedules.

use super::constant::Constant;
use super::integer::{self, IntScope};
use super::{ModuleCx, Reported, unknown_name};
use crate::VarId;
use crate::diag::{Code, Diagnostic};
use crate::int::IntExpr;
use crate::kernel::{Axis, Scope};
use crate::schedule::{Directive, Fill, Layout, Permission, Primitive, Schedule, Tail};
use crate::span::Span;
use crate::text::ast::{self, Expr, ExprKind, Sub};
use cranelift_entity::PrimaryMap;

/// Reads a schedule and adds it to the module.
pub(super) fn lower_schedule(module: &mut ModuleCx, s: &ast::Schedule) -> Result<(), Reported> {
    let name = &s.kernel;
    if module.module.schedules.contains_key(&name.text) {
        let message = format!("kernel `{}` has two schedules", name.text);
        return Err(module.error(Diagnostic::new(Code::Name, name.span, message)));
    }
    // Kernels of functions are made later.
    let known = &module.declared_kernels;
    if !known.contains(&name.text) && module.declared.is_empty() {
        let names = known.iter().map(String::as_str);
        let d = unknown_name("kernel", &name.text, name.span, names);
        return Err(module.error(d));
    }
    let mut directives = Vec::new();
    let mut outcome = Ok(());
    for d in &s.directives {
        match directive(module, d) {
            Ok(d) => directives.push(d),
            Err(d) => outcome = Err(module.error(*d)),
        }
    }
    outcome?;
    let schedule = Schedule { kernel: name.text.clone(), directives };
    module.module.schedules.insert(name.text.clone(), schedule);
    Ok(())
}

/// What reading a part of a directive gives.
type Read<T> = Result<T, Box<Diagnostic>>;

fn directive(module: &mut ModuleCx, d: &ast::Directive) -> Read<Directive> {
    let permission = d.permission.as_ref().map(permission).transpose()?;
    let primitive = match d.name.text.as_str() {
        "tensorize" => tensorize(module, &Arguments(d))?,
        _ => primitive(&Arguments(d))?,
    };
    Ok(Directive { primitive, permission, span: d.span })
}

fn tensorize(module: &mut ModuleCx, a: &Arguments<'_>) -> Read<Primitive> {
    let [] = a.outputs("loop")?;
    let [target, intrinsic] = a.positional("a loop and an intrinsic")?;
    a.options(&[])?;
    let called = name(intrinsic, "an intrinsic")?;
    let called = ast::Name { text: called, span: intrinsic.span };
    let intrinsic = module.intrinsic_named(&called).map_err(Box::new)?;
    Ok(Primitive::Tensorize { target: name(target, "a loop")?, intrinsic })
}

fn primitive(a: &Arguments<'_>) -> Read<Primitive> {
    let d = a.0;
    Ok(match d.name.text.as_str() {
        "split" => split(a)?,
        "fuse" => {
            let [fused] = a.outputs("loop")?;
            a.options(&[])?;
            Primitive::Fuse { targets: a.several_loops()?, fused }
        }
        "tile" => tile(a)?,
        "reorder" => {
            let [] = a.outputs("loop")?;
            a.options(&[])?;
            Primitive::Reorder(d.args.iter().map(|e| name(e, "a loop")).collect::<Read<_>>()?)
        }
        "unroll" => Primitive::Unroll(a.one_loop()?),
        "vectorize" => Primitive::Vectorize(a.one_loop()?),
        "parallel" => Primitive::Parallel(a.one_loop()?),
        "compute_at" | "reverse_compute_at" => {
            let [] = a.outputs("block")?;
            let [block, target] = a.positional("a block and a loop")?;
            a.options(&[])?;
            let (block, target) = (name(block, "a block")?, name(target, "a loop")?);
            match d.name.text.as_str() {
                "compute_at" => Primitive::ComputeAt { block, target },
                _ => Primitive::ReverseComputeAt { block, target },
            }
        }
        "inline" => Primitive::Inline(a.one_block()?),
        "reverse_inline" => Primitive::ReverseInline(a.one_block()?),
        "pad" => pad(a)?,
        "pipeline" => {
            let [] = a.outputs("buffer")?;
            let [target, block] = a.positional("a loop and a block")?;
            a.options(&["depth"])?;
            let depth = a.option("depth").map_or(Ok(2), number)?;
            let (target, block) = (name(target, "a loop")?, name(block, "a block")?);
            Primitive::Pipeline { target, block, depth }
        }
        "bind" => {
            let [] = a.outputs("loop")?;
            let [target, axis] = a.positional("a loop and an axis")?;
            a.options(&[])?;
            Primitive::Bind { target: name(target, "a loop")?, axis: grid_axis(axis)? }
        }
        _ => return memory_primitive(a),
    })
}

/// Directives about buffers.
fn memory_primitive(a: &Arguments<'_>) -> Read<Primitive> {
    let d = a.0;
    Ok(match d.name.text.as_str() {
        "cache_read" => {
            let [cache] = a.outputs("buffer")?;
            let [block, buffer] = a.positional("a block and a buffer")?;
            let (at, scope) = a.place()?;
            let (block, buffer) = (name(block, "a block")?, name(buffer, "a buffer")?);
            Primitive::CacheRead { block, buffer, at, scope, cache }
        }
        "cache_write" => {
            let [cache] = a.outputs("buffer")?;
            let [block] = a.positional("one block")?;
            let (at, scope) = a.place()?;
            Primitive::CacheWrite { block: name(block, "a block")?, at, scope, cache }
        }
        "set_scope" => {
            let [] = a.outputs("buffer")?;
            let [buffer, scope] = a.positional("a buffer and a memory scope")?;
            a.options(&[])?;
            Primitive::SetScope { buffer: name(buffer, "a buffer")?, scope: memory(scope)? }
        }
        "decompose_reduction" => {
            let [start] = a.outputs("block")?;
            let [block, target] = a.positional("a block and a loop")?;
            a.options(&[])?;
            let (block, target) = (name(block, "a block")?, name(target, "a loop")?);
            Primitive::DecomposeReduction { block, target, start }
        }
        "rfactor" => {
            let [partial] = a.outputs("buffer")?;
            let [block, target] = a.positional("a block and a loop")?;
            let (at, scope) = a.place()?;
            let (block, target) = (name(block, "a block")?, name(target, "a loop")?);
            Primitive::Rfactor { block, target, at, scope, partial }
        }
        "transform_layout" => {
            let [] = a.outputs("buffer")?;
            let [from, to] = a.positional("two accesses of a buffer")?;
            a.options(&[])?;
            let (buffer, layout) = layout(from, to, None)?;
            Primitive::TransformLayout { buffer, layout }
        }
        "pack" => {
            let [cache] = a.outputs("buffer")?;
            let [block, from, to] =
                a.positional("a block, an access of what it reads and one of the copy")?;
            let (at, scope) = a.place()?;
            let (buffer, layout) = layout(from, to, Some(&cache))?;
            Primitive::Pack { block: name(block, "a block")?, buffer, layout, at, scope, cache }
        }
        other => {
            let known = Primitive::NAMES.into_iter();
            return Err(Box::new(unknown_name("directive", other, d.name.span, known)));
        }
    })
}

fn split(a: &Arguments<'_>) -> Read<Primitive> {
    let [outer, inner] = a.outputs("loop")?;
    let [target, factor] = a.positional("a loop and a factor")?;
    a.options(&["tail"])?;
    let (target, factor) = (name(target, "a loop")?, number(factor)?);
    Ok(Primitive::Split { target, factor, tail: a.tail()?, outer, inner })
}

fn tile(a: &Arguments<'_>) -> Read<Primitive> {
    let d = a.0;
    let is_factor = |e: &Expr| !matches!(e.kind, ExprKind::Name(_));
    let rank = d.args.iter().position(is_factor).unwrap_or(d.args.len());
    let (targets, factors) = d.args.split_at(rank);
    if rank == 0 || factors.len() != rank {
        let message = format!(
            "`tile` takes loops, then as many factors, but {rank} and {} are given",
            factors.len()
        );
        return Err(mistake(Code::Rank, d.span, message));
    }
    let mut outer: Vec<String> = a.output_names(2 * rank, "loop")?;
    a.options(&["tail"])?;
    let inner = outer.split_off(rank);
    Ok(Primitive::Tile {
        targets: targets.iter().map(|e| name(e, "a loop")).collect::<Read<_>>()?,
        factors: factors.iter().map(number).collect::<Read<_>>()?,
        tail: a.tail()?,
        outer,
        inner,
    })
}

fn pad(a: &Arguments<'_>) -> Read<Primitive> {
    let [] = a.outputs("buffer")?;
    let [block] = a.positional("a block, and its variables with multiples")?;
    let given: Vec<&str> = a.0.options.iter().map(|(n, _)| n.text.as_str()).collect();
    a.options(&given)?;
    let fill = a
        .option("fill")
        .map_or(Ok(Fill::Zero), |e| known("a fill", e, Fill::ALL.into_iter(), Fill::name))?;
    let variables = a.0.options.iter().filter(|(n, _)| n.text != "fill");
    let multiples: Vec<(String, i64)> =
        variables.map(|(n, e)| Ok((n.text.clone(), number(e)?))).collect::<Read<_>>()?;
    if multiples.is_empty() {
        let message = "`pad` needs a variable of the block with a multiple";
        let d = Diagnostic::new(Code::Rank, a.0.span, message);
        return Err(Box::new(d.help("write `pad(block, m=8)`")));
    }
    Ok(Primitive::Pad { block: name(block, "a block")?, multiples, fill })
}

fn grid_axis(e: &Expr) -> Read<Axis> {
    known("an axis", e, Axis::ALL.into_iter(), Axis::name)
}

/// One of several values that go by names.
fn known<T: Copy>(
    what: &str,
    e: &Expr,
    values: impl Iterator<Item = T> + Clone,
    name_of: fn(T) -> &'static str,
) -> Read<T> {
    let ExprKind::Name(given) = &e.kind else {
        let all: Vec<String> = values.map(|v| format!("`{}`", name_of(v))).collect();
        let d = Diagnostic::new(Code::Parse, e.span, format!("expected the name of {what}"));
        return Err(Box::new(d.help(format!("there are: {}", all.join(", ")))));
    };
    // Without the article.
    let what = what.split_once(' ').map_or(what, |(_, noun)| noun);
    values
        .clone()
        .find(|v| name_of(*v) == given)
        .ok_or_else(|| Box::new(unknown_name(what, given, e.span, values.map(name_of))))
}

/// The buffer of the first access, and where the second one puts its elements.
fn layout(from: &Expr, to: &Expr, cache: Option<&String>) -> Read<(String, Layout)> {
    let (buffer, axes) = access(from)?;
    let (target, subscripts) = access(to)?;
    let wanted = cache.unwrap_or(&buffer);
    if target != *wanted {
        let message = format!("expected an access of `{wanted}`, found one of `{target}`");
        return Err(mistake(Code::Name, to.span, message));
    }
    let mut names: PrimaryMap<VarId, String> = PrimaryMap::new();
    for e in axes {
        let axis = name(e, "an axis")?;
        if names.values().any(|n| *n == axis) {
            let message = format!("axis `{axis}` is named twice");
            return Err(mistake(Code::Name, e.span, message));
        }
        names.push(axis);
    }
    let mut scope = Axes { names: &names, mistake: None };
    let mut out = Vec::new();
    for e in subscripts {
        match integer::read(&mut scope, e) {
            Ok(Some(i)) if !i.is_poisoned() => out.push(i),
            Ok(_) => {
                let message = "a layout consists of integer expressions of the axes";
                return Err(mistake(Code::Type, e.span, message));
            }
            Err(Reported) => {
                return Err(scope.mistake.take().unwrap_or_else(|| {
                    mistake(Code::Type, e.span, "a layout consists of integer expressions")
                }));
            }
        }
    }
    Ok((buffer, Layout { axes: names, subscripts: out }))
}

/// The name and the subscripts of an access.
fn access(e: &Expr) -> Read<(String, Vec<&Expr>)> {
    let expected = || mistake(Code::Parse, e.span, "expected an access of a buffer");
    match &e.kind {
        ExprKind::Name(n) => Ok((n.clone(), vec![])),
        ExprKind::Access { name, subs, default: None } => {
            let each = subs.iter().map(|s| match s {
                Sub::Expr(e) => Ok(e),
                Sub::Domain(..) | Sub::Ellipsis(_) => Err(expected()),
            });
            Ok((name.text.clone(), each.collect::<Read<_>>()?))
        }
        _ => Err(expected()),
    }
}

/// The names of axes in a layout.
struct Axes<'a> {
    names: &'a PrimaryMap<VarId, String>,
    mistake: Option<Box<Diagnostic>>,
}

impl IntScope for Axes<'_> {
    fn int_name(&mut self, name: &str, span: Span) -> Result<Option<IntExpr>, Reported> {
        match self.names.iter().find(|(_, n)| *n == name) {
            Some((v, _)) => Ok(Some(v.into())),
            None => {
                let known = self.names.values().map(String::as_str);
                Err(self.report(unknown_name("axis", name, span, known)))
            }
        }
    }

    fn int_literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported> {
        Constant::parse(text).ok_or_else(|| {
            let d = Diagnostic::new(Code::Limit, span, "the literal has too many digits");
            self.report(d)
        })
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.mistake = Some(Box::new(diagnostic));
        Reported
    }
}

fn permission(name: &ast::Name) -> Read<Permission> {
    let found = Permission::ALL.into_iter().find(|p| p.name() == name.text);
    found.ok_or_else(|| {
        let known = Permission::ALL.into_iter().map(Permission::name);
        Box::new(unknown_name("permission", &name.text, name.span, known))
    })
}

/// What stands around the name of a directive.
struct Arguments<'a>(&'a ast::Directive);

impl Arguments<'_> {
    /// The names of the `N` things that the directive makes.
    fn outputs<const N: usize>(&self, what: &str) -> Read<[String; N]> {
        let names = self.output_names(N, what)?;
        names.try_into().map_err(|_| unreachable!("the names were counted"))
    }

    fn output_names(&self, count: usize, what: &str) -> Read<Vec<String>> {
        let d = self.0;
        if d.outputs.len() == count {
            return Ok(d.outputs.iter().map(|n| n.text.clone()).collect());
        }
        let (name, given) = (&d.name.text, d.outputs.len());
        let message = match count {
            0 => format!("`{name}` makes nothing that could be named"),
            1 => format!("`{name}` makes one {what}, but names are given for {given}"),
            _ => format!("`{name}` makes {count} {what}s, but names are given for {given}"),
        };
        Err(mistake(Code::Rank, d.span, message))
    }

    /// The arguments without a name; `what` tells of what kind they are.
    fn positional<const N: usize>(&self, what: &str) -> Read<&[Expr; N]> {
        let d = self.0;
        d.args.as_slice().try_into().map_err(|_| {
            let (name, given) = (&d.name.text, d.args.len());
            let are = if given == 1 { "argument is" } else { "arguments are" };
            let message = format!("`{name}` takes {what}, but {given} {are} given");
            mistake(Code::Rank, d.span, message)
        })
    }

    /// Refuses options that are not known or stand twice.
    fn options(&self, known: &[&str]) -> Read<()> {
        let d = self.0;
        for (n, (option, _)) in d.options.iter().enumerate() {
            let text = option.text.as_str();
            if !known.contains(&text) {
                let message = format!("`{}` has no option `{text}`", d.name.text);
                let help = match known {
                    [] => "it has none".to_owned(),
                    list => format!("it has: {}", list.join(", ")),
                };
                let mistake = Diagnostic::new(Code::Name, option.span, message).help(help);
                return Err(Box::new(mistake));
            }
            if d.options.iter().take(n).any(|(other, _)| other.text == text) {
                let message = format!("`{text}` is given twice");
                return Err(mistake(Code::Parse, option.span, message));
            }
        }
        Ok(())
    }

    fn option(&self, name: &str) -> Option<&Expr> {
        self.0.options.iter().find(|(n, _)| n.text == name).map(|(_, e)| e)
    }

    /// The loop of a directive that takes nothing else and makes nothing.
    fn one_loop(&self) -> Read<String> {
        let [] = self.outputs("loop")?;
        let [target] = self.positional("one loop")?;
        self.options(&[])?;
        name(target, "a loop")
    }

    /// The block of a directive that takes nothing else and makes nothing.
    fn one_block(&self) -> Read<String> {
        let [] = self.outputs("block")?;
        let [block] = self.positional("one block")?;
        self.options(&[])?;
        name(block, "a block")
    }

    fn several_loops(&self) -> Read<Vec<String>> {
        let d = self.0;
        if d.args.len() < 2 {
            let given = d.args.len();
            let are = if given == 1 { "argument is" } else { "arguments are" };
            let message =
                format!("`{}` takes two loops or more, but {given} {are} given", d.name.text);
            return Err(mistake(Code::Rank, d.span, message));
        }
        d.args.iter().map(|e| name(e, "a loop")).collect()
    }

    /// The loop and the scope of a buffer that the directive makes.
    fn place(&self) -> Read<(Option<String>, Scope)> {
        self.options(&["at", "scope"])?;
        let at = self.option("at").map(|e| name(e, "a loop")).transpose()?;
        let scope = self.option("scope").map_or(Ok(Scope::Local), memory)?;
        Ok((at, scope))
    }

    fn tail(&self) -> Read<Tail> {
        self.option("tail").map_or(Ok(Tail::Guard), tail)
    }
}

fn mistake(code: Code, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(code, span, message))
}

fn name(e: &Expr, what: &str) -> Read<String> {
    match &e.kind {
        ExprKind::Name(n) => Ok(n.clone()),
        _ => Err(mistake(Code::Parse, e.span, format!("expected the name of {what}"))),
    }
}

fn memory(e: &Expr) -> Read<Scope> {
    known("a memory scope", e, Scope::ALLOCATED.into_iter(), Scope::name)
}

fn tail(e: &Expr) -> Read<Tail> {
    known("a kind of tail", e, Tail::ALL.into_iter(), Tail::name)
}

fn number(e: &Expr) -> Read<i64> {
    let value = match &e.unparen().kind {
        ExprKind::Int(n) => n.replace('_', "").parse::<i64>().ok(),
        ExprKind::Neg(inner) => number(inner).ok().map(|n| -n),
        _ => None,
    };
    value.ok_or_else(|| mistake(Code::Type, e.span, "expected a whole number"))
}
