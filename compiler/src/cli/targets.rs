//! `tcc targets`.

use super::files;
use super::report::Failure;
use tcc::Compiler;
use tcc_ir::target::{FEATURES, level_names};

/// Lists the machines that code can be made for.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<(), Failure> {
    let mut out = format!("host is {}\n", Compiler::host().target());
    for name in level_names() {
        let (_, all, levels) = FEATURES
            .iter()
            .find(|(_, _, levels)| levels.iter().any(|(n, _)| *n == name))
            .unwrap_or_else(|| unreachable!("every level is in the table"));
        let count = levels.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count);
        let (has, more) = all.split_at(count);
        out.push_str(&format!("{name}\n    features: {}\n", list(has)));
        out.push_str(&format!("    may add:  {}\n", list(more)));
    }
    files::print(out.as_bytes())
}

fn list(features: &[&str]) -> String {
    if features.is_empty() { "none".to_owned() } else { features.join(" ") }
}
