"""The settings of evolution strategies."""

import dataclasses

from kgdists.agents.settings import (
    ACTIVATIONS,
    check,
    check_networks,
    is_count,
    is_number,
    is_positive,
    setting,
)
from kgdists.evolution.policy_search.search import SEARCHERS
from kgdists.spaces import BOX_FAMILIES

__all__ = ["ESConfig"]


@dataclasses.dataclass(frozen=True)
class ESConfig:
    """Hyperparameters of `ES`. What is None is as the searcher has it by default."""

    searcher: str = setting("pgpe", "pgpe, snes, cem, xnes or cmaes")
    popsize: int = setting(100, "solutions of a generation, or at a time with `num_interactions`")
    episodes: int = setting(1, "episodes of each solution, whose fitness is their mean return")
    num_envs: int | None = setting(
        None, "environments that play side by side; by default one for each episode of a population"
    )
    max_steps: int | None = setting(
        None,
        "steps after which an episode is cut off; by default 10,000, or the limit of the environment if that is more",
    )
    num_interactions: int | None = setting(
        None, "draw more solutions until a generation has so many environment steps; one population by default"
    )
    popsize_max: int | None = setting(None, "the most solutions of a generation then; any number by default")
    stdev_init: float = setting(0.1, "standard deviation of the weights at the start")
    center_learning_rate: float | None = setting(None, "of the center; of pgpe the step of ClipUp, its length")
    stdev_learning_rate: float | None = setting(None, "of the standard deviations")
    parenthood_ratio: float | None = setting(
        None, "of cem: the part of a population that the next is drawn about; default 0.2"
    )
    sample_actions: bool = setting(False, "draw actions instead of taking the most probable ones")
    normalize_observations: bool = setting(
        False, "standardise observations of the default network by the statistics of all solutions, saved with it"
    )
    hidden_units: tuple[int, ...] = setting((16,), "widths of the layers of the default network")
    activation: str = setting("tanh", f"of these layers: {', '.join(ACTIVATIONS)}")
    initial_stddev: float = setting(1.0, "of the default policy for a Box, if actions are drawn")
    box_family: str = setting("squashed", f"of the default policy for a Box: {', '.join(BOX_FAMILIES)}")
    seed: int | None = setting(None, "of the initial weights, the populations and the environments")

    def __post_init__(self):
        check_networks(self)
        check(self, "searcher", f"one of {', '.join(SEARCHERS)}", lambda x: x in tuple(SEARCHERS))
        for name in ("popsize", "episodes"):
            check(self, name, "an int >= 1", is_count)
        for name in ("num_envs", "max_steps", "num_interactions", "popsize_max"):
            check(self, name, "None or an int >= 1", lambda x: x is None or is_count(x))
        check(self, "stdev_init", "a finite number > 0", is_positive)
        for name in ("center_learning_rate", "stdev_learning_rate"):
            check(self, name, "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "parenthood_ratio", "None or in (0, 1]", lambda x: x is None or (is_number(x) and 0.0 < x <= 1.0))
        check(self, "box_family", f"one of {', '.join(BOX_FAMILIES)}", lambda x: x in tuple(BOX_FAMILIES))
        if self.parenthood_ratio is not None and self.searcher != "cem":
            raise ValueError(f"`parenthood_ratio` is a setting of cem alone. Received: searcher={self.searcher!r}")
        if self.searcher == "cem" and self.popsize * self.elite < 2.0:
            raise ValueError(
                "cem needs at least two solutions of which the next population is drawn about. "
                f"Received: popsize={self.popsize}, parenthood_ratio={self.elite}"
            )

    @property
    def elite(self):
        """The parenthood ratio, of which cem itself has no default."""
        return 0.2 if self.parenthood_ratio is None else self.parenthood_ratio
