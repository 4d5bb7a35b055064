//! IDX files, the format of MNIST and its successors; plain or gzip.
//!
//! A file is: two zero bytes, a byte for the type, a byte for the number of axes, their lengths as big-endian `u32`, then
//! the elements, big-endian and row-major.

use addax_tensor::{Array, DType, Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

/// Deflate packs no better than this.
const MAX_GZIP_RATIO: u64 = 1032;
/// Memory is taken in steps of this many bytes as data arrives, so that a header alone costs nothing.
const STEP: u64 = 1 << 20;

/// Reads the IDX file at `path`, unpacking gzip, which is told by its content.
///
/// `i8` and `i16` become `int32`, `f64` becomes `float32`; other types stay. A file that is foreign, truncated, damaged or
/// has bytes after its end is an error of kind [`Format`](addax_tensor::ErrorKind::Format).
///
/// ```no_run
/// let images = addax_data::idx::read("train-images-idx3-ubyte.gz")?;
/// println!("{} {}", images.dtype(), images.shape());
/// # Ok::<(), addax_data::Error>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Error::io(format!("reading {name}"), e))?;
    let bytes = file.metadata().map_err(|e| Error::io(format!("reading {name}"), e))?.len();
    parse_within(BufReader::new(file), &name, bytes)
}

/// Reads IDX data, plain or gzip, up to its end. `name` is what errors call it.
pub fn parse(reader: impl Read, name: &str) -> Result<Array> {
    parse_within(BufReader::new(reader), name, u64::MAX)
}

/// `size`: length of the input in bytes, as far as it is known.
fn parse_within(mut reader: impl BufRead, name: &str, size: u64) -> Result<Array> {
    let start = reader.fill_buf().map_err(|e| Error::io(format!("reading {name}"), e))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        parse_plain(MultiGzDecoder::new(reader), name, size.saturating_mul(MAX_GZIP_RATIO))
    } else {
        parse_plain(reader, name, size)
    }
}

fn parse_plain(mut reader: impl Read, name: &str, size: u64) -> Result<Array> {
    let mut magic = [0; 4];
    fill(&mut reader, &mut magic, name, "its header")?;
    let [0, 0, code, axes] = magic else {
        return Err(Error::format(format!("{name} is no IDX file: it starts with {magic:02x?}, not with 00 00")));
    };
    let kind = Kind::of(code).ok_or_else(|| {
        Error::format(format!("{name} is no IDX file: type 0x{code:02x} is none of 08, 09, 0b, 0c, 0d, 0e"))
    })?;
    let mut dims = Vec::with_capacity(usize::from(axes));
    for _ in 0..axes {
        let mut length = [0; 4];
        fill(&mut reader, &mut length, name, "its header")?;
        dims.push(u32::from_be_bytes(length) as usize);
    }
    let expected = dims
        .iter()
        .try_fold(kind.size() as u64, |n, &d| n.checked_mul(d as u64))
        .filter(|&n| n <= size && usize::try_from(n).is_ok())
        .ok_or_else(|| {
            Error::format(format!("{name}: the header promises shape {dims:?}, more than the file can hold"))
        })?;
    let bytes = body(&mut reader, expected, name, &dims)?;
    let values = kind.decode(bytes, &dims)?;
    match reader.read(&mut [0]) {
        Ok(0) => Ok(values),
        Ok(_) => Err(Error::format(format!("{name}: there is more data than its header's shape {dims:?} needs"))),
        Err(e) => Err(broken(name, "the end", e)),
    }
}

fn body(reader: &mut impl Read, expected: u64, name: &str, dims: &[usize]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < expected {
        let step = (expected - bytes.len() as u64).min(STEP.max(bytes.len() as u64));
        bytes
            .try_reserve_exact(step as usize)
            .map_err(|_| Error::data(format!("{name}: no memory for {expected} bytes of shape {dims:?}")))?;
        let got = reader.by_ref().take(step).read_to_end(&mut bytes).map_err(|e| broken(name, "its data", e))?;
        if (got as u64) < step {
            return Err(Error::format(format!(
                "{name} is truncated: its header promises {expected} bytes of shape {dims:?}, {} came",
                bytes.len()
            )));
        }
    }
    Ok(bytes)
}

fn fill(reader: &mut impl Read, to: &mut [u8], name: &str, what: &str) -> Result<()> {
    reader.read_exact(to).map_err(|e| broken(name, what, e))
}

/// A file that ends early or whose gzip stream is damaged is a matter of format; the rest is the system's.
fn broken(name: &str, what: &str, e: io::Error) -> Error {
    match e.kind() {
        ErrorKind::UnexpectedEof => Error::format(format!("{name} is truncated: it ends within {what}")).caused_by(e),
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            Error::format(format!("{name} is damaged: {e} (in {what})")).caused_by(e)
        }
        _ => Error::io(format!("reading {name}"), e),
    }
}

/// Types of elements.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of(code: u8) -> Option<Kind> {
        Some(match code {
            0x08 => Kind::U8,
            0x09 => Kind::I8,
            0x0b => Kind::I16,
            0x0c => Kind::I32,
            0x0d => Kind::F32,
            0x0e => Kind::F64,
            _ => return None,
        })
    }
    fn size(self) -> usize {
        match self {
            Kind::U8 | Kind::I8 => 1,
            Kind::I16 => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }
    fn decode(self, bytes: Vec<u8>, dims: &[usize]) -> Result<Array> {
        match self {
            Kind::U8 => Array::from_bytes(DType::U8, dims, bytes),
            Kind::I8 => Array::new(dims, &bytes.iter().map(|&b| i32::from(b as i8)).collect::<Vec<_>>()),
            Kind::I16 => Array::new(dims, &each(&bytes, |b| i32::from(i16::from_be_bytes(b)))),
            Kind::I32 => Array::new(dims, &each(&bytes, i32::from_be_bytes)),
            Kind::F32 => Array::new(dims, &each(&bytes, f32::from_be_bytes)),
            Kind::F64 => Array::new(dims, &each(&bytes, f64::from_be_bytes)),
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks();
    chunks.iter().map(|&c| read(c)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    pub(crate) fn file(code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, dims.len() as u8];
        bytes.extend(dims.iter().flat_map(|d| d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }
    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
    fn error(bytes: &[u8]) -> String {
        let e = parse_within(bytes, "a.idx", bytes.len() as u64).unwrap_err();
        assert!(matches!(e.kind(), addax_tensor::ErrorKind::Format(_)), "{e}");
        e.to_string()
    }

    #[test]
    fn every_type_is_read() {
        let read = |code, data: &[u8]| parse(file(code, &[2], data).as_slice(), "a.idx").unwrap();
        assert_eq!(read(0x08, &[1, 255]).to_vec::<u8>().unwrap(), [1, 255]);
        assert_eq!(read(0x09, &[1, 255]).to_vec::<i32>().unwrap(), [1, -1]);
        assert_eq!(read(0x0b, &[1, 0, 255, 254]).to_vec::<i32>().unwrap(), [256, -2]);
        assert_eq!(read(0x0c, &[0, 0, 1, 0, 255, 255, 255, 254]).to_vec::<i32>().unwrap(), [256, -2]);
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(read(0x0d, &floats).to_vec::<f32>().unwrap(), [1.5, -2.0]);
        let doubles: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(read(0x0e, &doubles).to_vec::<f32>().unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn foreign_and_lying_files_are_errors() {
        assert_eq!(error(b"PK\x03\x04rest"), "a.idx is no IDX file: it starts with [50, 4b, 03, 04], not with 00 00");
        assert_eq!(error(&file(7, &[1], &[0])), "a.idx is no IDX file: type 0x07 is none of 08, 09, 0b, 0c, 0d, 0e");
        assert_eq!(error(&[]), "a.idx is truncated: it ends within its header");
        assert_eq!(
            error(&file(8, &[u32::MAX, u32::MAX], &[0])),
            "a.idx: the header promises shape [4294967295, 4294967295], more than the file can hold"
        );
        assert!(error(&file(8, &[u32::MAX; 9], &[0])).contains("more than the file can hold"));
        assert!(error(&gzip(&file(8, &[1 << 20], &[0]))).contains("more than the file can hold"));
        assert_eq!(error(&file(8, &[2], &[1, 2, 3])), "a.idx: there is more data than its header's shape [2] needs");
        assert!(error(&[gzip(&file(8, &[2], &[1, 2])), vec![7; 30]].concat()).contains("damaged"));
    }

    #[test]
    fn a_header_alone_takes_no_memory() {
        // The length of a stream is not known: only reading tells that 16 EiB are not there.
        let e = parse(file(8, &[u32::MAX, u32::MAX - 7], &[0; 100]).as_slice(), "stream").unwrap_err().to_string();
        assert!(e.ends_with("100 came"), "{e}");
    }

    proptest! {
        /// What was written is read, plain and packed; any shorter or changed file is an error, never a panic.
        #[test]
        fn files_are_whole_or_refused(
            rows in 0u32..20, columns in 0u32..9, seed: u8, cut in 0.0f64..1.0, at in 0.0f64..1.0, flip in 1u8..=255,
        ) {
            let data: Vec<u8> = (0..rows * columns).map(|i| (i as u8).wrapping_mul(seed)).collect();
            let plain = file(8, &[rows, columns], &data);
            let packed = gzip(&plain);
            for bytes in [&plain, &packed] {
                let read = parse(bytes.as_slice(), "a.idx").unwrap();
                prop_assert_eq!(read.shape().dims(), [rows as usize, columns as usize]);
                prop_assert_eq!(read.bytes(), &data);
                let cut = &bytes[..(bytes.len() as f64 * cut) as usize];
                prop_assert!(parse(cut, "a.idx").is_err());
            }
            // Eight bytes behind the stream check it: a change of the stream or of them is noticed.
            let mut changed = packed.clone();
            let at = 10 + ((packed.len() - 10) as f64 * at) as usize;
            changed[at] ^= flip;
            if let Ok(read) = parse(changed.as_slice(), "a.idx") {
                prop_assert_eq!(read.bytes(), &data);
            }
        }
    }
}
