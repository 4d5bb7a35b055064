use super::fixture::Cases;
use addax_tensor::{
    DType, Tensor,
    ops::{Between, Overlap},
};
use proptest::prelude::*;

const BETWEEN: [(&str, Between); 5] = [
    ("linear", Between::Linear),
    ("lower", Between::Lower),
    ("higher", Between::Higher),
    ("midpoint", Between::Midpoint),
    ("nearest", Between::Nearest),
];

#[test]
fn numerical() {
    let mut cases = Cases::of("numerical");
    for n in [0, 1, 2, 7, 8] {
        cases.hold(&format!("bartlett {n}"), |_| Tensor::bartlett(n));
        cases.hold(&format!("blackman {n}"), |_| Tensor::blackman(n));
        cases.hold(&format!("hamming {n}"), |_| Tensor::hamming(n));
        cases.hold(&format!("hanning {n}"), |_| Tensor::hanning(n));
        cases.hold(&format!("kaiser {n}"), |_| Tensor::kaiser(n, 5.5));
    }
    cases.hold("i0", |x| x[0].i0());
    cases.hold("i0 of integers", |x| x[0].i0());
    for of in ["", " of integers", " of one", " of a constant"] {
        cases.hold(&format!("corrcoef{of}"), |x| x[0].corrcoef());
    }
    for (mode, overlap) in [("valid", Overlap::Valid), ("same", Overlap::Same), ("full", Overlap::Full)] {
        cases.hold(&format!("correlate {mode}"), |x| x[0].correlate(&x[1], overlap));
    }
    cases.hold("diagflat", |x| x[0].diagflat(-1));
    cases.hold("logspace", |_| Tensor::logspace(-1.5, 2.0, 5, 3.0, true));
    cases.hold("logspace open", |_| Tensor::logspace(0.5, 2.0, 4, 10.0, false));
    cases.hold("geomspace", |_| Tensor::geomspace(-1000.0, -0.5, 5, true));
    cases.hold("geomspace open", |_| Tensor::geomspace(2.0, 17.0, 4, false));
    cases.hold("is_in", |x| x[0].is_in(&x[1], false));
    cases.hold("is_in integers", |x| x[0].is_in(&x[1], false));
    cases.hold("is_in nothing", |x| x[0].is_in(&x[1], false));
    cases.hold("is_in inverted", |x| x[0].is_in(&x[1], true));
    for k in 1..4 {
        cases.hold(&format!("in_top_k {k}"), |x| x[1].in_top_k(&x[0], k));
    }
    for (of, axis) in [("", -1), (" of columns", 0), (" of integers", 0)] {
        cases.hold(&format!("nanargmax{of}"), |x| x[0].nanargmax(axis));
        cases.hold(&format!("nanargmin{of}"), |x| x[0].nanargmin(axis));
    }
    for (of, axis) in [("", 1), (" of columns", -2)] {
        cases.hold(&format!("nancumsum{of}"), |x| x[0].nancumsum(axis));
        cases.hold(&format!("nancumprod{of}"), |x| x[0].nancumprod(axis));
    }
    for (method, between) in BETWEEN {
        for q in [0.0, 0.3, 0.5, 1.0] {
            cases.hold(&format!("nanquantile {method} {q:?}"), |x| x[0].nanquantile(q, 1, between));
            cases.hold(&format!("quantile {method} {q:?}"), |x| x[0].quantile_between(q, 0, between));
        }
    }
    cases.hold("nanmedian", |x| x[0].nanmedian(0));
    cases.hold("nanpercentile", |x| x[0].nanpercentile(40.0, -1, Between::Linear));
    cases.all_hold("unravel_index 3", 0.0, |x| x[0].unravel_index([2, 3, 4]));
    cases.all_hold("unravel_index 1", 0.0, |x| x[0].unravel_index([7]));
    cases.hold("segment_prod", |x| x[0].segment_prod(&x[1], 5));
    cases.all_hold("array_split 3", 0.0, |x| x[0].array_split(3, -1));
    cases.all_hold("array_split places", 0.0, |x| x[0].array_split([2, 2, 5], -1));
    cases.all_hold("array_split too many", 0.0, |x| x[0].array_split(4, 0));
    cases.all_hold("hsplit", 0.0, |x| x[0].hsplit(2));
    cases.all_hold("hsplit of a vector", 0.0, |x| x[0].hsplit([1]));
    cases.all_hold("vsplit", 0.0, |x| x[0].vsplit(3));
    cases.all_hold("dsplit", 0.0, |x| x[0].dsplit([1, 3]));
    cases.end();
}

#[test]
fn half_floats_stay() {
    let x = Tensor::from_vec([0.5f32, f32::NAN, 2.0, -1.0], [2, 2]).cast(DType::F16);
    for y in [
        x.i0(),
        x.corrcoef(),
        x.nancumsum(0),
        x.nanquantile(0.3, 0, Between::Linear),
        x.quantile_between(0.3, 1, Between::Midpoint),
        x.ravel().correlate(&x.ravel(), Overlap::Same),
    ] {
        assert_eq!(y.dtype().unwrap(), DType::F16);
        y.eval_one();
    }
}

trait EvalOne {
    fn eval_one(&self);
}
impl EvalOne for Tensor {
    fn eval_one(&self) {
        self.cast(DType::F32).to_vec::<f32>().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// What stands before the element is not larger, what stands behind not smaller, and nothing is lost.
    #[test]
    fn a_partition_has_its_element_in_place(x in prop::collection::vec(-9i32..9, 1..20), at in any::<prop::sample::Index>()) {
        let k = at.index(x.len());
        let order = Tensor::from_vec(&x, [x.len()]).argpartition(k as isize - x.len() as isize, -1).to_vec::<i32>().unwrap();
        let parted: Vec<i32> = order.iter().map(|&i| x[i as usize]).collect();
        let (mut sorted, mut all) = (x.clone(), order);
        sorted.sort_unstable();
        all.sort_unstable();
        prop_assert_eq!(all, (0..x.len() as i32).collect::<Vec<_>>());
        prop_assert_eq!(parted[k], sorted[k]);
        prop_assert!(parted[..k].iter().all(|&v| v <= parted[k]) && parted[k..].iter().all(|&v| v >= parted[k]));
    }

    /// The coordinates count to where they came from.
    #[test]
    fn coordinates_count_back(shape in prop::collection::vec(1usize..5, 1..4), at in any::<prop::sample::Index>()) {
        let index = at.index(shape.iter().product());
        let parts = Tensor::from_vec([index as i32], [1]).unravel_index(shape.as_slice()).unwrap();
        let back = parts.iter().zip(&shape).fold(0, |sum, (c, n)| sum * n + c.to_vec::<i32>().unwrap()[0] as usize);
        prop_assert_eq!(back, index);
    }
}
