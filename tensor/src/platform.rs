//! What differs between platforms: waiting, threads, clock, environment, files. Nothing else in the crate asks the system
//! (`tests/platform.rs` looks), so this is what another platform changes.
//!
//! A browser (`wasm32`) has one thread, which must not wait, and a clock that the standard library cannot read: there futures
//! are awaited, work is done where it is asked for, and everything takes no time.

#[cfg(not(target_arch = "wasm32"))]
use crate::error::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use std::future::Future;
use std::time::Duration;

/// Waits for a future. Every blocking function is this around the async one of its name.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// Whether the thread that polls sleeps until it is woken, as [`block_on`] does. Then a future may as well wait itself.
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub(crate) fn sleeps(context: &std::task::Context) -> bool {
    use std::{
        future::poll_fn,
        task::{Poll, Waker},
    };
    thread_local! {
        // The waker of `block_on` is always the same on one thread.
        static SLEEPER: Waker = pollster::block_on(poll_fn(|context| Poll::Ready(context.waker().clone())));
    }
    SLEEPER.with(|sleeper| context.waker().will_wake(sleeper))
}

/// A thread of ours.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type Thread = std::thread::JoinHandle<()>;

/// Starts a thread.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn spawn(name: impl Into<String>, work: impl FnOnce() + Send + 'static) -> Result<Thread> {
    std::thread::Builder::new().name(name.into()).spawn(work).map_err(|e| Error::io("starting a thread", e))
}

/// Lets other threads go first.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// Waits until a thread has ended, unless it is the calling one.
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub(crate) fn join(thread: Thread) {
    if thread.thread().id() != std::thread::current().id() {
        // What it had to say, it said otherwise.
        let _ = thread.join();
    }
}

/// Calls `work` with so many parts of `items` at most, side by side: the results in order, `None` if one of them panicked.
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub(crate) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    parts: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Option<Vec<R>> {
    let part = items.len().div_ceil(parts.max(1)).max(1);
    if items.len() <= part {
        return Some(vec![work(items)]);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = items.chunks(part).map(|part| scope.spawn(|| work(part))).collect();
        workers.into_iter().map(|worker| worker.join().ok()).collect()
    })
}

/// How many threads the machine runs at a time.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A point in time. Where there is no clock, all are the same.
#[derive(Clone, Copy)]
pub(crate) struct Moment(#[cfg(not(target_arch = "wasm32"))] std::time::Instant);

impl Moment {
    /// This one.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn now() -> Moment {
        Moment(std::time::Instant::now())
    }
    /// This one.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn now() -> Moment {
        Moment()
    }
    /// The time since an earlier one.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
    /// The time since an earlier one.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn since(self, _earlier: Moment) -> Duration {
        Duration::ZERO
    }
}

/// A variable of the environment; a browser has none.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether a variable of the environment, a list between commas, has this word.
pub(crate) fn env_lists(name: &str, word: &str) -> bool {
    env(name).is_some_and(|list| list.split(',').any(|listed| listed.trim() == word))
}

/// A text file of the system, such as `/proc/meminfo`; `None` where there is none.
pub(crate) fn system_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
