"""Fit mixtures of 1 to 4 normals to a target by forward and by reverse KL: the one covers it, the other seeks modes."""

import argparse

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--iterations", type=int, default=5000)
parser.add_argument("--restarts", type=int, default=8, help="of each fit by reverse KL; the best is kept")
parser.add_argument("--samples", type=int, default=1_000_000, help="for each estimate")
parser.add_argument("--components", type=int, default=4, help="the most")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--figure", default="gmm_divergences.png")
parser.add_argument("--losses", default="gmm_losses.png")
options = parser.parse_args()

target = kg.targets.GaussianMixture.create_tutorial()
budget = {"num_samples": options.samples, "seed": options.seed}


def shown(name, estimate):
    """A value and its standard error."""
    value, standard_error = estimate
    return f"{name} = {float(value):z.4f} ± {float(standard_error):.4f}"


print(f"{shown('entropy of the target', kg.divergences.entropy(target, **budget))} nats")
print(f"{shown('KL of the target from itself', kg.divergences.kl_divergence(target, target, **budget))} nats")

mixtures: dict[str, list] = {}
captions: dict[str, list] = {}
histories: dict[str, list] = {}
for divergence, restarts in (("forward", 1), ("reverse", options.restarts)):
    name = f"{divergence} KL"
    mixtures[name], captions[name], histories[name] = [], [], []
    for num_components in range(1, options.components + 1):
        fit = kg.mixtures.fit(
            target,
            num_components,
            divergence=divergence,
            iterations=options.iterations,
            restarts=restarts,
            seed=options.seed,
        )
        covered = kg.divergences.kl_divergence(target, fit.distribution, **budget)
        sought = kg.divergences.kl_divergence(fit.distribution, target, **budget)
        print(f"{name}, K = {num_components}: {shown('KL(P‖Q)', covered)}, {shown('KL(Q‖P)', sought)} nats")
        captions[name].append(f"KL(P‖Q) = {float(covered[0]):z.2f}\nKL(Q‖P) = {float(sought[0]):z.2f}")
        mixtures[name].append(fit.distribution)
        histories[name].append(fit)

kg.plotting.divergence_grid(target, mixtures, captions=captions).savefig(options.figure, dpi=100)
labels = [f"{number + 1} component{'s' if number else ''}" for number in range(options.components)]
kg.plotting.fit_history(histories["reverse KL"], labels).savefig(options.losses, dpi=100)
print(f"figures: {options.figure}, {options.losses}")
