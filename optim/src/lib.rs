//! Keras' optimizers and learning-rate schedules, usable on anyone's tensors.
