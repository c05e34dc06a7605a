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

fn directive(d: &ast::Directive) -> Result<Directive, Box<Diagnostic>> {
    let primitive = match d.name.text.as_str() {
        "split" => split(d)?,
        "reorder" => {
            plain(d, 0)?;
            Primitive::Reorder(d.args.iter().map(loop_name).collect::<Result<_, _>>()?)
        }
        "unroll" => Primitive::Unroll(one_loop(d)?),
        "vectorize" => Primitive::Vectorize(one_loop(d)?),
        "parallel" => Primitive::Parallel(one_loop(d)?),
        "fuse"
        | "tile"
        | "bind"
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
    };
    let permission = d.permission.as_ref().map(permission).transpose()?;
    Ok(Directive { primitive, permission, span: d.span })
}

fn permission(name: &ast::Name) -> Result<Permission, Box<Diagnostic>> {
    let found = Permission::ALL.into_iter().find(|p| p.name() == name.text);
    found.ok_or_else(|| {
        let known = Permission::ALL.into_iter().map(Permission::name);
        Box::new(unknown_name("permission", &name.text, name.span, known))
    })
}

fn mistake(code: Code, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(code, span, message))
}

/// Refuses results beyond `outputs` and named arguments.
fn plain(d: &ast::Directive, outputs: usize) -> Result<(), Box<Diagnostic>> {
    if d.outputs.len() != outputs {
        let message = match outputs {
            0 => format!("`{}` makes no new loops", d.name.text),
            _ => format!(
                "`{}` makes {outputs} loops, but names are given for {}",
                d.name.text,
                d.outputs.len()
            ),
        };
        return Err(mistake(Code::Rank, d.span, message));
    }
    match d.options.iter().find(|(n, _)| !(d.name.text == "split" && n.text == "tail")) {
        Some((n, _)) => {
            let message = format!("`{}` has no option `{}`", d.name.text, n.text);
            Err(mistake(Code::Name, n.span, message))
        }
        None => Ok(()),
    }
}

fn one_loop(d: &ast::Directive) -> Result<String, Box<Diagnostic>> {
    plain(d, 0)?;
    match d.args.as_slice() {
        [e] => loop_name(e),
        args => {
            let message = format!("`{}` takes one loop, but {} are given", d.name.text, args.len());
            Err(mistake(Code::Rank, d.span, message))
        }
    }
}

fn loop_name(e: &Expr) -> Result<String, Box<Diagnostic>> {
    match &e.kind {
        ExprKind::Name(n) => Ok(n.clone()),
        _ => Err(mistake(Code::Parse, e.span, "expected the name of a loop")),
    }
}

fn split(d: &ast::Directive) -> Result<Primitive, Box<Diagnostic>> {
    plain(d, 2)?;
    let ([outer, inner], [target, factor]) = (d.outputs.as_slice(), d.args.as_slice()) else {
        return Err(mistake(Code::Rank, d.span, "`split` takes a loop and a factor"));
    };
    let tail = match d.options.as_slice() {
        [] => Tail::Guard,
        [(_, e)] => tail(e)?,
        [_, (n, _), ..] => return Err(mistake(Code::Parse, n.span, "`tail` is given twice")),
    };
    Ok(Primitive::Split {
        target: loop_name(target)?,
        factor: number(factor)?,
        tail,
        outer: outer.text.clone(),
        inner: inner.text.clone(),
    })
}

fn tail(e: &Expr) -> Result<Tail, Box<Diagnostic>> {
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

fn number(e: &Expr) -> Result<i64, Box<Diagnostic>> {
    let value = match &e.unparen().kind {
        ExprKind::Int(n) => n.replace('_', "").parse::<i64>().ok(),
        ExprKind::Neg(inner) => number(inner).ok().map(|n| -n),
        _ => None,
    };
    value.ok_or_else(|| mistake(Code::Type, e.span, "expected a whole number"))
}
