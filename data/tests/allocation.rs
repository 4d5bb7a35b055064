//! Steady training allocates nothing: batches go round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_data::{Array, Batches, DType, Dataset, Loader, Prefetch, Result, Source};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Counts allocations of all threads, and those that could hold a batch.
struct Counting;

static ALL: AtomicUsize = AtomicUsize::new(0);
static LARGE: AtomicUsize = AtomicUsize::new(0);
/// Less than the features of the last, smaller batch.
const LARGE_BYTES: usize = 1000;

fn count(bytes: usize) {
    ALL.fetch_add(1, Ordering::SeqCst);
    LARGE.fetch_add(usize::from(bytes >= LARGE_BYTES), Ordering::SeqCst);
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations, all and large, in epochs `2..10`.
fn in_later_epochs(loader: &mut dyn Loader) -> Result<(usize, usize)> {
    let mut before = (0, 0);
    for epoch in 0..10 {
        if epoch == 2 {
            before = (ALL.load(Ordering::SeqCst), LARGE.load(Ordering::SeqCst));
        }
        loader.start(epoch)?;
        while let Some(batch) = loader.next_batch()? {
            loader.give_back(batch);
        }
    }
    Ok((ALL.load(Ordering::SeqCst) - before.0, LARGE.load(Ordering::SeqCst) - before.1))
}

// One test: another one beside it would be counted, too.
#[test]
fn later_epochs_allocate_no_batches() {
    let data = Dataset::new(Array::zeros(DType::U8, [330, 28, 28, 1]), Array::zeros(DType::I32, [330])).unwrap();
    let data = data.with_sample_weight(&[1.0; 330]).unwrap();
    let batches = Batches::new(32).shuffle(1);
    let mut plain = data.loader(&batches).unwrap();
    assert_eq!(in_later_epochs(&mut *plain).unwrap(), (0, 0));
    // Two batches wait, one is made, one is used: four go round, and when the fourth is first needed depends on how the
    // threads take turns. One that held the short last batch first grows once.
    let mut fetched = Prefetch::ahead(data.loader(&batches).unwrap(), 2).unwrap();
    let (all, large) = in_later_epochs(&mut fetched).unwrap();
    assert!(large <= 4 * 2, "{large} large allocations in 8 epochs of 11 batches");
    // Waiting for another thread may take a few bytes of the standard library.
    assert!(all - large < 8 * 4, "{all} allocations in 8 epochs of 11 batches");
    // The counter counts: batches that are kept are new memory.
    let before = LARGE.load(Ordering::SeqCst);
    assert_eq!(batches.over(&data, 0).unwrap().collect::<Vec<_>>().len(), 11);
    assert!(LARGE.load(Ordering::SeqCst) >= before + 11);
}
