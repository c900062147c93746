"""`kgdists list`."""

from kgdists.agents.tuned import TUNED, TUNED_SEARCHES

__all__ = ["add_to", "show"]


def add_to(commands):
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("list", help="show the environments with tuned settings")
    parser.set_defaults(command=show)


def show(options):
    """Print the tuned settings of all environments."""
    for env in TUNED:
        print(env)
        for agent, known in ({"ppo": TUNED[env]} | TUNED_SEARCHES.get(env, {})).items():
            settings = ", ".join(
                f"{name}={value}{' -> 0' if name in known.decay else ''}" for name, value in known.settings.items()
            )
            print(f"  {agent}, {known.total_steps} steps: {settings}")
    return 0
