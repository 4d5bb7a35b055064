//! The shaders that are generated for real plans: training steps of a convnet, an LSTM and a transformer, and random graphs, planned
//! for GPUs and computed by the CPU. `cargo xtask shaders` sets `ADDAX_WRITE_WGSL` to a folder and checks what is written there.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    layers::*,
    prelude::*,
    tensor::testing::{self, PaperGpu},
};
use std::{collections::BTreeSet, path::Path};

/// A transformer's encoder: attention and a dense layer, each with a way around it and a normalization after.
#[derive(Fields)]
struct Encoder {
    attention: MultiHeadAttention,
    first: LayerNormalization,
    dense: Dense,
    second: LayerNormalization,
}

impl Layer for Encoder {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let a = cx.call(&self.attention, [&x, &x])?;
        let x = cx.call(&self.first, x + a)?;
        let dense = cx.call(&self.dense, &x)?;
        cx.call(&self.second, x + dense)
    }
}

fn convnet() -> Sequential {
    Sequential::new()
        .input([11, 9, 1])
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(16, 2).padding("same").strides(2).use_bias(false))
        .add(BatchNormalization::new())
        .add(Flatten::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(3))
}

fn lstm() -> Sequential {
    Sequential::new().input([7, 5]).add(LSTM::new(12).return_sequences(true)).add(LSTM::new(9)).add(Dense::new(3))
}

fn transformer() -> Sequential {
    let encoder = Encoder {
        attention: MultiHeadAttention::new(2, 8),
        first: LayerNormalization::new(),
        dense: Dense::new(16).activation("gelu"),
        second: LayerNormalization::new(),
    };
    Sequential::new()
        .input([6, 5])
        .add(Dense::new(16))
        .add(encoder)
        .add(GlobalAveragePooling1D::new())
        .add(Dense::new(3))
}

/// A training step and a prediction, whose loss is a number.
fn train(mut model: Sequential, shape: &[usize]) {
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy")).unwrap();
    let shape: Vec<usize> = std::iter::once(13).chain(shape.iter().copied()).collect();
    let pixels: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 7919 % 255) as f32 / 255.0).collect();
    let (x, y) = (Array::new(shape, &pixels).unwrap(), Array::new([13], &[1i32; 13]).unwrap());
    let loss = model.train_on_batch(&x, &y, None).unwrap().get("loss").unwrap();
    assert!(loss.is_finite() && loss > 0.0, "{loss}");
    assert_eq!(model.predict(&x).unwrap().rows(), 13);
}

/// One test, as the default device is the whole process's.
#[test]
fn plans_for_gpus_have_shaders() {
    let folder = std::env::var_os("ADDAX_WRITE_WGSL");
    // Shaders of a real GPU with small and with large tiles, and those of a software adapter.
    for (kind, barriers, groups) in [("busy", true, 256), ("small", true, 1), ("software", false, 4)] {
        let (device, shaders) = PaperGpu::device(barriers, groups).unwrap();
        Device::set_default(&device);
        train(convnet(), &[11, 9, 1]);
        train(lstm(), &[7, 5]);
        train(transformer(), &[6, 5]);
        train(lstm().dtype("mixed_float16"), &[7, 5]);
        for (n, graph) in testing::graphs(23, testing::wanted(12), &testing::Options::all()).enumerate() {
            let checked = testing::check(&graph.outputs, |tensors| {
                Tensor::eval(tensors)?;
                tensors.iter().map(Tensor::to_array).collect()
            });
            if let Err(failure) = checked {
                panic!("graph {n}, {kind}: {failure}");
            }
        }
        let shaders = shaders.lock().unwrap();
        let families: BTreeSet<&str> = shaders.values().filter_map(|s| s.name.split('_').next()).collect();
        println!("{kind}: {} generated shaders of {} families", shaders.len(), families.len());
        for family in ["map", "matmul", "conv2d", "pool2d", "reduce", "rows"] {
            assert!(families.contains(family), "no {family} among {families:?}");
        }
        assert!(shaders.keys().all(|text| text.contains("fn main(")));
        let Some(folder) = &folder else { continue };
        for (n, (text, shader)) in shaders.iter().enumerate() {
            let written = shader.bindings.iter().map(|written| if *written { 'w' } else { 'r' });
            let header = format!("// bindings {}\n", written.collect::<String>());
            let path = Path::new(folder).join(format!("{kind}-{n:04}-{}.wgsl", shader.name));
            std::fs::write(path, header + text).unwrap();
        }
    }
}
