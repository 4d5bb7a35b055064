//! Tabular data: normalization inside the model, fitted on training rows only; five-fold cross-validation; a test set that
//! nothing else sees.
//!
//! `cargo run --release --example iris`

use addax::{layers::*, prelude::*};

fn main() -> addax::Result<()> {
    let iris = data::sets::iris()?;
    println!("{} flowers, {} measurements each: {}", iris.data.len(), iris.features.len(), iris.features.join(", "));
    let (rest, test) = iris.data.train_test(0.2, 1)?;

    // Which width is better? Every row of `rest` is validation data once.
    let mut best = (0, 0.0);
    for width in [4, 16] {
        let mut accuracies = Vec::new();
        for (train, validation) in rest.stratified_k_fold(5, 2)? {
            let mut model = train_on(&train, width)?;
            accuracies.push(model.evaluate(&validation)?.get("accuracy")?);
        }
        let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        let spread = (accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / accuracies.len() as f64).sqrt();
        println!("width {width:>2}: {mean:.3} ± {spread:.3} over {} folds", accuracies.len());
        if mean > best.1 {
            best = (width, mean);
        }
    }

    println!("training width {} on all {} rows", best.0, rest.len());
    let mut model = train_on(&rest, best.0)?;
    println!("test accuracy: {:.3}", model.evaluate(&test)?.get("accuracy")?);
    Ok(())
}

fn train_on(train: &Dataset, width: usize) -> addax::Result<Sequential> {
    // The statistics come from these rows alone and are saved with the model.
    let normalization = Normalization::new();
    normalization.adapt(train.x().as_ref())?;
    let mut model = Sequential::new()
        .input([4])
        .add(normalization)
        .add(Dense::new(width).activation("tanh").kernel_regularizer(L2(1e-3)))
        .add(Dense::new(3));
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(2e-2)).loss(loss).metric("accuracy"))?;
    model.fit(train, Fit::epochs(60).batch_size(16).seed(3).verbose(0))?;
    Ok(model)
}
