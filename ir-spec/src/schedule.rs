//! Schedules: how a kernel's loops are to run, as data. `passes::schedule` applies them.

use crate::span::Span;
use std::fmt::{self, Write};

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
    /// `io, jo, ii, ji = tile(i, j, 14, 32, tail=guard)`: nested loops become loops over tiles around
    /// loops over the elements of a tile.
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
    /// `reorder(a, b, c)`: perfectly nested loops in a new order, outermost first.
    Reorder(Vec<String>),
    /// `unroll(i)`
    Unroll(String),
    /// `vectorize(i)`
    Vectorize(String),
    /// `parallel(i)`
    Parallel(String),
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
    pub const NAMES: [&str; 7] =
        ["split", "fuse", "tile", "reorder", "unroll", "vectorize", "parallel"];

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
        }
    }

    /// Names of what it makes.
    fn outputs(&self) -> Vec<&str> {
        match self {
            Primitive::Split { outer, inner, .. } => vec![outer, inner],
            Primitive::Fuse { fused, .. } => vec![fused],
            Primitive::Tile { outer, inner, .. } => {
                outer.iter().chain(inner).map(String::as_str).collect()
            }
            Primitive::Reorder(_)
            | Primitive::Unroll(_)
            | Primitive::Vectorize(_)
            | Primitive::Parallel(_) => vec![],
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
            | Primitive::Parallel(target) => write!(f, "{}({target})", self.name()),
        }
    }
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
