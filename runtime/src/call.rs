//! One call: its kernels in order, each alone or shared out over threads.

use crate::loader::Code;
use crate::place::Place;
use crate::plan::{Plan, StepPlan};
use crate::prepared::Prepared;
use crate::threads::Executor;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tcc_abi::{Argument, ErrorRecord, KernelCall, KernelFn, Status, Step};

/// Pieces of a nest for each thread that works on it, so that slow ones hold up no others.
const PIECES: usize = 4;

/// A call with its memory.
pub(crate) struct Call<'c> {
    pub(crate) code: &'c dyn Code,
    pub(crate) plan: &'c Plan,
    pub(crate) inputs: &'c [Place],
    pub(crate) outputs: &'c [Place],
    /// The block of [`Plan::memory`] bytes.
    pub(crate) memory: *mut u8,
    pub(crate) cancel: *const u32,
    /// Buffers that were computed before.
    pub(crate) prepared: Option<&'c Prepared>,
    /// How many threads may work.
    pub(crate) threads: usize,
    pub(crate) executor: &'c dyn Executor,
}

/// What a kernel answered instead of [`Status::Ok`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) status: i32,
    pub(crate) record: ErrorRecord,
}

impl Call<'_> {
    /// Runs one step of the image.
    pub(crate) fn step(&self, step: &Step, plan: &StepPlan) -> Result<(), Failure> {
        let mut buffers: SmallVec<[*mut u8; 8]> = SmallVec::new();
        let mut strides: SmallVec<[*const i64; 8]> = SmallVec::new();
        let mut dense: SmallVec<[bool; 8]> = SmallVec::new();
        for a in &step.arguments {
            let place = match a {
                Argument::Input(k) => self.inputs.get(*k as usize),
                Argument::Output(k) => self.outputs.get(*k as usize),
                Argument::Buffer(k) => {
                    let k = *k as usize;
                    let before = self.prepared.and_then(|p| p.address(k));
                    buffers.push(before.map_or_else(
                        || self.memory.wrapping_add(self.plan.offsets.get(k).copied().unwrap_or(0)),
                        // Every step that writes it has run, so that it is only read.
                        <*const u8>::cast_mut,
                    ));
                    strides.push(Place::dense_table());
                    dense.push(true);
                    continue;
                }
            };
            let Some(place) = place else { continue };
            buffers.push(place.start);
            strides.push(place.table());
            dense.push(place.is_dense());
        }
        let is_dense = |k: &u32| dense.get(*k as usize).copied().unwrap_or(true);
        if step.when.iter().any(|c| c.arguments.iter().all(is_dense) != c.holds) {
            return Ok(());
        }
        let Some(kernel) = self.code.kernel(step.kernel as usize) else { return Ok(()) };
        let mut record = ErrorRecord::default();
        let call = KernelCall {
            buffers: buffers.as_ptr(),
            strides: strides.as_ptr(),
            sizes: self.plan.sizes.as_ptr(),
            error: &raw mut record,
            cancel: self.cancel,
            scratch: self.memory.wrapping_add(self.plan.scratch_start()),
            first: 0,
            end: i64::MAX,
        };
        let threads = plan.threads(self.threads);
        if threads > 1 {
            return Pieces::new(kernel, call, plan, threads).run(self.executor);
        }
        // SAFETY: every step was checked at loading to name existing tensors; each has the
        // element type and shape that the kernel was compiled for, because the shapes agree
        // with the signature at these sizes; the kernel stays within them (proved at
        // compilation or checked by its code); the scratch memory is as large as the image asks
        // for; everything that `call` points to outlives the call.
        let status = unsafe { kernel(&raw const call) };
        if status == Status::Ok as i32 { Ok(()) } else { Err(Failure { status, record }) }
    }
}

/// The iterations of a nest in pieces of about the same number, which threads take in order.
struct Pieces {
    kernel: KernelFn,
    /// The arguments of every piece, but for range, error record and scratch memory.
    call: KernelCall,
    iterations: i64,
    count: u64,
    /// The next piece to take.
    next: AtomicU64,
    /// Threads that have come to work.
    threads: AtomicUsize,
    /// Threads that there is scratch memory for.
    most: usize,
    /// Bytes of the scratch memory of each.
    stride: usize,
    /// The first piece that failed so far; later ones are not begun.
    failed: AtomicU64,
    failure: Mutex<Option<(u64, Failure)>>,
}

// SAFETY: what `call` points to is only read by kernels, but for the tensors that they write; the
// iterations of a nest are proved to write different elements and to read none that another
// writes. Each thread has an error record and scratch memory of its own.
unsafe impl Sync for Pieces {}

impl Pieces {
    fn new(kernel: KernelFn, call: KernelCall, plan: &StepPlan, threads: usize) -> Pieces {
        let iterations = u64::try_from(plan.iterations).unwrap_or(0);
        Pieces {
            kernel,
            call,
            iterations: plan.iterations,
            count: iterations.min((threads * PIECES) as u64),
            next: AtomicU64::new(0),
            threads: AtomicUsize::new(0),
            most: threads,
            stride: plan.stride(),
            failed: AtomicU64::new(u64::MAX),
            failure: Mutex::new(None),
        }
    }

    /// Runs all pieces. The failure, if there is one, is that of the lowest iteration that fails,
    /// as on one thread.
    fn run(self, executor: &dyn Executor) -> Result<(), Failure> {
        executor.run(self.most - 1, &|| self.work());
        // An executor that never came to this thread leaves pieces over.
        self.work_on(self.call.scratch);
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), |(_, f)| Err(f))
    }

    /// One thread's work; a thread too many has none.
    fn work(&self) {
        let number = self.threads.fetch_add(1, Ordering::Relaxed);
        if number < self.most {
            self.work_on(self.call.scratch.wrapping_add(number * self.stride));
        }
    }

    /// Takes pieces until there are none left.
    fn work_on(&self, scratch: *mut u8) {
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.count || piece > self.failed.load(Ordering::Relaxed) {
                return;
            }
            let mut record = ErrorRecord::default();
            let call = KernelCall {
                error: &raw mut record,
                scratch,
                first: self.start_of(piece),
                end: self.start_of(piece + 1),
                ..self.call
            };
            // SAFETY: as for a whole call; see also `Sync` above. `work` gives this scratch memory
            // to no other thread, and after it only the caller is left.
            let status = unsafe { (self.kernel)(&raw const call) };
            if status != Status::Ok as i32 {
                self.note(piece, Failure { status, record });
            }
        }
    }

    /// The first iteration of a piece.
    fn start_of(&self, piece: u64) -> i64 {
        let at = self.iterations as i128 * i128::from(piece) / i128::from(self.count);
        at as i64
    }

    /// Keeps the failure of the lowest piece. All pieces before it have been taken and run to their
    /// ends, so that none of them is missed.
    fn note(&self, piece: u64, failure: Failure) {
        self.failed.fetch_min(piece, Ordering::Relaxed);
        let mut kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|(first, _)| piece < *first) {
            *kept = Some((piece, failure));
        }
    }
}
