//! Mistakes in losses and metrics carry the line of the program that called them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_losses::{Huber, Loss, Metric, Result, SparseCategoricalCrossentropy, Tensor, loss, metrics::metric};

#[track_caller]
fn is_here<T>(result: Result<T>) {
    let Err(error) = result else { panic!("a mistake was expected") };
    let at = error.origin().expect("a mistake has a line");
    assert_eq!(at.file(), file!(), "{error}: {at}");
}

const LOSSES: [&str; 17] = [
    "mse",
    "mae",
    "mape",
    "msle",
    "log_cosh",
    "huber",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "kl_divergence",
    "poisson",
    "cosine_similarity",
];

#[test]
fn a_loss_of_what_does_not_fit_has_the_callers_line() {
    let (y, p, weight) = (Tensor::ones([4, 7]), Tensor::ones([3, 2]), Tensor::ones([9]));
    for name in LOSSES {
        let loss = loss(name).unwrap();
        is_here(loss.call(&y, &p).check());
        is_here(loss.per_sample(&y, &p).check());
        is_here(loss.weighted(&p, &p, Some(&weight), None).check());
        is_here(loss.sums(&y, &p, None, None));
    }
    let scalar = Tensor::scalar(1.0);
    is_here(SparseCategoricalCrossentropy::new().call(&scalar, &scalar).check());
    is_here(Huber::new().reduction("no such").call(&p, &p).check());
}

#[test]
fn a_metric_of_what_does_not_fit_has_the_callers_line() {
    let (y, p) = (Tensor::ones([4, 7]), Tensor::ones([3, 2]));
    for name in ["binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "mse", "poisson"] {
        let metric = metric(name, y.shape().unwrap(), p.shape().unwrap()).unwrap();
        is_here(metric.update(&y, &p, None));
        is_here(metric.observe(&y, &p, None));
    }
}
