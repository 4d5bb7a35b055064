"""The type that Keras computes in where two types meet: `keras.backend.result_type` of all pairs; and what it makes of truth values."""

import keras
import numpy as np

TYPES = ["float32", "float16", "bfloat16", "int32", "uint32", "uint8", "bool"]


def make():
    pairs = [[a, b, keras.backend.result_type(a, b)] for a in TYPES for b in TYPES]
    # A number of the program beside a tensor: Keras calls its type `float` or `int`.
    weak = [[a, kind.__name__, keras.backend.result_type(a, kind)] for a in TYPES for kind in (float, int)]
    return {"promotion": {"types": TYPES, "pairs": pairs, "weak": weak, "truths": truths()}}


def truths():
    """What arithmetic makes of truth values: name, type, values."""
    x, y = np.array([True, True, False, False]), np.array([True, False, True, False])
    two = {name: (x, y) for name in ("add", "multiply", "maximum", "minimum")}
    one = {name: (x,) for name in ("sum", "prod", "max", "min", "mean", "cumsum", "cumprod", "argmax", "any", "all")}
    made = {name: getattr(keras.ops, name)(*args) for name, args in {**two, **one}.items()}
    return [
        [name, keras.backend.standardize_dtype(result.dtype), np.asarray(result).astype(float).ravel().tolist()]
        for name, result in made.items()
    ]
