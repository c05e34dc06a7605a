//! Golden programs: inputs and expected results as flat lists, computed elsewhere.

use serde_json::Value as Json;
use std::path::Path;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Machine, Tensor, Tensors};
use tcc_ir::graph::Function;

/// A tensor as stored in a golden file: shape and elements as (real, imaginary) pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenTensor {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub elements: Vec<(f64, f64)>,
}

/// One program's data.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Sizes that no input shows.
    pub sizes: Vec<(String, i64)>,
    /// Inputs by name.
    pub inputs: Vec<(String, GoldenTensor)>,
    /// Expected results by name.
    pub outputs: Vec<(String, GoldenTensor)>,
}

impl GoldenTensor {
    /// The elements in an element type.
    pub fn scalars(&self, dtype: DType) -> Vec<Scalar> {
        let one = |(re, im): &(f64, f64)| {
            if dtype.is_complex() {
                Scalar::from_parts(dtype, *re, *im)
            } else {
                Scalar::from_f64(dtype, *re)
            }
        };
        self.elements.iter().map(one).collect()
    }
}

/// Reads a number: JSON number, bool, or the texts `inf`, `-inf`, `nan`.
pub fn number(v: &Json) -> f64 {
    match v {
        Json::Bool(b) => f64::from(u8::from(*b)),
        Json::String(s) => s.parse().unwrap_or_else(|_| panic!("`{s}` is no number")),
        other => other.as_f64().unwrap_or_else(|| panic!("{other} is no number")),
    }
}

fn numbers(v: &Json) -> Vec<f64> {
    v.as_array().map(|a| a.iter().map(number).collect()).unwrap_or_default()
}

fn tensor(v: &Json) -> GoldenTensor {
    let shape = numbers(&v["shape"]).iter().map(|x| *x as usize).collect();
    let elements = if v["re"].is_array() {
        numbers(&v["re"]).into_iter().zip(numbers(&v["im"])).collect()
    } else {
        numbers(&v["data"]).into_iter().map(|x| (x, 0.0)).collect()
    };
    GoldenTensor { shape, elements }
}

impl Golden {
    /// The inputs as parameters of their function.
    pub fn tensors(&self, f: &Function) -> Tensors<f64> {
        let tensor = |(name, t): &(String, GoldenTensor)| {
            let id = f.tensor_by_name(name).expect("golden inputs are parameters");
            let dtype = f.tensors[id].dtype;
            (name.clone(), Tensor::from_scalars(&Machine, dtype, &t.shape, &t.scalars(dtype)))
        };
        self.inputs.iter().map(tensor).collect()
    }
}

/// The programs of `data/tir`: name, text and data of each.
pub fn programs() -> Vec<(String, String, Golden)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tir");
    let text = std::fs::read_to_string(root.join("golden.json")).unwrap();
    let golden: Json = serde_json::from_str(&text).unwrap();
    let program = |(name, entry): (&String, &Json)| {
        let text = std::fs::read_to_string(root.join(format!("{name}.tir"))).unwrap();
        (name.clone(), text, read(entry))
    };
    golden.as_object().unwrap().iter().map(program).collect()
}

/// Reads one program's entry of a golden file.
pub fn read(entry: &Json) -> Golden {
    let map = |key: &str| -> Vec<(String, GoldenTensor)> {
        let object = entry[key].as_object().cloned().unwrap_or_default();
        object.iter().map(|(n, v)| (n.clone(), tensor(v))).collect()
    };
    let sizes = entry["dims"].as_object().cloned().unwrap_or_default();
    let sizes = sizes.iter().map(|(n, v)| (n.clone(), v.as_i64().unwrap_or(0))).collect();
    Golden { sizes, inputs: map("inputs"), outputs: map("outputs") }
}
