//! Reads: bare, shifted, strided, reversed, diagonal, padded, gathered.

use super::builder::{Builder, Risk, Var, bare, element};
use super::{Decl, Dim, Kind};
use tcc_abi::DType;

impl Builder<'_> {
    /// A read that uses some of the indices.
    pub(super) fn access(&mut self, dtype: DType, vars: &[Var]) -> String {
        if self.rng.u8(0..100) < 60 {
            let tensors = self.visible(dtype);
            if let Some(text) = self.existing(&tensors, vars) {
                return text;
            }
        }
        self.new_access(dtype, vars)
    }

    /// A read of an input, whose values are exact.
    pub(super) fn exact_access(&mut self, dtype: DType, vars: &[Var]) -> String {
        if self.rng.bool() {
            let tensors = self.inputs_of(dtype);
            if let Some(text) = self.existing(&tensors, vars) {
                return text;
            }
        }
        self.new_access(dtype, vars)
    }

    /// A read on which every index stands bare, so that it fixes their extents.
    pub(super) fn anchor(&mut self, dtype: DType, vars: &[Var]) -> String {
        let fits = |d: &Decl| {
            d.shape.len() == vars.len() && d.shape.iter().zip(vars).all(|(s, v)| *s == v.dim)
        };
        let tensors: Vec<Decl> = self.visible(dtype).into_iter().filter(fits).collect();
        if !tensors.is_empty() && self.rng.u8(0..3) > 0 {
            let t = self.pick(&tensors);
            return bare(&t.name, vars);
        }
        let mut order = vars.to_vec();
        if self.rng.bool() {
            self.rng.shuffle(&mut order);
        }
        let shape = order.iter().map(|v| v.dim.clone()).collect();
        let t = self.input(dtype, shape, Kind::Any);
        bare(&t.name, &order)
    }

    fn existing(&mut self, tensors: &[Decl], vars: &[Var]) -> Option<String> {
        for _ in 0..3 {
            if tensors.is_empty() {
                return None;
            }
            let t = self.pick(tensors);
            let mut padded = false;
            let subscripts: Option<Vec<String>> = t
                .shape
                .iter()
                .map(|d| {
                    let (text, pad) = self.subscript(d, vars)?;
                    padded |= pad;
                    Some(text)
                })
                .collect();
            if let Some(s) = subscripts {
                return Some(self.padded(element(&t.name, &s), t.dtype, padded));
            }
        }
        None
    }

    /// Adds a default where one is needed, or sometimes.
    fn padded(&mut self, text: String, dtype: DType, needed: bool) -> String {
        if needed { format!("{text}?{}", self.default_value(dtype)) } else { text }
    }

    pub(super) fn default_value(&mut self, dtype: DType) -> String {
        match dtype {
            DType::Bool => self.pick(&["false", "true"]).to_owned(),
            d if d.is_float() => {
                self.pick(&["0", "1", "0.5", "-2", "inf", "-inf", "(1/4)"]).to_owned()
            }
            d if d.is_signed_int() => self.pick(&["0", "1", "-3", "(2+5)"]).to_owned(),
            _ => self.pick(&["0", "1", "7"]).to_owned(),
        }
    }

    /// A subscript for an axis of this extent; the flag asks for a default.
    fn subscript(&mut self, dim: &Dim, vars: &[Var]) -> Option<(String, bool)> {
        let mut sure = Vec::new();
        for v in vars {
            if v.dim == *dim {
                sure.extend([v.name.to_owned(), v.name.to_owned(), v.name.to_owned()]);
                sure.push(format!("{dim}-1-{}", v.name));
            } else {
                let rest = dim.plus(&v.dim.affine(-1, 0)).number();
                sure.extend(rest.filter(|c| *c > 0).map(|c| format!("{}+{}", v.name, c.min(1))));
                let rest = dim.plus(&v.dim.affine(-2, 0)).number();
                sure.extend(rest.filter(|c| *c >= 0).map(|c| format!("2*{}+{c}", v.name)));
            }
        }
        if let Some(n) = dim.number().filter(|n| *n > 0) {
            sure.push(self.rng.i64(0..n).to_string());
            sure.extend(vars.first().map(|v| format!("{}%{n}", v.name)));
        }
        if !sure.is_empty() && !self.one_in(12) {
            return Some((self.pick(&sure), false));
        }
        let v = if vars.is_empty() { return None } else { self.pick(vars) };
        let v = v.name;
        match self.rng.u8(0..7) {
            0 => Some((format!("{v}+1"), true)),
            1 => Some((format!("{v}-1"), true)),
            2 => Some((format!("2*{v}-1"), true)),
            3 => Some((format!("3-{v}"), true)),
            4 => Some((format!("{v}/2"), true)),
            5 if self.one_in(3) => Some(("0".to_owned(), false)),
            _ => None,
        }
    }

    /// A read of a new input.
    fn new_access(&mut self, dtype: DType, vars: &[Var]) -> String {
        let mut used: Vec<Var> = Vec::new();
        for v in vars {
            if self.rng.u8(0..10) < 7 {
                used.push(v.clone());
            }
        }
        if self.rng.bool() {
            self.rng.shuffle(&mut used);
        }
        let mut padded = false;
        let mut axes: Vec<(Dim, String)> = Vec::new();
        for v in &used {
            let (dim, text, pad) = self.axis(v, vars);
            padded |= pad;
            axes.push((dim, text));
        }
        if let (Some(v), true) = (used.first(), self.one_in(16)) {
            axes.push((v.dim.clone(), v.name.to_owned()));
        }
        let dims: Vec<Dim> = axes.iter().map(|(d, _)| d.clone()).collect();
        if !self.fits(&dims) {
            axes.truncate(1);
        }
        let (dims, texts): (Vec<Dim>, Vec<String>) = axes.into_iter().unzip();
        let t = self.input(dtype, dims, Kind::Any);
        let text = element(&t.name, &texts);
        self.padded(text, dtype, padded && !texts.is_empty())
    }

    /// An axis for an index: extent, subscript, and whether a default is needed.
    fn axis(&mut self, v: &Var, vars: &[Var]) -> (Dim, String, bool) {
        let (d, n) = (v.dim.clone(), v.name);
        match self.rng.u8(0..50) {
            0..3 => (d.clone(), format!("{d}-1-{n}"), false),
            3..6 => (d.affine(1, 2), format!("{n}+{}", self.rng.u8(0..3)), false),
            6..9 => (d.affine(2, 1), format!("2*{n}+{}", self.rng.u8(0..2)), false),
            9 => match d.name() {
                Some(size) => (Dim::half(size).affine(1, 1), format!("{n}/2"), false),
                None => (d, n.to_owned(), false),
            },
            10 => (Dim::literal(3), format!("{n}%3"), false),
            11..13 => {
                let w = self.pick(vars);
                if w.name == n {
                    return (d, n.to_owned(), false);
                }
                (d.plus(&w.dim), format!("{n}+{}", w.name), false)
            }
            13..17 => {
                let text = match self.rng.u8(0..4) {
                    0 => format!("{n}-1"),
                    1 => format!("{n}+1"),
                    2 => format!("2*{n}-1"),
                    _ => format!("2-{n}"),
                };
                (self.dim(), text, true)
            }
            17..20 => self.gathered(v),
            _ => (d, n.to_owned(), false),
        }
    }

    /// A subscript that depends on data.
    pub(super) fn gathered(&mut self, v: &Var) -> (Dim, String, bool) {
        let dim = self.dim();
        let padded = self.rng.bool();
        let stray = padded || (self.risk == Risk::Index && self.rng.bool());
        let dtype = self.index_dtype(padded);
        let t = self.input(dtype, vec![v.dim.clone()], Kind::Position(dim.clone(), stray));
        (dim, format!("{}[{}]", t.name, v.name), padded)
    }

    /// A type of positions.
    pub(super) fn index_dtype(&mut self, any: bool) -> DType {
        let all =
            [DType::I32, DType::I64, DType::I32, DType::U8, DType::I16, DType::U64, DType::I8];
        let usual = [DType::I32, DType::I64];
        if any || self.one_in(4) { self.pick(&all) } else { self.pick(&usual) }
    }
}
