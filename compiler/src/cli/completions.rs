//! `tcc completions`.

use super::report::Failure;
use super::{Cli, files};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Prints a completion script for a shell.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(a: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(a.shell, &mut Cli::command(), "tcc", &mut script);
    files::print(&script)
}
