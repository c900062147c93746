"""Experience: rollouts of a fixed length."""

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.core.run_warning import RunWarning
from kgdists.envs import episode_record
from kgdists.envs.autoreset import kept_where, resets_late, start
from kgdists.envs.checked_vector_env import check_observations, check_reset, check_step, final_observation
from kgdists.envs.episode_infos import EpisodeInfos
from kgdists.envs.frames import Frames, stack_frames
from kgdists.spaces import decode_action

__all__ = ["Rollouts", "copied"]


class Rollouts:
    """Fixed-length pieces of the experience of vector environments, one after the other.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        As `make_envs` returns them.
    n_steps : int
        Length T of a rollout.
    seed : None or int
        Of the environments' first reset.
    log_info : sequence of str
        Entries of the infos at the ends of episodes that are remembered, as `infos`; see `EpisodeInfos`.
    """

    def __init__(self, envs: VectorEnv, n_steps: int, seed: int | None = None, log_info: Sequence[str] = ()) -> None:
        self.envs = envs
        self.n_steps = n_steps
        self.seed = seed
        self._lent: tuple[dict[str, np.ndarray], int | None] | None = None
        self._repeats = True
        self.observations = None
        self.recent_returns: deque[float] = deque(maxlen=100)
        self.recent_lengths: deque[int] = deque(maxlen=100)
        self.infos = EpisodeInfos(log_info)
        self._is_whole = True
        self._is_late = resets_late(envs)

    @property
    def starts_anew(self) -> bool:
        """Whether the next rollout starts new episodes: the first one, and any after one that was broken off.

        What was being stepped then may have moved on, or not: no step would lead from the last observation to the next.
        """
        return self.observations is None or not self._is_whole

    def reset(self) -> None:
        """Start new episodes in all environments."""
        self._take_back()
        returned = start(self.envs, self.seed)
        self.seed = None
        self._starts = np.zeros(self.envs.num_envs, bool)  # whose next step is none, but starts an episode
        self.observations = copied(returned[0] if self._is_checked else check_reset(self.envs, returned))
        self._returns = np.zeros(self.envs.num_envs)
        self._lengths = np.zeros(self.envs.num_envs, int)

    @property
    def observations(self) -> Any:
        """Those that the next actions are for, [N, *shape]; None if the next step starts new episodes."""
        self._take_back()
        return self._observations

    @observations.setter
    def observations(self, observations: Any) -> None:
        self._observations = observations

    def lend(self, seed: int | None = None) -> None:
        """Let others play in the environments; the episodes being played are replayed when the training resumes.

        Parameters
        ----------
        seed : None or int
            Of new episodes, where environments do not repeat theirs.
        """
        if self._lent is None:
            self._lent = self.arrays(), seed

    def _take_back(self):
        if self._lent is None:
            return
        (arrays, seed), self._lent = self._lent, None
        if episode_record.has_episodes(arrays):
            self.restore(arrays, seed)
            if not self._repeats:  # no step follows those that were taken
                self.observations = None
        else:
            self.observations, self.seed = None, seed if self.seed is None else self.seed

    @property
    def can_repeat(self) -> bool:
        """Whether the episodes being played are recorded, so that they can be replayed."""
        return episode_record.records_episodes(self.envs) and not self._is_late

    @property
    def _is_checked(self):
        return self.envs.metadata.get("is_checked")

    def collect(self, act: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Step the environments T times.

        Parameters
        ----------
        act : callable
            Observations [N, *shape], with masks dicts as `ActionMask` makes them, -> actions of the policy's
            distribution: an array or tensor of shape [N, ...], or nested ones.

        Returns
        -------
        tuple of arrays, shape [T, N, ...], or dicts and tuples of them
            observations, actions, rewards, next observations (final ones at the end of an episode), terminated,
            truncated and, where environments start episodes one step after an end, which steps are steps of an episode.
            In the others nothing is observed, done or paid, and episodes neither end nor have a length.
        """
        return tuple(map(_stacked, zip(*self._steps(act), strict=True)))

    def collect_frames(self, act: Callable[[Any], Any]) -> Frames:
        """The same, with each observation in memory once."""
        return stack_frames(self._steps(act), self.n_steps)

    def _steps(self, act):
        """Step the environments T times: tuples of (nested) arrays [N, ...], in the order of `collect`."""
        if self.starts_anew:
            self.reset()
        space, is_checked = self.envs.single_action_space, self._is_checked
        self._is_whole = False
        for _ in range(self.n_steps):
            before, actions = self._observations, act(self._observations)
            returned = self.envs.step(decode_action(space, actions))
            checked = returned if is_checked else check_step(self.envs, returned)
            observations, rewards, terminated, truncated, info = checked
            observations = next_observations = copied(observations)
            if self._is_late:
                yield self._late_row(actions, rewards, next_observations, terminated, truncated, info)
                continue
            ended = terminated | truncated
            if ended.any():
                next_observations = self._with_final(observations, terminated, ended, info)
                self.infos.add(info, ended)
            self._count(rewards, ended)
            self._observations = observations
            yield before, actions, rewards.copy(), next_observations, terminated.copy(), truncated.copy()
        self._is_whole = True

    def _late_row(self, actions, rewards, following, terminated, truncated, info):
        """The row of a step by environments that start new episodes one step late, and what they observe next."""
        is_step, before = ~self._starts, self._observations
        terminated, truncated = terminated & is_step, truncated & is_step
        rewards = np.where(is_step, rewards, 0.0)
        ended = terminated | truncated
        self._observations = following
        if ended.any():
            if not self._is_checked:
                following = _without_nan(following, terminated)
                check_observations(self.envs, following)
            # What an episode ends with may be nothing to act on: it may have no mask, or allow no action.
            self._observations = kept_where(ended, before, following)
            self.infos.add(info, ended)
        self._count(rewards, ended, is_step)
        self._starts = ended
        return before, actions, rewards, following, terminated, truncated, is_step

    def _with_final(self, observations, terminated, ended, info):
        observations = tree.map_structure(np.copy, observations)
        is_checked = self._is_checked
        for i in np.flatnonzero(ended).tolist():
            finals = tree.flatten(info["final_obs"][i]) if is_checked else final_observation(self.envs, info, i)
            for x, final in zip(tree.flatten(observations), finals, strict=True):
                x[i] = final
        return observations if is_checked else check_observations(self.envs, _without_nan(observations, terminated))

    def _count(self, rewards, ended, is_step=True):
        self._returns += rewards
        self._lengths += is_step
        if ended.any():
            self.recent_returns.extend(self._returns[ended].tolist())
            self.recent_lengths.extend(self._lengths[ended].tolist())
            self._returns[ended] = 0.0
            self._lengths[ended] = 0

    def go_on(
        self,
        observations: Any,
        running: tuple[np.ndarray, np.ndarray],
        ended: tuple[Sequence[float], Sequence[int]],
        infos: Mapping[str, Sequence[float]],
    ) -> None:
        """Take in what compiled environments have played in one program with an agent.

        Parameters
        ----------
        observations : (nested) arrays, shape [N, ...]
            Those that the next actions are for.
        running : tuple of arrays, shape [N]
            Returns and lengths so far of the episodes being played.
        ended : tuple of sequences
            Returns and lengths of the episodes that have ended, in their order.
        infos : dict of str to sequence of float
            What these tell, as `EpisodeInfos` has it.
        """
        self._observations, (self._returns, self._lengths) = observations, running
        self.recent_returns.extend(ended[0])
        self.recent_lengths.extend(ended[1])
        self.infos.extend(infos)

    def running(self) -> dict[str, float]:
        """Name -> mean over the environments of the return and length so far of the episodes being played."""
        return {"running_return": float(np.mean(self._returns)), "running_length": float(np.mean(self._lengths))}

    def _recent(self):
        """Name -> array of what there is to tell of the last 100 episodes."""
        recent = {name: np.asarray(getattr(self, name)) for name in ("recent_returns", "recent_lengths")}
        return recent | self.infos.arrays()

    def _restore_recent(self, arrays):
        for name in ("recent_returns", "recent_lengths"):
            setattr(self, name, deque(np.asarray(arrays[name]).tolist(), maxlen=100))
        self.infos.restore(arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array of what the next rollout follows from, with environments that record their episodes."""
        if self._lent is not None:
            return self._lent[0]
        arrays = self._recent()
        if self.observations is None or not self._is_whole or not self.can_repeat:
            return arrays
        arrays |= {"returns": self._returns, "lengths": self._lengths}
        arrays |= {f"observations_{i}": x for i, x in enumerate(tree.flatten(self.observations))}
        return arrays | episode_record.arrays_of(self.envs)

    def restore(self, arrays: dict[str, np.ndarray], seed: int | None) -> None:
        """Go on where other rollouts gave these arrays, with the episodes that were being played, if they are known.

        Parameters
        ----------
        arrays : dict of str to array
        seed : None or int
            Of new episodes, where there have to be some.
        """
        self._restore_recent(arrays)
        self.seed, self.observations, self._lent = seed, None, None
        if not episode_record.has_episodes(arrays):
            return
        like = copied(create_empty_array(self.envs.single_observation_space, self.envs.num_envs))
        leaves = [arrays[f"observations_{i}"] for i in range(len(tree.flatten(like)))]
        observations, returns = tree.pack_sequence_as(like, leaves), arrays["returns"]
        if not (self.can_repeat and episode_record.are_of(self.envs, arrays)):
            warnings.warn(
                "The environments do not record their episodes: new ones are started", RunWarning, stacklevel=2
            )
            return
        self.observations, is_same = episode_record.replay(self.envs, arrays, observations, returns, seed)
        self.seed, self._repeats = None, bool(is_same.all())
        self._returns = np.where(is_same, returns, 0.0)
        self._lengths = np.where(is_same, arrays["lengths"], 0)
        new = np.flatnonzero(~is_same).tolist()
        if new:
            warnings.warn(
                f"Environments {new} do not repeat their episodes: new ones are started", RunWarning, stacklevel=2
            )


def _without_nan(observations, terminated):
    """Observations in which what terminated episodes end with is finite, since no value follows it."""
    for i in np.flatnonzero(terminated).tolist():
        for x in tree.flatten(observations):
            np.nan_to_num(x[i : i + 1], copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return observations


def _stacked(steps):
    if isinstance(steps[0], np.ndarray):  # in a fraction of the time
        return np.concatenate(steps).reshape(len(steps), *steps[0].shape)
    return tree.map_structure(lambda *x: np.stack(x), *steps)


def copied(observations: Any) -> Any:
    """(Nested) observations with float64 as float32; copies, because the arrays may be used again."""
    return _copied(observations) if type(observations) is np.ndarray else tree.map_structure(_copied, observations)


def _copied(x):
    return np.array(x, "float32" if x.dtype.kind == "f" else x.dtype)
