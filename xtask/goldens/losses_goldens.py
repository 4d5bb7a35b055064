"""Losses: value and gradient with respect to y_pred, over reductions, weights and masks."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

from codec import resolved, rng, short, tensor


def probabilities(key, shape):
    x = key.uniform(0.05, 1.0, shape)
    return np.round(x / x.sum(-1, keepdims=True), 3).astype("float32")


def one_hot(key, shape):
    return np.eye(shape[-1], dtype="float32")[key.integers(0, shape[-1], shape[:-1])]


def one_hot_axis_1(key, shape):
    return np.moveaxis(one_hot(key, (shape[0], shape[2], shape[1])), 2, 1)


def soft(key, shape):
    return probabilities(key, shape)


def classes(key, shape):
    return key.integers(0, shape[-1], shape[:-1]).astype("int32")


def bits(key, shape):
    return key.integers(0, 2, shape).astype("float32")


def unit(key, shape):
    return short(key, shape, 0.02, 0.98)


def logits(key, shape):
    return short(key, shape, -4, 4)


def signs(key, shape):
    return 2 * bits(key, shape) - 1


CE, SCE, BCE = "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "BinaryCrossentropy"

BALANCED = {"from_logits": True, "gamma": 1.5, "alpha": 0.3, "apply_class_balancing": True}

# class, config, labels, predictions, shape of the predictions
PLAIN = [
    (CE, {}, one_hot, probabilities, (4, 3)),
    (CE, {}, soft, probabilities, (4, 3)),
    (CE, {"from_logits": True}, one_hot, logits, (4, 3)),
    (CE, {"from_logits": True, "label_smoothing": 0.2}, one_hot, logits, (4, 3)),
    (CE, {"label_smoothing": 0.1}, one_hot, probabilities, (2, 3, 5)),
    (CE, {"from_logits": True, "axis": 1}, one_hot_axis_1, logits, (2, 3, 5)),
    (SCE, {}, classes, probabilities, (5, 4)),
    (SCE, {"from_logits": True}, classes, logits, (5, 4)),
    (SCE, {"from_logits": True}, lambda k, s: classes(k, s)[..., None], logits, (5, 4)),
    (SCE, {"from_logits": True}, classes, logits, (2, 3, 4)),
    (SCE, {"from_logits": True, "ignore_class": 2}, classes, logits, (2, 5, 4)),
    (SCE, {"ignore_class": -1}, lambda k, s: classes(k, s) - 1, probabilities, (7, 3)),
    (BCE, {}, bits, unit, (4, 3)),
    (BCE, {}, bits, unit, (5, 1)),
    (BCE, {}, lambda k, s: bits(k, s[:-1]), unit, (5, 1)),
    (BCE, {"from_logits": True}, bits, logits, (4, 3)),
    (BCE, {"from_logits": True, "label_smoothing": 0.3}, bits, logits, (2, 3, 2)),
    (BCE, {"label_smoothing": 0.1}, bits, unit, (4, 3)),
    ("MeanSquaredError", {}, logits, logits, (4, 3)),
    ("MeanSquaredError", {}, lambda k, s: logits(k, s[:-1]), logits, (5, 1)),
    ("MeanAbsoluteError", {}, logits, logits, (2, 3, 4)),
    ("MeanAbsolutePercentageError", {}, logits, logits, (4, 3)),
    ("MeanSquaredLogarithmicError", {}, unit, unit, (4, 3)),
    ("Huber", {}, logits, logits, (4, 3)),
    ("Huber", {"delta": 2.5}, logits, logits, (4, 3)),
    ("LogCosh", {}, logits, logits, (4, 3)),
    ("KLDivergence", {}, probabilities, probabilities, (4, 3)),
    ("Poisson", {}, unit, unit, (4, 3)),
    ("CosineSimilarity", {}, logits, logits, (4, 3)),
    ("Hinge", {}, bits, logits, (4, 3)),
    ("Hinge", {}, signs, logits, (4, 3)),
    ("SquaredHinge", {}, signs, logits, (4, 3)),
    ("CategoricalHinge", {}, one_hot, logits, (4, 3)),
    ("BinaryFocalCrossentropy", {}, bits, unit, (4, 3)),
    ("BinaryFocalCrossentropy", BALANCED, bits, logits, (4, 3)),
    ("CategoricalFocalCrossentropy", {"alpha": 0.4, "gamma": 1.2}, one_hot, probabilities, (4, 3)),
    ("Dice", {}, bits, unit, (2, 3, 4)),
    ("Dice", {}, lambda k, s: bits(k, s[:-1]), unit, (5, 1)),
    ("Dice", {"axis": [1, 2]}, bits, unit, (3, 2, 4)),
    ("Dice", {"axis": -1}, bits, unit, (3, 4)),
]

REDUCED = [
    (CE, {"from_logits": True}, one_hot, logits, (4, 3)),
    (SCE, {"from_logits": True}, classes, logits, (2, 3, 4)),
    (SCE, {"from_logits": True, "ignore_class": 2}, classes, logits, (2, 5, 4)),
    (BCE, {"from_logits": True}, bits, logits, (4, 3)),
    ("MeanSquaredError", {}, logits, logits, (2, 3, 4)),
    ("Huber", {"delta": 0.8}, logits, logits, (4, 3)),
    ("MeanAbsoluteError", {}, logits, logits, (2, 3, 5)),
    ("Dice", {"axis": [1, 2]}, bits, unit, (3, 2, 4)),
    ("Dice", {"axis": [2]}, bits, unit, (3, 2, 4)),
]

# Losses of a whole batch: one number whatever the reduction, with weights and masks of samples and positions.
WHOLE = [("Dice", {}, bits, unit, (3, 4))]

REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"]


def case(row, weighted=None, masked=False):
    name, config, labels, predictions, shape = row
    key = rng(f"{name}{config}{shape}{weighted}{masked}")
    y_true, y_pred = labels(key, shape), predictions(key, shape)
    unreduced = keras.losses.get({"class_name": name, "config": {**config, "reduction": "none"}})
    values = tuple(unreduced(y_true, y_pred).shape)
    if not values:
        values = shape[:1] if weighted == "samples" else shape
    weight = {None: None, "samples": values[:1], "values": values, "column": values[:1] + (1,) * (len(values) - 1)}[
        weighted
    ]
    weight = None if weight is None else short(key, weight, 0, 3)
    mask = None
    if masked:
        mask = key.integers(0, 3, values) > 0
        mask.flat[0] = False
    loss = keras.losses.get({"class_name": name, "config": config})

    def value(p):
        if mask is not None:
            keras.src.backend.set_keras_mask(p, jnp.asarray(mask))
        return loss(jnp.asarray(y_true), p, sample_weight=weight)

    y, back = jax.vjp(value, jnp.asarray(y_pred))
    cotangent = short(key, y.shape, 0.1, 2) if y.ndim else np.float32(1)
    entry = {"class_name": name, "config": config, "y_true": tensor(y_true), "y_pred": tensor(y_pred)}
    if weight is not None:
        entry["sample_weight"] = tensor(weight)
    if mask is not None:
        entry["mask"] = tensor(mask)
    gradient = back(jnp.asarray(cotangent))[0]
    return {**entry, "value": tensor(y), "cotangent": tensor(cotangent), "gradient": tensor(gradient)}


def with_reduction(row, reduction):
    return (row[0], {**row[1], "reduction": reduction}, *row[2:])


def make():
    cases = [case(row) for row in PLAIN]
    for row in REDUCED:
        values = len(row[4]) - 1
        for reduction in REDUCTIONS:
            reduced = with_reduction(row, reduction)
            cases += [case(reduced), case(reduced, "samples" if values == 1 else "column"), case(reduced, "values")]
        cases += [case(row, masked=True), case(row, "values", masked=True)]
        cases.append(case(with_reduction(row, "mean_with_sample_weight"), "values", masked=True))
    for row in WHOLE:
        for reduction in REDUCTIONS:
            reduced = with_reduction(row, reduction)
            cases += [case(reduced), case(reduced, "samples")]
        cases += [case(row, masked=True), case(row, "values", masked=True)]
        cases.append(case(with_reduction(row, "mean_with_sample_weight"), "values", masked=True))
    names = [
        "mse",
        "mae",
        "mape",
        "msle",
        "bce",
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "huber",
        "log_cosh",
        "kl_divergence",
        "poisson",
        "cosine_similarity",
        "hinge",
        "squared_hinge",
        "categorical_hinge",
        "dice",
        "mean_squared_error",
        "mean_absolute_error",
    ]
    return {"losses": {"names": resolved(keras.losses.get, names), "cases": cases}}
