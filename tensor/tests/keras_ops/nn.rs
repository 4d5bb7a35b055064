use super::fixture::Cases;
use addax_tensor::{
    DType, Tensor,
    ops::{ConvNd, Interpolation, Margin, Pads},
};
use proptest::prelude::*;

#[test]
fn nn() {
    let mut cases = Cases::of("nn");
    cases.hold("threshold", |x| x[0].threshold(0.5, -7.0));
    cases.hold("threshold of integers", |x| x[0].threshold(3i64, 9i64));
    cases.hold("sparsemax", |x| x[0].sparsemax(-1));
    cases.hold("sparsemax of columns", |x| x[0].sparsemax(-2));
    cases.hold("fold 2 4", |x| x[0].fold([2, 4], [2, 3], [1, 1], [1, 0], [1, 1]));
    cases.hold("fold 5 5", |x| x[0].fold([5, 5], [3, 2], [1, 2], [0, 0], [2, 2]));
    let same = ConvNd { strides: [2, 1, 1], pads: Pads::Same, ..ConvNd::default() };
    let valid = ConvNd { dilation: [2, 1, 1], ..ConvNd::default() };
    cases.hold("depthwise_conv3d same", |x| x[0].depthwise_conv3d(&x[1], &same));
    cases.hold("depthwise_conv3d valid", |x| x[0].depthwise_conv3d(&x[1], &valid));
    cases.hold("separable_conv3d same", |x| x[0].separable_conv3d(&x[1], &x[2], &same));
    let margins = [
        ("reflect", Margin::Reflect),
        ("symmetric", Margin::Symmetric),
        ("edge", Margin::Edge),
        ("wrap", Margin::Wrap),
    ];
    for (mode, margin) in margins {
        cases.hold(&format!("pad {mode}"), |x| x[0].pad_with([(1, 2), (0, 0), (3, 1)], margin));
    }
    cases.hold("extract_sequences", |x| x[0].extract_sequences(3, 2));
    cases.hold("extract_sequences apart", |x| x[0].extract_sequences(2, 4));
    for (method, interpolation) in [("lanczos3", Interpolation::Lanczos3), ("lanczos5", Interpolation::Lanczos5)] {
        for size in [[5, 2], [4, 11], [3, 9]] {
            cases.hold(&format!("resize {method} {} {}", size[0], size[1]), |x| x[0].resize(size, interpolation));
        }
    }
    cases.end();
}

#[test]
fn nothing_to_extract_is_nothing() {
    let x = Tensor::zeros([2, 3]).extract_sequences(4, 1);
    assert_eq!(x.shape().unwrap().dims(), [2, 0, 4]);
    assert!(x.to_vec::<f32>().unwrap().is_empty());
    assert_eq!(Tensor::zeros([0, 3]).pad_with([(0, 0), (1, 1)], Margin::Edge).shape().unwrap().dims(), [0, 5]);
    assert_eq!(Tensor::zeros([2, 3]).cast(DType::BF16).sparsemax(-1).dtype().unwrap(), DType::BF16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// What `fold` adds up is what `unfold` took apart: `⟨unfold x, y⟩ = ⟨x, fold y⟩`.
    #[test]
    fn fold_is_the_adjoint_of_unfold(
        size in [1usize..6, 1usize..6], kernel in [1usize..3, 1usize..4], dilation in [1usize..3, 1usize..3],
        padding in [0usize..2, 0usize..2], stride in [1usize..3, 1usize..3], seed in 0usize..99,
    ) {
        let data = |n: usize| -> Vec<i32> { (0..n).map(|i| ((i * 7 + seed) % 11) as i32 - 5).collect() };
        let x = Tensor::from_vec(data(2 * size[0] * size[1]), [1, 2, size[0], size[1]]);
        let windows = x.unfold(kernel, dilation, padding, stride);
        prop_assume!(windows.check().is_ok());
        let shape = windows.shape().unwrap();
        let y = Tensor::from_vec(data(shape.numel()), shape.clone());
        let folded = y.fold(size, kernel, dilation, padding, stride);
        prop_assert_eq!(windows.vdot(&y).to_vec::<i32>().unwrap(), x.vdot(&folded).to_vec::<i32>().unwrap());
    }
}
