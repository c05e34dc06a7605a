//! The models of `examples/models` give numpy's results at small sizes.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use npyz::NpyFile;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use tcc_abi::{DType, Scalar};
use tcc_ir::eval::{Machine, Tensor, Tensors, interpret};
use tcc_ir::graph::{Checked, Function, check};
use tcc_ir::span::Sources;
use tcc_tests::programs::{parts, run_image, run_jit, run_lowered};

type Engine = dyn Fn(&Checked<'_>, &Function, &Tensors<f64>, &[(&str, i64)]) -> Tensors<f64>;

/// What an archive of `tests/data/models.py` holds.
#[derive(Default)]
struct Model {
    inputs: Tensors<f64>,
    expected: Tensors<f64>,
    sizes: Vec<(String, i64)>,
}

fn read(path: &Path) -> Model {
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut model = Model::default();
    for k in 0..archive.len() {
        let entry = archive.by_index(k).unwrap();
        let name = entry.name().unwrap().strip_suffix(".npy").unwrap().to_owned();
        let array = NpyFile::new(entry).unwrap();
        let shape: Vec<usize> = array.shape().iter().map(|n| *n as usize).collect();
        if let Some(size) = name.strip_prefix("size_") {
            model.sizes.push((size.to_owned(), array.into_vec().unwrap()[0]));
            continue;
        }
        let elements: Vec<f32> = array.into_vec().unwrap();
        let scalars: Vec<Scalar> =
            elements.iter().map(|x| Scalar::from_f64(DType::F32, f64::from(*x))).collect();
        let tensor = Tensor::from_scalars(&Machine, DType::F32, &shape, &scalars);
        match name.strip_prefix("expected_") {
            Some(result) => model.expected.insert(result.to_owned(), tensor),
            None => model.inputs.insert(name, tensor),
        };
    }
    model
}

/// Runs one function of a model through `engine` and compares.
fn check_model(file: &str, function: &str, engine: &Engine) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = root.join(format!("../examples/models/{file}.tir"));
    let text = std::fs::read_to_string(text).unwrap();
    let model = read(&root.join(format!("data/models/{function}_small.npz")));
    let (module, _) = tcc_ir::text::read_module(&mut Sources::default(), file, &text).unwrap();
    let checked = check(&module).unwrap();
    let sizes: Vec<(&str, i64)> = model.sizes.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let got = engine(&checked, &module.functions[function], &model.inputs, &sizes);
    assert_eq!(got.len(), model.expected.len());
    for (name, want) in &model.expected {
        assert_eq!(got[name].shape, want.shape, "{name}");
        let pairs = parts(&got[name]).into_iter().zip(parts(want));
        let (error, scale) = pairs.fold((0f64, 0f64), |(error, scale), ((g, _), (w, _))| {
            (error.max((g - w).abs()), scale.max(w.abs()))
        });
        assert!(error <= 1e-5 * scale, "{name}: error {error} at values up to {scale}");
    }
}

fn interpreted(file: &str, function: &str) {
    check_model(file, function, &|checked, f, inputs, sizes| {
        interpret(checked, &f.name, Machine, inputs, sizes).unwrap()
    });
}

fn lowered(file: &str, function: &str) {
    check_model(file, function, &|checked, f, inputs, sizes| {
        run_lowered(checked, (f, None), inputs, sizes).unwrap()
    });
}

fn compiled(file: &str, function: &str) {
    check_model(file, function, &|checked, f, inputs, sizes| {
        run_jit(checked, (f, None), inputs, sizes).unwrap()
    });
    check_model(file, function, &|checked, f, inputs, sizes| {
        run_image(checked, (f, None), inputs, sizes).unwrap()
    });
}

macro_rules! models {
    ($($file:ident / $function:ident),*) => {
        $(mod $function {
            #[test]
            fn interpreted() {
                super::interpreted(stringify!($file), stringify!($function));
            }

            #[test]
            fn lowered() {
                super::lowered(stringify!($file), stringify!($function));
            }

            #[test]
            fn compiled() {
                super::compiled(stringify!($file), stringify!($function));
            }
        })*
    };
}

models!(
    gpt2_block / gpt2_block,
    llama_block / llama_block,
    resnet_block / resnet_block,
    resnet_block / resnet_block_strided
);
