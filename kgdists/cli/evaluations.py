"""Options of how a policy is evaluated, shared by `train`, `resume` and `evaluate`."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from kgdists.core.checks import count

__all__ = ["Evaluating", "add_evaluating"]

FACTS = {"episodes": "eval_episodes", "envs": "eval_envs", "max_steps": "eval_max_steps"}  # field -> entry of a run


@dataclasses.dataclass(frozen=True)
class Evaluating:
    """How many episodes are played, in how many new environments, and cut off after how many steps.

    None is the default of each evaluation; see `Agent.evaluate`.
    """

    episodes: int | None = None
    envs: int | None = None
    max_steps: int | None = None

    @classmethod
    def of(cls, options: argparse.Namespace, run: Mapping[str, Any] | None = None) -> Self:
        """What the command line says and, where it does not, the `config.json` of a run."""
        given = {field: getattr(options, name) for field, name in FACTS.items()}
        for field, x in given.items():
            if x is not None:
                count(f"--{FACTS[field].replace('_', '-')}", x)
        known = {} if run is None else {field: run.get(name) for field, name in FACTS.items()}
        return cls(**{field: known.get(field) if x is None else x for field, x in given.items()})

    def facts(self) -> dict[str, int | None]:
        """The entries of a run's `config.json`."""
        return {name: getattr(self, field) for field, name in FACTS.items()}


def add_evaluating(
    group: argparse._ArgumentGroup,
    episodes: str,
    envs: str = "the environments of the training",
    limit: str = "10,000, or the limit of the environment if that is more",
    names: tuple[str, ...] = (),
) -> None:
    """Add the options.

    Parameters
    ----------
    group : argparse group
    episodes, envs, limit : str
        The defaults, in words.
    names : sequence of str
        Shorter names for the first and the last option.
    """
    for option, short, default, text in (
        ("--eval-episodes", names[:1], episodes, "Play N episodes in an evaluation."),
        ("--eval-envs", (), envs, "Evaluate in N new environments, stepped together."),
        ("--eval-max-steps", names[1:], limit, "Cut off an episode of an evaluation after N steps."),
    ):
        group.add_argument(
            *short,
            option,
            type=int,
            metavar="N",
            dest=option[2:].replace("-", "_"),
            help=f"{text} A whole number >= 1. Default: {default}.",
        )
