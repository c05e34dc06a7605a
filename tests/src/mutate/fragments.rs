//! The pieces of a text that may be exchanged for others of their kind.

use std::ops::Range;
use tcc_ir::span::{SourceId, Span};
use tcc_ir::text::ast::{Attr, Equation, Expr, ExprKind, Group, Item, Stmt, Sub, TypeExpr};
use tcc_ir::text::parse;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Statement,
    Expression,
    Subscript,
    Literal,
    Extent,
    ElementType,
    Attribute,
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// The pieces of the functions of a text, as far as it parses.
pub(super) fn fragments(text: &str) -> Vec<Fragment> {
    let (file, _) = parse(text, SourceId::default());
    let mut found = Found(Vec::new());
    for item in &file.items {
        let Item::Function(f) = item else { continue };
        f.params.iter().chain(&f.results).for_each(|g| found.group(g));
        f.body.iter().for_each(|s| found.statement(s));
    }
    let sound = |f: &Fragment| text.get(f.range.clone()).is_some_and(|t| !t.is_empty());
    found.0.retain(sound);
    found.0
}

struct Found(Vec<Fragment>);

impl Found {
    fn add(&mut self, kind: Kind, span: Span) {
        self.0.push(Fragment { kind, range: span.range() });
    }

    fn group(&mut self, g: &Group) {
        self.ty(&g.ty);
        self.attributes(&g.attrs);
    }

    fn ty(&mut self, ty: &TypeExpr) {
        self.add(Kind::ElementType, ty.dtype.span);
        ty.dims.iter().for_each(|d| self.add(Kind::Extent, d.span));
    }

    fn attributes(&mut self, attrs: &[Attr]) {
        attrs.iter().for_each(|a| self.add(Kind::Attribute, a.span));
    }

    fn statement(&mut self, s: &Stmt) {
        match s {
            Stmt::Let(_, ty, span) => {
                self.add(Kind::Statement, *span);
                self.ty(ty);
            }
            Stmt::Equation(e) => self.equation(e),
            Stmt::Fix(f) => {
                self.add(Kind::Statement, f.span);
                f.body.iter().for_each(|s| self.statement(s));
            }
            Stmt::Error => {}
        }
    }

    fn equation(&mut self, e: &Equation) {
        self.add(Kind::Statement, e.span);
        e.targets.iter().flat_map(|t| t.subs.iter().flatten()).for_each(|s| self.subscript(s));
        self.expression(&e.value);
        e.guard.iter().for_each(|g| self.expression(g));
        self.attributes(&e.attrs);
    }

    fn subscript(&mut self, s: &Sub) {
        match s {
            Sub::Expr(e) => self.add(Kind::Subscript, e.span),
            Sub::Domain(name, extent) => {
                self.add(Kind::Subscript, name.span);
                self.add(Kind::Extent, extent.span);
            }
            Sub::Ellipsis(span) => self.add(Kind::Subscript, *span),
        }
    }

    fn expression(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Int(_) | ExprKind::Float(_) => self.add(Kind::Literal, e.span),
            _ => self.add(Kind::Expression, e.span),
        }
        match &e.kind {
            ExprKind::Access { subs, default, .. } => {
                subs.iter().for_each(|s| self.subscript(s));
                default.iter().for_each(|d| self.expression(d));
            }
            ExprKind::Reduce { vars, pred, body, .. } => {
                vars.iter().for_each(|s| self.subscript(s));
                pred.iter().for_each(|p| self.expression(p));
                self.expression(body);
            }
            other => other.children().for_each(|c| self.expression(c)),
        }
    }
}
