//! Between memory of any element type and registers of 32-bit words.

use super::{element, memory::Mem};
use crate::dtype::DType;
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// Whether elements lie in memory as registers hold them, so that no copy is needed.
pub(super) fn is_word(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32 | DType::U32)
}

/// Reads `to.len()` elements from element `at` on, `stride` apart.
pub(super) fn load(to: &mut [u32], from: Mem<'_>, dtype: DType, at: i64, stride: i64) {
    let n = to.len();
    if n == 0 {
        return;
    }
    match (dtype, stride) {
        (_, 0) => to.fill(load_one(from, dtype, at)),
        (DType::F32 | DType::I32 | DType::U32, 1) => to.copy_from_slice(from.read(at as usize, n)),
        (DType::F16, 1) => from.read::<f16>(at as usize, n).convert_to_f32_slice(bytemuck::cast_slice_mut(to)),
        (DType::BF16, 1) => element::widen_bf16(to, from.read(at as usize, n)),
        (DType::U8, 1) => element::widen_bytes(to, from.read(at as usize, n)),
        (DType::Bool, 1) => element::widen_bools(to, from.read(at as usize, n)),
        (DType::F32 | DType::I32 | DType::U32, _) => from.gather(at, stride, to, |x: u32| x),
        (DType::F16, _) => from.gather(at, stride, to, |x: f16| x.to_f32().to_bits()),
        (DType::BF16, _) => from.gather(at, stride, to, |x: bf16| u32::from(x.to_bits()) << 16),
        (DType::U8, _) => from.gather(at, stride, to, |x: u8| u32::from(x)),
        (DType::Bool, _) => from.gather(at, stride, to, |x: u8| u32::from(x != 0)),
    }
}

/// Reads one element.
pub(super) fn load_one(from: Mem<'_>, dtype: DType, at: i64) -> u32 {
    let mut word = [0];
    load(&mut word, from, dtype, at, 1);
    word[0]
}

/// Writes words to elements from element `at` on, `stride` apart.
pub(super) fn store(to: Mem<'_>, dtype: DType, at: i64, stride: i64, words: &[u32]) {
    let n = words.len();
    if n == 0 {
        return;
    }
    match (dtype, stride) {
        (DType::F32 | DType::I32 | DType::U32, 1) => to.write(at as usize, n).copy_from_slice(words),
        (DType::F16, 1) => to.write::<f16>(at as usize, n).convert_from_f32_slice(bytemuck::cast_slice(words)),
        (DType::BF16, 1) => element::narrow_bf16(to.write(at as usize, n), words),
        (DType::U8 | DType::Bool, 1) => element::narrow_bytes(to.write(at as usize, n), words),
        (DType::F32 | DType::I32 | DType::U32, _) => to.scatter(at, stride, words, |x| x),
        (DType::F16, _) => to.scatter(at, stride, words, |x| f16::from_f32(f32::from_bits(x))),
        (DType::BF16, _) => to.scatter(at, stride, words, element::bf16_bits),
        (DType::U8 | DType::Bool, _) => to.scatter(at, stride, words, |x| x as u8),
    }
}

/// Writes one word to `n` elements.
pub(super) fn splat(to: Mem<'_>, dtype: DType, at: i64, stride: i64, word: u32, n: usize) {
    if is_word(dtype) && stride == 1 {
        return to.write::<u32>(at as usize, n).fill(word);
    }
    let words = [word; 64];
    let mut done = 0;
    while done < n {
        let len = (n - done).min(words.len());
        store(to, dtype, at + done as i64 * stride, stride, &words[..len]);
        done += len;
    }
}
