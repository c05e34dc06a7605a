//! Short names of expressions for tests.

use super::IntExpr;
use crate::{SizeId, VarId};

/// The variable of a number.
pub(super) fn v(k: u32) -> IntExpr {
    IntExpr::from(VarId::from_u32(k))
}

/// The size of a number.
pub(super) fn s(k: u32) -> IntExpr {
    IntExpr::from(SizeId::from_u32(k))
}

/// A constant.
pub(super) fn c(k: i64) -> IntExpr {
    IntExpr::constant(k)
}
