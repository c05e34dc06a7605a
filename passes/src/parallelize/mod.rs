//! Shapes kernels so that calls can share their iterations out over threads.
//!
//! A kernel whose statements are several nests becomes a kernel for each nest that threads can
//! share, called in the same order; nests between them stay together. In such a nest the outermost
//! loop is marked `parallel`, and so are the loops below it as long as each is the only statement
//! of the one around it, its iterations are proved independent, and a loop is left inside. Shapes
//! decide, never a number of threads.
//!
//! ```text
//! if contiguous(C) {                        kernel C:
//!     for b in B {                              if contiguous(C) {
//!         for jo in N/16 { for k in K {..} }        for b in B parallel {
//!         for jt in ..N { for k in K {..} }             for jo in N/16 parallel { for k.. } } }
//!     }                                     kernel C_1: the same with jt
//! } else {                                  kernel C_2:
//!     for b in B { for j in N {..} }            if !contiguous(C) {
//! }                                                 for b in B parallel { for j in N {..} } }
//! ```
//!
//! Left alone: kernels with a `parallel` loop, a schedule, or an `alloc` or `let` beside their
//! nests; nests that are short whatever the sizes; loops whose order matters, as those of scans.
//!
//! requires: kernels and programs that verify. ensures: the same calls in the same order write the
//! same elements; each kernel has a parallel nest or none of its loops is marked.

mod nests;
mod pieces;

use crate::graph::Changed;
use indexmap::IndexMap;
use nests::nests;
use pieces::Piece;
use tcc_ir::TensorId;
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, LoopKind, Stmt, canonical, visit_stmts};
use tcc_ir::program::{KernelCall, Program};

/// Shapes the kernels that the module's programs call.
pub fn parallelize(module: &mut Module) -> Changed {
    let mut made: IndexMap<String, Vec<Piece>> = IndexMap::new();
    let mut kernels = IndexMap::new();
    for (name, k) in &module.kernels {
        let called = module.programs.values().any(|p| p.calls.iter().any(|c| c.kernel == *name));
        let free = called && !module.schedules.contains_key(name) && !is_marked(k);
        let taken = |n: &str| module.kernels.contains_key(n) || kernels.contains_key(n);
        match if free { split(k, &taken) } else { None } {
            None => {
                kernels.insert(name.clone(), k.clone());
            }
            Some(pieces) => {
                for p in &pieces {
                    kernels.insert(p.kernel.name.clone(), canonical(&p.kernel));
                }
                made.insert(name.clone(), pieces);
            }
        }
    }
    for p in module.programs.values_mut() {
        recall(p, &module.kernels, &made);
    }
    module.kernels = kernels;
    Changed(!made.is_empty())
}

fn is_marked(k: &Kernel) -> bool {
    let mut marked = false;
    visit_stmts(&k.body, &mut |s| {
        marked |= matches!(s, Stmt::For(f) if f.kind == LoopKind::Parallel);
    });
    marked
}

/// The kernels that a kernel becomes; nothing if none of its nests can be shared out. The first one
/// keeps its name.
fn split(k: &Kernel, taken: &dyn Fn(&str) -> bool) -> Option<Vec<Piece>> {
    let mut bodies: Vec<(bool, Vec<Stmt>)> = Vec::new();
    for nest in nests(k) {
        match bodies.last_mut() {
            Some((false, body)) if !nest.parallel => body.extend(nest.into_stmts()),
            _ => bodies.push((nest.parallel, nest.into_stmts())),
        }
    }
    if !bodies.iter().any(|(parallel, _)| *parallel) {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    let mut pieces = Vec::new();
    for (_, body) in bodies {
        let numbered = (1..).map(|n| format!("{}_{n}", k.name));
        let free = |n: &String| !names.contains(n) && !taken(n);
        let name =
            if names.is_empty() { Some(k.name.clone()) } else { numbered.into_iter().find(free) };
        let name = name.unwrap_or_default();
        names.push(name.clone());
        pieces.push(Piece::new(k, name, body));
    }
    Some(pieces)
}

/// Calls the pieces of kernels instead of the kernels.
fn recall(p: &mut Program, old: &IndexMap<String, Kernel>, made: &IndexMap<String, Vec<Piece>>) {
    for call in std::mem::take(&mut p.calls) {
        let (Some(kernel), Some(pieces)) = (old.get(&call.kernel), made.get(&call.kernel)) else {
            p.calls.push(call);
            continue;
        };
        let given: IndexMap<TensorId, TensorId> =
            kernel.arguments().zip(call.arguments.iter().chain(&call.results).copied()).collect();
        let list = |ts: &[TensorId]| ts.iter().filter_map(|t| given.get(t).copied()).collect();
        p.calls.extend(pieces.iter().map(|piece| KernelCall {
            kernel: piece.kernel.name.clone(),
            arguments: list(&piece.kernel.params),
            results: list(&piece.kernel.results),
        }));
    }
}
