//! What the context promises: names, seeds, pending states, penalties, streams, errors.

#![allow(clippy::unwrap_used, clippy::panic)]

use addax_layers::*;
use addax_tensor::{Shape, random};
use proptest::prelude::*;
use std::sync::Arc;

fn training(step: u32) -> Cx {
    Cx::new(5, random::key(5, step)).with_training(true)
}

#[test]
fn a_mistake_names_the_layer_and_what_to_do() {
    let dense = Dense::new(10).named("dense_1");
    let _ = Cx::inference().call(&dense, Tensor::ones([1, 784])).unwrap();
    let error = Cx::inference().call(&dense, Tensor::ones([32, 28, 28])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer \"dense_1\": expected input with last axis 784, got shape [32, 28, 28]; add `Flatten` before it"
    );
    let error =
        Cx::inference().scope("model").call(&Conv2D::new(4, 3).strides(2).dilation_rate(2), Tensor::ones([1, 9, 9, 1]));
    assert!(error.unwrap_err().to_string().contains("cannot both be above 1"));
    let error = Cx::inference().call(&Dense::new(1).kernel_regularizer("l3"), Tensor::ones([1, 2])).unwrap_err();
    assert!(error.to_string().starts_with("layer \"dense\": unknown regularizer \"l3\"; did you mean"), "{error}");
}

#[test]
fn a_weight_is_made_once_and_depends_on_seed_and_path_alone() {
    let x = Tensor::ones([2, 3]);
    let values = |seed: u64, order: [&str; 2], which: &str| {
        let layers = [Dense::new(4), Dense::new(4)];
        let cx = Cx::building(seed);
        for name in order {
            let layer = &layers[usize::from(name == "b")];
            let _ = cx.call_as(name, layer, &x).unwrap();
            let _ = cx.call_as(name, layer, &x).unwrap();
        }
        weights(&layers[usize::from(which == "b")])[0].weight.variable().unwrap().value().to_vec::<f32>().unwrap()
    };
    assert_eq!(values(1, ["a", "b"], "a"), values(1, ["b", "a"], "a"));
    assert_ne!(values(1, ["a", "b"], "a"), values(1, ["a", "b"], "b"));
    assert_ne!(values(1, ["a", "b"], "a"), values(2, ["a", "b"], "a"));
}

#[test]
fn a_state_set_in_a_step_is_seen_by_the_next_call_and_by_nobody_else() {
    let norm = BatchNormalization::new().momentum(0.5);
    let cx = training(0);
    let _ = cx.call(&norm, Tensor::full(addax_tensor::DType::F32, [4, 1], 8.0)).unwrap();
    let _ = cx.call(&norm, Tensor::full(addax_tensor::DType::F32, [4, 1], 2.0)).unwrap();
    let recorded = cx.finish();
    assert_eq!(recorded.updates.len(), 2, "one update per variable");
    let mean = recorded.updates.iter().find(|(v, _)| v.name().ends_with("moving_mean")).unwrap();
    // 0 -> 4 -> 3: the second call follows the first.
    assert_eq!(mean.1.to_vec::<f32>().unwrap(), vec![3.0]);
    assert_eq!(mean.0.value().to_vec::<f32>().unwrap(), vec![0.0], "not before the step commits");
}

#[test]
fn a_frozen_norm_uses_and_keeps_its_statistics() {
    let norm = BatchNormalization::new();
    set_trainable(&norm, false);
    let cx = training(0);
    let y = cx.call(&norm, Tensor::full(addax_tensor::DType::F32, [4, 1], 8.0)).unwrap();
    assert!((y.to_vec::<f32>().unwrap()[0] - 8.0 / 1.001f32.sqrt()).abs() < 1e-5);
    let recorded = cx.finish();
    assert!(recorded.updates.is_empty());
    assert!(weights(&norm).iter().all(|w| !w.weight.is_trainable()));
    assert!(!y.is_tracked());
    set_trainable(&norm, true);
    assert_eq!(weights(&norm).iter().filter(|w| w.weight.is_trainable()).count(), 2);
}

#[test]
fn a_shared_layer_is_penalised_once_and_its_output_each_time() {
    let shared =
        Arc::new(Dense::new(2).kernel_regularizer(L2(0.5)).activity_regularizer(L1(1.0)).kernel_initializer("ones"));
    let cx = training(0);
    let x = Tensor::ones([4, 3]);
    let h = cx.call(&shared, &x).unwrap();
    let _ = cx.call(&shared, cx.call_as("grow", &Dense::new(3).kernel_initializer("ones"), h).unwrap()).unwrap();
    assert_eq!(weights(&shared).len(), 2);
    let recorded = cx.finish();
    let numbers = |tensors: &[Tensor]| tensors.iter().map(|t| t.item::<f32>().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(&recorded.penalties), [3.0]);
    // Divided by the batch: 2 units of 3, then 2 units of 18.
    assert_eq!(numbers(&recorded.losses), [6.0, 36.0]);
    assert_eq!(recorded.reads.len(), 4);
}

#[test]
fn streams_differ_between_layers_and_calls_and_repeat_with_the_step() {
    let drop = Dropout::new(0.5);
    let x = Tensor::ones([64]);
    let draw = |cx: &Cx, name: &str| cx.call_as(name, &drop, &x).unwrap().to_vec::<f32>().unwrap();
    let cx = training(3);
    let (first, second, other) = (draw(&cx, "a"), draw(&cx, "a"), draw(&cx, "b"));
    assert_ne!(first, second);
    assert_ne!(first, other);
    let cx = training(3);
    assert_eq!(draw(&cx, "a"), first, "the same step");
    assert_ne!(draw(&training(4), "a"), first, "the next step");
    // A seed of its own: the place in the model does not matter.
    let seeded = Dropout::new(0.5).seed(9u64);
    let draw = |name: &str| training(3).call_as(name, &seeded, &x).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(draw("a"), draw("b"));
}

#[test]
fn building_needs_no_data() {
    let layers: Vec<Box<dyn DynLayer>> = vec![
        Box::new(Rescaling::new(1.0 / 255.0)),
        Box::new(Conv2D::new(4, 3)),
        Box::new(BatchNormalization::new()),
        Box::new(MaxPooling2D::new(2)),
        Box::new(Flatten::new()),
        Box::new(Dropout::new(0.5)),
        Box::new(Dense::new(10)),
    ];
    for batch in [2, 3] {
        let cx = Cx::building(1).with_training(true);
        let mut x = vec![Tensor::placeholder(0, addax_tensor::DType::U8, [batch, 28, 28, 1])];
        for (i, layer) in layers.iter().enumerate() {
            x = cx.call_dyn(&format!("layer_{i}"), &**layer, x).unwrap();
        }
        assert_eq!(x[0].shape().unwrap().dims(), [batch, 10]);
    }
}

#[test]
fn a_mixed_policy_computes_in_half_and_keeps_weights_whole() {
    let policy = Policy::parse("mixed_bfloat16").unwrap();
    let dense = Dense::new(3).dtype(policy);
    let y = Cx::inference().call(&dense, Tensor::ones([1, 2])).unwrap();
    assert_eq!(y.dtype().unwrap(), addax_tensor::DType::BF16);
    assert_eq!(weights(&dense)[0].weight.variable().unwrap().dtype().unwrap(), addax_tensor::DType::F32);
}

#[test]
fn adapting_in_parts_is_adapting_at_once() {
    let rows: Vec<f32> = (0..60).map(|i| ((i * 37) % 23) as f32 - 11.0).collect();
    let whole = addax_tensor::Array::new([20, 3], &rows).unwrap();
    let (at_once, in_parts) = (Normalization::new(), Normalization::new());
    at_once.adapt(&whole).unwrap();
    for part in [0..7, 7..8, 8..20] {
        in_parts.update(&whole.gather_rows(&part.collect::<Vec<_>>()).unwrap()).unwrap();
    }
    for (a, b) in weights(&at_once).iter().zip(weights(&in_parts)) {
        let values = |w: &Weight| w.variable().unwrap().value().cast(addax_tensor::DType::F32).to_vec::<f32>().unwrap();
        for (x, y) in values(a.weight).into_iter().zip(values(b.weight)) {
            assert!((x - y).abs() <= 1e-5 * x.abs().max(1.0), "{}: {x} {y}", a.name);
        }
    }
    assert!(at_once.adapt(&Vec::<f32>::new()).unwrap_err().to_string().contains("at least one value"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Inverted dropout keeps the mean: what is left is scaled by 1 / (1 - rate), and each value is dropped or kept whole.
    #[test]
    fn dropout_keeps_the_mean(rate in 0.05f64..0.95, step in 0u32..1000) {
        let y = training(step).call(&Dropout::new(rate), Tensor::ones([4096])).unwrap().to_vec::<f32>().unwrap();
        let kept = y.iter().filter(|v| **v != 0.0).count() as f64;
        let scale = 1.0 / (1.0 - rate);
        prop_assert!(y.iter().all(|v| *v == 0.0 || (f64::from(*v) - scale).abs() < 1e-5 * scale));
        let deviation = (4096.0 * rate * (1.0 - rate)).sqrt();
        prop_assert!((kept - 4096.0 * (1.0 - rate)).abs() < 6.0 * deviation);
    }

    /// A recurrent layer over a sequence ends where its last step is, and backwards is forwards over the reversed input.
    #[test]
    fn recurrence_is_the_same_from_both_ends(steps in 1usize..6, batch in 1usize..4, seed in 0u64..100) {
        let x = Cx::new(seed, random::key(seed, 0)).normal([batch, steps, 3], None);
        let run = |layer: LSTM, x: &Tensor| Cx::new(seed, random::key(0, 0)).call_as("lstm", &layer, x).unwrap().to_vec::<f32>().unwrap();
        let all = run(LSTM::new(2).return_sequences(true), &x);
        let last = run(LSTM::new(2), &x);
        for b in 0..batch {
            prop_assert_eq!(&all[(b * steps + steps - 1) * 2..][..2], &last[b * 2..][..2]);
        }
        prop_assert_eq!(run(LSTM::new(2).go_backwards(true), &x.flip(1)), last);
        prop_assert_eq!(run(LSTM::new(2).go_backwards(true).return_sequences(true), &x.flip(1)), all);
    }

    /// Whatever the shape, an initializer keeps inside its bounds, and its own seed wins.
    #[test]
    fn initializers_keep_their_bounds(rows in 1usize..20, cols in 1usize..20, seed in 0u64..1000) {
        let shape = Shape::from([rows, cols]);
        let draw = |name: &str| initializers::Initializer::from(name).values(&shape, seed).unwrap().to_vec::<f32>().unwrap();
        let limit = (6.0 / (rows + cols) as f32).sqrt() * 1.000_001;
        prop_assert!(draw("glorot_uniform").iter().all(|v| v.abs() <= limit));
        let limit = 2.0 * (2.0 / rows as f32).sqrt() / 0.879_625_7 * 1.000_001;
        prop_assert!(draw("he_normal").iter().all(|v| v.abs() <= limit));
        let own = initializers::Initializer::from("he_normal").with_seed(3);
        prop_assert_eq!(own.values(&shape, seed).unwrap(), own.values(&shape, seed + 1).unwrap());
    }

    /// Constraints leave what they hold to: applying them twice changes next to nothing.
    #[test]
    fn constraints_are_projections(seed in 0u64..1000, scale in 0.1f64..10.0) {
        let w = Cx::new(seed, random::key(seed, 0)).normal([4, 3], None) * scale;
        for name in ["non_neg", "max_norm", "unit_norm", "min_max_norm"] {
            let constraint = Constraint::from(name);
            let once = constraint.apply(&w).unwrap();
            let twice = constraint.apply(&once).unwrap().to_vec::<f32>().unwrap();
            for (a, b) in once.to_vec::<f32>().unwrap().into_iter().zip(twice) {
                prop_assert!((a - b).abs() < 1e-5, "{name}: {a} {b}");
            }
        }
    }
}
