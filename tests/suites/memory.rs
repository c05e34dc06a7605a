//! Memory of calls: what `tcc explain` says is what a call takes, counted by the allocator.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

// spec: P1

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tcc::{CallOptions, Tensor, TensorView};

/// The system's allocator, counting what large blocks take at once.
struct Counting;

/// Smaller blocks are bookkeeping.
const LARGE: usize = 1 << 14;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Held by whoever counts, and by whoever allocates while another may count.
static COUNTED: Mutex<()> = Mutex::new(());

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

fn count(layout: Layout) {
    if layout.size() >= LARGE {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        MOST.fetch_max(now, Ordering::SeqCst);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of temporaries that the compiler reports, and that a first call on one thread takes.
fn reported_and_taken(text: &str, inputs: &[&[usize]], sizes: &[(&str, i64)]) -> (u64, usize) {
    let f = tcc::compile(text).unwrap();
    let cost = f.cost(sizes).unwrap();
    let tensors: Vec<Tensor> =
        inputs.iter().map(|s| Tensor::zeros(tcc::DType::F32, s).unwrap()).collect();
    let views: Vec<TensorView<'_>> = tensors.iter().map(Tensor::view).collect();
    let options = CallOptions { threads: std::num::NonZeroUsize::new(1), ..CallOptions::default() };
    let mut results = f.run_with(&views, &options).unwrap();
    drop(f);
    let f = tcc::compile(text).unwrap();
    let mut out: Vec<_> = results.iter_mut().map(Tensor::view_mut).collect();
    let guard = COUNTED.lock().unwrap();
    let before = NOW.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    f.run_into(&views, &mut out, &options).unwrap();
    let taken = MOST.load(Ordering::SeqCst) - before;
    // A second call takes the arena of the first.
    MOST.store(NOW.load(Ordering::SeqCst), Ordering::SeqCst);
    f.run_into(&views, &mut out, &options).unwrap();
    assert_eq!(MOST.load(Ordering::SeqCst), before + taken);
    drop(guard);
    (cost.arena + cost.scratch, taken)
}

#[test]
fn calls_take_what_is_reported() {
    // Each product but the last is needed by the next one only: two places serve all four.
    let chain = "fn chain(A: f32[N,N], B: f32[N,N]) -> (Y: f32[N,N]) {
        C[i,j] = A[i,k] * B[k,j]
        D[i,j] = C[i,k] * B[k,j]
        E[i,j] = D[i,k] * B[k,j]
        F[i,j] = E[i,k] * B[k,j]
        Y[i,j] = F[i,k] * B[k,j]
    }";
    let (n, square) = (100usize, 100 * 100 * 4usize);
    let (reported, taken) = reported_and_taken(chain, &[&[n, n], &[n, n]], &[("N", n as i64)]);
    let two = 2 * square.next_multiple_of(64) as u64;
    let arena = arena(chain, n as i64);
    assert!(arena >= two && arena < two + two / 2, "{arena} for two squares, {two}");
    assert_eq!(taken as u64, reported.next_multiple_of(64));

    // Sizes that differ at the call: what is small lies in what a large one left.
    let mixed = "fn mixed(A: f32[N,K], B: f32[K,N], C: f32[N,M]) -> (Y: f32[M,M]) {
        P[i,j] = A[i,k] * B[k,j]
        Q[i,m] = P[i,j] * C[j,m]
        R[i,m] = P[j,i] * Q[j,m]
        Y[m,l] = R[i,m] * R[i,l]
    }";
    for (k, m) in [(64, 32), (16, 160)] {
        let sizes = [("N", 128), ("K", k), ("M", m)];
        let (k, m) = (k as usize, m as usize);
        let (reported, taken) =
            reported_and_taken(mixed, &[&[128, k], &[k, 128], &[128, m]], &sizes);
        assert_eq!(taken as u64, reported.next_multiple_of(64), "{sizes:?}");
    }
}

/// The bytes of temporaries alone.
fn arena(text: &str, n: i64) -> u64 {
    let _guard = COUNTED.lock().unwrap();
    tcc::compile(text).unwrap().cost(&[("N", n)]).unwrap().arena
}

#[test]
fn elements_are_overwritten_where_they_are_read_for_the_last_time() {
    let square = 64 * 64 * 4;
    // T is written where S is read; both products need T.
    let in_place = "fn f(A: f32[N,N], B: f32[N,N]) -> (Y: f32[N,N], Z: f32[N,N]) {
        S[i,j] = A[i,k] * B[k,j]
        T[i,j] = exp(S[i,j])
        Y[i,j] = T[i,k] * B[k,j]
        Z[i,j] = T[i,k] * A[k,j]
    }";
    let transposed = in_place.replace("exp(S[i,j])", "exp(S[j,i])");
    let read_later = in_place.replace("T[i,k] * A", "S[i,k] * A");
    let (one, two) = (arena(in_place, 64), arena(&transposed, 64));
    assert_eq!(two - one, square, "{one} {two}");
    assert_eq!(arena(&read_later, 64), two);
}
