//! A pool of threads that costs a small kernel nothing: workers spin for a moment before they sleep, a job is one pointer,
//! and the calling thread takes part. One of the few modules with `unsafe`.
//!
//! A general pool hands each piece over as a boxed closure, which allocates, and wakes a sleeping thread for it, which costs
//! some ten microseconds: more than a whole step of a recurrent layer. Here a job is published once, threads take piece
//! after piece from a counter, and the caller returns as soon as all pieces are done, whether or not every thread woke up.

use crate::error::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    error::Error,
    platform::{self, Thread},
};

/// Runs pieces of work on a number of threads.
pub(super) struct Threads {
    #[cfg(not(target_arch = "wasm32"))]
    crew: Option<native::Crew>,
    count: usize,
}

impl Threads {
    /// A pool of this many threads, the calling one included.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn new(count: usize) -> Result<Threads> {
        let crew = if count > 1 { Some(native::Crew::new(count - 1)?) } else { None };
        Ok(Threads { crew, count: count.max(1) })
    }
    /// A browser's module has one thread.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn new(_count: usize) -> Result<Threads> {
        Ok(Threads { count: 1 })
    }
    /// Number of threads, the calling one included.
    pub(super) fn count(&self) -> usize {
        self.count
    }
    /// Calls `work(worker, piece)` once for every piece, `worker < self.count()` being exclusive to one thread at a time.
    /// Only one thread may call this at a time; the executor holds a lock while it runs a plan.
    pub(super) fn run(&self, pieces: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        #[cfg(not(target_arch = "wasm32"))]
        if let (Some(crew), 2..) = (&self.crew, pieces) {
            return crew.run(pieces, work);
        }
        for piece in 0..pieces {
            work(0, piece);
        }
    }
    /// Whether a piece of work failed on another thread since the last call.
    pub(super) fn check(&self) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.crew.as_ref().is_some_and(native::Crew::take_failure) {
            return Err(Error::device("a kernel failed on a worker thread; this is a bug in the executor"));
        }
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::{Result, Thread, platform};
    use std::{
        cell::UnsafeCell,
        hint::spin_loop,
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{
            Arc, Condvar, Mutex, PoisonError,
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        },
    };

    /// How often an idle worker looks for work before it sleeps: a few hundred microseconds, longer than a batch takes to gather.
    /// Waking a sleeping thread takes some tens of microseconds, which every step of a small model would pay.
    const SPINS: u32 = 10_000;
    /// The lowest bit of `Shared::state` says that a job is open; then 16 bits count the workers inside; the rest counts jobs.
    const OPEN: u64 = 1;
    const INSIDE: u64 = 2;
    const INSIDE_MASK: u64 = 0x1_fffe;
    const JOB: u64 = 0x2_0000;

    type Work<'a> = dyn Fn(usize, usize) + Sync + 'a;

    struct Shared {
        state: AtomicU64,
        work: UnsafeCell<Option<*const Work<'static>>>,
        pieces: AtomicUsize,
        /// Pieces that were taken, and how many of them from either end.
        taken: AtomicUsize,
        front: AtomicUsize,
        back: AtomicUsize,
        failed: AtomicBool,
        stop: AtomicBool,
        asleep: AtomicUsize,
        bed: Mutex<()>,
        bell: Condvar,
    }

    // SAFETY: `work` is written by the caller while no worker is inside (the job is closed and none is counted), and read
    // by workers that are counted inside an open job; `state` orders the two.
    unsafe impl Sync for Shared {}
    // SAFETY: the pointer is only followed inside an open job, during which the caller keeps the closure alive.
    unsafe impl Send for Shared {}

    pub(super) struct Crew {
        shared: Arc<Shared>,
        handles: Vec<Thread>,
    }

    /// Closes the job and waits for the workers inside, even if the caller's own piece panics.
    struct Close<'a>(&'a Shared);

    impl Drop for Close<'_> {
        fn drop(&mut self) {
            let shared = self.0;
            shared.taken.store(usize::MAX / 2, Ordering::Relaxed);
            let mut state = shared.state.fetch_and(!OPEN, Ordering::AcqRel);
            let mut spins = 0_u32;
            while state & INSIDE_MASK != 0 {
                spins += 1;
                if spins.is_multiple_of(SPINS) {
                    platform::yield_now();
                } else {
                    spin_loop();
                }
                state = shared.state.load(Ordering::Acquire);
            }
        }
    }

    impl Crew {
        pub(super) fn new(workers: usize) -> Result<Crew> {
            let shared = Arc::new(Shared {
                state: AtomicU64::new(0),
                work: UnsafeCell::new(None),
                pieces: AtomicUsize::new(0),
                taken: AtomicUsize::new(0),
                front: AtomicUsize::new(0),
                back: AtomicUsize::new(0),
                failed: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                asleep: AtomicUsize::new(0),
                bed: Mutex::new(()),
                bell: Condvar::new(),
            });
            let mut crew = Crew { shared, handles: Vec::with_capacity(workers) };
            for worker in 1..=workers {
                let shared = crew.shared.clone();
                crew.handles.push(platform::spawn(format!("addax-cpu-{worker}"), move || serve(&shared, worker))?);
            }
            Ok(crew)
        }
        pub(super) fn take_failure(&self) -> bool {
            self.shared.failed.swap(false, Ordering::Relaxed)
        }
        pub(super) fn run(&self, pieces: usize, work: &Work<'_>) {
            let shared = &*self.shared;
            // SAFETY: only the lifetime is forgotten; `Close` ends all use before `work` does.
            let erased = unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
            // SAFETY: the last job is closed and nobody is inside.
            unsafe { *shared.work.get() = Some(erased) };
            shared.pieces.store(pieces, Ordering::Relaxed);
            for counter in [&shared.taken, &shared.front, &shared.back] {
                counter.store(0, Ordering::Relaxed);
            }
            let state = shared.state.load(Ordering::Relaxed);
            shared.state.store((state & !INSIDE_MASK).wrapping_add(JOB) | OPEN, Ordering::SeqCst);
            let close = Close(shared);
            if shared.asleep.load(Ordering::SeqCst) > 0 {
                drop(shared.bed.lock().unwrap_or_else(PoisonError::into_inner));
                shared.bell.notify_all();
            }
            take(shared, 0, work);
            drop(close);
        }
    }

    impl Drop for Crew {
        fn drop(&mut self) {
            self.shared.stop.store(true, Ordering::SeqCst);
            drop(self.shared.bed.lock().unwrap_or_else(PoisonError::into_inner));
            self.shared.bell.notify_all();
            for handle in self.handles.drain(..) {
                // A worker catches the panics of its pieces, so there is nothing to hear from it.
                let _ = handle.join();
            }
        }
    }

    /// Takes pieces until none is left: half of the workers from the front, half from the back. So a worker mostly finds in its
    /// own cache what it wrote in the kernel before, and two of them share few columns of a product.
    fn take(shared: &Shared, worker: usize, work: &Work<'_>) {
        let pieces = shared.pieces.load(Ordering::Relaxed);
        loop {
            if shared.taken.fetch_add(1, Ordering::Relaxed) >= pieces {
                return;
            }
            let piece = match worker % 2 {
                0 => shared.front.fetch_add(1, Ordering::Relaxed),
                _ => pieces - 1 - shared.back.fetch_add(1, Ordering::Relaxed),
            };
            work(worker, piece);
        }
    }

    fn serve(shared: &Shared, worker: usize) {
        let mut done = 0;
        let mut spins = 0;
        while !shared.stop.load(Ordering::Relaxed) {
            let state = shared.state.load(Ordering::SeqCst);
            if state & OPEN == 0 || state / JOB == done {
                spins += 1;
                if spins < SPINS {
                    spin_loop();
                } else {
                    sleep(shared, done);
                    spins = 0;
                }
                continue;
            }
            if shared.state.compare_exchange(state, state + INSIDE, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // SAFETY: counted inside an open job, so the closure is alive and not being replaced.
            if let Some(work) = unsafe { (*shared.work.get()).map(|work| &*work) }
                && catch_unwind(AssertUnwindSafe(|| take(shared, worker, work))).is_err()
            {
                shared.failed.store(true, Ordering::Relaxed);
            }
            done = state / JOB;
            shared.state.fetch_sub(INSIDE, Ordering::AcqRel);
            spins = 0;
        }
    }

    fn sleep(shared: &Shared, done: u64) {
        let mut bed = shared.bed.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asleep.fetch_add(1, Ordering::SeqCst);
        loop {
            let state = shared.state.load(Ordering::SeqCst);
            if shared.stop.load(Ordering::SeqCst) || (state & OPEN != 0 && state / JOB != done) {
                break;
            }
            bed = shared.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        shared.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_piece_runs_once_and_workers_are_exclusive() {
        for count in 1..5 {
            let threads = Threads::new(count).unwrap();
            for pieces in [0, 1, 2, 7, 100] {
                for _ in 0..200 {
                    let seen: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                    let busy: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                    threads.run(pieces, &|worker, piece| {
                        assert_eq!(busy[worker].fetch_add(1, Ordering::SeqCst), 0);
                        seen[piece].fetch_add(1, Ordering::SeqCst);
                        busy[worker].fetch_sub(1, Ordering::SeqCst);
                    });
                    assert!(seen.iter().all(|s| s.load(Ordering::SeqCst) == 1));
                }
            }
            threads.check().unwrap();
        }
    }
}
