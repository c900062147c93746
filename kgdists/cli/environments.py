"""Options that say which environment is meant, shared by `train` and `check`."""

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgdists.envs.env_id import EnvId

__all__ = ["add_environment", "env_of", "name_modules"]


def add_environment(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup, is_optional: bool = False) -> None:
    """Add the environment to a parser, and the options about it to a group."""
    parser.add_argument(
        "env",
        metavar="ENV",
        nargs="?" if is_optional else None,
        help="The environment's Gymnasium id, for instance CartPole-v1; without a version, the newest. module:Id "
        "imports a module first, which may be one in the working folder. `kgdists list` shows tuned ones.",
    )
    group.add_argument(
        "--import",
        dest="imports",
        action="extend",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="Import these modules first, which may register the environment. Default: none.",
    )
    group.add_argument(
        "--env-kwargs",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="Make the environment with these arguments. A value is a Python literal, else a text. Default: none.",
    )
    group.add_argument(
        "--wrapper",
        dest="wrappers",
        action="append",
        default=[],
        metavar="CLASS[:KEY=VALUE,...]",
        help="Put the environment into this wrapper, by its full name and arguments, for instance "
        "gymnasium.wrappers.ClipReward:max_reward=1. May be given several times, from the inside out. Default: none.",
    )
    group.add_argument(
        "--max-episode-steps",
        type=int,
        metavar="N",
        help="Truncate episodes after N steps, in place of the environment's own limit. A whole number >= 1. "
        "Default: the environment's.",
    )


def env_of(options: argparse.Namespace) -> "EnvId":
    """The environment that the command line names, with the newest version if it names none."""
    from kgdists.core.checks import count
    from kgdists.envs.env_id import EnvId
    from kgdists.envs.registered import newest

    if options.max_episode_steps is not None:
        count("--max-episode-steps", options.max_episode_steps)
    env = EnvId(options.env, options.imports, options.env_kwargs, options.wrappers, options.max_episode_steps)
    return EnvId(newest(env), env.imports, env.env_kwargs, env.wrappers, env.max_episode_steps)


def name_modules(config: Mapping[str, Any]) -> None:
    """Say which modules a run of someone else's makes Python import for its environment."""
    env, known = config["env"], config.get("env_options") or {}
    wrappers = [name.partition(":")[0].rpartition(".")[0] for name in known.get("wrappers", ())]
    of_id = [env.partition(":")[0]] if isinstance(env, str) and ":" in env else []
    for module in dict.fromkeys([*of_id, *known.get("imports", ()), *wrappers]):
        print(f"kgdists: importing the Python module {module}, as the environment {env} asks for", file=sys.stderr)
