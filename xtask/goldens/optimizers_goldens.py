"""Ten steps of every optimizer on two variables: weights after each step and all its variables at the end."""

import keras
import numpy as np

from codec import numbers, resolved, rng, short, tensor, variables

STEPS = 10

OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.8}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True}),
    ("Adam", {"learning_rate": 0.05}),
    ("Adam", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.05}),
    ("RMSprop", {"learning_rate": 0.02}),
    ("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.6, "epsilon": 1e-4}),
    ("RMSprop", {"learning_rate": 0.02, "momentum": 0.5, "centered": True}),
]

SCHEDULE = {
    "class_name": "ExponentialDecay",
    "config": {"initial_learning_rate": 0.2, "decay_steps": 3, "decay_rate": 0.6, "staircase": True},
}

VARIANTS = [
    ("plain", {}),
    ("weight_decay", {"weight_decay": 0.03}),
    ("clipnorm", {"clipnorm": 0.9}),
    ("global_clipnorm", {"global_clipnorm": 1.1}),
    ("clipvalue", {"clipvalue": 0.4}),
    ("ema", {"use_ema": True, "ema_momentum": 0.8}),
    ("ema_overwrite", {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4}),
    ("schedule", {"learning_rate": SCHEDULE}),
    ("accumulation", {"gradient_accumulation_steps": 3}),
]

OTHERS = [
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 0.9}),
    ("Adamax", {"learning_rate": 0.05}),
    ("Nadam", {"learning_rate": 0.05}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.01}),
    ("Lion", {"learning_rate": 0.02}),
    ("Lamb", {"learning_rate": 0.05}),
]

NAMES = ["sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "lamb"]


def case(name, config, variant, extra, start, gradients):
    given = {**config, **extra}
    real = {k: keras.optimizers.schedules.deserialize(v) if isinstance(v, dict) else v for k, v in given.items()}
    optimizer = getattr(keras.optimizers, name)(**real)
    held = [keras.Variable(value, name=key) for key, value in start]
    if variant == "weight_decay_excluded":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(held)
    steps, rates = [], []
    for step in gradients:
        rates.append(optimizer.learning_rate)
        optimizer.apply_gradients(zip(step, held))
        steps.append([numbers(v.numpy()) for v in held])
    entry = {
        "class_name": name,
        "variant": variant,
        "config": given,
        "learning_rates": numbers([np.asarray(r) for r in rates]),
        "weights": steps,
        "variables": variables(optimizer.variables),
    }
    if given.get("use_ema"):
        optimizer.finalize_variable_values(held)
        entry["finalized"] = [numbers(v.numpy()) for v in held]
    return entry


def make():
    key = rng("optimizers")
    start = [("kernel", short(key, (2, 3))), ("bias", short(key, (3,)))]
    gradients = [[short(key, (2, 3), -1.2, 1.2), short(key, (3,), -1.2, 1.2)] for _ in range(STEPS)]
    gradients[3][1][:] = 0
    cases = [case(n, c, v, e, start, gradients) for n, c in OPTIMIZERS for v, e in VARIANTS]
    decayed = {"learning_rate": 0.05, "weight_decay": 0.1}
    cases.append(case("AdamW", decayed, "weight_decay_excluded", {}, start, gradients))
    cases += [case(n, c, "plain", {}, start, gradients) for n, c in OTHERS]
    every = {"learning_rate": 0.05, "weight_decay": 0.02, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3}
    for chosen in (every, {**every, "amsgrad": True}):
        cases += [case("AdamW", chosen, v, e, start, gradients) for v, e in VARIANTS if "weight_decay" not in e]
    return {
        "optimizers": {
            "names": resolved(keras.optimizers.get, NAMES),
            "variables": [{"name": n, **tensor(v)} for n, v in start],
            "gradients": [[tensor(g) for g in step] for step in gradients],
            "cases": cases,
        }
    }
