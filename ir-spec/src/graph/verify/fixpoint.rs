//! Monotonicity of fixpoints (R8).

use super::Verifier;
use crate::TensorId;
use crate::diag::{Code, Diagnostic};
use crate::graph::{Definition, Fix};
use crate::scalar::{Expr, Func, Reducer, Subscript};

/// How a value moves when the fixed tensors grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trend {
    Constant,
    Up,
    Down,
    Unknown,
}

impl Trend {
    fn flip(self) -> Trend {
        match self {
            Trend::Up => Trend::Down,
            Trend::Down => Trend::Up,
            other => other,
        }
    }

    fn join(self, other: Trend) -> Trend {
        match (self, other) {
            (Trend::Constant, t) | (t, Trend::Constant) => t,
            (a, b) if a == b => a,
            _ => Trend::Unknown,
        }
    }
}

impl Verifier<'_> {
    /// Without a limit a fixpoint needs idempotent reducers of one direction on its lattice tensors
    /// and bodies that are monotone in all tensors of the block.
    pub(super) fn fixpoint(&mut self, f: &Fix) {
        if f.limit.is_some() {
            return;
        }
        let members: Vec<TensorId> = f.definitions.iter().map(|d| d.tensor).collect();
        let mut direction = None;
        for d in &f.definitions {
            for e in &d.equations {
                if e.reducer.is_some_and(Reducer::is_idempotent) {
                    let up = matches!(e.reducer, Some(Reducer::Max | Reducer::Or));
                    if *direction.get_or_insert(up) != up {
                        let message =
                            "a fixpoint grows or shrinks: `max`/`or` and `min`/`and` do not mix";
                        self.error(Diagnostic::new(Code::NotMonotone, e.span, message));
                        return;
                    }
                } else if self.feeds_itself(f, d.tensor) {
                    // An intermediate stands at the place of the equation that needs it.
                    let same_place = |x: &&Definition| {
                        x.equations
                            .iter()
                            .any(|o| o.span.end > 0 && o.span.range() == e.span.range())
                    };
                    let written = f.definitions.iter().rev().find(same_place).unwrap_or(d);
                    let name = self.name(written.tensor);
                    let with = e.reducer.map_or("=".to_owned(), |r| r.assignment().to_owned());
                    let message =
                        format!("`{name}` is fixed with `{with}`, which is not idempotent");
                    let d = Diagnostic::new(Code::NotMonotone, e.span, message).help(
                        "use `or=`, `and=`, `min=` or `max=`, or bound the rounds: `fix(limit=100)`",
                    );
                    self.error(d);
                    return;
                }
                let trend = trend(&e.body, &members);
                let guard = e.guard.as_ref().map_or(Trend::Constant, |g| guard_trend(g, &members));
                if !matches!(trend, Trend::Constant | Trend::Up)
                    || !matches!(guard, Trend::Constant | Trend::Up)
                {
                    let name = self.name(d.tensor);
                    let message = format!("the equation of `{name}` is not monotone");
                    let d = Diagnostic::new(Code::NotMonotone, e.span, message)
                        .note("growth of a fixed tensor must never shrink the result")
                        .help("bound the rounds to iterate it anyway: `fix(limit=100) { ... }`");
                    self.error(d);
                    return;
                }
            }
        }
    }

    /// True if the tensor depends on itself through tensors without an idempotent reducer only.
    fn feeds_itself(&self, f: &Fix, t: TensorId) -> bool {
        let mut seen = Vec::new();
        let mut stack = vec![t];
        while let Some(current) = stack.pop() {
            let Some(d) = f.definitions.iter().find(|d| d.tensor == current) else { continue };
            let lattice = d.equations.iter().any(|e| e.reducer.is_some_and(Reducer::is_idempotent));
            if lattice {
                continue;
            }
            for r in d.equations.iter().flat_map(|e| e.reads()) {
                if r.tensor == t {
                    return true;
                }
                if !seen.contains(&r.tensor) {
                    seen.push(r.tensor);
                    stack.push(r.tensor);
                }
            }
        }
        false
    }
}

fn guard_trend(guard: &Expr, members: &[TensorId]) -> Trend {
    trend(guard, members)
}

fn trend(e: &Expr, members: &[TensorId]) -> Trend {
    match e {
        Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {
            Trend::Constant
        }
        Expr::Read(r) => {
            let data = r.subscripts.iter().any(|s| match s {
                Subscript::Data(x) => trend(x, members) != Trend::Constant,
                Subscript::Affine(_) => false,
            });
            let own = if members.contains(&r.tensor) { Trend::Up } else { Trend::Constant };
            let default = r.default.as_ref().map_or(Trend::Constant, |d| trend(d, members));
            if data { Trend::Unknown } else { own.join(default) }
        }
        Expr::Cast(d, inner) => {
            let keeps = d.is_float() || d.size() >= inner.dtype().size();
            match trend(inner, members) {
                Trend::Constant => Trend::Constant,
                t if keeps && !d.is_complex() => t,
                _ => Trend::Unknown,
            }
        }
        Expr::Bitcast(_, inner) => match trend(inner, members) {
            Trend::Constant => Trend::Constant,
            _ => Trend::Unknown,
        },
        Expr::Apply(func, args) => apply_trend(*func, args, members),
    }
}

fn apply_trend(func: Func, args: &[Expr], members: &[TensorId]) -> Trend {
    let trends: Vec<Trend> = args.iter().map(|a| trend(a, members)).collect();
    if trends.iter().all(|t| *t == Trend::Constant) {
        return Trend::Constant;
    }
    let joined = trends.iter().fold(Trend::Constant, |a, b| a.join(*b));
    match (func, args, trends.as_slice()) {
        (Func::Neg | Func::Not, _, [t]) => t.flip(),
        (Func::Sub, _, [a, b]) => a.join(b.flip()),
        (Func::Mul, [x, y], [a, b]) => match (a, b) {
            (Trend::Constant, t) if is_nonneg(x) => *t,
            (t, Trend::Constant) if is_nonneg(y) => *t,
            _ if is_nonneg(x) && is_nonneg(y) => joined,
            _ => Trend::Unknown,
        },
        (Func::Div, [_, y], [t, Trend::Constant]) if is_nonneg(y) => *t,
        (Func::Select, _, [Trend::Constant, a, b]) => a.join(*b),
        (f, _, _) if f.is_monotone() => joined,
        _ => Trend::Unknown,
    }
}

/// True if the value is never negative, as far as its form shows.
fn is_nonneg(e: &Expr) -> bool {
    match e {
        Expr::Literal(s) => s.to_f64() >= 0.0,
        Expr::Apply(Func::Exp | Func::Exp2 | Func::Abs | Func::Sqrt, _) => true,
        Expr::Apply(Func::Max, args) => args.iter().any(is_nonneg),
        Expr::Apply(Func::Add | Func::Mul | Func::Min, args) => args.iter().all(is_nonneg),
        Expr::Cast(_, inner) => is_nonneg(inner),
        other => other.dtype().is_int() && !other.dtype().is_signed_int(),
    }
}
