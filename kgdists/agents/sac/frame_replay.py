"""Replay of experience whose observations are large: each is held once, as it was."""

from typing import Any

import numpy as np
import tensorflow as tf
from keras import tree

from kgdists.agents.sac.frames import Frames
from kgdists.agents.sac.replay_buffer import ReplayBuffer, rearranged
from kgdists.core.types import Tensor

__all__ = ["FrameReplay"]

DIGIT = 2**12  # slots are two digits in rows of float32, which would hold numbers up to 2**24 only
SLOTS = slice(0, 2), slice(-4, -2)  # columns of rows, of the frames before and after the step
AT_A_TIME = 64  # steps that are added from a checkpoint


class FrameReplay:
    """What `ReplayBuffer` is, for observations of any structure and dtypes, such as images.

    Its rows hold the slots of observations in one ring of frames. Where the next observation of a step is the
    observation of the step that follows, both are one frame. The final observation of a terminated episode is not kept,
    because no value is asked of it: the one before stands for it. That of a truncated one takes a slot more, of which
    there is one for each 16 steps: where more episodes are truncated, the oldest steps leave before the rows are full.

    Parameters
    ----------
    example : nested arrays, shape [1, ...]
        Observations and actions of one environment, a pair.
    capacity : int, >= 1
        Steps that are kept at most, of all environments together, rounded up to the same number of each.
    num_envs : int, >= 1

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.agents.sac.frame_replay import FrameReplay
    >>> replay = FrameReplay((np.zeros((1, 8, 8, 3), "uint8"), np.zeros((1, 2))), capacity=10, num_envs=2)
    >>> frames = np.random.default_rng(0).integers(256, size=(8, 2, 8, 8, 3), dtype="uint8")
    >>> a, r, no = np.ones((7, 2, 2)), np.ones((7, 2)), np.zeros((7, 2), bool)
    >>> replay.add(frames[:-1], a, r, frames[1:], no, no)
    >>> replay.size, replay.position, replay.frames.count
    (5, 2, 12)
    """

    def __init__(self, example: tuple[Any, Any], capacity: int, num_envs: int) -> None:
        self._example = example
        self.num_envs = num_envs
        self.steps = ReplayBuffer(_in_rows(example), capacity, num_envs)
        self.frames = Frames(example[0], _num_frames(capacity, num_envs))
        # Of each step of the ring the number of its oldest frame.
        self._first = np.zeros(self.capacity, int)
        self._latest, self._latest_numbers = example[0], np.full(num_envs, -1)

    @staticmethod
    def nbytes(example: tuple[Any, Any], capacity: int, num_envs: int) -> int:
        """Bytes that a replay takes when it is full; parameters as of the class."""
        frames = _num_frames(capacity, num_envs) * sum(x.nbytes for x in tree.flatten(example[0]))
        return frames + ReplayBuffer.nbytes(_in_rows(example), capacity, num_envs)

    @property
    def capacity(self) -> int:
        """Steps of each environment that are kept at most."""
        return self.steps.capacity

    @property
    def size(self) -> int:
        """Steps of each environment that are kept."""
        return self.steps.size

    @property
    def position(self) -> int:
        """Where in the ring the next step of each environment will be."""
        return self.steps.position

    def add(self, *experience: Any) -> None:
        """Append steps, as `ReplayBuffer.add` does."""
        self.write(*self.place(*experience))

    def place(self, *experience: Any) -> tuple[np.ndarray, np.ndarray]:
        """Count steps as added, and write their frames: the index [M] and the rows [M, W] that are yet to `write`."""
        kept = min(len(experience[2]), self.capacity)
        experience = tree.map_structure(lambda x: np.asarray(x)[len(x) - kept :], experience)
        observations, actions, rewards, following, terminated, truncated = experience
        numbers, next_numbers, frames = self._numbered(observations, following, terminated)
        self._leave(self.frames.count + len(tree.flatten(frames)[0]))
        self.frames.append(frames)
        self._latest = tree.map_structure(lambda x: x[-1].copy(), following)
        self._latest_numbers = np.where(terminated[-1], -1, next_numbers[-1])
        self._first[(self.position + np.arange(kept)) % self.capacity] = numbers.min(axis=1)
        slots, next_slots = (_digits(x % self.frames.capacity) for x in (numbers, next_numbers))
        placed = self.steps.place(slots, actions, rewards, next_slots, terminated, truncated)
        self._leave(self.frames.count)
        return placed

    def _numbered(self, observations, following, terminated):
        """Numbers [T, N] of the frames before and after steps, and those frames that are not there yet."""
        count, latest, latest_numbers = self.frames.count, self._latest, self._latest_numbers
        numbers, next_numbers, frames = [], [], []
        for t, ends in enumerate(terminated):
            now, then = (tree.map_structure(lambda x, t=t: x[t], each) for each in (observations, following))
            is_new = (latest_numbers < 0) | ~_are_equal(now, latest)
            numbers.append(np.where(is_new, count + np.cumsum(is_new) - 1, latest_numbers))
            count += int(is_new.sum())
            next_numbers.append(np.where(ends, numbers[-1], count + np.cumsum(~ends) - 1))
            count += int((~ends).sum())
            frames += [_of(now, is_new), _of(then, ~ends)]
            latest, latest_numbers = then, np.where(ends, -1, next_numbers[-1])
        return np.stack(numbers), np.stack(next_numbers), tree.map_structure(lambda *x: np.concatenate(x), *frames)

    def _leave(self, count):
        """Leave out the oldest steps, as far as their frames make room where so many have been counted."""
        while self.size and self._first[(self.position - self.size) % self.capacity] < count - self.frames.capacity:
            self.steps.size -= 1

    def write(self, index: Tensor, rows: Tensor) -> None:
        """Write rows in place; also for traced functions."""
        self.steps.write(index, rows)

    def cut(self, observations: Any = None) -> None:
        """Count the latest step of environments as truncated, as `ReplayBuffer.cut` does."""
        if observations is None or not self.size:
            self.steps.cut()
            return
        led_to = self.steps.led_to()
        frames = tree.map_structure(lambda x: x.numpy(), self.frames.read(_number(led_to.astype(int))))
        self.steps.cut(np.where(_are_equal(frames, observations)[:, None], led_to, -1.0))

    def sample(
        self, key: Tensor, batch_size: int, size: Tensor, position: Tensor, n_steps: int, gamma: float
    ) -> tuple[Any, ...]:
        """Experience of `n_steps` steps each, as `ReplayBuffer.sample` gives it; for traced functions."""
        oldest = (position - size) % self.capacity
        slots, actions, rewards, next_slots, *others = self.steps.sample(
            key, batch_size, size, position, n_steps, gamma, oldest
        )
        observations, following = (self.frames.read(_number(x)) for x in (slots, next_slots))
        return observations, actions, rewards, following, *others

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of what is in it; frames are read when they are looked at, which is to be before the next step.

        Rows are from the oldest to the latest, and have numbers of frames, counted from the first of these, as slots.
        """
        rows = tf.gather(self.steps.rows, self._index()).numpy()
        first = self._first[(self.position - self.size) % self.capacity] if self.size else self.frames.count
        for part in SLOTS:
            rows[:, part] = _digits(self.frames.numbers(_number(rows[:, part].astype(int))) - first)
        return {"rows": rows, "position": np.asarray(self.position)} | self.frames.arrays(first)

    def _index(self):
        """The rows of what is kept, the oldest first."""
        steps = (self.position - self.size + np.arange(self.size)) % self.capacity
        return (steps[:, None] * self.num_envs + np.arange(self.num_envs)).ravel()

    def restore(self, arrays: dict[str, np.ndarray], num_envs: int | None = None) -> None:
        """Restore what another replay, or a `ReplayBuffer`, gave by `arrays`; as `ReplayBuffer.restore` does."""
        rows, old = arrays["rows"], num_envs or self.num_envs
        has_frames = "frames_0_0" in arrays
        self.frames.count, self.steps.size, self.steps.position = 0, 0, 0
        self._latest_numbers = np.full(self.num_envs, -1)
        if has_frames and old == self.num_envs:
            self._restore_as_it_was(arrays)
        elif len(rows):
            position = 0 if has_frames else int(arrays["position"])
            rows = rearranged(rows, position, old, self.num_envs, self.capacity)
            look_up = self._experience(arrays) if has_frames else ReplayBuffer(self._example, 1, 1).experience
            for t in range(0, len(rows), AT_A_TIME):
                self.add(*look_up(rows[t : t + AT_A_TIME]))

    def _restore_as_it_was(self, arrays):
        rows = arrays["rows"]
        for piece in self.frames.pieces(arrays):
            self.frames.append(piece)
        self.steps.size, self.steps.position = len(rows) // self.num_envs, int(arrays["position"])
        index = self._index()
        self.write(index, rows)
        numbers, next_numbers = (_number(rows[:, part].astype(int)).reshape(-1, self.num_envs) for part in SLOTS)
        self._first[index[:: self.num_envs] // self.num_envs] = numbers.min(axis=1)
        self._latest = tree.map_structure(lambda x: x.numpy(), self.frames.read(next_numbers[-1]))
        self._latest_numbers = np.where(rows[-self.num_envs :, -2], -1, next_numbers[-1])

    def _experience(self, arrays):
        """A function of rows [T, N, W] with numbers of these frames to experience."""
        pieces = [tree.flatten(x) for x in self.frames.pieces(arrays)]
        length = len(pieces[0][0])

        def frames(digits):
            numbers = _number(digits)
            places = [divmod(n, length) for n in numbers.ravel().tolist()]
            leaves = [np.stack([pieces[k][i][j] for k, j in places]) for i in range(len(pieces[0]))]
            leaves = [x.reshape(*numbers.shape, *x.shape[1:]) for x in leaves]
            return tree.pack_sequence_as(self._example[0], leaves)

        def experience(rows):
            slots, actions, rewards, next_slots, *ends = self.steps.experience(rows)
            return frames(slots), actions, rewards, frames(next_slots), *ends

        return experience


def _in_rows(example):
    """What rows have for observations and actions."""
    return np.zeros((1, 2), "int32"), example[1]


def _num_frames(capacity, num_envs):
    """One for each step, one for each environment beyond the latest, and some for the ends of truncated episodes."""
    steps = -(-capacity // num_envs) * num_envs
    return steps + num_envs + max(num_envs, -(-steps // 16))


def _digits(numbers):
    return np.stack(np.divmod(numbers, DIGIT), axis=-1)


def _number(digits):
    return digits[..., 0] * DIGIT + digits[..., 1]


def _of(frames, which):
    """Those of [N, ...] that are meant."""
    return tree.map_structure(lambda x: x[which], frames)


def _are_equal(frames, others):
    """Of which environments frames [N, ...] are the same."""
    pairs = zip(tree.flatten(frames), tree.flatten(others), strict=True)
    return np.logical_and.reduce([np.all(x == y, axis=tuple(range(1, x.ndim))) for x, y in pairs])
