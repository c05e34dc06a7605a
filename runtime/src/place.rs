//! Tensors as kernels see them.

use crate::tensor::is_dense;
use crate::{TensorView, TensorViewMut};
use smallvec::SmallVec;

/// Where a tensor of a call lies.
pub(crate) struct Place {
    pub(crate) start: *mut u8,
    /// 1 if row-major without gaps, else 0; then the strides.
    strides: SmallVec<[i64; 7]>,
}

/// The stride table of a tensor whose strides no kernel reads.
static DENSE: [i64; 1] = [1];

impl Place {
    fn new(start: *mut u8, shape: &[usize], strides: &[i64]) -> Place {
        let dense = i64::from(is_dense(shape, strides));
        Place { start, strides: std::iter::once(dense).chain(strides.iter().copied()).collect() }
    }

    /// A tensor that is read.
    pub(crate) fn read(v: &TensorView<'_>) -> Place {
        Place::new(v.start().cast_mut(), v.shape(), v.strides())
    }

    /// A tensor that is written.
    pub(crate) fn written(v: &mut TensorViewMut<'_>) -> Place {
        Place::new(v.start(), v.shape(), v.strides())
    }

    /// A tensor that no kernel is to touch.
    pub(crate) fn absent() -> Place {
        Place { start: std::ptr::null_mut(), strides: SmallVec::new() }
    }

    /// True if row-major without gaps.
    pub(crate) fn is_dense(&self) -> bool {
        self.strides.first() == Some(&1)
    }

    /// What [`tcc_abi::KernelCall::strides`] points to.
    pub(crate) fn table(&self) -> *const i64 {
        self.strides.as_ptr()
    }

    /// The table of a row-major tensor in the arena.
    pub(crate) fn dense_table() -> *const i64 {
        DENSE.as_ptr()
    }
}
