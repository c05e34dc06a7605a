//! From a kernel to the emitter's IR: loops, branches, blocks.

use super::code::{Class, Condition, Int, Lane, Loop, Node, Reg};
use super::ints::{Incoming, Ints};
use super::values::{Key, Val};
use super::{hint, stream};
use std::collections::{HashMap, HashSet};
use tcc_ir::eval::Expansions;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, For, Kernel, LoopKind, Scope, Scratch, Stmt, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Subscript};
use tcc_ir::{SizeId, TensorId, VarId};

/// Why the emitter leaves a kernel to Cranelift.
pub(super) type Refusal = String;
pub(super) type Built<T> = Result<T, Refusal>;

/// More instructions than this are not worth their space in the instruction cache.
const MOST_INSTRUCTIONS: usize = 20_000;

/// A chunk of a vector loop: `var` is `base`, `base + 1`, ... in the lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneCx {
    pub(super) var: VarId,
    pub(super) lanes: u32,
    /// Where the lanes do not fill a register: the mask of those that count.
    pub(super) partial: Option<Reg>,
}

/// A kernel in the emitter's IR.
pub(super) struct Built64 {
    pub(super) body: Vec<Node>,
    pub(super) ints: Ints,
    pub(super) classes: Vec<Class>,
    /// The loop in which each register is defined.
    pub(super) homes: Vec<u32>,
    /// True if it writes past the caches.
    pub(super) streams: bool,
}

/// Builds the IR of one kernel.
pub(super) struct Builder<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) expansions: &'k mut Expansions,
    pub(super) ints: Ints,
    pub(super) classes: Vec<Class>,
    pub(super) homes: Vec<u32>,
    nodes: Vec<Vec<Node>>,
    loops: Vec<u32>,
    env: HashMap<VarId, IntExpr>,
    pub(super) lane: Option<LaneCx>,
    /// Symbols that stand for addresses and strides of arguments and for addresses of locals.
    pub(super) address: HashMap<TensorId, IntExpr>,
    pub(super) strides: HashMap<TensorId, Vec<IntExpr>>,
    dense: HashMap<TensorId, IntExpr>,
    /// Arguments that are known to be dense here.
    pub(super) known_dense: Vec<TensorId>,
    /// Registers of register buffers: buffer, constant position of the first lane.
    pub(super) cells: HashMap<(TensorId, Vec<i64>), (Reg, u32)>,
    pub(super) cell_registers: HashSet<Reg>,
    alloc_loop: HashMap<TensorId, u32>,
    /// Register buffers whose last axis lies in lanes, with the lanes of a chunk.
    pub(super) vector_buffers: HashMap<TensorId, u32>,
    /// Columns of square register buffers that were read as vectors since they were written.
    pub(super) transposed: HashMap<TensorId, Vec<Reg>>,
    pub(super) lets: HashMap<TensorId, Val>,
    pub(super) known: HashMap<Key, Reg>,
    /// The loops whose iterations the call numbers.
    nest: Vec<&'k For>,
    count: usize,
    next_symbol: u32,
    /// Results whose whole lines are written past the caches, and whether there are such lines.
    pub(super) streamed: Vec<TensorId>,
    pub(super) streams: bool,
}

impl<'k> Builder<'k> {
    pub(super) fn new(kernel: &'k Kernel, expansions: &'k mut Expansions) -> Builder<'k> {
        Builder {
            kernel,
            expansions,
            ints: Ints::new(),
            classes: Vec::new(),
            homes: Vec::new(),
            nodes: vec![Vec::new()],
            loops: vec![0],
            env: HashMap::new(),
            lane: None,
            address: HashMap::new(),
            strides: HashMap::new(),
            dense: HashMap::new(),
            known_dense: Vec::new(),
            cells: HashMap::new(),
            cell_registers: HashSet::new(),
            alloc_loop: HashMap::new(),
            vector_buffers: HashMap::new(),
            transposed: HashMap::new(),
            lets: HashMap::new(),
            known: HashMap::new(),
            nest: Vec::new(),
            count: 0,
            next_symbol: kernel.sizes.len() as u32,
            streamed: Vec::new(),
            streams: false,
        }
    }

    /// The whole kernel.
    pub(super) fn build(mut self) -> Built<Built64> {
        for k in 0..self.kernel.sizes.len() as u32 {
            self.ints.bind(Symbol::Size(SizeId::from_u32(k)), Incoming::Size(k));
        }
        for (k, t) in self.kernel.arguments().enumerate() {
            self.argument(k as u32, t);
        }
        let kernel = self.kernel;
        self.scratch();
        self.find_vector_buffers(&kernel.body, None);
        self.streamed = stream::candidates(kernel);
        self.whole()?;
        let streams = self.streams;
        if streams {
            let then = self.nodes.pop().unwrap_or_default();
            self.nodes.push(Vec::new());
            let streamed = std::mem::take(&mut self.streamed);
            let condition = self.begin_with_lines(&streamed)?;
            let otherwise = self.apart(Self::whole)?;
            self.push(Node::If { condition, then, otherwise })?;
        }
        let body = self.nodes.pop().unwrap_or_default();
        Ok(Built64 { body, ints: self.ints, classes: self.classes, homes: self.homes, streams })
    }

    /// The code of the kernel once.
    fn whole(&mut self) -> Built<()> {
        let kernel = self.kernel;
        if let Some(nest) = kernel.parallel_nest() {
            self.nest = nest.loops;
        }
        self.body(&kernel.body)
    }

    fn argument(&mut self, k: u32, t: TensorId) {
        let Some(buffer) = self.kernel.buffers.get(t) else { return };
        let address = self.symbol(Incoming::Address(k));
        self.address.insert(t, address);
        if buffer.scope == Scope::Strided {
            let rank = buffer.shape.len() as u32;
            let strides = (0..rank).map(|axis| self.symbol(Incoming::Stride(k, axis))).collect();
            self.strides.insert(t, strides);
            let dense = self.symbol(Incoming::Dense(k));
            self.dense.insert(t, dense);
        }
    }

    /// Addresses of the local buffers.
    fn scratch(&mut self) {
        let layout = Scratch::of(self.kernel);
        if layout.offsets.is_empty() {
            return;
        }
        let base = self.symbol(Incoming::Scratch);
        for (t, offset) in layout.offsets {
            self.address.insert(t, base.clone() + offset);
        }
    }

    /// A symbol beyond the kernel's sizes.
    fn symbol(&mut self, incoming: Incoming) -> IntExpr {
        let s = Symbol::Size(SizeId::from_u32(self.next_symbol));
        self.next_symbol += 1;
        self.ints.bind(s, incoming);
        IntExpr::symbol(s)
    }

    /// Register buffers that a vector loop subscripts by its lanes.
    fn find_vector_buffers(&mut self, body: &[Stmt], lane: Option<(VarId, u32)>) {
        for s in body {
            match s {
                Stmt::For(f) if f.kind == LoopKind::Vectorize => {
                    let extent = (&f.hi - &f.lo).as_constant().unwrap_or(1);
                    let most = 64 / element_bytes(self.kernel, &f.body);
                    let lanes = extent.clamp(1, i64::from(most)) as u32;
                    self.find_vector_buffers(&f.body, Some((f.var, lanes)));
                }
                Stmt::For(f) => self.find_vector_buffers(&f.body, lane),
                Stmt::If { then, otherwise, .. } => {
                    self.find_vector_buffers(then, lane);
                    self.find_vector_buffers(otherwise, lane);
                }
                Stmt::Repeat(r) => self.find_vector_buffers(&r.body, lane),
                Stmt::Block(b) => self.note_vector_buffers(b, lane),
                Stmt::Let { .. } | Stmt::Alloc(_) | Stmt::Intrin(_) => {}
            }
        }
    }

    fn note_vector_buffers(&mut self, b: &Block, lane: Option<(VarId, u32)>) {
        let Some((var, lanes)) = lane else { return };
        let moving: Vec<VarId> =
            b.iters.iter().filter(|(_, e)| e.mentions(var)).map(|(v, _)| *v).collect();
        let mut note = |t: TensorId, subscripts: &[Subscript]| {
            let register = self.kernel.buffers.get(t).is_some_and(|x| x.scope == Scope::Register);
            let last = subscripts.last().and_then(Subscript::as_affine);
            if register && last.is_some_and(|i| moving.iter().any(|v| i.mentions(*v))) {
                let known = self.vector_buffers.entry(t).or_insert(lanes);
                *known = (*known).max(lanes);
            }
        };
        note(b.store.buffer, &b.store.subscripts);
        b.exprs().iter().flat_map(|e| e.reads()).for_each(|r| note(r.tensor, &r.subscripts));
    }

    pub(super) fn push(&mut self, node: Node) -> Built<()> {
        self.count += 1;
        if self.count > MOST_INSTRUCTIONS {
            return Err("it is unrolled into too many instructions".to_owned());
        }
        if let Some(list) = self.nodes.last_mut() {
            list.push(node);
        }
        Ok(())
    }

    /// The node that was made last.
    pub(super) fn last_node(&mut self) -> Option<&mut Node> {
        self.nodes.last_mut().and_then(|list| list.last_mut())
    }

    /// A new register, defined in the loop where the code stands.
    pub(super) fn register(&mut self, class: Class) -> Reg {
        let home = self.loops.last().copied().unwrap_or(0);
        self.register_of(class, home)
    }

    fn register_of(&mut self, class: Class, home: u32) -> Reg {
        let r = Reg(self.classes.len() as u32);
        self.classes.push(class);
        self.homes.push(home);
        r
    }

    /// The register of an element, or a chunk of elements, of a register buffer.
    pub(super) fn cell(&mut self, t: TensorId, at: Vec<i64>, lanes: u32) -> (Reg, u32) {
        if let Some(known) = self.cells.get(&(t, at.clone())) {
            return *known;
        }
        let home = self.alloc_loop.get(&t).copied().unwrap_or(0);
        let r = self.register_of(Class::Vector, home);
        self.cells.insert((t, at), (r, lanes));
        self.cell_registers.insert(r);
        (r, lanes)
    }

    /// An expression over loops and sizes only.
    pub(super) fn resolve(&self, e: &IntExpr) -> IntExpr {
        e.substitute(&|s| match s {
            Symbol::Var(v) => self.env.get(&v).cloned(),
            Symbol::Size(_) => None,
        })
    }

    pub(super) fn int(&mut self, e: &IntExpr) -> Int {
        self.ints.value(e)
    }

    fn body(&mut self, body: &'k [Stmt]) -> Built<()> {
        for (k, s) in body.iter().enumerate() {
            if hint::is_long(s)
                && let Some(next) = body.get(k + 1)
            {
                self.hints(next)?;
            }
            self.stmt(s)?;
        }
        Ok(())
    }

    fn stmt(&mut self, s: &'k Stmt) -> Built<()> {
        match s {
            Stmt::For(f) => match f.kind {
                LoopKind::Serial | LoopKind::Parallel | LoopKind::Bind(_) => self.serial(f),
                LoopKind::Unroll => self.unroll(f),
                LoopKind::Vectorize => self.vector_loop(f),
            },
            Stmt::Block(b) => self.block(b),
            Stmt::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Stmt::Let { var, value } => {
                let value = self.resolve(value);
                self.env.insert(*var, value);
                Ok(())
            }
            Stmt::Alloc(t) => self.alloc(*t),
            Stmt::Repeat(_) => Err("it repeats until a condition holds".to_owned()),
            Stmt::Intrin(c) => Err(format!("it calls the intrinsic `{}`", c.intrinsic.name)),
        }
    }

    fn alloc(&mut self, t: TensorId) -> Built<()> {
        let Some(b) = self.kernel.buffers.get(t) else { return Ok(()) };
        if b.scope == Scope::Local {
            return Ok(());
        }
        if Lane::of(b.dtype).is_none() {
            return Err(format!("registers of {} are not in vectors", b.dtype));
        }
        let home = self.loops.last().copied().unwrap_or(0);
        self.alloc_loop.insert(t, home);
        self.cells.retain(|(x, _), _| *x != t);
        self.transposed.remove(&t);
        Ok(())
    }

    /// Forgets values that another path or iteration may not have computed.
    fn forget(&mut self) {
        self.transposed.clear();
        self.known.clear();
    }

    fn serial(&mut self, f: &'k For) -> Built<()> {
        if self.nest.first().is_some_and(|x| std::ptr::eq(*x, f)) {
            return self.share();
        }
        let (lo, hi) = (self.resolve(&f.lo), self.resolve(&f.hi));
        let extent = &hi - &lo;
        match extent.as_constant() {
            Some(n) if n <= 0 => return Ok(()),
            Some(1) => return self.with(f.var, lo, |b| b.body(&f.body)),
            _ => {}
        }
        if self.lane.is_some() {
            return Err("a loop stands inside a vector loop".to_owned());
        }
        self.counted(f.var, lo, &extent, &f.body)
    }

    /// A loop over `extent` values from `lo`.
    fn counted(
        &mut self,
        var: VarId,
        lo: IntExpr,
        extent: &IntExpr,
        body: &'k [Stmt],
    ) -> Built<()> {
        let count = self.int(extent);
        let id = self.ints.enter(var, lo);
        self.loops.push(id);
        self.nodes.push(Vec::new());
        self.forget();
        let result = self.body(body);
        self.forget();
        self.loops.pop();
        self.ints.leave();
        let body = self.nodes.pop().unwrap_or_default();
        result?;
        self.push(Node::Loop(Loop { id, count, body }))
    }

    /// The call's iterations of the parallel nest: one loop over their numbers.
    fn share(&mut self) -> Built<()> {
        let loops = std::mem::take(&mut self.nest);
        let Some(innermost) = loops.last() else { return Ok(()) };
        let zero = IntExpr::default();
        let extents: Vec<IntExpr> = loops.iter().map(|f| (&f.hi - &f.lo).maximum(&zero)).collect();
        let all = extents.iter().fold(IntExpr::constant(1), |n, e| n * e.clone());
        let first = self.symbol(Incoming::First).maximum(&zero);
        let end = self.symbol(Incoming::End).minimum(&all);
        let number = VarId::from_u32(self.kernel.vars.len() as u32);
        let mut rest = IntExpr::from(number);
        for (k, (f, extent)) in loops.iter().zip(&extents).enumerate().rev() {
            let place = if k == 0 { rest.clone() } else { rest.modulo(extent) };
            rest = rest.div(extent);
            self.env.insert(f.var, f.lo.clone() + place);
        }
        let extent = end - first.clone();
        self.counted(number, first, &extent, &innermost.body)
    }

    /// Builds with a variable replaced.
    pub(super) fn with(
        &mut self,
        var: VarId,
        value: IntExpr,
        build: impl FnOnce(&mut Self) -> Built<()>,
    ) -> Built<()> {
        let before = self.env.insert(var, value);
        let result = build(self);
        match before {
            Some(b) => self.env.insert(var, b),
            None => self.env.remove(&var),
        };
        result
    }

    fn unroll(&mut self, f: &'k For) -> Built<()> {
        let (lo, hi) = (self.resolve(&f.lo), self.resolve(&f.hi));
        let Some(n) = (&hi - &lo).as_constant() else {
            return Err("an unrolled loop has a symbolic extent".to_owned());
        };
        for k in 0..n {
            self.with(f.var, lo.clone() + IntExpr::constant(k), |b| b.body(&f.body))?;
        }
        Ok(())
    }

    /// Chunks of lanes, the last one masked.
    fn vector_loop(&mut self, f: &'k For) -> Built<()> {
        if self.lane.is_some() {
            return Err("a vector loop stands inside another".to_owned());
        }
        let (lo, hi) = (self.resolve(&f.lo), self.resolve(&f.hi));
        let Some(n) = (&hi - &lo).as_constant() else {
            return Err("a vector loop has a symbolic extent".to_owned());
        };
        let bytes = element_bytes(self.kernel, &f.body);
        let most = i64::from(64 / bytes);
        let mut base = 0;
        while base < n {
            let lanes = (n - base).min(most);
            let full = lanes == 1
                || (lanes as u32 * bytes).is_power_of_two() && lanes as u32 * bytes >= 16;
            let partial = if full { None } else { Some(self.first_lanes(lanes)?) };
            self.lane = Some(LaneCx { var: f.var, lanes: lanes as u32, partial });
            let at = IntExpr::from(f.var) + lo.clone() + IntExpr::constant(base);
            let result = self.with(f.var, at, |b| b.body(&f.body));
            self.lane = None;
            result?;
            base += lanes;
        }
        Ok(())
    }

    fn branch(
        &mut self,
        condition: &'k Expr,
        then: &'k [Stmt],
        otherwise: &'k [Stmt],
    ) -> Built<()> {
        let condition = match self.condition(condition)? {
            Known::Yes => return self.body(then),
            Known::No => return self.body(otherwise),
            Known::Depends(c, dense) => (c, dense),
        };
        let (condition, dense) = condition;
        if self.lane.is_some() {
            return Err("a branch stands inside a vector loop".to_owned());
        }
        let before = self.known_dense.len();
        self.known_dense.extend(dense);
        let then = self.apart(|b| b.body(then));
        self.known_dense.truncate(before);
        let otherwise = self.apart(|b| b.body(otherwise))?;
        let then = then?;
        self.push(Node::If { condition, then, otherwise })
    }

    /// Code that runs under a condition.
    fn apart(&mut self, build: impl FnOnce(&mut Self) -> Built<()>) -> Built<Vec<Node>> {
        self.nodes.push(Vec::new());
        self.forget();
        let result = build(self);
        self.forget();
        let nodes = self.nodes.pop().unwrap_or_default();
        result.map(|()| nodes)
    }

    /// A condition that is the same for all lanes.
    fn condition(&mut self, e: &Expr) -> Built<Known> {
        match e {
            Expr::Literal(s) => Ok(if s.to_bool() { Known::Yes } else { Known::No }),
            Expr::Compare(op, a, b) => {
                let difference = self.resolve(a) - self.resolve(b);
                if let Some(d) = difference.as_constant() {
                    return Ok(if op.holds(d.cmp(&0)) { Known::Yes } else { Known::No });
                }
                if self.lane.is_some_and(|l| difference.mentions(l.var)) {
                    return Err("a branch differs from lane to lane".to_owned());
                }
                Ok(Known::Depends(Condition::Compare(*op, self.int(&difference)), Vec::new()))
            }
            Expr::Contiguous(t) => {
                if self.known_dense.contains(t) {
                    return Ok(Known::Yes);
                }
                let Some(flag) = self.dense.get(t).cloned() else { return Ok(Known::Yes) };
                let flag = self.int(&flag);
                Ok(Known::Depends(Condition::Compare(Comparison::Ne, flag), vec![*t]))
            }
            Expr::Apply(func @ (Func::And | Func::Or), args) => {
                let mut parts = Vec::new();
                let mut dense = Vec::new();
                for a in args {
                    match (self.condition(a)?, func) {
                        (Known::Yes, Func::Or) => return Ok(Known::Yes),
                        (Known::No, Func::And) => return Ok(Known::No),
                        (Known::Yes | Known::No, _) => {}
                        (Known::Depends(c, d), _) => {
                            parts.push(c);
                            dense.extend(d);
                        }
                    }
                }
                if parts.is_empty() {
                    return Ok(if *func == Func::And { Known::Yes } else { Known::No });
                }
                Ok(match func {
                    Func::And => Known::Depends(Condition::All(parts), dense),
                    _ => Known::Depends(Condition::Any(parts), Vec::new()),
                })
            }
            Expr::Apply(Func::Not, args) => match args.as_slice() {
                [a] => Ok(match self.condition(a)? {
                    Known::Yes => Known::No,
                    Known::No => Known::Yes,
                    Known::Depends(c, _) => Known::Depends(Condition::Not(Box::new(c)), Vec::new()),
                }),
                _ => Err("`!` of several values".to_owned()),
            },
            _ if self.lane.is_none() => Ok(match self.value(e, None)? {
                Val::Bool(true) => Known::Yes,
                Val::Bool(false) => Known::No,
                Val::Mask(m) => Known::Depends(Condition::Mask(m), Vec::new()),
                Val::Vector(_) | Val::Literal(_) => return Err("a condition is no bool".to_owned()),
            }),
            _ => Err("a condition in lanes reads memory".to_owned()),
        }
    }

    fn block(&mut self, b: &'k Block) -> Built<()> {
        self.with_iters(b, |builder| builder.guarded_block(b))
    }

    /// Builds with the variables of a block.
    pub(super) fn with_iters(
        &mut self,
        b: &'k Block,
        build: impl FnOnce(&mut Self) -> Built<()>,
    ) -> Built<()> {
        let before: Vec<(VarId, Option<IntExpr>)> = b
            .iters
            .iter()
            .map(|(v, e)| (*v, self.resolve(e)))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(v, e)| (v, self.env.insert(v, e)))
            .collect();
        let result = build(self);
        for (v, old) in before {
            match old {
                Some(old) => self.env.insert(v, old),
                None => self.env.remove(&v),
            };
        }
        result
    }

    fn guarded_block(&mut self, b: &'k Block) -> Built<()> {
        let Some(guard) = &b.guard else { return self.block_body(b, None) };
        if let Some(lane) = self.lane {
            let mask = match self.value(guard, None)? {
                Val::Bool(true) => None,
                Val::Bool(false) => return Ok(()),
                Val::Mask(m) => Some(m),
                Val::Vector(_) | Val::Literal(_) => return Err("a guard is no bool".to_owned()),
            };
            debug_assert!(lane.lanes >= 1, "a chunk has lanes");
            return self.block_body(b, mask);
        }
        let condition = match self.condition(guard)? {
            Known::Yes => return self.block_body(b, None),
            Known::No => return Ok(()),
            Known::Depends(c, _) => c,
        };
        let then = self.apart(|builder| builder.block_body(b, None))?;
        self.push(Node::If { condition, then, otherwise: Vec::new() })
    }

    fn block_body(&mut self, b: &'k Block, mask: Option<Reg>) -> Built<()> {
        if let Some(init) = &b.init {
            self.initialize(b, init, mask)?;
        }
        for (t, e) in &b.lets {
            let v = self.value(e, mask)?;
            self.lets.insert(*t, v);
        }
        let s = &b.store;
        let at = self.written_at(b)?;
        self.store(s.buffer, &at, s.update, &s.value, mask)
    }

    /// Where a block writes.
    pub(super) fn written_at(&self, b: &Block) -> Built<Vec<IntExpr>> {
        let at = b.store.subscripts.iter().map(|s| match s {
            Subscript::Affine(i) => Ok(self.resolve(i)),
            Subscript::Data(_) => Err("it writes where its data say".to_owned()),
        });
        at.collect()
    }

    /// Sets the element before the first value is combined into it.
    fn initialize(&mut self, b: &'k Block, init: &'k Expr, mask: Option<Reg>) -> Built<()> {
        let reduced = b.reduction_vars();
        let mut conditions = Vec::new();
        for v in reduced {
            let e = self.resolve(&v.into());
            match e.as_constant() {
                Some(0) => {}
                Some(_) => return Ok(()),
                None if self.lane.is_some_and(|l| e.mentions(l.var)) => {
                    return Err("lanes are combined with each other".to_owned());
                }
                None => conditions.push(Condition::Compare(Comparison::Eq, self.int(&e))),
            }
        }
        let at = self.written_at(b)?;
        if conditions.is_empty() {
            return self.store(b.store.buffer, &at, Update::Set, init, mask);
        }
        let then = self.apart(|x| x.store(b.store.buffer, &at, Update::Set, init, mask))?;
        let condition = Condition::All(conditions);
        self.push(Node::If { condition, then, otherwise: Vec::new() })
    }
}

/// What is known of a condition.
enum Known {
    Yes,
    No,
    /// The condition, and the arguments that are dense where it holds.
    Depends(Condition, Vec<TensorId>),
}

/// The widest element among the values of a vector loop.
fn element_bytes(kernel: &Kernel, body: &[Stmt]) -> u32 {
    let mut widest = 4;
    tcc_ir::kernel::visit_blocks(body, &mut |b| {
        let stored = kernel.buffers.get(b.store.buffer).map_or(4, |x| x.dtype.size());
        widest = widest.max(stored as u32);
        for e in b.exprs() {
            e.visit(&mut |x| widest = widest.max(x.dtype().size() as u32));
        }
    });
    widest.min(64)
}
