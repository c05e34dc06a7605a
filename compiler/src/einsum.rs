//! Einsum equations on tensors: `tcc::einsum("ij,jk->ik", &[a, b])`.
//!
//! The equation becomes `.tir` text, one equation with an index for each label, and is compiled as
//! any other program. Labels may repeat in an operand (diagonal) and in the result (embedded
//! diagonal); a label of the result that no operand has needs a size. Equal labels have equal
//! extents, unless [`Einsum::compat_numpy`] asks for numpy's rules.

use crate::{Compiler, DType, Error, Executable, SourceError, Tensor, TensorView};
use std::collections::HashMap;
use std::fmt::Write;
use tcc_ir::diag::{Code, Diagnostic};
use tcc_ir::span::{Sources, Span};
use tcc_ir::text::einsum::{self, Label};

/// Evaluates an einsum equation.
///
/// ```
/// use tcc::TensorView;
///
/// let a = TensorView::from_slice(&[1.0f64, 2.0, 3.0, 4.0], &[2, 2])?;
/// let trace = tcc::einsum("ii->", &[a])?;
/// assert_eq!(trace.as_slice::<f64>()?, [5.0]);
/// # Ok::<(), tcc::Error>(())
/// ```
///
/// # Errors
/// The equation has a mistake, or the operands do not fit it.
pub fn einsum(equation: &str, operands: &[TensorView<'_>]) -> Result<Tensor, Error> {
    Einsum::parse(equation)?.evaluate(&Compiler::host(), operands)
}

/// An einsum equation with its rules.
#[derive(Clone, Debug)]
pub struct Einsum {
    text: String,
    equation: einsum::Einsum,
    semiring: Option<String>,
    numpy: bool,
    sizes: Vec<(String, i64)>,
}

/// An axis of an operand or of the result.
#[derive(Clone, Debug, PartialEq)]
enum Axis {
    /// The number of the label's index.
    Index(usize),
    /// A size-1 axis that is broadcast.
    Single,
}

/// The equation on operands of known ranks: an index for every label and every axis of the
/// ellipsis.
struct Resolved {
    inputs: Vec<Vec<Axis>>,
    output: Vec<Axis>,
    /// Whether some operand shows the extent of an index.
    shown: Vec<bool>,
    /// The label of each index; none for an axis of the ellipsis.
    labels: Vec<Option<String>>,
}

impl Einsum {
    /// Reads an equation such as `"bij,bjk->bik"` or `"...ij,jk"`. Labels are letters of any
    /// alphabet.
    ///
    /// # Errors
    /// The text is no equation.
    pub fn parse(text: &str) -> Result<Einsum, Error> {
        match einsum::parse(text) {
            Ok(equation) => Ok(Einsum::new(text, equation)),
            Err(message) => Err(mistake(text, Code::Parse, message)),
        }
    }

    /// The interleaved form of numpy: a list of labels for each operand, and for the result.
    ///
    /// Without `output` the result has the labels that occur once, in increasing order.
    pub fn from_labels(inputs: &[&[u32]], output: Option<&[u32]>) -> Einsum {
        let list =
            |labels: &[u32]| labels.iter().map(|l| Label::Name(format!("{l:010}"))).collect();
        let inputs: Vec<Vec<Label>> = inputs.iter().map(|l| list(l)).collect();
        let explicit = output.is_some();
        let output = output.map_or_else(|| einsum::implicit_output(&inputs), list);
        Einsum::new("<labels>", einsum::Einsum { inputs, output, explicit })
    }

    fn new(text: &str, equation: einsum::Einsum) -> Einsum {
        let text = text.to_owned();
        Einsum { text, equation, semiring: None, numpy: false, sizes: Vec::new() }
    }

    /// Another semiring than that of numbers: `bool`, `maxplus`, `minplus`, `maxmul`, `log`.
    #[must_use]
    pub fn semiring(mut self, name: &str) -> Einsum {
        self.semiring = Some(name.to_owned());
        self
    }

    /// Numpy's rules where they differ: an axis of extent 1 is repeated to the extent that its
    /// label has elsewhere; a repeated or unknown label of the result is an error; labels are the
    /// 52 ASCII letters.
    #[must_use]
    pub fn compat_numpy(mut self) -> Einsum {
        self.numpy = true;
        self
    }

    /// The extent of a label that no operand has.
    #[must_use]
    pub fn size(mut self, label: &str, extent: i64) -> Einsum {
        self.sizes.push((label.to_owned(), extent));
        self
    }

    /// Compiles for operands of these element types and shapes.
    ///
    /// # Errors
    /// The operands do not fit the equation.
    pub fn compile(
        &self,
        compiler: &Compiler,
        operands: &[(DType, &[usize])],
    ) -> Result<Executable, Error> {
        compiler.compile(&self.source(operands)?)
    }

    /// Compiles and runs.
    ///
    /// # Errors
    /// The operands do not fit the equation.
    pub fn evaluate(
        &self,
        compiler: &Compiler,
        operands: &[TensorView<'_>],
    ) -> Result<Tensor, Error> {
        let shapes: Vec<(DType, &[usize])> =
            operands.iter().map(|v| (v.dtype(), v.shape())).collect();
        let executable = self.compile(compiler, &shapes)?;
        let mut results = executable.run(operands)?;
        Ok(results.pop().unwrap_or_else(|| unreachable!("an einsum has one result")))
    }

    fn fails<T>(&self, code: Code, message: impl Into<String>) -> Result<T, Error> {
        Err(mistake(&self.text, code, message))
    }

    /// The program that computes the equation.
    ///
    /// # Errors
    /// The operands do not fit the equation.
    pub fn source(&self, operands: &[(DType, &[usize])]) -> Result<String, Error> {
        let resolved = self.resolve(operands)?;
        let dtype = operands.first().map_or(DType::F64, |(dtype, _)| *dtype);
        if let Some(k) = operands.iter().position(|(d, _)| *d != dtype) {
            let found = operands.get(k).map_or(dtype, |(d, _)| *d);
            let message =
                format!("operand 1 is {dtype}, operand {} is {found}; give them one type", k + 1);
            return self.fails(Code::Type, message);
        }
        let size = |axis: &Axis| match axis {
            Axis::Single => "1".to_owned(),
            Axis::Index(i) => match self.given(&resolved, *i) {
                Some(n) => n.to_string(),
                None => format!("N{i}"),
            },
        };
        let read = |axis: &Axis| match axis {
            Axis::Single => "0".to_owned(),
            Axis::Index(i) => format!("i{i}"),
        };
        let bracket = |axes: &[Axis], text: &dyn Fn(&Axis) -> String| {
            let list: Vec<String> = axes.iter().map(text).collect();
            if list.is_empty() { String::new() } else { format!("[{}]", list.join(",")) }
        };
        let (mut params, mut factors) = (Vec::new(), Vec::new());
        for (k, axes) in resolved.inputs.iter().enumerate() {
            params.push(format!("A{k}: {dtype}{}", bracket(axes, &size)));
            factors.push(format!("A{k}{}", bracket(axes, &read)));
        }
        let mut body = factors.join(" * ");
        if body.is_empty() {
            body.push('1');
        }
        let semiring = match (&self.semiring, dtype) {
            (Some(name), _) => Some(name.as_str()),
            (None, DType::Bool) => Some("bool"),
            (None, _) => None,
        };
        let assign = semiring.map_or("=".to_owned(), |s| format!("=<{s}>"));
        let result = bracket(&resolved.output, &size);
        let target = bracket(&resolved.output, &read);
        let mut text = format!("fn contract({}) -> (Y: {dtype}{result}) {{\n", params.join(", "));
        let _ = writeln!(text, "    Y{target} {assign} {body} @bcast");
        text.push_str("}\n");
        Ok(text)
    }

    /// The extent that was given for an index by its label.
    fn given(&self, resolved: &Resolved, index: usize) -> Option<i64> {
        let label = resolved.labels.get(index)?.as_ref()?;
        let shown = resolved.shown.get(index).copied().unwrap_or(false);
        self.sizes.iter().find(|(l, _)| l == label && !shown).map(|(_, n)| *n)
    }

    fn resolve(&self, operands: &[(DType, &[usize])]) -> Result<Resolved, Error> {
        let mut inputs = self.equation.inputs.clone();
        if inputs.is_empty() && operands.len() == 1 {
            inputs.push(Vec::new());
        }
        if inputs.len() != operands.len() {
            let (n, found) = (inputs.len(), operands.len());
            let s = if n == 1 { "" } else { "s" };
            return self
                .fails(Code::Rank, format!("the equation has {n} operand{s}, found {found}"));
        }
        if self.numpy {
            self.numpy_rules(&inputs)?;
        }
        let mut open = 0;
        for (k, (labels, (_, shape))) in inputs.iter().zip(operands).enumerate() {
            let named = labels.iter().filter(|l| **l != Label::Ellipsis).count();
            let free = labels.len() - named;
            if named > shape.len() || (free == 0 && named < shape.len()) {
                let least = if free == 0 { "" } else { "at least " };
                let message = format!(
                    "operand {} has rank {}, its labels `{}` name {least}{named} axes",
                    k + 1,
                    shape.len(),
                    show(labels)
                );
                return self.fails(Code::Rank, message);
            }
            open = open.max(if free == 0 { 0 } else { shape.len() - named });
        }
        let mut r = Numbering { open, numbers: HashMap::new(), labels: vec![None; open] };
        let mut axes: Vec<Vec<Axis>> = Vec::new();
        for (labels, (_, shape)) in inputs.iter().zip(operands) {
            let named = labels.iter().filter(|l| **l != Label::Ellipsis).count();
            axes.push(r.axes(labels, shape.len() - named));
        }
        let output = r.axes(&self.equation.output, open);
        let shown = self.extents(&mut axes, operands, &r)?;
        let resolved = Resolved { inputs: axes, output, shown, labels: r.labels };
        for axis in &resolved.output {
            if let Axis::Index(i) = axis
                && !resolved.shown.get(*i).copied().unwrap_or(false)
                && self.given(&resolved, *i).is_none()
            {
                let label = resolved.labels.get(*i).and_then(Option::as_deref).unwrap_or("...");
                let message = format!("no operand has the label `{label}` of the result");
                return self.fails(Code::Size, message);
            }
        }
        Ok(resolved)
    }

    /// Which indices an operand shows. Under numpy's rules, and along the ellipsis, an axis of
    /// extent 1 becomes a broadcast one if the extent is another elsewhere; otherwise extents must
    /// agree.
    fn extents(
        &self,
        axes: &mut [Vec<Axis>],
        operands: &[(DType, &[usize])],
        r: &Numbering,
    ) -> Result<Vec<bool>, Error> {
        let mut extents: Vec<Option<usize>> = vec![None; r.labels.len()];
        let pairs = || axes.iter().zip(operands).flat_map(|(a, (_, s))| a.iter().zip(s.iter()));
        for (axis, extent) in pairs() {
            let Axis::Index(i) = axis else { continue };
            let Some(slot) = extents.get_mut(*i) else { continue };
            let stretches = self.numpy || *i < r.open;
            match *slot {
                Some(known) if known == *extent || (stretches && *extent == 1) => {}
                Some(known) if !(stretches && known == 1) => {
                    let label = r.labels.get(*i).and_then(Option::as_deref).unwrap_or("...");
                    let message = format!("the label `{label}` has extents {known} and {extent}");
                    return self.fails(Code::Size, message);
                }
                _ => *slot = Some(*extent),
            }
        }
        for (list, (_, shape)) in axes.iter_mut().zip(operands) {
            for (axis, extent) in list.iter_mut().zip(shape.iter()) {
                if let Axis::Index(i) = axis
                    && *extent == 1
                    && extents.get(*i).copied().flatten() != Some(1)
                {
                    *axis = Axis::Single;
                }
            }
        }
        Ok(extents.iter().map(Option::is_some).collect())
    }

    fn numpy_rules(&self, inputs: &[Vec<Label>]) -> Result<(), Error> {
        let output = &self.equation.output;
        for (k, label) in output.iter().enumerate() {
            if output.iter().take(k).any(|l| l == label) {
                let message =
                    format!("numpy: the result has the label `{}` twice", show_one(label));
                return self.fails(Code::Name, message);
            }
            if *label != Label::Ellipsis && !inputs.iter().flatten().any(|l| l == label) {
                let message =
                    format!("numpy: no operand has the label `{}` of the result", show_one(label));
                return self.fails(Code::Name, message);
            }
        }
        let open = inputs.iter().flatten().any(|l| *l == Label::Ellipsis);
        if open && !output.contains(&Label::Ellipsis) {
            return self.fails(Code::Name, "numpy: the result lacks the `...` of an operand");
        }
        let is_ascii = |l: &Label| match l {
            Label::Ellipsis => true,
            Label::Name(n) => match n.parse::<u32>() {
                Ok(number) => number < 52,
                Err(_) => n.chars().all(|c| c.is_ascii_alphabetic()),
            },
        };
        match inputs.iter().flatten().find(|l| !is_ascii(l)) {
            Some(l) => {
                let message = format!("numpy: `{}` is none of the 52 labels", show_one(l));
                self.fails(Code::Name, message)
            }
            None => Ok(()),
        }
    }
}

/// Numbers of labels; the first ones are the axes of the ellipsis.
struct Numbering {
    open: usize,
    numbers: HashMap<String, usize>,
    labels: Vec<Option<String>>,
}

impl Numbering {
    /// The axes of a list of labels whose ellipsis stands for `leading` axes, the last ones of all.
    fn axes(&mut self, labels: &[Label], leading: usize) -> Vec<Axis> {
        let mut out = Vec::new();
        for label in labels {
            match label {
                Label::Ellipsis => out.extend((self.open - leading..self.open).map(Axis::Index)),
                Label::Name(name) => {
                    let next = self.labels.len();
                    let number = *self.numbers.entry(name.clone()).or_insert(next);
                    if number == next {
                        self.labels.push(Some(name.clone()));
                    }
                    out.push(Axis::Index(number));
                }
            }
        }
        out
    }
}

fn show_one(label: &Label) -> &str {
    match label {
        Label::Ellipsis => "...",
        Label::Name(name) => name,
    }
}

fn show(labels: &[Label]) -> String {
    labels.iter().map(show_one).collect()
}

/// A mistake in an equation.
fn mistake(equation: &str, code: Code, message: impl Into<String>) -> Error {
    let mut sources = Sources::default();
    let source = sources.add("<einsum>", equation);
    let span = Span { source, start: 0, end: equation.len() as u32 };
    let diagnostics = Diagnostic::new(code, span, message.into()).into();
    Error::Source(Box::new(SourceError { diagnostics, sources }))
}
