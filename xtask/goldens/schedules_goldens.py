"""Learning-rate schedules at many steps."""

import keras

from codec import numbers

STEPS = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    9,
    10,
    11,
    14,
    15,
    16,
    19,
    20,
    21,
    25,
    29,
    30,
    31,
    37,
    40,
    41,
    50,
    63,
    100,
    101,
    250,
    1000,
]

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.8}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.8, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 20, 40], "values": [0.3, 0.1, 0.05, 0.01]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.2, "decay_steps": 20}),
    ("PolynomialDecay", {"initial_learning_rate": 0.2, "decay_steps": 20, "end_learning_rate": 0.02, "power": 1.7}),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.2, "decay_steps": 20, "end_learning_rate": 0.02, "power": 0.5, "cycle": True},
    ),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 30}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "alpha": 0.15}),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.01, "decay_steps": 30, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 10},
    ),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "warmup_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 10, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.05},
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 8, "t_mul": 1.5, "m_mul": 0.9, "alpha": 0.1},
    ),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
]


def make():
    cases = []
    for name, config in CASES:
        schedule = getattr(keras.optimizers.schedules, name)(**config)
        cases.append({"class_name": name, "config": config, "rates": numbers([schedule(step) for step in STEPS])})
    return {"schedules": {"steps": STEPS, "cases": cases}}
