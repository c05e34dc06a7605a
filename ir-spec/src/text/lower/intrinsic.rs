//! Declarations of intrinsics, and their calls in kernels.

use super::kernel::{KernelCx, read_kernel};
use super::{ModuleCx, Reported, constant::Constant, unknown_name};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::intrinsic::{Intrinsic, verify_intrinsic};
use crate::kernel::{IntrinsicCall, Stmt, View};
use crate::library;
use crate::span::Span;
use crate::text::ast::{self, ExprKind};
use std::sync::Arc;
use tcc_abi::{DType, Scalar};

/// Reads a declaration of the text and adds it to the module.
pub(super) fn lower_intrinsic(module: &mut ModuleCx, i: &ast::Intrin) -> Result<(), Reported> {
    let name = &i.name;
    if module.module.intrinsics.contains_key(&name.text) {
        let message = format!("intrinsic `{}` is declared twice", name.text);
        return Err(module.error(Diagnostic::new(Code::Name, name.span, message)));
    }
    let intrinsic = read_intrinsic(module, i)?;
    module.module.intrinsics.insert(name.text.clone(), Arc::new(intrinsic));
    Ok(())
}

fn read_intrinsic(module: &mut ModuleCx, i: &ast::Intrin) -> Result<Intrinsic, Reported> {
    let Some(symbol) = &i.symbol else {
        let d = Diagnostic::new(Code::Parse, i.name.span, "an intrinsic needs a symbol")
            .help("name the function that does the work: `symbol \"my_function\"`");
        return Err(module.error(d));
    };
    let flops = share(module, &i.cost)?;
    let kernel = read_kernel(module, &i.name, &i.kernel)?;
    let intrinsic = Intrinsic {
        name: i.name.text.clone(),
        requires: i.requires.iter().map(|f| f.text.clone()).collect(),
        symbol: symbol.text.clone(),
        flops,
        kernel,
    };
    match verify_intrinsic(&intrinsic) {
        Ok(()) => Ok(intrinsic),
        Err(mistakes) => Err(module.report_at(i.name.span, mistakes)),
    }
}

/// `cost(flops=0.97)`
fn share(
    module: &mut ModuleCx,
    cost: &[(ast::Name, ast::Expr)],
) -> Result<Option<Scalar>, Reported> {
    let mut out = None;
    for (name, value) in cost {
        if name.text != "flops" {
            let known = ["flops"].into_iter();
            return Err(module.error(unknown_name("cost", &name.text, name.span, known)));
        }
        let number = match &value.kind {
            ExprKind::Int(text) | ExprKind::Float(text) => Constant::parse(text),
            _ => None,
        };
        let Some(scalar) = number.and_then(|n| n.to_scalar(DType::F64)) else {
            let d = Diagnostic::new(Code::Type, value.span, "expected a number");
            return Err(module.error(d));
        };
        out = Some(scalar);
    }
    Ok(out)
}

impl ModuleCx {
    /// The intrinsic of this name, or that there is none.
    pub(super) fn intrinsic_named(
        &mut self,
        name: &ast::Name,
    ) -> Result<Arc<Intrinsic>, Diagnostic> {
        if let Some(intrinsic) = self.find_intrinsic(&name.text) {
            return Ok(intrinsic);
        }
        let declared = self.module.intrinsics.keys().cloned();
        let names: Vec<String> =
            declared.chain(library::intrinsic_names().map(str::to_owned)).collect();
        let names = names.iter().map(String::as_str);
        Err(unknown_name("intrinsic", &name.text, name.span, names))
    }

    /// The intrinsic of this name: declared by the text or one of the runtime's.
    fn find_intrinsic(&mut self, name: &str) -> Option<Arc<Intrinsic>> {
        let known = self.module.intrinsics.get(name).or_else(|| self.intrinsics.get(name));
        if let Some(known) = known {
            return Some(known.clone());
        }
        let found = Arc::new(library::intrinsic(name)?);
        self.intrinsics.insert(name.to_owned(), found.clone());
        Some(found)
    }
}

impl KernelCx<'_> {
    /// The call of an intrinsic.
    pub(super) fn intrinsic(
        &mut self,
        name: &ast::Name,
        params: &[ast::View],
        results: &[ast::View],
    ) -> Result<Stmt, Reported> {
        let found = self.module.intrinsic_named(name);
        let intrinsic = found.map_err(|d| self.error(d))?;
        let kernel = &intrinsic.kernel;
        for (given, wanted, what) in [
            (params.len(), kernel.params.len(), "parameter"),
            (results.len(), kernel.results.len(), "result"),
        ] {
            if given != wanted {
                let s = if wanted == 1 { "" } else { "s" };
                let are = if given == 1 { "is" } else { "are" };
                let message =
                    format!("`{}` has {wanted} {what}{s}, but {given} {are} given", name.text);
                return Err(self.error(Diagnostic::new(Code::Rank, name.span, message)));
            }
        }
        let mut views = Vec::new();
        for v in params.iter().chain(results) {
            views.push(self.view(v)?);
        }
        Ok(Stmt::Intrin(IntrinsicCall { intrinsic, views }))
    }

    fn view(&mut self, v: &ast::View) -> Result<View, Reported> {
        let buffer = self.buffer(&v.name)?;
        let rank = self.kernel.buffers.get(buffer).map_or(0, |b| b.shape.len());
        if v.subs.len() != rank {
            let given = match v.subs.len() {
                1 => "1 subscript is".to_owned(),
                n => format!("{n} subscripts are"),
            };
            let message = format!("`{}` has rank {rank}, but {given} given", v.name.text);
            return Err(self.error(Diagnostic::new(Code::Rank, v.span, message)));
        }
        let mut extents = Vec::new();
        for (_, n) in &v.axes {
            extents.push(self.int_only(n, "the extent of a view")?);
        }
        let scope = self.vars.len();
        let mut axes = Vec::new();
        let mut outcome = Ok(());
        for ((name, _), n) in v.axes.iter().zip(extents) {
            match self.declare_var(name) {
                Ok(var) => axes.push((var, n)),
                Err(Reported) => outcome = Err(Reported),
            }
        }
        let subscripts = outcome.and_then(|()| {
            v.subs.iter().map(|e| self.int_only(e, "a subscript of a view")).collect()
        });
        self.vars.truncate(scope);
        Ok(View { buffer, axes, subscripts: subscripts? })
    }
}

impl ModuleCx {
    /// Reports what a verifier found, at the declaration.
    pub(super) fn report_at(&mut self, span: Span, mistakes: Diagnostics) -> Reported {
        for mut d in mistakes {
            d.span = Some(span);
            self.diagnostics.push(d);
        }
        Reported
    }
}

/// Reads declarations that have no mistakes.
pub(crate) fn read_intrinsics(text: &str) -> Vec<Intrinsic> {
    let mut cx = ModuleCx::default();
    let source = cx.sources.add("intrinsics/*.tir", text);
    let (file, mistakes) = crate::text::parse(text, source);
    assert!(!mistakes.has_errors(), "the intrinsics of the runtime parse: {mistakes:?}");
    let declared = file.items.iter().filter_map(|item| match item {
        ast::Item::Intrin(i) => Some(i),
        _ => None,
    });
    let read = |i| read_intrinsic(&mut cx, i).ok();
    let out: Vec<Intrinsic> = declared.filter_map(read).collect();
    assert!(!cx.diagnostics.has_errors(), "{:?}", cx.diagnostics);
    out
}
