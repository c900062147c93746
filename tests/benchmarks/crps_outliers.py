"""The same network trained by its likelihood and by its ranked probability score on data with outliers."""

import argparse
import json
import os
import statistics
from importlib.metadata import version
from pathlib import Path

from rounds import ENVIRONMENT, print_table

os.environ.update(ENVIRONMENT)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import kgdists as kg  # noqa: E402

LOSSES, SHARE, MASS = ("nll", "crps"), 0.05, 0.9
METRICS = {"nll": "NLL", "crps": "CRPS", "mae": "MAE", "coverage": "share in the 90 % interval"}


def data(count, rng, outliers):
    """y = sin(x) + noise of a width that depends on x; a share of the targets is anything between -20 and 20."""
    x = rng.uniform(-3.0, 3.0, (count, 1))
    y = np.sin(x) + 0.1 * (1.0 + np.abs(x)) * rng.normal(size=x.shape)
    y = np.where(rng.random(x.shape) < outliers, rng.uniform(-20.0, 20.0, x.shape), y)
    return x.astype("float32"), y.astype("float32")


def figures(loss, seed, epochs):
    """The metrics on data without outliers."""
    rng = np.random.default_rng(seed)
    (x, y), (test, answers) = data(2_000, rng, SHARE), data(10_000, rng, 0.0)
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((1,))
    h = keras.layers.Dense(32, "tanh")(keras.layers.Dense(32, "tanh")(inputs))
    model = kg.Model(inputs, kg.layers.NormalHead(1, state_dependent=True)(h))
    metrics = ["nll", "crps", kg.metrics.MeanAbsoluteError(), kg.metrics.IntervalCoverage(MASS)]
    model.compile(keras.optimizers.Adam(1e-2), loss=loss, metrics=metrics)
    model.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    found = model.evaluate(test, answers, batch_size=1_000, verbose=0, return_dict=True)
    return {name: round(float(found[name]), 4) for name in METRICS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {loss: [figures(loss, seed, options.epochs) for seed in options.seeds] for loss in LOSSES}
    versions = {name: version(name) for name in ("kgdists", "keras", "tensorflow")}
    if options.out:
        found = {"seeds": options.seeds, "epochs": options.epochs} | results | {"versions": versions}
        options.out.write_text(json.dumps(found) + "\n")
    rows = [
        [loss, title, ", ".join(f"{x[name]:.3f}" for x in found), f"{statistics.mean(x[name] for x in found):.3f}"]
        for name, title in METRICS.items()
        for loss, found in results.items()
    ]
    print_table(["trained by", "on clean test data", "each seed", "mean"], rows)


if __name__ == "__main__":
    main()
