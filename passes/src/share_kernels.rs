//! Calls one kernel where several differ in names only.
//!
//! Equations of the same form over tensors of the same shapes become kernels that differ in the
//! names of their buffers and variables. The first one serves the calls of all, so that it is
//! shaped, verified and compiled once.
//!
//! ```text
//! call f_C(A, B) -> C          call f_C(A, B) -> C
//! call f_D(C, B) -> D          call f_C(C, B) -> D
//! ```
//!
//! Left alone: kernels that have a schedule or that no program calls, and kernels that can fail at
//! a call, whose messages say the names.
//!
//! requires: kernels in canonical form. ensures: each call computes what it did; no two kernels
//! that a program calls are equal but for names, the exceptions aside.

use crate::graph::Changed;
use indexmap::IndexMap;
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Block, Kernel, Stmt, nameless, visit_stmts};
use tcc_ir::scalar::{Expr, Func, Subscript};

/// Drops kernels that are equal to an earlier one but for names, and calls that one.
pub fn share_kernels(module: &mut Module) -> Changed {
    let mut forms: Vec<(&str, Kernel)> = Vec::new();
    let mut shared: IndexMap<String, String> = IndexMap::new();
    for (name, k) in &module.kernels {
        let called = module.programs.values().any(|p| p.calls.iter().any(|c| c.kernel == *name));
        if !called || module.schedules.contains_key(name) || can_fail(k) {
            continue;
        }
        let form = nameless(k);
        match forms.iter().find(|(_, other)| *other == form) {
            Some((first, _)) => {
                shared.insert(name.clone(), (*first).to_owned());
            }
            None => forms.push((name, form)),
        }
    }
    module.kernels.retain(|name, _| !shared.contains_key(name));
    for call in module.programs.values_mut().flat_map(|p| &mut p.calls) {
        if let Some(first) = shared.get(&call.kernel) {
            call.kernel.clone_from(first);
        }
    }
    Changed(!shared.is_empty())
}

/// True if a call of the kernel can stop with a message.
fn can_fail(k: &Kernel) -> bool {
    let mut can = false;
    visit_stmts(&k.body, &mut |s| {
        can |= match s {
            Stmt::Block(b) => block_can_fail(b),
            Stmt::If { condition, .. } => expr_can_fail(condition),
            Stmt::Repeat(_) => true,
            Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => false,
        }
    });
    can
}

fn block_can_fail(b: &Block) -> bool {
    b.store.subscripts.iter().any(|s| matches!(s, Subscript::Data(_)))
        || b.exprs().into_iter().any(expr_can_fail)
}

/// Subscripts that depend on data may be out of range, integers may be divided by zero.
fn expr_can_fail(e: &Expr) -> bool {
    let mut can = false;
    e.visit(&mut |x| {
        can |= match x {
            Expr::Read(r) => r.subscripts.iter().any(|s| matches!(s, Subscript::Data(_))),
            Expr::Apply(Func::Div | Func::Rem, _) => x.dtype().is_int(),
            _ => false,
        }
    });
    can
}
