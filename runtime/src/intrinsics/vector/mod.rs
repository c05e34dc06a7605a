//! Registers of several elements, for micro-kernels.
//!
//! All operations are `#[inline(always)]`, so that they become instructions of the function around
//! them, which has the features ([`super::tier`]).

#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// At most this many elements are in a register.
const MAX_LANES: usize = 64;

/// A register of elements of one type.
///
/// # Safety
/// All operations may be called only where the machine has the instructions; loads and stores only
/// with addresses of that many elements.
pub(super) trait Vector: Copy {
    /// The type of an element.
    type Element: Copy + Default;
    /// The number of elements.
    const LANES: usize;

    /// The element in all lanes.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn splat(x: Self::Element) -> Self;

    /// Neighbours in memory.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn load(from: *const Self::Element) -> Self;

    /// To neighbours in memory.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn store(self, to: *mut Self::Element);

    /// `n` neighbours in memory; the other lanes hold anything.
    ///
    /// # Safety
    /// See [`Vector`].
    #[inline(always)]
    unsafe fn load_first(from: *const Self::Element, n: usize) -> Self {
        let mut copy = [const { std::mem::MaybeUninit::<Self::Element>::zeroed() }; MAX_LANES];
        // SAFETY: `n` elements are read, and those of the copy are there; any bits are an element.
        unsafe {
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr().cast(), n);
            Self::load(copy.as_ptr().cast())
        }
    }

    /// The first `n` lanes to neighbours in memory.
    ///
    /// # Safety
    /// See [`Vector`].
    #[inline(always)]
    unsafe fn store_first(self, to: *mut Self::Element, n: usize) {
        let mut copy = [const { std::mem::MaybeUninit::<Self::Element>::zeroed() }; MAX_LANES];
        // SAFETY: the copy has room for all lanes, `n` elements are written.
        unsafe {
            self.store(copy.as_mut_ptr().cast());
            std::ptr::copy_nonoverlapping(copy.as_ptr().cast(), to, n);
        }
    }
}

/// A register of floats.
pub(super) trait Float: Vector {
    /// `a * b + c` with one rounding.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn fma(a: Self, b: Self, c: Self) -> Self;

    /// The sum.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn add(a: Self, b: Self) -> Self;

    /// The larger one; NaN if one is, and -0 is less than +0.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn max(a: Self, b: Self) -> Self;

    /// The smaller one, as [`Float::max`].
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn min(a: Self, b: Self) -> Self;
}

/// A register of bits.
pub(super) trait Bits: Vector {
    /// Bits set in both.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn and(a: Self, b: Self) -> Self;

    /// Bits set in one.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn or(a: Self, b: Self) -> Self;
}

/// Operations of a trait, each the expression given.
macro_rules! operations {
    ($(fn $name:ident($($x:ident: $ty:ty),*) $(-> $out:ty)? { $value:expr })*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($x: $ty),*) $(-> $out)? {
                // SAFETY: the caller's promise, see `Vector`.
                unsafe { $value }
            }
        )*
    };
}

use operations;
