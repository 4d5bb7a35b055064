//! What the scenarios share.
#![allow(dead_code)]

use addax_io::{ModelDir, atomic};
use addax_tensor::{Array, DType};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    path::Path,
};

/// Arrays of every type, of zero to three axes, some of length zero, with any bits in them.
pub fn arrays() -> impl Strategy<Value = Array> {
    (select(DType::ALL.to_vec()), vec(0usize..4, 0..4)).prop_flat_map(|(dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let bits = if dtype == DType::Bool { 0..=1u8 } else { 0..=u8::MAX };
        vec(bits, bytes).prop_map(move |b| Array::from_bytes(dtype, shape.as_slice(), b).unwrap())
    })
}

/// Up to eight arrays with distinct names of any characters.
pub fn named_arrays() -> impl Strategy<Value = Vec<(String, Array)>> {
    vec((prop_oneof!["[a-z/_0-9]{0,12}", "\\PC{0,6}", any::<String>()], arrays()), 0..8).prop_map(|list| {
        let mut seen = HashSet::from(["__metadata__".to_string()]);
        list.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect()
    })
}

/// A model whose every value tells `n`, so that a mix of two is seen.
pub fn numbered(n: i32) -> ModelDir {
    ModelDir {
        config: json!({"class_name": "Sequential", "config": {"name": format!("model {n}"), "layers": []}}),
        weights: vec![("dense/kernel".into(), Array::new([2], &[n, n]).unwrap())],
        optimizer: vec![("iteration".into(), Array::new((), &[n]).unwrap())],
        state: json!({"epoch": n}),
        ..ModelDir::default()
    }
}

/// Every file under `folder` by its name, to see what changed.
pub fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap())
        .flat_map(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            if e.path().is_dir() {
                listing(&e.path()).into_iter().map(|(n, b)| (format!("{name}/{n}"), b)).collect()
            } else {
                vec![(name, fs::read(e.path()).unwrap())]
            }
        })
        .collect();
    all.sort();
    all
}

/// A writer that is refused at write `k`, and takes few bytes at a time before.
pub struct FailAt<'a> {
    pub to: &'a mut dyn Write,
    pub k: usize,
}

impl Write for FailAt<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.k = self.k.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.to.write(&from[..from.len().min(7)])
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Kills this process while it writes a folder.
pub fn write_half_and_die(path: &Path) -> ! {
    let _ = atomic::write_dir(path, |dir| -> addax_tensor::Result<()> {
        fs::write(dir.join("half"), "half").unwrap();
        std::process::abort()
    });
    unreachable!("abort does not return")
}
