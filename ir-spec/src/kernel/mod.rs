//! The loop-nest level: kernels of loops and blocks, as TensorIR has them, with nothing claimed.
//!
//! A [`Kernel`] computes its results from its parameters by statements in order. A [`Block`] is the
//! unit of work: its iteration variables are bound to expressions of the loops around it; where its
//! guard holds it computes its lets in order and performs one [`Store`]. Which variables are
//! spatial and which reduce, and what is read and written, is inferred ([`regions`]), never stated.
//!
//! Meaning, for every tier: statements run in order; a `vectorize` or `parallel` loop promises that
//! its iterations do not depend on each other, so any order gives the same result; `unroll` changes
//! nothing. Arithmetic happens as written, one rounding an operation; `@fma` fuses the product that
//! feeds a sum.

mod call;
mod canonical;
pub mod dependence;
mod independence;
mod names;
mod parallel;
mod print;
pub mod regions;
mod rename;
mod scratch;
pub mod verify;

pub use call::{IntrinsicCall, View};
pub use canonical::{canonical, canonical_program, nameless, renumbered};
pub use names::KernelNames;
pub use parallel::{ParallelNest, is_fixed};
pub use print::print_kernel;
pub(crate) use print::print_meaning;
pub use rename::Rename;
pub use scratch::Scratch;
pub use verify::{verify, verify_all_lowered, verify_lowered};

use crate::graph::{Fact, Size};
use crate::int::IntExpr;
use crate::scalar::{Expr, Reducer, Subscript};
use crate::target::PAST_CACHES;
use crate::{SizeId, TensorId, VarId};
use cranelift_entity::PrimaryMap;
use tcc_abi::DType;

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub sizes: PrimaryMap<SizeId, Size>,
    /// Facts about the sizes.
    pub facts: Vec<Fact>,
    /// Parameters, results, allocated buffers and block lets.
    pub buffers: PrimaryMap<TensorId, Buffer>,
    /// Buffers that it reads.
    pub params: Vec<TensorId>,
    /// Buffers that it writes (and may read).
    pub results: Vec<TensorId>,
    /// Names of loop, let and block variables.
    pub vars: PrimaryMap<VarId, String>,
    /// Statements in order.
    pub body: Vec<Stmt>,
}

/// A buffer of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<IntExpr>,
    /// Where it lives.
    pub scope: Scope,
}

impl Buffer {
    /// Its size in bytes, if all extents are known.
    pub fn bytes(&self) -> Option<i64> {
        let size = self.dtype.size() as i64;
        self.shape.iter().try_fold(size, |n, extent| n.checked_mul(extent.as_constant()?))
    }

    /// True if it is known to be larger than what caches hold: a result is then written past them.
    pub fn exceeds_caches(&self) -> bool {
        self.bytes().is_some_and(|n| n >= PAST_CACHES)
    }
}

/// Where a buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Passed by the caller, row-major without gaps.
    Global,
    /// Passed by the caller with strides known at the call.
    Strided,
    /// In the kernel's own memory, row-major.
    Local,
    /// In registers: constant extents.
    Register,
    /// A value that a block computes before its store.
    Let,
}

impl Scope {
    /// Where a kernel allocates buffers.
    pub const ALLOCATED: [Scope; 2] = [Scope::Local, Scope::Register];

    /// The word in messages, and in the text of an `alloc` or schedule.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Strided => "strided",
            Scope::Local => "local",
            Scope::Register => "register",
            Scope::Let => "let",
        }
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stmt {
    /// Runs the body for each value in `lo..hi`.
    For(For),
    /// Does the block's work.
    Block(Block),
    /// Runs one of two bodies.
    If {
        /// A bool.
        condition: Expr,
        /// Where it holds.
        then: Vec<Stmt>,
        /// Where it does not.
        otherwise: Vec<Stmt>,
    },
    /// Names an integer for the rest of the body.
    Let {
        /// The name.
        var: VarId,
        /// The value.
        value: IntExpr,
    },
    /// Makes a buffer, with unspecified contents, for the rest of the body.
    Alloc(TensorId),
    /// Runs the body until the condition holds after it, at most `limit` times.
    Repeat(Repeat),
    /// Calls a function of the runtime on parts of buffers.
    Intrin(IntrinsicCall),
}

/// A loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct For {
    /// Its variable.
    pub var: VarId,
    /// First value; never negative.
    pub lo: IntExpr,
    /// One past the last value.
    pub hi: IntExpr,
    /// How it may run.
    pub kind: LoopKind,
    /// What it runs.
    pub body: Vec<Stmt>,
}

/// How a loop may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopKind {
    /// In order.
    Serial,
    /// In any order, on any thread.
    Parallel,
    /// All iterations at once, in vector lanes; the extent is a constant.
    Vectorize,
    /// Copied; the extent is a constant.
    Unroll,
    /// In any order, each iteration on a processor of a grid; in order where there is none.
    Bind(Axis),
}

/// An axis of a grid of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Axis {
    WorkgroupX,
    WorkgroupY,
    WorkgroupZ,
    Subgroup,
    InvocationX,
    InvocationY,
    InvocationZ,
}

impl Axis {
    /// Every axis.
    pub const ALL: [Axis; 7] = [
        Axis::WorkgroupX,
        Axis::WorkgroupY,
        Axis::WorkgroupZ,
        Axis::Subgroup,
        Axis::InvocationX,
        Axis::InvocationY,
        Axis::InvocationZ,
    ];

    /// The word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Axis::WorkgroupX => "workgroup.x",
            Axis::WorkgroupY => "workgroup.y",
            Axis::WorkgroupZ => "workgroup.z",
            Axis::Subgroup => "subgroup",
            Axis::InvocationX => "invocation.x",
            Axis::InvocationY => "invocation.y",
            Axis::InvocationZ => "invocation.z",
        }
    }
}

impl LoopKind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = LoopKind> + Clone {
        let plain = [LoopKind::Serial, LoopKind::Parallel, LoopKind::Vectorize, LoopKind::Unroll];
        plain.into_iter().chain(Axis::ALL.into_iter().map(LoopKind::Bind))
    }

    /// The words in the text; none for a serial loop.
    pub fn name(self) -> &'static str {
        match self {
            LoopKind::Bind(Axis::WorkgroupX) => "bind(workgroup.x)",
            LoopKind::Bind(Axis::WorkgroupY) => "bind(workgroup.y)",
            LoopKind::Bind(Axis::WorkgroupZ) => "bind(workgroup.z)",
            LoopKind::Bind(Axis::Subgroup) => "bind(subgroup)",
            LoopKind::Bind(Axis::InvocationX) => "bind(invocation.x)",
            LoopKind::Bind(Axis::InvocationY) => "bind(invocation.y)",
            LoopKind::Bind(Axis::InvocationZ) => "bind(invocation.z)",
            LoopKind::Serial => "",
            LoopKind::Parallel => "parallel",
            LoopKind::Vectorize => "vectorize",
            LoopKind::Unroll => "unroll",
        }
    }
}

/// A loop with a data-dependent end: how fixpoints run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The round, from 0.
    pub var: VarId,
    /// The most rounds.
    pub limit: IntExpr,
    /// Ends the loop when it holds after a round.
    pub until: Expr,
    /// True if reaching the limit is the run-time error E-DIVERGE.
    pub must_converge: bool,
    /// A round.
    pub body: Vec<Stmt>,
}

/// The unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// Its variables with the expressions of the loops that they are bound to.
    pub iters: Vec<(VarId, IntExpr)>,
    /// Where it is false nothing happens.
    pub guard: Option<Expr>,
    /// What the written element is set to first, when every reduction variable is 0.
    pub init: Option<Expr>,
    /// Values computed before the store, each usable in the later ones.
    pub lets: Vec<(TensorId, Expr)>,
    /// The store.
    pub store: Store,
}

/// The write of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What is written.
    pub buffer: TensorId,
    /// Where.
    pub subscripts: Vec<Subscript>,
    /// How.
    pub update: Update,
    /// The value.
    pub value: Expr,
    /// Writes with data-dependent subscripts out of range are skipped instead of failing.
    pub drop: bool,
}

/// How a store combines with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Replaces it.
    Set,
    /// Combines.
    Reduce(Reducer),
    /// The value is a product `a * b`; the element becomes `fma(a, b, element)`.
    FusedSum,
}

impl Kernel {
    /// The buffer of this name that is not a block's let.
    pub fn buffer_by_name(&self, name: &str) -> Option<TensorId> {
        self.buffers.iter().find(|(_, b)| b.name == name && b.scope != Scope::Let).map(|(id, _)| id)
    }

    /// Parameters, then results: the order of the call's arguments.
    pub fn arguments(&self) -> impl Iterator<Item = TensorId> {
        self.params.iter().chain(&self.results).copied()
    }

    /// A variable with a name that no other has: the stem, or with the least number behind it.
    pub fn fresh_var(&mut self, stem: &str) -> VarId {
        let sizes = self.sizes.values().map(|s| &s.name);
        let names = self.vars.values().chain(sizes).chain(self.buffers.values().map(|b| &b.name));
        let mut stem_is_taken = false;
        let mut numbers: Vec<usize> = Vec::new();
        for rest in names.filter_map(|n| n.strip_prefix(stem)) {
            stem_is_taken |= rest.is_empty();
            numbers.extend(rest.parse::<usize>().ok().filter(|k| rest == k.to_string()));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let unused = numbers.iter().zip(0..).take_while(|(n, k)| *n == k).count();
        let name = if stem_is_taken { format!("{stem}{unused}") } else { stem.to_owned() };
        self.vars.push(name)
    }
}

impl For {
    /// The same loop around other statements.
    pub fn around(&self, body: Vec<Stmt>) -> For {
        For { var: self.var, lo: self.lo.clone(), hi: self.hi.clone(), kind: self.kind, body }
    }
}

impl Block {
    /// The variables that the written subscripts do not mention.
    pub fn reduction_vars(&self) -> Vec<VarId> {
        let mut written = Vec::new();
        for s in &self.store.subscripts {
            s.visit_symbols(&mut |sym| {
                if let crate::int::Symbol::Var(v) = sym {
                    written.push(v);
                }
            });
        }
        self.iters.iter().map(|(v, _)| *v).filter(|v| !written.contains(v)).collect()
    }

    /// An expression of the block's variables over the loops around it.
    pub fn over_loops(&self, e: &IntExpr) -> IntExpr {
        e.substitute(&|s| match s {
            crate::int::Symbol::Var(v) => {
                self.iters.iter().find(|(w, _)| *w == v).map(|(_, value)| value.clone())
            }
            crate::int::Symbol::Size(_) => None,
        })
    }

    /// Every expression that the block evaluates.
    pub fn exprs(&self) -> Vec<&Expr> {
        let data = self.store.subscripts.iter().filter_map(|s| match s {
            Subscript::Data(e) => Some(e),
            Subscript::Affine(_) => None,
        });
        let lets = self.lets.iter().map(|(_, e)| e);
        self.guard
            .iter()
            .chain(&self.init)
            .chain(lets)
            .chain(data)
            .chain([&self.store.value])
            .collect()
    }
}

/// Calls `visit` on every statement, parents first.
pub fn visit_stmts<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a Stmt)) {
    for s in body {
        visit(s);
        match s {
            Stmt::For(f) => visit_stmts(&f.body, visit),
            Stmt::Repeat(r) => visit_stmts(&r.body, visit),
            Stmt::If { then, otherwise, .. } => {
                visit_stmts(then, visit);
                visit_stmts(otherwise, visit);
            }
            Stmt::Block(_) | Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => {}
        }
    }
}

/// Calls `visit` on every block.
pub fn visit_blocks<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a Block)) {
    visit_stmts(body, &mut |s| {
        if let Stmt::Block(b) = s {
            visit(b);
        }
    });
}

/// Parameters, results and allocated buffers: all but the lets of blocks.
pub(crate) fn visible_buffers(kernel: &Kernel) -> impl Iterator<Item = TensorId> {
    kernel.buffers.iter().filter(|(_, b)| b.scope != Scope::Let).map(|(t, _)| t)
}
