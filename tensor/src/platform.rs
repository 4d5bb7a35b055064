//! What differs between platforms: waiting, environment, memory of the machine. Nothing else in the crate asks the system.

use std::future::Future;

/// Waits for an executor's future. Only for platforms whose threads may wait; a browser awaits instead.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// Whether `ADDAX_LOG` asks for plans.
pub(crate) fn log_plans() -> bool {
    std::env::var("ADDAX_LOG").is_ok_and(|log| log.split(',').any(|word| word.trim() == "plan"))
}

/// A text file of the system, such as `/proc/meminfo`; `None` where there is none.
pub(crate) fn system_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
