//! Counted device memory and its budget.

use crate::{
    device::Device,
    error::{Error, Result},
    executor::{Bound, Buffer},
    platform,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts bytes in use, and the most at once. A device shares one with its executor: values are the device's to count, what the
/// executor takes beside them (staging memory, parameters) its own.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    live: AtomicU64,
    peak: AtomicU64,
    /// Of both, what the executor takes beside values.
    beside: AtomicU64,
    beside_peak: AtomicU64,
}

/// Bytes that are counted until this drops.
#[derive(Debug)]
pub struct Metered {
    meter: Meter,
    bytes: u64,
    /// Whether they are beside values.
    beside: bool,
}

impl Meter {
    /// Counts bytes beside values until the result drops.
    ///
    /// ```
    /// let meter = addax_tensor::memory::Meter::default();
    /// let taken = meter.take(100);
    /// assert_eq!((meter.live(), taken.bytes()), (100, 100));
    /// drop(taken);
    /// assert_eq!((meter.live(), meter.peak(), meter.peak_beside()), (0, 100, 100));
    /// ```
    pub fn take(&self, bytes: u64) -> Metered {
        let (mut taken, live) = self.ask(bytes);
        self.reached(live);
        let beside = self.0.beside.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.beside_peak.fetch_max(beside, Ordering::Relaxed);
        taken.beside = true;
        taken
    }
    /// Counts bytes that may be refused yet, so they are no peak; and what is live with them.
    pub(crate) fn ask(&self, bytes: u64) -> (Metered, u64) {
        let live = self.0.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (Metered { meter: self.clone(), bytes, beside: false }, live)
    }
    /// So many bytes were really in use.
    pub(crate) fn reached(&self, live: u64) {
        self.0.peak.fetch_max(live, Ordering::Relaxed);
    }
    /// Bytes in use now.
    pub fn live(&self) -> u64 {
        self.0.live.load(Ordering::Relaxed)
    }
    /// Most bytes in use at once so far.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }
    /// Most bytes that the executor took beside values at once so far.
    pub fn peak_beside(&self) -> u64 {
        self.0.beside_peak.load(Ordering::Relaxed)
    }
    /// Forgets what was in use once.
    pub(crate) fn reset_peak(&self) {
        self.0.peak.store(self.live(), Ordering::Relaxed);
        self.0.beside_peak.store(self.0.beside.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Metered {
    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.meter.0.live.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.beside {
            self.meter.0.beside.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// An executor's memory that gives its bytes back to the count when it drops. It holds no device, so a device may keep it.
pub(crate) struct Counted {
    // Dropped in this order: memory goes before its count.
    buffer: Buffer,
    taken: Metered,
}

impl Counted {
    pub(crate) fn new(buffer: Buffer, taken: Metered) -> Self {
        Counted { buffer, taken }
    }
    /// Its length.
    pub(crate) fn bytes(&self) -> u64 {
        self.taken.bytes()
    }
    /// From this byte on.
    pub(crate) fn bound(&self, offset: u64) -> Bound {
        Bound { buffer: self.buffer.clone(), offset }
    }
}

/// Device memory that gives its bytes back to the count when its last handle drops. Whoever has one keeps the device.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    // Dropped in this order: memory goes before the device.
    memory: Counted,
    device: Device,
}

impl Storage {
    pub(crate) fn new(device: Device, memory: Counted) -> Self {
        Storage(Arc::new(Inner { memory, device }))
    }
    /// The device it lies on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.0.memory.bytes()
    }
    /// Whether this is its only handle.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
    pub(crate) fn bound(&self) -> Bound {
        self.0.memory.bound(0)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} bytes)", self.bytes())
    }
}

/// The bytes a CPU device may use unless told otherwise: `ADDAX_MEMORY_LIMIT`, else what the machine has available or the
/// control group allows, whichever is less, less a tenth. Staying below keeps the system from ending the process.
pub fn default_cpu_budget() -> Result<u64> {
    if let Some(limit) = limit_from_env()? {
        return Ok(limit);
    }
    let available = available_memory(&|path| platform::system_file(path));
    Ok(available.map_or(u64::MAX, |bytes| bytes - bytes / 10))
}

/// The limit in `ADDAX_MEMORY_LIMIT`, if it is set.
pub fn limit_from_env() -> Result<Option<u64>> {
    platform::env("ADDAX_MEMORY_LIMIT").map(|text| limit(&text)).transpose()
}

fn limit(text: &str) -> Result<u64> {
    let wrong = "expected bytes such as 512MB, 1.5GiB or 800000000";
    parse_bytes(text).map_err(|_| Error::argument(format!("ADDAX_MEMORY_LIMIT is \"{text}\"; {wrong}")))
}

/// Bytes from text: a number and optionally a unit (`k`, `MB`, `GiB`, …; powers of 1000, or of 1024 with an `i`).
pub fn parse_bytes(text: &str) -> Result<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim().to_lowercase());
    let wrong = || Error::argument(format!("\"{text}\" is no number of bytes"));
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, 1024f64),
        None => (unit, 1000f64),
    };
    let power = match prefix {
        "" if unit.is_empty() => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    let bytes = number * base.powi(power);
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64).ok_or_else(wrong)
}

/// Available memory in bytes, by what a reader of system files says: the machine's, or less if the process lives in a control
/// group (version 1 or 2) with a limit.
fn available_memory(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    [machine, control_group(read)].into_iter().flatten().min()
}

/// What the control group leaves: the smallest `limit - used` on the way up to the root.
fn control_group(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let mut left = None;
    for line in read("/proc/self/cgroup")?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, limit, used) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            c if c.split(',').any(|c| c == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            if let Some(limit) = number(&format!("{root}{path}/{limit}")) {
                let free = limit.saturating_sub(number(&format!("{root}{path}/{used}")).unwrap_or(0));
                left = Some(left.map_or(free, |l: u64| l.min(free)));
            }
            match path.rfind('/') {
                Some(parent) => path = &path[..parent],
                None => break,
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files<'a>(list: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |path| list.iter().find(|(p, _)| *p == path).map(|(_, text)| text.to_string())
    }
    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:  16000000 kB\nMemAvailable:    8000000 kB\n");

    #[test]
    fn without_a_control_group_the_machine_counts() {
        assert_eq!(available_memory(&files(&[MEMINFO])), Some(8_000_000 * 1024));
    }

    #[test]
    fn control_group_v2_counts_the_tightest_ancestor() {
        let list = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/box/inner\n"),
            ("/sys/fs/cgroup/box/inner/memory.max", "max\n"),
            ("/sys/fs/cgroup/box/memory.max", "1000000000\n"),
            ("/sys/fs/cgroup/box/memory.current", "400000000\n"),
        ];
        assert_eq!(available_memory(&files(&list)), Some(600_000_000));
    }

    #[test]
    fn control_group_v1_is_read_too() {
        let list = [
            MEMINFO,
            ("/proc/self/cgroup", "5:cpu:/a\n4:memory,hugetlb:/docker/x\n"),
            ("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "2000000000\n"),
            ("/sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "500000000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(available_memory(&files(&list)), Some(1_500_000_000));
    }

    #[test]
    fn bytes_are_parsed_with_units() {
        assert_eq!(parse_bytes("512MB").unwrap(), 512_000_000);
        assert_eq!(parse_bytes("1.5 GiB").unwrap(), 3 << 29);
        assert_eq!(parse_bytes("800000000").unwrap(), 800_000_000);
        assert_eq!(parse_bytes("64k").unwrap(), 64_000);
        for bad in ["", "lots", "-3", "5 parsecs", "0", "12i"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
            let message = format!("ADDAX_MEMORY_LIMIT is \"{bad}\"; expected bytes such as 512MB, 1.5GiB or 800000000");
            assert_eq!(limit(bad).unwrap_err().to_string(), message);
        }
        assert_eq!(limit("512MB").unwrap(), 512_000_000);
    }
}
