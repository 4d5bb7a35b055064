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
            std::process::exit(130);
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
