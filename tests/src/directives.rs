//! Random directives for kernels, legal or not.

use cranelift_entity::PrimaryMap;
use fastrand::Rng;
use std::sync::{Arc, OnceLock};
use tcc_ir::int::IntExpr;
use tcc_ir::intrinsic::Intrinsic;
use tcc_ir::kernel::{Axis, Kernel, Scope, Stmt, visit_blocks, visit_stmts};
use tcc_ir::library;
use tcc_ir::schedule::{Directive, Fill, Layout, Permission, Primitive, Schedule, Tail};
use tcc_ir::{TensorId, VarId};
use tcc_passes::schedule::apply;

/// What directives can name.
struct Names {
    loops: Vec<String>,
    /// Loops of few iterations.
    small: Vec<String>,
    /// Blocks with their variables, what they read and the loops around them.
    blocks: Vec<Named>,
    /// Allocated buffers with their ranks.
    buffers: Vec<(String, usize)>,
}

#[derive(Clone, Default)]
struct Named {
    name: String,
    variables: Vec<String>,
    reads: Vec<(String, usize)>,
    loops: Vec<String>,
}

impl Names {
    fn of(k: &Kernel) -> Names {
        let mut names = Names { loops: vec![], small: vec![], blocks: vec![], buffers: vec![] };
        visit_stmts(&k.body, &mut |s| match s {
            Stmt::For(f) => {
                let name = k.vars[f.var].clone();
                let extent = (&f.hi - &f.lo).as_constant();
                names.small.extend(extent.filter(|e| *e <= 16).map(|_| name.clone()));
                names.loops.push(name);
            }
            Stmt::Alloc(t) => names.buffers.push(buffer(k, *t)),
            _ => {}
        });
        collect(k, &k.body, &mut Vec::new(), &mut names.blocks);
        names
    }
}

fn buffer(k: &Kernel, t: TensorId) -> (String, usize) {
    (k.buffers[t].name.clone(), k.buffers[t].shape.len())
}

fn collect(k: &Kernel, body: &[Stmt], around: &mut Vec<String>, out: &mut Vec<Named>) {
    for s in body {
        match s {
            Stmt::For(f) => {
                around.push(k.vars[f.var].clone());
                collect(k, &f.body, around, out);
                around.pop();
            }
            Stmt::If { then, otherwise, .. } => {
                collect(k, then, around, out);
                collect(k, otherwise, around, out);
            }
            Stmt::Repeat(r) => collect(k, &r.body, around, out),
            Stmt::Block(b) if !b.name.is_empty() => out.push(Named {
                name: b.name.clone(),
                variables: b.iters.iter().map(|(v, _)| k.vars[*v].clone()).collect(),
                reads: b
                    .exprs()
                    .iter()
                    .flat_map(|e| e.reads())
                    .filter(|r| k.buffers[r.tensor].scope != Scope::Let)
                    .map(|r| buffer(k, r.tensor))
                    .collect(),
                loops: around.clone(),
            }),
            _ => {}
        }
    }
}

fn one_of<T: Clone>(rng: &mut Rng, list: &[T]) -> Option<T> {
    if list.is_empty() { None } else { Some(list[rng.usize(..list.len())].clone()) }
}

/// A directive that names what the kernel has; `trial` makes new names differ.
pub fn directive(rng: &mut Rng, k: &Kernel, trial: usize) -> Option<Directive> {
    let names = Names::of(k);
    let at = rng.usize(..names.loops.len().max(1));
    let target = names.loops.get(at)?.clone();
    let primitive = match rng.u8(0..20) {
        0..=10 => of_block(rng, k, &names, trial)?,
        _ => of_loops(rng, k, &names, (at, target), trial),
    };
    let word = primitive.name();
    let may_reorder = matches!(word, "reorder" | "tile" | "rfactor" | "tensorize");
    let permission = (may_reorder && rng.bool()).then_some(Permission::Reassociate);
    Some(Directive { primitive, permission, span: Default::default() })
}

/// With an intrinsic that a loop can become, if there is one: the loop, or one of the others.
fn tensorize(rng: &mut Rng, k: &Kernel, loops: &[String], at: usize) -> Primitive {
    let all = intrinsics();
    let made = |target: &String, intrinsic: &Arc<Intrinsic>| {
        let (target, intrinsic) = (target.clone(), intrinsic.clone());
        Primitive::Tensorize { target, intrinsic }
    };
    let becomes = |p: &Primitive| {
        let d = Directive { primitive: p.clone(), permission: None, span: Default::default() };
        apply(k, &Schedule { kernel: k.name.clone(), directives: vec![d] }).is_ok()
    };
    let turned = loops[at..].iter().chain(&loops[..at]);
    let pairs = turned.flat_map(|target| all.iter().map(move |i| made(target, i)));
    let legal = pairs.into_iter().find(becomes);
    legal.unwrap_or_else(|| made(&loops[at], &all[rng.usize(..all.len())]))
}

/// Intrinsics that kernels of the suites can become.
fn intrinsics() -> &'static [Arc<Intrinsic>] {
    static ALL: OnceLock<Vec<Arc<Intrinsic>>> = OnceLock::new();
    let names = ["transpose_f32", "exp_f32", "sub_f32", "gemm_f32_4x4"];
    ALL.get_or_init(|| names.map(|n| Arc::new(library::intrinsic(n).unwrap())).into())
}

fn of_loops(
    rng: &mut Rng,
    k: &Kernel,
    names: &Names,
    (at, target): (usize, String),
    n: usize,
) -> Primitive {
    let some = |rng: &mut Rng| {
        let mut some = names.loops.get(at..).unwrap_or(&[]).to_vec();
        some.truncate(rng.usize(2..4));
        some
    };
    let small = one_of(rng, &names.small).unwrap_or_else(|| target.clone());
    match rng.u8(0..12) {
        0..=2 => Primitive::Split {
            outer: format!("{target}_a{n}"),
            inner: format!("{target}_b{n}"),
            factor: rng.i64(1..9),
            tail: Tail::ALL[rng.usize(..2)],
            target,
        },
        3 => {
            let targets = some(rng);
            let name = |suffix: &str| targets.iter().map(|t| format!("{t}_{suffix}{n}")).collect();
            Primitive::Tile {
                outer: name("a"),
                inner: name("b"),
                factors: targets.iter().map(|_| rng.i64(1..9)).collect(),
                tail: Tail::ALL[rng.usize(..2)],
                targets,
            }
        }
        4 if at + 1 < names.loops.len() => {
            Primitive::Fuse { targets: some(rng), fused: format!("f{n}") }
        }
        4..=6 => {
            let mut some = some(rng);
            rng.shuffle(&mut some);
            Primitive::Reorder(some)
        }
        7 => Primitive::Unroll(small),
        8 => Primitive::Vectorize(small),
        9 => Primitive::Parallel(target),
        10 => tensorize(rng, k, &names.loops, at),
        _ => Primitive::Bind { target, axis: Axis::ALL[rng.usize(..Axis::ALL.len())] },
    }
}

fn of_block(rng: &mut Rng, k: &Kernel, names: &Names, n: usize) -> Option<Primitive> {
    let b = one_of(rng, &names.blocks)?;
    let block = b.name.clone();
    let (any, around) = (one_of(rng, &names.loops)?, one_of(rng, &b.loops));
    let at = around.clone().filter(|_| rng.u8(0..4) > 0);
    let around = around.unwrap_or_else(|| any.clone());
    let scope = Scope::ALLOCATED[rng.usize(..2)];
    let made = format!("c{n}");
    let (buffer, rank) = one_of(rng, &b.reads).unwrap_or_else(|| ("A".to_owned(), 1));
    Some(match rng.u8(0..15) {
        0 => Primitive::ComputeAt { block, target: any },
        1 => Primitive::ReverseComputeAt { block, target: any },
        2 => Primitive::Inline(block),
        3 => Primitive::ReverseInline(block),
        4 | 5 => Primitive::CacheRead { block, buffer, at, scope, cache: made },
        6 | 7 => Primitive::CacheWrite { block, at, scope, cache: made },
        8 => {
            let buffer = one_of(rng, &names.buffers).map_or(buffer, |(name, _)| name);
            Primitive::SetScope { buffer, scope }
        }
        9 | 10 => Primitive::Rfactor { block, target: around, at, scope, partial: made },
        11 => Primitive::DecomposeReduction { block, target: around, start: made },
        12 => {
            let (buffer, rank) = one_of(rng, &names.buffers).unwrap_or((buffer, rank));
            Primitive::TransformLayout { buffer, layout: layout(rng, rank) }
        }
        13 if rng.bool() => {
            let layout = layout(rng, rank);
            Primitive::Pack { block, buffer, layout, at, scope, cache: made }
        }
        13 => {
            let some = b.variables.iter().filter(|_| rng.bool()).cloned();
            let mut multiples: Vec<(String, i64)> = some.map(|v| (v, 0)).collect();
            multiples.iter_mut().for_each(|(_, m)| *m = rng.i64(1..6));
            let fill = Fill::ALL[if rng.bool() { 0 } else { rng.usize(..4) }];
            if multiples.is_empty() {
                return None;
            }
            Primitive::Pad { block, multiples, fill }
        }
        _ => {
            // Of the loop that allocates what the block writes.
            let stage = names.blocks.iter().find(|b| {
                let own = |t: &TensorId| k.buffers[*t].scope != Scope::Global;
                let mut writes = false;
                visit_blocks(&k.body, &mut |x| {
                    writes |= x.name == b.name && own(&x.store.buffer);
                });
                writes && rng.bool()
            });
            let stage = stage.cloned().unwrap_or(b);
            let target = one_of(rng, &stage.loops).unwrap_or(any);
            Primitive::Pipeline { target, block: stage.name, depth: rng.i64(2..4) }
        }
    })
}

/// A layout of a buffer, different places for different elements or not.
fn layout(rng: &mut Rng, rank: usize) -> Layout {
    let mut axes: PrimaryMap<VarId, String> = PrimaryMap::new();
    let vars: Vec<VarId> = (0..rank).map(|n| axes.push(format!("x{n}"))).collect();
    let mut subscripts: Vec<IntExpr> = Vec::new();
    for v in vars {
        let v = IntExpr::from(v);
        let c = IntExpr::constant(rng.i64(1..5));
        match rng.u8(0..6) {
            0 => subscripts.extend([v.div(&c), v.modulo(&c)]),
            1 => subscripts.push(v.div(&c)),
            2 => subscripts.push(c.clone() * v + c),
            _ => subscripts.push(v),
        }
    }
    rng.shuffle(&mut subscripts);
    Layout { axes, subscripts }
}

/// A few directives, as if each left the kernel as it is.
pub fn schedule(rng: &mut Rng, k: &Kernel) -> Schedule {
    let count = 1 + rng.usize(..4);
    let directives = (0..count).filter_map(|n| directive(rng, k, n)).collect();
    Schedule { kernel: k.name.clone(), directives }
}
