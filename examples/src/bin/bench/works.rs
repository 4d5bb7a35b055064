//! The standard workloads: data and model of each, as in `xtask/bench/peers.py`.

use addax::{layers::*, prelude::*};

/// One workload.
pub struct Work {
    pub name: &'static str,
    pub rows: usize,
    pub batch: usize,
    shape: &'static [usize],
}

pub const WORKS: [Work; 6] = [
    Work { name: "mlp_small", rows: 60_000, batch: 32, shape: &[784] },
    Work { name: "mlp", rows: 60_000, batch: 128, shape: &[784] },
    Work { name: "convnet", rows: 12_800, batch: 128, shape: &[28, 28, 1] },
    Work { name: "lstm", rows: 6_400, batch: 64, shape: &[28, 28] },
    Work { name: "transformer", rows: 3_200, batch: 32, shape: &[28, 28] },
    Work { name: "resnet", rows: 1_280, batch: 64, shape: &[28, 28, 1] },
];

impl Work {
    /// Steps of an epoch.
    pub fn steps(&self) -> f64 {
        self.rows as f64 / self.batch as f64
    }
    /// The first rows of Fashion-MNIST, as floats from 0 to 1.
    pub fn data(&self) -> addax::Result<Dataset> {
        let (train, _) = data::fashion_mnist()?;
        let images = train.x().bytes()[..self.rows * 784].iter().map(|&b| f32::from(b) / 255.0).collect::<Vec<_>>();
        let shape: Vec<usize> = std::iter::once(self.rows).chain(self.shape.iter().copied()).collect();
        let y = train.y().map(|y| y.gather_rows(&(0..self.rows).collect::<Vec<_>>())).transpose()?;
        Dataset::new(Array::new(shape, &images)?, y)
    }
    /// The model, ready to train.
    pub fn model(&self) -> addax::Result<Sequential> {
        let mut model = self.layers(Sequential::new().input(self.shape));
        let loss = SparseCategoricalCrossentropy::from_logits();
        model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy"))?;
        Ok(model)
    }
    fn layers(&self, model: Sequential) -> Sequential {
        match self.name {
            "mlp_small" => model.add(Dense::new(128).activation("relu")).add(Dense::new(10)),
            "mlp" => model
                .add(Dense::new(512).activation("relu"))
                .add(Dropout::new(0.2))
                .add(Dense::new(512).activation("relu"))
                .add(Dropout::new(0.2))
                .add(Dense::new(10)),
            "convnet" => model
                .add(Conv2D::new(32, 3).activation("relu"))
                .add(MaxPooling2D::new(2))
                .add(Conv2D::new(64, 3).activation("relu"))
                .add(MaxPooling2D::new(2))
                .add(Flatten::new())
                .add(Dropout::new(0.5))
                .add(Dense::new(10)),
            "lstm" => model.add(LSTM::new(128)).add(Dense::new(10)),
            "transformer" => model
                .add(Dense::new(64))
                .add(Encoder::new())
                .add(Encoder::new())
                .add(GlobalAveragePooling1D::new())
                .add(Dense::new(10)),
            _ => model
                .add(Conv2D::new(32, 3).padding("same").use_bias(false))
                .add(Residual::new(32, 1))
                .add(Residual::new(64, 2))
                .add(Residual::new(128, 2))
                .add(GlobalAveragePooling2D::new())
                .add(Dense::new(10)),
        }
    }
}

/// A transformer's encoder: attention, then two dense layers, each with a way around it and a normalization after.
#[derive(Fields)]
#[fields(package = "bench")]
struct Encoder {
    attention: MultiHeadAttention,
    first: LayerNormalization,
    wide: Dense,
    narrow: Dense,
    second: LayerNormalization,
}

impl Encoder {
    fn new() -> Self {
        Encoder {
            attention: MultiHeadAttention::new(4, 16),
            first: LayerNormalization::new(),
            wide: Dense::new(256).activation("gelu"),
            narrow: Dense::new(64),
            second: LayerNormalization::new(),
        }
    }
}

impl Layer for Encoder {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let a = cx.call(&self.attention, [&x, &x])?;
        let x = cx.call(&self.first, x + a)?;
        let wide = cx.call(&self.wide, &x)?;
        let f = cx.call(&self.narrow, wide)?;
        cx.call(&self.second, x + f)
    }
}

/// Two convolutions, each with batch normalization, and a convolution of one pixel around them.
#[derive(Fields)]
#[fields(package = "bench")]
struct Residual {
    a: Conv2D,
    norm_a: BatchNormalization,
    b: Conv2D,
    norm_b: BatchNormalization,
    around: Conv2D,
}

impl Residual {
    fn new(filters: usize, strides: usize) -> Self {
        Residual {
            a: Conv2D::new(filters, 3).strides(strides).padding("same").use_bias(false),
            norm_a: BatchNormalization::new(),
            b: Conv2D::new(filters, 3).padding("same").use_bias(false),
            norm_b: BatchNormalization::new(),
            around: Conv2D::new(filters, 1).strides(strides).use_bias(false),
        }
    }
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

/// Seconds of one epoch of training, and its accuracy.
pub fn epoch(model: &mut Sequential, train: &Dataset, work: &Work) -> addax::Result<(f64, f64)> {
    let began = std::time::Instant::now();
    let history = model.fit(train, Fit::epochs(1).batch_size(work.batch).seed(1).verbose(0))?;
    Ok((began.elapsed().as_secs_f64(), history.last("accuracy")?))
}
