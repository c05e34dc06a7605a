//! Typed ids. Each prints as the text name it has when the source gave none.

use cranelift_entity::entity_impl;

/// A size of a function or kernel (`B`, `T`, ...): an integer known when the function is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SizeId(u32);
entity_impl!(SizeId, "s");

/// An iteration variable: an index of an equation, a loop or a block variable of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(u32);
entity_impl!(VarId, "i");

impl VarId {
    /// A variable that no equation or kernel has, to stand for an unknown.
    pub(crate) const MARKER: VarId = VarId(u32::MAX - 1);
}

/// A tensor: a value of a graph function, a buffer of a kernel or program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(u32);
entity_impl!(TensorId, "t");

/// A node of a graph function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);
entity_impl!(NodeId, "n");
