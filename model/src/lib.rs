//! Keras for Rust on any GPU and any CPU: Sequential models, compile, fit, evaluate, predict, save.
