"""Answers of one library to inputs that may break it: lines of JSON in, lines of JSON out.

python tests/benchmarks/adversarial_worker.py kgdists|tfp|torch
"""

import json
import sys
import warnings

import numpy as np

QUANTITIES = ("log_prob", "mean", "variance", "entropy")


def of_kgdists():
    import keras

    import kgdists as kg

    classes = {
        "laplace": kg.LaplaceDist,
        "logistic": kg.LogisticDist,
        "log_normal": kg.LogNormalDist,
        "gamma": kg.GammaDist,
        "exponential": kg.ExponentialDist,
        "weibull": kg.WeibullDist,
        "dirichlet": kg.DirichletDist,
    }

    def made(family, dtype, params):
        if family == "dirichlet":
            return classes[family](np.array(params, dtype))
        return classes[family](*(np.array([x], dtype) for x in params))

    def value(family, dtype, params, x, quantity):
        dist = made(family, dtype, params)
        if quantity == "log_prob":
            return dist.log_proba(np.array(x if family == "dirichlet" else [x], dtype))
        return getattr(dist, quantity)()

    return value, keras.ops.convert_to_numpy


def of_tfp():
    import tensorflow as tf
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    classes = {
        "laplace": tfd.Laplace,
        "logistic": tfd.Logistic,
        "log_normal": lambda mu, logvar: tfd.LogNormal(mu, tf.exp(0.5 * logvar)),
        "gamma": tfd.Gamma,
        "exponential": tfd.Exponential,
        "weibull": tfd.Weibull,
    }

    def value(family, dtype, params, x, quantity):
        params, x = [tf.constant(p, dtype) for p in params], tf.constant(x, dtype)
        if family == "dirichlet":
            dist = tfd.Dirichlet(tf.stack(params))
        else:
            dist = classes[family](*params)
        return dist.log_prob(x) if quantity == "log_prob" else getattr(dist, quantity)()

    return value, np.asarray


def of_torch():
    import torch

    td = torch.distributions
    classes = {
        "laplace": td.Laplace,
        "logistic": lambda mu, scale: td.TransformedDistribution(
            td.Uniform(torch.zeros_like(mu), torch.ones_like(mu)),
            [td.SigmoidTransform().inv, td.AffineTransform(mu, scale)],
        ),
        "log_normal": lambda mu, logvar: td.LogNormal(mu, torch.exp(0.5 * logvar)),
        "gamma": td.Gamma,
        "exponential": td.Exponential,
        "weibull": lambda concentration, scale: td.Weibull(scale, concentration),
    }

    def value(family, dtype, params, x, quantity):
        kind = getattr(torch, dtype)
        params, x = [torch.tensor(p, dtype=kind) for p in params], torch.tensor(x, dtype=kind)
        dist = td.Dirichlet(torch.stack(params)) if family == "dirichlet" else classes[family](*params)
        if quantity == "log_prob":
            return dist.log_prob(x)
        return dist.entropy() if quantity == "entropy" else getattr(dist, quantity)

    return value, lambda x: x.detach().numpy()


def answers(value, as_array, question):
    """For each quantity a number, or the name of the error."""
    found = {}
    for quantity in QUANTITIES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = as_array(value(*(question[key] for key in ("family", "dtype", "params", "x")), quantity))
            found[quantity] = [repr(float(part)) for part in np.ravel(got)]
        except Exception as error:  # whatever a library says to such an input is its answer
            found[quantity] = type(error).__name__
    return found


if __name__ == "__main__":
    value, as_array = {"kgdists": of_kgdists, "tfp": of_tfp, "torch": of_torch}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(answers(value, as_array, json.loads(line))), flush=True)
