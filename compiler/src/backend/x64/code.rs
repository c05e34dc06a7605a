//! The vector emitter's own IR: structured control flow over instructions on virtual registers.
//!
//! Loops and branches keep the shape of the kernel; between them stand instructions on vectors of
//! lanes and on masks. A register is written once, except the *cells* that hold the elements of
//! register buffers. Integers (addresses, counts) are [`IntId`]s, each valid inside one loop.

use super::opcodes::Op;
use smallvec::SmallVec;
use tcc_abi::DType;
use tcc_ir::scalar::Comparison;

/// Type of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    F32,
    F64,
    I32,
    U32,
    I64,
    U64,
}

impl Lane {
    /// The lane that holds values of an element type, if vectors do.
    pub(super) fn of(dtype: DType) -> Option<Lane> {
        Some(match dtype {
            DType::F32 => Lane::F32,
            DType::F64 => Lane::F64,
            DType::I32 => Lane::I32,
            DType::U32 => Lane::U32,
            DType::I64 => Lane::I64,
            DType::U64 => Lane::U64,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> u32 {
        match self {
            Lane::F32 | Lane::I32 | Lane::U32 => 4,
            Lane::F64 | Lane::I64 | Lane::U64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Lane::F32 | Lane::F64)
    }

    pub(super) fn is_signed(self) -> bool {
        matches!(self, Lane::I32 | Lane::I64)
    }
}

/// A virtual register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reg(pub(super) u32);

/// Which file a register is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// A vector.
    Vector,
    /// A bit for each lane.
    Mask,
}

/// An integer of one loop (or of the whole kernel): an address, a bound, a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct IntId(pub(super) u32);

/// An integer or a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Int {
    Const(i64),
    Value(IntId),
}

/// A place in memory: a byte address and a constant distance from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) address: Int,
    pub(super) offset: i32,
}

/// What an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Reg(Reg),
    /// The same bits in each lane.
    Literal(u64),
    /// A whole vector in memory.
    Memory(Place),
    /// One element in memory for all lanes.
    Splat(Place),
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An operation of the table; `Fma231` here means `a * b + c` in any form.
    Op(Op),
    /// Copies a vector or mask.
    Copy,
    /// `lanes` elements from memory; where masked off, zero.
    Load,
    /// One element from memory into every lane.
    Broadcast,
    /// `lanes` elements to memory.
    Store,
    /// A whole line to memory, past the caches.
    Stream,
    /// A line is asked for that is looked at later.
    Prefetch,
    /// The first lane of a vector into every lane.
    Splat,
    /// The numbers by which `gaps` picks the lanes that a part of memory holds.
    Indices {
        step: u8,
        part: u8,
    },
    /// Bits of a mask moved apart: bit `k` to bit `step * k - below`.
    MaskApart {
        step: u8,
        below: u8,
    },
    /// Between vector types of lanes: the source's type is in the field.
    Convert(Lane),
    /// Lanes `k` with `k < n` (immediate 0) or `k >= n` (1), with `n` the integer.
    Edge,
    /// All lanes or none, by a comparison of the integer with 0.
    When(Comparison),
    /// Masks: and, or, xor, not.
    MaskAnd,
    MaskOr,
    MaskXor,
    MaskNot,
    /// An integer as a value in every lane.
    FromInt,
    /// Bytes of bools to a mask, and back.
    LoadBool,
    StoreBool,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inst {
    pub(super) kind: Kind,
    pub(super) lane: Lane,
    /// How many lanes count.
    pub(super) lanes: u32,
    pub(super) dst: Option<Reg>,
    pub(super) sources: SmallVec<[Source; 3]>,
    /// Lanes that are written; the others keep their value, or become zero.
    pub(super) mask: Option<Reg>,
    pub(super) zero: bool,
    pub(super) place: Option<Place>,
    pub(super) int: Option<Int>,
    pub(super) imm: u8,
}

impl Inst {
    /// Width of its vectors in bytes: 16, 32 or 64.
    pub(super) fn bytes(&self) -> u32 {
        width(self.lane, self.lanes)
    }

    /// Registers that it reads, the old value of a masked destination included.
    pub(super) fn reads(&self) -> impl Iterator<Item = Reg> + '_ {
        let sources = self.sources.iter().filter_map(|s| match s {
            Source::Reg(r) => Some(*r),
            _ => None,
        });
        sources.chain(self.mask).chain(self.dst.filter(|_| self.merges()))
    }

    /// True if lanes that the mask leaves out keep what the destination held.
    pub(super) fn merges(&self) -> bool {
        let picks = matches!(self.kind, Kind::Op(Op::Blend | Op::Cmp | Op::Class));
        self.mask.is_some() && !self.zero && !picks
    }
}

/// Width in bytes of a register that holds so many lanes.
pub(super) fn width(lane: Lane, lanes: u32) -> u32 {
    (lane.bytes() * lanes.next_power_of_two()).clamp(16, 64)
}

/// Structured code.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Inst(Inst),
    Loop(Loop),
    If { condition: Condition, then: Vec<Node>, otherwise: Vec<Node> },
}

/// A condition on integers.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// A comparison of an integer with 0.
    Compare(Comparison, Int),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A mask has its first bit set.
    Mask(Reg),
}

/// A loop that runs `count` times; its integers are in `Ints`.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    /// Its number among the loops of the kernel.
    pub(super) id: u32,
    pub(super) count: Int,
    pub(super) body: Vec<Node>,
}

impl Loop {
    /// True if no loop stands inside.
    pub(super) fn is_innermost(&self) -> bool {
        fn has_loop(nodes: &[Node]) -> bool {
            nodes.iter().any(|n| match n {
                Node::Inst(_) => false,
                Node::Loop(_) => true,
                Node::If { then, otherwise, .. } => has_loop(then) || has_loop(otherwise),
            })
        }
        !has_loop(&self.body)
    }
}
