//! Reverse-mode gradients of Addax' lazy tensors, themselves lazy tensors.
