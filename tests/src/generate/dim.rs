//! Extents of generated tensors: sums of sizes, as text and as numbers.

use std::collections::BTreeMap;
use std::fmt;

/// Values of the sizes at a call.
pub type Sizes = BTreeMap<String, i64>;

/// An extent: a constant and multiples of symbols. A symbol is a size (`N`) or half of one (`N/2`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Dim {
    terms: BTreeMap<String, i64>,
    constant: i64,
}

impl Dim {
    /// A literal.
    pub fn literal(value: i64) -> Dim {
        Dim { terms: BTreeMap::new(), constant: value }
    }

    /// A size.
    pub fn size(name: &str) -> Dim {
        Dim { terms: [(name.to_owned(), 1)].into(), constant: 0 }
    }

    /// Half of a size, rounded down.
    pub fn half(name: &str) -> Dim {
        Dim::size(&format!("{name}/2"))
    }

    /// `self * factor + constant`.
    #[must_use]
    pub fn affine(&self, factor: i64, constant: i64) -> Dim {
        let terms = self.terms.iter().map(|(s, c)| (s.clone(), c * factor)).collect();
        Dim { terms, constant: self.constant * factor + constant }
    }

    /// The sum of two extents.
    #[must_use]
    pub fn plus(&self, other: &Dim) -> Dim {
        let mut sum = self.clone();
        for (s, c) in &other.terms {
            *sum.terms.entry(s.clone()).or_insert(0) += c;
        }
        sum.constant += other.constant;
        sum
    }

    /// Replaces sizes; halves of replaced sizes only work for plain sizes.
    #[must_use]
    pub fn substitute(&self, with: &BTreeMap<String, Dim>) -> Dim {
        let mut out = Dim::literal(self.constant);
        for (s, c) in &self.terms {
            let new = match (with.get(s), s.strip_suffix("/2").and_then(|s| with.get(s))) {
                (Some(d), _) => d.clone(),
                (None, Some(d)) => match d.name() {
                    Some(name) => Dim::half(name),
                    None => Dim::literal(d.constant / 2),
                },
                (None, None) => Dim::size(s),
            };
            out = out.plus(&new.affine(*c, 0));
        }
        out
    }

    /// The size, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self.terms.iter().next() {
            Some((s, 1)) if self.terms.len() == 1 && self.constant == 0 => {
                Some(s).filter(|s| !s.contains('/')).map(String::as_str)
            }
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The extent at these sizes.
    pub fn value(&self, sizes: &Sizes) -> i64 {
        let symbol = |s: &String| match s.strip_suffix("/2") {
            Some(s) => sizes.get(s).map_or(0, |v| v.div_euclid(2)),
            None => sizes.get(s).copied().unwrap_or(0),
        };
        self.terms.iter().map(|(s, c)| c * symbol(s)).sum::<i64>() + self.constant
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (s, c) in &self.terms {
            let sign = if first { "" } else { "+" };
            match c {
                0 => continue,
                1 => write!(f, "{sign}{s}")?,
                c if *c > 0 => write!(f, "{sign}{c}*{s}")?,
                c => write!(f, "{c}*{s}")?,
            }
            first = false;
        }
        match self.constant {
            c if first => write!(f, "{c}"),
            0 => Ok(()),
            c => write!(f, "{c:+}"),
        }
    }
}
