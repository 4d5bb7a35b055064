//! What the examples share: command lines, pictures in the terminal, learning curves.

pub mod arguments;
pub mod curves;
pub mod interrupt;
pub mod picture;

/// Compiles the program in the README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
