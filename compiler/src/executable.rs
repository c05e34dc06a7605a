//! Compiled functions in this process.

use crate::driver::{Compilation, Cost, Origin, Stage};
use crate::{
    Bound, CacheUse, CallOptions, Error, Executor, Tensor, TensorSpec, TensorView, TensorViewMut,
};
use std::sync::Arc;
use tcc_ir::diag::Diagnostics;
use tcc_ir::span::Sources;

/// A compiled function. One executable serves all sizes that satisfy the function's facts, from any
/// number of threads at once.
///
/// ```
/// use tcc::TensorView;
///
/// let f = tcc::compile(
///     "fn row_sums(A: f32[M,N]) -> (S: f32[M]) {
///          S[m] = A[m,n]
///      }",
/// )?;
/// let a = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let sums = f.run(&[TensorView::from_slice(&a, &[2, 3])?])?;
/// assert_eq!(sums[0].as_slice::<f32>()?, [6.0, 15.0]);
/// # Ok::<(), tcc::Error>(())
/// ```
#[derive(Debug)]
pub struct Executable {
    inner: tcc_runtime::Executable,
    origin: Origin,
}

impl Executable {
    /// Makes code of a lowered function.
    ///
    /// # Errors
    /// The back end does not support a construct, or memory cannot be made executable.
    pub fn from_compilation(compilation: Compilation) -> Result<Executable, Error> {
        let inner = compilation.jit()?;
        Ok(Executable::new(inner, Origin::lowered(compilation, CacheUse::Off)))
    }

    pub(crate) fn new(inner: tcc_runtime::Executable, origin: Origin) -> Executable {
        Executable { inner, origin }
    }

    /// Has calls run on these threads instead of those of the process, [`Threads::global`].
    ///
    /// [`Threads::global`]: crate::Threads::global
    #[must_use]
    pub fn with_executor(self, executor: Arc<dyn Executor>) -> Executable {
        Executable { inner: self.inner.with_executor(executor), ..self }
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Inputs in order, `inout` parameters among them.
    pub fn inputs(&self) -> &[TensorSpec] {
        self.inner.inputs()
    }

    /// Results in order.
    pub fn outputs(&self) -> &[TensorSpec] {
        self.inner.outputs()
    }

    /// Names of the sizes.
    pub fn sizes(&self) -> &[String] {
        self.inner.sizes()
    }

    /// Sizes that no input shows: [`CallOptions::sizes`] must name them.
    pub fn free_sizes(&self) -> Vec<&str> {
        self.inner.free_sizes()
    }

    /// Runs on all inputs in order. Gives the results in order, then the new values of `inout`
    /// parameters.
    ///
    /// # Errors
    /// An input does not fit the signature, a fact does not hold, or the program stops (a subscript
    /// out of range, a fixpoint that does not converge, an integer divided by zero).
    pub fn run(&self, inputs: &[TensorView<'_>]) -> Result<Vec<Tensor>, Error> {
        Ok(self.inner.run(inputs)?)
    }

    /// As [`Executable::run`], with sizes by name and a budget.
    ///
    /// # Errors
    /// As [`Executable::run`], and if the budget does not suffice.
    pub fn run_with(
        &self,
        inputs: &[TensorView<'_>],
        options: &CallOptions<'_>,
    ) -> Result<Vec<Tensor>, Error> {
        Ok(self.inner.run_with(inputs, options)?)
    }

    /// Runs into the caller's memory. `inputs` are those that are not `inout`; `outputs` are the
    /// results, then the `inout` tensors, which hold their old values.
    ///
    /// # Errors
    /// As [`Executable::run_with`]; after an error the outputs hold unspecified values.
    pub fn run_into(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        options: &CallOptions<'_>,
    ) -> Result<(), Error> {
        Ok(self.inner.run_into(inputs, outputs, options)?)
    }

    /// Fixes the `param` inputs by name; runs of the result take only the others. What depends on
    /// params alone, such as weights in another layout, is computed here, once.
    ///
    /// # Errors
    /// A name is no `param`, a `param` is missing, or a tensor does not fit; the program stops on
    /// what depends on params alone.
    pub fn bind<'p>(&self, params: &[(&str, TensorView<'p>)]) -> Result<Bound<'_, 'p>, Error> {
        Ok(self.inner.bind(params)?)
    }

    /// As [`Executable::bind`], with the values of sizes that no input shows.
    ///
    /// # Errors
    /// As [`Executable::bind`], and if the budget does not suffice.
    pub fn bind_with<'p>(
        &self,
        params: &[(&str, TensorView<'p>)],
        options: &CallOptions<'_>,
    ) -> Result<Bound<'_, 'p>, Error> {
        Ok(self.inner.bind_with(params, options)?)
    }

    /// The function's text at a level of the compiler.
    ///
    /// # Errors
    /// The code generator fails, which is a bug.
    pub fn text(&self, stage: Stage) -> Result<String, Error> {
        self.compilation().text(stage)
    }

    /// Work and memory of a call at these sizes; every size of the function must be named.
    ///
    /// # Errors
    /// A size has no value, or the sizes are too large to count with.
    pub fn cost(&self, sizes: &[(&str, i64)]) -> Result<Cost, Error> {
        self.compilation().cost(sizes)
    }

    /// What was compiled, for images and object files. Of a program from the compile cache it is
    /// made when first asked for.
    pub fn compilation(&self) -> &Compilation {
        self.origin.compilation()
    }

    /// What the compile cache did.
    pub fn cache_use(&self) -> &CacheUse {
        self.origin.cache_use()
    }

    /// What reading and checking the text warned of.
    pub fn warnings(&self) -> &Diagnostics {
        self.origin.warnings()
    }

    /// The texts behind the places of [`Executable::warnings`].
    pub fn sources(&self) -> &Sources {
        self.origin.sources()
    }
}
