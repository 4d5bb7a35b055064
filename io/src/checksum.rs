//! Counts and sums what passes through a reader or writer.

use std::io::{self, Read, Write};

/// Passes bytes on and keeps their number and CRC-32 (the one of zip and PNG).
pub(crate) struct Summed<T> {
    inner: T,
    crc: crc32fast::Hasher,
    bytes: u64,
}

/// Number and CRC-32 of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub bytes: u64,
    pub crc32: u32,
}

impl<T> Summed<T> {
    pub fn new(inner: T) -> Self {
        Summed { inner, crc: crc32fast::Hasher::new(), bytes: 0 }
    }
    pub fn finish(self) -> (T, Sum) {
        (self.inner, Sum { bytes: self.bytes, crc32: self.crc.finalize() })
    }
    fn take(&mut self, seen: &[u8]) {
        self.crc.update(seen);
        self.bytes += seen.len() as u64;
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(to)?;
        self.take(to.get(..n).unwrap_or_default());
        Ok(n)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(from)?;
        self.take(from.get(..n).unwrap_or_default());
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_writing_sum_alike() {
        let mut writer = Summed::new(Vec::new());
        writer.write_all(b"1234").unwrap();
        writer.write_all(b"56789").unwrap();
        let (bytes, written) = writer.finish();
        let mut reader = Summed::new(bytes.as_slice());
        reader.read_to_end(&mut Vec::new()).unwrap();
        // The check value that the CRC-32 of zip is defined by.
        assert_eq!(written, Sum { bytes: 9, crc32: 0xCBF4_3926 });
        assert_eq!(reader.finish().1, written);
    }
}
