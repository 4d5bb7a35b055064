//! Device memory: taking it, copying to and from it.

use super::{adapter::Gpu, wait::line};
use crate::{
    error::{Error, Result},
    graph::lock,
    memory::Metered,
};
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    error::{ErrorKind, OutOfMemory},
    platform,
};
use std::{ops::Range, sync::atomic::Ordering};

/// One value's memory.
pub struct GpuBuffer {
    pub raw: wgpu::Buffer,
    /// Differs from that of every other buffer of the device.
    pub id: u64,
    /// Length without padding.
    pub bytes: u64,
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        // Cached bind groups would keep the memory otherwise. What was submitted still finishes.
        self.raw.destroy();
    }
}

/// A buffer beside the values, for staging or parameters. It counts as they do, but is not refused for the budget's sake: the
/// step that needs it was admitted.
pub struct OwnBuffer {
    pub raw: wgpu::Buffer,
    _taken: Metered,
}

/// Most bytes that wait in staging memory: wgpu takes that as it is needed, and running out of it loses the device.
const MAX_STAGED: u64 = 32 << 20;
/// Bytes copied at a time.
const CHUNK: usize = 4 << 20;
/// Largest readback buffer that is kept for the next time.
const MAX_KEPT: u64 = 16 << 20;

impl Gpu {
    /// Zeroed memory. Its length is padded, so that vectors of four words can be read up to the end.
    pub fn alloc(&self, bytes: u64) -> Result<GpuBuffer> {
        let limit = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        if bytes > limit {
            return Err(Error::device(format!(
                "{}: a value of {} does not fit its largest binding of {}; use smaller batches or split the value",
                self.name,
                crate::error::bytes_for_people(bytes),
                crate::error::bytes_for_people(limit),
            )));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let raw = match self.create(bytes, usage) {
            // What was freed comes back once the device has finished with it.
            Err(error) if error.is_out_of_memory() => {
                self.queue.submit([]);
                self.wait()?;
                self.create(bytes, usage)?
            }
            result => result?,
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(GpuBuffer { raw, id, bytes })
    }

    /// A counted buffer beside the values.
    pub fn create_own(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<OwnBuffer> {
        let raw = self.create(bytes, usage)?;
        Ok(OwnBuffer { _taken: self.meter.take(raw.size()), raw })
    }

    /// A buffer of at least this length, or why not. A browser says why not later, to the device's callback, whose word the next
    /// call returns: its error scopes answer from the event loop only, and memory is bound without awaiting.
    #[cfg(target_arch = "wasm32")]
    fn create(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = bytes.max(1).next_multiple_of(16);
        Ok(self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false }))
    }

    /// A buffer of at least this length, or why not.
    #[cfg(not(target_arch = "wasm32"))]
    fn create(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let size = bytes.max(1).next_multiple_of(16);
        let buffer =
            self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        // Natively, a scope's answer is there at once.
        let wrong = platform::block_on(validation.pop());
        let full = platform::block_on(memory.pop());
        if full.is_some() {
            let device = self.name.clone();
            let report = OutOfMemory { device, needed: bytes, ..OutOfMemory::default() };
            return Err(Error::new(ErrorKind::OutOfMemory(report)));
        }
        match wrong {
            Some(error) => Err(Error::device(format!("{}: no buffer of {size} bytes", self.name)).caused_by(error)),
            None => Ok(buffer),
        }
    }

    /// Copies bytes to a buffer, after everything that was submitted.
    pub fn write(&self, to: &GpuBuffer, at: u64, bytes: &[u8]) -> Result<()> {
        let end = at + bytes.len() as u64;
        if end > to.bytes || !at.is_multiple_of(4) || (!end.is_multiple_of(4) && end != to.bytes) {
            return Err(Error::device(format!(
                "{}: bytes {at}..{end} of a buffer of {} cannot be written: they must lie inside, in whole words",
                self.name, to.bytes
            )));
        }
        for (n, chunk) in bytes.chunks(CHUNK).enumerate() {
            let offset = at + (n * CHUNK) as u64;
            let whole = chunk.len() / 4 * 4;
            if whole > 0 {
                self.queue.write_buffer(&to.raw, offset, &chunk[..whole]);
            }
            if whole < chunk.len() {
                let mut word = [0; 4];
                for (to, from) in word.iter_mut().zip(&chunk[whole..]) {
                    *to = *from;
                }
                self.queue.write_buffer(&to.raw, offset + whole as u64, &word);
            }
            let staged = self.counters.staged.fetch_add(chunk.len() as u64, Ordering::Relaxed) + chunk.len() as u64;
            if staged >= MAX_STAGED {
                self.queue.submit([]);
                self.wait()?;
                self.counters.staged.store(0, Ordering::Relaxed);
            }
        }
        self.check()
    }

    /// Copies the first bytes of a buffer to another, after everything that was submitted.
    pub fn copy(&self, from: &GpuBuffer, to: &GpuBuffer, bytes: u64) -> Result<()> {
        if bytes > from.bytes.min(to.bytes) {
            return Err(Error::device(format!(
                "{}: {bytes} bytes of a buffer of {} cannot be copied to one of {}",
                self.name, from.bytes, to.bytes
            )));
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        // Buffers are longer than their bytes, in whole words.
        encoder.copy_buffer_to_buffer(&from.raw, 0, &to.raw, 0, bytes.next_multiple_of(4));
        self.submit(encoder.finish())?;
        self.check()
    }

    /// Copies bytes from a buffer, after everything that was submitted.
    pub async fn read(&self, from: &GpuBuffer, range: Range<u64>) -> Result<Vec<u8>> {
        if range.end > from.bytes || range.start > range.end {
            return Err(Error::device(format!(
                "{}: bytes {}..{} of a buffer of {} cannot be read",
                self.name, range.start, range.end, from.bytes
            )));
        }
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let start = range.start / 4 * 4;
        let length = (range.end - start).next_multiple_of(4);
        let staging = self.staging(length)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&from.raw, start, &staging.raw, 0, length);
        let index = self.queue.submit([encoder.finish()]);
        let (caller, mapped) = line();
        staging.raw.map_async(wgpu::MapMode::Read, 0..length, move |result| caller.say(result));
        // If nobody awaits the end, the staging buffer goes with this future.
        let mapped = self.answer(mapped, index).await?;
        self.counters.readbacks.fetch_add(1, Ordering::Relaxed);
        self.counters.staged.store(0, Ordering::Relaxed);
        let failed = |why: &str| Error::device(format!("{}: reading {length} bytes failed: {why}", self.name));
        mapped.map_err(|e| failed(&e.to_string()))?;
        let bytes = {
            let view = staging.raw.get_mapped_range(0..length).map_err(|e| failed(&e.to_string()))?;
            let skip = (range.start - start) as usize;
            view.get(skip..skip + (range.end - range.start) as usize).unwrap_or_default().to_vec()
        };
        staging.raw.unmap();
        if staging.raw.size() <= MAX_KEPT {
            lock(&self.readback).push(staging);
        }
        self.check()?;
        Ok(bytes)
    }

    /// A buffer for reading back.
    fn staging(&self, length: u64) -> Result<OwnBuffer> {
        let mut kept = lock(&self.readback);
        if let Some(at) = kept.iter().position(|buffer| buffer.raw.size() >= length) {
            return Ok(kept.swap_remove(at));
        }
        // A larger one takes the place of a smaller one.
        kept.pop();
        drop(kept);
        self.create_own(length.next_power_of_two(), wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }
}
