//! Addax' WGSL kernels: plain text, a small preprocessor, and the table of permutations.
pub mod math;
pub mod philox;
