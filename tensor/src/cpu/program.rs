//! A block made ready to run over tiles: axes coalesced, accesses resolved and checked, registers placed.
//!
//! An index of the space is its row-major position, and work is given as ranges of positions. A tile is a part of such a
//! range that fits in the registers. Where rows (the innermost coalesced axis) are long, a tile stays within one row, so
//! that a load is either the memory itself (stride 1), one word (stride 0) or a strided copy. Where rows are short, tiles
//! span them, and only loads that are dense over the whole space avoid a copy.

use super::{
    coalesce::{Axes, Limit, Line, MAX_RANK},
    element::{self, Outer},
    lanes::{COPIES, LANES, Loop, OPERANDS},
    memory::Mem,
    pairs, settle, storage,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Unary},
    plan::expr::{Access, Block, Inst, Reg},
};

/// Most instructions of a block.
pub(super) const MAX_INSTS: usize = 128;
/// Bytes of registers of one thread, and of the copies of words that are the same for all elements.
pub(super) const REGISTER_BYTES: usize = 512 << 10;
/// Bytes of slots of one thread.
pub(super) const SLOT_BYTES: usize = 256 << 10;
/// Bytes for the copies of one word.
pub(super) const ROOM_BYTES: usize = 4 * COPIES;
/// Elements of a tile, where registers have room.
const TILE: usize = 512;
/// Rows longer than this hold whole tiles; shorter ones share them.
const SHORT_ROW: usize = TILE / 2;

/// What a program must know of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArgInfo {
    /// Type in memory.
    pub dtype: DType,
    /// Elements from the argument's first one to the end of its buffer, whatever row a loop chooses.
    pub elements: u64,
    /// The first argument that is bound to the same memory.
    pub same_as: usize,
}

/// A checked access.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub arg: usize,
    pub dtype: DType,
    pub line: Line,
    pub limits: Vec<Limit>,
    /// Whether the element is `base + position`.
    pub linear: bool,
}

impl Place {
    /// Whether it is the same element of the same argument at every index.
    pub(super) fn is_same(&self, other: &Place) -> bool {
        let lines = (self.line.base, self.line.strides) == (other.line.base, other.line.strides);
        self.arg == other.arg && lines && self.limits.is_empty() && other.limits.is_empty()
    }
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Load(Place),
    Acc,
    /// What a slot holds for the row of this number; and whether each run of the innermost axis is the next row.
    Row(usize, Line, bool),
    /// What a slot holds at this index.
    Kept(usize),
    /// Its operand, put into a slot.
    Keep(usize, usize),
    Scalar(usize),
    Const(u32),
    Index(Line),
    Within(Vec<Limit>),
    Random {
        key: [usize; 4],
        stream: u32,
        sample: Line,
        element: Line,
    },
    Unary(Unary, usize),
    Binary(Binary, [usize; 2]),
    /// `condition ? yes : no`.
    Select([usize; 3]),
    Cast(usize, DType),
    /// Two instructions in one loop, which may become three.
    Pair {
        first: Binary,
        second: Outer,
        operands: [usize; 3],
    },
    /// Other instructions in one loop.
    Fused {
        run: Loop,
        operands: [usize; OPERANDS],
        count: usize,
        /// Whether one of them takes long.
        long: bool,
    },
}

impl Kind {
    /// The results it reads.
    pub(super) fn operands(&self) -> impl Iterator<Item = usize> {
        let mut copy = self.clone();
        let mut read = [None; 4];
        for (to, r) in read.iter_mut().zip(copy.operands_mut()) {
            *to = Some(*r);
        }
        read.into_iter().flatten()
    }
    /// As [`operands`](Kind::operands), to be renumbered.
    pub(super) fn operands_mut(&mut self) -> std::slice::IterMut<'_, usize> {
        match self {
            Kind::Load(_)
            | Kind::Acc
            | Kind::Row(..)
            | Kind::Kept(_)
            | Kind::Scalar(_)
            | Kind::Const(_)
            | Kind::Index(_)
            | Kind::Within(_) => [].iter_mut(),
            Kind::Random { key, .. } => key.iter_mut(),
            Kind::Unary(_, a) | Kind::Cast(a, _) | Kind::Keep(_, a) => std::slice::from_mut(a).iter_mut(),
            Kind::Binary(_, operands) => operands.iter_mut(),
            Kind::Select(operands) | Kind::Pair { operands, .. } => operands.iter_mut(),
            Kind::Fused { operands, count, .. } => operands[..*count].iter_mut(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Op {
    pub kind: Kind,
    /// Compute type of the result.
    pub dtype: DType,
    /// Compute type of the first operand, or of the result where there is none.
    pub from: DType,
    /// Number of the register's buffer.
    pub slot: usize,
    /// The store that may take the result as it is computed.
    pub direct: Option<usize>,
    /// The slot that takes the result as it is computed.
    pub keep: Option<usize>,
    /// Whether a load must be copied, because its memory changes before its value is used for the last time.
    pub copy: bool,
    /// Whether the result is the same everywhere.
    pub constant: bool,
    /// Whether it is the same in every row, so that tiles of whole rows share it.
    pub of_row: bool,
    /// The loop that computes it, where it is a function of other results.
    pub run: Option<Loop>,
    /// What the loop reads.
    pub operands: [usize; OPERANDS],
}

impl Op {
    /// The loop of its kind.
    fn find_loop(&mut self) {
        // Where there are fewer operands, the first one once more: it says no less about the rest.
        let mut operands = self.kind.operands();
        let first = operands.next().unwrap_or(0);
        self.operands = [first; OPERANDS];
        for (to, r) in self.operands[1..].iter_mut().zip(operands) {
            *to = r;
        }
        self.run = match self.kind {
            Kind::Unary(op, _) => Some(element::unary(op, self.from)),
            Kind::Binary(op, _) => Some(element::binary(op, self.from)),
            Kind::Select(_) => Some(element::select()),
            Kind::Cast(_, dtype) => Some(element::cast(self.from, dtype)),
            Kind::Pair { first, second, .. } => element::pair(first, second),
            Kind::Fused { run, .. } => Some(run),
            _ => None,
        };
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub rank: usize,
    pub axes: [usize; MAX_RANK],
    /// Length of the innermost axis.
    pub inner: usize,
    /// Whether tiles span rows.
    pub spanning: bool,
    /// Elements of a tile; whole rows where tiles span them.
    pub tile: usize,
    /// Words from register to register.
    pub pitch: usize,
    pub ops: Vec<Op>,
    pub stores: Vec<(usize, Place)>,
}

impl Program {
    /// Checks and prepares a block that runs over `shape`, for the kernel of this label.
    pub(super) fn new(block: &Block, shape: &[usize], args: &[ArgInfo], label: &str) -> Result<Program> {
        let wrong = |what: String| Error::argument(format!("kernel \"{label}\": {what}"));
        if block.insts.len() > MAX_INSTS || block.dtypes.len() != block.insts.len() {
            return Err(wrong(format!("{} instructions, at most {MAX_INSTS} fit", block.insts.len())));
        }
        let axes = Axes::coalesce(block, shape).map_err(wrong)?;
        let place = |access: &Access, guarded: bool| {
            let info = args
                .get(access.arg as usize)
                .ok_or_else(|| wrong(format!("argument {} of {} does not exist", access.arg, args.len())))?;
            let fits = super::bounds::check(access, shape, info.elements)
                .map_err(|e| wrong(format!("argument {}: {e}", access.arg)))?;
            if !guarded && !access.guards.is_empty() {
                return Err(wrong("a store has guards".into()));
            }
            let mut limits = axes.limits(&access.guards, shape).map_err(wrong)?;
            let line = axes.line(&access.index).map_err(wrong)?;
            if !fits {
                // The guards may well keep it inside, in a way too subtle to see; its own bounds as one more guard are safe.
                limits.push(Limit { line, len: info.elements as i64 });
            }
            let linear = limits.is_empty() && axes.is_linear(&line);
            Ok(Place { arg: access.arg as usize, dtype: info.dtype, line, limits, linear })
        };
        let mut ops: Vec<Op> = Vec::with_capacity(block.insts.len());
        for (at, (inst, &dtype)) in block.insts.iter().zip(&block.dtypes).enumerate() {
            if Block::operands(inst).iter().any(|&r| r as usize >= at) {
                return Err(wrong(format!("instruction {at} uses a later result")));
            }
            check_types(inst, dtype, &block.dtypes).map_err(|e| wrong(format!("instruction {at}: {e}")))?;
            let reg = |r: Reg| r as usize;
            let kind = match inst {
                Inst::Load(access) => Kind::Load(place(access, true)?),
                Inst::Acc => Kind::Acc,
                Inst::Row { slot, index } => {
                    let line = axes.line(index).map_err(wrong)?;
                    Kind::Row(*slot as usize, line, axes.counts_runs(&line))
                }
                Inst::Kept { slot } => Kind::Kept(*slot as usize),
                Inst::Keep { slot, from } => Kind::Keep(*slot as usize, reg(*from)),
                Inst::Scalar { slot } => Kind::Scalar(*slot as usize),
                Inst::Const { word } => Kind::Const(*word),
                Inst::Index(affine) => Kind::Index(axes.line(affine).map_err(wrong)?),
                Inst::Within(guards) => Kind::Within(axes.limits(guards, shape).map_err(wrong)?),
                Inst::Random { key, stream, sample, element } => Kind::Random {
                    key: key.map(reg),
                    stream: *stream,
                    sample: axes.line(sample).map_err(wrong)?,
                    element: axes.line(element).map_err(wrong)?,
                },
                Inst::Unary(op, a) => Kind::Unary(*op, reg(*a)),
                Inst::Binary(op, a, b) => Kind::Binary(*op, [*a, *b].map(reg)),
                Inst::Select(c, a, b) => Kind::Select([*c, *a, *b].map(reg)),
                Inst::Cast { from, to } => Kind::Cast(reg(*from), *to),
            };
            if let Kind::Load(place) = &kind
                && place.dtype.compute() != dtype
            {
                return Err(wrong(format!("instruction {at} loads {} as {dtype}", place.dtype)));
            }
            let constant = match &kind {
                Kind::Load(place) => place.line.is_constant() && place.limits.is_empty(),
                Kind::Index(line) => line.is_constant(),
                Kind::Scalar(_) | Kind::Const(_) => true,
                Kind::Within(limits) => limits.is_empty(),
                Kind::Acc | Kind::Row(..) | Kind::Kept(_) | Kind::Keep(..) | Kind::Random { .. } => false,
                _ => Block::operands(inst).iter().all(|&r| ops[r as usize].constant),
            };
            let from = Block::operands(inst).first().map_or(dtype, |&r| block.dtypes[r as usize]);
            ops.push(Op {
                kind,
                dtype,
                from,
                slot: 0,
                direct: None,
                keep: None,
                copy: false,
                constant,
                of_row: false,
                run: None,
                operands: [0; OPERANDS],
            });
        }
        let mut stores = Vec::with_capacity(block.stores.len());
        for store in &block.stores {
            let place = place(&store.access, false)?;
            match block.dtypes.get(store.reg as usize) {
                Some(&dtype) if dtype == place.dtype.compute() => stores.push((store.reg as usize, place)),
                Some(dtype) => return Err(wrong(format!("stores {dtype} as {}", place.dtype))),
                None => return Err(wrong("stores a register that does not exist".into())),
            }
        }
        pairs::fuse(&mut ops, &mut stores);
        ops.iter_mut().for_each(Op::find_loop);
        let inner = axes.lens[axes.rank - 1];
        let spanning = inner <= SHORT_ROW && axes.rank > 1;
        if spanning {
            settle::find_rows(args, &mut ops, &stores, axes.rank);
        }
        let slots = settle::place_registers(&mut ops, &stores);
        let pitch = TILE.min((REGISTER_BYTES - ROOM_BYTES * MAX_INSTS) / (4 * slots.max(1)) / LANES * LANES);
        // Whole rows, and whole vectors too if so many rows fit.
        let vectors = inner << (LANES.trailing_zeros() - inner.trailing_zeros().min(LANES.trailing_zeros()));
        let unit = if vectors <= pitch { vectors } else { inner };
        let tile = if spanning { pitch / unit * unit } else { pitch };
        settle::settle_aliases(args, &mut ops, &stores, axes.rank, spanning);
        Ok(Program { rank: axes.rank, axes: axes.lens, inner, spanning, tile, pitch, ops, stores })
    }
    /// Whether all the block does is to write the core's result, as it is, to consecutive elements of one argument: number
    /// of the argument and its first element.
    pub(super) fn plain_store(&self) -> Option<(usize, i64)> {
        match (self.ops.as_slice(), self.stores.as_slice()) {
            ([Op { kind: Kind::Acc, .. }], [(0, place)]) if place.linear && storage::is_word(place.dtype) => {
                Some((place.arg, place.line.base))
            }
            _ => None,
        }
    }
    /// Writes the coalesced index of a position.
    pub(super) fn locate(&self, position: usize, index: &mut [usize; MAX_RANK]) {
        let mut rest = position;
        for axis in (1..self.rank).rev() {
            index[axis] = rest % self.axes[axis];
            rest /= self.axes[axis];
        }
        index[0] = rest;
    }
    /// Whether it uses slots up to this number only, and rows of this many.
    pub(super) fn stays_within(&self, slots: usize, rows: usize) -> bool {
        self.ops.iter().all(|op| match &op.kind {
            Kind::Row(slot, line, _) => {
                let (low, high) =
                    self.axes.iter().zip(&line.strides).fold((line.base, line.base), |(low, high), (&n, &s)| {
                        let reach = s * (n as i64 - 1);
                        (low + reach.min(0), high + reach.max(0))
                    });
                *slot < slots && low >= 0 && high < rows as i64
            }
            Kind::Kept(slot) | Kind::Keep(slot, _) => *slot < slots,
            _ => true,
        })
    }
    /// Compute type of the core's result, if the block uses it.
    pub(super) fn acc(&self) -> Option<DType> {
        self.ops.iter().find(|op| matches!(op.kind, Kind::Acc)).map(|op| op.dtype)
    }
}

fn check_types(inst: &Inst, dtype: DType, dtypes: &[DType]) -> Result<(), String> {
    let of = |r: Reg| dtypes[r as usize];
    let fits = dtype == dtype.compute()
        && match inst {
            Inst::Load(_)
            | Inst::Acc
            | Inst::Row { .. }
            | Inst::Kept { .. }
            | Inst::Scalar { .. }
            | Inst::Const { .. } => true,
            Inst::Keep { from, .. } => of(*from) == dtype,
            Inst::Index(_) => dtype != DType::Bool,
            Inst::Within(_) => dtype == DType::Bool,
            Inst::Random { key, .. } => dtype == DType::U32 && key.iter().all(|&r| of(r) == DType::U32),
            Inst::Unary(op, a) => {
                let result = if *op == Unary::IsFinite { DType::Bool } else { of(*a) };
                op.accepts(of(*a)) && dtype == result
            }
            Inst::Binary(op, a, b) => {
                let result = if op.is_comparison() { DType::Bool } else { of(*a) };
                op.accepts(of(*a)) && of(*a) == of(*b) && dtype == result
            }
            Inst::Select(c, a, b) => of(*c) == DType::Bool && of(*a) == dtype && of(*b) == dtype,
            Inst::Cast { to, .. } => to.compute() == dtype,
        };
    let operands: Vec<&str> = Block::operands(inst).iter().map(|&r| of(r).name()).collect();
    if fits { Ok(()) } else { Err(format!("{inst:?} cannot make {dtype} of {operands:?}")) }
}

/// What a program runs on.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Windows that begin at the arguments' first elements.
    pub args: &'a [Mem<'a>],
    /// The host's words.
    pub scalars: &'a [u32],
    /// Registers of this thread.
    pub registers: Mem<'a>,
    /// Slots of a kernel over rows, which hold what belongs to the rows at hand.
    pub slots: &'a [Mem<'a>],
    /// The first row at hand.
    pub row: usize,
}
