"""Shapes and dtypes are those of the class's declaration."""

from kgdists.core import shapes
from kgdists.distributions.distribution import Distribution
from kgdists.testing.requirements import closed_form, require_same
from kgdists.testing.values import behind, flat, shape_of

__all__ = ["check_shapes"]


def check_shapes(dist: Distribution, seed: int) -> None:
    batch, event = tuple(dist.batch_shape), dist.event_shape
    for sample_shape in ((), (3,), (2, 3)):
        x = dist.sample(sample_shape, seed)
        front = (*sample_shape, *batch)
        require_same(f"shape of sample({sample_shape})", shape_of(x), behind(front, event))
        require_same("dtype of sample", {shapes.dtype_of(leaf) for leaf in flat(x)}, {dist.dtype})
        x, log_proba = dist.sample_and_log_proba(sample_shape, seed)
        require_same(f"shape of sample_and_log_proba({sample_shape})[0]", shape_of(x), behind(front, event))
        require_same(f"shape of sample_and_log_proba({sample_shape})[1]", shape_of(log_proba), front)
        require_same("shape of log_proba of draws", shape_of(dist.log_proba(x)), front)
        require_same("dtype of log_proba", shapes.dtype_of(log_proba), dist.dtype)
    action = dist.sample_action(seed)
    require_same("shape of log_proba of an action", shape_of(dist.log_proba(action)), batch)
    closed = {"entropy": closed_form(dist.entropy)}
    closed |= {name: closed_form(getattr(dist, name), dist) for name in ("cross_entropy", "kl_divergence")}
    for name, value in closed.items():
        if value is not None:
            require_same(f"shape of {name}", shape_of(value), batch)
            require_same(f"dtype of {name}", shapes.dtype_of(value), dist.dtype)
    for name in ("mode", "mean", "variance"):
        value = closed_form(getattr(dist, name))
        if value is not None:
            require_same(f"shape of {name}", shape_of(value), behind(batch, event))
    best = closed_form(dist.mode_action)
    if best is not None:
        require_same("shape of mode_action", shape_of(best), shape_of(action))
        dtypes = [[shapes.dtype_of(leaf) for leaf in flat(tree)] for tree in (best, action)]
        require_same("dtype of mode_action", *dtypes)
