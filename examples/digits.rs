//! The first thing to run: a small convnet learns handwritten digits from a data set that comes with Addax.
//!
//! `cargo run --release --example digits [-- --device cpu|gpu] [--full]`
//!
//! Callbacks watch the validation data: the learning rate is cut when progress stalls, the best weights are kept in a
//! checkpoint and restored, training ends early. What that saved is measured with `--full`: then a second model trains every
//! epoch, and both are tested. The test set is seen at the end only.

use addax::{Error, layers::*, prelude::*};
use addax_examples::{arguments::Arguments, curves, interrupt, picture};
use std::time::Instant;

const EPOCHS: usize = 60;

fn main() -> addax::Result<()> {
    let arguments = Arguments::parse("digits [--device cpu|gpu] [--full]")?;
    if let Some(device) = arguments.value("device") {
        Device::set_default(&Device::by_name(device)?);
    }

    let digits = data::sets::digits()?;
    let (train, test) = digits.data.train_test(0.2, 7)?;
    println!("{} images to learn from, {} for the final test\n", train.len(), test.len());

    let mut model = network()?;
    println!("{}", model.summary());

    let out = std::env::temp_dir().join("addax-digits");
    std::fs::create_dir_all(&out).map_err(|e| Error::io(format!("making {}", out.display()), e))?;
    let mut early = EarlyStopping::new("val_loss").patience(8).restore_best_weights(true);
    let mut slower = patient();
    let mut best = ModelCheckpoint::new(out.join("best.addax")).save_best_only(true);
    let fit = plan().callback(&mut early).callback(&mut slower).callback(&mut best);

    // Ctrl-C ends training after the batch that runs now, and is an ordinary Ctrl-C again after it.
    let listening = interrupt::stops(fit.stop_handle())?;

    let began = Instant::now();
    let history = model.fit(&train, fit)?;
    drop(listening);
    let seconds = began.elapsed().as_secs_f64();

    let ran = history.epochs().len();
    println!("\ntrained {ran} of {EPOCHS} epochs in {seconds:.1} s");
    if let Some(epoch) = early.stopped_epoch {
        println!(
            "stopped after epoch {}: {} epochs not trained; weights of epoch {} restored",
            epoch + 1,
            EPOCHS - ran,
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
    let accuracy = loaded.evaluate(&test)?.get("accuracy")?;
    match (arguments.has("full"), early.stopped_epoch) {
        (true, Some(_)) => against_all_epochs(&train, &test, Run { epochs: ran, seconds, accuracy })?,
        (false, Some(_)) => println!("what stopping early saved, at what accuracy: run again with `-- --full`"),
        (_, None) => {}
    }
    println!("test accuracy: {accuracy:.4}");
    Ok(())
}

/// What a training took and gave.
struct Run {
    epochs: usize,
    seconds: f64,
    accuracy: f64,
}

/// Trains every epoch in the same way, keeps the best weights too, and shows both runs side by side.
fn against_all_epochs(train: &Dataset, test: &Dataset, early: Run) -> addax::Result<()> {
    println!("The same again, without stopping early:\n");
    let mut model = network()?;
    let mut best = EarlyStopping::new("val_loss").patience(EPOCHS).restore_best_weights(true);
    let fit = plan().verbose(0).quiet_hints(true).callback(&mut best).callback(patient());
    let began = Instant::now();
    let history = model.fit(train, fit)?;
    let seconds = began.elapsed().as_secs_f64();
    let full = Run { epochs: history.epochs().len(), seconds, accuracy: model.evaluate(test)?.get("accuracy")? };
    println!("                epochs  seconds  test accuracy");
    for (name, run) in [("stopped early", &early), ("every epoch", &full)] {
        println!("{name:<14}  {:>6}  {:>7.1}  {:>13.4}", run.epochs, run.seconds, run.accuracy);
    }
    println!(
        "stopping early saved {} epochs and {:.1} s; its test accuracy is {:+.4} off that of every epoch\n",
        full.epochs.saturating_sub(early.epochs),
        full.seconds - early.seconds,
        early.accuracy - full.accuracy
    );
    Ok(())
}

/// How both are trained, but for what ends it.
fn plan<'a>() -> Fit<'a> {
    Fit::epochs(EPOCHS).batch_size(32).validation_split(0.15).seed(42)
}

fn patient() -> ReduceLROnPlateau {
    ReduceLROnPlateau::new("val_loss").factor(0.5).patience(3).min_lr(1e-5)
}

fn network() -> addax::Result<Sequential> {
    let mut model = Sequential::new()
        .input([8, 8, 1])
        .add(Rescaling::new(1.0 / 16.0))
        .add(Conv2D::new(32, 3).padding("same").activation("relu"))
        .add(Conv2D::new(32, 3).padding("same").activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).padding("same").activation("relu"))
        .add(Flatten::new())
        .add(Dropout::new(0.4))
        .add(Dense::new(10));
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(2e-3)).loss(loss).metric("accuracy"))?;
    Ok(model)
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
