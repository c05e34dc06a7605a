//! Reasons why directives are refused.

use thiserror::Error;

/// Why a directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No loop has the name.
    #[error("there is no loop `{name}`; there are: {known}", known = list(known))]
    UnknownLoop {
        /// What was asked for.
        name: String,
        /// The kernel's loops.
        known: Vec<String>,
    },
    /// Several loops have the name.
    #[error("{count} loops have the name `{name}`")]
    AmbiguousLoop {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// No block has the name.
    #[error("there is no block `{name}`; there are: {known}", known = list(known))]
    UnknownBlock {
        /// What was asked for.
        name: String,
        /// The kernel's blocks.
        known: Vec<String>,
    },
    /// Several blocks have the name.
    #[error("{count} blocks have the name `{name}`")]
    AmbiguousBlock {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The loop has a data-dependent end.
    #[error("`{0}` counts the rounds of a `repeat`, which run in order")]
    Repeat(String),
    /// A name for a new loop is in use.
    #[error("`{0}` already means something in the kernel")]
    TakenName(String),
    /// The factor of a split is not positive.
    #[error("the factor {0} is not positive")]
    Factor(i64),
    /// The loop is not a plain one.
    #[error("loop `{name}` is already marked `{kind}`")]
    Marked {
        /// The loop.
        name: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The extent is not a number.
    #[error("the extent {extent} of loop `{name}` is not a number; split it first")]
    Symbolic {
        /// The loop.
        name: String,
        /// Its extent.
        extent: String,
    },
    /// The extent is too large to copy the body that often.
    #[error("loop `{name}` has {extent} iterations, more than the {limit} that may be copied")]
    TooLong {
        /// The loop.
        name: String,
        /// Its extent.
        extent: i64,
        /// The most.
        limit: i64,
    },
    /// A loop stands twice in a list.
    #[error("loop `{0}` is named twice")]
    Twice(String),
    /// The loops do not nest.
    #[error("loop `{inner}` is not inside loop `{outer}`")]
    NotNested {
        /// One loop.
        outer: String,
        /// The other.
        inner: String,
    },
    /// Something stands between two loops.
    #[error("between loop `{outer}` and loop `{inner}` stands {what}")]
    NotPerfect {
        /// The loop around.
        outer: String,
        /// The loop inside.
        inner: String,
        /// What is in the way.
        what: String,
    },
    /// One loop is not the whole body of another.
    #[error("loop `{inner}` is not directly inside of loop `{outer}`; reorder the loops first")]
    NotDirectlyInside {
        /// The loop around.
        outer: String,
        /// The loop inside.
        inner: String,
    },
    /// The bound of one loop depends on another.
    #[error("the bounds of loop `{inner}` depend on loop `{outer}`")]
    NotRectangular {
        /// The loop that the bounds mention.
        outer: String,
        /// The loop with the bounds.
        inner: String,
    },
    /// Iterations depend on each other and would change their order.
    #[error(
        "iterations of loops {loops} must keep their order: {blocks} elements of `{buffer}`",
        loops = list(loops), blocks = sharing(from, to)
    )]
    Dependence {
        /// A block.
        from: String,
        /// The same or another block.
        to: String,
        /// The buffer.
        buffer: String,
        /// The loops that carry the dependence.
        loops: Vec<String>,
    },
    /// A sum of floats would combine in another order.
    #[error(
        "the values that block `{block}` combines in `{buffer}` would be taken in another order \
         of loops {loops}, which rounds differently; write `reassociate` before the directive to \
         allow it", loops = list(loops)
    )]
    Reassociates {
        /// The block.
        block: String,
        /// What it writes.
        buffer: String,
        /// The loops that it reduces over.
        loops: Vec<String>,
    },
    /// A tail cannot be peeled off an extent that may be negative.
    #[error("the extent {extent} of loop `{name}` may be negative; use `tail=guard`")]
    Negative {
        /// The loop.
        name: String,
        /// Its extent.
        extent: String,
    },
    /// The scheduled kernel does not verify.
    #[error("{}", .0.join("; "))]
    Unproved(Vec<String>),
    /// `unsafe` where nothing is taken on trust.
    #[error("`unsafe` does not apply to `{0}`: the verifier of kernels wants the proof itself")]
    Unsafe(&'static str),
    /// `reassociate` where nothing combines in another order.
    #[error("`reassociate` does not apply to `{0}`, which keeps every value; leave it out")]
    Reassociate(&'static str),
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn sharing(from: &str, to: &str) -> String {
    if from == to {
        format!("block `{from}` shares")
    } else {
        format!("blocks `{from}` and `{to}` share")
    }
}
