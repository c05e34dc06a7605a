//! Contraction order: in which pairs an n-ary product is summed.

mod greedy;
mod left_to_right;
mod path;

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
        Strategy::LeftToRight => left_to_right(product.operands.len()),
        Strategy::Greedy => greedy(product, cost.extent),
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
