//! JSON: typed reads that name the offending key, whole files, exact numbers.
//!
//! [`At`] walks a value; [`parse`] and [`read`] refuse what is too large or nested too deeply; [`to_pretty`] and
//! [`write()`] write text that these read back. [`f32`](fn@f32) and [`f64`](fn@f64) make numbers.
//!
//! JSON has no NaN and no infinities, Python writes them all the same. They are read as the strings `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, which [`At::f64`] takes as numbers.

mod at;
mod text;

pub use at::At;
pub use text::{MAX_DEPTH, f32, f64, parse, read, to_pretty, write};
