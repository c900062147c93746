"""`check_distribution`: whether a distribution keeps its promises."""

import json
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kgdists import shapes
from kgdists.distribution import Distribution

__all__ = ["check_distribution"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    TREES = {"keras.tree": keras.tree, "tf.nest": tf.nest}

    def _gradients(function, leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = function(leaves)
        return tape.gradient(value, leaves, unconnected_gradients="zero")

else:
    import jax

    TREES = {"keras.tree": keras.tree}

    def _gradients(function, leaves):
        return jax.grad(lambda leaves: ops.sum(function(leaves)))(leaves)


STANDARD_ERRORS = 5.0
ROUNDING = 1e-5
MODEL_ROWS = 100


def check_distribution(dist, *, num_samples=10_000, seed=0):
    r"""Raise unless a distribution does what kgdists' own ones do; for the tests of a class of one's own.

    - Shapes and dtypes of draws, actions and log-probabilities are those of the class's declaration.
    - It is a tree that loses nothing, and it survives its config as JSON.
    - An int seed repeats a draw, a generator goes on.
    - Draws and density belong together: the mean of :math:`\nabla_\theta \log p` over draws is 0, and ratios q / p turn
      them into draws of a neighbour q; every outcome of a discrete choice is as frequent as it is probable; the density
      integrates to one (where the support is a box, of few enough dimensions); a reparameterised draw moves with the
      parameters as the distribution does.
    - Mean, variance, entropy, cross-entropy and Kullback-Leibler divergence, where they have a closed form, are
      within five standard errors of their Monte Carlo estimates. A divergence is never negative, and 0 to itself.
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
        Naming the property that fails, and by how much.

    Examples
    --------
    >>> import kgdists as kg
    >>> kg.testing.check_distribution(kg.NormalDist([0.0, 1.0], [0.0, -1.0]), num_samples=1000)
    """
    if not isinstance(dist, Distribution):
        raise TypeError(f"`dist` must be a Distribution. Received: {type(dist).__name__}")
    if not isinstance(num_samples, int) or num_samples < 1000:
        raise ValueError(f"`num_samples` must be an int >= 1000. Received: num_samples={num_samples!r}")
    _check_shapes(dist, seed)
    _check_tree(dist)
    _check_config(dist, seed)
    # The widest float that the backend has.
    dtype = shapes.dtype_of(ops.convert_to_tensor(np.zeros(1)))
    wide = keras.tree.map_structure(lambda x: ops.cast(x, dtype) if _is_float(x) else x, dist)
    many = _repeated(wide, num_samples)
    varies = _check_seeds(many, seed)
    rng = np.random.default_rng(seed)
    x = many.sample_action(seed)
    near = _check_scores(many, x, rng, seed)
    if dist.REPARAMETERIZED:
        _check_paths(many, rng, seed)
    _check_frequencies(many, x)
    _check_normalisation(wide, many, x, rng)
    _check_moments(wide, x)
    _check_closed_forms(wide, near, many, x)
    _check_gradients(wide, near, rng, seed)
    _check_model(dist, varies, seed)


# Shapes, trees, configs and seeds.


def _check_shapes(dist, seed):
    batch, event = tuple(dist.batch_shape), dist.event_shape
    for sample_shape in ((), (3,), (2, 3)):
        x = dist.sample(sample_shape, seed)
        front = (*sample_shape, *batch)
        _require_same(f"shape of sample({sample_shape})", _shape(x), _behind(front, event))
        _require_same("dtype of sample", {shapes.dtype_of(leaf) for leaf in _flat(x)}, {dist.dtype})
        x, log_proba = dist.sample_and_log_proba(sample_shape, seed)
        _require_same(f"shape of sample_and_log_proba({sample_shape})[0]", _shape(x), _behind(front, event))
        _require_same(f"shape of sample_and_log_proba({sample_shape})[1]", _shape(log_proba), front)
        _require_same("shape of log_proba of draws", _shape(dist.log_proba(x)), front)
        _require_same("dtype of log_proba", shapes.dtype_of(log_proba), dist.dtype)
    action = dist.sample_action(seed)
    _require_same("shape of log_proba of an action", _shape(dist.log_proba(action)), batch)
    closed = {"entropy": _closed(dist.entropy)}
    closed |= {name: _closed(getattr(dist, name), dist) for name in ("cross_entropy", "kl_divergence")}
    for name, value in closed.items():
        if value is not None:
            _require_same(f"shape of {name}", _shape(value), batch)
            _require_same(f"dtype of {name}", shapes.dtype_of(value), dist.dtype)
    for name in ("mode", "mean", "variance"):
        value = _closed(getattr(dist, name))
        if value is not None:
            _require_same(f"shape of {name}", _shape(value), _behind(batch, event))
    best = _closed(dist.mode_action)
    if best is not None:
        _require_same("shape of mode_action", _shape(best), _shape(action))
        dtypes = [[shapes.dtype_of(leaf) for leaf in _flat(tree)] for tree in (best, action)]
        _require_same("dtype of mode_action", *dtypes)


def _check_tree(dist):
    for name, tree in TREES.items():
        leaves = tree.flatten(dist)
        _require_same(f"leaves of {name}", len(leaves), len(dist.params))
        twin = tree.pack_sequence_as(dist, leaves)
        lost = sorted(vars(dist).keys() - vars(twin).keys() - {"PARAM_NAMES"})
        if lost:
            raise AssertionError(
                f"{name} loses the fields {lost}: they must be among PARAM_NAMES or STATIC_NAMES of "
                f"{type(dist).__name__}"
            )
        _require_same(f"{name}: static fields", twin._static(), dist._static())
    try:
        hash(dist._flatten()[1])
    except TypeError as error:
        raise AssertionError(f"static fields must be hashable: {error}") from None


def _check_config(dist, seed):
    try:
        text = json.dumps(keras.saving.serialize_keras_object(dist))
        twin = keras.saving.deserialize_keras_object(json.loads(text))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"config does not survive JSON: {error}") from error
    _require_same("config: type", type(twin), type(dist))
    _require_same("config: static fields", twin._static(), dist._static())
    for name, x in dist.params.items():
        _require_close(f"config changes `{name}`", twin.params[name], x, 0.0)
    for got, want in zip(_flat(twin.sample(seed=seed)), _flat(dist.sample(seed=seed)), strict=True):
        _require_close("config changes the draws", got, want, 0.0)


def _check_seeds(many, seed):
    """Check them, and return whether draws vary at all."""
    for name in ("sample", "sample_action"):
        draw = getattr(many, name)
        if not _equal(draw(seed=seed), draw(seed=seed)):
            raise AssertionError(f"seed: two calls of {name}(seed={seed}) differ")
        generators = [keras.random.SeedGenerator(seed) for _ in range(2)]
        (first, second), again = [draw(seed=generators[0]) for _ in range(2)], draw(seed=generators[1])
        if not _equal(first, again):
            raise AssertionError(f"seed: {name} from two generators of one seed differs")
        varies = any(np.any(_numpy(leaf) != _numpy(leaf)[:1]) for leaf in _flat(first))
        if varies and _equal(first, second):
            raise AssertionError(f"seed: two successive calls of {name} with one generator are equal")
        if varies and _equal(draw(), draw()):
            raise AssertionError(f"seed: two successive calls of {name}() are equal")
    return varies


# Draws against density.


def _check_scores(many, x, rng, seed):
    """The mean gradient of `log p` is 0, and q / p turns draws of p into those of q, a neighbour, which is returned."""
    log_p = _numpy(many.log_proba(x))
    if not np.isfinite(log_p).all():
        raise AssertionError(f"log_proba of a draw is not finite: {log_p[~np.isfinite(log_p)][0]}")
    scores = _gradients_of(lambda dist: dist.log_proba(x), many)
    leaves = [_numpy(leaf[0]) for leaf in _flat(many)]
    steps, slope = [], 0.0
    for name, leaf, score in zip(many.params, leaves, scores, strict=True):
        mean, error = _estimate(score)
        _require_close(f"mean over draws of the gradient of log_proba in `{name}` is not 0", mean, 0.0 * mean, error)
        spread = score.std(axis=0)
        moves = np.isfinite(leaf) & (spread > 1e-6)
        step = np.where(moves, rng.normal(size=spread.shape) / np.where(moves, spread, 1.0), 0.0)
        steps.append(step)
        slope = slope + np.sum((score * step).reshape(*log_p.shape, -1), axis=-1)
    spread = slope.std(axis=0)
    # The logarithm of q / p varies by about 1; where this leaves the parameters' domain, by less.
    size = 1.0 / np.where(spread > 0, spread, 1.0)
    for _ in range(10):
        near = _moved(
            many, [_within(step * _behind_axes(size, step), x) for step, x in zip(steps, leaves, strict=True)]
        )
        log_q = _numpy(near.log_proba(x))
        if not np.isnan(log_q).any():
            break
        size = 0.5 * size
    # With s = q / (p + q), which is bounded, the means of s^2 over p and of s (1 - s) over q are the same integral.
    y = near.sample_action(seed + 1)
    share_of_x = 1.0 / (1.0 + np.exp(log_p - log_q))
    share_of_y = 1.0 / (1.0 + np.exp(_numpy(many.log_proba(y)) - _numpy(near.log_proba(y))))
    (left, left_error), (right, right_error) = _estimate(share_of_x**2), _estimate(share_of_y * (1.0 - share_of_y))
    error = np.sqrt(left_error**2 + right_error**2)
    _require_close("draws of p and of a neighbour q are not weighed by q / p", left, right, error)
    return _first(near)


def _within(step, x):
    """A step that leaves the sign of `x` as it is."""
    bound = np.where(x == 0, np.inf, 0.5 * np.abs(x))
    return np.clip(step, -bound, bound)


def _check_paths(many, rng, seed):
    """The gradient through the draws of a mean is that by the score function."""
    leaves = [_numpy(leaf) for leaf in _flat(many.sample(seed=seed))]
    units = [(leaf.mean(axis=0), leaf.std(axis=0) + 1e-6, rng.normal(size=leaf.shape[1:])) for leaf in leaves]

    def value(x):
        bounded = [
            ops.tanh((leaf - center) / scale) * weight
            for leaf, (center, scale, weight) in zip(_flat(x), constants, strict=True)
        ]
        batch = len(many.batch_shape)
        return sum(ops.sum(ops.reshape(leaf, (*leaf.shape[:batch], -1)), axis=-1) for leaf in bounded)

    constants = [tuple(ops.convert_to_tensor(unit, many.dtype) for unit in triple) for triple in units]
    through = _gradients_of(lambda dist: value(dist.sample(seed=seed)), many)
    x = many.sample(seed=seed)
    values = _numpy(value(x))
    values = values - values.mean(axis=0)
    scores = _gradients_of(lambda dist: dist.log_proba(x), many)
    for name, path, score in zip(many.params, through, scores, strict=True):
        difference, error = _estimate(path - score * _behind_axes(values, score))
        _require_close(
            f"gradient through sample in `{name}` differs from that of the mean", difference, 0.0 * difference, error
        )


def _check_frequencies(many, x):
    """Of actions made of integers."""
    if any(_is_float(leaf) for leaf in _flat(x)):
        return
    rows, log_p, _ = _rows(many, x)
    for row, log_proba in zip(rows, log_p, strict=True):
        actions, first, counts = np.unique(row.astype("int64"), axis=0, return_index=True, return_counts=True)
        expected = len(row) * np.exp(log_proba[first])
        error = np.sqrt(np.maximum(expected * (1.0 - expected / len(row)), 0.0)) + 1.0
        worst = np.argmax(np.abs(counts - expected) / error)
        if not np.abs(counts - expected)[worst] <= STANDARD_ERRORS * error[worst]:
            raise AssertionError(
                f"frequency of the action {actions[worst]} differs from its probability: "
                f"{counts[worst] / len(row):.4g} and {expected[worst] / len(row):.4g}"
            )


def _check_normalisation(dist, many, x, rng):
    """Importance sampling of the integral, with the product of the draws' histograms as proposal."""
    rows, _, unpack = _rows(many, x)
    is_integer = np.concatenate([np.full(_width(many, leaf), not _is_float(leaf)) for leaf in _flat(x)])
    half = rows.shape[1] // 2
    if any(_is_flat(row[:, ~is_integer]) for row in rows):
        return  # a simplex, for instance: the density is not that of all coordinates
    proposed, log_q, inside = np.empty_like(rows[:, :half]), 0.0, True
    for i, integer in enumerate(is_integer):
        columns = [_propose(row[:half, i], row[half : 2 * half, i], integer, rng) for row in rows]
        proposed[..., i], log_q_i, inside_i = (np.stack(parts) for parts in zip(*columns, strict=True))
        log_q, inside = log_q + log_q_i, inside & inside_i
    log_p = _numpy(_repeated(dist, half).log_proba(unpack(proposed))).reshape(half, -1).T
    weight = np.exp(log_p - log_q)
    effective = np.sum(weight, axis=1) ** 2 / np.maximum(np.sum(weight**2, axis=1), 1e-300)
    # Without an effective sample, or a draw in the box, nothing can be said.
    known = (effective > 100) & inside.any(axis=1)
    (total, total_error), (mass, mass_error) = _estimate(weight.T), _estimate(inside.T)
    error = np.sqrt(total_error**2 + mass_error**2)
    _require_close(
        "integral of exp(log_proba) over a box differs from the share of draws in it",
        *(values[known] for values in (total, mass, error)),
    )


def _propose(seen, fresh, integer, rng):
    """Draws of a marginal like that of `seen`, the logarithm of their density, and which of `fresh` are inside."""
    if integer or np.all(seen == seen[0]):
        values, counts = np.unique(seen, return_counts=True)
        i = rng.choice(len(values), len(seen), p=counts / len(seen))
        return values[i], np.log(counts / len(seen))[i], np.isin(fresh, values)
    # Atoms at single points make empty bins, which are left out.
    edges = np.unique(np.quantile(seen, np.linspace(0.0, 1.0, 65)))
    i = rng.integers(len(edges) - 1, size=len(seen))
    width = np.diff(edges)[i]
    inside = (fresh > edges[0]) & (fresh < edges[-1]) & ~np.isin(fresh, edges)
    return edges[i] + width * rng.random(len(seen)), -np.log(width * (len(edges) - 1)), inside


def _is_flat(row):
    """Whether points lie in a plane of fewer dimensions than they vary in."""
    row = row[:, row.std(axis=0) > 0]
    if row.shape[1] < 2:
        return False
    row = (row - row.mean(axis=0)) / row.std(axis=0)
    return np.linalg.matrix_rank(row, tol=1e-4 * np.sqrt(len(row))) < row.shape[1]


# Closed forms.


def _check_moments(dist, x):
    mean, variance = _closed(dist.mean), _closed(dist.variance)
    if mean is None or _shape(_first(x)) != _shape(mean):
        return  # labels and the like
    for leaf, center in zip(_flat(x), _flat(mean), strict=True):
        _require_close("mean differs from that of draws", center, *_estimate(leaf))
    if variance is not None:
        for leaf, center, spread in zip(_flat(x), _flat(mean), _flat(variance), strict=True):
            squares = (_numpy(leaf) - _numpy(center)) ** 2
            _require_close("variance differs from that of draws", spread, *_estimate(squares))


def _check_closed_forms(p, q, many, x):
    log_p = _numpy(many.log_proba(x))
    log_q = _numpy(_repeated(q, len(log_p)).log_proba(x))
    ratio = _numpy(many.proba_ratio(x, _repeated(q, len(log_p))))
    _require_close("proba_ratio differs from that of the densities", ratio, np.exp(log_p - log_q), 1e-5 * ratio)
    estimates = {
        "entropy": (_closed(p.entropy), -log_p),
        "cross_entropy": (_closed(p.cross_entropy, q), -log_q),
        "kl_divergence": (_closed(p.kl_divergence, q), log_p - log_q),
    }
    value = estimates["kl_divergence"][0]
    if value is not None:
        if np.min(_numpy(value)) < -ROUNDING:
            raise AssertionError(f"kl_divergence is negative: {np.min(_numpy(value)):.6g}")
        own = _numpy(p.kl_divergence(p))
        _require_close("kl_divergence to itself is not 0", own, 0.0 * own, 0.0)
    for name, (value, terms) in estimates.items():
        if value is not None:
            _require_close(f"{name} differs from its Monte Carlo estimate", value, *_estimate(terms))


def _check_gradients(p, q, rng, seed):
    """Along one random direction in each parameter; the parameters moved up and down are rows of one batch."""
    x, leaves = p.sample_action(seed), [_numpy(leaf) for leaf in _flat(p)]
    functions = {
        "log_proba": lambda p, q, x: p.log_proba(x),
        "entropy": lambda p, q, x: p.entropy(),
        "cross_entropy": lambda p, q, x: p.cross_entropy(q),
        "kl_divergence": lambda p, q, x: p.kl_divergence(q),
    }
    step, tolerance = (1e-5, 1e-6) if p.dtype == "float64" else (1e-2, 2e-3)
    directions = []
    for leaf in leaves:
        direction = np.where(np.isfinite(leaf), rng.choice([-1.0, 1.0], size=leaf.shape), 0.0)
        directions.append(direction * np.where(leaf == 0, 1.0, np.minimum(1.0, np.abs(leaf))))
    signs = np.kron(step * np.eye(len(leaves)), [[1.0], [-1.0]])
    moves = [sign.reshape(-1, *[1] * v.ndim) * v for sign, v in zip(signs.T, directions, strict=True)]
    rows = [_repeated(tree, len(signs)) for tree in (p, q, x)]
    rows[0] = _moved(rows[0], moves)
    for method, function in functions.items():
        values = _closed(function, *rows)
        if values is None:
            continue
        values = _numpy(values).reshape(len(leaves), 2, *p.batch_shape)
        gradients = _gradients_of(lambda p, function=function: function(p, q, x), p)
        for name, gradient, direction, (up, down) in zip(p.params, gradients, directions, values, strict=True):
            if not np.isfinite(gradient).all():
                raise AssertionError(f"gradient of {method} in `{name}` is not finite")
            slope = np.sum((gradient * direction).reshape(*up.shape, -1), axis=-1)
            allowed = tolerance * (1.0 + np.abs(slope) + np.abs(up))
            what = f"gradient of {method} in `{name}` differs from central differences"
            _require_close(what, slope, (up - down) / (2 * step), allowed)


# A model.


def _check_model(dist, varies, seed):
    many = _repeated(dist, MODEL_ROWS)
    inputs = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=shapes.dtype_of(x)), many)
    x = inputs.sample(seed=seed)
    outputs = {"sample": x, "log_proba": inputs.log_proba(x), "fresh": inputs.sample()}
    model = keras.Model(_flat(inputs), outputs)
    x = many.sample(seed=seed)
    want = {"sample": x, "log_proba": many.log_proba(x)}
    arrays = [ops.convert_to_numpy(leaf) for leaf in _flat(many)]
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        loaded = keras.saving.load_model(Path(folder) / "model.keras")
    tolerance = {"float64": 1e-5, "float32": 1e-3}.get(dist.dtype, 0.1)
    model.compile(jit_compile=False)
    calls = {"model": lambda: model.predict(arrays, MODEL_ROWS, verbose=0), "reloaded model": lambda: loaded(arrays)}
    for kind, call in calls.items():
        first, second = call(), call()
        for name, value in want.items():
            for got, leaf in zip(_flat(first[name]), _flat(value), strict=True):
                allowed = tolerance * (1.0 + np.abs(_numpy(leaf)))
                _require_close(f"{kind}: {name} differs from that outside of it", got, leaf, allowed)
        if varies and _equal(first["fresh"], second["fresh"]):
            raise AssertionError(f"{kind}: two successive draws are equal")


# Arrays and trees.


def _flat(tree):
    return keras.tree.flatten(tree)


def _numpy(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32") if "bfloat16" in str(x.dtype) else x))


def _is_float(x):
    return "float" in shapes.dtype_of(x)


def _shape(tree):
    return keras.tree.map_structure(lambda x: tuple(x.shape), tree)


def _behind(front, event):
    return keras.tree.map_shape_structure(lambda shape: (*front, *shape), event)


def _behind_axes(x, like):
    """`x` with as many axes as `like`."""
    return x.reshape(*x.shape, *[1] * (like.ndim - x.ndim))


def _repeated(dist, times):
    return keras.tree.map_structure(lambda x: ops.broadcast_to(x, (times, *x.shape)), dist)


def _first(tree):
    return keras.tree.map_structure(lambda x: x[0], tree)


def _moved(dist, steps):
    leaves = [
        x + ops.convert_to_tensor(np.broadcast_to(step, x.shape), x.dtype) if _is_float(x) else x
        for x, step in zip(_flat(dist), steps, strict=True)
    ]
    return keras.tree.pack_sequence_as(dist, leaves)


def _gradients_of(function, dist):
    """The gradient of the sum of `function(dist)` in each parameter, zeros in integers."""
    leaves = _flat(dist)
    floats = [i for i, x in enumerate(leaves) if _is_float(x)]

    def value(moving):
        return function(
            keras.tree.pack_sequence_as(
                dist, [moving[floats.index(i)] if i in floats else x for i, x in enumerate(leaves)]
            )
        )

    gradients = dict(zip(floats, _gradients(value, [leaves[i] for i in floats]), strict=True))
    return [_numpy(gradients[i]) if i in gradients else np.zeros(x.shape) for i, x in enumerate(leaves)]


def _width(many, leaf):
    return int(np.prod(leaf.shape[1 + len(many.batch_shape[1:]) :]))


def _rows(many, x):
    """Draws as an array of shape [batch, draws, coordinates], their log-probabilities, and the way back."""
    num, batch = many.batch_shape[0], many.batch_shape[1:]
    leaves = _flat(x)
    widths = [_width(many, leaf) for leaf in leaves]

    def unpack(rows):
        parts = np.split(np.moveaxis(rows, 0, 1), np.cumsum(widths)[:-1], axis=-1)
        shaped = [
            ops.convert_to_tensor(part.reshape(len(part), *leaf.shape[1:]).astype(shapes.dtype_of(leaf)))
            for part, leaf in zip(parts, leaves, strict=True)
        ]
        return keras.tree.pack_sequence_as(x, shaped)

    count = int(np.prod(batch))
    flat = [_numpy(leaf).reshape(num, count, width) for leaf, width in zip(leaves, widths, strict=True)]
    rows = np.moveaxis(np.concatenate(flat, axis=-1).astype("float64"), 1, 0)
    return rows, _numpy(many.log_proba(x)).reshape(num, count).T, unpack


def _equal(tree, other):
    return all(np.array_equal(_numpy(a), _numpy(b)) for a, b in zip(_flat(tree), _flat(other), strict=True))


def _closed(method, *arguments):
    """What a method returns, None if it has no closed form."""
    try:
        return method(*arguments)
    except NotImplementedError:
        return None


def _estimate(x):
    """Mean over draws, and what it may be off."""
    x = np.asarray(_numpy(x) if hasattr(x, "dtype") else x, "float64")
    return x.mean(axis=0), STANDARD_ERRORS * x.std(axis=0) / np.sqrt(len(x))


def _require_same(what, got, want):
    if got != want:
        raise AssertionError(f"{what} must be {want}. Received: {got}")


def _require_close(what, got, want, allowed):
    got, want = _numpy(got).astype("float64"), _numpy(want).astype("float64")
    _require_same(f"{what}: shape", got.shape, want.shape)
    same = got == want  # also infinities
    error = np.abs(np.where(same, 0.0, got) - np.where(same, 0.0, want))
    allowed = np.broadcast_to(allowed, want.shape) + ROUNDING * (1.0 + np.abs(np.where(same, 0.0, want)))
    bad = ~(error <= allowed)
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error - allowed)), error.shape)
        raise AssertionError(
            f"{what}: {got[worst]:.6g} and {want[worst]:.6g}, which may differ by {allowed[worst]:.2g}, "
            f"at index {tuple(map(int, worst))}"
        )
