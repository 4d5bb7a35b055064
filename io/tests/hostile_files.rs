//! Damaged and hostile files are refused, and never make a reader panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use addax_io::{ModelDir, ReadOptions, Weights, weights};
use addax_tensor::Array;
use common::{named_arrays, numbered};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::json;
use std::{collections::BTreeMap, fs, path::Path};

const FILES: [&str; 5] = ["metadata.json", "config.json", "weights.safetensors", "optimizer.safetensors", "state.json"];

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn refused(bytes: &[u8]) -> String {
    let read = weights::read(&mut &bytes[..], bytes.len() as u64, "f.safetensors", &ReadOptions::default());
    let error = read.unwrap_err().to_string();
    assert!(error.starts_with("f.safetensors"), "{error}");
    error
}

fn entry(start: usize, end: usize) -> serde_json::Value {
    json!({"dtype": "U8", "shape": [end.wrapping_sub(start)], "data_offsets": [start, end]})
}

#[test]
fn every_truncation_of_a_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    numbered(1).save(&path).unwrap();
    for name in FILES {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            let error = ModelDir::load(&path).expect_err(&format!("{name} cut to {length} bytes")).to_string();
            assert!(error.contains(name), "{error}");
        }
        fs::remove_file(&file).unwrap();
        let error = ModelDir::load(&path).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(ModelDir::load(&path).unwrap(), numbered(1));
}

/// Without the folder's checksums too: the format's own checks find every truncation.
#[test]
fn every_truncation_of_a_weights_file_is_an_error() {
    let mut bytes = Vec::new();
    let arrays = vec![("a".to_string(), Array::new([3], &[1.0f32, 2.0, 3.0]).unwrap())];
    weights::write(&mut bytes, "w", &arrays, &BTreeMap::new()).unwrap();
    for length in 0..bytes.len() {
        refused(&bytes[..length]);
        // A file that shrinks while it is read.
        let read = weights::read(&mut &bytes[..length], bytes.len() as u64, "f", &ReadOptions::default());
        assert!(read.unwrap_err().to_string().contains("ended while it was read"));
    }
}

#[test]
fn every_changed_byte_of_a_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    numbered(1).save(&path).unwrap();
    for name in FILES {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let flip = [0x01, 0x20, 0xFF][at % 3];
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            fs::write(&file, &bytes).unwrap();
            match ModelDir::load(&path) {
                Err(_) => {}
                // White space may become other white space, and a digit of a checksum a capital.
                Ok(loaded) => assert!(name == "metadata.json" && loaded == numbered(1), "{name} byte {at} ^ {flip}"),
            }
        }
        fs::write(&file, &whole).unwrap();
    }
}

proptest! {
    /// With the checksums off, damage may give other values, but no panic and no absurd allocation.
    #[test]
    fn damage_never_panics(arrays in named_arrays(), flips in vec((any::<Index>(), 1..=255u8), 1..4)) {
        let mut bytes = Vec::new();
        weights::write(&mut bytes, "w", &arrays, &BTreeMap::new()).unwrap();
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        let _ = weights::read(&mut bytes.as_slice(), bytes.len() as u64, "w", &ReadOptions::default());
    }

    /// Nor does anything else that claims to be a header.
    #[test]
    fn any_header_is_read_or_refused(header in "[{}\\[\\]\":,a0-9UF]{0,80}", data in any::<Vec<u8>>()) {
        let bytes = file(&header, &data);
        let _ = weights::read(&mut bytes.as_slice(), bytes.len() as u64, "w", &ReadOptions::default());
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nor does a model folder, its checksums off.
    #[test]
    fn damaged_models_never_panic(which in 0..5usize, at in any::<Index>(), flip in 1..=255u8) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        numbered(1).save(&path).unwrap();
        let file = path.join(FILES[which]);
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(&file, bytes).unwrap();
        let options = ReadOptions { verify: false, ..ReadOptions::default() };
        let _ = ModelDir::load_with(&path, &options);
    }
}

#[test]
fn claims_of_a_header_are_checked() {
    for (bytes, why) in [
        (vec![1, 2, 3], "it has 3 bytes, a header takes 8 or more"),
        (u64::MAX.to_le_bytes().to_vec(), "the header claims 18446744073709551615 bytes, 0 are there"),
        (b"PK\x03\x04 this is a zip file and no header".to_vec(), "bytes, 29 are there"),
        (file("[]", b""), "its header is damaged (invalid type: sequence, expected an object of arrays"),
        (file(&json!({"a": entry(0, 8)}).to_string(), b"1234"), "the arrays take 8 bytes, 4 are there"),
        (file(&json!({"a": entry(0, 4)}).to_string(), b"12345678"), "4 bytes follow the last array"),
        (
            file(&json!({"a": entry(0, 4), "b": entry(2, 6)}).to_string(), b"123456"),
            "\"b\" overlaps another or leaves a gap",
        ),
        (
            file(&json!({"a": entry(0, 2), "b": entry(4, 6)}).to_string(), b"123456"),
            "\"b\" overlaps another or leaves a gap",
        ),
        (file(&json!({"a": entry(4, 2)}).to_string(), b""), "overlaps another or leaves a gap"),
        (file(&format!(r#"{{"a":{0},"a":{0}}}"#, entry(0, 0)), b""), "the name \"a\" comes twice"),
        (
            file(&json!({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}).to_string(), b"1234"),
            "an array's shape does not fit its bytes",
        ),
        (
            file(&json!({"a": {"dtype": "F32", "shape": [u64::MAX, 2], "data_offsets": [0, 4]}}).to_string(), b"1234"),
            "overflow",
        ),
        (
            file(&json!({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}).to_string(), b""),
            "array \"a\": invalid value",
        ),
        (file(&"[".repeat(10_000), b""), "its header is damaged"),
        (file(&format!("{{\"__metadata__\":{}", "{\"a\":".repeat(10_000)), b""), "its header is damaged"),
    ] {
        let error = refused(&bytes);
        assert!(error.contains(why), "{error}\nshould say {why}");
    }
}

#[test]
fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    Weights::new(vec![("a".into(), Array::new([100], &[0.0f32; 100]).unwrap())]).save(&path).unwrap();
    let options = ReadOptions { max_bytes: 100, ..ReadOptions::default() };
    let error = Weights::load_with(&path, &options).unwrap_err().to_string();
    assert!(error.contains("over the limit of 100 B"), "{error}");
    let options = ReadOptions { max_header_bytes: 10, ..ReadOptions::default() };
    let error = Weights::load_with(&path, &options).unwrap_err().to_string();
    assert!(error.contains("raise `max_header_bytes`"), "{error}");
}

/// A petabyte that takes no space on the disk: the claim is true, the memory is not there.
#[cfg(target_os = "linux")]
#[test]
fn more_than_the_memory_is_an_error() {
    use std::io::Write;
    const SIZE: u64 = 1 << 50;
    let header = json!({"a": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut to = fs::File::create(&path).unwrap();
    to.write_all(&file(&header, b"")).unwrap();
    if to.set_len(8 + header.len() as u64 + SIZE).is_err() {
        // The file system has no such large files: the same claim against a length that nobody stored.
        let bytes = file(&header, b"");
        let length = bytes.len() as u64 + SIZE;
        let read = weights::read(&mut bytes.as_slice(), length, "w", &ReadOptions::default());
        assert!(read.unwrap_err().to_string().contains("more memory than there is"));
        return;
    }
    let error = Weights::load(&path).unwrap_err().to_string();
    assert!(error.contains("array \"a\" takes 1024.0 TiB, more memory than there is"), "{error}");
}

#[test]
fn what_is_no_file_or_no_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let said = |path: &Path| ModelDir::load(path).unwrap_err().to_string();
    assert!(said(&here.join("none")).ends_with("none does not exist; give the folder that `save` wrote"));
    assert!(said(here).contains("has no metadata.json: it is no Addax model"));
    fs::write(here.join("f"), "x").unwrap();
    assert!(said(&here.join("f")).contains("f is a file, not a model folder"));
    assert!(Weights::load(here).unwrap_err().to_string().contains("is not a regular file"));
    assert!(Weights::load(here.join("none")).unwrap_err().to_string().starts_with("reading "));
    if cfg!(target_os = "linux") {
        assert!(Weights::load("/dev/zero").unwrap_err().to_string().contains("is not a regular file"));
    }
}
