"""Findings about chance: whether seeds are heeded, and episodes can be played again as a resumed run does it.

`Repetition` plays the same twice; each function takes it and returns a line or None.
"""

import copy

import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from kgdists.envs.checking.trial import Moment, Trial, play, random_action

__all__ = ["Repetition", "are_equal", "course", "generator", "seeds", "start"]

RESUMED = 20  # steps of the episode that is resumed
STARTS = 8  # seeds whose first observations are compared


class Repetition:
    """What came of the same seeds and actions a second time.

    Parameters
    ----------
    first : list of Moment
        The first moments that `play` of the seed gave.
    one, other : Trial
        The one in which they were, and the same one again or another of its kind.
    seed : int
    """

    def __init__(self, first: list[Moment], one: Trial, other: Trial, seed: int) -> None:
        second = play(one, len(first), seed)
        self.step = next((i for i, pair in enumerate(zip(first, second, strict=False)) if not are_equal(*pair)), None)
        self.heeds_seeds = self.step == 0 or _heeds_seeds(one, seed)
        self.is_resumed = self.step is not None or _is_resumed(one, other, seed)


def start(repetition: Repetition) -> str | None:
    """First observations that differ for the same seed."""
    if repetition.step != 0:
        return None
    return (
        "`reset` gave two first observations for one seed: call `super().reset(seed=seed)`, and draw from "
        "`self.np_random` alone"
    )


def course(repetition: Repetition) -> str | None:
    """Episodes that differ for the same seed and actions."""
    if not repetition.step:
        return None
    return (
        "the same seed and actions led to another observation, reward or end the second time: draw from "
        "`self.np_random` alone, and let `reset` put back all that `step` changes, so that runs can be repeated and "
        "resumed"
    )


def seeds(repetition: Repetition) -> str | None:
    """First observations that are equal for all seeds, although chance is in them."""
    if repetition.heeds_seeds:
        return None
    return (
        "`reset` gave the same first observation for every seed, and others without a seed: seed from what is passed, "
        "by `super().reset(seed=seed)`"
    )


def generator(repetition: Repetition) -> str | None:
    """Episodes whose chance is not that of Gymnasium's generator."""
    if repetition.is_resumed:
        return None
    return (
        "an episode could not be played again from the state of `np_random` before it, so that a resumed run starts "
        "another: draw from `self.np_random` alone, and let `reset` put back all that was changed"
    )


def are_equal(one: Moment, other: Moment) -> bool:
    """Whether two moments are the same to agents."""
    facts = [(x.reward, x.terminated, x.truncated) for x in (one, other)]
    return facts[0] == facts[1] and data_equivalence(one.observation, other.observation, exact=True)


def _heeds_seeds(trial, seed):
    """Whether first observations differ by their seeds, unless they never do."""
    seeded = [trial.env.reset(seed=seed + i)[0] for i in range(STARTS)]
    trial.env.reset(seed=seed)
    others = [trial.env.reset()[0] for _ in range(STARTS)]
    return not _all_equal(seeded) or _all_equal(others)


def _all_equal(observations):
    return all(data_equivalence(observations[0], x, exact=True) for x in observations)


def _is_resumed(one, other, seed):
    """Whether the `EpisodeRecord` of another environment can go on with the second episode after a seed."""
    env, space = one.env, copy.deepcopy(one.env.action_space)
    space.seed(seed)
    env.reset(seed=seed)
    observation, total, actions = env.reset()[0], 0.0, []
    start, _ = env.episode()
    for _ in range(RESUMED):
        observed, reward, terminated, truncated, _ = env.step(random_action(space, one.witness.returned))
        if terminated or truncated:
            break
        observation, total, actions = observed, total + float(reward), list(env.episode()[1])
    other.env.reset(seed=seed + 1)  # whatever else its generators are in
    kept = {"start": start, "actions": actions, "observation": observation, "total": np.float64(total), "seed": seed}
    other.env.to_replay = kept
    return other.env.replay()[1]
