//! What later stages may know of the machine that code is for.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A CPU target. Prints and reads as an architecture level with further features, for example
/// `x86_64-v3` or `x86_64-v2+fma`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    /// CPU features that code may use, in the order of [`FEATURES`].
    pub features: Vec<String>,
    /// Width of the vectors that generated loops use, in bytes.
    pub vector_bytes: u32,
    /// True if `fma` is one instruction.
    pub fma: bool,
}

/// Bytes of a result that, with an operand of its size, is more than the caches of a core hold:
/// such results are written past them.
pub const PAST_CACHES: i64 = 24 << 20;

/// Features of an architecture, and the names of its levels with the number of features of each.
type Levels = (&'static str, &'static [&'static str], &'static [(&'static str, usize)]);

/// Features that code may use. The x86-64 levels are those of the psABI supplement; the lowest is
/// what every such machine of the last fifteen years has.
pub const FEATURES: &[Levels] = &[
    (
        "x86_64",
        &[
            "sse3",
            "ssse3",
            "sse4.1",
            "sse4.2",
            "popcnt",
            "avx",
            "avx2",
            "fma",
            "bmi1",
            "bmi2",
            "lzcnt",
            "f16c",
            "avx512f",
            "avx512bw",
            "avx512cd",
            "avx512dq",
            "avx512vl",
            "avx512vnni",
            "avx512bf16",
        ],
        &[("x86_64-v2", 5), ("x86_64-v3", 12), ("x86_64-v4", 17)],
    ),
    ("aarch64", &["neon", "lse", "fp16"], &[("aarch64", 1)]),
];

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No such architecture level.
    #[error("there is no target `{0}`; there are: {levels}", levels = level_names().join(", "))]
    Level(String),
    /// The architecture has no such feature.
    #[error("{architecture} has no feature `{feature}`")]
    Feature {
        /// The architecture.
        architecture: String,
        /// The feature.
        feature: String,
    },
}

/// Names of all architecture levels.
pub fn level_names() -> Vec<&'static str> {
    FEATURES.iter().flat_map(|(_, _, levels)| levels.iter().map(|(name, _)| *name)).collect()
}

fn levels(architecture: &str) -> Option<&'static Levels> {
    FEATURES.iter().find(|(a, _, _)| *a == architecture)
}

impl Target {
    /// A target with those of the given features that code may use.
    pub fn with_features(architecture: &str, have: &[&str]) -> Target {
        let known = levels(architecture).map_or(&[][..], |(_, all, _)| all);
        let features: Vec<String> =
            known.iter().filter(|f| have.contains(f)).map(|f| (*f).to_owned()).collect();
        let wide = ["avx512f", "avx512bw", "avx512dq", "avx512vl", "fma", "bmi2"];
        let wide = wide.iter().all(|f| features.iter().any(|x| x == f));
        Target {
            fma: architecture == "aarch64" || features.iter().any(|f| f == "fma"),
            architecture: architecture.to_owned(),
            features,
            vector_bytes: if wide { 64 } else { 16 },
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let mut parts = text.split('+');
        let level = parts.next().unwrap_or("");
        let found = FEATURES.iter().find_map(|(architecture, all, levels)| {
            let (_, count) = levels.iter().find(|(name, _)| *name == level)?;
            Some((*architecture, *all, *count))
        });
        let (architecture, all, count) =
            found.ok_or_else(|| TargetError::Level(level.to_owned()))?;
        let mut have: Vec<&str> = all.iter().take(count).copied().collect();
        for feature in parts {
            let known = all.iter().find(|f| **f == feature);
            have.push(known.ok_or_else(|| TargetError::Feature {
                architecture: architecture.to_owned(),
                feature: feature.to_owned(),
            })?);
        }
        Ok(Target::with_features(architecture, &have))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, all, levels)) = levels(&self.architecture) else {
            return f.write_str(&self.architecture);
        };
        let has = |name: &str| self.features.iter().any(|x| x == name);
        let whole = |count: usize| all.iter().take(count).all(|x| has(x));
        let level = levels.iter().rev().find(|(_, count)| whole(*count));
        let (name, count) = level.copied().unwrap_or((self.architecture.as_str(), 0));
        f.write_str(name)?;
        all.iter().skip(count).filter(|x| has(x)).try_for_each(|x| write!(f, "+{x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_print_and_read_back() {
        for text in ["x86_64-v2", "x86_64-v2+fma", "x86_64-v3", "x86_64-v3+avx512f", "aarch64"] {
            assert_eq!(text.parse::<Target>().map(|t| t.to_string()), Ok(text.to_owned()));
        }
        assert!("x86_64-v3".parse::<Target>().is_ok_and(|t| t.fma));
        assert!("x86_64-v2".parse::<Target>().is_ok_and(|t| !t.fma));
        assert!("i386".parse::<Target>().is_err());
        assert!("aarch64+avx2".parse::<Target>().is_err());
    }
}
