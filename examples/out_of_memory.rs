//! The same training under shrinking memory budgets. Nothing is changed but the budget: not the batch size, not the model, not the
//! learning rate. What does not fit at once is computed in slices of the batch, and learns the same.
//!
//! `cargo run --release --example out_of_memory`

use addax::{layers::*, prelude::*, tensor::error::bytes_for_people};
use std::time::{Duration, Instant};

const BATCH: usize = 256;
const EPOCHS: usize = 5;

/// What one training did.
struct Run {
    losses: Vec<f64>,
    accuracy: f64,
    peak: u64,
    how: Vec<String>,
    time: Duration,
}

fn main() -> addax::Result<()> {
    let data = data::sets::digits()?.data;
    let (train, test) = data.train_test(0.2, 7)?;

    let report = network(&Device::cpu()?)?.memory_report(BATCH)?;
    println!("{report}");
    let whole = run(&train, &test, None)?;
    println!("without a limit: {} at the highest moment\n", bytes_for_people(whole.peak));
    println!("{:>10} {:>10}  {:<60} {:>6} {:>8} {:>9}", "budget", "peak", "what Addax did", "time", "loss", "accuracy");
    line("none", &whole, &whole);

    let floor = report.phases.iter().map(|phase| phase.floor).max().unwrap_or(0);
    let mut refused = None;
    for percent in [75, 50, 25, 10, 5, 1] {
        let budget = floor + (whole.peak.saturating_sub(floor)) * percent / 100;
        match run(&train, &test, Some(budget)) {
            Ok(run) => line(&bytes_for_people(budget), &run, &whole),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => println!("\n{error}"),
        None => match run(&train, &test, Some(floor / 2)) {
            Ok(_) => println!("\nhalf of what was called the least was enough"),
            Err(error) => println!("\nHalf of the least it needs is refused before anything runs:\n{error}"),
        },
    }
    Ok(())
}

fn network(device: &Device) -> addax::Result<Sequential> {
    Device::set_default(device);
    let mut model = Sequential::new()
        .input([8, 8, 1])
        .seed(3)
        .add(Rescaling::new(1.0 / 16.0))
        .add(Conv2D::new(32, 3).padding("same"))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(10));
    model.set_device(device);
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(2e-3)).loss(loss).metric("accuracy"))?;
    Ok(model)
}

fn run(train: &Dataset, test: &Dataset, budget: Option<u64>) -> addax::Result<Run> {
    let device = Device::cpu()?;
    device.set_memory_limit(budget);
    let mut model = network(&device)?;
    let began = Instant::now();
    let history = model.fit(train, Fit::epochs(EPOCHS).batch_size(BATCH).seed(1).verbose(0))?;
    let time = began.elapsed();
    let accuracy = model.evaluate_with(test, Evaluate::new().batch_size(BATCH).verbose(0))?.get("accuracy")?;
    let how = history.notes().iter().map(|note| note.text.clone()).collect();
    Ok(Run { losses: history.get("loss")?.to_vec(), accuracy, peak: device.memory().peak, how, time })
}

fn line(budget: &str, run: &Run, whole: &Run) {
    // "…: a batch of 256 is computed in 8 slices; …"
    let how = run.how.iter().find_map(|note| note.split(" is computed ").nth(1)?.split(';').next());
    println!(
        "{budget:>10} {:>10}  {:<60} {:>5.1}x {:>8.4} {:>9.4}",
        bytes_for_people(run.peak),
        how.unwrap_or("the whole batch at once"),
        run.time.as_secs_f64() / whole.time.as_secs_f64(),
        run.losses.last().copied().unwrap_or(f64::NAN),
        run.accuracy
    );
}
