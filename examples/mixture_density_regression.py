"""Mixture density regression (Bishop 1994) of a curve that turns back: where one input has several answers."""

import argparse

import keras
import numpy as np
from matplotlib.figure import Figure

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--components", type=int, default=5)
parser.add_argument("--figure", default="mixture_density_regression.png")
options = parser.parse_args()

keras.utils.set_random_seed(0)


def inverse_sine(n):
    """Inputs x = y + 0.3 sin(2 pi y) + noise and answers y, both of shape [n, 1]."""
    y = np.random.uniform(0.0, 1.0, (n, 1))
    x = y + 0.3 * np.sin(2.0 * np.pi * y) + np.random.uniform(-0.1, 0.1, (n, 1))
    return x.astype("float32"), y.astype("float32")


x, y = inverse_sine(2000)
held_out = inverse_sine(2000)
heads = {
    "one normal": kg.layers.NormalHead(1, state_dependent=True),
    "mixture": kg.layers.GaussianMixtureHead(options.components, 1, center=0.5, scale=0.5),
}
figure = Figure(figsize=(9, 4), layout="constrained")
for axes, (name, head) in zip(figure.subplots(1, 2, sharey=True), heads.items(), strict=True):
    inputs = keras.Input((1,))
    model = kg.Model(inputs, head(keras.layers.Dense(64, "tanh")(inputs)))
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(x, y, epochs=options.epochs, batch_size=200, verbose=0)
    loss = model.evaluate(*held_out, verbose=0)
    print(f"{name:10s}: negative log-likelihood of held-out data {loss:6.3f} nats")
    grid = np.linspace(0.0, 1.0, 400, dtype="float32")[:, None]
    pi = model.predict(grid, verbose=0)
    axes.plot(x, y, ".", color="0.8", markersize=3, label="data")
    axes.plot(grid, pi.sample_action(seed=0), ".", color="C1", markersize=4, label="drawn from the model")
    kg.plotting.distribution(pi, x=grid, axes=axes)
    axes.set(title=f"{name}: {loss:.2f} nats", ylim=(-0.5, 1.5))
figure.savefig(options.figure, dpi=100)
print(f"figure: {options.figure}")
