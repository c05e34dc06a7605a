//! Complex arithmetic on pairs, in the order of operations that SPEC.md gives.

use super::emit::{Emit, Val};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use tcc_ir::scalar::Func;

type Pair = (Value, Value);

impl Emit<'_, '_> {
    /// Applies a function to complex arguments; those of `complex(re, im)` are real.
    pub(super) fn apply_complex(&mut self, func: Func, args: &[Val]) -> Val {
        match (func, args) {
            (Func::Complex, [Val::One(re), Val::One(im)]) => Val::Pair(*re, *im),
            (Func::Re, [Val::Pair(re, _)]) => Val::One(*re),
            (Func::Im, [Val::Pair(_, im)]) => Val::One(*im),
            (Func::Conj, [Val::Pair(re, im)]) => Val::Pair(*re, self.b.ins().fneg(*im)),
            (Func::Neg, [Val::Pair(re, im)]) => {
                Val::Pair(self.b.ins().fneg(*re), self.b.ins().fneg(*im))
            }
            (Func::Abs, [Val::Pair(re, im)]) => Val::One(self.hypot(*re, *im)),
            (Func::Select, [Val::One(c), Val::Pair(a, b), Val::Pair(x, y)]) => {
                Val::Pair(self.choose(*c, *a, *x), self.choose(*c, *b, *y))
            }
            (_, [Val::Pair(a, b), Val::Pair(c, d)]) => {
                self.complex_binary(func, (*a, *b), (*c, *d))
            }
            _ => unreachable!("{func} on complex numbers"),
        }
    }

    fn complex_binary(&mut self, func: Func, (a, b): Pair, (c, d): Pair) -> Val {
        match func {
            Func::Add => Val::Pair(self.b.ins().fadd(a, c), self.b.ins().fadd(b, d)),
            Func::Sub => Val::Pair(self.b.ins().fsub(a, c), self.b.ins().fsub(b, d)),
            Func::Mul => {
                let (ac, bd) = (self.b.ins().fmul(a, c), self.b.ins().fmul(b, d));
                let (ad, bc) = (self.b.ins().fmul(a, d), self.b.ins().fmul(b, c));
                Val::Pair(self.b.ins().fsub(ac, bd), self.b.ins().fadd(ad, bc))
            }
            Func::Div => self.complex_quotient((a, b), (c, d)),
            Func::Eq | Func::Ne => {
                let re = self.b.ins().fcmp(FloatCC::Equal, a, c);
                let im = self.b.ins().fcmp(FloatCC::Equal, b, d);
                let equal = self.b.ins().band(re, im);
                Val::One(if func == Func::Eq { equal } else { self.b.ins().bxor_imm_u(equal, 1) })
            }
            other => unreachable!("{other} on complex numbers"),
        }
    }

    /// `large * sqrt(1 + (small/large)^2)`; 0 for 0, infinite if a part is.
    fn hypot(&mut self, re: Value, im: Value) -> Value {
        let ty = self.ty(re);
        let (x, y) = (self.b.ins().fabs(re), self.b.ins().fabs(im));
        let (large, small) = (self.b.ins().fmax(x, y), self.b.ins().fmin(x, y));
        let (zero, one, infinity) =
            (self.float(ty, 0.0), self.float(ty, 1.0), self.float(ty, f64::INFINITY));
        let q = self.b.ins().fdiv(small, large);
        let square = self.b.ins().fmul(q, q);
        let sum = self.b.ins().fadd(square, one);
        let root = self.b.ins().sqrt(sum);
        let value = self.b.ins().fmul(large, root);
        let flat = self.b.ins().fcmp(FloatCC::Equal, large, zero);
        let value = self.b.ins().select(flat, large, value);
        let (a, b) = (
            self.b.ins().fcmp(FloatCC::Equal, large, infinity),
            self.b.ins().fcmp(FloatCC::Equal, small, infinity),
        );
        let infinite = self.b.ins().bor(a, b);
        self.b.ins().select(infinite, infinity, value)
    }

    /// Smith's quotient: scaled by the larger part of the divisor.
    fn complex_quotient(&mut self, (a, b): Pair, (c, d): Pair) -> Val {
        let (size_c, size_d) = (self.b.ins().fabs(c), self.b.ins().fabs(d));
        let wide = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, size_c, size_d);
        let (p, q) = (self.b.ins().select(wide, c, d), self.b.ins().select(wide, d, c));
        let r = self.b.ins().fdiv(q, p);
        let qr = self.b.ins().fmul(q, r);
        let den = self.b.ins().fadd(p, qr);
        let (ar, br) = (self.b.ins().fmul(a, r), self.b.ins().fmul(b, r));
        let (x, y) = (self.b.ins().select(wide, a, ar), self.b.ins().select(wide, br, b));
        let re = self.b.ins().fadd(x, y);
        let (x, y) = (self.b.ins().select(wide, b, br), self.b.ins().select(wide, ar, a));
        let im = self.b.ins().fsub(x, y);
        Val::Pair(self.b.ins().fdiv(re, den), self.b.ins().fdiv(im, den))
    }
}
