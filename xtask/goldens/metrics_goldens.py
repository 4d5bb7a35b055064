"""Metrics: the result after every batch and the state at the end, and how "accuracy" is resolved."""

import keras
from keras.src.trainers.compile_utils import CompileMetrics

from codec import number, rng, short, tensor, variables
from losses_goldens import bits, classes, logits, one_hot, probabilities, unit

BATCHES = [5, 5, 3]


def column(make):
    return lambda key, shape: make(key, shape)[..., None]


# class, config, labels, predictions, trailing shape of the predictions
CASES = [
    ("Accuracy", {}, bits, bits, (3,)),
    ("BinaryAccuracy", {}, bits, unit, (1,)),
    ("BinaryAccuracy", {"threshold": 0.7}, bits, unit, (3,)),
    ("BinaryAccuracy", {"threshold": 0.3}, lambda k, s: bits(k, s[:-1]), unit, (1,)),
    ("CategoricalAccuracy", {}, one_hot, probabilities, (4,)),
    ("CategoricalAccuracy", {}, one_hot, logits, (2, 3)),
    ("SparseCategoricalAccuracy", {}, classes, probabilities, (4,)),
    ("SparseCategoricalAccuracy", {}, column(classes), logits, (4,)),
    ("SparseCategoricalAccuracy", {}, classes, logits, (3, 4)),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot, logits, (5,)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, classes, logits, (5,)),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, column(classes), logits, (5,)),
    ("MeanSquaredError", {}, logits, logits, (3,)),
    ("MeanAbsoluteError", {}, logits, logits, (2, 3)),
    ("RootMeanSquaredError", {}, logits, logits, (3,)),
    ("MeanAbsolutePercentageError", {}, logits, logits, (3,)),
    ("MeanSquaredLogarithmicError", {}, unit, unit, (3,)),
    ("LogCoshError", {}, logits, logits, (3,)),
    ("CosineSimilarity", {}, logits, logits, (3,)),
    ("R2Score", {}, logits, logits, (2,)),
    ("BinaryCrossentropy", {"from_logits": True}, bits, logits, (3,)),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, bits, unit, (3,)),
    ("CategoricalCrossentropy", {}, one_hot, probabilities, (3,)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, one_hot, logits, (3,)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, classes, logits, (3,)),
    ("KLDivergence", {}, probabilities, probabilities, (3,)),
    ("Poisson", {}, unit, unit, (3,)),
    ("Precision", {}, bits, unit, (2,)),
    ("Recall", {"thresholds": 0.4}, bits, unit, (2,)),
    ("AUC", {"num_thresholds": 21}, bits, unit, (1,)),
]

REDUCING = ["Mean", "Sum"]

RESOLVED = [
    ("binary, one column", "accuracy", bits, unit, (1,)),
    ("binary, labels without the column", "accuracy", lambda k, s: bits(k, s[:-1]), unit, (1,)),
    ("binary, short name", "acc", bits, unit, (1,)),
    ("sparse", "accuracy", classes, probabilities, (4,)),
    ("sparse, column labels", "accuracy", column(classes), logits, (4,)),
    ("sparse, sequence", "acc", classes, logits, (3, 4)),
    ("categorical", "accuracy", one_hot, logits, (4,)),
    ("binary crossentropy", "binary_crossentropy", bits, unit, (1,)),
    ("sparse crossentropy", "sparse_categorical_crossentropy", classes, probabilities, (4,)),
    ("mean squared error", "mse", logits, logits, (3,)),
    ("mean absolute error", "mae", logits, logits, (3,)),
]


def plain_state(metric):
    return [{"name": v["name"], "shape": v["shape"], "dtype": v["dtype"], "data": v["data"]} for v in variables(metric)]


def case(row, weighted):
    name, config, labels, predictions, tail = row
    key = rng(f"metric {name}{config}{tail}{weighted}")
    metric = getattr(keras.metrics, name)(**config)
    batches = []
    for size in BATCHES:
        y_true, y_pred = labels(key, (size, *tail)), predictions(key, (size, *tail))
        weight = short(key, (size,), 0, 3) if weighted else None
        metric.update_state(y_true, y_pred, sample_weight=weight)
        batch = {"y_true": tensor(y_true), "y_pred": tensor(y_pred)}
        if weighted:
            batch["sample_weight"] = tensor(weight)
        batches.append({**batch, "result": number(metric.result())})
    return {
        "class_name": name,
        "config": config,
        "name": metric.name,
        "batches": batches,
        "state": plain_state(metric.variables),
    }


def reducing(name, weighted):
    key = rng(f"metric {name}{weighted}")
    metric = getattr(keras.metrics, name)()
    batches = []
    for size in BATCHES:
        values, weight = short(key, (size, 2), -3, 3), short(key, (size, 1), 0, 3) if weighted else None
        metric.update_state(values, sample_weight=weight)
        batch = {"values": tensor(values), **({"sample_weight": tensor(weight)} if weighted else {})}
        batches.append({**batch, "result": number(metric.result())})
    return {
        "class_name": name,
        "config": {},
        "name": metric.name,
        "batches": batches,
        "state": plain_state(metric.variables),
    }


def by_name(title, string, labels, predictions, tail):
    """`metrics` ignore the sample weights, `weighted_metrics` use them, as in `compile`."""
    key = rng(f"metric by name {title}")
    data = [(labels(key, (n, *tail)), predictions(key, (n, *tail)), short(key, (n,), 0, 3)) for n in BATCHES]
    compiled = CompileMetrics(metrics=[string], weighted_metrics=[string])
    compiled.build(data[0][0], data[0][1])
    batches = []
    for y_true, y_pred, weight in data:
        compiled.update_state(y_true, y_pred, sample_weight=weight)
        result = {k: number(v) for k, v in compiled.result().items()}
        batches.append(
            {"y_true": tensor(y_true), "y_pred": tensor(y_pred), "sample_weight": tensor(weight), "result": result}
        )
    return {"title": title, "given": string, "resolved": found(compiled), "batches": batches}


def found(compiled):
    (metrics,) = compiled._flat_metrics
    metric = metrics.metrics[0]
    return {"class_name": metric.__class__.__name__, "function": metric._fn.__name__, "name": metric.name}


def make():
    return {
        "metrics": {
            "cases": [case(row, weighted) for row in CASES for weighted in (False, True)],
            "reducing": [reducing(name, weighted) for name in REDUCING for weighted in (False, True)],
            "by_name": [by_name(*row) for row in RESOLVED],
        }
    }
