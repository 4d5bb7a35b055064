//! Straight-line scalar code over strided views: what rides in the `load` and `store` holes of every kernel.

use crate::{
    dtype::DType,
    graph::{Binary, Unary},
};

/// A register of a [`Block`]: the result of the instruction with this number.
pub type Reg = u16;

/// `offset + Σ strides[axis] · index[axis]` over the axes of the iteration space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Affine {
    /// Value at index 0.
    pub offset: i64,
    /// One stride per axis of the space; 0 broadcasts, negative flips.
    pub strides: Vec<i64>,
}

/// Holds where `0 <= index < len`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// A coordinate.
    pub index: Affine,
    /// Its exclusive bound.
    pub len: i64,
}

/// Which element of an argument is read or written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Number of the kernel's argument.
    pub arg: u16,
    /// Element index within the argument.
    pub index: Affine,
    /// Loads outside of any guard give 0 and touch no memory.
    pub guards: Vec<Guard>,
}

/// One instruction. Registers are typed by [`Block::dtypes`] with compute types: `F32`, `I32`, `U32`, `Bool`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// An element of an argument, widened to its compute type (`F16`, `BF16` to `F32`; `U8` to `U32`).
    Load(Access),
    /// The result of the kernel's core at this index.
    Acc,
    /// In a `Rows` kernel: what slot `slot` holds for the row of this number.
    Row {
        /// Number of the slot.
        slot: u16,
        /// Number of the row.
        index: Affine,
    },
    /// In a `Rows` kernel: what an earlier block put into this slot at this index.
    Kept {
        /// Number of the slot.
        slot: u16,
    },
    /// In a `Rows` kernel: its operand, which it also puts into a slot for later blocks.
    Keep {
        /// Number of the slot.
        slot: u16,
        /// Operand.
        from: Reg,
    },
    /// Word `slot` of the scalars given at run time, as the register's type.
    Scalar {
        /// Number of the word.
        slot: u32,
    },
    /// A fixed word, as the register's type.
    Const {
        /// The bits; `Bool` is 0 or 1.
        word: u32,
    },
    /// A coordinate, as `I32` (or `U32`, `F32` by the register's type).
    Index(Affine),
    /// Whether all guards hold.
    Within(Vec<Guard>),
    /// Philox 4x32-10 word: counter `(element / 4, first + sample, step, stream)`, key `(low, high)`, word `element % 4`.
    Random {
        /// Registers of seed low, seed high, step, and of the number of the first sample.
        key: [Reg; 4],
        /// The stream.
        stream: u32,
        /// Sample index.
        sample: Affine,
        /// Element index within the sample.
        element: Affine,
    },
    /// One operand.
    Unary(Unary, Reg),
    /// Two operands of one type.
    Binary(Binary, Reg, Reg),
    /// `condition ? a : b`.
    Select(Reg, Reg, Reg),
    /// To the register's compute type, rounded to what `to` can hold (`F16`, `BF16` round; `U8` wraps).
    Cast {
        /// Operand.
        from: Reg,
        /// The storage type that is meant.
        to: DType,
    },
}

/// Writes a register to an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is written.
    pub reg: Reg,
    /// Where; stores have no guards.
    pub access: Access,
}

/// Straight-line code over an iteration space, run for every index of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Block {
    /// Instructions; operands stand before their users.
    pub insts: Vec<Inst>,
    /// Compute type of each instruction's result.
    pub dtypes: Vec<DType>,
    /// Results that leave the block. A `load` hole has none: its value is its last register.
    pub stores: Vec<Store>,
}

impl Affine {
    /// The same value everywhere.
    pub fn constant(offset: i64, rank: usize) -> Self {
        Affine { offset, strides: vec![0; rank] }
    }
    /// Row-major position in a space of this shape.
    pub fn row_major(shape: &[usize]) -> Self {
        let mut strides = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i] * shape[i] as i64;
        }
        Affine { offset: 0, strides }
    }
    /// Value at an index.
    pub fn at(&self, index: &[usize]) -> i64 {
        self.offset + self.strides.iter().zip(index).map(|(s, &i)| s * i as i64).sum::<i64>()
    }
    /// Smallest and largest value over a space that is not empty.
    pub fn range(&self, shape: &[usize]) -> (i64, i64) {
        let mut range = (self.offset, self.offset);
        for (&stride, &len) in self.strides.iter().zip(shape) {
            let reach = stride * (len as i64 - 1);
            if reach < 0 { range.0 += reach } else { range.1 += reach }
        }
        range
    }
    /// Whether it is the row-major position in a space of this shape (axes of length 1 may have any stride).
    pub fn is_row_major(&self, shape: &[usize]) -> bool {
        let dense = Affine::row_major(shape);
        self.offset == 0
            && shape.iter().zip(self.strides.iter().zip(&dense.strides)).all(|(&n, (a, b))| n == 1 || a == b)
    }
}

impl Guard {
    /// Whether it holds at every index of a space.
    pub fn always(&self, shape: &[usize]) -> bool {
        let (low, high) = self.index.range(shape);
        0 <= low && high < self.len
    }
}

impl Block {
    /// Appends an instruction.
    pub fn push(&mut self, inst: Inst, dtype: DType) -> Reg {
        self.insts.push(inst);
        self.dtypes.push(dtype);
        (self.insts.len() - 1) as Reg
    }
    /// The registers an instruction reads.
    pub fn operands(inst: &Inst) -> Vec<Reg> {
        match inst {
            Inst::Unary(_, a) | Inst::Cast { from: a, .. } | Inst::Keep { from: a, .. } => vec![*a],
            Inst::Binary(_, a, b) => vec![*a, *b],
            Inst::Select(c, a, b) => vec![*c, *a, *b],
            Inst::Random { key, .. } => key.to_vec(),
            Inst::Load(_)
            | Inst::Acc
            | Inst::Row { .. }
            | Inst::Kept { .. }
            | Inst::Scalar { .. }
            | Inst::Const { .. }
            | Inst::Index(_)
            | Inst::Within(_) => Vec::new(),
        }
    }
    /// As [`operands`](Block::operands), to be renumbered.
    pub fn operands_mut(inst: &mut Inst) -> Vec<&mut Reg> {
        match inst {
            Inst::Unary(_, a) | Inst::Cast { from: a, .. } | Inst::Keep { from: a, .. } => vec![a],
            Inst::Binary(_, a, b) => vec![a, b],
            Inst::Select(c, a, b) => vec![c, a, b],
            Inst::Random { key, .. } => key.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
    /// Drops what nothing needs: instructions that no store, no slot and, if the block's `value` is its last register, not that one
    /// depends on.
    pub fn prune(&mut self, value: bool) {
        let mut live: Vec<bool> = self.insts.iter().map(|inst| matches!(inst, Inst::Keep { .. })).collect();
        self.stores.iter().for_each(|store| live[usize::from(store.reg)] = true);
        live.iter_mut().rev().take(usize::from(value)).for_each(|last| *last = true);
        // Operands stand before their users.
        for at in (0..self.insts.len()).rev() {
            if live[at] {
                Block::operands(&self.insts[at]).into_iter().for_each(|r| live[usize::from(r)] = true);
            }
        }
        let mut numbers = Vec::with_capacity(live.len());
        let mut count = 0;
        for &kept in &live {
            numbers.push(count);
            count += Reg::from(kept);
        }
        let (mut insts, mut dtypes) = (live.iter(), live.iter());
        self.insts.retain(|_| insts.next() == Some(&true));
        self.dtypes.retain(|_| dtypes.next() == Some(&true));
        let renumber = |r: &mut Reg| *r = numbers[usize::from(*r)];
        self.insts.iter_mut().for_each(|inst| Block::operands_mut(inst).into_iter().for_each(renumber));
        self.stores.iter_mut().for_each(|store| renumber(&mut store.reg));
    }
    /// Every access, loads first.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        let loads = self.insts.iter().filter_map(|inst| match inst {
            Inst::Load(access) => Some(access),
            _ => None,
        });
        loads.chain(self.stores.iter().map(|store| &store.access))
    }
}
