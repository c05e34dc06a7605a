//! The arguments of a call.

/// The arguments of a call, as [`tcc_abi::IntrinsicFn`] lays them out.
#[derive(Clone, Copy)]
pub(super) struct Call {
    buffers: *const *mut u8,
    strides: *const i64,
    sizes: *const i64,
}

impl Call {
    /// # Safety
    /// The arrays hold what the declaration of the intrinsic asks for.
    #[inline(always)]
    pub(super) unsafe fn new(
        buffers: *const *mut u8,
        strides: *const i64,
        sizes: *const i64,
    ) -> Call {
        Call { buffers, strides, sizes }
    }

    /// The first element of an argument.
    #[inline(always)]
    pub(super) fn buffer<T>(&self, k: usize) -> *mut T {
        // SAFETY: the declaration has this argument.
        unsafe { (*self.buffers.add(k)).cast() }
    }

    /// A stride, counted over all axes that have one.
    #[inline(always)]
    pub(super) fn stride(&self, k: usize) -> isize {
        // SAFETY: the declaration has this axis.
        unsafe { *self.strides.add(k) as isize }
    }

    /// A size.
    #[inline(always)]
    pub(super) fn size(&self, k: usize) -> usize {
        // SAFETY: the declaration has this size.
        unsafe { *self.sizes.add(k) as usize }
    }
}
