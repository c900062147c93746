"""Players of a policy: compiled functions of observations to actions that are numbers."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.core.compiled import Compiled
from kgdists.core.shapes import check_finite
from kgdists.core.types import Tensor
from kgdists.distributions import (
    CategoricalDist,
    CompositeDist,
    MultiCategoricalDist,
    RelaxedOneHotCategorical,
)
from kgdists.distributions.distribution import Distribution
from kgdists.envs.inputs import Inputs
from kgdists.policy import Policy
from kgdists.spaces import decode_action

__all__ = ["NotANumber", "are_numbers", "decider", "make_player", "predictor"]

CHOICES = CategoricalDist, MultiCategoricalDist, RelaxedOneHotCategorical


class NotANumber(FloatingPointError):
    """The policy's distribution has NaN among its parameters or actions."""

    def __init__(self) -> None:
        super().__init__(
            "A policy must act by numbers: take an earlier checkpoint, or train anew with a smaller learning rate. "
            "Received: a distribution whose parameters are not finite"
        )


def are_numbers(pi: Distribution, actions: Any) -> Tensor:
    """Whether no parameter of a distribution, and none of its actions, is NaN, and all choices are made: a scalar."""
    floats = [x for x in tree.flatten((pi, actions)) if tf.as_dtype(x.dtype).is_floating]
    wrong = [tf.reduce_any(tf.math.is_nan(x)) for x in floats]
    # Logits that are infinite allow no choice, which is then -1; so may be a number that others draw.
    chosen = [x for part, x in zip(_parts(pi), tree.flatten(actions), strict=False) if isinstance(part, CHOICES)]
    return ~functools.reduce(tf.logical_or, wrong + [tf.reduce_any(x == -1) for x in chosen], tf.constant(False))


def _parts(pi):
    """The distributions that a composite one consists of, in the order of the leaves of its actions."""
    match pi:
        case CompositeDist():
            return _parts(pi.dists)
        case dict():
            return [part for name in sorted(pi) for part in _parts(pi[name])]
        case tuple() | list():
            return [part for branch in pi for part in _parts(branch)]
    return [pi]


def _batched(observations, example):
    """Observations behind a batch axis like those of `example`, and whether they had none."""
    shape = tree.map_structure(lambda x: x.shape[1:], example)
    try:
        arrays = tree.map_structure_up_to(example, lambda like, x: np.asarray(x, like.dtype), example, observations)
    except (TypeError, ValueError):
        arrays = None
    if tree.map_structure(np.shape, arrays) == shape:
        return tree.map_structure(lambda x: x[None], arrays), True
    if arrays is None or tree.map_structure(lambda x: x.shape[1:], arrays) != shape:
        received = tree.map_structure(np.shape, observations if arrays is None else arrays)
        raise ValueError(f"`observations` must have shape {shape}, behind a batch axis or not. Received: {received}")
    return arrays, False


def decider(policy: Policy, deterministic: bool = True, example: Any = None) -> Callable[..., Any]:
    """A compiled function of observations [B, *shape], and of a key for draws if any, to actions [B, ...].

    Parameters
    ----------
    policy : kgdists.Policy
    deterministic : bool
        Take the most probable action, or draw one.
    example : None or (nested) arrays, shape [1, *shape]
        Like the observations, for one program for batches of all sizes; by default XLA makes a faster one for each.

    Returns
    -------
    callable, which raises `NotANumber` rather than return actions that are none.
    """

    def act(observations, key=None):
        pi = policy(observations)
        actions = pi.mode_action() if deterministic else pi.sample_action(seed=key)
        return actions, are_numbers(pi, actions)

    if example is None:
        compiled: Callable[..., Any] = Compiled(act)
    else:
        like = tree.map_structure(lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), example)
        compiled = tf.function(act, input_signature=[like], autograph=False)

    def decide(observations, *key):
        actions, is_sound = compiled(observations, *key)
        if not is_sound:
            raise NotANumber
        return actions

    return decide


def make_player(policy: Policy, deterministic: bool = True, seed: int = 0) -> Callable[[], Callable[[Any], Any]]:
    """What plays episodes outside the training, and leaves the policy's generators as they are.

    Parameters
    ----------
    policy : kgdists.Policy
    deterministic : bool
        Take the most probable action, or draw one.
    seed : int, >= 0
        Of the draws.

    Returns
    -------
    callable
        Without arguments, which each time gives a function of observations [B, *shape] to actions [B, ...], whose draws
        are the same each time.
    """

    decide = decider(policy, deterministic)

    def start():
        count = itertools.count()
        return lambda observations: decide(observations, np.array([seed, next(count)]))

    return start


def predictor(
    policy: Policy, action_space: gymnasium.Space, inputs: Inputs, example: Any
) -> Callable[[Any, bool], Any]:
    """What answers observations, one or a batch of them, with actions for the environment.

    Parameters
    ----------
    policy : kgdists.Policy
    action_space : gymnasium.Space
    inputs : Inputs
        Observations -> what the policy takes.
    example : (nested) arrays, shape [1, *shape]
        What the policy takes.

    Returns
    -------
    callable
        A function of observations [*shape] or [B, *shape], and whether to take the most probable action, to actions.
    """
    decide = {x: decider(policy, x, example) for x in (True, False)}

    def predict(observations, deterministic):
        observations, is_single = inputs(observations)
        try:
            actions = decide[bool(deterministic)](tree.map_structure(tf.constant, observations))
        except NotANumber:
            for leaf in tree.flatten(observations):
                check_finite(observations=leaf)
            raise
        actions = tree.map_structure(lambda x: x.numpy()[0] if is_single else x.numpy(), actions)
        return decode_action(action_space, actions)

    return predict
