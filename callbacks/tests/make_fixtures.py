"""Writes fixtures/*.json: what Keras' own callbacks do over sequences of metrics.

Needs Python with keras==3.15.1 and jax. Run it in this folder: `KERAS_BACKEND=jax python make_fixtures.py`.
Metrics and thresholds are multiples of 1/64, so that Keras' single-precision comparisons are exact. NaN is null.
"""

import contextlib
import io
import json
import math
import random
import re
import tempfile
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent / "fixtures"
random.seed(7)


class Optimizer:
    """A learning rate in single precision, as Keras' variables keep it."""

    def __init__(self, rate):
        self.learning_rate = rate

    def __setattr__(self, name, value):
        object.__setattr__(self, name, np.float32(value))


class Model:
    """What the callbacks touch of a model. Its weights are the number of the epoch."""

    def __init__(self, rate=0.001):
        self.stop_training = False
        self.optimizer = Optimizer(rate)
        self.metrics = []
        self.epoch = None
        self.saved = []

    def get_weights(self):
        return [self.epoch]

    def set_weights(self, weights):
        (self.epoch,) = weights

    def save(self, path, overwrite=True):
        self.saved.append([self.epoch, Path(path).name])

    save_weights = save


def sixty_fourths(low, high):
    return random.randint(low * 64, high * 64) / 64


def metric_values(length):
    """Falling, rising or wandering, with ties, and now and then a NaN."""
    drift = random.choice([-0.25, 0, 0.25])
    value = sixty_fourths(0, 4)
    values = []
    for _ in range(length):
        value += random.choice([-0.25, -1 / 64, 0, 0, 1 / 64, 0.25]) + drift * random.randint(0, 1)
        values.append(math.nan if random.random() < 0.04 else value)
    return values


def plain(x):
    x = None if x is None else float(x)
    return None if x is None or math.isnan(x) else x


def early_stopping():
    cases = []
    for _ in range(120):
        args = {
            "min_delta": random.choice([0, 0, 1 / 64, -1 / 64, 0.25]),
            "patience": random.randint(0, 4),
            "mode": random.choice(["auto", "min", "max"]),
            "baseline": random.choice([None, None, sixty_fourths(0, 4)]),
            "restore_best_weights": random.choice([False, True]),
            "start_from_epoch": random.choice([0, 0, 1, 3]),
        }
        values = metric_values(random.randint(1, 14))
        model = Model()
        callback = keras.callbacks.EarlyStopping("val_loss", **args)
        callback.set_model(model)
        callback.on_train_begin()
        states = []
        for epoch, value in enumerate(values):
            model.epoch = epoch
            callback.on_epoch_end(epoch, {"val_loss": value})
            states.append([callback.wait, plain(callback.best), callback.best is None, callback.best_epoch])
            if model.stop_training:
                break
        stopped = callback.stopped_epoch if model.stop_training else None
        callback.on_train_end()
        cases.append(
            {"args": args, "values": [plain(v) for v in values], "states": states, "stopped": stopped, "weights": model.epoch}
        )
    return cases


def reduce_lr():
    cases = []
    for _ in range(120):
        args = {
            "factor": random.choice([0.5, 0.25, 0.1, 0.0]),
            "patience": random.randint(0, 3),
            "mode": random.choice(["auto", "min", "max"]),
            "min_delta": random.choice([0, 1 / 64, 0.25]),
            "cooldown": random.randint(0, 3),
            "min_lr": random.choice([0.0, 0.01, 0.1]),
        }
        values = metric_values(random.randint(1, 14))
        model = Model(rate=1.0)
        callback = keras.callbacks.ReduceLROnPlateau("val_loss", **args)
        callback.set_model(model)
        callback.on_train_begin()
        states = []
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
            rate = float(model.optimizer.learning_rate)
            states.append([callback.wait, callback.cooldown_counter, plain(callback.best), logs["learning_rate"], rate])
        cases.append({"args": args, "values": [plain(v) for v in values], "states": states})
    return cases


def checkpoint():
    cases = []
    for _ in range(60):
        by_batches = random.random() < 0.4
        args = {
            "save_best_only": not by_batches and random.random() < 0.7,
            "mode": random.choice(["auto", "min", "max"]),
            "save_freq": random.randint(1, 7) if by_batches else "epoch",
            "initial_value_threshold": random.choice([None, None, sixty_fourths(0, 4)]),
        }
        name = random.choice(["m-{epoch:02d}-{batch:03d}-{loss:.3f}", "m-{epoch}-{batch}-{loss:09.2e}"])
        if not by_batches:
            name = random.choice(["m-{epoch:03d}-{loss:.2f}", "m-{epoch:d}-{loss:.1e}-{loss:f}", "m-{epoch:.1f}-{loss}"])
        path = name + ".keras"
        values = metric_values(random.randint(1, 8))
        # Python prints no name that a file system dislikes for NaN, but reads differently: leave it to the other cases.
        values = [0.5 if math.isnan(v) else v for v in values]
        steps = random.randint(1, 5)
        with tempfile.TemporaryDirectory() as folder:
            model = Model()
            callback = keras.callbacks.ModelCheckpoint(f"{folder}/{path}", monitor="loss", **args)
            callback.set_model(model)
            callback.on_train_begin()
            for epoch, value in enumerate(values):
                model.epoch = epoch
                callback.on_epoch_begin(epoch)
                for batch in range(steps):
                    callback.on_train_batch_end(batch, {"loss": value})
                callback.on_epoch_end(epoch, {"loss": value})
        cases.append({"args": args, "path": path, "steps": steps, "values": values, "saved": model.saved})
    return cases


def csv_logger():
    cases = []
    for epochs in [
        [{"loss": 0.5, "accuracy": 0.25, "val_loss": 1.0}, {"loss": 0.1, "accuracy": 1.0, "val_loss": 1e-7}],
        [{"loss": 0.5, "mae": 2.0}, {"loss": 0.25, "mae": 1.0, "val_loss": 3.0, "val_mae": 4.0}, {"loss": math.nan}],
        [{"loss": 1e30, 'a,"b"': -0.0, "val_loss": math.inf}],
    ]:
        for separator in [",", ";"]:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "log.csv"
                for append in [False, True]:
                    callback = keras.callbacks.CSVLogger(file, separator=separator, append=append)
                    callback.set_model(Model())
                    callback.on_train_begin()
                    for epoch, logs in enumerate(epochs):
                        callback.on_epoch_end(epoch, logs)
                    callback.on_train_end()
                text = file.read_text()
            logs = [[[name, str(value)] for name, value in e.items()] for e in epochs]
            cases.append({"separator": separator, "epochs": logs, "text": text})
    return cases


def shown(bar, *args, **kwargs):
    """What the bar prints, without colours."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        bar.update(*args, **kwargs)
    return re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()).strip("\b\r\n ")


def numbers():
    """Numbers and times as the progress bar of Keras prints them."""
    metrics = []
    for value in [0.5, -0.25, 1e-3, 1.0001e-3, 0.0, -1.5e-120, 12345.67891, 3e-5, -2e-4]:
        metrics.append([value, shown(keras.utils.Progbar(10), 10, [("x", value)]).split("x: ")[1]])
    left = []
    for seconds in [3, 59, 125, 3599, 3661, 90000]:
        bar = keras.utils.Progbar(2)
        bar._start -= seconds + 0.2
        left.append([seconds, shown(bar, 1).split()[2]])
    micros = [0, 80, 999, 1000, 15400, 999_400, 1_000_000, 2_600_000]
    steps = [[m, keras.utils.Progbar(1)._format_time(m / 1e6, "step").strip()] for m in micros]
    return {"metrics": metrics, "left": left, "steps": steps}


for maker in [early_stopping, reduce_lr, checkpoint, csv_logger, numbers]:
    cases = maker()
    rows = ",\n".join(json.dumps(case, allow_nan=False) for case in cases) if isinstance(cases, list) else None
    text = f"[\n{rows}\n]\n" if rows else json.dumps(cases, allow_nan=False) + "\n"
    (HERE / f"{maker.__name__}.json").write_text(text)
