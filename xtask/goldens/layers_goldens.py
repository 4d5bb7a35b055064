"""Layers: output, gradients of sum(output * cotangent), and the weights that a call changes."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

from codec import distinct, number, numbers, rng, short, tensor, tensors
from layer_cases import CASES


def initial(variable):
    """A layer's own first value, where it is not random: zeros and ones."""
    value = variable.numpy()
    return {"initial": [number(v) for v in value.ravel()]} if value.size and np.isin(value, (0, 1)).all() else {}


def chosen(key, variable):
    if "variance" in variable.name:
        return short(key, variable.shape, 0.4, 1.6)
    return short(key, variable.shape, -0.9, 0.9)


def inputs(key, case):
    kind = case.get("data", "short")
    made = []
    for shape in case["shapes"]:
        if kind == "bytes":
            made.append(key.integers(0, 256, shape).astype("uint8"))
        elif kind == "ids":
            made.append(key.integers(0, case["below"], shape).astype("int32"))
        else:
            made.append(distinct(key, shape) if kind == "distinct" else short(key, shape, -1.5, 1.5))
    return made


def run(title, name, case):
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    key = rng(f"{name} {title}")
    config = case.get("config", {})
    layer = getattr(keras.layers, name)(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    xs = inputs(key, case)
    entry = {"title": title, "config": config}
    if "adapt" in case:
        data = short(key, case["adapt"], -3, 5)
        layer.adapt(data)
        entry["adapt"] = tensor(data)
    arguments = (lambda values: [values]) if case.get("list") else list
    kwargs = dict(case.get("call", {}))
    if "mask" in case:
        kwargs["mask"] = np.array(case["mask"], dtype=bool)
    if not layer.built:
        layer.build(*arguments([x.shape for x in xs]))
    firsts = [initial(v) for v in layer.variables]
    if "adapt" not in case:
        for v in layer.variables:
            if "seed" not in v.name and v.path not in case.get("keep", ()):
                v.assign(chosen(key, v))
    hidden = [v for v in layer.variables if "seed" in v.name]
    entry["weights"] = [
        {"name": v.name, "path": v.path, "trainable": bool(v.trainable), **tensor(v.numpy()), **first}
        for v, first in zip(layer.variables, firsts, strict=True)
        if not any(v is h for h in hidden)
    ]

    frozen = [v.value for v in layer.non_trainable_variables]
    floats = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]

    def forward(weights, values):
        full = [jnp.asarray(x) for x in xs]
        for i, value in zip(floats, values):
            full[i] = value
        out, changed = layer.stateless_call(weights, frozen, *arguments(full), **kwargs)
        outs = list(out) if isinstance(out, (list, tuple)) else [out]
        return outs, changed

    weights = [v.value for v in layer.trainable_variables]
    outs, back, changed = jax.vjp(forward, weights, [jnp.asarray(xs[i]) for i in floats], has_aux=True)
    cotangents = [short(key, out.shape) for out in outs]
    dw, dx = back([jnp.asarray(c, out.dtype) for c, out in zip(cotangents, outs)])
    input_gradients = [None] * len(xs)
    for i, gradient in zip(floats, dx):
        input_gradients[i] = np.asarray(gradient)
    updated = [v for v, var in zip(changed, layer.non_trainable_variables) if not any(var is h for h in hidden)]
    if "mask" in case:
        entry["mask"] = tensor(kwargs.pop("mask"))
    if kwargs:
        entry["call"] = kwargs
    # `stateless_call` leaves out the penalty on the layer's own output, which `__call__` adds.
    layer(*arguments(xs), **kwargs)
    if layer.losses:
        entry["losses"] = numbers(layer.losses)
    return {
        **entry,
        "inputs": tensors(xs),
        "outputs": tensors(outs),
        "cotangents": tensors(cotangents),
        "input_gradients": tensors(input_gradients),
        "weight_gradients": tensors(dw),
        "updated": tensors(updated),
    }


def make():
    return {
        f"layers/{keras.src.utils.naming.to_snake_case(name)}": {
            "class_name": name,
            "cases": [run(title, name, case) for title, case in cases.items()],
        }
        for name, cases in CASES.items()
    }
