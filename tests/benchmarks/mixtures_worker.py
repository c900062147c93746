"""What `mixtures.py` measures, in one framework per process: reads lines of JSON, and answers each with one.

Each library is imported only by its own class, so that one file serves both interpreters.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version

import numpy as np

# The tutorial's target.
WEIGHTS = np.array([0.2, 0.3, 0.2, 0.3])
MEANS = np.array([[1.0, 0.0], [6.0, 4.0], [-2.0, 2.0], [4.0, -2.0]])
COVARIANCES = np.array(
    [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]], [[1.0, -0.5], [-0.5, 1.0]], [[0.5, 0.0], [0.0, 4.0]]]
)
NUM_SAMPLES = 500
EM_ROWS, EM_COMPONENTS, EM_DIMS = 1_000_000, 8, 6


def gmm40(count):
    """Means of the 40 components, and points: float32."""
    means = np.random.default_rng(0).uniform(-40.0, 40.0, (40, 2))
    rng = np.random.default_rng(1)
    x = means[rng.integers(40, size=count)] + rng.standard_normal((count, 2))
    return means.astype("float32"), x.astype("float32")


def em_samples():
    """Samples of a mixture with overlaps, and the means at which expectation maximisation starts."""
    rng = np.random.default_rng(0)
    means = rng.uniform(-4.0, 4.0, (EM_COMPONENTS, EM_DIMS))
    factors = 0.6 * rng.normal(size=(EM_COMPONENTS, EM_DIMS, EM_DIMS)) + 0.5 * np.eye(EM_DIMS)
    labels = rng.choice(EM_COMPONENTS, size=EM_ROWS, p=np.arange(1, EM_COMPONENTS + 1) / 36.0)
    x = means[labels]
    for k in range(EM_COMPONENTS):
        x[labels == k] += rng.standard_normal((np.sum(labels == k), EM_DIMS)) @ factors[k].T
    return x, means + rng.normal(size=means.shape)


class KGDists:
    """kgdists, and TFP, which shares its TensorFlow."""

    VERSIONS = ("kgdists", "tensorflow", "tensorflow-probability")

    def __init__(self):
        import tensorflow as tf

        import kgdists as kg

        self.kg, self.tf = kg, tf
        factors = np.linalg.cholesky(COVARIANCES).astype("float32")
        self.target = kg.GaussianMixtureDist(
            np.log(WEIGHTS).astype("float32"), MEANS.astype("float32"), scale_tril=factors
        )
        self.functions = {}

    def train(self, divergence, iterations, seed):
        options = {"divergence": divergence, "iterations": iterations, "num_samples": NUM_SAMPLES, "seed": seed}
        start = time.perf_counter()
        dist = self.kg.mixtures.fit(self.target, 4, **options).distribution
        seconds = time.perf_counter() - start
        factors = dist.scale_tril.numpy()
        covariances = factors @ np.swapaxes(factors, -2, -1)
        return {
            "seconds": seconds,
            "weights": np.exp(dist.log_weights.numpy()).tolist(),
            "means": dist.mu.numpy().tolist(),
            "covariances": covariances.tolist(),
        }

    def density(self, what, count, library="kgdists"):
        return {"seconds": self._clock(("density", what, count, library), lambda: self._density(what, count, library))}

    def _density(self, what, count, library):
        tf, (means, x) = self.tf, gmm40(count)
        if library == "kgdists":
            target = self.kg.targets.DiagonalGaussianMixture.create_gmm40()
            functions = {"log_prob": target.log_prob, "score": target.score}
        else:
            import tensorflow_probability as tfp

            tfd = tfp.distributions
            dist = tfd.MixtureSameFamily(
                tfd.Categorical(logits=tf.zeros(40)), tfd.MultivariateNormalDiag(means, tf.ones((40, 2)))
            )

            def score(x):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    total = tf.reduce_sum(dist.log_prob(x))
                return tape.gradient(total, x)

            functions = {"log_prob": dist.log_prob, "score": score}
        compiled, x = tf.function(functions[what], jit_compile=True), tf.constant(x)
        return lambda: compiled(x).numpy()

    def memory(self, count):
        """Bytes that the score of so many points in one array took at most, beyond points and scores."""
        _, x = gmm40(count)
        target = self.kg.targets.DiagonalGaussianMixture.create_gmm40()
        target.score(x[:1000])
        _reset_peak()
        before = _peak()
        score = target.score(x)
        return {"bytes": _peak() - before - score.nbytes}

    def em(self, iterations):
        x, means = em_samples()
        scale_tril = np.broadcast_to(np.eye(EM_DIMS), (EM_COMPONENTS, EM_DIMS, EM_DIMS))
        initial = self.kg.GaussianMixtureDist(np.zeros(EM_COMPONENTS), means, scale_tril=scale_tril)
        start = time.perf_counter()
        fitted = self.kg.mixtures.fit(
            x,
            EM_COMPONENTS,
            method="em",
            initial=initial,
            iterations=iterations,
            tolerance=-np.inf,
            min_stddev=1e-6,
        )
        seconds = time.perf_counter() - start
        log_likelihood = np.mean(fitted.distribution.log_proba(x[:100_000]))
        return {"seconds": seconds, "log_likelihood": float(log_likelihood)}

    def slice(self, first):
        target = self.kg.targets.DiagonalGaussianMixture.create_gmm40()
        clock = ("slice", first)

        def load():
            return target.load_dataset("train", 1000, start=first).get_samples()

        return {"seconds": self._clock(clock, lambda: load)}

    def _clock(self, key, make):
        if key not in self.functions:
            self.functions[key] = make()
            self.functions[key]()
        start = time.perf_counter()
        self.functions[key]()
        return time.perf_counter() - start


class Torch:
    """The tutorial's training: a loop over components, inverse and determinant, samples from numpy."""

    VERSIONS = ("torch",)

    def __init__(self):
        import torch

        torch.set_num_threads(1)  # with which these small tensors are fastest
        self.torch = torch

    def density_of(self, x, weights, means, covariances):
        torch, p = self.torch, 0.0
        for k in range(len(means)):
            diff = x - means[k]
            exponent = -0.5 * torch.sum(diff @ torch.inverse(covariances[k]) * diff, dim=1)
            normaliser = 2 * np.pi * torch.sqrt(torch.det(covariances[k]))
            p = p + weights[k] * torch.exp(exponent) / normaliser
        return p

    def sample(self, weights, means, covariances):
        labels = np.random.choice(len(weights), size=NUM_SAMPLES, p=weights)
        counts = np.bincount(labels, minlength=len(weights))
        samples = [np.random.multivariate_normal(m, c, n) for m, c, n in zip(means, covariances, counts, strict=True)]
        return self.torch.tensor(np.concatenate(samples), dtype=self.torch.float32)

    def train(self, divergence, iterations, seed):
        torch = self.torch
        np.random.seed(seed)
        torch.manual_seed(seed)
        start = time.perf_counter()
        logits = torch.zeros(4, requires_grad=True)
        means = torch.randn(4, 2, requires_grad=True)
        factors = torch.eye(2).repeat(4, 1, 1).requires_grad_()
        target = [torch.tensor(values, dtype=torch.float32) for values in (WEIGHTS, MEANS, COVARIANCES)]
        optimizer = torch.optim.Adam([logits, means, factors], lr=0.01)
        for _ in range(iterations):
            optimizer.zero_grad()
            weights, covariances = torch.softmax(logits, dim=0), factors @ factors.transpose(1, 2)
            if divergence == "forward":
                x = self.sample(WEIGHTS, MEANS, COVARIANCES)
                loss = -torch.log(self.density_of(x, weights, means, covariances) + 1e-10).mean()
            else:
                own = weights.detach().double().numpy()
                x = self.sample(own / own.sum(), means.detach().numpy(), covariances.detach().numpy())
                log_q = torch.log(self.density_of(x, weights, means, covariances) + 1e-10)
                log_p = torch.log(self.density_of(x, *target) + 1e-10)
                loss = ((log_q - log_p).detach() * log_q).mean()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "weights": weights.tolist(),
            "means": means.tolist(),
            "covariances": covariances.tolist(),
        }


class JAX:
    """boltzkit's density: components as an axis of one array."""

    VERSIONS = ("jax",)

    def __init__(self):
        import jax

        self.jax = jax
        self.functions = {}

    def density(self, what, count):
        jax, jnp = self.jax, self.jax.numpy
        if (what, count) not in self.functions:
            means, x = gmm40(count)
            log_weights, stds = -jnp.log(40.0) * jnp.ones(40), jnp.ones((40, 2))

            def log_prob(x):
                z = (x[:, None] - means) / stds
                terms = -0.5 * jnp.sum(z**2 + jnp.log(2 * jnp.pi) + 2 * jnp.log(stds), axis=-1)
                return jax.scipy.special.logsumexp(terms + log_weights, axis=-1)

            function = log_prob if what == "log_prob" else jax.grad(lambda x: log_prob(x).sum())
            compiled, x = jax.jit(function), jnp.asarray(x)
            self.functions[what, count] = lambda: jax.block_until_ready(compiled(x))
            self.functions[what, count]()
        start = time.perf_counter()
        self.functions[what, count]()
        return {"seconds": time.perf_counter() - start}


class ScikitLearn:
    """Expectation maximisation."""

    VERSIONS = ("scikit-learn",)

    def em(self, iterations):
        import warnings

        from sklearn.mixture import GaussianMixture

        x, means = em_samples()
        warnings.simplefilter("ignore")  # of what has not converged: both do the same number of iterations
        mixture = GaussianMixture(
            EM_COMPONENTS,
            max_iter=iterations,
            tol=0.0,
            reg_covar=1e-12,
            init_params="random_from_data",
            weights_init=np.full(EM_COMPONENTS, 1.0 / EM_COMPONENTS),
            means_init=means,
            precisions_init=np.broadcast_to(np.eye(EM_DIMS), (EM_COMPONENTS, EM_DIMS, EM_DIMS)),
        )
        start = time.perf_counter()
        mixture.fit(x)
        return {"seconds": time.perf_counter() - start, "log_likelihood": mixture.score(x[:100_000])}


FRAMEWORKS = {"kgdists": KGDists, "torch": Torch, "jax": JAX, "scikit-learn": ScikitLearn}


def _reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak():
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    options = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    framework = FRAMEWORKS[options.framework]()
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in framework.VERSIONS)]
    print(json.dumps(", ".join(versions)), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(framework, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
