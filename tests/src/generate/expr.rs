//! Scalar expressions of a wanted type over indices that are all bound.

use super::builder::{Builder, DTYPES, Risk, Var};
use tcc_abi::DType;
use tcc_ir::scalar::{Func, Signature};

impl Builder<'_> {
    /// An expression of a type.
    pub(super) fn expr(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        if depth == 0 {
            return self.leaf(dtype, vars);
        }
        match self.rng.u8(0..100) {
            0..22 => self.leaf(dtype, vars),
            22..34 => self.cast(dtype, vars, depth),
            34..38 => self.inner_reduction(dtype, vars, depth),
            38..41 => self.power(dtype, vars, depth),
            41..44 => self.scalar_call(dtype, vars, depth),
            44..70 => self.arithmetic(dtype, vars, depth),
            _ => self.function(dtype, vars, depth),
        }
    }

    pub(super) fn literal(&mut self, dtype: DType) -> String {
        let text = match dtype {
            DType::Bool => self.pick(&["true", "false"]),
            d if d.is_float() || d.is_complex() => {
                self.pick(&["0.5", "2", "(-1.25)", "3", "0.1", "(-1)", "1e-3"])
            }
            d if d.is_signed_int() => self.pick(&["0", "1", "2", "3", "(-2)", "(-7)"]),
            _ => self.pick(&["0", "1", "2", "3", "5"]),
        };
        text.to_owned()
    }

    fn leaf(&mut self, dtype: DType, vars: &[Var]) -> String {
        match self.rng.u8(0..12) {
            0 | 1 => self.literal(dtype),
            2 if dtype != DType::Bool && !vars.is_empty() => {
                let v = self.pick(vars);
                format!("({}+1)", v.name)
            }
            2 if vars.len() > 1 => {
                let op = self.pick(&["<=", "<", "==", "!="]);
                let (v, w) = (self.pick(vars), self.pick(vars));
                format!("({} {op} {})", v.name, w.name)
            }
            _ => self.access(dtype, vars),
        }
    }

    /// A leaf whose value carries no rounding error, so that steps and comparisons are decided.
    fn exact(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let inexact = dtype.is_float() || dtype.is_complex();
        if inexact && self.rng.u8(0..20) > 0 {
            if self.one_in(8) { self.literal(dtype) } else { self.exact_access(dtype, vars) }
        } else {
            self.expr(dtype, vars, depth.saturating_sub(1))
        }
    }

    fn cast(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let from = self.dtype();
        if self.one_in(4) {
            let twin = |d: &DType| {
                d.size() == dtype.size() && *d != DType::Bool && !d.is_complex() && *d != dtype
            };
            let twins: Vec<DType> = DTYPES.iter().copied().filter(twin).collect();
            if !twins.is_empty() && dtype != DType::Bool && !dtype.is_complex() {
                let from = self.pick(&twins);
                let inner = self.exact(from, vars, depth);
                return format!("bitcast({dtype}, {inner})");
            }
        }
        let steps = !dtype.is_float() && !dtype.is_complex();
        let inner =
            if steps { self.exact(from, vars, depth) } else { self.expr(from, vars, depth - 1) };
        format!("cast({dtype}, {inner})")
    }

    fn arithmetic(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let a = self.expr(dtype, vars, depth - 1);
        let b = self.expr(dtype, vars, depth - 1);
        let op = if dtype == DType::Bool {
            self.pick(&["&&", "||"])
        } else {
            self.pick(&["+", "-", "*", "*", "+"])
        };
        format!("({a} {op} {b})")
    }

    fn power(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        if dtype == DType::Bool {
            return self.leaf(dtype, vars);
        }
        let a = self.expr(dtype, vars, depth - 1);
        let powers = dtype.is_float() && self.options.funcs.contains(&Func::Pow);
        let n = if powers { self.pick(&["2", "3", "0.5", "2"]) } else { "2" };
        format!("({a})^{n}")
    }

    fn scalar_call(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let helpers: Vec<_> =
            self.scalar_helpers.iter().filter(|h| h.1 == dtype).cloned().collect();
        if helpers.is_empty() {
            return self.arithmetic(dtype, vars, depth);
        }
        let (name, _, arity) = self.pick(&helpers);
        let args: Vec<String> = (0..arity).map(|_| self.expr(dtype, vars, depth - 1)).collect();
        format!("{name}({})", args.join(", "))
    }

    /// `sum[k in D | p](e)`
    fn inner_reduction(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let Some(v) = self.vars(1, vars).pop() else { return self.leaf(dtype, vars) };
        let mut inner = vars.to_vec();
        inner.push(v.clone());
        let ops: &[&str] = match dtype {
            DType::Bool => &["or", "and"],
            DType::I64 => &["sum", "max", "min", "prod", "count", "argmax", "argmin"],
            d if d.is_int() => &["sum", "max", "min", "prod"],
            d if d.is_complex() => &["sum", "prod"],
            _ if self.options.has_lse() => &["sum", "max", "min", "prod", "mean", "lse"],
            _ => &["sum", "max", "min", "prod", "mean"],
        };
        let op = self.pick(ops);
        let body = match op {
            "count" => self.expr(DType::Bool, &inner, depth - 1),
            "argmax" | "argmin" => {
                let d = self.dtype_where(|d| d.is_float() || d.is_int());
                self.exact_access(d, &inner)
            }
            _ => self.expr(dtype, &inner, depth - 1),
        };
        let pred = match self.rng.u8(0..5) {
            0 => format!(" | {}", self.predicate(&inner)),
            _ => String::new(),
        };
        format!("{op}[{} in {}{pred}]({body})", v.name, v.dim)
    }

    /// A condition on indices or exact data.
    pub(super) fn predicate(&mut self, vars: &[Var]) -> String {
        if vars.is_empty() || self.one_in(3) {
            return self.exact_access(DType::Bool, vars);
        }
        let (v, w) = (self.pick(vars), self.pick(vars));
        match self.rng.u8(0..5) {
            0 => format!("{} <= {}", v.name, w.name),
            1 => format!("{} != {}", v.name, self.rng.u8(0..4)),
            2 => format!("{} % 2 == {}", v.name, self.rng.u8(0..2)),
            3 => format!("{} + {} < {}", v.name, w.name, v.dim),
            _ => format!("{} >= {}", v.name, self.rng.u8(0..3)),
        }
    }

    /// An application of a random function with a result of this type.
    fn function(&mut self, dtype: DType, vars: &[Var], depth: u32) -> String {
        let gives = |f: &Func| match f.signature() {
            Signature::Number | Signature::Magnitude => {
                dtype != DType::Bool && (*f != Func::Abs || !dtype.is_complex())
            }
            Signature::Real => dtype.is_int() || dtype.is_float(),
            Signature::Float => dtype.is_float(),
            Signature::FloatTest | Signature::Equality | Signature::Order | Signature::Logic => {
                dtype == DType::Bool
            }
            Signature::Choice => true,
            Signature::ComplexToComplex | Signature::RealToComplex => dtype.is_complex(),
            Signature::ComplexToReal => dtype.complex_of().is_some(),
            Signature::Integer => dtype.is_int(),
        };
        let funcs: Vec<Func> = self.options.funcs.iter().copied().filter(gives).collect();
        let func = self.pick(&funcs);
        let args = self.arguments(func, dtype, vars, depth);
        match (func.operator(), args.as_slice()) {
            (Some((op, _)), [a]) => format!("({op}{a})"),
            (Some((op, _)), [a, b]) => format!("({a} {op} {b})"),
            _ => format!("{func}({})", args.join(", ")),
        }
    }

    fn arguments(&mut self, func: Func, dtype: DType, vars: &[Var], depth: u32) -> Vec<String> {
        let same = |b: &mut Self, d: DType| b.expr(d, vars, depth - 1);
        match func.signature() {
            Signature::FloatTest => {
                let d = self.dtype_where(DType::is_float);
                vec![same(self, d)]
            }
            Signature::Equality | Signature::Order => {
                let order = func.signature() == Signature::Order;
                let d = self.dtype_where(|d| !(order && d.is_complex()));
                let first = self.exact_access(d, vars);
                vec![first, self.exact(d, vars, depth)]
            }
            Signature::Choice => {
                let c = self.expr(DType::Bool, vars, depth - 1);
                vec![c, same(self, dtype), same(self, dtype)]
            }
            Signature::ComplexToReal => vec![same(self, dtype.complex_of().unwrap_or(dtype))],
            Signature::RealToComplex => {
                vec![same(self, dtype.real_part()), same(self, dtype.real_part())]
            }
            Signature::Magnitude if dtype.complex_of().is_some() && self.rng.bool() => {
                vec![same(self, dtype.complex_of().unwrap_or(dtype))]
            }
            _ => self.plain_arguments(func, dtype, vars, depth),
        }
    }

    fn plain_arguments(
        &mut self,
        func: Func,
        dtype: DType,
        vars: &[Var],
        depth: u32,
    ) -> Vec<String> {
        let steps = matches!(
            func,
            Func::Rem | Func::Floor | Func::Ceil | Func::Round | Func::Trunc | Func::Sign
        );
        let arg = |b: &mut Self| {
            if steps { b.exact(dtype, vars, depth) } else { b.expr(dtype, vars, depth - 1) }
        };
        let mut args: Vec<String> = (0..func.arity()).map(|_| arg(self)).collect();
        if dtype.is_int()
            && matches!(func, Func::Div | Func::Rem)
            && let Some(divisor) = args.last_mut()
            && self.risk != Risk::Division
        {
            *divisor = format!("bitor({divisor}, 1)");
        }
        args
    }
}
