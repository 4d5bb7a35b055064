//! Every operation's mistakes and nodes carry the line of the program that called it, not a line of the library.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Operand, Tensor, Variable,
    graph::{Conv2d, MatMul, Pool2d, ReduceOp, SliceAxis, topological},
    ops::{Between, ConvNd, Margin, Overlap},
    random,
};

/// Expressions, each under its own text.
macro_rules! named {
    ($($expression:expr),* $(,)?) => { [$((stringify!($expression), $expression)),*] };
}

fn x() -> Tensor {
    Tensor::from_vec([1.0f32, -2.0, 3.0, 4.0, 5.0, 6.0], [2, 3])
}
fn image() -> Tensor {
    Tensor::ones([1, 5, 5, 2])
}
const POOL: Pool2d = Pool2d { window: [2, 2], strides: [2, 2], pads: [(0, 0); 2] };
const CONV: Conv2d = Conv2d { strides: [1, 1], pads: [(0, 0); 2], dilation: [1, 1], groups: 1 };

#[test]
fn a_mistake_has_the_callers_line() {
    let (x, image, flags) = (x(), image(), x().greater(0.0));
    let bad = Tensor::ones([4, 5]);
    let small = Pool2d { window: [9, 9], ..POOL };
    let wrong = named![
        &x + &bad,
        x.clone() - bad.clone(),
        1.0 / (&x * &bad),
        &flags - &bad,
        -(&x % &bad),
        x.pow(&bad),
        x.maximum(&bad),
        x.logical_and(&x),
        x.shift_left(1),
        x.equal(&bad),
        x.greater(&bad),
        x.greater_equal(&bad),
        x.clip(&bad, 1.0),
        x.clip(0.0, Operand::from(&bad)),
        x.logical_not(),
        x.select(1.0, 2.0),
        flags.select(&bad, 0.0),
        x.sum(5),
        x.sum_keepdims(5),
        x.prod_keepdims([0, 0]),
        x.max(5),
        x.max_keepdims(5),
        Tensor::zeros([2, 0]).min_keepdims(1),
        x.any_keepdims(7),
        x.all(7),
        x.mean(5),
        x.mean_keepdims(5),
        x.argmax(5),
        x.argmin(5),
        x.reduce(ReduceOp::ArgMax, [0, 1]),
        x.logsumexp(5),
        Tensor::zeros([2, 0]).logsumexp(1),
        Tensor::zeros([2, 0]).softmax(1),
        x.softmax(5),
        x.log_softmax(5),
        flags.gelu(true),
        x.matmul(&bad),
        x.matmul(&Tensor::ones([2])),
        Tensor::ones([2]).matmul(&Tensor::ones([3])),
        Tensor::ones([4]).matmul(&x),
        x.matmul_with(&x, MatMul::default()),
        x.reshape([7]),
        x.permute([0, 0]),
        x.swap_axes(0, 4),
        Tensor::ones([2]).t(),
        x.broadcast_to([5]),
        x.slice(0, 2..9),
        x.slice(4, ..),
        x.slice_axes([SliceAxis { start: 0, stop: 1, step: 1 }]),
        x.pad([(1, 1)], 0.0),
        x.flip(6),
        x.expand_dims(9),
        x.squeeze(0),
        Tensor::concat(&[], 0),
        Tensor::concat(&[x.clone(), bad.clone()], 0),
        Tensor::stack(std::slice::from_ref(&x), 9),
        Tensor::stack(&[x.clone(), bad.clone()], 0),
        x.gather(&x, 0),
        x.gather(&Tensor::arange(2), 8),
        x.scatter_add(&x, 0, 4),
        x.scatter_add(&Tensor::arange(7), 0, 4),
        x.one_hot(3, DType::F32),
        Tensor::from_vec([1.0f32], [2]),
        bad.check().map_or(x.clone(), |()| x.clone()) + Tensor::from_vec([1i32], [3, 3]),
        Tensor::iota(DType::I32, [2], 4),
        x.conv2d(&x, CONV),
        image.conv2d(&x, CONV),
        image.conv2d(&Tensor::ones([9, 9, 2, 1]), CONV),
        image.conv2d_input_grad(&x, [1, 5, 5, 2], CONV),
        image.conv2d_filter_grad(&x, [2, 2, 2, 1], CONV),
        x.max_pool2d(POOL),
        image.max_pool2d(small),
        image.avg_pool2d(small),
        image.max_pool2d_grad(&image, POOL),
        image.max_pool2d_gather(&x, POOL),
        image.avg_pool2d_grad([1, 3, 3, 2], POOL),
        random::bits(&x, 0, [2]),
        random::uniform(&x, 0, [2]),
        random::normal(&x, 0, [2]),
        Tensor::stack(&[x.reshape([7]), x.clone()], 0),
        x.arctan2(&bad),
        x.hypot(&bad),
        x.ldexp(&bad),
        x.logaddexp2(&bad),
        x.heaviside(&bad),
        x.is_close(&bad, 0.0, 0.0, true),
        x.all_close(&bad, 0.0, 0.0, true),
        x.divide_no_nan(&bad),
        x.fmod(&bad),
        x.fmax(&bad),
        x.fmin(&bad),
        x.bitwise_and(&x),
        x.bitwise_not(),
        x.left_shift(1i64),
        x.right_shift(1i64),
        x.gcd(&x),
        x.lcm(&x),
        x.ptp(5),
        x.var(5),
        x.count_nonzero(5),
        x.percentile(101.0, 0),
        x.average(&bad, 0),
        x.nansum(5),
        x.nanmax(5),
        x.nanmean(5),
        x.nanvar(5),
        x.nanstd(5),
        x.rot90(1, [0, 0]),
        x.fliplr().ravel().fliplr(),
        x.append(&bad, 0),
        Tensor::hstack(&[x.clone(), bad.clone()]),
        Tensor::vstack(&[x.clone(), bad.clone()]),
        Tensor::dstack(&[x.clone(), bad.clone()]),
        Tensor::column_stack(&[x.clone(), bad.clone()]),
        x.kron(&x.reshape([7])),
        x.cross(&bad),
        x.vdot(&bad),
        x.diff(1, 5),
        x.trapezoid(1.0, 5),
        x.trapezoid_at(&bad, 0),
        x.vander(2, true),
        x.searchsorted(&x, true),
        x.bincount(None, 2),
        x.segment_sum(&x, 2),
        x.segment_max(&x, 2),
        x.segment_min(&Tensor::arange(7), 2),
        x.space_to_depth(2),
        image.depth_to_space(2),
        image.unfold([9, 9], [1, 1], [0, 0], [1, 1]),
        x.normalize(5, 2.0, 1e-7),
        x.moments(5).1,
        x.multi_hot(3, DType::F32),
        x.psnr(&bad, 1.0),
        x.take(&x, 0),
        Tensor::kaiser(4, f64::NAN),
        x.argpartition(3, -1),
        x.correlate(&x, Overlap::Full),
        x.expand_dims(0).corrcoef(),
        x.is_in(&x.reshape([7]), false),
        x.in_top_k(&Tensor::arange(3), 1),
        Tensor::geomspace(1.0, -1.0, 3, true),
        x.quantile_between(0.5, 7, Between::Lower),
        x.nanquantile(2.0, 0, Between::Linear),
        x.nanargmax(4),
        x.nancumsum(4),
        x.segment_prod(&x, 3),
        x.threshold(0.0, 1.0) + &bad,
        x.sparsemax(2),
        image.fold([3, 3], [2, 2], [1, 1], [0, 0], [1, 1]),
        x.extract_sequences(0, 1),
        x.pad_with([(1, 1)], Margin::Edge),
        x.depthwise_conv3d(&x, &ConvNd::default()),
        x.separable_conv3d(&x, &x, &ConvNd::default()),
    ];
    for (text, tensor) in wrong {
        let error = tensor.check().expect_err(text);
        let at = error.origin().unwrap_or_else(|| panic!("{text}: no line"));
        assert_eq!(at.file(), file!(), "{text}: {at}");
    }
}

#[test]
fn a_failed_reading_has_the_callers_line() {
    let x = x();
    let v = Variable::new(x.clone());
    let placeholder = Tensor::placeholder(0, DType::F32, [1]);
    let errors = named![
        x.dims::<3>().unwrap_err(),
        x.item::<f32>().unwrap_err(),
        x.to_vec::<u8>().unwrap_err(),
        Tensor::eval(std::slice::from_ref(&placeholder)).unwrap_err(),
        placeholder.to_array().unwrap_err(),
        placeholder.detach().unwrap_err(),
        x.array_split(0, 1).unwrap_err(),
        x.hsplit(2).unwrap_err(),
        x.vsplit([3]).unwrap_err(),
        x.dsplit(1).unwrap_err(),
        x.unravel_index([2, 0]).unwrap_err(),
        v.assign(&Tensor::ones([9])).unwrap_err(),
    ];
    for (text, error) in errors {
        let at = error.origin().unwrap_or_else(|| panic!("{text}: no line"));
        assert_eq!(at.file(), file!(), "{text}: {at}");
    }
}

#[test]
fn every_node_has_the_callers_line() {
    let (x, image, key) = (x(), image(), random::key(1, 2));
    let right = named![
        x.mean_keepdims(0),
        x.logsumexp(-1),
        x.softmax(0),
        x.log_softmax(1),
        x.gelu(false),
        x.gelu(true),
        x.clip(0.0, 1.0),
        x.tan() + x.arctan() + x.arcsin() + x.arccos() + x.arctan2(&x),
        x.sinh() + x.cosh() + x.arcsinh() + x.arccosh() + x.arctanh(),
        x.log2() + x.log10() + x.exp2() + x.cbrt() + x.hypot(1.0) + x.ldexp(2i64) + x.logaddexp2(&x),
        x.erfc() + x.trunc() + x.heaviside(0.5) + x.sinc() + x.deg2rad() + x.rad2deg(),
        x.nan_to_num(0.0, None, None).is_close(&x, 0.0, 0.0, true),
        x.divide_no_nan(&x) + x.fmod(2.0) + x.fmax(&x) + x.fmin(&x),
        x.saturate_cast(DType::U8).gcd(4i64).left_shift(1i64),
        x.nanvar(0) + x.nanmax(0) + x.ptp(0) + x.average(&x, 0),
        x.rot90(1, [0, 1]).diff(1, 0).kron(&x),
        x.ravel().vander(3, false),
        x.ravel().histogram(3, None).unwrap().0,
        x.segment_max(&Tensor::arange(2), 3),
        x.normalize(-1, 1.0, 1e-7),
        x.moments(1).1,
        x.hsplit(3).unwrap().remove(1) + x.array_split([1], 0).unwrap().remove(0),
        x.ravel().correlate(&x.ravel(), Overlap::Full) + Tensor::hamming(11),
        x.i0() + x.corrcoef().sum(..) + x.nanquantile(0.4, 0, Between::Linear),
        x.sparsemax(-1) + x.threshold(0.0, 1.0),
        x.pad_with([(1, 1), (0, 0)], Margin::Edge).extract_sequences(2, 1),
        x.matmul(&Tensor::ones([3])),
        x.t(),
        x.gather(&Tensor::arange(2), 0),
        Tensor::arange(3).one_hot(3, DType::F32),
        Tensor::eye(3),
        Tensor::stack(&[x.clone(), x.clone()], 1),
        random::normal(&key, 3, [4, 2]),
        image.conv2d(&Tensor::ones([3, 3, 2, 4]), CONV),
        image.max_pool2d(POOL),
        x.zeros_like() + x.ones_like(),
        Tensor::from_array(Array::new([1], &[1.0f32]).unwrap()),
    ];
    for (text, tensor) in right {
        for node in topological(&[tensor], |_| false) {
            assert_eq!(node.origin().file(), file!(), "{text}: {node:?} at {}", node.origin());
        }
    }
}
