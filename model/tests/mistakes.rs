//! Every slip is an error that names the thing, what was expected, what came, and where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::*, prelude::*};
use common::{blobs, classifier, compiled, how};
use std::{panic::Location, process::Command};

/// The message without the line it ends in, which is one of this file.
#[track_caller]
fn said(error: addax::Error) -> String {
    let text = error.to_string();
    let Some(at) = error.origin() else { panic!("no line is told: {text}") };
    assert!(at.file().ends_with("mistakes.rs"), "{text}");
    let end = format!(" (at {}:{})", at.file(), at.line());
    text.strip_suffix(&end).unwrap_or_else(|| panic!("{text} does not end in{end}")).to_string()
}

/// The result is this error, and tells the line that it was made in: that of this call or one of the next two.
#[track_caller]
fn fails<T>(result: addax::Result<T>, message: &str) {
    let here = Location::caller();
    match result {
        Ok(_) => panic!("{here} was expected to fail"),
        Err(error) => {
            let line = error.origin().map_or(0, |at| at.line());
            assert_eq!(said(error), message, "at {here}");
            assert!((here.line()..=here.line() + 2).contains(&line), "line {line} is told at {here}");
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_told_with_the_line_that_added_them() {
    let mut model = Sequential::new().input([28, 28]).add(Dense::new(4));
    let line = line!() + 1;
    model = model.add(Reshape::new([5, 5]));
    let error = model.compile(how()).unwrap_err();
    assert_eq!(error.origin().unwrap().line(), line);
    assert_eq!(said(error), "layer \"reshape\": samples of shape [28, 4] (112 values) do not fit target_shape [5, 5]");
    assert!(model.summary().to_string().contains("Not built: layer \"reshape\""));
}

#[test]
fn a_type_that_a_layer_cannot_take_is_told_with_the_line_that_added_it() {
    let mut model = Sequential::new().input([4, 4, 1]).input_dtype(DType::Bool);
    let line = line!() + 1;
    model = model.add(MaxPooling2D::new(2));
    let error = model.compile(how()).unwrap_err();
    assert_eq!(error.origin().unwrap().line(), line);
    assert_eq!(said(error), "layer \"max_pooling2d\": 2-D pooling needs floats of one type, got bool");
}

#[test]
fn models_that_cannot_be_built() {
    fails(Sequential::new().input([3]).compile(how()), "the model has no layers; add some with `.add(..)`");
    fails(
        Sequential::new().add(Dense::new(3)).weights(),
        "the model does not know the shape of its input; give it with `.input([28, 28, 1])`, without the batch",
    );
    fails(
        Sequential::new().input([3]).add(Dense::new(3).activation("rleu")).compile(how()),
        "layer \"dense\": unknown activation \"rleu\"; did you mean \"elu\" or \"glu\" or \"relu\"?",
    );
    let twice = Sequential::new().input([3]).add(Dense::new(3).named("a")).add(Dense::new(3).named("a"));
    fails(twice.weights(), "two layers are named \"a\"; give each its own name, or share one layer through an `Arc`");
}

/// A layer of the user's that writes the number of samples down.
#[derive(Fields)]
struct Baked {
    rows: usize,
}
impl Layer for Baked {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> addax::Result<Tensor> {
        Ok(match self.rows {
            0 => x.sum_keepdims(0),
            rows => x.reshape([rows, 3]),
        })
    }
}

#[test]
fn a_batch_size_in_a_layer_is_found() {
    let error = |rows| said(Sequential::new().input([3]).add(Baked { rows }).weights().unwrap_err());
    assert!(
        error(0).starts_with(
            "layer \"baked\": its output has shape [1, 3] for 32 samples and [1, 3] for 33: axis 0 must follow"
        ),
        "{}",
        error(0)
    );
    assert!(error(32).starts_with("layer \"baked\": works for 32 samples but not for 33"), "{}", error(32));
}

/// A layer of the user's that looks at numbers while it is only being recorded.
#[derive(Fields)]
struct Peeking;
impl Layer for Peeking {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> addax::Result<Tensor> {
        x.to_vec::<f32>()?;
        Ok(x)
    }
}

#[test]
fn a_value_that_is_not_there_yet_cannot_be_read() {
    let error = Sequential::new().input([3]).add(Peeking).weights().unwrap_err().to_string();
    assert!(error.starts_with("layer \"peeking\": placeholder 0 (float32 [32, 3])"), "{error}");
    assert!(error.contains("has no value: it stands for data that comes later, so it cannot be read or printed here"));
}

#[test]
fn devices_that_do_not_exist() {
    let refused = |name| Device::by_name(name).unwrap_err().to_string();
    assert_eq!(refused("gpuu"), "unknown device \"gpuu\"; did you mean \"gpu\" or \"cpu\"?");
    assert_eq!(refused("cuda"), "unknown device \"cuda\"; did you mean \"cpu\" or \"gpu\"?");
}

/// The process whose environment is wrong. Runs only when it is told to.
#[test]
fn in_a_wrong_environment() {
    if std::env::var("ADDAX_TEST_WRONG").is_ok() {
        let line = line!() + 1;
        let error = classifier().compile(how()).unwrap_err();
        assert_eq!(error.origin().unwrap().line(), line, "{error}");
        println!("said: {}", said(error));
    }
}

#[test]
fn a_wrong_environment_is_told_by_compile() {
    for (variable, value, message) in [
        (
            "ADDAX_MEMORY_LIMIT",
            "abc",
            "ADDAX_MEMORY_LIMIT is \"abc\"; expected bytes such as 512MB, 1.5GiB or 800000000",
        ),
        ("ADDAX_DEVICE", "nonsense", "unknown device \"nonsense\"; did you mean \"cpu\" or \"gpu\"?"),
        ("ADDAX_NUM_THREADS", "many", "ADDAX_NUM_THREADS is \"many\"; expected a whole number from 1 to 4096"),
        #[cfg(not(feature = "gpu"))]
        ("ADDAX_DEVICE", "gpu", "device \"gpu\" needs the cargo feature `gpu`, which this build does not have"),
        // Where the loader of drivers is told of none.
        #[cfg(all(feature = "gpu", target_os = "linux"))]
        ("ADDAX_DEVICE", "gpu", "no GPU adapter was found; is a Vulkan, Metal or Direct3D 12 driver installed?"),
    ] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "in_a_wrong_environment", "--nocapture"]);
        // Without looking for a GPU first.
        command.env("ADDAX_TEST_WRONG", "1").env("ADDAX_DEVICE", "cpu").env(variable, value);
        command.env_remove("ADDAX_GPU").env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(&format!("said: {message}\n")), "{text}");
    }
}

#[test]
fn names_that_are_not_known() {
    macro_rules! compile {
        ($how:expr) => {
            classifier().compile($how)
        };
    }
    fails(compile!(Compile::new("adm")), "unknown optimizer \"adm\"; did you mean \"adam\" or \"adamw\" or \"nadam\"?");
    fails(
        compile!(Compile::new("sgd").loss("msee")),
        "unknown loss \"msee\"; did you mean \"mse\" or \"msle\" or \"mae\"?",
    );
    fails(
        compile!(Compile::new("sgd").loss("mse").metric("acuracy")),
        "unknown metric \"acuracy\"; did you mean \"accuracy\"?",
    );
    fails(
        compile!(Compile::new("sgd").loss("mse").metric("mae").metric("mae")),
        "two metrics are named \"mae\"; give one another name with `.named(..)`",
    );
}

#[test]
fn options_that_make_no_sense() {
    let data = blobs(30, 1);
    let message = "the model is not compiled; call `model.compile(Compile::new(\"adam\").loss(..))` first";
    fails(classifier().fit(&data, Fit::epochs(1)), message);
    fails(classifier().evaluate(&data), message);
    let mut model = compiled();
    let fit = || Fit::epochs(1).verbose(0);
    fails(model.fit(&data, fit().batch_size(0)), "the batch size is 0; give at least 1");
    fails(model.fit(&data, fit().steps_per_epoch(0)), "steps_per_epoch is 0; give at least 1");
    fails(model.fit(&data, fit().validation_split(1.5)), "validation_split is 1.5; give a fraction between 0 and 1");
    let endless = data::Generator::new(|_, _| Ok(false));
    fails(
        compiled().fit(&endless, Fit::epochs(1).validation_split(0.1)),
        "validation_split needs rows in memory (a Dataset); give validation_data for other sources",
    );
    fails(compiled().fit(&endless, Fit::epochs(1)), "there is nothing to train on: the data gave no batch");
    let weighted = data.clone().with_sample_weight(&[1.0; 30]).unwrap();
    fails(
        compiled().fit(&weighted, Fit::epochs(1).class_weight([(0, 2.0)])),
        "class_weight and sample weights cannot be combined; multiply them into the weights",
    );
    let mut frozen = classifier();
    frozen.set_trainable(false);
    frozen.compile(how()).unwrap();
    fails(
        frozen.fit(&data, Fit::epochs(1).verbose(0)),
        "no weight can be trained: all layers are frozen, or none has weights",
    );
}

#[test]
fn data_that_does_not_fit() {
    let x = |shape: &[usize]| Array::zeros(DType::F32, shape);
    let labels = |n: usize| Array::zeros(DType::I32, [n]);
    let images = Dataset::new(x(&[6, 2, 2]), labels(6)).unwrap();
    let shapes = "layer \"input_layer\": the model takes samples of shape [4], the data has samples of shape [2, 2] (batches of \
                  shape [6, 2, 2]); the numbers are as many: reshape the data, or add `Reshape` or `Flatten` as the first layer";
    fails(compiled().fit(&images, Fit::epochs(1)), shapes);
    fails(compiled().evaluate(&images), shapes);
    fails(compiled().predict(&images), shapes);
    fails(
        compiled().predict(&x(&[4])),
        "layer \"input_layer\": the model takes samples of shape [4], the data has samples of shape [] (batches of shape [4]); put \
         an axis for the samples in front, also for a single one",
    );
    fails(compiled().predict(&x(&[0, 4])), "there is nothing to predict: the data has no rows (shape [0, 4])");
    let integers = Sequential::new().input([4]).input_dtype(DType::I32).add(Embedding::new(10, 2));
    fails(
        integers.predict(&x(&[1, 4])),
        "layer \"input_layer\": the model takes int32 input, the data is float32; cast the data or change `.input_dtype(..)`",
    );
    let mut trained =
        Sequential::new().input([4]).input_dtype(DType::I32).add(Embedding::new(10, 2)).add(Flatten::new());
    trained = trained.add(Dense::new(3));
    trained.compile(how()).unwrap();
    fails(
        trained.fit(&Dataset::new(x(&[6, 4]), labels(6)).unwrap(), Fit::epochs(1)),
        "layer \"input_layer\": the model takes int32 input, the data is float32; cast the data or change `.input_dtype(..)`",
    );
    fails(
        compiled().fit(&Dataset::new(x(&[6, 4]), None).unwrap(), Fit::epochs(1)),
        "loss \"sparse_categorical_crossentropy\" needs labels, and the data has none",
    );
    let mut regression = classifier();
    regression.compile(Compile::new("sgd").loss("mse")).unwrap();
    fails(
        regression.fit(&Dataset::new(x(&[6, 4]), x(&[6, 2])).unwrap(), Fit::epochs(1)),
        "loss \"mean_squared_error\": labels of shape [6, 2] and predictions of shape [6, 3] do not fit each other",
    );
}

#[test]
fn every_way_to_give_data_tells_its_line() {
    let (x, y) = (Array::zeros(DType::F32, [6, 5]), Array::zeros(DType::I32, [6]));
    let data = Dataset::new(x.clone(), y.clone()).unwrap();
    let message = "layer \"input_layer\": the model takes samples of shape [4], the data has samples of shape [5] (batches of shape \
                   [6, 5])";
    let mut model = compiled();
    fails(model.fit(&data, Fit::epochs(1).verbose(0)), message);
    fails(model.evaluate(&data), message);
    fails(model.evaluate_with(&data, Evaluate::new()), message);
    fails(model.predict(&data), message);
    fails(model.predict_with(&data, Predict::new()), message);
    fails(model.predict_in_batches(&x, 6), message);
    fails(model.predict_on_batch(&x), message);
    fails(model.train_on_batch(&x, &y, None), message);
    fails(model.test_on_batch(&x, &y, None), message);
}

#[test]
fn a_label_out_of_range_is_found_before_training() {
    let good = blobs(100, 1);
    let mut y = good.y().unwrap().to_vec::<i32>().unwrap();
    y[77] = 3;
    let bad = Dataset::new(good.x().into_owned(), Array::new([100], &y).unwrap()).unwrap();
    let message =
        "row 77: label 3 is no class number from 0 to 2; count classes from 0, or give the last layer more units";
    let mut model = compiled();
    let before = common::numbers(&model);
    fails(model.fit(&bad, Fit::epochs(1).shuffle(false).verbose(0)), message);
    fails(model.fit(&good, Fit::epochs(1).validation_data(&bad).verbose(0)), message);
    assert_eq!(common::numbers(&model), before, "nothing was trained");
    let source = bad.clone();
    let stream = data::Generator::new(move |step, batch| {
        let from = step.index * step.size;
        let rows = from..(from + step.size).min(100);
        if rows.is_empty() {
            return Ok(false);
        }
        let part = source.slice(rows)?;
        (batch.x, batch.y) = (part.x().into_owned(), part.y().map(|y| y.into_owned()));
        Ok(true)
    });
    fails(
        model.fit(&stream, Fit::epochs(1).verbose(0)),
        "batch 2, which begins at row 64: row 13: label 3 is no class number from 0 to 2; count classes from 0, or give the last \
         layer more units",
    );
}

#[test]
fn weights_that_do_not_fit_change_nothing() {
    let mut model = compiled();
    let before = common::numbers(&model);
    let set = |path: &str| {
        vec![("dense/bias".into(), Array::new([8], &[1f32; 8]).unwrap()), (path.into(), Array::zeros(DType::F32, [1]))]
    };
    fails(
        model.set_weights(&set("dense/kernl")),
        "unknown weight \"dense/kernl\"; did you mean \"dense/kernel\" or \"dense_1/kernel\"?",
    );
    fails(model.set_weights(&set("dense/kernel")), "weight \"dense/kernel\" has shape [4, 8], cannot be set to [1]");
    assert_eq!(common::numbers(&model), before);
}
