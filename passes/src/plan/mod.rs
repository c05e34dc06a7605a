//! Contraction order: in which pairs an n-ary product is summed.

mod exact;
mod greedy;
mod left_to_right;
mod path;

pub use exact::exact;
pub use greedy::greedy;
pub use left_to_right::left_to_right;
pub use path::{PathError, from_text};

use tcc_ir::VarId;

/// An n-ary product with its sum: which indices each operand bears, which ones the result bears.
#[derive(Clone, Debug, PartialEq)]
pub struct SumProduct {
    /// Indices of each operand, without repeats.
    pub operands: Vec<Vec<VarId>>,
    /// Indices of the result, without repeats.
    pub output: Vec<VarId>,
}

/// What an order is chosen by.
pub struct Cost<'a> {
    /// Extents, as numbers; symbolic ones by a nominal value.
    pub extent: &'a dyn Fn(VarId) -> f64,
    /// How to search.
    pub strategy: Strategy,
}

/// How to search for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The best order of few operands, else `Greedy`.
    Exact,
    /// As written.
    LeftToRight,
    /// Repeatedly the pair whose result is smallest beside what it replaces.
    Greedy,
}

/// A binary tree over the operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// An operand by its position.
    Leaf(usize),
    /// The product of two, summed over what nothing else needs.
    Pair(Box<Tree>, Box<Tree>),
}

/// Chooses an order.
pub fn order(product: &SumProduct, cost: &Cost<'_>) -> Tree {
    match cost.strategy {
        Strategy::Exact if product.operands.len() <= exact::MOST => exact(product, cost.extent),
        Strategy::LeftToRight => left_to_right(product.operands.len()),
        Strategy::Exact | Strategy::Greedy => greedy(product, cost.extent),
    }
}

impl Tree {
    /// Operands below this node.
    pub fn leaves(&self) -> Vec<usize> {
        match self {
            Tree::Leaf(k) => vec![*k],
            Tree::Pair(a, b) => {
                let mut out = a.leaves();
                out.extend(b.leaves());
                out
            }
        }
    }
}

/// Multiplications of a tree: the sum over its pairs of the product of the extents of the union of
/// their indices.
pub fn mults(product: &SumProduct, tree: &Tree, extent: &dyn Fn(VarId) -> f64) -> f64 {
    let mut total = 0.0;
    cost_of(product, tree, extent, &mut total);
    total
}

/// Indices that the product of some operands keeps: those of the result and of other operands.
pub fn kept(product: &SumProduct, leaves: &[usize]) -> Vec<VarId> {
    let mut out: Vec<VarId> = Vec::new();
    for (k, operand) in product.operands.iter().enumerate() {
        if !leaves.contains(&k) {
            continue;
        }
        for v in operand {
            let elsewhere = product.output.contains(v)
                || product
                    .operands
                    .iter()
                    .enumerate()
                    .any(|(j, o)| !leaves.contains(&j) && o.contains(v));
            if elsewhere && !out.contains(v) {
                out.push(*v);
            }
        }
    }
    out.sort();
    out
}

fn cost_of(
    product: &SumProduct,
    tree: &Tree,
    extent: &dyn Fn(VarId) -> f64,
    total: &mut f64,
) -> Vec<VarId> {
    match tree {
        Tree::Leaf(k) => product.operands.get(*k).cloned().unwrap_or_default(),
        Tree::Pair(a, b) => {
            let mut union = cost_of(product, a, extent, total);
            for v in cost_of(product, b, extent, total) {
                if !union.contains(&v) {
                    union.push(v);
                }
            }
            *total += union.iter().map(|v| extent(*v)).product::<f64>();
            kept(product, &tree.leaves())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(k: u32) -> VarId {
        VarId::from_u32(k)
    }

    /// All trees over some operands.
    fn trees(operands: &[usize]) -> Vec<Tree> {
        if let [k] = operands {
            return vec![Tree::Leaf(*k)];
        }
        let mut out = Vec::new();
        for split in 1..(1usize << operands.len()) - 1 {
            let side = |bit: usize| -> Vec<usize> {
                let on = |n: &usize| split >> n & 1 == bit;
                (0..operands.len()).filter(on).map(|n| operands[n]).collect()
            };
            for a in trees(&side(1)) {
                for b in trees(&side(0)) {
                    out.push(Tree::Pair(Box::new(a.clone()), Box::new(b)));
                }
            }
        }
        out
    }

    #[test]
    fn exact_is_at_least_as_good_as_every_tree() {
        // Products of five operands over six indices, with extents that make intermediates dear.
        let mut state = 7u32;
        let mut random = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % n
        };
        for _ in 0..20 {
            let extents: Vec<f64> = (0..6).map(|_| f64::from(8 + random(90))).collect();
            let extent = |x: VarId| extents[x.as_u32() as usize];
            let operands = (0..5)
                .map(|_| {
                    let mut vars: Vec<VarId> = (0..3).map(|_| v(random(6))).collect();
                    vars.sort();
                    vars.dedup();
                    vars
                })
                .collect();
            let product = SumProduct { operands, output: vec![v(0)] };
            let cost = |tree: &Tree| {
                let mut pairs = vec![tree.clone()];
                let mut total = mults(&product, tree, &extent);
                while let Some(t) = pairs.pop() {
                    let Tree::Pair(a, b) = t else { continue };
                    for part in [*a, *b] {
                        if let Tree::Pair(..) = part {
                            let made = kept(&product, &part.leaves());
                            total += 8.0 * made.iter().map(|x| extent(*x)).product::<f64>();
                        }
                        pairs.push(part);
                    }
                }
                total
            };
            let least = trees(&[0, 1, 2, 3, 4]).iter().map(cost).fold(f64::INFINITY, f64::min);
            assert_eq!(cost(&exact(&product, &extent)), least, "{product:?}");
        }
    }

    #[test]
    fn greedy_starts_a_chain_at_its_small_end() {
        // A[a,b] B[b,c] C[c,d] D[d,e] with e = 8 and the others 1024: right to left is best.
        let product = SumProduct {
            operands: vec![vec![v(0), v(1)], vec![v(1), v(2)], vec![v(2), v(3)], vec![v(3), v(4)]],
            output: vec![v(0), v(4)],
        };
        let extent = |x: VarId| if x == v(4) { 8.0 } else { 1024.0 };
        let tree = greedy(&product, &extent);
        assert_eq!(mults(&product, &tree, &extent), 3.0 * 1024.0 * 1024.0 * 8.0);
        let left = left_to_right(4);
        assert_eq!(mults(&product, &left, &extent), 2.0 * 1024f64.powi(3) + 1024.0 * 1024.0 * 8.0);
    }
}
