//! The CPU executor against plain loops, on kernels and plans made by hand.

mod blocks;
mod cores;
mod images;
mod naive;
mod plans;
mod setup;
