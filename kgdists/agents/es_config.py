"""The settings of evolution strategies."""

import dataclasses

from kgdists.agents.config import Config, check, check_count, is_number, is_positive, setting
from kgdists.evolution.algorithms import SEARCHERS

__all__ = ["ESConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ESConfig(Config):
    """Hyperparameters of `ES`. What is None is as the searcher has it by default."""

    TOTAL_STEPS = 1_000_000

    hidden_units: tuple[int, ...] = setting((16,), "widths of the hidden layers of the default network")
    searcher: str = setting("pgpe", f"algorithm of the search: {', '.join(SEARCHERS)}")
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
        None, "environment steps that a generation has at least, by drawing more solutions; one population by default"
    )
    popsize_max: int | None = setting(
        None, "most solutions of a generation with `num_interactions`; unbounded by default"
    )
    stdev_init: float = setting(0.1, "standard deviation of the weights at the start")
    center_learning_rate: float | None = setting(None, "learning rate of the center; for pgpe, the step size of ClipUp")
    stdev_learning_rate: float | None = setting(None, "learning rate of the standard deviations")
    parenthood_ratio: float | None = setting(
        None, "share of a population that cem draws the next about; 0.2 by default"
    )
    sample_actions: bool = setting(False, "draw actions instead of taking the most probable ones")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "searcher", f"one of {', '.join(SEARCHERS)}", lambda x: x in tuple(SEARCHERS))
        for name in ("popsize", "episodes"):
            check_count(self, name)
        for name in ("num_envs", "max_steps", "num_interactions", "popsize_max"):
            check_count(self, name, optional=True)
        check(self, "stdev_init", "a finite number > 0", is_positive)
        for name in ("center_learning_rate", "stdev_learning_rate"):
            check(self, name, "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "parenthood_ratio", "None or in (0, 1]", lambda x: x is None or (is_number(x) and 0.0 < x <= 1.0))
        if self.parenthood_ratio is not None and self.searcher != "cem":
            raise ValueError(f"`parenthood_ratio` is a setting of cem alone. Received: searcher={self.searcher!r}")
        if self.searcher == "cem" and self.popsize * self.elite < 2.0:
            raise ValueError(
                "cem needs at least two solutions of which the next population is drawn about. "
                f"Received: popsize={self.popsize}, parenthood_ratio={self.elite}"
            )

    @property
    def elite(self) -> float:
        """The parenthood ratio, of which cem itself has no default."""
        return 0.2 if self.parenthood_ratio is None else self.parenthood_ratio
