//! Places of temporaries in one arena.
//!
//! Greedy by size: the largest buffer first, each in the smallest gap that fits between those that
//! live at the same time, at the lowest such place. A buffer that takes over the bytes of another
//! is one with it. (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference,
//! 2020.)

use crate::RunError;
use crate::resolve::eval;
use tcc_abi::BufferSpec;

/// Alignment of every buffer in bytes: a cache line and the widest vector.
const ALIGNMENT: usize = 64;

/// Where buffers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Byte offset of each buffer; those that were left out have 0.
    pub offsets: Vec<usize>,
    /// Bytes of the arena.
    pub bytes: usize,
}

/// Buffers that share one place: bytes, first and last step.
struct Block {
    bytes: usize,
    first: u32,
    last: u32,
    members: Vec<usize>,
}

impl Layout {
    /// Places the buffers at the sizes of a call; `placed` says which ones.
    ///
    /// # Errors
    /// A number of bytes cannot be counted with.
    pub fn new(
        buffers: &[BufferSpec],
        sizes: &[i64],
        placed: &dyn Fn(usize) -> bool,
    ) -> Result<Layout, RunError> {
        let too_large = || RunError::Limit("the temporaries are too large".to_owned());
        let mut blocks = blocks(buffers, sizes, placed)?;
        blocks.sort_by_key(|b| (std::cmp::Reverse(b.bytes), b.first, b.members.first().copied()));
        let mut layout = Layout { offsets: vec![0; buffers.len()], bytes: 0 };
        // Blocks that have a place, by their offsets.
        let mut done: Vec<(usize, Block)> = Vec::new();
        for block in blocks {
            let offset = place(&done, &block);
            let end = offset.checked_add(block.bytes).ok_or_else(too_large)?;
            layout.bytes = layout.bytes.max(end);
            for k in &block.members {
                if let Some(slot) = layout.offsets.get_mut(*k) {
                    *slot = offset;
                }
            }
            let at = done.partition_point(|(o, _)| *o <= offset);
            done.insert(at, (offset, block));
        }
        Ok(layout)
    }
}

/// The smallest gap between blocks of the same time that fits, or the place behind them.
fn place(done: &[(usize, Block)], block: &Block) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut end = 0usize;
    let together = done.iter().filter(|(_, b)| b.first <= block.last && block.first <= b.last);
    for (offset, other) in together {
        let gap = offset.saturating_sub(end);
        if gap >= block.bytes && best.is_none_or(|(least, _)| gap < least) {
            best = Some((gap, end));
        }
        end = end.max(offset.saturating_add(other.bytes));
    }
    best.map_or(end, |(_, at)| at)
}

/// The buffers with a place, those that take over another's bytes together with it.
fn blocks(
    buffers: &[BufferSpec],
    sizes: &[i64],
    placed: &dyn Fn(usize) -> bool,
) -> Result<Vec<Block>, RunError> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of: Vec<Option<usize>> = vec![None; buffers.len()];
    // In the order of birth, so that what is taken over has its block.
    let mut order: Vec<usize> = (0..buffers.len()).filter(|k| placed(*k)).collect();
    order.sort_by_key(|k| buffers.get(*k).map_or(0, |b| b.first));
    for k in order {
        let Some(b) = buffers.get(k) else { continue };
        let bytes = bytes(b, sizes)?;
        let old = b.replaces.and_then(|x| block_of.get(x as usize).copied().flatten());
        let joined = old.filter(|at| blocks.get(*at).is_some_and(|o| o.bytes == bytes));
        let at = joined.unwrap_or(blocks.len());
        match blocks.get_mut(at) {
            Some(block) => {
                block.last = block.last.max(b.last);
                block.members.push(k);
            }
            None => {
                let (first, last) = (b.first, b.last);
                blocks.push(Block { bytes, first, last, members: vec![k] });
            }
        }
        if let Some(slot) = block_of.get_mut(k) {
            *slot = Some(at);
        }
    }
    Ok(blocks)
}

/// The size of a buffer, rounded up so that the next one is aligned.
fn bytes(b: &BufferSpec, sizes: &[i64]) -> Result<usize, RunError> {
    let negative = |_| RunError::Damaged(format!("`{}` has a negative size", b.name));
    let exact = usize::try_from(eval(&b.bytes, sizes)?).map_err(negative)?;
    let rounded = exact.checked_next_multiple_of(ALIGNMENT);
    rounded.ok_or_else(|| RunError::Limit(format!("`{}` is too large", b.name)))
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use tcc_abi::{BufferSpec, SizeExpr, SizeOp};

    fn buffer(bytes: i64, first: u32, last: u32, replaces: Option<u32>) -> BufferSpec {
        let (name, bytes) = ("t".to_owned(), SizeExpr(vec![SizeOp::Const(bytes)]));
        BufferSpec { name, bytes, first, last, replaces }
    }

    fn layout(buffers: &[BufferSpec]) -> Layout {
        Layout::new(buffers, &[], &|_| true).expect("constant sizes")
    }

    #[test]
    fn buffers_of_different_times_share() {
        let l = layout(&[buffer(100, 0, 1, None), buffer(200, 1, 2, None), buffer(90, 2, 3, None)]);
        assert_eq!(l.bytes, 256 + 128);
        assert_eq!(l.offsets, [256, 0, 256]);
    }

    #[test]
    fn small_ones_fill_gaps() {
        // The large ones lie at 0 and 1024 in step 1; after the first one's end small ones fit.
        let l = layout(&[
            buffer(1024, 0, 1, None),
            buffer(1000, 1, 4, None),
            buffer(64, 2, 3, None),
            buffer(512, 2, 4, None),
            buffer(448, 3, 4, None),
        ]);
        assert_eq!(l.bytes, 2048);
    }

    #[test]
    fn bytes_are_taken_over() {
        let chain = [buffer(64, 0, 1, None), buffer(64, 1, 2, Some(0)), buffer(64, 2, 3, Some(1))];
        assert_eq!(layout(&chain).bytes, 64);
        // Not if the one before has no place, or another size.
        let longer = [buffer(64, 0, 2, None), buffer(64, 1, 2, None), buffer(64, 2, 3, Some(1))];
        let l = Layout::new(&longer, &[], &|k| k != 1).expect("constant sizes");
        assert_eq!((l.bytes, l.offsets), (128, vec![0, 0, 64]));
        let other = [buffer(64, 0, 1, None), buffer(128, 1, 2, Some(0))];
        assert_eq!(layout(&other).bytes, 192);
    }

    #[test]
    fn nothing_that_lives_together_overlaps() {
        let mut state = 1u32;
        let mut next = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % n
        };
        for _ in 0..200 {
            let buffers: Vec<BufferSpec> = (0..12)
                .map(|_| {
                    let first = next(10);
                    buffer(i64::from(next(500)), first, first + next(5), None)
                })
                .collect();
            let l = layout(&buffers);
            let end = |k: usize| match buffers[k].bytes.0[0] {
                SizeOp::Const(n) => l.offsets[k] + n as usize,
                _ => unreachable!("constant sizes"),
            };
            for a in 0..12 {
                assert!(l.offsets[a].is_multiple_of(64) && end(a) <= l.bytes);
                for b in 0..a {
                    let (x, y) = (&buffers[a], &buffers[b]);
                    let together = x.first <= y.last && y.first <= x.last;
                    let apart = end(a) <= l.offsets[b] || end(b) <= l.offsets[a];
                    assert!(!together || apart, "{x:?} {y:?}");
                }
            }
        }
    }
}
