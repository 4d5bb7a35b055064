//! Operations against what Keras' ops (or NumPy) computed: `tests/fixtures/make_fixtures.py` wrote the numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod core;
mod fixture;
mod fourier;
mod linalg;
mod nn;
mod numerical;
