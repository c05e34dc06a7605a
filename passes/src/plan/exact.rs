//! The best order of few operands: dynamic programming over their subsets.

use super::{SumProduct, Tree, kept};
use tcc_ir::VarId;

/// Operands up to which every order is looked at: 3^8 ways to part a subset in two.
pub(super) const MOST: usize = 8;

/// What an element of an intermediate costs, in multiplications: it is written and read again.
const ELEMENT: f64 = 8.0;

/// The best way to compute the product of a subset.
#[derive(Clone)]
struct Best {
    cost: f64,
    tree: Tree,
    vars: Vec<VarId>,
}

/// The order with the fewest multiplications, each element of an intermediate counting as
/// `ELEMENT` of them; of equal ones, that which pairs earlier operands first. At most `MOST`
/// operands. Time 3^n, memory 2^n.
pub fn exact(product: &SumProduct, extent: &dyn Fn(VarId) -> f64) -> Tree {
    let count = product.operands.len();
    assert!(count <= MOST, "{count} operands are too many for every order of them");
    let size = |vars: &[VarId]| vars.iter().map(|v| extent(*v)).product::<f64>();
    let all = (1usize << count) - 1;
    let mut best: Vec<Option<Best>> = vec![None; all + 1];
    for (k, operand) in product.operands.iter().enumerate() {
        best[1 << k] = Some(Best { cost: 0.0, tree: Tree::Leaf(k), vars: operand.clone() });
    }
    for set in 1..=all {
        if set.count_ones() < 2 {
            continue;
        }
        let leaves: Vec<usize> = (0..count).filter(|k| set >> k & 1 == 1).collect();
        let vars = if set == all { product.output.clone() } else { kept(product, &leaves) };
        let made = if set == all { 0.0 } else { ELEMENT * size(&vars) };
        let mut found: Option<(f64, usize)> = None;
        // Each pair of halves once: the first operand is on the left.
        let lowest = set & set.wrapping_neg();
        let mut left = (set - 1) & set;
        while left > 0 {
            if left & lowest != 0
                && let (Some(a), Some(b)) = (&best[left], &best[set & !left])
            {
                let mut union = a.vars.clone();
                union.extend(b.vars.iter().filter(|v| !a.vars.contains(v)));
                let cost = a.cost + b.cost + size(&union) + made;
                if found.is_none_or(|(least, _)| cost < least) {
                    found = Some((cost, left));
                }
            }
            left = (left - 1) & set;
        }
        best[set] = found.and_then(|(cost, left)| {
            let (a, b) = (best[left].as_ref()?, best[set & !left].as_ref()?);
            let tree = Tree::Pair(Box::new(a.tree.clone()), Box::new(b.tree.clone()));
            Some(Best { cost, tree, vars })
        });
    }
    best.pop().flatten().map_or(Tree::Leaf(0), |b| b.tree)
}
