"""Replay of experience: a ring of constant memory, sampled inside compiled functions."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.core.types import Tensor

__all__ = ["ReplayBuffer", "rearranged"]

MORE = 4  # rows drawn for each that is wanted, where some may be no steps of episodes


class ReplayBuffer:
    """The latest steps of vector environments, the oldest overwritten first.

    A step is one row of float32 numbers in a variable of fixed shape, which is written in place, and is never copied.

    Parameters
    ----------
    example : nested arrays, shape [1, ...]
        Observations and actions of one environment, a pair; of any dtypes whose values float32 holds exactly.
    capacity : int, >= 1
        Steps that are kept, of all environments together, rounded up to the same number of each.
    num_envs : int, >= 1
    has_gaps : bool
        Whether some of what is added is no step of an episode, and never drawn; see `leave_out`.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.agents.sac.replay_buffer import ReplayBuffer
    >>> replay = ReplayBuffer((np.zeros((1, 3)), np.zeros((1, 2))), capacity=10, num_envs=2)
    >>> x, a, r, no = np.ones((7, 2, 3)), np.ones((7, 2, 2)), np.ones((7, 2)), np.zeros((7, 2), bool)
    >>> replay.add(x, a, r, x, no, no)
    >>> replay.size, replay.position
    (5, 2)
    """

    def __init__(self, example: tuple[Any, Any], capacity: int, num_envs: int, has_gaps: bool = False) -> None:
        observation, action = example
        number, flag = np.zeros(1, "float32"), np.zeros(1, bool)
        self._like = (observation, action, number, observation, flag, flag)
        self._widths = [math.prod(x.shape[1:]) for x in tree.flatten(self._like)]
        self.num_envs = num_envs
        self.capacity = -(-capacity // num_envs)
        self.size = 0
        self.position = 0
        # The row of step t of environment i is `t * num_envs + i`.
        self.rows = tf.Variable(tf.zeros((self.capacity * num_envs, sum(self._widths))), trainable=False)
        self.is_step: Any = self._all_steps() if has_gaps else None

    def _all_steps(self):
        return tf.Variable(tf.ones(self.capacity * self.num_envs, bool), trainable=False)

    @staticmethod
    def nbytes(example: tuple[Any, Any], capacity: int, num_envs: int) -> int:
        """Bytes that a buffer takes; parameters as of the class."""
        observation, action = (sum(x.size for x in tree.flatten(each)) for each in example)
        return -(-capacity // num_envs) * num_envs * (2 * observation + action + 3) * 4

    def add(self, *experience: Any) -> None:
        """Append steps, keeping the most recent `capacity`.

        Parameters
        ----------
        *experience : nested arrays, shape [T, N, ...]
            observations, actions, rewards, next observations, terminated, truncated, as `Rollouts.collect` returns
            them.
        """
        self.write(*self.place(*experience))

    def place(self, *experience: Any) -> tuple[np.ndarray, np.ndarray]:
        """Count steps as added: the index [M] and the rows [M, W] that are yet to `write`; parameters as for `add`."""
        leaves = tree.flatten(experience)
        steps = len(leaves[0])
        kept = min(steps, self.capacity)
        columns = [x[steps - kept :].reshape(-1, width) for x, width in zip(leaves, self._widths, strict=True)]
        rows = np.concatenate(columns, axis=1, dtype="float32", casting="unsafe")
        at = (self.position + np.arange(steps - kept, steps)) % self.capacity
        index = (at[:, None] * self.num_envs + np.arange(self.num_envs)).ravel()
        self.position = (self.position + steps) % self.capacity
        self.size = min(self.size + steps, self.capacity)
        return index, rows

    def write(self, index: Tensor, rows: Tensor) -> None:
        """Write rows in place; also for traced functions."""
        tf.raw_ops.ResourceScatterUpdate(resource=self.rows.handle, indices=index, updates=rows)

    def leave_out(self, index: np.ndarray, is_step: np.ndarray) -> None:
        """Say which of the latest steps [T, N], whose rows that are kept have an index, are steps of an episode."""
        kept = tf.constant(is_step.ravel()[is_step.size - len(index) :])
        self.is_step.scatter_nd_update(index[:, None], kept)

    def cut(self, observations: Any = None) -> None:
        """Count the latest step of environments as truncated, where what is added next does not follow it.

        Parameters
        ----------
        observations : None or (nested) arrays, shape [N, ...]
            What they observe now: an environment whose latest step led there goes on. None of them does by default.
        """
        if not self.size:
            return
        index, rows = self._latest()
        if observations is not None:
            now = [np.asarray(x, "float32").reshape(self.num_envs, -1) for x in tree.flatten(observations)]
            has_gap = np.any(self._led_to(rows) != np.concatenate(now, axis=1), axis=1)
            index, rows = index[has_gap], rows[has_gap]
        if len(index):
            rows[:, -1] = 1.0
            self.write(index, rows)

    def led_to(self) -> np.ndarray:
        """The next observations of the latest step of each environment, float32 [N, W]."""
        return self._led_to(self._latest()[1])

    def _latest(self):
        index = (self.position - 1) % self.capacity * self.num_envs + np.arange(self.num_envs)
        return index, tf.gather(self.rows, index).numpy()

    def _led_to(self, rows):
        return rows[:, -2 - sum(self._widths[-2 - len(tree.flatten(self._like[0])) : -2]) : -2]

    def sample(
        self,
        key: Tensor,
        batch_size: int,
        size: Tensor,
        position: Tensor,
        n_steps: int,
        gamma: float,
        oldest: Tensor | None = None,
    ) -> tuple[Any, ...]:
        r"""Experience of `n_steps` steps each, from steps drawn uniformly; for traced functions.

        It ends earlier where the episode ends and where the experience does, at the latest step: the reward is
        :math:`\sum_{i<m} \gamma^i r_{t+i}`, the next observation is the one after the last of its m steps, and so are
        `terminated` and `truncated`.

        Parameters
        ----------
        key : integer tensor, shape [2]
            The steps are a pure function of it.
        batch_size : int, >= 1
            B.
        size, position : integer scalar tensors
            The present ones, since a traced function sees those of the time of its tracing.
        n_steps : int, >= 1
        gamma : float
            Discount factor.
        oldest : None or integer scalar tensor
            Where in the ring the oldest step is, if some have left a full one.

        Returns
        -------
        tuple, shape [B, ...]
            observations, actions, rewards, next observations, terminated, truncated as they were added, and the
            discounts :math:`\gamma^m` of what follows.
        """
        candidates = batch_size if self.is_step is None else MORE * batch_size
        bits = tf.random.stateless_uniform((candidates,), key, None, None, "uint32", alg="philox")
        num_envs, latest = tf.constant(self.num_envs, "int32"), tf.cast(position, "int32") - 1
        latest = tf.where(latest < 0, self.capacity - 1, latest)
        index = tf.cast(bits % tf.cast(size * tf.cast(num_envs, size.dtype), "uint32"), "int32")
        if oldest is not None:
            index = (index + tf.cast(oldest, "int32") * num_envs) % (self.capacity * num_envs)
        if self.is_step is not None:
            index = self._of_steps(index, batch_size)
        first = last = self._read(index)
        observations, actions, rewards, *_ = first
        discounts = tf.fill(tf.shape(rewards), tf.constant(gamma, "float32"))
        goes_on = tf.ones_like(rewards, bool)
        for _ in range(n_steps - 1):
            goes_on &= ~last[4] & ~last[5] & (index // num_envs != latest)
            index = tf.where(goes_on, (index + num_envs) % (self.capacity * num_envs), index)
            last = self._read(index)
            rewards += tf.where(goes_on, discounts * last[2], 0.0)
            discounts = tf.where(goes_on, discounts * gamma, discounts)
        return observations, actions, rewards, *last[3:], discounts

    def _of_steps(self, index, batch_size):
        """The first of some rows drawn that are steps of an episode, again and again if they are too few."""
        counts = tf.gather(self.is_step, index)
        found = tf.gather(index, tf.argsort(tf.cast(~counts, "int32"), stable=True))
        number = tf.reduce_sum(tf.cast(counts, "int32"))
        return tf.gather(found, tf.range(batch_size) % tf.maximum(number, 1))

    def _read(self, index):
        columns = tf.split(tf.gather(self.rows, index), self._widths, axis=1)
        leaves = [
            tf.cast(tf.reshape(x, (-1, *like.shape[1:])), like.dtype)
            for x, like in zip(columns, tree.flatten(self._like), strict=True)
        ]
        return tree.pack_sequence_as(self._like, leaves)

    def experience(self, rows: np.ndarray) -> tuple[Any, ...]:
        """What was added as rows [..., W]: arrays as for `add`, shape [..., ...]."""
        columns = np.split(rows, np.cumsum(self._widths)[:-1], axis=-1)
        leaves = [
            x.reshape(*rows.shape[:-1], *like.shape[1:]).astype(like.dtype)
            for x, like in zip(columns, tree.flatten(self._like), strict=True)
        ]
        return tree.pack_sequence_as(self._like, leaves)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of what is in it, without the rows that were never written."""
        return {
            "rows": self.rows[: self.size * self.num_envs].numpy(),
            "position": np.asarray(self.position),
        } | ({} if self.is_step is None else {"is_step": self.is_step[: self.size * self.num_envs].numpy()})

    def restore(self, arrays: dict[str, np.ndarray], num_envs: int | None = None) -> None:
        """Restore the contents that another buffer gave by `arrays`.

        Of another number of environments, `num_envs`, the steps of each stay in their order, in pieces of one length,
        at whose ends they count as truncated. Fewer than there are environments here do not fit, and are left out.
        """
        rows, position = arrays["rows"], int(arrays["position"])
        if "is_step" in arrays and self.is_step is None:
            self.is_step = self._all_steps()
        # A column in front of the others, so that it goes where they go.
        rows = np.insert(rows, 0, arrays.get("is_step", 1.0), axis=1)
        if num_envs not in (None, self.num_envs):
            rows = rearranged(rows, position, num_envs, self.num_envs, self.capacity)
            position = len(rows) % self.capacity
            rows = rows.reshape(-1, rows.shape[-1])
        self.size, self.position = len(rows) // self.num_envs, position
        self.write(np.arange(len(rows)), rows[:, 1:])
        if self.is_step is not None:
            self.leave_out(np.arange(len(rows)), rows[:, 0] > 0.0)


def rearranged(rows: np.ndarray, position: int, old: int, new: int, capacity: int) -> np.ndarray:
    """Rows [T * old, W] of a ring of `old` environments as those of `new` ones, the oldest first.

    Parameters
    ----------
    rows : array, shape [T * old, W]
        Their last number is whether the step was truncated.
    position : int
        Step of the ring that comes first.
    old, new : int, >= 1
    capacity : int, >= 1
        Steps of each of the new environments that are kept.

    Returns
    -------
    array, shape [steps, new, W]
    """
    total, width = rows.shape
    rows = np.roll(rows.reshape(total // old, old, width), -position, axis=0)
    if old == new:
        return rows[-capacity:]
    rows[-1:, :, -1] = 1.0
    steps = min(total // new, capacity)
    rows = rows.swapaxes(0, 1).reshape(total, width)[total - steps * new :]
    rows = rows.reshape(new, steps, width).swapaxes(0, 1).copy()
    rows[-1:, :, -1] = 1.0
    return rows
