//! From the shapes of a call to the values of its sizes, with the checks that the signature asks
//! for.

use crate::RunError;
use crate::tensor::byte_count;
use smallvec::SmallVec;
use tcc_abi::{DType, Image, SizeError, SizeExpr, SizeOp, SizeSource, TensorSpec};

/// What a call is given: element type and shape of an input.
pub(crate) type Given<'a> = (DType, &'a [usize]);

/// Sizes given by name.
pub(crate) type Named<'a> = &'a [(&'a str, i64)];

/// A shape at a call.
pub(crate) type Extents = SmallVec<[usize; 6]>;

struct Resolver<'a> {
    image: &'a Image,
    given: &'a [Given<'a>],
    values: Vec<i64>,
    /// Input and axis that each size follows from.
    origins: Vec<Option<(usize, usize)>>,
}

/// Inputs must have the declared element types and ranks.
pub(crate) fn check_types(image: &Image, given: &[Given<'_>]) -> Result<(), RunError> {
    for (spec, (dtype, shape)) in image.inputs.iter().zip(given) {
        if spec.dtype != *dtype || spec.shape.len() != shape.len() {
            return Err(RunError::Shape(format!(
                "`{}` is {dtype}{shape:?}, expected {}",
                spec.name,
                declared(spec)
            )));
        }
    }
    Ok(())
}

/// Finds the sizes and checks shapes and facts; types were checked.
pub(crate) fn resolve(
    image: &Image,
    given: &[Given<'_>],
    named: Named<'_>,
) -> Result<Vec<i64>, RunError> {
    let count = image.sizes.len();
    let mut r = Resolver { image, given, values: vec![0; count], origins: vec![None; count] };
    let known = r.named(named)?;
    r.sources(&known)?;
    r.shapes()?;
    r.facts()?;
    Ok(r.values)
}

/// An input or result as its declaration.
fn declared(spec: &TensorSpec) -> String {
    format!("{}[{}]", spec.dtype, spec.shape_text.join(", "))
}

impl Resolver<'_> {
    fn named(&mut self, named: Named<'_>) -> Result<Vec<bool>, RunError> {
        let mut known = vec![false; self.values.len()];
        for (name, value) in named {
            let Some(k) = self.image.sizes.iter().position(|n| n == name) else {
                let known = self.image.sizes.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(RunError::UnknownSize { name: (*name).to_owned(), known });
            };
            if *value < 0 {
                return Err(RunError::Shape(format!(
                    "the size `{name}` is {value}, a size is not negative"
                )));
            }
            self.values[k] = *value;
            known[k] = true;
        }
        Ok(known)
    }

    fn sources(&mut self, known: &[bool]) -> Result<(), RunError> {
        for source in &self.image.sources {
            match source {
                SizeSource::Argument { size } => {
                    let k = *size as usize;
                    if !known.get(k).copied().unwrap_or(false) {
                        return Err(RunError::FreeSize(self.name(k)));
                    }
                }
                SizeSource::Extent { size, input, axis, offset, factor } => {
                    let k = *size as usize;
                    if known.get(k).copied().unwrap_or(false) {
                        continue;
                    }
                    let (input, axis) = (*input as usize, *axis as usize);
                    let extent = self.given.get(input).and_then(|(_, s)| s.get(axis)).copied();
                    let rest = extent.unwrap_or(0) as i64 - self.eval(offset)?;
                    let factor = self.eval(factor)?;
                    if factor == 0 || rest % factor != 0 || rest / factor < 0 {
                        return Err(self.no_solution(k, input, axis));
                    }
                    let value = rest / factor;
                    if let (Some(v), Some(o)) = (self.values.get_mut(k), self.origins.get_mut(k)) {
                        *v = value;
                        *o = Some((input, axis));
                    }
                }
            }
        }
        Ok(())
    }

    fn no_solution(&self, size: usize, input: usize, axis: usize) -> RunError {
        let (Some(spec), Some((_, shape))) = (self.image.inputs.get(input), self.given.get(input))
        else {
            return RunError::Damaged("a size follows from an input that does not exist".into());
        };
        let text = spec.shape_text.get(axis).cloned().unwrap_or_default();
        let extent = shape.get(axis).copied().unwrap_or(0);
        RunError::Shape(format!(
            "axis {axis} of `{}`, of shape {shape:?}, is {extent}: no whole `{}` makes {text} that",
            spec.name,
            self.name(size)
        ))
    }

    fn shapes(&self) -> Result<(), RunError> {
        for (spec, (_, shape)) in self.image.inputs.iter().zip(self.given) {
            let expected = self.extents(spec)?;
            if expected.as_slice() != *shape {
                return Err(self.mismatch(spec, shape, &expected));
            }
        }
        Ok(())
    }

    fn mismatch(&self, spec: &TensorSpec, found: &[usize], expected: &[usize]) -> RunError {
        let mut message = format!(
            "`{}` has shape {found:?}, expected [{}] = {expected:?}",
            spec.name,
            spec.shape_text.join(", ")
        );
        let mut named: Vec<u32> = Vec::new();
        for (axis, e) in spec.shape.iter().enumerate() {
            if found.get(axis) == expected.get(axis) {
                continue;
            }
            for op in &e.0 {
                if let SizeOp::Size(k) = op
                    && !named.contains(k)
                {
                    named.push(*k);
                }
            }
        }
        for k in named {
            let k = k as usize;
            let (name, value) = (self.name(k), self.values.get(k).copied().unwrap_or(0));
            if let Some((input, axis)) = self.origins.get(k).copied().flatten()
                && let (Some(from), Some((_, shape))) =
                    (self.image.inputs.get(input), self.given.get(input))
            {
                message.push_str(&format!(
                    "; {name} = {value} follows from axis {axis} of `{}`, of shape {shape:?}",
                    from.name
                ));
            }
        }
        RunError::Shape(message)
    }

    fn facts(&self) -> Result<(), RunError> {
        for fact in &self.image.facts {
            let mut empty = false;
            for e in &fact.unless_empty {
                empty |= self.eval(e)? <= 0;
            }
            if empty || self.eval(&fact.value)? >= 0 {
                continue;
            }
            let sizes: Vec<String> = self
                .image
                .sizes
                .iter()
                .zip(&self.values)
                .map(|(n, v)| format!("{n} = {v}"))
                .collect();
            let because =
                if fact.origin.is_empty() { String::new() } else { format!(", {}", fact.origin) };
            return Err(RunError::Fact(format!(
                "{} does not hold{because}; here {}",
                fact.text,
                sizes.join(", ")
            )));
        }
        Ok(())
    }

    fn extents(&self, spec: &TensorSpec) -> Result<Extents, RunError> {
        extents(spec, &self.values)
    }

    fn eval(&self, e: &SizeExpr) -> Result<i64, RunError> {
        eval(e, &self.values)
    }

    fn name(&self, size: usize) -> String {
        self.image.sizes.get(size).cloned().unwrap_or_default()
    }
}

pub(crate) fn eval(e: &SizeExpr, values: &[i64]) -> Result<i64, RunError> {
    e.eval(values).map_err(|error| match error {
        SizeError::Malformed => RunError::Damaged(error.to_string()),
        SizeError::TooLarge | SizeError::DivisionByZero => RunError::Limit(error.to_string()),
    })
}

/// The shape of an input or result at a call; its byte count is representable.
pub(crate) fn extents(spec: &TensorSpec, sizes: &[i64]) -> Result<Extents, RunError> {
    let mut out = Extents::new();
    for (e, text) in spec.shape.iter().zip(&spec.shape_text) {
        let n = eval(e, sizes)?;
        out.push(usize::try_from(n).map_err(|_| {
            RunError::Shape(format!("`{}` has an axis {text} of extent {n}", spec.name))
        })?);
    }
    byte_count(spec.dtype, &out)?;
    Ok(out)
}
