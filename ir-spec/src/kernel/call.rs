//! Calls of intrinsics on parts of buffers.

use crate::int::IntExpr;
use crate::intrinsic::Intrinsic;
use crate::{TensorId, VarId};
use std::sync::Arc;

/// The call of an intrinsic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntrinsicCall {
    /// What is called.
    pub intrinsic: Arc<Intrinsic>,
    /// Its parameters, then its results.
    pub views: Vec<View>,
}

/// A part of a buffer as a tensor: the element at `axes` is the one of the buffer at `subscripts`,
/// which are linear in the variables of the axes. In the text `C[4*io + m, n | m in 4, n in N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub buffer: TensorId,
    /// The variable and the extent of each axis.
    pub axes: Vec<(VarId, IntExpr)>,
    /// One for each axis of the buffer, over `axes`, the variables around and sizes.
    pub subscripts: Vec<IntExpr>,
}

impl IntrinsicCall {
    /// The views that are read.
    pub fn params(&self) -> impl Iterator<Item = &View> {
        self.views.iter().take(self.intrinsic.kernel.params.len())
    }

    /// The views that are written, and may be read.
    pub fn results(&self) -> impl Iterator<Item = &View> {
        self.views.iter().skip(self.intrinsic.kernel.params.len())
    }

    /// The call with other integer expressions.
    pub fn map(&self, int: &dyn Fn(&IntExpr) -> IntExpr) -> IntrinsicCall {
        let view = |v: &View| View {
            buffer: v.buffer,
            axes: v.axes.iter().map(|(axis, n)| (*axis, int(n))).collect(),
            subscripts: v.subscripts.iter().map(int).collect(),
        };
        let views = self.views.iter().map(view).collect();
        IntrinsicCall { intrinsic: self.intrinsic.clone(), views }
    }

    /// The values of the intrinsic's sizes, in order.
    pub fn sizes(&self) -> Vec<IntExpr> {
        let extent = |(k, axis): (usize, usize)| Some(self.views.get(k)?.axes.get(axis)?.1.clone());
        let sources = self.intrinsic.kernel.sizes.keys().map(|s| self.intrinsic.size_source(s));
        sources.map(|at| at.and_then(extent).unwrap_or_default()).collect()
    }
}

impl View {
    /// Where in the buffer the first element is.
    pub fn origin(&self) -> Vec<IntExpr> {
        let zero = IntExpr::constant(0);
        let first =
            |e: &IntExpr| self.axes.iter().fold(e.clone(), |e, (v, _)| e.with_var(*v, &zero));
        self.subscripts.iter().map(first).collect()
    }

    /// How far the next element along an axis lies, along each axis of the buffer; `None` if the
    /// distance is not the same everywhere.
    pub fn step(&self, axis: VarId) -> Option<Vec<IntExpr>> {
        let own = |e: &IntExpr| self.axes.iter().any(|(v, _)| e.mentions(*v));
        let step = |e: &IntExpr| e.linear_in(axis).map(|(step, _)| step).filter(|s| !own(s));
        self.subscripts.iter().map(step).collect()
    }
}
