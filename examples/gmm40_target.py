"""GMM40, a target of forty modes: its data sets, a fit that finds all modes and one that misses some unawares."""

import argparse

import numpy as np
from matplotlib.figure import Figure

import kgdists as kg
from kgdists import divergences

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--samples", type=int, default=20_000, help="in the training set")
parser.add_argument("--components", type=int, default=40, help="of the fits")
parser.add_argument("--iterations", type=int, default=5000, help="of reverse KL")
parser.add_argument("--figure", default="gmm40_target.png")
options = parser.parse_args()

target = kg.targets.DiagonalGaussianMixture.create_gmm40()

# Data sets are rows of endless sequences, computed when asked for: a longer one starts with a shorter one, and rows far
# out cost no more than the first.
train = target.load_dataset("train", options.samples).get_samples()
test = target.load_dataset("test", 10_000, include_log_probs=True, include_scores=True)
x, log_p = test.get_samples(), test.get_log_probs()
print(f"row 10^12 of the training sequence: {target.load_dataset('train', 1, start=10**12).get_samples()[0]}")
print(f"mean squared score of the test set: {np.mean(np.sum(test.get_scores() ** 2, axis=-1)):.3f}")
stream = target.load_dataset("train", options.samples).as_tf_dataset(batch_size=256)
print(f"the endless stream of the training sequence, for model.fit: {stream.element_spec}")

fits = {
    "expectation maximisation": kg.mixtures.fit(
        train, options.components, method="em", covariance="diag", restarts=4, seed=0
    ),
    "reverse KL": kg.mixtures.fit(
        target,
        options.components,
        divergence="reverse",
        covariance="diag",
        iterations=options.iterations,
        scale=40.0,
        initial_spread=0.6,
        initial_stddev=0.2,
        seed=0,
    ),
}
figure = Figure(figsize=(9.0, 4.9), layout="constrained")
limits = ((-45.0, 45.0), (-45.0, 45.0))
for axes, (name, fit) in zip(figure.subplots(1, 2, sharey=True), fits.items(), strict=True):
    q = fit.distribution
    draws = q.sample(10_000, seed=0)
    worth = divergences.effective_sample_size(target.log_prob(draws) - q.log_prob(draws)) / 10_000
    missed = np.mean(log_p - q.log_prob(x))
    normaliser, standard_error = divergences.log_normalizer(q, target, num_samples=10_000, seed=0)
    print(f"\n{name}: KL(Q‖P) = {float(divergences.reverse_kl(target, q, 10_000, seed=0)[0]):.3f} nats")
    print(
        f"a draw is worth {float(worth):.2f} of the target's; log Z = {normaliser:.3f} ± {standard_error:.3f}, truly 0"
    )
    print(f"which says nothing of missed modes; the test set does: KL(P‖Q) = {missed:.3f} nats")
    kg.plotting.samples(target, x[:1000], axes=axes, limits=limits)
    kg.plotting.components(q, axes=axes, limits=limits, deviations=(3.0,))
    axes.set(title=f"{name}: KL(P‖Q) = {missed:.2f} nats")
figure.savefig(options.figure, dpi=100)
print(f"\nfigure: {options.figure}")
