//! What is written is read back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use addax_io::{ModelDir, ReadOptions, Weights, weights};
use addax_tensor::Array;
use common::{arrays, named_arrays, numbered};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeMap;

fn encoded(arrays: &[(String, Array)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    weights::write(&mut bytes, "w", arrays, &BTreeMap::new()).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Arrays come back with their bits, names, order and metadata.
    #[test]
    fn weights_round_trip(arrays in named_arrays(), metadata in any::<BTreeMap<String, String>>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let wanted = Weights { arrays, metadata };
        wanted.save(&path).unwrap();
        prop_assert_eq!(Weights::load(&path).unwrap(), wanted);
    }

    /// The library that defines the format reads the same, with each array aligned to its elements.
    #[test]
    fn the_reference_reader_agrees(arrays in named_arrays()) {
        let bytes = encoded(&arrays);
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        prop_assert_eq!(theirs.len(), arrays.len());
        for (name, array) in &arrays {
            let view = theirs.tensor(name).unwrap();
            prop_assert_eq!(view.shape(), array.shape().dims());
            prop_assert_eq!(view.data(), array.bytes());
            let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
            prop_assert_eq!(offset % array.dtype().size(), 0);
        }
    }

    /// Whole models come back; an empty optimizer and a null state too.
    #[test]
    fn models_round_trip(weights in named_arrays(), optimizer in named_arrays(), epoch in any::<Option<u32>>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let metadata = Map::from_iter([("π".to_string(), json!([1.5, null, "é"]))]);
        let model = ModelDir { config: json!({"ä": [0.1, {}]}), weights, optimizer, state: json!(epoch), metadata };
        model.save(&path).unwrap();
        prop_assert_eq!(ModelDir::load(&path).unwrap(), model);
    }

    /// Equal models give equal bytes.
    #[test]
    fn writing_repeats(array in arrays()) {
        let list = vec![("a".to_string(), array.clone()), ("b".to_string(), array)];
        prop_assert_eq!(encoded(&list), encoded(&list));
    }
}

#[test]
fn names_are_distinct() {
    let a = Array::new((), &[1.0f32]).unwrap();
    let twice = Weights::new(vec![("a".into(), a.clone()), ("a".into(), a.clone())]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    assert_eq!(twice.save(&path).unwrap_err().to_string(), "two arrays are named \"a\"; give each a name of its own");
    assert!(Weights::new(vec![("__metadata__".into(), a.clone())]).save(&path).is_err());
    assert!(!path.exists());
    let error = Weights::new(vec![("kernel".into(), a)]).get("kernal").unwrap_err().to_string();
    assert_eq!(error, "unknown array \"kernal\"; did you mean \"kernel\"?");
}

/// A file of one array `w`, made by another program.
fn foreign(dtype: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let header = json!({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, data.len()]}}).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn read(bytes: &[u8]) -> addax_tensor::Result<Array> {
    weights::read(&mut &bytes[..], bytes.len() as u64, "f.safetensors", &ReadOptions::default())
        .map(|w| w.arrays.into_iter().next().unwrap().1)
}

fn bytes_of<const N: usize, T: Copy>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| bytes(v)).collect()
}

#[test]
fn types_of_other_programs_are_converted() {
    let many: Vec<i64> = (0..20_000).map(|i| i * 3 - 7).collect();
    let expected: Vec<i32> = many.iter().map(|&v| v as i32).collect();
    let array = read(&foreign("I64", &[2, 10_000], &bytes_of(&many, i64::to_le_bytes))).unwrap();
    assert_eq!((array.shape().dims(), array.to_vec::<i32>().unwrap()), (&[2, 10_000][..], expected));
    let array = read(&foreign("F64", &[3], &bytes_of(&[0.1, f64::NAN, f64::INFINITY], f64::to_le_bytes))).unwrap();
    let values = array.to_vec::<f32>().unwrap();
    assert!(values[0] == 0.1 && values[1].is_nan() && values[2] == f32::INFINITY);
    let array = read(&foreign("I8", &[2], &[0xFF, 1])).unwrap();
    assert_eq!(array.to_vec::<i32>().unwrap(), [-1, 1]);
    let array = read(&foreign("I16", &[1], &i16::MIN.to_le_bytes())).unwrap();
    assert_eq!(array.to_vec::<i32>().unwrap(), [-32768]);
    let array = read(&foreign("U16", &[1], &u16::MAX.to_le_bytes())).unwrap();
    assert_eq!(array.to_vec::<i32>().unwrap(), [65535]);
    let array = read(&foreign("U64", &[1], &u64::from(u32::MAX).to_le_bytes())).unwrap();
    assert_eq!(array.to_vec::<u32>().unwrap(), [u32::MAX]);
    assert_eq!(read(&foreign("I64", &[0, 5], &[])).unwrap().shape().dims(), [0, 5]);
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let said = |bytes: Vec<u8>| read(&bytes).unwrap_err().to_string();
    assert_eq!(
        said(foreign("I64", &[2], &bytes_of(&[1, 1 << 40], i64::to_le_bytes))),
        "f.safetensors: array \"w\": value 1099511627776 at position 1 does not fit in int32"
    );
    assert_eq!(
        said(foreign("F64", &[1], &1e300f64.to_le_bytes())),
        "f.safetensors: array \"w\": value 1e300 at position 0 is too large for float32"
    );
    let late: Vec<i64> = (0..10_000).map(|i| if i == 9_000 { i64::MAX } else { 0 }).collect();
    let error = said(foreign("I64", &[10_000], &bytes_of(&late, i64::to_le_bytes)));
    assert!(error.contains("array \"w[8192..10000]\": value 9223372036854775807 at position 808"), "{error}");
    assert!(said(foreign("U64", &[1], &u64::MAX.to_le_bytes())).ends_with("does not fit in uint32"));
    assert!(said(foreign("C64", &[1], &[0; 8])).contains("has the type C64, which Addax does not know"));
    assert!(said(foreign("Q9", &[1], &[0; 8])).contains("unknown variant `Q9`"));
    assert!(said(foreign("BOOL", &[2], &[1, 7])).contains("holds 7 as a truth value, expected 0 or 1"));
}

#[test]
fn a_model_is_saved_over_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    for n in 0..5 {
        numbered(n).save(&path).unwrap();
        assert_eq!(ModelDir::load(&path).unwrap(), numbered(n));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
