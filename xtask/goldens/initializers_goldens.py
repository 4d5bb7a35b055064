"""What initializers draw from: the distribution and its bounds as Keras passes them to its generator."""

import keras
from keras.src.initializers import random_initializers
from keras.src.initializers.random_initializers import compute_fans

from codec import resolved, tensor

SHAPES = [(), (7,), (5, 3), (3, 5), (3, 4, 6), (3, 2, 4, 5), (2, 3, 4, 5, 6)]

SCALED = [
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("VarianceScaling", {}),
] + [
    ("VarianceScaling", {"scale": 2.5, "mode": mode, "distribution": distribution})
    for mode in ("fan_in", "fan_out", "fan_avg")
    for distribution in ("uniform", "truncated_normal", "untruncated_normal")
]

PLAIN = [
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 0.3, "stddev": 1.5}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -0.2, "stddev": 0.7}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -0.25, "maxval": 0.75}),
]

FIXED = [
    ("Zeros", {}, (2, 3)),
    ("Ones", {}, (2, 3)),
    ("Constant", {"value": 0.37}, (2, 3)),
    ("Identity", {}, (3, 5)),
    ("Identity", {"gain": 0.6}, (4, 4)),
    ("Identity", {"gain": 1.5}, (5, 2)),
]

NAMES = [
    "zeros",
    "ones",
    "constant",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "orthogonal",
    "identity",
    "normal",
    "uniform",
]


class Recorder:
    """Stands in for Keras' random functions, remembers the call and passes it on."""

    def __init__(self, real):
        self.real, self.calls = real, []

    def __getattr__(self, name):
        def call(shape, *args, **kwargs):
            value = getattr(self.real, name)(shape, *args, **kwargs)
            bounds = list(args) + [kwargs[k] for k in ("mean", "minval", "stddev", "maxval") if k in kwargs]
            self.calls.append((name, bounds, value))
            return value

        return call


def drawn(initializer, shape):
    """(function, its two numbers, the draw, the initializer's answer)."""
    recorder = Recorder(random_initializers.random)
    random_initializers.random = recorder
    try:
        answer = initializer(shape)
    finally:
        random_initializers.random = recorder.real
    ((name, bounds, value),) = recorder.calls
    return name, bounds, value, answer


def law(name, config, shape):
    kind, bounds, _, _ = drawn(getattr(keras.initializers, name)(seed=3, **config), shape)
    keys = ("minval", "maxval") if kind == "uniform" else ("mean", "stddev")
    return {"shape": list(shape), "distribution": kind, **dict(zip(keys, map(float, bounds), strict=True))}


def orthogonal(shape, gain):
    _, _, normal, value = drawn(keras.initializers.Orthogonal(gain=gain, seed=3), shape)
    return {"config": {"gain": gain}, "shape": list(shape), "normal": tensor(normal), "value": tensor(value)}


def fans(shape):
    fan_in, fan_out = compute_fans(shape)
    return {"fan_in": int(fan_in), "fan_out": int(fan_out)}


def make():
    return {
        "initializers": {
            "fans": [{"shape": list(shape), **fans(shape)} for shape in SHAPES],
            "names": resolved(keras.initializers.get, NAMES),
            "laws": [{"class_name": n, "config": c, "at": [law(n, c, s) for s in SHAPES]} for n, c in SCALED]
            + [{"class_name": n, "config": c, "at": [law(n, c, (3, 4))]} for n, c in PLAIN],
            "fixed": [
                {"class_name": n, "config": c, "value": tensor(getattr(keras.initializers, n)(**c)(s))}
                for n, c, s in FIXED
            ],
            "orthogonal": [orthogonal((5, 3), 1.0), orthogonal((3, 5), 0.7), orthogonal((2, 3, 4), 1.3)],
        }
    }
