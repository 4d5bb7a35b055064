//! Awaiting the device: what it calls back wakes the future that waits for it.
//!
//! wgpu calls back from within a poll of the device; a browser does so from its event loop. Who blocks on a future polls the
//! device meanwhile, on the same thread. For any other executor of futures a thread of ours does, from the first time on that a
//! future needs it.

use super::adapter::Gpu;
#[cfg(not(target_arch = "wasm32"))]
use super::adapter::poll;
#[cfg(not(target_arch = "wasm32"))]
use crate::platform;
use crate::{
    error::{Error, Result},
    graph::lock,
};
use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// What a callback says to the future that waits for it.
struct Line<T> {
    said: Option<T>,
    /// Whether nothing more will be said.
    closed: bool,
    waker: Option<Waker>,
}

/// The callback's end: one word, or none where the callback is dropped.
pub struct Caller<T>(Arc<Mutex<Line<T>>>);

/// The future's end.
pub struct Answer<T>(Arc<Mutex<Line<T>>>);

/// Both ends.
pub fn line<T>() -> (Caller<T>, Answer<T>) {
    let line = Arc::new(Mutex::new(Line { said: None, closed: false, waker: None }));
    (Caller(line.clone()), Answer(line))
}

impl<T> Caller<T> {
    pub fn say(self, word: T) {
        lock(&self.0).said = Some(word);
    }
}

impl<T> Drop for Caller<T> {
    fn drop(&mut self) {
        close(&self.0);
    }
}

/// Wakes who waits: all that will be said was said.
fn close<T>(line: &Mutex<Line<T>>) {
    let waker = {
        let mut line = lock(line);
        line.closed = true;
        line.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Answer<T> {
    /// The word; `None` if there will be none.
    fn poll(&self, context: &Context) -> Poll<Option<T>> {
        let mut line = lock(&self.0);
        if line.closed {
            return Poll::Ready(line.said.take());
        }
        line.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Gpu {
    /// Awaits what a callback says once the device has done a submission.
    pub async fn answer<T: Send + 'static>(&self, answer: Answer<T>, after: wgpu::SubmissionIndex) -> Result<T> {
        #[cfg(not(target_arch = "wasm32"))]
        let mut watched = false;
        let said = poll_fn(|context| {
            let said = answer.poll(context);
            #[cfg(not(target_arch = "wasm32"))]
            if said.is_pending() {
                if platform::sleeps(context) {
                    self.wait_for(after.clone())?;
                    // Another thread's poll may be about to call back.
                    return answer.poll(context).map(Ok);
                }
                if !watched {
                    let line = answer.0.clone();
                    self.watcher.watch(self, after.clone(), Box::new(move || close(&line)))?;
                    watched = true;
                }
            }
            said.map(Ok::<_, Error>)
        });
        #[cfg(target_arch = "wasm32")]
        let _ = after;
        match said.await? {
            Some(word) => Ok(word),
            None => Err(self.silent()),
        }
    }

    /// Why a callback never came.
    fn silent(&self) -> Error {
        self.alive().err().unwrap_or_else(|| Error::device(format!("{}: the device never answered", self.name)))
    }
}

/// A thread that polls the device for futures that wait elsewhere. It lasts as long as the device is open.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Default)]
pub struct Watcher(Mutex<Option<Watching>>);

#[cfg(not(target_arch = "wasm32"))]
struct Watching {
    jobs: std::sync::mpsc::Sender<Watch>,
    thread: platform::Thread,
}

/// Until which submission to poll, and what to do if that fails.
#[cfg(not(target_arch = "wasm32"))]
type Watch = (wgpu::SubmissionIndex, Box<dyn FnOnce() + Send>);

/// How long the watcher waits at a time: dropping a buffer has to wait with it.
#[cfg(not(target_arch = "wasm32"))]
const GLANCE: std::time::Duration = std::time::Duration::from_micros(200);

#[cfg(not(target_arch = "wasm32"))]
impl Watcher {
    /// Polls until a submission is done, and calls `failed` if that cannot be.
    fn watch(&self, gpu: &Gpu, until: wgpu::SubmissionIndex, failed: Box<dyn FnOnce() + Send>) -> Result<()> {
        let mut watching = lock(&self.0);
        let watching = match &mut *watching {
            Some(watching) => watching,
            none => {
                let (jobs, todo) = std::sync::mpsc::channel::<Watch>();
                let (device, fault) = (gpu.device.clone(), gpu.fault.clone());
                let thread = platform::spawn("addax-gpu", move || {
                    for (index, failed) in todo {
                        let glance = wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(GLANCE) };
                        loop {
                            match poll(&device, &fault, glance.clone()) {
                                Err(Some(wgpu::PollError::Timeout)) => {}
                                Err(_) => break failed(),
                                Ok(()) => break,
                            }
                        }
                    }
                })?;
                none.insert(Watching { jobs, thread })
            }
        };
        watching.jobs.send((until, failed)).map_err(|_| gpu.silent())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(Watching { jobs, thread }) = lock(&self.0).take() {
            drop(jobs);
            platform::join(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_said_once_and_a_dropped_callback_says_none() {
        let context = Context::from_waker(Waker::noop());
        let (caller, answer) = line();
        assert_eq!(answer.poll(&context), Poll::Pending);
        caller.say(7);
        assert_eq!(answer.poll(&context), Poll::Ready(Some(7)));
        let (caller, answer) = line::<i32>();
        drop(caller);
        assert_eq!(answer.poll(&context), Poll::Ready(None));
    }
}
