//! Laws of optimizers, for any numbers.

#![allow(clippy::unwrap_used, clippy::panic)]

use addax_optim::*;
use addax_tensor::{Array, Tensor, Variable};
use proptest::prelude::*;

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}
fn read(t: &Tensor) -> Vec<f32> {
    t.to_vec().unwrap()
}
fn norm(tensors: &[Tensor]) -> f64 {
    tensors.iter().flat_map(read).map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}
fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + a.abs().max(b.abs())))
}

const NAMES: [&str; 11] =
    ["adam", "sgd", "rmsprop", "adamw", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "lamb"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A clipped gradient is never longer than the limit, keeps its direction, and stays as it is if it was short.
    #[test]
    fn clipping_bounds_the_norm(g in prop::collection::vec(-50f32..50.0, 1..8), limit in 0.01f64..20.0) {
        let g = vector(&g);
        let clipped = clip_by_norm(&g, limit);
        let (before, after) = (norm(std::slice::from_ref(&g)), norm(std::slice::from_ref(&clipped)));
        prop_assert!(after <= limit * 1.00001);
        let factor = if before <= limit { 1.0 } else { limit / before };
        prop_assert!(close(&read(&clipped), &read(&(&g * factor))));
    }

    /// Clipping by the global norm is clipping the concatenation.
    #[test]
    fn global_clipping_is_that_of_all_together(
        a in prop::collection::vec(-50f32..50.0, 1..6), b in prop::collection::vec(-50f32..50.0, 1..6), limit in 0.01f64..20.0
    ) {
        let parts = clip_by_global_norm(&[vector(&a), vector(&b)], limit);
        let whole = clip_by_norm(&vector(&[a, b].concat()), limit);
        prop_assert!(close(&read(&Tensor::concat(&parts, 0)), &read(&whole)));
    }

    /// Parameters do not influence each other: alone they move as they do together.
    #[test]
    fn parameters_are_independent(
        p in prop::collection::vec(-3f32..3.0, 2..5), q in prop::collection::vec(-3f32..3.0, 1..4), which in 0usize..11
    ) {
        let mut together = optimizer(NAMES[which]).unwrap();
        let mut alone = optimizer(NAMES[which]).unwrap();
        let (mut both, mut one) = (vec![vector(&p), vector(&q)], vec![vector(&p)]);
        for step in 0..3 {
            let g = |x: &Tensor| x * 2.0 + f64::from(step);
            both = together.update(&both, &[g(&both[0]), g(&both[1])]).unwrap();
            one = alone.update(&one, &[g(&one[0])]).unwrap();
        }
        prop_assert_eq!(read(&both[0]), read(&one[0]));
    }

    /// Equal gradients accumulated over k calls are one update with that gradient.
    #[test]
    fn accumulating_equal_gradients_is_one_update(
        p in prop::collection::vec(-3f32..3.0, 1..5), g in -4f32..4.0, k in 2usize..5, which in 0usize..2
    ) {
        let gradient = [vector(&vec![g; p.len()])];
        let (mut slow, mut fast): (Box<dyn Optimizer>, Box<dyn Optimizer>) = match which {
            0 => (Box::new(Adam::new(0.1).gradient_accumulation_steps(k)), Box::new(Adam::new(0.1))),
            _ => (Box::new(SGD::new(0.1).momentum(0.5).gradient_accumulation_steps(k)), Box::new(SGD::new(0.1).momentum(0.5))),
        };
        let (mut a, mut b) = (vec![vector(&p)], vec![vector(&p)]);
        for call in 0..2 * k {
            let before = read(&a[0]);
            a = slow.update(&a, &gradient).unwrap();
            if (call + 1) % k == 0 {
                b = fast.update(&b, &gradient).unwrap();
                prop_assert!(close(&read(&a[0]), &read(&b[0])));
            } else {
                prop_assert_eq!(read(&a[0]), before);
            }
        }
    }

    /// Scaling the loss changes nothing if the optimizer knows the factor.
    #[test]
    fn loss_scale_cancels(p in prop::collection::vec(-3f32..3.0, 1..5), power in 0u32..12) {
        let factor = f64::from(1u32 << power);
        let mut plain = Adam::new(0.1).clipnorm(1.0);
        let mut scaled = Adam::new(0.1).clipnorm(1.0).loss_scale_factor(factor);
        let g = vector(&p) * 3.0;
        let a = plain.update(&[vector(&p)], std::slice::from_ref(&g)).unwrap();
        let b = scaled.update(&[vector(&p)], &[&g * factor]).unwrap();
        prop_assert_eq!(read(&a[0]), read(&b[0]));
    }
}

#[test]
fn every_optimizer_finds_the_bottom_of_a_bowl() {
    for name in NAMES {
        let mut opt = optimizer(name).unwrap();
        // Adadelta's first steps have the size of the root of epsilon, so it needs a far larger rate.
        opt.set_learning_rate(if name == "adadelta" { 20.0 } else { 0.05 }).unwrap();
        let height = |p: &[Tensor]| read(&p[0]).iter().map(|v| v * v).sum::<f32>();
        let mut p = vec![vector(&[0.9, -0.6, 0.3])];
        let start = height(&p);
        for _ in 0..60 {
            let g = [&p[0] * 2.0];
            p = opt.update(&p, &g).unwrap();
        }
        assert!(height(&p) < 0.2 * start, "{name}: {} -> {}", start, height(&p));
    }
}

#[test]
fn updates_grow_no_graph() {
    let mut opt = Adam::new(0.01).use_ema(true);
    let w = Variable::new(vector(&[1.0, 2.0]));
    // Parameters and gradients that are tracked keep what they were computed from; the new parameters must not.
    let mut p = vec![w.value() * 1.0];
    for _ in 0..40 {
        let g = vec![&p[0] * 2.0];
        p = opt.update(&p, &g).unwrap();
        assert!(p[0].node().inputs().is_empty() && !p[0].is_tracked());
    }
    let slots = opt.variables();
    assert!(slots.iter().all(|v| v.value().node().inputs().is_empty()));
}

#[test]
fn a_failed_update_changes_nothing() {
    let mut opt = Adam::new(0.1);
    let p = opt.update(&[vector(&[1.0])], &[vector(&[1.0])]).unwrap();
    let state = |opt: &Adam| opt.variables().iter().map(|v| v.value().to_array().unwrap()).collect::<Vec<Array>>();
    let before = state(&opt);
    let shape = opt.update(&p, &[vector(&[1.0, 2.0])]).unwrap_err().to_string();
    assert!(shape.contains("the gradient of \"parameter_0\" has shape [2], the parameter [1]"), "{shape}");
    let more = opt.update(&[p[0].clone(), p[0].clone()], &[p[0].clone(), p[0].clone()]).unwrap_err().to_string();
    assert!(more.contains("was used before with 1 other parameters"), "{more}");
    let wrong = opt.update(&[vector(&[1.0, 2.0])], &[vector(&[1.0, 2.0])]).unwrap_err().to_string();
    assert!(wrong.contains("\"parameter_0\" was float32 [1] when the optimizer saw it first"), "{wrong}");
    assert_eq!(state(&opt), before);
}

#[test]
fn contradictions_are_told() {
    let wrong = |mut opt: Adam| opt.update(&[vector(&[1.0])], &[vector(&[1.0])]).unwrap_err().to_string();
    assert!(wrong(Adam::new(0.1).clipnorm(1.0).clipvalue(0.5)).contains("clipnorm = 1 and clipvalue = 0.5"));
    assert!(wrong(Adam::new(0.1).global_clipnorm(-1.0)).contains("global_clipnorm should be above 0, got -1"));
    assert!(wrong(Adam::new(0.1).gradient_accumulation_steps(1)).contains("should be at least 2, got 1"));
    assert!(wrong(Adam::new(0.1).use_ema(true).ema_momentum(1.5)).contains("ema_momentum should be from 0 to 1"));
    let scheduled = Adam::new(ExponentialDecay::new(0.1, 10, 0.5)).set_learning_rate(0.2).unwrap_err().to_string();
    assert!(scheduled.contains("follows a schedule"), "{scheduled}");
}

#[test]
fn missing_gradients_are_named() {
    let [w, b] = ["w", "b"].map(|name| Variable::new(Tensor::ones([1])).named(name));
    let (found, warning) = with_gradients(vec![(w.clone(), Some(Tensor::ones([1]))), (b.clone(), None)]).unwrap();
    assert_eq!(
        (found.len(), warning.as_deref()),
        (1, Some("the loss gives no gradient for \"b\": they stay as they are"))
    );
    let none = with_gradients(vec![(w.clone(), None), (b.clone(), None)]).unwrap_err().to_string();
    assert!(none.contains("(\"w\", \"b\")"), "{none}");

    let mut opt = SGD::new(0.1);
    opt.build(&[w]).unwrap();
    let unknown = opt.apply(&[(b, Tensor::ones([1]))]).unwrap_err().to_string();
    assert!(unknown.contains("does not know \"b\""), "{unknown}");
}

#[test]
fn a_learning_rate_can_be_set_between_steps() {
    let mut opt = SGD::new(1.0);
    let p = opt.update(&[vector(&[0.0])], &[vector(&[1.0])]).unwrap();
    opt.set_learning_rate(0.25).unwrap();
    assert_eq!(opt.learning_rate().unwrap(), 0.25);
    assert_eq!(read(&opt.update(&p, &[vector(&[1.0])]).unwrap()[0]), [-1.25]);
    assert_eq!(opt.iterations().unwrap(), 2);
    assert_eq!(opt.config().unwrap()["config"]["learning_rate"], 0.25);
}

#[test]
fn only_what_differs_is_written() {
    let json = AdamW::new(0.002).config().unwrap();
    assert_eq!(
        json.to_string(),
        r#"{"module":"keras.optimizers","class_name":"AdamW","config":{"name":"adam_w","learning_rate":0.002},"registered_name":null}"#
    );
    let json = Adam::new(CosineDecay::new(0.1, 50)).beta_1(0.8).config().unwrap();
    assert_eq!(json["config"]["beta_1"], 0.8);
    assert_eq!(json["config"]["learning_rate"]["module"], "keras.optimizers.schedules");
}

#[test]
fn foreign_settings_are_warned_of_and_wrong_ones_refused() {
    let read = |text: &str| optimizer_from_config(&serde_json::from_str(text).unwrap());
    let (_, warnings) = read(r#"{"class_name":"Adam","config":{"learning_rate":0.1,"fused":true}}"#).unwrap();
    assert_eq!(warnings, ["Adam: unknown setting `fused` was ignored"]);
    let wrong = read(r#"{"class_name":"Adam","config":{"beta_1":"high"}}"#).unwrap_err().to_string();
    assert_eq!(wrong, "Adam: `beta_1` should be a number, got \"high\"");
    assert!(read(r#"{"class_name":"Adam"}"#).is_err());
    assert!(read(r#"{"class_name":"Adan","config":{}}"#).unwrap_err().to_string().contains("did you mean"));
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let mut opt = SGD::new(0.1).momentum(0.9);
    opt.build(&[Variable::new(Tensor::ones([2])).named("w")]).unwrap();
    let saved = |shape: usize| {
        vec![
            Array::new((), &[7i32]).unwrap(),
            Array::new((), &[0.5f32]).unwrap(),
            Array::new([shape], &vec![1.0f32; shape]).unwrap(),
        ]
    };
    let wrong = opt.restore(&saved(3)).unwrap_err().to_string();
    assert!(wrong.contains("variable 2 \"w_momentum\" has shape [2], the saved one [3]"), "{wrong}");
    let fewer = opt.restore(&saved(2)[..2]).unwrap_err().to_string();
    assert!(fewer.contains("has 3 variables, the saved one has 2"), "{fewer}");
    assert_eq!(opt.iterations().unwrap(), 0);
    opt.restore(&saved(2)).unwrap();
    assert_eq!((opt.iterations().unwrap(), opt.learning_rate().unwrap()), (7, 0.5));
}

#[test]
fn averages_move_also_without_a_gradient() {
    let [w, b] = ["w", "b"].map(|name| Variable::new(Tensor::ones([1])).named(name));
    let mut opt = SGD::new(0.5).use_ema(true).ema_momentum(0.5);
    opt.build(&[w.clone(), b]).unwrap();
    let updates = opt.apply(&[(w, Tensor::ones([1]))]).unwrap();
    let named = |name: &str| read(&updates.iter().find(|(v, _)| v.name() == name).unwrap().1);
    assert_eq!((named("w"), named("w_average"), named("b_average")), (vec![0.5], vec![0.5], vec![1.0]));
}

#[test]
fn slots_decay_to_zero_and_not_to_denormal_numbers() {
    let w = Variable::new(Tensor::ones([2])).named("w");
    let mut opt = Adam::new(0.1);
    let step = |opt: &mut Adam, g: [f32; 2]| {
        let updates = opt.apply(&[(w.clone(), vector(&g))]).unwrap();
        let slots: Vec<Vec<f32>> =
            updates.iter().filter(|(v, _)| v.name().contains("momentum")).map(|(_, t)| read(t)).collect();
        for (variable, value) in updates {
            variable.assign(&value).unwrap();
        }
        slots.concat()
    };
    let first = step(&mut opt, [1e-32, 1e-35]);
    assert!(first[0] > 0.9e-33 && first[1] == 0.0, "{first:?}");
    for _ in 0..100 {
        assert!(step(&mut opt, [0.0, 0.0]).iter().all(|m| *m == 0.0 || m.is_normal()));
    }
    assert_eq!(step(&mut opt, [0.0, 0.0]), [0.0, 0.0]);
}

#[test]
fn a_choice_is_a_name_or_an_optimizer() {
    fn take(choice: impl Into<OptimizerChoice>) -> addax_tensor::Result<Box<dyn Optimizer>> {
        choice.into().get()
    }
    assert_eq!(take("adam").unwrap().class_name(), "Adam");
    assert_eq!(take(SGD::new(0.1)).unwrap().class_name(), "SGD");
    assert_eq!(take(optimizer("lion").unwrap()).unwrap().class_name(), "Lion");
    assert!(take("adamn").unwrap_err().to_string().contains("\"adam\""));
}
