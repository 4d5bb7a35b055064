//! Convolutions and poolings.

use crate::setup::{Data, access, check, kernel, plain, run, spec};
use addax_tensor::{
    DType, Shape,
    graph::{Binary, Conv2d, ConvKind, Pool2d, PoolKind},
    plan::{
        Core, Use,
        expr::{Affine, Inst, Store},
    },
};
use proptest::prelude::*;

/// All three members of the family for one geometry; `epilogue` adds a channel's bias to a second store.
fn convolutions(
    x: [usize; 4],
    [kh, kw, filters]: [usize; 3],
    conv: Conv2d,
    dtype: DType,
    epilogue: bool,
    tolerance: f64,
) {
    let w = [kh, kw, x[3] / conv.groups, filters];
    let y = [x[0], conv.output_len(0, x[1], kh), conv.output_len(1, x[2], kw), filters];
    let shape = |s: [usize; 4]| Shape::from(s.to_vec());
    for (kind, first, second, out) in [
        (ConvKind::Forward, x, w, y),
        (ConvKind::InputGrad(shape(x)), y, w, x),
        (ConvKind::FilterGrad(shape(w)), x, y, w),
    ] {
        let core = Core::Conv2d { kind, conv, operands: [(0, first), (1, second)] };
        let mut block = plain(2, &out, DType::F32);
        let mut args = vec![spec(dtype, Use::Read), spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)];
        let len = |s: [usize; 4]| s.iter().product::<usize>();
        let mut data = vec![
            Data::new(dtype, len(first), 1),
            Data::new(DType::F32, len(second), 2),
            Data::zeros(DType::F32, len(out)),
        ];
        if epilogue {
            let bias = block.push(Inst::Load(access(3, Affine { offset: 0, strides: vec![0, 0, 0, 1] })), DType::F32);
            let sum = block.push(Inst::Binary(Binary::Add, 0, bias), DType::F32);
            block.stores.push(Store { reg: sum, access: access(4, Affine::row_major(&out)) });
            args.extend([spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)]);
            data.extend([Data::new(DType::F32, out[3], 3), Data::zeros(DType::F32, len(out))]);
        }
        check(&kernel(core, &out, block, args), &data, &[], tolerance);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn convolutions_agree(
        image in (1..4_usize, 1..9_usize, 1..9_usize),
        window in (1..4_usize, 1..4_usize),
        groups in 1..4_usize,
        per_group in (1..5_usize, 1..7_usize),
        strides in (1..4_usize, 1..4_usize),
        dilation in (1..3_usize, 1..3_usize),
        pads in ((0..3_usize, 0..3_usize), (0..3_usize, 0..3_usize)),
        half: bool,
        epilogue: bool,
    ) {
        let conv = Conv2d {
            strides: [strides.0, strides.1],
            pads: [pads.0, pads.1],
            dilation: [dilation.0, dilation.1],
            groups,
        };
        prop_assume!(conv.output_len(0, image.1, window.0) > 0 && conv.output_len(1, image.2, window.1) > 0);
        let x = [image.0, image.1, image.2, groups * per_group.0];
        let dtype = if half { DType::F16 } else { DType::F32 };
        convolutions(x, [window.0, window.1, groups * per_group.1], conv, dtype, epilogue, 2e-6);
    }
}

#[test]
fn larger_convolutions_are_cut_the_same_way_for_any_number_of_threads() {
    let plain = Conv2d { strides: [1, 1], pads: [(0, 0); 2], dilation: [1, 1], groups: 1 };
    convolutions([6, 13, 13, 32], [3, 3, 64], plain, DType::F32, false, 2e-6);
    convolutions([4, 28, 28, 1], [3, 3, 32], plain, DType::F32, true, 2e-6);
    convolutions([3, 20, 40, 16], [3, 3, 40], Conv2d { pads: [(1, 1); 2], ..plain }, DType::F32, true, 2e-6);
    convolutions(
        [3, 30, 30, 16],
        [3, 3, 32],
        Conv2d { strides: [2, 2], pads: [(0, 1); 2], ..plain },
        DType::F32,
        false,
        2e-6,
    );
    convolutions(
        [4, 16, 16, 24],
        [3, 3, 24],
        Conv2d { pads: [(1, 1); 2], groups: 24, ..plain },
        DType::F32,
        false,
        2e-6,
    );
    convolutions([2, 40, 40, 48], [1, 1, 64], plain, DType::F32, false, 2e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Enough tiles and channels for Winograd's algorithm: tiles cut at the edges, images that share a block, any padding. Its error
    /// goes with what a whole tile sees, so where a result is small beside its neighbours it is larger than that of a plain sum.
    #[test]
    fn convolutions_by_tiles_agree(
        image in (1..17_usize, 3..23_usize, 3..23_usize),
        channels in (1..4_usize, 1..6_usize),
        pads in ((0..3_usize, 0..3_usize), (0..3_usize, 0..3_usize)),
        half: bool,
        epilogue: bool,
    ) {
        let conv = Conv2d { strides: [1, 1], pads: [pads.0, pads.1], dilation: [1, 1], groups: 1 };
        let tiles = |axis: usize, len: usize| conv.output_len(axis, len, 3).div_ceil(4);
        let images = image.0.max(64_usize.div_ceil(tiles(0, image.1) * tiles(1, image.2)));
        let dtype = if half { DType::BF16 } else { DType::F32 };
        convolutions([images, image.1, image.2, 16 * channels.0], [3, 3, 16 * channels.1], conv, dtype, epilogue, 1e-5);
    }
}

#[test]
fn tiles_keep_zeros_and_what_is_not_finite_to_themselves() {
    // An image of which one element is infinite: results further than a tile away are what they were.
    let (n, side, c) = (4, 16, 16);
    let conv = Conv2d { strides: [1, 1], pads: [(1, 1); 2], dilation: [1, 1], groups: 1 };
    let (x, w) = ([n, side, side, c], [3, 3, c, c]);
    let core = Core::Conv2d { kind: ConvKind::Forward, conv, operands: [(0, x), (1, w)] };
    let args = vec![spec(DType::F32, Use::Read), spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)];
    let kernel = kernel(core, &x, plain(2, &x, DType::F32), args);
    let mut image = Data::zeros(DType::F32, n * side * side * c);
    image.words[0] = f32::INFINITY.to_bits();
    let data = vec![image, Data::new(DType::F32, 9 * c * c, 1), Data::zeros(DType::F32, n * side * side * c)];
    let got = run(&kernel, &data, &[]);
    let value = |at: [usize; 4]| f32::from_bits(got[2].words[((at[0] * side + at[1]) * side + at[2]) * c + at[3]]);
    assert!(!value([0, 1, 1, 0]).is_finite());
    for (image, row, col) in [(0, 8, 0), (0, 0, 8), (1, 0, 0), (3, 15, 15)] {
        assert_eq!(value([image, row, col, 3]).to_bits(), 0, "image {image}, row {row}, column {col}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn poolings_agree(
        image in (1..4_usize, 1..9_usize, 1..9_usize, prop_oneof![1..5_usize, 16..40_usize]),
        window in (1..4_usize, 1..4_usize),
        strides in (1..4_usize, 1..4_usize),
        pads in ((0..2_usize, 0..2_usize), (0..2_usize, 0..2_usize)),
        half: bool,
    ) {
        // A window that lies outside entirely has no cells and no meaning.
        let pads = [(pads.0.0.min(window.0 - 1), pads.0.1.min(window.0 - 1)), (pads.1.0.min(window.1 - 1), pads.1.1.min(window.1 - 1))];
        let pool = Pool2d { window: [window.0, window.1], strides: [strides.0, strides.1], pads };
        let x = [image.0, image.1, image.2, image.3];
        let y = [x[0], pool.output_len(0, x[1]), pool.output_len(1, x[2]), x[3]];
        prop_assume!(y[1] > 0 && y[2] > 0);
        poolings(x, y, pool, if half { DType::BF16 } else { DType::F32 });
    }
}

fn poolings(x: [usize; 4], y: [usize; 4], pool: Pool2d, dtype: DType) {
    let len = |s: [usize; 4]| s.iter().product::<usize>();
    for (kind, shapes, out) in [
        (PoolKind::Max, vec![x], y),
        (PoolKind::MaxGrad, vec![x, y], x),
        (PoolKind::MaxGather, vec![x, x], y),
        (PoolKind::Avg, vec![x], y),
        (PoolKind::AvgGrad(Shape::from(x.to_vec())), vec![y], x),
    ] {
        let operands: Vec<_> = shapes.iter().enumerate().map(|(i, s)| (i as u16, *s)).collect();
        let count = shapes.len();
        let mut args = vec![spec(dtype, Use::Read); count];
        args.push(spec(DType::F32, Use::Write));
        // Rounded, so that the largest is often there twice.
        let mut data: Vec<Data> = shapes.iter().enumerate().map(|(i, s)| Data::new(dtype, len(*s), i as u32)).collect();
        data[0].words.iter_mut().for_each(|w| *w = f32::from_bits(*w).round().to_bits());
        data.push(Data::zeros(DType::F32, len(out)));
        let core = Core::Pool2d { kind, pool, operands };
        check(&kernel(core, &out, plain(count as u16, &out, DType::F32), args), &data, &[], 1e-6);
    }
}

#[test]
fn larger_poolings_are_cut() {
    let pool = Pool2d { window: [2; 2], strides: [2; 2], pads: [(0, 0); 2] };
    poolings([16, 26, 26, 32], [16, 13, 13, 32], pool, DType::F32);
}
