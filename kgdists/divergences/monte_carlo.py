"""Monte Carlo estimates where there is no closed form: a value and its standard error."""

import keras
from keras import ops

from kgdists.distribution import Distribution

__all__ = ["cross_entropy", "entropy", "kl_divergence"]


def entropy(p, num_samples=1, seed=None):
    r"""Estimate the entropy :math:`-\mathrm{E}_p \log p`.

    Parameters
    ----------
    p : Distribution
    num_samples : int, >= 1
    seed : None, int or keras.random.SeedGenerator

    Returns
    -------
    value : float tensor, shape [B...]
        Unbiased, and so is its gradient: pathwise if `p` is reparameterised, else by the score function.
    standard_error : float tensor, shape [B...]
        NaN for a single sample.

    Examples
    --------
    >>> import kgdists as kg
    >>> p = kg.NormalDist([0.0], [0.0])
    >>> value, standard_error = kg.divergences.entropy(p, num_samples=1000, seed=0)
    >>> bool(abs(value - p.entropy()) < 4 * standard_error)
    True
    """
    return _estimate(p, num_samples, seed, lambda x, log_p: -log_p)


def cross_entropy(p, q, num_samples=1, seed=None):
    r"""Estimate the cross-entropy :math:`-\mathrm{E}_p \log q`; arguments and results as for `entropy`."""
    return _estimate(p, num_samples, seed, lambda x, log_p: -q.log_proba(x))


def kl_divergence(p, q, num_samples=1, seed=None):
    r"""Estimate the divergence :math:`\mathrm{E}_p [\log p - \log q]`; arguments and results as for `entropy`."""
    return _estimate(p, num_samples, seed, lambda x, log_p: log_p - q.log_proba(x))


def _estimate(p, num_samples, seed, term):
    if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(f"`num_samples` must be an int >= 1. Received: num_samples={num_samples!r}")
    if not isinstance(p, Distribution):
        raise TypeError(f"`p` must be a Distribution. Received: {type(p).__name__}")
    if p.REPARAMETERIZED:
        terms = term(*p.sample_and_log_proba(num_samples, seed))
    else:
        many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (num_samples, *ops.shape(x))), p)
        x = keras.tree.map_structure(ops.stop_gradient, many.sample_action(seed))
        log_p = p.log_proba(x)
        terms = term(x, log_p)
        # Adds nothing to the value, and to the gradient that of the draws (Williams 1992).
        terms = terms + ops.stop_gradient(terms) * (log_p - ops.stop_gradient(log_p))
    deviation = ops.sqrt(ops.var(terms, axis=0) / (num_samples - 1)) if num_samples > 1 else terms[0] * float("nan")
    return ops.mean(terms, axis=0), ops.stop_gradient(deviation)
