//! Predictions of another thread while a model is trained.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{layers::*, prelude::*};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

fn model(device: &Device) -> Sequential {
    let mut model = Sequential::new().input([12]).seed(5);
    for _ in 0..6 {
        model = model.add(Dense::new(32).activation("tanh"));
    }
    let mut model = model.add(BatchNormalization::new()).add(Dropout::new(0.3)).add(Dense::new(4));
    model.set_device(device);
    model.compile(Compile::new(Adam::new(0.02)).loss(SparseCategoricalCrossentropy::from_logits())).unwrap();
    model
}

fn rows(n: usize) -> (Array, Array) {
    let x: Vec<f32> = (0..n * 12).map(|i| (i * 29 % 31) as f32 / 31.0 - 0.5).collect();
    let y: Vec<i32> = (0..n).map(|i| (i * 5 % 4) as i32).collect();
    (Array::new([n, 12], &x).unwrap(), Array::new([n], &y).unwrap())
}

/// Each prediction is that of the weights after some step, to the bit, and later predictions are of later steps.
#[test]
fn predictions_during_training_are_those_of_some_step() {
    const STEPS: usize = 120;
    let device = Device::cpu().unwrap();
    let mut model = model(&device);
    let (x, y) = rows(160);
    let asked = x.gather_rows(&[3, 77, 141]).unwrap();
    let predictor = model.predictor().unwrap();
    // Weights at the beginning and after each step.
    let mut weights = vec![model.weights().unwrap()];
    let (done, answers) = (AtomicBool::new(false), [0, 0].map(AtomicUsize::new));
    let predicted: Vec<Vec<Array>> = thread::scope(|scope| {
        let threads: Vec<_> = answers
            .iter()
            .map(|answers| {
                let (predictor, asked, done) = (predictor.clone(), &asked, &done);
                scope.spawn(move || {
                    let mut all: Vec<Array> = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let y = predictor.predict(asked).unwrap();
                        answers.fetch_add(1, Ordering::Relaxed);
                        if all.last() != Some(&y) {
                            all.push(y);
                        }
                    }
                    all
                })
            })
            .collect();
        let watch = LambdaCallback::new().on_train_batch_end(|_, _, t| {
            weights.push(t.weights()?);
            // Training waits now and then, so that on any machine each thread predicts between its steps.
            if weights.len() % 20 == 0 {
                let counts = || answers.each_ref().map(|count| count.load(Ordering::Relaxed));
                let (seen, start) = (counts(), Instant::now());
                while counts().iter().zip(seen).any(|(now, seen)| *now < seen + 2) && start.elapsed().as_secs() < 20 {
                    thread::yield_now();
                }
            }
            Ok(())
        });
        let data = Dataset::new(x.clone(), y.clone()).unwrap();
        let fit = Fit::epochs(STEPS / 5).batch_size(32).seed(5).verbose(0).callback(watch);
        let trained = model.fit(&data, fit);
        done.store(true, Ordering::Relaxed);
        trained.unwrap();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(weights.len(), STEPS + 1);
    // What each step's weights predict.
    let mut twin = self::model(&Device::cpu().unwrap());
    let of_step: Vec<Array> = weights
        .iter()
        .map(|weights| {
            twin.set_weights(weights).unwrap();
            twin.predict(&asked).unwrap()
        })
        .collect();
    for all in &predicted {
        assert!(all.len() > 4, "{} different predictions in {STEPS} steps", all.len());
        let mut step = 0;
        for y in all {
            let found = of_step.iter().skip(step).position(|of_step| of_step == y);
            step += found.expect("a prediction of no step");
        }
    }
    // Afterwards handle and model are one.
    assert_eq!(predictor.predict(&asked).unwrap(), model.predict(&asked).unwrap());
    assert_eq!(model.predict(&asked).unwrap(), of_step[STEPS]);
}

/// What is predicted for a number of rows for the first time is recorded while training goes on, and is of some step all the same; so
/// is what it gives later.
#[test]
fn a_step_that_ends_while_a_prediction_is_recorded_does_not_disturb_it() {
    const STEPS: usize = 150;
    let device = Device::cpu().unwrap();
    let mut model = model(&device);
    let (x, y) = rows(160);
    let predictor = model.predictor().unwrap();
    // More than there are programs kept, so that they are recorded again and again.
    let asked: Vec<Array> = (1..=12).map(|n| x.gather_rows(&(0..n).collect::<Vec<_>>()).unwrap()).collect();
    let mut weights = vec![model.weights().unwrap()];
    let done = AtomicBool::new(false);
    let predicted: Vec<(usize, Array)> = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut all = Vec::new();
            while !done.load(Ordering::Relaxed) {
                for (which, rows) in asked.iter().enumerate() {
                    all.extend((0..2).map(|_| (which, predictor.predict(rows).unwrap())));
                }
            }
            all
        });
        let watch = LambdaCallback::new().on_train_batch_end(|_, _, t| {
            weights.push(t.weights()?);
            Ok(())
        });
        let data = Dataset::new(x.clone(), y.clone()).unwrap();
        let fit = Fit::epochs(STEPS / 5).batch_size(32).seed(5).verbose(0).callback(watch);
        let trained = model.fit(&data, fit);
        done.store(true, Ordering::Relaxed);
        trained.unwrap();
        thread.join().unwrap()
    });
    let mut twin = self::model(&Device::cpu().unwrap());
    let mut of_step: Vec<Vec<Array>> = Vec::new();
    for weights in &weights {
        twin.set_weights(weights).unwrap();
        of_step.push(asked.iter().map(|rows| twin.predict(rows).unwrap()).collect());
    }
    assert!(predicted.len() >= 2 * asked.len());
    for (n, (which, y)) in predicted.iter().enumerate() {
        let rows = which + 1;
        assert!(of_step.iter().any(|of| of[*which] == *y), "prediction {n}, of {rows} rows, is of no step");
    }
}
