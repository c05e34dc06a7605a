//! Arenas: memory for temporaries, kept between calls.

use crate::TensorError;
use crate::buffer::Buffer;
use std::sync::Mutex;

/// At most this many arenas are kept.
const KEPT: usize = 16;

/// Arenas that no call is using.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<Buffer>>,
}

/// An arena in use; it goes back when dropped.
pub(crate) struct Arena<'p> {
    pool: &'p Pool,
    buffer: Option<Buffer>,
}

impl Pool {
    /// An arena of at least this many bytes, contents unspecified.
    pub(crate) fn take(&self, bytes: usize) -> Result<Arena<'_>, TensorError> {
        let kept = {
            let mut free = self.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            free.iter().position(|b| b.len() >= bytes).map(|at| free.swap_remove(at))
        };
        let buffer = match kept {
            Some(buffer) => buffer,
            None => Buffer::zeroed(bytes)?,
        };
        Ok(Arena { pool: self, buffer: Some(buffer) })
    }
}

impl Arena<'_> {
    /// First byte.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.buffer.as_mut().map_or(std::ptr::null_mut(), Buffer::as_mut_ptr)
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        let mut free = self.pool.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        free.push(buffer);
        if free.len() > KEPT {
            // The smallest is the least useful.
            let smallest = (0..free.len()).min_by_key(|k| free.get(*k).map_or(0, Buffer::len));
            smallest.map(|k| free.swap_remove(k));
        }
    }
}
