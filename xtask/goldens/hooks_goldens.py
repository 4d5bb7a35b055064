"""The order in which Keras calls the hooks of callbacks, with the logs that each gets."""

import keras
import numpy as np


class Diary(keras.callbacks.Callback):
    """Writes down every call: the hook, its number if it has one, the names in its logs."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def note(self, hook, number, logs):
        entry = {"hook": hook}
        if number is not None:
            entry["number"] = int(number)
        if logs:
            entry["logs"] = list(logs)
        if logs and "outputs" in logs:
            entry["outputs"] = list(np.asarray(logs["outputs"]).shape)
        self.calls.append(entry)


def plain(hook):
    return lambda self, logs=None: self.note(hook, None, logs)


def numbered(hook):
    return lambda self, number, logs=None: self.note(hook, number, logs)


for edge in ("begin", "end"):
    for run in ("train", "test", "predict"):
        setattr(Diary, f"on_{run}_{edge}", plain(f"on_{run}_{edge}"))
        setattr(Diary, f"on_{run}_batch_{edge}", numbered(f"on_{run}_batch_{edge}"))
    setattr(Diary, f"on_epoch_{edge}", numbered(f"on_epoch_{edge}"))


class StopAfter(keras.callbacks.Callback):
    """Asks a prediction to end after this batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_predict_batch_end(self, batch, logs=None):
        self.model.stop_predicting = batch == self.batch


def make():
    x, y = np.zeros((40, 4), "float32"), np.zeros(40, "int32")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    runs = {
        "fit": ("fit", {"epochs": 2, "batch_size": 20, "validation_split": 0.25, "validation_freq": 2}),
        "evaluate": ("evaluate", {"batch_size": 16}),
        "evaluate_steps": ("evaluate", {"batch_size": 16, "steps": 2}),
        "predict": ("predict", {"batch_size": 16}),
        "predict_steps": ("predict", {"batch_size": 16, "steps": 2}),
        "predict_stopped": ("predict", {"batch_size": 16}),
    }
    made = {}
    for name, (method, arguments) in runs.items():
        diary = Diary()
        callbacks = [diary] + ([StopAfter(1)] if name == "predict_stopped" else [])
        data = (x,) if method == "predict" else (x, y)
        result = getattr(model, method)(*data, **arguments, callbacks=callbacks, verbose=0)
        made[name] = {"arguments": arguments, "calls": diary.calls}
        if method == "predict":
            made[name]["result"] = list(result.shape)
    return {"hooks": {"rows": 40, "runs": made}}
