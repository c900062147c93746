"""Fit 1 to 4 normals to a mixture by forward and by reverse KL: a loop over variables, written by hand."""

import argparse
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from matplotlib.figure import Figure

import kgdists as kg
from kgdists.divergences.sampling import exact_draws

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--iterations", type=int, default=3000)
parser.add_argument("--samples", type=int, default=500, help="in each iteration")
parser.add_argument("--components", type=int, default=4, help="the most")
parser.add_argument("--restarts", type=int, default=3, help="of each reverse fit; the best is kept")
parser.add_argument("--figure", default="kl_by_hand.png")
parser.add_argument("--target", default="kl_target.png")
options = parser.parse_args()
view: dict[str, Any] = {"limits": ((-5.0, 10.0), (-7.0, 8.0)), "resolution": 150, "cmap": "Reds"}

target = kg.targets.GaussianMixture.create_tutorial()
value, error = kg.divergences.entropy(target, num_samples=10_000, seed=0)
print(f"entropy of the target: {value:.3f} ± {error:.3f} nats")
value, error = kg.divergences.kl_divergence(target, target, num_samples=10_000, seed=0)
print(f"KL of the target from itself: {value:.3f} ± {error:.3f} nats")
panels = Figure(figsize=(9.0, 4.4), layout="constrained").subplots(1, 2, sharey=True)
panels[0].plot(*target.sample(500, seed=0).T, ".", color="C3", markersize=4.0)
panels[0].set(xlim=view["limits"][0], ylim=view["limits"][1], aspect="equal", title="500 draws")
kg.plotting.density(target, axes=panels[1], **view)
panels[1].set(title="density")
panels[0].figure.savefig(options.target, dpi=100)


def forward_kl(q):
    """Negative log-likelihood of draws of the target: KL(P‖Q) up to the entropy of P."""
    x = tf.cast(target.sample(options.samples), "float32")
    return -ops.mean(q.log_prob(x))


def reverse_kl(q):
    """Score function: draws are constants, and each weighs its score by how far it is above the mean."""
    x = exact_draws(q, options.samples)
    log_q = q.log_prob(x)
    terms = ops.stop_gradient(log_q - target.log_prob(x))
    mean = ops.mean(terms)
    return mean + ops.mean((terms - mean) * (log_q - ops.stop_gradient(log_q)))


def fit_by_hand(loss_of, k, seed):
    """Parameters are variables: log-weights, means, and square matrices A of covariances A A^T."""
    keras.utils.set_random_seed(seed)
    logits, mu = tf.Variable(ops.zeros(k)), tf.Variable(keras.random.normal((k, 2)))
    a = tf.Variable(ops.tile(ops.eye(2)[None], (k, 1, 1)))
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build([logits, mu, a])

    def mixture():
        covariances = tf.matmul(a, a, transpose_b=True) + 1e-4 * ops.eye(2)
        return kg.GaussianMixtureDist(logits, mu, scale_tril=ops.cholesky(covariances))

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            loss = loss_of(mixture())
        optimizer.apply(tape.gradient(loss, [logits, mu, a]))
        return loss

    losses = [float(step()) for _ in range(options.iterations)]
    tail = losses[-max(1, options.iterations // 10) :]
    return sum(tail) / len(tail), mixture()


rows = {"forward KL": (forward_kl, "forward", 1), "reverse KL": (reverse_kl, "reverse", options.restarts)}
mixtures: dict[str, list] = {name: [] for name in rows}
captions: dict[str, list] = {name: [] for name in rows}
for name, (loss_of, divergence, restarts) in rows.items():
    for k in range(1, options.components + 1):
        fits = [fit_by_hand(loss_of, k, seed) for seed in range(restarts)]
        loss, q = min(fits, key=lambda fit: fit[0])
        fitted = kg.mixtures.fit(
            target, k, divergence=divergence, restarts=restarts, iterations=options.iterations, seed=0
        )
        print(f"{name}, K = {k}: loss {loss:.3f} by hand, {fitted.loss:.3f} by kg.mixtures.fit, in nats")
        mixtures[name].append(q)
        captions[name].append(f"by hand: {loss:z.2f}\nkg.mixtures.fit: {fitted.loss:z.2f}")
kg.plotting.divergence_grid(target, mixtures, captions=captions, **view).savefig(options.figure, dpi=100)
print(f"figures: {options.target}, {options.figure}")
