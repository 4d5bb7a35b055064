//! Train steps of one's own: validation, penalties, learning rates.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{
    layers::{Dense, Dropout, Fields, L2},
    losses::Loss,
    prelude::*,
};
use common::blobs;

/// A classifier with dropout, trained by a step of its own.
struct Own {
    net: Sequential,
    optimizer: Adam,
    /// How many steps recorded for training, and for tests.
    steps: [usize; 2],
}

fn own() -> Own {
    let net = Sequential::new()
        .add(Dense::new(8).activation("tanh").kernel_regularizer(L2(0.01)))
        .add(Dropout::new(0.5))
        .add(Dense::new(3))
        .named("net");
    Own { net, optimizer: Adam::new(0.01), steps: [0, 0] }
}

impl TrainStep for Own {
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
        self.steps[usize::from(!s.training())] += 1;
        let y = s.call(&self.net, &x)?;
        let data_loss = SparseCategoricalCrossentropy::from_logits().call(s.labels()?, &y);
        let penalty = s.penalties(&self.net)?;
        s.minimize(&(&data_loss + &penalty), &self.net, &mut self.optimizer)?;
        Ok(logs! { "loss" => data_loss, "penalty" => penalty })
    }
    fn parts(&self) -> Vec<(&str, &dyn Fields)> {
        vec![("net", &self.net)]
    }
    fn optimizer(&self) -> Option<&dyn Optimizer> {
        Some(&self.optimizer)
    }
}

fn numbers(layer: &dyn Fields) -> Vec<Vec<f32>> {
    let all = addax::layers::weights(layer);
    all.iter().map(|w| w.weight.variable().unwrap().value().to_vec().unwrap()).collect()
}

fn fit() -> Fit<'static> {
    Fit::epochs(3).batch_size(16).seed(4).verbose(0)
}

#[test]
fn validation_measures_and_moves_nothing() {
    let (train, held_out) = (blobs(50, 1), blobs(37, 2));
    let mut alone = own();
    alone.fit(&train, fit()).unwrap();
    let mut watched = own();
    let history = watched.fit(&train, fit().validation_data(&held_out)).unwrap();
    assert_eq!(numbers(&alone.net), numbers(&watched.net));
    assert_eq!(history.names().collect::<Vec<_>>(), ["loss", "penalty", "val_loss", "val_penalty"]);
    // 50 rows are 4 batches of 16, 37 are 3 of the same size.
    assert_eq!(watched.steps, [12, 9]);

    // The last epoch's validation is what these weights give on these rows, without dropout, in batches of any size.
    let now = watched.evaluate(&held_out).unwrap();
    assert!((now.get("loss").unwrap() - history.last("val_loss").unwrap()).abs() < 1e-5);
    let logits = watched.net.predict(held_out.x().as_ref()).unwrap();
    let labels = Tensor::from_array(held_out.y().unwrap().into_owned());
    let loss = SparseCategoricalCrossentropy::from_logits().call(&labels, &Tensor::from_array(logits));
    assert!((f64::from(loss.item::<f32>().unwrap()) - now.get("loss").unwrap()).abs() < 1e-5);
    assert_eq!(numbers(&alone.net), numbers(&watched.net));
    assert_eq!(watched.optimizer.iterations().unwrap(), 12);
}

#[test]
fn a_split_keeps_the_last_rows() {
    let data = blobs(40, 1);
    let (mut split, mut given) = (own(), own());
    let by_split = split.fit(&data, fit().validation_split(0.25)).unwrap();
    let (train, rest) = (data.slice(0..30).unwrap(), data.slice(30..40).unwrap());
    let by_hand = given.fit(&train, fit().validation_data(&rest)).unwrap();
    assert_eq!(numbers(&split.net), numbers(&given.net));
    assert_eq!(by_split.get("val_loss").unwrap(), by_hand.get("val_loss").unwrap());
}

#[test]
fn when_and_how_much_is_validated_is_up_to_the_fit() {
    let mut step = own();
    let mut seen = Vec::new();
    let watch = LambdaCallback::new().on_epoch_end(|_, logs, _| {
        seen.push(logs.contains("val_loss"));
        Ok(())
    });
    let mut tests = 0;
    let count = LambdaCallback::new().on_test_batch_end(|_, _, _| {
        tests += 1;
        Ok(())
    });
    let (train, held_out) = (blobs(32, 1), blobs(32, 2));
    let how = fit().validation_data(&held_out).validation_freq([2]).validation_batch_size(4).validation_steps(3);
    step.fit(&train, how.callback(watch).callback(count)).unwrap();
    assert_eq!(seen, [false, true, false]);
    assert_eq!((tests, step.steps), (3, [6, 3]));
}

#[test]
fn penalties_are_those_of_the_layer_alone() {
    struct Two(Sequential, Sequential, Adam);
    impl TrainStep for Two {
        fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
            let (a, b) = (s.call(&self.0, &x)?, s.call(&self.1, &x)?);
            let again = s.call(&self.1, &x)?;
            let logs =
                logs! { "a" => s.penalties(&self.0)?, "b" => s.penalties(&self.1)?, "b_out" => b.square().sum_all() };
            s.minimize(&(a.mean_all() + b.mean_all() + again.mean_all()), &self.0, &mut self.2)?;
            Ok(logs)
        }
    }
    let net = |layer: Dense| Sequential::new().add(layer);
    let plain = net(Dense::new(2));
    let penalised = net(Dense::new(2).kernel_regularizer(L2(0.5)).activity_regularizer(L2(0.25)));
    let mut two = Two(plain, penalised, Adam::new(0.0));
    let history = two.fit(&blobs(8, 1), Fit::epochs(1).batch_size(8).verbose(0)).unwrap();
    assert_eq!(history.last("a").unwrap(), 0.0);
    let kernel: f64 = numbers(&two.1)[0].iter().map(|w| f64::from(w * w)).sum();
    // The kernel counts once, each of the two outputs for itself and divided by the batch.
    let expected = 0.5 * kernel + 2.0 * 0.25 * history.last("b_out").unwrap() / 8.0;
    assert!((history.last("b").unwrap() - expected).abs() < 1e-4 * expected, "{history:?} {expected}");
}

#[test]
fn callbacks_see_and_set_the_learning_rate() {
    let mut step = own();
    let mut slower = LearningRateScheduler::new(|epoch, rate| if epoch == 0 { rate } else { rate / 2.0 });
    let history = step.fit(&blobs(16, 1), fit().callback(&mut slower)).unwrap();
    let rates = history.get("learning_rate").unwrap();
    for (rate, expected) in rates.iter().zip([0.01, 0.005, 0.0025]) {
        assert!((rate - expected).abs() < 1e-8, "{rates:?}");
    }
    assert!((step.optimizer.learning_rate().unwrap() - 0.0025).abs() < 1e-8);

    struct Silent(Own);
    impl TrainStep for Silent {
        fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
            self.0.train_step(x, s)
        }
    }
    let constant = LearningRateScheduler::new(|_, rate| rate);
    let error = Silent(own()).fit(&blobs(16, 1), fit().callback(constant)).unwrap_err().to_string();
    assert!(error.contains("write its method `optimizer`"), "{error}");
}

#[test]
fn a_test_step_of_ones_own_is_taken() {
    struct Counting(Own);
    impl TrainStep for Counting {
        fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
            self.0.train_step(x, s)
        }
        fn test_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
            let right = s.call(&self.0.net, &x)?.argmax(-1).equal(s.labels()?).cast(DType::F32).mean_all();
            Ok(logs! { "right" => right })
        }
    }
    let mut step = Counting(own());
    let history = step.fit(&blobs(60, 1), fit().validation_data(&blobs(30, 2))).unwrap();
    assert_eq!(history.names().collect::<Vec<_>>(), ["loss", "penalty", "val_right"]);
    assert!(history.last("val_right").unwrap() > 0.5, "{history:?}");
    assert_eq!(step.0.steps[1], 0);
}
