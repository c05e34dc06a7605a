//! From a program and its code to an image.

use crate::backend::ObjectCode;
use cranelift_entity::EntityRef;
use indexmap::{IndexMap, IndexSet};
use std::collections::HashMap;
use tcc_abi::{
    Argument, BufferSpec, CodeImage, Contiguity, DType, DerivedFact, Estimate, EstimateTerm, Image,
    KernelCode, ParallelNest, Prepare, Reloc, RelocTarget, SizeExpr, SizeSource, Step, TensorRole,
    TensorSpec,
};
use tcc_ir::graph::{Function, FunctionNames, Role, sizes};
use tcc_ir::int::{IntExpr, SymbolNames, display};
use tcc_ir::kernel::{self, Kernel, Scope, Scratch, Stmt};
use tcc_ir::program::{Guard, Program, ProgramNames};
use tcc_ir::scalar::{Comparison, Expr, Func};
use tcc_ir::target::Target;
use tcc_ir::{SizeId, TensorId};
use tcc_passes::memory_plan::Temporary;
use tcc_passes::{cost, memory_plan, param_steps};

/// The image of a program without code. `f` is the function it was made from, `kernels`
/// those that it calls, in the order of the code.
pub(crate) fn image(
    f: &Function,
    program: &Program,
    kernels: &IndexMap<String, Kernel>,
    code: &ObjectCode,
    target: &Target,
) -> Image {
    let dense = dense_only(program, kernels);
    let interface = |t: &TensorId| {
        let b = program.buffers.get(*t);
        let b = b.unwrap_or_else(|| unreachable!("{t} is a buffer of the program"));
        let tensor = (b.name.as_str(), b.dtype, b.shape.as_slice(), b.role);
        spec(tensor, &ProgramNames(program), !dense.contains(t))
    };
    let mut places: HashMap<TensorId, Argument> = HashMap::new();
    let mut image = Image {
        name: program.name.clone(),
        compiler: env!("CARGO_PKG_VERSION").to_owned(),
        sizes: program.sizes.values().map(|s| s.name.clone()).collect(),
        sources: sizes::size_sources(f).into_iter().map(source).collect(),
        facts: program.guards.iter().flat_map(|g| facts(program, g)).collect(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        buffers: Vec::new(),
        steps: Vec::new(),
        sites: code.sites.clone(),
        code: CodeImage::default(),
    };
    for t in &program.params {
        places.insert(*t, Argument::Input(image.inputs.len() as u32));
        image.inputs.push(interface(t));
    }
    for t in &program.results {
        places.insert(*t, Argument::Output(image.outputs.len() as u32));
        image.outputs.push(interface(t));
    }
    let temporaries = memory_plan::temporaries(program, kernels);
    for (k, t) in temporaries.iter().enumerate() {
        places.insert(t.buffer, Argument::Buffer(k as u32));
    }
    image.buffers = buffers(program, &temporaries);
    for (c, alone) in program.calls.iter().zip(param_steps::param_calls(program)) {
        let all = c.arguments.iter().chain(&c.results);
        let arguments = all.filter_map(|t| places.get(t).copied()).collect();
        if let Some((index, _, kernel)) = kernels.get_full(&c.kernel) {
            image.steps.push(Step {
                kernel: index as u32,
                arguments,
                results: c.results.len() as u32,
                prepare: alone.then(|| prepare(kernel)),
                scratch: size(&Scratch::of(kernel).bytes),
                when: contiguity(kernel),
                parallel: kernel.parallel_nest().map(|n| nest(kernel, &n, target)),
            });
        }
    }
    image
}

/// What a kernel needs to run when params are bound.
fn prepare(kernel: &Kernel) -> Prepare {
    let sizes = param_steps::sizes_of(kernel);
    Prepare { sizes: sizes.into_iter().map(|s| s.index() as u32).collect() }
}

/// The temporaries of a program.
pub(crate) fn buffers(program: &Program, temporaries: &[Temporary]) -> Vec<BufferSpec> {
    let number = |t: TensorId| temporaries.iter().position(|x| x.buffer == t).map(|k| k as u32);
    let spec = |t: &Temporary| BufferSpec {
        name: program.buffers.get(t.buffer).map_or(String::new(), |b| b.name.clone()),
        bytes: size(&t.bytes),
        first: t.first as u32,
        last: t.last as u32,
        replaces: t.replaces.and_then(number),
    };
    temporaries.iter().map(spec).collect()
}

/// The iterations of a kernel that calls may share out, with an estimate of their time.
fn nest(kernel: &Kernel, nest: &kernel::ParallelNest<'_>, target: &Target) -> ParallelNest {
    let term = |(factor, extents): (f64, Vec<IntExpr>)| EstimateTerm {
        factor,
        sizes: extents.iter().map(size).collect(),
    };
    let mut work: Vec<EstimateTerm> =
        cost::time(kernel, &kernel.body, target).into_iter().map(term).collect();
    let indicators: Vec<SizeExpr> = indicators(kernel).iter().map(size).collect();
    work.iter_mut().for_each(|t| t.sizes.extend(indicators.iter().cloned()));
    ParallelNest { iterations: size(&nest.iterations()), work: Estimate(work) }
}

/// What must hold, or must not, for the kernel to do anything.
fn conditions(kernel: &Kernel) -> Vec<(&Expr, bool)> {
    let mut out = Vec::new();
    let mut body = kernel.body.as_slice();
    while let [Stmt::If { condition, then, otherwise }] = body
        && otherwise.is_empty()
    {
        out.push(condition.without_not());
        body = then;
    }
    out
}

/// Numbers that are 1 where the kernel does something at these sizes; if it does not, one is 0.
fn indicators(kernel: &Kernel) -> Vec<IntExpr> {
    let one = IntExpr::constant(1);
    let indicator = |(e, holds): (&Expr, bool)| {
        let Expr::Compare(op, a, b) = e else { return None };
        if *op == Comparison::Ne || !kernel::is_fixed(e) {
            return None;
        }
        let values = op.as_nonneg(a, b).into_iter();
        let all = values.fold(one.clone(), |all, e| all.minimum(&(e + one.clone())));
        let all = all.maximum(&IntExpr::default());
        Some(if holds { all } else { one.clone() - all })
    };
    conditions(kernel).into_iter().filter_map(indicator).collect()
}

/// The conditions on strides without which the kernel does nothing.
fn contiguity(kernel: &Kernel) -> Vec<Contiguity> {
    let position = |e: &Expr| match e {
        Expr::Contiguous(t) => kernel.arguments().position(|a| a == *t).map(|k| k as u32),
        _ => None,
    };
    let of_strides = |(e, holds): (&Expr, bool)| {
        let parts = e.operands(Func::And);
        // A part that is not about strides does not stand in the way of the others.
        let arguments: Vec<u32> = parts.iter().filter_map(|e| position(e)).collect();
        let asks = !arguments.is_empty() && (holds || arguments.len() == parts.len());
        asks.then_some(Contiguity { arguments, holds })
    };
    conditions(kernel).into_iter().filter_map(of_strides).collect()
}

fn source(s: sizes::SizeSource) -> SizeSource {
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
fn facts(p: &Program, g: &Guard) -> Vec<DerivedFact> {
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

/// The interface of tensors of a function, which take any strides.
pub(crate) fn tensor_specs(f: &Function, tensors: &[TensorId]) -> Vec<TensorSpec> {
    let names = FunctionNames(f);
    let tensors = tensors.iter().filter_map(|t| f.tensors.get(*t));
    tensors.map(|t| spec((&t.name, t.dtype, &t.shape, t.role), &names, true)).collect()
}

/// The interface of a tensor: name, element type, shape and role.
fn spec(
    (name, dtype, shape, tensor_role): (&str, DType, &[IntExpr], Role),
    names: &dyn SymbolNames,
    strided: bool,
) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.iter().map(size).collect(),
        shape_text: shape.iter().map(|e| display(e, names).to_string()).collect(),
        role: role(tensor_role),
        strided,
    }
}

/// A size expression of the runtime, whose sizes have the numbers of the program's.
fn size(e: &IntExpr) -> SizeExpr {
    e.to_size_expr(&|s: SizeId| s.index() as u32)
}

fn role(role: Role) -> TensorRole {
    match role {
        Role::Param => TensorRole::Param,
        Role::Inout => TensorRole::Inout,
        Role::Result(_) => TensorRole::Output,
        Role::Input | Role::Intermediate => TensorRole::Input,
    }
}

/// The tensors that some kernel takes only row-major without gaps.
fn dense_only(p: &Program, kernels: &IndexMap<String, Kernel>) -> IndexSet<TensorId> {
    let mut out = IndexSet::new();
    for c in &p.calls {
        let given = c.arguments.iter().chain(&c.results).copied();
        let Some(kernel) = kernels.get(&c.kernel) else {
            out.extend(given);
            continue;
        };
        let scope = |b: TensorId| kernel.buffers.get(b).map(|b| b.scope);
        let dense =
            given.zip(kernel.arguments()).filter(|(_, b)| scope(*b) != Some(Scope::Strided));
        out.extend(dense.map(|(t, _)| t));
    }
    out
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
