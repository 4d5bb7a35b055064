//! The main job on real images: Fashion-MNIST, 60,000 pictures of clothes to learn from and 10,000 to be tested on.
//!
//! `cargo run --release --example fashion_mnist -- [--device cpu|gpu] [--data DIR] [--epochs N] [--model mlp|convnet|lstm]`
//!
//! The files are looked for in `--data`, in `FASHION_MNIST`, where Debian's package `dataset-fashion-mnist` puts them, and in
//! the cache; else they are downloaded.

use addax::{Error, layers::*, prelude::*};
use addax_examples::{arguments::Arguments, interrupt};
use std::time::Instant;

fn main() -> addax::Result<()> {
    let usage = "fashion_mnist [--device cpu|gpu] [--data DIR] [--epochs N] [--model mlp|convnet|lstm]";
    let arguments = Arguments::parse(usage)?;
    if let Some(device) = arguments.value("device") {
        Device::set_default(&Device::by_name(device)?);
    }
    let mut source = data::FashionMnist::new().progress(|p| match p.total {
        Some(total) if p.done == total => eprintln!("\r{} {} kB          ", p.file, total / 1000),
        Some(total) => eprint!("\r{} {} of {} kB", p.file, p.done / 1000, total / 1000),
        None => eprint!("\r{} {} kB", p.file, p.done / 1000),
    });
    if let Some(folder) = arguments.value("data") {
        source = source.folder(folder);
    }
    let (train, test) = source.load()?;
    let kind = arguments.value("model").unwrap_or("convnet");
    let epochs = arguments.number("epochs")?.unwrap_or(20);

    let mut model = network(kind)?;
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy"))?;
    println!("{}", model.summary());
    let mut best = EarlyStopping::new("val_loss").patience(3).restore_best_weights(true);
    let mut slower = ReduceLROnPlateau::new("val_loss").factor(0.3).patience(1);
    let fit =
        Fit::epochs(epochs).batch_size(128).validation_split(0.1).seed(1).callback(&mut best).callback(&mut slower);
    let listening = interrupt::stops(fit.stop_handle())?;

    let began = Instant::now();
    let history = model.fit(&train, fit)?;
    drop(listening);
    println!("{} epochs in {:.1} s", history.epochs().len(), began.elapsed().as_secs_f64());
    println!("test accuracy: {:.4}", model.evaluate(&test)?.get("accuracy")?);
    Ok(())
}

fn network(kind: &str) -> addax::Result<Sequential> {
    // Pictures stay bytes until they are in the model.
    let model = Sequential::new().input([28, 28, 1]).add(Rescaling::new(1.0 / 255.0));
    Ok(match kind {
        "mlp" => model
            .add(Flatten::new())
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
        "lstm" => model.add(Reshape::new([28, 28])).add(LSTM::new(128)).add(Dense::new(10)),
        other => return Err(Error::unknown_name("model", other, ["mlp", "convnet", "lstm"])),
    })
}
