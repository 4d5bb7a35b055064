//! What several tests need.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use addax::{callbacks::Console, prelude::*, tensor::Shape};
use serde_json::Value;
use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// A fixture made by real Keras.
pub fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/keras").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A tensor of a fixture.
pub fn array(json: &Value) -> Array {
    let shape: Vec<usize> = serde_json::from_value(json["shape"].clone()).unwrap();
    let data: Vec<f64> = json["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let shape = Shape::from(shape);
    match json["dtype"].as_str().unwrap() {
        "int32" | "int64" => Array::new(shape, &data.iter().map(|v| *v as i32).collect::<Vec<_>>()).unwrap(),
        "uint8" => Array::new(shape, &data.iter().map(|v| *v as u8).collect::<Vec<_>>()).unwrap(),
        "float32" => Array::new(shape, &data.iter().map(|v| *v as f32).collect::<Vec<_>>()).unwrap(),
        other => panic!("no {other} was expected"),
    }
}

/// A console whose text can be read.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub fn console(&self) -> Console {
        Console::new(self.clone(), false)
    }
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Rows of three classes that a small net tells apart: four features, the largest of the first three is the class.
pub fn blobs(n: usize, seed: u64) -> Dataset {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..n {
        let class = i % 3;
        for feature in 0..4 {
            x.push(next() * 0.8 + f32::from(u8::from(feature == class)));
        }
        y.push(class as i32);
    }
    Dataset::new(Array::new([n, 4], &x).unwrap(), Array::new([n], &y).unwrap()).unwrap()
}

/// A small classifier for [`blobs`].
pub fn classifier() -> Sequential {
    Sequential::new()
        .input([4])
        .add(addax::layers::Dense::new(8).activation("relu"))
        .add(addax::layers::Dense::new(3))
        .seed(3)
}

/// The same, compiled.
pub fn compiled() -> Sequential {
    let mut model = classifier();
    model.compile(how()).unwrap();
    model
}

pub fn how() -> Compile {
    Compile::new(Adam::new(0.01)).loss(SparseCategoricalCrossentropy::from_logits()).metric("accuracy")
}

/// All weights as numbers.
pub fn numbers(model: &Model) -> Vec<Vec<f32>> {
    model.weights().unwrap().iter().map(|(_, w)| w.to_vec::<f32>().unwrap()).collect()
}
