"""Time the distributions of one framework in this process: a line of JSON in, a line with the seconds of a call out.

Each library is imported only by the class of its framework, so that one file serves both interpreters.
"""

import argparse
import dataclasses
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np

LOG_PROBA, KL, SAMPLE = "log_proba + entropy", "KL", "sample"
MEASURES = [f"{measure}{suffix}" for suffix in ("", ", gradients") for measure in (LOG_PROBA, KL, SAMPLE)]
SECONDS = 0.03  # of the calls that are timed together
COMPONENTS = 4
TAU = 0.5
WARM_UP = 12  # calls: the first compiles a function, and some of the first compile a formula that is called eagerly


@dataclasses.dataclass
class Entry:
    """One distribution: its random parameters and variates, and how each library makes it; None where it does not.

    A constructor gets the names of its library (and of its framework where those differ) and the parameters.
    """

    parameters: Callable  # of a generator, the batch size and the number of dimensions: a tuple of arrays
    variate: Callable
    kgdists: Callable
    tfp: Callable | None
    torch: Callable | None
    distrax: Callable | None
    draw: str = "sample"  # the method of kgdists
    pathwise: bool = True  # draws have gradients
    entropy: bool = True
    kl: bool = True
    largest: int = 1000  # number of dimensions

    def has(self, measure, n):
        """Whether there is something to time."""
        if n > self.largest or (measure.startswith(KL) and not self.kl):
            return False
        return self.pathwise or measure != f"{SAMPLE}, gradients"


def normals(count):
    return lambda rng, batch, n: tuple(rng.normal(size=(count, batch, n)))


def variate(rng, batch, n):
    return rng.normal(size=(batch, n))


def simplex(rng, batch, n):
    y = np.exp(rng.normal(size=(batch, n)))
    return y / y.sum(axis=-1, keepdims=True)


def triangles(rng, batch, n):
    return np.tril(0.1 * rng.normal(size=(batch, n, n)), -1) + np.eye(n)


def mixture(rng, batch, n):
    return rng.normal(size=(batch, COMPONENTS)), *rng.normal(size=(2, batch, COMPONENTS, n))


DISTRIBUTIONS = {
    "Categorical": Entry(
        parameters=normals(1),
        variate=lambda rng, batch, n: rng.integers(n, size=batch),
        kgdists=lambda kg, logits: kg.CategoricalDist(logits),
        tfp=lambda tfd, logits: tfd.Categorical(logits=logits),
        torch=lambda td, logits: td.Categorical(logits=logits),
        distrax=lambda dx, logits: dx.Categorical(logits=logits),
        draw="sample_action",
        pathwise=False,
    ),
    "Normal": Entry(
        parameters=normals(2),
        variate=variate,
        kgdists=lambda kg, mu, logvar: kg.NormalDist(mu, logvar),
        tfp=lambda tfd, mu, logvar: tfd.Independent(tfd.Normal(mu, tfd.exp(0.5 * logvar)), 1),
        torch=lambda td, mu, logvar: td.Independent(td.Normal(mu, td.exp(0.5 * logvar)), 1),
        distrax=lambda dx, mu, logvar: dx.Independent(dx.Normal(mu, dx.exp(0.5 * logvar)), 1),
    ),
    "RelaxedOneHot": Entry(
        parameters=normals(1),
        variate=simplex,
        kgdists=lambda kg, logits: kg.RelaxedOneHotCategorical(TAU, logits=logits),
        tfp=lambda tfd, logits: tfd.RelaxedOneHotCategorical(TAU, logits=logits),
        torch=lambda td, logits: td.RelaxedOneHotCategorical(td.tensor(TAU), logits=logits),
        distrax=None,
        entropy=False,
        kl=False,
    ),
    "Bernoulli": Entry(
        parameters=normals(1),
        variate=lambda rng, batch, n: rng.integers(2, size=(batch, n)).astype("float32"),
        kgdists=lambda kg, logits: kg.BernoulliDist(logits),
        tfp=lambda tfd, logits: tfd.Independent(tfd.Bernoulli(logits, dtype="float32"), 1),
        torch=lambda td, logits: td.Independent(td.Bernoulli(logits=logits), 1),
        distrax=lambda dx, logits: dx.Independent(dx.Bernoulli(logits), 1),
        draw="sample_action",
        pathwise=False,
    ),
    "MultiCategorical": Entry(  # pairs
        parameters=normals(1),
        variate=lambda rng, batch, n: rng.integers(2, size=(batch, n // 2)),
        kgdists=lambda kg, logits: kg.MultiCategoricalDist(logits, (2,) * (logits.shape[-1] // 2)),
        tfp=lambda tfd, logits: tfd.Independent(tfd.Categorical(tfd.reshape(logits, (len(logits), -1, 2))), 1),
        torch=lambda td, logits: td.Independent(td.Categorical(logits=logits.reshape(len(logits), -1, 2)), 1),
        distrax=lambda dx, logits: dx.Independent(dx.Categorical(logits.reshape(len(logits), -1, 2)), 1),
        draw="sample_action",
        pathwise=False,
        largest=18,  # kgdists unrolls the choices
    ),
    "SquashedNormal": Entry(
        parameters=normals(2),
        variate=lambda rng, batch, n: np.tanh(rng.normal(size=(batch, n))),
        kgdists=lambda kg, mu, logvar: kg.SquashedNormalDist(mu, logvar),
        tfp=lambda tfd, mu, logvar: tfd.Independent(tfd.Tanh(tfd.Normal(mu, tfd.exp(0.5 * logvar))), 1),
        torch=lambda td, mu, logvar: td.Independent(
            td.TransformedDistribution(td.Normal(mu, td.exp(0.5 * logvar)), td.TanhTransform()), 1
        ),
        distrax=lambda dx, mu, logvar: dx.Independent(
            dx.Transformed(dx.Normal(mu, dx.exp(0.5 * logvar)), dx.Tanh()), 1
        ),
        entropy=False,
    ),
    "Beta": Entry(
        parameters=lambda rng, batch, n: tuple(np.exp(rng.normal(size=(2, batch, n)))),
        variate=lambda rng, batch, n: rng.uniform(0.01, 0.99, size=(batch, n)),
        kgdists=lambda kg, alpha, beta: kg.BetaDist(alpha, beta),
        tfp=lambda tfd, alpha, beta: tfd.Independent(tfd.Beta(alpha, beta), 1),
        torch=lambda td, alpha, beta: td.Independent(td.Beta(alpha, beta), 1),
        distrax=lambda dx, alpha, beta: dx.Independent(dx.Beta(alpha, beta), 1),
    ),
    "MultivariateNormal": Entry(
        parameters=lambda rng, batch, n: (rng.normal(size=(batch, n)), triangles(rng, batch, n)),
        variate=variate,
        kgdists=lambda kg, mu, scale_tril: kg.MultivariateNormalDist(mu, scale_tril),
        tfp=lambda tfd, mu, scale_tril: tfd.MultivariateNormalTriL(mu, scale_tril),
        torch=lambda td, mu, scale_tril: td.MultivariateNormal(mu, scale_tril=scale_tril),
        distrax=lambda dx, mu, scale_tril: dx.MultivariateNormalTri(mu, scale_tril),
        largest=18,  # the square of the dimensions
    ),
    "GaussianMixture": Entry(
        parameters=mixture,
        variate=variate,
        kgdists=lambda kg, logits, mu, logvar: kg.GaussianMixtureDist(logits, mu, logvar),
        tfp=lambda tfd, logits, mu, logvar: tfd.MixtureSameFamily(
            tfd.Categorical(logits), tfd.Independent(tfd.Normal(mu, tfd.exp(0.5 * logvar)), 1)
        ),
        torch=lambda td, logits, mu, logvar: td.MixtureSameFamily(
            td.Categorical(logits=logits), td.Independent(td.Normal(mu, td.exp(0.5 * logvar)), 1)
        ),
        distrax=lambda dx, logits, mu, logvar: dx.MixtureSameFamily(
            dx.Categorical(logits), dx.Independent(dx.Normal(mu, dx.exp(0.5 * logvar)), 1)
        ),
        draw="sample_action",
        pathwise=False,
        entropy=False,
        kl=False,
    ),
}


def formula(entry, measure, make, kl, draw):
    """What is timed, as a function of the parameters (of both distributions for a divergence) and a variate."""

    def log_proba(parameters, x):
        dist = make(*parameters)
        return dist.log_prob(x) + dist.entropy() if entry.entropy else dist.log_prob(x)

    def divergence(parameters, x):
        half = len(parameters) // 2
        return kl(make(*parameters[:half]), make(*parameters[half:]))

    def sample(parameters, x):
        return draw(make(*parameters))

    return {LOG_PROBA: log_proba, KL: divergence, SAMPLE: sample}[measure.partition(",")[0]]


def arrays(entry, measure, batch, n):
    """Parameters and variate, float32; for gradients of samples the variate is the direction that they are taken in."""
    rng = np.random.default_rng(0)
    parameters = entry.parameters(rng, batch, n)
    if measure.startswith(KL):
        parameters += entry.parameters(rng, batch, n)
    x = entry.variate(rng, batch, n)
    return [np.asarray(p, "float32") for p in parameters], x.astype("int32" if x.dtype.kind == "i" else "float32")


class TensorFlow:
    """kgdists and TFP, each eager, as a `tf.function` and under XLA."""

    NAMES = ["kgdists eager", "kgdists graph", "kgdists XLA", "TFP eager", "TFP graph", "TFP XLA"]
    VERSIONS = ["tensorflow", "keras", "tensorflow-probability"]

    def __init__(self):
        import tensorflow as tf
        import tensorflow_probability as tfp

        import kgdists

        self.tf, self.kgdists = tf, kgdists
        tanh = functools.partial(tfp.distributions.TransformedDistribution, bijector=tfp.bijectors.Tanh())
        self.tfp = SimpleNamespace(**vars(tfp.distributions), Tanh=tanh, exp=tf.exp, reshape=tf.reshape)

    def function(self, entry, measure, name):
        tf, (library, mode) = self.tf, name.split()
        own = library == "kgdists"
        if not own and entry.tfp is None:
            return None
        value = formula(
            entry,
            measure,
            functools.partial(entry.kgdists, self.kgdists) if own else functools.partial(entry.tfp, self.tfp),
            lambda p, q: p.kl_divergence(q),
            lambda dist: getattr(dist, entry.draw if own else "sample")(),
        )

        def gradients(parameters, x):
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                y = value(parameters, x)
            return tape.gradient(y, parameters, x if measure.startswith(SAMPLE) else None)

        timed = gradients if "gradients" in measure else value
        return timed if mode == "eager" else tf.function(timed, jit_compile=mode == "XLA")

    def tensors(self, parameters, x):
        return [self.tf.constant(p) for p in parameters], self.tf.constant(x)

    def wait(self, result):
        for x in result if isinstance(result, list) else [result]:
            if x is not None:
                x.numpy()


class Torch:
    """torch.distributions, eager and compiled."""

    NAMES = ["torch eager", "torch.compile"]
    VERSIONS = ["torch"]

    def __init__(self):
        import torch

        self.torch = torch
        torch.distributions.Distribution.set_default_validate_args(False)  # as the others' default; it does not compile
        self.library = SimpleNamespace(
            **(vars(torch.distributions) | vars(torch.distributions.transforms)), exp=torch.exp, tensor=torch.tensor
        )

    def function(self, entry, measure, name):
        torch = self.torch
        if entry.torch is None:
            return None
        value = formula(
            entry,
            measure,
            functools.partial(entry.torch, self.library),
            torch.distributions.kl_divergence,
            lambda dist: dist.rsample() if entry.pathwise else dist.sample(),
        )
        if name == "torch.compile":
            torch._dynamo.reset()
            value = torch.compile(value, fullgraph=True, dynamic=False)
        if "gradients" not in measure:
            return value

        def gradients(parameters, x):
            y = value(parameters, x)
            direction = x if measure.startswith(SAMPLE) else torch.ones_like(y)
            return torch.autograd.grad(y, parameters, direction, allow_unused=True)

        return gradients

    def tensors(self, parameters, x):
        torch = self.torch
        x = torch.from_numpy(x)
        return [torch.from_numpy(p).requires_grad_() for p in parameters], x if x.is_floating_point() else x.long()

    def wait(self, result):
        pass


class JAX:
    """Distrax, jitted."""

    NAMES = ["Distrax jit"]
    VERSIONS = ["jax", "distrax"]

    def __init__(self):
        import distrax
        import jax

        self.jax = jax
        self.library = SimpleNamespace(**vars(distrax), exp=jax.numpy.exp)

    def function(self, entry, measure, name):
        jax = self.jax
        if entry.distrax is None:
            return None
        key = jax.random.key(0)
        value = formula(
            entry,
            measure,
            functools.partial(entry.distrax, self.library),
            lambda p, q: p.kl_divergence(q),
            lambda dist: dist.sample(seed=key),
        )

        def total(parameters, x):
            y = value(parameters, x)
            return (x * y if measure.startswith(SAMPLE) else y).sum()

        return jax.jit(jax.grad(total) if "gradients" in measure else value)

    def tensors(self, parameters, x):
        return self.jax.tree.map(self.jax.numpy.asarray, (parameters, x))

    def wait(self, result):
        self.jax.block_until_ready(result)


FRAMEWORKS = {"tensorflow": TensorFlow, "torch": Torch, "jax": JAX}


class Clock:
    """Seconds of a call, over as many calls in a row as fill `SECONDS`."""

    def __init__(self, framework, distribution, measure, batch, n, name):
        entry = DISTRIBUTIONS[distribution]
        self.wait = framework.wait
        self.function = framework.function(entry, measure, name) if entry.has(measure, n) else None
        if self.function:
            self.arguments = framework.tensors(*arrays(entry, measure, batch, n))
            self.calls = 1
            try:
                for _ in range(WARM_UP):
                    seconds = self.time()
                self.calls = max(1, round(SECONDS / seconds))
            except Exception as error:  # what a library cannot do is a blank in the table
                print(f"{name}, {distribution}, {measure}: {error!r}"[:300], file=sys.stderr)
                self.function = None

    def time(self):
        if self.function is None:
            return None
        start = time.perf_counter()
        for _ in range(self.calls):
            result = self.function(*self.arguments)
        self.wait(result)
        return (time.perf_counter() - start) / self.calls


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("--threads", type=int, help="processors to run on; default: all")
    options = parser.parse_args()
    if options.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

    # Threads of OpenMP that spin while they wait slow torch down many times over beside another busy process.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    framework = FRAMEWORKS[options.framework]()
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in framework.VERSIONS)]
    print(json.dumps(", ".join(versions)), flush=True)
    case, clocks = None, {}
    for line in sys.stdin:
        *asked, name = json.loads(line)
        if asked != case:  # what was compiled for the last one is freed
            case, clocks = asked, {}
        if name not in clocks:
            clocks[name] = Clock(framework, *asked, name)
        print(json.dumps(clocks[name].time()), flush=True)


if __name__ == "__main__":
    main()
