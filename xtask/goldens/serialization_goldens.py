"""Models as Keras writes them: the whole configuration, parameter counts, and where the weights lie in the file."""

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers, regularizers

from codec import rng, short, tensors, variables


def image_classifier():
    return keras.Sequential(
        [
            layers.Input((9, 7, 3), name="image"),
            layers.Rescaling(1 / 255, offset=-0.5),
            layers.Conv2D(
                4, (3, 2), strides=(2, 1), padding="same", activation="relu", kernel_regularizer=regularizers.L2(1e-4)
            ),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-4),
            layers.MaxPooling2D((2, 3), strides=2, padding="same"),
            layers.Conv2D(6, 2, groups=2, use_bias=False, kernel_initializer="he_normal"),
            layers.BatchNormalization(center=False, scale=False),
            layers.Activation("swish"),
            layers.AveragePooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dropout(0.3, seed=5),
            layers.Dense(
                5, activation="softmax", bias_initializer=keras.initializers.Constant(0.1), name="probabilities"
            ),
        ],
        name="image_classifier",
    )


def pooled():
    return keras.Sequential(
        [
            layers.Input((6, 5, 2)),
            layers.Conv2D(3, 3, dilation_rate=(1, 2), trainable=False),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Reshape((-1, 1)),
            layers.LSTM(
                4, activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True, go_backwards=True
            ),
            layers.LSTM(
                2, use_bias=False, unit_forget_bias=False, recurrent_initializer=keras.initializers.Orthogonal(0.5)
            ),
            layers.Dense(1, kernel_regularizer=regularizers.L1L2(0.01, 0.02), activity_regularizer="l1"),
        ],
        name="pooled",
    )


def two_paths():
    numbers = keras.Input((4,), name="numbers")
    words = keras.Input((5, 2), name="words")
    shared = layers.Dense(3, activation="tanh", name="shared")
    left = shared(layers.Normalization(mean=[0.0, 1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0, 16.0])(numbers))
    right = shared(layers.Dense(4)(layers.LSTM(3, name="reader")(words)))
    joined = layers.Concatenate()([layers.Add()([left, right]), left])
    return keras.Model(
        [numbers, words],
        [layers.Dense(1, name="score")(joined), layers.Dense(2, name="kind")(joined)],
        name="two_paths",
    )


def nested():
    inner = keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, activation="gelu"), layers.LayerNormalization()], name="inner"
    )
    return keras.Sequential([layers.Input((3,)), inner, layers.Dense(2)], name="nested")


def unbuilt():
    return keras.Sequential([layers.Dense(3, activation="relu"), layers.Dense(1)], name="unbuilt")


COMPILE = {
    "image_classifier": lambda: {
        "optimizer": keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9), momentum=0.9),
        "loss": keras.losses.SparseCategoricalCrossentropy(ignore_class=-1),
        "metrics": ["accuracy"],
    },
    "pooled": lambda: {
        "optimizer": keras.optimizers.RMSprop(0.01, centered=True, clipnorm=1.0),
        "loss": "mse",
        "weighted_metrics": [keras.metrics.RootMeanSquaredError(name="rmse")],
    },
    "two_paths": lambda: {
        "optimizer": keras.optimizers.AdamW(0.001, use_ema=True, ema_momentum=0.95),
        "loss": {"score": keras.losses.Huber(delta=0.5), "kind": "categorical_crossentropy"},
        "loss_weights": {"score": 0.3, "kind": 1.0},
        "metrics": {"kind": ["accuracy"], "score": ["mae"]},
    },
    "nested": lambda: {
        "optimizer": "adam",
        "loss": keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    },
}


def images(key):
    return key.integers(0, 256, (6, 9, 7, 3)).astype("uint8"), key.integers(0, 5, (6,)).astype("int32")


# What every model is trained on for two steps, so that the optimizer has a state worth saving.
DATA = {
    "image_classifier": images,
    "pooled": lambda key: (short(key, (6, 6, 5, 2)), short(key, (6, 1))),
    "two_paths": lambda key: (
        [short(key, (6, 4)), short(key, (6, 5, 2))],
        [short(key, (6, 1)), np.eye(2, dtype="float32")[key.integers(0, 2, 6)]],
    ),
    "nested": lambda key: (short(key, (6, 3)), key.integers(0, 2, (6, 2)).astype("float32")),
}


def renumbered(config):
    """The identities of shared objects, which Keras takes from memory addresses, as 1, 2, 3 in order of appearance."""
    order = {}
    return re.sub(
        r'("shared_object_id": )(\d+)', lambda found: found[1] + str(order.setdefault(found[2], len(order) + 1)), config
    )


def repacked(path):
    """Keras' own entries without the time of day and memory addresses: written again, the bytes are the same."""
    target = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": "2026-01-01@00:00:00"}).encode()
            if entry.filename == "config.json":
                content = renumbered(content.decode()).encode()
            copy.writestr(zipfile.ZipInfo(entry.filename), content)
    return target.getvalue()


def datasets(path):
    """Path and shape of every dataset of `model.weights.h5`, with the name that Keras gives its group."""
    found = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            group = item.parent.attrs.get("name")
            found.append({"path": name, "group_name": group, "shape": list(item.shape), "dtype": str(item.dtype)})

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(visit)
    return sorted(found, key=lambda entry: entry["path"])


def count(weights):
    return sum(v.value.size for v in weights)


def as_list(value):
    return list(value) if isinstance(value, list) else [value]


def describe(build):
    """The fixture of one model and, where it can be built, the bytes of its `.keras` file."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    model = build()
    if not model.built:
        return {"json": keras.saving.serialize_keras_object(model)}, None
    model.compile(**COMPILE[model.name]())
    x, y = DATA[model.name](rng(model.name))
    model.fit(x, y, batch_size=3, epochs=1, shuffle=False, verbose=0)
    # After `fit` with `use_ema` a weight and its average share one array, which JAX then gives away under one of them.
    for variable in model.optimizer.variables:
        variable.assign(variable.numpy().copy())
    entry = {
        "json": keras.saving.serialize_keras_object(model),
        "parameters": {
            "total": count(model.weights),
            "trainable": count(model.trainable_weights),
            "non_trainable": count(model.non_trainable_weights),
        },
        "layers": [
            {"name": layer.name, "class_name": layer.__class__.__name__, "parameters": layer.count_params()}
            for layer in model.layers
        ],
        "output_shapes": [list(shape) for shape in as_list(model.output_shape)],
        "weights": variables(model.weights),
        "optimizer_variables": variables(model.optimizer.variables),
        "inputs": tensors(as_list(x)),
        "predictions": tensors(as_list(model.predict(x, verbose=0))),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        entry["datasets"] = datasets(path)
        return entry, repacked(path)


def make():
    models, files = {}, {}
    for build in (image_classifier, pooled, two_paths, nested, unbuilt):
        name = build.__name__
        models[name], archive = describe(build)
        if archive is not None:
            files[f"files/{name}.keras"] = archive
    return {"serialization": {"models": models}, **files}
