//! Plans made ready: every kernel checked and prepared, every argument resolved as far as loops allow.

use super::{
    Crew, Env,
    conv::ConvKernel,
    gather::GatherKernel,
    line::LineKernel,
    map::MapKernel,
    matmul::MatMulKernel,
    memory::{Mem, Memory},
    pooling::PoolKernel,
    profile::{Described, Watch},
    program::ArgInfo,
    reduce::ReduceKernel,
    rows::RowsKernel,
    threads::Threads,
};
use crate::{
    error::{Error, Result},
    executor::Bound,
    plan::{Arg, Core, Kernel, Plan, Row, Source, Step, Use, expr::Inst},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most arguments of a kernel.
pub(super) const MAX_ARGS: usize = 64;
/// Most loops around a kernel.
const MAX_DEPTH: usize = 8;

/// A compiled plan.
pub(super) struct Code {
    /// Bytes each buffer must have, and whether it is written.
    buffers: Vec<(u64, bool)>,
    scratch: Option<usize>,
    steps: Vec<Node>,
    scalars: usize,
    /// Tells plans apart in a profile.
    number: u64,
    described: Vec<Described>,
}

// Steps are made once and run from one list: a box more would be a jump more.
#[allow(clippy::large_enum_variant)]
enum Node {
    Kernel { kernel: Ready, args: Vec<Window>, number: usize },
    Loop { trips: usize, body: Vec<Node> },
}

/// Where an argument lies: everything in bytes.
struct Window {
    buffer: usize,
    offset: u64,
    rows: Vec<Row>,
}

/// A kernel made ready.
#[allow(clippy::large_enum_variant)]
enum Ready {
    /// Its shape is empty.
    Nothing,
    Map(MapKernel),
    Reduce(ReduceKernel),
    Rows(Box<RowsKernel>),
    MatMul(Box<MatMulKernel>),
    Conv(Box<ConvKernel>),
    Pool(Box<PoolKernel>),
    Gather(Box<GatherKernel>),
    Line(Box<LineKernel>),
}

impl Ready {
    fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<Ready> {
        if kernel.numel() == 0 {
            return Ok(Ready::Nothing);
        }
        Ok(match &kernel.core {
            Core::Map => Ready::Map(MapKernel::new(kernel, args)?),
            Core::Reduce { .. } => Ready::Reduce(ReduceKernel::new(kernel, args)?),
            Core::Rows { .. } => Ready::Rows(Box::new(RowsKernel::new(kernel, args)?)),
            Core::MatMul { .. } => Ready::MatMul(Box::new(MatMulKernel::new(kernel, args)?)),
            Core::Conv2d { .. } => Ready::Conv(Box::new(ConvKernel::new(kernel, args)?)),
            Core::Pool2d { .. } => Ready::Pool(Box::new(PoolKernel::new(kernel, args)?)),
            Core::Gather { .. } | Core::ScatterAdd { .. } => Ready::Gather(Box::new(GatherKernel::new(kernel, args)?)),
            Core::Line { .. } => Ready::Line(Box::new(LineKernel::new(kernel, args)?)),
        })
    }
    fn run(&self, env: &Env<'_>) {
        match self {
            Ready::Nothing => {}
            Ready::Map(kernel) => kernel.run(env),
            Ready::Reduce(kernel) => kernel.run(env),
            Ready::Rows(kernel) => kernel.run(env),
            Ready::MatMul(kernel) => kernel.run(env),
            Ready::Conv(kernel) => kernel.run(env),
            Ready::Pool(kernel) => kernel.run(env),
            Ready::Gather(kernel) => kernel.run(env),
            Ready::Line(kernel) => kernel.run(env),
        }
    }
}

/// Scratch bytes of a kernel.
pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
    if kernel.numel() == 0 {
        return 0;
    }
    match &kernel.core {
        // What rows hand on lies in slots of the threads.
        Core::Map | Core::Rows { .. } => 0,
        Core::Reduce { .. } => ReduceKernel::scratch(kernel),
        Core::MatMul { .. } => MatMulKernel::scratch(kernel, threads),
        Core::Conv2d { .. } => ConvKernel::scratch(kernel, threads),
        Core::Pool2d { .. } => PoolKernel::scratch(kernel, threads),
        Core::Gather { .. } | Core::ScatterAdd { .. } => GatherKernel::scratch(kernel, threads),
        Core::Line { .. } => LineKernel::scratch(kernel, threads),
    }
}

impl Code {
    /// Checks and prepares a plan.
    pub(super) fn new(plan: &Plan, threads: usize) -> Result<Code> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let scratch = plan.buffers.iter().position(|b| b.source == Source::Scratch);
        let mut compiler = Compiler {
            plan,
            threads,
            scratch: scratch.map_or(0, |n| plan.buffers[n].bytes),
            written: plan.buffers.iter().map(|b| b.source == Source::Scratch).collect(),
            trips: Vec::new(),
            described: Vec::new(),
        };
        let mut steps = compiler.steps(&plan.compute)?;
        steps.extend(compiler.steps(&plan.commit)?);
        Ok(Code {
            buffers: plan.buffers.iter().map(|b| b.bytes).zip(compiler.written).collect(),
            scratch,
            steps,
            scalars: plan.scalars.len(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            described: compiler.described,
        })
    }
    /// Runs it.
    pub(super) fn run(&self, crew: &mut Crew, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        if buffers.len() != self.buffers.len() || scalars.len() < self.scalars {
            return Err(Error::device(format!(
                "the plan has {} buffers and {} scalars, but {} and {} were given",
                self.buffers.len(),
                self.scalars,
                buffers.len(),
                scalars.len()
            )));
        }
        for (bound, &(bytes, written)) in buffers.iter().zip(&self.buffers) {
            window(bound, bytes, written)?;
            if !bound.offset.is_multiple_of(4) {
                return Err(Error::device(format!(
                    "a buffer begins at byte {}, which is no multiple of 4",
                    bound.offset
                )));
            }
        }
        let Crew { threads, registers, profile } = crew;
        let watch = profile.as_mut().map(|profile| profile.watch(self.number, &self.described));
        let mut run = Run { code: self, threads, registers, buffers, scalars, watch };
        run.steps(&self.steps, &mut [0; MAX_DEPTH], 0)?;
        if let Some(watch) = run.watch {
            watch.end();
        }
        threads.check()
    }
}

struct Run<'a> {
    code: &'a Code,
    threads: &'a Threads,
    registers: &'a [Memory],
    buffers: &'a [Bound],
    scalars: &'a [u32],
    watch: Option<Watch<'a>>,
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Node], trips: &mut [usize; MAX_DEPTH], depth: usize) -> Result<()> {
        for step in steps {
            match step {
                Node::Kernel { kernel, args, number } => {
                    let mut windows = [Mem::EMPTY; MAX_ARGS];
                    for (window, arg) in windows.iter_mut().zip(args) {
                        *window = self.buffer(arg.buffer)?.from(arg.offset + rows(&arg.rows, trips));
                    }
                    let scratch = self.code.scratch.map_or(Ok(Mem::EMPTY), |n| self.buffer(n))?;
                    kernel.run(&Env {
                        args: &windows[..args.len()],
                        scalars: self.scalars,
                        scratch,
                        threads: self.threads,
                        registers: self.registers,
                    });
                    if let Some(watch) = &mut self.watch {
                        watch.lap(*number);
                    }
                }
                Node::Loop { trips: count, body } => {
                    for trip in 0..*count {
                        trips[depth] = trip;
                        self.steps(body, trips, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }
    fn buffer(&self, number: usize) -> Result<Mem<'_>> {
        let (bytes, written) = self.code.buffers[number];
        window(&self.buffers[number], bytes, written)
    }
}

fn window(bound: &Bound, bytes: u64, written: bool) -> Result<Mem<'_>> {
    let part = if written { super::part } else { super::read_part };
    part(&bound.buffer, bound.offset, bytes)
}

/// Sum of the chosen rows' offsets, in units of the rows' strides.
fn rows(rows: &[Row], trips: &[usize]) -> u64 {
    rows.iter().map(|row| row.stride * row_number(row, trips[row.depth as usize] as u64)).sum()
}

fn row_number(row: &Row, trip: u64) -> u64 {
    let trip = trip % row.modulo;
    (row.start % row.modulo + if row.down { row.modulo - trip } else { trip }) % row.modulo
}

struct Compiler<'a> {
    plan: &'a Plan,
    threads: usize,
    scratch: u64,
    /// Which buffers are written.
    written: Vec<bool>,
    /// Trips of the loops around.
    trips: Vec<usize>,
    described: Vec<Described>,
}

impl Compiler<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<Vec<Node>> {
        let mut nodes = Vec::with_capacity(steps.len());
        for step in steps {
            nodes.push(match step {
                Step::Run { kernel, args } => self.kernel(kernel, args)?,
                Step::Loop { trips, body } => {
                    if self.trips.len() == MAX_DEPTH {
                        return Err(Error::argument(format!("loops are nested deeper than {MAX_DEPTH}")));
                    }
                    self.trips.push(*trips);
                    let body = self.steps(body)?;
                    self.trips.pop();
                    Node::Loop { trips: *trips, body }
                }
            });
        }
        Ok(nodes)
    }
    fn kernel(&mut self, kernel: &Kernel, args: &[Arg]) -> Result<Node> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        if args.len() != kernel.args.len() || args.len() > MAX_ARGS {
            return Err(wrong(format!("{} arguments for {}, at most {MAX_ARGS}", args.len(), kernel.args.len())));
        }
        let needed = scratch(kernel, self.threads);
        if needed > self.scratch {
            return Err(wrong(format!("needs {needed} bytes of scratch, the plan has {}", self.scratch)));
        }
        let mut infos = Vec::with_capacity(args.len());
        let mut windows = Vec::with_capacity(args.len());
        for (number, (arg, spec)) in args.iter().zip(&kernel.args).enumerate() {
            let size = spec.dtype.size() as u64;
            if spec.usage != Use::Read
                && let Some(written) = self.written.get_mut(arg.buffer)
            {
                *written = true;
            }
            let bytes = self.plan.buffers.get(arg.buffer).map(|b| b.bytes);
            let bytes =
                bytes.ok_or_else(|| wrong(format!("argument {number}: buffer {} does not exist", arg.buffer)))?;
            let first = self.last_row(arg).and_then(|rows| rows.checked_add(arg.offset)).filter(|&f| f <= bytes / size);
            let Some(first) = first else {
                return Err(wrong(format!("argument {number} begins outside of its buffer of {bytes} bytes")));
            };
            infos.push(ArgInfo {
                dtype: spec.dtype,
                elements: bytes / size - first,
                same_as: args.iter().position(|other| other == arg).unwrap_or(number),
            });
            let rows = arg.rows.iter().map(|row| Row { stride: row.stride * size, ..*row }).collect();
            windows.push(Window { buffer: arg.buffer, offset: arg.offset * size, rows });
        }
        let written = |arg: u16| kernel.args.get(arg as usize).is_some_and(|spec| spec.usage != Use::Read);
        let blocks = kernel.blocks();
        if let Some(store) = blocks.iter().flat_map(|block| &block.stores).find(|store| !written(store.access.arg)) {
            return Err(wrong(format!("argument {} is written but declared as read only", store.access.arg)));
        }
        let given = self.plan.scalars.len();
        if let Some(slot) = blocks.iter().flat_map(|block| &block.insts).find_map(|inst| match inst {
            Inst::Scalar { slot } if *slot as usize >= given => Some(slot),
            _ => None,
        }) {
            return Err(wrong(format!("reads scalar {slot} of {given}")));
        }
        let ready = Ready::new(kernel, &infos)?;
        self.described.push(Described::new(kernel));
        Ok(Node::Kernel { kernel: ready, args: windows, number: self.described.len() - 1 })
    }
    /// The largest offset that loops choose for an argument, in elements; `None` if they are not loops around it.
    fn last_row(&self, arg: &Arg) -> Option<u64> {
        let mut total = 0_u64;
        for row in &arg.rows {
            let trips = *self.trips.get(row.depth as usize)? as u64;
            if row.modulo == 0 {
                return None;
            }
            let rows = (0..trips.min(row.modulo)).map(|trip| row_number(row, trip)).max().unwrap_or(0);
            total = total.checked_add(row.stride.checked_mul(rows)?)?;
        }
        Some(total)
    }
}
