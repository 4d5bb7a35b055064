//! Trainings of models.

use crate::{Trained, moments, settled, state_of};
use addax::{io::ModelDir, layers::*, prelude::*};
use std::path::Path;

fn pixel(i: usize) -> f32 {
    ((i * 7919 + i / 197 * 31) % 255) as f32 / 255.0
}

pub fn pictures(rows: usize, shape: &[usize]) -> (Array, Array) {
    let each: usize = shape.iter().product();
    let all: Vec<usize> = std::iter::once(rows).chain(shape.iter().copied()).collect();
    let x = Array::new(all, &(0..rows * each).map(pixel).collect::<Vec<_>>()).unwrap();
    (x, Array::new([rows], &(0..rows).map(|i| (i * 3 % 10) as i32).collect::<Vec<_>>()).unwrap())
}

/// The first moments in the model that this saves.
fn saved(save: impl FnOnce(&Path) -> addax::Result<()>) -> addax::Result<Vec<Vec<f32>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.addax");
    save(&path)?;
    moments(ModelDir::load(&path)?.optimizer.into_iter().map(|(_, array)| array))
}

fn steps(
    mut model: Sequential,
    device: &Device,
    (x, y): (Array, Array),
    weight: Option<&[f32]>,
    n: usize,
) -> addax::Result<Trained> {
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy"))?;
    model.set_device(device);
    let mut gradients = Vec::new();
    let mut step = || {
        model.reset_metrics()?;
        let loss = model.train_on_batch(&x, &y, weight)?.get("loss")?;
        if gradients.is_empty() {
            gradients = saved(|path| model.save(path))?;
            settled();
        }
        Ok(loss)
    };
    let losses = (0..n).map(|_| step()).collect::<addax::Result<_>>()?;
    Ok(Trained { losses, gradients, told: None, state: state_of(device) })
}

pub fn mlp(device: &Device, n: usize) -> addax::Result<Trained> {
    let model = Sequential::new()
        .input([784])
        .seed(1)
        .add(Dense::new(256).activation("relu"))
        .add(Dropout::new(0.2))
        .add(Dense::new(256).activation("relu").kernel_regularizer(L2(1e-4)))
        .add(Dropout::new(0.2))
        .add(Dense::new(10));
    steps(model, device, pictures(512, &[784]), None, n)
}

pub fn a_convnet() -> Sequential {
    Sequential::new()
        .input([14, 14, 1])
        .seed(2)
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(10))
}

pub fn convnet(device: &Device, n: usize) -> addax::Result<Trained> {
    steps(a_convnet(), device, pictures(64, &[14, 14, 1]), None, n)
}

/// Batch statistics are sums over the whole batch in the middle of the step: phases.
pub fn normalized(device: &Device, n: usize) -> addax::Result<Trained> {
    let model = Sequential::new()
        .input([10, 10, 3])
        .seed(3)
        .add(Conv2D::new(8, 3).padding("same"))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(Conv2D::new(16, 3).strides(2))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(10));
    steps(model, device, pictures(32, &[10, 10, 3]), None, n)
}

pub fn lstm(device: &Device, n: usize) -> addax::Result<Trained> {
    let model = Sequential::new()
        .input([12, 20])
        .seed(4)
        .add(LSTM::new(24).return_sequences(true))
        .add(LSTM::new(16))
        .add(Dense::new(10));
    steps(model, device, pictures(32, &[12, 20]), None, n)
}

/// A batch whose size is prime: the last slice is shorter.
pub fn weighted(device: &Device, n: usize) -> addax::Result<Trained> {
    let model = Sequential::new().input([64]).seed(5).add(Dense::new(128).activation("tanh")).add(Dense::new(10));
    let weight: Vec<f32> = (0..251).map(|i| (i % 7) as f32 / 3.0).collect();
    steps(model, device, pictures(251, &[64]), Some(&weight), n)
}

/// Attention within each sample, with a way around it, and a normalization within each position.
#[derive(Fields)]
#[fields(package = "ladder")]
struct Encoder {
    attention: MultiHeadAttention,
    norm: LayerNormalization,
    wide: Dense,
    narrow: Dense,
}

impl Layer for Encoder {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let a = cx.call(&self.attention, [&x, &x])?;
        let x = cx.call(&self.norm, x + a)?;
        let wide = cx.call(&self.wide, &x)?;
        Ok(cx.call(&self.narrow, wide)? + x)
    }
}

pub fn a_transformer() -> Sequential {
    let encoder = || Encoder {
        attention: MultiHeadAttention::new(2, 8),
        norm: LayerNormalization::new(),
        wide: Dense::new(32).activation("gelu"),
        narrow: Dense::new(16),
    };
    Sequential::new()
        .input([9, 12])
        .seed(10)
        .add(Dense::new(16))
        .add(encoder())
        .add(encoder())
        .add(GlobalAveragePooling1D::new())
        .add(Dense::new(10))
}

pub fn transformer(device: &Device, n: usize) -> addax::Result<Trained> {
    steps(a_transformer(), device, pictures(24, &[9, 12]), None, n)
}

/// Two convolutions with batch statistics, and a convolution of one pixel around them.
#[derive(Fields)]
#[fields(package = "ladder")]
struct Residual {
    a: Conv2D,
    norm_a: BatchNormalization,
    b: Conv2D,
    norm_b: BatchNormalization,
    around: Conv2D,
}

impl Layer for Residual {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let h = cx.call(&self.a, &x)?;
        let h = cx.call(&self.norm_a, h)?.relu();
        let h = cx.call(&self.b, h)?;
        Ok((cx.call(&self.norm_b, h)? + cx.call(&self.around, x)?).relu())
    }
}

pub fn a_resnet() -> Sequential {
    let residual = |filters: usize, strides: usize| Residual {
        a: Conv2D::new(filters, 3).strides(strides).padding("same").use_bias(false),
        norm_a: BatchNormalization::new(),
        b: Conv2D::new(filters, 3).padding("same").use_bias(false),
        norm_b: BatchNormalization::new(),
        around: Conv2D::new(filters, 1).strides(strides).use_bias(false),
    };
    Sequential::new()
        .input([8, 8, 1])
        .seed(11)
        .add(Conv2D::new(6, 3).padding("same").use_bias(false))
        .add(residual(6, 1))
        .add(residual(12, 2))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(10))
}

pub fn resnet(device: &Device, n: usize) -> addax::Result<Trained> {
    steps(a_resnet(), device, pictures(16, &[8, 8, 1]), None, n)
}

/// A callback holds the best weights, so that each improvement makes the next step copy them.
pub fn held(device: &Device, n: usize) -> addax::Result<Trained> {
    let mut model = Sequential::new().input([48]).seed(8).add(Dense::new(96).activation("relu")).add(Dense::new(10));
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss))?;
    model.set_device(device);
    let (x, y) = pictures(192, &[48]);
    let mut early = EarlyStopping::new("loss").patience(n).restore_best_weights(true);
    let mut gradients = Vec::new();
    let mut watch = LambdaCallback::new().on_train_batch_end(|_, _, t| {
        if gradients.is_empty() {
            gradients = saved(|path| t.save(path, false))?;
            settled();
        }
        Ok(())
    });
    let fit = Fit::epochs(n).batch_size(96).shuffle(false).seed(1).verbose(0).callback(&mut early).callback(&mut watch);
    let history = model.fit(&Dataset::new(x, y)?, fit)?;
    drop(watch);
    // Where a device can be lost, the snapshot is a copy on the host.
    assert!(device.can_be_lost() || device.memory().replaced > n as u64 / 2, "no snapshot was held");
    let losses = history.get("loss")?.to_vec();
    Ok(Trained { losses, gradients, told: Trained::told(&history), state: state_of(device) })
}
