//! Counted device memory and its budget.

use crate::{
    device::Device,
    executor::{Bound, Buffer},
};
use std::{fmt, sync::Arc};

/// Device memory that gives its bytes back to the count when its last handle drops.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    device: Device,
    buffer: Buffer,
    bytes: u64,
}

impl Storage {
    pub(crate) fn new(device: Device, buffer: Buffer, bytes: u64) -> Self {
        Storage(Arc::new(Inner { device, buffer, bytes }))
    }
    /// The device it lies on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }
    /// Whether this is its only handle.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
    pub(crate) fn bound(&self) -> Bound {
        Bound { buffer: self.0.buffer.clone(), offset: 0 }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.device.give_back(self.bytes);
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} bytes)", self.0.bytes)
    }
}
