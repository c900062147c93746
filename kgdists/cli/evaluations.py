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
            count(f"--{FACTS[field].replace('_', '-')}", x, optional=True)
        known = {} if run is None else {field: run.get(name) for field, name in FACTS.items()}
        return cls(**{field: known.get(field) if x is None else x for field, x in given.items()})

    def facts(self) -> dict[str, int | None]:
        """The entries of a run's `config.json`."""
        return {name: getattr(self, field) for field, name in FACTS.items()}


def add_evaluating(
    parser: argparse.ArgumentParser,
    default: str,
    episodes: str = "--eval-episodes",
    max_steps: str = "--eval-max-steps",
) -> None:
    """Add the options, the first and the last also by these names; `default` is the number of episodes, in words."""
    for option, name, text in (
        ("--eval-episodes", episodes, f"episodes of an evaluation; default: {default}"),
        ("--eval-envs", "--eval-envs", "new environments to play them in; default: those of the training"),
        (
            "--eval-max-steps",
            max_steps,
            "steps after which an episode of an evaluation is cut off; default: 10,000, or "
            "the limit of the environment if that is more",
        ),
    ):
        parser.add_argument(
            *dict.fromkeys((name, option)), type=int, metavar="N", dest=option[2:].replace("-", "_"), help=text
        )
