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
    assert!(model.memory_report(rows + 1).unwrap().phases[0].peak > peak);
    assert!(report.largest.iter().any(|(label, _)| label.contains("dense")), "{:?}", report.largest);

    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["phases"][0]["peak"], peak);
    assert_eq!(json["largest_batch"], rows);
    assert_eq!(json["largest"].as_array().unwrap().len(), report.largest.len());
}

/// The ten largest values, largest first, each with the layer that it belongs to; in the text and in the JSON in the same order.
#[test]
fn the_largest_values_are_told_with_their_layers() {
    let device = Device::cpu().unwrap();
    let widths = [512, 448, 384, 320, 256, 192];
    let mut model = Sequential::new().input([64]).seed(1);
    for width in widths {
        model = model.add(Dense::new(width).activation("tanh").named(format!("wide_{width}")));
    }
    let mut model = model.add(Dense::new(3).named("last"));
    model.set_device(&device);
    model.compile(Compile::new("sgd").loss(SparseCategoricalCrossentropy::from_logits())).unwrap();
    let batch = 1000;
    let report = model.memory_report(batch).unwrap();
    let largest = &report.largest;
    assert_eq!(largest.len(), 10, "{largest:?}");
    assert!(largest.is_sorted_by(|(_, a), (_, b)| a >= b), "{largest:?}");
    // The output of a layer is kept for its gradient: that of the widest layer is the largest value of all, and the others follow.
    let first = |width: usize| {
        let at = |label: &str| label.contains(&format!("wide_{width}"));
        largest.iter().position(|(label, bytes)| at(label) && *bytes == (batch * width * 4) as u64)
    };
    let places: Vec<Option<usize>> = widths[..4].iter().map(|&width| first(width)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted() && places[0] == Some(0),
        "{places:?} of {largest:?}"
    );

    let text = report.to_string();
    let lines = text.lines().skip_while(|line| !line.contains("largest:")).skip(1).take(10);
    for ((label, bytes), line) in largest.iter().zip(lines) {
        assert!(line.ends_with(label) && line.contains(&addax::tensor::error::bytes_for_people(*bytes)), "{line}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let told: Vec<(String, u64)> = json["largest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["value"].as_str().unwrap().to_string(), one["bytes"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, *largest);
}

/// The batch that the report names is trained on as a whole under the budget, and one sample more is not.
#[test]
fn the_largest_batch_is_exact() {
    let device = Device::cpu().unwrap();
    let mut model = model(&device);
    device.set_memory_limit(Some(model.memory_report(77).unwrap().phases[0].peak + 100));
    let report = model.memory_report(8).unwrap();
    let rows = report.largest_batch.unwrap();
    assert!((77..80).contains(&rows), "{rows}");
    let text = report.to_string();
    assert!(text.contains(&format!("batches of up to {rows} are computed at once")), "{text}");
    let mut split = |n: usize| {
        let x: Vec<f32> = (0..n * 64).map(|i| (i % 17) as f32 / 17.0).collect();
        let y: Vec<i32> = (0..n as i32).map(|i| i % 3).collect();
        let before = device.plan_cache().split;
        model.train_on_batch(&Array::new([n, 64], &x).unwrap(), &Array::new([n], &y).unwrap(), None).unwrap();
        device.plan_cache().split > before
    };
    // What metrics keep, which the report leaves out, is some bytes: of a sample or two.
    assert!(!split(rows - 1), "{rows}");
    assert!(split(rows + 1), "{rows}");
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
