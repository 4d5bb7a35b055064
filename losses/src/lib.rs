//! Keras' losses and metrics on Addax tensors.
