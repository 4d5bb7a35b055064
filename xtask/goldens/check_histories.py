"""Train the histories again on another backend of Keras and print how far the results are apart.

usage: KERAS_BACKEND=torch python check_histories.py FIXTURES   (fixtures/keras; needs that backend installed)

A training that passes close to a kink (a ReLU at zero, two equal maxima) would tell little about a third
implementation; here both of Keras' backends must agree far better than the tolerance of the tests.
"""

import json
import sys
from pathlib import Path

import numpy as np

from histories_goldens import MODELS, train


def apart(one, other):
    one, other = np.array(one, float), np.array(other, float)
    return np.abs(one - other).max() / max(np.abs(other).max(), 1e-9)


def main():
    worst = 0.0
    for build in MODELS:
        fixture = json.loads((Path(sys.argv[1]) / f"histories/{build.__name__}.json").read_text())
        again = train(build, fixture["initial_weights"])
        distances = {
            "history": max(apart(again["history"][k], v) for k, v in fixture["history"].items()),
            "final_weights": max(
                apart(a["data"], b["data"])
                for a, b in zip(again["final_weights"], fixture["final_weights"], strict=True)
            ),
            "predict": apart(again["predict"]["result"]["data"], fixture["predict"]["result"]["data"]),
        }
        worst = max(worst, *distances.values())
        print(build.__name__, {k: f"{v:.1e}" for k, v in distances.items()}, flush=True)
    sys.exit(int(worst > 2e-5))


if __name__ == "__main__":
    main()
