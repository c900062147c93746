"""The settings of evolution strategies."""

import dataclasses

from kgdists.agents.config import FLAG, POSITIVE, WHOLE, Config, setting, with_default
from kgdists.core.choices import SEARCHER_NAMES, VECTORIZATIONS
from kgdists.core.rules import numbers, one_of

__all__ = ["ESConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ESConfig(Config):
    """Hyperparameters of `ES`. What is None is as the searcher has it by default."""

    TOTAL_STEPS = 1_000_000
    FIXED = (*Config.FIXED, "searcher", "stdev_init")

    hidden_units: tuple[int, ...] = with_default(Config, "hidden_units", (16,))
    searcher: str = setting("pgpe", "Choose the algorithm of the search.", one_of(SEARCHER_NAMES))
    popsize: int = setting(
        100, "Draw N solutions in a generation, or at a time if num_interactions asks for more.", WHOLE
    )
    episodes: int = setting(1, "Play N episodes with each solution, whose fitness is their mean return.", WHOLE)
    num_envs: int | None = setting(
        None,
        "Step N environments together.",
        WHOLE.or_none(),
        "one for each episode of a population",
        group="environment",
    )
    vectorization: str = setting(
        "auto",
        "Choose how several environments are stepped. sync: one after the other; async: in several processes; native: "
        "by the environment's own vector version; compiled: whole episodes in one program with the population; auto: "
        "from 16 environments on compiled where there is such a version, or native, else sync.",
        one_of(VECTORIZATIONS),
        group="environment",
    )
    max_steps: int | None = setting(
        None,
        "Cut an episode off after N steps.",
        WHOLE.or_none(),
        "10,000, or the limit of the environment if that is more",
    )
    num_interactions: int | None = setting(
        None,
        "Draw solutions until a generation has taken at least N environment steps.",
        WHOLE.or_none(),
        "one population",
    )
    popsize_max: int | None = setting(
        None,
        "Draw at most N solutions in a generation, where num_interactions asks for more than popsize.",
        WHOLE.or_none(),
        "no bound",
    )
    stdev_init: float = setting(0.1, "Set the standard deviation of the weights at the start.", POSITIVE)
    center_learning_rate: float | None = setting(
        None,
        "Set the learning rate of the center of the search; for pgpe, the step size of ClipUp.",
        POSITIVE.or_none(),
        "the searcher's own",
    )
    stdev_learning_rate: float | None = setting(
        None,
        "Set the learning rate of the standard deviations of the search.",
        POSITIVE.or_none(),
        "the searcher's own",
    )
    parenthood_ratio: float | None = setting(
        None,
        "Set the share of a population from which cem draws the next.",
        numbers("in (0, 1]", lambda x: 0.0 < x <= 1.0).or_none(),
        "0.2",
    )
    sample_actions: bool = setting(False, "Draw actions instead of taking the most probable ones.", FLAG)

    def __post_init__(self) -> None:
        super().__post_init__()
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
