//! Threads that help calls.
//!
//! A call shares the iterations of a kernel out over threads through an [`Executor`]: the threads
//! of this module, or those of the embedding program. Threads of this module start when they are
//! first needed, wait for work by spinning for a few microseconds and then by sleeping, and serve
//! one call at a time: a call that finds them busy does its work itself.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

/// Who runs the work of a call.
///
/// The embedding program implements it to have calls run on threads of its own, for example those
/// of `rayon` by `in_place_scope`, or of the standard library:
///
/// ```
/// struct Scoped;
///
/// impl tcc_runtime::Executor for Scoped {
///     fn threads(&self) -> usize {
///         2
///     }
///
///     fn run(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
///         std::thread::scope(|scope| {
///             (0..helpers).for_each(|_| drop(scope.spawn(work)));
///             work();
///         });
///     }
/// }
/// ```
pub trait Executor: Send + Sync {
    /// How many threads a call may use at most where it names no number, the caller's included.
    fn threads(&self) -> usize;

    /// Calls `work` on this thread, and meanwhile up to `helpers` times on others. Each call of
    /// `work` returns when there is nothing left to do; this returns when all of them have. Fewer
    /// helpers, or none, are no error.
    fn run(&self, helpers: usize, work: &(dyn Fn() + Sync));
}

/// How long a thread looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(30);
/// How many times it looks between two looks at the clock.
const LOOKS: usize = 32;
/// Never more threads than this.
const MOST: usize = 256;
/// The part of [`Shared::tickets`] that counts; the rest tells jobs apart.
const OPEN: u64 = 0xffff_ffff;

/// Threads of this process that help calls, started when they are first needed.
pub struct Threads {
    shared: Arc<Shared>,
    cores: usize,
    started: Mutex<Vec<JoinHandle<()>>>,
    /// How many of `started` there are.
    count: AtomicUsize,
    shares: AtomicU64,
}

/// What the caller and its helpers share.
///
/// A job goes like this: the caller takes `busy`, writes `job` and `running`, and opens as many
/// tickets as it wants helpers. A thread that takes a ticket runs the job, then takes itself off
/// `running`. When the caller's own part is done it closes the tickets that nobody took, and waits
/// for `running` to reach 0.
#[derive(Default)]
struct Shared {
    busy: AtomicBool,
    /// Points to the caller's reference to the work while a job has open tickets or runs.
    job: AtomicPtr<Work>,
    /// The number of the job, above the number of open tickets.
    tickets: AtomicU64,
    /// Tickets that are open or whose holder has not ended yet.
    running: AtomicUsize,
    /// The first panic of a helper.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// True when the threads shall end; the lock under which they fall asleep.
    stop: Mutex<bool>,
    wake: Condvar,
    sleeping: AtomicUsize,
    /// The lock under which the caller falls asleep.
    ended: Mutex<()>,
    all_ended: Condvar,
    caller_sleeps: AtomicBool,
}

type Work = &'static (dyn Fn() + Sync);

impl Threads {
    /// Threads for calls that use up to `threads` of them, the caller's included. Calls that ask
    /// for more get more.
    pub fn new(threads: NonZeroUsize) -> Threads {
        Threads {
            shared: Arc::default(),
            cores: threads.get().min(MOST),
            started: Mutex::default(),
            count: AtomicUsize::new(0),
            shares: AtomicU64::new(0),
        }
    }

    /// The threads of this process, one for each core: what calls use where nothing else is said.
    pub fn global() -> &'static Arc<Threads> {
        static GLOBAL: OnceLock<Arc<Threads>> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            Arc::new(Threads::new(available_parallelism().unwrap_or(NonZeroUsize::MIN)))
        })
    }

    /// How many threads have been started.
    pub fn started(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How often work was offered to other threads.
    pub fn shares(&self) -> u64 {
        self.shares.load(Ordering::Relaxed)
    }

    /// Starts threads until there are `wanted`, as far as the system gives them.
    fn start(&self, wanted: usize) {
        let wanted = wanted.min(MOST - 1);
        if self.count.load(Ordering::Relaxed) >= wanted {
            return;
        }
        let mut started = lock(&self.started);
        // Spinning threads beyond the cores only take the time of those that work.
        let spin = wanted < available_parallelism().map_or(1, NonZeroUsize::get);
        while started.len() < wanted {
            let shared = Arc::clone(&self.shared);
            let name = format!("tcc-{}", started.len() + 1);
            match Builder::new().name(name).spawn(move || shared.serve(spin)) {
                Ok(handle) => started.push(handle),
                Err(_) => break,
            }
        }
        self.count.store(started.len(), Ordering::Relaxed);
    }
}

impl Executor for Threads {
    fn threads(&self) -> usize {
        self.cores
    }

    fn run(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        let taken = || self.shared.busy.swap(true, Ordering::Acquire);
        if helpers == 0 || taken() {
            return work();
        }
        self.start(helpers);
        self.shares.fetch_add(1, Ordering::Relaxed);
        let outcome = self.shared.share(helpers, self.started(), work);
        self.shared.busy.store(false, Ordering::Release);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }
}

impl Shared {
    /// The caller's side of a job; `busy` is taken. The answer is the panic of `work`, if any.
    fn share(
        &self,
        helpers: usize,
        started: usize,
        work: &(dyn Fn() + Sync),
    ) -> Result<(), Box<dyn Any + Send>> {
        let helpers = helpers.min(started);
        self.job.store((&raw const work).cast_mut().cast(), Ordering::Relaxed);
        self.running.store(helpers, Ordering::Relaxed);
        let job = (self.tickets.load(Ordering::Relaxed) | OPEN).wrapping_add(1);
        self.tickets.store(job | helpers as u64, Ordering::SeqCst);
        self.rouse(helpers, started);
        let own = catch_unwind(AssertUnwindSafe(work));
        let left = self.tickets.fetch_and(!OPEN, Ordering::Relaxed) & OPEN;
        self.running.fetch_sub(left as usize, Ordering::SeqCst);
        self.await_helpers();
        let theirs = lock(&self.panic).take();
        own.and(theirs.map_or(Ok(()), Err))
    }

    /// Wakes as many threads as are wanted beyond those that are awake.
    fn rouse(&self, helpers: usize, started: usize) {
        let sleeping = self.sleeping.load(Ordering::SeqCst);
        let wanted = helpers.saturating_sub(started.saturating_sub(sleeping));
        if wanted == 0 {
            return;
        }
        // One that is about to sleep holds the lock until it does.
        drop(lock(&self.stop));
        if wanted < sleeping {
            (0..wanted).for_each(|_| self.wake.notify_one());
        } else {
            self.wake.notify_all();
        }
    }

    /// Returns when no thread runs the job.
    fn await_helpers(&self) {
        if look_for(|| (self.running.load(Ordering::Acquire) == 0).then_some(())).is_some() {
            return;
        }
        let mut guard = lock(&self.ended);
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while self.running.load(Ordering::SeqCst) != 0 {
            guard = self.all_ended.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, Ordering::Relaxed);
    }

    /// What a thread does all its life.
    fn serve(&self, spin: bool) {
        loop {
            let work = if spin { look_for(|| self.take_ticket()) } else { self.take_ticket() };
            match work {
                Some(work) => self.help(work),
                None if self.sleep() => {}
                None => return,
            }
        }
    }

    /// The work of a job that wants another helper.
    fn take_ticket(&self) -> Option<Work> {
        let take = |t: u64| (t & OPEN > 0).then(|| t - 1);
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        self.tickets.fetch_update(success, failure, take).ok()?;
        let job = self.job.load(Ordering::Relaxed);
        // SAFETY: a ticket was open, so the caller of `share` has written `job` before it opened
        // it, and stays in `share`, where the pointer is valid, until this thread has taken itself
        // off `running`. The work is used no longer than that.
        Some(unsafe { *job })
    }

    fn help(&self, work: Work) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            lock(&self.panic).get_or_insert(panic);
        }
        let last = self.running.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.caller_sleeps.load(Ordering::SeqCst) {
            drop(lock(&self.ended));
            self.all_ended.notify_all();
        }
    }

    /// Sleeps until there is something to do; false if the thread shall end.
    fn sleep(&self) -> bool {
        let mut stop = lock(&self.stop);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        while !*stop && self.tickets.load(Ordering::SeqCst) & OPEN == 0 {
            stop = self.wake.wait(stop).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
        !*stop
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        *lock(&self.shared.stop) = true;
        self.shared.wake.notify_all();
        for handle in lock(&self.started).drain(..) {
            // A thread that panicked outside of a job has nothing left to say.
            let _ = handle.join();
        }
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Threads({} of {} started)", self.started(), self.cores)
    }
}

/// Asks again and again for a short while.
fn look_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let mut until: Option<Instant> = None;
    loop {
        for _ in 0..LOOKS {
            if let Some(found) = ask() {
                return Some(found);
            }
            std::hint::spin_loop();
        }
        let now = Instant::now();
        if now >= *until.get_or_insert(now + SPIN) {
            return None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{current, scope, yield_now};

    fn threads(most: usize) -> Threads {
        Threads::new(NonZeroUsize::new(most).unwrap())
    }

    fn await_sleep(t: &Threads) {
        while t.shared.sleeping.load(Ordering::SeqCst) < t.started() {
            yield_now();
        }
    }

    /// The tasks 0..100 by whoever comes, each counted.
    fn count_tasks(t: &Threads, helpers: usize) -> Vec<usize> {
        let next = AtomicUsize::new(0);
        let done: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        t.run(helpers, &|| {
            while let Some(task) = done.get(next.fetch_add(1, Ordering::Relaxed)) {
                task.fetch_add(1, Ordering::Relaxed);
            }
        });
        done.iter().map(|d| d.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn every_task_is_done_once_when_run_returns() {
        let t = threads(4);
        for round in 0..3000 {
            assert_eq!(count_tasks(&t, round % 5), [1; 100], "round {round}");
            if round % 100 == 0 {
                await_sleep(&t);
            }
        }
        assert_eq!(t.started(), 4);
    }

    #[test]
    fn helpers_come_from_sleep() {
        let t = threads(3);
        for _ in 0..20 {
            // Each waits for the others, so that the work ends only if all three threads come.
            let all = std::sync::Barrier::new(3);
            t.run(2, &|| {
                all.wait();
            });
            await_sleep(&t);
        }
        assert_eq!((t.started(), t.shares()), (2, 20));
    }

    #[test]
    fn callers_that_find_the_threads_busy_work_alone() {
        let t = threads(4);
        let outer = current().id();
        t.run(3, &|| {
            let here = current().id();
            t.run(3, &|| assert_eq!(current().id(), here));
        });
        assert_eq!(t.shares(), 1);
        scope(|s| {
            for _ in 0..8 {
                s.spawn(|| (0..200).for_each(|_| assert_eq!(count_tasks(&t, 3), [1; 100])));
            }
        });
        assert!(t.started() <= 3);
        assert_eq!(current().id(), outer);
    }

    #[test]
    fn a_panic_of_any_thread_comes_back_to_the_caller() {
        let t = threads(3);
        let caller = current().id();
        for at_caller in [true, false] {
            let both = std::sync::Barrier::new(2);
            let attempt = AssertUnwindSafe(|| {
                t.run(1, &|| {
                    both.wait();
                    assert!((current().id() == caller) != at_caller, "as wanted");
                });
            });
            assert!(catch_unwind(attempt).is_err(), "the caller's own: {at_caller}");
            assert_eq!(count_tasks(&t, 2), [1; 100], "the threads go on");
        }
    }

    #[test]
    fn dropped_threads_end() {
        for helpers in 0..4 {
            let t = threads(4);
            count_tasks(&t, helpers);
            let shared = Arc::downgrade(&t.shared);
            drop(t);
            assert!(shared.upgrade().is_none(), "a thread still runs");
        }
    }
}
