"""Write the golden fixtures: `python make.py FOLDER [PART…]`. Run it through `cargo xtask goldens`."""

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"

import importlib

import keras

from codec import write

PARTS = [
    "activations",
    "initializers",
    "regularizers",
    "losses",
    "metrics",
    "schedules",
    "optimizers",
    "layers",
    "serialization",
    "histories",
    "mixed",
    "hooks",
    "promotion",
]


def main():
    folder, wanted = sys.argv[1], sys.argv[2:] or PARTS
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        sys.exit(f"unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    for part in wanted:
        start = time.perf_counter()
        files = importlib.import_module(f"{part}_goldens").make()
        for name, value in files.items():
            if isinstance(value, bytes):
                write(f"{folder}/{name}", value)
            else:
                write(f"{folder}/{name}.json", {"keras": keras.__version__, **value})
        print(f"{part}: {len(files)} file(s), {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
