//! Diagnostics: what a user is told, with a code, places in the source and a way to mend it.

use crate::span::{Sources, Span};
use std::fmt;

/// The kind of a diagnostic; prints as its word code, for example `E-SIZE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The text does not follow the grammar.
    Parse,
    /// A name is unknown, taken, or means something else here.
    Name,
    /// The number of subscripts, arguments or results is wrong.
    Rank,
    /// An element type does not fit.
    Type,
    /// Two extents that must be equal differ, or an extent cannot be found.
    Size,
    /// An implicit sum could be read in two ways.
    AmbigSum,
    /// A subscript leaves its axis for every choice of sizes.
    Oob,
    /// A tensor is defined twice, or its equations overlap.
    Redef,
    /// A fixpoint's equation is not monotone.
    NotMonotone,
    /// Equations depend on each other in a way that is neither a scan nor a fixpoint.
    Cycle,
    /// A construct that parses but is not compiled by this version.
    Unsupported,
    /// A limit on input size or nesting was exceeded.
    Limit,
    /// A schedule directive is not legal here.
    Schedule,
    /// A kernel or program is not well formed.
    Kernel,
    /// At run time: a data-dependent subscript is out of range.
    Index,
    /// At run time: a fixpoint did not converge.
    Diverge,
    /// At run time: an integer was divided by zero.
    Div,
    /// An integer left its type.
    Overflow,
    /// At a call: a shape, type or layout does not match the signature.
    Shape,
    /// At a call: a fact about the sizes does not hold.
    Fact,
    /// More memory or time is needed than allowed.
    Budget,
    /// A file cannot be read, written or understood.
    File,
    /// An image cannot be loaded.
    Image,
    /// Results differ from what was expected.
    Mismatch,
    /// A bug in tcc.
    Internal,
    /// An index is summed although it occurs only once.
    SumSurprise,
    /// A target index does not occur on the right side.
    Bcast,
    /// A size that no input shows.
    FreeSize,
}

/// Code, word, and the text of `--explain`.
const TABLE: &[(Code, &str, &str)] = &[
    (
        Code::Parse,
        "E-PARSE",
        "The text does not follow the grammar. A statement ends at the end of its line unless the line\n\
         ends with, or the next line begins with, a binary operator, `where` or `@`.\n\n    Y[i] = A[i] +      // goes on\n        B[i]\n",
    ),
    (
        Code::Name,
        "E-NAME",
        "A name is unknown, is already taken, or means something else here. An index lives in its\n\
         equation, a size in its function; an index may not bear the name of a size or tensor in scope.\n",
    ),
    (
        Code::Rank,
        "E-RANK",
        "A tensor is used with a number of subscripts that differs from its rank, or a function with a\n\
         number of arguments or results that differs from its signature.\n\n    fn f(A: f32[M,N]) -> (Y: f32[M]) {\n        Y[i] = A[i]        // A has rank 2\n    }\n",
    ),
    (
        Code::Type,
        "E-TYPE",
        "Element types do not fit. Literals, sizes and indices adopt the type of their surroundings;\n\
         everything else needs `cast(type, value)`: there is no implicit widening or narrowing.\n",
    ),
    (
        Code::Size,
        "E-SIZE",
        "An index has one domain: every bare use must have the same extent. Either two extents differ, or\n\
         no use shows the extent. State `where A == B` if they are equal, or fix the domain with\n\
         `i in n` where the index first stands.\n",
    ),
    (
        Code::AmbigSum,
        "E-AMBIG-SUM",
        "An index that the target does not bear is summed over the product it stands in. Here it stands in\n\
         a denominator, in the base of `^`, or both inside and outside of a function argument or\n\
         parenthesised sum, so that the extent of the sum could be read in two ways. Write `sum[k](...)`.\n\n    Y[i] = exp(A[i,k]) * B[k]            // sum outside or inside of exp?\n    Y[i] = sum[k](exp(A[i,k]) * B[k])\n",
    ),
    (
        Code::Oob,
        "E-OOB",
        "A subscript leaves its axis for every choice of sizes. Give the read a default\n\
         (`X[i-1]?0`), exclude the position (`where i >= 1`), or fix the index's domain\n\
         (`i in n`). A factor `[i >= 1]` does not protect a read.\n",
    ),
    (
        Code::Redef,
        "E-REDEF",
        "A tensor is defined more than once. Its equations must either all use the same accumulating\n\
         assignment (`+=`, `max=`, ...) or write regions that provably do not overlap\n\
         (`H[0] = ...`, `H[t+1] = ...`). A plain `=` must write each element once.\n",
    ),
    (
        Code::NotMonotone,
        "E-NOT-MONOTONE",
        "A fixpoint exists because every round can only move elements in one direction. The equation uses\n\
         a fixed tensor where more of it could mean less of the result (under `!`, in a comparison,\n\
         subtracted, as a subscript), or its reducer is not idempotent (`or`, `and`, `min`, `max`).\n\
         `fix(limit=N)` iterates other equations a bounded number of times.\n",
    ),
    (
        Code::Cycle,
        "E-CYCLE",
        "Equations that depend on each other must step in one direction along an axis that they share\n\
         (`H[t+1] = f(H[t])`), or stand inside `fix { ... }`.\n",
    ),
    (
        Code::Unsupported,
        "E-UNSUPPORTED",
        "The construct is part of the language but not compiled by this version.\n",
    ),
    (
        Code::Limit,
        "E-LIMIT",
        "A limit that keeps compilation bounded was exceeded: nesting depth, number of elements, size of a\n\
         literal, number of equations after inlining.\n",
    ),
    (
        Code::Schedule,
        "E-SCHEDULE",
        "A schedule directive is not legal for this kernel. The kernel is unchanged.\n",
    ),
    (
        Code::Kernel,
        "E-KERNEL",
        "A kernel or program does not satisfy the rules of the loop-nest level.\n",
    ),
    (
        Code::Index,
        "E-INDEX",
        "A subscript that depends on data was out of range while the program ran. Negative values are out\n\
         of range too. `?default` covers a read, `@drop` skips a write.\n",
    ),
    (
        Code::Diverge,
        "E-DIVERGE",
        "A fixpoint did not converge within as many rounds as it has elements, or met a NaN. A cycle of\n\
         negative weight does this to a shortest-path program.\n",
    ),
    (
        Code::Overflow,
        "E-OVERFLOW",
        "An integer sum, difference or product left its type while a run looked for that\n\
         (`tcc run --check-overflow`). Other runs wrap modulo 2^width.\n",
    ),
    (Code::Div, "E-DIV", "An integer was divided by zero while the program ran.\n"),
    (
        Code::Shape,
        "E-SHAPE",
        "An argument's element type, rank or extents differ from the signature, or two arguments disagree\n\
         about a size.\n",
    ),
    (
        Code::Fact,
        "E-FACT",
        "The sizes of this call violate a fact that the function declares (`where ...`) or that follows\n\
         from its subscripts (`tcc check` lists those).\n",
    ),
    (
        Code::Budget,
        "E-BUDGET",
        "The program needs more memory or time than the call allows. Nothing was computed.\n",
    ),
    (Code::File, "E-FILE", "A file cannot be read, written or understood.\n"),
    (
        Code::Image,
        "E-IMAGE",
        "A compiled image is damaged, of another format version, or made for another processor.\n",
    ),
    (
        Code::Mismatch,
        "E-MISMATCH",
        "A result differs from the expected one by more than the tolerance.\n",
    ),
    (
        Code::Internal,
        "E-INTERNAL",
        "A bug in tcc: an invariant of the compiler does not hold. The reproducer file replays it.\n",
    ),
    (
        Code::SumSurprise,
        "W-SUM-SURPRISE",
        "An index that occurs once in the whole program is summed over. Often this is a misspelt index.\n\
         Write the sum explicitly to silence the warning.\n\n    Y[i] = X[j]             // sums all of X into every element\n    Y[i] = sum[j](X[j])\n",
    ),
    (
        Code::Bcast,
        "W-BCAST",
        "An index of the target does not occur on the right side, so every value is repeated along it.\n\
         `@bcast` says that this is meant.\n",
    ),
    (
        Code::FreeSize,
        "W-FREE-SIZE",
        "No input shows this size, so every call must name it: `--set NAME=4` on the command line,\n\
         `.size(\"NAME\", 4)` in Rust, `NAME=4` among the arguments of a call in the text.\n",
    ),
];

impl Code {
    /// Every code, in the order of the specification.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Code, &'static str, &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or_else(|| unreachable!("a code has no row"))
    }

    /// The word code, for example `E-SIZE`.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The text of `--explain`.
    pub fn explanation(self) -> &'static str {
        self.row().2
    }

    /// Finds a code by its word, ignoring case.
    pub fn parse(word: &str) -> Option<Code> {
        TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(word)).map(|row| row.0)
    }

    /// True for a warning.
    pub fn is_warning(self) -> bool {
        self.word().starts_with("W-")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One message to the user. The message is lower case and names what was found and expected; `help`
/// says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// Where; `None` if no source text is involved.
    pub span: Option<Span>,
    /// What.
    pub message: String,
    /// Other places, each with a remark; a label at `span` itself annotates the primary place.
    pub labels: Vec<(Span, String)>,
    /// Further sentences.
    pub notes: Vec<String>,
    /// How to mend it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { span: Some(span), ..Diagnostic::plain(code, message) }
    }

    /// A diagnostic without a place in a source text.
    pub fn plain(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            span: None,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Adds a labelled place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds a sentence.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Says how to mend it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }
}

/// All diagnostics of one run, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one; identical repeats are dropped.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let same_place = |d: &Diagnostic| match (d.span, diagnostic.span) {
            (Some(a), Some(b)) => (a.source, a.start, a.end) == (b.source, b.start, b.end),
            (a, b) => a.is_none() && b.is_none(),
        };
        if !self.0.iter().any(|d| *d == diagnostic && same_place(d)) {
            self.0.push(diagnostic);
        }
    }

    /// True if at least one is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| !d.code.is_warning())
    }

    /// Sorts by place in the text; diagnostics without a place come last.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|d| {
            d.span.map_or((u32::MAX, u32::MAX, 0), |s| {
                (cranelift_entity::EntityRef::index(s.source) as u32, s.start, s.end)
            })
        });
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(d: Diagnostic) -> Self {
        Diagnostics(vec![d])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        iter.into_iter().for_each(|d| self.push(d));
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Diagnostics as plain text: `E-SIZE file.tir:3:12: message`, then labels, notes and help, each on
/// a line of its own.
pub fn render_plain(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let place = |s: Span| {
        let (line, column) = sources.line_column(s.source, s.start);
        format!("{}:{line}:{column}: ", sources.get(s.source).0)
    };
    let mut out = String::new();
    let mut add = |line: String| {
        out.push_str(&line);
        out.push('\n');
    };
    for d in &diagnostics.0 {
        let at = d.span.map(place).unwrap_or_default();
        let separator = if at.is_empty() { ": " } else { " " };
        add(format!("{}{separator}{at}{}", d.code, d.message));
        d.labels.iter().for_each(|(s, text)| add(format!("  {}{text}", place(*s))));
        d.notes.iter().for_each(|n| add(format!("  note: {n}")));
        d.help.iter().for_each(|h| add(format!("  help: {h}")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_and_an_explanation() {
        for code in Code::all() {
            assert_eq!(Code::parse(code.word()), Some(code));
            assert!(code.explanation().ends_with('\n'), "{code}");
        }
        assert_eq!(Code::all().count(), Code::FreeSize as usize + 1);
    }
}
