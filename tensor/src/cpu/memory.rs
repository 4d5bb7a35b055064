//! Memory of the CPU: aligned buffers that many threads write at once. One of the few modules with `unsafe`.
//!
//! Safety argument. A [`Mem`] is a window into memory that lives at least as long as it: its slices are checked against
//! its length and the element type's alignment, so no foreign memory is touched, and only plain old data is read. What the
//! compiler cannot check is that no two slices that overlap are in use where one of them is written. This holds because
//! the pieces a kernel is cut into write disjoint elements, a plan never lets a kernel read what it writes elsewhere, and
//! an element that is updated in place is copied to a register before it is written, or written by a loop that reads its
//! operands first and goes by pointers (see `program` and `lanes`). Memory that is [`Lent`] is read only: a plan that would write it
//! does not run.

use crate::{
    array::Array,
    error::{Error, Result, bytes_for_people},
};
use bytemuck::{AnyBitPattern, NoUninit};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    marker::PhantomData,
    ptr::NonNull,
    sync::Arc,
};

/// Alignment of every buffer: a cache line, and the widest vector.
pub(super) const ALIGNMENT: usize = 64;

/// An owned, zeroed, aligned block of bytes.
pub(super) struct Memory {
    first: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is plain memory; see the module for why concurrent use is ordered.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Takes zeroed memory from the system.
    pub(super) fn new(bytes: u64) -> Result<Memory> {
        let refuse = || Error::device(format!("the system refused {} of memory", bytes_for_people(bytes)));
        let len = usize::try_from(bytes).map_err(|_| refuse())?.max(1);
        let layout = Layout::from_size_align(len, ALIGNMENT).map_err(|_| refuse())?;
        // SAFETY: the layout's size is at least 1.
        let first = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refuse)?;
        Ok(Memory { first, layout })
    }
    /// A window of `len` bytes from `at` on, or `None` where they are not all inside.
    pub(super) fn window(&self, at: u64, len: u64) -> Option<Mem<'_>> {
        let end = at.checked_add(len)?;
        if end > self.layout.size() as u64 {
            return None;
        }
        // SAFETY: at <= end <= the block's size.
        let first = unsafe { self.first.as_ptr().add(at as usize) };
        Some(Mem { first, len: len as usize, life: PhantomData })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.first.as_ptr(), self.layout) }
    }
}

/// Memory of an array, which nobody writes: whoever wants to write an array that is shared copies it first.
pub(super) struct Lent {
    memory: Arc<Vec<u8>>,
    at: usize,
    len: usize,
}

impl Lent {
    /// The array's bytes, if they begin at a whole word.
    pub(super) fn new(array: &Array) -> Option<Lent> {
        let (memory, at) = array.shared();
        let bytes = array.bytes();
        bytes.as_ptr().cast::<u32>().is_aligned().then(|| Lent { memory: memory.clone(), at, len: bytes.len() })
    }
    /// A window of `len` bytes from `at` on, to be read only, or `None` where they are not all inside.
    pub(super) fn window(&self, at: u64, len: u64) -> Option<Mem<'_>> {
        let end = at.checked_add(len).filter(|&end| end <= self.len as u64)?;
        let part = self.memory.get(self.at + at as usize..self.at + end as usize)?;
        Some(Mem { first: part.as_ptr().cast_mut(), len: part.len(), life: PhantomData })
    }
}

/// A window into memory, to be read and written under the rules of this module.
#[derive(Clone, Copy)]
pub(super) struct Mem<'a> {
    first: *mut u8,
    len: usize,
    life: PhantomData<&'a ()>,
}

// SAFETY: see the module.
unsafe impl Send for Mem<'_> {}
// SAFETY: see the module.
unsafe impl Sync for Mem<'_> {}

impl<'a> Mem<'a> {
    /// No memory at all.
    pub(super) const EMPTY: Mem<'static> =
        Mem { first: NonNull::<u64>::dangling().as_ptr().cast(), len: 0, life: PhantomData };

    /// A window over words of the caller's.
    pub(super) fn over(words: &'a mut [u32]) -> Mem<'a> {
        Mem { first: words.as_mut_ptr().cast(), len: size_of_val(words), life: PhantomData }
    }
    /// The window from byte `at` on; empty if that is outside.
    pub(super) fn from(self, at: u64) -> Mem<'a> {
        let at = (at as usize).min(self.len);
        // SAFETY: at <= len.
        Mem { first: unsafe { self.first.add(at) }, len: self.len - at, life: PhantomData }
    }
    /// Bytes `at..at + len`, as far as they are inside.
    pub(super) fn part(self, at: usize, len: usize) -> Mem<'a> {
        let rest = self.from(at as u64);
        Mem { len: rest.len.min(len), ..rest }
    }
    /// Number of whole elements of this type.
    pub(super) fn count<T>(self) -> usize {
        self.len / size_of::<T>()
    }
    /// Whether its first `count` words are inside and aligned.
    pub(super) fn has_words(self, count: usize) -> bool {
        count <= self.count::<u32>() && self.first.cast::<u32>().is_aligned()
    }
    fn holds<T>(self, first: usize, count: usize) -> bool {
        let fits = first.checked_add(count).is_some_and(|end| end <= self.count::<T>());
        let fits = fits && self.first.cast::<T>().is_aligned();
        debug_assert!(fits, "{count} elements of {} bytes from {first} in {} bytes", size_of::<T>(), self.len);
        fits
    }
    /// Elements `first..first + count`. Outside of the window there are none, which compiled kernels never meet.
    pub(super) fn read<T: AnyBitPattern>(self, first: usize, count: usize) -> &'a [T] {
        if !self.holds::<T>(first, count) {
            return &[];
        }
        // SAFETY: inside the window, aligned, any bits are valid; see the module for aliasing.
        unsafe { std::slice::from_raw_parts(self.first.cast::<T>().add(first), count) }
    }
    /// Elements `first..first + count`, to be written. Outside of the window there are none, which compiled kernels never meet.
    #[allow(clippy::mut_from_ref)]
    pub(super) fn write<T: AnyBitPattern + NoUninit>(self, first: usize, count: usize) -> &'a mut [T] {
        if !self.holds::<T>(first, count) {
            return &mut [];
        }
        // SAFETY: inside the window, aligned, any bits are valid; see the module for aliasing.
        unsafe { std::slice::from_raw_parts_mut(self.first.cast::<T>().add(first), count) }
    }
    /// Whether `count` elements from `first` on, `stride` apart, are inside and aligned.
    fn holds_strided<T>(self, first: i64, stride: i64, count: usize) -> bool {
        let last = (count.max(1) as i64 - 1).checked_mul(stride).and_then(|reach| first.checked_add(reach));
        let inside = |at: i64| at >= 0 && (at as u64) < self.count::<T>() as u64;
        let fits = inside(first) && last.is_some_and(inside) && self.first.cast::<T>().is_aligned();
        debug_assert!(fits, "{count} elements from {first}, {stride} apart, in {} bytes", self.len);
        fits
    }
    /// Reads elements `stride` apart, through `f`.
    #[inline(always)]
    pub(super) fn gather<T: AnyBitPattern>(self, first: i64, stride: i64, to: &mut [u32], f: impl Fn(T) -> u32) {
        if self.holds_strided::<T>(first, stride, to.len()) {
            let from = self.first.cast::<T>();
            for (i, r) in to.iter_mut().enumerate() {
                // SAFETY: between the first and the last element, which are inside.
                *r = f(unsafe { *from.offset((first + i as i64 * stride) as isize) });
            }
        }
    }
    /// Writes elements `stride` apart, through `f`.
    #[inline(always)]
    pub(super) fn scatter<T: NoUninit>(self, first: i64, stride: i64, from: &[u32], f: impl Fn(u32) -> T) {
        if self.holds_strided::<T>(first, stride, from.len()) {
            let to = self.first.cast::<T>();
            for (i, &x) in from.iter().enumerate() {
                // SAFETY: between the first and the last element, which are inside.
                unsafe { *to.offset((first + i as i64 * stride) as isize) = f(x) };
            }
        }
    }
    /// Its first element, for kernels that check every access themselves.
    pub(super) fn pointer<T>(self) -> *mut T {
        self.first.cast()
    }
    /// Whether two windows begin at the same byte.
    pub(super) fn same_start(self, other: Mem<'_>) -> bool {
        self.first == other.first
    }
}
