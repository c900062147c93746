"""Findings about the ends of episodes: whether there are any, and of which kind.

Each function takes what was seen and returns a line or None.
"""

import warnings
from collections.abc import Mapping

from kgdists.envs.checking.seen import Seen

__all__ = ["at_once", "autoreset", "limit", "no_end"]

FINAL = "final_obs", "final_observation", "terminal_observation"  # in infos of environments that reset by themselves
FEW, SHORT = 3, 10  # episodes, and steps of one, below which an equal length tells nothing


def no_end(seen: Seen) -> str | None:
    """No episode that ends, and no limit of steps."""
    if seen.episodes or seen.limit is not None:
        return None
    return (
        f"no episode ended within {seen.steps:,} random steps, and there is no limit: wrap the environment in "
        "`gymnasium.wrappers.TimeLimit`, or register it with `max_episode_steps`"
    )


def limit(seen: Seen) -> str | None:
    """A limit of time that says that nothing would have followed."""
    lengths = [episode.length for episode in seen.episodes]
    at_limit = [episode for episode in seen.episodes if episode.length == seen.limit]
    same = len(lengths) >= FEW and len(set(lengths)) == 1 and lengths[0] >= SHORT
    suspects = at_limit if len(at_limit) > 1 else seen.episodes if same else ()
    if not suspects or not all(episode.terminated for episode in suspects):
        return None
    return (
        f"{len(suspects)} of {len(lengths)} episodes terminated at step {suspects[0].length}: if that is a limit of "
        "time, return it as `truncated`, since what follows a terminated episode is worth 0"
    )


def at_once(seen: Seen) -> str | None:
    """Episodes that are cut off at their first step."""
    if len(seen.episodes) < FEW or not all(x.truncated and not x.terminated and x.length == 1 for x in seen.episodes):
        return None
    return "every episode was truncated at its first step: look at what sets `truncated`"


def autoreset(seen: Seen) -> str | None:
    """An environment that starts the next episode by itself."""
    for name in FINAL:
        if any(isinstance(x.info, Mapping) and _is_value(seen.space, x.info.get(name)) for x in seen.episodes):
            return (
                f"the info at the end of an episode has an observation as {name!r}, as if the environment reset "
                "itself: return it as `observation`, since agents reset"
            )
    return None


def _is_value(space, x):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a list is cast
            return x is not None and bool(space.contains(x))
    except Exception:  # of a space of one's own, too
        return False
