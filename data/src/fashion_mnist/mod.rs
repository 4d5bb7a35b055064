//! Fashion-MNIST: 70,000 grey images of clothes, 28 x 28, in 10 classes (Zalando Research, MIT licence).

#[cfg(feature = "download")]
mod download;

use crate::{dataset::Dataset, idx};
use addax_tensor::{Array, DType, Error, Result};
use std::{
    env, fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of each label.
pub const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Where Debian's package `dataset-fashion-mnist` puts its files.
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";
/// Where Keras takes the files from.
const MIRROR: &str = "https://storage.googleapis.com/tensorflow/tf-keras-datasets";
const TRAIN: (&str, &str) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
const TEST: (&str, &str) = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");

/// Training and test data: images `uint8` `[60000, 28, 28, 1]` and `[10000, 28, 28, 1]`, labels `int32` `[n]`, see
/// [`CLASSES`]. From the places that [`FashionMnist::new`] tells.
///
/// ```no_run
/// let (train, test) = addax_data::fashion_mnist()?;
/// assert_eq!((train.len(), test.len()), (60_000, 10_000));
/// # Ok::<(), addax_data::Error>(())
/// ```
pub fn fashion_mnist() -> Result<(Dataset, Dataset)> {
    FashionMnist::new().load()
}

/// Where to look for Fashion-MNIST, and how to download it.
///
/// ```no_run
/// use addax_data::FashionMnist;
///
/// let files = FashionMnist::new().progress(|p| eprintln!("{}: {} of {:?} bytes", p.file, p.done, p.total));
/// let (train, test) = files.load()?;
/// # Ok::<(), addax_data::Error>(())
/// ```
#[derive(Clone)]
pub struct FashionMnist {
    /// Folders that somebody named, first the one that counts most.
    named: Vec<PathBuf>,
    shared: PathBuf,
    cache: Option<PathBuf>,
    #[cfg_attr(not(feature = "download"), allow(dead_code, reason = "only downloading needs it"))]
    url: String,
    #[cfg_attr(not(feature = "download"), allow(dead_code, reason = "only downloading needs it"))]
    progress: Arc<dyn Fn(&Progress) + Send + Sync>,
    warn: Arc<dyn Fn(&str) + Send + Sync>,
}

/// How far the download of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Name of the file.
    pub file: String,
    /// Bytes that have come.
    pub done: u64,
    /// Bytes of the file, if the server tells.
    pub total: Option<u64>,
}

impl Default for FashionMnist {
    fn default() -> Self {
        Self::new()
    }
}

impl FashionMnist {
    /// The usual places, one after the other: the folder in the environment variable `FASHION_MNIST` if that is set; that of
    /// Debian's package `dataset-fashion-mnist`; the cache, which is `fashion-mnist` in `ADDAX_CACHE` or in `addax` of the user's
    /// cache folder. With the feature `download`, missing files are fetched into the cache from `ADDAX_FASHION_MNIST_URL`, or
    /// from where Keras gets them. A folder that was named and lacks files is told of on standard error.
    pub fn new() -> Self {
        let cache = path_from("ADDAX_CACHE").or_else(user_cache);
        FashionMnist {
            named: path_from("FASHION_MNIST").into_iter().collect(),
            shared: DEBIAN.into(),
            cache: cache.map(|c| c.join("fashion-mnist")),
            url: env::var("ADDAX_FASHION_MNIST_URL").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| MIRROR.into()),
            progress: Arc::new(|_| ()),
            // Nobody is left to tell if standard error is closed.
            warn: Arc::new(|text| drop(writeln!(io::stderr(), "{text}"))),
        }
    }
    /// Looks in this folder before all others.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.named.insert(0, folder.into());
        self
    }
    /// Calls this, instead of writing to standard error, with a line for each folder that was named and lacks files.
    pub fn warnings(mut self, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.warn = Arc::new(warn);
        self
    }
    /// Keeps downloaded files in this folder.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }
    /// Downloads from `{url}/train-images-idx3-ubyte.gz` and so on.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }
    /// Calls this as a download proceeds.
    pub fn progress(mut self, progress: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }
    /// Training and test data, images `uint8` `[n, 28, 28, 1]`, labels `int32` `[n]`.
    ///
    /// Fails if the files are nowhere to be found, cannot be downloaded, or are damaged. Of a download that fails, nothing
    /// is kept.
    pub fn load(&self) -> Result<(Dataset, Dataset)> {
        let folder = self.find()?;
        Ok((part(&folder, TRAIN)?, part(&folder, TEST)?))
    }

    /// The first folder that has all files.
    fn find(&self) -> Result<PathBuf> {
        let places: Vec<&PathBuf> = self.named.iter().chain([&self.shared]).chain(&self.cache).collect();
        for (place, folder) in places.iter().enumerate() {
            let lacks = lacking(folder);
            if lacks.is_empty() {
                return Ok(folder.to_path_buf());
            }
            if place < self.named.len() {
                let lacks = lacks.iter().map(|name| format!("{name}.gz")).collect::<Vec<_>>().join(", ");
                (self.warn)(&format!("Fashion-MNIST is not in {}: no {lacks}. Looking elsewhere", folder.display()));
            }
        }
        #[cfg(feature = "download")]
        if let Some(cache) = &self.cache {
            download::fetch_all(&download::agent(), &download::FILES, &self.url, cache, &*self.progress)?;
            return Ok(cache.clone());
        }
        Err(self.not_found(&places))
    }
    fn not_found(&self, places: &[&PathBuf]) -> Error {
        let list: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        let download = match cfg!(feature = "download") {
            false => ", or enable the feature `download` (of `addax`, or of `addax-data` where that is used alone)",
            true => ", or set ADDAX_CACHE to a folder to have them downloaded into",
        };
        Error::data(format!(
            "Fashion-MNIST was not found in {}. Put {}.gz, {}.gz, {}.gz and {}.gz there, name their folder in \
             FASHION_MNIST, install Debian's package dataset-fashion-mnist{download}.",
            list.join(" or "),
            TRAIN.0,
            TRAIN.1,
            TEST.0,
            TEST.1
        ))
    }
}

impl fmt::Debug for FashionMnist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FashionMnist")
            .field("named", &self.named)
            .field("cache", &self.cache)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn path_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// `addax` in the folder that this system keeps caches of users in.
fn user_cache() -> Option<PathBuf> {
    let caches = if cfg!(windows) {
        path_from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        path_from("HOME").map(|home| home.join("Library/Caches"))
    } else {
        // The XDG specification ignores relative paths.
        path_from("XDG_CACHE_HOME")
            .filter(|p| p.is_absolute())
            .or_else(|| path_from("HOME").map(|home| home.join(".cache")))
    };
    caches.map(|c| c.join("addax"))
}

/// The file with this name, packed or not.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.gz"), name.to_string()].into_iter().map(|n| folder.join(n)).find(|path| path.is_file())
}

/// The names of the files that are not in this folder.
fn lacking(folder: &Path) -> Vec<&'static str> {
    [TRAIN.0, TRAIN.1, TEST.0, TEST.1].into_iter().filter(|name| file(folder, name).is_none()).collect()
}

fn part(folder: &Path, (images, labels): (&str, &str)) -> Result<Dataset> {
    let read = |name: &str| match file(folder, name) {
        Some(path) => Ok((idx::read(&path)?, path)),
        None => Err(Error::data(format!("{} has no {name}.gz", folder.display()))),
    };
    let (x, path) = read(images)?;
    let &[n, 28, 28] = x.shape().dims() else { return Err(foreign(&path, "images [n, 28, 28]", &x)) };
    if x.dtype() != DType::U8 {
        return Err(foreign(&path, "images of uint8", &x));
    }
    let (y, path) = read(labels)?;
    if y.dtype() != DType::U8 || y.shape().dims() != [n] {
        return Err(foreign(&path, &format!("{n} labels of uint8"), &y));
    }
    if let Some(label) = y.bytes().iter().find(|&&label| usize::from(label) >= CLASSES.len()) {
        return Err(Error::format(format!("{}: {label} is no label from 0 to 9", path.display())));
    }
    Dataset::new(x.reshape([n, 28, 28, 1])?, Array::new([n], &y.to_vec::<i32>()?)?)
}

fn foreign(path: &Path, expected: &str, found: &Array) -> Error {
    Error::format(format!("{}: expected {expected}, found {} {}", path.display(), found.dtype(), found.shape()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::idx::tests::{file, gzip};
    use std::{fs, sync::Mutex};

    /// File names and contents of a small set.
    pub(crate) fn small() -> [(&'static str, Vec<u8>); 4] {
        let images = |n: u32| file(8, &[n, 28, 28], &(0..n * 784).map(|i| i as u8).collect::<Vec<_>>());
        let labels = |n: u32| file(8, &[n], &(0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>());
        [(TRAIN.0, images(12)), (TRAIN.1, labels(12)), (TEST.0, images(3)), (TEST.1, labels(3))]
    }
    fn write(folder: &Path) {
        for (name, bytes) in small() {
            fs::write(folder.join(format!("{name}.gz")), gzip(&bytes)).unwrap();
        }
    }
    fn nowhere(cache: &Path) -> FashionMnist {
        let absent = cache.join("absent");
        let none = FashionMnist { named: Vec::new(), shared: absent, ..FashionMnist::new() };
        none.cache(cache).url("http://127.0.0.1:9").warnings(|text| panic!("{text}"))
    }
    /// The lines that these warn with, and what they find.
    fn warned(files: FashionMnist) -> (Vec<String>, Result<(Dataset, Dataset)>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        let found = files.warnings(move |text| heard.lock().unwrap().push(text.to_string())).load();
        let lines = lines.lock().unwrap().clone();
        (lines, found)
    }

    #[test]
    fn files_are_found_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let plain = folder.path().join(TEST.0);
        fs::rename(plain.with_extension("gz"), folder.path().join("old")).unwrap();
        fs::write(plain, &small()[2].1).unwrap();
        for files in [nowhere(folder.path()), nowhere(Path::new("/nonexistent")).folder(folder.path())] {
            let (train, test) = files.load().unwrap();
            assert_eq!(format!("{train:?}"), "Dataset(12 rows, x uint8 [28, 28, 1], y int32 [])");
            assert_eq!(test.y().unwrap().to_vec::<i32>().unwrap(), [0, 1, 2]);
            assert_eq!(test.x().bytes()[783..786], [15, 16, 17]);
        }
    }

    /// `--data`, then `FASHION_MNIST`, then Debian's folder, then the cache: each once, and the first that has all files counts.
    #[test]
    fn places_are_searched_in_order_and_named_ones_without_files_are_told() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        let files = || FashionMnist {
            named: vec![place("variable")],
            shared: place("debian"),
            ..FashionMnist::new().cache(place("cache")).url("http://127.0.0.1:9")
        };
        let files = || files().folder(place("data"));
        let names = ["data", "variable", "debian", "cache"];
        for (at, name) in names.iter().enumerate().rev() {
            fs::create_dir(place(name)).unwrap();
            write(&place(name));
            // Half of the files are not enough.
            for before in &names[..at] {
                fs::create_dir_all(place(before)).unwrap();
                let there = place(before).join(format!("{}.gz", TRAIN.0));
                fs::copy(place(name).join(format!("{}.gz", TRAIN.0)), there).unwrap();
            }
            assert_eq!(files().warnings(|_| ()).find().unwrap(), place(name));
            let (lines, found) = warned(files());
            assert_eq!(found.unwrap().0.len(), 12);
            let expected: Vec<String> = names[..at.min(2)]
                .iter()
                .map(|name| {
                    format!(
                        "Fashion-MNIST is not in {}: no {}.gz, {}.gz, {}.gz. Looking elsewhere",
                        place(name).display(),
                        TRAIN.1,
                        TEST.0,
                        TEST.1
                    )
                })
                .collect();
            assert_eq!(lines, expected, "found in {name}");
            for before in &names[..at] {
                fs::remove_dir_all(place(before)).unwrap();
            }
        }
    }

    #[test]
    fn without_any_files_it_says_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let files = FashionMnist { cache: None, ..nowhere(empty.path()).folder(empty.path().join("empty")) };
        let (lines, found) = warned(files);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let error = found.unwrap_err().to_string();
        let parts = ["empty or ", "train-images-idx3-ubyte.gz", "FASHION_MNIST", "dataset-fashion-mnist", "download"];
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
    }

    #[cfg(not(feature = "download"))]
    #[test]
    fn without_files_the_error_names_the_feature() {
        let folder = tempfile::tempdir().unwrap();
        let error = nowhere(folder.path()).load().unwrap_err().to_string();
        assert!(error.contains(", or enable the feature `download` (of `addax`, or"), "{error}");
    }

    #[test]
    fn the_files_of_debian_are_read() {
        if !Path::new(DEBIAN).is_dir() {
            eprintln!("skipped: dataset-fashion-mnist is not installed");
            return;
        }
        let (train, test) = FashionMnist::new().folder(DEBIAN).load().unwrap();
        for (data, n) in [(train, 60_000), (test, 10_000)] {
            assert_eq!((data.len(), data.x().shape().dims()), (n, [n, 28, 28, 1].as_slice()));
            let labels: Vec<i32> = data.y().unwrap().to_vec().unwrap();
            assert!((0..10).all(|class| labels.iter().filter(|&&l| l == class).count() == n / 10));
        }
    }

    #[test]
    fn foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |name: &str, bytes: Vec<u8>| {
            write(folder.path());
            fs::write(folder.path().join(format!("{name}.gz")), bytes).unwrap();
            let e = nowhere(folder.path()).load().unwrap_err();
            assert!(matches!(e.kind(), addax_tensor::ErrorKind::Format(_)));
            e.to_string()
        };
        assert!(error(TRAIN.0, file(8, &[2, 2], &[0; 4])).ends_with("expected images [n, 28, 28], found uint8 [2, 2]"));
        assert!(error(TRAIN.1, file(8, &[2], &[0; 2])).ends_with("expected 12 labels of uint8, found uint8 [2]"));
        assert!(error(TEST.1, file(8, &[3], &[0, 9, 10])).ends_with("10 is no label from 0 to 9"));
        assert!(error(TEST.1, gzip(b"<html>not found</html>")).contains("is no IDX file"));
    }
}
