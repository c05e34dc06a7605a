//! The reference interpreter behind the interface of compiled functions: slow, and right by
//! definition.

use crate::driver::tensor_specs;
use crate::{CallOptions, Compiler, Error, RunError, Tensor, TensorSpec, TensorView};
use tcc_abi::Scalar;
use tcc_ir::TensorId;
use tcc_ir::eval::{self, Machine, NoOverflow, Stop, Tensors, interpret};
use tcc_ir::graph::{Function, Module, Role, check};

/// A function that is interpreted: the reference that compiled code is compared with.
///
/// ```
/// let f = tcc::Compiler::host().interpreter("fn f(A: i32[N]) -> (S: i32) { S = A[n] }")?;
/// let sum = f.run(&[tcc::TensorView::from_slice(&[1i32, 2, 3], &[3])?])?;
/// assert_eq!(sum[0].as_slice::<i32>()?, [6]);
/// # Ok::<(), tcc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interpreter {
    module: Module,
    entry: String,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    check_overflow: bool,
}

impl Compiler {
    /// Reads and checks a text, to be interpreted.
    ///
    /// # Errors
    /// The text has mistakes.
    pub fn interpreter(&self, source: &str) -> Result<Interpreter, Error> {
        let (module, entry) = self.read(source)?;
        let (inputs, outputs) = {
            let f = function(&module, &entry);
            let results: Vec<TensorId> =
                f.results.iter().filter(|t| is_result(f, **t)).copied().collect();
            (tensor_specs(f, &f.params), tensor_specs(f, &results))
        };
        Ok(Interpreter { module, entry, inputs, outputs, check_overflow: false })
    }
}

fn function<'m>(module: &'m Module, entry: &str) -> &'m Function {
    let found = module.functions.get(entry);
    found.unwrap_or_else(|| unreachable!("`{entry}` was found in the text"))
}

fn is_result(f: &Function, t: TensorId) -> bool {
    f.tensors.get(t).is_some_and(|t| t.role == Role::Result(None))
}

impl Interpreter {
    /// Makes integer sums, differences and products that leave their type errors.
    #[must_use]
    pub fn check_overflow(mut self, on: bool) -> Interpreter {
        self.check_overflow = on;
        self
    }

    /// Inputs in order, `inout` parameters among them.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// Results in order.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// Names of the sizes.
    pub fn sizes(&self) -> Vec<String> {
        function(&self.module, &self.entry).sizes.values().map(|s| s.name.clone()).collect()
    }

    /// Runs on all inputs in order. Gives the results, then the new values of `inout` parameters.
    ///
    /// # Errors
    /// As a compiled function.
    pub fn run(&self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, Error> {
        self.run_with(inputs, &CallOptions::default())
    }

    /// As [`Interpreter::run`], with sizes by name. There is no time limit.
    ///
    /// # Errors
    /// As a compiled function.
    pub fn run_with(
        &self,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, Error> {
        if inputs.len() != self.inputs.len() {
            let expected = format!("{} inputs", self.inputs.len());
            return Err(RunError::Arity { expected, found: inputs.len() }.into());
        }
        let mut given: Tensors<f64> = Tensors::default();
        for (spec, view) in self.inputs.iter().zip(inputs) {
            given.insert(spec.name.clone(), to_values(view)?);
        }
        let checked =
            check(&self.module).unwrap_or_else(|d| unreachable!("the module was checked: {d:?}"));
        let (entry, sizes) = (&self.entry, options.sizes);
        let results = if self.check_overflow {
            interpret(&checked, entry, NoOverflow, &given, sizes)
        } else {
            interpret(&checked, entry, Machine, &given, sizes)
        };
        let results = results.map_err(|stop| Error::Run(run_error(stop)))?;
        let inouts = self.inputs.iter().filter(|s| s.role == crate::TensorRole::Inout);
        let names = self.outputs.iter().chain(inouts).map(|s| &s.name);
        names.filter_map(|name| results.get(name)).map(from_values).collect()
    }
}

fn to_values(view: &TensorView<'_>) -> Result<eval::Tensor<f64>, Error> {
    let t = view.to_tensor()?;
    let scalars: Vec<Scalar> =
        t.as_bytes().chunks(t.dtype().size()).map(|b| Scalar::read(t.dtype(), b)).collect();
    Ok(eval::Tensor::from_scalars(&Machine, t.dtype(), t.shape(), &scalars))
}

fn from_values(t: &eval::Tensor<f64>) -> Result<Tensor, Error> {
    let width = t.dtype.size();
    let scalars = t.to_scalars(&Machine);
    let mut bytes = vec![0; scalars.len() * width];
    for (slot, s) in bytes.chunks_mut(width).zip(&scalars) {
        s.write(slot);
    }
    Ok(Tensor::from_bytes(t.dtype, &t.shape, &bytes)?)
}

fn run_error(stop: Stop) -> RunError {
    let text = stop.to_string();
    match stop {
        Stop::Index { .. } => RunError::Index(text),
        Stop::Diverge(_) => RunError::Diverge(text),
        Stop::Division => RunError::Division(text),
        Stop::Overflow { .. } => RunError::Overflow(text),
        Stop::Shape(m) => RunError::Shape(m),
        Stop::Fact(m) => RunError::Fact(m),
        Stop::Limit(m) => RunError::Limit(m),
        Stop::Undecided => unreachable!("machine arithmetic decides every comparison"),
    }
}
