//! Tensors, and views of tensors in the caller's memory.

use crate::TensorError;
use crate::buffer::Buffer;
use num_complex::{Complex32, Complex64};
use smallvec::SmallVec;
use std::marker::PhantomData;
use tcc_abi::DType;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is an element type.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The element type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {
        $(
            impl sealed::Sealed for $rust {}
            impl Element for $rust {
                const DTYPE: DType = DType::$dtype;
            }
        )*
    };
}

elements! {
    f32 => F32, f64 => F64, half::f16 => F16, half::bf16 => BF16,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    bool => Bool, Complex32 => C64, Complex64 => C128,
}

type Shape = SmallVec<[usize; 6]>;
type Strides = SmallVec<[i64; 6]>;

/// An owned tensor, row-major without gaps, aligned to 64 bytes.
#[derive(Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    buffer: Buffer,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Tensor, TensorError> {
        let bytes = byte_count(dtype, shape)?;
        Ok(Tensor { dtype, shape: shape.into(), buffer: Buffer::zeroed(bytes)? })
    }

    /// A tensor with a copy of these elements, in row-major order.
    pub fn from_slice<T: Element>(elements: &[T], shape: &[usize]) -> Result<Tensor, TensorError> {
        TensorView::from_slice(elements, shape)?.to_tensor()
    }

    /// A tensor from bytes in the machine's order.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Tensor, TensorError> {
        TensorView::from_bytes(dtype, shape, bytes)?.to_tensor()
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements as bytes in the machine's order.
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.as_bytes()
    }

    /// The elements, if `T` is their type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        if T::DTYPE != self.dtype {
            return Err(TensorError::DType { expected: self.dtype, found: T::DTYPE });
        }
        let count = self.buffer.len() / size_of::<T>();
        // SAFETY: the buffer holds `count` elements of this type, aligned to 64 bytes; every bit
        // pattern that a tensor can hold is a value of `T` (bools are checked when they come in).
        Ok(unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast(), count) })
    }

    /// A view of the whole tensor.
    pub fn view(&self) -> TensorView<'_> {
        TensorView {
            dtype: self.dtype,
            strides: row_major(&self.shape),
            shape: self.shape.clone(),
            start: self.buffer.as_ptr(),
            memory: PhantomData,
        }
    }

    /// A view through which the tensor can be written.
    pub fn view_mut(&mut self) -> TensorViewMut<'_> {
        TensorViewMut {
            dtype: self.dtype,
            strides: row_major(&self.shape),
            shape: self.shape.clone(),
            start: self.buffer.as_mut_ptr(),
            memory: PhantomData,
        }
    }
}

/// A tensor in borrowed memory, with any strides.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    dtype: DType,
    shape: Shape,
    strides: Strides,
    start: *const u8,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: a view is a shared borrow of plain data.
unsafe impl Send for TensorView<'_> {}
// SAFETY: a view is a shared borrow of plain data.
unsafe impl Sync for TensorView<'_> {}

impl<'a> TensorView<'a> {
    /// A row-major view of a slice.
    pub fn from_slice<T: Element>(
        elements: &'a [T],
        shape: &[usize],
    ) -> Result<TensorView<'a>, TensorError> {
        check_count(T::DTYPE, shape, elements.len())?;
        TensorView::strided(elements, shape, &row_major(shape), 0)
    }

    /// A view of elements `offset + i0 * strides[0] + i1 * strides[1] + ...` of a slice.
    pub fn strided<T: Element>(
        elements: &'a [T],
        shape: &[usize],
        strides: &[i64],
        offset: usize,
    ) -> Result<TensorView<'a>, TensorError> {
        byte_count(T::DTYPE, shape)?;
        check_reach(shape, strides, offset, elements.len())?;
        let empty = shape.contains(&0);
        let start = if empty { elements.as_ptr() } else { &raw const elements[offset] };
        Ok(TensorView {
            dtype: T::DTYPE,
            shape: shape.into(),
            strides: strides.into(),
            start: start.cast(),
            memory: PhantomData,
        })
    }

    /// A row-major view of bytes in the machine's order.
    pub fn from_bytes(
        dtype: DType,
        shape: &[usize],
        bytes: &'a [u8],
    ) -> Result<TensorView<'a>, TensorError> {
        check_count(dtype, shape, bytes.len() / dtype.size())?;
        if !bytes.len().is_multiple_of(dtype.size()) {
            return Err(TensorError::Bytes { dtype, bytes: bytes.len() });
        }
        if dtype == DType::Bool && bytes.iter().any(|b| *b > 1) {
            return Err(TensorError::Bool);
        }
        let (shape, strides) = (shape.into(), row_major(shape));
        Ok(TensorView { dtype, shape, strides, start: bytes.as_ptr(), memory: PhantomData })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Distance between neighbours along each axis, in elements.
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    /// A copy in row-major order.
    pub fn to_tensor(&self) -> Result<Tensor, TensorError> {
        let mut out = Tensor::zeros(self.dtype, &self.shape)?;
        let size = self.dtype.size();
        let target = out.buffer.as_bytes_mut();
        if is_dense(&self.shape, &self.strides) {
            // SAFETY: the view covers `target.len()` readable bytes that nothing writes meanwhile.
            let source = unsafe { std::slice::from_raw_parts(self.start, target.len()) };
            target.copy_from_slice(source);
            return Ok(out);
        }
        let mut position: Shape = self.shape.iter().map(|_| 0).collect();
        for slot in target.chunks_exact_mut(size) {
            let element: i64 = position.iter().zip(&self.strides).map(|(i, s)| *i as i64 * s).sum();
            // SAFETY: every position within the shape was checked to lie in the borrowed memory.
            let source = unsafe {
                std::slice::from_raw_parts(
                    self.start.offset(element as isize * size as isize),
                    size,
                )
            };
            slot.copy_from_slice(source);
            for (i, n) in position.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok(out)
    }

    pub(crate) fn start(&self) -> *const u8 {
        self.start
    }
}

/// A tensor in mutably borrowed memory, with strides under which no two elements share memory.
#[derive(Debug)]
pub struct TensorViewMut<'a> {
    dtype: DType,
    shape: Shape,
    strides: Strides,
    start: *mut u8,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a view is a unique borrow of plain data.
unsafe impl Send for TensorViewMut<'_> {}

impl<'a> TensorViewMut<'a> {
    /// A row-major view of a slice.
    pub fn from_slice<T: Element>(
        elements: &'a mut [T],
        shape: &[usize],
    ) -> Result<TensorViewMut<'a>, TensorError> {
        check_count(T::DTYPE, shape, elements.len())?;
        TensorViewMut::strided(elements, shape, &row_major(shape), 0)
    }

    /// A view of elements `offset + i0 * strides[0] + ...` of a slice; no element may occur twice.
    pub fn strided<T: Element>(
        elements: &'a mut [T],
        shape: &[usize],
        strides: &[i64],
        offset: usize,
    ) -> Result<TensorViewMut<'a>, TensorError> {
        byte_count(T::DTYPE, shape)?;
        check_reach(shape, strides, offset, elements.len())?;
        if !distinct(shape, strides) {
            return Err(TensorError::Overlap { shape: shape.to_vec(), strides: strides.to_vec() });
        }
        let empty = shape.contains(&0);
        let start = if empty { elements.as_mut_ptr() } else { &raw mut elements[offset] };
        Ok(TensorViewMut {
            dtype: T::DTYPE,
            shape: shape.into(),
            strides: strides.into(),
            start: start.cast(),
            memory: PhantomData,
        })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Distance between neighbours along each axis, in elements.
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    pub(crate) fn start(&mut self) -> *mut u8 {
        self.start
    }
}

/// Row-major strides without gaps.
pub(crate) fn row_major(shape: &[usize]) -> Strides {
    let mut strides: Strides = shape.iter().map(|_| 1).collect();
    let mut step: i64 = 1;
    for (s, n) in strides.iter_mut().zip(shape).rev() {
        *s = step;
        step = step.saturating_mul((*n).max(1) as i64);
    }
    strides
}

/// True if the strides are row-major without gaps; axes of extent 1 do not matter.
pub(crate) fn is_dense(shape: &[usize], strides: &[i64]) -> bool {
    shape.contains(&0)
        || row_major(shape).iter().zip(strides).zip(shape).all(|((a, b), n)| *n == 1 || a == b)
}

/// Bytes of a tensor.
pub(crate) fn byte_count(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    let empty = shape.contains(&0);
    let count = shape
        .iter()
        .filter(|n| !empty || **n != 0)
        .try_fold(dtype.size(), |p, n| p.checked_mul(*n).filter(|b| *b <= isize::MAX as usize));
    match count {
        None => Err(TensorError::TooLarge { shape: shape.to_vec() }),
        Some(_) if empty => Ok(0),
        Some(bytes) => Ok(bytes),
    }
}

fn check_count(dtype: DType, shape: &[usize], found: usize) -> Result<(), TensorError> {
    let expected = byte_count(dtype, shape)? / dtype.size();
    if expected == found {
        Ok(())
    } else {
        Err(TensorError::Count { shape: shape.to_vec(), expected, found })
    }
}

/// Every position within the shape must lie in memory of `len` elements.
fn check_reach(
    shape: &[usize],
    strides: &[i64],
    offset: usize,
    len: usize,
) -> Result<(), TensorError> {
    if shape.len() != strides.len() {
        return Err(TensorError::Rank { shape: shape.len(), strides: strides.len() });
    }
    if shape.contains(&0) {
        return Ok(());
    }
    let (mut low, mut high) = (offset as i128, offset as i128);
    for (n, s) in shape.iter().zip(strides) {
        let reach = (*n as i128 - 1) * i128::from(*s);
        if reach < 0 { low += reach } else { high += reach }
    }
    if low < 0 || high >= len as i128 {
        return Err(TensorError::Reach { low, high, len });
    }
    Ok(())
}

/// True if sorting the axes by stride shows that no two positions share an element.
fn distinct(shape: &[usize], strides: &[i64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut axes: SmallVec<[(u64, u64); 6]> = shape
        .iter()
        .zip(strides)
        .filter(|(n, _)| **n > 1)
        .map(|(n, s)| (s.unsigned_abs(), *n as u64 - 1))
        .collect();
    axes.sort_unstable();
    let mut reach: u128 = 0;
    axes.iter().all(|(stride, last)| {
        let free = u128::from(*stride) > reach;
        reach += u128::from(*stride) * u128::from(*last);
        free
    })
}

#[cfg(feature = "ndarray")]
mod with_ndarray {
    //! Conversions from and to `ndarray`.

    use super::{Element, Tensor, TensorView, TensorViewMut};
    use crate::TensorError;
    use ndarray::{ArrayBase, ArrayD, ArrayView, ArrayViewMut, Data, DataMut, Dimension, IxDyn};
    use std::marker::PhantomData;

    impl<'a, T: Element, D: Dimension> From<ArrayView<'a, T, D>> for TensorView<'a> {
        fn from(a: ArrayView<'a, T, D>) -> TensorView<'a> {
            TensorView {
                dtype: T::DTYPE,
                shape: a.shape().into(),
                strides: a.strides().iter().map(|s| *s as i64).collect(),
                start: a.as_ptr().cast(),
                memory: PhantomData,
            }
        }
    }

    impl<'a, T: Element, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for TensorView<'a> {
        fn from(a: &'a ArrayBase<S, D>) -> TensorView<'a> {
            a.view().into()
        }
    }

    impl<'a, T: Element, D: Dimension> From<ArrayViewMut<'a, T, D>> for TensorViewMut<'a> {
        fn from(mut a: ArrayViewMut<'a, T, D>) -> TensorViewMut<'a> {
            TensorViewMut {
                dtype: T::DTYPE,
                shape: a.shape().into(),
                strides: a.strides().iter().map(|s| *s as i64).collect(),
                start: a.as_mut_ptr().cast(),
                memory: PhantomData,
            }
        }
    }

    impl<'a, T: Element, S: DataMut<Elem = T>, D: Dimension> From<&'a mut ArrayBase<S, D>>
        for TensorViewMut<'a>
    {
        fn from(a: &'a mut ArrayBase<S, D>) -> TensorViewMut<'a> {
            a.view_mut().into()
        }
    }

    impl Tensor {
        /// A copy as an `ndarray` array.
        pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>, TensorError> {
            let elements = self.as_slice::<T>()?.to_vec();
            Ok(ArrayD::from_shape_vec(IxDyn(self.shape()), elements)
                .unwrap_or_else(|e| unreachable!("the elements fill the shape: {e}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_stay_inside_their_slice() {
        let a = [0.0f32; 12];
        assert!(TensorView::strided(&a, &[3, 4], &[4, 1], 0).is_ok());
        assert!(TensorView::strided(&a, &[3, 4], &[-4, 1], 8).is_ok());
        assert!(TensorView::strided(&a, &[3, 4], &[-4, 1], 7).is_err());
        assert!(TensorView::strided(&a, &[3, 4], &[4, 1], 1).is_err());
        assert!(TensorView::strided(&a, &[3, 5], &[4, 0], 0).is_ok());
        assert!(TensorView::strided(&a, &[3, 4], &[4], 0).is_err());
        assert!(TensorView::strided(&a, &[0, 4], &[1 << 60, 1], 99).is_ok());
        assert!(TensorView::from_slice(&a, &[usize::MAX, 2]).is_err());
        assert!(TensorView::from_slice(&a, &[usize::MAX, 0]).is_err());
    }

    #[test]
    fn written_views_have_no_element_twice() {
        let mut a = [0i32; 12];
        assert!(TensorViewMut::strided(&mut a, &[3, 4], &[1, 3], 0).is_ok());
        assert!(TensorViewMut::strided(&mut a, &[3, 4], &[0, 1], 0).is_err());
        assert!(TensorViewMut::strided(&mut a, &[3, 4], &[1, 1], 0).is_err());
        assert!(TensorViewMut::strided(&mut a, &[3, 1], &[4, 0], 0).is_ok());
    }

    #[test]
    fn copies_follow_the_strides() {
        let a = [0i64, 1, 2, 3, 4, 5];
        let t = TensorView::strided(&a, &[3, 2], &[1, 3], 0).unwrap().to_tensor().unwrap();
        assert_eq!(t.as_slice::<i64>().unwrap(), [0, 3, 1, 4, 2, 5]);
        let t = TensorView::strided(&a, &[3], &[-2], 5).unwrap().to_tensor().unwrap();
        assert_eq!(t.as_slice::<i64>().unwrap(), [5, 3, 1]);
        assert!(t.as_slice::<u64>().is_err());
    }

    #[test]
    fn bytes_of_bools_are_checked() {
        assert!(TensorView::from_bytes(DType::Bool, &[2], &[0, 1]).is_ok());
        assert!(TensorView::from_bytes(DType::Bool, &[2], &[0, 2]).is_err());
        assert!(TensorView::from_bytes(DType::F32, &[1], &[0, 2, 3]).is_err());
    }
}
