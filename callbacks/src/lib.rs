//! Keras' callbacks for Addax, and the Callback trait to write your own.
