//! Resolved expressions: names replaced by what they mean, element types and sums still implicit.

use super::constant::Constant;
use crate::int::IntExpr;
use crate::scalar::{Comparison, Func, Reducer};
use crate::span::Span;
use crate::text::ast::ProductOp;
use crate::{TensorId, VarId};
use std::rc::Rc;
use tcc_abi::DType;

/// A resolved expression.
#[derive(Clone, Debug)]
pub(super) struct Hir {
    pub(super) kind: HirKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum HirKind {
    /// A literal, size or index.
    Constant(Constant),
    Bool(bool),
    Read(HirRead),
    Apply(Func, Vec<Hir>),
    Cast(DType, Box<Hir>),
    Bitcast(DType, Box<Hir>),
    Neg(Box<Hir>),
    Not(Box<Hir>),
    /// True marks a subtracted term.
    Sum(Vec<(bool, Hir)>),
    Product(Vec<(ProductOp, Hir)>),
    Power(Box<Hir>, Box<Hir>),
    Compare(Comparison, Box<Hir>, Box<Hir>),
    And(Vec<Hir>),
    Or(Vec<Hir>),
    Indicator(Box<Hir>),
    Reduce {
        op: ReduceOp,
        vars: Vec<VarId>,
        pred: Option<Box<Hir>>,
        body: Box<Hir>,
    },
    /// A scalar function of the library: its arguments, and its body over [`HirKind::Shared`] uses
    /// of them.
    Inline {
        args: Vec<Rc<Shared>>,
        body: Box<Hir>,
    },
    /// A value computed once and used where it stands.
    Shared(Rc<Shared>),
}

/// An argument or local of an inlined scalar function.
#[derive(Debug)]
pub(super) struct Shared {
    /// Identifies the value within its statement.
    pub(super) id: usize,
    pub(super) value: Hir,
}

#[derive(Clone, Debug)]
pub(super) struct HirRead {
    pub(super) tensor: TensorId,
    pub(super) subs: Vec<HirSub>,
    pub(super) default: Option<Box<Hir>>,
}

#[derive(Clone, Debug)]
pub(super) enum HirSub {
    Int(IntExpr),
    Data(Hir),
}

/// What a bracketed reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReduceOp {
    Monoid(Reducer),
    Mean,
    Count,
    ArgMax,
    ArgMin,
    Softmax,
    LogSoftmax,
    Cumsum,
}

impl ReduceOp {
    pub(super) fn parse(name: &str) -> Option<ReduceOp> {
        Some(match name {
            "mean" => ReduceOp::Mean,
            "count" => ReduceOp::Count,
            "argmax" => ReduceOp::ArgMax,
            "argmin" => ReduceOp::ArgMin,
            "softmax" => ReduceOp::Softmax,
            "logsoftmax" => ReduceOp::LogSoftmax,
            "cumsum" => ReduceOp::Cumsum,
            other => ReduceOp::Monoid(Reducer::parse(other)?),
        })
    }

    /// True if the variable stays an index of the result.
    pub(super) fn keeps_axis(self) -> bool {
        matches!(self, ReduceOp::Softmax | ReduceOp::LogSoftmax | ReduceOp::Cumsum)
    }
}

impl Hir {
    pub(super) fn new(kind: HirKind, span: Span) -> Hir {
        Hir { kind, span }
    }

    /// Calls `visit` with every index that the expression uses freely and where: those bound by a
    /// reduction inside are left out, as are those of shared values (their function accounts for
    /// them).
    pub(super) fn free_indices(&self, visit: &mut dyn FnMut(VarId, Span)) {
        let span = self.span;
        match &self.kind {
            HirKind::Constant(Constant::Ratio { num, den }) => {
                indices_of(num, span, visit);
                indices_of(den, span, visit);
            }
            HirKind::Constant(_) | HirKind::Bool(_) | HirKind::Shared(_) => {}
            HirKind::Read(r) => {
                for sub in &r.subs {
                    match sub {
                        HirSub::Int(i) => indices_of(i, span, visit),
                        HirSub::Data(h) => h.free_indices(visit),
                    }
                }
                if let Some(d) = &r.default {
                    d.free_indices(visit);
                }
            }
            HirKind::Reduce { op, vars, pred, body } => {
                let mut inner = |v: VarId, s: Span| {
                    if op.keeps_axis() || !vars.contains(&v) {
                        visit(v, s);
                    }
                };
                body.free_indices(&mut inner);
                if let Some(p) = pred {
                    p.free_indices(&mut inner);
                }
            }
            HirKind::Inline { args, .. } => {
                args.iter().for_each(|a| a.value.free_indices(visit));
            }
            _ => self.children().into_iter().for_each(|c| c.free_indices(visit)),
        }
    }

    /// Direct subexpressions of the plain operators.
    fn children(&self) -> Vec<&Hir> {
        match &self.kind {
            HirKind::Apply(_, args) | HirKind::And(args) | HirKind::Or(args) => {
                args.iter().collect()
            }
            HirKind::Cast(_, a)
            | HirKind::Bitcast(_, a)
            | HirKind::Neg(a)
            | HirKind::Not(a)
            | HirKind::Indicator(a) => vec![a],
            HirKind::Sum(terms) => terms.iter().map(|(_, t)| t).collect(),
            HirKind::Product(factors) => factors.iter().map(|(_, t)| t).collect(),
            HirKind::Power(a, b) | HirKind::Compare(_, a, b) => vec![a, b],
            HirKind::Constant(_)
            | HirKind::Bool(_)
            | HirKind::Read(_)
            | HirKind::Reduce { .. }
            | HirKind::Inline { .. }
            | HirKind::Shared(_) => vec![],
        }
    }

    /// True for what R1 calls a factor: an access, literal, size, index, `[pred]`, or `conj`,
    /// `cast`, minus of a factor.
    pub(super) fn is_factor(&self) -> bool {
        match &self.kind {
            HirKind::Constant(_) | HirKind::Bool(_) | HirKind::Read(_) | HirKind::Indicator(_) => {
                true
            }
            HirKind::Cast(_, a) | HirKind::Neg(a) => a.is_factor(),
            HirKind::Apply(Func::Conj, args) => args.iter().all(Hir::is_factor),
            HirKind::Apply(..)
            | HirKind::Bitcast(..)
            | HirKind::Not(_)
            | HirKind::Sum(_)
            | HirKind::Product(_)
            | HirKind::Power(..)
            | HirKind::Compare(..)
            | HirKind::And(_)
            | HirKind::Or(_)
            | HirKind::Reduce { .. }
            | HirKind::Inline { .. }
            | HirKind::Shared(_) => false,
        }
    }
}

fn indices_of(expr: &IntExpr, span: Span, visit: &mut dyn FnMut(VarId, Span)) {
    expr.visit_symbols(&mut |s| {
        if let crate::int::Symbol::Var(v) = s {
            visit(v, span);
        }
    });
}
