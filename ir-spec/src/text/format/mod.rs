//! `tcc fmt`: prints a syntax tree in the house style, comments kept.
//!
//! Four spaces, one statement a line; spaces around operators except inside subscripts and types; a
//! signature that does not fit in 100 columns has one parameter group a line, an equation that does
//! not fit breaks before the `+`, `-`, `||` of its outermost sum. One blank line is kept where the
//! source has one or more. Formatting is idempotent.

mod expr;
mod kernel;

use super::ast::{
    AssignOp, Attr, AttrArg, Directive, Equation, Fact, File, Function, Group, Intrin, Item,
    Modifier, Name, Rule, Schedule, Stmt, Stride, Target, TypeExpr,
};
use super::token::Comment;
use crate::span::Span;
use expr::{expr, subs};
use std::fmt::Write;

const WIDTH: usize = 100;

/// Prints a tree that parsed without mistakes; `text` is its source.
pub fn format(file: &File, text: &str) -> String {
    let mut f = Formatter { text, comments: &file.comments, out: String::new(), indent: 0, at: 0 };
    for item in &file.items {
        f.item(item);
    }
    f.comments_before(text.len() as u32 + 1);
    let mut out = f.out.trim_start_matches('\n').trim_end().to_owned();
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

struct Formatter<'a> {
    text: &'a str,
    comments: &'a [Comment],
    out: String,
    indent: usize,
    /// End of the last construct printed, in the source.
    at: u32,
}

impl Formatter<'_> {
    /// Starts a construct: its comments, a blank line if the source has one, indentation.
    fn begin(&mut self, span: Span) {
        // Comments inside of the construct move before it.
        self.comments_before(span.start.max(self.last_line_of_comments_in(span)));
        self.blank_line(span.start);
        self.pad();
    }

    fn last_line_of_comments_in(&self, span: Span) -> u32 {
        let inside = |c: &&Comment| span.start <= c.span.start && c.span.end <= span.end;
        self.comments.iter().filter(inside).map(|c| c.span.start + 1).max().unwrap_or(0)
    }

    /// Ends a construct: a comment on the same line stays there.
    fn end(&mut self, span: Span) {
        self.at = self.at.max(span.end);
        if let Some((first, rest)) = self.comments.split_first()
            && first.trailing
            && !self.between(span.end, first.span.start).contains('\n')
        {
            let _ = write!(self.out, "  {}", first.text);
            self.at = first.span.end;
            self.comments = rest;
        }
        self.out.push('\n');
    }

    fn comments_before(&mut self, offset: u32) {
        while let Some((first, rest)) = self.comments.split_first() {
            if first.span.start >= offset {
                break;
            }
            self.blank_line(first.span.start);
            self.pad();
            self.out.push_str(&first.text);
            self.out.push('\n');
            self.at = self.at.max(first.span.end);
            self.comments = rest;
        }
    }

    fn between(&self, from: u32, to: u32) -> &str {
        self.text.get(from as usize..to as usize).unwrap_or("")
    }

    fn blank_line(&mut self, next: u32) {
        let gap = self.between(self.at, next).matches('\n').count();
        if gap >= 2 && !self.out.is_empty() && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
    }

    fn pad(&mut self) {
        for _ in 0..self.indent {
            self.out.push_str("    ");
        }
    }

    fn column(&self) -> usize {
        self.out.rsplit('\n').next().map_or(0, |line| line.chars().count())
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Function(f) => self.function(f),
            Item::Kernel(k) => self.kernel(k, "kernel "),
            Item::Program(p) => self.program(p),
            Item::Schedule(s) => self.schedule(s),
            Item::Intrin(i) => self.intrin(i),
            Item::Rule(r) => self.rule(r),
            Item::Semiring(name, parts, span) => {
                self.begin(*span);
                let parts: Vec<String> = parts.iter().map(|e| expr(e, false)).collect();
                let _ = write!(self.out, "semiring {} = ({})", name.text, parts.join(", "));
                self.end(*span);
            }
            Item::Error => {}
        }
    }

    fn function(&mut self, f: &Function) {
        let header = header_end(&f.params, &f.results, &f.facts, f.name.span);
        self.begin(Span { end: header, ..f.span });
        let generics: Vec<String> =
            f.generics.iter().map(|(n, c)| format!("{}: {}", n.text, c.text)).collect();
        let generics =
            if generics.is_empty() { String::new() } else { format!("<{}>", generics.join(", ")) };
        let head = format!("fn {}{generics}", f.name.text);
        self.signature(&head, &f.params, &f.results, &f.facts);
        self.braces(header, f.span, |out| f.body.iter().for_each(|s| out.stmt(s)));
    }

    fn signature(&mut self, head: &str, params: &[Group], results: &[Group], facts: &[Fact]) {
        let params: Vec<String> = params.iter().map(group).collect();
        let results: Vec<String> = results.iter().map(group).collect();
        let facts: Vec<String> = facts.iter().map(fact).collect();
        let tail = match facts.as_slice() {
            [] => String::new(),
            _ => format!(" where {}", facts.join(", ")),
        };
        let results = format!(") -> ({}){tail}", results.join(", "));
        let line = format!("{head}({}{results} {{", params.join(", "));
        if self.column() + line.chars().count() <= WIDTH {
            self.out.push_str(line.trim_end_matches(" {"));
            return;
        }
        let _ = writeln!(self.out, "{head}(");
        for p in params {
            self.pad();
            let _ = writeln!(self.out, "    {p},");
        }
        self.pad();
        self.out.push_str(&results);
    }

    /// ` {`, an indented body, `}`; `from` is where the header ends.
    fn braces(&mut self, from: u32, span: Span, body: impl FnOnce(&mut Self)) {
        self.out.push_str(" {");
        self.end(Span { end: from, ..span });
        self.indent += 1;
        body(self);
        self.comments_before(span.end);
        self.indent -= 1;
        self.pad();
        self.out.push('}');
        self.end(span);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(names, ty, span) => {
                self.begin(*span);
                let names: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
                let _ = write!(self.out, "let {}: {}", names.join(", "), type_expr(ty));
                self.end(*span);
            }
            Stmt::Equation(e) => {
                self.begin(e.span);
                self.equation(e);
                self.end(e.span);
            }
            Stmt::Fix(f) => {
                let header = f.args.last().map_or(f.span.start + 3, |(_, e)| e.span.end);
                self.begin(Span { end: header, ..f.span });
                let args = if f.args.is_empty() { String::new() } else { named_args(&f.args) };
                let _ = write!(self.out, "fix{args}");
                self.braces(header, f.span, |out| f.body.iter().for_each(|s| out.stmt(s)));
            }
            Stmt::Error => {}
        }
    }

    fn equation(&mut self, e: &Equation) {
        let targets: Vec<String> = e.targets.iter().map(target).collect();
        let op = match &e.op {
            AssignOp::Plain => "=".to_owned(),
            AssignOp::Plus => "+=".to_owned(),
            AssignOp::Named(n) => format!("{}=", n.text),
            AssignOp::Tagged(n) => format!("=<{}>", n.text),
        };
        let _ = write!(self.out, "{} {op} ", targets.join(", "));
        let mut tail = String::new();
        if let Some(g) = &e.guard {
            let _ = write!(tail, " where {}", expr(g, false));
        }
        for a in &e.attrs {
            let _ = write!(tail, " {}", attr(a));
        }
        let value = expr(&e.value, false);
        if self.column() + value.chars().count() + tail.chars().count() <= WIDTH {
            self.out.push_str(&value);
        } else {
            let pad = format!("\n{}", "    ".repeat(self.indent + 1));
            self.out.push_str(&expr::terms(&e.value).join(&pad));
        }
        self.out.push_str(&tail);
    }

    fn schedule(&mut self, s: &Schedule) {
        self.begin(Span { end: s.kernel.span.end, ..s.span });
        let _ = write!(self.out, "schedule {}", s.kernel.text);
        self.braces(s.kernel.span.end, s.span, |out| {
            s.directives.iter().for_each(|d| out.directive(d));
        });
    }

    fn directive(&mut self, d: &Directive) {
        self.begin(d.span);
        let outputs: Vec<&str> = d.outputs.iter().map(|n| n.text.as_str()).collect();
        let outputs =
            if outputs.is_empty() { String::new() } else { format!("{} = ", outputs.join(", ")) };
        let args = d.args.iter().map(|e| expr(e, false));
        let options = d.options.iter().map(|(n, e)| format!("{}={}", n.text, expr(e, false)));
        let args: Vec<String> = args.chain(options).collect();
        let permission = d.permission.as_ref().map_or(String::new(), |p| format!("{} ", p.text));
        let _ = write!(self.out, "{permission}{outputs}{}({})", d.name.text, args.join(", "));
        self.end(d.span);
    }

    fn intrin(&mut self, i: &Intrin) {
        self.begin(Span { end: i.name.span.end, ..i.span });
        let mut clauses = vec![format!("intrin {}", i.name.text)];
        if !i.requires.is_empty() {
            let features: Vec<&str> = i.requires.iter().map(|f| f.text.as_str()).collect();
            clauses.push(format!("requires {}", features.join(", ")));
        }
        clauses.extend(i.symbol.iter().map(|s| format!("symbol \"{}\"", s.text)));
        if !i.cost.is_empty() {
            clauses.push(format!("cost{}", named_args(&i.cost)));
        }
        let line = clauses.join(" ");
        let fits = line.chars().count() + " {".len() <= WIDTH;
        self.out.push_str(&if fits { line } else { clauses.join("\n    ") });
        self.braces(i.name.span.end, i.span, |out| out.kernel(&i.kernel, "kernel "));
    }

    fn rule(&mut self, r: &Rule) {
        self.begin(r.span);
        let (lhs, rhs) = (expr(&r.lhs, false), expr(&r.rhs, false));
        let _ = write!(self.out, "rule {}: {lhs} => {rhs}", r.name.text);
        if let Some(c) = &r.condition {
            let _ = write!(self.out, " if {}", expr(c, false));
        }
        for (key, value) in &r.tags {
            let _ = write!(self.out, " {} {}", key.text, value.text);
        }
        self.end(r.span);
    }
}

fn named_args(args: &[(Name, super::ast::Expr)]) -> String {
    let args: Vec<String> =
        args.iter().map(|(n, e)| format!("{}={}", n.text, expr(e, false))).collect();
    format!("({})", args.join(", "))
}

fn header_end(params: &[Group], results: &[Group], facts: &[Fact], name: Span) -> u32 {
    let groups = params.iter().chain(results).map(|g| g.ty.span.end);
    let facts = facts.iter().map(|f| match f {
        Fact::Expr(e) | Fact::Range(_, _, e) => e.span.end,
    });
    groups.chain(facts).max().unwrap_or(name.end)
}

fn size_list(sizes: &[Name]) -> String {
    let names: Vec<&str> = sizes.iter().map(|n| n.text.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("<{}>", names.join(", ")) }
}

fn group(g: &Group) -> String {
    let modifier = match g.modifier {
        Modifier::None => "",
        Modifier::Param => "param ",
        Modifier::Inout => "inout ",
    };
    let names: Vec<&str> = g.names.iter().map(|n| n.text.as_str()).collect();
    let mut out = format!("{modifier}{}: {}", names.join(", "), type_expr(&g.ty));
    if let Some(strides) = &g.strides {
        let strides: Vec<String> = strides
            .iter()
            .map(|s| match s {
                Stride::Any => "?".to_owned(),
                Stride::Expr(e) => expr(e, false),
            })
            .collect();
        let _ = write!(out, " strides({})", strides.join(", "));
    }
    for a in &g.attrs {
        let _ = write!(out, " {}", attr(a));
    }
    out
}

fn type_expr(ty: &TypeExpr) -> String {
    let mut dims: Vec<String> = ty.dims.iter().map(|e| expr(e, true)).collect();
    if ty.ellipsis {
        dims.insert(0, "...".to_owned());
    }
    let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
    format!("{}{dims}", ty.dtype.text)
}

fn fact(f: &Fact) -> String {
    match f {
        Fact::Expr(e) => expr(e, false),
        Fact::Range(n, lo, hi) => format!("{} in {}..{}", n.text, expr(lo, false), expr(hi, false)),
    }
}

fn target(t: &Target) -> String {
    match &t.subs {
        Some(list) => format!("{}[{}]", t.name.text, subs(list, ",")),
        None => t.name.text.clone(),
    }
}

fn attr(a: &Attr) -> String {
    let args: Vec<String> = a
        .args
        .iter()
        .map(|arg| match arg {
            AttrArg::Expr(e) => expr(e, true),
            AttrArg::Str(s, _) => format!("\"{s}\""),
            AttrArg::Amount(n, unit) => format!("{}{}", n.text, unit.text),
        })
        .collect();
    let args = if args.is_empty() { String::new() } else { format!("({})", args.join(",")) };
    format!("@{}{args}", a.name.text)
}
