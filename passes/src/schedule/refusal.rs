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
    /// No buffer has the name.
    #[error("there is no buffer `{name}`; there are: {known}", known = list(known))]
    UnknownBuffer {
        /// What was asked for.
        name: String,
        /// The kernel's buffers.
        known: Vec<String>,
    },
    /// The buffer is the caller's.
    #[error("`{0}` is passed by the caller; only what the kernel allocates can change")]
    Argument(String),
    /// An intrinsic may use what the directive changes.
    #[error(
        "`{directive}` does not look into the intrinsic `{intrinsic}`; put it before `tensorize`"
    )]
    Intrinsic {
        /// The directive.
        directive: &'static str,
        /// The intrinsic.
        intrinsic: String,
    },
    /// A nest does not do what an intrinsic does.
    #[error("loop `{target}` is not what the intrinsic `{intrinsic}` does: {what}")]
    Unlike {
        /// The loop.
        target: String,
        /// The intrinsic.
        intrinsic: String,
        /// The difference.
        what: String,
    },
    /// The block is not in the loop.
    #[error("block `{block}` is not inside of loop `{target}`")]
    NotInside {
        /// The block.
        block: String,
        /// The loop.
        target: String,
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
    /// A buffer that is to be read early is written in between.
    #[error("`{buffer}` is written by block `{writer}` in {place}; choose a loop further inside")]
    WrittenInside {
        /// The buffer.
        buffer: String,
        /// The block that writes it.
        writer: String,
        /// The loop.
        place: String,
    },
    /// The block does not read the buffer.
    #[error("block `{block}` does not read `{buffer}` in {place}")]
    NotRead {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
        /// The loop.
        place: String,
    },
    /// The buffer is made where it is used.
    #[error("`{buffer}` is allocated inside of {place}; use `set_scope` to place it")]
    AllocatedInside {
        /// The buffer.
        buffer: String,
        /// The loop.
        place: String,
    },
    /// A subscript depends on data.
    #[error("block `{block}` accesses `{buffer}` at positions that depend on data")]
    DataPosition {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// Reads with defaults cannot move.
    #[error("block `{block}` reads `{buffer}` with defaults for positions out of bounds")]
    Default {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// Reads have different defaults.
    #[error(
        "block `{block}` reads `{buffer}` with several defaults, or with one that is no constant"
    )]
    Defaults {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// The part of a buffer cannot be told.
    #[error("the part of `{buffer}` that {place} uses cannot be bounded")]
    Unbounded {
        /// The buffer.
        buffer: String,
        /// The loop.
        place: String,
    },
    /// The part of a buffer is no shape.
    #[error(
        "the part of `{buffer}` that {place} uses has the extent {extent} on axis {axis}, which {}",
        if *register { "is not a number: use `scope=local` or split the loop" }
        else { "depends on the loops around: choose another loop" }
    )]
    PartExtent {
        /// The buffer.
        buffer: String,
        /// The axis.
        axis: usize,
        /// The extent.
        extent: String,
        /// The loop.
        place: String,
        /// True if only registers cannot have it.
        register: bool,
    },
    /// A buffer has no place in registers.
    #[error("the extent {extent} of `{buffer}` is not a number, as registers need")]
    SymbolicBuffer {
        /// The buffer.
        buffer: String,
        /// The extent.
        extent: String,
    },
    /// A block cannot tell its position in a part.
    #[error(
        "a subscript of `{buffer}` in block `{block}` cannot be divided into what the loops \
         around and the loops inside contribute"
    )]
    Inseparable {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// The `init` of a block would run in other iterations.
    #[error(
        "the `init` of block `{block}` would run in other iterations with `{buffer}` moved; put \
         `decompose_reduction` before"
    )]
    InitMoves {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// There is nothing to decompose.
    #[error("block `{0}` has no `init`")]
    NoInit(String),
    /// A loop around the chosen one reduces, too.
    #[error("block `{block}` reduces over loop `{target}` around, too; decompose it there")]
    OuterReduction {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// A loop moves the element as well as the reduction.
    #[error("loop `{target}` moves both what block `{block}` writes and what it reduces over")]
    MixedLoop {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// The `init` does not run first.
    #[error(
        "the iteration in which block `{block}` runs its `init` is not shown to be the first one \
         of its element"
    )]
    LateInit {
        /// The block.
        block: String,
    },
    /// Something else uses the element of a reduction.
    #[error(
        "`{buffer}`, which block `{block}` reduces into, is accessed by block `{other}` in loop \
         `{target}`, too"
    )]
    SharedReduction {
        /// The block.
        block: String,
        /// The other one.
        other: String,
        /// The buffer.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// Something other than loops decides what runs.
    #[error(
        "between loop `{target}` and block `{block}` stands a `repeat`, an `else`, or an `if` \
         that depends on data"
    )]
    Unplain {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// An expression would grow too much.
    #[error("the value of block `{block}` has more than {limit} operations when written out")]
    TooLarge {
        /// The block.
        block: String,
        /// The most.
        limit: usize,
    },
    /// Something stands beside a block in its loops.
    #[error(
        "block `{0}` is not alone in its loops, or a `let`, a `repeat`, an `else` or an `if` that \
         depends on data stands between them"
    )]
    NotAlone(String),
    /// The loops of a block do not run over the axes of what it writes.
    #[error(
        "block `{block}` does not write `{buffer}` with a loop of its own over each whole axis; \
         put this directive before those that split or fuse its loops"
    )]
    NotWhole {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// The block does not come before the loop.
    #[error("block `{block}` does not stand before loop `{target}` in the same body")]
    NotBefore {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// The block does not come behind the loop.
    #[error("block `{block}` does not stand behind loop `{target}` in the same body")]
    NotBehind {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// Another block writes the buffer.
    #[error("`{buffer}` is written by block `{other}`, too")]
    OtherWriter {
        /// The buffer.
        buffer: String,
        /// The other block.
        other: String,
    },
    /// Something outside of the loop uses the buffer.
    #[error("`{buffer}` is used by block `{user}` outside of loop `{target}`")]
    UsedOutside {
        /// The buffer.
        buffer: String,
        /// What uses it.
        user: String,
        /// The loop.
        target: String,
    },
    /// Something uses the buffer before its block.
    #[error("`{buffer}` is used by block `{user}`, which does not stand behind block `{block}`")]
    UsedEarlier {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
        /// What uses it.
        user: String,
    },
    /// Something uses what a block writes on the way.
    #[error("block `{block}` would write `{buffer}` before block `{user}` accesses it")]
    UsedBetween {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
        /// What uses it.
        user: String,
    },
    /// Nothing in the loop uses the buffer.
    #[error("{place} does not use `{buffer}`")]
    UnusedIn {
        /// The buffer.
        buffer: String,
        /// The loop.
        place: String,
    },
    /// The block updates what something else began.
    #[error("block `{block}` updates `{buffer}` without an `init`")]
    Incomplete {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// A recurrence.
    #[error("block `{block}` reads `{buffer}`, which it writes")]
    ReadsOwn {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// What a block reads changes on the way.
    #[error("`{buffer}`, which block `{block}` reads, is written by block `{writer}` on the way")]
    Changed {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
        /// The block that writes it.
        writer: String,
    },
    /// The block uses nothing that the loop makes.
    #[error("block `{block}` reads nothing that loop `{target}` writes")]
    NothingMade {
        /// The block.
        block: String,
        /// The loop.
        target: String,
    },
    /// The loop makes what a block reads in several of its iterations.
    #[error(
        "it is not shown that an iteration of loop `{target}` finishes what block `{block}` reads \
         of `{buffer}`, all of it and nothing twice"
    )]
    Unfinished {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// A reduction has its value only at its end.
    #[error(
        "block `{block}` reduces into `{buffer}`, which has its value only behind its loops; use \
         `compute_at` or `reverse_compute_at`"
    )]
    Reduces {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// No block makes what another one reads, for it alone.
    #[error(
        "block `{block}` reads no buffer that one earlier block in the same body makes for it alone"
    )]
    NoProducer {
        /// The block.
        block: String,
    },
    /// Several blocks make what another one reads.
    #[error(
        "block `{block}` reads several buffers that are made for it alone; inline all but one of \
         their blocks first"
    )]
    SeveralMade {
        /// The block.
        block: String,
    },
    /// A block reads more than one element.
    #[error(
        "block `{block}` does not read one element of `{buffer}` in each iteration, with a loop for \
         each axis"
    )]
    NotOneElement {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
    },
    /// A block does not make all that another one reads.
    #[error("block `{producer}` is not shown to make all that block `{block}` reads of `{buffer}`")]
    NotAllMade {
        /// The block that reads.
        block: String,
        /// The block that writes.
        producer: String,
        /// The buffer.
        buffer: String,
    },
    /// An element is written more than once.
    #[error("block `{block}` may write an element of `{buffer}` in several iterations")]
    WritesAgain {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// A value cannot be evaluated everywhere.
    #[error(
        "block `{block}` divides integers or reads at positions that depend on data, which may \
         fail where a read has a default"
    )]
    MayFail {
        /// The block.
        block: String,
    },
    /// The block does not reduce.
    #[error("block `{block}` assigns `{buffer}`; only a reduction has partial results")]
    NoReduction {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// The loop does not move a reduction.
    #[error("block `{block}` does not reduce into `{buffer}` over loop `{target}`")]
    NotReduced {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// A loop is no axis of a buffer.
    #[error(
        "loop `{name}` has the extent {extent}, which a buffer there cannot have; split the loop, \
         or use `scope=local` if only sizes are in it"
    )]
    ExtentVaries {
        /// The loop.
        name: String,
        /// Its extent.
        extent: String,
    },
    /// A layout is for another rank.
    #[error("the layout is for rank {given}, but `{buffer}` has rank {rank}")]
    LayoutRank {
        /// The buffer.
        buffer: String,
        /// The named ones.
        given: usize,
        /// Its own.
        rank: usize,
    },
    /// A layout puts several elements at one place.
    #[error("the layout is not shown to put different elements of `{0}` at different places")]
    LayoutMeets(String),
    /// A layout leaves the buffer.
    #[error("a subscript of the layout of `{0}` may be negative or cannot be bounded")]
    LayoutBounds(String),
    /// The block has no such variable.
    #[error("block `{block}` has no variable `{name}`; it has: {known}", known = list(known))]
    UnknownVariable {
        /// The block.
        block: String,
        /// What was asked for.
        name: String,
        /// The block's variables.
        known: Vec<String>,
    },
    /// A variable is not that of a loop of its own.
    #[error("variable `{variable}` of block `{block}` is not bound to a loop of its own from 0 on")]
    NotPaddable {
        /// The block.
        block: String,
        /// The variable.
        variable: String,
    },
    /// A buffer cannot be padded.
    #[error(
        "block `{block}` accesses `{buffer}` otherwise than with a padded variable alone on an \
         axis as long as its loop"
    )]
    NotPadded {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
    },
    /// Padding would change a reduction.
    #[error(
        "what block `{block}` combines for a longer `{variable}` is not shown to be the unit with \
         `fill={fill}`"
    )]
    AddsMore {
        /// The block.
        block: String,
        /// The variable.
        variable: String,
        /// The fill.
        fill: &'static str,
    },
    /// A type has no such value.
    #[error("`{buffer}` has elements of {dtype}, which has no `{fill}`")]
    NoFill {
        /// The buffer.
        buffer: String,
        /// The fill.
        fill: &'static str,
        /// The type.
        dtype: &'static str,
    },
    /// A pipeline has too few or too many copies.
    #[error("the depth {depth} is not between 2 and {most}")]
    Depth {
        /// What was asked for.
        depth: i64,
        /// The most.
        most: i64,
    },
    /// The loop does not allocate the buffer.
    #[error("`{buffer}` is not allocated in the body of loop `{target}` itself")]
    NotItsOwn {
        /// The buffer.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// A statement does more than copy.
    #[error(
        "block `{block}` does not stand in a statement of loop `{target}` that assigns `{buffer}`, \
         alone and before it is used, and nothing else"
    )]
    NotACopy {
        /// The block.
        block: String,
        /// The buffer.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// What a stage reads is written in the loop.
    #[error(
        "`{buffer}`, which block `{block}` would read iterations ahead, is written in loop \
         `{target}`"
    )]
    ChangedInLoop {
        /// The block.
        block: String,
        /// What it reads.
        buffer: String,
        /// The loop.
        target: String,
    },
    /// Nested loops have one axis.
    #[error("loop `{other}`, which nests with `{name}`, is bound to `{axis}`, too")]
    BoundTwice {
        /// The loop.
        name: String,
        /// The other one.
        other: String,
        /// The axis.
        axis: &'static str,
    },
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
