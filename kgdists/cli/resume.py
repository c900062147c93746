"""`kgdists resume`."""

import argparse

from kgdists.cli.evaluations import Evaluating, add_evaluating
from kgdists.cli.program_cache import keep_programs
from kgdists.cli.run_folder import run_or_seeds
from kgdists.cli.saving import add_save_every
from kgdists.cli.tensorflow import set_threads, threads_for, uncollected
from kgdists.core.checks import in_short
from kgdists.core.choices import MAX_STEPS
from kgdists.core.quiet import quietly
from kgdists.runs.seed_folders import seed_folders

__all__ = ["add_to", "resume"]


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "resume",
        help="go on with a run, even after kill -9",
        description="Go on with a run from its last good checkpoint.",
    )
    parser.add_argument("run", type=run_or_seeds, metavar="RUN", help="The run folder, or a folder of several seeds.")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="Train to N environment steps in all, also where the run is finished; schedules are stretched. A whole "
        "number >= 1. Default: as many as the run was to take.",
    )
    as_before = "as the run was started with"
    add_evaluating(parser.add_argument_group("evaluation"), as_before, as_before, as_before)
    add_save_every(parser.add_argument_group("output"))
    parser.set_defaults(command=resume)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run from its last good checkpoint to its last step."""
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise ValueError(f"`--steps` must be from 1 to {MAX_STEPS:.0e}. Received: {in_short(options.steps)}")
    Evaluating.of(options)
    keep_programs()
    with quietly(), uncollected():
        from kgdists.cli.resuming import config_to_resume, go_on, go_on_with_seeds

        seeds = seed_folders(options.run)
        config = config_to_resume(seeds[0] if seeds else options.run)
        set_threads(max(config.get("threads", 1), threads_for(len(seeds))))
    return go_on_with_seeds(options, config) if seeds else go_on(options, config)
