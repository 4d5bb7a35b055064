//! Runs a [`Program`] over ranges of positions, tile by tile.

use super::{
    element::{self, Operand},
    memory::Mem,
    program::{Frame, Kind, Limit, MAX_INSTS, MAX_RANK, Op, Place, Program},
    simd::vectorised,
    storage,
};
use crate::dtype::DType;
use addax_shaders::philox;
use std::ops::Range;

/// What a register holds during a tile.
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
        let mut values = [Value::One(0); MAX_INSTS];
        self.constants(frame, &mut values);
        if cols.len() == width && pitch == width {
            return self.tiles(frame, &mut values, rows.start * width..rows.end * width, acc, &mut |_, _, _| {});
        }
        for (i, row) in rows.enumerate() {
            let acc = acc.from((i * pitch * 4) as u64);
            self.tiles(frame, &mut values, row * width + cols.start..row * width + cols.end, acc, &mut |_, _, _| {});
        }
    }
    /// Runs the block for a range of positions, where `acc` holds the core's results of the range.
    pub(super) fn run(&self, frame: &Frame<'_>, range: Range<usize>, acc: Mem<'_>) {
        let mut values = [Value::One(0); MAX_INSTS];
        self.constants(frame, &mut values);
        self.tiles(frame, &mut values, range, acc, &mut |_, _, _| {});
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
        let mut values = [Value::One(0); MAX_INSTS];
        self.constants(frame, &mut values);
        if step == len {
            return self.tiles(frame, &mut values, first..first + len * count, Mem::EMPTY, each);
        }
        for i in 0..count {
            let start = first + i * step;
            self.tiles(frame, &mut values, start..start + len, Mem::EMPTY, each);
        }
    }

    /// Computes what is the same everywhere.
    fn constants<'a>(&self, frame: &Frame<'a>, values: &mut [Value<'a>; MAX_INSTS]) {
        let tile = Tile { position: 0, done: 0, len: 1, index: [0; MAX_RANK], acc: Mem::EMPTY };
        for (at, op) in self.ops.iter().enumerate().filter(|(_, op)| op.constant) {
            values[at] = self.step(op, frame, &tile, values);
        }
    }

    fn tiles<'a>(
        &self,
        frame: &Frame<'a>,
        values: &mut [Value<'a>; MAX_INSTS],
        range: Range<usize>,
        acc: Mem<'a>,
        each: &mut dyn FnMut(usize, usize, Value<'a>),
    ) {
        let mut position = range.start;
        let mut index = self.index(position);
        while position < range.end {
            let row_left = if self.spanning { usize::MAX } else { self.inner - index[self.rank - 1] };
            let len = self.tile.min(range.end - position).min(row_left);
            let done = position - range.start;
            let tile = Tile { position, done, len, index, acc: acc.from((done * 4) as u64) };
            for (at, op) in self.ops.iter().enumerate() {
                if !op.constant {
                    values[at] = self.step(op, frame, &tile, values);
                }
            }
            for (reg, place) in &self.stores {
                self.store(frame, &tile, values[*reg], place);
            }
            if let Some(last) = self.ops.len().checked_sub(1) {
                each(position, len, values[last]);
            }
            position += len;
            if len == row_left || self.spanning {
                index = self.index(position);
            } else {
                index[self.rank - 1] += len;
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
    fn step<'a>(&self, op: &Op, frame: &Frame<'a>, tile: &Tile<'a>, values: &[Value<'a>; MAX_INSTS]) -> Value<'a> {
        let len = tile.len;
        match &op.kind {
            Kind::Const(word) => Value::One(*word),
            Kind::Scalar(slot) => Value::One(frame.scalars.get(*slot).copied().unwrap_or(0)),
            Kind::Acc => Value::Many(tile.acc),
            Kind::Load(place) => self.load(op, place, frame, tile),
            Kind::Row(slot, line, counts) => {
                let row = |index: &[usize]| {
                    let at = (line.at(index) as usize).saturating_sub(frame.row);
                    slot_of(frame, *slot).read(at, 1).first().copied().unwrap_or(0)
                };
                if !self.spanning && line.strides[self.rank - 1] == 0 {
                    return Value::One(row(&tile.index));
                }
                let (register, to) = self.register(op, frame, len);
                let stride = line.strides[self.rank - 1];
                if *counts && tile.index[self.rank - 1] == 0 && len.is_multiple_of(self.inner) {
                    let first = (line.at(&tile.index) as usize).saturating_sub(frame.row);
                    spread(to, slot_of(frame, *slot).read(first, len / self.inner), self.inner);
                    return register;
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
                register
            }
            Kind::Kept(slot) => Value::Many(slot_of(frame, *slot).part(tile.done * 4, len * 4)),
            Kind::Keep(slot, a) => {
                let memory = slot_of(frame, *slot).part(tile.done * 4, len * 4);
                let to = memory.write::<u32>(0, len);
                match values[*a] {
                    Value::One(word) => to.fill(word),
                    Value::Many(words) if words.same_start(memory) => {}
                    Value::Many(words) => to.copy_from_slice(words.read(0, len)),
                }
                Value::Many(memory)
            }
            Kind::Index(line) => {
                if op.constant {
                    return Value::One(index_word(op.dtype, line.at(&tile.index)));
                }
                let (register, to) = self.register(op, frame, len);
                let stride = line.strides[self.rank - 1];
                self.runs(tile, |done, n, index| {
                    count_up(&mut to[done..done + n], op.dtype == DType::F32, line.at(index), stride);
                });
                register
            }
            Kind::Within(limits) => {
                if op.constant {
                    return Value::One(1);
                }
                let (register, to) = self.register(op, frame, len);
                self.runs(tile, |done, n, index| {
                    let valid = self.valid(limits, index, n);
                    for (i, to) in to[done..done + n].iter_mut().enumerate() {
                        *to = u32::from(valid.contains(&i));
                    }
                });
                register
            }
            Kind::Random { key, stream, sample, element } => {
                let (register, to) = self.register(op, frame, len);
                let last = self.rank - 1;
                self.runs(tile, |done, n, index| {
                    let to = &mut to[done..done + n];
                    let (sample_0, element_0) = (sample.at(index), element.at(index));
                    if let [Value::One(low), Value::One(high), Value::One(step), Value::One(first)] =
                        key.map(|r| values[r])
                        && sample.strides[last] == 0
                        && element.strides[last] == 1
                    {
                        let sample = first.wrapping_add(sample_0 as u32);
                        return random(to, element_0 as u32, sample, step, *stream, [low, high]);
                    }
                    for (i, to) in to.iter_mut().enumerate() {
                        let word = |r: usize| match values[r] {
                            Value::One(word) => word,
                            Value::Many(words) => words.read(done + i, 1).first().copied().unwrap_or(0),
                        };
                        let sample = sample_0 + sample.strides[last] * i as i64;
                        let element = element_0 + element.strides[last] * i as i64;
                        let [low, high, step, first] = key.map(word);
                        let sample = first.wrapping_add(sample as u32);
                        *to = philox::bits(element as u32, sample, step, *stream, [low, high]);
                    }
                });
                register
            }
            Kind::Unary(f, a) => match values[*a] {
                Value::One(a) => one(|to| element::unary(*f, op.from, to, &[a])),
                Value::Many(a) => {
                    let (value, to) = self.target(op, frame, tile);
                    element::unary(*f, op.from, to, a.read(0, len));
                    value
                }
            },
            Kind::Binary(f, [a, b]) => match (values[*a], values[*b]) {
                (Value::One(a), Value::One(b)) => {
                    one(|to| element::binary(*f, op.from, to, Operand::One(a), Operand::One(b)))
                }
                (a, b) => {
                    let (value, to) = self.target(op, frame, tile);
                    element::binary(*f, op.from, to, a.operand(len), b.operand(len));
                    value
                }
            },
            Kind::Select([c, a, b]) => match values[*c] {
                Value::One(c) => match values[if c != 0 { *a } else { *b }] {
                    Value::One(word) => Value::One(word),
                    // A copy: the register it lies in may be given to another result.
                    Value::Many(chosen) => {
                        let (value, to) = self.target(op, frame, tile);
                        element::cast(op.dtype, op.dtype, to, chosen.read(0, len));
                        value
                    }
                },
                Value::Many(c) => {
                    let (value, to) = self.target(op, frame, tile);
                    element::select(to, c.read(0, len), values[*a].operand(len), values[*b].operand(len));
                    value
                }
            },
            Kind::Pair { first, second, turned, operands } => {
                let [a, b, c] = operands.map(|r| values[r].operand(len));
                let (value, to) = self.target(op, frame, tile);
                element::pair((*first, *second, *turned), to, a, b, c);
                value
            }
            Kind::Choose { compare, operands } => {
                let [a, b, yes, no] = operands.map(|r| values[r].operand(len));
                let (value, to) = self.target(op, frame, tile);
                element::choose(*compare, to, [a, b], [yes, no]);
                value
            }
            Kind::Cast(a, dtype) => match values[*a] {
                Value::One(a) => one(|to| element::cast(op.from, *dtype, to, &[a])),
                Value::Many(a) => {
                    let (value, to) = self.target(op, frame, tile);
                    element::cast(op.from, *dtype, to, a.read(0, len));
                    value
                }
            },
        }
    }

    /// The register of an instruction.
    #[inline(always)]
    fn register<'a>(&self, op: &Op, frame: &Frame<'a>, len: usize) -> (Value<'a>, &'a mut [u32]) {
        let register = frame.registers.part(op.slot * self.pitch * 4, self.pitch * 4);
        (Value::Many(register), register.write(0, len))
    }
    /// Where an instruction puts its result: its register, or the memory it is stored to.
    #[inline(always)]
    fn target<'a>(&self, op: &Op, frame: &Frame<'a>, tile: &Tile<'_>) -> (Value<'a>, &'a mut [u32]) {
        if let Some(slot) = op.keep {
            let memory = slot_of(frame, slot).part(tile.done * 4, tile.len * 4);
            return (Value::Many(memory), memory.write(0, tile.len));
        }
        let Some((_, place)) = op.direct.and_then(|number| self.stores.get(number)) else {
            return self.register(op, frame, tile.len);
        };
        let memory = frame.args[place.arg].from(self.first(place, tile) as u64 * 4);
        (Value::Many(memory), memory.write(0, tile.len))
    }
    /// The element of a tile's first position.
    fn first(&self, place: &Place, tile: &Tile<'_>) -> i64 {
        if place.linear { place.line.base + tile.position as i64 } else { place.line.at(&tile.index) }
    }

    fn load<'a>(&self, op: &Op, place: &Place, frame: &Frame<'a>, tile: &Tile<'a>) -> Value<'a> {
        let memory = frame.args[place.arg];
        let word = storage::is_word(place.dtype) && !op.copy;
        let stride = place.line.strides[self.rank - 1];
        if place.limits.is_empty() {
            let first = self.first(place, tile);
            if op.constant || (!self.spanning && stride == 0) {
                return Value::One(storage::load_one(memory, place.dtype, first));
            }
            if place.linear || !self.spanning {
                if word && (place.linear || stride == 1) {
                    return Value::Many(memory.part(first as usize * 4, tile.len * 4));
                }
                let (register, to) = self.register(op, frame, tile.len);
                storage::load(to, memory, place.dtype, first, if place.linear { 1 } else { stride });
                return register;
            }
        } else if !self.spanning {
            let valid = self.valid(&place.limits, &tile.index, tile.len);
            if valid.is_empty() {
                return Value::One(0);
            }
            if valid.len() == tile.len && word && stride == 1 {
                return Value::Many(memory.part(self.first(place, tile) as usize * 4, tile.len * 4));
            }
        }
        let (register, to) = self.register(op, frame, tile.len);
        self.runs(tile, |done, n, index| {
            let to = &mut to[done..done + n];
            let valid = if place.limits.is_empty() { 0..n } else { self.valid(&place.limits, index, n) };
            to[..valid.start].fill(0);
            to[valid.end..].fill(0);
            let first = place.line.at(index) + stride * valid.start as i64;
            storage::load(&mut to[valid], memory, place.dtype, first, stride);
        });
        register
    }

    fn store(&self, frame: &Frame<'_>, tile: &Tile<'_>, value: Value<'_>, place: &Place) {
        let memory = frame.args[place.arg];
        let stride = place.line.strides[self.rank - 1];
        let put = |done: usize, n: usize, first: i64, stride: i64| match value {
            Value::One(word) => storage::splat(memory, place.dtype, first, stride, word, n),
            Value::Many(words) => {
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

/// The result of one element.
fn one<'a>(f: impl FnOnce(&mut [u32])) -> Value<'a> {
    let mut to = [0];
    f(&mut to);
    Value::One(to[0])
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
    /// Philox words of consecutive elements: each counter gives four of them.
    fn random(to: &mut [u32], first: u32, sample: u32, step: u32, stream: u32, seed: [u32; 2]) {
        const LANES: usize = 16;
        let head = (first.wrapping_neg() % 4) as usize;
        let (head, rest) = to.split_at_mut(head.min(to.len()));
        for (i, to) in head.iter_mut().enumerate() {
            *to = philox::bits(first.wrapping_add(i as u32), sample, step, stream, seed);
        }
        let mut counter = first.wrapping_add(head.len() as u32) >> 2;
        for chunk in rest.chunks_mut(4 * LANES) {
            let mut words = [[0; LANES]; 4];
            let [w0, w1, w2, w3] = &mut words;
            for lane in 0..LANES {
                [w0[lane], w1[lane], w2[lane], w3[lane]] =
                    philox::block([counter.wrapping_add(lane as u32), sample, step, stream], seed);
            }
            counter = counter.wrapping_add(LANES as u32);
            if chunk.len() == 4 * LANES {
                for lane in 0..LANES {
                    for word in 0..4 {
                        chunk[4 * lane + word] = words[word][lane];
                    }
                }
            } else {
                for (i, to) in chunk.iter_mut().enumerate() {
                    *to = words[i % 4][i / 4];
                }
            }
        }
    }
}
