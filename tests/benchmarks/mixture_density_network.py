"""A mixture density network on inverse-sine data (Bishop 1994): kgdists, TFP on legacy Keras, keras-mdn-layer."""

import argparse
import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from rounds import ENVIRONMENT, print_table, spread

os.environ.update(ENVIRONMENT)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow_probability as tfp  # noqa: E402
import tf_keras  # noqa: E402
from keras_mdn_layer import MDN, get_mixture_loss_func  # noqa: E402
from scipy import special, stats  # noqa: E402

import kgdists as kg  # noqa: E402

COMPONENTS, WIDTH, LEARNING_RATE, BATCH, EPOCHS = 5, 32, 1e-2, 128, 100
PACKAGES = ("kgdists", "keras", "tensorflow", "tf-keras", "tensorflow-probability", "keras-mdn-layer")


def inverse_sine(count, rng):
    """x = y + 0.3 sin(2 pi y) + noise, of which y is to be found: up to three answers for one x."""
    y = rng.uniform(size=(count, 1))
    x = y + 0.3 * np.sin(2.0 * np.pi * y) + rng.uniform(-0.1, 0.1, size=y.shape)
    return x.astype("float32"), y.astype("float32")


def hidden(library, inputs, seed):
    """The same two layers in each library: its inputs get them, and they get the same initial weights."""
    rng, h = np.random.default_rng(seed), inputs
    for before in (1, WIDTH):
        layer = library.layers.Dense(WIDTH, "tanh")
        h = layer(h)
        limit = (6.0 / (before + WIDTH)) ** 0.5
        layer.set_weights([rng.uniform(-limit, limit, (before, WIDTH)), np.zeros(WIDTH)])
    return h


def trained(model, loss, library, x, y, epochs):
    model.compile(library.optimizers.Adam(LEARNING_RATE), loss=loss)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def with_kgdists(x, y, test, seed, epochs, **units):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((1,))
    head = kg.layers.GaussianMixtureHead(COMPONENTS, 1, **units)
    model = trained(kg.Model(inputs, head(hidden(keras, inputs, seed))), "nll", keras, x, y, epochs)
    pi = model.predict(test, verbose=0)
    return pi.logits, pi.mu[..., 0], np.exp(0.5 * pi.logvar[..., 0])


def with_units(x, y, test, seed, epochs):
    """The head in the units of the targets, as its documentation advises."""
    return with_kgdists(x, y, test, seed, epochs, center=float(y.mean()), scale=float(y.std()))


def with_tfp(x, y, test, seed, epochs):
    tf_keras.utils.set_random_seed(seed)
    inputs, layer = tf_keras.Input((1,)), tfp.layers.MixtureNormal
    h = tf_keras.layers.Dense(layer.params_size(COMPONENTS, (1,)))(hidden(tf_keras, inputs, seed))
    model = tf_keras.Model(inputs, layer(COMPONENTS, (1,))(h))
    trained(model, lambda y, d: -d.log_prob(y), tf_keras, x, y, epochs)
    d = model(test)
    parts = d.components_distribution.distribution
    return d.mixture_distribution.logits, np.asarray(parts.loc)[..., 0], np.asarray(parts.scale)[..., 0]


def with_keras_mdn_layer(x, y, test, seed, epochs):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, MDN(1, COMPONENTS)(hidden(keras, inputs, seed)))
    outputs = trained(model, get_mixture_loss_func(1, COMPONENTS), keras, x, y, epochs).predict(test, verbose=0)
    mu, sigma, logits = np.split(outputs, 3, axis=-1)
    return logits, mu, sigma


LIBRARIES = {
    "kgdists": with_kgdists,
    "kgdists, `center` and `scale` of the targets": with_units,
    "TFP": with_tfp,
    "keras-mdn-layer": with_keras_mdn_layer,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {name: {"nll": [], "seconds": []} for name in LIBRARIES}
    for seed in options.seeds:
        rng = np.random.default_rng(seed)
        (x, y), (test, answers) = inverse_sine(2_000, rng), inverse_sine(10_000, rng)
        for name, train in LIBRARIES.items():
            start = time.perf_counter()
            logits, mu, sigma = (np.asarray(value, "float64") for value in train(x, y, test, seed, options.epochs))
            terms = special.log_softmax(logits, axis=-1) + stats.norm.logpdf(answers, mu, sigma)
            results[name]["nll"].append(round(float(-np.mean(special.logsumexp(terms, axis=-1))), 4))
            results[name]["seconds"].append(round(time.perf_counter() - start, 1))
    versions = {name: version(name) for name in PACKAGES}
    if options.out:
        options.out.write_text(
            json.dumps({"seeds": options.seeds, "epochs": options.epochs} | results | {"versions": versions}) + "\n"
        )
    print(", ".join(map(" ".join, versions.items())) + "\n")
    rows = [
        [
            name,
            ", ".join(f"{x:.3f}" for x in found["nll"]),
            f"{statistics.mean(found['nll']):.3f}",
            spread(found["seconds"], 0)[0],
        ]
        for name, found in results.items()
    ]
    print_table(["library", "test NLL of each seed", "mean", "seconds"], rows)


if __name__ == "__main__":
    main()
