"""Regularizers: penalty and gradient."""

import jax
import jax.numpy as jnp
import keras

from codec import number, resolved, rng, short, tensor

CASES = [
    ("L1", {}, (3, 5)),
    ("L1", {"l1": 0.3}, (2, 3, 4)),
    ("L2", {}, (3, 5)),
    ("L2", {"l2": 0.07}, (7,)),
    ("L1L2", {}, (3, 5)),
    ("L1L2", {"l1": 0.02, "l2": 0.3}, (3, 5)),
    ("OrthogonalRegularizer", {}, (4, 3)),
    ("OrthogonalRegularizer", {"factor": 0.2, "mode": "columns"}, (4, 3)),
]


def make():
    cases = []
    for name, config, shape in CASES:
        regularizer = getattr(keras.regularizers, name)(**config)
        x = short(rng(f"{name}{config}"), shape)
        x.flat[1] = 0
        value, slope = jax.value_and_grad(lambda w: jnp.asarray(regularizer(w)))(jnp.asarray(x))
        cases.append(
            {
                "class_name": name,
                "config": config,
                "x": tensor(x),
                "value": number(value),
                "gradient": tensor(slope),
            }
        )
    names = resolved(keras.regularizers.get, ["l1", "l2", "l1l2", "l1_l2", "orthogonal_regularizer"])
    return {"regularizers": {"cases": cases, "names": names}}
