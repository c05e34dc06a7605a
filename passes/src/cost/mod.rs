//! Work and traffic of kernels at given sizes, and how long they take.
//!
//! A flop is one addition, multiplication, division, comparison or function call on values; a fused
//! multiply-add counts two; index arithmetic counts nothing. Bytes are the elements of every
//! argument that the kernel touches, once: what it moves at least. A loop whose extent depends on
//! an outer one counts at the middle of the outer one, which is exact for triangles, and what is
//! left for blocks as the average of all. Work under conditions and guards on sizes and loops
//! counts as often as they hold; arguments are taken to be row-major.

mod machine;
mod predict;
mod time;
mod walk;

pub use machine::{Level, Machine};
pub use predict::{KernelTime, Limit, Setting, kernel_time, program_time};
pub use time::{Time, time};

use cranelift_entity::EntityRef;
use std::collections::HashMap;
use tcc_ir::graph::Module;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, IntrinsicCall, Kernel, Update};
use tcc_ir::program::Program;
use tcc_ir::scalar::{Expr, Func, Subscript};
use tcc_ir::{SizeId, TensorId};
use time::weight;
use walk::{Around, Part, walk};

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

/// Iterations that are looked at one by one.
const COUNTED: i64 = 4096;

/// The cost of one kernel.
pub fn kernel_cost(kernel: &Kernel, size: &dyn Fn(SizeId) -> i64) -> KernelCost {
    let mut cx = Counting { kernel, size, flops: 0.0, touched: HashMap::new() };
    walk(&kernel.body, true, &mut |part, around| cx.part(&part, around));
    let bytes = |t: TensorId| {
        let b = kernel.buffers.get(t)?;
        let whole: f64 = b.shape.iter().map(|e| cx.extent(e)).product();
        let elements = cx.touched.get(&t).copied().unwrap_or(0.0).min(whole);
        Some(elements * b.dtype.size() as f64)
    };
    let bytes = kernel.arguments().filter_map(bytes).sum();
    KernelCost { kernel: kernel.name.clone(), flops: cx.flops, bytes }
}

struct Counting<'a> {
    kernel: &'a Kernel,
    size: &'a dyn Fn(SizeId) -> i64,
    flops: f64,
    /// Elements of each buffer that accesses reach, an element once for each access.
    touched: HashMap<TensorId, f64>,
}

impl Counting<'_> {
    /// The value at the sizes, or 0 if it is negative or too large to count with.
    fn extent(&self, e: &IntExpr) -> f64 {
        let value = e.eval(&|s| match s {
            Symbol::Size(s) => (self.size)(s),
            Symbol::Var(_) => 0,
        });
        value.map_or(0.0, |v| v.max(0) as f64)
    }

    /// How often a part is evaluated.
    fn times(&self, part: &Part<'_>, around: &Around) -> f64 {
        let mut times: f64 = around.loops.iter().map(|l| self.extent(&l.extent)).product();
        for (condition, holds) in &around.conditions {
            let share = self.share(condition, around, &|i| i.clone());
            times *= if *holds { share } else { 1.0 - share };
        }
        if let Part::Block(Block { guard: Some(guard), iters, .. }) = part {
            let bound = |i: &IntExpr| {
                i.substitute(&|s| {
                    let found = iters.iter().find(|(v, _)| s == Symbol::Var(*v));
                    found.map(|(_, e)| e.clone())
                })
            };
            times *= self.share(guard, around, &bound);
        }
        times
    }

    fn part(&mut self, part: &Part<'_>, around: &Around) {
        let times = self.times(part, around);
        if times == 0.0 {
            return;
        }
        let over_loops = |i: &IntExpr| match part {
            Part::Condition(_) | Part::Call(_) | Part::View(_) => around.resolve(i),
            Part::Block(b) => {
                let value = |s| b.iters.iter().find(|(v, _)| s == Symbol::Var(*v));
                around.resolve(&i.substitute(&|s| value(s).map(|(_, e)| e.clone())))
            }
        };
        let exprs = match part {
            Part::Block(b) => {
                self.flops += times * block(b);
                self.touch(b.store.buffer, &b.store.subscripts, around, &over_loops);
                b.exprs()
            }
            Part::Condition(c) => {
                if !c.reads().is_empty() {
                    self.flops += times * work(c);
                }
                vec![*c]
            }
            Part::Call(c) => {
                self.flops += times * self.call(c, around);
                vec![]
            }
            Part::View(v) => {
                let subscripts: Vec<Subscript> =
                    v.subscripts.iter().cloned().map(Subscript::Affine).collect();
                self.touch(v.buffer, &subscripts, around, &over_loops);
                vec![]
            }
        };
        for r in exprs.into_iter().flat_map(Expr::reads) {
            self.touch(r.tensor, &r.subscripts, around, &over_loops);
        }
    }

    /// Operations of the meaning of an intrinsic.
    fn call(&self, c: &IntrinsicCall, around: &Around) -> f64 {
        let sizes: Vec<i64> =
            c.sizes().iter().map(|e| self.extent(&around.at_middle(e)) as i64).collect();
        let size = |s: SizeId| sizes.get(s.index()).copied().unwrap_or(0);
        kernel_cost(&c.intrinsic.kernel, &size).flops
    }

    /// For how much of the innermost loop that it depends on a condition holds; 1 if it depends on
    /// data.
    fn share(
        &self,
        condition: &Expr,
        around: &Around,
        over_loops: &dyn Fn(&IntExpr) -> IntExpr,
    ) -> f64 {
        let mut share = 1.0;
        for part in condition.operands(Func::And) {
            let Expr::Compare(op, a, b) = part else { continue };
            let difference = around.resolve(&over_loops(&(a - b)));
            let depends = around.loops.iter().rev().find(|l| difference.mentions(l.var));
            let holds = |d: &IntExpr| {
                let value = d.eval(&|s| match s {
                    Symbol::Size(s) => (self.size)(s),
                    Symbol::Var(_) => 0,
                });
                value.is_ok_and(|v| op.holds(v.cmp(&0)))
            };
            let Some(l) = depends else {
                share *= f64::from(u8::from(holds(&around.at_middle(&difference))));
                continue;
            };
            let difference = around.on_average(&difference, Some(l.var));
            let count = (self.extent(&l.extent) as i64).min(COUNTED);
            let at = |k: i64| difference.with_var(l.var, &(&l.lo + &IntExpr::constant(k)));
            let held = (0..count).filter(|k| holds(&at(*k))).count();
            share *= if count == 0 { 1.0 } else { held as f64 / count as f64 };
        }
        share
    }

    /// Notes the elements that an access reaches: on each axis at most its extent, and at most what
    /// the loops that its subscript mentions run through.
    fn touch(
        &mut self,
        t: TensorId,
        subscripts: &[Subscript],
        around: &Around,
        over_loops: &dyn Fn(&IntExpr) -> IntExpr,
    ) {
        let Some(b) = self.kernel.buffers.get(t) else { return };
        let reached = |(s, n): (&Subscript, &IntExpr)| {
            let whole = self.extent(n);
            let Subscript::Affine(i) = s else { return whole };
            let i = over_loops(i);
            let moving = around.loops.iter().filter(|l| around.moves(&i, l.var));
            moving.map(|l| self.extent(&l.extent)).product::<f64>().min(whole)
        };
        let mut elements: f64 = subscripts.iter().zip(&b.shape).map(reached).product();
        if around.loops.iter().any(|l| self.extent(&l.extent) == 0.0) {
            elements = 0.0;
        }
        *self.touched.entry(t).or_insert(0.0) += elements;
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
                Func::And | Func::Or | Func::Not => 0.0,
                Func::Fma => 2.0,
                _ => 1.0,
            };
        }
    });
    n
}
