//! The CPU executor against plain loops, on kernels and plans made by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod blocks;
mod cores;
mod fused;
mod images;
mod naive;
mod plans;
mod setup;
