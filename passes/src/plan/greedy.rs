//! Greedy pairing: at each step the pair whose result exceeds the two operands it replaces by
//! least.

use super::{SumProduct, Tree, kept};
use tcc_ir::VarId;

/// Pairs operands until one is left. Ties go to the pair that costs fewer multiplications, then to
/// the earlier pair. O(n^3) in the number of operands.
pub fn greedy(product: &SumProduct, extent: &dyn Fn(VarId) -> f64) -> Tree {
    let mut open: Vec<(Tree, Vec<VarId>)> = product
        .operands
        .iter()
        .enumerate()
        .map(|(k, vars)| (Tree::Leaf(k), vars.clone()))
        .collect();
    let size = |vars: &[VarId]| vars.iter().map(|v| extent(*v)).product::<f64>();
    while open.len() > 1 {
        let mut best: Option<((f64, f64), usize, usize)> = None;
        for (i, (a, va)) in open.iter().enumerate() {
            for (j, (b, vb)) in open.iter().enumerate().skip(i + 1) {
                let mut leaves = a.leaves();
                leaves.extend(b.leaves());
                let result = size(&kept(product, &leaves));
                let mut union = va.clone();
                union.extend(vb.iter().filter(|v| !va.contains(v)));
                let score = (result - size(va) - size(vb), size(&union));
                let better =
                    best.is_none_or(|(s, _, _)| score.partial_cmp(&s).is_some_and(|o| o.is_lt()));
                if better {
                    best = Some((score, i, j));
                }
            }
        }
        let Some((_, i, j)) = best else { break };
        let (b, _) = open.remove(j);
        let (a, _) = open.remove(i);
        let tree = Tree::Pair(Box::new(a), Box::new(b));
        let vars = kept(product, &tree.leaves());
        open.insert(i, (tree, vars));
    }
    open.pop().map_or(Tree::Leaf(0), |(t, _)| t)
}
