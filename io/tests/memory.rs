//! Reading and writing take no second copy of the arrays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use addax_io::{ModelDir, Weights};
use addax_tensor::{Array, DType};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; only counters are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), SeqCst) + layout.size(), SeqCst);
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller's pointer and layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated at the peak of `run`, beyond those before it.
fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(SeqCst);
    PEAK.store(before, SeqCst);
    let value = run();
    (value, PEAK.load(SeqCst) - before)
}

/// One test, so that no other allocates beside it.
#[test]
fn peaks_are_one_copy() {
    const SIZE: usize = 16 << 20;
    const SLACK: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let arrays = || (0..4).map(|i| (format!("w{i}"), Array::zeros(DType::F32, [SIZE / 16]))).collect::<Vec<_>>();

    let (file, path) = (Weights::new(arrays()), folder.path().join("w"));
    let (saved, writing) = peak(|| file.save(&path));
    saved.unwrap();
    let (loaded, reading) = peak(|| Weights::load(&path));
    assert_eq!(loaded.unwrap(), file);
    assert!(writing < SLACK, "writing took {writing} bytes");
    assert!((SIZE..SIZE + SLACK).contains(&reading), "reading took {reading} bytes");

    let (model, path) = (ModelDir { weights: arrays(), ..ModelDir::default() }, folder.path().join("m"));
    let (saved, writing) = peak(|| model.save(&path));
    saved.unwrap();
    let (loaded, reading) = peak(|| ModelDir::load(&path));
    assert_eq!(loaded.unwrap(), model);
    assert!(writing < SLACK, "writing a model took {writing} bytes");
    assert!((SIZE..SIZE + SLACK).contains(&reading), "reading a model took {reading} bytes");
}
