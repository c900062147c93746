"""Findings about the size of observations and rewards, and about what never changes.

Each function takes what was seen and returns a line or None.
"""

import math

import numpy as np

from kgdists.encoders import ImageEncoder, IntegerEncoder
from kgdists.envs.checking.leaves import place
from kgdists.envs.checking.seen import Seen

__all__ = ["constant_observations", "constant_rewards", "large_observations", "large_rewards", "unused_bounds"]

LARGE = 10.0  # a root mean square from which networks of tanh and the usual learning rates learn badly
UNUSED = 0.01  # of the bounds, a part within which numbers hardly differ
EXACT = UNUSED * 2**24  # integers in wider bounds are encoded by their digits
ENOUGH = 100  # steps before something can be said never to change


def large_observations(seen: Seen) -> str | None:
    """Numbers that saturate a network, since no encoder scales them."""
    for name, spread in seen.spreads.items():
        size = spread.root_mean_square
        if (size > LARGE).any() and not _is_scaled(spread):
            is_image = isinstance(spread.encoder, ImageEncoder)
            cure = "give the image finite bounds" if is_image else "train with `normalize_observations=True`"
            return (
                f"observations are large, with a root mean square of up to {size.max():.3g} at "
                f"{place(name, size > LARGE)}: {cure}, or scale them to about 1"
            )
    return None


def unused_bounds(seen: Seen) -> str | None:
    """Numbers that hardly differ, since their encoder scales them by bounds that they do not come near."""
    for name, spread in seen.spreads.items():
        bounds, numbers = ((float(x.low.min()), float(x.high.max())) for x in (spread.box, spread))
        if seen.steps >= ENOUGH and _is_scaled(spread) and _width(numbers) < UNUSED * _width(bounds) < EXACT:
            return (
                f"`{name}` is scaled by its bounds, [{bounds[0]:g}, {bounds[1]:g}], but its numbers were all in "
                f"[{numbers[0]:g}, {numbers[1]:g}]: give the Box the bounds of its numbers"
            )
    return None


def constant_observations(seen: Seen) -> str | None:
    """Numbers that tell nothing; images have many of them."""
    spreads = {name: x for name, x in seen.spreads.items() if not isinstance(x.encoder, ImageEncoder)}
    found = [place(name, x.low == x.high) for name, x in spreads.items() if (x.low == x.high).any()]
    if seen.steps < ENOUGH or not found:
        return None
    return f"{', '.join(found)} never changed in {seen.steps:,} random steps: leave out what is always the same"


def _is_scaled(spread):
    """Whether the default encoder scales a Box by its bounds."""
    encoder = spread.encoder
    if isinstance(encoder, ImageEncoder):
        return math.isfinite(encoder.high - encoder.low)
    return isinstance(encoder, IntegerEncoder)


def _width(bounds):
    return bounds[1] - bounds[0]


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
