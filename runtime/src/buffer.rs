//! Memory for tensors: zeroed, aligned to cache lines, never sized by an unchecked number.

use crate::TensorError;
use memmap2::{MmapMut, MmapOptions};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment in bytes.
const ALIGNMENT: usize = align_of::<Line>();

/// A cache line.
#[repr(align(64))]
struct Line;

/// Blocks of at least so many bytes are mapped, in large pages where the system has them: code that
/// walks through many rows at a time misses the table of pages otherwise.
const MAPPED: usize = 1 << 20;
/// Bytes of a large page.
const PAGE: usize = 2 << 20;

/// An owned block of bytes.
pub(crate) struct Buffer {
    start: NonNull<u8>,
    bytes: usize,
    /// What a large block lies in.
    map: Option<MmapMut>,
}

// SAFETY: a `Buffer` owns its memory as a `Box<[u8]>` would, and hands it out by reference only.
unsafe impl Send for Buffer {}
// SAFETY: see above; shared access is read-only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A block of zeros.
    pub(crate) fn zeroed(bytes: usize) -> Result<Buffer, TensorError> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT)
            .map_err(|_| TensorError::Memory { bytes: bytes as u64 })?;
        if bytes == 0 {
            let start = NonNull::<Line>::dangling().cast();
            return Ok(Buffer { start, bytes, map: None });
        }
        if bytes >= MAPPED {
            return Buffer::mapped(bytes).ok_or(TensorError::Memory { bytes: bytes as u64 });
        }
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })
            .ok_or(TensorError::Memory { bytes: bytes as u64 })?;
        Ok(Buffer { start, bytes, map: None })
    }

    /// A block of zeros in a map of its own, from the beginning of a large page.
    fn mapped(bytes: usize) -> Option<Buffer> {
        let mut map = MmapOptions::new()
            .len(bytes.checked_next_multiple_of(PAGE)?.checked_add(PAGE)?)
            .map_anon()
            .ok()?;
        #[cfg(target_os = "linux")]
        {
            // A wish: systems without large pages refuse it.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let skipped = map.as_ptr().align_offset(PAGE);
        let start = NonNull::new(map.get_mut(skipped..)?.as_mut_ptr())?;
        Some(Buffer { start, bytes, map: Some(map) })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the block has `bytes` initialized bytes and lives as long as `self`, in the heap
        // or behind the skipped bytes of its map.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`; `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes > 0 && self.map.is_none() {
            // SAFETY: allocated in `zeroed` with this layout, freed once.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.bytes, ALIGNMENT);
                dealloc(self.start.as_ptr(), layout);
            }
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes)
    }
}
