//! Work and traffic of kernels at given sizes.
//!
//! A flop is one addition, multiplication, division, comparison or function call on values; a fused
//! multiply-add counts two; index arithmetic counts nothing. Bytes are those of every argument
//! once: what a kernel moves at least. A loop whose extent depends on an outer one counts at the
//! middle of the outer one, which is exact for triangles. Work under a condition counts as if it
//! always held.

use cranelift_entity::EntityRef;
use std::collections::HashMap;
use tcc_ir::graph::Module;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, Kernel, Stmt, Update};
use tcc_ir::program::Program;
use tcc_ir::scalar::{Expr, Func, Subscript};
use tcc_ir::{SizeId, TensorId, VarId};

/// Work and traffic of one kernel call.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCost {
    /// The kernel's name.
    pub kernel: String,
    /// Operations on values.
    pub flops: f64,
    /// Bytes of the arguments.
    pub bytes: f64,
}

/// The cost of every call of a program, in order; `size` gives the value of a size.
pub fn program_cost(
    module: &Module,
    program: &Program,
    size: &dyn Fn(SizeId) -> i64,
) -> Vec<KernelCost> {
    let kernels = program.calls.iter().filter_map(|c| module.kernels.get(&c.kernel));
    kernels.map(|k| kernel_cost(k, size)).collect()
}

/// The cost of one kernel.
pub fn kernel_cost(kernel: &Kernel, size: &dyn Fn(SizeId) -> i64) -> KernelCost {
    let mut cx = Counting { size, vars: HashMap::new(), flops: 0.0 };
    cx.body(&kernel.body, 1.0);
    let mut bytes = 0.0;
    for b in kernel.arguments().filter_map(|t: TensorId| kernel.buffers.get(t)) {
        let count: f64 = b.shape.iter().map(|e| cx.value(e).max(0.0)).product();
        bytes += count * b.dtype.size() as f64;
    }
    KernelCost { kernel: kernel.name.clone(), flops: cx.flops, bytes }
}

struct Counting<'a> {
    size: &'a dyn Fn(SizeId) -> i64,
    /// The middle of each loop around.
    vars: HashMap<VarId, i64>,
    flops: f64,
}

impl Counting<'_> {
    fn value(&self, e: &IntExpr) -> f64 {
        let value = e.eval(&|s| match s {
            Symbol::Size(s) => (self.size)(s),
            Symbol::Var(v) => self.vars.get(&v).copied().unwrap_or(0),
        });
        value.map_or(0.0, |v| v as f64)
    }

    fn body(&mut self, body: &[Stmt], times: f64) {
        for s in body {
            match s {
                Stmt::For(f) => {
                    let (lo, hi) = (self.value(&f.lo), self.value(&f.hi));
                    self.vars.insert(f.var, ((lo + hi) / 2.0).floor() as i64);
                    self.body(&f.body, times * (hi - lo).max(0.0));
                }
                Stmt::Repeat(r) => self.body(&r.body, times),
                Stmt::If { condition, then, otherwise } => {
                    if !condition.reads().is_empty() {
                        self.flops += times * work(condition);
                    }
                    self.body(then, times);
                    if then.is_empty() {
                        self.body(otherwise, times);
                    }
                }
                Stmt::Let { var, value } => {
                    let v = self.value(value);
                    self.vars.insert(*var, v as i64);
                }
                Stmt::Block(b) => self.flops += times * block(b),
                Stmt::Alloc(_) => {}
                Stmt::Intrin(c) => {
                    let sizes: Vec<i64> = c.sizes().iter().map(|e| self.value(e) as i64).collect();
                    let size = |s: SizeId| sizes.get(s.index()).copied().unwrap_or(0);
                    self.flops += times * kernel_cost(&c.intrinsic.kernel, &size).flops;
                }
            }
        }
    }
}

fn block(b: &Block) -> f64 {
    let mut n = work(&b.store.value) + b.lets.iter().map(|(_, e)| work(e)).sum::<f64>();
    n += b.guard.as_ref().map_or(0.0, work);
    for s in &b.store.subscripts {
        if let Subscript::Data(e) = s {
            n += work(e);
        }
    }
    n + match b.store.update {
        Update::Set => 0.0,
        Update::Reduce(_) | Update::FusedSum => 1.0,
    }
}

/// Operations of one evaluation.
fn work(e: &Expr) -> f64 {
    let mut n = 0.0;
    e.visit(&mut |e| {
        if let Expr::Apply(f, _) = e {
            n += match f {
                Func::Select | Func::Neg | Func::Re | Func::Im | Func::Complex => 0.0,
                Func::Fma => 2.0,
                _ => 1.0,
            };
        }
    });
    n
}
