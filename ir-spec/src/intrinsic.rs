//! Intrinsics: functions of the runtime, each with a kernel that is its meaning.
//!
//! A declaration says what a call computes, the symbol of the function that does it, and the
//! features that a target must have before code for it may call. The kernel interpreter runs the
//! meaning, compiled code calls the symbol; both give the same bits. `intrinsics/*.tir` declares
//! those of the runtime, a text may declare others for a linker to resolve.

use crate::SizeId;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::int::{IntExpr, Symbol};
use crate::kernel::{Kernel, Stmt, print_meaning, verify, visit_stmts};
use crate::scalar::{Expr, Func, Subscript};
use crate::target::FEATURES;
use std::fmt::Write;
use tcc_abi::Scalar;

/// A function that kernels may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intrinsic {
    /// Its name.
    pub name: String,
    /// Features of [`FEATURES`] that a target must have.
    pub requires: Vec<String>,
    /// The name of the function, a [`tcc_abi::IntrinsicFn`].
    pub symbol: String,
    /// `cost(flops=0.97)`: the share of the machine's peak rate that it reaches, an f64.
    pub flops: Option<Scalar>,
    /// Its meaning. A buffer with strides may be passed with any, another without gaps.
    pub kernel: Kernel,
}

impl Intrinsic {
    /// The argument and its axis whose extent is this size.
    pub fn size_source(&self, size: SizeId) -> Option<(usize, usize)> {
        let bare = Some(Symbol::Size(size));
        self.kernel.arguments().enumerate().find_map(|(k, t)| {
            let shape = &self.kernel.buffers.get(t)?.shape;
            shape.iter().position(|e| e.as_symbol() == bare).map(|axis| (k, axis))
        })
    }

    /// The first feature that it requires and `features` lacks.
    pub fn missing_feature(&self, features: &[String]) -> Option<&str> {
        self.requires.iter().find(|f| !features.contains(f)).map(String::as_str)
    }
}

/// The declaration as `.tir` text.
pub fn print_intrinsic(i: &Intrinsic) -> String {
    let mut out = format!("intrin {}", i.name);
    if !i.requires.is_empty() {
        let _ = write!(out, " requires {}", i.requires.join(", "));
    }
    let _ = write!(out, " symbol \"{}\"", i.symbol);
    if let Some(share) = i.flops {
        let _ = write!(out, " cost(flops={share})");
    }
    let _ = write!(out, " {{\n{}}}\n", print_meaning(&i.kernel));
    out
}

/// Checks a declaration: its kernel; that every size is the extent of an axis, so that a call
/// gives all of them; that nothing in it can fail, for a call has no status.
pub fn verify_intrinsic(i: &Intrinsic) -> Result<(), Diagnostics> {
    verify(&i.kernel)?;
    let mut out = Diagnostics::default();
    let mut refuse = |what: String| {
        let message = format!("intrinsic `{}`: {what}", i.name);
        out.push(Diagnostic::plain(Code::Kernel, message));
    };
    for f in i.requires.iter().filter(|f| !FEATURES.iter().any(|(_, all, _)| all.contains(&&***f)))
    {
        refuse(format!("no target has the feature `{f}`"));
    }
    let c_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if i.symbol.is_empty() || !i.symbol.chars().all(c_name) {
        refuse(format!("the symbol `{}` is no name of the C language", i.symbol));
    }
    if i.flops.is_some_and(|s| !(s.to_f64() > 0.0 && s.to_f64() <= 1.0)) {
        refuse("`flops` is a share of the peak rate, above 0 and at most 1".to_owned());
    }
    for (s, size) in i.kernel.sizes.iter() {
        if i.size_source(s).is_none() {
            refuse(format!("no axis has the extent `{}`, so that a call gives it", size.name));
        }
    }
    if let Some(what) = failure(&i.kernel) {
        refuse(format!("{what} may fail, but a call has no status"));
    }
    if calls(&i.kernel) {
        refuse("the meaning calls another intrinsic".to_owned());
    }
    if out.has_errors() { Err(out) } else { Ok(()) }
}

fn calls(kernel: &Kernel) -> bool {
    let mut found = false;
    visit_stmts(&kernel.body, &mut |s| found |= matches!(s, Stmt::Intrin(_)));
    found
}

/// Something in the kernel that stops some calls.
fn failure(kernel: &Kernel) -> Option<&'static str> {
    let mut found = None;
    visit_stmts(&kernel.body, &mut |s| {
        let exprs: Vec<&Expr> = match s {
            Stmt::Block(b) => {
                if b.store.subscripts.iter().any(|s| s.as_affine().is_none()) && !b.store.drop {
                    found = Some("a scatter");
                }
                b.exprs()
            }
            Stmt::If { condition, .. } => vec![condition],
            Stmt::Repeat(r) => {
                if r.must_converge {
                    found = Some("a `repeat` that must converge");
                }
                vec![&r.until]
            }
            Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => vec![],
        };
        for e in exprs {
            found = found.or_else(|| failure_of(e));
        }
    });
    found
}

fn failure_of(e: &Expr) -> Option<&'static str> {
    let mut found = None;
    e.visit(&mut |e| match e {
        Expr::Apply(Func::Div | Func::Rem, args)
            if args.first().is_some_and(|a| a.dtype().is_int()) =>
        {
            found = Some("a division of integers");
        }
        Expr::Read(r)
            if r.default.is_none()
                && r.subscripts.iter().any(|s| matches!(s, Subscript::Data(_))) =>
        {
            found = Some("a gather without a default");
        }
        _ => {}
    });
    found
}

/// An expression over the sizes of a declaration in terms of a call's extents.
pub fn at_call(e: &IntExpr, sizes: &[IntExpr]) -> IntExpr {
    use cranelift_entity::EntityRef;
    e.substitute(&|s| match s {
        Symbol::Size(s) => sizes.get(s.index()).cloned(),
        Symbol::Var(_) => None,
    })
}
