//! Measures when asked, so that several programs can take turns: `bench --turns --work NAME`.

use crate::{
    one_row,
    works::{Work, epoch},
};
use std::{io::BufRead, time::Instant};

/// Warms up, says `ready`, and answers each line of the input by a number: `step` by the milliseconds per step of an epoch,
/// `predict` by those of a thousand rows, `call` by those of one row.
pub fn take(work: &Work) -> addax::Result<()> {
    let (train, mut model) = (work.data()?, work.model()?);
    let x = train.x().into_owned();
    epoch(&mut model, &train, work)?;
    model.predict_in_batches(&x, work.batch)?;
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let ms = match line.trim() {
            "step" => epoch(&mut model, &train, work)?.0 / work.steps() * 1e3,
            "predict" => {
                let began = Instant::now();
                model.predict_in_batches(&x, work.batch)?;
                began.elapsed().as_secs_f64() / work.rows as f64 * 1e6
            }
            "call" => one_row(&model, &x, 5)? * 1e3,
            other => return Err(addax::Error::argument(format!("\"{other}\" is none of step, predict, call"))),
        };
        println!("{ms}");
    }
    Ok(())
}
