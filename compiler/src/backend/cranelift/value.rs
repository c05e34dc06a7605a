//! Scalar expressions of blocks, alone or in lanes.

use super::emit::{Val, lane_type, register_type};
use super::kernel::KernelCx;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use tcc_abi::{DType, Scalar, Status};
use tcc_ir::int::IntExpr;
use tcc_ir::scalar::{Comparison, Expr, Func};

impl<'k> KernelCx<'k, '_> {
    /// The value of an expression: a vector where it differs from lane to lane.
    pub(super) fn expr(&mut self, e: &'k Expr) -> Val {
        match e {
            Expr::Literal(s) => self.e.literal(*s),
            Expr::Read(r) => self.read(r),
            Expr::Index { num, den, dtype } => self.index(e, num, den, *dtype),
            Expr::Compare(op, a, b) => self.compare(e, *op, a, b),
            Expr::Contiguous(t) => self.contiguous(*t),
            Expr::Cast(to, x) => {
                let v = self.expr(x);
                let lanes = self.lane.map_or(1, |l| l.lanes);
                self.e.cast_values(x.dtype(), *to, v, lanes)
            }
            Expr::Bitcast(to, x) => {
                let v = self.expr(x);
                let lanes = self.lane.map_or(1, |l| l.lanes);
                self.e.bitcast_values(x.dtype(), *to, v, lanes)
            }
            Expr::Apply(func, args) => {
                let values: Vec<Val> = args.iter().map(|a| self.expr(a)).collect();
                let dtypes: Vec<DType> = args.iter().map(Expr::dtype).collect();
                self.apply(*func, &dtypes, &values)
            }
        }
    }

    /// A value that is the same in every lane: as a scalar.
    pub(super) fn scalar(&mut self, e: &'k Expr) -> Value {
        match self.expr(e) {
            Val::One(v) => v,
            _ => unreachable!("a condition is one bool"),
        }
    }

    pub(super) fn zero(&mut self, dtype: DType) -> Val {
        self.e.literal(Scalar::from_i128(dtype, 0))
    }

    /// The lane that scalar code is being made for.
    pub(super) fn pick(&mut self, dtype: DType, v: Val) -> Val {
        match (v, self.picked, self.lane) {
            (Val::Vector(_), Some(k), None) => self.e.lane(dtype, v, k),
            _ => v,
        }
    }

    /// Makes scalar code for one lane.
    pub(super) fn pinned<T>(&mut self, k: u32, make: impl FnOnce(&mut Self) -> T) -> T {
        let Some(lane) = self.lane.take() else { return make(self) };
        let position = IntExpr::constant(lane.base + i64::from(k));
        let before = self.ints.bind(lane.var, Some(position));
        let picked = self.picked.replace(k);
        self.rebind();
        let out = make(self);
        self.picked = picked;
        self.ints.bind(lane.var, before);
        self.lane = Some(lane);
        self.rebind();
        out
    }

    /// Makes scalar code for every lane and collects the values.
    pub(super) fn per_lane(&mut self, dtype: DType, mut make: impl FnMut(&mut Self) -> Val) -> Val {
        let Some(lane) = self.lane else { return make(self) };
        let values: Vec<Val> = (0..lane.lanes).map(|k| self.pinned(k, &mut make)).collect();
        self.e.gather(dtype, &values)
    }

    fn differs(&self, e: &IntExpr) -> bool {
        self.lane.is_some_and(|l| self.ints.resolve(e).mentions(l.var))
    }

    fn index(&mut self, e: &'k Expr, num: &IntExpr, den: &IntExpr, dtype: DType) -> Val {
        if self.differs(num) || self.differs(den) {
            return self.per_lane(dtype, |cx| cx.expr(e));
        }
        let n = self.int(num);
        let d = (den.as_constant() != Some(1)).then(|| self.int(den));
        self.e.index(dtype, n, d)
    }

    fn compare(&mut self, e: &'k Expr, op: Comparison, a: &IntExpr, b: &IntExpr) -> Val {
        let difference = self.ints.resolve(&(a - b));
        if self.differs(&difference) {
            return self.per_lane(DType::Bool, |cx| cx.expr(e));
        }
        let cc = super::emit::int_condition(op.func(), true)
            .unwrap_or_else(|| unreachable!("{op} compares"));
        let c = difference.constant_term();
        let moving = &difference - &IntExpr::constant(c);
        let v = self.int(&moving);
        Val::One(self.e.b.ins().icmp_imm_s(cc, v, c.saturating_neg()))
    }

    /// Applies a function to values of these types.
    pub(super) fn apply(&mut self, func: Func, dtypes: &[DType], values: &[Val]) -> Val {
        let lanes = self.lane.map_or(1, |l| l.lanes);
        if let (Func::Div | Func::Rem, [_, dtype], [_, divisor]) = (func, dtypes, values)
            && dtype.is_int()
        {
            let count = if matches!(divisor, Val::Vector(_)) { lanes } else { 1 };
            for k in 0..count {
                let one = self.e.lane(*dtype, *divisor, k);
                self.pinned(k, |cx| cx.check_divisor(*dtype, one));
            }
        }
        self.e.apply_values(func, dtypes, values, lanes)
    }

    fn check_divisor(&mut self, dtype: DType, divisor: Val) {
        let Val::One(v) = divisor else { unreachable!("a divisor is an integer") };
        let zero = self.e.b.ins().icmp_imm_s(IntCC::Equal, v, 0);
        let what = self.block.map_or(String::new(), |b| format!("`{}`", b.name));
        let value = self.e.as_i64(dtype, v);
        self.fail_if(zero, Status::Division, what, value, value);
    }

    /// True if values of the type can be in lanes of the given number.
    pub(super) fn fits_lanes(dtype: DType, lanes: u32) -> bool {
        lane_type(dtype, lanes).is_some()
            && (dtype == DType::Bool || register_type(dtype).bits() >= 32)
    }
}
