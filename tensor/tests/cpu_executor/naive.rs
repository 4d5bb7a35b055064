//! What kernels mean, as plain loops: floats in `f64`, rounded to `f32` after every instruction.

use crate::setup::Data;
use addax_shaders::philox;
use addax_tensor::{
    DType,
    graph::{Binary, ConvKind, Cumulate, CumulateOp, LineKind, PoolKind, ReduceOp, Unary},
    plan::{
        Core, Kernel, MatrixView,
        expr::{Access, Block, Guard, Inst},
    },
};
use half::{bf16, f16};

/// Calls `each` for every index of a space, in order.
pub fn indices(shape: &[usize], mut each: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        each(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&a| index[a] + 1 < shape[a]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

fn f(word: u32) -> f64 {
    f64::from(f32::from_bits(word))
}

fn w(value: f64) -> u32 {
    (value as f32).to_bits()
}

fn holds(guards: &[Guard], index: &[usize]) -> bool {
    guards.iter().all(|g| (0..g.len).contains(&g.index.at(index)))
}

fn load(access: &Access, args: &[Data], index: &[usize]) -> u32 {
    if holds(&access.guards, index) { args[access.arg as usize].words[access.index.at(index) as usize] } else { 0 }
}

pub fn unary(op: Unary, dtype: DType, a: u32) -> u32 {
    if dtype == DType::Bool {
        return 1 - a;
    }
    if dtype == DType::I32 {
        let x = a as i32;
        return match op {
            Unary::Neg => x.wrapping_neg(),
            Unary::Abs => x.wrapping_abs(),
            Unary::Sign => x.signum(),
            Unary::Square => x.wrapping_mul(x),
            Unary::Relu => x.max(0),
            Unary::Not => !x,
            _ => unreachable!(),
        } as u32;
    }
    if dtype == DType::U32 {
        return match op {
            Unary::Neg => a.wrapping_neg(),
            Unary::Abs | Unary::Relu => a,
            Unary::Sign => u32::from(a > 0),
            Unary::Square => a.wrapping_mul(a),
            Unary::Not => !a,
            _ => unreachable!(),
        };
    }
    let x = f(a);
    w(match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x == 0.0 || x.is_nan() {
                x
            } else {
                x.signum()
            }
        }
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Square => x * x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Softplus => x.exp().ln_1p(),
        Unary::Erf => erf(x),
        Unary::Erfinv => erfinv(x),
        Unary::Relu => {
            if x > 0.0 || x.is_nan() {
                x
            } else {
                0.0
            }
        }
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::IsFinite => return u32::from(x.is_finite()),
        Unary::Not => unreachable!(),
    })
}

/// The series with only positive terms, up to where the function is 1.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

fn erfinv(x: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if erf(middle) < x { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

pub fn binary(op: Binary, dtype: DType, a: u32, b: u32) -> u32 {
    match dtype {
        DType::F32 => {
            let (x, y) = (f(a), f(b));
            w(match op {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                Binary::Rem => x % y,
                Binary::Pow => x.powf(y),
                Binary::Max => {
                    if x.is_nan() || y.is_nan() {
                        f64::NAN
                    } else {
                        x.max(y)
                    }
                }
                Binary::Min => {
                    if x.is_nan() || y.is_nan() {
                        f64::NAN
                    } else {
                        x.min(y)
                    }
                }
                Binary::Eq => return u32::from(x == y),
                Binary::Ne => return u32::from(x != y),
                Binary::Lt => return u32::from(x < y),
                Binary::Le => return u32::from(x <= y),
                _ => unreachable!(),
            })
        }
        DType::I32 => {
            let (x, y) = (i64::from(a as i32), i64::from(b as i32));
            let result = match op {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x.checked_div(y).unwrap_or(0),
                Binary::Rem => {
                    if y == 0 {
                        0
                    } else {
                        x % y
                    }
                }
                Binary::Max => x.max(y),
                Binary::Min => x.min(y),
                Binary::And => x & y,
                Binary::Or => x | y,
                Binary::Xor => x ^ y,
                Binary::Shl => x << y.rem_euclid(32),
                Binary::Shr => x >> y.rem_euclid(32),
                Binary::Eq => i64::from(x == y),
                Binary::Ne => i64::from(x != y),
                Binary::Lt => i64::from(x < y),
                Binary::Le => i64::from(x <= y),
                Binary::Pow => unreachable!(),
            };
            result as u32
        }
        _ => {
            let (x, y) = (u64::from(a), u64::from(b));
            let result = match op {
                Binary::Add => x + y,
                Binary::Sub => x.wrapping_sub(y),
                Binary::Mul => x.wrapping_mul(y),
                Binary::Div => x.checked_div(y).unwrap_or(0),
                Binary::Rem => {
                    if y == 0 {
                        0
                    } else {
                        x % y
                    }
                }
                Binary::Max => x.max(y),
                Binary::Min => x.min(y),
                Binary::And => x & y,
                Binary::Or => x | y,
                Binary::Xor => x ^ y,
                Binary::Shl => x << (y % 32),
                Binary::Shr => x >> (y % 32),
                Binary::Eq => u64::from(x == y),
                Binary::Ne => u64::from(x != y),
                Binary::Lt => u64::from(x < y),
                Binary::Le => u64::from(x <= y),
                Binary::Pow => unreachable!(),
            };
            result as u32
        }
    }
}

pub fn cast(from: DType, to: DType, a: u32) -> u32 {
    let real = match from {
        DType::F32 => f(a),
        DType::I32 => f64::from(a as i32),
        _ => f64::from(a),
    };
    match to {
        DType::F32 => w(real),
        DType::F16 => f16::from_f32(real as f32).to_f32().to_bits(),
        DType::BF16 => bf16::from_f32(real as f32).to_f32().to_bits(),
        DType::Bool => u32::from(real != 0.0),
        DType::I32 if from == DType::F32 => real as i32 as u32,
        DType::U32 if from == DType::F32 => real as u32,
        DType::U8 if from == DType::F32 => u32::from(real as u8),
        DType::U8 => a & 0xff,
        DType::I32 | DType::U32 => a,
    }
}

/// The registers of a block at an index.
fn evaluate(block: &Block, args: &[Data], scalars: &[u32], index: &[usize], acc: u32) -> Vec<u32> {
    let mut regs: Vec<u32> = Vec::new();
    for (inst, &dtype) in block.insts.iter().zip(&block.dtypes) {
        let at = |r: &u16| regs[*r as usize];
        let of = |r: &u16| block.dtypes[*r as usize];
        let word = match inst {
            Inst::Load(access) => load(access, args, index),
            Inst::Acc => acc,
            Inst::Row { .. } | Inst::Kept { .. } | Inst::Keep { .. } => unreachable!("see tests/rows.rs"),
            Inst::Scalar { slot } => scalars[*slot as usize],
            Inst::Const { word } => *word,
            Inst::Index(line) if dtype == DType::F32 => w(line.at(index) as f64),
            Inst::Index(line) => line.at(index) as u32,
            Inst::Within(guards) => u32::from(holds(guards, index)),
            Inst::Random { key, stream, sample, element } => {
                let s = at(&key[3]).wrapping_add(sample.at(index) as u32);
                let e = element.at(index) as u32;
                philox::block([e / 4, s, at(&key[2]), *stream], [at(&key[0]), at(&key[1])])[(e % 4) as usize]
            }
            Inst::Unary(op, a) => unary(*op, of(a), at(a)),
            Inst::Binary(op, a, b) => binary(*op, of(a), at(a), at(b)),
            Inst::Select(c, a, b) => {
                if at(c) != 0 {
                    at(a)
                } else {
                    at(b)
                }
            }
            Inst::Cast { from, to } => cast(of(from), *to, at(from)),
        };
        regs.push(word);
    }
    regs
}

fn element(view: &MatrixView, args: &[Data], batch: &[usize], row: usize, col: usize) -> f64 {
    let batch: i64 = view.batch_strides.iter().zip(batch).map(|(s, &i)| s * i as i64).sum();
    let at = view.offset + batch + view.row_stride * row as i64 + view.col_stride * col as i64;
    f(args[view.arg as usize].words[at as usize])
}

fn flat(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (n, i)| at * n + i)
}

/// A sum, and the sum of the terms' sizes: what its rounding errors are relative to.
#[derive(Clone, Copy, Default)]
struct Sum(f64, f64);

impl std::ops::AddAssign<f64> for Sum {
    fn add_assign(&mut self, term: f64) {
        self.0 += term;
        self.1 += term.abs();
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Sum {
        let mut sum = Sum::default();
        terms.into_iter().for_each(|term| sum += term);
        sum
    }
}

/// The core's result at every index, row by row, and the size of its terms.
fn core(kernel: &Kernel, args: &[Data], scalars: &[u32]) -> Vec<(u32, f64)> {
    let numel = kernel.numel();
    let shape = &kernel.shape;
    let mut sums = vec![Sum::default(); numel];
    let exact = |words: Vec<u32>| words.into_iter().map(|word| (word, 0.0)).collect();
    let at = |arg: u16, shape: &[usize], index: &[usize]| f(args[arg as usize].words[flat(shape, index)]);
    match &kernel.core {
        Core::Map => return vec![(0, 0.0); numel],
        Core::Rows { .. } => unreachable!("kernels over rows are tested as what they are made of: see tests/rows.rs"),
        Core::Reduce { op, space, reduced, load } => {
            let dtype = *load.dtypes.last().unwrap();
            let kept = |index: &[usize]| {
                let index = index.iter().zip(reduced).filter(|(_, r)| !**r).map(|(i, _)| *i).collect::<Vec<_>>();
                flat(shape, &index)
            };
            let mut terms = vec![Vec::new(); numel];
            indices(space, |index| {
                terms[kept(index)].push(*evaluate(load, args, scalars, index, 0).last().unwrap());
            });
            let size = |terms: &[u32]| match (op, dtype) {
                (ReduceOp::Sum, DType::F32) => terms.iter().map(|&x| f(x).abs()).sum(),
                // Every factor may add a rounding error of the result's size.
                (ReduceOp::Prod, DType::F32) => terms.iter().map(|&x| f(x)).product::<f64>().abs() * terms.len() as f64,
                _ => 0.0,
            };
            return terms.iter().map(|terms| (reduce(*op, dtype, terms), size(terms))).collect();
        }
        Core::MatMul { k, a, b } => {
            let mut out = 0;
            indices(shape, |index| {
                let [batch @ .., m, n] = index else { unreachable!() };
                sums[out] = (0..*k).map(|k| element(a, args, batch, *m, k) * element(b, args, batch, k, *n)).collect();
                out += 1;
            });
        }
        Core::Conv2d { kind, conv, operands: [(first, first_shape), (second, second_shape)] } => {
            let (x, filters, y): (&[usize], &[usize], &[usize]) = match kind {
                ConvKind::Forward => (first_shape, second_shape, shape),
                ConvKind::InputGrad(_) => (shape, second_shape, first_shape),
                ConvKind::FilterGrad(_) => (first_shape, shape, second_shape),
            };
            let (cg, fg) = (filters[2], filters[3] / conv.groups);
            indices(y, |yi| {
                indices(&filters[..3], |wi| {
                    let row = (yi[1] * conv.strides[0] + wi[0] * conv.dilation[0]).checked_sub(conv.pads[0].0);
                    let col = (yi[2] * conv.strides[1] + wi[1] * conv.dilation[1]).checked_sub(conv.pads[1].0);
                    let (Some(row), Some(col)) = (row, col) else { return };
                    if row >= x[1] || col >= x[2] {
                        return;
                    }
                    let xi = [yi[0], row, col, yi[3] / fg * cg + wi[2]];
                    let wi = [wi[0], wi[1], wi[2], yi[3]];
                    match kind {
                        ConvKind::Forward => sums[flat(y, yi)] += at(*first, x, &xi) * at(*second, filters, &wi),
                        ConvKind::InputGrad(_) => sums[flat(x, &xi)] += at(*first, y, yi) * at(*second, filters, &wi),
                        ConvKind::FilterGrad(_) => sums[flat(filters, &wi)] += at(*first, x, &xi) * at(*second, y, yi),
                    }
                });
            });
        }
        Core::Pool2d { kind, pool, operands } => {
            let gradient = matches!(kind, PoolKind::MaxGrad | PoolKind::AvgGrad(_));
            let x: &[usize] = if gradient { shape } else { &operands[0].1 };
            let y = [x[0], pool.output_len(0, x[1]), pool.output_len(1, x[2]), x[3]];
            indices(&y, |yi| {
                let mut cells = Vec::new();
                indices(&pool.window, |wi| {
                    let row = (yi[1] * pool.strides[0] + wi[0]).checked_sub(pool.pads[0].0);
                    let col = (yi[2] * pool.strides[1] + wi[1]).checked_sub(pool.pads[1].0);
                    if let (Some(row), Some(col)) = (row, col)
                        && row < x[1]
                        && col < x[2]
                    {
                        cells.push([yi[0], row, col, yi[3]]);
                    }
                });
                let here = flat(&y, yi);
                let first = operands[0].0;
                let best = |cells: &[[usize; 4]]| {
                    let mut best = cells[0];
                    for cell in cells {
                        if at(first, x, cell) > at(first, x, &best) {
                            best = *cell;
                        }
                    }
                    best
                };
                match kind {
                    PoolKind::Max => sums[here] += at(first, x, &best(&cells)),
                    PoolKind::MaxGather => sums[here] += at(operands[1].0, x, &best(&cells)),
                    PoolKind::MaxGrad => sums[flat(x, &best(&cells))] += at(operands[1].0, &y, yi),
                    PoolKind::Avg => {
                        sums[here] = cells.iter().map(|c| at(first, x, c) / cells.len() as f64).collect();
                    }
                    PoolKind::AvgGrad(_) => {
                        cells.iter().for_each(|c| sums[flat(x, c)] += at(first, &y, yi) / cells.len() as f64);
                    }
                }
            });
        }
        Core::Gather { data, indices: chosen, len } => {
            let mut words = Vec::new();
            indices(shape, |index| {
                let row = args[*chosen as usize].words[index[1]] as i32;
                let inside = (0..*len as i32).contains(&row);
                let from = [index[0], row.max(0) as usize, index[2]];
                words.push(if inside {
                    args[*data as usize].words[flat(&[shape[0], *len, shape[2]], &from)]
                } else {
                    0
                });
            });
            return exact(words);
        }
        Core::ScatterAdd { indices: chosen, updates, count } => {
            let updates = &args[*updates as usize];
            let mut ints = vec![0_u32; numel];
            indices(&[shape[0], *count, shape[2]], |index| {
                let row = args[*chosen as usize].words[index[1]] as i32;
                if (0..shape[1] as i32).contains(&row) {
                    let to = flat(shape, &[index[0], row as usize, index[2]]);
                    let word = updates.words[flat(&[shape[0], *count, shape[2]], index)];
                    sums[to] += f(word);
                    ints[to] = ints[to].wrapping_add(word);
                }
            });
            if !updates.dtype.is_float() {
                return exact(ints);
            }
        }
        Core::Line { kind, operands } => return along(*kind, operands, shape, args),
    }
    sums.into_iter().map(|Sum(sum, size)| (w(sum), size)).collect()
}

/// Every line for itself, each result from its definition.
fn along(kind: LineKind, operands: &[(u16, usize)], shape: &[usize], args: &[Data]) -> Vec<(u32, f64)> {
    let arg = |n: usize| &args[operands[n].0 as usize];
    let line = |n: usize, index: &[usize]| -> Vec<u32> {
        let len = operands[n].1;
        (0..len).map(|i| arg(n).words[flat(&[shape[0], len, shape[2]], &[index[0], i, index[2]])]).collect()
    };
    let mut results = Vec::new();
    indices(shape, |index| {
        let i = index[1];
        results.push(match kind {
            LineKind::Cumulate(Cumulate { op, reverse, exclusive }) => {
                let mut terms = line(0, index);
                let i = if reverse { terms.len() - 1 - i } else { i };
                if reverse {
                    terms.reverse();
                }
                terms.truncate(i + usize::from(!exclusive));
                let dtype = arg(0).dtype.compute();
                let op = match op {
                    CumulateOp::Sum => ReduceOp::Sum,
                    CumulateOp::Prod => ReduceOp::Prod,
                    CumulateOp::Max => ReduceOp::Max,
                    CumulateOp::Min => ReduceOp::Min,
                };
                let size = match op {
                    ReduceOp::Sum if dtype == DType::F32 => terms.iter().map(|&x| f(x).abs()).sum(),
                    ReduceOp::Prod if dtype == DType::F32 => f(reduce(op, dtype, &terms)).abs(),
                    _ => 0.0,
                };
                let word = match (op, terms.is_empty(), dtype) {
                    (ReduceOp::Prod, true, DType::F32) => w(1.0),
                    (ReduceOp::Sum, true, _) => 0,
                    (ReduceOp::Min, true, _) if arg(0).dtype == DType::U8 => 255,
                    _ => reduce(op, dtype, &terms),
                };
                (word, size)
            }
            LineKind::ArgSort { descending } => {
                let (terms, dtype) = (line(0, index), arg(0).dtype.compute());
                let dtype = if dtype == DType::Bool { DType::U32 } else { dtype };
                let nan = |x: u32| dtype == DType::F32 && f(x).is_nan();
                let less = |a: u32, b: u32| match (nan(a), nan(b)) {
                    (false, true) => true,
                    (true, _) => false,
                    _ if descending => binary(Binary::Lt, dtype, b, a) == 1,
                    _ => binary(Binary::Lt, dtype, a, b) == 1,
                };
                // The element before which just `i` others come.
                let rank = |k: usize| {
                    let before = |&j: &usize| less(terms[j], terms[k]) || (j < k && !less(terms[k], terms[j]));
                    (0..terms.len()).filter(before).count()
                };
                ((0..terms.len()).find(|&k| rank(k) == i).unwrap() as u32, 0.0)
            }
            LineKind::Take => {
                let (data, chosen) = (line(0, index), line(1, index)[i] as i32);
                (usize::try_from(chosen).ok().and_then(|at| data.get(at).copied()).unwrap_or(0), 0.0)
            }
            LineKind::Add => {
                let terms = line(0, index).into_iter().zip(line(1, index));
                let terms: Vec<u32> = terms.filter(|(at, _)| *at as i32 == i as i32).map(|(_, x)| x).collect();
                match arg(1).dtype.is_float() {
                    true => (w(terms.iter().map(|&x| f(x)).sum()), terms.iter().map(|&x| f(x).abs()).sum()),
                    false => (terms.iter().fold(0_u32, |a, &b| a.wrapping_add(b)), 0.0),
                }
            }
        });
    });
    results
}

fn reduce(op: ReduceOp, dtype: DType, terms: &[u32]) -> u32 {
    let less = |a: u32, b: u32| binary(Binary::Lt, dtype, a, b) == 1;
    let nan = |a: u32| dtype == DType::F32 && f(a).is_nan();
    let extreme = |largest: bool| {
        let mut best: Option<usize> = None;
        for (i, &x) in terms.iter().enumerate() {
            let wins = best.is_none_or(|b| {
                !nan(terms[b]) && (nan(x) || if largest { less(terms[b], x) } else { less(x, terms[b]) })
            });
            best = if wins { Some(i) } else { best };
        }
        best
    };
    let limit = |largest: bool| match (dtype, largest) {
        (DType::F32, true) => w(f64::NEG_INFINITY),
        (DType::F32, false) => w(f64::INFINITY),
        (DType::I32, true) => i32::MIN as u32,
        (DType::I32, false) => i32::MAX as u32,
        (_, true) => 0,
        (_, false) => u32::MAX,
    };
    match op {
        ReduceOp::Sum if dtype == DType::F32 => w(terms.iter().map(|&x| f(x)).sum()),
        ReduceOp::Prod if dtype == DType::F32 => w(terms.iter().map(|&x| f(x)).product()),
        ReduceOp::Sum => terms.iter().fold(0, |a, &b| a.wrapping_add(b)),
        ReduceOp::Prod => terms.iter().fold(1, |a, &b| a.wrapping_mul(b)),
        ReduceOp::Max => extreme(true).map_or(limit(true), |i| terms[i]),
        ReduceOp::Min => extreme(false).map_or(limit(false), |i| terms[i]),
        ReduceOp::ArgMax => extreme(true).unwrap_or(0) as u32,
        ReduceOp::ArgMin => extreme(false).unwrap_or(0) as u32,
        ReduceOp::Any => u32::from(terms.contains(&1)),
        ReduceOp::All => u32::from(!terms.contains(&0)),
    }
}

/// The arguments after the kernel ran, and for each element the size of the terms it is a sum of.
pub fn run(kernel: &Kernel, args: &[Data], scalars: &[u32]) -> Vec<(Data, Vec<f64>)> {
    let acc = core(kernel, args, scalars);
    let mut after: Vec<(Data, Vec<f64>)> = args.iter().map(|arg| (arg.clone(), vec![0.0; arg.words.len()])).collect();
    let mut at = 0;
    indices(&kernel.shape, |index| {
        let (acc, size) = acc[at];
        let regs = evaluate(&kernel.block, args, scalars, index, acc);
        at += 1;
        for store in &kernel.block.stores {
            let (to, sizes) = &mut after[store.access.arg as usize];
            let element = store.access.index.at(index) as usize;
            to.words[element] = regs[store.reg as usize];
            sizes[element] = size;
        }
    });
    // As memory holds it.
    after.into_iter().map(|(data, sizes)| (Data::decode(data.dtype, &data.encode()), sizes)).collect()
}
