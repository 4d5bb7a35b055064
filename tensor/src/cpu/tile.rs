//! Runs a [`Program`] over ranges of positions, tile by tile.

use super::{
    coalesce::{Limit, MAX_RANK},
    element::Operand,
    lanes::Source,
    memory::Mem,
    program::{Frame, Kind, MAX_INSTS, Op, Place, Program, REGISTER_BYTES, ROOM_BYTES},
    random::random,
    simd::vectorised,
    storage,
};
use crate::dtype::DType;
use addax_shaders::philox;
use std::ops::Range;

/// Instructions of a short block.
const FEW: usize = 24;

/// What a block's last result is during a tile.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// The same word for all elements.
    One(u32),
    /// A word for each element.
    Many(Mem<'a>),
}

impl<'a> Value<'a> {
    pub(super) fn operand(self, len: usize) -> Operand<'a, u32> {
        match self {
            Value::One(word) => Operand::One(word),
            Value::Many(words) => Operand::Many(words.read(0, len)),
        }
    }
}

/// Part of a range of positions.
struct Tile<'a> {
    position: usize,
    /// Positions of the range before it.
    done: usize,
    len: usize,
    index: [usize; MAX_RANK],
    acc: Mem<'a>,
}

impl Program {
    /// Runs the block for `cols` of each of `rows`, in a space seen as rows of `width` positions. The core's results lie in
    /// `acc`: those of one row are consecutive, rows are `pitch` words apart.
    pub(super) fn run_rows(
        &self,
        frame: &Frame<'_>,
        width: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        acc: Mem<'_>,
        pitch: usize,
    ) {
        self.with_values(&mut |values| {
            self.constants(frame, values);
            if cols.len() == width && pitch == width {
                return self.tiles(frame, values, rows.start * width..rows.end * width, acc, &mut |_, _, _| {});
            }
            for (i, row) in rows.clone().enumerate() {
                let acc = acc.from((i * pitch * 4) as u64);
                self.tiles(frame, values, row * width + cols.start..row * width + cols.end, acc, &mut |_, _, _| {});
            }
        });
    }
    /// Runs the block for a range of positions, where `acc` holds the core's results of the range.
    pub(super) fn run(&self, frame: &Frame<'_>, range: Range<usize>, acc: Mem<'_>) {
        self.with_values(&mut |values| {
            self.constants(frame, values);
            self.tiles(frame, values, range.clone(), acc, &mut |_, _, _| {});
        });
    }
    /// Evaluates a `load` hole: calls `each(position, length, value)` for every tile of every one of `count` ranges of `len`
    /// positions, `step` apart.
    pub(super) fn each<'a>(
        &self,
        frame: &Frame<'a>,
        first: usize,
        len: usize,
        count: usize,
        step: usize,
        each: &mut dyn FnMut(usize, usize, Value<'a>),
    ) {
        self.with_values(&mut |values| {
            self.constants(frame, values);
            if step == len {
                return self.tiles(frame, values, first..first + len * count, Mem::EMPTY, each);
            }
            for i in 0..count {
                let start = first + i * step;
                self.tiles(frame, values, start..start + len, Mem::EMPTY, each);
            }
        });
    }

    /// Room for what the instructions give.
    fn with_values<'a>(&self, f: &mut dyn FnMut(&mut [Source<'a>])) {
        // Most blocks are short, and for small kernels it counts how much is cleared.
        if self.ops.len() <= FEW { f(&mut [Source::EMPTY; FEW]) } else { f(&mut [Source::EMPTY; MAX_INSTS]) }
    }

    /// Computes what is the same everywhere.
    fn constants<'a>(&self, frame: &Frame<'a>, values: &mut [Source<'a>]) {
        let tile = Tile { position: 0, done: 0, len: 1, index: [0; MAX_RANK], acc: Mem::EMPTY };
        for (at, op) in self.ops.iter().enumerate().filter(|(_, op)| op.constant) {
            self.step(at, op, frame, &tile, values);
        }
    }

    fn tiles<'a>(
        &self,
        frame: &Frame<'a>,
        values: &mut [Source<'a>],
        range: Range<usize>,
        acc: Mem<'a>,
        each: &mut dyn FnMut(usize, usize, Value<'a>),
    ) {
        // Changed in place: see `Source` for what a copy would cost.
        let mut tile = Tile { position: range.start, done: 0, len: 0, index: [0; MAX_RANK], acc };
        self.locate(tile.position, &mut tile.index);
        // Elements of the first tile, which is the longest: others begin at the same column, as tiles hold whole rows.
        let mut shared = 0;
        while tile.position < range.end {
            let row_left = if self.spanning { usize::MAX } else { self.inner - tile.index[self.rank - 1] };
            tile.len = self.tile.min(range.end - tile.position).min(row_left);
            tile.done = tile.position - range.start;
            tile.acc = acc.from((tile.done * 4) as u64);
            let there = tile.len <= shared;
            for (at, op) in self.ops.iter().enumerate() {
                if !(op.constant || there && op.of_row) {
                    self.step(at, op, frame, &tile, values);
                }
            }
            shared = shared.max(tile.len);
            for (reg, place) in &self.stores {
                self.store(frame, &tile, &values[*reg], place);
            }
            if let Some(last) = self.ops.len().checked_sub(1) {
                let last = &values[last];
                each(tile.position, tile.len, last.word().map_or(Value::Many(last.words()), Value::One));
            }
            tile.position += tile.len;
            if tile.len == row_left || self.spanning {
                self.locate(tile.position, &mut tile.index);
            } else {
                tile.index[self.rank - 1] += tile.len;
            }
        }
    }

    /// Calls `each(done, rows, len, index)` for the parts of a tile that are whole neighbouring rows, or a part of one.
    fn row_groups(&self, tile: &Tile<'_>, mut each: impl FnMut(usize, usize, usize, &[usize])) {
        let (mut index, mut done, last) = (tile.index, 0, self.rank - 1);
        while done < tile.len {
            let len = (self.inner - index[last]).min(tile.len - done);
            let neighbours = if last > 0 && len == self.inner { self.axes[last - 1] - index[last - 1] } else { 1 };
            let rows = neighbours.min((tile.len - done) / len);
            each(done, rows, len, &index);
            done += rows * len;
            if done < tile.len {
                self.locate(tile.position + done, &mut index);
            }
        }
    }

    /// Calls `each(done, len, index)` for the parts of a tile that lie in one row.
    fn runs(&self, tile: &Tile<'_>, mut each: impl FnMut(usize, usize, &[usize])) {
        let (mut index, mut done, last) = (tile.index, 0, self.rank - 1);
        while done < tile.len {
            let len = (self.inner - index[last]).min(tile.len - done);
            each(done, len, &index);
            done += len;
            index[last] += len;
            let mut axis = last;
            while index[axis] == self.axes[axis] && axis > 0 {
                index[axis] = 0;
                axis -= 1;
                index[axis] += 1;
            }
        }
    }

    #[inline(always)]
    fn step<'a>(&self, at: usize, op: &Op, frame: &Frame<'a>, tile: &Tile<'a>, values: &mut [Source<'a>]) {
        // Operands come before their users.
        let Some((values, [value, ..])) = values.split_at_mut_checked(at) else { return };
        if let Some(run) = op.run {
            if op.operands.iter().all(|&r| values[r].is_one()) {
                let mut word = [0];
                run(Mem::over(&mut word), 1, values, &op.operands);
                return value.set_one(word[0], room(at, frame));
            }
            let to = self.target(op, frame, tile);
            run(to, tile.len, values, &op.operands);
            return value.set_many(to);
        }
        let len = tile.len;
        let mut one = |word| value.set_one(word, room(at, frame));
        match &op.kind {
            Kind::Const(word) => one(*word),
            Kind::Scalar(slot) => one(frame.scalars.get(*slot).copied().unwrap_or(0)),
            Kind::Acc => value.set_many(tile.acc),
            Kind::Load(place) => self.load(at, op, place, frame, tile, value),
            Kind::Row(slot, line, counts) => {
                let row = |index: &[usize]| {
                    let at = (line.at(index) as usize).saturating_sub(frame.row);
                    slot_of(frame, *slot).read(at, 1).first().copied().unwrap_or(0)
                };
                if !self.spanning && line.strides[self.rank - 1] == 0 {
                    return one(row(&tile.index));
                }
                let register = self.register(op, frame);
                let (to, stride) = (register.write(0, len), line.strides[self.rank - 1]);
                if *counts && tile.index[self.rank - 1] == 0 && len.is_multiple_of(self.inner) {
                    let first = (line.at(&tile.index) as usize).saturating_sub(frame.row);
                    spread(to, slot_of(frame, *slot).read(first, len / self.inner), self.inner);
                    return value.set_many(register);
                }
                self.runs(tile, |done, n, index| {
                    let to = &mut to[done..done + n];
                    match stride {
                        0 => to.fill(row(index)),
                        _ => {
                            let first = line.at(index) - frame.row as i64;
                            storage::load(to, slot_of(frame, *slot), DType::U32, first, stride);
                        }
                    }
                });
                value.set_many(register);
            }
            Kind::Kept(slot) => value.set_many(slot_of(frame, *slot).part(tile.done * 4, len * 4)),
            Kind::Keep(slot, a) => {
                let memory = slot_of(frame, *slot).part(tile.done * 4, len * 4);
                let to = memory.write::<u32>(0, len);
                let kept = &values[*a];
                match kept.word() {
                    Some(word) => to.fill(word),
                    None if kept.words().same_start(memory) => {}
                    None => to.copy_from_slice(kept.words().read(0, len)),
                }
                value.set_many(memory);
            }
            Kind::Index(line) => {
                if op.constant {
                    return one(index_word(op.dtype, line.at(&tile.index)));
                }
                let register = self.target(op, frame, tile);
                let (to, stride) = (register.write(0, len), line.strides[self.rank - 1]);
                self.runs(tile, |done, n, index| {
                    count_up(&mut to[done..done + n], op.dtype == DType::F32, line.at(index), stride);
                });
                value.set_many(register);
            }
            Kind::Within(limits) => {
                if op.constant {
                    return one(1);
                }
                let register = self.target(op, frame, tile);
                let to = register.write(0, len);
                self.runs(tile, |done, n, index| {
                    let valid = self.valid(limits, index, n);
                    for (i, to) in to[done..done + n].iter_mut().enumerate() {
                        *to = u32::from(valid.contains(&i));
                    }
                });
                value.set_many(register);
            }
            Kind::Random { key, stream, sample, element } => {
                let register = self.target(op, frame, tile);
                let (to, last) = (register.write(0, len), self.rank - 1);
                self.runs(tile, |done, n, index| {
                    let to = &mut to[done..done + n];
                    let (sample_0, element_0) = (sample.at(index), element.at(index));
                    if let [Some(low), Some(high), Some(step), Some(first)] = key.map(|r| values[r].word())
                        && sample.strides[last] == 0
                        && element.strides[last] == 1
                    {
                        let sample = first.wrapping_add(sample_0 as u32);
                        return random(to, element_0 as u32, sample, step, *stream, [low, high]);
                    }
                    for (i, to) in to.iter_mut().enumerate() {
                        let word = |r: usize| {
                            let of_element = || values[r].words().read(done + i, 1).first().copied();
                            values[r].word().or_else(of_element).unwrap_or(0)
                        };
                        let sample = sample_0 + sample.strides[last] * i as i64;
                        let element = element_0 + element.strides[last] * i as i64;
                        let [low, high, step, first] = key.map(word);
                        let sample = first.wrapping_add(sample as u32);
                        *to = philox::bits(element as u32, sample, step, *stream, [low, high]);
                    }
                });
                value.set_many(register);
            }
            // The others have loops.
            _ => {}
        }
    }

    /// The register of an instruction.
    #[inline(always)]
    fn register<'a>(&self, op: &Op, frame: &Frame<'a>) -> Mem<'a> {
        frame.registers.part(op.slot * self.pitch * 4, self.pitch * 4)
    }
    /// Where an instruction puts its result: its register, or the memory it is stored to.
    #[inline(always)]
    fn target<'a>(&self, op: &Op, frame: &Frame<'a>, tile: &Tile<'_>) -> Mem<'a> {
        if let Some(slot) = op.keep {
            return slot_of(frame, slot).part(tile.done * 4, tile.len * 4);
        }
        match op.direct.and_then(|number| self.stores.get(number)) {
            Some((_, place)) => frame.args[place.arg].from(self.first(place, tile) as u64 * 4),
            None => self.register(op, frame),
        }
    }
    /// The element of a tile's first position.
    fn first(&self, place: &Place, tile: &Tile<'_>) -> i64 {
        if place.linear { place.line.base + tile.position as i64 } else { place.line.at(&tile.index) }
    }

    fn load<'a>(&self, at: usize, op: &Op, place: &Place, frame: &Frame<'a>, tile: &Tile<'a>, value: &mut Source<'a>) {
        let memory = frame.args[place.arg];
        let word = storage::is_word(place.dtype) && !op.copy;
        let stride = place.line.strides[self.rank - 1];
        if place.limits.is_empty() {
            let first = self.first(place, tile);
            if op.constant || (!self.spanning && stride == 0) {
                return value.set_one(storage::load_one(memory, place.dtype, first), room(at, frame));
            }
            if place.linear || !self.spanning {
                if word && (place.linear || stride == 1) {
                    return value.set_many(memory.part(first as usize * 4, tile.len * 4));
                }
                let register = self.register(op, frame);
                let to = register.write(0, tile.len);
                storage::load(to, memory, place.dtype, first, if place.linear { 1 } else { stride });
                return value.set_many(register);
            }
        } else if !self.spanning {
            let valid = self.valid(&place.limits, &tile.index, tile.len);
            if valid.is_empty() {
                return value.set_one(0, room(at, frame));
            }
            if valid.len() == tile.len && word && stride == 1 {
                return value.set_many(memory.part(self.first(place, tile) as usize * 4, tile.len * 4));
            }
        }
        let register = self.register(op, frame);
        let to = register.write(0, tile.len);
        if place.limits.is_empty() && self.rank > 1 && storage::is_word(place.dtype) {
            self.row_groups(tile, |done, rows, len, index| {
                let row_stride = place.line.strides[self.rank - 2];
                let to = &mut to[done..done + rows * len];
                gather_rows(to, memory, len, place.line.at(index), row_stride, stride);
            });
            return value.set_many(register);
        }
        self.runs(tile, |done, n, index| {
            let to = &mut to[done..done + n];
            let valid = if place.limits.is_empty() { 0..n } else { self.valid(&place.limits, index, n) };
            to[..valid.start].fill(0);
            to[valid.end..].fill(0);
            let first = place.line.at(index) + stride * valid.start as i64;
            storage::load(&mut to[valid], memory, place.dtype, first, stride);
        });
        value.set_many(register);
    }

    fn store(&self, frame: &Frame<'_>, tile: &Tile<'_>, value: &Source<'_>, place: &Place) {
        let memory = frame.args[place.arg];
        let stride = place.line.strides[self.rank - 1];
        let put = |done: usize, n: usize, first: i64, stride: i64| match value.word() {
            Some(word) => storage::splat(memory, place.dtype, first, stride, word, n),
            None => {
                let words = value.words();
                let there = storage::is_word(place.dtype) && words.same_start(memory.from((first * 4) as u64));
                if done > 0 || !there {
                    storage::store(memory, place.dtype, first, stride, words.read(done, n));
                }
            }
        };
        if place.linear {
            put(0, tile.len, self.first(place, tile), 1);
        } else {
            self.runs(tile, |done, n, index| put(done, n, place.line.at(index), stride));
        }
    }

    /// The part of a run of `len` positions from `index` on where all limits hold.
    fn valid(&self, limits: &[Limit], index: &[usize], len: usize) -> Range<usize> {
        let (mut low, mut high) = (0, len as i64);
        for limit in limits {
            let (first, stride) = (limit.line.at(index), limit.line.strides[self.rank - 1]);
            match stride {
                0 if (0..limit.len).contains(&first) => {}
                0 => high = 0,
                1.. => {
                    low = low.max(-first.div_euclid(stride));
                    high = high.min((limit.len - 1 - first).div_euclid(stride) + 1);
                }
                _ => {
                    low = low.max(-(limit.len - 1 - first).div_euclid(-stride));
                    high = high.min(first.div_euclid(-stride) + 1);
                }
            }
        }
        if low < high { low as usize..high as usize } else { 0..0 }
    }
}

/// The memory of a slot.
#[inline(always)]
fn slot_of<'a>(frame: &Frame<'a>, slot: usize) -> Mem<'a> {
    frame.slots.get(slot).copied().unwrap_or(Mem::EMPTY)
}

/// Where the copies of an instruction's word lie, if it is the same for all elements: at the end of the registers.
#[inline(always)]
fn room<'a>(at: usize, frame: &Frame<'a>) -> Mem<'a> {
    frame.registers.part(REGISTER_BYTES - (at + 1) * ROOM_BYTES, ROOM_BYTES)
}

fn index_word(dtype: DType, value: i64) -> u32 {
    if dtype == DType::F32 { (value as f32).to_bits() } else { value as u32 }
}

vectorised! {
    fn count_up(to: &mut [u32], float: bool, first: i64, stride: i64) {
        let (first, stride) = (first as i32, stride as i32);
        if float {
            for (i, to) in to.iter_mut().enumerate() {
                *to = (first.wrapping_add(stride.wrapping_mul(i as i32)) as f32).to_bits();
            }
        } else {
            for (i, to) in to.iter_mut().enumerate() {
                *to = first.wrapping_add(stride.wrapping_mul(i as i32)) as u32;
            }
        }
    }
    /// Each word `len` times.
    fn spread(to: &mut [u32], words: &[u32], len: usize) {
        for (to, &word) in to.chunks_exact_mut(len).zip(words) {
            let (whole, rest) = to.as_chunks_mut::<16>();
            for chunk in whole.iter_mut() {
                *chunk = [word; 16];
            }
            if rest.is_empty() {
                continue;
            }
            match to.last_chunk_mut::<16>() {
                Some(last) => *last = [word; 16],
                None => to.iter_mut().for_each(|to| *to = word),
            }
        }
    }
    /// Reads rows of `len` elements, `row_stride` apart, in each of which elements are `stride` apart.
    fn gather_rows(to: &mut [u32], from: Mem<'_>, len: usize, first: i64, row_stride: i64, stride: i64) {
        for (row, to) in to.chunks_mut(len).enumerate() {
            let first = first + row as i64 * row_stride;
            match stride {
                0 => to.fill(from.read(first as usize, 1).first().copied().unwrap_or(0)),
                1 => to.copy_from_slice(from.read(first as usize, to.len())),
                _ => from.gather(first, stride, to, |x: u32| x),
            }
        }
    }
}
