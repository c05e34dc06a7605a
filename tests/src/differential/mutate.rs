//! Miscompiles on purpose: edits of lowered kernels that a differential test has to notice.

use indexmap::IndexMap;
use tcc_abi::{DType, Scalar};
use tcc_ir::TensorId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, For, Kernel, LoopKind, Scope, Stmt, Update, verify_lowered};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Reducer, Subscript};

/// A way to miscompile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A serial loop without chunks of lanes misses its last iteration.
    DroppedLast,
    /// A loop over chunks of lanes misses its last chunk.
    DroppedChunk,
    /// Two subscripts of a read are exchanged.
    SwappedSubscripts,
    /// An accumulator starts from another value than the unit.
    WrongUnit,
    /// A condition around work is taken to hold.
    MissingGuard,
    /// A comparison of indices includes or excludes equality wrongly.
    WrongComparison,
    /// Another value stands where a read is out of bounds.
    WrongDefault,
    /// A subscript of a read is off by one.
    OffByOne,
    /// A minimum is a maximum, or the reverse.
    SwappedExtremes,
    /// The product of a fused sum has the other sign.
    FusedSign,
    /// An integer is widened or converted with the wrong signedness.
    CastSign,
    /// A step of a scan reads a neighbouring slot.
    WrongSlot,
    /// A scatter stores instead of combining.
    ScatterOverwrites,
    /// A scatter skips positions out of range instead of failing.
    MissedFailure,
    /// A fixpoint runs a single round.
    OneRound,
}

impl Bug {
    /// Every way.
    pub const ALL: [Bug; 15] = [
        Bug::DroppedLast,
        Bug::DroppedChunk,
        Bug::SwappedSubscripts,
        Bug::WrongUnit,
        Bug::MissingGuard,
        Bug::WrongComparison,
        Bug::WrongDefault,
        Bug::OffByOne,
        Bug::SwappedExtremes,
        Bug::FusedSign,
        Bug::CastSign,
        Bug::WrongSlot,
        Bug::ScatterOverwrites,
        Bug::MissedFailure,
        Bug::OneRound,
    ];

    /// The number of places where the bug fits.
    pub fn sites(self, kernels: &IndexMap<String, Kernel>) -> usize {
        let mut plant = Plant { bug: self, seen: 0, wanted: usize::MAX, written: Vec::new() };
        plant.kernels(&mut kernels.clone());
        plant.seen
    }

    /// Puts the bug in one of its places. False if the verifier notices, so that the kernels must
    /// not run.
    pub fn plant(self, kernels: &mut IndexMap<String, Kernel>, site: usize) -> bool {
        let mut plant = Plant { bug: self, seen: 0, wanted: site, written: Vec::new() };
        plant.kernels(kernels);
        kernels.values().all(|k| verify_lowered(k).is_ok())
    }
}

struct Plant {
    bug: Bug,
    seen: usize,
    wanted: usize,
    /// What the kernel of a scan writes.
    written: Vec<TensorId>,
}

impl Plant {
    /// Counts a place; true if it is the wanted one.
    fn here(&mut self) -> bool {
        self.seen += 1;
        self.seen == self.wanted.wrapping_add(1)
    }

    fn kernels(&mut self, kernels: &mut IndexMap<String, Kernel>) {
        for k in kernels.values_mut() {
            self.written = if k.name.ends_with("_scan") { k.results.clone() } else { Vec::new() };
            let scopes = k.buffers.iter().filter(|(_, b)| b.scope == Scope::Register);
            let registers: Vec<TensorId> = scopes.map(|(t, _)| t).collect();
            let mut body = std::mem::take(&mut k.body);
            self.body(&mut body, &registers);
            k.body = body;
        }
    }

    fn body(&mut self, body: &mut [Stmt], registers: &[TensorId]) {
        for s in body.iter_mut() {
            match s {
                Stmt::For(f) => {
                    self.bounds(f);
                    self.body(&mut f.body, registers);
                }
                Stmt::Block(b) => self.block(b, registers),
                Stmt::If { condition, then, otherwise } => {
                    if self.bug == Bug::MissingGuard && otherwise.is_empty() && self.here() {
                        *condition = Expr::Literal(Scalar::from_bool(true));
                    }
                    *condition = self.expr(condition);
                    self.body(then, registers);
                    self.body(otherwise, registers);
                }
                Stmt::Repeat(r) => {
                    if self.bug == Bug::OneRound && self.here() {
                        r.limit = IntExpr::constant(1);
                        r.must_converge = false;
                    }
                    self.body(&mut r.body, registers);
                }
                Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => {}
            }
        }
    }

    fn bounds(&mut self, f: &mut For) {
        let chunks = f
            .body
            .iter()
            .any(|s| matches!(s, Stmt::For(inner) if inner.kind == LoopKind::Vectorize));
        let wanted = if chunks { Bug::DroppedChunk } else { Bug::DroppedLast };
        if f.kind == LoopKind::Serial && self.bug == wanted && self.here() {
            f.hi = f.hi.clone() - IntExpr::constant(1);
        }
    }

    fn block(&mut self, b: &mut Block, registers: &[TensorId]) {
        if self.bug == Bug::MissingGuard && b.guard.is_some() && self.here() {
            b.guard = None;
        }
        let store = &mut b.store;
        let data = store.subscripts.iter().any(|s| matches!(s, Subscript::Data(_)));
        match (self.bug, store.update) {
            (Bug::ScatterOverwrites, Update::Reduce(_)) if data && self.here() => {
                store.update = Update::Set;
            }
            (Bug::MissedFailure, _) if data && !store.drop && self.here() => store.drop = true,
            (Bug::SwappedExtremes, Update::Reduce(r @ (Reducer::Max | Reducer::Min)))
                if self.here() =>
            {
                let other = if r == Reducer::Max { Reducer::Min } else { Reducer::Max };
                store.update = Update::Reduce(other);
            }
            (Bug::FusedSign, Update::FusedSum) if self.here() => {
                if let Expr::Apply(Func::Mul, factors) = &mut store.value
                    && let Some(first) = factors.first_mut()
                {
                    *first = Expr::Apply(Func::Neg, vec![first.clone()]);
                }
            }
            (Bug::WrongUnit, Update::Set) if registers.contains(&store.buffer) => {
                self.unit(&mut store.value);
            }
            _ => {}
        }
        if let Some(init) = &mut b.init {
            self.unit(init);
        }
        b.guard = b.guard.take().map(|g| self.expr(&g));
        for (_, e) in &mut b.lets {
            *e = self.expr(e);
        }
        b.store.value = self.expr(&b.store.value);
    }

    fn unit(&mut self, e: &mut Expr) {
        if let Expr::Literal(s) = e
            && self.bug == Bug::WrongUnit
            && self.here()
        {
            *e = Expr::Literal(other_value(*s));
        }
    }

    fn expr(&mut self, e: &Expr) -> Expr {
        e.rewrite(&|i| i.clone(), &mut |x| self.node(x))
    }

    fn node(&mut self, x: Expr) -> Expr {
        match (self.bug, x) {
            (Bug::SwappedExtremes, Expr::Apply(f @ (Func::Min | Func::Max), args)) => {
                let other = if f == Func::Min { Func::Max } else { Func::Min };
                Expr::Apply(if self.here() { other } else { f }, args)
            }
            (Bug::WrongComparison, Expr::Compare(op, a, b)) => {
                let other = match op {
                    Comparison::Le => Comparison::Lt,
                    Comparison::Lt => Comparison::Le,
                    Comparison::Ge => Comparison::Gt,
                    Comparison::Gt => Comparison::Ge,
                    Comparison::Eq => Comparison::Ne,
                    Comparison::Ne => Comparison::Eq,
                };
                Expr::Compare(if self.here() { other } else { op }, a, b)
            }
            (Bug::CastSign, Expr::Cast(to, inner)) => match twin(inner.dtype()) {
                Some(t) if to.size() > t.size() || to.is_float() => {
                    let wrong = Expr::Bitcast(t, inner.clone());
                    Expr::Cast(to, if self.here() { Box::new(wrong) } else { inner })
                }
                _ => Expr::Cast(to, inner),
            },
            (_, Expr::Read(r)) => Expr::Read(Box::new(self.read(*r))),
            (_, other) => other,
        }
    }

    fn read(&mut self, mut r: Read) -> Read {
        let moving = |s: &Subscript| s.as_affine().is_some_and(IntExpr::mentions_vars);
        let own = self.written.contains(&r.tensor);
        match self.bug {
            Bug::WrongDefault => {
                if let Some(Expr::Literal(s)) = &r.default {
                    let other = other_value(*s);
                    if self.here() {
                        r.default = Some(Expr::Literal(other));
                    }
                }
            }
            Bug::SwappedSubscripts => {
                let n = r.subscripts.len();
                if n > 1 && r.subscripts[n - 1] != r.subscripts[n - 2] && self.here() {
                    r.subscripts.swap(n - 1, n - 2);
                }
            }
            Bug::OffByOne | Bug::WrongSlot if (self.bug == Bug::WrongSlot) == own => {
                for k in 0..r.subscripts.len() {
                    for step in [1, -1] {
                        if moving(&r.subscripts[k]) && self.here() {
                            r.subscripts[k] = shifted(&r.subscripts[k], step);
                        }
                    }
                }
            }
            _ => {}
        }
        r
    }
}

fn shifted(s: &Subscript, by: i64) -> Subscript {
    match s {
        Subscript::Affine(i) => Subscript::Affine(i.clone() + IntExpr::constant(by)),
        Subscript::Data(e) => Subscript::Data(e.clone()),
    }
}

/// The integer type of the same size and other signedness.
fn twin(dtype: DType) -> Option<DType> {
    Some(match dtype {
        DType::I8 => DType::U8,
        DType::U8 => DType::I8,
        DType::I16 => DType::U16,
        DType::U16 => DType::I16,
        DType::I32 => DType::U32,
        DType::U32 => DType::I32,
        _ => return None,
    })
}

fn other_value(s: Scalar) -> Scalar {
    match s.dtype() {
        DType::Bool => Scalar::from_bool(!s.to_bool()),
        d if d.is_complex() => Scalar::from_parts(d, 3.0, 0.0),
        d if d.is_int() => Scalar::from_i128(d, if s.to_i128() == 0 { 1 } else { 0 }),
        d => Scalar::from_f64(d, if s.to_f64() == 0.0 { 1.0 } else { 0.0 }),
    }
}
