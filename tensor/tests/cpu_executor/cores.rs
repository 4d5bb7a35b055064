//! Reductions, products, gathers and scatters, work along lines.

use crate::setup::{Data, access, check, kernel, plain, spec};
use addax_tensor::{
    DType,
    graph::{Binary, Cumulate, CumulateOp, LineKind, ReduceOp, Unary},
    plan::{
        Core, Kernel, MatrixView, Use,
        expr::{Affine, Block, Inst, Store},
    },
};
use proptest::prelude::*;

fn reduction(op: ReduceOp, space: &[usize], reduced: &[bool], dtype: DType, square: bool) -> (Kernel, Vec<Data>) {
    let shape: Vec<usize> = space.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
    let mut load = Block::default();
    // Backwards through memory, so that a load is not always the memory itself.
    let mut line = Affine::row_major(space);
    if square {
        line.offset = space.iter().product::<usize>() as i64 - 1;
        line.strides.iter_mut().for_each(|s| *s = -*s);
    }
    load.push(Inst::Load(access(0, line)), dtype.compute());
    if square && dtype.is_float() {
        load.push(Inst::Unary(Unary::Square, 0), DType::F32);
    }
    let out = if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) { DType::I32 } else { dtype.compute() };
    let len = space.iter().product::<usize>();
    let core = Core::Reduce { op, space: space.to_vec(), reduced: reduced.to_vec(), load };
    let kernel = kernel(core, &shape, plain(1, &shape, out), vec![spec(dtype, Use::Read), spec(out, Use::Write)]);
    let mut data = Data::new(dtype, len.max(1), len as u32);
    if op == ReduceOp::Prod && dtype.is_float() {
        data = Data { dtype, ..Data::floats(data.words.iter().map(|w| 1.0 + 0.01 * f32::from_bits(*w))) };
        data = Data::decode(dtype, &data.encode());
    }
    if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin | ReduceOp::Max) && dtype == DType::F32 {
        // Many equal values, and now and then NaN.
        data = Data::floats(
            data.words.iter().enumerate().map(
                |(i, w)| {
                    if i % 97 == 96 { f32::NAN } else { (f32::from_bits(*w) * 2.0).round() }
                },
            ),
        );
    }
    (kernel, vec![data, Data::zeros(out, shape.iter().product())])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn reductions_agree(
        axes in prop::collection::vec((prop_oneof![4 => 1..7_usize, 1 => 10..70_usize, 1 => Just(0_usize)], any::<bool>()), 1..5),
        op in prop::sample::select(ReduceOp::ALL.to_vec()),
        dtype in prop::sample::select(DType::ALL.to_vec()),
        square: bool,
    ) {
        let (space, mut reduced): (Vec<usize>, Vec<bool>) = axes.into_iter().unzip();
        let dtype = if op.accepts(dtype) { dtype } else if op.accepts(DType::F32) { DType::F32 } else { DType::Bool };
        if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) {
            reduced.fill(false);
            reduced[space.len() / 2] = true;
            prop_assume!(space[space.len() / 2] > 0);
        }
        let (kernel, data) = reduction(op, &space, &reduced, dtype, square);
        check(&kernel, &data, &[], 2e-6);
    }
}

#[test]
fn long_reductions_are_cut_and_stay_accurate() {
    for op in ReduceOp::ALL {
        let dtype = if op.accepts(DType::F32) { DType::F32 } else { DType::Bool };
        for (space, reduced) in [
            (vec![3, 200_000], vec![false, true]),
            (vec![700_001], vec![true]),
            (vec![5000, 40], vec![true, false]),
            (vec![2, 1500, 1100], vec![false, true, false]),
            (vec![600, 3, 50], vec![true, false, true]),
            (vec![9000, 10], vec![false, true]),
        ] {
            if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) && reduced.iter().filter(|r| **r).count() > 1 {
                continue;
            }
            if op == ReduceOp::Prod {
                continue;
            }
            let (kernel, data) = reduction(op, &space, &reduced, dtype, false);
            check(&kernel, &data, &[], 2e-6);
        }
    }
}

#[derive(Clone, Debug)]
struct Product {
    batch: Vec<usize>,
    size: (usize, usize, usize),
    turned: (bool, bool),
    shared: (bool, bool),
    spread: i64,
    dtypes: (DType, DType),
    epilogue: bool,
}

fn product(p: &Product) -> (Kernel, Vec<Data>) {
    let (m, n, k) = p.size;
    let view = |arg: u16, rows: usize, cols: usize, turned: bool, shared: bool| {
        let (row, col) = if turned { (1, rows as i64) } else { (cols as i64, 1) };
        let (row, col) = (row * p.spread, col * p.spread);
        let mut stride = (rows * cols) as i64 * p.spread;
        let mut batch_strides: Vec<i64> = p
            .batch
            .iter()
            .rev()
            .map(|&n| {
                let s = stride;
                stride *= n as i64;
                if shared { 0 } else { s }
            })
            .collect();
        batch_strides.reverse();
        let len = if shared { rows * cols * p.spread as usize } else { stride as usize };
        (MatrixView { arg, offset: 2, batch_strides, row_stride: row, col_stride: col }, len + 2)
    };
    let (a, a_len) = view(0, m, k, p.turned.0, p.shared.0);
    let (b, b_len) = view(1, k, n, p.turned.1, p.shared.1);
    let shape: Vec<usize> = p.batch.iter().copied().chain([m, n]).collect();
    let mut block = plain(2, &shape, DType::F32);
    let mut args = vec![spec(p.dtypes.0, Use::Read), spec(p.dtypes.1, Use::Read), spec(DType::F32, Use::Write)];
    let numel = shape.iter().product();
    let mut data =
        vec![Data::new(p.dtypes.0, a_len, 1), Data::new(p.dtypes.1, b_len, 2), Data::zeros(DType::F32, numel)];
    if p.epilogue {
        let mut bias = Affine::constant(0, shape.len());
        bias.strides[shape.len() - 1] = 1;
        let bias = block.push(Inst::Load(access(3, bias)), DType::F32);
        let sum = block.push(Inst::Binary(Binary::Add, 0, bias), DType::F32);
        block.stores.push(Store { reg: sum, access: access(4, Affine::row_major(&shape)) });
        args.extend([spec(DType::F32, Use::Read), spec(DType::BF16, Use::Write)]);
        data.extend([Data::new(DType::F32, n, 3), Data::zeros(DType::BF16, numel)]);
    }
    (kernel(Core::MatMul { k, a, b }, &shape, block, args), data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn products_agree(
        batch in prop::collection::vec(1..4_usize, 0..3),
        size in (1..50_usize, 1..70_usize, 0..40_usize),
        turned: (bool, bool),
        shared: (bool, bool),
        spread in 1..3_i64,
        dtypes in (0..3_usize, 0..3_usize),
        epilogue: bool,
    ) {
        let floats = [DType::F32, DType::F16, DType::BF16];
        let p = Product { batch, size, turned, shared, spread, dtypes: (floats[dtypes.0], floats[dtypes.1]), epilogue };
        let (kernel, data) = product(&p);
        // Stored as bfloat16, a rounding error may become one of its last places.
        check(&kernel, &data, &[], if p.epilogue { 8e-3 } else { 2e-6 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Large enough to be cut, in every way.
    #[test]
    fn products_of_many_columns_agree(
        size in (20..80_usize, 240..560_usize, 1..260_usize),
        turned: (bool, bool),
        epilogue: bool,
    ) {
        let (batch, shared, dtypes) = (vec![], (false, false), (DType::F32, DType::F32));
        let (kernel, data) = product(&Product { batch, size, turned, shared, spread: 1, dtypes, epilogue });
        check(&kernel, &data, &[], if epilogue { 8e-3 } else { 2e-6 });
    }
}

#[test]
fn large_products_are_cut_the_same_way_for_any_number_of_threads() {
    let base = Product {
        batch: vec![],
        size: (0, 0, 0),
        turned: (false, false),
        shared: (false, false),
        spread: 1,
        dtypes: (DType::F32, DType::F32),
        epilogue: false,
    };
    for (size, turned) in [
        ((200, 300, 250), (false, false)),
        ((30, 40, 5000), (true, false)),
        ((300, 16, 1700), (false, true)),
        ((1, 500, 900), (false, false)),
        ((500, 1, 900), (false, false)),
        // Cut by columns, in several chunks, the left operand packed once for all blocks.
        ((26, 330, 1700), (true, false)),
        // Cut by rows, the right operand packed as it lies in memory, or turned.
        ((100, 330, 1000), (false, false)),
        ((100, 330, 300), (true, true)),
        // Cut by rows and columns, blocks of the same rows together: a step of a recurrence. Not if the left operand is copied.
        ((64, 512, 128), (false, false)),
        ((57, 300, 200), (false, true)),
        ((57, 300, 200), (true, false)),
    ] {
        let (kernel, data) = product(&Product { size, turned, ..base.clone() });
        check(&kernel, &data, &[], 2e-6);
    }
    let (kernel, data) = product(&Product { size: (30, 33, 32), batch: vec![8, 4], epilogue: true, ..base.clone() });
    check(&kernel, &data, &[], 8e-3);
    let (kernel, data) = product(&Product { size: (170, 70, 64), batch: vec![3], shared: (false, true), ..base });
    check(&kernel, &data, &[], 2e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn gathers_and_scatters_agree(
        outer in 1..4_usize,
        count in 1..30_usize,
        len in 1..12_usize,
        inner in prop_oneof![1..9_usize, 1000..3000_usize],
        dtype in prop::sample::select(DType::ALL.to_vec()),
        seed: u32,
        scatter: bool,
    ) {
        let chosen = Data::new(DType::I32, count, seed);
        // Some are out of range.
        let words = chosen.words.iter().map(|w| (*w as i32).rem_euclid(len as i32 + 2).wrapping_sub(1) as u32).collect();
        let chosen = Data { dtype: DType::I32, words };
        if scatter {
            let dtype = if dtype == DType::Bool { DType::F32 } else { dtype };
            let shape = [outer, len, inner];
            let core = Core::ScatterAdd { indices: 0, updates: 1, count };
            let args = vec![spec(DType::I32, Use::Read), spec(dtype, Use::Read), spec(dtype.compute(), Use::Write)];
            let kernel = kernel(core, &shape, plain(2, &shape, dtype.compute()), args);
            let data = [chosen, Data::new(dtype, outer * count * inner, 5), Data::zeros(dtype.compute(), outer * len * inner)];
            check(&kernel, &data, &[], 1e-6);
        } else {
            let shape = [outer, count, inner];
            let core = Core::Gather { data: 1, indices: 0, len };
            let args = vec![spec(DType::I32, Use::Read), spec(dtype, Use::Read), spec(dtype, Use::Write)];
            let kernel = kernel(core, &shape, plain(2, &shape, dtype.compute()), args);
            let data = [chosen, Data::new(dtype, outer * len * inner, 5), Data::zeros(dtype, outer * count * inner)];
            check(&kernel, &data, &[], 0.0);
        }
    }
}

#[test]
fn a_large_scatter_is_cut() {
    let (len, inner, count) = (3000, 64, 500);
    let words = (0..count as u32).map(|i| (i * i * 7) % len as u32).collect();
    let shape = [1, len, inner];
    let args = vec![spec(DType::I32, Use::Read), spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)];
    let kernel = kernel(Core::ScatterAdd { indices: 0, updates: 1, count }, &shape, plain(2, &shape, DType::F32), args);
    let data = [
        Data { dtype: DType::I32, words },
        Data::new(DType::F32, count * inner, 5),
        Data::zeros(DType::F32, len * inner),
    ];
    check(&kernel, &data, &[], 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn lines_agree(
        // Few long lines, or more short ones than fit one piece of work.
        (outer, len) in prop_oneof![(1..4_usize, 30..60_usize), (1..5_usize, 1..9_usize), (500..2000_usize, 6..9_usize)],
        count in 1..9_usize,
        inner in prop_oneof![Just(1_usize), 1..6_usize],
        dtype in prop::sample::select(DType::ALL.to_vec()),
        op in prop::sample::select(CumulateOp::ALL.to_vec()),
        (reverse, exclusive, which) in (any::<bool>(), any::<bool>(), 0..4_usize),
        seed: u32,
    ) {
        let dtype = if dtype == DType::Bool && which % 2 == 0 { DType::F32 } else { dtype };
        let data = Data::new(dtype, outer * len * inner, seed);
        let chosen = |len: usize, of: usize| {
            let any = Data::new(DType::I32, outer * len * inner, seed ^ 1);
            let word = |w: &u32| (*w as i32).rem_euclid(of as i32 + 2).wrapping_sub(1) as u32;
            Data { dtype: DType::I32, words: any.words.iter().map(word).collect() }
        };
        let (kind, operands, shape, data, result) = match which {
            0 => (
                LineKind::Cumulate(Cumulate { op, reverse, exclusive }),
                vec![(0, len)],
                [outer, len, inner],
                vec![data],
                dtype.compute(),
            ),
            1 => (LineKind::ArgSort { descending: reverse }, vec![(0, len)], [outer, len, inner], vec![data], DType::I32),
            2 => (LineKind::Add, vec![(0, len), (1, len)], [outer, count, inner], vec![chosen(len, count), data], dtype.compute()),
            _ => (LineKind::Take, vec![(0, len), (1, count)], [outer, count, inner], vec![data, chosen(count, len)], dtype),
        };
        let mut args: Vec<_> = data.iter().map(|d| spec(d.dtype, Use::Read)).collect();
        args.push(spec(result, Use::Write));
        let to = data.len() as u16;
        let kernel = kernel(Core::Line { kind, operands }, &shape, plain(to, &shape, result.compute()), args);
        let mut data = data;
        data.push(Data::zeros(result, shape.iter().product()));
        check(&kernel, &data, &[], 1e-5);
    }
}
