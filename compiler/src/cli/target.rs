//! The option that names a target.

use super::report::Failure;
use tcc::{Compiler, Target};

/// Which machine to compile for.
#[derive(clap::Args)]
pub(crate) struct TargetArg {
    /// The machine to compile for: a name of `tcc targets`, with features as in `x86_64-v2+fma`.
    #[arg(long, value_name = "TARGET", default_value = "host")]
    target: String,
}

impl TargetArg {
    pub(crate) fn compiler(&self) -> Result<Compiler, Failure> {
        if self.target == "host" {
            return Ok(Compiler::host());
        }
        let target: Target = self.target.parse().map_err(|e| Failure::usage(format!("{e}")))?;
        Ok(Compiler::new(target))
    }
}
