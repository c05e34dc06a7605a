//! From a program and its code to an image.

use crate::backend::ObjectCode;
use cranelift_entity::EntityRef;
use indexmap::IndexMap;
use std::collections::HashMap;
use tcc_abi::{
    Argument, BufferSpec, CodeImage, Contiguity, DerivedFact, Estimate, EstimateTerm, Image,
    KernelCode, ParallelNest, Reloc, RelocTarget, SizeExpr, SizeSource, Step, TensorRole,
    TensorSpec,
};
use tcc_ir::graph::{Function, FunctionNames, Role, sizes};
use tcc_ir::int::{IntExpr, display};
use tcc_ir::kernel::{self, Kernel, Scope, Scratch, Stmt};
use tcc_ir::program::{Guard, Program, ProgramNames};
use tcc_ir::scalar::{Expr, Func};
use tcc_ir::target::Target;
use tcc_ir::{SizeId, TensorId};
use tcc_passes::{cost, memory_plan};

/// The image of a program without code. `f` is the function it was made from, `kernels`
/// those that it calls, in the order of the code.
pub(crate) fn image(
    f: &Function,
    program: &Program,
    kernels: &IndexMap<String, Kernel>,
    code: &ObjectCode,
    target: &Target,
) -> Image {
    let size = |e: &IntExpr| e.to_size_expr(&|s: SizeId| s.index() as u32);
    let mut places: HashMap<TensorId, Argument> = HashMap::new();
    let mut image = Image {
        name: program.name.clone(),
        compiler: env!("CARGO_PKG_VERSION").to_owned(),
        sizes: program.sizes.values().map(|s| s.name.clone()).collect(),
        sources: sizes::size_sources(f).into_iter().map(|s| source(s, &size)).collect(),
        facts: program.guards.iter().flat_map(|g| facts(program, g, &size)).collect(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        buffers: Vec::new(),
        steps: Vec::new(),
        sites: code.sites.clone(),
        code: CodeImage::default(),
    };
    for t in &program.params {
        places.insert(*t, Argument::Input(image.inputs.len() as u32));
        image.inputs.push(spec(program, kernels, *t, &size));
    }
    for t in &program.results {
        places.insert(*t, Argument::Output(image.outputs.len() as u32));
        image.outputs.push(spec(program, kernels, *t, &size));
    }
    for (t, b) in program.buffers.iter() {
        if let Some(offset) = &b.offset {
            places.insert(t, Argument::Buffer(image.buffers.len() as u32));
            let bytes = size(&memory_plan::bytes(program, t));
            let (name, offset) = (b.name.clone(), size(offset));
            image.buffers.push(BufferSpec { name, offset, bytes });
        }
    }
    for c in &program.calls {
        let all = c.arguments.iter().chain(&c.results);
        let arguments = all.filter_map(|t| places.get(t).copied()).collect();
        if let Some((index, _, kernel)) = kernels.get_full(&c.kernel) {
            image.steps.push(Step {
                kernel: index as u32,
                arguments,
                scratch: size(&Scratch::of(kernel).bytes),
                when: contiguity(kernel),
                parallel: kernel.parallel_nest().map(|n| nest(kernel, &n, target, &size)),
            });
        }
    }
    image
}

/// The iterations of a kernel that calls may share out, with an estimate of their time.
fn nest(
    kernel: &Kernel,
    nest: &kernel::ParallelNest<'_>,
    target: &Target,
    size: &dyn Fn(&IntExpr) -> SizeExpr,
) -> ParallelNest {
    let term = |(factor, extents): (f64, Vec<IntExpr>)| EstimateTerm {
        factor,
        sizes: extents.iter().map(size).collect(),
    };
    let work = cost::time(kernel, &kernel.body, target).into_iter().map(term);
    ParallelNest { iterations: size(&nest.iterations()), work: Estimate(work.collect()) }
}

/// The conditions on strides without which the kernel does nothing.
fn contiguity(kernel: &Kernel) -> Vec<Contiguity> {
    let mut out = Vec::new();
    let mut body = kernel.body.as_slice();
    while let [Stmt::If { condition, then, otherwise }] = body
        && otherwise.is_empty()
    {
        let (joined, holds) = match condition {
            Expr::Apply(Func::Not, negated) => (negated.first(), false),
            other => (Some(other), true),
        };
        let parts = joined.map_or(Vec::new(), |c| c.operands(Func::And));
        let position = |e: &Expr| match e {
            Expr::Contiguous(t) => kernel.arguments().position(|a| a == *t).map(|k| k as u32),
            _ => None,
        };
        // A part that is not about strides does not stand in the way of the others.
        let arguments: Vec<u32> = parts.iter().filter_map(|e| position(e)).collect();
        if !arguments.is_empty() && (holds || arguments.len() == parts.len()) {
            out.push(Contiguity { arguments, holds });
        }
        body = then;
    }
    out
}

fn source(s: sizes::SizeSource, size: &dyn Fn(&IntExpr) -> SizeExpr) -> SizeSource {
    match s {
        sizes::SizeSource::Argument(s) => SizeSource::Argument { size: s.index() as u32 },
        sizes::SizeSource::Extent { size: s, param, axis, offset, factor } => SizeSource::Extent {
            size: s.index() as u32,
            input: param as u32,
            axis: axis as u32,
            offset: size(&offset),
            factor: size(&factor),
        },
    }
}

/// A guard as conditions `value >= 0`.
fn facts(p: &Program, g: &Guard, size: &dyn Fn(&IntExpr) -> SizeExpr) -> Vec<DerivedFact> {
    let text = g.text(p);
    let conditions = g.fact.comparison.as_nonneg(&g.fact.lhs, &g.fact.rhs);
    conditions
        .iter()
        .map(|e| DerivedFact {
            value: size(e),
            unless_empty: g.unless_empty.iter().map(size).collect(),
            text: text.clone(),
            origin: g.origin.clone(),
        })
        .collect()
}

/// The interface of tensors of a function.
pub(crate) fn tensor_specs(f: &Function, tensors: &[TensorId]) -> Vec<TensorSpec> {
    let size = |e: &IntExpr| e.to_size_expr(&|s: SizeId| s.index() as u32);
    let names = FunctionNames(f);
    let one = |t: &TensorId| {
        let t = f.tensors.get(*t)?;
        Some(TensorSpec {
            name: t.name.clone(),
            dtype: t.dtype,
            shape: t.shape.iter().map(size).collect(),
            shape_text: t.shape.iter().map(|e| display(e, &names).to_string()).collect(),
            role: role(t.role),
            strided: true,
        })
    };
    tensors.iter().filter_map(one).collect()
}

fn role(role: Role) -> TensorRole {
    match role {
        Role::Param => TensorRole::Param,
        Role::Inout => TensorRole::Inout,
        Role::Result(_) => TensorRole::Output,
        Role::Input | Role::Intermediate => TensorRole::Input,
    }
}

/// True if every kernel that gets the tensor takes any strides.
fn takes_strides(p: &Program, kernels: &IndexMap<String, Kernel>, t: TensorId) -> bool {
    p.calls.iter().all(|c| {
        let Some(kernel) = kernels.get(&c.kernel) else { return false };
        let pairs = c.arguments.iter().chain(&c.results).zip(kernel.arguments());
        let scope = |b: TensorId| kernel.buffers.get(b).map(|b| b.scope);
        pairs.filter(|(a, _)| **a == t).all(|(_, b)| scope(b) == Some(Scope::Strided))
    })
}

fn spec(
    p: &Program,
    kernels: &IndexMap<String, Kernel>,
    t: TensorId,
    size: &dyn Fn(&IntExpr) -> SizeExpr,
) -> TensorSpec {
    let Some(b) = p.buffers.get(t) else { unreachable!("{t} is a buffer of the program") };
    let names = ProgramNames(p);
    TensorSpec {
        name: b.name.clone(),
        dtype: b.dtype,
        shape: b.shape.iter().map(size).collect(),
        shape_text: b.shape.iter().map(|e| display(e, &names).to_string()).collect(),
        role: role(b.role),
        strided: takes_strides(p, kernels, t),
    }
}

/// Lays the functions out one after the other; addresses inside of the text are resolved later.
pub(crate) fn lay_out(code: &ObjectCode, target: &Target) -> CodeImage {
    let mut text: Vec<u8> = Vec::new();
    let mut starts = Vec::new();
    for f in &code.functions {
        let alignment = f.alignment.max(1) as usize;
        text.resize(text.len().next_multiple_of(alignment), 0);
        starts.push(text.len() as u32);
        text.extend_from_slice(&f.bytes);
    }
    let mut relocs = Vec::new();
    for (f, start) in code.functions.iter().zip(&starts) {
        for r in &f.relocations {
            let target = match r.target {
                RelocTarget::Text(k) => {
                    RelocTarget::Text(starts.get(k as usize).copied().unwrap_or(0))
                }
                import @ RelocTarget::Import(_) => import,
            };
            relocs.push(Reloc { offset: start + r.offset, kind: r.kind, target, addend: r.addend });
        }
    }
    let kernels = code.functions.iter().zip(&starts).take(code.kernels);
    CodeImage {
        architecture: target.architecture.clone(),
        features: target.features.clone(),
        kernels: kernels
            .map(|(f, start)| KernelCode { name: f.name.clone(), entry: *start })
            .collect(),
        text,
        relocs,
        symbols: code.symbols.clone(),
    }
}
