//! The order as written.

use super::Tree;

/// `((a, b), c), ...` for `count` operands.
pub fn left_to_right(count: usize) -> Tree {
    (1..count).fold(Tree::Leaf(0), |tree, k| Tree::Pair(Box::new(tree), Box::new(Tree::Leaf(k))))
}
