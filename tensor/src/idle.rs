//! Memory that programs keep between runs: it gives way when memory is short, and is taken again at the next run.

use crate::{graph::lock, memory::Storage};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

/// Inputs and outputs of a program. Whoever holds the lock is using them, and so does who is [`InUse`].
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) inputs: Vec<Storage>,
    pub(crate) outputs: Vec<Storage>,
    /// Runs that began and have not ended.
    users: usize,
}

/// A run that uses buffers, until this is dropped: between its attempts it does not hold the lock, as it may have to await a plan.
pub(crate) struct InUse<'b>(&'b Mutex<Buffers>);

impl InUse<'_> {
    pub(crate) fn begin(buffers: &Mutex<Buffers>) -> InUse<'_> {
        lock(buffers).users += 1;
        InUse(buffers)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        lock(self.0).users -= 1;
    }
}

impl Buffers {
    /// Bytes that are free once these are let go. Outputs that somebody else holds stay.
    pub(crate) fn bytes(&self) -> u64 {
        self.inputs.iter().chain(&self.outputs).filter(|s| s.is_unique()).map(Storage::bytes).sum()
    }
}

/// The buffers of all programs of a device.
#[derive(Default)]
pub(crate) struct Idle(Mutex<Vec<Weak<Mutex<Buffers>>>>);

impl Idle {
    /// Remembers the buffers of one more program, for as long as there is one.
    pub(crate) fn watch(&self, buffers: &Arc<Mutex<Buffers>>) {
        let mut all = lock(&self.0);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(buffers));
    }
    /// Bytes of buffers that nobody uses now.
    pub(crate) fn bytes(&self) -> u64 {
        self.alive().iter().filter_map(|buffers| Some(unused(buffers)?.bytes())).sum()
    }
    /// Lets all buffers go that nobody uses now; the number of bytes that are free by it.
    pub(crate) fn let_go(&self) -> u64 {
        self.alive().iter().map(|buffers| let_go(buffers)).sum()
    }
    fn alive(&self) -> Vec<Arc<Mutex<Buffers>>> {
        lock(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Lets these buffers go unless somebody uses them; the number of bytes that are free by it.
pub(crate) fn let_go(buffers: &Mutex<Buffers>) -> u64 {
    let Some(mut buffers) = unused(buffers) else { return 0 };
    let bytes = buffers.bytes();
    *buffers = Buffers::default();
    bytes
}

fn unused(buffers: &Mutex<Buffers>) -> Option<MutexGuard<'_, Buffers>> {
    let buffers = match buffers.try_lock() {
        Ok(buffers) => buffers,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    (buffers.users == 0).then_some(buffers)
}
