//! What later stages may know of the machine that code is for.

/// A CPU target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    /// Features beyond the architecture's baseline, sorted, for example `avx2`.
    pub features: Vec<String>,
    /// Width of the vectors that generated loops use, in bytes.
    pub vector_bytes: u32,
    /// True if `fma` is one instruction.
    pub fma: bool,
}

impl Target {
    /// The baseline of an architecture: what every such machine has.
    pub fn baseline(architecture: &str) -> Target {
        Target {
            architecture: architecture.to_owned(),
            features: Vec::new(),
            vector_bytes: 16,
            fma: architecture == "aarch64",
        }
    }

    /// A target with these features.
    pub fn with_features(architecture: &str, mut features: Vec<String>) -> Target {
        features.sort();
        let fma = architecture == "aarch64" || features.iter().any(|f| f == "fma");
        Target { features, fma, ..Target::baseline(architecture) }
    }
}
