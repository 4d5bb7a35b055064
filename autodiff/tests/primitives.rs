//! Every primitive against differences, first and second derivatives, and its convention where it has no derivative.
//! The tables are exhaustive matches: a primitive without a check does not compile.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_autodiff::{
    grad, grad_or_zeros,
    gradcheck::{Options, gradcheck},
};
use addax_tensor::{
    Array, DType, Scalar, Tensor,
    graph::{
        Binary, Body, Conv2d, ConvKind, Cumulate, CumulateOp, LineKind, MatMul, Meta, Op, Pool2d, PoolKind, ReduceOp,
        ScanSpec, SliceAxis, Unary, View,
    },
    random, reference,
};
use common::spread;
use proptest::prelude::*;

/// Checks the gradient of `f`, and the gradient of that gradient.
fn check(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Array]) -> Result<(), String> {
    let first = gradcheck(&f, inputs, Options::default()).map_err(|e| format!("first derivative: {e}"))?;
    assert!(first.elements > 0);
    let slope = |x: &[Tensor]| {
        let floats: Vec<&Tensor> = x.iter().filter(|t| t.dtype().unwrap().is_float()).collect();
        let y = f(x);
        // Not linear in y, so that the rules' cotangents are differentiated too, and tame where y is large.
        let loss = (&y + 0.3).square().log1p().sum_all();
        let all: Vec<Tensor> =
            grad_or_zeros(&loss, floats).unwrap().iter().map(|g| g.reshape([g.shape().unwrap().numel()])).collect();
        Tensor::concat(&all, 0)
    };
    gradcheck(slope, inputs, Options { tolerance: 1e-6, ..Options::default() })
        .map_err(|e| format!("second derivative: {e}"))?;
    Ok(())
}

fn array(shape: impl Into<addax_tensor::Shape>, values: &[f32]) -> Array {
    Array::new(shape, values).unwrap()
}

fn value(tensor: &Tensor) -> Vec<f32> {
    reference::evaluate(std::slice::from_ref(tensor)).unwrap()[0].to_vec().unwrap()
}

/// Where a function is smooth, and its derivative at the points where it is not.
struct Domain {
    low: f32,
    high: f32,
    /// Points inside to keep away from.
    kinks: fn(f32) -> bool,
    /// Where the convention is asked for, and what it says.
    convention: &'static [(f32, f32)],
}

const ALL: Domain = Domain { low: -100.0, high: 100.0, kinks: |_| false, convention: &[] };
const POSITIVE: Domain = Domain { low: 0.2, high: 100.0, kinks: |_| false, convention: &[] };
fn near_zero(x: f32) -> bool {
    x.abs() < 0.01
}
fn near_half(x: f32) -> bool {
    (x - x.floor() - 0.5).abs() < 0.01
}
fn near_whole(x: f32) -> bool {
    (x - x.round()).abs() < 0.01
}

/// `None` for functions whose results are no floats.
fn domain(op: Unary) -> Option<Domain> {
    Some(match op {
        Unary::Neg | Unary::Tanh | Unary::Sigmoid | Unary::Softplus | Unary::Sin | Unary::Cos | Unary::Erf => ALL,
        Unary::Square => Domain { convention: &[(0.0, 0.0)], ..ALL },
        Unary::Exp | Unary::Expm1 => Domain { convention: &[(0.0, 1.0)], ..ALL },
        Unary::Abs => Domain { kinks: near_zero, convention: &[(0.0, 0.0), (-3.0, -1.0)], ..ALL },
        Unary::Relu => Domain { kinks: near_zero, convention: &[(0.0, 0.0), (3.0, 1.0), (-3.0, 0.0)], ..ALL },
        Unary::Sign => Domain { kinks: near_zero, convention: &[(0.0, 0.0)], ..ALL },
        Unary::Floor | Unary::Ceil => Domain { kinks: near_whole, convention: &[(2.0, 0.0)], ..ALL },
        Unary::Round => Domain { kinks: near_half, convention: &[(2.5, 0.0)], ..ALL },
        Unary::Log | Unary::Rsqrt => POSITIVE,
        Unary::Sqrt => Domain { convention: &[(0.0, f32::INFINITY)], ..POSITIVE },
        Unary::Log1p => Domain { low: -0.9, high: 100.0, ..ALL },
        Unary::Reciprocal => Domain { kinks: |x| x.abs() < 0.3, ..ALL },
        Unary::Erfinv => Domain { low: -0.9, high: 0.9, ..ALL },
        Unary::Not | Unary::IsFinite => return None,
    })
}

/// Checks a function at those of the points where it is smooth.
fn check_pairs(op: Binary, points: &[(f32, f32)]) -> Result<(), String> {
    let usable = |a: f32, b: f32| match op {
        Binary::Add | Binary::Sub | Binary::Mul => true,
        Binary::Div => b.abs() > 0.2,
        // A step of b moves a / b by so much; and where that is large, differences are coarse.
        Binary::Rem => {
            b.abs() > 0.2 && (a / b).abs() < 40.0 && (a / b - (a / b).round()).abs() > 0.01 + (a / b / b).abs() * 0.003
        }
        // Not where the result is too large for its square.
        Binary::Pow => a > 0.1 && (b * a.ln()).abs() < 50.0,
        Binary::Max | Binary::Min => (a - b).abs() > 0.01,
        Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => false,
        Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le => false,
    };
    let (a, b): (Vec<f32>, Vec<f32>) = points.iter().copied().filter(|&(a, b)| usable(a, b)).unzip();
    if a.is_empty() {
        return Ok(());
    }
    let n = a.len();
    check(|x| apply(op, &x[0], &x[1]), &[array([n], &a), array([n], &b)])
}

/// 0 and ±100 in all combinations, and with a number between. One at a time: beside a large result, differences of a small one are coarse.
#[test]
fn functions_of_two_elements_at_their_ends() {
    let ends = [0.0f32, 100.0, -100.0];
    let points = ends.iter().flat_map(|&x| ends.iter().map(move |&y| (x, y)).chain([(x, 1.5), (1.5, x)]));
    for (a, b) in points {
        for op in Binary::ALL {
            if let Err(error) = check_pairs(op, &[(a, b)]) {
                panic!("{} at ({a}, {b}): {error}", op.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn functions_of_one_element(unit in proptest::collection::vec(0.0f32..=1.0, 3)) {
        for op in Unary::ALL {
            let Some(Domain { low, high, kinks, .. }) = domain(op) else { continue };
            let ends = [0.0, 1.0, 0.5];
            let points: Vec<f32> = unit.iter().chain(&ends).map(|u| low + (high - low) * u).filter(|x| !kinks(*x)).collect();
            let checked = check(|x| x[0].unary(op), &[array([points.len()], &points)]);
            prop_assert!(checked.is_ok(), "{}: {} at {points:?}", op.name(), checked.unwrap_err());
        }
    }

    #[test]
    fn functions_of_two_elements(a in proptest::collection::vec(-3.0f32..3.0, 4), b in proptest::collection::vec(-3.0f32..3.0, 4)) {
        let points: Vec<(f32, f32)> = a.into_iter().zip(b).collect();
        for op in Binary::ALL {
            let checked = check_pairs(op, &points);
            prop_assert!(checked.is_ok(), "{}: {} at {points:?}", op.name(), checked.unwrap_err());
        }
    }

    /// A chain of any views, against differences: each rule is the adjoint of its view.
    #[test]
    fn chains_of_views(picks in proptest::collection::vec((0usize..6, 0usize..100), 1..5)) {
        let shape = [2usize, 3, 4];
        let checked = check(
            |x| picks.iter().fold(x[0].clone(), |x, &(view, salt)| look(&x, view, salt)),
            &[spread(shape, picks.len())],
        );
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }

    /// A running product's gradient is right with any number of zeros.
    #[test]
    fn running_products_with_zeros(zeros in proptest::collection::vec(any::<bool>(), 7), reverse: bool, exclusive: bool) {
        let values: Vec<f32> = zeros.iter().enumerate().map(|(i, z)| if *z { 0.0 } else { 0.5 + i as f32 / 4.0 }).collect();
        let how = Cumulate { op: CumulateOp::Prod, reverse, exclusive };
        let checked = check(|x| x[0].cumulate(how, 0), &[array([7], &values)]);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }

    /// The product of the others is right with any number of zeros.
    #[test]
    fn products_with_zeros(zeros in proptest::collection::vec(any::<bool>(), 7)) {
        let values: Vec<f32> = zeros.iter().enumerate().map(|(i, z)| if *z { 0.0 } else { 0.5 + i as f32 / 4.0 }).collect();
        let checked = check(|x| x[0].prod(..), &[array([7], &values)]);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}

fn apply(op: Binary, a: &Tensor, b: &Tensor) -> Tensor {
    let meta = a.meta().unwrap().clone();
    Tensor::record_one(Op::Binary(op), vec![a.clone(), b.clone()], meta, std::panic::Location::caller())
}

/// The view number `view`, with details that follow from `salt`.
fn look(x: &Tensor, view: usize, salt: usize) -> Tensor {
    let shape = x.shape().unwrap().clone();
    let rank = shape.rank();
    let axis = salt % rank;
    match view {
        0 => x.reshape([shape[0], shape[1..].iter().product()]),
        1 => x.permute((0..rank).map(|a| ((a + salt) % rank) as isize).collect::<Vec<_>>()),
        2 => x.expand_dims(axis as isize).broadcast_to({
            let mut to = shape.to_vec();
            to.insert(axis, 2);
            to
        }),
        3 => x.slice_axes(
            shape
                .iter()
                .enumerate()
                .map(|(a, &n)| SliceAxis {
                    start: (salt + a) % n.min(2),
                    stop: n - salt % 2 % n,
                    step: 1 + (salt / 3 + a) % 3,
                })
                .map(|s| if s.stop > s.start { s } else { SliceAxis { start: 0, stop: 1, step: 1 } })
                .collect::<Vec<_>>(),
        ),
        4 => x.pad((0..rank).map(|a| (salt % (a + 2), (salt / 2) % 2)).collect::<Vec<_>>(), 0.7),
        _ => x.flip([axis as isize]),
    }
}

#[test]
fn functions_without_a_derivative_follow_the_convention() {
    for op in Unary::ALL {
        for &(at, slope) in domain(op).map_or(&[][..], |d| d.convention) {
            let x = Tensor::from_vec([at], [1]);
            let [dx] = grad(&x.unary(op).sum_all(), [&x]).unwrap();
            assert_eq!(value(&dx), [slope], "{} at {at}", op.name());
        }
    }
}

#[test]
fn ties_share_evenly() {
    let (a, b) = (Tensor::from_vec([1.0f32, 2.0, 3.0], [3]), Tensor::from_vec([1.0f32, 3.0, 2.0], [3]));
    let [da, db] = grad(&a.maximum(&b).sum_all(), [&a, &b]).unwrap();
    assert_eq!((value(&da), value(&db)), (vec![0.5, 0.0, 1.0], vec![0.5, 1.0, 0.0]));
    let [da, db] = grad(&a.minimum(&b).sum_all(), [&a, &b]).unwrap();
    assert_eq!((value(&da), value(&db)), (vec![0.5, 1.0, 0.0], vec![0.5, 0.0, 1.0]));
    let x = Tensor::from_vec([4.0f32, 1.0, 4.0, 1.0], [4]);
    let [dx] = grad(&x.max(..), [&x]).unwrap();
    assert_eq!(value(&dx), [0.5, 0.0, 0.5, 0.0]);
    let [dx] = grad(&x.min(..), [&x]).unwrap();
    assert_eq!(value(&dx), [0.0, 0.5, 0.0, 0.5]);
}

#[test]
fn running_maxima_go_to_the_first() {
    let x = Tensor::from_vec([1.0f32, 3.0, 2.0, 3.0, 4.0], [5]);
    let [dx] = grad(&x.cummax(0).sum_all(), [&x]).unwrap();
    assert_eq!(value(&dx), [1.0, 3.0, 0.0, 0.0, 1.0]);
    let how = Cumulate { op: CumulateOp::Min, reverse: true, exclusive: false };
    let [dx] = grad(&x.cumulate(how, 0).sum_all(), [&x]).unwrap();
    assert_eq!(value(&dx), [1.0, 0.0, 2.0, 1.0, 1.0]);
}

#[test]
fn max_pooling_takes_the_first() {
    let pool = Pool2d { window: [2, 2], strides: [2, 2], pads: [(0, 0); 2] };
    let x = Tensor::from_vec([1.0f32, 5.0, 5.0, 5.0], [1, 2, 2, 1]);
    let [dx] = grad(&x.max_pool2d(pool).sum_all(), [&x]).unwrap();
    assert_eq!(value(&dx), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn powers_at_zero_and_below() {
    let (a, b) = (Tensor::from_vec([0.0f32, 0.0, 0.0, -2.0], [4]), Tensor::from_vec([0.0f32, 1.0, 2.0, 2.0], [4]));
    let [da, db] = grad(&a.pow(&b).sum_all(), [&a, &b]).unwrap();
    assert_eq!(value(&da), [0.0, 1.0, 0.0, -4.0]);
    assert_eq!(value(&db), [0.0; 4]);
}

#[test]
fn casts_between_floats_cast_back() {
    let x = Tensor::from_vec([1.0f32, 2.0], [2]);
    let [dx] = grad(&x.cast(DType::F16).square().sum_all(), [&x]).unwrap();
    assert_eq!(dx.dtype().unwrap(), DType::F32);
    assert_eq!(value(&dx), [2.0, 4.0]);
}

/// One primitive of each family and kind.
fn examples() -> Vec<Op> {
    let none = SliceAxis { start: 0, stop: 1, step: 1 };
    let mut ops = vec![
        Op::Leaf,
        Op::Param(0),
        Op::Scalar(Scalar::Float(1.0)),
        Op::Unary(Unary::Tanh),
        Op::Binary(Binary::Mul),
        Op::Select,
        Op::Cast,
        Op::View(View::Slice(vec![none])),
        Op::Concat(1),
        Op::Gather(1),
        Op::ScatterAdd(1),
        Op::Line(LineKind::ArgSort { descending: true }, 1),
        Op::Line(LineKind::Take, 1),
        Op::Line(LineKind::Add, 1),
        Op::RandomBits { stream: 1 },
        Op::Iota(0),
        Op::StopGradient,
    ];
    ops.extend(ReduceOp::ALL.map(|op| Op::Reduce(op, vec![0, 2])));
    for op in CumulateOp::ALL {
        for (reverse, exclusive) in [(false, false), (false, true), (true, false), (true, true)] {
            ops.push(Op::Line(LineKind::Cumulate(Cumulate { op, reverse, exclusive }), 1));
        }
    }
    for how in [(false, false), (false, true), (true, false), (true, true)] {
        ops.push(Op::MatMul(MatMul { transpose_a: how.0, transpose_b: how.1 }));
    }
    let plain = Conv2d { strides: [1, 1], pads: [(0, 0); 2], dilation: [1, 1], groups: 1 };
    let odd = Conv2d { strides: [2, 1], pads: [(1, 0), (1, 2)], dilation: [1, 2], groups: 2 };
    let pool = Pool2d { window: [2, 3], strides: [1, 2], pads: [(1, 0), (1, 1)] };
    for conv in [plain, odd] {
        ops.push(Op::Conv2d(ConvKind::Forward, conv));
        ops.push(Op::Conv2d(ConvKind::InputGrad(().into()), conv));
        ops.push(Op::Conv2d(ConvKind::FilterGrad(().into()), conv));
    }
    let kinds = [PoolKind::Max, PoolKind::MaxGrad, PoolKind::MaxGather, PoolKind::Avg, PoolKind::AvgGrad(().into())];
    ops.extend(kinds.map(|kind| Op::Pool2d(kind, pool)));
    let body = Body::new("double", &[Meta::new(DType::F32, [2])], |p| Ok(vec![&p[0] * 2.0])).unwrap();
    ops.push(Op::Call(body.clone()));
    ops.push(Op::Scan(body, ScanSpec { steps: 3, carries: 1, inputs: 0, reverse: false }));
    ops.push(Op::Error(addax_tensor::Error::argument("a mistake")));
    ops
}

#[test]
fn every_primitive_against_differences() {
    for op in examples() {
        if let Err(error) = check_op(&op) {
            panic!("{op:?}: {error}");
        }
    }
}

/// Checks one primitive, or that it carries no gradient.
fn check_op(op: &Op) -> Result<(), String> {
    let at = |values: &[i32]| Tensor::from_vec(values, [values.len()]);
    match op {
        // Data: what gradients are taken for.
        Op::Leaf => check(|x| x[0].clone(), &[spread([3], 0)]),
        Op::Param(_) | Op::Scalar(_) | Op::RandomBits { .. } | Op::Iota(_) | Op::StopGradient => {
            let x = Tensor::from_vec([1.0f32], [1]);
            let constant = match op {
                Op::RandomBits { .. } => random::uniform(&random::key(1, 0), 2, [1]),
                Op::Iota(_) => Tensor::iota(DType::F32, [1], 0),
                Op::StopGradient => x.stop_gradient(),
                _ => Tensor::full(DType::F32, [1], 3.0),
            };
            let [dx] = grad(&(&x + constant.square()).sum_all(), [&x]).unwrap();
            assert_eq!(value(&dx), [1.0]);
            Ok(())
        }
        // Checked at many points above.
        Op::Unary(op) => check(|x| x[0].unary(*op), &[spread([3], 0)]),
        Op::Binary(op) => check(|x| apply(*op, &x[0], &x[1]), &[spread([3], 0), spread([3], 1)]),
        Op::Select => {
            let inputs = [Array::new([4], &[true, false, false, true]).unwrap(), spread([4], 0), spread([4], 1)];
            check(|x| x[0].select(&x[1], &x[2]).square(), &inputs)
        }
        // To another float type and back is checked above: there is no f16 between f64 points.
        Op::Cast => check(|x| x[0].cast(DType::F32) * x[0].cast(DType::I32).cast(DType::F32), &[spread([3], 0)]),
        Op::View(_) => check(|x| look(&look(&x[0], 3, 4), 4, 1), &[spread([3, 4], 0)]),
        Op::Concat(axis) => {
            let inputs = [spread([2, 1], 0), spread([2, 3], 1), spread([2, 2], 2)];
            check(|x| Tensor::concat(x, *axis as isize).square(), &inputs)
        }
        Op::Reduce(op, axes) => {
            let x = spread([2, 2, 3], 1);
            match op {
                ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Max | ReduceOp::Min => {
                    check(|x| x[0].reduce(*op, axes.clone()).square(), &[x])
                }
                ReduceOp::ArgMax | ReduceOp::ArgMin => {
                    let x = Tensor::from_array(x);
                    let refused = grad(&x.reduce(*op, 1).cast(DType::F32).sum_all(), [&x]);
                    refused.map(|_| ()).map_or(Ok(()), |_| Err("carries a gradient".into()))
                }
                ReduceOp::Any | ReduceOp::All => {
                    let x = Tensor::from_array(x);
                    let refused = grad(&x.reduce(*op, ..).cast(DType::F32).sum_all(), [&x]);
                    refused.map(|_| ()).map_or(Ok(()), |_| Err("carries a gradient".into()))
                }
            }
        }
        Op::MatMul(how) => {
            let stored = |transposed: bool, r, c| if transposed { [c, r] } else { [r, c] };
            let (a, b) = (stored(how.transpose_a, 2, 3), stored(how.transpose_b, 3, 4));
            let batched = |s: [usize; 2]| [2, s[0], s[1]];
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(a, 0), spread(b, 1)])?;
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(batched(a), 0), spread(batched(b), 1)])?;
            // Shared by a batch, on either side.
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(batched(a), 0), spread(b, 1)])?;
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(a, 0), spread(batched(b), 1)])?;
            // Shared by some of the batch axes: the outer, the inner.
            let wide = [3, 2, a[0], a[1]];
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(wide, 0), spread(batched(b), 1)])?;
            check(|x| x[0].matmul_with(&x[1], *how), &[spread(wide, 0), spread([3, 1, b[0], b[1]], 1)])
        }
        Op::Conv2d(kind, conv) => {
            let (x, w) = ([1, 4, 5, 2], [2, 3, 2 / conv.groups, 2]);
            let y = [1, conv.output_len(0, 4, 2), conv.output_len(1, 5, 3), 2];
            match kind {
                ConvKind::Forward => check(|t| t[0].conv2d(&t[1], *conv), &[spread(x, 0), spread(w, 1)]),
                ConvKind::InputGrad(_) => {
                    check(|t| t[0].conv2d_input_grad(&t[1], x, *conv), &[spread(y, 0), spread(w, 1)])
                }
                ConvKind::FilterGrad(_) => {
                    check(|t| t[0].conv2d_filter_grad(&t[1], w, *conv), &[spread(x, 0), spread(y, 1)])
                }
            }
        }
        Op::Pool2d(kind, pool) => {
            let x = [1, 3, 5, 2];
            let y = [1, pool.output_len(0, 3), pool.output_len(1, 5), 2];
            match kind {
                PoolKind::Max => check(|t| t[0].max_pool2d(*pool), &[spread(x, 0)]),
                PoolKind::MaxGrad => check(|t| t[0].max_pool2d_grad(&t[1], *pool), &[spread(x, 0), spread(y, 1)]),
                PoolKind::MaxGather => check(|t| t[0].max_pool2d_gather(&t[1], *pool), &[spread(x, 0), spread(x, 1)]),
                PoolKind::Avg => check(|t| t[0].avg_pool2d(*pool), &[spread(x, 0)]),
                PoolKind::AvgGrad(_) => check(|t| t[0].avg_pool2d_grad(x, *pool), &[spread(y, 0)]),
            }
        }
        // With an index twice, and one out of range.
        Op::Gather(axis) => {
            check(|x| x[0].gather(&at(&[2, 0, 2, 9]), *axis as isize).square(), &[spread([2, 3, 2], 0)])
        }
        Op::ScatterAdd(axis) => {
            check(|x| x[0].scatter_add(&at(&[2, 0, 2, 9]), *axis as isize, 3).square(), &[spread([2, 4, 2], 0)])
        }
        Op::Line(LineKind::Cumulate(how), axis) => {
            let axis = *axis as isize;
            // The folds of nothing are infinite: they are left out.
            let finite = |y: Tensor| match (how.op, how.exclusive, how.reverse) {
                (CumulateOp::Sum | CumulateOp::Prod, ..) | (_, false, _) => y,
                (_, true, false) => y.slice(axis, 1..),
                (_, true, true) => y.slice(axis, ..4),
            };
            check(|x| finite(x[0].cumulate(*how, axis)).square(), &[spread([2, 5, 2], 0)])
        }
        Op::Line(LineKind::ArgSort { descending }, axis) => {
            // Sorting is choosing.
            check(|x| x[0].sort(*axis as isize, *descending).square(), &[spread([2, 5, 2], 0)])
        }
        // With an index twice, and one out of range.
        Op::Line(LineKind::Take, axis) => {
            let at = Tensor::from_vec([2, 0, 2, 9], [1, 4, 1]);
            check(|x| x[0].take_along_axis(&at, *axis as isize).square(), &[spread([2, 3, 2], 0)])
        }
        Op::Line(LineKind::Add, axis) => {
            let at = Tensor::from_vec([2, 0, 2, 9], [1, 4, 1]);
            check(|x| x[0].add_along_axis(&at, *axis as isize, 3).square(), &[spread([2, 4, 2], 0)])
        }
        // The same input twice, an output that is not used, and one that is a parameter.
        Op::Call(_) => check(
            |x| {
                let meta = Meta::new(DType::F32, [3]);
                let body = Body::new("cell", &[meta.clone(), meta], |p| {
                    let y = (&p[0] * p[1].sin()).tanh();
                    Ok(vec![&y * &p[0], y.exp(), p[1].clone()])
                });
                let body = body.unwrap();
                let first = Tensor::call(&body, &[x[0].clone(), x[0].clone()]).unwrap();
                let second = Tensor::call(&body, &[first[0].clone(), first[2].clone()]).unwrap();
                &second[0] + &second[1]
            },
            &[spread([3], 0)],
        ),
        // Its cases have a file of their own.
        Op::Scan(..) => check(
            |x| {
                let metas = [Meta::new(DType::F32, [2]), Meta::new(DType::F32, [2])];
                let body = Body::new("cell", &metas, |p| Ok(vec![(&p[0] * &p[1]).sin()])).unwrap();
                let spec = ScanSpec { steps: 3, carries: 1, inputs: 1, reverse: false };
                Tensor::scan(&body, spec, x).unwrap()[0].clone()
            },
            &[spread([2], 0), spread([3, 2], 1)],
        ),
        Op::Error(_) => {
            let x = Tensor::from_vec([1.0f32, 2.0], [2]);
            let broken = (&x + Tensor::zeros([3])).sum_all();
            let error = grad(&broken, [&x]).unwrap_err().to_string();
            assert!(error.contains("do not broadcast") && error.contains(file!()), "{error}");
            Ok(())
        }
    }
}
