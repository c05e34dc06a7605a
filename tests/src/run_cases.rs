//! Run cases: functions, and after them inputs and expected results as comments.
//!
//! ```text
//! // test: run
//! fn main(X: f32[B,N]) -> (Y: f32[B,N]) {
//!     Y = relu(X)
//! }
//! // run main
//! // in X: f32[1,3] = -1 0 2.5
//! // out Y: f32[1,3] = 0 0 2.5
//! ```
//!
//! A run is `// run <function>`, or `// run <function> by <kernel>` for a kernel of the text that
//! does the function's work; then lines `// size NAME = 4` and `// in NAME: TYPE[EXTENTS] =
//! ELEMENTS`, and either `// out ...` for each result or `// error E-CODE`. Elements go on over
//! lines that begin with `//` and four spaces. They are numbers, `inf`, `-inf`, `nan`, `true`,
//! `false`, or `1-2.5i`.

use std::fmt;
use tcc_abi::{DType, Scalar};

/// A file of run cases.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCases {
    /// The whole text; runs are comments in it.
    pub text: String,
    /// The runs, in order.
    pub runs: Vec<Run>,
}

/// One call with its inputs and what it gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Line of `// run`.
    pub line: usize,
    /// The function that is called.
    pub function: String,
    /// The kernel that is called instead of those that the function is lowered to.
    pub kernel: Option<String>,
    /// Sizes that no input shows.
    pub sizes: Vec<(String, i64)>,
    /// Inputs by name.
    pub inputs: Vec<(String, CaseTensor)>,
    /// What is expected.
    pub outcome: Outcome,
}

/// What a run gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Results by name.
    Outputs(Vec<(String, CaseTensor)>),
    /// A run-time error with this code.
    Error(String),
}

/// A tensor as written in a case.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseTensor {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub elements: Vec<Scalar>,
}

/// Why a text is no run case.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseError {
    /// The line, from 1.
    pub line: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for CaseError {}

/// First line of a file of run cases.
pub const HEAD: &str = "// test: run";

/// Reads a file of run cases.
pub fn parse(text: &str) -> Result<RunCases, CaseError> {
    if text.lines().next() != Some(HEAD) {
        return Err(CaseError { line: 1, message: format!("expected `{HEAD}`") });
    }
    let mut runs: Vec<Run> = Vec::new();
    for (line, entry) in entries(text) {
        let at = |message| CaseError { line, message };
        let (word, rest) = entry.split_once(' ').unwrap_or((&entry, ""));
        if word == "run" {
            let (function, kernel) = called(rest)
                .ok_or_else(|| at("expected `run <function> [by <kernel>]`".to_owned()))?;
            let (sizes, inputs) = (Vec::new(), Vec::new());
            let outcome = Outcome::Outputs(Vec::new());
            runs.push(Run { line, function, kernel, sizes, inputs, outcome });
            continue;
        }
        let Some(run) = runs.last_mut() else { continue };
        add_entry(run, word, rest).map_err(at)?;
    }
    if let Some(r) = runs.iter().find(|r| r.outcome == Outcome::Outputs(Vec::new())) {
        let message = "the run has neither `out` nor `error`".to_owned();
        return Err(CaseError { line: r.line, message });
    }
    if runs.is_empty() {
        let message = "the file has no `// run <function>`".to_owned();
        return Err(CaseError { line: text.lines().count(), message });
    }
    Ok(RunCases { text: text.to_owned(), runs })
}

/// Reads `f` or `f by k`.
fn called(text: &str) -> Option<(String, Option<String>)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [f] => Some(((*f).to_owned(), None)),
        [f, "by", k] => Some(((*f).to_owned(), Some((*k).to_owned()))),
        _ => None,
    }
}

/// Comment lines with their continuations joined, each with the number of its first line.
fn entries(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (k, line) in text.lines().enumerate() {
        let Some(rest) = line.strip_prefix("//") else { continue };
        match (rest.strip_prefix("    "), out.last_mut()) {
            (Some(more), Some((_, entry))) => {
                entry.push(' ');
                entry.push_str(more);
            }
            _ => out.push((k + 1, rest.trim().to_owned())),
        }
    }
    out
}

fn add_entry(run: &mut Run, word: &str, rest: &str) -> Result<(), String> {
    match (word, &mut run.outcome) {
        ("size", _) => {
            let parts = rest.split_once('=').map(|(n, v)| (n.trim(), v.trim().parse()));
            let Some((name, Ok(value))) = parts else {
                return Err(format!("expected `size NAME = 4`, found `size {rest}`"));
            };
            run.sizes.push((name.to_owned(), value));
        }
        ("in", _) => run.inputs.push(named_tensor(rest)?),
        ("out", Outcome::Outputs(out)) => out.push(named_tensor(rest)?),
        ("error", Outcome::Outputs(out)) if out.is_empty() => {
            run.outcome = Outcome::Error(rest.trim().to_owned());
        }
        ("out" | "error", _) => {
            return Err("a run has either results or one error".to_owned());
        }
        _ => {
            return Err(format!("expected `run`, `size`, `in`, `out` or `error`, found `{word}`"));
        }
    }
    Ok(())
}

/// Reads `X: f32[2,3] = 1 2 3 4 5 6`.
fn named_tensor(text: &str) -> Result<(String, CaseTensor), String> {
    let shown = || text.chars().take(40).collect::<String>();
    let expected = || format!("expected `NAME: TYPE[EXTENTS] = ELEMENTS`, found `{}`", shown());
    let (name, rest) = text.split_once(':').ok_or_else(expected)?;
    let (ty, elements) = rest.split_once('=').ok_or_else(expected)?;
    let (dtype, extents) = match ty.trim().split_once('[') {
        Some((d, e)) => (d, e.strip_suffix(']').ok_or_else(expected)?),
        None => (ty.trim(), ""),
    };
    let dtype = DType::parse(dtype).ok_or_else(|| format!("unknown element type `{dtype}`"))?;
    let extents = extents.split(',').map(str::trim).filter(|e| !e.is_empty());
    let shape: Vec<usize> = extents
        .map(|e| e.parse().map_err(|_| format!("`{e}` is no extent")))
        .collect::<Result<_, _>>()?;
    let elements: Vec<Scalar> =
        elements.split_whitespace().map(|e| element(dtype, e)).collect::<Result<_, _>>()?;
    let count: usize = shape.iter().product();
    if elements.len() != count {
        let have = elements.len();
        return Err(format!("`{}` has {count} elements, but {have} are given", name.trim()));
    }
    Ok((name.trim().to_owned(), CaseTensor { dtype, shape, elements }))
}

fn element(dtype: DType, text: &str) -> Result<Scalar, String> {
    let wrong = || format!("`{text}` is no {dtype}");
    if dtype == DType::Bool {
        return text.parse().map(Scalar::from_bool).map_err(|_| wrong());
    }
    if let Some((lowest, highest)) = dtype.int_range() {
        let value: i128 = text.parse().map_err(|_| wrong())?;
        let fits = (lowest..=highest).contains(&value);
        return if fits { Ok(Scalar::from_i128(dtype, value)) } else { Err(wrong()) };
    }
    if let (true, Some(parts)) = (dtype.is_complex(), text.strip_suffix('i')) {
        let sign = |(k, c): &(usize, char)| {
            let exponent = parts.get(..*k).is_some_and(|before| before.ends_with('e'));
            *k > 0 && matches!(c, '+' | '-') && !exponent
        };
        let (middle, _) = parts.char_indices().rfind(sign).ok_or_else(wrong)?;
        let (re, im) = parts.split_at(middle);
        let (re, im) = (re.parse().map_err(|_| wrong())?, im.parse().map_err(|_| wrong())?);
        return Ok(Scalar::from_parts(dtype, re, im));
    }
    text.parse().map(|x| Scalar::from_f64(dtype, x)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_runs() {
        let text = "// test: run\nfn f() {\n}\n// run f\n// size N = 2\n// in X: c64[2] = 1-2i\n\
                    //    1e-2+0.5i\n// out Y: bool = true\n// run f by k\n// error E-INDEX\n";
        let cases = parse(text).unwrap();
        let [a, b] = cases.runs.as_slice() else { panic!("two runs") };
        assert_eq!((a.line, a.function.as_str()), (4, "f"));
        assert_eq!(a.sizes, [("N".to_owned(), 2)]);
        assert_eq!(a.inputs[0].1.elements[1].to_parts(), (f64::from(0.01f32), 0.5));
        assert_eq!((a.kernel.as_deref(), b.kernel.as_deref()), (None, Some("k")));
        assert_eq!(b.outcome, Outcome::Error("E-INDEX".to_owned()));
    }

    #[test]
    fn reports_mistakes() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(message("fn f"), "line 1: expected `// test: run`");
        assert_eq!(
            message("// test: run\n// run f\n// in X: f32[2] = 1\n"),
            "line 3: `X` has 2 elements, but 1 are given"
        );
        assert_eq!(
            message("// test: run\n// run f\n// in X: u8[1] = 256\n"),
            "line 3: `256` is no u8"
        );
        assert_eq!(
            message("// test: run\n// run f\n"),
            "line 2: the run has neither `out` nor `error`"
        );
    }
}
