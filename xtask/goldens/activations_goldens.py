"""Every activation function: value and derivative at chosen points, and whole-axis ones with a cotangent."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

from codec import numbers, rng, short, tensor

POINTS = np.array(
    [
        -100,
        -20,
        -6,
        -3.5,
        -3,
        -2.5,
        -1,
        -0.5,
        -0.1,
        -1e-3,
        -1e-7,
        -1e-30,
        0,
        1e-30,
        1e-7,
        1e-3,
        0.1,
        0.5,
        0.7,
        1,
        2,
        2.5,
        3,
        3.5,
        6,
        6.5,
        20,
        100,
    ],
    dtype="float32",
)

POINTWISE = [
    ("celu", {}),
    ("celu", {"alpha": 0.7}),
    ("elu", {}),
    ("elu", {"alpha": 0.6}),
    ("exponential", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.2}),
    ("hard_sigmoid", {}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("hard_tanh", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("linear", {}),
    ("log_sigmoid", {}),
    ("mish", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 0.4}),
    ("relu6", {}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("swish", {}),
    ("soft_shrink", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 2.0}),
    ("tanh", {}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.6, "default_value": -0.2}),
]

ALONG_AXIS = [
    ("softmax", {}, (3, 5)),
    ("softmax", {"axis": 0}, (3, 5)),
    ("softmax", {"axis": 1}, (2, 3, 4)),
    ("softmax", {"axis": [0, 2]}, (2, 3, 4)),
    ("log_softmax", {}, (3, 5)),
    ("log_softmax", {"axis": 1}, (2, 3, 4)),
    ("sparsemax", {}, (3, 5)),
    ("glu", {}, (3, 6)),
    ("glu", {"axis": 0}, (4, 3)),
]


def function(name, config):
    base = keras.activations.get(name)
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return lambda x: base(x, **config)


def make():
    pointwise, along = [], []
    for name, config in POINTWISE:
        f = function(name, config)
        slope = jax.vmap(jax.grad(f))(jnp.asarray(POINTS))
        pointwise.append({"name": name, "config": config, "y": numbers(f(jnp.asarray(POINTS))), "dy": numbers(slope)})
    for name, config, shape in ALONG_AXIS:
        for scale in (1, 60):
            key = rng(f"{name}{config}{scale}")
            x = short(key, shape, -1.5, 1.5) * np.float32(scale)
            y, back = jax.vjp(function(name, config), jnp.asarray(x))
            cotangent = short(key, y.shape)
            along.append(
                {
                    "name": name,
                    "config": config,
                    "x": tensor(x),
                    "y": tensor(y),
                    "cotangent": tensor(cotangent),
                    "dx": tensor(back(jnp.asarray(cotangent))[0]),
                }
            )
    return {"activations": {"points": numbers(POINTS), "pointwise": pointwise, "along_axis": along}}
