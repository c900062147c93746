"""Compiled functions that are called once for each step of the environments: as little as possible around them."""

import functools
import itertools

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.distributions import (
    CategoricalDist,
    CompositeDist,
    MultiCategoricalDist,
    RelaxedOneHotCategorical,
)

__all__ = ["Acting", "Actor", "Compiled", "CompiledUpdate", "NotANumber", "batched", "decider", "player"]

CHOICES = CategoricalDist, MultiCategoricalDist, RelaxedOneHotCategorical
FEW_STEPS = 8  # by which freezing the weights that act costs more than reading them each time


class NotANumber(FloatingPointError):
    """The policy's distribution has NaN among its parameters or actions."""

    def __init__(self):
        super().__init__(
            "A policy must act by numbers: take an earlier checkpoint, or train anew with a smaller learning rate. "
            "Received: a distribution whose parameters are not finite"
        )


class Actor:
    """A fast function of observations of all environments and a key to actions, arrays or nested ones.

    Parameters
    ----------
    policy : kgdists.Policy
    example : array, shape [1, *shape], or dict of them
        Like the observations of one environment.
    num_envs : int
    """

    def __init__(self, policy, example, num_envs):
        self.policy = policy
        observations = tree.map_structure(lambda x: tf.TensorSpec((num_envs, *x.shape[1:]), x.dtype), example)
        self._inputs = observations, tf.TensorSpec((2,), tf.int64)
        # A pure function, of the weights too: each variable to read, or a generator's counter to write, takes time.
        self._act = self._compiled(self._sample_action, *(tf.TensorSpec(v.shape, v.dtype) for v in policy.variables))

    def _sample_action(self, observations, key, *weights):
        with keras.StatelessScope(state_mapping=list(zip(self.policy.variables, weights, strict=True))):
            pi = self.policy(observations)
            actions = pi.sample_action(seed=key)
            return actions, _are_numbers(pi, actions)

    def _compiled(self, function, *more):
        return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*self._inputs, *more)

    @functools.cached_property
    def _read_and_act(self):
        def act(observations, key):
            return self._sample_action(observations, key, *map(_read, self.policy.variables))

        return self._compiled(act)

    def __call__(self, observations, key):
        """Actions [num_envs, ...] by the weights of this moment and an int64 key [2]; raises `NotANumber`."""
        return _called(self._read_and_act, observations, key)

    def start(self, observations, key):
        """For traced functions: what an `Acting` starts from, its first actions and its weights."""
        weights = list(map(tf.convert_to_tensor, self.policy.variables))
        return {"first": self._act(observations, key, *weights), "weights": weights}

    def of_rollout(self, n_steps):
        """The same function, in the fastest form for so many steps without a change of the weights."""
        return self if n_steps <= FEW_STEPS else self.frozen()

    def frozen(self, weights=None):
        """The same function with given weights, or those of this moment, whatever becomes of them."""
        act, weights = self._act, weights or list(map(_read, self.policy.variables))
        return lambda observations, key: _called(act, observations, key, *weights)


def _called(act, observations, *others):
    flat = map(_tensor, tree.flatten(observations) if isinstance(observations, dict) else (observations,))
    *actions, is_sound = [x.numpy() for x in _run(act, *flat, *others)]
    if not is_sound:
        raise NotANumber
    like, _ = act.structured_outputs
    return tree.pack_sequence_as(like, actions) if tree.is_nested(like) else actions[0]


def _are_numbers(pi, actions):
    """Whether no parameter of a distribution, and none of its actions, is NaN, and all choices are made: a scalar."""
    floats = [x for x in tree.flatten((pi, actions)) if tf.as_dtype(x.dtype).is_floating]
    wrong = [tf.reduce_any(tf.math.is_nan(x)) for x in floats]
    # Logits that are infinite allow no choice, which is then -1; so may be a number that others draw.
    chosen = [x for part, x in zip(_parts(pi), tree.flatten(actions), strict=False) if isinstance(part, CHOICES)]
    return ~tf.reduce_any(wrong + [tf.reduce_any(x == -1) for x in chosen])


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


class Acting:
    """What a policy does in one rollout: a function of observations of all environments to actions, step by step.

    Parameters
    ----------
    actor : Actor
    keys : int64 array, shape [T, 2]
        Of the steps.
    tensors : None or iterator of tensors
        Of these keys, where they have been made for several rollouts at once.
    first : None or tuple
        Actions of the first step, (nested) tensors, and whether they are numbers, where `Actor.start` made them.
    weights : None or list of tensors
        By which the others are chosen, those of this moment by default.
    """

    def __init__(self, actor, keys, tensors=None, first=None, weights=None):
        # Made in one call: a tensor made from an array costs as much as a layer.
        self.actor, self.keys, self._tensors = actor, keys, tensors or iter(tf.unstack(keys))
        self._act = actor.of_rollout(len(keys)) if weights is None else actor.frozen(weights)
        self._first = first

    def __call__(self, observations):
        key, first, self._first = next(self._tensors), self._first, None
        if first is None:
            return self._act(observations, key)
        actions, is_sound = tree.map_structure(lambda x: x.numpy(), first)
        if not is_sound:
            raise NotANumber
        return actions


class Compiled:
    """A compiled function of (nested) arrays to (nested) tensors.

    Parameters
    ----------
    function : callable
        Compiled anew for each structure and shape of its arguments, and each value of those by keyword.
    jit_compile : bool
        Whether by XLA as a whole.
    """

    def __init__(self, function, jit_compile=True):
        self._arguments = function, jit_compile
        self.forget()

    def forget(self):
        """Compile anew from now on: what is constant in the function has changed."""
        function, jit_compile = self._arguments
        self._function = tf.function(function, jit_compile=jit_compile, autograph=False)
        self._compiled = {}

    @property
    def num_traces(self):
        """How often the function was compiled."""
        return len(self._compiled)

    def __call__(self, *arguments, **settings):
        if tf.config.functions_run_eagerly():
            return self._function(*arguments, **settings)
        arrays = tf.nest.flatten(arguments)
        key = *settings.items(), *((x.shape, x.dtype) for x in arrays)
        if key not in self._compiled:
            self._compiled[key] = self._function.get_concrete_function(*arguments, **settings)
        compiled = self._compiled[key]
        results = _run(compiled, *map(_tensor, arrays))
        return tree.pack_sequence_as(compiled.structured_outputs, results)


class CompiledUpdate(Compiled):
    """The same of a function to a dict of (nested) tensors, of which scalars come back as floats."""

    def __call__(self, *arguments, **settings):
        return _with_floats(super().__call__(*arguments, **settings))


def _with_floats(results):
    return {name: x if tree.is_nested(x) or x.shape.rank else x.numpy().item() for name, x in results.items()}


def _run(function, *tensors):
    # A structured call checks its arguments, which takes as long as a small network; `call_flat` does not, but enters
    # contexts that are for traced functions and tapes: a fifth of the time of acting.
    flat = function.inference_fn
    return flat._bound_context.call_function(flat.name, [*tensors, *function.captured_inputs], len(function.outputs))


def _tensor(array):
    """The array as a tensor, in the same memory where that is aligned; `tf.constant` runs an operation that copies."""
    return tf.__internal__.EagerTensor(array, None, None)


def _read(variable):
    value = variable.value
    if hasattr(value, "values"):  # one on each of several devices
        return tf.convert_to_tensor(value)
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)  # as that does, in a third of its time


def batched(observations, example):
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


def decider(policy, deterministic=True, example=None):
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
        return actions, _are_numbers(pi, actions)

    if example is None:
        compiled = Compiled(act)
    else:
        like = tree.map_structure(lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), example)
        compiled = tf.function(act, input_signature=[like], autograph=False)

    def decide(observations, *key):
        actions, is_sound = compiled(observations, *key)
        if not is_sound:
            raise NotANumber
        return actions

    return decide


def player(policy, deterministic=True, seed=0):
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
