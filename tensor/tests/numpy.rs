//! Composites under the names of Keras' `ops`, against NumPy's numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{DType, Element, Tensor, reference};
use proptest::prelude::*;
use std::fmt::Debug;

const NAN: f32 = f32::NAN;

fn v<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}

/// On the executor and on the reference.
#[track_caller]
fn gives<T: Element + PartialEq + Debug>(got: Tensor, shape: &[usize], want: &[T]) {
    assert_eq!(got.shape().unwrap().dims(), shape);
    assert_eq!(got.dtype().unwrap(), T::DTYPE);
    let of_reference = reference::evaluate(std::slice::from_ref(&got)).unwrap()[0].to_vec::<T>().unwrap();
    assert_eq!(got.to_vec::<T>().unwrap(), want);
    assert_eq!(of_reference, want);
}

#[track_caller]
fn near(got: Tensor, shape: &[usize], want: &[f32]) {
    assert_eq!(got.shape().unwrap().dims(), shape);
    for values in [got.to_vec::<f32>().unwrap(), reference::evaluate(&[got]).unwrap()[0].to_vec::<f32>().unwrap()] {
        let close =
            |(a, b): (&f32, &f32)| a.is_nan() && b.is_nan() || a == b || (a - b).abs() < 1e-6 * b.abs().max(1.0);
        assert!(values.len() == want.len() && values.iter().zip(want).all(close), "got {values:?}\nexpected {want:?}");
    }
}

#[test]
fn bits() {
    let (a, b) = (v(&[12, -7, 0]), v(&[10, 3, -1]));
    gives(a.bitwise_and(&b), &[3], &[8, 1, 0]);
    gives(a.bitwise_or(&b), &[3], &[14, -5, -1]);
    gives(a.bitwise_xor(&b), &[3], &[6, -6, -1]);
    gives(a.bitwise_not(), &[3], &[-13, 6, -1]);
    gives(v(&[true, false]).bitwise_xor(v(&[true, true])), &[2], &[false, true]);
    gives(v(&[true, false]).bitwise_not(), &[2], &[false, true]);
    gives(v(&[5, -5, 1, 1]).left_shift(v(&[2, 2, 31, 32])), &[4], &[20, -20, i32::MIN, 0]);
    gives(v(&[5, -5, 9, -9]).right_shift(v(&[1, 1, 40, 40])), &[4], &[2, -3, 0, -1]);
    gives(v(&[5u32, u32::MAX]).right_shift(v(&[1u32, 32])), &[2], &[2u32, 0]);
    // The numbers for which Euclid's algorithm takes longest.
    gives(v(&[1_836_311_903, 48]).gcd(v(&[1_134_903_170, -180])), &[2], &[1, 12]);
    gives(v(&[0, 4, 21]).lcm(v(&[0, 0, -6])), &[3], &[0, 0, 42]);
    assert!(v(&[1.0f32]).gcd(2i64).check().unwrap_err().to_string().contains("gcd needs integers"));
    assert!(v(&[1.0f32]).bitwise_not().check().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A shift is a product or a quotient, and both numbers are made of their greatest divisor.
    #[test]
    fn whole_numbers(a in -9999i32..9999, b in -9999i32..9999, n in 0i64..12) {
        let x = v(&[a]);
        prop_assert_eq!(x.left_shift(n).to_vec::<i32>().unwrap(), [a << n]);
        prop_assert_eq!(x.right_shift(n).to_vec::<i32>().unwrap(), [a.div_euclid(1 << n)]);
        let (g, l) = (x.gcd(v(&[b])).item_of(), x.lcm(v(&[b])).item_of());
        let both = [a, b].into_iter().filter(|x| *x != 0);
        prop_assert!((1..=g).rev().find(|d| both.clone().all(|x| x % d == 0)).unwrap_or(0) == g);
        prop_assert_eq!(i64::from(g) * i64::from(l), (i64::from(a) * i64::from(b)).abs());
    }
}

fn arange(shape: &[usize]) -> Tensor {
    Tensor::arange(shape.iter().product()).reshape(shape)
}

trait ItemOf {
    fn item_of(&self) -> i32;
}
impl ItemOf for Tensor {
    fn item_of(&self) -> i32 {
        self.to_vec::<i32>().unwrap()[0]
    }
}

#[test]
fn spread() {
    let x = Tensor::from_vec([1.0f32, 4.0, -2.0, 0.0, 0.0, 3.5], [2, 3]);
    near(x.var(-1), &[2], &[6.0, 2.7222223]);
    near(x.ptp(0), &[3], &[1.0, 4.0, 5.5]);
    gives(x.count_nonzero(..), &[], &[4]);
    gives(x.greater(0.0).count_nonzero(0), &[3], &[1, 1, 1]);
    near(x.percentile(30.0, 1), &[2], &[-0.2, 0.0]);
    near(x.average(&v(&[1, 3, 0]), 1), &[2], &[3.25, 0.0]);
    near(x.average(&x.square(), 0), &[3], &[1.0, 4.0, 2.1461537]);
    assert!(x.average(&v(&[1.0f32, 2.0]), 1).check().unwrap_err().to_string().contains("weights of shape [2]"));
}

#[test]
fn reductions_without_nan() {
    let x = Tensor::from_vec([1.0, NAN, -4.0, NAN, NAN, NAN], [2, 3]);
    near(x.nansum(1), &[2], &[-3.0, 0.0]);
    near(x.nanprod(1), &[2], &[-4.0, 1.0]);
    near(x.nanmax(1), &[2], &[1.0, NAN]);
    near(x.nanmin(1), &[2], &[-4.0, NAN]);
    near(x.nanmean(1), &[2], &[-1.5, NAN]);
    near(x.nanvar(1), &[2], &[6.25, NAN]);
    near(x.nanstd(..), &[], &[2.5]);
    near(v(&[f32::NEG_INFINITY, NAN]).nanmax(0), &[], &[f32::NEG_INFINITY]);
    gives(v(&[3, 4]).nansum(0), &[], &[7]);
    gives(v(&[3, 4]).nanmax(0), &[], &[4]);
    near(v(&[3, 4]).nanmean(0), &[], &[3.5]);
}

#[test]
fn turning_and_joining() {
    let (a, b) = (arange(&[2, 3]), arange(&[2, 2]));
    gives(a.ravel(), &[6], &[0, 1, 2, 3, 4, 5]);
    gives(a.rot90(1, [0, 1]), &[3, 2], &[2, 5, 1, 4, 0, 3]);
    gives(a.rot90(-1, [0, 1]), &[3, 2], &[3, 0, 4, 1, 5, 2]);
    gives(a.rot90(6, [0, 1]), &[2, 3], &[5, 4, 3, 2, 1, 0]);
    gives(arange(&[2, 2, 2]).rot90(1, [2, 0]), &[2, 2, 2], &[4, 0, 6, 2, 5, 1, 7, 3]);
    assert!(a.rot90(1, [1, -1]).check().unwrap_err().to_string().contains("two different axes"));
    gives(a.fliplr(), &[2, 3], &[2, 1, 0, 5, 4, 3]);
    gives(a.flipud(), &[2, 3], &[3, 4, 5, 0, 1, 2]);
    gives(a.append(&b, 1), &[2, 5], &[0, 1, 2, 0, 1, 3, 4, 5, 2, 3]);
    let (x, y) = (v(&[1, 2]), v(&[3, 4]));
    gives(Tensor::hstack(&[a, b.clone()]), &[2, 5], &[0, 1, 2, 0, 1, 3, 4, 5, 2, 3]);
    gives(Tensor::hstack(&[x.clone(), v(&[3])]), &[3], &[1, 2, 3]);
    gives(Tensor::vstack(&[x.clone(), y.clone()]), &[2, 2], &[1, 2, 3, 4]);
    gives(Tensor::dstack(&[x.clone(), y]), &[1, 2, 2], &[1, 3, 2, 4]);
    gives(Tensor::dstack(&[b.clone(), &b + 10i64]), &[2, 2, 2], &[0, 10, 1, 11, 2, 12, 3, 13]);
    gives(Tensor::column_stack(&[x.clone(), b.clone()]), &[2, 3], &[1, 0, 1, 2, 2, 3]);
    let parts = arange(&[2, 5]).split_at([0, 2, 2], 1).unwrap();
    assert_eq!(parts.iter().map(|p| p.shape().unwrap()[1]).collect::<Vec<_>>(), [0, 2, 0, 3]);
    gives(parts[3].clone(), &[2, 3], &[2, 3, 4, 7, 8, 9]);
    assert!(b.split_at([2, 1], 0).unwrap_err().to_string().contains("do not rise"));
    assert!(b.split_at([3], 0).is_err());
    let grid = Tensor::meshgrid(&[x.clone(), v(&[7, 8, 9])], false).unwrap();
    gives(grid[0].clone(), &[2, 3], &[1, 1, 1, 2, 2, 2]);
    gives(grid[1].clone(), &[2, 3], &[7, 8, 9, 7, 8, 9]);
    assert!(Tensor::meshgrid(&[b], true).is_err());
}

#[test]
fn products_and_differences() {
    let (a, b) = (arange(&[2, 3]), arange(&[2, 2]));
    gives(a.kron(&Tensor::from_vec([1, -1], [1, 2])), &[2, 6], &[0, 0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);
    gives(v(&[1, 2]).kron(&b), &[2, 4], &[0, 1, 0, 2, 2, 3, 4, 6]);
    let c = Tensor::from_vec([1, 2, 3, 4, 5, 6], [2, 3]);
    gives(c.cross(&v(&[7, -1, 2])), &[2, 3], &[7, 19, -15, 16, 34, -39]);
    assert!(b.cross(&b).check().unwrap_err().to_string().contains("last axes of length 3"));
    gives(a.vdot(&a.t()), &[], &[50]);
    assert!(a.vdot(&b).check().unwrap_err().to_string().contains("equally many"));
    gives(a.diff(1, 0), &[1, 3], &[3, 3, 3]);
    gives(a.diff(3, 1), &[2, 0], &[0i32; 0]);
    gives(a.diff(9, 1), &[2, 0], &[0i32; 0]);
    gives(v(&[true, true, false]).diff(1, 0), &[2], &[false, true]);
    near(a.trapezoid(0.5, -1), &[2], &[1.0, 4.0]);
    near(a.trapezoid_at(&v(&[0, 1, 4]), 1), &[2], &[5.0, 17.0]);
    near(a.trapezoid_at(&v(&[1.0f32, 3.0]), 0), &[3], &[3.0, 5.0, 7.0]);
    gives(v(&[1, 2, -3]).vander(4, false), &[3, 4], &[1, 1, 1, 1, 8, 4, 2, 1, -27, 9, -3, 1]);
    gives(v(&[1, 2, -3]).vander(2, true), &[3, 2], &[1, 1, 1, 2, 1, -3]);
    gives(v(&[1, 2, -3]).vander(0, true), &[3, 0], &[0i32; 0]);
}

#[test]
fn bins() {
    let x = v(&[0.5, 1.0, 3.9, 4.0, -1.0, NAN, 2.0]);
    let sorted = v(&[0.0f32, 1.0, 1.0, 4.0]);
    gives(sorted.searchsorted(&x, false), &[7], &[1, 1, 3, 3, 0, 4, 3]);
    gives(sorted.searchsorted(&x, true), &[7], &[1, 3, 3, 4, 0, 4, 3]);
    gives(x.digitize(&v(&[0.0f32, 1.0, 4.0])), &[7], &[1, 2, 2, 3, 0, 3, 2]);
    gives(v(&[0, 2, 2, -1]).bincount(Some(&v(&[0.5f32, 1.0, 2.5, 9.0])), 4), &[4], &[0.5f32, 0.0, 3.5, 0.0]);
    assert!(v(&[0, 2]).bincount(Some(&sorted), 4).check().unwrap_err().to_string().contains("4 weights for 2"));
    let (counts, edges) = v(&[0.0, 0.1, 0.35, 1.0, 1.0, -3.0, 7.0, NAN]).histogram(4, Some((0.0, 1.0))).unwrap();
    gives(counts, &[4], &[2, 1, 0, 2]);
    near(edges, &[5], &[0.0, 0.25, 0.5, 0.75, 1.0]);
    let (counts, edges) = v(&[2, 2, 2]).histogram(3, None).unwrap();
    gives(counts, &[3], &[0, 3, 0]);
    near(edges, &[4], &[1.5, 1.8333334, 2.1666667, 2.5]);
    assert!(x.histogram(3, Some((1.0, 0.0))).unwrap_err().to_string().contains("rising range"));
}

#[test]
fn segments() {
    let (x, ids) = (v(&[1.0f32, 2.0, 3.0, 4.0]), v(&[0, 0, 2, -1]));
    let inf = f32::INFINITY;
    gives(x.segment_sum(&ids, 4), &[4], &[3.0f32, 0.0, 3.0, 0.0]);
    gives(x.segment_max(&ids, 4), &[4], &[2.0, -inf, 3.0, -inf]);
    gives(v(&[1, 2, 3, 4]).segment_max(&ids, 4), &[4], &[2, i32::MIN, 3, i32::MIN]);
    let rows = Tensor::from_vec([1.0f32, 2.0, 3.0, -4.0, 5.0, 6.0], [3, 2]);
    gives(rows.segment_min(&v(&[1, 1, 2]), 3), &[3, 2], &[inf, inf, 1.0, -4.0, 5.0, 6.0]);
    gives(v(&[1u32, 2]).segment_min(&v(&[1, 1]), 2), &[2], &[u32::MAX, 1]);
    assert!(rows.segment_max(&ids, 2).check().unwrap_err().to_string().contains("4 segment ids"));
}

#[test]
fn blocks_and_windows() {
    let x = arange(&[1, 4, 2, 2]);
    gives(x.space_to_depth(2), &[1, 2, 1, 8], &(0..16).collect::<Vec<i32>>());
    gives(arange(&[1, 2, 1, 8]).depth_to_space(2), &[1, 4, 2, 2], &(0..16).collect::<Vec<i32>>());
    assert!(x.space_to_depth(3).check().unwrap_err().to_string().contains("blocks of 3 by 3"));
    assert!(x.depth_to_space(2).check().unwrap_err().to_string().contains("channels"));
    let x = arange(&[1, 2, 3, 4]);
    let want = [
        0, 1, 2, 4, 5, 6, 1, 2, 3, 5, 6, 7, 4, 5, 6, 8, 9, 10, 5, 6, 7, 9, 10, 11, 12, 13, 14, 16, 17, 18, 13, 14, 15,
        17, 18, 19, 16, 17, 18, 20, 21, 22, 17, 18, 19, 21, 22, 23,
    ];
    gives(x.unfold([2, 2], [1, 1], [0, 0], [1, 1]), &[1, 8, 6], &want);
    let want = [
        0, 0, 0, 0, 5, 7, 0, 0, 0, 4, 6, 0, 0, 1, 3, 0, 9, 11, 0, 2, 0, 8, 10, 0, 0, 0, 0, 0, 17, 19, 0, 0, 0, 16, 18,
        0, 0, 13, 15, 0, 21, 23, 12, 14, 0, 20, 22, 0,
    ];
    gives(x.unfold([2, 2], [1, 1], [1, 1], [2, 2]), &[1, 8, 6], &want);
    let want = [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11, 12, 13, 16, 17, 20, 21, 14, 15, 18, 19, 22, 23];
    gives(x.unfold([1, 2], [2, 2], [0, 0], [1, 1]), &[1, 4, 6], &want);
    assert!(x.unfold([4, 1], [1, 1], [0, 0], [1, 1]).check().unwrap_err().to_string().contains("does not fit 3"));
    assert!(x.unfold([0, 1], [1, 1], [0, 0], [1, 1]).check().is_err());
}

#[test]
fn scales() {
    near(v(&[1e-8f32, 0.0]).normalize(-1, 2.0, 1e-7), &[2], &[0.1, 0.0]);
    let x = Tensor::from_vec([3.0f32, -4.0, 0.0, 1.0], [2, 2]);
    near(x.normalize(0, 1.0, 1e-7), &[2, 2], &[1.0, -0.8, 0.0, 0.2]);
    let (mean, variance) = Tensor::from_vec([1.0f32, 2.0, 3.0, 0.0, 4.0, -1.0], [2, 3]).moments(1);
    near(mean, &[2], &[2.0, 1.0]);
    near(variance, &[2], &[0.6666667, 4.6666665]);
    gives(v(&[0, 2]).multi_hot(4, DType::F32), &[4], &[1.0f32, 0.0, 1.0, 0.0]);
    let (x, y) = (v(&[1.0f32, 2.0, 3.0]), v(&[1.5f32, 2.0, 2.0]));
    near(x.psnr(&y, 4.0), &[], &[15.843313]);
    assert!(x.psnr(&v(&[1.0f32]), 4.0).check().is_err());
}
