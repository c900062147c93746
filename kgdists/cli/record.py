"""`kgdists record`."""

import argparse
import os
from pathlib import Path

from kgdists.agents.config import Config, encoding_of
from kgdists.cli.agents import name_module
from kgdists.runs.folder import read_policy
from kgdists.runs.layout import BEST, POLICY, read_config
from kgdists.runs.recording import record as record_film

__all__ = ["add_to", "record"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("record", help="film a trained policy")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="film to write, a .gif or, with moviepy, .mp4; default: recording.gif in RUN",
    )
    parser.add_argument("--episodes", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-steps", type=int, metavar="N", help="cut episodes off after N steps")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the environment; a seed is a film; default: %(default)s"
    )
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of taking the most probable")
    parser.add_argument(
        "--best", action="store_true", help="with the run's best.keras, which EvaluateAndKeepBest wrote, not its last"
    )
    parser.set_defaults(command=record)


def record(options: argparse.Namespace) -> int:
    """Write a film of a run's policy and print its name and returns."""
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    config = read_config(options.run)
    env = config["env"]
    if not isinstance(env, str):
        raise ValueError(
            f"A run is recorded in the environment of its id, which this one lacks. Received: {options.run}"
        )
    policy = read_policy(options.run / (BEST if options.best else POLICY))
    out = options.out or options.run / "recording.gif"
    name_module(env)
    evaluation = record_film(
        policy,
        env,
        out,
        episodes=options.episodes,
        deterministic=not options.stochastic,
        max_steps=options.max_steps,
        seed=options.seed,
        encoding=encoding_of(Config, {"encoder": "flat"} | config["config"]),
    )
    print(f"{out}: {evaluation}")
    return 0
