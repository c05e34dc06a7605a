//! Deadlines: a flag that kernels poll, raised by a thread when the time is over.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The flag of one call.
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    flag: AtomicU32,
    done: Mutex<bool>,
    changed: Condvar,
}

impl Watch {
    /// A flag that rises after `limit`. If no thread can be had, it never does; the time between
    /// kernels is still checked by the caller.
    pub(crate) fn new(limit: Duration) -> Watch {
        let watch = Watch { shared: Arc::default() };
        let shared = Arc::clone(&watch.shared);
        let wait = move || {
            let done = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = shared.changed.wait_timeout_while(done, limit, |done| !*done);
            let (done, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !*done {
                shared.flag.store(1, Ordering::Relaxed);
            }
        };
        let _ = std::thread::Builder::new().name("tcc-deadline".into()).spawn(wait);
        watch
    }

    /// A flag that never rises.
    pub(crate) fn never() -> *const u32 {
        static NEVER: AtomicU32 = AtomicU32::new(0);
        NEVER.as_ptr()
    }

    /// What kernels poll.
    pub(crate) fn flag(&self) -> *const u32 {
        self.shared.flag.as_ptr()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
    }
}
