//! Tensors with several equations: regions, interleavings, several contributions, updates in place.

use super::builder::{Builder, Var, bare, element};
use super::{Decl, Dim, Group, Kind, Param};
use tcc_abi::DType;

impl Builder<'_> {
    /// A tensor that several equations write.
    pub(super) fn piecewise(&mut self) {
        let dtype = self.dtype();
        let Some(v) = self.vars(1, &[]).pop() else { return self.map() };
        let inner = self.vars(1, std::slice::from_ref(&v));
        match self.rng.u8(0..5) {
            0 => self.concatenation(dtype, &v, &inner),
            1 => self.interleaved(dtype, &v, &inner),
            2 => self.first_and_rest(dtype, &v, &inner),
            3 => self.contributions(&v, &inner),
            _ => self.diagonal(dtype, &v, &inner),
        }
    }

    fn pieces(&mut self, dtype: DType, dim: Dim, inner: &[Var], parts: &[(String, Vec<Var>)]) {
        let shape = [dim].into_iter().chain(inner.iter().map(|w| w.dim.clone())).collect();
        let t = Decl { name: self.fresh("T"), dtype, shape };
        let mut lines = Vec::new();
        for (first, vars) in parts {
            let mut subscripts = vec![first.clone()];
            subscripts.extend(inner.iter().map(|w| w.name.to_owned()));
            let all: Vec<Var> = vars.iter().chain(inner).cloned().collect();
            let anchor = self.anchor(dtype, &all);
            let value = match self.rng.u8(0..3) {
                0 => anchor,
                _ => {
                    let other = self.expr(dtype, &all, 2);
                    format!("select({}, {anchor}, {other})", self.predicate(&all))
                }
            };
            lines.push(format!("{} = {value}", element(&t.name, &subscripts)));
        }
        self.push(lines, vec![t]);
    }

    fn concatenation(&mut self, dtype: DType, v: &Var, inner: &[Var]) {
        let second = Var { name: "z", dim: self.dim() };
        let dim = v.dim.plus(&second.dim);
        let parts = [
            (v.name.to_owned(), vec![v.clone()]),
            (format!("{}+{}", v.dim, second.name), vec![second]),
        ];
        self.pieces(dtype, dim, inner, &parts);
    }

    fn interleaved(&mut self, dtype: DType, v: &Var, inner: &[Var]) {
        let parts = [
            (format!("2*{}", v.name), vec![v.clone()]),
            (format!("2*{}+1", v.name), vec![v.clone()]),
        ];
        self.pieces(dtype, v.dim.affine(2, 0), inner, &parts);
    }

    fn first_and_rest(&mut self, dtype: DType, v: &Var, inner: &[Var]) {
        let mut parts = vec![("0".to_owned(), vec![]), (format!("{}+1", v.name), vec![v.clone()])];
        let mut dim = v.dim.affine(1, 1);
        if self.rng.bool() {
            parts.push((dim.to_string(), vec![]));
            dim = dim.affine(1, 1);
        }
        self.pieces(dtype, dim, inner, &parts);
    }

    /// `T[i] += a` and `T[i] += b(i, k)`
    fn contributions(&mut self, v: &Var, inner: &[Var]) {
        let (op, dtype) = self.combining();
        let all = [v.clone()];
        let t = self.decl(dtype, &all);
        let wide: Vec<Var> = all.iter().chain(inner).cloned().collect();
        let (a, b) = (self.expr(dtype, &all, 2), self.anchor(dtype, &wide));
        let mut first = format!("{} {op} {a}", bare(&t.name, &all));
        if self.one_in(3) {
            first = format!("{first} where {}", self.predicate(&all));
        }
        self.push(vec![first, format!("{} {op} {b}", bare(&t.name, &all))], vec![t]);
    }

    /// `T[i,i] = A[i]`
    fn diagonal(&mut self, dtype: DType, v: &Var, inner: &[Var]) {
        let shape = vec![v.dim.clone(), v.dim.clone()];
        if !self.fits(&shape) {
            return self.interleaved(dtype, v, inner);
        }
        let t = Decl { name: self.fresh("T"), dtype, shape };
        let value = self.expr(dtype, std::slice::from_ref(v), 2);
        let (name, n) = (t.name.clone(), v.name);
        self.push(vec![format!("{name}[{n},{n}] = {value}")], vec![t]);
    }

    /// Updates an `inout` parameter.
    pub(super) fn inout(&mut self) {
        let (op, dtype) = self.combining();
        let vars = self.vars(2, &[]);
        let Some(first) = vars.first().cloned() else { return self.map() };
        let decl = self.decl(dtype, &vars);
        let kind = Kind::Any;
        let line = match self.rng.u8(0..4) {
            0 => format!("{} {op} {}", bare(&decl.name, &vars), self.expr(dtype, &vars, 2)),
            1 => {
                let p = self.predicate(&vars);
                let value = self.expr(dtype, &vars, 2);
                format!("{} = {value} where {p}", bare(&decl.name, &vars))
            }
            2 => {
                let dim = first.dim.clone();
                let count = self.size_dim();
                let t = self.input(DType::I32, vec![count], Kind::Position(dim, false));
                let e = Var { name: "z", dim: t.shape[0].clone() };
                let mut subscripts = vec![format!("{}[z]", t.name)];
                subscripts.extend(vars.iter().skip(1).map(|v| v.name.to_owned()));
                let mut all = vec![e];
                all.extend(vars.iter().skip(1).cloned());
                format!("{} {op} {}", element(&decl.name, &subscripts), self.anchor(dtype, &all))
            }
            _ => format!("{} = {}", bare(&decl.name, &vars), self.expr(dtype, &vars, 2)),
        };
        let updates = Some(decl.name.clone());
        self.case.params.push(Param { modifier: "inout", decl, kind });
        self.case.groups.push(Group {
            lines: vec![line],
            defines: vec![],
            updates,
            declared: true,
        });
    }
}
