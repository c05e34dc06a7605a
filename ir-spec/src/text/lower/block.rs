//! Blocks of kernels.

use super::Reported;
use super::kernel::KernelCx;
use crate::diag::{Code, Diagnostic};
use crate::kernel::{Block, Scope, Store, Update};
use crate::scalar::{Expr, Reducer, Subscript};
use crate::span::Span;
use crate::text::ast::{self, AssignOp, BlockStmt, Spanned};
use crate::{TensorId, VarId};

impl KernelCx<'_> {
    pub(super) fn block(
        &mut self,
        name: &ast::Name,
        bindings: &[(ast::Name, ast::Expr)],
        guard: Option<&ast::Expr>,
        body: &[Spanned<BlockStmt>],
        span: Span,
    ) -> Result<Block, Reported> {
        let values: Vec<_> = bindings.iter().map(|(_, e)| self.int_only(e, "a binding")).collect();
        // Inside, a block sees its own variables only.
        let outer = std::mem::take(&mut self.vars);
        let buffers = self.buffers.len();
        let vars: Vec<Result<VarId, Reported>> =
            bindings.iter().map(|(n, _)| self.declare_var(n)).collect();
        let bound: Result<Vec<_>, Reported> =
            vars.into_iter().zip(values).map(|(v, e)| Ok((v?, e?))).collect();
        self.hidden = outer;
        let inside = self.block_inside(guard, body, span);
        self.vars = std::mem::take(&mut self.hidden);
        self.buffers.truncate(buffers);
        let (iters, (guard, lets, init, store)) = (bound?, inside?);
        Ok(Block { name: name.text.clone(), iters, guard, init, lets, store })
    }

    fn block_inside(
        &mut self,
        guard: Option<&ast::Expr>,
        body: &[Spanned<BlockStmt>],
        span: Span,
    ) -> Result<Inside, Reported> {
        let guard = guard.map(|g| self.predicate(g)).transpose();
        let mut lets = Ok(Vec::new());
        let (mut init, mut equation) = (None, None);
        let mut outcome = Ok(());
        for stmt in body {
            let (place, repeated) = match &stmt.node {
                BlockStmt::Let(name, ty, e) => {
                    let one = self.block_let(name, ty, e);
                    lets = match (lets, one) {
                        (Ok(mut list), Ok(one)) => {
                            list.push(one);
                            Ok(list)
                        }
                        _ => Err(Reported),
                    };
                    (name.span, equation.is_some())
                }
                BlockStmt::Init(t, e) => {
                    (t.span, init.replace((t, e)).is_some() || equation.is_some())
                }
                BlockStmt::Equation(e) => (e.span, equation.replace(e).is_some()),
                BlockStmt::Error => {
                    outcome = Err(Reported);
                    continue;
                }
            };
            if repeated {
                let d = Diagnostic::new(Code::Parse, place, "a block ends with its one equation")
                    .help("give each equation a block of its own; `init` stands once, before it");
                outcome = Err(self.error(d));
            }
        }
        outcome?;
        let Some(equation) = equation else {
            let d = Diagnostic::new(Code::Parse, span, "the block has no equation");
            return Err(self.error(d));
        };
        let store = self.store(equation);
        let init = init.map(|(t, e)| self.init(t, e, store.as_ref().ok())).transpose();
        Ok((guard?, lets?, init?, store?))
    }

    fn block_let(
        &mut self,
        name: &ast::Name,
        ty: &ast::TypeExpr,
        e: &ast::Expr,
    ) -> Result<(TensorId, Expr), Reported> {
        let (dtype, shape) = self.type_expr(ty)?;
        if !shape.is_empty() {
            let d = Diagnostic::new(Code::Rank, ty.span, "a `let` of a block is one value");
            return Err(self.error(d));
        }
        let value = self.typed_value(e, Some(dtype));
        let value = value.and_then(|v| self.expect(v, dtype, e.span));
        let tensor = self.declare_buffer(name, dtype, shape, Scope::Let);
        if value.is_err() || tensor.is_err() {
            self.failed.push(name.text.clone());
        }
        Ok((tensor?, value?))
    }

    fn target(&mut self, t: &ast::Target) -> Result<(TensorId, Vec<Subscript>), Reported> {
        let tensor = self.buffer(&t.name)?;
        let subs = t.subs.as_deref().unwrap_or(&[]);
        Ok((tensor, self.subscripts(tensor, subs, t.span)?))
    }

    fn store(&mut self, e: &ast::Equation) -> Result<Store, Reported> {
        let [target] = e.targets.as_slice() else {
            let d = Diagnostic::new(Code::Parse, e.span, "a block writes one element");
            return Err(self.error(d));
        };
        if let Some(g) = &e.guard {
            let d = Diagnostic::new(Code::Parse, g.span, "a condition stands after the bindings")
                .help("write `block name(i = i) where condition { ... }`");
            return Err(self.error(d));
        }
        let update = self.update(e);
        let target = self.target(target);
        let wanted = target.as_ref().ok().and_then(|(t, _)| self.kernel.buffers.get(*t));
        let wanted = wanted.map(|b| b.dtype);
        let value = self.typed_value(&e.value, wanted);
        let value = match wanted {
            Some(dtype) => value.and_then(|v| self.expect(v, dtype, e.value.span)),
            None => value,
        };
        let ((update, drop), (buffer, subscripts)) = (update?, target?);
        Ok(Store { buffer, subscripts, update, value: value?, drop })
    }

    /// How the value joins the element, and whether writes out of range are skipped.
    fn update(&mut self, e: &ast::Equation) -> Result<(Update, bool), Reported> {
        let (mut fma, mut drop) = (false, false);
        for a in &e.attrs {
            match (a.name.text.as_str(), a.args.is_empty()) {
                ("fma", true) => fma = true,
                ("drop", true) => drop = true,
                (name, _) => {
                    let known = ["fma", "drop"].into_iter();
                    let d = super::unknown_name("attribute", name, a.span, known);
                    return Err(self.error(d));
                }
            }
        }
        let update = match &e.op {
            AssignOp::Plus if fma => Update::FusedSum,
            AssignOp::Plus => Update::Reduce(Reducer::Sum),
            _ if fma => {
                let d = Diagnostic::new(Code::Parse, e.span, "`@fma` belongs to `+=`");
                return Err(self.error(d));
            }
            AssignOp::Plain => Update::Set,
            AssignOp::Named(n) => match Reducer::parse(&n.text) {
                Some(r) => Update::Reduce(r),
                None => {
                    let known = Reducer::ALL.into_iter().map(Reducer::name);
                    let d = super::unknown_name("reduction", &n.text, n.span, known);
                    return Err(self.error(d));
                }
            },
            AssignOp::Tagged(n) => {
                let d = Diagnostic::new(Code::Parse, n.span, "a block has no semiring tag")
                    .help("write its sum as `+=`, `max=`, ... and its product as it is");
                return Err(self.error(d));
            }
        };
        Ok((update, drop))
    }

    /// `init` names the element that the equation writes.
    fn init(
        &mut self,
        t: &ast::Target,
        e: &ast::Expr,
        store: Option<&Store>,
    ) -> Result<Expr, Reported> {
        let (tensor, subscripts) = self.target(t)?;
        let dtype = self.kernel.buffers.get(tensor).map(|b| b.dtype);
        let value = self.typed_value(e, dtype)?;
        let value = self.expect(value, dtype.unwrap_or(tcc_abi::DType::F32), e.span)?;
        let same = store.is_none_or(|s| s.buffer == tensor && s.subscripts == subscripts);
        if same {
            return Ok(value);
        }
        let d =
            Diagnostic::new(Code::Kernel, t.span, "`init` names another element than the equation");
        Err(self.error(d))
    }
}

/// Guard, lets, init and store.
type Inside = (Option<Expr>, Vec<(TensorId, Expr)>, Option<Expr>, Store);
