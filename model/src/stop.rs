//! Ending a training from elsewhere: another thread, or the handler of Ctrl-C.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Asks a training to end after the step that runs now. It keeps its history, calls `on_train_end`, and leaves the weights
/// whole.
///
/// The library installs no signal handler; give a clone of the handle to yours.
///
/// ```
/// use addax::prelude::*;
/// let fit = Fit::epochs(100);
/// let stop = fit.stop_handle();
/// std::thread::spawn(move || stop.stop()).join().ok();
/// assert!(fit.stop_handle().is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Asks to end. May be called from any thread, and from a signal handler.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Whether ending was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
