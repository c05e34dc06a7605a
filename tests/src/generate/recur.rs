//! Recurrences and fixpoints.

use super::builder::{Builder, Risk, Var, bare, element};
use super::{Decl, Kind};
use tcc_abi::DType;

/// A recurrence under construction: `states` slots along the first axis, the rest bare.
struct Chain {
    steps: Var,
    inner: Vec<Var>,
    dtype: DType,
    backward: bool,
}

impl Chain {
    /// The slot `k` steps after the first of the current step, in the direction of the scan.
    fn slot(&self, k: i64, order: i64) -> String {
        let k = if self.backward { order - k } else { k };
        if k == 0 { self.steps.name.to_owned() } else { format!("{}+{k}", self.steps.name) }
    }

    /// The k-th initial slot.
    fn first(&self, k: i64) -> String {
        if self.backward { self.steps.dim.affine(1, k).to_string() } else { k.to_string() }
    }

    fn at(&self, name: &str, slot: &str) -> String {
        let mut subscripts = vec![slot.to_owned()];
        subscripts.extend(self.inner.iter().map(|v| v.name.to_owned()));
        element(name, &subscripts)
    }

    fn decl(&self, b: &mut Builder<'_>, order: i64) -> Decl {
        let mut shape = vec![self.steps.dim.affine(1, order)];
        shape.extend(self.inner.iter().map(|v| v.dim.clone()));
        Decl { name: b.fresh("T"), dtype: self.dtype, shape }
    }
}

impl Builder<'_> {
    /// A scan.
    pub(super) fn scan(&mut self) {
        let steps = Var { name: "t", dim: self.size_dim() };
        let inner: Vec<Var> = self.vars(1, std::slice::from_ref(&steps));
        let dtype = self.dtype();
        let backward = self.one_in(3);
        let chain = Chain { steps, inner, dtype, backward };
        match self.rng.u8(0..5) {
            0 => self.coupled(&chain),
            1 => self.second_order(&chain),
            2 => self.mixing(&chain),
            _ => self.first_order(&chain),
        }
    }

    /// Combines the old state with a step's input without growing fast.
    fn step(&mut self, old: &str, chain: &Chain) -> String {
        let mut vars = vec![chain.steps.clone()];
        vars.extend(chain.inner.clone());
        let x = self.anchor(chain.dtype, &vars);
        match chain.dtype {
            DType::Bool => format!("({old} && {x}) || !{x}"),
            d if d.is_int() => {
                let op = self.pick(&["+", "-", "*"]);
                format!("{old} {op} {x}")
            }
            d if d.is_complex() => format!("0.5 * {old} + {x}"),
            _ => match self.rng.u8(0..4) {
                0 => format!("max({old}, {x})"),
                1 => format!("0.5 * {old} + {x}"),
                2 => format!("min({old}, {x}) + 0.25 * {}", self.expr(chain.dtype, &vars, 2)),
                _ => format!("{old} * 0.75 - {x}"),
            },
        }
    }

    fn initial(&mut self, chain: &Chain) -> String {
        self.expr(chain.dtype, &chain.inner, 1)
    }

    /// What reads a state: its last slot, a step of it, or all of it.
    fn read_state(&mut self, chain: &Chain, t: &Decl, order: i64) {
        let mut vars = chain.inner.clone();
        let slot = match self.rng.u8(0..3) {
            0 => return,
            1 if chain.backward => "0".to_owned(),
            1 => chain.steps.dim.affine(1, order - 1).to_string(),
            _ => {
                vars.insert(0, chain.steps.clone());
                chain.slot(0, 0)
            }
        };
        let y = self.decl(chain.dtype, &vars);
        let line = format!("{} = {}", bare(&y.name, &vars), chain.at(&t.name, &slot));
        self.push(vec![line], vec![y]);
    }

    fn first_order(&mut self, chain: &Chain) {
        let t = chain.decl(self, 1);
        let init = self.initial(chain);
        let step = self.step(&chain.at(&t.name, &chain.slot(0, 1)), chain);
        let lines = vec![
            format!("{} = {init}", chain.at(&t.name, &chain.first(0))),
            format!("{} = {step}", chain.at(&t.name, &chain.slot(1, 1))),
        ];
        self.push(lines, vec![t.clone()]);
        self.read_state(chain, &t, 1);
    }

    fn second_order(&mut self, chain: &Chain) {
        let t = chain.decl(self, 2);
        let (a, b) = (self.initial(chain), self.initial(chain));
        let step = self.step(&chain.at(&t.name, &chain.slot(1, 2)), chain);
        let older = chain.at(&t.name, &chain.slot(0, 2));
        let step = match chain.dtype {
            DType::Bool => format!("{step} && !{older}"),
            d if d.is_int() => format!("{step} + {older}"),
            _ => format!("{step} - 0.25 * {older}"),
        };
        let lines = vec![
            format!("{} = {a}", chain.at(&t.name, &chain.first(0))),
            format!("{} = {b}", chain.at(&t.name, &chain.first(1))),
            format!("{} = {step}", chain.at(&t.name, &chain.slot(2, 2))),
        ];
        self.push(lines, vec![t.clone()]);
        self.read_state(chain, &t, 2);
    }

    /// Two states and a value of the step, each feeding the other.
    fn coupled(&mut self, chain: &Chain) {
        let (a, b) = (chain.decl(self, 1), chain.decl(self, 1));
        let g = {
            let mut vars = vec![chain.steps.clone()];
            vars.extend(chain.inner.clone());
            self.decl(chain.dtype, &vars)
        };
        let (old, new) = (chain.slot(0, 1), chain.slot(1, 1));
        let gate = self.step(&chain.at(&a.name, &old), chain);
        let (a0, b0) = (self.initial(chain), self.initial(chain));
        let (ga, gb) = (chain.at(&g.name, chain.steps.name), chain.at(&b.name, &old));
        let (mix, last) = match chain.dtype {
            DType::Bool => (format!("{ga} || {gb}"), "!".to_owned()),
            d if d.is_int() => (format!("{ga} - {gb}"), "-".to_owned()),
            _ => (format!("0.5 * {ga} - 0.25 * {gb}"), "0.5 * ".to_owned()),
        };
        let lines = vec![
            format!("{} = {a0}", chain.at(&a.name, &chain.first(0))),
            format!("{} = {b0}", chain.at(&b.name, &chain.first(0))),
            format!("{ga} = {gate}"),
            format!("{} = {mix}", chain.at(&a.name, &new)),
            format!("{} = {last}{}", chain.at(&b.name, &new), chain.at(&a.name, &new)),
        ];
        self.push(lines, vec![a.clone(), b.clone(), g]);
        self.read_state(chain, &a, 1);
    }

    /// A state that a step combines over an axis: `V[t+1,s] max= V[t,r] + Tr[r,s]`.
    fn mixing(&mut self, chain: &Chain) {
        let Some(s) = chain.inner.first().cloned() else { return self.first_order(chain) };
        let r = Var { name: "r", dim: s.dim.clone() };
        if !self.fits(&[chain.steps.dim.clone(), s.dim.clone(), s.dim.clone()]) {
            return self.first_order(chain);
        }
        let t = chain.decl(self, 1);
        let init = self.initial(chain);
        let weights = self.anchor(chain.dtype, &[r.clone(), s.clone()]);
        let old = element(&t.name, &[chain.slot(0, 1), r.name.to_owned()]);
        let (op, value) = match chain.dtype {
            DType::Bool => ("or=", format!("{old} && {weights}")),
            d if d.is_complex() => ("+=", format!("0.25 * {old} * {weights}")),
            d if d.is_float() && self.options.has_lse() && self.one_in(3) => {
                ("lse=", format!("{old} + {weights}"))
            }
            _ => (self.pick(&["max=", "min=", "+="]), format!("{old} + {weights}")),
        };
        let lines = vec![
            format!("{} = {init}", chain.at(&t.name, &chain.first(0))),
            format!("{} {op} {value}", chain.at(&t.name, &chain.slot(1, 1))),
        ];
        self.push(lines, vec![t.clone()]);
        self.read_state(chain, &t, 1);
    }

    /// A fixpoint.
    pub(super) fn fixpoint(&mut self) {
        let n = self.size_dim();
        if !self.fits(&[n.clone(), n.clone(), n.clone()]) {
            return self.map();
        }
        let var = |name| Var { name, dim: n.clone() };
        let (i, j, k) = (var("i"), var("j"), var("k"));
        match self.rng.u8(0..6) {
            0 => self.closure(&i, &j, &k),
            1 => self.paths(&i, &j, &k),
            2 => self.bottleneck(&i, &j, &k),
            3 => self.reachable(&i, &j),
            4 => self.labels(&i),
            _ => self.iterated(&i, &j),
        }
    }

    fn fix(&mut self, head: &str, lines: &[String], t: Decl) {
        let mut all = vec![format!("{head} {{")];
        all.extend(lines.iter().map(|l| format!("    {l}")));
        all.push("}".to_owned());
        self.push(all, vec![t]);
    }

    fn closure(&mut self, i: &Var, j: &Var, k: &Var) {
        let edges = self.anchor(DType::Bool, &[i.clone(), j.clone()]);
        let more = self.anchor(DType::Bool, &[k.clone(), j.clone()]);
        let t = self.decl(DType::Bool, &[i.clone(), j.clone()]);
        let n = &t.name;
        let lines = [format!("{n}[i,j] or= {edges}"), format!("{n}[i,j] or= {n}[i,k] && {more}")];
        self.fix("fix", &lines, t.clone());
    }

    fn paths(&mut self, i: &Var, j: &Var, k: &Var) {
        let risky = self.risk == Risk::Diverge;
        let dtype = self.dtype_where(|d| d.is_float() || d.is_signed_int());
        let kind = if risky { Kind::Any } else { Kind::NonNegative };
        let w = self.input(dtype, vec![i.dim.clone(), i.dim.clone()], kind);
        let t = self.decl(dtype, &[i.clone(), j.clone()]);
        let n = &t.name;
        let step = if dtype.is_int() || self.rng.bool() {
            format!("{n}[i,j] =<minplus> {n}[i,{k}] * {}[{k},j]", w.name, k = k.name)
        } else {
            format!("{n}[i,j] min= {n}[i,{k}] + {}[{k},j]", w.name, k = k.name)
        };
        let first = if step.contains("=<") { "=<minplus>" } else { "min=" };
        let lines = [format!("{n}[i,j] {first} {}[i,j]", w.name), step];
        self.fix("fix", &lines, t.clone());
    }

    fn bottleneck(&mut self, i: &Var, j: &Var, k: &Var) {
        let dtype = self.dtype_where(|d| d.is_float() || d.is_int());
        let kind = if self.risk == Risk::Diverge { Kind::Any } else { Kind::NonNegative };
        let w = self.input(dtype, vec![i.dim.clone(), j.dim.clone()], kind);
        let t = self.decl(dtype, &[i.clone(), j.clone()]);
        let (n, k) = (&t.name, k.name);
        let lines = [
            format!("{n}[i,j] max= {}[i,j]", w.name),
            format!("{n}[i,j] max= min({n}[i,{k}], {}[{k},j])", w.name),
        ];
        self.fix("fix", &lines, t.clone());
    }

    fn reachable(&mut self, i: &Var, j: &Var) {
        let (start, edge) = (
            self.anchor(DType::Bool, std::slice::from_ref(j)),
            self.anchor(DType::Bool, &[i.clone(), j.clone()]),
        );
        let t = self.decl(DType::Bool, std::slice::from_ref(j));
        let n = &t.name;
        let lines = [format!("{n}[j] or= {start}"), format!("{n}[j] or= {n}[i] && {edge}")];
        self.fix("fix", &lines, t.clone());
    }

    /// Labels that follow pointers.
    fn labels(&mut self, i: &Var) {
        let dtype = self.dtype_where(|d| d.is_int() || d == DType::F32);
        let start = self.input(dtype, vec![i.dim.clone()], Kind::NonNegative);
        let next =
            self.input(DType::I32, vec![i.dim.clone()], Kind::Position(i.dim.clone(), false));
        let t = self.decl(dtype, std::slice::from_ref(i));
        let n = &t.name;
        let lines = [
            format!("{n}[i] max= {}[i]", start.name),
            format!("{n}[i] max= {n}[{}[i]]", next.name),
        ];
        self.fix("fix", &lines, t.clone());
    }

    /// A bounded number of rounds of a map.
    fn iterated(&mut self, i: &Var, j: &Var) {
        let dtype = self.dtype_where(DType::is_float);
        let b = self.anchor(dtype, std::slice::from_ref(i));
        let a = self.anchor(dtype, &[i.clone(), j.clone()]);
        let t = self.decl(dtype, std::slice::from_ref(i));
        let limit = self.rng.u8(1..6);
        let line = format!("{n}[i] = {b} + {a} * {n}[j]", n = t.name);
        self.fix(&format!("fix(limit={limit})"), &[line], t);
    }
}
