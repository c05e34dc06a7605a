//! The table of passes: what `--passes` may name.

use crate::graph::{
    Changed, cse, dce, delay_divisions, expand_lse, inline_calls, order_axes, order_contractions,
    pad_defaults, split_sums, widen_accumulators,
};
use crate::lower::{LowerOptions, lower};
use crate::parallelize::parallelize;
use crate::plan::Strategy;
use crate::share_kernels::share_kernels;
use crate::tune::Tuning;
use indexmap::IndexMap;
use std::fmt;
use tcc_ir::graph::{Checked, Module};
use tcc_ir::kernel::{canonical, canonical_program};
use tcc_ir::target::Target;

/// A pass by name.
pub struct Pass {
    /// Its name in a pipeline.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The options it takes, each with the values that are allowed; the first one is the default.
    pub options: &'static [(&'static str, &'static [&'static str])],
    /// What it runs.
    pub run: Run,
}

/// What a pass works on.
#[derive(Clone, Copy)]
pub enum Run {
    /// Functions of the graph level.
    Graph(fn(&mut Module, &Settings) -> Changed),
    /// From the graph level to programs and kernels.
    Lower,
    /// Kernels, and the programs that call them.
    Kernels(fn(&mut Module) -> Changed),
    /// Applies the module's schedules to its kernels.
    Schedule,
}

/// The passes, in the order of a usual pipeline.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "inline_calls",
        about: "replaces calls by the callee's equations",
        options: &[],
        run: Run::Graph(|m, _| inline_all(m)),
    },
    Pass {
        name: "expand_lse",
        about: "writes log-sum-exp reductions as a maximum, a sum and a logarithm",
        options: &[],
        run: Run::Graph(|m, _| each(m, expand_lse::expand_lse)),
    },
    Pass {
        name: "widen_accumulators",
        about: "reduces f16 and bf16 in f32",
        options: &[],
        run: Run::Graph(|m, _| each(m, widen_accumulators::widen_accumulators)),
    },
    Pass {
        name: "order_contractions",
        about: "splits n-ary products with a sum into pairs",
        options: &[("strategy", &["exact", "greedy", "left_to_right"])],
        run: Run::Graph(|m, settings| {
            let strategy = match settings.get("strategy") {
                "left_to_right" => Strategy::LeftToRight,
                "greedy" => Strategy::Greedy,
                _ => Strategy::Exact,
            };
            each(m, |f| order_contractions::order_contractions(f, strategy))
        }),
    },
    Pass {
        name: "order_axes",
        about: "orders the axes of contractions' tensors so that lanes are full",
        options: &[],
        run: Run::Graph(|m, _| each(m, order_axes::order_axes)),
    },
    Pass {
        name: "delay_divisions",
        about: "divides a sum instead of its terms",
        options: &[],
        run: Run::Graph(|m, _| each(m, delay_divisions::delay_divisions)),
    },
    Pass {
        name: "pad_defaults",
        about: "copies operands of contractions that are read with a default into a padded tensor",
        options: &[],
        run: Run::Graph(|m, _| each(m, pad_defaults::pad_defaults)),
    },
    Pass {
        name: "split_sums",
        about: "takes long reductions into few elements in parts",
        options: &[],
        run: Run::Graph(|m, _| each(m, split_sums::split_sums)),
    },
    Pass {
        name: "cse",
        about: "computes equal tensors once",
        options: &[],
        run: Run::Graph(|m, _| each(m, cse::cse)),
    },
    Pass {
        name: "dce",
        about: "drops what no result needs",
        options: &[],
        run: Run::Graph(|m, _| each(m, dce::dce)),
    },
    Pass {
        name: "lower",
        about: "makes programs and kernels of functions",
        options: &[("strided", &["false", "true"]), ("vectorize", &["true", "false"])],
        run: Run::Lower,
    },
    Pass {
        name: "share_kernels",
        about: "calls one kernel where several differ in names only",
        options: &[],
        run: Run::Kernels(share_kernels),
    },
    Pass {
        name: "parallelize",
        about: "shapes kernels so that threads can share their iterations",
        options: &[],
        run: Run::Kernels(parallelize),
    },
    Pass {
        name: "schedule",
        about: "applies the schedules of the module to its kernels",
        options: &[],
        run: Run::Schedule,
    },
];

/// The pass of this name.
pub fn find(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|p| p.name == name)
}

/// Values of a pass's options; an option that was not given has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub IndexMap<&'static str, &'static str>);

impl Settings {
    /// The value of an option that the pass declares.
    pub fn get(&self, name: &str) -> &'static str {
        self.0.get(name).copied().unwrap_or("")
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Pass {
    fn eq(&self, other: &Pass) -> bool {
        self.name == other.name
    }
}

fn each(
    module: &mut Module,
    mut pass: impl FnMut(&mut tcc_ir::graph::Function) -> Changed,
) -> Changed {
    let mut changed = false;
    for f in module.functions.values_mut() {
        changed |= pass(f).0;
    }
    Changed(changed)
}

/// Inlines every call, then drops the functions that were only there to be called.
fn inline_all(module: &mut Module) -> Changed {
    let callees = module.clone();
    let mut changed = each(module, |f| inline_calls::inline_calls(&callees, f)).0;
    let before = module.functions.len();
    let entries = module.entries.clone();
    module.functions.retain(|name, _| entries.contains(name));
    changed |= module.functions.len() != before;
    Changed(changed)
}

/// Lowers every function; kernels and programs take the functions' place.
pub(crate) fn lower_all(
    checked: &Checked<'_>,
    target: &Target,
    settings: &Settings,
    tuning: &Tuning,
) -> Module {
    let options = LowerOptions {
        strided: settings.get("strided") == "true",
        vectorize: settings.get("vectorize") == "true",
    };
    let module = checked.module();
    let mut out = Module {
        entries: module.entries.clone(),
        kernels: module.kernels.clone(),
        schedules: module.schedules.clone(),
        programs: module.programs.clone(),
        ..Module::default()
    };
    for name in module.functions.keys() {
        let lowered = lower(checked, name, target, options, tuning)
            .unwrap_or_else(|e| panic!("`lower` requires `inline_calls`: {e}"));
        out.programs.insert(name.clone(), canonical_program(&lowered.program));
        out.kernels.extend(lowered.kernels.iter().map(|(n, k)| (n.clone(), canonical(k))));
    }
    out
}
