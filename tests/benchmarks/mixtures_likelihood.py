"""Log-likelihoods of mixtures by expectation maximisation beside scikit-learn's, on thirty data sets and five seeds.

Both take their defaults and three restarts. The interpreter of `--peers` runs this file again with `--peer`, to make
the data and scikit-learn's fits.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

RESTARTS, SEEDS = 3, range(5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="interpreter with scikit-learn")
    parser.add_argument("--peer", type=Path, help="write data and scikit-learn's results to this file")
    parser.add_argument("--covariance", choices=("full", "diag"), default="full")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.peer:
        chosen.peer.write_bytes(pickle.dumps(theirs(chosen.covariance)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "peer.pkl"
        command = [chosen.peers, __file__, "--peer", file, "--covariance", chosen.covariance]
        subprocess.run(command, check=True)
        version, found = pickle.loads(file.read_bytes())
    import tensorflow as tf

    import kgdists as kg

    print(f"kgdists {kg.__version__}, TensorFlow {tf.__version__}, NumPy {np.__version__}, scikit-learn {version}\n")
    print("| data | rows | K | kgdists | scikit-learn | seeds at or below |\n| --- | --- | --- | --- | --- | --- |")
    at_or_below = []
    for name, (x, k, others) in found.items():
        options = {"method": "em", "covariance": chosen.covariance, "restarts": RESTARTS}
        losses = np.array([kg.mixtures.fit(x, k, seed=seed, **options).loss for seed in SEEDS])
        at_or_below.append(losses <= others + 1e-4)
        medians = " | ".join(f"{np.median(each):.4f}" for each in (losses, others))
        print(f"| {name} | {len(x)} x {x.shape[1]} | {k} | {medians} | {at_or_below[-1].sum()} |", flush=True)
    print(
        f"\nAt or below scikit-learn (to 1e-4 nats), by seed, of {len(found)}: {np.sum(at_or_below, axis=0).tolist()}"
    )


def theirs(covariance):
    import sklearn
    from sklearn import datasets as toys
    from sklearn.mixture import GaussianMixture

    def loss(x, k, seed):
        try:
            return -GaussianMixture(k, covariance_type=covariance, n_init=RESTARTS, random_state=seed).fit(x).score(x)
        except ValueError:  # an ill-defined covariance
            return np.inf

    found = {name: (x, k, np.array([loss(x, k, seed) for seed in SEEDS])) for name, (x, k) in datasets(toys).items()}
    return sklearn.__version__, found


def mixture(k, n, count, seed, spread=4.0):
    rng = np.random.default_rng(seed)
    means = rng.uniform(-spread, spread, (k, n))
    labels = rng.integers(k, size=count)
    scales = rng.uniform(0.3, 1.2, (k, n))
    x = rng.normal(size=(count, n)) * scales[labels]
    if n > 1:
        turns = np.stack([np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(k)])
        x = np.einsum("ij,ijk->ik", x, turns[labels])
    return x + means[labels]


def datasets(toys):
    rng = np.random.default_rng(0)
    found = {
        "iris": (toys.load_iris().data, 3),
        "wine": (toys.load_wine().data, 3),
        "breast cancer": (toys.load_breast_cancer().data, 2),
        "diabetes": (toys.load_diabetes().data, 3),
        "digits": (toys.load_digits().data, 10),
        "linnerud": (toys.load_linnerud().data, 2),
        "moons": (toys.make_moons(1000, noise=0.05, random_state=0)[0], 8),
        "circles": (toys.make_circles(1000, noise=0.05, factor=0.5, random_state=0)[0], 8),
        "blobs": (toys.make_blobs(1000, centers=5, random_state=0)[0], 5),
        "swiss roll": (toys.make_swiss_roll(1000, random_state=0)[0], 10),
        "s-curve": (toys.make_s_curve(1000, random_state=0)[0], 10),
        "one-hot rows": (np.eye(6)[np.random.default_rng(0).integers(6, size=500)], 3),
        "20 x 10 normal numbers": (rng.normal(size=(20, 10)), 10),
        "80 x 10 embeddings": (rng.normal(size=(80, 10)), 15),
        "Poisson counts": (rng.poisson([3.0, 1.0, 8.0], size=(500, 3)).astype(float), 3),
        "a plane in 5-D": (rng.normal(size=(500, 2)) @ rng.normal(size=(2, 5)), 3),
        "peaks of width 0.01": (
            rng.choice([200.0, 500, 700, 1000, 1500], 2000)[:, None] + 0.01 * rng.normal(size=(2000, 1)),
            5,
        ),
        "N(0, 1), N(1e6, 1)": (rng.choice([0.0, 1e6], 1000)[:, None] + rng.normal(size=(1000, 1)), 2),
        "Unix times in bursts": (
            1.7e9 + 86400.0 * rng.integers(7, size=1000)[:, None] + 30 * rng.normal(size=(1000, 1)),
            7,
        ),
        "shops by coordinates": (
            np.array([52.5, 13.4])
            + rng.uniform(-0.1, 0.1, (8, 2))[rng.integers(8, size=800)]
            + 2e-4 * rng.normal(size=(800, 2)),
            8,
        ),
    }
    for k, n, count in [
        (2, 1, 500),
        (3, 2, 1000),
        (5, 2, 2000),
        (4, 5, 1000),
        (8, 3, 2000),
        (10, 10, 3000),
        (20, 2, 4000),
        (20, 10, 5000),
        (3, 50, 1500),
        (5, 20, 2000),
    ]:
        found[f"{k} components in {n}-D"] = (mixture(k, n, count, k * n), k)
    return found


if __name__ == "__main__":
    sys.exit(main())
