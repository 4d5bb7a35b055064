//! Gradients of composites that take more than one primitive's rule: against differences.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax_autodiff::{
    Array, Tensor,
    gradcheck::{Options, gradcheck},
};
use addax_tensor::ops::{Between, Combine, ConvNd, ConvTransposeNd, Interpolation, Margin, Overlap, Pads, PoolNd};
use common::spread;

#[track_caller]
fn check(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Array]) {
    let report = gradcheck(f, inputs, Options { tolerance: 1e-6, ..Options::default() }).unwrap();
    assert!(report.elements > 0);
}

#[test]
fn sorting_and_what_is_made_of_it() {
    check(|x| x[0].sort(0, true).cumsum(0).square(), &[spread([5, 2], 0)]);
    check(|x| x[0].top_k(2).0.square(), &[spread([2, 5], 0)]);
    check(|x| x[0].quantile(0.4, 1).square(), &[spread([2, 5], 0)]);
    check(|x| x[0].median(0).square(), &[spread([4, 2], 0)]);
    check(|x| x[0].logcumsumexp(1), &[spread([2, 5], 0)]);
    let at = Tensor::from_vec([3, 0, 3, 1], [2, 2]);
    check(|x| x[0].put_along_axis(&at, &x[1], 1).square(), &[spread([2, 4], 0), spread([2, 2], 1)]);
}

#[test]
fn signals_and_what_is_not_a_number() {
    check(|x| (&x[0] * 8.0).i0(), &[spread([7], 0)]);
    check(|x| (&x[0] * 4.0 + 9.0).i0() * 1e-3, &[spread([5], 0)]);
    check(|x| x[0].corrcoef().square(), &[spread([3, 4], 0)]);
    check(|x| x[0].correlate(&x[1], Overlap::Same).square(), &[spread([5], 0), spread([3], 1)]);
    check(|x| x[0].correlate(&x[1], Overlap::Full).square(), &[spread([2], 0), spread([4], 1)]);
    let holes = Tensor::from_vec([true, false, true, true, false, true, true, true], [2, 4]);
    let with_holes = |x: &Tensor| holes.select(x, f64::NAN);
    check(|x| with_holes(&x[0]).nanquantile(0.3, 1, Between::Linear).square(), &[spread([2, 4], 0)]);
    check(|x| with_holes(&x[0]).nancumprod(1), &[spread([2, 4], 0)]);
    check(|x| x[0].segment_prod(&Tensor::from_vec([1, 0, 1, 1], [4]), 3), &[spread([4, 2], 0)]);
    check(|x| (&x[0] * 0.7).sparsemax(-1).square(), &[spread([2, 5], 0)]);
    check(|x| x[0].pad_with([(3, 2), (0, 1)], Margin::Reflect).square(), &[spread([3, 2], 0)]);
    check(|x| x[0].fold([4, 3], [2, 2], [1, 1], [1, 0], [1, 1]).square(), &[spread([1, 8, 10], 0)]);
    check(|x| x[0].extract_sequences(3, 1).square(), &[spread([2, 5], 0)]);
}

#[test]
fn sums_of_products() {
    check(
        |x| Tensor::einsum("bij,jk,bk->i", &[&x[0], &x[1], &x[2]]).unwrap(),
        &[spread([2, 3, 2], 0), spread([2, 3], 1), spread([2, 3], 2)],
    );
    check(|x| Tensor::einsum("ii->i", &[&x[0]]).unwrap().square(), &[spread([3, 3], 0)]);
}

#[test]
fn convolutions_and_poolings() {
    let causal = ConvNd { pads: Pads::Causal, dilation: [2], ..ConvNd::default() };
    check(|x| x[0].conv1d(&x[1], &causal).square(), &[spread([1, 5, 2], 0), spread([2, 2, 2], 1)]);
    let same = ConvNd { pads: Pads::Same, strides: [2, 1, 2], ..ConvNd::default() };
    check(|x| x[0].conv3d(&x[1], &same), &[spread([1, 3, 2, 3, 1], 0), spread([2, 2, 1, 1, 2], 1)]);
    let wider = ConvTransposeNd { strides: [2, 2, 1], pads: Pads::Same, ..ConvTransposeNd::default() };
    check(|x| x[0].conv_transpose3d(&x[1], &wider), &[spread([1, 2, 2, 2, 1], 0), spread([2, 3, 1, 2, 1], 1)]);
    let plain = ConvNd::default();
    check(
        |x| x[0].separable_conv2d(&x[1], &x[2], &plain),
        &[spread([1, 3, 3, 2], 0), spread([2, 2, 2, 2], 1), spread([1, 1, 4, 1], 2)],
    );
    let pool = PoolNd { window: [2; 3], strides: [1; 3], pads: Pads::Same };
    check(|x| x[0].max_pool3d(&pool).square(), &[spread([1, 2, 3, 2, 1], 0)]);
    check(|x| x[0].avg_pool3d(&pool).square(), &[spread([1, 2, 3, 2, 1], 0)]);
    check(|x| x[0].adaptive_max_pool(&[2, 2]).square(), &[spread([1, 5, 3, 1], 0)]);
    check(|x| x[0].adaptive_avg_pool(&[2, 2]).square(), &[spread([1, 5, 3, 1], 0)]);
    check(|x| x[0].resize([4, 2], Interpolation::Bicubic).square(), &[spread([1, 3, 4, 1], 0)]);
}

/// Symmetric positive definite, from anything.
fn definite(x: &Tensor) -> Tensor {
    x.matmul(&x.t()) + Tensor::eye(3)
}

#[test]
fn factorisations() {
    check(|x| definite(&x[0]).cholesky(), &[spread([2, 3, 3], 0)]);
    check(|x| (&x[0] + Tensor::eye(3) * 2.0).solve_triangular(&x[1], true), &[spread([3, 3], 0), spread([2, 3, 2], 1)]);
    check(|x| (&x[0] + Tensor::eye(3) * 2.0).solve(&x[1]), &[spread([2, 3, 3], 0), spread([3, 1], 1)]);
    check(|x| x[0].det(), &[spread([2, 3, 3], 0)]);
    check(|x| x[0].qr().unwrap().1, &[spread([4, 2], 0)]);
    check(|x| x[0].qr().unwrap().0, &[spread([3, 3], 0)]);
    check(|x| (&x[0] + Tensor::eye(3) * 2.0).logdet(), &[spread([2, 3, 3], 0)]);
    check(|x| (&x[0] + Tensor::eye(3) * 2.0).lu_factor().unwrap().0, &[spread([3, 3], 0)]);
    check(|x| (&x[0] + Tensor::eye(2) * 2.0).matrix_power(-3), &[spread([2, 2], 0)]);
    check(|x| x[0].cdist(&x[1]), &[spread([3, 2], 0), spread([2, 2], 1)]);
}

/// Not that of the loops, but that of first order. Products of vectors, so that their signs do not matter.
#[test]
fn eigenvalues_and_singular_values() {
    check(|x| x[0].eigh().unwrap().0.square(), &[spread([2, 3, 3], 0)]);
    let vectors = |x: &Tensor| {
        let (values, vectors) = x.eigh().unwrap();
        (&vectors * values.sin().expand_dims(-2)).matmul(&vectors.t())
    };
    check(|x| vectors(&x[0]), &[spread([3, 3], 0)]);
    check(|x| x[0].svd().unwrap().1, &[spread([2, 3, 2], 0)]);
    let factors = |x: &Tensor| {
        let (u, sigma, vt) = x.svd().unwrap();
        (u * sigma.sin().expand_dims(-2)).matmul(&vt)
    };
    check(|x| factors(&x[0]), &[spread([4, 2], 0)]);
    check(|x| factors(&x[0]), &[spread([2, 3], 0)]);
    check(|x| x[0].pinv(None), &[spread([3, 2], 0)]);
}

#[test]
fn written_looped_and_transformed() {
    let at = Tensor::from_vec([2, 0, 2], [3, 1]);
    for combine in [Combine::Replace, Combine::Add, Combine::Max, Combine::Mul] {
        check(|x| x[0].scatter_update(&at, &x[1], combine).square(), &[spread([3, 2], 0), spread([3, 2], 1)]);
    }
    check(|x| x[0].slice_update([1, 0], &x[1]).square(), &[spread([3, 2], 0), spread([1, 2], 1)]);
    check(
        |x| Tensor::map(&x[..1], &x[1..], |p| Ok(vec![(&p[0] * &p[1]).sin()])).unwrap().remove(0),
        &[spread([3, 2], 0), spread([2], 1)],
    );
    check(
        |x| Tensor::fori_loop(0, 3, &x[..1], &x[1..], |p| Ok(vec![(&p[1] * &p[2]).sin()])).unwrap().remove(0),
        &[spread([2], 0), spread([2], 1)],
    );
    let labels = Tensor::from_vec([1, 1, 2, 3], [2, 2]);
    let (label_lengths, lengths) = (Tensor::from_vec([2, 1], [2]), Tensor::from_vec([4, 3], [2]));
    check(|x| x[0].ctc_loss(&labels, &label_lengths, &lengths, 0), &[spread([2, 4, 4], 0)]);
    check(
        |x| {
            let (re, im) = x[0].fft(&x[1]).unwrap();
            re.square() + im * 0.3
        },
        &[spread([6], 0), spread([6], 1)],
    );
}
