"""Log-density, score and responsibilities of a mixture of normal distributions with constant parameters.

Points are the rows of a tensor [N, D]. In the sums over components each dimension is a tensor [N] of its own and, up to
some number of terms, each component is written out: a compiler then makes one loop over the points of it. More
components go through a loop, a few in each step. Nothing of size N times K is ever stored.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.numerics import cholesky

__all__ = ["log_prob", "log_prob_and_score", "responsibilities"]

# Terms, of one component and one dimension (full covariances: one factor) each, that are written out: all of a density
# alone; but with the score at most this many in each step of a loop over components. Of more, XLA may compute the
# exponentials once for each place where they are used, which takes a hundred times as long.
WRITTEN_OUT = 128
IN_A_STEP = 16
COLUMNS = 32  # dimensions up to which each is a tensor of its own

Params: TypeAlias = Mapping[str, np.ndarray]


def log_prob(params: Params, x: Tensor) -> Tensor:
    """Log-density, shape [N], whose gradient is computed as the score.

    Parameters
    ----------
    params : dict of arrays
        `offsets` [K], the logarithms of weights times normalisers; `means` [K, D]; and either `inverse_stds` [K, D] or
        `scale_tril` [K, D, D].
    x : float tensor, shape [N, D]
    """

    @tf.custom_gradient
    def value(x):
        return _evaluate(params, x, WRITTEN_OUT)[0], lambda up: up[:, None] * log_prob_and_score(params, x)[1]

    return value(x)


def log_prob_and_score(params: Params, x: Tensor) -> tuple[Tensor, Tensor]:
    """Log-density, shape [N], and its gradient in `x`, shape [N, D]; arguments as for `log_prob`."""
    return _evaluate(params, x, IN_A_STEP)


def _evaluate(params, x, written_out):
    params = _cast(params, x)
    num_components, dim = params["means"].shape
    terms = max(1, params["scale_tril"][0].size if "scale_tril" in params else dim)
    if num_components * terms <= written_out or num_components == 1:
        peak, total, pulls = _sums(params, x)
    else:
        peak, total, pulls = _sums_in_steps(params, x, max(1, IN_A_STEP // terms))
    score = [-pull / _beside(total, pull) for pull in pulls]
    return peak + ops.log(total), score[0] if dim > COLUMNS else ops.stack(score, axis=-1)


def responsibilities(params: Params, x: Tensor) -> Tensor:
    """Probabilities of the components given `x`, shape [N, K]; arguments as for `log_prob`."""
    params = _cast(params, x)
    points = _pieces(x)

    def joint(component):
        return _joint(component, points)[0]

    if params["means"].size <= WRITTEN_OUT:
        joints = ops.stack([joint(component) for component in _components(params)], axis=-1)
    else:
        joints = ops.transpose(tf.map_fn(joint, params, fn_output_signature=x.dtype))
    return ops.exp(joints - log_prob(params, x)[:, None])


def _sums_in_steps(params, x, step):
    # The last step is filled up with components of no weight.
    filling = -params["offsets"].size % step
    steps = {}
    for name, values in params.items():
        filled = np.concatenate([values, np.repeat(values[-1:], filling, axis=0)])
        if name == "offsets" and filling:
            filled[-filling:] = -np.inf
        steps[name] = tf.constant(filled.reshape(-1, step, *values.shape[1:]))
    num_steps = steps["means"].shape[0]

    def body(i, peak, total, pulls):
        other_peak, other_total, other_pulls = _sums({name: values[i] for name, values in steps.items()}, x)
        new_peak = ops.maximum(peak, other_peak)
        kept, added = ops.exp(peak - new_peak), ops.exp(other_peak - new_peak)
        pulls = [
            pull * _beside(kept, pull) + other * _beside(added, other)
            for pull, other in zip(pulls, other_pulls, strict=True)
        ]
        return i + 1, new_peak, total * kept + other_total * added, pulls

    first = _sums({name: values[0] for name, values in steps.items()}, x)
    return tf.while_loop(lambda i, *_: i < num_steps, body, (1, *first), maximum_iterations=num_steps - 1)[1:]


def _sums(params, x):
    """The largest joint log-density, and in units of it the density and the pieces of its negative gradient."""
    points = _pieces(x)
    joints, pulls = zip(*(_joint(component, points) for component in _components(params)), strict=True)
    peak = ops.full_like(joints[0], np.finfo(shapes.dtype_of(x)).min)  # the largest may be -inf
    for joint in joints:
        peak = ops.maximum(peak, joint)
    shares = [ops.exp(joint - peak) for joint in joints]
    weighted = ([_beside(share, pull) * pull for pull in own] for share, own in zip(shares, pulls, strict=True))
    return peak, sum(shares), [sum(column) for column in zip(*weighted, strict=True)]


def _joint(component, points):
    """`log w_k N(x; mu_k, Sigma_k)`, shape [N], and the pieces of `Sigma_k^-1 (x - mu_k)`."""
    many = points[0].shape.rank == 2
    mean, factor = component["means"], component.get("scale_tril")
    steps = [point - (mean if many else mean[d]) for d, point in enumerate(points)]
    if factor is None:
        factors = [component["inverse_stds"]] if many else component["inverse_stds"]
        z = [step * factors[d] for d, step in enumerate(steps)]
        pulls = [_kept(u, factors[d]) * factors[d] for d, u in enumerate(z)]
    elif many:
        z = [cholesky.solve(factor, steps[0])]
        pulls = [cholesky.solve_transposed(factor, z[0])]
    else:
        z = _solve(factor, steps)
        pulls = _solve_transposed(factor, z)
    square = sum(u * u for u in z)
    return component["offsets"] - 0.5 * (ops.sum(square, axis=-1) if many else square), pulls


def _kept(u, factor):
    """`u`, also where XLA would multiply its two equal factors first, and their square is no float."""
    if tf.is_tensor(factor):
        return u
    with np.errstate(over="ignore", under="ignore"):
        square = np.square(factor)
    if np.all(np.isfinite(square) & (square >= np.finfo(square.dtype).tiny)):
        return u
    return ops.where(ops.isnan(u), 0.0 * u, u)


def _solve(tril, steps):
    z: list[Tensor] = []
    for i, step in enumerate(steps):
        z.append((step - sum(tril[i, j] * z[j] for j in range(i))) / tril[i, i])
    return z


def _solve_transposed(tril, z):
    pulls = [None] * len(z)
    for i in reversed(range(len(z))):
        pulls[i] = (z[i] - sum(tril[j, i] * pulls[j] for j in range(i + 1, len(z)))) / tril[i, i]
    return pulls


def _cast(params, x):
    return {name: values.astype(shapes.dtype_of(x)) for name, values in params.items()}


def _components(params):
    return [{name: values[k] for name, values in params.items()} for k in range(params["means"].shape[0])]


def _pieces(x):
    """The columns of `x`, or `x` itself if there are too many of them."""
    return [x] if x.shape[-1] > COLUMNS else ops.unstack(x, axis=-1)


def _beside(factor, piece):
    """A tensor [N] in the shape to multiply a piece with."""
    return factor[:, None] if piece.shape.rank == 2 else factor
