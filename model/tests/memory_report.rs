//! What a model says of its memory: before training by the report, in training by a note.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{layers::*, prelude::*};

fn model(device: &Device) -> Sequential {
    let mut model = Sequential::new().input([64]).seed(1).add(Dense::new(128).activation("relu")).add(Dense::new(3));
    model.set_device(device);
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss)).unwrap();
    model
}

#[test]
fn the_report_tells_what_fits() {
    let device = Device::cpu().unwrap();
    let model = model(&device);
    let peak = model.memory_report(100).unwrap().phases[0].peak;
    device.set_memory_limit(Some(peak));
    let report = model.memory_report(100).unwrap();
    assert_eq!(report.phases.iter().map(|p| p.name).collect::<Vec<_>>(), ["train", "evaluate", "predict"]);
    assert!(report.phases.iter().all(|p| p.data + p.state <= p.floor && p.floor <= p.peak && p.obstacle.is_none()));
    let rows = report.largest_batch.unwrap();
    assert!(rows >= 100, "100 rows fit exactly, the report says {rows}");
    assert!(model.memory_report(rows).unwrap().phases[0].peak <= peak);
    assert!(model.memory_report(rows + 2).unwrap().phases[0].peak > peak);
    assert!(report.largest.iter().any(|(label, _)| label.contains("dense")), "{:?}", report.largest);

    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["phases"][0]["peak"], peak);
    assert_eq!(json["largest_batch"], rows);
    assert_eq!(json["largest"].as_array().unwrap().len(), report.largest.len());
}

#[test]
fn a_lower_rung_is_noted_once() {
    let device = Device::cpu().unwrap();
    let mut model = model(&device);
    let phase = model.memory_report(100).unwrap().phases.remove(0);
    device.set_memory_limit(Some(phase.floor + (phase.peak - phase.floor) / 4));
    let x: Vec<f32> = (0..200 * 64).map(|i| (i % 17) as f32 / 17.0).collect();
    let y: Vec<i32> = (0..200).map(|i| i % 3).collect();
    let data = Dataset::new(Array::new([200, 64], &x).unwrap(), Array::new([200], &y).unwrap()).unwrap();
    let history = model.fit(&data, Fit::epochs(3).batch_size(100).seed(1).verbose(0)).unwrap();
    let notes: Vec<&str> = history.notes().iter().map(|n| n.text.as_str()).filter(|n| n.contains("slices")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("memory is short") && notes[0].contains("a batch of 100"), "{notes:?}");
}
