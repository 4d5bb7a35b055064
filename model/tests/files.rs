//! Saving and loading: the same predictions in another process, exact resume, and files that are not what they should be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::*, prelude::*};
use common::{Paper, blobs, compiled, how, numbers};
use std::{path::Path, process::Command};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A model with layers of several kinds, states, dropout, a nested chain, a shared layer.
fn rich() -> Sequential {
    let shared = std::sync::Arc::new(Dense::new(6).activation("tanh").named("shared"));
    let mut model = Sequential::new()
        .input([4])
        .add(Rescaling::new(0.5))
        .add(Dense::new(6).activation("relu").kernel_regularizer(L2(1e-3)))
        .add(Sequential::new().add(Dense::new(6)).add(BatchNormalization::new()).named("inner"))
        .add(shared.clone())
        .add(Dropout::new(0.2))
        .add(shared)
        .add(Dense::new(3))
        .seed(5);
    model.compile(how().weighted_metric("sparse_categorical_crossentropy")).unwrap();
    model
}

#[test]
fn a_training_goes_on_after_loading_as_if_nothing_had_happened() {
    let (folder, data) = (folder(), blobs(90, 2));
    let path = folder.path().join("model");
    let model = || {
        let mut model = Sequential::new()
            .input([4])
            .add(Dense::new(8).activation("relu"))
            .add(BatchNormalization::new())
            .add(Dropout::new(0.3))
            .add(Dense::new(3))
            .seed(5);
        model.compile(how()).unwrap();
        model
    };
    let (mut through, mut first) = (model(), model());
    let whole = through.fit(&data, Fit::epochs(4).seed(9).verbose(0)).unwrap();
    first.fit(&data, Fit::epochs(2).seed(9).verbose(0)).unwrap();
    first.save(&path).unwrap();
    let mut second = Model::load(&path).unwrap();
    assert_eq!(second.predict(&data).unwrap(), first.predict(&data).unwrap());
    let rest = second.fit(&data, Fit::epochs(4).initial_epoch(2).seed(9).verbose(0)).unwrap();
    assert_eq!(numbers(&second), numbers(&through));
    assert_eq!(rest.get("loss").unwrap(), &whole.get("loss").unwrap()[2..]);
}

/// The other process: loads, predicts, writes the bytes. Runs only when it is told what to do.
#[test]
fn in_another_process() {
    let (Ok(model), Ok(out)) = (std::env::var("ADDAX_TEST_MODEL"), std::env::var("ADDAX_TEST_OUT")) else { return };
    let model = Model::load(model).unwrap();
    std::fs::write(out, model.predict(&blobs(33, 7)).unwrap().bytes()).unwrap();
}

#[test]
fn another_process_in_another_folder_predicts_the_same_bytes() {
    let (here, there) = (folder(), folder());
    let mut model = rich();
    model.fit(&blobs(60, 1), Fit::epochs(2).verbose(0)).unwrap();
    model.save(here.path().join("rich")).unwrap();
    // The folder is moved, too: nothing in it depends on where it is.
    std::fs::rename(here.path().join("rich"), there.path().join("moved")).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_another_process"])
        .current_dir(there.path())
        .env("ADDAX_TEST_MODEL", "moved")
        .env("ADDAX_TEST_OUT", "out.bin")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let bytes = std::fs::read(there.path().join("out.bin")).unwrap();
    assert_eq!(bytes, model.predict(&blobs(33, 7)).unwrap().bytes());
}

#[test]
fn configs_read_back_as_they_were() {
    let model = rich();
    let folder = folder();
    model.save(folder.path().join("a")).unwrap();
    let loaded = Model::load(folder.path().join("a")).unwrap();
    assert_eq!(loaded.to_json().unwrap(), model.to_json().unwrap());
    assert_eq!(loaded.layer_names().unwrap(), model.layer_names().unwrap());
    assert_eq!(loaded.metrics_names().unwrap(), model.metrics_names().unwrap());
    assert!(model.to_json().unwrap().contains("\"class_name\": \"InputLayer\""));
    let fresh = Model::from_json(&model.to_json().unwrap()).unwrap();
    assert_eq!(fresh.count_params().unwrap(), model.count_params().unwrap());
}

#[test]
fn weights_alone_go_into_an_equal_model() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let (mut a, mut b) = (compiled(), compiled());
    a.fit(&blobs(30, 1), Fit::epochs(1).verbose(0)).unwrap();
    a.save_weights(&path).unwrap();
    b.load_weights(&path).unwrap();
    assert_eq!(numbers(&a), numbers(&b));
    let mut other = Sequential::new().input([4]).add(Dense::new(3)).add(Dense::new(2)).add(Dense::new(1));
    let before = numbers(&other);
    let error = other.load_weights(&path).unwrap_err().to_string();
    assert!(error.contains("2 of the model's 6 weights are missing: dense_2/kernel, dense_2/bias"), "{error}");
    assert_eq!(numbers(&other), before);
}

#[test]
fn a_truncated_file_of_weights_changes_nothing_in_a_live_model() {
    let folder = folder();
    let path = folder.path().join("w.safetensors");
    let (mut trained, mut live) = (compiled(), compiled());
    trained.fit(&blobs(30, 1), Fit::epochs(1).verbose(0)).unwrap();
    trained.save_weights(&path).unwrap();
    live.fit(&blobs(30, 2), Fit::epochs(1).verbose(0)).unwrap();
    let before = numbers(&live);
    let whole = std::fs::read(&path).unwrap();
    // Cut in the length, in the header, between two weights, in the last number; and one byte too many.
    for length in [0, 5, 40, whole.len() / 2, whole.len() - 1, whole.len() + 1] {
        let mut cut = whole.clone();
        cut.resize(length, 0);
        std::fs::write(&path, cut).unwrap();
        let error = live.load_weights(&path).unwrap_err().to_string();
        assert!(error.contains("w.safetensors"), "{length} of {} bytes: {error}", whole.len());
        assert_eq!(numbers(&live), before, "{length} of {} bytes", whole.len());
    }
    // It goes on training, and loads what is whole.
    live.fit(&blobs(30, 2), Fit::epochs(1).verbose(0)).unwrap();
    std::fs::write(&path, &whole).unwrap();
    live.load_weights(&path).unwrap();
    assert_eq!(numbers(&live), numbers(&trained));
}

#[test]
fn endings_that_no_format_has_are_refused() {
    let model = compiled();
    let error = model.save("x.keras").unwrap_err().to_string();
    assert!(error.starts_with("x.keras: no model format ends in `.keras` (`.keras` needs a writer of HDF5"), "{error}");
    assert!(model.save("x.json").is_err() && model.save_weights("x.bin").is_err() && model.save_weights("x").is_err());
    assert!(!Path::new("x.keras").exists() && !Path::new("x.json").exists());
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let folder = folder();
    let path = folder.path().join("m");
    let model = compiled();
    for file in ["weights.safetensors", "config.json", "optimizer.safetensors", "state.json", "metadata.json"] {
        model.save(&path).unwrap();
        let bytes = std::fs::read(path.join(file)).unwrap();
        std::fs::write(path.join(file), &bytes[..bytes.len() / 2]).unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        assert!(error.contains(file), "{file}: {error}");
    }
    let error = Model::load(folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}

/// `x · strength` after a dense layer.
#[derive(Fields)]
#[fields(package = "shop")]
struct Stretched {
    inner: Dense,
    strength: f64,
}
impl Layer for Stretched {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        Ok(cx.call(&self.inner, &x)? * self.strength)
    }
}

#[test]
fn layers_of_the_users_own_are_registered() {
    let folder = folder();
    let path = folder.path().join("m");
    let model = Sequential::new().input([4]).add(Stretched { inner: Dense::new(2), strength: 3.0 });
    model.save(&path).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains("layer class \"shop>Stretched\" is not known"), "{error}");
    let loaded = Model::loader().register::<Stretched>().load(&path).unwrap();
    let data = blobs(5, 1);
    assert_eq!(loaded.predict(&data).unwrap(), model.predict(&data).unwrap());
}

#[test]
fn checkpoints_are_models() {
    let folder = folder();
    let data = blobs(40, 1);
    let path = folder.path().join("best-{epoch:02d}");
    let mut model = compiled();
    let fit = Fit::epochs(2).validation_split(0.2).verbose(0).callback(ModelCheckpoint::new(path.to_str().unwrap()));
    model.fit(&data, fit).unwrap();
    let loaded = Model::load(folder.path().join("best-02")).unwrap();
    assert_eq!(loaded.predict(&data).unwrap(), model.predict(&data).unwrap());
}

#[test]
fn a_disk_that_refuses_a_checkpoint_does_not_end_training() {
    let folder = folder();
    let data = blobs(40, 1);
    let (models, away) = (folder.path().join("models"), folder.path().join("away"));
    let path = models.join("best");
    let paper = Paper::default();
    let mut model = compiled();
    model.set_console(paper.console());
    let mut first = None;
    // From the second epoch on a file stands where the folder was.
    let vandal = LambdaCallback::new().on_epoch_begin(|epoch, _, t| {
        if epoch == 1 {
            first = Some(t.predict(&data.x())?);
            std::fs::rename(&models, &away).unwrap();
            std::fs::write(&models, "").unwrap();
        }
        Ok(())
    });
    let mut checkpoint = ModelCheckpoint::new(path.to_str().unwrap());
    let fit = Fit::epochs(3).seed(1).verbose(2).callback(vandal).callback(&mut checkpoint);
    let history = model.fit(&data, fit).unwrap();
    assert_eq!((history.epochs().len(), checkpoint.failures().len()), (3, 2));
    let told = format!("the checkpoint {} was not written: ", path.display());
    assert_eq!(paper.text().matches(&told).count(), 2, "{}", paper.text());
    assert_eq!(history.notes().iter().filter(|note| note.text.starts_with(&told)).count(), 2);
    let old = Model::load(away.join("best")).unwrap();
    assert_eq!(Some(old.predict(&data).unwrap()), first, "the checkpoint of the first epoch is whole");
}

#[test]
fn a_shared_model_predicts_from_many_threads() {
    let model = Model::from(compiled()).share();
    let data = blobs(50, 1);
    let expected = model.predict(&data).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (model, data, expected) = (model.clone(), data.clone(), expected.clone());
            std::thread::spawn(move || (0..20).all(|_| model.predict(&data).unwrap() == expected))
        })
        .collect();
    assert!(threads.into_iter().all(|t| t.join().unwrap()));
}
