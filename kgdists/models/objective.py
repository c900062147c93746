"""What the training of a model minimises."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import backend
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution
from kgdists.divergences import energy_score
from kgdists.metrics.scores import ranked_probability_score
from kgdists.models.matching import for_each_output, matched, named
from kgdists.models.outputs import mask_of
from kgdists.numerics import special

__all__ = ["Objective", "negative_log_likelihood"]

NUM_SAMPLES = 16  # pairs of draws in a score that is estimated


def negative_log_likelihood(y: Any, dist: Distribution) -> Tensor:
    """The negative log-likelihood of targets, shape [B...].

    Parameters
    ----------
    y : tensor, shape [B..., *event_shape], or labels [B...] for choices
    dist : Distribution

    Raises
    ------
    ValueError
        If the shapes differ; the error says how to mend that.
    """
    try:
        return -dist.log_proba(y)
    except ValueError as error:
        raise _about_targets(error, y, dist) from error


def _about_targets(error, y, dist):
    """What to say of an error about variates where these are the targets of a model."""
    shape = tuple(getattr(y, "shape", ()))
    if dist.event_shape == (1,) and len(shape) == len(dist.batch_shape):
        return ValueError(
            f"Targets of events of shape (1,) must have shape [N, 1]: write `y[:, None]`. Received: y of shape {shape}"
        )
    text = str(error).replace("`x`", "`y`").replace("Received: x of", "Received: y of")
    return ValueError(f"Targets must be variates of the output. {text}")


def _ranked_probability_score(y, dist):
    return ranked_probability_score(_as_variate(y, dist), dist, NUM_SAMPLES)


def _energy_score(y, dist):
    return energy_score(dist, _as_variate(y, dist), NUM_SAMPLES)[0]


def _as_variate(y, dist):
    try:
        return dist.as_variate(y)
    except ValueError as error:
        raise _about_targets(error, y, dist) from error


SCORES: dict[str, Callable[[Any, Any], Tensor]] = {
    "nll": negative_log_likelihood,
    "crps": _ranked_probability_score,
    "energy": _energy_score,
}


class Objective:
    """The weighted sum of one loss for each output.

    Parameters
    ----------
    loss, loss_weights : object
        As given to `compile`.
    """

    def __init__(self, loss: Any = None, loss_weights: Any = None) -> None:
        self.arguments = {"loss": loss, "loss_weights": loss_weights}
        self.trackers: dict[str, keras.metrics.Mean] = {}

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor:
        """The loss of a batch, a scalar; where there are several outputs, that of each goes to its tracker."""
        outputs = matched(y, y_pred, sample_weight)
        with backend.outside_functions():
            self.make(named(y_pred))
        losses = self._losses(outputs)
        weights = for_each_output("loss_weights", self.arguments["loss_weights"], list(outputs), shared=False)
        total: Any = 0.0
        for (name, (targets, output, of_rows)), loss, weight in zip(outputs.items(), losses, weights, strict=True):
            if loss is None:
                continue
            if targets is None:
                raise ValueError(f"`y` must hold targets of each output that has a loss. Received: none of {name!r}")
            mean = _mean(loss, targets, output, of_rows)
            if name in self.trackers:
                rows = ops.shape(keras.tree.flatten(output)[0])[0]
                self.trackers[name].update_state(mean, sample_weight=rows)
            total = total + (mean if weight is None else weight * mean)
        return total

    def _losses(self, outputs):
        given, names = self.arguments["loss"], list(outputs)
        if given is None:
            return [_negative_log_likelihood_of(output) for _, output, _ in outputs.values()]
        losses = for_each_output("loss", given, names, shared=True)
        return [_loss_of(loss, output) for loss, (_, output, _) in zip(losses, outputs.values(), strict=True)]

    def make(self, outputs: dict[str, Any]) -> None:
        """Make the trackers of several outputs, name -> output, if they are not there yet."""
        given = self.arguments["loss"]
        losses = for_each_output("loss", given, list(outputs), shared=True)
        for (name, output), loss in zip(outputs.items(), losses, strict=True):
            is_trained = isinstance(output, Distribution) if given is None else loss is not None
            if len(outputs) > 1 and is_trained and name not in self.trackers:
                self.trackers[name] = keras.metrics.Mean(f"{name}_loss")


def _negative_log_likelihood_of(output):
    return negative_log_likelihood if isinstance(output, Distribution) else None


def _loss_of(loss, output):
    """A function of targets and output, or a Keras loss, or None."""
    loss = loss[0] if isinstance(loss, (list, tuple)) and len(loss) == 1 else loss
    if loss is None:
        return None
    if not isinstance(output, Distribution):
        found = keras.losses.get(loss)
        return found if isinstance(found, keras.losses.Loss) else _FunctionLoss(found)
    if isinstance(loss, str) and loss in SCORES:
        return SCORES[loss]
    if isinstance(loss, keras.losses.Loss) and not type(loss).__module__.startswith("keras."):
        return _values_of(loss)
    of_tensors = isinstance(loss, (str, keras.losses.Loss)) or getattr(loss, "__module__", "").startswith("keras.")
    if of_tensors or not callable(loss):
        raise ValueError(
            f"`loss` of a distribution must be one of {', '.join(SCORES)}, or a function of targets and distribution, "
            f"such as `lambda y, d: (y - d.mean()) ** 2`, or a `Loss` of your own. Received: loss={loss!r}"
        )
    return loss


def _values_of(loss):
    """The `call` of a loss of one's own, whose values are averaged with masks and weights as those of a function."""
    if loss.reduction not in ("sum_over_batch_size", "mean"):
        raise ValueError(
            "A loss of a distribution must be averaged: make it with `reduction='sum_over_batch_size'`. "
            f"Received: {type(loss).__name__} of reduction={loss.reduction!r}"
        )
    return loss.call


class _FunctionLoss(keras.losses.Loss):
    # A function as a loss: Keras' own class of that name is private.

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        lacks_axis = len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1
        return self.function(y_true[..., None] if lacks_axis else y_true, y_pred)


def _mean(loss, targets, output, of_rows):
    """The mean over all rows that no mask leaves out, each times its weight."""
    if isinstance(loss, keras.losses.Loss):
        return loss(targets, output, sample_weight=of_rows)
    values = ops.convert_to_tensor(loss(targets, output))
    mask = mask_of(output)
    if of_rows is not None:
        values = values * _beside(ops.cast(of_rows, values.dtype), values, "sample_weight")
    if mask is None:
        return special.mean(values)
    mask = ops.broadcast_to(_beside(mask, values, "mask"), ops.shape(values))
    count = ops.sum(ops.cast(mask, values.dtype))
    return ops.sum(ops.where(mask, values, ops.zeros_like(values))) / ops.maximum(count, 1.0)


def _beside(x, values, name):
    """Weights or a mask of rows with axes of size 1 behind, so that they go with values of the rows' parts."""
    missing = len(values.shape) - len(x.shape)
    if missing < 0 and np.prod([n for n in x.shape[len(values.shape) :] if n is not None]) == 1:
        return ops.reshape(x, ops.shape(x)[: len(values.shape)])
    if missing < 0:
        raise ValueError(
            f"`{name}` must have no more axes than the losses, {len(values.shape)}. Received: shape {tuple(x.shape)}"
        )
    return ops.reshape(x, (*ops.shape(x), *(1,) * missing))
