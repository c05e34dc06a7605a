//! Predicts how long kernels take at given sizes on a machine.
//!
//! Each block is taken alone, with the loops around it. Vector instructions, loads and chains of
//! sums that wait for each other give the time in the core. For each cache the traffic follows from
//! reuse: the outermost loop whose whole run touches no more bytes than the cache holds loads its
//! footprint once each time it begins. The longest of these times counts, as in a roofline, and
//! those of the blocks are added. Which level holds the arguments before the call follows from all
//! bytes of the program: calls are predicted as they are measured, one after the other.

use super::walk::{Around, Part, walk};
use super::{Counting, Machine, weight};
use std::collections::HashMap;
use std::fmt;
use tcc_ir::graph::Module;
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::kernel::{Block, Kernel, LoopKind, Scope, Update};
use tcc_ir::program::Program;
use tcc_ir::scalar::{Expr, Subscript};
use tcc_ir::{SizeId, TensorId, VarId};

/// Bytes of a cache line.
const LINE: f64 = 64.0;
/// Iterations that one thread does before it calls others, in nanoseconds: as the runtime has it.
const SHARED: f64 = 20_000.0;

/// How long a call of a kernel takes.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: String,
    /// Nanoseconds.
    pub nanoseconds: f64,
    /// What takes most of them.
    pub limit: Limit,
}

/// What limits a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Operations.
    Compute,
    /// Sums that wait for each other.
    Latency,
    /// Loads and stores of the core.
    Loads,
    /// The traffic with a level of the machine: 1 is the second cache.
    Level(usize),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Compute => f.write_str("operations"),
            Limit::Latency => f.write_str("latency"),
            Limit::Loads => f.write_str("loads"),
            Limit::Level(k) => write!(f, "level {}", k + 1),
        }
    }
}

/// What predictions are made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Threads of a call.
    pub threads: usize,
    /// Bytes of vectors.
    pub vector_bytes: f64,
    /// Bytes of all tensors of the program.
    pub resident: f64,
}

/// The time of every call of a program, in order. `narrow` names the kernels whose code has
/// vectors of 16 bytes, whatever the target has.
pub fn program_time(
    module: &Module,
    program: &Program,
    size: &dyn Fn(SizeId) -> i64,
    setting: Setting<'_>,
    narrow: &dyn Fn(&str) -> bool,
) -> Vec<KernelTime> {
    let value = symbols(size);
    let extent = |e: &IntExpr| e.eval(&value).map_or(0.0, |v| v.max(0) as f64);
    let bytes = program
        .buffers
        .values()
        .map(|b| b.shape.iter().map(extent).product::<f64>() * b.dtype.size() as f64);
    let resident = bytes.sum();
    let kernels = program.calls.iter().filter_map(|c| module.kernels.get(&c.kernel));
    kernels
        .map(|k| {
            let vector_bytes = if narrow(&k.name) { 16.0 } else { setting.vector_bytes };
            kernel_time(k, size, Setting { vector_bytes, resident, ..setting })
        })
        .collect()
}

/// The time of one call of a kernel.
pub fn kernel_time(
    kernel: &Kernel,
    size: &dyn Fn(SizeId) -> i64,
    setting: Setting<'_>,
) -> KernelTime {
    let mut cx = Analysis {
        counting: Counting { kernel, size, flops: 0.0, touched: HashMap::new() },
        setting,
        works: Vec::new(),
    };
    walk(&kernel.body, true, &mut |part, around| cx.part(&part, around));
    let mut terms: Vec<(Limit, f64)> = Vec::new();
    for (number, w) in cx.works.iter().enumerate() {
        let (limit, time) = cx.time(number, w);
        match terms.iter_mut().find(|(l, _)| *l == limit) {
            Some((_, sum)) => *sum += time,
            None => terms.push((limit, time)),
        }
    }
    let alone: f64 = terms.iter().map(|(_, t)| t).sum();
    let most = terms.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(Limit::Compute, |t| t.0);
    // A kernel of another version than the arguments' is skipped.
    let call = if alone > 0.0 { setting.machine.call } else { 0.0 };
    let nanoseconds = cx.shared(alone, most) + call;
    KernelTime { kernel: kernel.name.clone(), nanoseconds, limit: most }
}

fn symbols(size: &dyn Fn(SizeId) -> i64) -> impl Fn(Symbol) -> i64 {
    move |s| match s {
        Symbol::Size(s) => size(s),
        Symbol::Var(_) => 0,
    }
}

/// A block with the loops around it, in numbers.
struct Work {
    loops: Vec<Nested>,
    /// How often it runs.
    times: f64,
    /// Operations each time, in multiply-adds.
    operations: f64,
    /// Bytes of its values.
    width: f64,
    accesses: Vec<Access>,
    /// True if it adds to what it wrote before.
    reduces: bool,
}

impl Work {
    /// True if these loops are the outermost ones around it.
    fn is_within(&self, path: &[Nested]) -> bool {
        let own = self.loops.get(..path.len());
        own.is_some_and(|own| own.iter().zip(path).all(|(a, b)| a.var == b.var))
    }
}

/// Notes that bytes of a buffer are near: a store makes them so for reads, too.
fn note(seen: &mut HashMap<(TensorId, bool), f64>, a: &Access, bytes: f64) {
    let kinds: &[bool] = if a.store { &[false, true] } else { &[false] };
    for store in kinds {
        let known = seen.entry((a.buffer, *store)).or_insert(0.0);
        *known = known.max(bytes);
    }
}

struct Nested {
    var: VarId,
    extent: f64,
    kind: LoopKind,
}

/// An access in numbers.
struct Access {
    buffer: TensorId,
    bytes: f64,
    /// True if it is to memory, and not to registers.
    memory: bool,
    /// For each axis its extent, and how far each loop moves the subscript in all.
    axes: Vec<(f64, Vec<f64>)>,
    store: bool,
}

impl Access {
    fn moves(&self, l: usize) -> bool {
        self.axes.iter().any(|(_, spans)| spans.get(l).is_some_and(|s| *s != 0.0))
    }

    /// True if the loop moves the last axis from element to element.
    fn is_dense(&self, l: usize, extent: f64) -> bool {
        let span = |(_, spans): &(f64, Vec<f64>)| spans.get(l).copied().unwrap_or(0.0);
        let Some((last, outer)) = self.axes.split_last() else { return true };
        span(last) <= extent && outer.iter().all(|a| span(a) == 0.0)
    }

    /// Bytes of the cache lines that the loops from `from` on touch.
    fn footprint(&self, loops: &[Nested], from: usize) -> f64 {
        let reach = |(whole, spans): &(f64, Vec<f64>)| {
            let (mut range, mut count) = (1.0, 1.0);
            for (span, l) in spans.iter().zip(loops).skip(from) {
                if *span != 0.0 {
                    range += span;
                    count *= l.extent;
                }
            }
            let range: f64 = range.min(*whole);
            (range, count.min(range))
        };
        let Some((last, outer)) = self.axes.split_last() else { return LINE };
        let rows: f64 = outer.iter().map(|a| reach(a).1).product();
        let (range, count) = reach(last);
        let bytes = range * self.bytes;
        // Elements far apart take a line each; whole rows lie side by side.
        let row = if range >= last.0 { bytes } else { bytes.max(LINE) };
        (rows * row.min(count * LINE)).max(LINE)
    }
}

struct Analysis<'a> {
    counting: Counting<'a>,
    setting: Setting<'a>,
    works: Vec<Work>,
}

impl Analysis<'_> {
    fn part(&mut self, part: &Part<'_>, around: &Around) {
        let loops: Vec<Nested> = around
            .loops
            .iter()
            .map(|l| Nested { var: l.var, extent: self.counting.extent(&l.extent), kind: l.kind })
            .collect();
        let times = self.counting.times(part, around);
        let work = match part {
            Part::Block(b) => self.block(b, around, loops, times),
            Part::Call(c) => {
                let flops = self.counting.call(c, around);
                let (width, accesses) = (4.0, Vec::new());
                let lanes = self.setting.vector_bytes / width;
                let operations = flops / 2.0 / lanes;
                Work { loops, times, operations, width, accesses, reduces: false }
            }
            Part::Condition(_) | Part::View(_) => return,
        };
        self.works.push(work);
    }

    fn block(&self, b: &Block, around: &Around, loops: Vec<Nested>, times: f64) -> Work {
        let dtype = b.store.value.dtype();
        let fused = b.store.update == Update::FusedSum;
        let sums = f64::from(u8::from(b.store.update != Update::Set));
        let expanded = self.setting.machine.expanded;
        let weights: f64 = b.exprs().into_iter().map(|e| weight(e, expanded)).sum();
        let operations = weights + if fused { 0.0 } else { sums };
        let over_loops = |i: &IntExpr| around.resolve(&b.over_loops(i));
        let mut accesses: Vec<Access> = Vec::new();
        let mut add = |t: TensorId, subscripts: &[Subscript], store: bool| {
            accesses.extend(self.access((t, subscripts, store), around, &over_loops));
        };
        for r in b.exprs().into_iter().flat_map(Expr::reads) {
            add(r.tensor, &r.subscripts, false);
        }
        add(b.store.buffer, &b.store.subscripts, true);
        let width = dtype.size() as f64;
        Work { loops, times, operations, width, accesses, reduces: sums > 0.0 }
    }

    fn access(
        &self,
        (t, subscripts, store): (TensorId, &[Subscript], bool),
        around: &Around,
        over_loops: &dyn Fn(&IntExpr) -> IntExpr,
    ) -> Option<Access> {
        let b = self.counting.kernel.buffers.get(t)?;
        if b.scope == Scope::Let {
            return None;
        }
        let axis = |(s, n): (&Subscript, &IntExpr)| {
            let whole = self.counting.extent(n);
            let Subscript::Affine(i) = s else { return (whole, vec![whole; around.loops.len()]) };
            let i = over_loops(i);
            let spans = around.loops.iter().map(|l| self.span(&i, around, l.var)).collect();
            (whole, spans)
        };
        Some(Access {
            buffer: t,
            bytes: b.dtype.size() as f64,
            memory: b.scope != Scope::Register,
            axes: subscripts.iter().zip(&b.shape).map(axis).collect(),
            store,
        })
    }

    /// How far a loop moves a subscript from its first iteration to its last.
    fn span(&self, i: &IntExpr, around: &Around, var: VarId) -> f64 {
        if !around.moves(i, var) {
            return 0.0;
        }
        // The subscript at an iteration of the loop and at the first ones of the others, which may
        // begin where this one says.
        let at = |k: i64| {
            let mut values: HashMap<VarId, i64> = HashMap::new();
            let value = |e: &IntExpr, values: &HashMap<VarId, i64>| {
                let known = |s| match s {
                    Symbol::Size(s) => (self.counting.size)(s),
                    Symbol::Var(v) => values.get(&v).copied().unwrap_or(0),
                };
                e.eval(&known).unwrap_or(0)
            };
            for l in &around.loops {
                let moved = if l.var == var { k } else { 0 };
                values.insert(l.var, value(&l.from, &values).saturating_add(moved));
            }
            value(i, &values)
        };
        let extent = around.loops.iter().find(|l| l.var == var).map(|l| &l.extent);
        let last = extent.map_or(0.0, |n| self.counting.extent(n)) as i64 - 1;
        let first = at(0);
        // Remainders come back: the middle and the next one are looked at, too.
        let seen = [last, last / 2, last.min(1)].map(|k| at(k.max(0)).abs_diff(first) as f64);
        seen.into_iter().fold(0.0, f64::max)
    }

    /// The time of a block on one core, and what takes it.
    fn time(&self, number: usize, w: &Work) -> (Limit, f64) {
        let m = self.setting.machine;
        if w.times <= 0.0 {
            return (Limit::Compute, 0.0);
        }
        let all: f64 = w.loops.iter().map(|l| l.extent).product();
        let share = if all > 0.0 { w.times / all } else { 0.0 };
        let lanes = (self.setting.vector_bytes / w.width).max(1.0);
        // The loops that are one piece of code: vectors beside each other.
        let inner = |l: &Nested| matches!(l.kind, LoopKind::Unroll | LoopKind::Vectorize);
        let code = w.loops.iter().rposition(|l| !inner(l)).map_or(0, |p| p + 1);
        let (around, piece) = w.loops.split_at(code);
        let runs: f64 = around.iter().map(|l| l.extent).product::<f64>() * share;
        let vectorized = piece.iter().any(|l| l.kind == LoopKind::Vectorize);
        let vectors = |moved: &dyn Fn(usize) -> bool, dense: &dyn Fn(usize, f64) -> bool| {
            let each = piece.iter().enumerate().map(|(k, l)| match l.kind {
                _ if !moved(code + k) => 1.0,
                LoopKind::Vectorize if dense(code + k, l.extent) => (l.extent / lanes).ceil(),
                _ => l.extent,
            });
            each.product::<f64>()
        };
        let blocks = runs * vectors(&|_| true, &|_, _| true);
        let of_access = |a: &Access| runs * vectors(&|l| a.moves(l), &|l, n| a.is_dense(l, n));
        let memory = || w.accesses.iter().filter(|a| a.memory);
        let mut terms = if vectorized {
            let loads: f64 = memory().map(of_access).sum();
            vec![
                (Limit::Compute, blocks * w.operations / m.vectors + runs * m.scalar / 2.0),
                (Limit::Loads, loads / m.loads),
            ]
        } else {
            let operations = w.operations.max(1.0) + memory().count() as f64;
            vec![(Limit::Compute, w.times * operations * m.scalar)]
        };
        if w.reduces
            && let (Some(last), Some(store)) =
                (around.len().checked_sub(1), w.accesses.iter().find(|a| a.store))
            && !store.moves(last)
        {
            terms.push((Limit::Latency, runs * m.latency));
        }
        for level in 1..m.levels.len() {
            terms.push((Limit::Level(level), self.traffic(number, w, level) * share));
        }
        terms.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Limit::Compute, 0.0))
    }

    /// The time for bytes that come from a level or go there, because the nearer ones do not hold
    /// them.
    fn traffic(&self, number: usize, w: &Work, level: usize) -> f64 {
        let levels = &self.setting.machine.levels;
        let (Some(nearer), Some(here)) = (levels.get(level - 1), levels.get(level)) else {
            return 0.0;
        };
        if self.setting.resident <= nearer.bytes {
            return 0.0;
        }
        // The outermost loop whose run stays in the nearer cache.
        let fits = |from: &usize| self.working_set(w, *from) <= nearer.bytes;
        let from = (0..=w.loops.len()).find(fits).unwrap_or(w.loops.len());
        let entered: f64 = w.loops.iter().take(from).map(|l| l.extent).product();
        // What an earlier access in the same run has brought is there.
        let path = w.loops.get(..from).unwrap_or_default();
        let earlier = self.works.iter().take(number).filter(|u| u.times > 0.0 && u.is_within(path));
        let mut seen: HashMap<(TensorId, bool), f64> = HashMap::new();
        for (u, a) in earlier.flat_map(|u| u.accesses.iter().map(move |a| (u, a))) {
            note(&mut seen, a, a.footprint(&u.loops, from));
        }
        let mut time = 0.0;
        for a in w.accesses.iter().filter(|a| a.memory) {
            let all = a.footprint(&w.loops, from);
            let new = (all - seen.get(&(a.buffer, a.store)).copied().unwrap_or(0.0)).max(0.0);
            time += new / if a.store { here.writes } else { here.reads };
            note(&mut seen, a, all);
        }
        time * entered
    }

    /// Bytes that all blocks inside of the first `from` loops of a block touch while those stand.
    fn working_set(&self, w: &Work, from: usize) -> f64 {
        let mut largest: HashMap<TensorId, f64> = HashMap::new();
        let path = w.loops.get(..from).unwrap_or_default();
        for other in &self.works {
            if !other.is_within(path) || other.times <= 0.0 {
                continue;
            }
            for a in other.accesses.iter().filter(|a| a.memory) {
                let bytes = a.footprint(&other.loops, from);
                let known = largest.entry(a.buffer).or_insert(0.0);
                *known = known.max(bytes);
            }
        }
        largest.values().sum()
    }

    /// The time with the threads of a call.
    fn shared(&self, alone: f64, limit: Limit) -> f64 {
        let m = self.setting.machine;
        let Some(nest) = self.counting.kernel.parallel_nest() else { return alone };
        let iterations = self.counting.extent(&nest.iterations());
        let mut threads = (self.setting.threads.min(m.cores) as f64).min(iterations);
        if threads < 2.0 || alone < SHARED {
            return alone;
        }
        // Cores share the memory, and the last cache before it.
        if matches!(limit, Limit::Level(k) if k + 1 >= m.levels.len()) {
            threads = threads.min(2.0);
        }
        alone / threads + m.meeting
    }
}
