//! How long a program takes from the start of its process to the end of its first training step.

use addax::{Error, layers::*, prelude::*};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

/// Set in the processes that are timed.
const TIMED: &str = "ADDAX_BENCH_START";
const STARTS: usize = 5;

/// Starts this program a few times, with the same options, and prints the shortest and the longest time.
pub fn measure() -> addax::Result<()> {
    if std::env::var_os(TIMED).is_some() {
        return first_step();
    }
    let starting = |e| Error::io("starting this program again", e);
    let program = std::env::current_exe().map_err(starting)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut again = Command::new(&program);
        again.args(std::env::args_os().skip(1)).env(TIMED, "1").stdout(Stdio::null());
        if !again.status().map_err(starting)?.success() {
            return Err(Error::argument("the program that was timed failed"));
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    if let [shortest, .., longest] = times.as_slice() {
        println!(
            "from the start of the process to the end of the first training step: {shortest:.1} to {longest:.1} ms in {STARTS} starts"
        );
    }
    Ok(())
}

/// Data, model, plan and a step of the kind of the example `digits`; ends the process.
fn first_step() -> addax::Result<()> {
    let data = data::sets::digits()?.data;
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
    let done = LambdaCallback::new().on_train_batch_end(|_, logs, _| {
        logs.get("loss")?;
        std::process::exit(0)
    });
    model.fit(&data, Fit::epochs(1).batch_size(32).seed(42).callback(done))?;
    Ok(())
}
