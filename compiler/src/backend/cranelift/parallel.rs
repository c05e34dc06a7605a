//! The parallel nest: one loop over the iterations that the call runs.
//!
//! The variables of the nest are found by division once, for the first iteration, and then count
//! like the digits of a clock.

use super::control::has_loops;
use super::kernel::KernelCx;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value};
use tcc_ir::kernel::For;

/// What one iteration hands on to the next.
fn state(counter: Value, values: &[Value]) -> Vec<BlockArg> {
    std::iter::once(counter).chain(values.iter().copied()).map(BlockArg::from).collect()
}

/// A loop of the nest: its first value, and its number of iterations.
#[derive(Clone, Copy)]
struct Digit {
    lo: Value,
    extent: Value,
}

impl KernelCx<'_, '_> {
    /// Runs the call's iterations of the parallel nest.
    pub(super) fn share(&mut self) {
        let loops = std::mem::take(&mut self.nest);
        let Some(innermost) = loops.last() else { return };
        let digits: Vec<Digit> = loops.iter().map(|f| self.digit(f)).collect();
        let (first, end) = self.iterations(&digits);
        let (start, body, exit) =
            (self.e.b.create_block(), self.e.b.create_block(), self.e.b.create_block());
        let some = self.e.b.ins().icmp(IntCC::SignedLessThan, first, end);
        self.e.b.ins().brif(some, start, &[], exit, &[]);
        self.e.b.seal_block(start);
        self.e.b.switch_to_block(start);
        let values = self.values_at(first, &digits);
        self.e.b.ins().jump(body, &state(first, &values));
        self.e.b.switch_to_block(body);
        let k = self.e.b.append_block_param(body, I64);
        let values: Vec<Value> =
            values.iter().map(|_| self.e.b.append_block_param(body, I64)).collect();
        self.ints.push_scope();
        // The variable of a single loop is the counter.
        let counter = [k];
        let variables = if values.is_empty() { counter.as_slice() } else { values.as_slice() };
        for (f, v) in loops.iter().zip(variables) {
            self.ints.define(f.var, *v);
        }
        let needed = self.needed(&innermost.body);
        self.anticipate(&needed);
        if has_loops(&innermost.body) {
            self.poll();
        }
        self.body(&innermost.body);
        let next = self.e.b.ins().iadd_imm_s(k, 1);
        let more = self.e.b.ins().icmp(IntCC::SignedLessThan, next, end);
        let values = if values.is_empty() { values } else { self.advanced(&values, &digits) };
        self.e.b.ins().brif(more, body, &state(next, &values), exit, &[]);
        self.ints.pop_scope();
        self.e.b.seal_block(body);
        self.e.b.seal_block(exit);
        self.e.b.switch_to_block(exit);
    }

    fn digit(&mut self, f: &For) -> Digit {
        let lo = self.int(&f.lo);
        let extent = self.int(&(&f.hi - &f.lo));
        let zero = self.e.b.ins().iconst(I64, 0);
        Digit { lo, extent: self.e.b.ins().smax(extent, zero) }
    }

    /// The call's range, cut at the iterations that there are; values of the variable if there is
    /// only one loop.
    fn iterations(&mut self, digits: &[Digit]) -> (Value, Value) {
        let mut count = self.e.b.ins().iconst(I64, 1);
        for d in digits {
            count = self.e.b.ins().imul(count, d.extent);
        }
        let zero = self.e.b.ins().iconst(I64, 0);
        let first = self.e.b.ins().smax(self.range.0, zero);
        let end = self.e.b.ins().smin(self.range.1, count);
        match digits {
            [d] => (self.e.b.ins().iadd(d.lo, first), self.e.b.ins().iadd(d.lo, end)),
            _ => (first, end),
        }
    }

    /// The variables at an iteration that there is, so that no extent is 0; none for a single loop.
    fn values_at(&mut self, iteration: Value, digits: &[Digit]) -> Vec<Value> {
        if digits.len() < 2 {
            return Vec::new();
        }
        let mut rest = iteration;
        let mut values = Vec::new();
        for (k, d) in digits.iter().enumerate().rev() {
            let mut place = rest;
            if k > 0 {
                place = self.e.b.ins().urem(rest, d.extent);
                rest = self.e.b.ins().udiv(rest, d.extent);
            }
            values.push(self.e.b.ins().iadd(d.lo, place));
        }
        values.reverse();
        values
    }

    /// The variables at the next iteration: the innermost one moves on; one that reaches its end
    /// starts anew and moves the one around it.
    fn advanced(&mut self, values: &[Value], digits: &[Digit]) -> Vec<Value> {
        let mut next = Vec::new();
        let mut carry: Option<Value> = None;
        for (k, (v, d)) in values.iter().zip(digits).enumerate().rev() {
            let moved = match carry {
                None => self.e.b.ins().iadd_imm_s(*v, 1),
                Some(c) => self.e.b.ins().iadd(*v, c),
            };
            if k == 0 {
                next.push(moved);
                break;
            }
            let hi = self.e.b.ins().iadd(d.lo, d.extent);
            let over = self.e.b.ins().icmp(IntCC::Equal, moved, hi);
            next.push(self.e.b.ins().select(over, d.lo, moved));
            carry = Some(self.e.b.ins().uextend(I64, over));
        }
        next.reverse();
        next
    }
}
