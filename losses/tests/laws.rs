//! Laws of losses and metrics, for any numbers.

#![allow(clippy::unwrap_used, clippy::panic)]

use addax_losses::metrics::{self, Direction, Metric, metric};
use addax_losses::*;
use addax_tensor::{Shape, Tensor};
use proptest::prelude::*;

fn read(t: &Tensor) -> Vec<f32> {
    t.to_vec().unwrap()
}
fn item(t: &Tensor) -> f32 {
    t.item().unwrap()
}
fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 2e-5 * (1.0 + a.abs().max(b.abs()))
}
fn matrix(values: &[f32], columns: usize) -> Tensor {
    Tensor::from_vec(values, [values.len() / columns, columns])
}
/// Rows of three numbers, twice, and a weight for each row.
fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<f32>)> {
    (1usize..7).prop_flat_map(|n| {
        let numbers = || prop::collection::vec(-4f32..4.0, 3 * n);
        (numbers(), numbers(), prop::collection::vec(0f32..3.0, n))
    })
}

const DISTANCES: [&str; 6] = ["mse", "mae", "huber", "log_cosh", "msle", "mape"];
const ALL: [&str; 10] =
    ["mse", "mae", "huber", "log_cosh", "msle", "mape", "cosine_similarity", "squared_hinge", "hinge", "poisson"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nothing is lost where predictions equal labels.
    #[test]
    fn the_distance_of_equals_is_zero((y, _, _) in rows(), which in 0usize..6) {
        let y = matrix(&y, 3);
        prop_assert!(item(&loss(DISTANCES[which]).unwrap().call(&y, &y)).abs() < 1e-6);
    }

    /// Logits mean the same wherever they are: only differences count.
    #[test]
    fn logits_can_be_moved((x, y, _) in rows(), shift in -50f32..50.0) {
        let (x, y) = (matrix(&x, 3), matrix(&y, 3));
        let (classes, one_hot) = (y.argmax(-1), y.argmax(-1).one_hot(3, addax_tensor::DType::F32));
        let moved = &x + shift;
        let sparse = SparseCategoricalCrossentropy::from_logits();
        prop_assert!((item(&sparse.call(&classes, &x)) - item(&sparse.call(&classes, &moved))).abs() < 1e-4);
        // Labels as numbers and as one-hot vectors are the same labels, logits and their softmax the same predictions.
        let dense = item(&CategoricalCrossentropy::from_logits().call(&one_hot, &x));
        prop_assert!(near(item(&sparse.call(&classes, &x)), dense));
        prop_assert!(near(item(&CategoricalCrossentropy::new().call(&one_hot, &x.softmax(-1))), dense));
    }

    /// The loss is linear in the weights, and weights of 1 are no weights.
    #[test]
    fn weights_are_linear((y, p, w) in rows(), factor in 0f64..5.0, which in 0usize..10) {
        let (loss, n) = (loss(ALL[which]).unwrap(), w.len());
        // Positive, since Poisson takes a logarithm.
        let (y, p, w) = (matrix(&y, 3).abs(), matrix(&p, 3).abs(), Tensor::from_vec(w, [n]));
        let at = |w: &Tensor| item(&loss.weighted(&y, &p, Some(w), None));
        prop_assert!(near(at(&(&w * factor)), at(&w) * factor as f32));
        prop_assert!(near(at(&Tensor::ones([n])), item(&loss.call(&y, &p))));
        prop_assert!(near(at(&(&w + 1.0)), at(&w) + item(&loss.call(&y, &p))));
    }

    /// Sums and divisors of the parts of a batch add up to those of the whole, whatever the reduction, weights and masks.
    #[test]
    fn parts_add_up_to_the_whole((y, p, w) in rows(), cut in 0usize..7, which in 0usize..6, how in 0usize..3, masked: bool) {
        let n = w.len();
        let cut = cut.min(n);
        let reduction = ["sum_over_batch_size", "mean_with_sample_weight", "sum"][how];
        let json = serde_json::json!({"class_name": loss(DISTANCES[which]).unwrap().class_name(), "config": {"reduction": reduction}});
        let loss = loss_from_config(&json).unwrap().0;
        let (y, p, w) = (matrix(&y, 3), matrix(&p, 3), Tensor::from_vec(w, [n]));
        let mask = w.greater(1.0);
        let sums = |range: std::ops::Range<usize>| {
            let part = |t: &Tensor| t.slice(0, range.clone());
            let mask = part(&mask);
            let sums = loss.sums(&part(&y), &part(&p), Some(&part(&w)), masked.then_some(&mask)).unwrap();
            (item(&sums.sum), item(&sums.divisor))
        };
        let (a, b, whole) = (sums(0..cut), sums(cut..n), sums(0..n));
        prop_assert!(near(a.0 + b.0, whole.0));
        let divisor = if reduction == "sum" { 1.0 } else { a.1 + b.1 };
        prop_assert!(near(divisor, whole.1));
        let loss = item(&loss.weighted(&y, &p, Some(&w), masked.then_some(&mask)));
        let quotient = if whole.1 == 0.0 { 0.0 } else { whole.0 / whole.1 };
        prop_assert!(near(loss, quotient));
    }

    /// Masked values might as well not be there.
    #[test]
    fn masked_rows_do_not_count((y, p, w) in rows(), which in 0usize..6) {
        let loss = loss(DISTANCES[which]).unwrap();
        let kept: Vec<usize> = (0..w.len()).filter(|&i| w[i] > 1.0).collect();
        prop_assume!(!kept.is_empty());
        let only = |t: &[f32]| matrix(&kept.iter().flat_map(|&i| t[3 * i..3 * i + 3].to_vec()).collect::<Vec<_>>(), 3);
        let mask = Tensor::from_vec(&w, [w.len()]).greater(1.0);
        let masked = loss.weighted(&matrix(&y, 3), &matrix(&p, 3), None, Some(&mask));
        prop_assert!(near(item(&masked), item(&loss.call(&only(&y), &only(&p)))));
    }

    /// A metric over batches is the metric over all rows at once.
    #[test]
    fn batches_add_up_to_the_epoch((y, p, w) in rows(), cut in 1usize..6, weighted: bool, which in 0usize..9) {
        let n = w.len();
        prop_assume!(cut < n);
        let names = ["mse", "mae", "RootMeanSquaredError", "cosine_similarity", "accuracy", "huber", "precision", "recall", "auc"];
        let shape = Shape::from([n, 3]);
        let w = Tensor::from_vec(w, [n]);
        let (y, p) = match which {
            // Labels 0 and 1, probabilities.
            6.. => (matrix(&y, 3).greater(0.0).cast(addax_tensor::DType::F32), matrix(&p, 3).sigmoid()),
            _ => (matrix(&y, 3), matrix(&p, 3)),
        };
        let of = |parts: &[std::ops::Range<usize>]| {
            let metric = metric(names[which], &shape, &shape).unwrap();
            for range in parts {
                let part = |t: &Tensor| t.slice(0, range.clone());
                let weight = part(&w);
                for (variable, value) in metric.update(&part(&y), &part(&p), weighted.then_some(&weight)).unwrap() {
                    variable.assign(&value).unwrap();
                }
            }
            item(&metric.result().unwrap())
        };
        prop_assert!(near(of(&[0..cut, cut..n]), of(std::slice::from_ref(&(0..n)))));
    }
}

#[test]
fn extreme_logits_stay_finite_and_exact() {
    let x = Tensor::from_vec([1000.0f32, -1000.0, -1000.0, 1000.0], [2, 2]);
    let labels = Tensor::from_vec([0i32, 0], [2]);
    let sparse = SparseCategoricalCrossentropy::from_logits().reduction(Reduction::None);
    assert_eq!(read(&sparse.call(&labels, &x)), [0.0, 2000.0]);
    let binary = BinaryCrossentropy::from_logits().reduction(Reduction::None);
    assert_eq!(
        read(&binary.call(&Tensor::ones([2, 1]), &Tensor::from_vec([1000.0f32, -1000.0], [2, 1]))),
        [0.0, 1000.0]
    );
    // A probability of 1 - e^-20 is 1 in f32, but its logarithm is not 0.
    let small = item(
        &BinaryCrossentropy::from_logits()
            .call(&Tensor::ones([1, 1]), &Tensor::full(addax_tensor::DType::F32, [1, 1], 20.0)),
    );
    assert!((small / (-20f32).exp() - 1.0).abs() < 1e-5, "{small}");
}

#[test]
fn the_gradient_of_logits_at_zero_is_right() {
    let x = Tensor::zeros([1, 1]).watch().unwrap();
    let loss = BinaryCrossentropy::from_logits().call(&Tensor::ones([1, 1]), &x);
    let [dx] = addax_autodiff::grad(&loss, [&x]).unwrap();
    assert_eq!(read(&dx), [-0.5]);
}

#[test]
fn a_loss_of_only_masked_values_is_zero_with_a_finite_gradient() {
    let p = Tensor::ones([2, 3]).watch().unwrap();
    let mask = Tensor::from_vec([false, false], [2]);
    let loss = MeanSquaredError::new().weighted(&Tensor::zeros([2, 3]), &p, None, Some(&mask));
    let [dp] = addax_autodiff::grad(&loss, [&p]).unwrap();
    assert_eq!((item(&loss), read(&dp)), (0.0, vec![0.0; 6]));
}

#[test]
fn shapes_that_do_not_fit_are_told() {
    let message = |t: Tensor| t.to_vec::<f32>().unwrap_err().to_string();
    let sparse = SparseCategoricalCrossentropy::new();
    let text = message(sparse.call(&Tensor::zeros([4, 3]), &Tensor::zeros([4, 3])));
    assert!(text.contains("should have shape [4] for predictions of shape [4, 3], got [4, 3]"), "{text}");
    let text = message(CategoricalCrossentropy::new().call(&Tensor::zeros([4]), &Tensor::zeros([4, 3])));
    assert!(text.contains("[4]") && text.contains("[4, 3]"), "{text}");
    let weights = Tensor::ones([3]);
    let text =
        message(MeanSquaredError::new().weighted(&Tensor::zeros([4, 5]), &Tensor::ones([4, 5]), Some(&weights), None));
    assert!(text.contains("weights of shape [3] do not fit values of shape [4]: give one per sample, [4]"), "{text}");
    let text = message(MeanSquaredError::new().reduction("maen").call(&Tensor::zeros([1, 1]), &Tensor::ones([1, 1])));
    assert!(text.contains("unknown reduction \"maen\"; did you mean \"mean\""), "{text}");
}

#[test]
fn weights_per_sample_reach_every_position() {
    // Also where batch and time are equally long, and broadcasting would take them for weights of positions.
    let (y, p) = (Tensor::zeros([2, 2, 1]), Tensor::from_vec([1.0f32, 2.0, 3.0, 4.0], [2, 2, 1]));
    let weights = Tensor::from_vec([1.0f32, 0.0], [2]);
    let values = MeanSquaredError::new().reduction("none").weighted(&y, &p, Some(&weights), None);
    assert_eq!(read(&values), [1.0, 4.0, 0.0, 0.0]);
}

#[test]
fn counts_are_exact_beyond_what_floats_hold() {
    let accuracy = metrics::SparseCategoricalAccuracy::new();
    let variables = accuracy.variables();
    let set = |name: &str, n: u32| {
        let v = variables.iter().find(|v| v.name().ends_with(name)).unwrap();
        v.assign(&Tensor::from_vec([n], ())).unwrap();
    };
    // f32 cannot tell 2^24 from 2^24 + 1.
    set("hits", 1 << 24);
    set("seen", 1 << 24);
    let (y, p) = (Tensor::from_vec([1i32], [1]), Tensor::from_vec([0.1f32, 0.9], [1, 2]));
    for (variable, value) in accuracy.update(&y, &p, None).unwrap() {
        variable.assign(&value).unwrap();
    }
    let seen = |name: &str| variables.iter().find(|v| v.name().ends_with(name)).unwrap().value().item::<u32>().unwrap();
    assert_eq!((seen("hits"), seen("seen")), ((1 << 24) + 1, (1 << 24) + 1));
}

#[test]
fn an_unweighted_accuracy_touches_only_its_counts() {
    let accuracy = metrics::CategoricalAccuracy::new();
    let updates = accuracy.update(&Tensor::eye(3), &Tensor::eye(3), None).unwrap();
    let names: Vec<String> = updates.iter().map(|(v, _)| v.name()).collect();
    assert_eq!(names, ["categorical_accuracy/hits", "categorical_accuracy/seen"]);
}

#[test]
fn directions_are_known() {
    let shape = Shape::from([4, 3]);
    for (name, direction) in [
        ("accuracy", Direction::Up),
        ("mse", Direction::Down),
        ("cosine_similarity", Direction::Up),
        ("auc", Direction::Up),
    ] {
        assert_eq!(metric(name, &shape, &shape).unwrap().direction(), Some(direction), "{name}");
    }
    assert!(metric("acuracy", &shape, &shape).unwrap_err().to_string().contains("did you mean \"accuracy\""));
}

#[test]
fn the_area_under_the_precision_recall_curve_of_a_perfect_order_is_one() {
    let (y, p) = (Tensor::from_vec([0f32, 0.0, 1.0, 1.0], [4]), Tensor::from_vec([0.1f32, 0.2, 0.8, 0.9], [4]));
    for curve in [metrics::Curve::Roc, metrics::Curve::Pr] {
        let (_, value) = metrics::AUC::new().curve(curve).observe(&y, &p, None).unwrap();
        assert!(near(item(&value), 1.0), "{curve:?}: {}", item(&value));
    }
}
