"""Half precision: trainings of `histories` under mixed policies, and what LossScaleOptimizer does when gradients overflow."""

import keras
import numpy as np

from codec import number, numbers, rng, short, tensor, variables
from histories_goldens import convnet, lstm, mlp, train

POLICIES = ["mixed_float16", "mixed_bfloat16"]
TRAININGS = [mlp, convnet, lstm]
STEPS = 12
# Steps with one gradient that is not finite: where it is, and what it is.
OVERFLOWS = {3: (0, np.inf), 4: (1, np.nan), 9: (1, -np.inf)}

WRAPPED = [
    ("SGD", {"learning_rate": 0.1, "momentum": 0.8}),
    ("Adam", {"learning_rate": 0.05, "clipnorm": 0.9, "weight_decay": 0.03}),
    ("Adam", {"learning_rate": 0.05, "gradient_accumulation_steps": 2}),
    ("RMSprop", {"learning_rate": 0.02, "global_clipnorm": 1.1, "use_ema": True, "ema_momentum": 0.8}),
]


def wrapped(name, config, start, gradients):
    inner = getattr(keras.optimizers, name)(**config)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0, dynamic_growth_steps=3)
    held = [keras.Variable(value, name=key) for key, value in start]
    optimizer.build(held)
    steps, scales = [], []
    for at, step in enumerate(gradients):
        scale = np.float32(optimizer.dynamic_scale.numpy())
        scales.append(number(scale))
        scaled = [g * scale for g in step]
        if at in OVERFLOWS:
            which, value = OVERFLOWS[at]
            scaled[which].ravel()[1] = value
        # On JAX only the stateless way can branch.
        state = [v.value for v in optimizer.variables], scaled, [v.value for v in held]
        weights, slots = optimizer.stateless_apply(*state)
        for variable, value in [*zip(held, weights), *zip(optimizer.variables, slots)]:
            variable.assign(value)
        steps.append([numbers(v.numpy()) for v in held])
    return {
        "config": keras.saving.serialize_keras_object(optimizer),
        "scales": scales,
        "weights": steps,
        "variables": variables(optimizer.variables),
    }


def loss_scale():
    key = rng("loss_scale")
    start = [("kernel", short(key, (2, 3))), ("bias", short(key, (3,)))]
    gradients = [[short(key, (2, 3), -1.2, 1.2), short(key, (3,), -1.2, 1.2)] for _ in range(STEPS)]
    return {
        "variables": [{"name": n, **tensor(v)} for n, v in start],
        "gradients": [[tensor(g) for g in step] for step in gradients],
        "overflows": [[step, which, number(value)] for step, (which, value) in OVERFLOWS.items()],
        "cases": [wrapped(name, config, start, gradients) for name, config in WRAPPED],
    }


def scaled(build):
    """The same training under a scale that no gradient overflows with: what overflows is a matter of rounding."""

    def wrapped():
        model, compiled, data, fit = build()
        scale = keras.optimizers.LossScaleOptimizer(compiled["optimizer"], initial_scale=64.0, dynamic_growth_steps=10)
        return model, {**compiled, "optimizer": scale}, data, fit

    return wrapped


def mixed(build, policy):
    """A training of `histories` under this policy, from the same first weights and data, which are not repeated here."""
    start = train(build)["initial_weights"]
    golden = train(scaled(build) if policy == "mixed_float16" else build, start, policy)
    for known in ["data", "initial_weights"]:
        del golden[known]
    return {"policy": policy, **golden}


def make():
    files = {f"mixed/{build.__name__}_{policy}": mixed(build, policy) for build in TRAININGS for policy in POLICIES}
    return {"mixed/loss_scale": loss_scale(), **files}
