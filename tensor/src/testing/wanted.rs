//! How many random graphs a run asks for: few in `cargo test`, many when somebody looks for trouble.

/// The seed in `ADDAX_TEST_SEED`, else this one.
pub fn seed(default: u64) -> u64 {
    number("ADDAX_TEST_SEED").unwrap_or(default)
}

/// The number of graphs in `ADDAX_TEST_GRAPHS`, else this one.
pub fn wanted(default: usize) -> usize {
    number("ADDAX_TEST_GRAPHS").map_or(default, |n| n as usize)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}
