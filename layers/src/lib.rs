//! Keras' layers for Addax: Dense, Conv2D, LSTM, BatchNormalization and the rest, with initializers and regularizers.
