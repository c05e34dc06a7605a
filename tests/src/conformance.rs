//! Implementations of intrinsics beside the meaning of their declarations.
//!
//! Arguments lie in memory with the strides of the case between guard bytes; after a call the
//! results hold what the kernel interpreter computed, bit for bit but for the payload of NaNs, and
//! no other byte has changed.

use fastrand::Rng;
use tcc_abi::{DType, Scalar};
use tcc_ir::SizeId;
use tcc_ir::eval::{Expansions, Machine, Tensor, run_kernel};
use tcc_ir::int::{IntExpr, Symbol};
use tcc_ir::intrinsic::Intrinsic;
use tcc_ir::kernel::{Buffer, Scope};
use tcc_runtime::Implementation;

/// How the arguments that may have strides lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row-major without gaps.
    Dense,
    /// Row-major, gaps between rows only.
    Rows,
    /// The first axis varies fastest.
    Columns,
    /// Gaps along every axis, backward.
    Backward,
    /// What is read has one element for all of the last axis.
    Repeated,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Layout; 5] =
        [Layout::Dense, Layout::Rows, Layout::Columns, Layout::Backward, Layout::Repeated];
}

/// An argument in memory.
struct Argument {
    dtype: DType,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<i64>,
    /// Of the first element, in elements.
    origin: usize,
    /// Aligned to 16 bytes.
    memory: Vec<u128>,
    has_strides: bool,
}

impl Argument {
    fn new(b: &Buffer, shape: Vec<usize>, layout: Layout, written: bool) -> Argument {
        let has_strides = b.scope == Scope::Strided;
        let layout = match layout {
            _ if !has_strides => Layout::Dense,
            Layout::Repeated if written => Layout::Dense,
            other => other,
        };
        let (strides, span) = strides(&shape, layout);
        let origin = if layout == Layout::Backward { span - 1 } else { 0 } + GUARD;
        let bytes = (span + 2 * GUARD) * b.dtype.size();
        let memory = vec![u128::from_le_bytes([0xa5; 16]); bytes.div_ceil(16)];
        Argument { dtype: b.dtype, shape, strides, origin, memory, has_strides }
    }

    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Byte offset of each element in row-major order.
    fn places(&self) -> Vec<usize> {
        let place = |flat: usize| {
            let (mut rest, mut at) = (flat, self.origin as i64);
            for (n, stride) in self.shape.iter().zip(&self.strides).rev() {
                at += (rest % n) as i64 * stride;
                rest /= n;
            }
            at as usize * self.dtype.size()
        };
        (0..self.count()).map(place).collect()
    }

    fn bytes(&mut self) -> &mut [u8] {
        let len = self.memory.len() * 16;
        // SAFETY: the words are bytes, too.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), len) }
    }

    fn write(&mut self, elements: &[Scalar]) {
        for (at, s) in self.places().into_iter().zip(elements) {
            let size = s.dtype().size();
            s.write(&mut self.bytes()[at..at + size]);
        }
    }

    fn read(&mut self) -> Vec<Scalar> {
        let (dtype, places) = (self.dtype, self.places());
        places.into_iter().map(|at| Scalar::read(dtype, &self.bytes()[at..])).collect()
    }
}

/// Elements before and after an argument.
const GUARD: usize = 64;

/// Strides of a layout, and how many elements it spans.
fn strides(shape: &[usize], layout: Layout) -> (Vec<i64>, usize) {
    let mut strides = vec![0i64; shape.len()];
    let mut next = 1i64;
    let row_major = || (0..shape.len()).rev().collect::<Vec<_>>();
    let order = if layout == Layout::Columns { (0..shape.len()).collect() } else { row_major() };
    for (k, axis) in order.into_iter().enumerate() {
        next *= match (layout, k) {
            (Layout::Backward, _) => 2,
            (Layout::Rows, 1) => 1,
            _ => 1,
        };
        strides[axis] = next;
        next *= shape[axis].max(1) as i64;
        if layout == Layout::Rows && k == 0 {
            next += 3;
        }
    }
    if layout == Layout::Repeated
        && let Some(last) = strides.last_mut()
    {
        *last = 0;
    }
    let span = next as usize + 1;
    if layout == Layout::Backward {
        strides.iter_mut().for_each(|s| *s = -*s);
    }
    (strides, span)
}

/// The value of an expression at these sizes.
fn at(e: &IntExpr, sizes: &[i64]) -> i64 {
    let value = |s: Symbol| match s {
        Symbol::Size(s) => sizes[s.as_u32() as usize],
        Symbol::Var(_) => unreachable!("a shape has no variables"),
    };
    e.eval(&value).unwrap()
}

/// True if the sizes satisfy the facts of the declaration.
pub fn admits(i: &Intrinsic, sizes: &[i64]) -> bool {
    let holds = |f: &tcc_ir::graph::Fact| {
        let conditions = f.comparison.as_nonneg(&f.lhs, &f.rhs);
        conditions.iter().all(|e| at(e, sizes) >= 0)
    };
    i.kernel.facts.iter().all(holds)
}

/// A case: sizes, layout, and the elements of each argument.
pub struct Case {
    sizes: Vec<i64>,
    layout: Layout,
    elements: Vec<Vec<Scalar>>,
}

impl Case {
    /// A case with elements that `element` makes.
    pub fn new(
        i: &Intrinsic,
        sizes: &[i64],
        layout: Layout,
        element: &mut dyn FnMut(DType) -> Scalar,
    ) -> Case {
        let mut arguments = arguments(i, sizes, layout);
        let mut elements = Vec::new();
        for a in &mut arguments {
            let made: Vec<Scalar> = (0..a.count()).map(|_| element(a.dtype)).collect();
            // Where elements share memory they are the one written last.
            a.write(&made);
            elements.push(a.read());
        }
        Case { sizes: sizes.to_vec(), layout, elements }
    }

    /// A case of one axis with these elements for the parameters.
    pub fn strip(i: &Intrinsic, params: Vec<Vec<Scalar>>) -> Case {
        let n = params.first().map_or(0, Vec::len);
        let mut case = Case::new(i, &[n as i64], Layout::Dense, &mut |d| Scalar::from_i128(d, 0));
        for (to, from) in case.elements.iter_mut().zip(params) {
            *to = from;
        }
        case
    }

    /// What the meaning makes of the results.
    pub fn meaning(&self, i: &Intrinsic, expansions: &mut Expansions) -> Vec<Vec<Scalar>> {
        let params = i.kernel.params.len();
        let mut tensors: Vec<Tensor<f64>> = arguments(i, &self.sizes, self.layout)
            .iter()
            .zip(&self.elements)
            .map(|(a, e)| Tensor::from_scalars(&Machine, a.dtype, &a.shape, e))
            .collect();
        run_kernel(&i.kernel, &self.sizes, &mut tensors, expansions).unwrap();
        tensors.iter().skip(params).map(|t| t.to_scalars(&Machine)).collect()
    }

    /// What an implementation makes of the results; an error if it wrote anything else.
    pub fn run(&self, i: &Intrinsic, by: &Implementation) -> Result<Vec<Vec<Scalar>>, String> {
        let mut arguments = arguments(i, &self.sizes, self.layout);
        for (a, e) in arguments.iter_mut().zip(&self.elements) {
            a.write(e);
        }
        let before: Vec<Vec<u8>> = arguments.iter_mut().map(|a| a.bytes().to_vec()).collect();
        let buffers: Vec<*mut u8> = arguments
            .iter_mut()
            .map(|a| {
                let at = a.origin * a.dtype.size();
                a.bytes()[at..].as_mut_ptr()
            })
            .collect();
        let strides: Vec<i64> =
            arguments.iter().filter(|a| a.has_strides).flat_map(|a| a.strides.clone()).collect();
        assert!(
            by.is_available(),
            "{} was called on a machine without {:?}",
            by.symbol,
            by.features
        );
        // SAFETY: the machine has the features; the arguments have the types, shapes and strides
        // of the declaration.
        unsafe { (by.function)(buffers.as_ptr(), strides.as_ptr(), self.sizes.as_ptr()) };
        let params = i.kernel.params.len();
        for (k, (a, mut before)) in arguments.iter_mut().zip(before).enumerate() {
            let mut after = a.bytes().to_vec();
            if k >= params {
                for at in a.places() {
                    before[at..at + a.dtype.size()].fill(0);
                    after[at..at + a.dtype.size()].fill(0);
                }
            }
            if before != after {
                return Err(format!("{self} changed memory around argument {k}"));
            }
        }
        Ok(arguments.iter_mut().skip(params).map(Argument::read).collect())
    }

    /// Compares an implementation with the meaning.
    pub fn check(
        &self,
        i: &Intrinsic,
        by: &Implementation,
        want: &[Vec<Scalar>],
    ) -> Result<(), String> {
        let got = self.run(i, by)?;
        for (k, (got, want)) in got.iter().flatten().zip(want.iter().flatten()).enumerate() {
            let nan = |s: &Scalar| s.dtype().is_float() && s.to_f64().is_nan();
            if got != want && !(nan(got) && nan(want)) {
                let from: Vec<Option<&Scalar>> = self.elements.iter().map(|e| e.get(k)).collect();
                return Err(format!(
                    "{self}: result {k} is {got:?} ({:x}), the meaning is {want:?} ({:x}); there \
                     stand {from:?}",
                    got.bits(),
                    want.bits()
                ));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sizes {:?}, {:?}", self.sizes, self.layout)
    }
}

fn arguments(i: &Intrinsic, sizes: &[i64], layout: Layout) -> Vec<Argument> {
    let params = i.kernel.params.len();
    let one = |(k, t): (usize, tcc_ir::TensorId)| {
        let b = &i.kernel.buffers[t];
        let shape = b.shape.iter().map(|e| at(e, sizes) as usize).collect();
        Argument::new(b, shape, layout, k >= params)
    };
    i.kernel.arguments().enumerate().map(one).collect()
}

/// A random element: ordinary numbers, and with probability `special` other kinds.
pub fn element(rng: &mut Rng, dtype: DType, special: f64) -> Scalar {
    if !dtype.is_float() {
        let small = Scalar::from_i128(dtype, i128::from(rng.i8(..)));
        return if rng.bool() { small } else { Scalar::from_i128(dtype, i128::from(rng.i64(..))) };
    }
    if rng.f64() >= special {
        return Scalar::from_f64(dtype, rng.f64() * 4.0 - 2.0);
    }
    let sign = 1u128 << (dtype.bits() - 1);
    let bits = match rng.u8(..10) {
        0 => 0,
        1 => sign,
        2 => Scalar::from_f64(dtype, f64::INFINITY).bits(),
        3 => Scalar::from_f64(dtype, f64::NEG_INFINITY).bits(),
        4 => Scalar::from_f64(dtype, f64::NAN).bits(),
        // Subnormal.
        5 => u128::from(rng.u64(..)) & 0x7f | if rng.bool() { sign } else { 0 },
        // Beside a power of two: the ends of the ranges of other types.
        6 => {
            let power = Scalar::from_f64(dtype, f64::powi(2.0, rng.i32(-30..70)));
            (power.bits() + u128::from(rng.u8(..3))).wrapping_sub(1)
                | if rng.bool() { sign } else { 0 }
        }
        // Few digits: between two numbers of a shorter type.
        7 => {
            let cut = (1u128 << rng.u32(..20)) - 1;
            let scale = f64::powi(2.0, rng.i32(-26..17));
            Scalar::from_f64(dtype, (rng.f64() * 4.0 - 2.0) * scale).bits() & !cut
        }
        _ => u128::from(rng.u64(..)),
    };
    Scalar::from_bits(dtype, bits)
}

/// A number whose products and sums lie about the smallest normal number of `f32`.
pub fn tiny(rng: &mut Rng, dtype: DType) -> Scalar {
    let size = match dtype {
        DType::F32 => {
            let near = [0u32, 0x0080_0000, 0x0100_0000][rng.usize(..3)];
            f64::from(f32::from_bits(near.saturating_add_signed(rng.i32(-3..4))))
        }
        _ => {
            let exponent = [-78, -77, -76, -75, -74, -63, -1][rng.usize(..7)];
            f64::powi(2.0, exponent) * (1.0 + f64::from(rng.u8(..4)) / 128.0)
        }
    };
    Scalar::from_f64(dtype, if rng.bool() { size } else { -size })
}

/// Sizes to try: the ends of every range, and what lies around the widths of vectors.
pub fn all_sizes(i: &Intrinsic) -> Vec<Vec<i64>> {
    let names: Vec<(SizeId, &str)> =
        i.kernel.sizes.iter().map(|(s, size)| (s, size.name.as_str())).collect();
    if names.len() == 1 {
        return STRIPS.iter().chain([&LONG]).map(|n| vec![*n]).collect();
    }
    // The panel of a micro-kernel: the last facts are `M <= rows, N <= columns`.
    let limit = |name: &str| {
        let size = names.iter().find(|(_, n)| *n == name).map(|(s, _)| IntExpr::from(*s));
        i.kernel.facts.iter().find(|f| Some(&f.lhs) == size.as_ref())?.rhs.as_constant()
    };
    let Some((rows, columns)) = limit("M").zip(limit("N")) else {
        return product(&vec![MATRICES.to_vec(); names.len()]);
    };
    let mut out = Vec::new();
    for steps in [0, 1, 5] {
        out.extend((0..=rows).flat_map(|m| [1, columns / 2, columns].map(|n| vec![steps, m, n])));
        out.extend((0..=columns).flat_map(|n| [1, rows].map(|m| vec![steps, m, n])));
    }
    out
}

/// A strip of many special elements.
pub const LONG: i64 = 4000;

const STRIPS: [i64; 19] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130, 257];
const MATRICES: [i64; 7] = [0, 1, 2, 3, 6, 16, 35];

/// Every choice of one of each list.
fn product(lists: &[Vec<i64>]) -> Vec<Vec<i64>> {
    lists.iter().fold(vec![vec![]], |all, list| {
        all.iter().flat_map(|head| list.iter().map(|n| [head.as_slice(), &[*n]].concat())).collect()
    })
}
