//! Dtype policies: which counts where, what stays in `float32`, and how files say it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_layers::*;
use addax_tensor::{DType, Tensor, Variable};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The default policy is the whole process's: tests that set it, or make layers without one, take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn called(layer: &dyn DynLayer, x: &Tensor, training: bool) -> Tensor {
    let cx = Cx::inference().with_training(training);
    cx.call_dyn("layer", layer, vec![x.clone()]).unwrap().remove(0)
}

fn types_of(layer: &dyn DynLayer) -> Vec<DType> {
    weights(layer).iter().map(|w| w.weight.variable().map(Variable::dtype).unwrap().unwrap()).collect()
}

/// Layers with weights, states and inner reductions, with an input each.
fn some_layers(policy: &'static str) -> Vec<(Box<dyn DynLayer>, Tensor)> {
    let (image, sequence) = (Tensor::ones([2, 6, 6, 4]), Tensor::ones([2, 5, 4]));
    vec![
        (Box::new(Dense::new(3).activation("softmax").dtype(policy)), Tensor::ones([2, 4])),
        (Box::new(Conv2D::new(3, 3).dtype(policy)), image.clone()),
        (Box::new(BatchNormalization::new().dtype(policy)), image.clone()),
        (Box::new(LayerNormalization::new().dtype(policy)), image.clone()),
        (Box::new(GroupNormalization::new().groups(2isize).dtype(policy)), image.clone()),
        (Box::new(RMSNormalization::new().dtype(policy)), image.clone()),
        (Box::new(Softmax::new().dtype(policy)), image.clone()),
        (Box::new(MaxPooling2D::new(2).dtype(policy)), image.clone()),
        (Box::new(AveragePooling2D::new(2).dtype(policy)), image.clone()),
        (Box::new(GlobalAveragePooling2D::new().dtype(policy)), image.clone()),
        (Box::new(Flatten::new().dtype(policy)), image.clone()),
        (Box::new(Dropout::new(0.5).dtype(policy)), image.clone()),
        (Box::new(GaussianNoise::new(0.5).dtype(policy)), image),
        (Box::new(LSTM::new(3).dtype(policy)), sequence.clone()),
        (Box::new(GRU::new(3).dtype(policy)), sequence.clone()),
        (Box::new(SimpleRNN::new(3).recurrent_dropout(0.5).dtype(policy)), sequence),
        (Box::new(Embedding::new(10, 3).dtype(policy)), Tensor::ones([2, 5]).cast(DType::I32)),
        (Box::new(Rescaling::new(1.0 / 255.0).dtype(policy)), Tensor::full(DType::U8, [2, 3], 255)),
        (Box::new(PReLU::new().dtype(policy)), Tensor::ones([2, 4])),
    ]
}

#[test]
fn every_layer_computes_in_half_and_keeps_its_weights_whole() {
    let _alone = alone();
    for (name, compute, variable) in [
        ("mixed_float16", DType::F16, DType::F32),
        ("mixed_bfloat16", DType::BF16, DType::F32),
        ("bfloat16", DType::BF16, DType::BF16),
        ("float32", DType::F32, DType::F32),
    ] {
        for training in [false, true] {
            for (layer, x) in some_layers(name) {
                let y = called(&*layer, &x, training);
                assert_eq!(y.dtype().unwrap(), compute, "{} under {name}, training {training}", layer.class_name());
                let types = types_of(&*layer);
                assert!(types.iter().all(|t| *t == variable), "{} under {name}: {types:?}", layer.class_name());
                assert!(y.cast(DType::F32).to_vec::<f32>().unwrap().iter().all(|v| v.is_finite()));
            }
        }
    }
}

/// 301 is no `bfloat16`; as an id it must stay 301.
#[test]
fn ids_that_come_as_floats_are_not_rounded() {
    let _alone = alone();
    let embedding = Embedding::new(401, 1).dtype("mixed_bfloat16");
    let ids = Tensor::from_vec([301.0f32, 399.0], [2]);
    assert_eq!(types_of_after(&embedding, &ids), [DType::F32]);
    let odd: Vec<f32> = (0..401).map(|i| (i % 2) as f32).collect();
    weights(&embedding)[0].weight.variable().unwrap().assign(&Tensor::from_vec(odd, [401, 1])).unwrap();
    let rows = called(&embedding, &ids, false).cast(DType::F32).to_vec::<f32>().unwrap();
    assert_eq!(rows, [1.0, 1.0], "neighbours were looked up, which are even");
}

/// 70,000 is infinite as a `float16`.
#[test]
fn normalization_works_on_what_came() {
    let _alone = alone();
    let norm = Normalization::new().dtype("mixed_float16");
    norm.adapt(&[70_000.0f32, 70_002.0][..]).unwrap();
    let y = called(&norm, &Tensor::from_vec([70_000.0f32, 70_002.0], [2, 1]), false);
    assert_eq!(y.cast(DType::F32).to_vec::<f32>().unwrap(), [-1.0, 1.0]);
}

#[test]
fn the_process_policy_is_that_of_layers_made_from_then_on() {
    let _alone = alone();
    let before = Dense::new(1);
    set_dtype_policy("mixed_float16").unwrap();
    assert_eq!(dtype_policy().name(), "mixed_float16");
    let (after, own) = (Dense::new(1), Dense::new(1).dtype("float32"));
    let inside = MultiHeadAttention::new(2, 2).dtype("float32");
    let read = {
        let registry = Registry::default();
        let json = layer_to_json(&Dense::new(1).dtype("float32"), None).unwrap();
        layer_from_config(&json, &mut Reader::new(&registry)).unwrap()
    };
    let unsaid = {
        let registry = Registry::default();
        let json: Json = serde_json::from_str(r#"{"class_name": "Dense", "config": {"units": 1}}"#).unwrap();
        layer_from_config(&json, &mut Reader::new(&registry)).unwrap()
    };
    set_dtype_policy("float32").unwrap();
    let x = Tensor::ones([1, 2]);
    let dtype = |layer: &dyn DynLayer| called(layer, &x, false).dtype().unwrap();
    assert_eq!(dtype(&before), DType::F32);
    assert_eq!(dtype(&after), DType::F16);
    assert_eq!(dtype(&own), DType::F32);
    assert_eq!(dtype(&*read), DType::F32);
    assert_eq!(dtype(&*unsaid), DType::F32, "what a file does not say is Keras' default");
    let q = Tensor::ones([1, 3, 4]);
    let y = Cx::inference().call(&inside, vec![q.clone(), q]).unwrap();
    assert_eq!(y.dtype().unwrap(), DType::F32, "parts of a layer compute as the layer does");
}

#[test]
fn policies_are_written_and_read_as_keras_does() {
    let _alone = alone();
    let layer = Dense::new(2).dtype("mixed_bfloat16");
    let json = layer_to_json(&layer, Some("d")).unwrap();
    let want =
        r#"{"module":"keras","class_name":"DTypePolicy","config":{"name":"mixed_bfloat16"},"registered_name":null}"#;
    assert_eq!(json["config"]["dtype"].to_string(), want);
    let registry = Registry::default();
    let again = layer_from_config(&json, &mut Reader::new(&registry)).unwrap();
    assert_eq!(layer_to_json(&*again, Some("d")).unwrap(), json);
    let x = Tensor::ones([1, 2]);
    assert_eq!(called(&*again, &x, false).dtype().unwrap(), DType::BF16);
    // Keras also takes a bare name.
    let bare: Json = serde_json::from_str(r#"{"class_name":"Dense","config":{"units":1,"dtype":"float16"}}"#).unwrap();
    let bare = layer_from_config(&bare, &mut Reader::new(&registry)).unwrap();
    assert_eq!(types_of_after(&*bare, &x), [DType::F16, DType::F16]);
}

fn types_of_after(layer: &dyn DynLayer, x: &Tensor) -> Vec<DType> {
    called(layer, x, false).check().unwrap();
    types_of(layer)
}

#[test]
fn wrong_names_are_told_with_the_near_ones() {
    let _alone = alone();
    let error = set_dtype_policy("mixed_flaot16").unwrap_err().to_string();
    assert!(error.contains("\"mixed_flaot16\"") && error.contains("\"mixed_float16\""), "{error}");
    let error = Cx::inference().call(&Dense::new(1).dtype("bfloat61"), Tensor::ones([1, 2])).unwrap_err().to_string();
    assert!(error.contains("dense") && error.contains("bfloat16"), "{error}");
    let error = layer_to_json(&Dense::new(1).dtype("half"), None).unwrap_err().to_string();
    assert!(error.contains("dtype policy"), "{error}");
    let json: Json = serde_json::from_str(r#"{"class_name":"Dense","config":{"units":1,"dtype":"float61"}}"#).unwrap();
    let error = layer_from_config(&json, &mut Reader::new(&Registry::default())).map(drop).unwrap_err().to_string();
    assert!(error.contains("dtype") && error.contains("float16"), "{error}");
    assert!(set_dtype_policy(Policy { compute: DType::F32, variable: DType::F16 }).is_err());
}
