//! Testing and predicting: what they measure and predict takes the place of losses and gradients.

use crate::{Trained, models, settled, state_of};
use addax::prelude::*;

const TIMES: usize = 3;

fn evaluated(mut model: Sequential, device: &Device, (x, y): (Array, Array)) -> addax::Result<Trained> {
    model.compile(Compile::new("sgd").loss(SparseCategoricalCrossentropy::from_logits()).metric("accuracy"))?;
    model.set_device(device);
    let rows = x.rows();
    let data = Dataset::new(x, y)?;
    let mut losses = Vec::new();
    for n in 0..TIMES {
        let logs = model.evaluate_with(&data, Evaluate::new().batch_size(rows).verbose(0))?;
        losses.extend([logs.get("loss")?, logs.get("accuracy")?]);
        if n == 0 {
            settled();
        }
    }
    let numbers = losses.iter().map(|&n| n as f32).collect();
    Ok(Trained { losses, gradients: vec![numbers], told: None, state: state_of(device) })
}

fn predicted(mut model: Sequential, device: &Device, (x, _): (Array, Array)) -> addax::Result<Trained> {
    model.set_device(device);
    model.predict_on_batch(&x)?;
    settled();
    let gradients = (0..TIMES).map(|_| model.predict_on_batch(&x)?.to_vec()).collect::<addax::Result<_>>()?;
    Ok(Trained { losses: Vec::new(), gradients, told: None, state: state_of(device) })
}

pub fn evaluate_convnet(device: &Device, _: usize) -> addax::Result<Trained> {
    evaluated(models::a_convnet(), device, models::pictures(64, &[14, 14, 1]))
}
pub fn evaluate_resnet(device: &Device, _: usize) -> addax::Result<Trained> {
    evaluated(models::a_resnet(), device, models::pictures(64, &[8, 8, 1]))
}
pub fn predict_convnet(device: &Device, _: usize) -> addax::Result<Trained> {
    predicted(models::a_convnet(), device, models::pictures(64, &[14, 14, 1]))
}
pub fn predict_transformer(device: &Device, _: usize) -> addax::Result<Trained> {
    predicted(models::a_transformer(), device, models::pictures(96, &[9, 12]))
}
