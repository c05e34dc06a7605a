//! Names, integer expressions and subscripts of kernels.

use super::constant::Constant;
use super::integer::{self, IntScope};
use super::kernel::KernelCx;
use super::{Reported, unknown_name};
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::int::IntExpr;
use crate::scalar::Subscript;
use crate::span::Span;
use crate::text::ast::{self, Sub};
use tcc_abi::DType;

impl IntScope for KernelCx<'_> {
    fn int_name(&mut self, name: &str, span: Span) -> Result<Option<IntExpr>, Reported> {
        if self.buffer_named(name).is_some() {
            return Ok(None);
        }
        self.symbol(name, span).map(Some)
    }

    fn int_literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported> {
        self.literal(text, span)
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.error(diagnostic)
    }
}

impl KernelCx<'_> {
    /// The buffer of this name.
    pub(super) fn buffer(&mut self, name: &ast::Name) -> Result<TensorId, Reported> {
        if let Some(t) = self.buffer_named(&name.text) {
            return Ok(t);
        }
        if self.failed.contains(&name.text) {
            return Err(Reported);
        }
        let names: Vec<String> = self.buffers.iter().map(|(n, _)| n.clone()).collect();
        let names = names.iter().map(String::as_str);
        let d = unknown_name("buffer", &name.text, name.span, names);
        Err(self.error(d))
    }

    /// The subscripts of an access.
    pub(super) fn subscripts(
        &mut self,
        tensor: TensorId,
        subs: &[Sub],
        span: Span,
    ) -> Result<Vec<Subscript>, Reported> {
        let Some(b) = self.kernel.buffers.get(tensor) else { return Err(Reported) };
        let rank = b.shape.len();
        if subs.len() != rank {
            let message = format!(
                "`{}` has rank {rank}, but {} subscript{} given",
                b.name,
                subs.len(),
                if subs.len() == 1 { " is" } else { "s are" }
            );
            return Err(self.error(Diagnostic::new(Code::Rank, span, message)));
        }
        subs.iter().map(|s| self.subscript(s, span)).collect()
    }

    fn subscript(&mut self, sub: &Sub, span: Span) -> Result<Subscript, Reported> {
        let e = match sub {
            Sub::Expr(e) => e,
            Sub::Domain(..) | Sub::Ellipsis(_) => {
                let message = "a subscript of a kernel is an expression";
                return Err(self.error(Diagnostic::new(Code::Parse, span, message)));
            }
        };
        if let Some(i) = self.int(e)? {
            return self.unpoisoned(i, e.span).map(Subscript::Affine);
        }
        let value = self.typed_value(e, Some(DType::I64))?;
        if value.dtype().is_int() {
            return Ok(Subscript::Data(value));
        }
        let message = format!("a subscript has an integer type, this has type {}", value.dtype());
        Err(self.error(Diagnostic::new(Code::Type, e.span, message)))
    }

    /// An integer expression of variables and sizes.
    pub(super) fn int_only(&mut self, e: &ast::Expr, what: &str) -> Result<IntExpr, Reported> {
        match self.int(e)? {
            Some(i) => self.unpoisoned(i, e.span),
            None => {
                let message = format!("{what} is an integer expression of variables and sizes");
                Err(self.error(Diagnostic::new(Code::Type, e.span, message)))
            }
        }
    }

    fn unpoisoned(&mut self, i: IntExpr, span: Span) -> Result<IntExpr, Reported> {
        if i.is_poisoned() {
            let d = Diagnostic::new(Code::Limit, span, "the expression exceeds 64 bits");
            return Err(self.error(d));
        }
        Ok(i)
    }

    /// An integer expression, `None` if it depends on data; `/` and `%` floor.
    fn int(&mut self, e: &ast::Expr) -> Result<Option<IntExpr>, Reported> {
        integer::read(self, e)
    }

    /// A variable or size.
    pub(super) fn symbol(&mut self, name: &str, span: Span) -> Result<IntExpr, Reported> {
        if let Some(v) = self.var_named(name) {
            return Ok(v.into());
        }
        if let Some(s) = self.signature.size_by_name(name) {
            return Ok(s.into());
        }
        if self.failed.iter().any(|n| n == name) {
            return Err(Reported);
        }
        let names: Vec<String> = self.visible_names();
        let d = unknown_name("name", name, span, names.iter().map(String::as_str));
        let d = if self.hidden.iter().any(|(n, _)| n == name) {
            d.note("a block sees its own variables, not those of the loops around it")
                .help(format!("bind one: `block b(x = {name})`"))
        } else {
            d
        };
        Err(self.error(d))
    }

    fn visible_names(&self) -> Vec<String> {
        let sizes = self.signature.sizes.values().map(|s| s.name.clone());
        let vars = self.vars.iter().map(|(n, _)| n.clone());
        let buffers = self.buffers.iter().map(|(n, _)| n.clone());
        vars.chain(buffers).chain(sizes).collect()
    }

    pub(super) fn literal(&mut self, text: &str, span: Span) -> Result<Constant, Reported> {
        Constant::parse(text).ok_or_else(|| {
            self.error(Diagnostic::new(Code::Limit, span, "the literal has too many digits"))
        })
    }
}
