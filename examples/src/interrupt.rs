//! Ctrl-C during training: the first one ends training after the batch that runs now, with everything kept; a second one, or one
//! after training, ends the process as usual.

use addax::{Error, Result, prelude::StopHandle};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// While it lives, Ctrl-C stops training.
pub struct Listening(Arc<AtomicBool>);

/// Connects Ctrl-C to training.
pub fn stops(training: StopHandle) -> Result<Listening> {
    let running = Arc::new(AtomicBool::new(true));
    let listening = Listening(running.clone());
    ctrlc::set_handler(move || {
        if !running.load(Ordering::SeqCst) || training.is_stopped() {
            end();
            return;
        }
        training.stop();
    })
    .map_err(|e| Error::argument(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(listening)
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Ends the process as if nobody had listened, so that a shell sees the signal.
#[cfg(unix)]
fn end() {
    let failed = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
    std::process::exit(failed.map_or(1, |()| 0));
}
#[cfg(not(unix))]
fn end() {
    std::process::exit(130);
}
