//! Elements between a file (little-endian, any type) and an array (native, our types).

use super::{Fault, header::Entry};
use addax_tensor::{Array, DType, Element, Error, Result, error::bytes_for_people};
use safetensors::tensor::Dtype;
use std::{borrow::Cow, io, io::Read};

/// Elements of a foreign type converted at a time.
const CHUNK: usize = 8192;

/// The array's bytes as files hold them.
pub(super) fn little_endian(array: &Array) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(array.bytes());
    }
    let mut bytes = array.bytes().to_vec();
    swap_bytes(&mut bytes, array.dtype().size());
    Cow::Owned(bytes)
}

fn swap_bytes(bytes: &mut [u8], size: usize) {
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
}

/// Reads one array, straight into its memory if its type is one of ours.
pub(super) fn read(from: &mut dyn Read, entry: &Entry) -> Result<Array, Fault> {
    let (dtype, bytes) = match entry.dtype {
        Dtype::F32 => (DType::F32, plain(from, entry, 4)?),
        Dtype::F16 => (DType::F16, plain(from, entry, 2)?),
        Dtype::BF16 => (DType::BF16, plain(from, entry, 2)?),
        Dtype::I32 => (DType::I32, plain(from, entry, 4)?),
        Dtype::U32 => (DType::U32, plain(from, entry, 4)?),
        Dtype::U8 => (DType::U8, plain(from, entry, 1)?),
        Dtype::BOOL => (DType::Bool, truth_values(from, entry)?),
        Dtype::F64 => converted(from, entry, |b| Ok(f64::from_le_bytes(b)))?,
        Dtype::I64 => converted(from, entry, |b| Ok(i64::from_le_bytes(b)))?,
        Dtype::I16 => converted(from, entry, |b| Ok(i32::from(i16::from_le_bytes(b))))?,
        Dtype::U16 => converted(from, entry, |b| Ok(i32::from(u16::from_le_bytes(b))))?,
        Dtype::I8 => converted(from, entry, |b| Ok(i32::from(i8::from_le_bytes(b))))?,
        Dtype::U64 => converted(from, entry, |b| {
            let v = u64::from_le_bytes(b);
            u32::try_from(v).map_err(|_| Error::data(format!("value {v} does not fit in uint32")))
        })?,
        other => {
            return Err(Fault::Format(format!(
                "array \"{}\" has the type {other:?}, which Addax does not know; save it as F32, F16 or BF16",
                entry.name
            )));
        }
    };
    Array::from_bytes(dtype, entry.shape.as_slice(), bytes).map_err(|e| Fault::Value(entry.name.clone(), e))
}

/// An empty vector with room for `bytes`; too little memory is an error, not the end of the program.
fn room(entry: &Entry, bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| {
        let what =
            format!("array \"{}\" takes {}, more memory than there is", entry.name, bytes_for_people(bytes as u64));
        Fault::Io(io::Error::new(io::ErrorKind::OutOfMemory, what))
    })?;
    Ok(room)
}

fn plain(from: &mut dyn Read, entry: &Entry, size: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = room(entry, entry.bytes)?;
    let n = from.take(entry.bytes as u64).read_to_end(&mut bytes).map_err(Fault::Io)?;
    if n != entry.bytes {
        return Err(Fault::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    if cfg!(target_endian = "big") {
        swap_bytes(&mut bytes, size);
    }
    Ok(bytes)
}

fn truth_values(from: &mut dyn Read, entry: &Entry) -> Result<Vec<u8>, Fault> {
    let bytes = plain(from, entry, 1)?;
    match bytes.iter().find(|&&b| b > 1) {
        None => Ok(bytes),
        Some(bad) => Err(Fault::Format(format!(
            "array \"{}\" holds {bad} as a truth value, expected 0 or 1; save it as U8",
            entry.name
        ))),
    }
}

/// Reads elements of `N` bytes and stores them as `T`'s data type.
fn converted<const N: usize, T: Element>(
    from: &mut dyn Read,
    entry: &Entry,
    value: impl Fn([u8; N]) -> Result<T>,
) -> Result<(DType, Vec<u8>), Fault> {
    let elements = entry.bytes / N;
    let mut bytes = room(entry, elements.saturating_mul(T::DTYPE.size()))?;
    let mut buffer = vec![0; elements.min(CHUNK) * N];
    let mut values = Vec::with_capacity(elements.min(CHUNK));
    let mut done = 0;
    while done < elements {
        let n = (elements - done).min(CHUNK);
        let chunk = buffer.get_mut(..n * N).unwrap_or_default();
        from.read_exact(chunk).map_err(Fault::Io)?;
        // Positions in `e` count from the start of the chunk.
        let failed = |e| match done {
            0 => Fault::Value(entry.name.clone(), e),
            _ => Fault::Value(format!("{}[{done}..{}]", entry.name, done + n), e),
        };
        values.clear();
        for element in chunk.as_chunks().0 {
            values.push(value(*element).map_err(failed)?);
        }
        T::encode(&values, &mut bytes).map_err(failed)?;
        done += n;
    }
    Ok((T::DTYPE, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_swapped_one_by_one() {
        let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        swap_bytes(&mut bytes, 4);
        assert_eq!(bytes, [4, 3, 2, 1, 8, 7, 6, 5]);
        swap_bytes(&mut bytes, 1);
        assert_eq!(bytes, [4, 3, 2, 1, 8, 7, 6, 5]);
    }
}
