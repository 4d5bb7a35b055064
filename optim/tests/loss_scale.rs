//! Loss scaling: against real Keras with gradients that overflow, and laws.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use addax_optim::*;
use addax_tensor::{Array, DType, Device, Program, Tensor, Variable, run};
use proptest::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    let path = format!("{}/../fixtures/keras/mixed/loss_scale.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(json: &Value) -> Vec<f32> {
    json.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn tensor(json: &Value) -> Tensor {
    let shape: Vec<usize> = json["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
    Tensor::from_vec(floats(&json["data"]), shape)
}

fn values(variable: &Variable) -> Vec<f32> {
    variable.value().cast(DType::F32).to_vec().unwrap()
}

fn close(got: &[f32], want: &[f32], what: &str) {
    let size = want.iter().fold(1e-3f32, |a, v| a.max(v.abs()));
    let near = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-4 * size);
    assert!(near, "{what}: got {got:?}, Keras {want:?}");
}

/// The gradients of a step, scaled, with what overflows in it.
fn gradients(goldens: &Value, step: usize, scale: f32) -> Vec<Array> {
    let mut scaled: Vec<(Vec<usize>, Vec<f32>)> = Vec::new();
    for gradient in goldens["gradients"][step].as_array().unwrap() {
        let g = tensor(gradient);
        let numbers = g.to_vec::<f32>().unwrap().iter().map(|v| v * scale).collect();
        scaled.push((g.shape().unwrap().to_vec(), numbers));
    }
    for overflow in goldens["overflows"].as_array().unwrap() {
        if overflow[0].as_u64() == Some(step as u64) {
            scaled[overflow[1].as_u64().unwrap() as usize].1[1] = overflow[2].as_str().unwrap().parse().unwrap();
        }
    }
    scaled.into_iter().map(|(shape, numbers)| Array::new(shape, &numbers).unwrap()).collect()
}

/// Keras numbers instances: `adam_5/iteration`.
fn unnumbered(path: &str) -> String {
    let (name, variable) = path.split_once('/').unwrap();
    format!("{}/{variable}", name.trim_end_matches(|c: char| c == '_' || c.is_ascii_digit()))
}

/// One recorded step, replayed twelve times: what Keras decides on the host here the step decides itself.
#[test]
fn twelve_steps_with_overflows_as_in_keras() {
    let goldens = fixture();
    let cases = goldens["cases"].as_array().unwrap();
    assert!(cases.len() >= 4);
    for case in cases {
        let (mut opt, warnings) = optimizer_from_config(&case["config"]).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let what = case["config"].to_string();
        let weights = goldens["variables"].as_array().unwrap().iter();
        let weights: Vec<_> = weights.map(|v| Variable::new(tensor(v)).named(v["name"].as_str().unwrap())).collect();
        opt.build(&weights).unwrap();
        let place = |(i, w): (usize, &Variable)| Tensor::placeholder(i, DType::F32, w.shape().unwrap());
        let places: Vec<Tensor> = weights.iter().enumerate().map(place).collect();
        let pairs: Vec<_> = weights.iter().cloned().zip(places.iter().cloned()).collect();
        let updates = opt.apply(&pairs).unwrap();
        let program = Program::capture(&Device::default(), &places, &[], &updates, &opt.variables()).unwrap();
        drop(updates);
        let scale = opt.variables()[3].clone();
        assert_eq!(scale.name(), "dynamic_scale");
        for (step, want) in floats(&case["scales"]).into_iter().enumerate() {
            assert_eq!(values(&scale), [want], "{what}, scale of step {step}");
            let given = gradients(&goldens, step, want);
            program.run(&given.iter().collect::<Vec<_>>()).unwrap();
            for (weight, want) in weights.iter().zip(case["weights"][step].as_array().unwrap()) {
                close(&values(weight), &floats(want), &format!("{what}, step {step}, {}", weight.name()));
            }
        }
        let wanted = case["variables"].as_array().unwrap();
        assert_eq!(opt.variables().len(), wanted.len(), "{what}");
        for ((path, variable), want) in opt.paths().iter().zip(wanted) {
            assert_eq!(unnumbered(path), unnumbered(want["path"].as_str().unwrap()), "{what}");
            assert_eq!(variable.dtype().unwrap().name(), want["dtype"].as_str().unwrap(), "{what} {path}");
            close(&values(variable), &floats(&want["data"]), &format!("{what} {path}"));
        }
    }
}

/// Every optimizer that can be named, with what could read or write more than weights and slots.
fn inner(which: usize) -> Box<dyn Optimizer> {
    match which {
        0 => Box::new(Adam::new(0.1).clipnorm(1.0)),
        1 => Box::new(AdamW::new(CosineDecay::new(0.1, 9)).global_clipnorm(1.0)),
        2 => Box::new(SGD::new(0.1).momentum(0.5).weight_decay(0.1)),
        3 => Box::new(Nadam::new(0.1).clipvalue(0.5)),
        4 => Box::new(RMSprop::new(0.1).use_ema(true).ema_overwrite_frequency(2)),
        5 => Box::new(Lamb::new(0.1)),
        _ => Box::new(Ftrl::new(0.1).gradient_accumulation_steps(2)),
    }
}

fn bits(variables: &[Variable]) -> Vec<Vec<u8>> {
    variables.iter().map(|v| v.value().to_array().unwrap().bytes().to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Scaling then unscaling by a power of two changes no bit while everything is finite.
    #[test]
    fn a_scale_changes_nothing_where_gradients_are_finite(
        p in prop::collection::vec(-3f32..3.0, 1..5), power in 0i32..20, which in 0usize..7
    ) {
        let mut plain = inner(which);
        let mut scaled = LossScaleOptimizer::new(inner(which)).initial_scale(2f64.powi(power)).dynamic_growth_steps(2);
        let (mut a, mut b) = (vec![Tensor::from_vec(p.clone(), [p.len()])], vec![Tensor::from_vec(p.clone(), [p.len()])]);
        for _ in 0..4 {
            let (ga, gb) = (&a[0] * 2.0 - 0.5, &b[0] * 2.0 - 0.5);
            a = plain.update(&a, &[ga]).unwrap();
            b = scaled.update(&b, &[scaled.scale_loss(&gb)]).unwrap();
            prop_assert_eq!(a[0].to_vec::<f32>().unwrap(), b[0].to_vec::<f32>().unwrap());
        }
        prop_assert_eq!(scaled.scale().unwrap(), 2f64.powi(power + 2));
        prop_assert_eq!(scaled.iterations().unwrap(), 4);
    }

    /// One number that is not finite anywhere in any gradient: every variable has the bits it had, and the scale is halved.
    #[test]
    fn a_skipped_step_leaves_every_bit(
        at in 0usize..5, bad in prop::sample::select(vec![f32::INFINITY, f32::NEG_INFINITY, f32::NAN]), which in 0usize..7,
        good in 0usize..4
    ) {
        let variables = [Variable::new(Tensor::from_vec([1.0f32, -0.0, 3.0], [3])), Variable::new(Tensor::from_vec([-1.0f32, 2.0], [2]))];
        let mut opt = LossScaleOptimizer::new(inner(which)).dynamic_growth_steps(3);
        let step = |opt: &mut LossScaleOptimizer, numbers: &[f32]| {
            let (a, b) = numbers.split_at(3);
            let pairs = [(variables[0].clone(), Tensor::from_vec(a, [3])), (variables[1].clone(), Tensor::from_vec(b, [2]))];
            run::step(&[], opt.apply(&pairs).unwrap()).unwrap();
        };
        for _ in 0..good {
            step(&mut opt, &[300.0, -200.0, 1e5, 7.0, 0.0]);
        }
        let state: Vec<Variable> = variables.iter().cloned().chain(opt.inner_optimizer().variables()).collect();
        let (before, scale, count) = (bits(&state), opt.scale().unwrap(), opt.iterations().unwrap());
        let mut numbers = [1.0f32; 5];
        numbers[at] = bad;
        step(&mut opt, &numbers);
        prop_assert_eq!(bits(&state), before);
        prop_assert_eq!((opt.scale().unwrap(), opt.iterations().unwrap()), (scale / 2.0, count));
        // And training goes on.
        step(&mut opt, &[1.0; 5]);
        prop_assert_eq!(opt.iterations().unwrap(), count + 1);
    }
}

/// At 0 or infinity a scale could never come back.
#[test]
fn the_scale_stays_a_normal_number() {
    let p = [Tensor::ones([1])];
    let mut opt = LossScaleOptimizer::new(SGD::new(0.1)).initial_scale(2f64.powi(-125));
    for _ in 0..3 {
        opt.update(&p, &[Tensor::from_vec([f32::NAN], [1])]).unwrap();
    }
    assert_eq!(opt.scale().unwrap(), 2f64.powi(-126));
    let mut opt = LossScaleOptimizer::new(SGD::new(0.1)).initial_scale(2f64.powi(126)).dynamic_growth_steps(1);
    for _ in 0..3 {
        opt.update(&p, &[Tensor::zeros([1])]).unwrap();
    }
    assert_eq!(opt.scale().unwrap(), 2f64.powi(127));
}

/// A gradient of 1e-7 has no bits as a `float16`; scaled it has, and unscaled it moves a `float32` weight.
#[test]
fn small_half_gradients_are_unscaled_in_full() {
    let p = [Tensor::zeros([1])];
    let mut opt = LossScaleOptimizer::new(SGD::new(1.0));
    let g = opt.scale_loss(&Tensor::from_vec([1e-7f32], [1])).cast(DType::F16);
    let moved = opt.update(&p, &[g]).unwrap()[0].to_vec::<f32>().unwrap()[0];
    assert!((moved + 1e-7).abs() < 1e-10, "{moved}");
}

#[test]
fn its_config_and_state_go_through_files() {
    let made =
        || LossScaleOptimizer::new(Adam::new(0.05).loss_scale_factor(8.0)).initial_scale(64.0).dynamic_growth_steps(2);
    let mut opt = made();
    let json = opt.config().unwrap();
    assert_eq!(json["config"]["inner_optimizer"]["class_name"], "Adam");
    assert!(json["config"]["inner_optimizer"]["config"].get("loss_scale_factor").is_none(), "{json}");
    let (mut again, warnings) = optimizer_from_config(&json).unwrap();
    assert_eq!((again.config().unwrap(), warnings.len()), (json, 0));
    let w = Variable::new(Tensor::ones([2]));
    opt.build(std::slice::from_ref(&w)).unwrap();
    again.build(std::slice::from_ref(&w)).unwrap();
    for _ in 0..3 {
        run::step(&[], opt.apply(&[(w.clone(), Tensor::ones([2]))]).unwrap()).unwrap();
    }
    let saved: Vec<Array> = opt.variables().iter().map(|v| v.value().to_array().unwrap()).collect();
    again.restore(&saved).unwrap();
    assert_eq!(bits(&again.variables()), bits(&opt.variables()));
    assert_eq!((opt.scale().unwrap(), again.iterations().unwrap()), (128.0, 3));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let told = |opt: LossScaleOptimizer| {
        let mut opt = opt;
        opt.update(&[Tensor::ones([1])], &[Tensor::ones([1])]).unwrap_err().to_string()
    };
    let error = told(LossScaleOptimizer::new(SGD::new(0.1)).initial_scale(0.0));
    assert!(error.contains("initial_scale"), "{error}");
    let error = told(LossScaleOptimizer::new(SGD::new(0.1)).dynamic_growth_steps(0));
    assert!(error.contains("dynamic_growth_steps"), "{error}");
    let error = told(LossScaleOptimizer::new(SGD::new(0.1).clipnorm(1.0).clipvalue(1.0)));
    assert!(error.contains("clipping"), "{error}");
    let error = optimizer("LossScaleOptimizer").unwrap_err().to_string();
    assert!(error.contains("inner_optimizer"), "{error}");
}
