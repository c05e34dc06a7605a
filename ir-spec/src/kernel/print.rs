//! Printing kernels as text that reads back to the same kernel.

use super::{Block, Kernel, KernelNames, LoopKind, Scope, Stmt, Update, View};
use crate::int::{IntExpr, display};
use crate::scalar::{Expr, ExprPrinter, Reducer, Subscript};
use crate::text::size_list;
use crate::{TensorId, VarId};
use tcc_abi::DType;

/// The kernel as `.tir` text.
pub fn print_kernel(kernel: &Kernel) -> String {
    let mut p = Printer { kernel, out: String::new(), indent: 0 };
    let head = p.header(&format!("kernel {}", kernel.name));
    p.nested(&head, &kernel.body, "}");
    p.out
}

/// The kernel without its name, as it stands inside of an `intrin`.
pub(crate) fn print_meaning(kernel: &Kernel) -> String {
    let mut p = Printer { kernel, out: String::new(), indent: 1 };
    let head = p.header("kernel ");
    p.nested(&head, &kernel.body, "}");
    p.out
}

struct Printer<'a> {
    kernel: &'a Kernel,
    out: String,
    indent: usize,
}

impl Printer<'_> {
    fn name(&self, t: TensorId) -> String {
        self.kernel.buffers.get(t).map_or_else(|| t.to_string(), |b| b.name.clone())
    }

    fn int(&self, e: &IntExpr) -> String {
        display(e, &KernelNames(self.kernel)).to_string()
    }

    fn expr(&self, e: &Expr, want: Option<DType>) -> String {
        let tensors = |t: TensorId| self.name(t);
        let symbols = KernelNames(self.kernel);
        ExprPrinter { symbols: &symbols, tensors: &tensors, domains: Vec::new() }.print(e, want)
    }

    fn subscripts(&self, list: &[Subscript]) -> String {
        let tensors = |t: TensorId| self.name(t);
        let symbols = KernelNames(self.kernel);
        let mut p = ExprPrinter { symbols: &symbols, tensors: &tensors, domains: Vec::new() };
        if list.is_empty() { String::new() } else { format!("[{}]", p.subscripts(list)) }
    }

    fn ty(&self, t: TensorId) -> String {
        let Some(b) = self.kernel.buffers.get(t) else { return String::new() };
        let dims: Vec<String> = b.shape.iter().map(|e| self.int(e).replace(' ', "")).collect();
        let dims = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
        format!("{}{dims}", b.dtype)
    }

    /// `head`, then sizes, parameters, results and facts.
    fn header(&self, head: &str) -> String {
        let k = self.kernel;
        let declare = |t: &TensorId| {
            let strided = k.buffers.get(*t).filter(|b| b.scope == Scope::Strided);
            let strides = strided.map_or(String::new(), |b| {
                format!(" strides({})", vec!["?"; b.shape.len()].join(", "))
            });
            format!("{}: {}{strides}", self.name(*t), self.ty(*t))
        };
        let params: Vec<String> = k.params.iter().map(declare).collect();
        let results: Vec<String> = k.results.iter().map(declare).collect();
        let facts: Vec<String> = k
            .facts
            .iter()
            .map(|f| format!("{} {} {}", self.int(&f.lhs), f.comparison, self.int(&f.rhs)))
            .collect();
        let facts =
            if facts.is_empty() { String::new() } else { format!(" where {}", facts.join(", ")) };
        let signature = format!("({}) -> ({}){facts}", params.join(", "), results.join(", "));
        let sizes = size_list(&k.sizes, &signature);
        format!("{head}{sizes}{signature}")
    }

    fn line(&mut self, text: &str) {
        for _ in 0..self.indent {
            self.out.push_str("    ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn nested(&mut self, head: &str, body: &[Stmt], tail: &str) {
        self.line(&format!("{head} {{"));
        self.indent += 1;
        self.body(body);
        self.indent -= 1;
        self.line(tail);
    }

    fn body(&mut self, body: &[Stmt]) {
        for s in body {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        match s {
            Stmt::For(f) => {
                let lo = match f.lo.as_constant() {
                    Some(0) => String::new(),
                    _ => format!("{}..", self.int(&f.lo)),
                };
                let kind = match f.kind {
                    LoopKind::Serial => String::new(),
                    kind => format!(" {}", kind.name()),
                };
                let var = self.int(&f.var.into());
                let head = format!("for {var} in {lo}{}{kind}", self.int(&f.hi));
                self.nested(&head, &f.body, "}");
            }
            Stmt::Block(b) => self.block(b),
            Stmt::If { condition, then, otherwise } => {
                let head = format!("if {}", self.expr(condition, Some(DType::Bool)));
                let tail = if otherwise.is_empty() { "}" } else { "} else {" };
                self.nested(&head, then, tail);
                if !otherwise.is_empty() {
                    self.indent += 1;
                    self.body(otherwise);
                    self.indent -= 1;
                    self.line("}");
                }
            }
            Stmt::Let { var, value } => {
                let text = format!("let {} = {}", self.int(&(*var).into()), self.int(value));
                self.line(&text);
            }
            Stmt::Alloc(t) => {
                let scope = self.kernel.buffers.get(*t).map_or("", |b| b.scope.name());
                let text = format!("alloc {}: {} @{scope}", self.name(*t), self.ty(*t));
                self.line(&text);
            }
            Stmt::Repeat(r) => {
                let var = self.int(&r.var.into());
                let until = self.expr(&r.until, Some(DType::Bool));
                // Without `must_converge` the limit is what the text asks for.
                let limit = self.int(&r.limit);
                let bound = if r.must_converge { limit } else { format!("0..{limit}") };
                let head = format!("repeat {var} in {bound} until {until}");
                self.nested(&head, &r.body, "}");
            }
            Stmt::Intrin(c) => {
                let list = |views: Vec<String>| views.join(", ");
                let params = list(c.params().map(|v| self.view(v)).collect());
                let results = list(c.results().map(|v| self.view(v)).collect());
                let text = format!("intrin {}({params}) -> {results}", c.intrinsic.name);
                self.line(&text);
            }
        }
    }

    fn view(&self, v: &View) -> String {
        let subscripts: Vec<String> = v.subscripts.iter().map(|e| self.int(e)).collect();
        let axis =
            |(v, n): &(VarId, IntExpr)| format!("{} in {}", self.int(&(*v).into()), self.int(n));
        let axes: Vec<String> = v.axes.iter().map(axis).collect();
        let inside = match axes.as_slice() {
            [] => subscripts.join(", "),
            _ => format!("{} | {}", subscripts.join(", "), axes.join(", ")),
        };
        let name = self.name(v.buffer);
        if inside.is_empty() { name } else { format!("{name}[{inside}]") }
    }

    fn block(&mut self, b: &Block) {
        let iters: Vec<String> = b
            .iters
            .iter()
            .map(|(v, e)| format!("{} = {}", self.int(&(*v).into()), self.int(e)))
            .collect();
        let guard = b
            .guard
            .as_ref()
            .map_or(String::new(), |g| format!(" where {}", self.expr(g, Some(DType::Bool))));
        self.line(&format!("block {}({}){guard} {{", b.name, iters.join(", ")));
        self.indent += 1;
        let dtype = self.kernel.buffers.get(b.store.buffer).map(|b| b.dtype);
        let target =
            format!("{}{}", self.name(b.store.buffer), self.subscripts(&b.store.subscripts));
        if let Some(init) = &b.init {
            let text = format!("init {target} = {}", self.expr(init, dtype));
            self.line(&text);
        }
        for (t, e) in &b.lets {
            let ty = self.kernel.buffers.get(*t).map(|b| b.dtype);
            let text = format!("let {}: {} = {}", self.name(*t), self.ty(*t), self.expr(e, ty));
            self.line(&text);
        }
        let (op, suffix) = match b.store.update {
            Update::Set => ("=", ""),
            Update::Reduce(r) => (r.assignment(), ""),
            Update::FusedSum => (Reducer::Sum.assignment(), " @fma"),
        };
        let drop = if b.store.drop { " @drop" } else { "" };
        let value = self.expr(&b.store.value, dtype);
        self.line(&format!("{target} {op} {value}{suffix}{drop}"));
        self.indent -= 1;
        self.line("}");
    }
}
