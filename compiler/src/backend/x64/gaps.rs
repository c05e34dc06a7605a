//! Loads of lanes that lie a few elements apart: the vectors that hold them, and permutations.

use super::build::{Builder, Built};
use super::code::{Class, Kind, Lane, Place, Reg, Source};
use super::opcodes::Op;
use super::values::Val;
use tcc_ir::TensorId;

/// Lanes of a whole vector.
fn whole(lane: Lane) -> u32 {
    64 / lane.bytes()
}

/// Where [`Op::Pick`] finds each lane after the vector `part` of those that hold the lanes was
/// loaded: in the new vector, behind the lanes that are in place already. The first two vectors are
/// as memory holds them, and a single one is permuted by itself.
pub(super) fn indices(lane: Lane, step: u8, part: u8) -> [u64; 8] {
    let (lanes, step, part) = (whole(lane), u32::from(step), u32::from(part));
    let index = |k: u32| {
        let element = k * step;
        let (holder, at) = (element / lanes, element % lanes);
        match part {
            0 => at,
            _ if holder == part => lanes + at,
            1 => at,
            _ => k,
        }
    };
    std::array::from_fn(|word| {
        let word = word as u32;
        match lane.bytes() {
            4 => u64::from(index(2 * word)) | u64::from(index(2 * word + 1)) << 32,
            _ => u64::from(index(word)),
        }
    })
}

impl Builder<'_> {
    /// Every `step`-th element from `place` on. Elements that no lane takes may be read, but none
    /// before the first lane or behind the last one, and none of lanes that a mask leaves out.
    pub(super) fn load_gaps(
        &mut self,
        (t, lane): (TensorId, Lane),
        place: Place,
        step: u32,
        mask: Option<Reg>,
    ) -> Built<Val> {
        let (lanes, width) = (self.lanes(), whole(lane));
        let span = (lanes - 1) * step + 1;
        let mask = match mask {
            Some(_) => {
                let first = self.first_lanes(i64::from(lanes))?;
                self.both(Some(first), mask)?
            }
            None => None,
        };
        let mut taken: Option<Reg> = None;
        let parts = span.div_ceil(width);
        for part in 0..parts {
            let below = part * width;
            let offset = place.offset.checked_add(64 * part as i32).ok_or("an offset is large")?;
            let mut inst = self.blank(Kind::Load, lane);
            inst.lanes = width;
            inst.place = Some(Place { offset, ..place });
            inst.mask = match mask {
                Some(mask) => {
                    let kind = Kind::MaskApart { step: step as u8, below: below as u8 };
                    Some(self.mask_op(kind, &[mask])?)
                }
                None if span - below < width => Some(self.first_lanes(i64::from(span - below))?),
                None => None,
            };
            inst.zero = inst.mask.is_some();
            let loaded = self.pure(Class::Vector, inst, Some(t))?;
            taken = Some(match taken {
                None if parts == 1 => {
                    let by = self.indices(lane, step, 0)?;
                    self.permute(Op::Permute, lane, &[by, loaded])?
                }
                None => loaded,
                Some(before) => {
                    let by = self.indices(lane, step, part)?;
                    self.permute(Op::Pick, lane, &[before, by, loaded])?
                }
            });
        }
        taken.map(Val::Vector).ok_or_else(|| "no lanes are read".to_owned())
    }

    fn indices(&mut self, lane: Lane, step: u32, part: u32) -> Built<Reg> {
        let mut inst = self.blank(Kind::Indices { step: step as u8, part: part as u8 }, lane);
        inst.lanes = whole(lane);
        self.pure(Class::Vector, inst, None)
    }

    fn permute(&mut self, op: Op, lane: Lane, sources: &[Reg]) -> Built<Reg> {
        let mut inst = self.blank(Kind::Op(op), lane);
        inst.lanes = whole(lane);
        inst.sources = sources.iter().map(|r| Source::Reg(*r)).collect();
        self.pure(Class::Vector, inst, None)
    }
}
