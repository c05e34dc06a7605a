//! Core equations: intermediates for sums and shared values, and the statement's own equation.

use super::Reported;
use super::statement::StatementCx;
use crate::graph::{Attributes, Equation, Index};
use crate::int::{IntExpr, Symbol};
use crate::scalar::{Expr, Reducer, Subscript};
use crate::{TensorId, VarId};
use cranelift_entity::{PrimaryMap, SecondaryMap};
use tcc_abi::DType;

impl StatementCx<'_, '_> {
    /// Builds an equation from parts over the statement's indices: those of the target first, then
    /// the summed ones, each over a domain that begins at 0.
    #[expect(clippy::too_many_arguments, reason = "the parts of one construct")]
    pub(super) fn build(
        &self,
        subscripts: Vec<Subscript>,
        reducer: Option<Reducer>,
        body: Expr,
        guard: Option<Expr>,
        reduced: &[VarId],
        attributes: Attributes,
    ) -> Equation {
        let mut order: Vec<VarId> = Vec::new();
        let mut add = |s: Symbol| {
            if let Symbol::Var(v) = s
                && !order.contains(&v)
            {
                order.push(v);
            }
        };
        subscripts.iter().for_each(|s| s.visit_symbols(&mut add));
        body.visit_symbols(&mut add);
        if let Some(g) = &guard {
            g.visit_symbols(&mut add);
        }
        reduced.iter().for_each(|v| add(Symbol::Var(*v)));
        let mut vars = PrimaryMap::new();
        let mut renamed: SecondaryMap<VarId, Option<IntExpr>> = SecondaryMap::new();
        for v in order {
            let (lo, extent) = self.domain(v).unwrap_or_default();
            let new = vars.push(Index { name: self.index_name(v), extent });
            renamed[v] = Some(lo + IntExpr::from(new));
        }
        let replace = |s: Symbol| match s {
            Symbol::Var(v) => renamed.get(v).cloned().flatten(),
            Symbol::Size(_) => None,
        };
        let int = |i: &IntExpr| i.substitute(&replace);
        Equation {
            vars,
            subscripts: subscripts.iter().map(|s| s.rewrite(&int, &mut |e| e)).collect(),
            reducer,
            body: body.substitute(&replace),
            guard: guard.map(|g| g.substitute(&replace)),
            attributes,
            span: self.span,
        }
    }

    /// Reduces into a new tensor over the indices that remain, and reads it.
    pub(super) fn reduce_into_temporary(
        &mut self,
        reducer: Reducer,
        body: Expr,
        guard: Option<Expr>,
        reduced: &[VarId],
    ) -> Result<Expr, Reported> {
        let kept = self.free_vars(&[Some(&body), guard.as_ref()], reduced);
        let (tensor, read) = self.temporary(&kept, body.dtype());
        let subscripts = self.normalized(&kept).into_iter().map(Subscript::Affine).collect();
        let attributes = self.reduction_attributes();
        let equation = self.build(subscripts, Some(reducer), body, guard, reduced, attributes);
        self.function.define(tensor, equation, self.fix);
        Ok(read)
    }

    /// Gives a value a tensor of its own unless it is an element or a constant.
    pub(super) fn name_value_once(&mut self, e: Expr) -> Result<Expr, Reported> {
        let cheap = match &e {
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) => true,
            Expr::Read(r) => {
                r.default.is_none() && r.subscripts.iter().all(|s| s.as_affine().is_some())
            }
            Expr::Apply(..) | Expr::Cast(..) | Expr::Bitcast(..) | Expr::Contiguous(_) => false,
        };
        if cheap {
            return Ok(e);
        }
        let kept = self.free_vars(&[Some(&e)], &[]);
        let (tensor, read) = self.temporary(&kept, e.dtype());
        let subscripts = self.normalized(&kept).into_iter().map(Subscript::Affine).collect();
        let equation = self.build(subscripts, None, e, None, &[], Attributes::default());
        self.function.define(tensor, equation, self.fix);
        Ok(read)
    }

    /// What `@` says that matters to the sums of the statement.
    pub(super) fn reduction_attributes(&self) -> Attributes {
        Attributes { bcast: false, drop: false, ..self.attributes.clone() }
    }

    /// Indices of some expressions without the reduced ones, in statement order.
    pub(super) fn free_vars(&self, exprs: &[Option<&Expr>], reduced: &[VarId]) -> Vec<VarId> {
        let mut out: Vec<VarId> = Vec::new();
        for e in exprs.iter().flatten() {
            e.visit_symbols(&mut |s| {
                if let Symbol::Var(v) = s
                    && !reduced.contains(&v)
                    && !out.contains(&v)
                {
                    out.push(v);
                }
            });
        }
        out.sort();
        out
    }

    /// A new tensor over these indices, and a read of it.
    pub(super) fn temporary(&mut self, kept: &[VarId], dtype: DType) -> (TensorId, Expr) {
        let shape = kept.iter().map(|v| self.domain(*v).unwrap_or_default().1).collect();
        let stem = self.stem.clone();
        let tensor = self.function.fresh_tensor(&stem, dtype, shape, self.span);
        (tensor, Expr::read(tensor, dtype, self.normalized(kept)))
    }

    /// The positions of indices in their domains: the index less its first value.
    pub(super) fn normalized(&self, vars: &[VarId]) -> Vec<IntExpr> {
        let position = |v: &VarId| IntExpr::from(*v) - self.domain(*v).unwrap_or_default().0;
        vars.iter().map(position).collect()
    }
}
