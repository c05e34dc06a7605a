//! Temporaries of a program: how large they are, when they live, whose place they may take.
//!
//! Places are found at the call, when the sizes are known. What is decided here is what they must
//! respect: a temporary lives from the first call that names it to the last. It may take the bytes
//! of one that dies where it is born if the kernel writes each element right where it reads it.

use indexmap::{IndexMap, IndexSet};
use tcc_ir::graph::Role;
use tcc_ir::int::{Facts, IntExpr, bounds};
use tcc_ir::kernel::dependence::{Accesses, Range};
use tcc_ir::kernel::{Block, For, Kernel, Stmt, Update, visit_stmts};
use tcc_ir::program::{KernelCall, Program};
use tcc_ir::scalar::Subscript;
use tcc_ir::{TensorId, VarId};

/// A temporary with its lifetime.
#[derive(Clone, Debug, PartialEq)]
pub struct Temporary {
    /// The buffer.
    pub buffer: TensorId,
    /// Its size in bytes.
    pub bytes: IntExpr,
    /// Number of the first call that names it.
    pub first: usize,
    /// Number of the last one.
    pub last: usize,
    /// A temporary of the same size whose bytes it may take over in its first call.
    pub replaces: Option<TensorId>,
}

/// The temporaries that calls name, in the order of the program.
pub fn temporaries(program: &Program, kernels: &IndexMap<String, Kernel>) -> Vec<Temporary> {
    let mut lives: IndexMap<TensorId, (usize, usize)> = IndexMap::new();
    for (k, call) in program.calls.iter().enumerate() {
        for t in call.arguments.iter().chain(&call.results) {
            lives.entry(*t).or_insert((k, k)).1 = k;
        }
    }
    let mut replaced = IndexSet::new();
    let mut out = Vec::new();
    for (t, b) in program.buffers.iter().filter(|(_, b)| b.role == Role::Intermediate) {
        let Some((first, last)) = lives.get(&t).copied() else { continue };
        let size = IntExpr::constant(b.dtype.size() as i64);
        let bytes = b.shape.iter().fold(size, |p, e| p * e.clone());
        let dies = |x: &TensorId| lives.get(x).is_some_and(|(_, last)| *last == first);
        let call = program.calls.get(first);
        let replaces = call.and_then(|call| {
            let kernel = kernels.get(&call.kernel)?;
            let mut candidates = call.arguments.iter().copied().filter(dies);
            candidates.find(|x| {
                !replaced.contains(x) && fits(program, *x, t) && in_place(call, kernel, *x, t)
            })
        });
        replaced.extend(replaces);
        out.push(Temporary { buffer: t, bytes, first, last, replaces });
    }
    out
}

/// True if two buffers are temporaries of one layout.
fn fits(program: &Program, x: TensorId, y: TensorId) -> bool {
    let buffers = program.buffers.get(x).zip(program.buffers.get(y));
    buffers.is_some_and(|(x, y)| {
        let size = x.dtype.size() == y.dtype.size();
        size && x.role == Role::Intermediate && x.shape == y.shape
    })
}

/// True if the call reads elements of `x` only to write the same element of `y`, each once.
fn in_place(call: &KernelCall, kernel: &Kernel, x: TensorId, y: TensorId) -> bool {
    let named = |t: TensorId| {
        let given = call.arguments.iter().chain(&call.results).zip(kernel.arguments());
        let mut own = given.filter(|(a, _)| **a == t).map(|(_, own)| own);
        own.next().filter(|_| own.next().is_none())
    };
    let (Some(x), Some(y)) = (named(x), named(y)) else { return false };
    let mut plain = true;
    visit_stmts(&kernel.body, &mut |s| {
        plain &= match s {
            Stmt::Let { .. } | Stmt::Repeat(_) | Stmt::Intrin(_) => false,
            Stmt::If { condition, .. } => condition.reads().iter().all(|r| r.tensor != x),
            Stmt::For(_) | Stmt::Block(_) | Stmt::Alloc(_) => true,
        };
    });
    let mut uses = Vec::new();
    blocks_about(&kernel.body, &mut Vec::new(), (x, y), &mut uses);
    let facts = declared(kernel);
    let alone = |k: usize, (b, loops): &(&Block, Vec<&For>)| {
        let mut others = uses.iter().take(k);
        updates_element(b, x, y)
            && writes_once(kernel, &facts, b, loops)
            && others.all(|(other, around)| are_disjoint(&facts, (b, loops), (other, around)))
    };
    plain && !uses.is_empty() && uses.iter().enumerate().all(|(k, one)| alone(k, one))
}

/// What is declared of the sizes.
fn declared(kernel: &Kernel) -> Facts {
    let mut facts = Facts::default();
    for f in &kernel.facts {
        f.comparison.as_nonneg(&f.lhs, &f.rhs).into_iter().for_each(|e| facts.add_nonneg(e));
    }
    facts
}

/// True if two blocks write different elements, whatever the loops around them do.
fn are_disjoint(facts: &Facts, a: (&Block, &[&For]), b: (&Block, &[&For])) -> bool {
    let ends = |(block, loops): (&Block, &[&For]), axis: usize| {
        let position = block.store.subscripts.get(axis)?.as_affine()?;
        let range = |v: VarId| {
            let f = loops.iter().find(|f| f.var == v)?;
            Some((f.lo.clone(), &f.hi - &IntExpr::constant(1)))
        };
        let position = block.over_loops(position);
        let least = bounds::lower(&position, &range, facts)?;
        Some((least, bounds::upper(&position, &range, facts)?))
    };
    (0..a.0.store.subscripts.len()).any(|axis| {
        ends(a, axis).zip(ends(b, axis)).is_some_and(|((a_lo, a_hi), (b_lo, b_hi))| {
            facts.less(&a_hi, &b_lo) || facts.less(&b_hi, &a_lo)
        })
    })
}

/// The blocks that read `x` or write `y`, with the loops around them.
fn blocks_about<'k>(
    body: &'k [Stmt],
    loops: &mut Vec<&'k For>,
    (x, y): (TensorId, TensorId),
    out: &mut Vec<(&'k Block, Vec<&'k For>)>,
) {
    for s in body {
        match s {
            Stmt::For(f) => {
                loops.push(f);
                blocks_about(&f.body, loops, (x, y), out);
                loops.pop();
            }
            Stmt::If { then, otherwise, .. } => {
                blocks_about(then, loops, (x, y), out);
                blocks_about(otherwise, loops, (x, y), out);
            }
            Stmt::Block(b) => {
                let reads = || b.exprs().into_iter().flat_map(|e| e.reads());
                if b.store.buffer == y || reads().any(|r| r.tensor == x) {
                    out.push((b, loops.clone()));
                }
            }
            Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Repeat(_) | Stmt::Intrin(_) => {}
        }
    }
}

/// True if the block sets an element of `y` and reads none but the same one of `x`.
fn updates_element(b: &Block, x: TensorId, y: TensorId) -> bool {
    let affine = b.store.subscripts.iter().all(|s| matches!(s, Subscript::Affine(_)));
    let sets = b.store.buffer == y && b.store.update == Update::Set && b.init.is_none();
    let mut reads = b.exprs().into_iter().flat_map(|e| e.reads());
    let same = reads.all(|r| {
        r.tensor != y
            && (r.tensor != x || (r.default.is_none() && r.subscripts == b.store.subscripts))
    });
    affine && sets && same
}

/// True if different iterations of the loops around the block write different elements.
fn writes_once(kernel: &Kernel, facts: &Facts, block: &Block, loops: &[&For]) -> bool {
    let Some(innermost) = loops.last() else { return true };
    let one = IntExpr::constant(1);
    let range = |f: &&For| Range { var: f.var, lo: f.lo.clone(), last: &f.hi - &one };
    let around: Vec<Range> = loops.iter().map(range).collect();
    let accesses = Accesses::to_written(kernel, &innermost.body, facts);
    let is_it = |b: Option<&Block>| b.is_some_and(|b| std::ptr::eq(b, block));
    let mut writes = accesses.list.iter().filter(|a| a.writes && is_it(a.block));
    writes.all(|w| accesses.are_apart(&around, w, w))
}
