//! The committed fixtures are whole: they parse, their tensors fill their shapes, and nothing has grown out of hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures/keras")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&fixtures(), &mut found);
    found
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Calls `look` for every object inside `value`.
fn objects(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, look)),
        Value::Object(map) => {
            look(map);
            map.values().for_each(|item| objects(item, look));
        }
        _ => {}
    }
}

fn elements(shape: &Value) -> u64 {
    shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product()
}

fn is_number(value: &Value) -> bool {
    value.is_number() || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
}

/// Every float is the shortest text of an `f32`: reading it as `f32` and writing it again changes nothing.
fn is_f32(value: &Value) -> bool {
    let wide = value.as_f64().unwrap();
    let again: f64 = (wide as f32).to_string().parse().unwrap();
    // serde_json reads an `f64` to within a few units of its last place, far below those of an `f32`.
    (again - wide).abs() <= 1e-14 * wide.abs()
}

#[test]
fn tensors_fill_their_shapes() {
    let mut seen = 0;
    for path in all_files().iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        objects(&read(path), &mut |map| {
            let (Some(shape), Some(Value::Array(data)), Some(dtype)) =
                (map.get("shape"), map.get("data"), map.get("dtype"))
            else {
                return;
            };
            let place = path.display();
            assert_eq!(elements(shape), data.len() as u64, "{place}: shape {shape}");
            assert!(data.iter().all(is_number), "{place}: {shape} holds something that is no number");
            if dtype == "float32" {
                let odd = data.iter().filter(|v| v.is_number()).find(|v| !is_f32(v));
                assert!(odd.is_none(), "{place}: {odd:?} is not the shortest text of an f32");
            } else if dtype != "float16" && dtype != "bfloat16" {
                assert!(data.iter().all(Value::is_i64), "{place}: {dtype} with a fraction");
            }
            seen += 1;
        });
    }
    assert!(seen > 2000, "only {seen} tensors found");
}

/// A gradient has the shape of what it belongs to, and every output its cotangent.
#[test]
fn layer_cases_are_complete() {
    let shape = |tensor: &Value| tensor["shape"].clone();
    let list = |case: &Value, key: &str| case[key].as_array().unwrap().clone();
    for entry in std::fs::read_dir(fixtures().join("layers")).unwrap() {
        let path = entry.unwrap().path();
        for case in list(&read(&path), "cases") {
            let place = format!("{}: {}", path.display(), case["title"]);
            let (trained, kept): (Vec<_>, Vec<_>) =
                list(&case, "weights").into_iter().partition(|weight| weight["trainable"] == true);
            for (left, right) in [
                (list(&case, "outputs"), list(&case, "cotangents")),
                (trained, list(&case, "weight_gradients")),
                (kept, list(&case, "updated")),
            ] {
                assert_eq!(
                    left.iter().map(shape).collect::<Vec<_>>(),
                    right.iter().map(shape).collect::<Vec<_>>(),
                    "{place}"
                );
            }
            for (input, gradient) in list(&case, "inputs").iter().zip(list(&case, "input_gradients")) {
                if input["dtype"] == "float32" {
                    assert_eq!(shape(input), shape(&gradient), "{place}");
                } else {
                    assert!(gradient.is_null(), "{place}");
                }
            }
        }
    }
}

#[test]
fn the_folder_stays_small() {
    let bytes: u64 = all_files().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 3 << 20, "fixtures/keras has {bytes} bytes; keep it under 3 MiB");
}
