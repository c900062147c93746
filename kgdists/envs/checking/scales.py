"""Findings about the size of observations and rewards, and about what never changes.

Each function takes what was seen and returns a line or None.
"""

import math

import numpy as np

from kgdists.envs.checking.leaves import place
from kgdists.envs.checking.seen import Seen

__all__ = ["dark_images", "constant_observations", "constant_rewards", "large_observations", "large_rewards"]

LARGE = 10.0  # a root mean square from which networks of tanh and the usual learning rates learn badly
DARK = 0.01  # of the range of an image, within which there is little to be seen
ENOUGH = 100  # steps before something can be said never to change


def large_observations(seen: Seen) -> str | None:
    """Numbers that saturate a network."""
    for name, spread in seen.spreads.items():
        size = spread.root_mean_square
        if (size > LARGE).any():
            return (
                f"observations are large, with a root mean square of up to {size.max():.3g} at "
                f"{place(name, size > LARGE)}: train with `normalize_observations=True`, or scale them to about 1"
            )
    return None


def constant_observations(seen: Seen) -> str | None:
    """Numbers that tell nothing."""
    constant = {name: spread.low == spread.high for name, spread in seen.spreads.items()}
    found = [place(name, where) for name, where in constant.items() if where.any()]
    if seen.steps < ENOUGH or not found:
        return None
    return f"{', '.join(found)} never changed in {seen.steps:,} random steps: leave out what is always the same"


def dark_images(seen: Seen) -> str | None:
    """Images that are scaled by bounds far beyond their numbers."""
    for name, image in seen.images.items():
        low, high = image.bounds
        if seen.steps >= ENOUGH and image.high - image.low < DARK * (high - low):
            return (
                f"`{name}` is an image scaled by its bounds, [{low:g}, {high:g}], and its numbers were all in "
                f"[{image.low:g}, {image.high:g}]: give the Box the bounds of its numbers"
            )
    return None


def large_rewards(seen: Seen) -> str | None:
    """Rewards that make large gradients."""
    size = math.sqrt(np.mean(np.square(seen.rewards))) if seen.rewards else 0.0
    if size <= LARGE:
        return None
    return (
        f"rewards are large, with a root mean square of {size:.3g}: train with `normalize_rewards=True`, or scale them "
        "to about 1"
    )


def constant_rewards(seen: Seen) -> str | None:
    """Returns that no action changes."""
    lengths = {episode.length for episode in seen.episodes}
    varies = len(set(seen.rewards)) > 1 or (seen.rewards[:1] != [0.0] and len(lengths) > 1)
    if varies or seen.steps < ENOUGH:
        return None
    return (
        f"the reward was {seen.rewards[0]:g} at each of {seen.steps:,} random steps, and nothing is learned until "
        "another is reached: check that it can be by chance, or reward what leads to it"
    )
