//! Functions that programs call: scalar ones in expressions, others on whole tensors.

use super::builder::Builder;
use super::{Case, Decl, Dim};
use fastrand::Rng;
use std::collections::BTreeMap;
use tcc_abi::DType;

impl Builder<'_> {
    /// Declares scalar functions that expressions may call.
    pub(super) fn scalar_functions(&mut self) {
        if !self.one_in(4) {
            return;
        }
        let dtype = self.dtype();
        let name = self.fresh("g");
        let (generic, ty) = if dtype.is_float() && self.rng.bool() {
            ("<E: float>".to_owned(), "E".to_owned())
        } else {
            (String::new(), dtype.to_string())
        };
        let body = match dtype {
            DType::Bool => "x && !y",
            d if d.is_float() => self.pick(&["x * y - 1", "max(x, 0) + y", "abs(x) - abs(y)"]),
            d if d.is_complex() => "x * conj(y)",
            _ => self.pick(&["x * y - 1", "max(x, y) + 3", "bitxor(x, y)"]),
        };
        self.case
            .helpers
            .push(format!("fn {name}{generic}(x, y: {ty}) -> (z: {ty}) {{\n    z = {body}\n}}"));
        self.scalar_helpers.push((name, dtype, 2));
    }

    /// Calls a small generated function.
    pub(super) fn call(&mut self) {
        let mut inner = Builder::new(Rng::with_seed(self.rng.u64(..)), self.options);
        inner.names = vec!["U", "V"];
        inner.case.sizes = vec![[("U".to_owned(), 5), ("V".to_owned(), 5)].into()];
        inner.risk = self.risk;
        for _ in 0..2 {
            match inner.rng.u8(0..3) {
                0 => inner.map(),
                1 => inner.contraction(),
                _ => inner.reduction(),
            }
        }
        let helper = inner.finish();
        let name = self.fresh("h");
        let with: BTreeMap<String, Dim> =
            ["U", "V"].iter().map(|n| ((*n).to_owned(), self.size_dim())).collect();
        let shape =
            |d: &Decl| -> Vec<Dim> { d.shape.iter().map(|s| s.substitute(&with)).collect() };
        let unknown = |n: &str| !helper.params.iter().any(|p| p.decl.shape.contains(&Dim::size(n)));
        if ["U", "V"].into_iter().any(|n| Case::mentions(&helper.text(), n) && unknown(n)) {
            return self.map();
        }
        let mut arguments = Vec::new();
        for p in &helper.params {
            let shape = shape(&p.decl);
            let known = self.visible(p.decl.dtype).into_iter().find(|d| d.shape == shape);
            let plain = p.kind == super::Kind::Any;
            arguments.push(match known {
                Some(d) if plain && self.rng.bool() => d.name,
                _ => self.input(p.decl.dtype, shape, substituted(&p.kind, &with)).name,
            });
        }
        let results: Vec<Decl> = helper
            .results
            .iter()
            .filter_map(|r| helper.defined(r))
            .map(|d| Decl { name: self.fresh("T"), dtype: d.dtype, shape: shape(d) })
            .collect();
        let targets: Vec<&str> = results.iter().map(|d| d.name.as_str()).collect();
        let line = format!("{} = {name}({})", targets.join(", "), arguments.join(", "));
        self.case.helpers.push(helper.text().replacen("fn main(", &format!("fn {name}("), 1));
        self.push(vec![line], results);
        if let Some(g) = self.case.groups.last_mut() {
            g.declared = false;
        }
    }
}

fn substituted(kind: &super::Kind, with: &BTreeMap<String, Dim>) -> super::Kind {
    match kind {
        super::Kind::Position(d, stray) => super::Kind::Position(d.substitute(with), *stray),
        other => other.clone(),
    }
}
