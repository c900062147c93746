"""`check_distribution`: whether a distribution keeps its promises."""

import keras
import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.distributions.distribution import Distribution
from kgdists.testing.closed_forms import check_closed_forms, check_moments
from kgdists.testing.declaration import check_shapes
from kgdists.testing.gradients import check_gradients
from kgdists.testing.normalization import check_normalisation
from kgdists.testing.order import check_order
from kgdists.testing.requirements import property_of
from kgdists.testing.sampler import check_frequencies, check_paths, check_scores, check_seeds
from kgdists.testing.saving import check_config, check_model, check_tree
from kgdists.testing.values import is_float, repeated

__all__ = ["check_distribution"]


def check_distribution(dist: Distribution, *, num_samples: Integer = 10_000, seed: int = 0) -> None:
    r"""Raise unless a distribution does what kgdists' own ones do; for the tests of a class of one's own.

    - Shapes and dtypes of draws, actions and log-probabilities are those of the class's declaration.
    - It is a tree that loses nothing, and it survives its config as JSON.
    - An int seed and a key, as agents draw from, repeat a draw; a generator goes on.
    - Draws and density belong together: the mean of :math:`\nabla_\theta \log p` over draws is 0, and ratios q / p turn
      them into draws of a neighbour q; every outcome of a discrete choice is as frequent as it is probable; the density
      integrates to one (where the support is a box, of few enough dimensions); a reparameterised draw moves with the
      parameters as the distribution does.
    - Mean, variance, entropy, cross-entropy and Kullback-Leibler divergence, where they have a closed form, are
      within five standard errors of their Monte Carlo estimates. A divergence is never negative, and 0 to itself.
    - The distribution function is the share of draws at or below, and grows by the density; quantiles have their level;
      the ranked probability score is that of draws.
    - Gradients are finite and agree with central differences.
    - A Keras model that draws from it is saved, loaded and draws afresh.

    The support must not depend on the parameters (bounds are static fields) and parameters may be moved a little.

    Parameters
    ----------
    dist : Distribution
        Any batch shape; a small one is quick.
    num_samples : int, >= 1000
        Draws for each of the statistical checks: with more of them smaller errors are found.
    seed : int
        What is drawn is a function of it.

    Raises
    ------
    AssertionError
        Naming the property that fails, and by how much or with which error.

    Examples
    --------
    >>> import kgdists as kg
    >>> kg.testing.check_distribution(kg.NormalDist([0.0, 1.0], [0.0, -1.0]), num_samples=1000)
    """
    if not isinstance(dist, Distribution):
        raise TypeError(f"`dist` must be a Distribution. Received: {type(dist).__name__}")
    num_samples = count("num_samples", num_samples, least=1000)
    with property_of("shapes and dtypes"):
        check_shapes(dist, seed)
    with property_of("tree"):
        check_tree(dist)
    with property_of("config"):
        check_config(dist, seed)
    # The widest float that the backend has.
    dtype = shapes.dtype_of(ops.convert_to_tensor(np.zeros(1)))
    wide = keras.tree.map_structure(lambda x: ops.cast(x, dtype) if is_float(x) else x, dist)
    many = repeated(wide, num_samples)
    rng = np.random.default_rng(seed)
    with property_of("seeds"):
        varies = check_seeds(many, seed)
    with property_of("draws and density"):
        x = many.sample_action(seed)
        near = check_scores(many, x, rng, seed)
        if dist.REPARAMETERIZED:
            check_paths(many, rng, seed)
        check_frequencies(many, x)
        check_normalisation(wide, many, x, rng)
    with property_of("closed forms"):
        check_moments(wide, x)
        check_closed_forms(wide, near, many, x)
    with property_of("distribution function, quantiles and score"):
        check_order(wide, x)
    with property_of("gradients"):
        check_gradients(wide, near, rng, seed)
    with property_of("Keras model"):
        check_model(dist, varies, seed)
