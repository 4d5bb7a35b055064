"""Whole trainings: same first weights, same batches; the history, the last weights, evaluate and predict."""

import keras
import numpy as np
from keras import layers

from codec import number, numbers, rng, short, tensor, variables

EPOCHS, SHOWN = 3, 5


def labelled(name, samples, shape, classes, whole=None):
    """Inputs and labels that can be learned: a random linear rule, then some labels turned over."""
    key = rng(name)
    x = key.integers(0, 256, (samples, *shape)).astype("uint8") if whole else short(key, (samples, *shape), -2, 2)
    flat = x.reshape(samples, -1).astype("float32")
    flat = (flat - flat.mean()) / flat.std()
    y = (flat @ key.normal(size=(flat.shape[1], classes))).argmax(-1)
    turned = key.random(samples) < 0.1
    y[turned] = key.integers(0, classes, turned.sum())
    return key, x, y.astype("int32")


def mlp():
    _, x, y = labelled("mlp", 203, (8,), 3)
    model = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(10, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(3),
        ],
        name="mlp",
    )
    return (
        model,
        {
            "optimizer": keras.optimizers.Adam(0.01),
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["accuracy"],
        },
        {"x": x, "y": y},
        {"batch_size": 32, "validation_split": 0.2, "class_weight": {0: 1.0, 1: 2.5, 2: 0.5}},
    )


def convnet():
    _, x, y = labelled("convnet", 150, (9, 7, 1), 3, whole=True)
    model = keras.Sequential(
        [
            layers.Input((9, 7, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, (3, 2), use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="convnet",
    )
    return (
        model,
        {
            "optimizer": keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        {"x": x, "y": y},
        {"batch_size": 16, "validation_split": 0.15},
    )


def lstm():
    key, x, y = labelled("lstm", 170, (7, 3), 2)
    model = keras.Sequential(
        [
            layers.Input((7, 3)),
            layers.LSTM(5, return_sequences=True),
            layers.LSTM(4),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="lstm",
    )
    return (
        model,
        {
            "optimizer": keras.optimizers.RMSprop(0.01),
            "loss": "binary_crossentropy",
            "metrics": ["accuracy"],
            "weighted_metrics": ["mse"],
        },
        {"x": x, "y": y[:, None].astype("float32"), "sample_weight": short(key, (170,), 0.1, 2)},
        {
            "batch_size": 24,
            "validation_split": 0.25,
        },
    )


def categorical():
    _, x, y = labelled("categorical", 161, (6,), 4)
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(9, activation="tanh"),
            layers.Dense(4, activation="softmax"),
        ],
        name="categorical",
    )
    return (
        model,
        {
            "optimizer": keras.optimizers.AdamW(0.02, weight_decay=0.01, clipnorm=0.5),
            "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
            "metrics": ["accuracy", keras.metrics.TopKCategoricalAccuracy(k=2, name="top2")],
        },
        {"x": x, "y": np.eye(4, dtype="float32")[y]},
        {"batch_size": 20, "validation_split": 0.1},
    )


def regression():
    key = rng("regression")
    x = np.round(key.normal((3, -2, 10, 0), (2, 0.5, 4, 1), (185, 4)), 2).astype("float32")
    y = np.round(np.sin(x[:, :1]) + 0.3 * x[:, 1:2] * x[:, 3:] + 0.05 * x[:, 2:3], 2).astype("float32")
    inputs = keras.Input((4,), name="features")
    normalization = layers.Normalization()
    normalization.adapt(x)
    hidden = layers.Dense(8, activation="swish")(normalization(inputs))
    hidden = layers.Add()([hidden, layers.Dense(8, activation="tanh")(hidden)])
    model = keras.Model(inputs, layers.Dense(1)(hidden), name="regression")
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 15, alpha=0.1)
    return (
        model,
        {
            "optimizer": keras.optimizers.Adam(schedule, global_clipnorm=1.0),
            "loss": "mse",
            "metrics": ["mae", keras.metrics.RootMeanSquaredError()],
        },
        {"x": x, "y": y},
        {"batch_size": 27, "validation_split": 0.3},
    )


MODELS = [mlp, convnet, lstm, categorical, regression]


def train(build, start=None, policy="float32"):
    """The fixture of one training, from Keras' random weights or from those of an earlier fixture."""
    keras.utils.clear_session()  # also forgets the policy
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(11)
    model, compiled, data, fit = build()
    model.compile(**compiled)
    if start is not None:
        values = {w["path"]: np.array(w["data"], w["dtype"]).reshape(w["shape"]) for w in start}
        model.set_weights([values[w.path] for w in model.weights])
    first = variables(model.weights)
    config = keras.saving.serialize_keras_object(model)
    history = model.fit(**data, **fit, epochs=EPOCHS, shuffle=False, verbose=0).history
    scores = model.evaluate(**data, batch_size=29, return_dict=True, verbose=0)
    config.pop("build_config", None)
    return {
        "model": config,
        "data": {k: tensor(v) for k, v in data.items()},
        "fit": {"epochs": EPOCHS, "shuffle": False, **fit},
        "initial_weights": first,
        "history": {k: numbers([np.float32(v) for v in values]) for k, values in history.items()},
        "final_weights": variables(model.weights),
        "optimizer_variables": variables(model.optimizer.variables),
        "evaluate": {"batch_size": 29, "result": {k: number(np.float32(v)) for k, v in scores.items()}},
        "predict": {"rows": SHOWN, "result": tensor(model.predict(data["x"][:SHOWN], verbose=0))},
    }


def make():
    return {f"histories/{build.__name__}": train(build) for build in MODELS}
