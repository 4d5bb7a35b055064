//! Configs that real Keras wrote, and our own, there and back.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_layers::*;
use common::fixture;
use serde_json::json;

fn each_layer(json: &Json, f: &mut dyn FnMut(&Json)) {
    match json {
        Json::Object(object) => {
            if object.get("module").and_then(Json::as_str) == Some("keras.layers") {
                f(json);
            }
            object.values().for_each(|json| each_layer(json, f));
        }
        Json::Array(list) => list.iter().for_each(|json| each_layer(json, f)),
        _ => {}
    }
}

#[test]
fn configs_of_keras_are_read_whole() {
    let registry = Registry::default();
    let mut count = 0;
    for (model, entry) in fixture("serialization.json")["models"].as_object().unwrap() {
        each_layer(&entry["json"], &mut |json| {
            let mut reader = Reader::new(&registry);
            let layer = layer_from_config(json, &mut reader).unwrap_or_else(|e| panic!("{model}: {e}"));
            assert_eq!(reader.warnings(), [] as [&str; 0], "{model}");
            let written = layer_to_json(&*layer, None).unwrap();
            assert_eq!(written["class_name"], json["class_name"]);
            for (key, value) in written["config"].as_object().unwrap() {
                assert_same(key, value, &json["config"][key]);
            }
            count += 1;
        });
    }
    assert!(count > 20, "only {count} layers");
}

/// Equal, but for what Keras writes and we leave out because it is a default.
fn assert_same(key: &str, ours: &Json, theirs: &Json) {
    match (ours, theirs) {
        (Json::Object(a), Json::Object(b)) => a.iter().for_each(|(key, value)| assert_same(key, value, &b[key])),
        (a, b) if a.is_number() => assert_eq!(a.as_f64(), b.as_f64(), "{key}"),
        (a, b) => assert_eq!(a, b, "{key}"),
    }
}

#[test]
fn every_class_is_written_and_read() {
    let registry = Registry::default();
    let layers: Vec<Box<dyn DynLayer>> = vec![
        Box::new(Dense::new(3).activation("tanh").use_bias(false).kernel_regularizer(L2(1e-4)).named("a")),
        Box::new(
            Dense::new(3).kernel_initializer(initializers::Initializer::normal(0.2).with_seed(3)).trainable(false),
        ),
        Box::new(Dense::new(2).kernel_constraint("max_norm").bias_constraint("non_neg").activity_regularizer("l1l2")),
        Box::new(Conv2D::new(4, [3, 2]).strides(2).padding("same").activation("relu").groups(2usize)),
        Box::new(Conv2D::new(4, 3).dilation_rate(2).data_format("channels_first")),
        Box::new(MaxPooling2D::new(2).strides([2, 1])),
        Box::new(AveragePooling2D::new(2).padding("same")),
        Box::new(GlobalAveragePooling2D::new().keepdims(true)),
        Box::new(Flatten::new()),
        Box::new(Reshape::new([2, -1])),
        Box::new(Permute::new([2, 1])),
        Box::new(RepeatVector::new(4)),
        Box::new(Dropout::new(0.25).noise_shape([None, Some(1)]).seed(7u64)),
        Box::new(GaussianNoise::new(0.1)),
        Box::new(BatchNormalization::new().momentum(0.9).axis(1isize).scale(false)),
        Box::new(LayerNormalization::new().axis([1, 2]).epsilon(1e-5)),
        Box::new(GroupNormalization::new().groups(4isize)),
        Box::new(RMSNormalization::new().epsilon(1e-3)),
        Box::new(UnitNormalization::new().axis(1)),
        Box::new(LSTM::new(5).return_sequences(true).dropout(0.1).recurrent_dropout(0.2).unit_forget_bias(false)),
        Box::new(GRU::new(5).reset_after(false).go_backwards(true)),
        Box::new(SimpleRNN::new(5).activation("relu")),
        Box::new(Activation::new("gelu")),
        Box::new(ReLU::new().max_value(6.0).threshold(0.5)),
        Box::new(LeakyReLU::new().negative_slope(0.1)),
        Box::new(ELU::new().alpha(0.5)),
        Box::new(PReLU::new().shared_axes([1, 2])),
        Box::new(Softmax::new().axis(1)),
        Box::new(Identity::new()),
        Box::new(Rescaling::new(0.5).offset([1.0, 2.0])),
        Box::new(Normalization::new().mean([0.5, 1.0]).variance([2.0, 3.0]).invert(true)),
        Box::new(Normalization::new().over_all()),
        Box::new(Embedding::new(10, 4)),
        Box::new(Concatenate::new().axis(1isize)),
        Box::new(InputLayer::new([28, 28, 1]).dtype("uint8").named("image")),
        Box::new(Add::new()),
        Box::new(Subtract::new()),
    ];
    for layer in &layers {
        let json = layer_to_json(&**layer, None).unwrap();
        let mut reader = Reader::new(&registry);
        let again = layer_from_config(&json, &mut reader).unwrap_or_else(|e| panic!("{json}: {e}"));
        assert_eq!(reader.warnings(), [] as [&str; 0]);
        assert_eq!(layer_to_json(&*again, None).unwrap(), json);
        assert_eq!(trainable(&*again), trainable(&**layer));
    }
}

/// A block with a way around it, as users write it.
#[derive(Fields)]
#[fields(package = "shop")]
struct Residual {
    inner: Dense,
    norm: BatchNormalization,
    around: Option<Dense>,
    more: Vec<Dense>,
    any: Vec<Box<dyn DynLayer>>,
    strength: f64,
    temperature: Weight,
}

impl Residual {
    fn new(units: usize) -> Self {
        Residual {
            inner: Dense::new(units),
            norm: BatchNormalization::new(),
            around: Some(Dense::new(units).use_bias(false)),
            more: vec![Dense::new(units), Dense::new(units).activation("relu")],
            any: vec![Box::new(Dropout::new(0.5)), Box::new(Dense::new(units))],
            strength: 0.5,
            temperature: Weight::new(),
        }
    }
}

impl Layer for Residual {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let mut h = cx.call(&self.norm, cx.call(&self.inner, &x)?)?;
        for layer in &self.more {
            h = cx.call(layer, h)?;
        }
        for layer in &self.any {
            h = cx.call(layer, vec![h])?.remove(0);
        }
        let x = match &self.around {
            Some(layer) => cx.call(layer, x)?,
            None => x,
        };
        Ok(h * self.strength * cx.weight(&self.temperature, (), "ones")? + x)
    }
}

#[test]
fn a_users_layer_is_saved_config_and_all() {
    let layer = Residual::new(3);
    let json = layer_to_json(&layer, Some("block")).unwrap();
    assert_eq!(json["registered_name"], "shop>Residual");
    assert_eq!(json["module"], Json::Null);
    assert_eq!(json["config"]["inner"]["config"], json!({"units": 3}));
    assert_eq!(json["config"]["strength"], 0.5);
    assert!(json["config"].get("temperature").is_none());

    let mut registry = Registry::default();
    registry.register::<Residual>();
    let mut reader = Reader::new(&registry);
    let again = layer_from_config(&json, &mut reader).unwrap();
    assert_eq!(reader.warnings(), [] as [&str; 0]);
    assert_eq!(layer_to_json(&*again, Some("block")).unwrap(), json);

    let x = Tensor::ones([2, 4]);
    let cx = Cx::inference();
    let y = cx.call_dyn("block", &*again, vec![x.clone()]).unwrap();
    let wanted = cx.call_as("block", &layer, x).unwrap();
    assert_eq!(y[0].to_vec::<f32>().unwrap(), wanted.to_vec::<f32>().unwrap(), "weights come from seed and path");

    let paths: Vec<_> = weights(&*again).into_iter().map(|w| w.path).collect();
    for path in ["vars/0", "inner/vars/1", "norm/vars/3", "around/vars/0", "more/dense_1/vars/0", "any/dense/vars/1"] {
        assert!(paths.contains(&path.to_string()), "{path} is not in {paths:?}");
    }
    assert_eq!(paths.len(), 1 + 2 + 4 + 1 + 4 + 2);
}

#[test]
fn mistakes_in_a_config_are_told_with_their_place() {
    let mut registry = Registry::default();
    registry.register::<Residual>();
    let read = |json: Json| {
        let mut reader = Reader::new(&registry);
        let result = layer_from_config(&json, &mut reader);
        (result.err().map(|e| e.to_string()).unwrap_or_default(), reader.warnings().to_vec())
    };
    let dense = |config: Json| json!({"module": "keras.layers", "class_name": "Dense", "config": config});
    for (config, message) in [
        (json!({"name": "a"}), "a: \"units\" is missing"),
        (json!({"units": "many"}), "Dense.units: expected a whole number, got \"many\""),
        (json!({"units": -3}), "Dense.units: expected a whole number, got -3"),
        (json!({"units": 3, "use_bias": 1}), "Dense.use_bias: expected true or false, got 1"),
        (
            json!({"units": 3, "activation": "rleu"}),
            "Dense.activation: unknown activation \"rleu\"; did you mean \"elu\" or \"glu\" or \"relu\"?",
        ),
        (
            json!({"units": 3, "kernel_initializer": {"class_name": "HeNormal2", "config": {}}}),
            "Dense.kernel_initializer: unknown initializer \"HeNormal2\"; did you mean \"he_normal\"?",
        ),
        (
            json!({"units": 3, "kernel_regularizer": {"class_name": "L2", "config": {"l2": "x"}}}),
            "Dense.kernel_regularizer.l2: expected a number, got \"x\"",
        ),
    ] {
        assert_eq!(read(dense(config)).0, message);
    }
    assert_eq!(
        read(dense(json!({"units": 3, "quantization_config": null, "lora_rank": 4}))).1,
        ["Dense: \"lora_rank\" is not known and was left out"]
    );
    for class in ["LSTM", "GRU", "SimpleRNN"] {
        let refused = |argument: &str| read(json!({"class_name": class, "config": {"units": 3, argument: true}})).0;
        assert_eq!(
            refused("stateful"),
            format!(
                "{class}.stateful: true is not supported; only false is. States would tie a model to batches of one size, and \
                 here they may have any; give whole sequences instead"
            )
        );
        assert_eq!(
            refused("return_state"),
            format!(
                "{class}.return_state: true is not supported; only false is. A layer has one output here: with \
                 `return_sequences`, take the last step for the state of `SimpleRNN` and `GRU`"
            )
        );
    }
    assert_eq!(
        read(json!({"class_name": "Dens", "config": {}})).0,
        "layer class \"Dens\" is not known; did you mean \"Dense\"? Register your own class before loading it."
    );
    let mut json = layer_to_json(&Residual::new(3), None).unwrap();
    json["config"]["more"][1]["config"]["units"] = json!(null);
    assert_eq!(read(json).0, "Residual.more.1.Dense.units: expected a whole number, got null");
}
