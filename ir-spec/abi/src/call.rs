//! What a compiled kernel receives and what it answers.

/// The arguments of one kernel call. A kernel is `extern "C" fn(*const KernelCall) -> i32`; the
/// result is a [`Status`]. All arrays belong to the caller and outlive the call.
#[repr(C)]
#[derive(Debug)]
pub struct KernelCall {
    /// One base address per kernel parameter, in declaration order.
    pub buffers: *const *mut u8,
    /// One address per kernel parameter, read only for those that the kernel declares as strided:
    /// first 1 if the tensor is row-major without gaps and 0 if not, then one stride per axis, in
    /// elements.
    pub strides: *const *const i64,
    /// The executable's sizes.
    pub sizes: *const i64,
    /// Where to describe a failure before returning a status other than 0.
    pub error: *mut ErrorRecord,
    /// Becomes other than 0 when the call shall stop with [`Status::Cancelled`].
    pub cancel: *const u32,
    /// Memory of this thread for the kernel's `@local` buffers, aligned to [`SCRATCH_ALIGNMENT`];
    /// its contents are unspecified. Never read by a kernel without such buffers.
    pub scratch: *mut u8,
    /// The first iteration of the kernel's parallel nest that this call runs. Iterations are
    /// numbered from 0 in the order of the loops; a kernel without a parallel nest ignores both.
    pub first: i64,
    /// One past the last iteration that this call runs; the kernel stops at the end of the nest, so
    /// that `0..i64::MAX` runs all of it.
    pub end: i64,
}

/// Alignment of [`KernelCall::scratch`] and of every buffer in it: a cache line and the widest
/// vector.
pub const SCRATCH_ALIGNMENT: i64 = 64;

/// The signature of a compiled kernel.
pub type KernelFn = unsafe extern "C" fn(*const KernelCall) -> i32;

/// The signature of an intrinsic: a function of the runtime that kernels call on parts of buffers.
/// It gets the address of each argument's first element; the strides, in elements, of the axes of
/// those arguments that its declaration gives strides, one argument after the other; and the sizes
/// of the declaration. All three arrays belong to the caller.
pub type IntrinsicFn =
    unsafe extern "C" fn(buffers: *const *mut u8, strides: *const i64, sizes: *const i64);

/// What went wrong inside a kernel, in numbers; the image's site table turns it into words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorRecord {
    /// Index into the image's site table.
    pub site: u32,
    /// How many of `position` are used.
    pub rank: u32,
    /// The offending value.
    pub value: i64,
    /// The bound it violates.
    pub bound: i64,
    /// The iteration variables of the block at the failure.
    pub position: [i64; ErrorRecord::MAX_POSITION],
}

impl ErrorRecord {
    /// At most this many iteration variables are recorded.
    pub const MAX_POSITION: usize = 8;
}

/// The result of a kernel call.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The kernel ran to its end.
    Ok = 0,
    /// A data-dependent subscript was out of range (E-INDEX).
    Index = 1,
    /// A fixpoint did not converge or met a NaN (E-DIVERGE).
    Diverge = 2,
    /// An integer was divided by zero (E-DIV).
    Division = 3,
    /// The call's deadline passed or it was cancelled (E-BUDGET).
    Cancelled = 4,
}

impl Status {
    /// The status that a kernel's answer stands for; unknown numbers are a damaged kernel.
    pub fn from_code(code: i32) -> Option<Status> {
        [Status::Ok, Status::Index, Status::Diverge, Status::Division, Status::Cancelled]
            .into_iter()
            .find(|s| *s as i32 == code)
    }
}
