//! Results that no cache holds are written past the caches: a line that is written as a whole need
//! not be read before.
//!
//! Such stores want addresses of whole lines. So a kernel with such stores has its code twice: for
//! results that begin with a line, and for others.

use super::build::{Builder, Built};
use super::code::{Condition, Lane};
use tcc_ir::TensorId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Buffer, Kernel, Update, visit_blocks};
use tcc_ir::scalar::Comparison;

/// Bytes of a line.
pub(super) const LINE: i64 = 64;

/// The results that are written past the caches.
pub(super) fn candidates(kernel: &Kernel) -> Vec<TensorId> {
    let mut read: Vec<TensorId> = Vec::new();
    visit_blocks(&kernel.body, &mut |b| {
        read.extend(b.exprs().iter().flat_map(|e| e.reads()).map(|r| r.tensor));
        if b.store.update != Update::Set {
            read.push(b.store.buffer);
        }
    });
    let large = |t: &TensorId| kernel.buffers.get(*t).is_some_and(Buffer::exceeds_caches);
    kernel.results.iter().copied().filter(|t| large(t) && !read.contains(t)).collect()
}

/// True if an address is that of a line, if `base` is.
fn is_line(address: &IntExpr, base: &IntExpr) -> bool {
    (address.clone() - base.clone()).terms().iter().all(|(_, c)| c % LINE == 0)
}

impl Builder<'_> {
    /// True if the lanes are a line of a result that is written past the caches.
    pub(super) fn writes_lines(&self, t: TensorId, lane: Lane, at: &[IntExpr]) -> Built<bool> {
        let Some(l) = self.lane.filter(|_| self.streamed.contains(&t)) else { return Ok(false) };
        let (address, _) = self.address(t, at)?;
        let first = address.with_var(l.var, &IntExpr::default());
        let base = self.address.get(&t).ok_or("a result has no address")?;
        Ok(i64::from(l.lanes * lane.bytes()) == LINE && is_line(&first, base))
    }

    /// Holds where all of the buffers begin with a line.
    pub(super) fn begin_with_lines(&mut self, buffers: &[TensorId]) -> Built<Condition> {
        let mut all = Vec::new();
        for t in buffers {
            let base = self.address.get(t).cloned().ok_or("a result has no address")?;
            let within = self.int(&base.modulo(&IntExpr::constant(LINE)));
            all.push(Condition::Compare(Comparison::Eq, within));
        }
        Ok(Condition::All(all))
    }
}
