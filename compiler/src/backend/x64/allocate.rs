//! Registers by linear scan over the structured code.
//!
//! A register lives from its definition to its last use; a use inside a loop that does not contain
//! the definition keeps it alive to the end of that loop. Where more are alive than the machine
//! has, the one whose uses weigh least (ten times as much in each loop) goes to the stack for all
//! its life.

use super::code::{Class, Condition, Inst, Kind, Node, Reg};
use super::opcodes::Op;

/// Vectors that may be allocated: 30 and 31 serve the encoder.
const VECTORS: u32 = 30;
/// Masks that may be allocated: 0 means unmasked, 7 serves the encoder.
const MASKS: u32 = 6;

/// Where a virtual register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// A machine register by number.
    Machine(u32),
    /// A slot of 64 bytes on the stack.
    Slot(u32),
}

/// The result for all registers.
pub(super) struct Allocation {
    pub(super) homes: Vec<Home>,
    pub(super) slots: u32,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    start: u32,
    end: u32,
    weight: f64,
}

struct Scan<'a> {
    homes: &'a [u32],
    intervals: Vec<Option<Interval>>,
    /// Operands of the instruction that first defines each register, in order of preference.
    hints: Vec<Vec<Reg>>,
    position: u32,
    /// The loops around: number, position of their start, weight of an instruction inside.
    loops: Vec<(u32, u32)>,
    /// Registers used in the loops around, to be kept to the loop's end.
    used: Vec<Vec<Reg>>,
}

/// Gives every register a home.
pub(super) fn allocate(body: &[Node], classes: &[Class], homes: &[u32]) -> Allocation {
    let mut scan = Scan {
        homes,
        intervals: vec![None; classes.len()],
        hints: vec![Vec::new(); classes.len()],
        position: 0,
        loops: vec![(0, 0)],
        used: vec![Vec::new()],
    };
    scan.nodes(body);
    let mut out = Allocation { homes: vec![Home::Machine(0); classes.len()], slots: 0 };
    for (class, first, count) in [(Class::Vector, 0, VECTORS), (Class::Mask, 1, MASKS)] {
        scan.assign(classes, class, first, count, &mut out);
    }
    out
}

impl Scan<'_> {
    fn nodes(&mut self, nodes: &[Node]) {
        for n in nodes {
            match n {
                Node::Inst(i) => self.inst(i),
                Node::Loop(l) => {
                    self.position += 2;
                    self.loops.push((l.id, self.position));
                    self.used.push(Vec::new());
                    self.nodes(&l.body);
                    self.position += 2;
                    self.end_loop();
                }
                Node::If { condition, then, otherwise } => {
                    self.condition(condition);
                    self.nodes(then);
                    self.nodes(otherwise);
                }
            }
        }
    }

    fn condition(&mut self, c: &Condition) {
        match c {
            Condition::Mask(m) => {
                self.position += 2;
                self.touch(*m, self.position);
            }
            Condition::All(cs) | Condition::Any(cs) => cs.iter().for_each(|c| self.condition(c)),
            Condition::Not(c) => self.condition(c),
            Condition::Compare(..) => {}
        }
    }

    fn inst(&mut self, i: &Inst) {
        self.position += 2;
        let at = self.position;
        for r in i.reads() {
            self.touch(r, at);
        }
        if let Some(dst) = i.dst {
            let fresh = self.intervals.get(dst.0 as usize).is_some_and(Option::is_none);
            // A merged destination is read too.
            self.touch(dst, at + 1);
            if fresh && let Some(hints) = self.hints.get_mut(dst.0 as usize) {
                let addend_first = i.kind == Kind::Op(Op::Fma231);
                let mut reads: Vec<Reg> = i.reads().collect();
                if addend_first {
                    reads.reverse();
                }
                *hints = reads;
            }
        }
    }

    fn touch(&mut self, r: Reg, at: u32) {
        let depth = self.loops.len() as i32 - 1;
        let weight = 10f64.powi(depth.min(12));
        let home = self.homes.get(r.0 as usize).copied().unwrap_or(0);
        // The outermost loop around this use that does not contain the definition.
        let outside = self.loops.iter().position(|(id, _)| *id == home).unwrap_or(0);
        let enclosing = self.loops.get(outside + 1).copied();
        let Some(slot) = self.intervals.get_mut(r.0 as usize) else { return };
        let start = enclosing.map_or(at, |(_, start)| start);
        match slot {
            Some(i) => {
                i.start = i.start.min(start);
                i.end = i.end.max(at);
                i.weight += weight;
            }
            None => *slot = Some(Interval { start, end: at, weight }),
        }
        if let (Some(_), Some(used)) = (enclosing, self.used.get_mut(outside + 1)) {
            used.push(r);
        }
    }

    /// What came from outside stays to the end of the loop.
    fn end_loop(&mut self) {
        self.loops.pop();
        for r in self.used.pop().unwrap_or_default() {
            if let Some(Some(i)) = self.intervals.get_mut(r.0 as usize) {
                i.end = i.end.max(self.position);
            }
        }
    }

    fn assign(
        &self,
        classes: &[Class],
        class: Class,
        first: u32,
        count: u32,
        out: &mut Allocation,
    ) {
        let mut order: Vec<(Reg, Interval)> = self
            .intervals
            .iter()
            .enumerate()
            .filter(|(k, _)| classes.get(*k) == Some(&class))
            .filter_map(|(k, i)| Some((Reg(k as u32), (*i)?)))
            .collect();
        order.sort_by_key(|(r, i)| (i.start, r.0));
        let mut free: Vec<u32> = (first..first + count).rev().collect();
        let mut active: Vec<(Reg, Interval, u32)> = Vec::new();
        for (r, interval) in order {
            active.retain(|(_, i, machine)| {
                let alive = i.end > interval.start;
                if !alive {
                    free.push(*machine);
                }
                alive
            });
            let hinted = self.hints.get(r.0 as usize).into_iter().flatten().find_map(|h| match out
                .homes
                .get(h.0 as usize)
            {
                Some(Home::Machine(m)) if classes.get(h.0 as usize) == Some(&class) => {
                    free.iter().position(|f| f == m)
                }
                _ => None,
            });
            let machine = match hinted {
                Some(at) => Some(free.swap_remove(at)),
                None => free.pop(),
            };
            let home = match machine {
                Some(m) => {
                    active.push((r, interval, m));
                    Home::Machine(m)
                }
                None => {
                    let cost = |i: &Interval| i.weight / f64::from(i.end - i.start + 1);
                    let cheapest = active
                        .iter()
                        .enumerate()
                        .min_by(|a, b| cost(&a.1.1).total_cmp(&cost(&b.1.1)))
                        .map(|(k, _)| k);
                    let slot = Home::Slot(out.slots);
                    out.slots += 1;
                    match cheapest.and_then(|k| active.get(k).map(|a| (k, a.0, a.1, a.2))) {
                        Some((k, victim, i, m)) if cost(&i) < cost(&interval) => {
                            if let Some(h) = out.homes.get_mut(victim.0 as usize) {
                                *h = slot;
                            }
                            active.swap_remove(k);
                            active.push((r, interval, m));
                            Home::Machine(m)
                        }
                        _ => slot,
                    }
                }
            };
            if let Some(h) = out.homes.get_mut(r.0 as usize) {
                *h = home;
            }
        }
    }
}
