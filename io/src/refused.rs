//! What the system refused, said so that one knows what to do.

use addax_tensor::Error;
use std::{fmt::Display, io};

/// The error that `file` could not be written.
pub(crate) fn writing(file: impl Display, e: io::Error) -> Error {
    use io::ErrorKind::*;
    let hint = match e.kind() {
        StorageFull | QuotaExceeded => ": free some space and save again",
        NotFound => ": create its folder first",
        NotADirectory => ": its folder is a file",
        _ => "",
    };
    Error::io(format!("writing {file}{hint}"), e)
}

/// The error that `file` could not be read.
pub(crate) fn reading(file: impl Display, e: io::Error) -> Error {
    Error::io(format!("reading {file}"), e)
}
