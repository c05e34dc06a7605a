//! Generated programs through interpreter and compiled code: what must be equal, and what differs.
//!
//! The reference is the interpreter over reals with error bounds ([`Oracle`]); compiled code has to
//! give integers and bools exactly, and reals within the bound of any legal order of operations.
//! Where a bound leaves a comparison open, compiled code has to do bit by bit what the interpreter
//! of the loop-nest level does with the same kernels.

mod compare;
mod engine;
mod layout;
mod mutate;
mod oracle;
mod schedule;
mod shrink;

pub use compare::{Difference, Tally, identical, within_bounds};
pub use engine::{
    Run, Subject, Verdict, Way, compare as compare_lowered, edge_runs, execute, judge, random_runs,
    read, reference, runs_of, show, stop_code,
};
pub use layout::Layout;
pub use mutate::Bug;
pub use oracle::{Oracle, Reference};
pub use schedule::{Applied, reschedule};
pub use shrink::shrink;
