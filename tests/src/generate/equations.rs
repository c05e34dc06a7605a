//! Single equations: maps, contractions, reductions, gathers, scatters, guards.

use super::builder::{Builder, Risk, Var, bare, element, names};
use super::{Decl, Dim, Kind};
use tcc_abi::DType;

impl Builder<'_> {
    /// `T[i,j] = e`
    pub(super) fn map(&mut self) {
        let vars = self.target_vars();
        let dtype = self.dtype();
        let t = self.decl(dtype, &vars);
        let value = self.expr(dtype, &vars, 3);
        self.push(vec![format!("{} = {value}", bare(&t.name, &vars))], vec![t]);
    }

    /// `T[i,j] = A[i,k] * B[k,j] * ...`
    pub(super) fn contraction(&mut self) {
        let dtype = self.dtype();
        let most = self.pick(&[0, 1, 2, 2, 3]);
        let vars = self.vars(most, &[]);
        let most = self.pick(&[1, 1, 2, 3]);
        let summed = self.vars(most, &vars);
        let all: Vec<Var> = vars.iter().chain(&summed).cloned().collect();
        let count = self.pick(&[2, 2, 2, 3, 3, 4]);
        let mut factors: Vec<Vec<Var>> = vec![Vec::new(); count];
        for v in &all {
            let first = self.rng.usize(..count);
            for (k, f) in factors.iter_mut().enumerate() {
                if k == first || self.rng.u8(0..3) == 0 {
                    f.push(v.clone());
                }
            }
        }
        if self.one_in(10) && dtype != DType::Bool && factors.iter().all(|f| !f.is_empty()) {
            return self.einsum(dtype, &vars, &factors);
        }
        let op = if dtype == DType::Bool { " && " } else { " * " };
        let texts: Vec<String> = factors
            .iter()
            .map(|f| {
                let text = self.anchor(dtype, f);
                if dtype.is_complex() && self.one_in(3) { format!("conj({text})") } else { text }
            })
            .collect();
        let mut value = texts.join(op);
        if dtype != DType::Bool && self.one_in(4) {
            let extra = self.access(dtype, &vars);
            value = format!("{value} + {extra}");
        }
        let t = self.decl(dtype, &vars);
        let acc = if dtype == DType::F32 && self.one_in(5) { " @acc(f64)" } else { "" };
        self.push(vec![format!("{} = {value}{acc}", bare(&t.name, &vars))], vec![t]);
    }

    /// `T = einsum("ik,kj->ij", A, B)`
    fn einsum(&mut self, dtype: DType, target: &[Var], factors: &[Vec<Var>]) {
        let letters = |vars: &[Var]| vars.iter().map(|v| v.name).collect::<String>();
        let inputs: Vec<String> = factors
            .iter()
            .map(|f| {
                let shape = f.iter().map(|v| v.dim.clone()).collect();
                self.input(dtype, shape, Kind::Any).name
            })
            .collect();
        let labels: Vec<String> = factors.iter().map(|f| letters(f)).collect();
        let (labels, inputs) = (labels.join(","), inputs.join(", "));
        let t = self.decl(dtype, target);
        let line = format!("{} = einsum(\"{labels}->{}\", {inputs})", t.name, letters(target));
        self.push(vec![line], vec![t]);
    }

    /// An assignment that combines, with a type that has it.
    pub(super) fn combining(&mut self) -> (&'static str, DType) {
        let number = |d: DType| d != DType::Bool;
        let real = |d: DType| d.is_int() || d.is_float();
        match self.rng.u8(0..12) {
            0..3 => ("+=", self.dtype_where(number)),
            3 | 4 => ("max=", self.dtype_where(real)),
            5 | 6 => ("min=", self.dtype_where(real)),
            7 => ("prod=", self.dtype_where(number)),
            8 => ("or=", DType::Bool),
            9 => ("and=", DType::Bool),
            10 if self.options.has_lse() => ("lse=", self.dtype_where(DType::is_float)),
            _ => ("+=", self.dtype_where(number)),
        }
    }

    /// `T[i] max= e(i, k)`, `T[i] mean= ..`, `T[i] =<maxplus> ..`
    pub(super) fn reduction(&mut self) {
        let most = self.pick(&[0, 1, 1, 2, 3]);
        let vars = self.vars(most, &[]);
        let most = self.pick(&[1, 1, 2]);
        let summed = self.vars(most, &vars);
        let all: Vec<Var> = vars.iter().chain(&summed).cloned().collect();
        let (mut op, mut dtype) = self.combining();
        let mut value = match self.rng.u8(0..8) {
            0 => {
                op = "mean=";
                dtype = self.dtype_where(DType::is_float);
                self.anchor(dtype, &all)
            }
            1 => {
                op = self.pick(&["=<maxplus>", "=<minplus>", "=<maxmul>", "=<real>"]);
                dtype = self.dtype_where(|d| d.is_float() || d.is_signed_int());
                if op == "=<maxmul>" {
                    let shape: Vec<Dim> = all.iter().map(|v| v.dim.clone()).collect();
                    let a = self.input(dtype, shape.clone(), Kind::NonNegative);
                    let b = self.input(dtype, shape, Kind::NonNegative);
                    format!("{} * {}", bare(&a.name, &all), bare(&b.name, &all))
                } else {
                    format!("{} * {}", self.anchor(dtype, &all), self.access(dtype, &all))
                }
            }
            2 => self.anchor(dtype, &all),
            _ => {
                let anchor = self.anchor(dtype, &all);
                let other = self.expr(dtype, &all, 2);
                let join = if dtype == DType::Bool { "||" } else { "+" };
                format!("{anchor} {join} {other}")
            }
        };
        if op != "mean=" && self.one_in(5) {
            value = format!("{value} where {}", self.predicate(&all));
        }
        let t = self.decl(dtype, &vars);
        self.push(vec![format!("{} {op} {value}", bare(&t.name, &vars))], vec![t]);
    }

    /// `T[i,j] = X[P[i],j]`
    pub(super) fn gather(&mut self) {
        let most = self.pick(&[1, 1, 2, 3]);
        let vars = self.vars(most, &[]);
        let Some(first) = vars.first().cloned() else { return self.map() };
        let dtype = self.dtype();
        let (dim, text, padded) = self.gathered(&first);
        let mut axes = vec![(dim, text)];
        let mut padded = padded;
        for v in vars.iter().skip(1) {
            if self.one_in(3) {
                let (dim, text, pad) = self.gathered(v);
                padded |= pad;
                axes.push((dim, text));
            } else {
                axes.push((v.dim.clone(), v.name.to_owned()));
            }
        }
        let shape: Vec<Dim> = axes.iter().map(|a| a.0.clone()).collect();
        let source = self.visible(dtype).into_iter().find(|d| d.shape == shape);
        let source = match source {
            Some(d) => d,
            None => self.input(dtype, shape, Kind::Any),
        };
        let texts: Vec<String> = axes.into_iter().map(|a| a.1).collect();
        let mut read = element(&source.name, &texts);
        if padded {
            read = format!("{read}?{}", self.default_value(dtype));
        }
        let t = self.decl(dtype, &vars);
        let value = match self.rng.u8(0..3) {
            0 => read,
            _ => {
                let other = self.expr(dtype, &vars, 2);
                let join = if dtype == DType::Bool { "||" } else { "+" };
                format!("{read} {join} {other}")
            }
        };
        self.push(vec![format!("{} = {value}", bare(&t.name, &vars))], vec![t]);
    }

    /// `T[P[e],j] += W[e,j]`, `T[e/2] max= W[e]`, `T[i+k] += A[i] * B[k]`
    pub(super) fn scatter(&mut self) {
        let most = self.pick(&[1, 2, 2, 3]);
        let vars = self.vars(most, &[]);
        if vars.is_empty() {
            return self.map();
        }
        let (op, dtype) = self.combining();
        let drop = self.rng.bool();
        let mut axes: Vec<(Dim, String)> = Vec::new();
        for (k, v) in vars.iter().enumerate() {
            match self.rng.u8(0..6) {
                _ if k == 0 && self.rng.u8(0..4) > 0 => axes.push(self.scattered(v, drop)),
                0 => axes.push(self.scattered(v, drop)),
                1 => match v.dim.name() {
                    Some(n) => axes.push((Dim::half(n).affine(1, 1), format!("{}/2", v.name))),
                    None => axes.push((v.dim.clone(), v.name.to_owned())),
                },
                2 if k > 0 => {
                    let w = &vars[0];
                    axes.push((v.dim.plus(&w.dim), format!("{}+{}", v.name, w.name)));
                }
                3 if k > 0 => {}
                _ => axes.push((v.dim.clone(), v.name.to_owned())),
            }
        }
        let (shape, texts): (Vec<Dim>, Vec<String>) = axes.into_iter().unzip();
        if !self.fits(&shape) {
            return self.map();
        }
        let anchor = self.anchor(dtype, &vars);
        let mut value = match self.rng.u8(0..3) {
            0 => anchor,
            _ => {
                let other = self.expr(dtype, &vars, 2);
                let join = if dtype == DType::Bool { "||" } else { "+" };
                format!("{anchor} {join} {other}")
            }
        };
        if self.one_in(6) {
            value = format!("{value} where {}", self.predicate(&vars));
        }
        if drop {
            value.push_str(" @drop");
        }
        let t = Decl { name: self.fresh("T"), dtype, shape };
        self.push(vec![format!("{} {op} {value}", element(&t.name, &texts))], vec![t]);
    }

    fn scattered(&mut self, v: &Var, drop: bool) -> (Dim, String) {
        let dim = self.dim();
        let stray = drop || (self.risk == Risk::Index && self.rng.bool());
        let dtype = self.index_dtype(drop);
        let t = self.input(dtype, vec![v.dim.clone()], Kind::Position(dim.clone(), stray));
        (dim, format!("{}[{}]", t.name, v.name))
    }

    /// `T[i] = e where p`; other elements are the unit.
    pub(super) fn guarded(&mut self) {
        let most = self.pick(&[1, 2, 2, 3]);
        let vars = self.vars(most, &[]);
        let (op, dtype) = self.combining();
        let op = if self.rng.bool() && dtype != DType::Bool { "=" } else { op };
        let t = self.decl(dtype, &vars);
        let target = bare(&t.name, &vars);
        let value = self.expr(dtype, &vars, 2);
        let p = self.predicate(&vars);
        self.push(vec![format!("{target} {op} {value} where {p}")], vec![t]);
    }

    /// `softmax`, `logsoftmax`, `cumsum`, and bracketed reductions over an anchor.
    pub(super) fn kept_axis(&mut self) {
        let vars = self.vars(2, &[]);
        let Some(last) = vars.last().cloned() else { return self.map() };
        let soft = self.options.has_lse() && self.rng.bool();
        let (op, dtype) = match self.rng.u8(0..3) {
            0 if soft => ("softmax", self.dtype_where(DType::is_float)),
            1 if soft => ("logsoftmax", self.dtype_where(DType::is_float)),
            _ => ("cumsum", self.dtype_where(|d| d != DType::Bool)),
        };
        let body = if self.rng.bool() {
            self.anchor(dtype, &vars)
        } else {
            let (anchor, other) = (self.anchor(dtype, &vars), self.expr(dtype, &vars, 1));
            format!("{anchor} - {other}")
        };
        let pred = if op != "cumsum" && self.one_in(3) {
            format!(" | {}", self.predicate(&vars))
        } else {
            String::new()
        };
        let t = self.decl(dtype, &vars);
        let line = format!("{} = {op}[{}{pred}]({body})", bare(&t.name, &vars), last.name);
        debug_assert!(!names(&vars).is_empty(), "a kept axis needs an index");
        self.push(vec![line], vec![t]);
    }
}
