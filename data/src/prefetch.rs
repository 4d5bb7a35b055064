//! Preparing the next batches on a thread of their own.

use crate::{batch::Batch, source::Loader};
use addax_tensor::{Error, Result};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel},
    thread::{self, JoinHandle},
};

/// A [`Loader`] that prepares the next batches on a background thread while the current one is used.
///
/// The batches are those of the loader inside, in the same order. Memory goes round: what is given back travels to the
/// thread and holds a later batch. Errors and panics of the thread arrive as errors of [`Loader::next_batch`]. Dropping
/// it ends the thread, after the batch it is working on.
///
/// It pays where making a batch takes longer than waking a thread, some tens of microseconds: decoding, augmenting,
/// reading files. Rows that are in memory are gathered about as fast.
///
/// ```
/// use addax_data::{Batches, Loader, Prefetch, Source, sets};
///
/// let data = sets::digits()?.data;
/// let mut loader = Prefetch::new(data.loader(&Batches::new(64).shuffle(1))?)?;
/// let mut rows = 0;
/// while let Some(batch) = loader.next_batch()? {
///     rows += batch.rows();
///     loader.give_back(batch);
/// }
/// assert_eq!(rows, 1797);
/// # Ok::<(), addax_data::Error>(())
/// ```
pub struct Prefetch {
    // Dropped in this order: a thread that waits for any of them then ends.
    starts: Option<Sender<Start>>,
    batches: Option<Receiver<Made>>,
    returned: SyncSender<Batch>,
    thread: Option<JoinHandle<()>>,
    run: u64,
    state: State,
}

/// An epoch to read. Its number tells its batches from those of an epoch that was left before its end.
struct Start {
    run: u64,
    epoch: u64,
}

struct Made {
    run: u64,
    batch: Result<Option<Batch>>,
}

#[derive(PartialEq)]
enum State {
    New,
    Reading,
    Over,
}

impl Prefetch {
    /// One batch ahead, which is enough where batches take about equally long.
    pub fn new(loader: Box<dyn Loader>) -> Result<Self> {
        Self::ahead(loader, 1)
    }
    /// Up to `batches` finished batches wait for their use, at least 1; one more is in the making.
    ///
    /// Fails if `batches` is 0 or the system gives no thread.
    pub fn ahead(loader: Box<dyn Loader>, batches: usize) -> Result<Self> {
        if batches == 0 {
            return Err(Error::argument("prefetching 0 batches ahead; give at least 1, or use the loader itself"));
        }
        let (starts, next_start) = channel();
        let (made, finished) = sync_channel(batches);
        let (returned, spare) = sync_channel(batches + 2);
        let worker = Worker { loader, starts: next_start, spare, made };
        let thread = thread::Builder::new()
            .name("addax-prefetch".into())
            .spawn(|| worker.run())
            .map_err(|e| Error::io("starting the thread that prepares batches", e))?;
        let thread = Some(thread);
        Ok(Prefetch { starts: Some(starts), batches: Some(finished), returned, thread, run: 0, state: State::New })
    }
}

fn ended() -> Error {
    Error::data("the thread that prepares batches has ended, after an error that was reported before")
}

impl Loader for Prefetch {
    fn start(&mut self, epoch: u64) -> Result<()> {
        self.run += 1;
        self.state = State::Reading;
        let (Some(starts), Some(batches)) = (&self.starts, &self.batches) else { return Err(ended()) };
        // Makes room: a thread that waits to hand over an old batch does not look for starts.
        while let Ok(old) = batches.try_recv() {
            if let Ok(Some(batch)) = old.batch {
                self.returned.try_send(batch).ok();
            }
        }
        starts.send(Start { run: self.run, epoch }).map_err(|_| ended())
    }
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        match self.state {
            State::New => self.start(0)?,
            State::Reading => {}
            State::Over => return Ok(None),
        }
        let batches = self.batches.as_ref().ok_or_else(ended)?;
        loop {
            let made = batches.recv().map_err(|_| ended())?;
            if made.run == self.run {
                if !matches!(made.batch, Ok(Some(_))) {
                    self.state = State::Over;
                }
                return made.batch;
            }
            if let Ok(Some(batch)) = made.batch {
                self.returned.try_send(batch).ok();
            }
        }
    }
    fn give_back(&mut self, batch: Batch) {
        // A full channel means that more batches came back than were made: this one may go.
        self.returned.try_send(batch).ok();
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.starts = None;
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Panics were caught and reported.
            thread.join().ok();
        }
    }
}

struct Worker {
    loader: Box<dyn Loader>,
    starts: Receiver<Start>,
    spare: Receiver<Batch>,
    made: SyncSender<Made>,
}

impl Worker {
    fn run(mut self) {
        let mut next = self.starts.recv().ok();
        while let Some(start) = next {
            next = match self.epoch(&start) {
                Next::Start(start) => Some(start),
                Next::Wait => self.starts.recv().ok(),
                Next::End => None,
            };
        }
    }
    fn epoch(&mut self, start: &Start) -> Next {
        let mut begun = false;
        loop {
            match self.starts.try_recv() {
                Ok(newer) => return Next::Start(newer),
                Err(TryRecvError::Disconnected) => return Next::End,
                Err(TryRecvError::Empty) => {}
            }
            while let Ok(batch) = self.spare.try_recv() {
                self.loader.give_back(batch);
            }
            // The loader is not used again after a panic.
            let made = catch_unwind(AssertUnwindSafe(|| {
                if !begun {
                    self.loader.start(start.epoch)?;
                }
                self.loader.next_batch()
            }));
            begun = true;
            let (batch, next) = match made {
                Ok(Ok(Some(batch))) => (Ok(Some(batch)), None),
                Ok(over) => (over, Some(Next::Wait)),
                Err(panic) => {
                    let why = Error::data(format!("the thread that prepares batches panicked: {}", message(&*panic)));
                    (Err(why), Some(Next::End))
                }
            };
            if self.made.send(Made { run: start.run, batch }).is_err() {
                return Next::End;
            }
            if let Some(next) = next {
                return next;
            }
        }
    }
}

enum Next {
    /// Another epoch was asked for before the end of this one.
    Start(Start),
    /// The epoch is over.
    Wait,
    /// Nobody listens any more, or the loader is broken.
    End,
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batches, Generator, Source, split::tests::classes};
    use addax_tensor::{Array, DType};
    use proptest::prelude::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    /// Gives one-row batches until `stop` says otherwise; counts what it made.
    fn counting(stop: fn(usize) -> Result<bool>) -> (Generator, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let generator = Generator::new(move |step, batch| {
            count.fetch_add(1, Ordering::SeqCst);
            batch.x = Array::zeros(DType::U8, [1, 1]);
            stop(step.index)
        });
        (generator, made)
    }

    #[test]
    fn errors_arrive_in_their_place_and_a_new_start_works() {
        let (source, _) = counting(|i| if i == 2 { Err(Error::data("file 3 is gone")) } else { Ok(true) });
        let mut loader = Prefetch::new(source.loader(&Batches::new(1)).unwrap()).unwrap();
        for epoch in 0..2 {
            loader.start(epoch).unwrap();
            assert_eq!(loader.next_batch().unwrap().unwrap().index, 0);
            assert_eq!(loader.next_batch().unwrap().unwrap().index, 1);
            assert_eq!(loader.next_batch().unwrap_err().to_string(), "file 3 is gone");
            assert!(loader.next_batch().unwrap().is_none());
        }
    }

    #[test]
    fn a_panic_arrives_as_an_error() {
        let (source, _) = counting(|i| if i == 1 { panic!("no such image") } else { Ok(true) });
        let mut loader = Prefetch::new(source.loader(&Batches::new(1)).unwrap()).unwrap();
        assert!(loader.next_batch().unwrap().is_some());
        assert_eq!(
            loader.next_batch().unwrap_err().to_string(),
            "the thread that prepares batches panicked: no such image"
        );
        let again = loader.start(1).and_then(|()| loader.next_batch()).unwrap_err().to_string();
        assert!(again.starts_with("the thread that prepares batches has ended"), "{again}");
    }

    #[test]
    fn dropping_ends_the_thread_in_any_state() {
        for used in 0..4 {
            let (source, held_by_thread) = counting(|_| Ok(true));
            let mut loader = Prefetch::ahead(source.loader(&Batches::new(1)).unwrap(), 2).unwrap();
            for _ in 0..used {
                loader.next_batch().unwrap();
            }
            drop((loader, source));
            assert_eq!(Arc::strong_count(&held_by_thread), 1);
        }
    }

    #[test]
    fn it_reads_no_further_ahead_than_asked() {
        let (source, made) = counting(|_| Ok(true));
        let mut loader = Prefetch::ahead(source.loader(&Batches::new(1)).unwrap(), 3).unwrap();
        loader.next_batch().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(made.load(Ordering::SeqCst) <= 5);
    }

    #[test]
    fn no_batches_ahead_is_an_error() {
        let loader = classes(3, 1).loader(&Batches::new(1)).unwrap();
        assert!(Prefetch::ahead(loader, 0).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Prefetched batches equal plain ones, through epochs left early, whether batches are given back or kept.
        #[test]
        fn prefetched_equals_plain(
            n in 1usize..40, size in 1usize..12, ahead in 1usize..4, seed: u64, recycle: bool,
            epochs in prop::collection::vec((0u64..5, 0usize..12), 1..6),
        ) {
            let data = classes(n, 2).with_sample_weight(&vec![0.5; n]).unwrap();
            let batches = Batches::new(size).shuffle(seed);
            let mut plain = data.loader(&batches).unwrap();
            let mut fetched = Prefetch::ahead(data.loader(&batches).unwrap(), ahead).unwrap();
            for (epoch, steps) in epochs {
                plain.start(epoch).unwrap();
                fetched.start(epoch).unwrap();
                for _ in 0..steps {
                    let (a, b) = (plain.next_batch().unwrap(), fetched.next_batch().unwrap());
                    prop_assert_eq!(&a, &b);
                    if let (Some(a), Some(b), true) = (a, b, recycle) {
                        plain.give_back(a);
                        fetched.give_back(b);
                    }
                }
            }
        }
    }
}
