//! Inputs in memory with other strides than the row-major ones.

use crate::programs::to_memory;
use fastrand::Rng;
use half::{bf16, f16};
use num_complex::{Complex32, Complex64};
use tcc::TensorView;
use tcc_abi::DType;
use tcc_ir::eval::Tensor;
use tcc_runtime::{Element, Tensor as Memory};

/// How a tensor lies in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    shape: Vec<usize>,
    strides: Vec<i64>,
    offset: usize,
    length: usize,
}

impl Layout {
    /// Row-major without gaps.
    pub fn dense(shape: &[usize]) -> Layout {
        Layout::of(shape, &(0..shape.len()).collect::<Vec<_>>(), &vec![(1, false); shape.len()])
    }

    /// Axes in any order, with gaps and reversals.
    pub fn random(rng: &mut Rng, shape: &[usize]) -> Layout {
        let mut order: Vec<usize> = (0..shape.len()).collect();
        if rng.bool() {
            rng.shuffle(&mut order);
        }
        let axes: Vec<(i64, bool)> = shape
            .iter()
            .map(|_| (if rng.u8(0..3) == 0 { rng.i64(2..4) } else { 1 }, rng.u8(0..4) == 0))
            .collect();
        Layout::of(shape, &order, &axes)
    }

    /// `order` lists the axes, slowest first; each has a gap factor and may be reversed.
    fn of(shape: &[usize], order: &[usize], axes: &[(i64, bool)]) -> Layout {
        let mut strides = vec![0; shape.len()];
        let (mut step, mut offset) = (1i64, 0i64);
        for axis in order.iter().rev() {
            let (gap, reversed) = axes[*axis];
            let extent = shape[*axis] as i64;
            strides[*axis] = if reversed { -step * gap } else { step * gap };
            if reversed {
                offset += step * gap * (extent - 1).max(0);
            }
            step *= gap * extent.max(1);
        }
        Layout { shape: shape.to_vec(), strides, offset: offset as usize, length: step as usize }
    }

    /// The memory that holds a tensor so; what no element covers is junk.
    pub fn place(&self, t: &Tensor<f64>) -> Memory {
        let width = t.dtype.size();
        let dense = to_memory(t);
        let junk = if t.dtype == DType::Bool { 1 } else { 0x7B };
        let mut bytes = vec![junk; self.length * width];
        let mut position = vec![0usize; self.shape.len()];
        for element in dense.as_bytes().chunks(width) {
            let at: i64 = position.iter().zip(&self.strides).map(|(p, s)| *p as i64 * s).sum();
            let at = (self.offset as i64 + at) as usize * width;
            bytes[at..at + width].copy_from_slice(element);
            for (p, n) in position.iter_mut().zip(&self.shape).rev() {
                *p += 1;
                if *p < *n {
                    break;
                }
                *p = 0;
            }
        }
        Memory::from_bytes(t.dtype, &[self.length], &bytes).unwrap_or_else(|e| unreachable!("{e}"))
    }

    /// The view of such memory.
    pub fn view<'a>(&self, memory: &'a Memory) -> TensorView<'a> {
        match memory.dtype() {
            DType::F64 => self.typed::<f64>(memory),
            DType::F32 => self.typed::<f32>(memory),
            DType::F16 => self.typed::<f16>(memory),
            DType::BF16 => self.typed::<bf16>(memory),
            DType::I8 => self.typed::<i8>(memory),
            DType::I16 => self.typed::<i16>(memory),
            DType::I32 => self.typed::<i32>(memory),
            DType::I64 => self.typed::<i64>(memory),
            DType::U8 => self.typed::<u8>(memory),
            DType::U16 => self.typed::<u16>(memory),
            DType::U32 => self.typed::<u32>(memory),
            DType::U64 => self.typed::<u64>(memory),
            DType::Bool => self.typed::<bool>(memory),
            DType::C64 => self.typed::<Complex32>(memory),
            DType::C128 => self.typed::<Complex64>(memory),
            other => unreachable!("no tensors of {other}"),
        }
    }

    fn typed<'a, T: Element>(&self, memory: &'a Memory) -> TensorView<'a> {
        let elements = memory.as_slice::<T>().unwrap_or_else(|e| unreachable!("{e}"));
        TensorView::strided(elements, &self.shape, &self.strides, self.offset)
            .unwrap_or_else(|e| unreachable!("{e}"))
    }
}
