//! The graph level: functions of core equations.
//!
//! A [`Function`] computes its results from its parameters by a list of [`Node`]s in execution
//! order. A node defines whole tensors; each tensor is defined once (SSA). The meaning of a
//! [`Definition`]: every element starts as the fill value, then each equation, in order, visits its
//! iteration domain in lexicographic order; where the guard holds it evaluates the body and stores
//! it (no reducer) or combines it (reducer) into the element that the subscripts name.
//!
//! Sizes are symbols: values known at the call, never negative.

pub mod cycles;
mod names;
mod print;
pub mod sizes;
pub mod verify;

pub use names::{EquationNames, FunctionNames};
pub use print::{print_function, print_type};
pub use verify::{Checked, DerivedFact, check, nonneg_text};

use crate::int::{Facts, IntExpr};
use crate::scalar::{Comparison, Expr, Read, Reducer, Subscript};
use crate::span::Span;
use crate::{SizeId, TensorId, VarId};
use cranelift_entity::PrimaryMap;
use tcc_abi::DType;

/// A function of the graph level.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its sizes, in order of first appearance in the signature.
    pub sizes: PrimaryMap<SizeId, Size>,
    /// Declared facts.
    pub facts: Vec<Fact>,
    /// Parameters, results and intermediates.
    pub tensors: PrimaryMap<TensorId, Tensor>,
    /// Parameters in order.
    pub params: Vec<TensorId>,
    /// Results in order; the new value of an `inout` parameter is a result after the declared ones.
    pub results: Vec<TensorId>,
    /// What is computed, in execution order.
    pub nodes: Vec<Node>,
    /// Where it was written.
    pub span: Span,
}

/// A size of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its name.
    pub name: String,
    /// Where it first stands.
    pub span: Span,
}

/// A declared fact about sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Left side.
    pub lhs: IntExpr,
    /// Relation.
    pub comparison: Comparison,
    /// Right side.
    pub rhs: IntExpr,
    /// Where it was written.
    pub span: Span,
}

/// A tensor of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name; unique among the function's tensors but for the two values of an `inout`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<IntExpr>,
    /// What it is to the function.
    pub role: Role,
    /// Where it was declared or first defined.
    pub span: Span,
}

/// What a tensor is to its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An input that may change from call to call.
    Input,
    /// An input that stays the same from call to call.
    Param,
    /// The value of an `inout` parameter before the call.
    Inout,
    /// A result; for the new value of an `inout` parameter, the parameter.
    Result(Option<TensorId>),
    /// Anything else.
    Intermediate,
}

impl Role {
    /// True for parameters of every kind.
    pub fn is_parameter(self) -> bool {
        matches!(self, Role::Input | Role::Param | Role::Inout)
    }
}

/// One step of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Defines one tensor from tensors that are complete.
    Define(Definition),
    /// Defines tensors that depend on each other step by step along an axis.
    Scan(Scan),
    /// Defines tensors as a least fixpoint.
    Fix(Fix),
    /// Calls another function of the module.
    Call(Call),
}

/// The equations of one tensor: regions with a value each, or contributions to one reducer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What is defined.
    pub tensor: TensorId,
    /// Its equations, in source order; at least one.
    pub equations: Vec<Equation>,
}

/// A core equation: one written access, one domain, at most one reducer, a body without reductions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// The iteration domain, outermost first: the target's indices, then the summed ones.
    pub vars: PrimaryMap<VarId, Index>,
    /// The written element.
    pub subscripts: Vec<Subscript>,
    /// How contributions combine; `None` if each element is written once.
    pub reducer: Option<Reducer>,
    /// The value.
    pub body: Expr,
    /// Positions where it is false contribute nothing and are not evaluated.
    pub guard: Option<Expr>,
    /// Attributes.
    pub attributes: Attributes,
    /// Where it was written.
    pub span: Span,
}

/// An iteration variable of an equation; it runs over `0..extent` (empty if the extent is
/// negative).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its extent, an expression over sizes.
    pub extent: IntExpr,
}

/// What `@` says about an equation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `@acc(type)`: accumulate in this type.
    pub acc: Option<DType>,
    /// `@tol(x)`: relative error that a rewrite may add, as text.
    pub tol: Option<String>,
    /// `@budget(4GiB)`: memory for intermediates, in bytes.
    pub budget: Option<u64>,
    /// `@slice(i,j)`: indices to loop over outside of the contraction, by name.
    pub slice: Vec<String>,
    /// `@path("((a,b),c)")`: the order of pairwise contraction.
    pub path: Option<String>,
    /// `@bcast`: repeating the value along unused target indices is meant.
    pub bcast: bool,
    /// `@exact`: integer arithmetic is to be proved free of overflow, floats not to be reordered.
    pub exact: bool,
    /// `@drop`: writes with data-dependent subscripts out of range are skipped.
    pub drop: bool,
    /// `@reassociate`: risky reorderings are allowed.
    pub reassociate: bool,
}

/// A recurrence along one axis of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The tensors in the order in which a step computes their slots.
    pub definitions: Vec<Definition>,
    /// For each definition, the axis that the scan steps along.
    pub axes: Vec<usize>,
    /// True if slots are computed from the last to the first.
    pub backward: bool,
}

/// A fixpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The tensors in the order in which a round computes them, each from the newest values; where
    /// the rounds have no limit, tensors with idempotent reducers come last and read each other's
    /// values of the round before.
    pub definitions: Vec<Definition>,
    /// The most rounds, if bounded by the text.
    pub limit: Option<u64>,
    /// Largest change that counts as converged, as text.
    pub tol: Option<String>,
}

/// A call of another function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the callee in the module.
    pub callee: String,
    /// Whole tensors.
    pub arguments: Vec<TensorId>,
    /// Whole tensors.
    pub results: Vec<TensorId>,
    /// The callee's sizes as expressions over the caller's.
    pub sizes: PrimaryMap<SizeId, IntExpr>,
    /// Where it was written.
    pub span: Span,
}

impl Node {
    /// The definitions of the node; none for a call.
    pub fn definitions(&self) -> &[Definition] {
        match self {
            Node::Define(d) => std::slice::from_ref(d),
            Node::Scan(s) => &s.definitions,
            Node::Fix(f) => &f.definitions,
            Node::Call(_) => &[],
        }
    }

    /// The definitions of the node, for editing.
    pub fn definitions_mut(&mut self) -> &mut [Definition] {
        match self {
            Node::Define(d) => std::slice::from_mut(d),
            Node::Scan(s) => &mut s.definitions,
            Node::Fix(f) => &mut f.definitions,
            Node::Call(_) => &mut [],
        }
    }

    /// The tensors that the node defines.
    pub fn defined(&self) -> Vec<TensorId> {
        match self {
            Node::Call(c) => c.results.clone(),
            Node::Define(_) | Node::Scan(_) | Node::Fix(_) => {
                self.definitions().iter().map(|d| d.tensor).collect()
            }
        }
    }

    /// The tensors that the node reads, those that it defines itself included (repeats possible).
    pub fn used(&self) -> Vec<TensorId> {
        match self {
            Node::Call(c) => c.arguments.clone(),
            Node::Define(_) | Node::Scan(_) | Node::Fix(_) => self
                .definitions()
                .iter()
                .flat_map(|d| &d.equations)
                .flat_map(|e| e.reads().into_iter().map(|r| r.tensor))
                .collect(),
        }
    }
}

impl Equation {
    /// Every read: of the body, the guard and the written subscripts.
    pub fn reads(&self) -> Vec<&Read> {
        let mut out = self.body.reads();
        if let Some(g) = &self.guard {
            out.extend(g.reads());
        }
        for s in &self.subscripts {
            if let Subscript::Data(e) = s {
                out.extend(e.reads());
            }
        }
        out
    }

    /// Variables that the written subscripts do not determine: those reduced over.
    pub fn reduced_vars(&self) -> Vec<VarId> {
        let mut written = Vec::new();
        for s in &self.subscripts {
            s.visit_symbols(&mut |sym| {
                if let crate::int::Symbol::Var(v) = sym {
                    written.push(v);
                }
            });
        }
        self.vars.keys().filter(|v| !written.contains(v)).collect()
    }

    /// The written subscripts as expressions, if none depends on data.
    pub fn affine_subscripts(&self) -> Option<Vec<&IntExpr>> {
        self.subscripts.iter().map(Subscript::as_affine).collect()
    }

    /// The written variables in axis order, if every subscript is a variable of its own.
    pub fn plain_target(&self) -> Option<Vec<VarId>> {
        let vars: Option<Vec<VarId>> =
            self.subscripts.iter().map(|s| s.as_affine().and_then(IntExpr::as_var)).collect();
        let vars = vars?;
        let distinct =
            vars.iter().enumerate().all(|(k, v)| vars.iter().skip(k + 1).all(|w| w != v));
        distinct.then_some(vars)
    }

    /// The written variables in axis order, if they run over a whole tensor of this shape.
    pub fn whole_target(&self, shape: &[IntExpr]) -> Option<Vec<VarId>> {
        let vars = self.plain_target()?;
        let mut axes = vars.iter().zip(shape);
        axes.all(|(v, n)| self.vars.get(*v).is_some_and(|x| x.extent == *n)).then_some(vars)
    }

    /// The element type of the accumulator: `@acc`, or `f32` for the storage floats.
    pub fn accumulator(&self, dtype: DType) -> DType {
        self.attributes.acc.unwrap_or(dtype.compute())
    }
}

impl Definition {
    /// The value of elements that no equation writes. The equations of one tensor share it: they
    /// have one reducer, or none.
    pub fn fill(&self, dtype: DType) -> tcc_abi::Scalar {
        let reducer = self.equations.iter().find_map(|e| e.reducer).unwrap_or(Reducer::Sum);
        if dtype == DType::Bool && reducer == Reducer::Sum {
            return tcc_abi::Scalar::from_bool(false);
        }
        reducer.unit(dtype)
    }

    /// True if a single equation without reducer writes every element from its own position.
    pub fn is_elementwise(&self) -> bool {
        match self.equations.as_slice() {
            [e] => e.reducer.is_none() && e.guard.is_none() && e.plain_target().is_some(),
            _ => false,
        }
    }
}

impl Function {
    /// The declared facts as inequalities.
    pub fn known_facts(&self) -> Facts {
        let mut facts = Facts::default();
        for f in &self.facts {
            for e in f.comparison.as_nonneg(&f.lhs, &f.rhs) {
                facts.add_nonneg(e);
            }
        }
        facts
    }

    /// The tensor of this name; for an `inout`, the parameter.
    pub fn tensor_by_name(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().find(|(_, t)| t.name == name).map(|(id, _)| id)
    }

    /// The size of this name.
    pub fn size_by_name(&self, name: &str) -> Option<SizeId> {
        self.sizes.iter().find(|(_, s)| s.name == name).map(|(id, _)| id)
    }
}

/// A program text: functions, kernels, schedules and programs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Module {
    /// Graph functions by name; callees come before their callers.
    pub functions: indexmap::IndexMap<String, Function>,
    /// Names of the functions that the text itself declares, in order (not those instantiated from
    /// the standard library or from generic functions).
    pub entries: Vec<String>,
    /// Intrinsics that the text itself declares, by name.
    pub intrinsics: indexmap::IndexMap<String, std::sync::Arc<crate::intrinsic::Intrinsic>>,
    /// Kernels by name.
    pub kernels: indexmap::IndexMap<String, crate::kernel::Kernel>,
    /// Schedules by the name of their kernel.
    pub schedules: indexmap::IndexMap<String, crate::schedule::Schedule>,
    /// Programs by name.
    pub programs: indexmap::IndexMap<String, crate::program::Program>,
}
