//! Schedules.

use super::{ModuleCx, Reported, unknown_name};
use crate::diag::{Code, Diagnostic};
use crate::schedule::{Directive, Permission, Primitive, Schedule, Tail};
use crate::span::Span;
use crate::text::ast::{self, Expr, ExprKind};

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
        match directive(d) {
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

fn directive(d: &ast::Directive) -> Read<Directive> {
    let permission = d.permission.as_ref().map(permission).transpose()?;
    Ok(Directive { primitive: primitive(&Arguments(d))?, permission, span: d.span })
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
        "bind"
        | "compute_at"
        | "reverse_compute_at"
        | "inline"
        | "cache_read"
        | "cache_write"
        | "set_scope"
        | "rfactor"
        | "decompose_reduction"
        | "transform_layout"
        | "pack"
        | "pad"
        | "pipeline"
        | "tensorize" => {
            let message = format!("`{}` is not supported yet", d.name.text);
            return Err(mistake(Code::Unsupported, d.name.span, message));
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

fn tail(e: &Expr) -> Read<Tail> {
    let name = match &e.kind {
        ExprKind::Name(n) => n.as_str(),
        _ => "",
    };
    Tail::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| {
        let known = Tail::ALL.into_iter().map(Tail::name);
        Box::new(
            unknown_name("kind of tail", name, e.span, known).note("tails are `guard` or `peel`"),
        )
    })
}

fn number(e: &Expr) -> Read<i64> {
    let value = match &e.unparen().kind {
        ExprKind::Int(n) => n.replace('_', "").parse::<i64>().ok(),
        ExprKind::Neg(inner) => number(inner).ok().map(|n| -n),
        _ => None,
    };
    value.ok_or_else(|| mistake(Code::Type, e.span, "expected a whole number"))
}
