//! Optimizers and schedules against what real Keras computed (`fixtures/keras`).

#![allow(clippy::unwrap_used, clippy::panic)]

use addax_optim::{Optimizer, Updates, optimizer, optimizer_from_config, schedule_from_config};
use addax_tensor::{Array, DType, Device, Program, Tensor, Variable, run};
use serde_json::{Value, json};

fn fixture(name: &str) -> Value {
    let path = format!("{}/../fixtures/keras/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list `{key}`"))
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn shape(value: &Value) -> Vec<usize> {
    list(value, "shape").iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

fn tensor(value: &Value) -> Tensor {
    Tensor::from_vec(floats(&value["data"]), shape(value))
}

/// Within `tolerance` of the largest of the expected numbers.
fn close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-3f32, |a, v| a.max(v.abs()));
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * scale, "{what}: got {got:?}, Keras {want:?}");
    }
}

fn commit(updates: Updates) {
    run::step(&[], updates).unwrap();
}

fn values(variable: &Variable) -> Vec<f32> {
    variable.value().cast(DType::F32).to_vec().unwrap()
}

/// The optimizer of a case and its weights, as a trainer would hold them.
fn start(goldens: &Value, case: &Value) -> (Box<dyn Optimizer>, Vec<Variable>) {
    let mut config = case["config"].clone();
    if case["variant"] == "weight_decay_excluded" {
        config["weight_decay"] = json!(0.1);
    }
    let json = json!({"class_name": case["class_name"], "config": config});
    let (optimizer, warnings) = optimizer_from_config(&json).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let weights = list(goldens, "variables").iter();
    (optimizer, weights.map(|v| Variable::new(tensor(v)).named(v["name"].as_str().unwrap())).collect())
}

fn title(case: &Value) -> String {
    format!("{} {} {}", case["class_name"], case["variant"], case["config"])
}

/// Keras numbers instances (`adam_5/iteration`) and gives Nadam's product no path.
fn unnumbered(path: &str, optimizer: &str) -> String {
    match path.split_once('/') {
        Some((name, variable)) => {
            format!("{}/{variable}", name.trim_end_matches(|c: char| c == '_' || c.is_ascii_digit()))
        }
        None => format!("{optimizer}/{path}"),
    }
}

#[test]
fn ten_steps_as_in_keras() {
    let goldens = fixture("optimizers");
    for case in list(&goldens, "cases") {
        let what = title(case);
        let (mut opt, weights) = start(&goldens, case);
        if case["variant"] == "weight_decay_excluded" {
            opt = Box::new(addax_optim::AdamW::new(0.05).weight_decay(0.1).exclude_from_weight_decay(["bias"]));
        }
        opt.build(&weights).unwrap();
        let rates = floats(&case["learning_rates"]);
        for (step, gradients) in list(&goldens, "gradients").iter().enumerate() {
            close(&[opt.learning_rate().unwrap() as f32], &rates[step..=step], 1e-6, &what);
            let gradients = gradients.as_array().unwrap().iter().map(tensor);
            let pairs: Vec<_> = weights.iter().cloned().zip(gradients).collect();
            commit(opt.apply(&pairs).unwrap());
            for (weight, want) in weights.iter().zip(case["weights"][step].as_array().unwrap()) {
                close(&values(weight), &floats(want), 1e-4, &format!("{what}, step {step}, {}", weight.name()));
            }
        }
        let variables = opt.paths();
        let wanted = list(case, "variables");
        let paths: Vec<String> = wanted.iter().map(|v| unnumbered(v["path"].as_str().unwrap(), opt.name())).collect();
        assert_eq!(variables.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>(), paths, "{what}");
        for ((path, variable), want) in variables.iter().zip(wanted) {
            assert_eq!(variable.shape().unwrap().dims(), shape(want), "{what} {path}");
            assert_eq!(variable.dtype().unwrap().name(), want["dtype"].as_str().unwrap(), "{what} {path}");
            close(&values(variable), &floats(&want["data"]), 1e-4, &format!("{what} {path}"));
        }
        if let Some(finalized) = case["finalized"].as_array() {
            commit(opt.finalize());
            for (weight, want) in weights.iter().zip(finalized) {
                close(&values(weight), &floats(want), 1e-4, &format!("{what} finalized"));
            }
        }
    }
}

/// A step that is recorded once and replayed must see iteration, rate and slots move: no number of the host may be frozen.
#[test]
fn a_captured_step_does_the_same() {
    let goldens = fixture("optimizers");
    for case in list(&goldens, "cases").iter().filter(|c| c["variant"] != "weight_decay_excluded") {
        let (mut opt, weights) = start(&goldens, case);
        opt.build(&weights).unwrap();
        let place = |(i, w): (usize, &Variable)| Tensor::placeholder(i, DType::F32, w.shape().unwrap());
        let places: Vec<Tensor> = weights.iter().enumerate().map(place).collect();
        let pairs: Vec<_> = weights.iter().cloned().zip(places.iter().cloned()).collect();
        let updates = opt.apply(&pairs).unwrap();
        let program = Program::capture(&Device::default(), &places, &[], &updates, &opt.variables()).unwrap();
        drop(updates);
        for (step, gradients) in list(&goldens, "gradients").iter().enumerate() {
            let arrays: Vec<Array> =
                gradients.as_array().unwrap().iter().map(|g| tensor(g).to_array().unwrap()).collect();
            program.run(&arrays.iter().collect::<Vec<_>>()).unwrap();
            for (weight, want) in weights.iter().zip(case["weights"][step].as_array().unwrap()) {
                close(&values(weight), &floats(want), 1e-4, &format!("{}, step {step}", title(case)));
            }
        }
        assert_eq!(opt.iterations().unwrap(), 10);
    }
}

#[test]
fn a_rate_set_between_runs_of_a_captured_step_counts() {
    let w = Variable::new(Tensor::zeros([1]));
    let mut opt = addax_optim::SGD::new(1.0);
    let g = Tensor::placeholder(0, DType::F32, [1]);
    let updates = opt.apply(&[(w.clone(), g.clone())]).unwrap();
    let program = Program::capture(&Device::default(), &[g], &[], &updates, &opt.variables()).unwrap();
    let one = Array::new([1], &[1.0f32]).unwrap();
    program.run(&[&one]).unwrap();
    opt.set_learning_rate(0.25).unwrap();
    program.run(&[&one]).unwrap();
    assert_eq!(values(&w), [-1.25]);
}

#[test]
fn alone_it_does_the_same_as_in_a_trainer() {
    let goldens = fixture("optimizers");
    for case in list(&goldens, "cases").iter().filter(|c| c["variant"] != "weight_decay_excluded") {
        let (mut opt, weights) = start(&goldens, case);
        let mut p: Vec<Tensor> = weights.iter().map(Variable::value).collect();
        for gradients in list(&goldens, "gradients") {
            p = opt.update(&p, &gradients.as_array().unwrap().iter().map(tensor).collect::<Vec<_>>()).unwrap();
        }
        let last = list(case, "weights").last().unwrap().as_array().unwrap();
        for (p, want) in p.iter().zip(last) {
            close(&p.to_vec::<f32>().unwrap(), &floats(want), 1e-4, &title(case));
        }
    }
}

#[test]
fn a_saved_state_continues_exactly() {
    let goldens = fixture("optimizers");
    for case in list(&goldens, "cases") {
        let gradients: Vec<Vec<Tensor>> = list(&goldens, "gradients")
            .iter()
            .map(|step| step.as_array().unwrap().iter().map(tensor).collect())
            .collect();
        let run = |opt: &mut dyn Optimizer, weights: &[Variable], steps: &[Vec<Tensor>]| {
            for step in steps {
                let pairs: Vec<_> = weights.iter().cloned().zip(step.iter().cloned()).collect();
                commit(opt.apply(&pairs).unwrap());
            }
        };
        let (mut whole, weights) = start(&goldens, case);
        run(&mut *whole, &weights, &gradients[..5]);
        let saved: Vec<Array> = whole.variables().iter().map(|v| v.value().to_array().unwrap()).collect();
        let (mut resumed, copies) = start(&goldens, case);
        for (copy, weight) in copies.iter().zip(&weights) {
            copy.assign(&weight.value()).unwrap();
        }
        resumed.build(&copies).unwrap();
        resumed.restore(&saved).unwrap();
        run(&mut *whole, &weights, &gradients[5..]);
        run(&mut *resumed, &copies, &gradients[5..]);
        for (a, b) in weights.iter().zip(&copies) {
            assert_eq!(values(a), values(b), "{}", title(case));
        }
    }
}

#[test]
fn configurations_survive_a_round() {
    let goldens = fixture("optimizers");
    for case in list(&goldens, "cases") {
        let json = json!({"class_name": case["class_name"], "config": case["config"]});
        let first = optimizer_from_config(&json).unwrap().0.config().unwrap();
        let second = optimizer_from_config(&first).unwrap().0.config().unwrap();
        assert_eq!(first, second);
        for (key, value) in case["config"].as_object().unwrap().iter().filter(|(_, v)| !v.is_object()) {
            assert_eq!(&first["config"][key], value, "{}: {key}", title(case));
        }
    }
}

#[test]
fn strings_make_what_keras_makes_of_them() {
    for (name, class) in fixture("optimizers")["names"].as_object().unwrap() {
        match class.as_str() {
            Some(class) => assert_eq!(optimizer(name).unwrap().class_name(), class),
            // Keras leaves Lamb out of its table of names; here it is known.
            None => assert_eq!(name, "lamb"),
        }
    }
}

#[test]
fn schedules_as_in_keras() {
    let goldens = fixture("schedules");
    for case in list(&goldens, "cases") {
        let schedule = schedule_from_config(case, &mut Vec::new()).unwrap();
        let again = schedule_from_config(&schedule.config(), &mut Vec::new()).unwrap();
        assert_eq!(schedule.config(), again.config());
        for (step, want) in list(&goldens, "steps").iter().zip(floats(&case["rates"])) {
            let got = schedule.at(step.as_u64().unwrap()).unwrap() as f32;
            assert!((got - want).abs() <= 1e-5 * want.abs() + 1e-8, "{case} at {step}: got {got}, Keras {want}");
        }
    }
}
