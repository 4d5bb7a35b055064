//! Functions of elements as loops over a tile: one loop per function and instruction set, whatever its operands are. One of
//! the few modules with `unsafe`.
//!
//! An operand that is the same for all elements is a few copies of its word, which a loop reads again and again; so loops know
//! no kinds of operands, and functions can be put together (see `element`) without multiplying them. A loop handles some
//! vectors at a time; what remains of a tile goes through buffers that are whole vectors.
//!
//! Safety argument: a loop checks once that its operands and its result have as many words as it touches. It reads all
//! operands of a vector before it writes the result's, and by pointers only, so a result may lie where an operand lies.

use super::memory::Mem;
#[cfg(target_arch = "x86_64")]
use super::simd::{Isa, isa};
#[cfg(target_arch = "x86_64")]
use addax_shaders::math::formulas::Fused;
use addax_shaders::math::formulas::{MulAdd, Separate};

/// Words that are computed at once: a vector of the widest instruction set.
pub(super) const LANES: usize = 16;
/// Vectors that a pass of a loop handles.
const UNROLL: usize = 4;
/// Copies of a word that make an operand.
pub(super) const COPIES: usize = UNROLL * LANES;
/// Most operands of a function.
pub(super) const OPERANDS: usize = 4;

type Vector = [u32; LANES];

/// A function of `N` words.
pub(super) trait Function<const N: usize> {
    /// Whether it is so long that doing several vectors in one pass gains nothing.
    const LONG: bool = false;
    /// Its value.
    fn of<M: MulAdd>(words: [u32; N]) -> u32;
}

/// What an instruction's result is during a tile.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    words: Mem<'a>,
    one: bool,
}

impl<'a> Source<'a> {
    /// No words at all.
    pub(super) const EMPTY: Source<'static> = Source { words: Mem::EMPTY, one: false };

    /// Makes it a word for each element.
    ///
    /// Sources are changed field by field and read field by field, never copied: a copy would move fields together that were
    /// written apart, and so wait until what a loop wrote before has left the store buffer.
    #[inline(always)]
    pub(super) fn set_many(&mut self, words: Mem<'a>) {
        self.words = words;
        self.one = false;
    }
    /// Makes it the same word for all; `room` holds its [`COPIES`].
    #[inline(always)]
    pub(super) fn set_one(&mut self, word: u32, room: Mem<'a>) {
        room.write(0, COPIES).fill(word);
        self.words = room;
        self.one = true;
    }
    /// The word, if it is the same for all elements.
    pub(super) fn word(&self) -> Option<u32> {
        if self.one { self.words.read(0, 1).first().copied() } else { None }
    }
    /// The words of the elements.
    pub(super) fn words(&self) -> Mem<'a> {
        self.words
    }
    pub(super) fn is_one(&self) -> bool {
        self.one
    }
}

/// Computes the first `len` words of `to` from those of `values` that `operands` names.
pub(super) type Loop = fn(to: Mem<'_>, len: usize, values: &[Source<'_>], operands: &[usize; OPERANDS]);

/// The loop of a function, for this machine.
pub(super) fn kernel<F: Function<N>, const N: usize>() -> Loop {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512<F: Function<N>, const N: usize>(
            to: Mem<'_>,
            len: usize,
            from: &[Source<'_>],
            at: &[usize; OPERANDS],
        ) {
            run::<F, Fused, N>(to, len, from, at);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<F: Function<N>, const N: usize>(to: Mem<'_>, len: usize, from: &[Source<'_>], at: &[usize; OPERANDS]) {
            run::<F, Fused, N>(to, len, from, at);
        }
        match isa() {
            // SAFETY: `isa` found these instructions.
            Isa::Avx512 => return |to, len, from, at| unsafe { avx512::<F, N>(to, len, from, at) },
            // SAFETY: as above.
            Isa::Avx2 => return |to, len, from, at| unsafe { avx2::<F, N>(to, len, from, at) },
            Isa::Base => {}
        }
    }
    run::<F, Separate, N>
}

#[inline(always)]
fn run<F: Function<N>, M: MulAdd, const N: usize>(
    to: Mem<'_>,
    len: usize,
    values: &[Source<'_>],
    operands: &[usize; OPERANDS],
) {
    let mut first = [std::ptr::null(); N];
    let mut step = [0; N];
    for k in 0..N {
        let Some(source) = values.get(operands[k]) else { return };
        if !source.words.has_words(if source.one { COPIES } else { len }) {
            return;
        }
        first[k] = source.words.pointer::<u32>().cast_const();
        step[k] = if source.one { 0 } else { LANES };
    }
    if !to.has_words(len) {
        return;
    }
    let whole = len / LANES;
    let result = to.pointer::<u32>();
    // SAFETY: `whole` vectors are inside of the result and of the operands that advance; the others have UNROLL vectors.
    unsafe { vectors::<F, M, N>(result, first, step, whole) };
    let (done, rest) = (whole * LANES, len % LANES);
    if rest > 0 {
        let mut words = [[0; LANES]; N];
        let mut last = [0; LANES];
        for k in 0..N {
            for (lane, word) in words[k][..rest].iter_mut().enumerate() {
                // SAFETY: element done + lane < len of an operand that advances; else lane < COPIES.
                *word = unsafe { *first[k].add(whole * step[k] + lane) };
            }
            first[k] = words[k].as_ptr();
        }
        // SAFETY: all are one vector.
        unsafe { vector::<F, M, N>(last.as_mut_ptr(), first, 0) };
        for (lane, &word) in last[..rest].iter().enumerate() {
            // SAFETY: element done + lane < len.
            unsafe { *result.add(done + lane) = word };
        }
    }
}

/// Computes `count` vectors. Operand `k` must have as many if `step[k]` is not 0, else as many of them as a pass handles.
#[inline(always)]
unsafe fn vectors<F: Function<N>, M: MulAdd, const N: usize>(
    mut to: *mut u32,
    mut from: [*const u32; N],
    step: [usize; N],
    mut count: usize,
) {
    let pass = if F::LONG { 1 } else { UNROLL };
    while count >= pass {
        keep_order();
        for i in 0..pass {
            // SAFETY: i < count.
            unsafe { vector::<F, M, N>(to, from, i) };
        }
        // SAFETY: at most the end of the operands and of the result.
        unsafe {
            to = to.add(pass * LANES);
            for k in 0..N {
                from[k] = from[k].add(pass * step[k]);
            }
        }
        count -= pass;
    }
    for i in 0..count {
        keep_order();
        // SAFETY: i < count < pass.
        unsafe { vector::<F, M, N>(to, from, i) };
    }
}

/// Computes vector `i`.
#[inline(always)]
unsafe fn vector<F: Function<N>, M: MulAdd, const N: usize>(to: *mut u32, from: [*const u32; N], i: usize) {
    let mut words = [[0; LANES]; N];
    for k in 0..N {
        // SAFETY: the caller's promise.
        words[k] = unsafe { from[k].add(i * LANES).cast::<Vector>().read_unaligned() };
    }
    let mut result = [0; LANES];
    for lane in 0..LANES {
        result[lane] = F::of::<M>(std::array::from_fn(|k| words[k][lane]));
    }
    // SAFETY: the caller's promise.
    unsafe { to.add(i * LANES).cast::<Vector>().write_unaligned(result) };
}

/// Nothing that the compiler could move vectors across: else it tries to do several passes at once, lane by lane, with
/// gathers and scatters.
#[inline(always)]
fn keep_order() {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: it is empty.
    unsafe {
        std::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Minus;
    impl Function<2> for Minus {
        fn of<M: MulAdd>([x, y]: [u32; 2]) -> u32 {
            x.wrapping_sub(y)
        }
    }

    struct LongMinus;
    impl Function<2> for LongMinus {
        const LONG: bool = true;
        fn of<M: MulAdd>([x, y]: [u32; 2]) -> u32 {
            x.wrapping_sub(y)
        }
    }

    /// Every length, every mix of operands, in place or not; nothing past the end is touched.
    #[test]
    fn loops_reach_each_element_once() {
        for run in [kernel::<Minus, 2>(), kernel::<LongMinus, 2>()] {
            for len in 0..200 {
                for ones in 0..4 {
                    let mut a: Vec<u32> = (0..len as u32).map(|i| 1000 + 7 * i).collect();
                    let mut b: Vec<u32> = (0..len as u32).map(|i| 3 * i * i).collect();
                    let (mut one_a, mut one_b, mut to) = ([0; COPIES], [0; COPIES], vec![77; len + 1]);
                    let word = |words: &[u32], one: bool, i: usize, other: u32| if one { other } else { words[i] };
                    let want: Vec<u32> = (0..len)
                        .map(|i| word(&a, ones & 1 > 0, i, 5).wrapping_sub(word(&b, ones & 2 > 0, i, 9)))
                        .collect();
                    let in_place = Mem::over(&mut a);
                    let mut values = [Source::EMPTY; 2];
                    values[0].set_many(in_place);
                    values[1].set_many(Mem::over(&mut b));
                    if ones & 1 > 0 {
                        values[0].set_one(5, Mem::over(&mut one_a));
                    }
                    if ones & 2 > 0 {
                        values[1].set_one(9, Mem::over(&mut one_b));
                    }
                    run(Mem::over(&mut to), len, &values, &[0, 1, 0, 0]);
                    assert_eq!(to[..len], want);
                    assert_eq!(to[len], 77);
                    run(in_place, len, &values, &[0, 1, 0, 0]);
                    assert_eq!(a, want);
                }
            }
        }
    }

    /// A loop that would leave its operands or its result does nothing.
    #[test]
    fn loops_stay_inside() {
        let (mut a, mut b, mut to) = ([1; 32], [1; 16], [7; 32]);
        let mut values = [Source::EMPTY; 2];
        values[0].set_many(Mem::over(&mut a));
        values[1].set_many(Mem::over(&mut b));
        kernel::<Minus, 2>()(Mem::over(&mut to), 32, &values, &[0, 1, 0, 0]);
        kernel::<Minus, 2>()(Mem::over(&mut to[..8]), 16, &values, &[0, 1, 0, 0]);
        kernel::<Minus, 2>()(Mem::over(&mut to), 16, &values, &[0, 2, 0, 0]);
        assert_eq!(to, [7; 32]);
    }
}
