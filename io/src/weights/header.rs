//! The header of a safetensors file: eight bytes of length, then JSON that places every array.

use super::Fault;
use crate::ReadOptions;
use addax_tensor::{Array, DType, Error, Result, error::bytes_for_people};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    io::Read,
};

const METADATA: &str = "__metadata__";
const LENGTH: u64 = 8;

/// One array as the header describes it; its extent fits its type and shape.
pub(super) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: usize,
}

/// A header that was checked: its arrays fill the rest of the file, without gap or overlap.
pub(super) struct Header {
    pub entries: Vec<Entry>,
    /// Indices of `entries` in the order of their bytes.
    pub by_offset: Vec<usize>,
    pub metadata: BTreeMap<String, String>,
}

/// The header's bytes, padded to a multiple of 8, and the arrays in the order of their bytes.
pub(super) fn encode<'a>(
    arrays: &'a [(String, Array)],
    metadata: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, Vec<&'a Array>)> {
    let mut seen = HashSet::new();
    for (name, _) in arrays {
        if name == METADATA {
            return Err(Error::argument(format!("an array cannot be named \"{METADATA}\"; choose another name")));
        }
        if !seen.insert(name) {
            return Err(Error::argument(format!("two arrays are named \"{name}\"; give each a name of its own")));
        }
    }
    let mut order: Vec<usize> = (0..arrays.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(arrays.get(i).map_or(0, |(_, a)| a.dtype().size())));
    let mut offsets = vec![(0, 0); arrays.len()];
    let mut laid_out = Vec::with_capacity(arrays.len());
    let mut end = 0;
    for i in order {
        if let Some(((_, array), offset)) = arrays.get(i).zip(offsets.get_mut(i)) {
            *offset = (end, end + array.bytes().len());
            end = offset.1;
            laid_out.push(array);
        }
    }
    let entries = arrays
        .iter()
        .zip(offsets)
        .map(|((name, array), data_offsets)| {
            let info = TensorInfo { dtype: tag(array.dtype()), shape: array.shape().to_vec(), data_offsets };
            (name.clone(), info)
        })
        .collect();
    let raw = Raw { metadata: metadata.clone(), entries };
    let mut bytes =
        serde_json::to_vec(&raw).map_err(|e| Error::argument(format!("writing the header: {e}")).caused_by(e))?;
    bytes.resize(bytes.len().next_multiple_of(LENGTH as usize), b' ');
    Ok((bytes, laid_out))
}

/// Reads the header of a file of `length` bytes.
pub(super) fn decode(from: &mut dyn Read, length: u64, options: &ReadOptions) -> Result<Header, Fault> {
    let foreign = |why: String| Fault::Format(format!("not a safetensors file: {why}; check the path and the format"));
    if length > options.max_bytes {
        return Err(Fault::Format(format!(
            "{} is over the limit of {}; if you trust it, raise `max_bytes` in `ReadOptions`",
            bytes_for_people(length),
            bytes_for_people(options.max_bytes)
        )));
    }
    if length < LENGTH {
        return Err(foreign(format!("it has {length} bytes, a header takes 8 or more")));
    }
    let mut head = [0; LENGTH as usize];
    from.read_exact(&mut head).map_err(Fault::Io)?;
    let (size, rest) = (u64::from_le_bytes(head), length - LENGTH);
    if size > rest {
        return Err(Fault::Format(format!(
            "the header claims {size} bytes, {rest} are there: the file is cut off or no safetensors file; copy or \
             download it again"
        )));
    }
    if size > options.max_header_bytes {
        return Err(Fault::Format(format!(
            "the header takes {}, over the limit of {}; if you trust the file, raise `max_header_bytes` in \
             `ReadOptions`",
            bytes_for_people(size),
            bytes_for_people(options.max_header_bytes)
        )));
    }
    let mut json = vec![0; size as usize];
    from.read_exact(&mut json).map_err(Fault::Io)?;
    let raw: Raw = serde_json::from_slice(&json).map_err(|e| foreign(format!("its header is damaged ({e})")))?;
    check(raw, rest - size)
}

/// Checks that the arrays fill `data` bytes.
fn check(raw: Raw, data: u64) -> Result<Header, Fault> {
    let damaged = |what: String| Fault::Format(format!("{what}: the file is damaged; copy or download it again"));
    let mut by_offset: Vec<usize> = (0..raw.entries.len()).collect();
    by_offset.sort_by_key(|&i| raw.entries.get(i).map(|(_, info)| info.data_offsets));
    let sorted = by_offset.iter().filter_map(|&i| raw.entries.get(i)).map(|(n, i)| (n.clone(), i.clone())).collect();
    let layout = Metadata::new(None, sorted).map_err(|e| match e {
        SafeTensorError::InvalidOffset(name) => damaged(format!("array \"{name}\" overlaps another or leaves a gap")),
        SafeTensorError::TensorInvalidInfo => damaged("an array's shape does not fit its bytes".to_string()),
        other => damaged(other.to_string()),
    })?;
    let claimed = layout.data_len() as u64;
    if claimed > data {
        return Err(damaged(format!("the arrays take {claimed} bytes, {data} are there")));
    }
    if claimed < data {
        return Err(damaged(format!("{} bytes follow the last array", data - claimed)));
    }
    let entries = raw.entries.into_iter().map(|(name, TensorInfo { dtype, shape, data_offsets: (start, end) })| {
        Entry { name, dtype, shape, bytes: end - start }
    });
    Ok(Header { entries: entries.collect(), by_offset, metadata: raw.metadata })
}

/// The format's name of a data type.
fn tag(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

/// The header's JSON. Unlike a map it keeps the order and sees a name that comes twice.
struct Raw {
    metadata: BTreeMap<String, String>,
    entries: Vec<(String, TensorInfo)>,
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA, &self.metadata)?;
        }
        for (name, info) in &self.entries {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of arrays")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw { metadata: BTreeMap::new(), entries: Vec::new() };
                let mut seen = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(de::Error::custom(format!("the name \"{name}\" comes twice")));
                    }
                    if name == METADATA {
                        raw.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                    } else {
                        let info = map.next_value().map_err(|e| de::Error::custom(format!("array \"{name}\": {e}")))?;
                        raw.entries.push((name, info));
                    }
                }
                Ok(raw)
            }
        }
        from.deserialize_map(Entries)
    }
}
