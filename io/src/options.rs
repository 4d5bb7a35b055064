//! How far a reader trusts a file.

/// Limits and checks of a read. The defaults suit files of unknown origin.
///
/// ```
/// use addax_io::ReadOptions;
/// // Refuse files over 8 GiB.
/// let options = ReadOptions { max_bytes: 8 << 30, ..ReadOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Largest file with arrays, in bytes. Default: no limit but the file's own size and the memory there is.
    pub max_bytes: u64,
    /// Largest JSON file, in bytes. Default: 64 MiB.
    pub max_json_bytes: u64,
    /// Largest header of a safetensors file, in bytes. Default: 100 MB, the format's own limit.
    pub max_header_bytes: u64,
    /// Whether lengths and checksums in a model folder must match. Default: true. Turn it off to load a folder whose
    /// `config.json` was edited by hand.
    pub verify: bool,
    /// Whether files of a model folder may be symbolic links that lead out of it. Default: false.
    pub follow_links: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            max_bytes: u64::MAX,
            max_json_bytes: 64 << 20,
            max_header_bytes: 100_000_000,
            verify: true,
            follow_links: false,
        }
    }
}
