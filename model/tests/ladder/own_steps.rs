//! Trainings whose step is written by hand.

use crate::{Trained, models::pictures, moments, settled, state_of};
use addax::{
    layers::*,
    losses::{Dice, Loss},
    prelude::*,
};

/// What these optimizers have after one step.
fn first_moments(optimizers: &[&Adam]) -> addax::Result<Vec<Vec<f32>>> {
    let variables = optimizers.iter().map(|adam| adam.variables().iter().map(|v| v.value().to_array()).collect());
    let arrays = variables.collect::<addax::Result<Vec<Vec<Array>>>>()?;
    Ok(arrays.into_iter().map(|all| moments(all.into_iter())).collect::<addax::Result<Vec<_>>>()?.concat())
}

/// Two nets, two optimizers, random numbers: a train step of one's own.
struct Gan {
    generator: Sequential,
    discriminator: Sequential,
    d_opt: Adam,
    g_opt: Adam,
    gradients: Vec<Vec<f32>>,
}

impl TrainStep for Gan {
    fn train_step(&mut self, real: Tensor, s: &mut Step) -> addax::Result<Logs> {
        if s.number() == 1 {
            self.gradients = first_moments(&[&self.d_opt, &self.g_opt])?;
            settled();
        }
        let rows = real.dims::<2>()?[0];
        let fake = s.call(&self.generator, s.normal([rows, 8]))?;
        let real_score = s.call(&self.discriminator, &real)?;
        let fake_score = s.call(&self.discriminator, fake.stop_gradient())?;
        let d_loss = (-real_score).softplus().mean_all() + fake_score.softplus().mean_all();
        s.minimize(&d_loss, &self.discriminator, &mut self.d_opt)?;
        let g_loss = (-s.call(&self.discriminator, &fake)?).softplus().mean_all();
        s.minimize(&g_loss, &self.generator, &mut self.g_opt)?;
        Ok(logs! { "d_loss" => d_loss, "g_loss" => g_loss })
    }
}

pub fn gan(device: &Device, n: usize) -> addax::Result<Trained> {
    Device::set_default(device);
    let net = |out: usize, input: usize, seed: u64| {
        Sequential::new().input([input]).seed(seed).add(Dense::new(96).activation("tanh")).add(Dense::new(out))
    };
    let (generator, discriminator) = (net(32, 8, 6), net(1, 32, 7));
    let (d_opt, g_opt) = (Adam::new(1e-3), Adam::new(1e-3));
    let mut gan = Gan { generator, discriminator, d_opt, g_opt, gradients: Vec::new() };
    let (x, y) = pictures(128, &[32]);
    let data = Dataset::new(x, y).unwrap();
    let fit = Fit::epochs(n).batch_size(128).shuffle(false).seed(1).verbose(0);
    let history = gan.fit(&data, fit)?;
    let losses = history.get("d_loss")?.iter().chain(history.get("g_loss")?).copied().collect();
    Ok(Trained { losses, gradients: gan.gradients, told: Trained::told(&history), state: state_of(device) })
}

const TIME: usize = 10;
const FEATURES: usize = 6;

/// Sequences of several lengths: two layers with one normalization behind both, and two heads on every position.
#[derive(Fields)]
#[fields(package = "ladder")]
struct TwoHeads {
    first: Dense,
    second: Dense,
    norm: BatchNormalization,
    class: Dense,
    region: Dense,
}

impl Layer for TwoHeads {
    type In = Tensor;
    type Out = (Tensor, Tensor);
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<(Tensor, Tensor)> {
        let h = cx.call(&self.first, &x)?;
        let h = cx.call(&self.norm, h)?.relu();
        let h = cx.call(&self.second, h)?;
        let h = cx.call(&self.norm, h)?.relu();
        Ok((cx.call(&self.class, &h)?, cx.call(&self.region, &h)?))
    }
}

/// Masks, sample weights, and two losses that divide by sums over all samples: neither is a mean of what samples lose.
struct Masked {
    net: TwoHeads,
    optimizer: Adam,
    gradients: Vec<Vec<f32>>,
}

impl TrainStep for Masked {
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
        if s.number() == 1 {
            self.gradients = first_moments(&[&self.optimizer])?;
            settled();
        }
        let labels = s.labels()?.clone();
        let weight = s.sample_weight().ok_or_else(|| addax::Error::data("no weights"))?.clone();
        // Positions behind a sequence's end are zeros.
        let mask = x.not_equal(0.0).any(-1);
        let (class, region) = s.call(&self.net, &x)?;
        let class_loss = SparseCategoricalCrossentropy::from_logits().reduction("mean_with_sample_weight").weighted(
            &labels,
            &class,
            Some(&weight),
            Some(&mask),
        );
        let counts = mask.cast(DType::F32) * weight.expand_dims(-1);
        let (inside, predicted) = (labels.greater(1).cast(DType::F32), region.squeeze(-1).sigmoid());
        let dice = Dice::new().call(&(inside * &counts), &(predicted * counts));
        s.minimize(&(&class_loss + &dice), &self.net, &mut self.optimizer)?;
        Ok(logs! { "class_loss" => class_loss, "dice" => dice })
    }
}

pub fn masked(device: &Device, n: usize) -> addax::Result<Trained> {
    Device::set_default(device);
    let rows = 48;
    let length = |row: usize| 3 + row * 5 % (TIME - 2);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (row, at) in (0..rows).flat_map(|row| (0..TIME).map(move |at| (row, at))) {
        let i = row * TIME + at;
        let value = |f: usize| if at < length(row) { 0.1 + (i * 37 + f * 11) as f32 % 23.0 / 23.0 } else { 0.0 };
        x.extend((0..FEATURES).map(value));
        y.push(((i * 5 + row) % 4) as i32);
    }
    let weight: Vec<f32> = (0..rows).map(|row| (row % 5) as f32 / 2.0).collect();
    let data = Dataset::new(Array::new([rows, TIME, FEATURES], &x)?, Array::new([rows, TIME], &y)?)?;
    let data = data.with_sample_weight(&weight)?;
    let net = TwoHeads {
        first: Dense::new(24),
        second: Dense::new(24),
        norm: BatchNormalization::new(),
        class: Dense::new(4),
        region: Dense::new(1),
    };
    let mut masked = Masked { net, optimizer: Adam::new(1e-3), gradients: Vec::new() };
    let history = masked.fit(&data, Fit::epochs(n).batch_size(rows).shuffle(false).seed(1).verbose(0))?;
    let losses = history.get("class_loss")?.iter().chain(history.get("dice")?).copied().collect();
    Ok(Trained { losses, gradients: masked.gradients, told: Trained::told(&history), state: state_of(device) })
}
