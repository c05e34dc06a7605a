//! What generated programs use.

use std::collections::{BTreeMap, BTreeSet};
use tcc_abi::DType;
use tcc_ir::VarId;
use tcc_ir::graph::{Module, Node, Role};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::scalar::{Expr, Func, Reducer, Subscript};

/// How many programs use what.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Programs by scalar function.
    pub funcs: BTreeMap<&'static str, usize>,
    /// Programs by element type.
    pub dtypes: BTreeMap<String, usize>,
    /// Programs by reducer.
    pub reducers: BTreeMap<&'static str, usize>,
    /// Programs by construct.
    pub constructs: BTreeMap<&'static str, usize>,
    /// Number of equations of each program.
    pub equations: Vec<usize>,
}

#[derive(Default)]
struct Used {
    funcs: BTreeSet<&'static str>,
    dtypes: BTreeSet<DType>,
    reducers: BTreeSet<&'static str>,
    constructs: BTreeSet<&'static str>,
}

/// Constructs that each program counts for, by what its text shows.
const SUGAR: [(&str, &str); 14] = [
    ("einsum", "einsum("),
    ("stated fact", ") where "),
    ("mean", "mean"),
    ("argmax", "argmax"),
    ("argmin", "argmin"),
    ("count", "count["),
    ("softmax", " softmax["),
    ("logsoftmax", "logsoftmax["),
    ("cumsum", "cumsum["),
    ("semiring tag", "=<"),
    ("param", "param "),
    ("accumulator type", "@acc"),
    ("half a size", "/2"),
    ("generic function", "<E: float>"),
];

impl Coverage {
    /// Every construct that is counted.
    pub const CONSTRUCTS: [&str; 36] = [
        "@drop",
        "accumulator type",
        "affine read",
        "argmax",
        "argmin",
        "backward scan",
        "bitcast",
        "call",
        "cast",
        "contraction of 2",
        "contraction of 3",
        "contraction of 4",
        "count",
        "cumsum",
        "default",
        "diagonal",
        "einsum",
        "fix",
        "forward scan",
        "gather",
        "generic function",
        "guard",
        "half a size",
        "inout",
        "logsoftmax",
        "mean",
        "param",
        "reversed read",
        "scan",
        "scan of several tensors",
        "scatter",
        "semiring tag",
        "several equations",
        "several results",
        "softmax",
        "stated fact",
    ];

    /// Counts a program.
    pub fn add(&mut self, text: &str, module: &Module, equations: usize) {
        let mut used = Used::default();
        for (name, pattern) in SUGAR {
            if text.contains(pattern) {
                used.constructs.insert(name);
            }
        }
        for f in module.functions.values() {
            for t in f.tensors.values() {
                used.dtypes.insert(t.dtype);
                if matches!(t.role, Role::Inout) {
                    used.constructs.insert("inout");
                }
            }
            f.nodes.iter().for_each(|n| used.node(n));
            if f.results.len() > 1 {
                used.constructs.insert("several results");
            }
        }
        let count = |map: &mut BTreeMap<&'static str, usize>, set: BTreeSet<&'static str>| {
            set.into_iter().for_each(|k| *map.entry(k).or_insert(0) += 1);
        };
        count(&mut self.funcs, used.funcs);
        count(&mut self.reducers, used.reducers);
        count(&mut self.constructs, used.constructs);
        for d in used.dtypes {
            *self.dtypes.entry(d.to_string()).or_insert(0) += 1;
        }
        self.equations.push(equations);
    }

    /// Counts a construct that the text does not show.
    pub fn note(&mut self, construct: &'static str) {
        *self.constructs.entry(construct).or_insert(0) += 1;
    }

    /// The median number of equations.
    pub fn median_equations(&self) -> usize {
        let mut sorted = self.equations.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }

    /// The share of programs with a construct.
    pub fn share(&self, construct: &str) -> f64 {
        let n = self.constructs.get(construct).copied().unwrap_or(0);
        n as f64 / self.equations.len().max(1) as f64
    }

    /// The table.
    pub fn table(&self) -> String {
        let row = |name: &str, entries: Vec<String>| format!("{name}: {}\n", entries.join(", "));
        let list = |m: &BTreeMap<&'static str, usize>| -> Vec<String> {
            m.iter().map(|(k, n)| format!("{k} {n}")).collect()
        };
        let dtypes = self.dtypes.iter().map(|(k, n)| format!("{k} {n}")).collect();
        row("functions", list(&self.funcs))
            + &row("types", dtypes)
            + &row("reducers", list(&self.reducers))
            + &row("constructs", list(&self.constructs))
    }
}

impl Used {
    fn node(&mut self, n: &Node) {
        match n {
            Node::Scan(s) => {
                self.constructs.insert("scan");
                self.constructs.insert(if s.backward { "backward scan" } else { "forward scan" });
                if s.definitions.len() > 1 {
                    self.constructs.insert("scan of several tensors");
                }
            }
            Node::Fix(_) => {
                self.constructs.insert("fix");
            }
            Node::Call(_) => {
                self.constructs.insert("call");
            }
            Node::Define(_) => {}
        }
        for d in n.definitions() {
            if d.equations.len() > 1 {
                self.constructs.insert("several equations");
            }
            for e in &d.equations {
                self.reducers.extend(e.reducer.map(|r| r.name()));
                if e.guard.is_some() {
                    self.constructs.insert("guard");
                }
                let factors = e.body.operands(Func::Mul).len();
                let sums = e.reducer == Some(Reducer::Sum) && !e.reduced_vars().is_empty();
                match factors {
                    2 if sums => self.constructs.insert("contraction of 2"),
                    3 if sums => self.constructs.insert("contraction of 3"),
                    4 if sums => self.constructs.insert("contraction of 4"),
                    _ => false,
                };
                if e.attributes.drop {
                    self.constructs.insert("@drop");
                }
                if e.subscripts.iter().any(|s| matches!(s, Subscript::Data(_))) {
                    self.constructs.insert("scatter");
                }
                e.guard.iter().chain([&e.body]).for_each(|x| self.expr(x));
            }
        }
    }

    fn expr(&mut self, e: &Expr) {
        e.visit(&mut |x| match x {
            Expr::Apply(f, _) => {
                self.funcs.insert(f.name());
            }
            Expr::Cast(..) => {
                self.constructs.insert("cast");
            }
            Expr::Bitcast(..) => {
                self.constructs.insert("bitcast");
            }
            Expr::Read(r) => {
                let data = r.subscripts.iter().any(|s| matches!(s, Subscript::Data(_)));
                if data {
                    self.constructs.insert("gather");
                }
                if r.default.is_some() {
                    self.constructs.insert("default");
                }
                let vars: Vec<_> =
                    r.subscripts.iter().filter_map(|s| s.as_affine()?.as_var()).collect();
                if vars.iter().enumerate().any(|(k, v)| vars[k + 1..].contains(v)) {
                    self.constructs.insert("diagonal");
                }
                let falls = |s: &Subscript| {
                    s.as_affine().is_some_and(|i| {
                        let vars = vars_of(i);
                        let slope = |v| i.linear_in(v).and_then(|(c, _)| c.as_constant());
                        vars.into_iter().any(|v| slope(v).is_some_and(|c| c < 0))
                    })
                };
                if r.subscripts.iter().any(falls) {
                    self.constructs.insert("reversed read");
                }
                let affine = |s: &Subscript| s.as_affine().is_some_and(|i| i.as_var().is_none());
                if r.subscripts.iter().any(affine) {
                    self.constructs.insert("affine read");
                }
            }
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {}
        });
    }
}

fn vars_of(i: &IntExpr) -> Vec<VarId> {
    let mut out = Vec::new();
    i.visit_symbols(&mut |s| {
        if let Symbol::Var(v) = s {
            out.push(v);
        }
    });
    out
}
