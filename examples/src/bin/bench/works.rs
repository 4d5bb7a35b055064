//! The standard workloads: data and model of each, as in `xtask/bench/peers.py`.

use addax::{layers::*, prelude::*};

/// One workload.
pub struct Work {
    pub name: &'static str,
    pub rows: usize,
    pub batch: usize,
    shape: &'static [usize],
}

pub const WORKS: [Work; 4] = [
    Work { name: "mlp_small", rows: 60_000, batch: 32, shape: &[784] },
    Work { name: "mlp", rows: 60_000, batch: 128, shape: &[784] },
    Work { name: "convnet", rows: 12_800, batch: 128, shape: &[28, 28, 1] },
    Work { name: "lstm", rows: 6_400, batch: 64, shape: &[28, 28] },
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
            _ => model.add(LSTM::new(128)).add(Dense::new(10)),
        }
    }
}

/// Seconds of one epoch of training, and its accuracy.
pub fn epoch(model: &mut Sequential, train: &Dataset, work: &Work) -> addax::Result<(f64, f64)> {
    let began = std::time::Instant::now();
    let history = model.fit(train, Fit::epochs(1).batch_size(work.batch).seed(1).verbose(0))?;
    Ok((began.elapsed().as_secs_f64(), history.last("accuracy")?))
}
