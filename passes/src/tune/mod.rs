//! Choices that make kernels faster: what lowering is told of a definition, and a schedule.
//!
//! A [`Tuning`] is data: [`space`] changes it at random, [`search`] looks for a better one by
//! running candidates through closures, and [`apply`] replays its schedules. Nothing here can make
//! a kernel wrong: knobs choose among loops that lowering would make anyway, and schedules are
//! proved.

pub mod search;
pub mod space;

use crate::schedule;
use indexmap::IndexMap;
use std::fmt;
use std::str::FromStr;
use tcc_ir::graph::Module;
use tcc_ir::kernel::{Kernel, canonical, visit_blocks};
use tcc_ir::schedule::{Directive, Schedule};

/// Choices for the kernels and definitions of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// By the names of definitions: what their lowering is told.
    pub knobs: IndexMap<String, Knobs>,
    /// By the names of kernels: what is done to their loops after lowering.
    pub schedules: IndexMap<String, Vec<Directive>>,
}

impl Tuning {
    /// What the lowering of a definition is told.
    pub fn knobs(&self, definition: &str) -> Knobs {
        self.knobs.get(definition).copied().unwrap_or_default()
    }
}

/// What the lowering of a contraction is told; it chooses what is not set. Prints and reads as
/// `rows=8 vectors=3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Knobs {
    /// Rows of a tile.
    pub rows: Option<i64>,
    /// Vectors of a row of a tile.
    pub vectors: Option<i64>,
    /// Elements of the summed variable in a block, at most.
    pub summed: Option<i64>,
    /// Lanes of a block, at most.
    pub lanes: Option<i64>,
    /// 1 if tiles read a copy of the operand that lies in lanes, 0 if they read it where it is.
    pub copy: Option<i64>,
    /// 0 if the other operand is not packed.
    pub pack: Option<i64>,
}

impl Knobs {
    /// Every knob by its name, with the values that it may have.
    pub const ALL: [(&'static str, &'static [i64]); 6] = [
        ("rows", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 16, 20, 24, 28]),
        ("vectors", &[1, 2, 3, 4, 5, 6]),
        ("summed", &[32, 64, 96, 128, 192, 256, 384, 512, 1024]),
        ("lanes", &[64, 128, 256, 512, 1024, 2048, 4096]),
        ("copy", &[0, 1]),
        ("pack", &[0]),
    ];

    /// The knob of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<i64>> {
        Some(match name {
            "rows" => &mut self.rows,
            "vectors" => &mut self.vectors,
            "summed" => &mut self.summed,
            "lanes" => &mut self.lanes,
            "copy" => &mut self.copy,
            "pack" => &mut self.pack,
            _ => return None,
        })
    }
}

impl fmt::Display for Knobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut own = *self;
        let mut separator = "";
        for (name, _) in Knobs::ALL {
            if let Some(Some(value)) = own.get_mut(name) {
                write!(f, "{separator}{name}={value}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl FromStr for Knobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Knobs, String> {
        let mut knobs = Knobs::default();
        for word in text.split_whitespace() {
            let wrong = || format!("`{word}` is no knob with a value, as `rows=8` is");
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let known = Knobs::ALL.iter().find(|(n, _)| *n == name).ok_or_else(wrong)?;
            let value = value.parse::<i64>().ok().filter(|v| known.1.contains(v));
            *knobs.get_mut(name).ok_or_else(wrong)? = Some(value.ok_or_else(wrong)?);
        }
        Ok(knobs)
    }
}

/// Applies the schedules of a tuning to lowered kernels. A schedule that is refused, or whose
/// kernel a back end could not compile, leaves its kernel as it is and is told with the reason.
pub fn apply(module: &mut Module, tuning: &Tuning) -> Vec<(String, String)> {
    let mut refused = Vec::new();
    for (name, directives) in &tuning.schedules {
        let Some(kernel) = module.kernels.get_mut(name) else {
            refused.push((name.clone(), "there is no such kernel".to_owned()));
            continue;
        };
        let schedule = Schedule { kernel: name.clone(), directives: directives.clone() };
        match schedule::apply(kernel, &schedule) {
            // It is proved; a back end takes no `init`.
            Ok(made) => match with_init(&made) {
                None => *kernel = canonical(&made),
                Some(block) => {
                    refused.push((name.clone(), format!("block `{block}` still has an `init`")));
                }
            },
            Err(e) => refused.push((name.clone(), e.to_string())),
        }
    }
    refused
}

/// A block that has an `init`.
fn with_init(kernel: &Kernel) -> Option<String> {
    let mut found = None;
    visit_blocks(&kernel.body, &mut |b| {
        if b.init.is_some() {
            found.get_or_insert(b.name.clone());
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_print_and_read_back() {
        for text in ["", "rows=8", "rows=13 vectors=2 copy=1", "summed=64 lanes=512 pack=0"] {
            assert_eq!(text.parse::<Knobs>().map(|k| k.to_string()), Ok(text.to_owned()));
        }
        for text in ["rows", "rows=x", "rows=1000", "colour=2"] {
            assert!(text.parse::<Knobs>().is_err(), "{text}");
        }
    }
}
