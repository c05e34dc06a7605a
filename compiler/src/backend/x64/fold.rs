//! Loads that only one instruction uses become its memory operand.

use super::code::{Inst, Kind, Node, Reg, Source};
use super::opcodes::Op;
use std::collections::{HashMap, HashSet};

/// Folds loads into the instructions behind them, in every straight stretch of code.
pub(super) fn fold(nodes: &mut Vec<Node>) {
    let mut uses = HashMap::new();
    count(nodes, &mut uses);
    fold_list(nodes, &uses);
}

fn count(nodes: &[Node], uses: &mut HashMap<Reg, u32>) {
    for n in nodes {
        match n {
            Node::Inst(i) => i.reads().for_each(|r| *uses.entry(r).or_default() += 1),
            Node::Loop(l) => count(&l.body, uses),
            Node::If { then, otherwise, .. } => {
                count(then, uses);
                count(otherwise, uses);
            }
        }
    }
}

fn fold_list(nodes: &mut Vec<Node>, uses: &HashMap<Reg, u32>) {
    // Loads since the last store or branch, by register: position, source and lanes.
    let mut loads: HashMap<Reg, (usize, Source, u32)> = HashMap::new();
    let mut folded = HashSet::new();
    for k in 0..nodes.len() {
        match nodes.get_mut(k) {
            Some(Node::Inst(i)) => {
                if let Some((r, source)) = foldable(i).filter(|(r, _)| uses.get(r) == Some(&1)) {
                    loads.insert(r, (k, source, i.lanes));
                    continue;
                }
                if let Some(at) = use_load(i, &loads) {
                    folded.insert(at);
                }
                if matches!(i.kind, Kind::Store | Kind::Stream | Kind::StoreBool) {
                    loads.clear();
                }
                // What was loaded is no longer what a cell holds.
                if let Some(dst) = i.dst {
                    loads.remove(&dst);
                }
            }
            Some(Node::Loop(l)) => {
                fold_list(&mut l.body, uses);
                loads.clear();
            }
            Some(Node::If { then, otherwise, .. }) => {
                fold_list(then, uses);
                fold_list(otherwise, uses);
                loads.clear();
            }
            None => {}
        }
    }
    let mut k = 0;
    nodes.retain(|_| {
        k += 1;
        !folded.contains(&(k - 1))
    });
}

/// What an unmasked load of whole vectors is as an operand.
fn foldable(i: &Inst) -> Option<(Reg, Source)> {
    let place = i.place.filter(|_| i.mask.is_none())?;
    let full = i.lanes > 1 && i.lanes * i.lane.bytes() == i.bytes();
    match i.kind {
        Kind::Load if full => Some((i.dst?, Source::Memory(place))),
        Kind::Broadcast if full => Some((i.dst?, Source::Splat(place))),
        _ => None,
    }
}

/// Puts a load into the operand that may be memory; gives the load's position.
fn use_load(i: &mut Inst, loads: &HashMap<Reg, (usize, Source, u32)>) -> Option<usize> {
    let Kind::Op(op) = i.kind else { return None };
    let commutes = matches!(op, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor | Op::Fma231);
    let last = match op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Min | Op::Range => 1,
        Op::And | Op::Or | Op::Xor | Op::Blend | Op::Fma231 | Op::Permute => 1,
        Op::Pick => 2,
        _ => return None,
    };
    // A wider instruction would read on behind what was loaded.
    let lanes = i.lanes;
    let loaded = |s: Option<&Source>| match s {
        Some(Source::Reg(r)) => {
            loads.get(r).filter(|(_, _, n)| *n == lanes).map(|(at, source, _)| (*at, *source))
        }
        _ => None,
    };
    // Only one operand may be in memory; the addend of a product is moved first.
    let only = i.sources.iter().all(|s| matches!(s, Source::Reg(_)));
    if !only {
        return None;
    }
    if let Some((at, source)) = loaded(i.sources.get(last)) {
        *i.sources.get_mut(last)? = source;
        return Some(at);
    }
    if commutes && let Some((at, source)) = loaded(i.sources.first()) {
        i.sources.swap(0, last);
        *i.sources.get_mut(last)? = source;
        return Some(at);
    }
    None
}
