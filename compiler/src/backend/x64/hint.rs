//! What a tile adds to is asked for before the tile is summed: when the sums are there, so is what
//! they join.
//!
//! ```text
//! alloc acc                    the lines of C that the tile covers are asked for here
//! for k in K { acc += A * B }
//! C += acc
//! ```

use super::build::{Builder, Built};
use super::code::{Kind, Lane, Node};
use super::stream::LINE;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Block, LoopKind, Scope, Stmt, Update};

/// Rounds of a loop that are worth hints before it.
const LONG: i64 = 32;

/// True if what comes after a statement had better be asked for before it: a long loop.
pub(super) fn is_long(s: &Stmt) -> bool {
    let Stmt::For(f) = s else { return false };
    let rounds = (&f.hi - &f.lo).as_constant();
    f.kind == LoopKind::Serial && rounds.is_none_or(|n| n >= LONG)
}

impl<'k> Builder<'k> {
    /// Asks for what the blocks of a statement that is laid out in full combine with, where it lies
    /// in arguments.
    pub(super) fn hints(&mut self, s: &'k Stmt) -> Built<()> {
        match s {
            Stmt::If { then, otherwise, .. } => {
                then.iter().chain(otherwise).try_for_each(|s| self.hints(s))
            }
            Stmt::For(f) => {
                let step = match f.kind {
                    LoopKind::Unroll => 1,
                    LoopKind::Vectorize => self.line_of(&f.body),
                    _ => return Ok(()),
                };
                let (lo, hi) = (self.resolve(&f.lo), self.resolve(&f.hi));
                let Some(n) = (&hi - &lo).as_constant() else { return Ok(()) };
                (0..n).step_by(step).try_for_each(|k| {
                    let at = lo.clone() + IntExpr::constant(k);
                    self.with(f.var, at, |b| f.body.iter().try_for_each(|s| b.hints(s)))
                })
            }
            Stmt::Block(b) => self.with_iters(b, |builder| builder.hint(b)),
            _ => Ok(()),
        }
    }

    /// Elements of a line, by the first block.
    fn line_of(&self, body: &[Stmt]) -> usize {
        let bytes = body.iter().find_map(|s| match s {
            Stmt::Block(b) => self.kernel.buffers.get(b.store.buffer).map(|x| x.dtype.size()),
            _ => None,
        });
        LINE as usize / bytes.unwrap_or(1).max(1)
    }

    fn hint(&mut self, b: &'k Block) -> Built<()> {
        let t = b.store.buffer;
        let scope = self.kernel.buffers.get(t).map(|x| x.scope);
        if b.store.update == Update::Set || !matches!(scope, Some(Scope::Global | Scope::Strided)) {
            return Ok(());
        }
        let at = self.written_at(b)?;
        let (address, _) = self.address(t, &at)?;
        let mut inst = self.blank(Kind::Prefetch, Lane::I32);
        inst.place = Some(self.place_at(address));
        self.push(Node::Inst(inst))
    }
}
