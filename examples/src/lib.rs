//! What the examples share: command lines, pictures in the terminal, learning curves.

pub mod arguments;
pub mod curves;
pub mod interrupt;
pub mod picture;
