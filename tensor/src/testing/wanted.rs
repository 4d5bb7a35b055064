//! What a run of the tests asks for: how many random graphs (few in `cargo test`, many when somebody looks for trouble), and
//! which devices.

use crate::{Device, Result, platform};
use std::{io::Write, sync::Once};

/// The seed in `ADDAX_TEST_SEED`, else this one.
pub fn seed(default: u64) -> u64 {
    number("ADDAX_TEST_SEED").unwrap_or(default)
}

/// The number of graphs in `ADDAX_TEST_GRAPHS`, else this one.
pub fn wanted(default: usize) -> usize {
    number("ADDAX_TEST_GRAPHS").map_or(default, |n| n as usize)
}

/// The GPU, if `ADDAX_TEST_DEVICES` (such as `cpu,gpu`) names it; an error if it does and there is no adapter. Where it is not
/// named, a line on standard error says once that the tests of the GPU were skipped, whether or not a test's output is shown.
pub fn gpu() -> Result<Option<Device>> {
    static TOLD: Once = Once::new();
    if platform::env_lists("ADDAX_TEST_DEVICES", "gpu") {
        return Device::by_name("gpu").map(Some);
    }
    TOLD.call_once(|| {
        // `eprintln!` would be kept from sight where the test passes. Nobody misses a line that cannot be written.
        let _ = writeln!(std::io::stderr(), "gpu tests skipped: ADDAX_TEST_DEVICES does not name gpu");
    });
    Ok(None)
}

fn number(name: &str) -> Option<u64> {
    platform::env(name)?.trim().parse().ok()
}
