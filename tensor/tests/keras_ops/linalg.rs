use super::fixture::Cases;
use addax_tensor::{Tensor, ops::MatrixNorm, reference};
use proptest::prelude::*;

#[test]
fn linalg() {
    let mut cases = Cases::of("linalg");
    cases.all_hold("slogdet", 2e-6, |x| x[0].slogdet().map(|(sign, log)| vec![sign, log]));
    cases.hold("logdet", |x| x[0].logdet());
    for power in [-2, 0, 1, 5] {
        cases.all_hold(&format!("matrix_power {power}"), 2e-5, |x| Ok(vec![x[0].matrix_power(power)]));
    }
    cases.hold("cholesky_inverse", |x| x[0].cholesky_inverse(false));
    cases.hold("cholesky_inverse upper", |x| x[0].cholesky_inverse(true));
    cases.all_hold("lu_factor", 1e-5, |x| x[0].lu_factor().map(|(lu, pivots)| vec![lu, pivots]));
    cases.hold("cdist", |x| x[0].cdist(&x[1]));
    let norms = [
        ("fro", MatrixNorm::Fro),
        ("nuc", MatrixNorm::Nuclear),
        ("1", MatrixNorm::One),
        ("-1", MatrixNorm::MinusOne),
        ("2", MatrixNorm::Two),
        ("-2", MatrixNorm::MinusTwo),
        ("inf", MatrixNorm::Infinity),
        ("-inf", MatrixNorm::MinusInfinity),
    ];
    for (name, norm) in norms {
        cases.hold(&format!("norm {name}"), |x| x[0].matrix_norm(norm));
    }
    cases.all_hold("eigenvalues", 4e-6, |x| Ok(vec![x[0].eigh()?.0]));
    cases.all_hold("singular values", 4e-6, |x| Ok(vec![x[0].svd()?.1]));
    cases.all_hold("pinv", 4e-6, |x| Ok(vec![x[0].pinv(None)]));
    cases.all_hold("pinv 0.3", 4e-6, |x| Ok(vec![x[0].pinv(Some(0.3))]));
    cases.hold("matrix_rank", |x| x[0].matrix_rank(None));
    cases.hold("matrix_rank 1.5", |x| x[0].matrix_rank(Some(1.5)));
    cases.all_hold("lstsq", 4e-6, |x| Ok(vec![x[0].lstsq(&x[1], None)]));
    cases.end();
}

/// On the executor and on the reference.
fn far(x: &Tensor, y: &Tensor) -> f32 {
    let far = (x - y).abs().max(..);
    let of_reference = reference::evaluate(std::slice::from_ref(&far)).unwrap()[0].to_vec::<f32>().unwrap()[0];
    far.item::<f32>().unwrap().max(of_reference)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The factors multiply back, and their columns are orthonormal.
    #[test]
    fn factors_multiply_back(n in 1usize..7, m in 1usize..7, salt in 0usize..99) {
        let data = |n: usize, m: usize| {
            let at = |i: usize| ((i as f32 + 1.0) * 0.618_034 + salt as f32 * 0.37).fract() * 2.0 - 1.13;
            Tensor::from_vec((0..n * m).map(at).collect::<Vec<_>>(), [n, m])
        };
        let x = data(n, m);
        let (u, sigma, vt) = x.svd().unwrap();
        prop_assert!(far(&(&u * &sigma).matmul(&vt), &x) < 5e-6);
        let k = n.min(m);
        // As many as the singular values that are not rounding.
        let kept = sigma.to_vec::<f32>().unwrap().iter().filter(|s| **s > 1e-3).count();
        let (u, vt) = (u.slice(1, ..kept), vt.slice(0, ..kept));
        prop_assert!(far(&u.t().matmul(&u), &Tensor::eye(kept)) < 5e-6);
        prop_assert!(far(&vt.matmul(&vt.t()), &Tensor::eye(kept)) < 5e-6);
        prop_assert!(kept <= k);
        let symmetric = data(n, n) + data(n, n).t();
        let (values, vectors) = symmetric.eigh().unwrap();
        prop_assert!(far(&(&vectors * &values).matmul(&vectors.t()), &symmetric) < 1e-5);
        prop_assert!(far(&vectors.t().matmul(&vectors), &Tensor::eye(n)) < 5e-6);
    }
}

/// Rounding beside the diagonal is not divided by the distance of eigenvalues that nearly agree.
#[test]
fn vectors_of_eigenvalues_that_nearly_agree_are_orthonormal() {
    for n in [3, 4, 6] {
        // A reflection of a diagonal whose entries differ by a few units in the last place.
        let normal = Tensor::from_vec((0..n).map(|i| 1.0 + i as f32 * 0.7).collect::<Vec<_>>(), [n, 1]);
        let normal = &normal / normal.square().sum_all().sqrt();
        let mirror = Tensor::eye(n) - normal.matmul(&normal.t()) * 2.0;
        for step in [2e-7f32, 1e-6, 1e-5] {
            let values = Tensor::from_vec((0..n).map(|i| 1.0 + i as f32 * step).collect::<Vec<_>>(), [n]);
            let x = (&mirror * &values).matmul(&mirror.t());
            let vectors = x.eigh().unwrap().1;
            let off = far(&vectors.t().matmul(&vectors), &Tensor::eye(n));
            assert!(off < 5e-6, "{n} values {step} apart: {off}");
        }
    }
}
