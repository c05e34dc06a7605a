//! Random kernels and programs, for properties that must hold for all.
//!
//! Kernels are well formed by construction: accesses to buffers larger than any loop, or with a
//! default. They are canonical, so that reading their text gives them back.

use cranelift_entity::PrimaryMap;
use fastrand::Rng;
use std::sync::{Arc, OnceLock};
use tcc_abi::{DType, Scalar};
use tcc_ir::graph::{Fact, Role, Size};
use tcc_ir::int::IntExpr;
use tcc_ir::intrinsic::Intrinsic;
use tcc_ir::kernel::{
    Block, Buffer, For, IntrinsicCall, Kernel, LoopKind, Repeat, Scope, Stmt, Store, Update, View,
    canonical,
};
use tcc_ir::library;
use tcc_ir::program::{Guard, KernelCall, Program, ProgramBuffer};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Reducer, Subscript};
use tcc_ir::{SizeId, TensorId, VarId};

/// Element types that kernels are made of.
const TYPES: [DType; 8] = [
    DType::F32,
    DType::F64,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::Bool,
    DType::F16,
    DType::C64,
];

fn one_of<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

/// An integer expression of symbols, small enough not to overflow.
pub fn int(rng: &mut Rng, symbols: &[IntExpr], depth: usize) -> IntExpr {
    let leaf = |rng: &mut Rng| match symbols {
        list if !list.is_empty() && rng.u8(..3) > 0 => list[rng.usize(..list.len())].clone(),
        _ => IntExpr::constant(rng.i64(-9..100)),
    };
    if depth == 0 || rng.bool() {
        return leaf(rng);
    }
    let a = int(rng, symbols, depth - 1);
    let b = int(rng, symbols, depth - 1);
    let positive = IntExpr::constant(rng.i64(1..17));
    match rng.u8(..8) {
        0 | 1 => a + b,
        2 => a - b,
        3 => a * positive,
        4 => a.div(&positive),
        5 => a.modulo(&positive),
        6 => a.minimum(&b),
        _ => a.maximum(&b),
    }
}

/// A kernel being made.
struct Maker<'r> {
    rng: &'r mut Rng,
    k: Kernel,
    /// Buffers that may be read and written.
    readable: Vec<TensorId>,
    writable: Vec<TensorId>,
    /// Variables of loops in scope.
    loops: Vec<VarId>,
    /// Variables of the block, while one is made.
    own: Vec<VarId>,
    /// Intrinsics of one parameter and one result along one axis.
    strips: &'static [Arc<Intrinsic>],
}

fn strips() -> &'static [Arc<Intrinsic>] {
    static STRIPS: OnceLock<Vec<Arc<Intrinsic>>> = OnceLock::new();
    STRIPS.get_or_init(|| {
        let plain = |i: &Intrinsic| i.name.starts_with("cast_") || i.name.starts_with("neg_");
        library::intrinsics().filter(plain).map(Arc::new).collect()
    })
}

fn size(name: &str) -> Size {
    Size { name: name.to_owned(), span: Default::default() }
}

/// A kernel of the given sizes; its canonical form.
pub fn kernel(rng: &mut Rng, name: &str) -> Kernel {
    let mut sizes = PrimaryMap::new();
    for n in ["N", "M", "K"].iter().take(1 + rng.usize(..3)) {
        sizes.push(size(n));
    }
    let k = Kernel { name: name.to_owned(), sizes, ..Kernel::default() };
    let mut m = Maker {
        rng,
        k,
        readable: vec![],
        writable: vec![],
        loops: vec![],
        own: vec![],
        strips: strips(),
    };
    m.arguments();
    for _ in 0..m.rng.usize(..2) {
        let symbols = m.size_symbols();
        let (lhs, rhs) = (int(m.rng, &symbols, 2), int(m.rng, &symbols, 1));
        let comparison = one_of(m.rng, &COMPARISONS);
        // A fact about numbers alone either says nothing or is refused.
        if (lhs.clone() - rhs.clone()).as_constant().is_none() {
            m.k.facts.push(Fact { lhs, comparison, rhs, span: Default::default() });
        }
    }
    let body = m.body(3);
    m.k.body = body;
    canonical(&m.k)
}

const COMPARISONS: [Comparison; 6] = [
    Comparison::Eq,
    Comparison::Ne,
    Comparison::Lt,
    Comparison::Le,
    Comparison::Gt,
    Comparison::Ge,
];

impl Maker<'_> {
    fn size_symbols(&self) -> Vec<IntExpr> {
        self.k.sizes.keys().map(IntExpr::from).collect()
    }

    /// Sizes and loop variables.
    fn loop_symbols(&self) -> Vec<IntExpr> {
        let loops = self.loops.iter().map(|v| IntExpr::from(*v));
        self.size_symbols().into_iter().chain(loops).collect()
    }

    /// Sizes and the block's variables.
    fn block_symbols(&self) -> Vec<IntExpr> {
        let own = self.own.iter().map(|v| IntExpr::from(*v));
        self.size_symbols().into_iter().chain(own).collect()
    }

    fn buffer(&mut self, stem: &str, scope: Scope) -> TensorId {
        let rank = if scope == Scope::Let { 0 } else { self.rng.usize(..3) };
        let mut shape = Vec::new();
        for _ in 0..rank {
            let symbols = self.size_symbols();
            shape.push(match scope {
                Scope::Register => IntExpr::constant(self.rng.i64(1..9)),
                Scope::Global | Scope::Strided | Scope::Local | Scope::Let => {
                    symbols[self.rng.usize(..symbols.len())].clone()
                        + IntExpr::constant(self.rng.i64(0..4))
                }
            });
        }
        let dtype = one_of(self.rng, &TYPES);
        let name = format!("{stem}{}", self.k.buffers.len());
        self.k.buffers.push(Buffer { name, dtype, shape, scope })
    }

    fn arguments(&mut self) {
        for _ in 0..1 + self.rng.usize(..3) {
            let scope = if self.rng.u8(..4) == 0 { Scope::Strided } else { Scope::Global };
            let t = self.buffer("A", scope);
            self.k.params.push(t);
            self.readable.push(t);
        }
        for _ in 0..1 + self.rng.usize(..2) {
            let t = self.buffer("C", Scope::Global);
            self.k.results.push(t);
            self.readable.push(t);
            self.writable.push(t);
        }
    }

    fn body(&mut self, depth: usize) -> Vec<Stmt> {
        let (loops, readable, writable) =
            (self.loops.len(), self.readable.len(), self.writable.len());
        let n = 1 + self.rng.usize(..2);
        let out = (0..n).map(|_| self.stmt(depth)).collect();
        self.loops.truncate(loops);
        self.readable.truncate(readable);
        self.writable.truncate(writable);
        out
    }

    fn var(&mut self) -> VarId {
        let name = one_of(self.rng, &["i", "j", "k", "block", "call"]);
        self.k.vars.push(name.to_owned())
    }

    fn stmt(&mut self, depth: usize) -> Stmt {
        match self.rng.u8(..10) {
            0..=3 if depth > 0 => self.for_loop(depth),
            4 if depth > 0 => {
                let condition = self.expr(DType::Bool, 2);
                let then = self.body(depth - 1);
                let otherwise = if self.rng.bool() { vec![] } else { self.body(depth - 1) };
                Stmt::If { condition, then, otherwise }
            }
            5 => {
                let symbols = self.loop_symbols();
                let value = int(self.rng, &symbols, 2);
                let var = self.var();
                self.loops.push(var);
                Stmt::Let { var, value }
            }
            6 => {
                let scope = if self.rng.bool() { Scope::Local } else { Scope::Register };
                let t = self.buffer("T", scope);
                self.readable.push(t);
                self.writable.push(t);
                Stmt::Alloc(t)
            }
            7 if depth > 0 => {
                let symbols = self.size_symbols();
                let limit = int(self.rng, &symbols, 1);
                let var = self.var();
                self.loops.push(var);
                let until = self.expr(DType::Bool, 2);
                let body = self.body(depth - 1);
                self.loops.retain(|v| *v != var);
                let must_converge = self.rng.bool();
                Stmt::Repeat(Repeat { var, limit, until, must_converge, body })
            }
            8 => self.intrinsic().unwrap_or_else(|| Stmt::Block(self.block())),
            _ => Stmt::Block(self.block()),
        }
    }

    /// The call of a strip on a few elements, if two buffers have its types.
    fn intrinsic(&mut self) -> Option<Stmt> {
        let axes = |k: &Kernel, t: TensorId| !k.buffers[t].shape.is_empty();
        let result = one_of(self.rng, &self.writable.clone());
        let others: Vec<TensorId> =
            self.readable.iter().copied().filter(|t| *t != result && axes(&self.k, *t)).collect();
        if others.is_empty() || !axes(&self.k, result) {
            return None;
        }
        let param = one_of(self.rng, &others);
        let fits = |i: &Intrinsic| {
            let dtype = |k: &Kernel, t: Option<&TensorId>| t.map(|t| k.buffers[*t].dtype);
            dtype(&i.kernel, i.kernel.params.first()) == dtype(&self.k, Some(&param))
                && dtype(&i.kernel, i.kernel.results.first()) == dtype(&self.k, Some(&result))
        };
        let known: Vec<_> = self.strips.iter().filter(|i| fits(i)).cloned().collect();
        let intrinsic =
            (!known.is_empty()).then(|| known[self.rng.usize(..known.len())].clone())?;
        let n = IntExpr::constant(self.rng.i64(0..4));
        let views = [param, result].map(|t| self.view(t, &n)).into();
        Some(Stmt::Intrin(IntrinsicCall { intrinsic, views }))
    }

    /// Elements from some position on along the first axis.
    fn view(&mut self, buffer: TensorId, n: &IntExpr) -> View {
        let axis = self.var();
        let symbols = self.loop_symbols();
        let rank = self.k.buffers[buffer].shape.len();
        let start = |m: &mut Self| match m.rng.u8(..3) {
            0 => int(m.rng, &symbols, 1),
            _ => IntExpr::constant(0),
        };
        let subscripts = (0..rank)
            .map(|k| if k == 0 { start(self) + IntExpr::from(axis) } else { start(self) })
            .collect();
        View { buffer, axes: vec![(axis, n.clone())], subscripts }
    }

    fn for_loop(&mut self, depth: usize) -> Stmt {
        let kind = one_of(self.rng, &[LoopKind::Serial, LoopKind::Serial, LoopKind::Unroll]);
        let sizes = self.size_symbols();
        let lo = IntExpr::constant(if self.rng.bool() { 0 } else { self.rng.i64(0..5) });
        let hi = match kind {
            LoopKind::Unroll => IntExpr::constant(self.rng.i64(1..9)),
            _ => int(self.rng, &sizes, 2),
        };
        let var = self.var();
        self.loops.push(var);
        let body = self.body(depth - 1);
        self.loops.retain(|v| *v != var);
        Stmt::For(For { var, lo, hi, kind, body })
    }

    fn block(&mut self) -> Block {
        let symbols = self.loop_symbols();
        let iters: Vec<(VarId, IntExpr)> = (0..self.rng.usize(..3))
            .map(|_| {
                let value = int(self.rng, &symbols, 2);
                (self.var(), value)
            })
            .collect();
        let readable = self.readable.len();
        let outer = std::mem::take(&mut self.loops);
        self.own = iters.iter().map(|(v, _)| *v).collect();
        let guard = (self.rng.u8(..4) == 0).then(|| self.expr(DType::Bool, 2));
        let mut lets = Vec::new();
        for _ in 0..self.rng.usize(..2) {
            let t = self.buffer("x", Scope::Let);
            let e = self.expr(self.k.buffers[t].dtype, 3);
            lets.push((t, e));
            self.readable.push(t);
        }
        let store = self.store();
        let dtype = self.k.buffers[store.buffer].dtype;
        let init = (self.rng.u8(..3) == 0).then(|| self.expr(dtype, 1));
        self.readable.truncate(readable);
        self.own.clear();
        self.loops = outer;
        let name = one_of(self.rng, &["", "a", "mm", "schedule"]).to_owned();
        Block { name, iters, guard, init, lets, store }
    }

    fn store(&mut self) -> Store {
        let buffer = one_of(self.rng, &self.writable.clone());
        let dtype = self.k.buffers[buffer].dtype;
        // Data-dependent subscripts are checked when the kernel runs.
        let rank = self.k.buffers[buffer].shape.len();
        let subscripts = (0..rank).map(|_| self.data_subscript()).collect();
        let reducers: Vec<Reducer> =
            Reducer::ALL.into_iter().filter(|r| r.accepts(dtype) && r.func().is_some()).collect();
        let value = self.expr(dtype, 3);
        let product = matches!(&value, Expr::Apply(Func::Mul, _)) && dtype.is_float();
        let update = match self.rng.u8(..3) {
            0 => Update::Set,
            _ if product => Update::FusedSum,
            _ => Update::Reduce(reducers[self.rng.usize(..reducers.len())]),
        };
        Store { buffer, subscripts, update, value, drop: self.rng.u8(..4) == 0 }
    }

    /// A subscript that depends on more than variables and sizes, as the reader sees it.
    fn data_subscript(&mut self) -> Subscript {
        let i = self.index(DType::I32);
        Subscript::Data(Expr::Cast(DType::I64, Box::new(Expr::Apply(Func::Neg, vec![i]))))
    }

    /// A read of some buffer of the type, if there is one.
    fn read(&mut self, dtype: DType) -> Option<Expr> {
        let fitting: Vec<TensorId> =
            self.readable.iter().copied().filter(|t| self.k.buffers[*t].dtype == dtype).collect();
        if fitting.is_empty() {
            return None;
        }
        let tensor = fitting[self.rng.usize(..fitting.len())];
        let rank = self.k.buffers[tensor].shape.len();
        let in_block = !self.own.is_empty() || self.loops.is_empty();
        let symbols = if in_block { self.block_symbols() } else { self.loop_symbols() };
        let mut subscripts = Vec::new();
        for _ in 0..rank {
            subscripts.push(if self.rng.u8(..4) == 0 {
                self.data_subscript()
            } else {
                Subscript::Affine(int(self.rng, &symbols, 2))
            });
        }
        let default = (rank > 0).then(|| self.literal(dtype));
        Some(Expr::Read(Box::new(Read { tensor, dtype, subscripts, default })))
    }

    fn literal(&mut self, dtype: DType) -> Expr {
        let specials = [0.0, 1.0, -1.0, 0.5, -2.25, 1e-3, 3e10, f64::INFINITY, -0.0, 0.1];
        let value = one_of(self.rng, &specials);
        Expr::Literal(match dtype {
            DType::Bool => Scalar::from_bool(self.rng.bool()),
            DType::U8 => Scalar::from_i128(dtype, i128::from(self.rng.u8(..))),
            d if d.is_int() => Scalar::from_i128(dtype, i128::from(self.rng.i32(..))),
            d if d.is_complex() => Scalar::from_parts(d, value.clamp(-9.0, 9.0), 0.25),
            d => Scalar::from_f64(d, value),
        })
    }

    /// An expression of the type.
    fn expr(&mut self, dtype: DType, depth: usize) -> Expr {
        if depth == 0 {
            return self
                .read(dtype)
                .filter(|_| self.rng.bool())
                .unwrap_or_else(|| self.literal(dtype));
        }
        let deeper = |m: &mut Self| m.expr(dtype, depth - 1);
        match self.rng.u8(..10) {
            0 => self.literal(dtype),
            1 if dtype != DType::Bool && !dtype.is_complex() => self.index(dtype),
            2 => {
                let condition = self.expr(DType::Bool, depth - 1);
                let (a, b) = (deeper(self), deeper(self));
                Expr::select(condition, a, b)
            }
            3 => {
                let from = one_of(self.rng, &TYPES);
                Expr::Cast(dtype, Box::new(self.expr(from, depth - 1)))
            }
            4 | 5 => self.read(dtype).unwrap_or_else(|| self.literal(dtype)),
            _ => self.apply(dtype, depth),
        }
    }

    /// A size or variable, or a quotient of them, that is not a constant.
    fn index(&mut self, dtype: DType) -> Expr {
        let in_block = !self.own.is_empty() || self.loops.is_empty();
        let symbols = if in_block { self.block_symbols() } else { self.loop_symbols() };
        let num = int(self.rng, &symbols, 2);
        let den = if dtype.is_float() && self.rng.bool() {
            symbols[self.rng.usize(..symbols.len())].clone()
        } else {
            IntExpr::constant(1)
        };
        if num.as_constant().is_some() || num.is_poisoned() {
            return self.literal(dtype);
        }
        Expr::Index { num, den, dtype }
    }

    fn apply(&mut self, dtype: DType, depth: usize) -> Expr {
        if dtype == DType::Bool {
            return self.condition(depth);
        }
        let all: Vec<Func> = Func::all()
            .filter(|f| f.result(&vec![dtype; f.arity()]) == Some(dtype) && *f != Func::Complex)
            .collect();
        let func = all[self.rng.usize(..all.len())];
        let args = (0..func.arity()).map(|_| self.expr(dtype, depth - 1)).collect();
        Expr::Apply(func, args)
    }

    fn condition(&mut self, depth: usize) -> Expr {
        let in_block = !self.own.is_empty() || self.loops.is_empty();
        match self.rng.u8(..6) {
            0 => {
                let symbols = if in_block { self.block_symbols() } else { self.loop_symbols() };
                let (a, b) = (int(self.rng, &symbols, 2), int(self.rng, &symbols, 2));
                if a.as_constant().is_some() && b.as_constant().is_some() {
                    return self.literal(DType::Bool);
                }
                Expr::Compare(one_of(self.rng, &COMPARISONS), a, b)
            }
            1 if !self.k.params.is_empty() => {
                Expr::Contiguous(one_of(self.rng, &self.k.params.clone()))
            }
            2 => {
                let dtype = one_of(self.rng, &[DType::F32, DType::I64, DType::U8]);
                let (a, b) = (self.expr(dtype, depth - 1), self.expr(dtype, depth - 1));
                Expr::binary(one_of(self.rng, &[Func::Lt, Func::Eq, Func::Ge]), a, b)
            }
            3 => Expr::Apply(Func::Not, vec![self.expr(DType::Bool, depth - 1)]),
            _ => {
                let func = one_of(self.rng, &[Func::And, Func::Or, Func::Xor]);
                Expr::binary(
                    func,
                    self.expr(DType::Bool, depth - 1),
                    self.expr(DType::Bool, depth - 1),
                )
            }
        }
    }
}

/// A program that calls kernels, with the kernels; all have the same sizes.
pub fn program(rng: &mut Rng) -> (Program, Vec<Kernel>) {
    let mut first = kernel(rng, "k0");
    while first.sizes.len() < 2 {
        first = kernel(rng, "k0");
    }
    let sizes = first.sizes.clone();
    let mut p = Program { name: "p".to_owned(), sizes, ..Program::default() };
    let symbols: Vec<IntExpr> = p.sizes.keys().map(|s: SizeId| s.into()).collect();
    for _ in 0..rng.usize(..4) {
        let fact = Fact {
            lhs: int(rng, &symbols, 2),
            comparison: one_of(rng, &COMPARISONS),
            rhs: int(rng, &symbols, 1),
            span: Default::default(),
        };
        let unless_empty = symbols.iter().filter(|_| rng.bool()).cloned().collect();
        let origin = if rng.bool() { "axis 1 of `X`".to_owned() } else { String::new() };
        if (fact.lhs.clone() - fact.rhs.clone()).as_constant().is_none() {
            p.guards.push(Guard { fact, unless_empty, origin });
        }
    }
    let bind = |p: &mut Program, t: TensorId, role: Role| {
        let b = &first.buffers[t];
        let name = format!("b{}", p.buffers.len());
        let (dtype, shape) = (b.dtype, b.shape.clone());
        p.buffers.push(ProgramBuffer { name, dtype, shape, role })
    };
    let roles = [Role::Input, Role::Param, Role::Inout];
    for (k, t) in first.params.iter().enumerate() {
        let id = bind(&mut p, *t, roles[k % 3]);
        p.params.push(id);
    }
    for t in &first.results {
        let id = bind(&mut p, *t, Role::Result(None));
        p.results.push(id);
    }
    let temporaries: Vec<TensorId> =
        first.results.iter().map(|t| bind(&mut p, *t, Role::Intermediate)).collect();
    for results in [temporaries, p.results.clone()] {
        let arguments = p.params.clone();
        p.calls.push(KernelCall { kernel: first.name.clone(), arguments, results });
    }
    (p, vec![first])
}
