//! Schedules: how a kernel's loops are to run, as data. `passes::schedule` applies them.

use crate::VarId;
use crate::int::{IntExpr, Symbol, SymbolNames, display};
use crate::intrinsic::Intrinsic;
use crate::kernel::{Axis, Scope};
use crate::span::Span;
use cranelift_entity::PrimaryMap;
use std::fmt::{self, Write};
use std::sync::Arc;

/// Directives for a kernel, applied in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schedule {
    /// The kernel's name.
    pub kernel: String,
    /// What to do.
    pub directives: Vec<Directive>,
}

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What to do.
    pub primitive: Primitive,
    /// What the text allows beyond keeping every value.
    pub permission: Option<Permission>,
    /// Where it was written.
    pub span: Span,
}

/// A word before a directive that allows more than a proof that every value stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Sums and products of floats may combine in another order, which rounds differently.
    Reassociate,
    /// The text vouches for what cannot be proved.
    Unsafe,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 2] = [Permission::Reassociate, Permission::Unsafe];

    /// The word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Permission::Reassociate => "reassociate",
            Permission::Unsafe => "unsafe",
        }
    }
}

/// A change of loops. Loops go by the names of their variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// `io, ii = split(i, 14, tail=guard)`: a loop becomes two, the inner one of constant extent.
    Split {
        /// The loop.
        target: String,
        /// The extent of the inner loop.
        factor: i64,
        /// What becomes of the rest.
        tail: Tail,
        /// Name of the outer loop.
        outer: String,
        /// Name of the inner loop.
        inner: String,
    },
    /// `f = fuse(i, j)`: loops that stand directly in each other become one.
    Fuse {
        /// The loops, outermost first.
        targets: Vec<String>,
        /// Name of the one loop.
        fused: String,
    },
    /// `io, jo, ii, ji = tile(i, j, 14, 32, tail=guard)`: nested loops become loops over tiles
    /// around loops over the elements of a tile.
    Tile {
        /// The loops.
        targets: Vec<String>,
        /// The extents of a tile, one for each loop.
        factors: Vec<i64>,
        /// What becomes of the rest.
        tail: Tail,
        /// Names of the outer loops.
        outer: Vec<String>,
        /// Names of the inner loops.
        inner: Vec<String>,
    },
    /// `compute_at(b, i)`: a block computes what an iteration of a later loop reads, inside of it.
    ComputeAt {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// `reverse_compute_at(b, i)`: a block uses what an iteration of an earlier loop makes, inside
    /// of it.
    ReverseComputeAt {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// `inline(b)`: what a block computes is computed where it is read.
    Inline(String),
    /// `reverse_inline(b)`: what a block makes of another one's elements is made where those are.
    ReverseInline(String),
    /// `Bc = cache_read(mm, B, at=jo, scope=local)`: a block reads a copy of what it reads of a
    /// buffer.
    CacheRead {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
        /// The loop in which the copy is made; without it, before the outermost one.
        at: Option<String>,
        /// Where the copy lives.
        scope: Scope,
        /// Name of the copy, and of the block that makes it.
        cache: String,
    },
    /// `Cc = cache_write(mm, at=jo, scope=register)`: what a block writes is copied to its place
    /// later.
    CacheWrite {
        /// The block.
        block: String,
        /// The loop at whose end it is copied; without it, behind the outermost one.
        at: Option<String>,
        /// Where it lives before.
        scope: Scope,
        /// Name of the buffer; the blocks that copy add `_in` and `_out`.
        cache: String,
    },
    /// `set_scope(T, register)`
    SetScope {
        /// An allocated buffer.
        buffer: String,
        /// Where it is to live.
        scope: Scope,
    },
    /// `start = decompose_reduction(mm, k)`: the `init` of a block runs before a loop.
    DecomposeReduction {
        /// The block.
        block: String,
        /// The loop.
        target: String,
        /// Name of the block that does what the `init` did.
        start: String,
    },
    /// `P = rfactor(sum, ki, at=i, scope=local)`: a reduction keeps a result for each iteration of
    /// a loop, and joins them at the end.
    Rfactor {
        /// The block.
        block: String,
        /// The loop.
        target: String,
        /// The loop in which the results are joined; without it, behind the outermost one.
        at: Option<String>,
        /// Where the results live.
        scope: Scope,
        /// Name of the buffer of results, and of the block that makes them.
        partial: String,
    },
    /// `transform_layout(T[i,j], T[j/8,i,j % 8])`: elements of a buffer lie elsewhere.
    TransformLayout {
        /// An allocated buffer.
        buffer: String,
        /// Where each element is to be.
        layout: Layout,
    },
    /// `P = pack(mm, B[k,n], P[n/8,k,n % 8], at=jo, scope=local)`: a `cache_read` into a layout.
    Pack {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
        /// Where each element of the part is to be.
        layout: Layout,
        /// The loop in which the copy is made; without it, before the outermost one.
        at: Option<String>,
        /// Where the copy lives.
        scope: Scope,
        /// Name of the copy, and of the block that makes it.
        cache: String,
    },
    /// `pad(mm, m=14, n=32, fill=0)`: loops run to multiples, on copies of what the block uses.
    Pad {
        /// The block.
        block: String,
        /// Variables of the block with what their extents become multiples of.
        multiples: Vec<(String, i64)>,
        /// The value of what is read beyond the ends.
        fill: Fill,
    },
    /// `pipeline(k, Bc, depth=2)`: a loop copies what later iterations need while it works.
    Pipeline {
        /// The loop.
        target: String,
        /// The block that copies.
        block: String,
        /// How many copies there are at once.
        depth: i64,
    },
    /// `tensorize(i, f)`: a loop becomes a call of an intrinsic.
    Tensorize {
        /// The loop.
        target: String,
        /// The intrinsic.
        intrinsic: Arc<Intrinsic>,
    },
    /// `bind(i, workgroup.x)`: iterations are those of an axis of a grid of processors.
    Bind {
        /// The loop.
        target: String,
        /// The axis.
        axis: Axis,
    },
    /// `reorder(a, b, c)`: perfectly nested loops in a new order, outermost first.
    Reorder(Vec<String>),
    /// `unroll(i)`
    Unroll(String),
    /// `vectorize(i)`
    Vectorize(String),
    /// `parallel(i)`
    Parallel(String),
}

/// The value of elements that padding adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// 0.
    Zero,
    /// 1.
    One,
    /// The largest value of the type, infinity for floats.
    Largest,
    /// The smallest value of the type, minus infinity for floats.
    Smallest,
}

impl Fill {
    /// Every fill.
    pub const ALL: [Fill; 4] = [Fill::Zero, Fill::One, Fill::Largest, Fill::Smallest];

    /// The word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Fill::Zero => "zero",
            Fill::One => "one",
            Fill::Largest => "largest",
            Fill::Smallest => "smallest",
        }
    }
}

/// Where a layout puts the element of a buffer at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Names of the axes; the variables of the subscripts are numbered as they are.
    pub axes: PrimaryMap<VarId, String>,
    /// The new position.
    pub subscripts: Vec<IntExpr>,
}

impl SymbolNames for Layout {
    fn write(&self, symbol: Symbol, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match symbol {
            Symbol::Var(v) => match self.axes.get(v) {
                Some(name) => f.write_str(name),
                None => write!(f, "{v}"),
            },
            Symbol::Size(s) => write!(f, "{s}"),
        }
    }
}

impl Layout {
    /// The old and the new position as accesses of two buffers.
    fn accesses(&self, from: &str, to: &str) -> String {
        let axes: Vec<&str> = self.axes.values().map(String::as_str).collect();
        let subscripts: Vec<String> =
            self.subscripts.iter().map(|i| display(i, self).to_string()).collect();
        let access = |name: &str, list: String| {
            if list.is_empty() { name.to_owned() } else { format!("{name}[{list}]") }
        };
        format!("{}, {}", access(from, axes.join(",")), access(to, subscripts.join(",")))
    }
}

/// What a split does with the iterations that do not fill an inner loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// An `if` around the body, unless the factor divides the extent.
    Guard,
    /// A loop of its own behind, under the old name with `_tail` appended.
    Peel,
}

impl Tail {
    /// Every kind.
    pub const ALL: [Tail; 2] = [Tail::Guard, Tail::Peel];

    /// The word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Tail::Guard => "guard",
            Tail::Peel => "peel",
        }
    }
}

impl Primitive {
    /// The names of all primitives.
    pub const NAMES: [&str; 22] = [
        "split",
        "fuse",
        "tile",
        "reorder",
        "unroll",
        "vectorize",
        "parallel",
        "compute_at",
        "reverse_compute_at",
        "inline",
        "reverse_inline",
        "cache_read",
        "cache_write",
        "set_scope",
        "rfactor",
        "decompose_reduction",
        "transform_layout",
        "pack",
        "pad",
        "pipeline",
        "bind",
        "tensorize",
    ];

    /// The word in the text.
    pub fn name(&self) -> &'static str {
        match self {
            Primitive::Split { .. } => "split",
            Primitive::Fuse { .. } => "fuse",
            Primitive::Tile { .. } => "tile",
            Primitive::Reorder(_) => "reorder",
            Primitive::Unroll(_) => "unroll",
            Primitive::Vectorize(_) => "vectorize",
            Primitive::Parallel(_) => "parallel",
            Primitive::ComputeAt { .. } => "compute_at",
            Primitive::ReverseComputeAt { .. } => "reverse_compute_at",
            Primitive::Inline(_) => "inline",
            Primitive::ReverseInline(_) => "reverse_inline",
            Primitive::CacheRead { .. } => "cache_read",
            Primitive::CacheWrite { .. } => "cache_write",
            Primitive::SetScope { .. } => "set_scope",
            Primitive::DecomposeReduction { .. } => "decompose_reduction",
            Primitive::Rfactor { .. } => "rfactor",
            Primitive::TransformLayout { .. } => "transform_layout",
            Primitive::Pack { .. } => "pack",
            Primitive::Pad { .. } => "pad",
            Primitive::Pipeline { .. } => "pipeline",
            Primitive::Bind { .. } => "bind",
            Primitive::Tensorize { .. } => "tensorize",
        }
    }

    /// True if it changes loops alone, and no buffer.
    pub fn is_about_loops(&self) -> bool {
        matches!(
            self,
            Primitive::Split { .. }
                | Primitive::Fuse { .. }
                | Primitive::Tile { .. }
                | Primitive::Reorder(_)
                | Primitive::Unroll(_)
                | Primitive::Vectorize(_)
                | Primitive::Parallel(_)
                | Primitive::Bind { .. }
                | Primitive::Tensorize { .. }
        )
    }

    /// Names of what it makes.
    fn outputs(&self) -> Vec<&str> {
        match self {
            Primitive::Split { outer, inner, .. } => vec![outer, inner],
            Primitive::Fuse { fused, .. } => vec![fused],
            Primitive::Tile { outer, inner, .. } => {
                outer.iter().chain(inner).map(String::as_str).collect()
            }
            Primitive::CacheRead { cache, .. }
            | Primitive::CacheWrite { cache, .. }
            | Primitive::Pack { cache, .. } => vec![cache],
            Primitive::Rfactor { partial, .. } => vec![partial],
            Primitive::DecomposeReduction { start, .. } => vec![start],
            Primitive::Reorder(_)
            | Primitive::Unroll(_)
            | Primitive::Vectorize(_)
            | Primitive::Parallel(_)
            | Primitive::ComputeAt { .. }
            | Primitive::ReverseComputeAt { .. }
            | Primitive::Inline(_)
            | Primitive::ReverseInline(_)
            | Primitive::SetScope { .. }
            | Primitive::TransformLayout { .. }
            | Primitive::Pad { .. }
            | Primitive::Pipeline { .. }
            | Primitive::Bind { .. }
            | Primitive::Tensorize { .. } => vec![],
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Primitive::Split { target, factor, tail, .. } => {
                write!(f, "split({target}, {factor}, tail={})", tail.name())
            }
            Primitive::Tile { targets, factors, tail, .. } => {
                let factors: Vec<String> = factors.iter().map(i64::to_string).collect();
                let (targets, factors) = (targets.join(", "), factors.join(", "));
                write!(f, "tile({targets}, {factors}, tail={})", tail.name())
            }
            Primitive::Fuse { targets, .. } | Primitive::Reorder(targets) => {
                write!(f, "{}({})", self.name(), targets.join(", "))
            }
            Primitive::Unroll(target)
            | Primitive::Vectorize(target)
            | Primitive::Parallel(target)
            | Primitive::Inline(target)
            | Primitive::ReverseInline(target) => write!(f, "{}({target})", self.name()),
            Primitive::ComputeAt { block, target }
            | Primitive::ReverseComputeAt { block, target } => {
                write!(f, "{}({block}, {target})", self.name())
            }
            Primitive::CacheRead { block, buffer, at, scope, .. } => {
                write!(f, "cache_read({block}, {buffer}{}, scope={})", place(at), scope.name())
            }
            Primitive::CacheWrite { block, at, scope, .. } => {
                write!(f, "cache_write({block}{}, scope={})", place(at), scope.name())
            }
            Primitive::SetScope { buffer, scope } => {
                write!(f, "set_scope({buffer}, {})", scope.name())
            }
            Primitive::Rfactor { block, target, at, scope, .. } => {
                write!(f, "rfactor({block}, {target}{}, scope={})", place(at), scope.name())
            }
            Primitive::TransformLayout { buffer, layout } => {
                write!(f, "transform_layout({})", layout.accesses(buffer, buffer))
            }
            Primitive::Pack { block, buffer, layout, at, scope, cache } => {
                let (layout, at) = (layout.accesses(buffer, cache), place(at));
                write!(f, "pack({block}, {layout}{at}, scope={})", scope.name())
            }
            Primitive::Pad { block, multiples, fill } => {
                write!(f, "pad({block}")?;
                multiples.iter().try_for_each(|(v, n)| write!(f, ", {v}={n}"))?;
                write!(f, ", fill={})", fill.name())
            }
            Primitive::Pipeline { target, block, depth } => {
                write!(f, "pipeline({target}, {block}, depth={depth})")
            }
            Primitive::Bind { target, axis } => write!(f, "bind({target}, {})", axis.name()),
            Primitive::Tensorize { target, intrinsic } => {
                write!(f, "tensorize({target}, {})", intrinsic.name)
            }
            Primitive::DecomposeReduction { block, target, .. } => {
                write!(f, "decompose_reduction({block}, {target})")
            }
        }
    }
}

/// The option that names a loop.
fn place(at: &Option<String>) -> String {
    at.as_ref().map_or(String::new(), |name| format!(", at={name}"))
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(p) = self.permission {
            write!(f, "{} ", p.name())?;
        }
        let outputs = self.primitive.outputs();
        if !outputs.is_empty() {
            write!(f, "{} = ", outputs.join(", "))?;
        }
        self.primitive.fmt(f)
    }
}

/// The schedule as `.tir` text.
pub fn print_schedule(schedule: &Schedule) -> String {
    let mut out = format!("schedule {} {{\n", schedule.kernel);
    for d in &schedule.directives {
        let _ = writeln!(out, "    {d}");
    }
    out.push_str("}\n");
    out
}
