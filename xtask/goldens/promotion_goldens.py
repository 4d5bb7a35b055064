"""The type that Keras computes in where two types meet: `keras.backend.result_type` of all pairs."""

import keras

TYPES = ["float32", "float16", "bfloat16", "int32", "uint32", "uint8", "bool"]


def make():
    pairs = [[a, b, keras.backend.result_type(a, b)] for a in TYPES for b in TYPES]
    # A number of the program beside a tensor: Keras calls its type `float` or `int`.
    weak = [[a, kind.__name__, keras.backend.result_type(a, kind)] for a in TYPES for kind in (float, int)]
    return {"promotion": {"types": TYPES, "pairs": pairs, "weak": weak}}
