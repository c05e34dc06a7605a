//! Values and tensors of the interpreter.

use super::Domain;
use tcc_abi::{DType, Scalar};

/// A scalar value over a domain's reals `F`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<F> {
    /// A real floating value.
    Float(F),
    /// Real and imaginary part.
    Complex(F, F),
    /// An integer, inside its type's range.
    Int(i128),
    /// A bool.
    Bool(bool),
}

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<F> {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub elements: Vec<Value<F>>,
}

impl<F: Clone> Tensor<F> {
    /// A tensor whose elements are all `value`.
    pub fn filled(dtype: DType, shape: &[usize], value: Value<F>) -> Tensor<F> {
        let count = shape.iter().product();
        Tensor { dtype, shape: shape.to_vec(), elements: vec![value; count] }
    }

    /// Position of an element in `elements`; `None` outside of the shape.
    pub fn offset(&self, position: &[i128]) -> Option<usize> {
        let mut offset = 0usize;
        for (p, extent) in position.iter().zip(&self.shape) {
            let p = usize::try_from(*p).ok().filter(|p| p < extent)?;
            offset = offset * extent + p;
        }
        Some(offset)
    }

    /// The element at a position.
    pub fn get(&self, position: &[i128]) -> Option<&Value<F>> {
        self.elements.get(self.offset(position)?)
    }
}

impl<F: Clone> Tensor<F> {
    /// Reads typed scalars into a domain.
    pub fn from_scalars<D: Domain<Float = F>>(
        domain: &D,
        dtype: DType,
        shape: &[usize],
        elements: &[Scalar],
    ) -> Tensor<F> {
        let elements = elements.iter().map(|s| domain.value(*s)).collect();
        Tensor { dtype, shape: shape.to_vec(), elements }
    }

    /// The elements as typed scalars.
    pub fn to_scalars<D: Domain<Float = F>>(&self, domain: &D) -> Vec<Scalar> {
        self.elements.iter().map(|v| domain.scalar(self.dtype, v)).collect()
    }
}
