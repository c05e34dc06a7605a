//! Building one kernel: its buffers, and equations as block bodies with their producers inlined.

use super::group::{Local, local_read};
use super::nest::{self, Initial};
use super::reduce;
use super::{Fixed, LowerCx, fuse};
use indexmap::IndexMap;
use tcc_abi::DType;
use tcc_ir::graph::{Definition, Equation, Role};
use tcc_ir::int::{Facts, IntExpr, Symbol};
use tcc_ir::kernel::{Block, Buffer, Kernel, Scope, Stmt, Store, Update, visit_stmts};
use tcc_ir::program::KernelCall;
use tcc_ir::scalar::{Expr, Read, Reducer, Subscript};
use tcc_ir::{TensorId, VarId};

/// A kernel being built.
pub(crate) struct KernelBuilder<'c, 'a> {
    pub(crate) cx: &'c mut LowerCx<'a>,
    pub(crate) kernel: Kernel,
    pub(crate) facts: Facts,
    /// Kernel buffer of each program buffer, and whether the kernel writes it.
    used: IndexMap<TensorId, (TensorId, bool)>,
    pub(crate) body: Vec<Stmt>,
    /// Tensors of a group that live in local memory.
    pub(crate) locals: IndexMap<TensorId, Local>,
    /// Ends of variables before their extents: what is behind them is not looked at, or adds zero.
    pub(crate) ends: IndexMap<VarId, IntExpr>,
    /// How many values a variable of unknown extent has at most, where that is few.
    pub(crate) most: IndexMap<VarId, i64>,
}

/// What is in a tensor before its first equation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The equations write every element: nothing needs to be there.
    Fresh,
    /// The fill value or the old value of an `inout`.
    Filled,
}

/// An equation as the inside of a block: everything over the block's own variables.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Variables with their extents, in domain order.
    pub(crate) vars: Vec<(VarId, IntExpr)>,
    /// Variables whose value the surrounding loops fix.
    pub(crate) fixed: Fixed,
    pub(crate) guard: Option<Expr>,
    pub(crate) lets: Vec<(TensorId, Expr)>,
    pub(crate) value: Expr,
    pub(crate) buffer: TensorId,
    pub(crate) subscripts: Vec<Subscript>,
    pub(crate) reducer: Option<Reducer>,
    pub(crate) drop: bool,
    pub(crate) name: String,
}

impl Body {
    /// What its lets and its value compute.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.lets.iter().map(|(_, e)| e).chain([&self.value])
    }

    /// Rewrites all of its expressions, see [`Expr::rewrite`].
    pub(crate) fn rewrite(
        &mut self,
        int: &dyn Fn(&IntExpr) -> IntExpr,
        node: &mut dyn FnMut(Expr) -> Expr,
    ) {
        self.value = self.value.rewrite(int, node);
        self.guard = self.guard.as_ref().map(|g| g.rewrite(int, node));
        for (_, e) in &mut self.lets {
            *e = e.rewrite(int, node);
        }
        for s in &mut self.subscripts {
            *s = s.rewrite(int, node);
        }
    }

    /// Lets a variable run over `count` values from `lo`, `most` at most: over those from 0, and a
    /// fixed variable, which is given, holds the first one.
    pub(crate) fn take(
        &mut self,
        b: &mut KernelBuilder<'_, '_>,
        v: VarId,
        (lo, count): (&IntExpr, &IntExpr),
        most: i64,
    ) -> Option<VarId> {
        let place = self.vars.iter_mut().find(|(x, _)| *x == v)?;
        let (within, origin) = (b.kernel.fresh_var("row"), b.kernel.fresh_var("o"));
        *place = (within, count.clone());
        if count.as_constant().is_none() {
            b.most.insert(within, most);
        }
        self.fixed.insert(origin, lo.clone());
        let replace = |s: Symbol| match s {
            Symbol::Var(x) if x == v => Some(IntExpr::from(origin) + IntExpr::from(within)),
            _ => None,
        };
        self.rewrite(&|i| i.substitute(&replace), &mut |e| e);
        Some(origin)
    }
}

impl<'c, 'a> KernelBuilder<'c, 'a> {
    pub(crate) fn new(cx: &'c mut LowerCx<'a>, name: &str) -> KernelBuilder<'c, 'a> {
        let mut name = format!("{}_{name}", cx.f.name);
        while cx.kernels.contains_key(&name) {
            name.push('_');
        }
        let mut facts = cx.f.known_facts();
        let mut kernel_facts = cx.f.facts.clone();
        for g in &cx.program.guards {
            if !kernel_facts.contains(&g.fact) {
                kernel_facts.push(g.fact.clone());
            }
            for e in g.fact.comparison.as_nonneg(&g.fact.lhs, &g.fact.rhs) {
                facts.add_nonneg(e);
            }
        }
        let kernel =
            Kernel { name, sizes: cx.f.sizes.clone(), facts: kernel_facts, ..Kernel::default() };
        KernelBuilder {
            cx,
            kernel,
            facts,
            used: IndexMap::new(),
            body: Vec::new(),
            locals: IndexMap::new(),
            ends: IndexMap::new(),
            most: IndexMap::new(),
        }
    }

    /// The kernel buffer of a program buffer.
    pub(crate) fn buffer(&mut self, home: TensorId, write: bool) -> TensorId {
        if let Some((id, written)) = self.used.get_mut(&home) {
            *written |= write;
            return *id;
        }
        let b = self.cx.program.buffers.get(home).cloned();
        let b = b.unwrap_or_else(|| unreachable!("the program has buffer {home}"));
        let outside = b.role != Role::Intermediate;
        let strided = outside && self.cx.options.strided && !b.shape.is_empty();
        let scope = if strided { Scope::Strided } else { Scope::Global };
        let buffer = Buffer { name: b.name, dtype: b.dtype, shape: b.shape, scope };
        let id = self.kernel.buffers.push(buffer);
        self.used.insert(home, (id, write));
        id
    }

    /// The kernel buffer that a tensor of the function is read from.
    pub(crate) fn read_from(&mut self, t: TensorId) -> TensorId {
        let home = self.cx.homes[t];
        let home = home.unwrap_or_else(|| unreachable!("tensor {t} is in memory"));
        self.buffer(home, false)
    }

    /// The kernel buffer that a tensor of the function is written to.
    pub(crate) fn written(&mut self, t: TensorId) -> TensorId {
        let home = self.cx.homes[t];
        let home = home.unwrap_or_else(|| unreachable!("tensor {t} is in memory"));
        self.buffer(home, true)
    }

    /// The program buffer behind a kernel buffer.
    pub(crate) fn home_of(&self, buffer: TensorId) -> Option<TensorId> {
        self.used.iter().find(|(_, (id, _))| *id == buffer).map(|(home, _)| *home)
    }

    /// A register buffer.
    pub(crate) fn register(&mut self, stem: &str, dtype: DType, shape: &[i64]) -> TensorId {
        let name = self.unused_name(stem);
        let shape = shape.iter().map(|n| IntExpr::constant(*n)).collect();
        self.kernel.buffers.push(Buffer { name, dtype, shape, scope: Scope::Register })
    }

    /// A name that nothing in the kernel or program has.
    pub(crate) fn unused_name(&self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let mut k = 0;
        while self.kernel.buffers.values().any(|b| b.name == name)
            || self.kernel.sizes.values().any(|s| s.name == name)
            || self.kernel.vars.values().any(|v| *v == name)
            || self.cx.program.buffers.values().any(|b| b.name == name)
        {
            name = format!("{stem}{k}");
            k += 1;
        }
        name
    }

    /// Finishes the kernel and adds it with its call to the program.
    pub(crate) fn finish(self) {
        let KernelBuilder { cx, mut kernel, used, body, .. } = self;
        let mut call =
            KernelCall { kernel: kernel.name.clone(), arguments: Vec::new(), results: Vec::new() };
        let mut read: Vec<TensorId> = Vec::new();
        visit_stmts(&body, &mut |s| note_buffers(s, &mut read));
        for (home, (id, written)) in used {
            if !written && !read.contains(&id) {
                continue;
            }
            if written {
                kernel.results.push(id);
                call.results.push(home);
            } else {
                kernel.params.push(id);
                call.arguments.push(home);
            }
        }
        kernel.body = body;
        cx.add_kernel(kernel, call);
    }

    /// Prepares the tensor of a definition: nothing if the equations write all of it, else the fill
    /// value or the old value.
    pub(crate) fn start_of(&mut self, d: &Definition, buffer: TensorId) -> Start {
        let Some(tensor) = self.cx.f.tensors.get(d.tensor) else { return Start::Fresh };
        if let Role::Result(Some(old)) = tensor.role {
            let (old, new) = (self.cx.homes[old], self.cx.homes[d.tensor]);
            if let (Some(old), Some(new)) = (old, new)
                && old != new
            {
                self.copy(old, new);
            }
            return Start::Filled;
        }
        if self.coverage(d) == Start::Fresh {
            return Start::Fresh;
        }
        let fill = Expr::Literal(d.fill(tensor.dtype));
        let shape = tensor.shape.clone();
        self.fill(buffer, &shape, fill, "fill");
        Start::Filled
    }

    /// Whether the equations write every element.
    pub(crate) fn coverage(&self, d: &Definition) -> Start {
        if self.covers(d) { Start::Fresh } else { Start::Filled }
    }

    fn covers(&self, d: &Definition) -> bool {
        let Some(tensor) = self.cx.f.tensors.get(d.tensor) else { return false };
        let whole = |e: &Equation| {
            e.plain_target().is_some_and(|vars| {
                vars.iter().zip(&tensor.shape).all(|(v, extent)| {
                    e.vars.get(*v).is_some_and(|x| self.facts.equal(&x.extent, extent))
                })
            })
        };
        match d.equations.as_slice() {
            [e] => whole(e) && (e.reducer.is_some() || e.guard.is_none()),
            many => self.regions_cover(many, &tensor.shape),
        }
    }

    /// True if equations that differ in one axis only tile that axis from 0 to its end.
    fn regions_cover(&self, equations: &[Equation], shape: &[IntExpr]) -> bool {
        let same = equations.iter().all(|e| e.reducer == equations.first().and_then(|x| x.reducer));
        if same && equations.iter().any(|e| e.reducer.is_some()) {
            return false;
        }
        if equations.iter().any(|e| e.guard.is_some() && e.reducer.is_none()) {
            return false;
        }
        (0..shape.len()).any(|axis| self.tiles_axis(equations, shape, axis))
    }

    fn tiles_axis(&self, equations: &[Equation], shape: &[IntExpr], axis: usize) -> bool {
        let mut intervals: Vec<(IntExpr, IntExpr)> = Vec::new();
        for e in equations {
            let mut seen = Vec::new();
            for (k, (s, extent)) in e.subscripts.iter().zip(shape).enumerate() {
                let Some(i) = s.as_affine() else { return false };
                if k == axis {
                    let Some(interval) = interval(e, i, &mut seen) else { return false };
                    intervals.push(interval);
                    continue;
                }
                let Some(v) = i.as_var().filter(|v| !seen.contains(v)) else { return false };
                seen.push(v);
                if !e.vars.get(v).is_some_and(|x| self.facts.equal(&x.extent, extent)) {
                    return false;
                }
            }
        }
        let mut at = IntExpr::constant(0);
        while !intervals.is_empty() {
            let next = intervals.iter().position(|(lo, _)| self.facts.equal(lo, &at));
            let Some(next) = next else { return false };
            at = intervals.remove(next).1;
        }
        shape.get(axis).is_some_and(|extent| self.facts.equal(&at, extent))
    }

    /// `buffer[i...] = value` over a shape.
    pub(crate) fn fill(&mut self, buffer: TensorId, shape: &[IntExpr], value: Expr, name: &str) {
        let body = self.whole_body(buffer, shape, name, |_| value);
        nest::pointwise(self, body, Update::Set);
    }

    /// Copies a program buffer.
    pub(crate) fn copy(&mut self, from: TensorId, to: TensorId) {
        let (from, to) = (self.buffer(from, false), self.buffer(to, true));
        let Some(b) = self.kernel.buffers.get(from).cloned() else { return };
        let body =
            self.whole_body(to, &b.shape, "copy", |at| Expr::read(from, b.dtype, at.to_vec()));
        nest::pointwise(self, body, Update::Set);
    }

    /// A body over a whole shape.
    pub(crate) fn whole_body(
        &mut self,
        buffer: TensorId,
        shape: &[IntExpr],
        name: &str,
        value: impl FnOnce(&[IntExpr]) -> Expr,
    ) -> Body {
        let vars: Vec<(VarId, IntExpr)> = shape
            .iter()
            .enumerate()
            .map(|(axis, extent)| (self.kernel.fresh_var(&format!("d{axis}_")), extent.clone()))
            .collect();
        let at: Vec<IntExpr> = vars.iter().map(|(v, _)| IntExpr::from(*v)).collect();
        Body {
            value: value(&at),
            vars,
            fixed: Fixed::new(),
            guard: None,
            lets: Vec::new(),
            buffer,
            subscripts: at.into_iter().map(Subscript::Affine).collect(),
            reducer: None,
            drop: false,
            name: name.to_owned(),
        }
    }

    /// Lowers an equation into `buffer`; `fixed` gives variables that the loops around determine.
    pub(crate) fn equation(
        &mut self,
        e: &Equation,
        buffer: TensorId,
        initial: Initial,
        fixed: &Fixed,
    ) {
        let body = self.body_of(e, buffer, fixed);
        match body.reducer {
            None => nest::pointwise(self, body, Update::Set),
            Some(r) => reduce::reduction(self, body, r, initial),
        }
    }

    /// The equation over block variables, with inlined producers as lets.
    pub(crate) fn body_of(&mut self, e: &Equation, buffer: TensorId, fixed: &Fixed) -> Body {
        let mut vars = Vec::new();
        let mut own = Fixed::new();
        let mut renamed: IndexMap<VarId, VarId> = IndexMap::new();
        for (v, index) in e.vars.iter() {
            let new = self.kernel.fresh_var(&index.name);
            renamed.insert(v, new);
            match fixed.get(&v) {
                Some(value) => {
                    own.insert(new, value.clone());
                }
                None => vars.push((new, index.extent.clone())),
            }
        }
        let replace = |s: Symbol| match s {
            Symbol::Var(v) => renamed.get(&v).map(|w| IntExpr::from(*w)),
            Symbol::Size(_) => None,
        };
        let mut inliner = Inliner { lets: Vec::new(), made: Vec::new() };
        let value = inliner.expr(self, &e.body.substitute(&replace));
        let guard = e.guard.as_ref().map(|g| inliner.expr(self, &g.substitute(&replace)));
        let mut subscripts: Vec<Subscript> = e
            .subscripts
            .iter()
            .map(|s| match s {
                Subscript::Affine(i) => Subscript::Affine(i.substitute(&replace)),
                Subscript::Data(x) => Subscript::Data(inliner.expr(self, &x.substitute(&replace))),
            })
            .collect();
        self.wrap_window(buffer, &mut subscripts);
        let name = self.kernel.buffers.get(buffer).map_or(String::new(), |b| b.name.clone());
        Body {
            vars,
            fixed: own,
            guard,
            lets: inliner.lets,
            value,
            buffer,
            subscripts,
            reducer: e.reducer,
            drop: e.attributes.drop,
            name,
        }
    }

    /// Slots of a tensor that keeps only its last ones are taken modulo their number.
    fn wrap_window(&self, buffer: TensorId, subscripts: &mut [Subscript]) {
        let home = self.used.iter().find(|(_, (id, _))| *id == buffer).map(|(h, _)| *h);
        let window = self.cx.windows.iter().find(|(t, _)| self.cx.homes[**t] == home);
        if let Some((_, (axis, slots))) = window
            && let Some(Subscript::Affine(i)) = subscripts.get_mut(*axis)
        {
            *i = i.modulo(slots);
        }
    }

    /// A block of this body at these loop positions.
    pub(crate) fn block(&self, body: &Body, at: &dyn Fn(VarId) -> IntExpr, store: Store) -> Stmt {
        let mut iters: Vec<(VarId, IntExpr)> =
            body.vars.iter().map(|(v, _)| (*v, at(*v))).collect();
        iters.extend(body.fixed.iter().map(|(v, e)| (*v, e.clone())));
        Stmt::Block(Block {
            name: body.name.clone(),
            iters,
            guard: body.guard.clone(),
            init: None,
            lets: body.lets.clone(),
            store,
        })
    }
}

/// Buffers that a statement names itself.
fn note_buffers(s: &Stmt, read: &mut Vec<TensorId>) {
    let mut note = |e: &Expr| {
        e.visit(&mut |x| match x {
            Expr::Read(r) => read.push(r.tensor),
            Expr::Contiguous(t) => read.push(*t),
            _ => {}
        });
    };
    match s {
        Stmt::Block(b) => b.exprs().into_iter().for_each(note),
        Stmt::If { condition, .. } => note(condition),
        Stmt::Repeat(r) => note(&r.until),
        Stmt::Intrin(c) => read.extend(c.views.iter().map(|v| v.buffer)),
        Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) => {}
    }
}

/// First and last-plus-one slot that a subscript `v + c` or a constant writes.
fn interval(e: &Equation, i: &IntExpr, seen: &mut Vec<VarId>) -> Option<(IntExpr, IntExpr)> {
    if !i.mentions_vars() {
        return Some((i.clone(), i + IntExpr::constant(1)));
    }
    let v = e.vars.keys().find(|v| i.mentions(*v) && !seen.contains(v))?;
    let (c, rest) = i.linear_in(v)?;
    seen.push(v);
    let extent = e.vars.get(v).map(|x| x.extent.clone())?;
    (c.as_constant() == Some(1) && !rest.mentions_vars()).then(|| (rest.clone(), rest + extent))
}

/// Replaces reads of inlined producers by lets.
struct Inliner {
    lets: Vec<(TensorId, Expr)>,
    /// Producer and position of each let.
    made: Vec<(TensorId, Vec<Subscript>, Expr)>,
}

impl Inliner {
    fn expr(&mut self, b: &mut KernelBuilder<'_, '_>, e: &Expr) -> Expr {
        match e {
            Expr::Read(r) => self.read(b, r),
            Expr::Apply(f, args) => Expr::Apply(*f, args.iter().map(|a| self.expr(b, a)).collect()),
            Expr::Cast(d, x) => Expr::Cast(*d, Box::new(self.expr(b, x))),
            Expr::Bitcast(d, x) => Expr::Bitcast(*d, Box::new(self.expr(b, x))),
            Expr::Literal(_) | Expr::Index { .. } | Expr::Compare(..) | Expr::Contiguous(_) => {
                e.clone()
            }
        }
    }

    fn read(&mut self, b: &mut KernelBuilder<'_, '_>, r: &Read) -> Expr {
        let mut subscripts: Vec<Subscript> = r
            .subscripts
            .iter()
            .map(|s| match s {
                Subscript::Affine(i) => Subscript::Affine(i.clone()),
                Subscript::Data(x) => Subscript::Data(self.expr(b, x)),
            })
            .collect();
        if b.cx.is_inlined(r.tensor) {
            return self.producer(b, r, subscripts);
        }
        if let Some(read) = local_read(&b.locals, r, &subscripts) {
            return Expr::Read(Box::new(read));
        }
        let default = r.default.as_ref().map(|d| self.expr(b, d));
        let tensor = b.read_from(r.tensor);
        b.wrap_window(tensor, &mut subscripts);
        Expr::Read(Box::new(Read { tensor, dtype: r.dtype, subscripts, default }))
    }

    fn producer(
        &mut self,
        b: &mut KernelBuilder<'_, '_>,
        r: &Read,
        subscripts: Vec<Subscript>,
    ) -> Expr {
        if let Some((_, _, value)) =
            self.made.iter().find(|(t, at, _)| *t == r.tensor && *at == subscripts)
        {
            return value.clone();
        }
        let body = fuse::produced(b.cx.f, r);
        let body = body.unwrap_or_else(|| unreachable!("{} is defined", r.tensor));
        let mut value = self.expr(b, &body);
        if r.dtype.is_storage_float() {
            // What memory would have rounded.
            value = Expr::Cast(r.dtype, Box::new(value));
        }
        let trivial = matches!(value, Expr::Read(_) | Expr::Literal(_) | Expr::Index { .. });
        if !trivial {
            let name = b.unused_name("v");
            let scope = Scope::Let;
            let buffer = Buffer { name, dtype: r.dtype, shape: vec![], scope };
            let t = b.kernel.buffers.push(buffer);
            self.lets.push((t, value));
            value = Expr::read(t, r.dtype, vec![]);
        }
        self.made.push((r.tensor, subscripts, value.clone()));
        value
    }
}
