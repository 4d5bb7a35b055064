use super::*;
use addax_tensor::DType;
use serde_json::json;
use std::{cell::Cell, rc::Rc};

fn model() -> ModelDir {
    ModelDir {
        config: json!({"class_name": "Sequential", "config": {"name": "s", "layers": []}}),
        weights: vec![
            ("dense/kernel".into(), Array::new([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap()),
            ("dense/bias".into(), Array::zeros(DType::F16, [2])),
        ],
        optimizer: vec![("iteration".into(), Array::new((), &[7i32]).unwrap())],
        state: json!({"epoch": 3, "seed": 42}),
        metadata: Map::from_iter([("by".to_string(), json!("me"))]),
    }
}

fn changed(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(folder.join(name)).unwrap();
    let mut after = before.clone();
    change(&mut after);
    fs::write(folder.join(name), after).unwrap();
    before
}

/// The manifest with `change` made and its checksum right again.
fn with_manifest(folder: &Path, change: impl Fn(&mut Map<String, Value>)) {
    let mut value = json::read(folder.join(MANIFEST), &ReadOptions::default()).unwrap();
    let map = value.as_object_mut().unwrap();
    change(map);
    let sum = manifest::own_crc(map);
    map.insert("crc32".into(), sum.into());
    json::write(folder.join(MANIFEST), &value).unwrap();
}

struct FailAt {
    left: Rc<Cell<usize>>,
}
impl FailAt {
    fn step(&self) -> io::Result<()> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
impl Write for FailAt {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.step().map(|()| from.len().min(10))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.step()
    }
}

#[test]
fn every_refused_write_is_reported() {
    let needed = {
        let left = Rc::new(Cell::new(usize::MAX));
        model().write_parts(Path::new("m"), |_| Ok(FailAt { left: left.clone() })).unwrap();
        usize::MAX - left.get()
    };
    assert!(needed > 50, "{needed} writes are too few to prove much");
    for k in 0..needed {
        let left = Rc::new(Cell::new(k));
        let error = model().write_parts(Path::new("m"), |_| Ok(FailAt { left: left.clone() })).unwrap_err().to_string();
        assert!(error.starts_with("writing m/"), "write {k}: {error}");
    }
}

#[test]
fn versions_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    model().save(&path).unwrap();
    with_manifest(&path, |m| drop(m.insert("format_version".into(), json!(0))));
    assert_eq!(ModelDir::load(&path).unwrap(), model());
    with_manifest(&path, |m| {
        m.insert("format_version".into(), json!(2));
        m.insert("addax_version".into(), json!("9.0.0"));
    });
    let error = ModelDir::load(&path).unwrap_err().to_string();
    assert!(error.contains("format version 2, written by Addax 9.0.0, is newer than version 1"), "{error}");
    assert!(error.ends_with("update Addax"), "{error}");
    with_manifest(&path, |m| drop(m.insert("format".into(), json!("other"))));
    let error = ModelDir::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("metadata.json.format: expected \"addax-model\", got \"other\""), "{error}");
}

#[test]
fn names_in_the_manifest_are_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    model().save(&path).unwrap();
    with_manifest(&path, |m| {
        m["files"]["../../etc/passwd"] = json!({"bytes": 1, "crc32": "00000000"});
        m["files"]["/dev/zero"] = json!({"bytes": 1, "crc32": "00000000"});
    });
    assert_eq!(ModelDir::load(&path).unwrap(), model());
}

#[test]
fn a_file_of_another_save_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let mut other = model();
    other.weights[1].1 = Array::new([2], &[1.0f32, 2.0]).unwrap();
    other.weights[0].1 = Array::zeros(DType::F16, [2, 2]);
    model().save(&a).unwrap();
    other.save(&b).unwrap();
    fs::copy(b.join(WEIGHTS), a.join(WEIGHTS)).unwrap();
    let error = ModelDir::load(&a).unwrap_err().to_string();
    assert!(error.contains("weights.safetensors") && error.contains("copy or download the model again"), "{error}");
}

#[test]
fn an_edited_config_loads_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    model().save(&path).unwrap();
    changed(&path, CONFIG, |b| *b = br#"{"edited": true}"#.to_vec());
    let error = ModelDir::load(&path).unwrap_err().to_string();
    assert!(error.contains("config.json has 16 bytes, "), "{error}");
    let options = ReadOptions { verify: false, ..ReadOptions::default() };
    assert_eq!(ModelDir::load_with(&path, &options).unwrap(), ModelDir { config: json!({"edited": true}), ..model() });
}

#[test]
fn limits_hold_for_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    model().save(&path).unwrap();
    let options = ReadOptions { max_bytes: 16, ..ReadOptions::default() };
    assert!(ModelDir::load_with(&path, &options).unwrap_err().to_string().contains("weights.safetensors has"));
    let options = ReadOptions { max_json_bytes: 16, ..ReadOptions::default() };
    assert!(ModelDir::load_with(&path, &options).unwrap_err().to_string().contains("metadata.json has"));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (path, outside) = (folder.path().join("m"), folder.path().join("outside.json"));
    model().save(&path).unwrap();
    fs::rename(path.join(STATE), &outside).unwrap();
    symlink(&outside, path.join(STATE)).unwrap();
    let error = ModelDir::load(&path).unwrap_err().to_string();
    assert!(error.contains("state.json is a link that leads out of the model's folder"), "{error}");
    let options = ReadOptions { follow_links: true, ..ReadOptions::default() };
    assert_eq!(ModelDir::load_with(&path, &options).unwrap(), model());
    // A link within the folder is fine, and so is a link to the folder.
    fs::remove_file(path.join(STATE)).unwrap();
    fs::rename(&outside, path.join("real.json")).unwrap();
    symlink("real.json", path.join(STATE)).unwrap();
    symlink("m", folder.path().join("latest")).unwrap();
    assert_eq!(ModelDir::load(folder.path().join("latest")).unwrap(), model());
}

#[test]
fn saving_keeps_other_files_and_refuses_other_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    fs::create_dir_all(path.join("deep/er")).unwrap();
    fs::write(path.join("deep/er/notes"), "mine").unwrap();
    let error = model().save(&path).unwrap_err().to_string();
    assert!(error.contains("holds files that are not an Addax model"), "{error}");
    assert_eq!(fs::read_to_string(path.join("deep/er/notes")).unwrap(), "mine");
    fs::rename(path.join("deep"), folder.path().join("deep")).unwrap();
    model().save(&path).unwrap();
    fs::rename(folder.path().join("deep"), path.join("deep")).unwrap();
    // Without optimizer and state: their files go, the notes stay.
    let less = ModelDir { optimizer: Vec::new(), state: Value::Null, ..model() };
    less.save(&path).unwrap();
    assert_eq!(ModelDir::load(&path).unwrap(), less);
    assert_eq!(fs::read_to_string(path.join("deep/er/notes")).unwrap(), "mine");
    assert!(!path.join(OPTIMIZER).exists() && !path.join(STATE).exists());
}
