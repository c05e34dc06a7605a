//! The calls of a program that depend on its `param` inputs alone.
//!
//! A bound executable runs them once, when it is bound: whatever layout or product of weights the
//! other calls read is there when they begin.

use indexmap::IndexSet;
use tcc_ir::graph::Role;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, Kernel, Scratch, Stmt, visit_stmts};
use tcc_ir::program::Program;
use tcc_ir::scalar::Subscript;
use tcc_ir::{SizeId, TensorId};

/// For each call whether it reads nothing but params and temporaries of such calls, and writes
/// nothing but temporaries that only such calls write.
pub fn param_calls(program: &Program) -> Vec<bool> {
    let role = |t: &TensorId| program.buffers.get(*t).map(|b| b.role);
    let mut fixed: IndexSet<TensorId> = program
        .buffers
        .keys()
        .filter(|t| matches!(role(t), Some(Role::Param | Role::Intermediate)))
        .collect();
    loop {
        let before = fixed.len();
        let depends = |fixed: &IndexSet<TensorId>| -> Vec<bool> {
            let known = |t: &TensorId| fixed.contains(t);
            let all = program.calls.iter();
            all.map(|c| c.arguments.iter().chain(&c.results).all(known)).collect()
        };
        let calls = depends(&fixed);
        for (c, _) in program.calls.iter().zip(&calls).filter(|(_, alone)| !**alone) {
            fixed.retain(|t| !c.results.contains(t));
        }
        if fixed.len() == before {
            return calls;
        }
    }
}

/// The sizes that a kernel reads, in order.
pub fn sizes_of(kernel: &Kernel) -> Vec<SizeId> {
    let mut sizes: IndexSet<SizeId> = IndexSet::new();
    let mut note = |e: &IntExpr| {
        e.visit_symbols(&mut |s| {
            if let Symbol::Size(s) = s {
                sizes.insert(s);
            }
        });
    };
    kernel.buffers.values().flat_map(|b| &b.shape).for_each(&mut note);
    note(&Scratch::of(kernel).bytes);
    visit_stmts(&kernel.body, &mut |s| match s {
        Stmt::For(f) => [&f.lo, &f.hi].into_iter().for_each(&mut note),
        Stmt::If { condition, .. } => condition.visit_ints(&mut note),
        Stmt::Let { value, .. } => note(value),
        Stmt::Repeat(r) => {
            note(&r.limit);
            r.until.visit_ints(&mut note);
        }
        Stmt::Block(b) => ints_of(b, &mut note),
        Stmt::Intrin(c) => {
            for v in &c.views {
                v.axes.iter().map(|(_, n)| n).chain(&v.subscripts).for_each(&mut note);
            }
        }
        Stmt::Alloc(_) => {}
    });
    sizes.sort_unstable();
    sizes.into_iter().collect()
}

fn ints_of(b: &Block, note: &mut dyn FnMut(&IntExpr)) {
    b.iters.iter().for_each(|(_, e)| note(e));
    b.exprs().into_iter().for_each(|e| e.visit_ints(&mut |i| note(i)));
    b.store.subscripts.iter().filter_map(Subscript::as_affine).for_each(note);
}
