//! Printing functions as source text that reads back to the same function.

use super::{Attributes, Call, Definition, Equation, EquationNames, Fix, Function, FunctionNames};
use super::{Module, Node, Role};
use crate::int::{IntExpr, Symbol, display};
use crate::scalar::{Expr, ExprPrinter, Func, Reducer};
use crate::{TensorId, VarId};
use std::fmt::Write;

/// The function as `.tir` text. `module` has the functions that it calls.
pub fn print_function(function: &Function, module: &Module) -> String {
    let printer = Printer { function, module, history: history_axes(function) };
    let mut out = printer.signature();
    out.push_str(" {\n");
    for line in printer.lets() {
        let _ = writeln!(out, "    {line}");
    }
    for node in &function.nodes {
        for line in printer.node(node) {
            let _ = writeln!(out, "    {line}");
        }
    }
    out.push_str("}\n");
    out
}

/// A type as text, for example `f32[B,T + 1]`.
pub fn print_type(function: &Function, tensor: TensorId) -> String {
    let Some(t) = function.tensors.get(tensor) else { return String::new() };
    let names = FunctionNames(function);
    let dims: Vec<String> =
        t.shape.iter().map(|e| display(e, &names).to_string().replace(' ', "")).collect();
    let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
    format!("{}{dims}", t.dtype)
}

/// Axes that some equation writes with a literal slot or a shift (R6).
pub(crate) fn history_axes(function: &Function) -> Vec<(TensorId, usize)> {
    let mut out = Vec::new();
    for d in function.nodes.iter().flat_map(Node::definitions) {
        for e in &d.equations {
            for (axis, s) in e.subscripts.iter().enumerate() {
                if s.as_affine().is_some_and(is_slot_or_shift) {
                    out.push((d.tensor, axis));
                    if let Some(Role::Result(Some(old))) =
                        function.tensors.get(d.tensor).map(|t| t.role)
                    {
                        out.push((old, axis));
                    }
                }
            }
        }
    }
    out
}

fn is_slot_or_shift(i: &IntExpr) -> bool {
    let mut vars: Vec<VarId> = Vec::new();
    i.visit_symbols(&mut |s| {
        if let Symbol::Var(v) = s {
            vars.push(v);
        }
    });
    match vars.as_slice() {
        [] => true,
        [v] => {
            i.as_var().is_none()
                && i.linear_in(*v)
                    .is_some_and(|(c, _)| c.as_constant().is_some_and(|c| c.abs() == 1))
        }
        _ => false,
    }
}

struct Printer<'a> {
    function: &'a Function,
    module: &'a Module,
    history: Vec<(TensorId, usize)>,
}

impl Printer<'_> {
    fn name(&self, t: TensorId) -> String {
        self.function.tensors.get(t).map_or_else(|| t.to_string(), |t| t.name.clone())
    }

    fn signature(&self) -> String {
        let f = self.function;
        let declare = |t: &TensorId| {
            let modifier = match f.tensors.get(*t).map(|t| t.role) {
                Some(Role::Param) => "param ",
                Some(Role::Inout) => "inout ",
                _ => "",
            };
            format!("{modifier}{}: {}", self.name(*t), print_type(f, *t))
        };
        let params: Vec<String> = f.params.iter().map(declare).collect();
        let plain = |t: &&TensorId| {
            !matches!(f.tensors.get(**t).map(|t| t.role), Some(Role::Result(Some(_))))
        };
        let results: Vec<String> = f.results.iter().filter(plain).map(declare).collect();
        let names = FunctionNames(f);
        let facts: Vec<String> = f
            .facts
            .iter()
            .map(|x| {
                format!("{} {} {}", display(&x.lhs, &names), x.comparison, display(&x.rhs, &names))
            })
            .collect();
        let mut out = format!("fn {}({}) -> ({})", f.name, params.join(", "), results.join(", "));
        if !facts.is_empty() {
            let _ = write!(out, " where {}", facts.join(", "));
        }
        out
    }

    fn lets(&self) -> Vec<String> {
        let intermediate = |t: &super::Tensor| t.role == Role::Intermediate;
        self.function
            .tensors
            .iter()
            .filter(|(_, t)| intermediate(t))
            .map(|(id, t)| format!("let {}: {}", t.name, print_type(self.function, id)))
            .collect()
    }

    fn node(&self, node: &Node) -> Vec<String> {
        match node {
            Node::Define(d) => self.definition(d),
            Node::Scan(s) => s.definitions.iter().flat_map(|d| self.definition(d)).collect(),
            Node::Fix(f) => self.fix(f),
            Node::Call(c) => vec![self.call(c)],
        }
    }

    fn fix(&self, f: &Fix) -> Vec<String> {
        let mut args = Vec::new();
        args.extend(f.limit.map(|n| format!("limit={n}")));
        args.extend(f.tol.as_ref().map(|t| format!("tol={t}")));
        let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
        let mut out = vec![format!("fix{args} {{")];
        for d in &f.definitions {
            out.extend(self.definition(d).into_iter().map(|line| format!("    {line}")));
        }
        out.push("}".to_owned());
        out
    }

    /// Sizes are named if no argument or result shows them.
    fn call(&self, c: &Call) -> String {
        let names = FunctionNames(self.function);
        let list = |ts: &[TensorId]| ts.iter().map(|t| self.name(*t)).collect::<Vec<_>>();
        let mut args = list(&c.arguments);
        if let Some(callee) = self.module.functions.get(&c.callee) {
            let shown = |s: crate::SizeId| {
                callee
                    .params
                    .iter()
                    .chain(&callee.results)
                    .filter_map(|t| callee.tensors.get(*t))
                    .flat_map(|t| &t.shape)
                    .any(|e| e.as_symbol() == Some(Symbol::Size(s)))
            };
            for (s, value) in c.sizes.iter().filter(|(s, _)| !shown(*s)) {
                let name = callee.sizes.get(s).map_or(String::new(), |s| s.name.clone());
                args.push(format!("{name}={}", display(value, &names)));
            }
        }
        format!("{} = {}({})", list(&c.results).join(", "), c.callee, args.join(", "))
    }

    fn definition(&self, d: &Definition) -> Vec<String> {
        d.equations.iter().map(|e| self.equation(d.tensor, e)).collect()
    }

    fn equation(&self, target: TensorId, e: &Equation) -> String {
        let reduced = e.reduced_vars();
        let stated = self.stated_domains(target, e);
        let tensors = |t: TensorId| self.name(t);
        let symbols = EquationNames(self.function, e);
        let dtype = self.function.tensors.get(target).map(|t| t.dtype);
        let explicit = !reduced.is_empty()
            && (e.reducer == Some(Reducer::Sum) && !is_product_sum(e, &reduced)
                || stated.iter().any(|(v, _)| reduced.contains(v) && !stands_alone(e, *v)));
        let mut p = ExprPrinter { symbols: &symbols, tensors: &tensors, domains: stated };
        let subs = p.subscripts(&e.subscripts);
        let mut out = self.name(target);
        if !e.subscripts.is_empty() {
            let _ = write!(out, "[{subs}]");
        }
        let op = e.reducer.map_or("=", Reducer::assignment);
        let _ = write!(out, " {op} ");
        match (e.reducer, explicit) {
            (Some(r), true) => {
                let vars: Vec<String> = reduced
                    .iter()
                    .map(|v| {
                        let name = e.vars.get(*v).map_or(String::new(), |i| i.name.clone());
                        match p.domains.iter().position(|(w, _)| w == v) {
                            Some(at) => format!("{name} in {}", p.domains.remove(at).1),
                            None => name,
                        }
                    })
                    .collect();
                let body = p.print(&e.body, dtype);
                let pred = e.guard.as_ref().map(|g| p.print(g, Some(tcc_abi::DType::Bool)));
                let pred = pred.map_or(String::new(), |g| format!(" | {g}"));
                let _ = write!(out, "{r}[{}{pred}]({body})", vars.join(", "));
            }
            _ => {
                out.push_str(&p.print(&e.body, dtype));
                if let Some(g) = &e.guard {
                    let _ = write!(out, " where {}", p.print(g, Some(tcc_abi::DType::Bool)));
                }
            }
        }
        self.attributes(&e.attributes, &mut out);
        out
    }

    fn attributes(&self, a: &Attributes, out: &mut String) {
        let mut add = |text: String| {
            out.push_str(" @");
            out.push_str(&text);
        };
        if let Some(d) = a.acc {
            add(format!("acc({d})"));
        }
        if let Some(t) = &a.tol {
            add(format!("tol({t})"));
        }
        if let Some(b) = a.budget {
            add(format!("budget({b}B)"));
        }
        if !a.slice.is_empty() {
            add(format!("slice({})", a.slice.join(",")));
        }
        if let Some(p) = &a.path {
            add(format!("path(\"{p}\")"));
        }
        let flags = [
            (a.bcast, "bcast"),
            (a.exact, "exact"),
            (a.drop, "drop"),
            (a.reassociate, "reassociate"),
        ];
        flags.into_iter().filter(|(set, _)| *set).for_each(|(_, name)| add(name.to_owned()));
    }

    /// Variables whose domain a reader would not infer, with the domain.
    fn stated_domains(&self, target: TensorId, e: &Equation) -> Vec<(VarId, String)> {
        let names = FunctionNames(self.function);
        let extents = |v: VarId| -> Vec<&IntExpr> {
            let mut out: Vec<&IntExpr> = Vec::new();
            let mut note = |t: TensorId, subs: &'_ [crate::scalar::Subscript]| {
                let Some(tensor) = self.function.tensors.get(t) else { return };
                for (axis, (s, extent)) in subs.iter().zip(&tensor.shape).enumerate() {
                    let bare = s.as_affine().and_then(IntExpr::as_var) == Some(v);
                    if bare && !self.history.contains(&(t, axis)) {
                        out.push(extent);
                    }
                }
            };
            note(target, &e.subscripts);
            for r in e.reads().into_iter().filter(|r| r.default.is_none()) {
                note(r.tensor, &r.subscripts);
            }
            out
        };
        e.vars
            .iter()
            .filter(|(v, index)| {
                let found = extents(*v);
                found.is_empty() || found.iter().any(|x| **x != index.extent)
            })
            .map(|(v, index)| (v, display(&index.extent, &names).to_string()))
            .collect()
    }
}

/// True if the variable is a whole subscript somewhere in the equation.
fn stands_alone(e: &Equation, v: VarId) -> bool {
    let alone = |s: &crate::scalar::Subscript| s.as_affine().and_then(IntExpr::as_var) == Some(v);
    e.subscripts.iter().any(alone) || e.reads().into_iter().any(|r| r.subscripts.iter().any(alone))
}

/// True if `+= body` reads back as this one sum (R1): the body is a product of factors that each
/// bear a summed index, every summed index occurs, and the written elements are distinct.
fn is_product_sum(e: &Equation, reduced: &[VarId]) -> bool {
    let mentions = |x: &Expr, v: VarId| {
        let mut found = false;
        x.visit_symbols(&mut |s| found |= s == Symbol::Var(v));
        found
    };
    let factors = e.body.operands(Func::Mul);
    let distinct_targets = {
        let mut seen = Vec::new();
        e.subscripts.iter().all(|s| {
            let Some(i) = s.as_affine() else { return false };
            let mut vars = Vec::new();
            i.visit_symbols(&mut |s| vars.push(s));
            vars.retain(|s| matches!(s, Symbol::Var(_)));
            let unit = match vars.as_slice() {
                [] => true,
                [Symbol::Var(v)] => is_slot_or_shift(i) || i.as_var() == Some(*v),
                _ => false,
            };
            let fresh = vars.iter().all(|v| !seen.contains(v));
            seen.extend(vars);
            unit && fresh
        })
    };
    distinct_targets
        && is_left_product(&e.body)
        && factors.iter().all(|x| is_factor(x) && reduced.iter().any(|v| mentions(x, *v)))
        && reduced.iter().all(|v| factors.iter().any(|x| mentions(x, *v)))
}

/// True if no product stands on the right of a product: parentheses do not keep it there (R1).
fn is_left_product(e: &Expr) -> bool {
    match e {
        Expr::Apply(Func::Mul, args) => match args.as_slice() {
            [a, b] => !matches!(b, Expr::Apply(Func::Mul, _)) && is_left_product(a),
            _ => true,
        },
        _ => true,
    }
}

/// What reads back as a factor.
fn is_factor(e: &Expr) -> bool {
    match e {
        Expr::Read(_) => true,
        Expr::Cast(_, a) => is_factor(a),
        Expr::Apply(Func::Neg | Func::Conj, args) => args.iter().all(is_factor),
        _ => false,
    }
}
