//! Inputs of a call: files, values on the command line, random ones.

use super::report::Failure;
use super::{npy, show};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tcc::{DType, Tensor, TensorSpec};
use tcc_abi::Scalar;
use tcc_ir::diag::Code;

/// Where inputs come from.
#[derive(clap::Args)]
pub(crate) struct InputArgs {
    /// An input: NAME=@FILE.npy, NAME=@FILE.npz:ARRAY, or a shape and values such as
    /// NAME=2x3xf32=1,2,3,4,5,6; one value fills the tensor.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Inputs by name from a `.npz` file.
    #[arg(long = "inputs", value_name = "FILE.npz")]
    archives: Vec<PathBuf>,
    /// Fills the inputs that are not given: floats from -1 to 1, integers from 0 to 9.
    #[arg(long)]
    random: bool,
    /// Seed of `--random`.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    seed: u64,
    /// The value of a size that no input shows.
    #[arg(long = "set", value_name = "SIZE=NUMBER", value_parser = size)]
    sizes: Vec<(String, i64)>,
}

fn size(text: &str) -> Result<(String, i64), String> {
    let (name, value) = text.split_once('=').ok_or("expected SIZE=NUMBER")?;
    let value = value.trim().parse::<i64>().map_err(|e| format!("`{value}`: {e}"))?;
    if !(0..=1 << 40).contains(&value) {
        return Err("a size lies between 0 and 2^40".to_owned());
    }
    Ok((name.trim().to_owned(), value))
}

impl InputArgs {
    /// Sizes that were given by name.
    pub(crate) fn sizes(&self) -> Vec<(&str, i64)> {
        self.sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect()
    }

    /// The tensors of a call, in order; `files` are those given by position.
    pub(crate) fn gather(
        &self,
        specs: &[TensorSpec],
        sizes: &[String],
        files: &[PathBuf],
    ) -> Result<Vec<Tensor>, Failure> {
        if files.len() > specs.len() {
            let message = format!("{} inputs, found {} files", specs.len(), files.len());
            return Err(Failure::usage(message));
        }
        let mut found: HashMap<String, Tensor> = HashMap::new();
        for path in &self.archives {
            for (name, t) in npy::read_archive(path)? {
                if specs.iter().any(|s| s.name == name) {
                    found.insert(name, t);
                }
            }
        }
        for (spec, path) in specs.iter().zip(files) {
            found.insert(spec.name.clone(), npy::read(path)?);
        }
        for text in &self.inputs {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("`--input {text}`: expected NAME=VALUE")))?;
            if !specs.iter().any(|s| s.name == name) {
                return Err(unknown("input", name, specs));
            }
            found.insert(name.to_owned(), parse(value)?);
        }
        let values = self.known_sizes(specs, sizes, &found);
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut out = Vec::new();
        for spec in specs {
            let t = match found.remove(&spec.name) {
                Some(t) if t.dtype() == spec.dtype => t,
                Some(t) if spec.dtype == DType::BF16 && t.dtype() == DType::F32 => {
                    npy::converted(&t, DType::BF16)?
                }
                Some(t) => {
                    let message = format!(
                        "the input `{}` is {}{}, expected {}",
                        spec.name,
                        t.dtype(),
                        show::shape(t.shape()),
                        declared(spec)
                    );
                    return Err(Failure::new(Code::Shape, message));
                }
                None if self.random => random(spec, &values, &mut rng)?,
                None => {
                    let message = format!("no input `{}`: {}", spec.name, declared(spec));
                    let help = format!("`--input {}=@FILE.npy`, or `--random`", spec.name);
                    return Err(Failure::usage(message).help(help));
                }
            };
            out.push(t);
        }
        Ok(out)
    }

    /// Values of sizes in their order: those given by name, and those that an input shows plainly.
    fn known_sizes(
        &self,
        specs: &[TensorSpec],
        sizes: &[String],
        found: &HashMap<String, Tensor>,
    ) -> Vec<Option<i64>> {
        let mut values = vec![None; sizes.len()];
        let mut note = |name: &str, value: i64| {
            if let Some(k) = sizes.iter().position(|s| s == name)
                && let Some(slot) = values.get_mut(k)
            {
                *slot = Some(value);
            }
        };
        for spec in specs {
            if let Some(t) = found.get(&spec.name) {
                for (text, extent) in spec.shape_text.iter().zip(t.shape()) {
                    note(text, *extent as i64);
                }
            }
        }
        for (name, value) in &self.sizes {
            note(name, *value);
        }
        values
    }
}

/// `f32[M,K]`
pub(crate) fn declared(spec: &TensorSpec) -> String {
    if spec.shape_text.is_empty() {
        return spec.dtype.to_string();
    }
    format!("{}[{}]", spec.dtype, spec.shape_text.join(","))
}

/// A name that no tensor has.
pub(crate) fn unknown(what: &str, name: &str, specs: &[TensorSpec]) -> Failure {
    let names: Vec<String> = specs.iter().map(|s| format!("`{}`", s.name)).collect();
    let help = if names.is_empty() {
        format!("there are no {what}s")
    } else {
        format!("the {what}s are {}", names.join(", "))
    };
    Failure::usage(format!("there is no {what} `{name}`")).help(help)
}

/// A tensor as `@FILE.npy`, `@FILE.npz:NAME`, or `2x3xf32=1,2,3,4,5,6`.
pub(crate) fn parse(text: &str) -> Result<Tensor, Failure> {
    if let Some((archive, name)) = text.strip_prefix('@').and_then(|t| t.rsplit_once(".npz:")) {
        let path = PathBuf::from(format!("{archive}.npz"));
        let found = npy::read_archive(&path)?.into_iter().find(|(n, _)| n == name);
        return found.map(|(_, t)| t).ok_or_else(|| {
            Failure::new(Code::File, format!("`{}` has no array `{name}`", path.display()))
        });
    }
    if let Some(path) = text.strip_prefix('@') {
        return npy::read(Path::new(path));
    }
    let wrong = |m: String| {
        Failure::usage(format!("`{text}`: {m}"))
            .help("a tensor is written @FILE.npy, @FILE.npz:ARRAY, or with shape and values: 2x3xf32=1,2,3,4,5,6")
    };
    let (ty, values) = text.split_once('=').unwrap_or((text, ""));
    let mut parts: Vec<&str> = ty.split('x').collect();
    let dtype = parts.pop().unwrap_or("");
    let dtype = DType::parse(dtype).ok_or_else(|| wrong(format!("no element type `{dtype}`")))?;
    let shape = parts
        .iter()
        .map(|p| p.parse::<usize>().map_err(|e| wrong(format!("extent `{p}`: {e}"))))
        .collect::<Result<Vec<usize>, Failure>>()?;
    let values: Vec<&str> = values.split(',').map(str::trim).filter(|v| !v.is_empty()).collect();
    let mut t = Tensor::zeros(dtype, &shape).map_err(tcc::Error::from)?;
    let count = t.as_bytes().len() / dtype.size();
    if values.len() != count && values.len() != 1 {
        return Err(wrong(format!("{count} elements, found {}", values.len())));
    }
    let mut bytes = vec![0; count * dtype.size()];
    for (k, slot) in bytes.chunks_mut(dtype.size()).enumerate() {
        let word = values.get(if values.len() == 1 { 0 } else { k }).copied().unwrap_or("0");
        let s = element(dtype, word).ok_or_else(|| wrong(format!("`{word}` is no {dtype}")))?;
        s.write(slot);
    }
    t = Tensor::from_bytes(dtype, &shape, &bytes).map_err(tcc::Error::from)?;
    Ok(t)
}

/// One element as text: a number, `inf`, `nan`, `true`, or `1+2i`.
fn element(dtype: DType, word: &str) -> Option<Scalar> {
    if dtype == DType::Bool {
        return match word {
            "true" | "1" => Some(Scalar::from_bool(true)),
            "false" | "0" => Some(Scalar::from_bool(false)),
            _ => None,
        };
    }
    if dtype.is_complex() {
        let (re, im) = match word.strip_suffix(['i', 'j']) {
            Some(rest) => {
                let at = rest
                    .rfind(['+', '-'])
                    .filter(|at| *at > 0 && !rest.get(..*at).unwrap_or("").ends_with(['e', 'E']));
                rest.split_at(at.unwrap_or(0))
            }
            None => (word, "0"),
        };
        let re = if re.is_empty() { 0.0 } else { re.parse().ok()? };
        return Some(Scalar::from_parts(dtype, re, im.parse().ok()?));
    }
    match dtype.int_range() {
        Some((low, high)) => {
            let value: i128 = word.parse().ok()?;
            (low..=high).contains(&value).then(|| Scalar::from_i128(dtype, value))
        }
        None => Some(Scalar::from_f64(dtype, word.parse().ok()?)),
    }
}

/// Makes every extent that depends on it negative.
const UNKNOWN: i64 = -(1 << 60);

fn random(
    spec: &TensorSpec,
    sizes: &[Option<i64>],
    rng: &mut fastrand::Rng,
) -> Result<Tensor, Failure> {
    let known: Vec<i64> = sizes.iter().map(|s| s.unwrap_or(UNKNOWN)).collect();
    let mut shape = Vec::new();
    for (extent, text) in spec.shape.iter().zip(&spec.shape_text) {
        let value = extent.eval(&known).ok().and_then(|v| usize::try_from(v).ok());
        shape.push(value.ok_or_else(|| {
            let message = format!("the extent `{text}` of the input `{}` is not known", spec.name);
            Failure::new(Code::Shape, message).help("name every size: `--set NAME=NUMBER`")
        })?);
    }
    let mut t = Tensor::zeros(spec.dtype, &shape).map_err(tcc::Error::from)?;
    let mut bytes = t.as_bytes().to_vec();
    for slot in bytes.chunks_mut(spec.dtype.size()) {
        let mut real = || rng.f64() * 2.0 - 1.0;
        let s = if spec.dtype == DType::Bool {
            Scalar::from_bool(rng.bool())
        } else if spec.dtype.is_int() {
            Scalar::from_i128(spec.dtype, i128::from(rng.u8(0..10)))
        } else if spec.dtype.is_complex() {
            Scalar::from_parts(spec.dtype, real(), real())
        } else {
            Scalar::from_f64(spec.dtype, real())
        };
        s.write(slot);
    }
    t = Tensor::from_bytes(spec.dtype, &shape, &bytes).map_err(tcc::Error::from)?;
    Ok(t)
}
