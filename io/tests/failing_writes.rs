//! Whatever fails while a model is written, the old one stays whole and nothing else is left.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use addax_io::{ModelDir, Weights, atomic, weights};
use addax_tensor::{Array, DType};
use common::{FailAt, listing, numbered, write_half_and_die};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

fn some(n: f32) -> Weights {
    Weights::new(vec![("a".into(), Array::new([5], &[n; 5]).unwrap()), ("b".into(), Array::new((), &[n]).unwrap())])
}

#[test]
fn a_write_refused_at_any_point_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    some(1.0).save(&path).unwrap();
    let old = listing(folder.path());
    let new = some(2.0);
    let mut refused = 0;
    loop {
        let saved = atomic::write_file(&path, |to| {
            weights::write(&mut FailAt { to, k: refused }, "w.safetensors", &new.arrays, &BTreeMap::new())
        });
        let Err(error) = saved else { break };
        assert!(error.to_string().starts_with("writing w.safetensors"), "{error}");
        assert_eq!(listing(folder.path()), old, "refused at write {refused}");
        refused += 1;
    }
    assert!(refused > 20, "{refused} writes are too few to prove much");
    assert_eq!(Weights::load(&path).unwrap(), new);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    some(1.0).save(&path).unwrap();
    let old = listing(folder.path());
    let error = atomic::write_file(&path, |_| {
        let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        weights::write(&mut full, "w.safetensors", &some(2.0).arrays, &BTreeMap::new())
    })
    .unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert_eq!(listing(folder.path()), old);
}

/// Not a test of its own: `a_disk_that_fills_up_keeps_the_old_model` starts it as a process that may write little.
#[test]
fn saves_when_told() {
    if let Some(folder) = env::var_os("ADDAX_TEST_SAVE_INTO").map(PathBuf::from) {
        for error in
            [big().save(folder.join("m")).unwrap_err(), Weights::new(big().weights).save(folder.join("w")).unwrap_err()]
        {
            assert!(error.to_string().contains("File too large"), "{error}");
        }
    }
}

fn big() -> ModelDir {
    ModelDir { weights: vec![("a".into(), Array::zeros(DType::F32, [5000]))], ..numbered(2) }
}

/// The system refuses what a limit of file sizes cuts off, in the middle of a flush.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_keeps_the_old_model() {
    let folder = tempfile::tempdir().unwrap();
    numbered(1).save(folder.path().join("m")).unwrap();
    some(1.0).save(folder.path().join("w")).unwrap();
    let old = listing(folder.path());
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact saves_when_told"])
        .arg(env::current_exe().unwrap())
        .env("ADDAX_TEST_SAVE_INTO", folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(listing(folder.path()), old);
    big().save(folder.path().join("m")).unwrap();
    assert_eq!(ModelDir::load(folder.path().join("m")).unwrap(), big());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("file"), "x").unwrap();
    let old = listing(here);
    for (path, why) in [(here.join("file/w"), "its folder is a file"), (here.join("none/w"), "create its folder first")]
    {
        for error in [some(1.0).save(&path).unwrap_err(), numbered(1).save(&path).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains(why) && error.contains(&path.display().to_string()), "{error}");
        }
    }
    let error = numbered(1).save(here.join("file")).unwrap_err().to_string();
    assert!(error.contains("it is a file; choose another name"), "{error}");
    assert_eq!(listing(here), old);
}

#[test]
fn a_model_that_cannot_be_saved_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    numbered(1).save(&path).unwrap();
    let old = listing(folder.path());
    let mut twice = numbered(2);
    twice.optimizer.push(twice.optimizer[0].clone());
    let mut deep = numbered(2);
    deep.state = (0..200).fold(serde_json::json!(1), |v, _| serde_json::json!([v]));
    for bad in [twice, deep] {
        assert!(bad.save(&path).is_err());
        assert_eq!(listing(folder.path()), old);
    }
}

/// Not a test of its own: `a_killed_writer_leaves_the_old_model` starts it as a process that dies.
#[test]
fn dies_when_told() {
    if let Ok(path) = env::var("ADDAX_TEST_DIE_WRITING") {
        write_half_and_die(Path::new(&path));
    }
}

#[test]
fn a_killed_writer_leaves_the_old_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    numbered(1).save(&path).unwrap();
    let died = Command::new(env::current_exe().unwrap())
        .args(["--exact", "dies_when_told"])
        .env("ADDAX_TEST_DIE_WRITING", &path)
        .output()
        .unwrap();
    assert!(!died.status.success());
    let names: Vec<_> = listing(folder.path()).into_iter().map(|(n, _)| n).collect();
    assert!(names.iter().any(|n| n.ends_with("/new/half")), "the process should have left something: {names:?}");
    assert_eq!(ModelDir::load(&path).unwrap(), numbered(1));
    numbered(2).save(&path).unwrap();
    assert_eq!(ModelDir::load(&path).unwrap(), numbered(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the next save removes what was left");
}

#[test]
fn readers_see_the_old_or_the_new_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    numbered(0).save(&path).unwrap();
    thread::scope(|s| {
        let writer = s.spawn(|| (1..60).for_each(|n| numbered(n).save(&path).unwrap()));
        let mut last = 0;
        while !writer.is_finished() {
            let seen = ModelDir::load(&path).unwrap();
            let n = seen.state["epoch"].as_i64().unwrap() as i32;
            assert!(n >= last, "model {n} after {last}");
            assert_eq!(seen, numbered(n));
            last = n;
        }
    });
    assert_eq!(ModelDir::load(&path).unwrap(), numbered(59));
}
