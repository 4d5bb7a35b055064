//! Train steps of one's own: recorded anew each step, so that their `if`s and numbers keep their meaning.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{
    layers::{Dense, Dropout, Fields, Layer},
    prelude::*,
};
use common::blobs;

fn net(units: usize, name: &str) -> Sequential {
    Sequential::new().add(Dense::new(8).activation("tanh")).add(Dropout::new(0.2)).add(Dense::new(units)).named(name)
}

fn numbers(layer: &dyn Fields) -> Vec<Vec<f32>> {
    let all = addax::layers::weights(layer);
    all.iter().map(|w| w.weight.variable().unwrap().value().to_vec().unwrap()).collect()
}

/// A step that does something else now and then, with numbers that change.
struct Uneven {
    net: Sequential,
    optimizer: Adam,
}
impl TrainStep for Uneven {
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
        let y = s.call(&self.net, &x)?;
        let mut loss = losses::loss("sparse_categorical_crossentropy")?.call(s.labels()?, &y.softmax(-1));
        if s.number().is_multiple_of(5) {
            loss = loss + y.square().mean_all() * 0.01;
        }
        loss = loss * (1.0 + s.number() as f64 / 100.0);
        s.minimize(&loss, &self.net, &mut self.optimizer)?;
        Ok(logs! { "loss" => loss, "number" => s.number() as f64 })
    }
    fn parts(&self) -> Vec<(&str, &dyn Fields)> {
        vec![("net", &self.net)]
    }
}

fn uneven(device: &Device, cached: bool) -> Vec<Vec<f32>> {
    Device::set_default(device);
    device.set_plan_cache(cached);
    let mut step = Uneven { net: net(3, "net"), optimizer: Adam::new(0.01) };
    let history = step.fit(&blobs(70, 1), Fit::epochs(3).batch_size(16).seed(4).verbose(0)).unwrap();
    assert_eq!(history.last("number").unwrap(), 14.0);
    device.set_plan_cache(true);
    numbers(&step.net)
}

/// Adversarial nets in small: one tells real numbers from made ones, the other makes them.
struct Gan {
    generator: Sequential,
    discriminator: Sequential,
    d_opt: Adam,
    g_opt: Adam,
    moved: Vec<bool>,
}
impl TrainStep for Gan {
    fn train_step(&mut self, real: Tensor, s: &mut Step) -> addax::Result<Logs> {
        let rows = real.dims::<2>()?[0];
        let fake = s.call(&self.generator, s.normal([rows, 2]))?;
        let real_score = s.call(&self.discriminator, &real)?;
        let fake_score = s.call(&self.discriminator, fake.stop_gradient())?;
        let d_loss = (-real_score).softplus().mean_all() + fake_score.softplus().mean_all();
        s.minimize(&d_loss, &self.discriminator, &mut self.d_opt)?;
        let before = numbers(&self.discriminator);
        let g_loss = (-s.call(&self.discriminator, &fake)?).softplus().mean_all();
        s.minimize(&g_loss, &self.generator, &mut self.g_opt)?;
        self.moved.push(numbers(&self.discriminator) != before);
        Ok(logs! { "d_loss" => d_loss, "g_loss" => g_loss })
    }
}

/// The default device is one for all tests of this file: one test after the other.
#[test]
fn steps_of_ones_own() {
    let device = Device::cpu().unwrap();
    let cached = uneven(&device, true);
    let hits = device.plan_cache();
    assert!(hits.hits > 5, "equal recordings find their plan: {hits:?}");
    assert_eq!(uneven(&device, false), cached);

    let (generator, discriminator) = (net(4, "generator"), net(1, "discriminator"));
    let (d_opt, g_opt) = (Adam::new(0.01), Adam::new(0.01));
    let mut gan = Gan { generator, discriminator, d_opt, g_opt, moved: Vec::new() };
    let history = gan.fit(&blobs(64, 1), Fit::epochs(2).batch_size(32).seed(1).verbose(0)).unwrap();
    assert_eq!(history.names().collect::<Vec<_>>(), ["d_loss", "g_loss"]);
    assert_eq!(gan.moved, [false; 4], "nothing moves before the step is done");
    assert!(gan.d_opt.iterations().unwrap() == 4 && gan.g_opt.iterations().unwrap() == 4);

    mistakes();
    snapshots();
}

struct Wrong<F>(Sequential, Adam, F);
impl<F: FnMut(&Sequential, &mut Adam, Tensor, &mut Step) -> addax::Result<Logs>> TrainStep for Wrong<F> {
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
        (self.2)(&self.0, &mut self.1, x, s)
    }
}

fn mistakes() {
    fn error(step: impl FnMut(&Sequential, &mut Adam, Tensor, &mut Step) -> addax::Result<Logs>) -> String {
        let mut wrong = Wrong(net(1, "net"), Adam::new(0.1), step);
        wrong.fit(&blobs(8, 1), Fit::epochs(1).verbose(0)).unwrap_err().to_string()
    }
    let text = error(|net, opt, x, s| {
        s.minimize(&x.mean_all(), net, opt)?;
        Ok(Logs::new())
    });
    assert!(text.contains("Sequential has no weights to train yet: call it in this step before"), "{text}");
    let text = error(|net, opt, x, s| {
        let loss = s.call(net, &x)?.square().mean_all();
        s.minimize(&loss, net, opt)?;
        s.minimize(&loss, net, opt)?;
        Ok(Logs::new())
    });
    assert!(text.contains("is moved twice in one step"), "{text}");
    let text = error(|net, _, x, s| Ok(logs! { "rows" => s.call(net, &x)? }));
    assert!(text.contains("log \"rows\" has shape [8, 1]; it is one number"), "{text}");
    let mut step =
        Wrong(net(1, "net"), Adam::new(0.1), |_: &Sequential, _: &mut Adam, _, _: &mut Step| Ok(Logs::new()));
    let text = step.fit(&blobs(8, 1), Fit::epochs(1).class_weight([(0, 2.0)])).unwrap_err().to_string();
    assert!(text.contains("class weights go into the step"), "{text}");
    let _: &dyn Layer<In = Tensor, Out = Tensor> = &step.0;
}

/// The best weights come back in steps of one's own, too.
fn snapshots() {
    let mut step = Uneven { net: net(3, "net"), optimizer: Adam::new(0.01) };
    let mut early = EarlyStopping::new("loss").patience(1).restore_best_weights(true);
    let mut kept = Vec::new();
    let keeper = LambdaCallback::new().on_epoch_end(|_, _, t| {
        kept.push(t.weights()?);
        Ok(())
    });
    step.fit(&blobs(30, 1), Fit::epochs(4).seed(4).verbose(0).callback(keeper).callback(&mut early)).unwrap();
    let best = &kept[early.best_epoch.unwrap()];
    assert!(best[0].0.starts_with("net/layers/dense/"), "{}", best[0].0);
    let best: Vec<Vec<f32>> = best.iter().map(|(_, w)| w.to_vec().unwrap()).collect();
    assert_eq!(numbers(&step.net), best);
}
