//! Cranelift's description of a target.

use crate::backend::{BackendError, Target};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

/// Features by the names of the runtime, and Cranelift's settings for them.
const X86: &[(&str, &str)] = &[
    ("sse3", "has_sse3"),
    ("ssse3", "has_ssse3"),
    ("sse4.1", "has_sse41"),
    ("sse4.2", "has_sse42"),
    ("popcnt", "has_popcnt"),
    ("avx", "has_avx"),
    ("avx2", "has_avx2"),
    ("fma", "has_fma"),
    ("bmi1", "has_bmi1"),
    ("bmi2", "has_bmi2"),
    ("lzcnt", "has_lzcnt"),
    ("avx512f", "has_avx512f"),
    ("avx512dq", "has_avx512dq"),
    ("avx512vl", "has_avx512vl"),
    ("avx512vbmi", "has_avx512vbmi"),
    ("avx512bitalg", "has_avx512bitalg"),
];

const ARM: &[(&str, &str)] = &[("lse", "has_lse"), ("fp16", "has_fp16")];

fn table(architecture: &str) -> &'static [(&'static str, &'static str)] {
    match architecture {
        "x86_64" => X86,
        "aarch64" => ARM,
        _ => &[],
    }
}

/// The instruction set of a target. `pic` makes code for object files.
pub(crate) fn isa(target: &Target, pic: bool) -> Result<OwnedTargetIsa, BackendError> {
    let unknown = |message: String| BackendError::Target { target: target.to_string(), message };
    // Calls follow the convention of the machine that compiles.
    let mut triple = target_lexicon::Triple::host();
    triple.architecture = target
        .architecture
        .parse()
        .map_err(|()| unknown("Cranelift does not know the architecture".to_owned()))?;
    let mut flags = settings::builder();
    let mut set = |name: &str, value: &str| {
        flags.set(name, value).unwrap_or_else(|e| unreachable!("the setting {name}: {e}"));
    };
    set("opt_level", "none");
    set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" });
    set("is_pic", if pic { "true" } else { "false" });
    set("unwind_info", "false");
    set("enable_probestack", "false");
    let mut builder = isa::lookup(triple).map_err(|e| unknown(e.to_string()))?;
    for (name, setting) in table(&target.architecture) {
        if target.features.iter().any(|f| f == name) {
            builder.enable(setting).map_err(|e| unknown(e.to_string()))?;
        }
    }
    builder.finish(settings::Flags::new(flags)).map_err(|e| unknown(e.to_string()))
}
