"""`kgdists record`."""

import argparse
import os
from pathlib import Path

from kgdists.cli.environments import name_modules
from kgdists.cli.run_folder import run_folder
from kgdists.cli.tensorflow import start_tensorflow

__all__ = ["add_to", "record"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "record", help="film a trained policy", description="Film episodes that a trained policy plays."
    )
    parser.add_argument("run", type=run_folder, metavar="RUN", help="The run folder.")
    evaluation, output = parser.add_argument_group("evaluation"), parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="Write the film to FILE, a .gif or, with moviepy, an .mp4. Default: recording.gif in RUN.",
    )
    evaluation.add_argument(
        "--episodes",
        type=int,
        default=1,
        metavar="N",
        help="Film N episodes. A whole number >= 1. Default: %(default)s.",
    )
    evaluation.add_argument(
        "--max-steps",
        type=int,
        metavar="N",
        help="Cut episodes off after N steps. A whole number >= 1. Default: 10,000, or the limit of the environment if "
        "that is more.",
    )
    evaluation.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="Set the seed of the environment; a seed is a film. A whole number >= 0. Default: %(default)s.",
    )
    evaluation.add_argument(
        "--stochastic",
        action="store_true",
        help="Draw actions instead of taking the most probable ones. Default: no.",
    )
    evaluation.add_argument(
        "--best",
        action="store_true",
        help="Film the policy of best.keras, which --evaluate-every kept, not the last one. Default: no.",
    )
    parser.set_defaults(command=record)


def record(options: argparse.Namespace) -> int:
    """Write a film of a run's policy and print its name and returns."""
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    start_tensorflow()
    from kgdists.envs.array_observations import Encoding
    from kgdists.envs.env_id import EnvId
    from kgdists.runs.folder import read_policy
    from kgdists.runs.layout import BEST, POLICY, read_config
    from kgdists.runs.recording import record as record_film

    config = read_config(options.run)
    env = EnvId.of(config)
    if not isinstance(env, str):
        raise ValueError(
            f"A run is recorded in the environment of its id, which this one lacks. Received: {options.run}"
        )
    policy = read_policy(options.run / (BEST if options.best else POLICY))
    out = options.out or options.run / "recording.gif"
    name_modules(config)
    evaluation = record_film(
        policy,
        env,
        out,
        episodes=options.episodes,
        deterministic=not options.stochastic,
        max_steps=options.max_steps,
        seed=options.seed,
        encoding=Encoding.of({"encoder": "flat"} | config["config"]),
    )
    print(f"{out}: {evaluation}")
    return 0
