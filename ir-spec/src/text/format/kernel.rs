//! Kernels and programs.

use super::expr::expr;
use super::{Formatter, WIDTH, attr, header_end, size_list, target, type_expr};
use crate::span::Span;
use crate::text::ast::{
    Attr, BlockStmt, Kernel, KernelStmt, Name, Program, ProgramStmt, Spanned, TypeExpr, View,
};
use std::fmt::Write;

impl Formatter<'_> {
    pub(super) fn kernel(&mut self, k: &Kernel, keyword: &str) {
        let start = k.name.as_ref().map_or(k.span, |n| n.span);
        let header = header_end(&k.params, &k.results, &k.facts, start);
        self.begin(Span { end: header, ..k.span });
        let name = k.name.as_ref().map_or("", |n| n.text.as_str());
        let head = format!("{keyword}{name}{}", size_list(&k.sizes));
        self.signature(&head, &k.params, &k.results, &k.facts);
        self.braces(header, k.span, |out| k.body.iter().for_each(|s| out.kernel_stmt(s)));
    }

    fn kernel_stmt(&mut self, stmt: &Spanned<KernelStmt>) {
        let span = stmt.span;
        let header = match &stmt.node {
            KernelStmt::For { hi, kind, .. } => kind.as_ref().map_or(hi.span.end, |k| k.span.end),
            KernelStmt::Block { span, .. } => span.end,
            KernelStmt::If(p, ..) => p.span.end,
            KernelStmt::Repeat { until, .. } => until.span.end,
            KernelStmt::Let(..) | KernelStmt::Alloc(..) | KernelStmt::Intrin { .. } => span.end,
            KernelStmt::Error => return,
        };
        self.begin(Span { end: header, ..span });
        match &stmt.node {
            KernelStmt::For { var, lo, hi, kind, body } => {
                let lo = lo.as_ref().map_or(String::new(), |e| format!("{}..", expr(e, false)));
                let kind = kind.as_ref().map_or(String::new(), |k| format!(" {}", k.text));
                let _ = write!(self.out, "for {} in {lo}{}{kind}", var.text, expr(hi, false));
                self.braces(header, span, |out| out.kernel_stmts(body));
            }
            KernelStmt::Block { name, bindings, guard, body, .. } => {
                let bindings: Vec<String> = bindings
                    .iter()
                    .map(|(n, e)| format!("{} = {}", n.text, expr(e, false)))
                    .collect();
                let guard =
                    guard.as_ref().map_or(String::new(), |g| format!(" where {}", expr(g, false)));
                let _ = write!(self.out, "block {}({}){guard}", name.text, bindings.join(", "));
                self.braces(header, span, |out| body.iter().for_each(|s| out.block_stmt(s)));
            }
            KernelStmt::If(p, then, otherwise, first) => {
                let _ = write!(self.out, "if {}", expr(p, false));
                self.branches((header, span, *first), then, otherwise);
            }
            KernelStmt::Repeat { var, lo, limit, until, body } => {
                let lo = lo.as_ref().map_or(String::new(), |e| format!("{}..", expr(e, false)));
                let (limit, until) = (expr(limit, false), expr(until, false));
                let _ = write!(self.out, "repeat {} in {lo}{limit} until {until}", var.text);
                self.braces(header, span, |out| out.kernel_stmts(body));
            }
            KernelStmt::Let(n, e) => {
                let _ = write!(self.out, "let {} = {}", n.text, expr(e, false));
                self.end(span);
            }
            KernelStmt::Alloc(names, ty, attrs) => {
                self.declaration("alloc", names, ty, attrs);
                self.end(span);
            }
            KernelStmt::Intrin { name, params, results } => {
                let list = |views: &[View]| views.iter().map(view).collect::<Vec<_>>().join(", ");
                let (params, results) = (list(params), list(results));
                let head = format!("intrin {}({params}) ->", name.text);
                let fits = self.column() + head.len() + 1 + results.len() <= WIDTH;
                let pad = "    ".repeat(self.indent + 1);
                let space = if fits { " ".to_owned() } else { format!("\n{pad}") };
                let _ = write!(self.out, "{head}{space}{results}");
                self.end(span);
            }
            KernelStmt::Error => {}
        }
    }

    fn kernel_stmts(&mut self, body: &[Spanned<KernelStmt>]) {
        body.iter().for_each(|s| self.kernel_stmt(s));
    }

    /// The bodies of an `if`; `first` ends where the first one does.
    fn branches(
        &mut self,
        (header, span, first): (u32, Span, Span),
        then: &[Spanned<KernelStmt>],
        otherwise: &[Spanned<KernelStmt>],
    ) {
        if otherwise.is_empty() {
            // An empty `else` is left out.
            return self.braces(header, span, |out| out.kernel_stmts(then));
        }
        self.out.push_str(" {");
        self.end(Span { end: header, ..span });
        self.indent += 1;
        self.kernel_stmts(then);
        self.comments_before(first.end);
        self.indent -= 1;
        self.pad();
        self.out.push_str("} else");
        self.braces(first.end, span, |out| out.kernel_stmts(otherwise));
    }

    fn declaration(&mut self, keyword: &str, names: &[Name], ty: &TypeExpr, attrs: &[Attr]) {
        let names: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
        let _ = write!(self.out, "{keyword} {}: {}", names.join(", "), type_expr(ty));
        self.attributes(attrs);
    }

    fn attributes(&mut self, attrs: &[Attr]) {
        for a in attrs {
            let _ = write!(self.out, " {}", attr(a));
        }
    }

    fn block_stmt(&mut self, stmt: &Spanned<BlockStmt>) {
        if matches!(stmt.node, BlockStmt::Error) {
            return;
        }
        self.begin(stmt.span);
        match &stmt.node {
            BlockStmt::Init(t, e) => {
                let _ = write!(self.out, "init {} = {}", target(t), expr(e, false));
            }
            BlockStmt::Let(n, ty, e) => {
                let _ = write!(self.out, "let {}: {} = {}", n.text, type_expr(ty), expr(e, false));
            }
            BlockStmt::Equation(e) => self.equation(e),
            BlockStmt::Error => {}
        }
        self.end(stmt.span);
    }

    pub(super) fn program(&mut self, p: &Program) {
        let header = header_end(&p.params, &p.results, &p.facts, p.name.span);
        self.begin(Span { end: header, ..p.span });
        let head = format!("program {}{}", p.name.text, size_list(&p.sizes));
        self.signature(&head, &p.params, &p.results, &p.facts);
        self.braces(header, p.span, |out| p.body.iter().for_each(|s| out.program_stmt(s)));
    }

    fn program_stmt(&mut self, stmt: &Spanned<ProgramStmt>) {
        if matches!(stmt.node, ProgramStmt::Error) {
            return;
        }
        self.begin(stmt.span);
        match &stmt.node {
            ProgramStmt::Buffer(names, ty, attrs) => self.declaration("buffer", names, ty, attrs),
            ProgramStmt::Call(k, args, results) => {
                let list = |names: &[Name]| {
                    names.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", ")
                };
                let (args, results) = (list(args), list(results));
                let _ = write!(self.out, "call {}({args}) -> {results}", k.text);
            }
            ProgramStmt::Require(condition, attrs) => {
                let _ = write!(self.out, "require {}", expr(condition, false));
                self.attributes(attrs);
            }
            ProgramStmt::Error => {}
        }
        self.end(stmt.span);
    }
}

fn view(v: &View) -> String {
    let mut inside = v.subs.iter().map(|e| expr(e, false)).collect::<Vec<_>>().join(", ");
    if !v.axes.is_empty() {
        let axis = |(v, n): &(Name, _)| format!("{} in {}", v.text, expr(n, false));
        let _ = write!(inside, " | {}", v.axes.iter().map(axis).collect::<Vec<_>>().join(", "));
    }
    if inside.is_empty() { v.name.text.clone() } else { format!("{}[{inside}]", v.name.text) }
}
