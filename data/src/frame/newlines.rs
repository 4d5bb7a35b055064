//! On which line of a file a byte is.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

/// A reader that remembers where lines ended. The line numbers of the `csv` crate lag behind in files with CRLF or with
/// empty lines; its byte positions do not.
pub(super) struct Newlines<R> {
    inner: R,
    read: u64,
    /// Positions of line feeds that were read but not asked for yet.
    ahead: VecDeque<u64>,
    passed: u64,
}

impl<R: Read> Newlines<R> {
    pub fn new(inner: R) -> Self {
        Newlines { inner, read: 0, ahead: VecDeque::new(), passed: 0 }
    }
    /// Line of this byte, from 1. Positions are asked for in ascending order.
    pub fn line(&mut self, byte: u64) -> u64 {
        while self.ahead.front().is_some_and(|&at| at < byte) {
            self.ahead.pop_front();
            self.passed += 1;
        }
        self.passed + 1
    }
}

impl<R: Read> Read for Newlines<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(to)?;
        let feeds = to.iter().take(n).enumerate().filter(|(_, byte)| **byte == b'\n');
        self.ahead.extend(feeds.map(|(i, _)| self.read + i as u64));
        self.read += n as u64;
        Ok(n)
    }
}
