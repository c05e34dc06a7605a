//! `tcc targets`.

use super::files;
use super::report::Failure;
use indexmap::IndexMap;
use std::fmt::Write;
use tcc::Compiler;
use tcc_ir::library;
use tcc_ir::target::{FEATURES, level_names};

/// Lists the machines that code can be made for, and the intrinsics that kernels may call.
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
    intrinsics(&mut out);
    files::print(out.as_bytes())
}

/// Intrinsics by the tiers of their implementations.
fn intrinsics(out: &mut String) {
    let mut groups: IndexMap<String, Vec<String>> = IndexMap::new();
    for i in library::intrinsics() {
        let built = tcc_runtime::intrinsics().filter(|x| x.symbol == i.symbol);
        let tier = |x: tcc_runtime::Implementation| {
            let here = if x.is_available() { "" } else { " (not on this machine)" };
            format!("{}{here}", x.tier)
        };
        let tiers: Vec<String> = built.map(tier).collect();
        let key = match tiers.as_slice() {
            [] => format!("{} (another architecture)", i.requires.join(" ")),
            _ => tiers.join(", "),
        };
        let share = i.flops.map_or(String::new(), |s| format!(" ({s} of the peak rate)"));
        groups.entry(key).or_default().push(format!("{}{share}", i.name));
    }
    out.push_str("intrinsics, by their implementations; the first that a machine has runs\n");
    for (tiers, names) in groups {
        let _ = writeln!(out, "    {tiers}:");
        let mut line = String::new();
        for name in names {
            if line.len() + name.len() > 88 {
                let _ = writeln!(out, "       {line}");
                line.clear();
            }
            let _ = write!(line, " {name}");
        }
        let _ = writeln!(out, "       {line}");
    }
}

fn list(features: &[&str]) -> String {
    if features.is_empty() { "none".to_owned() } else { features.join(" ") }
}
