//! The first thing to run: a small convnet learns handwritten digits from a data set that comes with Addax.
//!
//! `cargo run --release --example digits [-- --device cpu|gpu] [--full]`
//!
//! Callbacks watch the validation data: the learning rate is cut when progress stalls, the best weights are kept in a
//! checkpoint and restored, training ends early. `--full` trains every epoch instead, for comparison. The test set is seen
//! once, at the end.

use addax::{Error, layers::*, prelude::*};
use addax_examples::{arguments::Arguments, curves, interrupt, picture};
use std::time::Instant;

const EPOCHS: usize = 60;

fn main() -> addax::Result<()> {
    let arguments = Arguments::parse("digits [--device cpu|gpu] [--full]")?;
    if let Some(device) = arguments.value("device") {
        Device::set_default(&Device::by_name(device)?);
    }
    let full = arguments.has("full");

    let digits = data::sets::digits()?;
    let (train, test) = digits.data.train_test(0.2, 7)?;
    println!("{} images to learn from, {} for the final test\n", train.len(), test.len());

    let mut model = network();
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(2e-3)).loss(loss).metric("accuracy"))?;
    println!("{}", model.summary());

    let out = std::env::temp_dir().join("addax-digits");
    std::fs::create_dir_all(&out).map_err(|e| Error::io(format!("making {}", out.display()), e))?;
    let patience = if full { EPOCHS } else { 8 };
    let mut early = EarlyStopping::new("val_loss").patience(patience).restore_best_weights(true);
    let mut slower = ReduceLROnPlateau::new("val_loss").factor(0.5).patience(3).min_lr(1e-5);
    let mut best = ModelCheckpoint::new(out.join("best.addax")).save_best_only(true);
    let fit = Fit::epochs(EPOCHS)
        .batch_size(32)
        .validation_split(0.15)
        .seed(42)
        .callback(&mut early)
        .callback(&mut slower)
        .callback(&mut best);

    // Ctrl-C ends training after the batch that runs now, and is an ordinary Ctrl-C again after it.
    let listening = interrupt::stops(fit.stop_handle())?;

    let began = Instant::now();
    let history = model.fit(&train, fit)?;
    drop(listening);
    let seconds = began.elapsed().as_secs_f64();

    let ran = history.epochs().len();
    println!("\ntrained {ran} of {EPOCHS} epochs in {seconds:.1} s");
    if let Some(epoch) = early.stopped_epoch {
        let saved = EPOCHS - ran;
        println!(
            "stopped after epoch {}: {saved} epochs, about {:.1} s, not spent; weights of epoch {} restored",
            epoch + 1,
            seconds / ran as f64 * saved as f64,
            early.best_epoch.map_or(0, |e| e + 1)
        );
    }
    println!("learning rate cut {} times, to {:.0e}", slower.reductions.len(), model.learning_rate()?);

    let path = out.join("digits.addax");
    model.save(&path)?;
    let mut loaded = Model::load(&path)?;
    curves::save(&history, &["loss", "val_loss", "accuracy", "val_accuracy"], out.join("curves.svg"))?;
    println!("saved {} and {}\n", path.display(), out.join("curves.svg").display());

    show(&loaded, &test)?;
    println!("test accuracy: {:.4}", loaded.evaluate(&test)?.get("accuracy")?);
    Ok(())
}

fn network() -> Sequential {
    Sequential::new()
        .input([8, 8, 1])
        .add(Rescaling::new(1.0 / 16.0))
        .add(Conv2D::new(32, 3).padding("same").activation("relu"))
        .add(Conv2D::new(32, 3).padding("same").activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).padding("same").activation("relu"))
        .add(Flatten::new())
        .add(Dropout::new(0.4))
        .add(Dense::new(10))
}

/// A few test images with what the model says about them.
fn show(model: &Model, test: &Dataset) -> addax::Result<()> {
    let few = test.slice(0..6)?;
    let logits = model.predict(few.x().as_ref())?.to_vec::<f32>()?;
    let labels = few.y().map(|y| y.to_vec::<i32>()).transpose()?.unwrap_or_default();
    let images = few.x();
    let pictures: Vec<_> = images
        .bytes()
        .chunks(64)
        .zip(logits.chunks(10).zip(labels))
        .map(|(pixels, (logits, label))| {
            let pixels: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 16.0).collect();
            let best = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
            let sum: f32 = logits.iter().map(|l| (l - logits[best]).exp()).sum();
            (picture::render(&pixels, 8), format!("{best} ({:.0} %), is {label}", 100.0 / sum))
        })
        .collect();
    println!("{}", picture::side_by_side(&pictures));
    Ok(())
}
